//! Queries of death: each ends in an error that says why, soon, and without holding much.

mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kymo_model::{
    Append, Batch, Estimate, Labels, Matcher, MemoryStore, Queryable, Resume, Samples, Selector, SeriesSet,
    SeriesSource, StoreError, TimeRange, Timestamp,
};
use kymo_promql::{Bound, CancelReason, CancelToken, Engine, EngineOptions, QueryErrorKind, QueryOptions};
use kymo_promql_syntax::{ParseErrorKind, parse};

/// Refused before anything runs.
fn check_refused(query: &str, part: &str) {
    let error = parse(query).expect_err("a query of death");
    assert_eq!(error.kind, ParseErrorKind::Limit, "{error}");
    assert!(error.message.contains(part), "{error}");
}

#[test]
fn deep_nesting() {
    check_refused(&format!("{}up{}", "(".repeat(20_000), ")".repeat(20_000)), "nested more than 128 levels");
    check_refused(&format!("{}up{}", "abs(".repeat(5_000), ")".repeat(5_000)), "nested more than 128 levels");
    check_refused(&format!("{}up", "-".repeat(20_000)), "nested more than 128 levels");
    check_refused(&format!("up{}", "[1h:1m]".repeat(5_000)), "nested more than 128 levels");
}

#[test]
fn sums_of_100_000_terms() {
    check_refused(&format!("a{}", " + a".repeat(100_000)), "bytes long");
    check_refused(&format!("a{}", "+a".repeat(50_000)), "chains more than 512 operators");
}

/// As long a sum as is allowed runs, on the stack that a thread has.
#[test]
fn the_longest_sum() {
    let store = store::loaded("load 1m\n a 1 1 1\n");
    let expr = parse(&format!("a{}", " + a".repeat(511))).unwrap();
    let at = Timestamp::from_millis(60_000);
    let result = Engine::default().instant(&store, &expr, at, &QueryOptions::default()).unwrap();
    let kymo_promql::QueryValue::Vector(samples) = result.value else { panic!("a vector") };
    assert_eq!(samples[0].value.float(), Some(512.0));
    assert_eq!(result.stats.selects, 1);
}

fn many_series() -> MemoryStore {
    let store = MemoryStore::default();
    for series in 0..200 {
        let (name, i) = (format!("m{}", series % 7), series.to_string());
        let labels = Labels::from_pairs([("__name__", name.as_str()), ("i", i.as_str())]);
        let mut batch = Batch::new();
        for minute in 0..500 {
            batch.push(labels.clone(), Timestamp::from_millis(minute * 60_000), minute as f64);
        }
        store.append(&batch).unwrap();
    }
    store
}

#[test]
fn everything_for_a_month() {
    let store = many_series();
    let small = Engine::new(EngineOptions { max_samples: 20_000, ..EngineOptions::default() });
    let at = Timestamp::from_millis(500 * 60_000);
    for query in [
        "{__name__=~\".+\"}[30d]",
        "last_over_time({__name__=~\".+\"}[30d])[30d:1m]",
        "quantile_over_time(0.5, {__name__=~\".+\"}[30d:1s])",
    ] {
        let error = small.instant(&store, &parse(query).unwrap(), at, &QueryOptions::default()).unwrap_err();
        assert_eq!(error.kind, QueryErrorKind::Limit, "{query}: {error}");
    }
    let few = Engine::new(EngineOptions { max_series: 100, ..EngineOptions::default() });
    let query = parse("count({__name__=~\".+\"})").unwrap();
    let error = few.instant(&store, &query, at, &QueryOptions::default()).unwrap_err();
    let selector = "the selector is {__name__=~\".+\"} (1:7)";
    let message = format!("query would read 200 series or more, expected at most 100; {selector}");
    assert_eq!((error.message, error.bound), (message, Some(Bound::Series)));
    assert_eq!(
        (few.refused(Bound::Series), small.refused(Bound::Samples), few.refused(Bound::Bytes)),
        (1, 3, 0)
    );
}

/// Counts what is asked of a store, which knows what it has, or nothing without reading.
struct Asked {
    inner: MemoryStore,
    selects: AtomicUsize,
    knows: bool,
}

impl Asked {
    fn new(knows: bool) -> Asked {
        Asked { inner: many_series(), selects: AtomicUsize::new(0), knows }
    }
}

impl Queryable for Asked {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        self.selects.fetch_add(1, Ordering::Relaxed);
        self.inner.select(wanted)
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        if self.knows { self.inner.estimate(wanted) } else { Ok(None) }
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.label_names(matchers, range, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        m: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.label_values(name, m, range, cancel)
    }
}

/// However little a query holds at once, it may have too much to read.
#[test]
fn everything_is_too_much_to_read() {
    let (knowing, unknowing) = (Asked::new(true), Asked::new(false));
    let at = Timestamp::from_millis(500 * 60_000);
    let ask = |engine: &Engine, store: &Asked, text: &str| {
        let options = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
        engine.instant(store, &parse(text).unwrap(), at, &options)
    };
    for threads in [1, 2] {
        let engine = |max_samples_read| {
            let alone_work = 0;
            Engine::new(EngineOptions { max_samples_read, threads, alone_work, ..EngineOptions::default() })
        };
        let few = engine(99_999);
        let text = "sum(rate({__name__=~\".+\"}[30d]))";
        for (store, found) in [
            (&knowing, "query would read 100000 samples or more"),
            (&unknowing, "query would read more samples"),
        ] {
            let error = ask(&few, store, text).unwrap_err();
            let selector = "the selector is {__name__=~\".+\"} (1:10)";
            assert_eq!(error.message, format!("{found}, expected at most 99999; {selector}"));
            assert_eq!((error.kind, error.bound), (QueryErrorKind::Limit, Some(Bound::SamplesRead)));
        }
        assert_eq!(few.refused(Bound::SamplesRead), 2);
        // What is read twice counts twice.
        let (enough, twice) = (engine(100_000), "sum(rate(X[30d])) + sum(changes(X[30d]))");
        let twice = twice.replace('X', "{__name__=~\".+\"}");
        assert_eq!(ask(&enough, &knowing, text).unwrap().stats.samples_read, 100_000);
        assert_eq!(ask(&enough, &knowing, &twice).unwrap_err().bound, Some(Bound::SamplesRead));
        // So do newest samples.
        let newest = "count({__name__=~\".+\"})";
        assert_eq!(ask(&engine(199), &knowing, newest).unwrap_err().bound, Some(Bound::SamplesRead));
        assert!(ask(&engine(100_000), &knowing, newest).is_ok());
        for engine in [engine(200_000), engine(0)] {
            assert_eq!(ask(&engine, &unknowing, &twice).unwrap().stats.samples_read, 200_000);
        }
    }
}

/// What the store knows without reading is enough to refuse; a query that fits to the sample is not refused.
#[test]
fn refused_before_anything_is_read() {
    let store = Asked::new(true);
    let at = Timestamp::from_millis(500 * 60_000);
    let text = "\n  {__name__=~\".+\"}[30d]";
    let options = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
    let ask = |engine: EngineOptions| {
        let before = store.selects.load(Ordering::Relaxed);
        let result = Engine::new(engine).instant(&store, &parse(text).unwrap(), at, &options);
        (result, store.selects.load(Ordering::Relaxed) - before)
    };
    let samples = |max_samples| EngineOptions { max_samples, ..EngineOptions::default() };
    let (refused, selects) = ask(samples(99_999));
    let error = refused.unwrap_err();
    assert_eq!((selects, error.kind, error.bound), (0, QueryErrorKind::Limit, Some(Bound::Samples)));
    assert_eq!(
        error.message,
        "query processing would load too many samples into memory in query execution: expected at most 99999, found 100000 or \
         more in 30d; the selector is {__name__=~\".+\"} (2:3)"
    );
    let (error, selects) = ask(EngineOptions { max_bytes: 1_599_999, ..EngineOptions::default() });
    assert_eq!((selects, error.unwrap_err().bound), (0, Some(Bound::Bytes)));
    let (error, selects) = ask(EngineOptions { max_series: 199, ..EngineOptions::default() });
    assert_eq!((selects, error.unwrap_err().bound), (0, Some(Bound::Series)));
    let (fits, selects) = ask(samples(100_000));
    assert_eq!((selects, fits.unwrap().stats.samples_read), (1, 100_000));
    // A function holds one series after the other: nothing says that it would hold too much.
    let expr = parse("count_over_time({__name__=~\".+\"}[30d])").unwrap();
    assert!(Engine::new(samples(1000)).instant(&store, &expr, at, &options).is_ok());
    let plan = Engine::default().explain_with_estimates(&store, &expr, (at, at, 0), &options).unwrap();
    let estimate = plan.selections[0].estimate.expect("the store knows");
    assert_eq!((estimate.series, estimate.samples, estimate.bytes), (200, 100_000, 1_600_000));
    assert!(plan.to_string().contains("at least: series=200 samples=100000 bytes=1600000"), "{plan}");
}

/// One series, as often as is asked for: more samples than any store in memory should hold.
struct Endless(usize);

impl SeriesSource for Endless {
    fn len(&self) -> usize {
        self.0
    }

    fn labels(&self, index: usize) -> Labels {
        Labels::from_pairs([("__name__", "endless"), ("i", index.to_string().as_str())])
    }

    fn read(&self, _: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        if resume.a == 0 {
            let (times, values) = out.floats_mut();
            times.extend((0..100_000).map(|second| second * 1000));
            values.resize(times.len(), 1.0);
        }
        resume.a += 1;
        Ok(resume.a == 1)
    }
}

struct EndlessStore;

impl Queryable for EndlessStore {
    fn select(&self, _: &Selector) -> Result<SeriesSet, StoreError> {
        Ok(SeriesSet::new(Arc::new(Endless(1_000_000))))
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

/// All samples of a range vector are its result.
#[test]
fn more_samples_than_fit() {
    let engine = Engine::new(EngineOptions { max_samples: 3_000_000, ..EngineOptions::default() });
    let query = parse("{__name__=~\".+\"}[30d]").unwrap();
    let at = Timestamp::from_millis(100_000_000);
    let error = engine.instant(&EndlessStore, &query, at, &QueryOptions::default()).unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Limit, "{error}");
}

#[test]
fn pathological_regexes() {
    // Too large a machine is refused with the query.
    let error = parse("up{a=~\"((((a{100}){100}){100}){100})\"}").unwrap_err();
    assert!(error.message.contains("regex") || error.message.contains("regexp"), "{error}");
    // One that makes others try for ages is linear here.
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    let value = "a".repeat(20_000);
    let labels = Labels::from_pairs([("__name__", "up"), ("a", value.as_str())]);
    batch.push(labels, Timestamp::from_millis(0), 1.0);
    store.append(&batch).unwrap();
    let query = parse("up{a=~\"(a|aa|aaa)*b|(a*)*c|(.*)(.*)(.*)d\"}").unwrap();
    let result =
        Engine::default().instant(&store, &query, Timestamp::from_millis(0), &QueryOptions::default());
    assert_eq!(result.unwrap().value, kymo_promql::QueryValue::Vector(Vec::new()));
}

/// Gives the series of a store and, when the first of them is read, tells the query to stop. Counts how many are read.
struct StopsOnRead {
    inner: Arc<MemoryStore>,
    cancel: CancelToken,
    reads: Arc<AtomicUsize>,
}

struct StoppingSeries {
    series: SeriesSet,
    cancel: CancelToken,
    reads: Arc<AtomicUsize>,
}

impl SeriesSource for StoppingSeries {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series.series(index).labels()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        self.cancel.cancel(CancelReason::Timeout);
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut reader = self.series.series(index).reader();
        // All series of this store are one run.
        let more = resume.a == 0 && reader.read(out)?;
        resume.a = 1;
        if !more {
            out.clear();
        }
        Ok(more)
    }
}

impl Queryable for StopsOnRead {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let (cancel, reads) = (self.cancel.clone(), self.reads.clone());
        Ok(SeriesSet::new(Arc::new(StoppingSeries { series: self.inner.select(wanted)?, cancel, reads })))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.label_names(matchers, range, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        m: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.label_values(name, m, range, cancel)
    }
}

/// A query that is told to stop while it reads stops within the next few series, whatever it does with them.
#[test]
fn canceled_in_the_middle() {
    let store = Arc::new(many_series());
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(500 * 60_000));
    let parser = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything());
    for query in [
        "{__name__=~\"m.\"}",
        "quantile_over_time(0.5, {__name__=~\"m.\"}[5h])",
        "sum(mad_over_time({__name__=~\"m.\"}[5h]))",
        "changes({__name__=~\"m.\"}[5h]) and m1",
        "topk(3, {__name__=~\"m.\"})",
        "max_over_time({__name__=~\"m.\"}[5h:5m])",
        "sum by (i) ({__name__=~\"m.\"}) + sum by (i) ({__name__=~\"m.\"})",
    ] {
        let (cancel, reads) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
        let stops = StopsOnRead { inner: store.clone(), cancel: cancel.clone(), reads: reads.clone() };
        let options = QueryOptions { cancel, ..QueryOptions::default() };
        let expr = parser.parse(query).unwrap();
        let error = Engine::default().range(&stops, &expr, start, end, 60_000, &options).unwrap_err();
        assert_eq!(error.kind, QueryErrorKind::Timeout, "{query}: {error}");
        // Each series is read in runs; 16k samples of 500 each are 32 series.
        let reads = reads.load(Ordering::Relaxed);
        assert!(reads < 2 * 70, "{query}: {reads} reads");
    }
    let at = Timestamp::from_millis(500 * 60_000);
    let (cancel, reads) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
    let stops = StopsOnRead { inner: store, cancel: cancel.clone(), reads: reads.clone() };
    let options = QueryOptions { cancel, ..QueryOptions::default() };
    let expr = parser.parse("{__name__=~\".+\"}[30d]").unwrap();
    let error = Engine::default().instant(&stops, &expr, at, &options).unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Timeout, "{error}");
    assert!(reads.load(Ordering::Relaxed) < 2 * 70);
}
