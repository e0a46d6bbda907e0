//! Native histograms: what is written comes back, beside floats and out of order, from memory, log and checkpoint.

use std::sync::Arc;

use kymo_model::{
    Append, Batch, CounterResetHint, FloatHistogram, Histogram, Labels, Queryable, Refusal, STALE_NAN,
    SampleValue, Samples, Selector, SeriesSet, Span, TimeRange, Timestamp, Values,
};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{Db, Options};

const NOW_MS: i64 = 1_700_000_000_000;

fn options(disk: &SimDisk) -> Options {
    Options {
        vfs: disk.vfs(),
        clock: SimClock::at_ms(NOW_MS).shared(),
        wal_segment_bytes: 4096,
        checkpoint_close_bytes: u64::MAX,
        ..Options::default()
    }
}

fn series(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

/// Three buckets from bucket `first` on; all counts together are `3 * count + 3`.
fn integer(first: i32, count: i64) -> SampleValue {
    let histogram = Histogram {
        count: 3 * count as u64 + 3,
        sum: count as f64 / 2.0,
        zero_threshold: 1e-128,
        positive_spans: vec![Span { offset: first, length: 3 }],
        positive_buckets: vec![count, 1, 1],
        ..Histogram::default()
    };
    assert_eq!(histogram.validate(), Ok(()));
    SampleValue::Histogram(Arc::new(histogram))
}

fn float(first: i32, count: i64) -> SampleValue {
    match integer(first, count) {
        SampleValue::Histogram(histogram) => SampleValue::FloatHistogram(Arc::new(histogram.to_float())),
        other => other,
    }
}

fn gauge(count: i64) -> SampleValue {
    let SampleValue::Histogram(mut histogram) = integer(0, count) else { unreachable!() };
    Arc::make_mut(&mut histogram).counter_reset_hint = CounterResetHint::Gauge;
    SampleValue::Histogram(histogram)
}

fn stale() -> SampleValue {
    SampleValue::Histogram(Arc::new(Histogram { sum: STALE_NAN, ..Histogram::default() }))
}

/// Appends samples of one series one by one; gives what was refused.
fn append(db: &Db, name: &str, samples: &[(i64, SampleValue)]) -> Vec<Refusal> {
    let mut refused = Vec::new();
    for (t_ms, value) in samples {
        let mut batch = Batch::new();
        batch.push(series(name), Timestamp::from_millis(*t_ms), value.clone());
        refused.extend(db.append(&batch).unwrap().refused.iter().map(|row| row.reason));
    }
    refused
}

fn select(db: &dyn Queryable, name: &str, range: TimeRange) -> SeriesSet {
    db.select(&Selector::new(vec![kymo_model::Matcher::equal("__name__", name)], range)).unwrap()
}

/// The runs of the only series.
fn runs(set: &SeriesSet) -> Vec<Samples> {
    let (mut runs, mut samples) = (Vec::new(), Samples::new());
    for series in set.iter() {
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            runs.push(samples.clone());
        }
    }
    runs
}

fn plain(value: &SampleValue) -> SampleValue {
    match value {
        SampleValue::Float(value) => SampleValue::Float(*value),
        SampleValue::Histogram(histogram) => plain_float(&histogram.to_float()),
        SampleValue::FloatHistogram(histogram) => plain_float(histogram),
    }
}

fn plain_float(histogram: &FloatHistogram) -> SampleValue {
    let mut plain = histogram.clone();
    plain.compact(0);
    plain.counter_reset_hint = CounterResetHint::Unknown;
    SampleValue::FloatHistogram(Arc::new(plain))
}

/// All samples of all runs, whose kinds must alternate.
fn read(set: &SeriesSet) -> Vec<(i64, SampleValue)> {
    let runs = runs(set);
    let is_float = |run: &Samples| run.floats().is_some();
    assert!(runs.windows(2).all(|pair| is_float(&pair[0]) != is_float(&pair[1])), "{runs:?}");
    let mut all = Vec::new();
    for run in runs {
        match run.values {
            Values::Floats(values) => {
                all.extend(run.timestamps_ms.into_iter().zip(values.into_iter().map(SampleValue::Float)));
            }
            Values::Histograms(values) => {
                all.extend(run.timestamps_ms.into_iter().zip(values.iter().map(|value| plain_float(value))));
            }
        }
    }
    all
}

/// Whatever the order in which samples come, they are read in order: before and after a checkpoint, and opened again from the
/// log, from the checkpoint, and from both.
fn check(samples: &[(i64, SampleValue)]) {
    let mut expected: Vec<_> = samples.iter().map(|(t_ms, value)| (*t_ms, plain(value))).collect();
    expected.sort_by_key(|(t_ms, _)| *t_ms);
    for checkpoint_at in [0, samples.len() / 3, samples.len() / 2, samples.len()] {
        let disk = SimDisk::new(1);
        let db = Db::open("/data", options(&disk)).unwrap();
        assert_eq!(append(&db, "m", &samples[..checkpoint_at]), []);
        if checkpoint_at > 0 {
            db.checkpoint().unwrap();
        }
        assert_eq!(append(&db, "m", &samples[checkpoint_at..]), []);
        let compare = |db: &Db, what: &str| {
            let found = read(&select(db, "m", TimeRange::ALL));
            let text = |all: &[(i64, SampleValue)]| {
                all.iter().map(|sample| format!("{sample:?}")).collect::<Vec<_>>()
            };
            assert_eq!(text(&found), text(&expected), "{what}, checkpoint at {checkpoint_at}");
            // Any part of it is that part of the whole.
            for (from, to) in [(0, expected.len() / 2), (expected.len() / 3, expected.len())] {
                let (from_ms, to_ms) = (expected[from].0, expected[to - 1].0);
                let part = read(&select(db, "m", TimeRange::from_millis(from_ms, to_ms)));
                assert_eq!(text(&part), text(&expected[from..to]), "{what}: from {from} to {to}");
            }
        };
        compare(&db, "in memory");
        // Everything again is known already.
        assert_eq!(append(&db, "m", samples), []);
        compare(&db, "written twice");
        db.close().unwrap();
        for round in 0..2 {
            let db = Db::open("/data", options(&disk)).unwrap();
            assert!(!db.stats().replay.has_loss(), "{:?}", db.stats().replay);
            compare(&db, &format!("opened again, round {round}"));
            db.checkpoint().unwrap();
            db.close().unwrap();
        }
    }
}

#[test]
fn histograms_come_back() {
    check(&(0..300).map(|i| (i * 1000, integer(0, i))).collect::<Vec<_>>());
    check(&(0..300).map(|i| (i * 1000, float(0, i))).collect::<Vec<_>>());
    check(&(0..100).map(|i| (i * 1000, gauge(i * 7 % 10))).collect::<Vec<_>>());
    // Buckets come, go and are reset; integer and float counts take turns; some are staleness markers.
    let value = |i: i64| match i % 50 {
        49 => stale(),
        30..40 => float((i % 3) as i32, i),
        20..30 => integer((i % 4) as i32, i % 7),
        _ => integer((i % 40 / 10) as i32, i),
    };
    check(&(0..200).map(|i| (i * 1000, value(i))).collect::<Vec<_>>());
}

#[test]
fn floats_and_histograms_of_one_series_are_runs() {
    let value = |i: i64| if i / 10 % 2 == 0 { SampleValue::Float(i as f64) } else { integer(0, i) };
    check(&(0..100).map(|i| (i * 1000, value(i))).collect::<Vec<_>>());
    // Alternating, and with samples of both kinds that come late.
    check(
        &(0..60)
            .map(|i| (i * 1000, if i % 2 == 0 { SampleValue::Float(0.5) } else { float(0, i) }))
            .collect::<Vec<_>>(),
    );
    let late = (0..150).map(|i| if i % 3 == 2 { i - 2 } else { i + 1 }).map(|i| i * 1000);
    check(&late.enumerate().map(|(i, t_ms)| (t_ms + i as i64 % 2, value(i as i64 * 4))).collect::<Vec<_>>());
    // Enough late ones to fill a chunk.
    let in_order = (0..200).map(|i| (i * 5000, value(i)));
    let late = (0..190).map(|i| (1_000_000 - 990_000 + i * 5000 + 1, value(i * 3)));
    check(&in_order.chain(late).filter(|(t_ms, _)| *t_ms <= 995_000).collect::<Vec<_>>());
}

#[test]
fn hints_say_what_is_known() {
    let disk = SimDisk::new(1);
    let db = Db::open("/data", options(&disk)).unwrap();
    let hints = |name: &str| -> Vec<CounterResetHint> {
        runs(&select(&db, name, TimeRange::ALL))
            .iter()
            .flat_map(|run| match &run.values {
                Values::Histograms(values) => values.iter().map(|h| h.counter_reset_hint).collect(),
                Values::Floats(_) => Vec::new(),
            })
            .collect()
    };
    use CounterResetHint::{Gauge, NotReset, Unknown};
    append(&db, "rises", &(0..4).map(|i| (i * 1000, integer(0, i))).collect::<Vec<_>>());
    assert_eq!(hints("rises"), [Unknown, NotReset, NotReset, NotReset]);
    append(&db, "falls", &(0..4).map(|i| (i * 1000, integer(0, 5 * (4 - i)))).collect::<Vec<_>>());
    assert_eq!(hints("falls"), [Unknown; 4]);
    append(&db, "gauge", &(0..3).map(|i| (i * 1000, gauge(9 - i))).collect::<Vec<_>>());
    assert_eq!(hints("gauge"), [Gauge; 3]);
    // Something came in between, so nothing is known of neighbours.
    append(&db, "rises", &[(1500, integer(0, 0))]);
    assert_eq!(hints("rises"), [Unknown; 5]);
}

#[test]
fn what_is_refused() {
    let disk = SimDisk::new(1);
    let db = Db::open("/data", options(&disk)).unwrap();
    let samples =
        [(1000, integer(0, 5)), (2000, float(0, 6)), (3000, SampleValue::Float(1.0)), (4000, stale())];
    assert_eq!(append(&db, "m", &samples), []);
    for (t_ms, _) in &samples {
        for (value, known) in [(integer(0, 5), 1000), (integer(0, 6), 2000), (SampleValue::Float(1.0), 3000)]
        {
            let expected = if *t_ms == known { vec![] } else { vec![Refusal::DuplicateTimestamp] };
            assert_eq!(append(&db, "m", &[(*t_ms, value.clone())]), expected, "{t_ms}: {value:?}");
        }
    }
    let unsound = Histogram { count: 1, ..Histogram::default() };
    let unsound = SampleValue::Histogram(Arc::new(unsound));
    assert_eq!(append(&db, "m", &[(9000, unsound)]), [Refusal::InvalidHistogram]);
    assert_eq!(db.stats().samples, 4);
}

#[test]
fn a_select_keeps_what_it_has_when_a_chunk_gets_more_buckets() {
    let disk = SimDisk::new(1);
    let db = Db::open("/data", options(&disk)).unwrap();
    append(&db, "m", &(0..5).map(|i| (i * 1000, integer(4, i))).collect::<Vec<_>>());
    let pinned = select(&db, "m", TimeRange::ALL);
    let before = read(&pinned);
    assert_eq!(before.len(), 5);
    for first in [5, 2, 9] {
        let wider = Histogram {
            count: 100,
            sum: 1.0,
            zero_threshold: 1e-128,
            positive_spans: vec![Span { offset: 0, length: 10 }],
            positive_buckets: [&[10][..], &[0; 9]].concat(),
            ..Histogram::default()
        };
        append(&db, "m", &[(10_000 + first, SampleValue::Histogram(Arc::new(wider)))]);
        assert_eq!(read(&pinned), before);
    }
    append(&db, "m", &(0..200).map(|i| (20_000 + i * 1000, integer(0, 40 + i))).collect::<Vec<_>>());
    assert_eq!(read(&pinned), before);
}
