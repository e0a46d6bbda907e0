//! Any bytes as the log, the log of samples out of order, or a chunk file of a Prometheus: the import ends with blocks that are
//! sound and in order, says what it could not read, and moves what it read. Records with right checksums but any content, in
//! several segments, reach the decoders behind the pages; chunks with right checksums those behind the frames.
#![no_main]

use std::path::Path;

use kymo_model::{Queryable, Samples, Selector, TimeRange};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions, StoredBlock, verify_block};
use kymo_tsdb::prometheus::{ImportOptions, import_prometheus};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([choice, memory], data)) = data.split_first_chunk::<2>() else { return };
    let disk = SimDisk::new(1);
    let dir = Path::new("/data");
    for name in ["wal", "wbl", "chunks_head"] {
        disk.vfs().create_dir_all(&dir.join(name)).unwrap();
    }
    match choice % 6 {
        0 => disk.put(&dir.join("wal/00000000"), data.to_vec()),
        1 => disk.put(&dir.join("chunks_head/000001"), data.to_vec()),
        2 => {
            disk.put(&dir.join("wal/00000000"), fragments(&definitions()));
            disk.put(&dir.join("chunks_head/000001"), chunks(data));
        }
        3 => {
            disk.put(&dir.join("wal/00000000"), fragments(&definitions()));
            disk.put(&dir.join("wbl/00000000"), fragments(&records(data)));
        }
        _ => {
            let (first, second) = data.split_at(data.len() / 2);
            disk.put(&dir.join("wal/00000000"), fragments(&[definitions(), records(first)].concat()));
            disk.put(&dir.join("wal/00000001"), fragments(&records(second)));
        }
    }
    // Parts of blocks, too; but not one for each of many ranges.
    let memory_bytes_max = if memory % 4 == 0 { 3000 } else { 1 << 20 };
    let clock = SimClock::at_ms(0).shared();
    let options =
        ImportOptions { memory_bytes_max, clock, range_ms: i64::MAX / 8, ..ImportOptions::default() };
    let report =
        import_prometheus(&disk.vfs(), dir, &options, &mut |now| assert!(now.done <= now.total)).unwrap();
    assert!(!disk.files().iter().any(|path| path.starts_with("/data/wal")));
    let store = BlockStore::open(disk.vfs(), dir, BlockStoreOptions::default()).unwrap();
    assert!(store.refused().is_empty());
    for block in store.blocks().iter().filter_map(StoredBlock::plain) {
        let verified = verify_block(block).unwrap();
        assert!(verified.is_sound(), "{:?}", verified.damage);
    }
    let (mut samples, mut count) = (Samples::new(), 0);
    for series in store.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap().iter() {
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            count += samples.len() as u64;
        }
    }
    assert_eq!(count, report.samples());
});

/// Series 1 to 4, so that samples have somewhere to go.
fn definitions() -> Vec<Vec<u8>> {
    let mut record = vec![1];
    for number in 1..=4u64 {
        record.extend_from_slice(&number.to_be_bytes());
        record.extend_from_slice(&[1, 1, b'a', 1, b'a' + number as u8]);
    }
    vec![record]
}

/// Splits the data into records (a byte of length before each).
fn records(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (record, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        records.push(record.to_vec());
        data = rest;
    }
    records
}

/// A segment of one page; the second record of each three is compressed.
fn fragments(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let (kind, bytes) = match at % 3 {
            1 => (9, snap::raw::Encoder::new().compress_vec(record).unwrap()),
            _ => (1, record.clone()),
        };
        if out.len() + 7 + bytes.len() > 32 * 1024 {
            break;
        }
        out.push(kind);
        out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        out.extend_from_slice(&crc32c(&bytes).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    out
}

/// Splits the data into chunks (length, number, encoding before each).
fn chunks(mut data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
    while let Some(([length, number, encoding], rest)) = data.split_first_chunk::<3>() {
        let length = (rest.len().min(usize::from(*length))).min(127);
        let (chunk, rest) = rest.split_at(length);
        data = rest;
        let begin = out.len();
        out.extend_from_slice(&u64::from(number % 6).to_be_bytes());
        out.extend_from_slice(&[0; 16]);
        out.push(*encoding);
        out.push(length as u8);
        out.extend_from_slice(chunk);
        let crc = crc32c(&out[begin..]);
        out.extend_from_slice(&crc.to_be_bytes());
    }
    out
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}
