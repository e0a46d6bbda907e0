//! ModelStore: the naive store that a real one is compared with. It knows what was acknowledged, what must have survived a
//! crash, and what may have.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use kymo_model::{
    FloatHistogram, Labels, Matcher, Queryable, Refusal, SampleValue, Samples, Selector, StoreError,
    TimeRange, Values,
};

/// A map from series and time to value, with the admission rules of the database spelled out plainly.
#[derive(Clone, Debug)]
pub struct ModelStore {
    series: HashMap<Labels, BTreeMap<i64, Cell>>,
    /// When each series was last written to; none for those of which only the database knows.
    written_ms: HashMap<Labels, u64>,
    /// What the last batch changed, and what was there before.
    undo: Vec<(Labels, i64, Option<Cell>, u64)>,
    /// As the database's options.
    pub out_of_order_window_ms: i64,
    /// As the database's options.
    pub retention_ms: i64,
    /// What the database's wall clock says; samples ahead of it make no other sample late.
    pub now_ms: i64,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    /// The bits that were acknowledged, and whether they must survive a loss of power.
    acked: Option<(u64, bool)>,
    /// Bits of writes that failed: after a reopening one of them may be there.
    maybe: Vec<u64>,
    /// When it was acknowledged, by the monotonic clock.
    taken_ms: u64,
    /// Past the retention: it need not be there any more.
    aged: bool,
}

/// A series that was not written to for so long is idle. One second less than the database says, which counts in seconds.
const IDLE_MS: u64 = 3_599_000;

/// What differs between the model and a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// An acknowledged sample is not there.
    Lost(Labels, i64),
    /// A sample is there that nobody wrote, or with a value that nobody wrote.
    Invented(Labels, i64, u64),
    /// A series is not in order.
    Unordered(Labels),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Lost(labels, t_ms) => {
                write!(f, "acknowledged sample of {labels} at {t_ms} ms is not there")
            }
            Mismatch::Invented(labels, t_ms, bits) => {
                write!(
                    f,
                    "{labels} at {t_ms} ms has {} ({bits:#x}), which nobody wrote",
                    f64::from_bits(*bits)
                )
            }
            Mismatch::Unordered(labels) => write!(f, "samples of {labels} do not strictly increase"),
        }
    }
}

impl ModelStore {
    /// An empty model of a database with these options.
    pub fn new(out_of_order_window_ms: i64, retention_ms: i64) -> ModelStore {
        ModelStore {
            series: HashMap::new(),
            written_ms: HashMap::new(),
            undo: Vec::new(),
            out_of_order_window_ms,
            retention_ms,
            now_ms: i64::MAX,
        }
    }

    /// Takes the rows of a batch that are to be taken, and says of each what the database must say. `durable`: what is taken
    /// must survive a loss of power. `monotonic_ms` is the time of the database's clock.
    pub fn take<V: Clone + Into<SampleValue>>(
        &mut self,
        rows: &[(Labels, i64, V)],
        durable: bool,
        monotonic_ms: u64,
    ) -> Vec<Result<(), Refusal>> {
        self.undo.clear();
        let mut outcomes = Vec::with_capacity(rows.len());
        for (labels, t_ms, value) in rows {
            let bits = bits_of(&value.clone().into());
            let outcome = self.judge(labels, *t_ms, bits);
            if outcome.is_ok() {
                let cells = self.series.entry(labels.clone()).or_default();
                let before = cells.get(t_ms).cloned();
                let durable = durable
                    || before.as_ref().and_then(|cell| cell.acked).is_some_and(|(_, durable)| durable);
                // A repeat writes nothing that a crash would leave.
                let taken_ms = match &before {
                    Some(Cell { acked: Some(_), taken_ms, .. }) => *taken_ms,
                    _ => {
                        self.written_ms.insert(labels.clone(), monotonic_ms);
                        monotonic_ms
                    }
                };
                let acked = Some((bits, durable));
                cells.insert(*t_ms, Cell { acked, taken_ms, ..Cell::default() });
                self.undo.push((labels.clone(), *t_ms, before, bits));
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    /// The batch that was just taken failed after all: after a reopening its rows may be there or not.
    pub fn last_batch_failed(&mut self) {
        for (labels, t_ms, before, bits) in std::mem::take(&mut self.undo).into_iter().rev() {
            let mut cell = before.unwrap_or_default();
            if cell.acked.is_none() {
                cell.maybe.push(bits);
            }
            self.series.entry(labels).or_default().insert(t_ms, cell);
        }
    }

    fn judge(&self, labels: &Labels, t_ms: i64, written: u64) -> Result<(), Refusal> {
        let Some(cells) = self.series.get(labels) else { return Ok(()) };
        if let Some((bits, _)) = cells.get(&t_ms).and_then(|cell| cell.acked) {
            return if bits == written { Ok(()) } else { Err(Refusal::DuplicateTimestamp) };
        }
        let window_ms = self.out_of_order_window_ms.min(self.retention_ms);
        match newest(cells) {
            Some(newest_ms) if t_ms < newest_ms && window_ms == 0 => Err(Refusal::OutOfOrder),
            Some(newest_ms) if newest_ms.min(self.now_ms) - t_ms > window_ms => Err(Refusal::TooOld),
            _ => Ok(()),
        }
    }

    /// The database was maintained: what is past the retention may be gone from now on. A series that is written to is judged
    /// by its own newest sample, an idle one by the newest of all.
    pub fn maintained(&mut self, now_ms: i64, monotonic_ms: u64) {
        let cutoff = |newest_ms: i64| newest_ms.min(now_ms) - self.retention_ms;
        let Some(of_idle_ms) = self.series.values().filter_map(newest_of_all).max().map(cutoff) else {
            return;
        };
        for (labels, cells) in &mut self.series {
            let written_ms = self.written_ms.get(labels);
            let idle = written_ms.is_none_or(|written_ms| monotonic_ms - written_ms >= IDLE_MS);
            let cutoff_ms = if idle { of_idle_ms } else { newest_of_all(cells).map_or(i64::MIN, cutoff) };
            cells.range_mut(..cutoff_ms).for_each(|(_, cell)| cell.aged = true);
        }
    }

    /// Samples in a range of the series that match were deleted. When that was not `acknowledged`, each may be there or not.
    pub fn delete(&mut self, matchers: &[Matcher], range: TimeRange, acknowledged: bool) {
        for (labels, cells) in &mut self.series {
            if !matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or(""))) {
                continue;
            }
            for cell in cells.range_mut(range.min.millis()..=range.max.millis()).map(|(_, cell)| cell) {
                if !acknowledged {
                    cell.aged = true;
                } else if cell.aged {
                    // It may have been gone already, but for the log.
                    cell.maybe.extend(cell.acked.take().map(|(bits, _)| bits));
                } else {
                    cell.acked = None;
                }
            }
        }
    }

    /// Everything acknowledged so far was made durable.
    pub fn synced(&mut self) {
        self.synced_until(u64::MAX);
    }

    /// Everything acknowledged until then, by the monotonic clock, was made durable.
    pub fn synced_until(&mut self, monotonic_ms: u64) {
        for cell in self.series.values_mut().flat_map(BTreeMap::values_mut) {
            if let Some((_, durable)) = &mut cell.acked {
                *durable |= cell.taken_ms <= monotonic_ms;
            }
        }
    }

    /// How many samples are acknowledged.
    pub fn len(&self) -> usize {
        self.series.values().flat_map(BTreeMap::values).filter(|cell| cell.acked.is_some()).count()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every way in which an open store differs: it must have exactly what was acknowledged. Rows of a batch that failed
    /// may be there only if `failed_may_be_there`.
    pub fn compare(
        &self,
        store: &dyn Queryable,
        failed_may_be_there: bool,
    ) -> Result<Vec<Mismatch>, StoreError> {
        self.compare_with(store, |_| true, |cell, bits| failed_may_be_there && cell.maybe.contains(&bits))
    }

    /// Every way in which a store that was opened again differs: acknowledged samples must be there (after a loss of power
    /// only the durable ones), and nothing may be there that was never written.
    pub fn compare_reopened(
        &self,
        store: &dyn Queryable,
        power_lost: bool,
    ) -> Result<Vec<Mismatch>, StoreError> {
        self.compare_with(store, |durable| durable || !power_lost, |cell, bits| cell.maybe.contains(&bits))
    }

    /// Forgets everything and takes what the store has as acknowledged. Only what was past the retention is remembered: the
    /// log may still have it, and bring it back at a later opening that knows of less activity.
    pub fn adopt(&mut self, store: &dyn Queryable, durable: bool) -> Result<(), StoreError> {
        let mut series: HashMap<Labels, BTreeMap<i64, Cell>> = HashMap::new();
        for_each_sample(store, |labels, t_ms, bits| {
            let cell = Cell { acked: Some((bits, durable)), ..Cell::default() };
            series.entry(labels.clone()).or_default().insert(t_ms, cell);
        })?;
        for (labels, cells) in std::mem::take(&mut self.series) {
            for (t_ms, mut cell) in cells.into_iter().filter(|(_, cell)| cell.aged) {
                cell.maybe.extend(cell.acked.take().map(|(bits, _)| bits));
                series.entry(labels.clone()).or_default().entry(t_ms).or_insert(cell);
            }
        }
        self.series = series;
        self.written_ms.clear();
        Ok(())
    }

    fn compare_with(
        &self,
        store: &dyn Queryable,
        must_be_there: impl Fn(bool) -> bool,
        may_be_there: impl Fn(&Cell, u64) -> bool,
    ) -> Result<Vec<Mismatch>, StoreError> {
        let mut mismatches = Vec::new();
        let mut seen: HashMap<Labels, BTreeMap<i64, u64>> = HashMap::new();
        let mut last: Option<(Labels, i64)> = None;
        for_each_sample(store, |labels, t_ms, bits| {
            if last.as_ref().is_some_and(|(before, before_ms)| before == labels && *before_ms >= t_ms) {
                mismatches.push(Mismatch::Unordered(labels.clone()));
            }
            last = Some((labels.clone(), t_ms));
            seen.entry(labels.clone()).or_default().insert(t_ms, bits);
            let cell = self.series.get(labels).and_then(|cells| cells.get(&t_ms));
            let known = cell.is_some_and(|cell| {
                cell.acked.is_some_and(|(acked, _)| acked == bits)
                    || (cell.acked.is_none() && may_be_there(cell, bits))
            });
            if !known {
                mismatches.push(Mismatch::Invented(labels.clone(), t_ms, bits));
            }
        })?;
        for (labels, cells) in &self.series {
            for (t_ms, cell) in cells {
                let wanted = !cell.aged && cell.acked.is_some_and(|(_, durable)| must_be_there(durable));
                if wanted && !seen.get(labels).is_some_and(|found| found.contains_key(t_ms)) {
                    mismatches.push(Mismatch::Lost(labels.clone(), *t_ms));
                }
            }
        }
        Ok(mismatches)
    }
}

/// What tells a value from every other: the bits of a float, a hash of what is in a histogram.
fn bits_of(value: &SampleValue) -> u64 {
    match value {
        SampleValue::Float(value) => value.to_bits(),
        SampleValue::Histogram(histogram) => bits_of_histogram(&histogram.to_float()),
        SampleValue::FloatHistogram(histogram) => bits_of_histogram(histogram),
    }
}

/// Empty buckets and the counter reset hint are the store's own business, and of a staleness marker only that it is one.
fn bits_of_histogram(histogram: &FloatHistogram) -> u64 {
    let mut plain = if histogram.is_stale() {
        FloatHistogram { sum: histogram.sum, ..FloatHistogram::default() }
    } else {
        histogram.clone()
    };
    plain.compact(0);
    let mut hasher = DefaultHasher::new();
    plain.schema.hash(&mut hasher);
    for spans in [&plain.positive_spans, &plain.negative_spans] {
        spans.hash(&mut hasher);
    }
    let numbers = [plain.zero_threshold, plain.zero_count, plain.count, plain.sum];
    let lists = [&numbers[..], &plain.positive_buckets, &plain.negative_buckets, &plain.custom_values];
    for list in lists {
        list.iter().for_each(|number| number.to_bits().hash(&mut hasher));
        list.len().hash(&mut hasher);
    }
    hasher.finish()
}

/// With the rows that failed: the database may have them.
fn newest_of_all(cells: &BTreeMap<i64, Cell>) -> Option<i64> {
    cells.keys().next_back().copied()
}

fn newest(cells: &BTreeMap<i64, Cell>) -> Option<i64> {
    cells.iter().rev().find(|(_, cell)| cell.acked.is_some()).map(|(t_ms, _)| *t_ms)
}

fn for_each_sample(
    store: &dyn Queryable,
    mut visit: impl FnMut(&Labels, i64, u64),
) -> Result<(), StoreError> {
    let mut samples = Samples::new();
    for series in store.select(&Selector::new(Vec::new(), TimeRange::ALL))?.iter() {
        let labels = series.labels();
        let mut reader = series.reader();
        while reader.read(&mut samples)? {
            let bits: Vec<u64> = match &samples.values {
                Values::Floats(values) => values.iter().map(|value| value.to_bits()).collect(),
                Values::Histograms(values) => values.iter().map(|value| bits_of_histogram(value)).collect(),
            };
            samples.timestamps_ms.iter().zip(bits).for_each(|(t_ms, bits)| visit(&labels, *t_ms, bits));
        }
    }
    Ok(())
}
