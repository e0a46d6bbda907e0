//! Symbols: every name and value of the block's labels, once. In memory when the block is used.

use kymo_model::Pulse;

use super::super::error::BlockError;
use super::super::file::{BlockFile, CRC_BYTES};
use super::{PostingsTable, Toc};
use crate::frame::{Bytes, put_unsigned};

#[derive(Debug, Default)]
pub(in super::super) struct Symbols {
    /// All symbols, one behind the other.
    text: String,
    /// Where each ends in `text`.
    ends: Vec<u32>,
    /// In an index of version 1, where each begins in the file.
    offsets: Option<Vec<u32>>,
}

impl Symbols {
    pub(in super::super) fn read(
        file: &BlockFile,
        toc: Toc,
        pulse: &mut Pulse,
    ) -> Result<Symbols, BlockError> {
        Symbols::parse(&file.section(toc.symbols)?, file, toc, pulse)
    }

    /// Those of a damaged section, put together from the names and values that there are postings of. `None` unless they are proven to be
    /// what was written: by the section's checksum, or by all else of it where only that is damaged. A block may have
    /// symbols that no series has; then there is no proof.
    pub(in super::super) fn rebuilt(
        file: &BlockFile,
        toc: Toc,
        postings: &PostingsTable,
        pulse: &mut Pulse,
    ) -> Result<Option<Symbols>, BlockError> {
        let mut texts: Vec<&str> = Vec::new();
        for (name, values) in postings.names() {
            pulse.tick(16 * values.len())?;
            texts.push(name);
            texts.extend(values.iter().map(|(value, _)| value));
        }
        texts.sort_unstable();
        texts.dedup();
        // Prometheus may have written the empty text, too, of the list of all series.
        for empty in [None, Some("")] {
            let mut body = Vec::new();
            let count = texts.len() + usize::from(empty.is_some());
            body.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
            for text in empty.iter().chain(&texts) {
                put_unsigned(&mut body, text.len() as u64);
                body.extend_from_slice(text.as_bytes());
            }
            let there = file.read_some(toc.symbols, 4 + body.len() + CRC_BYTES)?;
            let by_checksum =
                there.get(4 + body.len()..) == Some(crc32c::crc32c(&body).to_be_bytes().as_slice());
            let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
            let by_bytes = || empty.is_none() && there.starts_with(&length) && there[4..].starts_with(&body);
            if by_checksum || by_bytes() {
                return Symbols::parse(&body, file, toc, pulse).map(Some);
            }
        }
        Ok(None)
    }

    fn parse(body: &[u8], file: &BlockFile, toc: Toc, pulse: &mut Pulse) -> Result<Symbols, BlockError> {
        let mut bytes = Bytes(body);
        let at = |bytes: &Bytes<'_>| toc.symbols + 4 + (body.len() - bytes.0.len()) as u64;
        let Some(count) = bytes.take(4).map(|count| u32::from_be_bytes(count.try_into().unwrap_or_default()))
        else {
            return Err(file.damaged(toc.symbols, "expected a count of symbols, found the end"));
        };
        let mut symbols = Symbols { offsets: (toc.version == 1).then(Vec::new), ..Symbols::default() };
        for number in 0..count {
            pulse.tick(16)?;
            let offset = at(&bytes);
            let Some(symbol) = bytes.text() else {
                let message = format!("expected symbol {number} of {count} in UTF-8, found something else");
                return Err(file.damaged(offset, message));
            };
            symbols.text.push_str(symbol);
            symbols.ends.push(symbols.text.len() as u32);
            if let Some(offsets) = &mut symbols.offsets {
                offsets.push(u32::try_from(offset).unwrap_or(u32::MAX));
            }
        }
        Ok(symbols)
    }

    /// The symbol that a series names.
    pub(in super::super) fn get(&self, reference: u64) -> Option<&str> {
        let index = match &self.offsets {
            None => usize::try_from(reference).ok()?,
            Some(offsets) => offsets.binary_search(&u32::try_from(reference).ok()?).ok()?,
        };
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..end)
    }

    pub(in super::super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Are they in order, each once?
    pub(in super::super) fn are_sorted(&self) -> bool {
        let all = || {
            (0..self.ends.len()).map(|index| {
                let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
                &self.text[start..self.ends[index] as usize]
            })
        };
        all().zip(all().skip(1)).all(|(before, after)| before < after)
    }
}
