//! Exemplars and metadata when nothing fails: outcomes one by one, bounds, restarts, selects, figures; and damage.

use kymo_model::{
    Append, Appended, Batch, Exemplar, ExemplarQueryable, ExemplarRefusal, FamilyMetadata, Labels, MatchOp,
    Matcher, Metadata, MetadataQueryable, MetricType, Refusal, StoreErrorKind, TimeRange, Timestamp,
};
use kymo_testkit::{Crash, Random, SimClock, SimDisk, setting};
use kymo_tsdb::{Db, Options, ReadOnlyDb};

const NOW_MS: i64 = 1_700_000_000_000;

fn options(disk: &SimDisk) -> Options {
    Options { vfs: disk.vfs(), clock: SimClock::at_ms(NOW_MS).shared(), ..Options::default() }
}

fn open(change: impl FnOnce(&mut Options)) -> (SimDisk, Db) {
    let disk = SimDisk::new(1);
    let mut options = options(&disk);
    change(&mut options);
    let db = Db::open("/data", options).unwrap();
    (disk, db)
}

fn series(job: &str) -> Labels {
    Labels::from_pairs([("__name__", "m_bucket"), ("job", job)])
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW_MS + ms)
}

fn exemplar(trace: &str, value: f64, ms: impl Into<Option<i64>>) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", trace)]), value, timestamp: ms.into().map(at) }
}

fn refused(outcome: &Appended) -> Vec<(usize, ExemplarRefusal)> {
    outcome.exemplars_refused.iter().map(|refused| (refused.index, refused.reason)).collect()
}

/// A sample of each series and then exemplars: `job trace value time`.
fn append(db: &Db, ms: i64, exemplars: &[(&str, Exemplar)]) -> Appended {
    let mut batch = Batch::new();
    for (job, exemplar) in exemplars {
        batch.push(series(job), at(ms), 1.0);
        batch.push_exemplar(series(job), at(ms), exemplar.clone());
    }
    db.append(&batch).unwrap()
}

/// What a select finds, as text.
fn found(db: &dyn ExemplarQueryable, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
    let all = db.exemplars(&[matchers.to_vec()], range).unwrap();
    let text = |of: &kymo_model::SeriesExemplars| {
        let each = of.exemplars.iter().map(|e| {
            format!(
                "{}={}@{}",
                e.labels.get("trace_id").unwrap_or(""),
                e.value,
                e.timestamp.millis() - NOW_MS
            )
        });
        format!("{}: {}", of.series.get("job").unwrap_or(""), each.collect::<Vec<_>>().join(" "))
    };
    all.iter().map(text).collect()
}

fn all(db: &dyn ExemplarQueryable) -> Vec<String> {
    found(db, &[Matcher::equal("__name__", "m_bucket")], TimeRange::ALL)
}

#[test]
fn outcomes_one_by_one() {
    let (_disk, db) = open(|options| options.series_max = 2);
    let outcome = append(
        &db,
        0,
        &[
            ("a", exemplar("1", 1.0, None)),
            ("a", exemplar("1", 1.0, None)),
            ("a", exemplar("2", 2.0, -5)),
            ("b", exemplar(&"é".repeat(120), 1.0, None)),
            ("b", exemplar(&"é".repeat(121), 1.0, None)),
            ("b", exemplar("3", 2.0, 3_600_000)),
            ("c", exemplar("4", 1.0, None)),
            ("b", exemplar("0", 3.0, 0)),
            ("b", exemplar("1", 3.0, 0)),
            ("b", exemplar("1", 3.0, 0)),
            ("b", exemplar("0", 3.0, 0)),
        ],
    );
    use ExemplarRefusal::*;
    let expected = [
        (1, Duplicate),
        (2, OutOfOrder),
        (4, LabelsTooLong),
        (5, TooFarAhead),
        (6, UnknownSeries),
        (9, Duplicate),
        (10, OutOfOrder),
    ];
    assert_eq!((refused(&outcome), outcome.exemplars), (expected.to_vec(), 4));
    assert_eq!((outcome.refused.len(), outcome.refused[0].reason), (1, Refusal::SeriesLimit));
    // The same without a time of its own, at a later scrape; then another, by handle.
    assert_eq!(refused(&append(&db, 10, &[("a", exemplar("1", 1.0, None))])), [(0, Duplicate)]);
    let handle = outcome.handles[0].1;
    let mut batch = Batch::new();
    batch.push_exemplar(handle, at(20), exemplar("5", 1.0, None));
    let nobody = kymo_model::SeriesHandle::new(std::num::NonZeroU64::new(77).unwrap());
    batch.push_exemplar(nobody, at(20), exemplar("5", 1.0, None));
    let outcome = db.append(&batch).unwrap();
    assert_eq!((outcome.exemplars, refused(&outcome)), (1, vec![(1, UnknownHandle)]));
    let long = "é".repeat(120);
    assert_eq!(all(&db), ["a: 1=1@0 5=1@20".to_owned(), format!("b: {long}=1@0 0=3@0 1=3@0")]);
    let stats = db.stats().exemplars;
    assert_eq!((stats.stored, stats.series, stats.appended, stats.newest), (5, 2, 5, Some(at(20))));
    let count = |reason| stats.refused.iter().find(|(known, _)| *known == reason).unwrap().1;
    assert_eq!((count(Duplicate), count(OutOfOrder), count(UnknownHandle), count(Disabled)), (3, 2, 1, 0));
}

#[test]
fn a_row_that_creates_its_series_may_come_later() {
    let (_disk, db) = open(|_| {});
    let mut batch = Batch::new();
    batch.push_exemplar(series("a"), at(0), exemplar("1", 1.0, None));
    batch.push(series("a"), at(0), 1.0);
    assert_eq!(db.append(&batch).unwrap().exemplars, 1);
}

#[test]
fn selects_by_matchers_and_time() {
    let (_disk, db) = open(|_| {});
    for i in 0..5 {
        let t = i * 10;
        append(&db, t, &[("a", exemplar("x", t as f64, t)), ("b", exemplar("y", t as f64, t - 5))]);
    }
    let range = |from, to| TimeRange { min: at(from), max: at(to) };
    let name = Matcher::equal("__name__", "m_bucket");
    let job = |op, value| Matcher::new(op, "job", value).unwrap();
    for (matchers, range, expected) in [
        (vec![name.clone()], range(10, 15), vec!["a: x=10@10", "b: y=20@15"]),
        (vec![name.clone(), job(MatchOp::NotEqual, "a")], range(15, 25), vec!["b: y=20@15 y=30@25"]),
        (vec![job(MatchOp::Regex, "a|c")], range(0, 10), vec!["a: x=0@0 x=10@10"]),
        (vec![Matcher::equal("__name__", "other")], TimeRange::ALL, vec![]),
        (vec![name.clone()], range(41, 100), vec![]),
    ] {
        assert_eq!(found(&db, &matchers, range), expected, "{matchers:?}");
    }
    // Several sets: a series that two of them select comes once.
    let sets = [vec![name], vec![job(MatchOp::Equal, "a")]];
    assert_eq!(db.exemplars(&sets, TimeRange::ALL).unwrap().len(), 2);
    assert!(db.exemplars(&[], TimeRange::ALL).unwrap().is_empty());
}

#[test]
fn bounded_and_resized() {
    let (disk, db) = open(|options| options.exemplars_max = 4);
    for i in 0..6 {
        append(&db, i, &[(if i % 2 == 0 { "a" } else { "b" }, exemplar("x", i as f64, None))]);
    }
    assert_eq!(all(&db), ["a: x=2@2 x=4@4", "b: x=3@3 x=5@5"]);
    db.resize_exemplars(3);
    assert_eq!(all(&db), ["a: x=4@4", "b: x=3@3 x=5@5"]);
    let full = db.memory();
    assert!(full.exemplars_bytes > 0 && full.total_bytes() > full.exemplars_bytes);
    db.resize_exemplars(0);
    assert!(all(&db).is_empty());
    let outcome = append(&db, 10, &[("a", exemplar("x", 10.0, None))]);
    assert_eq!((outcome.appended, refused(&outcome)), (1, vec![(0, ExemplarRefusal::Disabled)]));
    db.resize_exemplars(2);
    append(&db, 11, &[("a", exemplar("x", 11.0, None))]);
    db.close().unwrap();
    // The log has more than is to be kept; the last ones count.
    let db = Db::open("/data", Options { exemplars_max: 2, ..options(&disk) }).unwrap();
    assert_eq!(all(&db), ["a: x=11@11", "b: x=5@5"]);
    assert_eq!(db.stats().exemplars.stored_max, 2);
}

fn family(name: &str, help: &str) -> FamilyMetadata {
    let metadata = Metadata { metric_type: MetricType::Counter, unit: "s".into(), help: help.into() };
    FamilyMetadata { name: name.into(), metadata }
}

fn say(db: &Db, families: &[FamilyMetadata]) -> (usize, usize) {
    let mut batch = Batch::new();
    families.iter().for_each(|family| batch.push_metadata(family.clone()));
    let outcome = db.append(&batch).unwrap();
    (outcome.metadata_changed, outcome.metadata_refused)
}

#[test]
fn metadata_is_logged_when_it_changes() {
    let (_disk, db) = open(|options| options.metadata_bytes_max = 1000);
    let (a, b) = (family("a", "1"), family("b", "2"));
    assert_eq!(say(&db, &[b.clone(), a.clone()]), (2, 0));
    let written = db.stats().wal;
    assert_eq!(say(&db, &[b.clone(), a.clone()]), (0, 0));
    assert_eq!(db.stats().wal, written, "nothing new was said");
    assert_eq!(say(&db, &[family("a", "3"), family("c", &"x".repeat(900))]), (1, 1));
    assert_eq!(db.metadata(None).unwrap(), [family("a", "3"), b.clone()]);
    assert_eq!(db.metadata(Some("b")).unwrap(), [b]);
    assert!(db.metadata(Some("x")).unwrap().is_empty());
    let stats = db.stats().metadata;
    assert_eq!((stats.families, stats.changed, stats.refused), (2, 3, 1));
    assert!(db.memory().metadata_bytes > 0);
}

#[test]
fn kept_across_restarts_of_every_kind() {
    let (disk, mut db) = open(|_| {});
    let mut expected: Vec<String> = Vec::new();
    let mut number = 0;
    type Restart<'a> = &'a dyn Fn(&SimDisk, Db);
    let kill: Restart<'_> = &|disk, db| {
        drop(db);
        disk.restart(Crash::Process);
    };
    let checkpoint_and_kill: Restart<'_> = &|disk, db| {
        db.checkpoint().unwrap();
        drop(db);
        disk.restart(Crash::Process);
    };
    let close: Restart<'_> = &|_, db| db.close().unwrap();
    let power: Restart<'_> = &|disk, db| {
        db.sync().unwrap();
        drop(db);
        disk.restart(Crash::Power);
    };
    for restart in [kill, checkpoint_and_kill, close, power, checkpoint_and_kill, kill] {
        for _ in 0..3 {
            number += 1;
            append(&db, number, &[("a", exemplar("x", number as f64, None))]);
            assert_eq!(say(&db, &[family("f", &number.to_string())]), (1, 0));
            expected.push(format!("x={number}@{number}"));
        }
        assert_eq!(
            all(&ReadOnlyDb::open("/data", options(&disk)).unwrap()),
            [format!("a: {}", expected.join(" "))]
        );
        restart(&disk, db);
        db = Db::open("/data", options(&disk)).unwrap();
        assert!(!db.stats().replay.has_loss(), "{:?}", db.stats().replay);
        assert_eq!(all(&db), [format!("a: {}", expected.join(" "))]);
        assert_eq!(db.metadata(None).unwrap(), [family("f", &number.to_string())]);
        // What is known of the newest is kept, too: the same without a time of its own is a repetition.
        let again = append(&db, number + 1000, &[("a", exemplar("x", number as f64, None))]);
        assert_eq!(refused(&again), [(0, ExemplarRefusal::Duplicate)]);
        number += 1000;
    }
}

#[test]
fn series_that_are_gone_keep_their_exemplars() {
    let disk = SimDisk::new(1);
    let clock = SimClock::at_ms(NOW_MS);
    let options =
        || Options { vfs: disk.vfs(), clock: clock.shared(), retention_ms: 3_600_000, ..Options::default() };
    let db = Db::open("/data", options()).unwrap();
    append(&db, 0, &[("a", exemplar("x", 1.0, None))]);
    for hours in 1..6 {
        clock.advance_ms(3_600_000);
        append(&db, hours * 3_600_000, &[("b", exemplar("y", hours as f64, None))]);
        db.maintain(at(hours * 3_600_000)).unwrap();
    }
    assert_eq!((db.stats().series, db.stats().series_removed), (1, 1));
    let expected = all(&db);
    assert_eq!(expected[0], "a: x=1@0");
    for checkpoint in [true, false] {
        if checkpoint {
            db.checkpoint().unwrap();
        }
        let seen = ReadOnlyDb::open("/data", options()).unwrap();
        assert_eq!(all(&seen), expected);
        assert!(!seen.stats().replay.has_loss());
    }
}

#[test]
fn too_many_in_one_batch_are_refused_whole() {
    let (_disk, db) = open(|options| options.batch_rows_max = 2);
    let mut batch = Batch::new();
    batch.push(series("a"), at(0), 1.0);
    for i in 0..3 {
        batch.push_exemplar(series("a"), at(i), exemplar("x", i as f64, None));
    }
    let error = db.append(&batch).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (StoreErrorKind::Limit, "expected at most 2 exemplars in a batch, found 3".to_owned())
    );
    assert!(all(&db).is_empty() && db.stats().series == 0);
}

/// One flipped bit costs at most the record it is in, is named, and never makes another exemplar of one.
#[test]
fn flipped_bits() {
    let (disk, db) = open(|options| options.checkpoint_close_bytes = u64::MAX);
    for i in 0..40 {
        if i == 25 {
            db.checkpoint().unwrap();
        }
        append(
            &db,
            i,
            &[("a", exemplar(&i.to_string(), i as f64, None)), ("b", exemplar("y", i as f64, None))],
        );
        say(&db, &[family(&format!("f{}", i % 7), &i.to_string())]);
    }
    let name = Matcher::equal("__name__", "m_bucket");
    let list = |db: &Db| -> Vec<(Labels, kymo_model::StoredExemplar)> {
        let found = db.exemplars(&[vec![name.clone()]], TimeRange::ALL).unwrap();
        found
            .into_iter()
            .flat_map(|of| of.exemplars.into_iter().map(move |e| (of.series.clone(), e)))
            .collect()
    };
    let whole = list(&db);
    db.close().unwrap();
    drop(db);
    let (mut random, mut most) = (Random::new(3), 0);
    let files: Vec<_> = disk.files().into_iter().filter(|file| file.starts_with("/data/head")).collect();
    for _ in 0..setting("KYMO_DAMAGE_ROUNDS", 1000) / 2 {
        let damaged = disk.copy(1);
        let file = &files[random.below(files.len() as u64) as usize];
        let mut bytes = damaged.read(file).unwrap();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        damaged.put(file, bytes);
        let db = Db::open("/data", options(&damaged)).unwrap();
        let found = list(&db);
        assert!(found.iter().all(|one| whole.contains(one)), "{} at {at}", file.display());
        let lost = whole.len() - found.len();
        assert!(lost == 0 || db.stats().replay.has_loss(), "{} at {at}", file.display());
        most = most.max(lost);
    }
    // All that the checkpoint had are one record.
    assert!(most <= 50, "{most}");
}
