//! Retiring chunk files: what is alive in them moves, what is kept elsewhere does not come back, and selects go on.

use std::collections::BTreeSet;

use kymo_model::{Append, Batch, Labels, Queryable, Samples, Selector, SeriesSet, TimeRange, Timestamp};

use super::manifest::Manifest;
use super::{Retire, checkpoint};
use crate::block::Ulid;
use crate::db::Files;
use crate::frame::{FileId, FileKind, Found, FrameReader};
use crate::index::SeriesId;
use crate::lock::lock;
use crate::vfs::{OpenMode, Vfs};
use crate::wal::RecordKind;
use crate::{Db, Options, OsVfs};

const SERIES: i64 = 3;
const SAMPLES: i64 = 1000;
const STEP_MS: i64 = 20_000;

fn options() -> Options {
    Options { spill_bytes: 1, checkpoint_close_bytes: u64::MAX, chunk_file_bytes: 3000, ..Options::default() }
}

fn append(db: &Db, i: i64) {
    let mut batch = Batch::new();
    for series in 0..SERIES {
        let labels = Labels::from_pairs([("__name__", "m"), ("s", &series.to_string())]);
        batch.push(labels, Timestamp::from_millis(i * STEP_MS), (i * 10 + series) as f64 / 7.0);
    }
    assert_eq!(db.append(&batch).unwrap().appended, SERIES as usize);
}

fn select(db: &Db) -> SeriesSet {
    db.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap()
}

/// The numbers of the samples of each series, whose values must be what was written.
fn read(set: &SeriesSet) -> Vec<Vec<i64>> {
    let mut samples = Samples::new();
    let read = |(number, series): (usize, kymo_model::Series<'_>)| {
        let (mut reader, mut found) = (series.reader(), Vec::new());
        while reader.read(&mut samples).unwrap() {
            for (t_ms, value) in samples.timestamps_ms.iter().zip(samples.floats().unwrap()) {
                assert_eq!(*value, (t_ms / STEP_MS * 10 + number as i64) as f64 / 7.0);
                found.push(t_ms / STEP_MS);
            }
        }
        found
    };
    set.iter().enumerate().map(read).collect()
}

fn manifest(db: &Db, files: &Files) -> Manifest {
    let (number, _) = files.checkpoint.unwrap();
    let path = db.shared().paths.checkpoint(number);
    let file = OsVfs.open(&path, OpenMode::Read).unwrap();
    let id = FileId { kind: FileKind::Checkpoint, number };
    let mut frames = FrameReader::new(&*file, id, file.size().unwrap());
    let mut found = None;
    while let Some(record) = frames.next().unwrap() {
        let Found::Record { payload, .. } = record else { panic!("{record:?}") };
        if let Some((RecordKind::Manifest, bytes)) = RecordKind::of(payload) {
            found = Manifest::read(bytes);
        }
    }
    found.unwrap()
}

#[test]
fn what_is_alive_moves_and_what_is_gone_stays_gone() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    (0..SAMPLES).for_each(|i| append(&db, i));
    let whole: Vec<i64> = (0..SAMPLES).collect();
    let pinned = select(&db);
    let shared = db.shared();
    let mut files = lock(&shared.files);
    let old: BTreeSet<u32> = files.chunks.files.keys().copied().collect();
    assert!(old.len() >= 4, "{old:?}");
    let published = Ulid::new(77, 5);
    // The second series' chunks that end before a time are said to be kept elsewhere.
    let until_ms = SAMPLES / 2 * STEP_MS;
    let gone = move |id: SeriesId, chunk: &crate::head::SealedChunk| id.0 == 1 && chunk.max_ms() < until_ms;
    let retire =
        Retire { files: old.clone(), gone: Some(&gone), publish: Some(published), ..Retire::default() };
    let done = checkpoint(shared, &mut files, &retire).unwrap();
    assert_eq!(done.retired, old);
    // Until the caller takes it out, the head has everything.
    assert_eq!(read(&select(&db)), vec![whole.clone(); 3]);
    // Of the files only these may be in use still.
    shared.head.pages().for_each(|id, series| {
        for chunk in series.closed().into_iter().flat_map(|closed| &closed.chunks) {
            let retired = chunk.place().is_some_and(|place| old.contains(&place.file));
            assert_eq!(retired, gone(id, chunk), "{chunk:?} of {id:?}");
        }
    });
    for number in &old {
        assert!(files.chunks.remove(&OsVfs, &shared.head.store, *number));
    }
    let there = std::fs::read_dir(dir.path().join("head/chunks")).unwrap().count();
    assert_eq!(there, files.chunks.files.len(), "no file is left that nobody names");
    assert_eq!(read(&pinned), vec![whole.clone(); 3], "a select from before goes on");
    let found = manifest(&db, &files);
    assert_eq!(found.block, Some(published));
    drop(files);
    append(&db, SAMPLES);
    drop((found, pinned));
    db.close().unwrap();

    let db = Db::open(dir.path(), options()).unwrap();
    assert_eq!(db.stats().replay.damaged, []);
    let found = read(&select(&db));
    let whole: Vec<i64> = (0..=SAMPLES).collect();
    assert_eq!((&found[0], &found[2]), (&whole, &whole));
    let first = found[1][0];
    assert!(first > SAMPLES / 2 - 120 && first <= SAMPLES / 2, "begins at {first}");
    assert_eq!(found[1], whole[first as usize..]);
}
