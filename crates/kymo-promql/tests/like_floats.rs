//! A histogram of one bucket is a float in disguise: functions of counters must give the count what they give a float.
//!
//! This holds two implementations, kernels over floats and functions over histograms, to each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use kymo_model::{Append, Batch, FloatHistogram, Labels, MemoryStore, SampleValue, Span, Timestamp};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryValue};
use proptest::prelude::*;

fn histogram(count: f64) -> FloatHistogram {
    FloatHistogram {
        count,
        sum: count,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![count],
        ..FloatHistogram::default()
    }
}

fn store(samples: &[(i64, f64)]) -> MemoryStore {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for (t, value) in samples {
        let at = Timestamp::from_millis(*t);
        batch.push(Labels::from_pairs([("__name__", "f")]), at, *value);
        let histogram = SampleValue::FloatHistogram(Arc::new(histogram(*value)));
        batch.push(Labels::from_pairs([("__name__", "h")]), at, histogram);
    }
    store.append(&batch).expect("an open store");
    store
}

fn points(store: &MemoryStore, text: &str) -> BTreeMap<i64, f64> {
    let parser = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything());
    let expr = parser.parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let engine = Engine::new(EngineOptions { lookback_delta_ms: 70_000, ..EngineOptions::default() });
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(600_000));
    let result = engine.range(store, &expr, start, end, 25_000, &QueryOptions::default()).expect("an answer");
    let QueryValue::Matrix(series) = result.value else { panic!("{text} is no matrix") };
    series.iter().flat_map(|s| s.floats.iter()).map(|(t, v)| (t, *v)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_move_as_floats_do(
        samples in prop::collection::vec((1i64..60_000, 0u8..12), 0..40),
    ) {
        let samples = samples.into_iter().scan(0, |t, (gap, value)| {
            *t += gap;
            Some((*t, f64::from(value)))
        });
        let store = store(&samples.collect::<Vec<_>>());
        for range in ["[1m]", "[3m]", "[15s] offset 30s", "[2m] @ 200"] {
            for edges in ["", "anchored", "smoothed"] {
                let (span, time) = range.split_once(' ').unwrap_or((range, ""));
                for function in ["rate", "increase", "delta"] {
                    let of = |metric: &str| format!("{function}({metric}{span} {edges} {time})");
                    let (floats, counts) = (of("f"), format!("histogram_count({})", of("h")));
                    check(&store, &floats, &counts)?;
                }
                if edges != "smoothed" {
                    for function in ["changes", "resets"] {
                        let of = |metric: &str| format!("{function}({metric}{span} {edges} {time})");
                        check(&store, &of("f"), &of("h"))?;
                    }
                }
            }
            for function in ["irate", "idelta", "first_over_time", "last_over_time", "sum_over_time", "avg_over_time"] {
                let (floats, counts) = (format!("{function}(f{range})"), format!("histogram_count({function}(h{range}))"));
                check(&store, &floats, &counts)?;
            }
        }
        for (floats, counts) in [
            ("f", "histogram_count(h)"),
            ("f offset 1m", "histogram_count(h offset 1m)"),
            ("sum(f) * 2", "histogram_count(sum(h) * 2)"),
            ("f + f", "histogram_count(h + h)"),
            ("f - f", "histogram_count(h - h)"),
            ("-f / 4", "histogram_count(-h / 4)"),
            ("timestamp(f)", "timestamp(h)"),
        ] {
            check(&store, floats, counts)?;
        }
    }
}

fn check(store: &MemoryStore, floats: &str, counts: &str) -> Result<(), TestCaseError> {
    let (a, b) = (points(store, floats), points(store, counts));
    let same = a.len() == b.len()
        && a.iter()
            .zip(&b)
            .all(|((ta, va), (tb, vb))| ta == tb && (va == vb || (va - vb).abs() <= 1e-9 * (1.0 + va.abs())));
    prop_assert!(same, "{floats} gives {a:?}, {counts} gives {b:?}");
    Ok(())
}
