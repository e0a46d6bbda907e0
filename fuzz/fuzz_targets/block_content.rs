//! What lies behind the checksums of a block: any of its bytes changed and its checksums made right again is opened, verified and
//! read without a panic, in order, or refused.
#![no_main]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kymo_chunk::{Encoding, XorAppender};
use kymo_model::{Queryable, Samples, Selector, TimeRange};
use kymo_testkit::{SimDisk, series_labels};
use kymo_tsdb::block::{
    Block, BlockChunk, BlockOrigin, BlockWriter, BlockWriterOptions, Interval, Tombstones, Ulid,
    verify_block, write_tombstones,
};

const FILES: [&str; 4] = ["index", "chunks/000001", "tombstones", "meta.json"];

/// A block, and what its checksums cover.
struct Original {
    disk: SimDisk,
    dir: PathBuf,
    files: Vec<(Vec<u8>, Vec<Covered>)>,
}

struct Covered {
    bytes: Range<usize>,
    checksum_at: usize,
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    let original = ORIGINAL.get_or_init(original);
    let Some((choice, data)) = data.split_first() else { return };
    let number = usize::from(*choice) % FILES.len();
    let (bytes, covered) = &original.files[number];
    let disk = original.disk.copy(1);
    disk.put(&original.dir.join(FILES[number]), changed(bytes, covered, data));
    let Ok(block) = Block::open(&*disk.vfs(), &original.dir) else { return };
    // A fault is in the report, or it is an error; both are fine.
    let _ = verify_block(&block);
    let Ok(found) = block.select(&Selector::new(Vec::new(), TimeRange::ALL)) else { return };
    let mut samples = Samples::new();
    for series in found.iter() {
        let (mut reader, mut last_ms) = (series.reader(), None);
        while let Ok(true) = reader.read(&mut samples) {
            for t_ms in &samples.timestamps_ms {
                assert!(last_ms.is_none_or(|last_ms| last_ms < *t_ms), "{last_ms:?} before {t_ms}");
                last_ms = Some(*t_ms);
            }
        }
    }
});

/// Each three bytes of the input change one byte; then every checksum is made right.
fn changed(bytes: &[u8], covered: &[Covered], data: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[at] = edit[2];
    }
    for Covered { bytes: range, checksum_at } in covered {
        let sum = crc32c(&bytes[range.clone()]);
        bytes[*checksum_at..checksum_at + 4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

fn original() -> Original {
    let disk = SimDisk::new(1);
    let vfs = disk.vfs();
    vfs.create_dir_all(Path::new("/data")).unwrap();
    let options = BlockWriterOptions::default();
    let mut writer = BlockWriter::create(vfs.clone(), Path::new("/data"), Ulid::new(1, 0), options).unwrap();
    let mut labels: Vec<_> = (0..6).map(|series| series_labels(series * 7)).collect();
    labels.sort();
    for (series, labels) in labels.iter().enumerate() {
        let chunks: Vec<_> = (0..2).map(|number| chunk(series as i64, number)).collect();
        let chunks: Vec<_> = chunks
            .iter()
            .map(|(min_ms, max_ms, chunk)| BlockChunk {
                min_ms: *min_ms,
                max_ms: *max_ms,
                encoding: Encoding::Xor,
                data: chunk.bytes(),
            })
            .collect();
        writer.add_series(labels, &chunks).unwrap();
    }
    let meta = writer.finish(BlockOrigin::default()).unwrap();
    let dir = Path::new("/data").join(meta.ulid.to_string());
    let mut tombstones = Tombstones::default();
    tombstones.add(2, Interval { min_ms: 0, max_ms: 5000 });
    write_tombstones(&*vfs, &dir, &tombstones).unwrap();
    let read = |file: &&str| disk.read(&dir.join(file)).unwrap();
    let files = FILES.iter().map(read).map(|bytes| (bytes.clone(), covered(&bytes))).collect();
    Original { disk: disk.clone(), dir, files }
}

fn chunk(series: i64, number: i64) -> (i64, i64, XorAppender) {
    let mut chunk = XorAppender::new();
    let min_ms = 20_000 * number + series;
    for sample in 0..12 {
        chunk.push(min_ms + sample * 1000, (sample * series) as f64 / 4.0);
    }
    (min_ms, min_ms + 11_000, chunk)
}

/// Finds what the checksums cover by trying: a length of four bytes or a varint, so many bytes (one more for the encoding of a
/// chunk), and their checksum. And the end of the file, or all of it, with the checksum behind.
fn covered(bytes: &[u8]) -> Vec<Covered> {
    let mut found = Vec::new();
    let mut check = |range: Range<usize>| {
        let sum = bytes.get(range.end..range.end + 4);
        if !range.is_empty()
            && sum.is_some_and(|sum| sum == crc32c(&bytes[range.clone()]).to_be_bytes().as_slice())
        {
            found.push(Covered { checksum_at: range.end, bytes: range });
        }
    };
    for at in 0..bytes.len() {
        if let Some(length) = bytes.get(at..at + 4) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if length < bytes.len() - at {
                check(at + 4..at + 4 + length);
            }
        }
        let (mut length, mut end) = (0usize, at);
        while let Some(byte) = bytes.get(end).filter(|_| end < at + 3) {
            length |= usize::from(byte & 0x7f) << (7 * (end - at));
            end += 1;
            if byte & 0x80 == 0 {
                check(end..end + length);
                check(end..end + length + 1);
                break;
            }
        }
    }
    for from in [5, bytes.len().saturating_sub(52)] {
        if from < bytes.len().saturating_sub(4) {
            check(from..bytes.len() - 4);
        }
    }
    found
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}
