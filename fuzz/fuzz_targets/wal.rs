//! Any bytes as a segment, a checkpoint or a chunk file: the database opens, names what is damaged, answers, goes on, and
//! opens again with the same answer. Records with right checksums but any payload reach the decoders behind the frames.
#![no_main]

use std::path::Path;

use kymo_model::{
    Append, Batch, ExemplarQueryable, Labels, MetadataQueryable, Queryable, Samples, Selector, TimeRange,
    Timestamp,
};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{Db, Options};

const KINDS: [(&str, &[u8; 8]); 3] =
    [("wal", b"kymo-wal"), ("checkpoint", b"kymo-chk"), ("chunks", b"kymo-chn")];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let disk = SimDisk::new(1);
    for (dir, _) in KINDS {
        disk.vfs().create_dir_all(&Path::new("/data/head").join(dir)).unwrap();
    }
    let (dir, magic) = KINDS[usize::from(*choice) % 3];
    let framed = if choice & 4 == 0 { data.to_vec() } else { frames(magic, data) };
    disk.put(&Path::new("/data/head").join(dir).join("00000001"), framed);
    if dir == "chunks" {
        // Chunk files count only beside a checkpoint.
        disk.put(Path::new("/data/head/checkpoint/00000001"), frames(KINDS[1].1, &[]));
    }
    let options = || Options { vfs: disk.vfs(), clock: SimClock::at_ms(0).shared(), ..Options::default() };
    let Ok(db) = Db::open("/data", options()) else { return };
    read(&db);
    let mut batch = Batch::new();
    batch.push(Labels::from_pairs([("__name__", "fuzz")]), Timestamp::from_millis(0), 1.0);
    let _ = db.append(&batch);
    // Retention first: any times may be in there, and the next opening drops what is too old.
    db.maintain(Timestamp::from_millis(0)).unwrap();
    db.checkpoint().unwrap();
    let after = read(&db);
    db.close().unwrap();
    drop(db);
    let again = Db::open("/data", options()).unwrap();
    assert_eq!(read(&again), after);
});

/// Splits the data into payloads (two bytes of length before each) and frames them as the database does.
fn frames(magic: &[u8; 8], mut data: &[u8]) -> Vec<u8> {
    let mut file = magic.to_vec();
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(&crc32(&file).to_le_bytes());
    while let Some((length, rest)) = data.split_first_chunk() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*length))));
        data = rest;
        let offset = file.len() as u64;
        let mut header = vec![0xf5, 0x9a, 0xc1, 0xe7];
        header.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        header.extend_from_slice(&crc32(payload).to_le_bytes());
        let mut place = magic.to_vec();
        place.extend_from_slice(&1u64.to_le_bytes());
        place.extend_from_slice(&offset.to_le_bytes());
        place.extend_from_slice(&header);
        header.extend_from_slice(&crc32(&place).to_le_bytes());
        file.extend_from_slice(&header);
        file.extend_from_slice(payload);
    }
    file
}

/// crc32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// How many samples, exemplars and families can be read; series whose chunks do not decode give an error and none.
fn read(db: &Db) -> (usize, usize, usize) {
    let mut samples = Samples::new();
    let found = db.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    let mut count = 0;
    for series in found.iter() {
        let mut reader = series.reader();
        while let Ok(true) = reader.read(&mut samples) {
            assert!(samples.timestamps_ms.windows(2).all(|pair| pair[0] < pair[1]));
            count += samples.len();
        }
    }
    let exemplars = db.exemplars(&[Vec::new()], TimeRange::ALL).unwrap();
    let exemplars = exemplars.iter().map(|series| series.exemplars.len()).sum();
    (count, exemplars, db.metadata(None).unwrap().len())
}
