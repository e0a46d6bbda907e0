//! Damaged files: the database opens, says where, has everything else, and never gives a wrong value. Bits that flip, sectors
//! that read as zeros, files that are cut or gone, for each kind of file.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use kymo_model::{Append, Batch, Labels, Queryable, Samples, Selector, TimeRange, Timestamp};
use kymo_testkit::{Mismatch, ModelStore, Random, SimClock, SimDisk, report, series_labels, setting};
use kymo_tsdb::{Damage, DamageKind, Db, HeadDamage, Options, ReplayReport};

use crate::first_seed;

pub(crate) const START_MS: i64 = 1_700_000_000_000;
pub(crate) const SCRAPE_MS: i64 = 300_000;
const LATE_MS: i64 = 400_000;
pub(crate) const SERIES: usize = 10;
pub(crate) const SCRAPES: usize = 100;
/// As many samples as a chunk has at this interval: it ends with the two hours.
const CHUNK_SAMPLES: usize = 24;
const SECTOR_BYTES: usize = 512;

pub(crate) fn options(disk: &SimDisk) -> Options {
    Options {
        vfs: disk.vfs(),
        clock: SimClock::at_ms(START_MS + 86_400_000).shared(),
        wal_segment_bytes: 4096,
        replay_threads: 1,
        chunk_file_bytes: 2048,
        spill_bytes: 1000,
        ..Options::default()
    }
}

/// A database with sealed chunks, open chunks, samples out of order and a log; and what is in it. With the checkpoints most
/// of it is in chunk files, without them all of it is in the log.
pub(crate) fn written(checkpoints: bool) -> (SimDisk, ModelStore) {
    let disk = SimDisk::new(3);
    let mut model = ModelStore::new(30 * 60_000, 15 * 86_400_000);
    let db = Db::open("/data", options(&disk)).unwrap();
    let mut random = Random::new(9);
    for scrape in 0..SCRAPES {
        if checkpoints && [SCRAPES * 2 / 3, SCRAPES * 9 / 10].contains(&scrape) {
            db.checkpoint().unwrap();
        }
        let (mut rows, mut batch): (Vec<(Labels, i64, f64)>, Batch) = (Vec::new(), Batch::new());
        // A new series comes now and then, so that definitions are in many records.
        for series in 0..(SERIES * (scrape + 20) / (SCRAPES + 20)).max(1) {
            let late_ms = if random.chance(1, 30) { LATE_MS } else { 0 };
            let t_ms = START_MS + scrape as i64 * SCRAPE_MS - late_ms;
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

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Log,
    Checkpoint,
    Chunks,
}

impl Kind {
    fn dir(self) -> &'static Path {
        Path::new(match self {
            Kind::Log => "/data/head/wal",
            Kind::Checkpoint => "/data/head/checkpoint",
            Kind::Chunks => "/data/head/chunks",
        })
    }

    /// Is it no more than one record of the log, or one chunk?
    pub(crate) fn is_one_record(self, lost: &BTreeSet<(Labels, i64)>) -> bool {
        match self {
            // One record is one batch: samples around one time.
            Kind::Log => {
                let times = lost.iter().map(|(_, t_ms)| *t_ms);
                let spread_ms = times.clone().max().unwrap_or(0) - times.min().unwrap_or(0);
                lost.len() <= SERIES && spread_ms <= LATE_MS
            }
            Kind::Checkpoint | Kind::Chunks => {
                let series: BTreeSet<&Labels> = lost.iter().map(|(labels, _)| labels).collect();
                lost.len() <= CHUNK_SAMPLES && series.len() <= 1
            }
        }
    }
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Bit,
    Sector,
    Cut,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Harm::Bit => "one bit flipped",
            Harm::Sector => "one sector of 512 bytes zeroed",
            Harm::Cut => "file cut",
        })
    }
}

impl Harm {
    /// The file as it is afterwards, and where it begins to differ; `None` when nothing is changed.
    fn done_to(self, bytes: &[u8], random: &mut Random) -> Option<(Vec<u8>, usize)> {
        let mut changed = bytes.to_vec();
        let at = random.below(bytes.len() as u64) as usize;
        match self {
            Harm::Bit => changed[at] ^= 1 << random.below(8),
            Harm::Sector => {
                let start = at - at % SECTOR_BYTES;
                let end = bytes.len().min(start + SECTOR_BYTES);
                changed[start..end].fill(0);
                return (changed != bytes).then_some((changed, start));
            }
            Harm::Cut => changed.truncate(at),
        }
        Some((changed, at))
    }
}

/// What is left after one harm.
struct Left {
    lost: BTreeSet<(Labels, i64)>,
    replay: ReplayReport,
}

/// Opens what is left. It always opens, and nothing in it is wrong.
fn look(damaged: &SimDisk, model: &ModelStore, what: &str) -> Left {
    let db = Db::open("/data", options(damaged)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut lost = BTreeSet::new();
    for mismatch in model.compare_reopened(&db, false).unwrap() {
        match mismatch {
            Mismatch::Lost(labels, t_ms) => lost.insert((labels, t_ms)),
            wrong => panic!("{what}: {wrong}"),
        };
    }
    Left { lost, replay: db.stats().replay }
}

#[derive(Debug, Default)]
struct Counts {
    tried: usize,
    detected: usize,
    lost: usize,
    lost_most: usize,
}

impl Counts {
    fn add(&mut self, left: &Left, detected: bool) {
        self.tried += 1;
        self.detected += usize::from(detected);
        self.lost += left.lost.len();
        self.lost_most = self.lost_most.max(left.lost.len());
    }

    fn report(&self, kind: Kind, what: impl fmt::Display, rows: usize) {
        let part = |count: usize, of: usize| 100.0 * count as f64 / of as f64;
        let Counts { tried, detected, lost, lost_most } = *self;
        report(format_args!(
            "{kind:?}, {what}: {tried} tried, {:.1} % detected, {:.2} % of {rows} rows kept ({:.1} % at worst), 0 wrong",
            part(detected, tried),
            part(rows * tried - lost, rows * tried),
            part(rows - lost_most, rows),
        ));
    }
}

/// Does each harm to files of a kind, at places that follow from the seed.
fn check(kind: Kind) {
    let (disk, model) = written(!matches!(kind, Kind::Log));
    let rounds = setting("KYMO_DAMAGE_ROUNDS", 1000) as usize;
    let files: Vec<(PathBuf, Vec<u8>)> = files_of(&disk, kind);
    let whole = look(&disk.copy(1), &model, "undamaged");
    assert!(whole.lost.is_empty() && whole.replay.damaged.is_empty(), "undamaged: {:?}", whole.replay);
    for harm in [Harm::Bit, Harm::Sector, Harm::Cut] {
        let (mut random, mut counts) = (Random::new(first_seed()), Counts::default());
        while counts.tried < rounds {
            let (path, bytes) = &files[random.below(files.len() as u64) as usize];
            let Some((changed, at)) = harm.done_to(bytes, &mut random) else { continue };
            let damaged = disk.copy(1);
            damaged.put(path, changed);
            let what = format!("{} with {harm} at {at}, seed {}", path.display(), first_seed());
            let left = look(&damaged, &model, &what);
            let detected = left.replay.damaged.iter().any(|damage| damage.file == *path);
            counts.add(&left, detected);
            if harm == Harm::Bit {
                let at = at as u64;
                let named = left.replay.damaged.iter().any(|damage| {
                    damage.file == *path && damage.offset <= at && at < damage.offset + damage.bytes.max(1)
                });
                assert!(named, "{what} is not named: {:?}", left.replay.damaged);
                assert!(kind.is_one_record(&left.lost), "{what}: lost {:?}", left.lost);
            }
            // Of the end of the log that is cut off between two records nothing else knows.
            let unknown = harm == Harm::Cut && matches!(kind, Kind::Log) && *path == files[files.len() - 1].0;
            assert!(detected || unknown, "{what} is not reported: {:?}", left.replay.damaged);
        }
        counts.report(kind, harm, model.len());
    }
    let mut counts = Counts::default();
    for (path, _) in &files {
        let damaged = disk.copy(1);
        damaged.vfs().remove(path).unwrap();
        let left = look(&damaged, &model, &format!("{} is gone", path.display()));
        // Without the first segment of the log, a checkpoint is missed.
        let detected = !left.replay.damaged.is_empty();
        let unknown = matches!(kind, Kind::Log) && *path == files[files.len() - 1].0;
        assert!(detected || unknown, "{} is not missed", path.display());
        if matches!(kind, Kind::Checkpoint) {
            // What was in the chunk files is there, and stays there.
            assert!(detected, "{}: {:?}", path.display(), left.replay.damaged);
            let again = look(&damaged, &model, "opened again without a checkpoint");
            assert_eq!(again.lost, left.lost);
            assert!(left.lost.len() < model.len() / 2, "{} lost", left.lost.len());
        }
        counts.add(&left, detected);
    }
    counts.report(kind, "file gone", model.len());
}

pub(crate) fn files_of(disk: &SimDisk, kind: Kind) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().into_iter().filter(|file| file.starts_with(kind.dir()));
    let files: Vec<_> = files.map(|file| (file.clone(), disk.read(&file).unwrap())).collect();
    // A header and a record at least.
    assert!(!files.is_empty() && files.iter().all(|(_, bytes)| bytes.len() > 64), "{kind:?}: {files:?}");
    files
}

/// What rots behind the back of an open database is left out, named with file, offset and times in a warning of the same answer, and
/// counted. There is never a wrong value.
#[test]
fn a_chunk_that_rots_while_the_database_is_open() {
    let (disk, model) = written(true);
    let db = Db::open("/data", options(&disk)).unwrap();
    assert!(model.compare(&db, false).unwrap().is_empty());
    let (path, bytes) = files_of(&disk, Kind::Chunks).remove(0);
    let (mut random, mut named) = (Random::new(first_seed()), 0);
    let selector = Selector::new(Vec::new(), TimeRange::ALL);
    let read_all = || {
        let (set, mut samples) = (db.select(&selector).unwrap(), Samples::new());
        for series in set.iter() {
            let mut reader = series.reader();
            while reader.read(&mut samples).unwrap() {}
        }
        set.warnings()
    };
    assert_eq!((read_all(), db.stats().head_damage), (Vec::new(), HeadDamage::default()));
    for _ in 0..200 {
        let at = random.below(bytes.len() as u64);
        disk.flip(&path, at, 1 << random.below(8)).unwrap();
        let mut lost = BTreeSet::new();
        for mismatch in model.compare(&db, false).unwrap() {
            match mismatch {
                Mismatch::Lost(labels, t_ms) => lost.insert((labels, t_ms)),
                wrong => panic!("byte {at}: {wrong}"),
            };
        }
        assert!(Kind::Chunks.is_one_record(&lost), "byte {at}: {lost:?}");
        let warnings = read_all();
        match lost.first() {
            // It was in a definition, or in a header that is not read any more.
            None => assert_eq!(warnings, Vec::<String>::new(), "byte {at}"),
            Some((labels, first_ms)) => {
                let [warning] = &warnings[..] else { panic!("byte {at}: {warnings:?}") };
                let last_ms = lost.last().unwrap().1;
                let text = format!(
                    "samples of {labels} from {first_ms} to {last_ms} are missing ({}",
                    path.display()
                );
                assert!(warning.contains(&text), "byte {at}: {warning}, expected {text}");
                let damage = db.stats().head_damage;
                let is_it = |damage: &&Damage| (damage.offset..damage.offset + damage.bytes).contains(&at);
                let listed =
                    damage.listed.iter().find(is_it).unwrap_or_else(|| panic!("byte {at}: {damage:?}"));
                assert_eq!((&listed.file, listed.kind), (&path, DamageKind::Chunk));
                assert!(warning.contains(&format!("offset {})", listed.offset)), "{warning}");
                named += 1;
            }
        }
        disk.put(&path, bytes.clone());
    }
    assert!(named > 100, "{named} of 200 were named");
    assert!(model.compare(&db, false).unwrap().is_empty());
    // Each chunk counts once, however often it was met.
    let damage = db.stats().head_damage;
    assert!(damage.chunks > 1 && damage.chunks < 100 && damage.quarantined == 0, "{damage:?}");
    assert_eq!(damage.chunks, damage.listed.len() as u64);
}

#[test]
fn the_log() {
    check(Kind::Log);
}

#[test]
fn the_checkpoint() {
    check(Kind::Checkpoint);
}

#[test]
fn chunk_files() {
    check(Kind::Chunks);
}
