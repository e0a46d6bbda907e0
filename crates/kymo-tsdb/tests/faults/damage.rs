//! One damaged byte: the database opens, says where, and has everything but one record or chunk. Never a wrong value.

use kymo_model::{Append, Batch, Labels, Timestamp};
use kymo_testkit::{Mismatch, ModelStore, Random, SimClock, SimDisk, series_labels};
use kymo_tsdb::{Db, Options};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const START_MS: i64 = 1_700_000_000_000;
const SERIES: usize = 10;

fn options(disk: &SimDisk) -> Options {
    Options {
        vfs: disk.vfs(),
        clock: SimClock::at_ms(START_MS + 86_400_000).shared(),
        wal_segment_bytes: 4096,
        ..Options::default()
    }
}

/// A database with sealed chunks, open chunks, samples out of order and a log; and what is in it.
fn written() -> (SimDisk, ModelStore) {
    let disk = SimDisk::new(3);
    let mut model = ModelStore::new(30 * 60_000, 15 * 86_400_000);
    let db = Db::open("/data", options(&disk)).unwrap();
    let mut random = Random::new(9);
    for scrape in 0..300 {
        if scrape == 280 {
            db.checkpoint().unwrap();
        }
        let (mut rows, mut batch): (Vec<(Labels, i64, f64)>, Batch) = (Vec::new(), Batch::new());
        // A new series comes now and then, so that definitions are in many records.
        for series in 0..(SERIES * (scrape + 20) / 320).max(1) {
            let late_ms = if random.chance(1, 30) { 20_000 } else { 0 };
            let t_ms = START_MS + scrape as i64 * 15_000 - late_ms;
            rows.push((series_labels(series), t_ms, (scrape * 100 + series) as f64));
        }
        for (labels, t_ms, value) in &rows {
            batch.push(labels.clone(), Timestamp::from_millis(*t_ms), *value);
        }
        let expected = model.take(&rows, true, 0);
        let outcome = db.append(&batch).unwrap();
        assert_eq!(outcome.refused.len(), expected.iter().filter(|row| row.is_err()).count());
    }
    db.close().unwrap();
    (disk, model)
}

fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new(4);
    for dir in ["wal", "checkpoint", "chunks"] {
        copy.vfs().create_dir_all(&Path::new("/data/head").join(dir)).unwrap();
    }
    for file in disk.files() {
        copy.put(&file, disk.read(&file).unwrap());
    }
    copy
}

fn files_in(disk: &SimDisk, dir: &str) -> Vec<PathBuf> {
    let dir = Path::new("/data/head").join(dir);
    disk.files().into_iter().filter(|file| file.starts_with(&dir)).collect()
}

/// Changes every `step`th byte in turn and looks at what is left.
fn check(dir: &str, step: usize, lost_max: usize, one_record: impl Fn(&BTreeSet<(Labels, i64)>) -> bool) {
    let (disk, model) = written();
    let (mut tried, mut reported, mut rows_lost) = (0, 0, 0);
    for file in files_in(&disk, dir) {
        let size = disk.read(&file).unwrap().len();
        for offset in (0..size).step_by(step) {
            let damaged = copy(&disk);
            damaged.flip(&file, offset as u64, 1 << (offset % 8)).unwrap();
            let what = format!("{} with byte {offset} changed", file.display());
            let db = Db::open("/data", options(&damaged)).unwrap_or_else(|error| panic!("{what}: {error}"));
            let mut lost = BTreeSet::new();
            for mismatch in model.compare_reopened(&db, false).unwrap() {
                match mismatch {
                    Mismatch::Lost(labels, t_ms) => lost.insert((labels, t_ms)),
                    wrong => panic!("{what}: {wrong}"),
                };
            }
            assert!(
                lost.len() <= lost_max && one_record(&lost),
                "{what}: {} samples lost: {lost:?}",
                lost.len()
            );
            let replay = db.stats().replay;
            let place = replay.damaged.iter().find(|damage| {
                damage.file == file
                    && damage.offset <= offset as u64
                    && (offset as u64) < damage.offset + damage.bytes.max(1)
            });
            assert!(place.is_some(), "{what} is not reported: {:?}", replay.damaged);
            reported += 1;
            tried += 1;
            rows_lost += lost.len();
        }
    }
    assert!(tried > 50, "{tried}");
    println!(
        "{dir}: {tried} bytes changed, {reported} reported, {rows_lost} samples lost of {} each",
        model.len()
    );
}

#[test]
fn a_byte_of_the_log_costs_one_record() {
    // One record is one batch: samples around one time.
    check("wal", 11, SERIES, |lost| {
        let times: BTreeSet<i64> = lost.iter().map(|(_, t_ms)| (t_ms + 20_000) / 15_000).collect();
        times.len() <= 3
    });
}

#[test]
fn a_byte_of_the_checkpoint_costs_one_chunk() {
    check("checkpoint", 17, 120, one_series);
}

#[test]
fn a_byte_of_a_chunk_file_costs_one_chunk() {
    check("chunks", 31, 120, one_series);
}

fn one_series(lost: &BTreeSet<(Labels, i64)>) -> bool {
    lost.iter().map(|(labels, _)| labels.clone()).collect::<BTreeSet<_>>().len() <= 1
}

#[test]
fn zeroed_sectors_and_cut_files_never_give_a_wrong_value() {
    let (disk, model) = written();
    let mut random = Random::new(5);
    for dir in ["wal", "checkpoint", "chunks"] {
        for file in files_in(&disk, dir) {
            let bytes = disk.read(&file).unwrap();
            for round in 0..12 {
                let (damaged, mut changed) = (copy(&disk), bytes.clone());
                let at = random.below(bytes.len() as u64) as usize;
                if round % 2 == 0 {
                    let end = bytes.len().min(at + 512);
                    changed[at..end].fill(0);
                } else {
                    changed.truncate(at);
                }
                damaged.put(&file, changed);
                let db = Db::open("/data", options(&damaged)).unwrap();
                let mismatches = model.compare_reopened(&db, false).unwrap();
                let wrong: Vec<_> = mismatches.iter().filter(|m| !matches!(m, Mismatch::Lost(..))).collect();
                assert!(wrong.is_empty(), "{} at {at}, round {round}: {wrong:?}", file.display());
            }
        }
    }
}
