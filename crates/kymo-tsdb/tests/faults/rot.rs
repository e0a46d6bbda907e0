//! Deletions while a chunk file rots: what was deleted does not come back, whatever else is in its file and wherever the machine
//! stops; of the rest one chunk is missing at most, and its bytes are kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kymo_model::{Labels, Matcher, TimeRange};
use kymo_testkit::{
    Crash, Fault, Mismatch, ModelStore, Random, SimClock, SimDisk, report, series_labels, setting,
};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions};
use kymo_tsdb::{Db, Options};

use crate::damage::{Kind, SCRAPE_MS, SCRAPES, SERIES, START_MS, files_of, options, written};
use crate::first_seed;

/// One bit that flipped in a chunk file.
struct Rot {
    path: PathBuf,
    at: usize,
    /// The file with it.
    bytes: Vec<u8>,
}

impl Rot {
    fn begin(disk: &SimDisk, random: &mut Random) -> Rot {
        let files = files_of(disk, Kind::Chunks);
        let (path, mut bytes) = files[random.below(files.len() as u64) as usize].clone();
        // The file's own header is looked at when it is opened.
        let at = 16 + random.below(bytes.len() as u64 - 16) as usize;
        bytes[at] ^= 1 << random.below(8);
        disk.put(&path, bytes.clone());
        Rot { path, at, bytes }
    }

    /// Is what was hit there still, in its place or in quarantine?
    fn is_kept(&self, disk: &SimDisk) -> bool {
        if disk.read(&self.path).is_ok_and(|bytes| bytes == self.bytes) {
            return true;
        }
        let kept = disk.files().into_iter().filter(|file| file.starts_with("/data/quarantine"));
        let of_file = format!("chunks-{}-", self.path.file_name().unwrap().to_str().unwrap());
        kept.filter_map(|file| {
            let offset: usize = file.file_name()?.to_str()?.strip_prefix(&of_file)?.parse().ok()?;
            Some((offset, disk.read(&file).ok()?))
        })
        .any(|(offset, bytes)| {
            (offset..offset + bytes.len()).contains(&self.at)
                && self.bytes[offset..offset + bytes.len()] == bytes
        })
    }
}

/// What is missing. Anything else that differs ends the test.
fn lost(mismatches: Vec<Mismatch>, what: &str) -> BTreeSet<(Labels, i64)> {
    let lost = mismatches.into_iter().map(|mismatch| match mismatch {
        Mismatch::Lost(labels, t_ms) => (labels, t_ms),
        wrong => panic!("{what}: {wrong}"),
    });
    let lost = lost.collect();
    assert!(Kind::Chunks.is_one_record(&lost), "{what}: lost {lost:?}");
    lost
}

/// A deletion that cuts through chunks, or takes whole ones.
fn any_deletion(random: &mut Random) -> (Vec<Matcher>, TimeRange) {
    let labels = series_labels(random.below(SERIES as u64) as usize);
    let label = labels.iter().nth(random.below(labels.len() as u64) as usize).unwrap();
    let min_ms = START_MS + random.below(SCRAPES as u64) as i64 * SCRAPE_MS;
    let range = match random.below(3) {
        0 => TimeRange::ALL,
        _ => TimeRange::from_millis(min_ms, min_ms + random.below(40) as i64 * SCRAPE_MS),
    };
    (vec![Matcher::equal(label.name, label.value)], range)
}

/// What of the missing rows was not to be deleted. Only where there are some the damaged bytes have to be kept.
fn beside(
    missing: &BTreeSet<(Labels, i64)>,
    (matchers, range): &(Vec<Matcher>, TimeRange),
) -> BTreeSet<(Labels, i64)> {
    let deleted = |(labels, t_ms): &&(Labels, i64)| {
        matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
            && (range.min.millis()..=range.max.millis()).contains(t_ms)
    };
    missing.iter().filter(|row| !deleted(row)).cloned().collect()
}

#[derive(Debug, Default)]
struct Counts {
    deletions: usize,
    /// Those that met the damage.
    quarantined: usize,
    crashes: usize,
}

/// The database that is found after a stop.
fn reopened(disk: &SimDisk, what: &str) -> Db {
    Db::open("/data", options(disk)).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Deletes, and stops at every operation of that.
fn delete_beside_damage(seed: u64, counts: &mut Counts) {
    let mut random = Random::new(seed);
    let (disk, mut model) = written(true);
    model.synced();
    let db = Db::open("/data", options(&disk)).unwrap();
    let rot = Rot::begin(&disk, &mut random);
    let what = format!("seed {seed}, byte {} of {}", rot.at, rot.path.display());
    let missing = lost(model.compare(&db, false).unwrap(), &what);
    let deletion = any_deletion(&mut random);
    let (missing, (matchers, range)) = (beside(&missing, &deletion), deletion);
    disk.watch();
    let deleted = db.delete(&matchers, range).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut unfinished = model.clone();
    unfinished.delete(&matchers, range, false);
    model.delete(&matchers, range, true);
    for moment in disk.take_moments() {
        for crash in [Crash::Process, Crash::Power] {
            let (what, stopped) = (format!("{what}, {crash:?} stop at {moment}"), moment.crash(crash, seed));
            let db = reopened(&stopped, &what);
            lost(unfinished.compare_reopened(&db, crash == Crash::Power).unwrap(), &what);
            assert!(missing.is_empty() || rot.is_kept(&stopped), "{what}: bytes are gone");
            counts.crashes += 1;
        }
    }
    // The promise: it has returned, so nothing comes back.
    let left = lost(model.compare(&db, false).unwrap(), &what);
    assert!(left.is_subset(&missing), "{what}: lost {left:?}, before {missing:?}");
    let damage = db.stats().head_damage;
    for crash in [Crash::Process, Crash::Power] {
        let again = disk.copy(seed);
        if crash == Crash::Power {
            disk.restart(crash);
        }
        for opening in 0..2 {
            let db = reopened(&again, &what);
            let found = lost(model.compare_reopened(&db, false).unwrap(), &what);
            assert!(found.is_subset(&missing), "{what}: {found:?} at opening {opening}");
            db.close().unwrap();
        }
    }
    let db = reopened(&disk, &what);
    let found = lost(model.compare_reopened(&db, true).unwrap(), &what);
    assert!(found.is_subset(&missing), "{what}: {found:?} after a loss of power");
    assert!(missing.is_empty() || rot.is_kept(&disk), "{what}: bytes are gone");
    counts.deletions += usize::from(deleted.head_series > 0);
    if damage.quarantined > 0 {
        counts.quarantined += 1;
        assert!(!disk.files().contains(&rot.path), "{what}: {damage:?}");
        assert_eq!(damage.listed[0].file, rot.path, "{what}");
        assert!(damage.listed[0].quarantine.as_ref().is_some_and(|copy| disk.read(copy).is_ok()), "{what}");
        // The head does not know the chunk any more: nothing is reported again.
        assert_eq!(db.stats().replay.damaged, [], "{what}");
    }
}

#[test]
fn a_deletion_holds_beside_a_damaged_chunk() {
    let mut counts = Counts::default();
    let first = first_seed();
    for seed in first..first + setting("KYMO_DAMAGE_ROUNDS", 60).min(1000) {
        delete_beside_damage(seed, &mut counts);
    }
    let Counts { deletions, quarantined, crashes } = counts;
    assert!(deletions > 20 && quarantined > 10, "{counts:?}");
    report(format_args!(
        "{deletions} deletions beside a damaged chunk, of which {quarantined} put it into quarantine, and {crashes} crashes \
         in them: none deleted is back, none lost but the chunk, its bytes are kept"
    ));
}

/// Whoever has a damaged disk wants a snapshot more than anybody: it has all but the chunk, and says so.
#[test]
fn a_snapshot_is_taken_beside_a_damaged_chunk() {
    let mut beside_damage = 0;
    for seed in first_seed()..first_seed() + 40 {
        let (disk, mut model) = written(true);
        model.synced();
        let db = Db::open("/data", options(&disk)).unwrap();
        let rot = Rot::begin(&disk, &mut Random::new(seed));
        let what = format!("seed {seed}, byte {} of {}", rot.at, rot.path.display());
        let snapshot = db.snapshot("/copy", true).unwrap_or_else(|error| panic!("{what}: {error}"));
        let store =
            BlockStore::open_read_only(disk.vfs(), Path::new("/copy"), BlockStoreOptions::default()).unwrap();
        let missing = lost(model.compare(&store, false).unwrap(), &what);
        assert_eq!(snapshot.warnings.is_empty(), missing.is_empty(), "{what}: {:?}", snapshot.warnings);
        let file = rot.path.display().to_string();
        assert!(snapshot.warnings.iter().all(|warning| warning.contains(&file)), "{:?}", snapshot.warnings);
        // The database is as it was.
        assert_eq!(lost(model.compare(&db, false).unwrap(), &what), missing, "{what}");
        assert!(disk.read(&rot.path).is_ok_and(|bytes| bytes == rot.bytes), "{what}");
        beside_damage += usize::from(!missing.is_empty());
    }
    assert!(beside_damage > 10, "{beside_damage}");
}

/// Does the deletion with each operation failing in turn. If it says that it is done, it is; if not, it is done again.
#[test]
fn a_deletion_that_cannot_copy_what_is_damaged_says_so() {
    let (mut failed, mut quarantined) = (0, 0);
    for seed in first_seed()..first_seed() + 6 {
        let (disk, mut model) = written(true);
        model.synced();
        let rotten = |disk: &SimDisk| {
            let db = Db::open("/data", options(disk)).unwrap();
            let mut random = Random::new(seed);
            let rot = Rot::begin(disk, &mut random);
            let missing = lost(model.compare(&db, false).unwrap(), "before");
            let deletion = any_deletion(&mut random);
            (db, rot, beside(&missing, &deletion), deletion)
        };
        let whole = disk.copy(seed);
        let (db, _, _, (matchers, range)) = rotten(&whole);
        let before = whole.calls();
        db.delete(&matchers, range).unwrap();
        quarantined += db.stats().head_damage.quarantined;
        for call in 0..whole.calls() - before {
            for fault in [Fault::Full, Fault::Io] {
                let disk = disk.copy(seed);
                let (db, rot, missing, (matchers, range)) = rotten(&disk);
                let what = format!("seed {seed}, byte {}, {fault:?} at operation {call}", rot.at);
                disk.plan(disk.calls() + call, fault);
                let mut done = db.delete(&matchers, range).is_ok();
                failed += usize::from(!done);
                disk.repair();
                if !done {
                    done = db.delete(&matchers, range).is_ok();
                }
                let mut model: ModelStore = model.clone();
                model.delete(&matchers, range, done);
                drop(db);
                disk.restart(Crash::Power);
                let db = reopened(&disk, &what);
                let found = lost(model.compare_reopened(&db, true).unwrap(), &what);
                assert!(found.is_subset(&missing), "{what}: {found:?}, before {missing:?}");
                assert!(missing.is_empty() || rot.is_kept(&disk), "{what}: bytes are gone");
            }
        }
    }
    assert!(failed > 20 && quarantined > 0, "{failed} failed, {quarantined} put into quarantine");
}

/// The disk does not give something that a deletion reads: either it is done all the same, or it says why not and is done later;
/// meanwhile checkpoints go on. A read that is refused is no damage: nothing is put into quarantine.
#[test]
fn a_deletion_with_a_read_that_fails() {
    let (mut failed, mut done_at_once) = (0, 0);
    for seed in first_seed()..first_seed() + 20 {
        let (disk, model) = written(true);
        let (matchers, range) = any_deletion(&mut Random::new(seed));
        let opened = |disk: &SimDisk| Db::open("/data", options(disk)).unwrap();
        let whole = disk.copy(seed);
        let db = opened(&whole);
        let first = whole.reads();
        db.delete(&matchers, range).unwrap();
        for read in 0..whole.reads() - first {
            let what = format!("seed {seed}, read {read}");
            let (disk, mut model) = (disk.copy(seed), model.clone());
            model.synced();
            let db = opened(&disk);
            disk.plan_read(disk.reads() + read);
            match db.delete(&matchers, range) {
                Ok(_) => done_at_once += 1,
                Err(error) => {
                    failed += 1;
                    assert!(error.to_string().contains("/data"), "{what}: {error}");
                    db.checkpoint().unwrap_or_else(|error| panic!("{what}: a checkpoint failed: {error}"));
                    db.delete(&matchers, range).unwrap_or_else(|error| panic!("{what}: {error}"));
                }
            }
            model.delete(&matchers, range, true);
            assert_eq!(db.stats().head_damage.quarantined, 0, "{what}");
            assert_eq!(lost(model.compare(&db, false).unwrap(), &what), BTreeSet::new(), "{what}");
            drop(db);
            disk.restart(Crash::Power);
            let db = reopened(&disk, &what);
            assert_eq!(lost(model.compare_reopened(&db, true).unwrap(), &what), BTreeSet::new(), "{what}");
        }
    }
    assert!(failed > 10, "{failed} failed, {done_at_once} did not");
}

/// What was cut into a block left its chunk file, too, though something else in it is damaged: a deletion from the block holds.
#[test]
fn a_deletion_from_a_block_holds_beside_a_damaged_chunk() {
    let (mut cut, mut quarantined) = (0, 0);
    for seed in first_seed()..first_seed() + 40 {
        let mut random = Random::new(seed);
        let (disk, mut model) = written(true);
        model.synced();
        let clock = SimClock::at_ms(START_MS + 86_400_000);
        let db = Db::open("/data", Options { clock: clock.shared(), ..options(&disk) }).unwrap();
        let rot = Rot::begin(&disk, &mut random);
        let what = format!("seed {seed}, byte {} of {}", rot.at, rot.path.display());
        let missing = lost(model.compare(&db, false).unwrap(), &what);
        // Nobody writes for an hour, so all of it is final.
        clock.advance_ms(3_700_000);
        for _ in 0..12 {
            db.maintain(kymo_tsdb::Clock::now(&clock)).unwrap();
        }
        let stats = db.stats();
        cut += stats.blocks.cut;
        // The last range is not over yet.
        let left_ms = stats.min_time.map_or(i64::MAX, |time| time.millis());
        let was_cut = missing.first().is_some_and(|(_, t_ms)| *t_ms < left_ms);
        assert_eq!(stats.head_damage.quarantined > 0, was_cut, "{what}: {:?}", stats.head_damage);
        assert!(!was_cut || !disk.files().contains(&rot.path), "{what}: the file is there");
        quarantined += usize::from(was_cut);
        assert_eq!(lost(model.compare(&db, false).unwrap(), &what), missing);
        let (matchers, range) = any_deletion(&mut random);
        db.delete(&matchers, range).unwrap();
        model.delete(&matchers, range, true);
        drop(db);
        disk.restart(Crash::Power);
        let db = reopened(&disk, &what);
        let found = lost(model.compare_reopened(&db, true).unwrap(), &what);
        assert!(found.is_subset(&missing), "{what}: {found:?}, before {missing:?}");
        assert!(missing.is_empty() || rot.is_kept(&disk), "{what}: bytes are gone");
    }
    assert!(cut > 40 && quarantined > 10, "{cut} blocks cut, {quarantined} put into quarantine");
}
