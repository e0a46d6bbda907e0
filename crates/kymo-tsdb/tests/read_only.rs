//! Reading a database beside the one who writes to it: everything acknowledged is seen, nothing on disk is changed.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use kymo_model::{Append, Batch, Labels, Queryable, Samples, Selector, TimeRange, Timestamp};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{
    Db, DirEntry, OnProgress, OpenError, OpenMode, Options, Progress, ReadOnlyDb, SyncMode, Vfs, VfsFile,
    VfsLock,
};

const NOW_MS: i64 = 1_700_000_000_000;

fn options(vfs: Arc<dyn Vfs>) -> Options {
    Options { vfs, clock: SimClock::at_ms(NOW_MS).shared(), wal_segment_bytes: 4096, ..Options::default() }
}

/// Appends number `i` to ten series.
fn append(db: &Db, i: i64) {
    let mut batch = Batch::new();
    for s in 0..10 {
        let labels = Labels::from_pairs([("__name__", "m"), ("s", &s.to_string())]);
        batch.push(labels, Timestamp::from_millis(i * 1000), i as f64);
    }
    assert_eq!(db.append(&batch).unwrap().appended, 10);
}

/// How many samples each series has; they must be those that were appended, from the first on.
fn counts(store: &dyn Queryable) -> Vec<usize> {
    let mut samples = Samples::new();
    let set = store.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    set.iter()
        .map(|series| {
            let (mut reader, mut count) = (series.reader(), 0);
            while reader.read(&mut samples).unwrap() {
                for (t_ms, value) in samples.timestamps_ms.iter().zip(samples.floats().unwrap()) {
                    assert_eq!((*t_ms, *value), (count * 1000, count as f64), "{}", series.labels());
                    count += 1;
                }
            }
            count as usize
        })
        .collect()
}

#[test]
fn what_was_acknowledged_is_seen_and_nothing_is_changed() {
    let disk = SimDisk::new(1);
    let looking = || ReadOnlyDb::open("/data", options(disk.vfs()));
    assert!(matches!(looking(), Err(OpenError::NoDatabase { .. })));
    let db = Db::open("/data", options(disk.vfs())).unwrap();
    assert_eq!(looking().unwrap().stats().series, 0);
    for i in 0..400 {
        append(&db, i);
        if i % 90 == 50 {
            db.checkpoint().unwrap();
        }
        if i % 40 == 39 {
            let calls = disk.calls();
            let told = Arc::new(Mutex::new(Vec::new()));
            let (on_progress, tell) =
                (told.clone(), move |progress: Progress| told.lock().unwrap().push(progress));
            let options = Options { on_progress: Some(OnProgress::new(tell)), ..options(disk.vfs()) };
            let seen = ReadOnlyDb::open("/data", options).unwrap();
            let told = on_progress.lock().unwrap().clone();
            assert!(told.is_sorted_by_key(|progress| progress.done), "{told:?}");
            let last = told.last().unwrap();
            let all = seen.stats().disk.total_bytes();
            assert_eq!((last.done, last.total), (all, all));
            assert_eq!(counts(&seen), [i as usize + 1; 10]);
            let (found, stats) = (seen.stats(), db.stats());
            assert_eq!((found.disk, found.samples, found.chunks), (stats.disk, stats.samples, stats.chunks));
            assert_eq!(found.replay.damaged, []);
            assert_eq!(disk.calls(), calls, "a guest writes nothing");
        }
    }
    // A record that is being written is no damage, and is left alone.
    let last = disk.files().into_iter().rfind(|file| file.to_string_lossy().contains("wal")).unwrap();
    let mut bytes = disk.read(&last).unwrap();
    bytes.extend_from_slice(&[0xf5, 0x9a, 0xc1, 0xe7, 9]);
    disk.put(&last, bytes.clone());
    let seen = looking().unwrap();
    assert_eq!((counts(&seen), seen.stats().replay.damaged), (vec![400; 10], vec![]));
    // Real damage is named, and not moved aside.
    disk.flip(&last, 40, 1).unwrap();
    let replay = looking().unwrap().stats().replay;
    assert_eq!((replay.damaged_total, replay.damaged[0].quarantine.clone()), (1, None), "{replay:?}");
    assert!(!disk.files().iter().any(|file| file.to_string_lossy().contains("quarantine")));
    assert_eq!(disk.read(&last).unwrap().len(), bytes.len());
}

/// A disk on which somebody makes a checkpoint while the log is about to be read, so many times.
#[derive(Debug)]
struct Meanwhile {
    disk: Arc<dyn Vfs>,
    writer: Mutex<Option<Db>>,
    left: AtomicUsize,
}

impl Vfs for Meanwhile {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let listed = self.disk.list(dir);
        if dir.ends_with("wal")
            && let Some(db) = &*self.writer.lock().unwrap()
            && self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            db.checkpoint().unwrap();
        }
        listed
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        self.disk.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>> {
        self.disk.lock(path)
    }
}

#[test]
fn a_checkpoint_meanwhile_makes_it_read_again() {
    for (checkpoints, seen) in [(1, true), (5, true), (1000, false)] {
        let disk = SimDisk::new(1);
        let db = Db::open("/data", options(disk.vfs())).unwrap();
        (0..300).for_each(|i| append(&db, i));
        let vfs = Arc::new(Meanwhile {
            disk: disk.vfs(),
            writer: Mutex::new(Some(db)),
            left: AtomicUsize::new(checkpoints),
        });
        match ReadOnlyDb::open("/data", options(vfs)) {
            Ok(found) if seen => {
                assert_eq!(counts(&found), [300; 10]);
                assert_eq!(found.stats().replay.damaged, []);
            }
            Err(OpenError::Unsettled { .. }) if !seen => {}
            other => panic!("{checkpoints} checkpoints: {other:?}"),
        }
    }
}

#[test]
fn a_guest_beside_a_busy_writer_sees_whole_histories() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options {
        sync: SyncMode::Never,
        wal_segment_bytes: 8192,
        chunk_file_bytes: 16_384,
        ..Options::default()
    };
    let db = Db::open(dir.path(), options()).unwrap();
    append(&db, 0);
    let (done, written) = (AtomicBool::new(false), AtomicUsize::new(1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 1.. {
                append(&db, i);
                written.store(i as usize + 1, SeqCst);
                if i % 500 == 0 {
                    db.checkpoint().unwrap();
                }
                if done.load(SeqCst) {
                    break;
                }
            }
        });
        for _ in 0..20 {
            let before = written.load(SeqCst);
            let seen = match ReadOnlyDb::open(dir.path(), options()) {
                Ok(seen) => seen,
                Err(OpenError::Unsettled { .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            let found = counts(&seen);
            assert_eq!(found.len(), 10);
            assert!(found.iter().all(|count| *count >= before), "{found:?} of {before}");
            assert_eq!(seen.stats().replay.damaged, []);
        }
        done.store(true, SeqCst);
    });
}
