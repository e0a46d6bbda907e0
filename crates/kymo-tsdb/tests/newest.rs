//! A select of newest samples gives what a reader of everything would look at last: floats at hand, the rest by reading, also of
//! series whose newest sample is a histogram, too new, out of order, or in a chunk that is closed.

use std::sync::Arc;

use kymo_model::{
    Append, Batch, FloatHistogram, Labels, LabelsNeeded, Matcher, Queryable, SampleValue, Samples, Selector,
    SeriesSet, TimeRange, Timestamp, Values,
};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{Db, Options};

const NOW_MS: i64 = 1_700_000_000_000;

fn open(disk: &SimDisk) -> Db {
    let options = Options { vfs: disk.vfs(), clock: SimClock::at_ms(NOW_MS).shared(), ..Options::default() };
    Db::open("data", options).unwrap()
}

fn labels(number: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "m"),
        ("kind", &format!("k{}", number % 7)),
        ("n", &format!("{number:03}")),
    ])
}

/// Series of every kind: `number % 7` says which.
fn samples(number: usize) -> Vec<(i64, SampleValue)> {
    let float = |at: i64| (NOW_MS + at * 1000, SampleValue::Float((at + number as i64) as f64));
    let histogram = |at: i64| {
        let histogram = FloatHistogram { count: at as f64 + 1000.0, sum: 1.0, ..FloatHistogram::default() };
        (NOW_MS + at * 1000, SampleValue::FloatHistogram(Arc::new(histogram)))
    };
    match number % 7 {
        0 => (-50..0).map(float).collect(),
        // More than a chunk.
        1 => (-400..-1).map(float).collect(),
        // Long ended.
        2 => (-900..-800).map(float).collect(),
        3 => (-30..-3).map(histogram).collect(),
        // Floats, then histograms, then a float.
        4 => (-60..-40).map(float).chain((-40..-20).map(histogram)).chain([float(-10)]).collect(),
        // Out of order.
        5 => [float(-100), float(-20), float(-70), float(-35)].into(),
        _ => vec![float(-350), (NOW_MS - 1000, SampleValue::Float(kymo_model::STALE_NAN))],
    }
}

fn filled(disk: &SimDisk) -> Db {
    let db = open(disk);
    for number in 0..70 {
        for (at, value) in samples(number) {
            let mut batch = Batch::new();
            batch.push(labels(number), Timestamp::from_millis(at), value);
            assert!(db.append(&batch).unwrap().refused.is_empty());
        }
    }
    db
}

/// The labels of each series, and its newest sample as it is read.
fn newest(set: &SeriesSet) -> Vec<(Labels, i64, String)> {
    let mut found = Vec::new();
    for (index, series) in set.iter().enumerate() {
        let (mut samples, mut last) = (Samples::new(), None);
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            let value = match &samples.values {
                Values::Floats(values) => format!("{:x}", values.last().unwrap().to_bits()),
                Values::Histograms(values) => format!("{:?}", values.last().unwrap()),
            };
            last = Some((*samples.timestamps_ms.last().unwrap(), value));
        }
        assert!(!reader.read(&mut samples).unwrap() && samples.is_empty());
        if let Some((t_ms, value)) = set.newest(index) {
            assert_eq!(last, Some((t_ms, format!("{:x}", value.to_bits()))));
        }
        found.extend(last.map(|(t_ms, value)| (series.labels(), t_ms, value)));
    }
    found
}

#[test]
fn newest_samples_are_those_of_a_full_read() {
    let disk = SimDisk::new(1);
    let mut db = filled(&disk);
    for round in 0..2 {
        for (back, to) in [(300, 0), (300, -5), (20, -15), (60, -36), (300, -390), (10, -1000), (300, 100)] {
            let range = TimeRange::from_millis(NOW_MS + (to - back) * 1000 + 1, NOW_MS + to * 1000);
            for ordered in [false, true] {
                let mut wanted = Selector::new(vec![Matcher::equal("__name__", "m")], range);
                wanted.hints.ordered = ordered;
                let expected = newest(&db.select(&wanted).unwrap());
                wanted.hints.newest_only = true;
                let set = db.select(&wanted).unwrap();
                assert_eq!(newest(&set), expected, "{range:?}, round {round}");
                if to == 0 {
                    let at_hand = (0..set.len()).filter(|index| set.newest(*index).is_some()).count();
                    assert_eq!(at_hand, 50, "four kinds of series end with floats, and one with a marker");
                }
            }
        }
        db.close().unwrap();
        db = open(&disk);
    }
}

#[test]
fn what_is_written_later_is_not_seen() {
    let disk = SimDisk::new(1);
    let db = filled(&disk);
    let mut wanted = Selector::new(
        vec![Matcher::equal("__name__", "m")],
        TimeRange::from_millis(NOW_MS - 300_000, NOW_MS + 300_000),
    );
    wanted.hints.newest_only = true;
    let set = db.select(&wanted).unwrap();
    let before = newest(&set);
    let mut batch = Batch::new();
    (0..70).for_each(|number| batch.push(labels(number), Timestamp::from_millis(NOW_MS + 1000), 7.0));
    db.append(&batch).unwrap();
    assert_eq!(newest(&set), before);
    assert_ne!(newest(&db.select(&wanted).unwrap()), before);
}

#[test]
fn labels_that_nobody_needs_are_left_out_and_limits_stay() {
    let disk = SimDisk::new(1);
    let db = filled(&disk);
    let mut wanted = Selector::new(
        vec![Matcher::equal("__name__", "m")],
        TimeRange::from_millis(NOW_MS - 300_000, NOW_MS),
    );
    wanted.hints.newest_only = true;
    wanted.hints.labels = LabelsNeeded::Only(vec!["kind".into()]);
    let set = db.select(&wanted).unwrap();
    assert!(set.iter().all(|one| one.labels().get("kind").is_some() && one.labels().len() == 1));
    wanted.hints.labels = LabelsNeeded::Only(Vec::new());
    let set = db.select(&wanted).unwrap();
    assert_eq!(set.len(), 60);
    assert!(set.iter().all(|series| series.labels().is_empty()));
    wanted.hints.ordered = true;
    assert_eq!(db.select(&wanted).unwrap().series(0).labels(), labels(0));
    wanted.hints.series_limit = 59;
    let error = db.select(&wanted).unwrap_err();
    assert_eq!(error.to_string(), "expected at most 59 series, found 60");
}

#[test]
fn labels_of_few_are_there_when_they_are_asked_for() {
    let disk = SimDisk::new(1);
    let db = filled(&disk);
    let mut wanted = Selector::new(
        vec![Matcher::equal("__name__", "m")],
        TimeRange::from_millis(NOW_MS - 300_000, NOW_MS),
    );
    wanted.hints.newest_only = true;
    let whole: Vec<Labels> = db.select(&wanted).unwrap().iter().map(|series| series.labels()).collect();
    wanted.hints.labels = LabelsNeeded::AllOfFew(vec!["kind".into()]);
    let set = db.select(&wanted).unwrap();
    let check = || {
        assert_eq!(set.len(), whole.len());
        for (series, whole) in set.iter().zip(&whole) {
            assert_eq!(series.labels(), *whole);
            assert_eq!(series.key_labels(), whole.filtered(|name| name == "kind"));
        }
    };
    check();
    // Series leave the head one kind after the other, which is when it forgets them.
    for kind in ["k0", "k1", "k3"] {
        assert_eq!(db.delete(&[Matcher::equal("kind", kind)], TimeRange::ALL).unwrap().head_series, 10);
        check();
    }
    assert_eq!(db.select(&wanted).unwrap().len(), whole.len() - 30);
}
