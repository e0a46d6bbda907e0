//! Stores may give the newest sample alone where no other counts. Answers of random queries are the same from a store that does and
//! from one that gives everything; and it is asked for only where it may be.

mod random;
mod store;

use std::sync::Arc;

use kymo_model::{
    CancelToken, Labels, Matcher, MemoryStore, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource,
    StoreError, TimeRange, Timestamp, Values,
};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryValue};
use proptest::prelude::*;
use random::{data, expression, parse, stored};
use store::{Recording, loaded};

/// Gives nothing but the newest samples where these are asked for.
struct Sparing {
    store: MemoryStore,
    /// Every so many series are at hand.
    at_hand: usize,
}

/// Labels, and the last run of each series cut to its last sample.
struct Newest {
    series: Vec<(Labels, Samples)>,
    at_hand: usize,
}

impl SeriesSource for Newest {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].0.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        if std::mem::replace(&mut resume.a, 1) == 0 {
            out.clone_from(&self.series[index].1);
        }
        Ok(!out.is_empty())
    }

    fn newest(&self, index: usize) -> Option<(i64, f64)> {
        let samples = &self.series[index].1;
        let at_hand = samples.timestamps_ms.last().zip(samples.floats()?.last());
        at_hand.filter(|_| index.is_multiple_of(self.at_hand)).map(|(t_ms, value)| (*t_ms, *value))
    }
}

impl Queryable for Sparing {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let all = self.store.select(wanted)?;
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
        let series = of_series.collect::<Result<_, StoreError>>()?;
        Ok(SeriesSet::new(Arc::new(Newest { series, at_hand: self.at_hand })))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.store.label_names(matchers, range, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        m: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.store.label_values(name, m, range, cancel)
    }
}

/// Gives this set, whatever is asked.
struct Selected(SeriesSet);

impl Queryable for Selected {
    fn select(&self, _: &Selector) -> Result<SeriesSet, StoreError> {
        Ok(self.0.clone())
    }

    fn label_names(&self, _: &[Matcher], _: TimeRange, _: &CancelToken) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: TimeRange,
        _: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

fn drop_first<T>(values: &mut Vec<T>, count: usize) {
    values.drain(..count);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_the_same(series in data(), text in expression(), at in 0i64..300_000) {
        let expr = parse(&text);
        let ask = |store: &dyn Queryable, threads: usize| {
            let engine = Engine::new(EngineOptions {
                lookback_delta_ms: 70_000,
                threads,
                alone_work: 0,
                ..EngineOptions::default()
            });
            let (from, to) = (Timestamp::from_millis(at), Timestamp::from_millis(at + 100_000));
            let options = QueryOptions::default();
            let shown = |result: Result<kymo_promql::QueryResult, kymo_promql::QueryError>| {
                format!("{:?}", result.map(|r| (r.value, r.warnings, r.infos, r.stats.total_queryable_samples)))
            };
            let range = engine.range(store, &expr, from, to, 25_000, &options);
            (shown(engine.instant(store, &expr, from, &options)), shown(range))
        };
        let expected = ask(&stored(&series), 1);
        for (at_hand, threads) in [(1, 1), (1, 3), (2, 1), (2, 3)] {
            let store = Sparing { store: stored(&series), at_hand };
            prop_assert_eq!(ask(&store, threads), expected.clone(), "{}, {} at hand", text, at_hand);
        }
    }
}

/// Enough series for several workers, asked for what is computed without rows.
#[test]
fn aggregations_of_many_series_are_the_same() {
    let mut series = Vec::new();
    for at in 0..9_000u64 {
        let value = match at * 7919 % 101 {
            0 => f64::NAN,
            1 => kymo_model::STALE_NAN,
            2 => -0.0,
            3 => f64::INFINITY,
            n => (n as f64 - 50.5) * 10f64.powi((at % 29) as i32 - 14),
        };
        // Some are too old.
        let time = if at % 17 == 0 { 1_000 } else { 200_000 + at as i64 };
        series.push(("m".to_owned(), format!("a{}", at * 31 % 700), format!("b{at}"), vec![(time, value)]));
    }
    let (store, sparing) = (stored(&series), Sparing { store: stored(&series), at_hand: 1 });
    let mut wanted = Selector::new(Vec::new(), TimeRange::from_millis(160_001, 230_000));
    wanted.hints.newest_only = true;
    let sparing = Selected(sparing.select(&wanted).unwrap());
    let ask = |store: &dyn Queryable, threads: usize, text: &str| {
        let options =
            EngineOptions { lookback_delta_ms: 70_000, threads, alone_work: 0, ..EngineOptions::default() };
        let at = Timestamp::from_millis(230_000);
        let result = Engine::new(options).instant(store, &parse(text), at, &QueryOptions::default()).unwrap();
        let QueryValue::Vector(samples) = result.value else { panic!("{text} is a vector") };
        let spelled = samples.iter().map(|s| (s.labels.to_string(), s.value.float().map(f64::to_bits)));
        (spelled.collect::<Vec<_>>(), result.stats.total_queryable_samples)
    };
    for op in ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk(3,", "bottomk(2,"] {
        for grouping in ["", "by (a)", "by (a, __name__, c)", "without (b)"] {
            let text = match op.split_once('(') {
                Some((name, param)) => format!("{name} {grouping} ({param} m)"),
                None => format!("{op} {grouping} (m)"),
            };
            let expected = ask(&store, 1, &text);
            assert!(!expected.0.is_empty() && expected.1 > 5_000, "{text}");
            for threads in [1, 8] {
                assert_eq!(ask(&sparing, threads, &text), expected, "{text} with {threads} threads");
            }
        }
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
