//! Writes the index of a block from its spooled series: symbols, series, postings, their table, contents.
//!
//! Postings are collected by reading the series that were just written, a few labels at a time, so that they need not all be in
//! memory.

use super::super::error::{BlockError, WriteBlockError};
use super::super::file::{BlockFile, FileWriter, Window};
use super::super::index::{ChunkMeta, EntryReader, MAGIC, SERIES_ALIGNMENT, Toc};
use super::symbols::SymbolsWriter;
use crate::frame::{Bytes, put_signed, put_unsigned};

/// The version that is written; what every Prometheus since 2.0 reads.
const VERSION: u8 = 2;

/// The chunks of a series, as they stand in its entry.
pub(super) fn put_chunks(out: &mut Vec<u8>, chunks: &[ChunkMeta]) {
    put_unsigned(out, chunks.len() as u64);
    let mut before: Option<&ChunkMeta> = None;
    for chunk in chunks {
        let length = chunk.max_ms.wrapping_sub(chunk.min_ms) as u64;
        match before {
            None => {
                put_signed(out, chunk.min_ms);
                put_unsigned(out, length);
                put_unsigned(out, chunk.reference);
            }
            Some(before) => {
                put_unsigned(out, chunk.min_ms.wrapping_sub(before.max_ms) as u64);
                put_unsigned(out, length);
                put_signed(out, chunk.reference.wrapping_sub(before.reference) as i64);
            }
        }
        before = Some(chunk);
    }
}

/// Writes the index and makes it durable.
pub(super) fn write(
    mut out: FileWriter,
    spool: &mut FileWriter,
    symbols: &SymbolsWriter,
    postings_per_pass_max: usize,
) -> Result<(), WriteBlockError> {
    out.push(&MAGIC)?;
    out.push(&[VERSION])?;
    let (ordered, finals) = symbols.in_order();
    let symbols_at = out.position();
    write_symbols(&mut out, &ordered)?;
    let series_at = out.position();
    let series = write_series(&mut out, &spool.reader()?, &finals)?;
    let series_end = out.position();

    out.pad(4)?;
    let postings = out.position();
    let mut table = Table::default();
    let numbers: Vec<u32> = series.iter().map(|offset| (offset / SERIES_ALIGNMENT) as u32).collect();
    table.add("", "", write_list(&mut out, numbers.into_iter())?);
    let names = symbols.names(&finals);
    let mut rest = names.as_slice();
    while !rest.is_empty() {
        let mut entries = 0;
        let fits = |(_, count): &(u32, usize)| {
            entries += count;
            entries > postings_per_pass_max
        };
        let pass = rest.iter().position(fits).unwrap_or(rest.len()).max(1);
        let (now, later) = rest.split_at(pass);
        rest = later;
        write_pass(&mut out, &series, now, &ordered, &mut table)?;
    }
    let postings_table = out.position();
    out.push_section("postings table", &table.into_body())?;
    let toc = Toc {
        version: VERSION,
        symbols: symbols_at,
        series: series_at,
        series_end,
        postings,
        postings_table,
    };
    out.push(&toc.to_bytes())?;
    /// What numbers of series can reach.
    const INDEX_BYTES_MAX: u64 = SERIES_ALIGNMENT * u32::MAX as u64;
    let size = out.finish()?;
    if size > INDEX_BYTES_MAX {
        return Err(WriteBlockError::TooLarge { what: "index", max: INDEX_BYTES_MAX, found: size });
    }
    Ok(())
}

fn write_symbols(out: &mut FileWriter, ordered: &[&str]) -> Result<(), WriteBlockError> {
    let mut body = (ordered.len() as u32).to_be_bytes().to_vec();
    for symbol in ordered {
        put_unsigned(&mut body, symbol.len() as u64);
        body.extend_from_slice(symbol.as_bytes());
    }
    out.push_section("symbols", &body)
}

/// Writes the entries with final numbers of symbols; their offsets.
fn write_series(
    out: &mut FileWriter,
    spool: &BlockFile,
    finals: &[u32],
) -> Result<Vec<u64>, WriteBlockError> {
    let (mut window, mut at) = (Window::over(spool), 0);
    let (mut offsets, mut body, mut head) = (Vec::new(), Vec::new(), Vec::new());
    while at < spool.size() {
        let length = window.at(at, 4)?.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
        let entry = match length {
            Some(length) => window.at(at + 4, length)?.get(..length),
            None => None,
        };
        let Some(entry) = entry else { return Err(unreadable(spool, at)) };
        body.clear();
        let mut bytes = Bytes(entry);
        let labels = bytes.unsigned().ok_or_else(|| unreadable(spool, at))?;
        put_unsigned(&mut body, labels);
        for _ in 0..2 * labels {
            let number = bytes.unsigned().and_then(|number| finals.get(number as usize));
            put_unsigned(&mut body, u64::from(*number.ok_or_else(|| unreadable(spool, at))?));
        }
        body.extend_from_slice(bytes.0);
        at += 4 + entry.len() as u64;

        out.pad(SERIES_ALIGNMENT)?;
        offsets.push(out.position());
        head.clear();
        put_unsigned(&mut head, body.len() as u64);
        out.push(&head)?;
        out.push(&body)?;
        out.push(&crc32c::crc32c(&body).to_be_bytes())?;
    }
    Ok(offsets)
}

fn unreadable(file: &BlockFile, offset: u64) -> WriteBlockError {
    WriteBlockError::ReadBack(file.damaged(offset, "expected a series, found something else"))
}

/// Writes the lists of some names.
fn write_pass(
    out: &mut FileWriter,
    series: &[u64],
    names: &[(u32, usize)],
    symbols: &[&str],
    table: &mut Table,
) -> Result<(), WriteBlockError> {
    let (first, last) = (names[0].0, names[names.len() - 1].0);
    let mut found: Vec<(u32, u32, u32)> = Vec::with_capacity(names.iter().map(|(_, count)| count).sum());
    let file = out.reader()?;
    let mut entries = EntryReader::over(&file);
    for offset in series {
        let (body, _) = entries.body(*offset)?;
        let mut bytes = Bytes(body);
        let bad = || BlockError::damaged(file.path(), *offset, "expected labels, found something else");
        for _ in 0..bytes.unsigned().ok_or_else(bad)? {
            let (name, value) = bytes.unsigned().zip(bytes.unsigned()).ok_or_else(bad)?;
            if (u64::from(first)..=u64::from(last)).contains(&name) {
                found.push((name as u32, value as u32, (offset / SERIES_ALIGNMENT) as u32));
            }
        }
    }
    found.sort_unstable();
    for list in found.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let offset = write_list(out, list.iter().map(|(_, _, series)| *series))?;
        table.add(symbols[list[0].0 as usize], symbols[list[0].1 as usize], offset);
    }
    Ok(())
}

fn write_list(
    out: &mut FileWriter,
    series: impl ExactSizeIterator<Item = u32>,
) -> Result<u64, WriteBlockError> {
    out.pad(4)?;
    let offset = out.position();
    let mut body = (series.len() as u32).to_be_bytes().to_vec();
    body.extend(series.flat_map(u32::to_be_bytes));
    out.push_section("postings", &body)?;
    Ok(offset)
}

/// The postings table, as it grows.
#[derive(Default)]
struct Table {
    count: u32,
    entries: Vec<u8>,
}

impl Table {
    fn add(&mut self, name: &str, value: &str, offset: u64) {
        self.count += 1;
        put_unsigned(&mut self.entries, 2);
        for part in [name, value] {
            put_unsigned(&mut self.entries, part.len() as u64);
            self.entries.extend_from_slice(part.as_bytes());
        }
        put_unsigned(&mut self.entries, offset);
    }

    fn into_body(self) -> Vec<u8> {
        let mut body = self.count.to_be_bytes().to_vec();
        body.extend_from_slice(&self.entries);
        body
    }
}
