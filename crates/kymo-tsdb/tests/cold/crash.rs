//! A crash or a fault at every operation of a step: every sample is there once, and the next steps end what was begun.

use std::collections::BTreeMap;
use std::path::Path;

use kymo_model::{Labels, TimeRange};
use kymo_testkit::{Crash, Fault, SimDisk};
use kymo_tsdb::cold::{ConvertOptions, Current, step};

use crate::data::{Data, Rows, START_MS, read_all, write};
use crate::{DATA, options};

fn step_once(disk: &SimDisk) -> Result<bool, kymo_tsdb::cold::ColdWriteError> {
    let options = ConvertOptions::default();
    let stepped = step(&disk.vfs(), Path::new(DATA), i64::MAX, 5, options, &mut |_, _| ())?;
    Ok(stepped.is_some_and(|stepped| stepped.converted.meta.is_some() && stepped.bytes_after > 0))
}

/// All samples, by whichever block has them; asserts that no two blocks have the same one.
fn all(disk: &SimDisk) -> (BTreeMap<Labels, Rows>, usize, usize) {
    let current = Current::open(&*disk.vfs(), Path::new(DATA)).unwrap();
    assert!(current.refused.is_empty(), "{:?}", current.refused);
    let mut all: BTreeMap<Labels, Rows> = BTreeMap::new();
    let blocks = current.blocks.iter().map(|block| read_all(block, TimeRange::ALL));
    for (labels, rows) in
        blocks.chain(current.cold.iter().map(|cold| read_all(cold, TimeRange::ALL))).flatten()
    {
        let series = all.entry(labels).or_default();
        for (t_ms, value) in rows {
            assert_eq!(series.insert(t_ms, value), None, "a sample twice");
        }
    }
    (all, current.blocks.len(), current.cold.len())
}

#[test]
fn every_sample_once() {
    let parts = [Data::from(9, 0..6, START_MS), Data::from(10, 0..6, START_MS + 100_000_000)];
    let mut wanted = parts[0].all();
    for (labels, rows) in parts[1].all() {
        wanted.entry(labels).or_default().extend(rows);
    }
    let prepared = |seed| {
        let disk = SimDisk::new(seed);
        disk.vfs().create_dir_all(Path::new(DATA)).unwrap();
        disk.vfs().sync_dir(Path::new("/")).unwrap();
        for (number, part) in parts.iter().enumerate() {
            write(&disk, DATA, part, number as u64 + 1, options());
        }
        disk
    };
    let counting = prepared(0);
    let first = counting.calls();
    assert!(step_once(&counting).unwrap());
    let (calls, mut cold_after) = (counting.calls(), 0);
    for call in first..calls {
        for (fault, crash) in [
            (Fault::Stop, Crash::Power),
            (Fault::Stop, Crash::Process),
            (Fault::Full, Crash::Power),
            (Fault::Io, Crash::Power),
        ] {
            let disk = prepared(call);
            disk.plan(call, fault);
            let stepped = step_once(&disk);
            disk.restart(crash);
            let (found, blocks, cold) = all(&disk);
            assert_eq!(found, wanted, "seed and call {call}, {fault:?}");
            assert_eq!(blocks + cold, 2);
            assert!(stepped.is_err() || cold == 1, "seed and call {call}: lost after it was finished");
            cold_after += cold;
            // It goes on as if nothing had been.
            while step_once(&disk).unwrap() {}
            let (found, blocks, cold) = all(&disk);
            assert_eq!((found, blocks, cold), (wanted.clone(), 0, 2), "seed and call {call}, {fault:?}");
            let names = disk.vfs().list(Path::new(DATA)).unwrap();
            assert!(names.iter().all(|entry| entry.name.ends_with(".cold")), "{names:?}");
        }
    }
    assert!(calls - first > 15 && cold_after > 0, "{} calls, cold {cold_after} times", calls - first);
}

/// What cannot be read is told, and the block it is in set aside.
#[test]
fn a_damaged_block_is_set_aside() {
    let disk = SimDisk::new(1);
    let meta = write(&disk, DATA, &Data::from(9, 0..6, START_MS), 1, options());
    let block = Path::new(DATA).join(meta.ulid.to_string());
    disk.flip(&block.join("chunks/000001"), 40, 1).unwrap();
    let options = ConvertOptions::default();
    let stepped = step(&disk.vfs(), Path::new(DATA), i64::MAX, 5, options, &mut |_, _| ()).unwrap().unwrap();
    assert_eq!((stepped.from.ulid, stepped.converted.damage.len()), (meta.ulid, 1));
    assert!(stepped.converted.damage[0].file.starts_with(&block));
    assert!(disk.read(&Path::new(DATA).join("quarantine").join(meta.ulid.to_string()).join("index")).is_ok());
    assert_eq!(all(&disk).1, 0);
    // Too young ones stay.
    write(&disk, DATA, &Data::from(9, 0..6, START_MS), 2, crate::options());
    let young = step(&disk.vfs(), Path::new(DATA), START_MS, 5, options, &mut |_, _| ()).unwrap();
    assert_eq!(young, None);
}
