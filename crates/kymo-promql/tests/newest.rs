//! Stores may give the newest sample alone where no other counts. Answers of random queries are the same from a store that does and
//! from one that gives everything; and it is asked for only where it may be.

mod random;
mod store;

use std::sync::Arc;

use kymo_model::{
    Labels, Matcher, MemoryStore, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource, StoreError,
    TimeRange, Timestamp, Values,
};
use kymo_promql::{Engine, EngineOptions, QueryOptions};
use proptest::prelude::*;
use random::{data, expression, parse, stored};
use store::{Recording, loaded};

/// Gives nothing but the newest samples where these are asked for.
struct Sparing(MemoryStore);

/// Labels, and the last run of each series cut to its last sample.
struct Newest(Vec<(Labels, Samples)>);

impl SeriesSource for Newest {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].0.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        if std::mem::replace(&mut resume.a, 1) == 0 {
            out.clone_from(&self.0[index].1);
        }
        Ok(!out.is_empty())
    }

    /// Of every other series, so that both ways are taken.
    fn newest(&self, index: usize) -> Option<(i64, f64)> {
        let samples = &self.0[index].1;
        let at_hand = samples.timestamps_ms.last().zip(samples.floats()?.last());
        at_hand.filter(|_| index.is_multiple_of(2)).map(|(t_ms, value)| (*t_ms, *value))
    }
}

impl Queryable for Sparing {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let all = self.0.select(wanted)?;
        if !wanted.hints.newest_only {
            return Ok(all);
        }
        let of_series = all.iter().map(|series| {
            let (mut reader, mut run, mut last) = (series.reader(), Samples::new(), Samples::new());
            while reader.read(&mut run)? {
                last = run.clone();
            }
            let drop = last.len() - 1;
            last.timestamps_ms.drain(..drop);
            match &mut last.values {
                Values::Floats(values) => drop_first(values, drop),
                Values::Histograms(values) => drop_first(values, drop),
            }
            Ok((series.labels(), last))
        });
        Ok(SeriesSet::new(Arc::new(Newest(of_series.collect::<Result<_, StoreError>>()?))))
    }

    fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, StoreError> {
        self.0.label_names(matchers, range)
    }

    fn label_values(&self, name: &str, m: &[Matcher], range: TimeRange) -> Result<Vec<String>, StoreError> {
        self.0.label_values(name, m, range)
    }
}

fn drop_first<T>(values: &mut Vec<T>, count: usize) {
    values.drain(..count);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_the_same(series in data(), text in expression(), at in 0i64..300_000) {
        let engine = Engine::new(EngineOptions { lookback_delta_ms: 70_000, ..EngineOptions::default() });
        let expr = parse(&text);
        let ask = |store: &dyn Queryable| {
            let (from, to) = (Timestamp::from_millis(at), Timestamp::from_millis(at + 100_000));
            let options = QueryOptions::default();
            let shown = |result: Result<kymo_promql::QueryResult, kymo_promql::QueryError>| {
                format!("{:?}", result.map(|r| (r.value, r.warnings, r.infos, r.stats.total_queryable_samples)))
            };
            let range = engine.range(store, &expr, from, to, 25_000, &options);
            (shown(engine.instant(store, &expr, from, &options)), shown(range))
        };
        prop_assert_eq!(ask(&stored(&series)), ask(&Sparing(stored(&series))), "{}", text);
    }
}

#[test]
fn it_is_asked_for_where_no_other_sample_counts() {
    let asked = |text: &str, range: bool| {
        let store = Recording::new(loaded("load 1m\n m 1 2 3 4 5 6"));
        let (at, end) = (Timestamp::from_millis(180_000), Timestamp::from_millis(300_000));
        let (expr, options) = (parse(text), QueryOptions::default());
        let result = match range {
            true => Engine::default().range(&store, &expr, at, end, 60_000, &options),
            false => Engine::default().instant(&store, &expr, at, &options),
        };
        result.unwrap_or_else(|e| panic!("{text}: {e}"));
        store.asked().iter().map(|selector| selector.hints.newest_only).collect::<Vec<_>>()
    };
    for text in ["m", "count(m)", "m offset 1m", "timestamp(m)", "m + m", "m * on () group_left () sum(m)"] {
        assert_eq!(asked(text, false), [true], "{text}");
        assert_eq!(asked(text, true), [false], "{text}");
    }
    for text in
        ["rate(m[5m])", "m + m offset 1m", "m + rate(m[1m])", "m smoothed", "histogram_count(m)", "m[1m]"]
    {
        assert_eq!(asked(text, false), [false], "{text}");
    }
    assert_eq!(asked("m @ 120", true), [true]);
    assert_eq!(asked("m + m offset 1h", false), [true, true]);
    assert_eq!(asked("sum_over_time(m[2m:1m])", false), [false]);
}
