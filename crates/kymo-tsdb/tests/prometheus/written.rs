//! What a Prometheus writes, byte by byte, by the description of its formats: records, pages, chunk files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kymo_model::{Histogram, Labels};
use kymo_testkit::SimDisk;

pub(crate) const PAGE_BYTES: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Snappy,
    Zstd,
}

fn unsigned(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn signed(out: &mut Vec<u8>, number: i64) {
    unsigned(out, (number << 1 ^ number >> 63) as u64);
}

fn text(out: &mut Vec<u8>, text: &str) {
    unsigned(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn series(list: &[(u64, &Labels)]) -> Vec<u8> {
    let mut out = vec![1];
    for (number, labels) in list {
        out.extend_from_slice(&number.to_be_bytes());
        unsigned(&mut out, labels.len() as u64);
        for label in *labels {
            text(&mut out, label.name);
            text(&mut out, label.value);
        }
    }
    out
}

fn based<V>(kind: u8, list: &[(u64, i64, V)], put: impl Fn(&mut Vec<u8>, &V)) -> Vec<u8> {
    let mut out = vec![kind];
    let Some((number, t_ms, _)) = list.first() else { return out };
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&t_ms.to_be_bytes());
    for (one, one_ms, value) in list {
        signed(&mut out, *one as i64 - *number as i64);
        signed(&mut out, one_ms - t_ms);
        put(&mut out, value);
    }
    out
}

pub(crate) fn samples(list: &[(u64, i64, f64)]) -> Vec<u8> {
    based(2, list, |out, value| out.extend_from_slice(&value.to_bits().to_be_bytes()))
}

/// The form with start timestamps, each a millisecond before its sample.
pub(crate) fn samples_started(list: &[(u64, i64, f64)]) -> Vec<u8> {
    let mut out = vec![11];
    let Some((_, first_ms, _)) = list.first().copied() else { return out };
    let mut before = None;
    for (number, t_ms, value) in list {
        signed(&mut out, *number as i64 - before.unwrap_or(0) as i64);
        match before {
            None => {
                signed(&mut out, *t_ms);
                signed(&mut out, t_ms - 1);
            }
            Some(_) => {
                signed(&mut out, t_ms - first_ms);
                out.push(2);
                signed(&mut out, t_ms - first_ms);
            }
        }
        out.extend_from_slice(&value.to_bits().to_be_bytes());
        before = Some(*number);
    }
    out
}

pub(crate) fn histograms(kind: u8, list: &[(u64, i64, Histogram)]) -> Vec<u8> {
    based(kind, list, |out, h| {
        let float = matches!(kind, 8 | 10).then(|| h.to_float());
        out.push(h.counter_reset_hint as u8);
        signed(out, h.schema.into());
        out.extend_from_slice(&h.zero_threshold.to_be_bytes());
        match &float {
            None => {
                unsigned(out, h.zero_count);
                unsigned(out, h.count);
            }
            Some(float) => {
                out.extend_from_slice(&float.zero_count.to_be_bytes());
                out.extend_from_slice(&float.count.to_be_bytes());
            }
        }
        out.extend_from_slice(&h.sum.to_be_bytes());
        for spans in [&h.positive_spans, &h.negative_spans] {
            unsigned(out, spans.len() as u64);
            for span in spans {
                signed(out, span.offset.into());
                unsigned(out, span.length.into());
            }
        }
        let (positive, negative) = match &float {
            None => (None, None),
            Some(float) => (Some(&float.positive_buckets), Some(&float.negative_buckets)),
        };
        for (floats, deltas) in [(positive, &h.positive_buckets), (negative, &h.negative_buckets)] {
            unsigned(out, deltas.len() as u64);
            match floats {
                None => deltas.iter().for_each(|bucket| signed(out, *bucket)),
                Some(floats) => floats.iter().for_each(|bucket| out.extend_from_slice(&bucket.to_be_bytes())),
            }
        }
        if h.has_custom_buckets() {
            unsigned(out, h.custom_values.len() as u64);
            h.custom_values.iter().for_each(|bound| out.extend_from_slice(&bound.to_be_bytes()));
        }
    })
}

pub(crate) fn tombstones(list: &[(u64, i64, i64)]) -> Vec<u8> {
    let mut out = vec![3];
    for (number, min_ms, max_ms) in list {
        out.extend_from_slice(&number.to_be_bytes());
        signed(&mut out, *min_ms);
        signed(&mut out, *max_ms);
    }
    out
}

/// Exemplars with a trace each, which is their value as text.
pub(crate) fn exemplars(list: &[(u64, i64, f64)]) -> Vec<u8> {
    based(4, list, |out, value| {
        out.extend_from_slice(&value.to_be_bytes());
        out.push(1);
        text(out, "trace_id");
        text(out, &value.to_string());
    })
}

/// What is said of series: type and help.
pub(crate) fn metadata(list: &[(u64, u8, &str)]) -> Vec<u8> {
    let mut out = vec![6];
    for (number, kind, help) in list {
        unsigned(&mut out, *number);
        out.extend_from_slice(&[*kind, 2]);
        text(&mut out, "UNIT");
        text(&mut out, "s");
        text(&mut out, "HELP");
        text(&mut out, help);
    }
    out
}

/// Where a record lies in its segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// A segment of these records, and where each of them lies.
pub(crate) fn segment(records: &[(Vec<u8>, Compression)]) -> (Vec<u8>, Vec<Extent>) {
    let (mut out, mut extents) = (Vec::new(), Vec::new());
    for (record, compression) in records {
        let (flag, data) = match compression {
            Compression::None => (0, record.clone()),
            Compression::Snappy => (8, snap::raw::Encoder::new().compress_vec(record).unwrap()),
            Compression::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                (16, ruzstd::encoding::compress_to_vec(record.as_slice(), level))
            }
        };
        let (mut rest, mut is_first, mut begin) = (data.as_slice(), true, None);
        loop {
            let left = PAGE_BYTES - out.len() % PAGE_BYTES;
            if left <= 7 {
                out.resize(out.len() + left, 0);
                continue;
            }
            begin.get_or_insert(out.len());
            let (now, later) = rest.split_at(rest.len().min(left - 7));
            let kind = match (is_first, later.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            out.push(flag | kind);
            out.extend_from_slice(&(now.len() as u16).to_be_bytes());
            out.extend_from_slice(&crc32c::crc32c(now).to_be_bytes());
            out.extend_from_slice(now);
            (rest, is_first) = (later, false);
            if rest.is_empty() {
                break;
            }
        }
        extents.push(Extent { begin: begin.unwrap(), end: out.len() });
    }
    (out, extents)
}

/// A chunk of a head: number of the series, whether it came out of order, samples.
pub(crate) type HeadChunk = (u64, bool, Vec<(i64, f64)>);

/// A chunk file, and where each chunk lies.
pub(crate) fn head_chunks(chunks: &[HeadChunk]) -> (Vec<u8>, Vec<Extent>) {
    let (mut out, mut extents) = (vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0], Vec::new());
    for (number, out_of_order, samples) in chunks {
        let begin = out.len();
        let mut chunk = kymo_chunk::XorAppender::new();
        samples.iter().for_each(|(t_ms, value)| chunk.push(*t_ms, *value));
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&samples[0].0.to_be_bytes());
        out.extend_from_slice(&samples[samples.len() - 1].0.to_be_bytes());
        out.push(if *out_of_order { 0x81 } else { 1 });
        unsigned(&mut out, chunk.bytes().len() as u64);
        out.extend_from_slice(chunk.bytes());
        let crc = crc32c::crc32c(&out[begin..]);
        out.extend_from_slice(&crc.to_be_bytes());
        extents.push(Extent { begin, end: out.len() });
    }
    // As Prometheus reserves it.
    out.resize(out.len() + 5000, 0);
    (out, extents)
}

/// Files below `/data` on a new disk.
pub(crate) fn on_disk(seed: u64, files: &BTreeMap<String, Vec<u8>>) -> SimDisk {
    let disk = SimDisk::new(seed);
    for (name, bytes) in files {
        let path = PathBuf::from("/data").join(name);
        let vfs = disk.vfs();
        vfs.create_dir_all(path.parent().unwrap()).unwrap();
        let mut dir = Some(path.as_path());
        while let Some(parent) = dir.and_then(Path::parent) {
            vfs.sync_dir(parent).unwrap();
            dir = Some(parent);
        }
        disk.put(&path, bytes.clone());
    }
    disk
}
