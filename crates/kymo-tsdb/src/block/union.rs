//! Union: the series of several sets as one set, for blocks beside one another and the head beside them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use kymo_model::{
    CounterResetHint, FloatHistogram, Gap, Labels, Resume, Samples, SeriesReader, SeriesSet, SeriesSource,
    Sparing, StoreError, Values,
};

/// The series of several sets, each once, in order of labels. Each set must be in order of labels itself, as blocks give
/// theirs and the head does with the hint `ordered`.
///
/// Of samples at one time that of the first set counts. Sets whose times lie behind one another, in their order, cost no
/// sorting.
///
/// ```
/// use kymo_model::{Append, Batch, Labels, MemoryStore, Queryable, Samples, Selector, TimeRange, Timestamp};
/// let stores = [MemoryStore::default(), MemoryStore::default()];
/// for (store, t_ms) in stores.iter().zip([1000, 2000]) {
///     let mut batch = Batch::new();
///     batch.push(Labels::from_pairs([("__name__", "up")]), Timestamp::from_millis(t_ms), 1.0);
///     store.append(&batch)?;
/// }
/// let mut wanted = Selector::new(Vec::new(), TimeRange::ALL);
/// wanted.hints.ordered = true;
/// let sets = stores.iter().map(|store| store.select(&wanted)).collect::<Result<_, _>>()?;
/// let all = kymo_tsdb::block::union(sets);
/// let mut samples = Samples::new();
/// assert_eq!(all.len(), 1);
/// all.series(0).reader().read(&mut samples)?;
/// assert_eq!(samples.timestamps_ms, [1000, 2000]);
/// # Ok::<(), kymo_model::StoreError>(())
/// ```
pub fn union(mut sets: Vec<SeriesSet>) -> SeriesSet {
    sets.retain(|set| !set.is_empty() || !set.warnings().is_empty());
    if sets.len() < 2 {
        return sets.pop().unwrap_or_else(SeriesSet::empty);
    }
    let mut union = Union { sets, members: Vec::new(), series: Vec::new() };
    let mut next = vec![0usize; union.sets.len()];
    let label = |sets: &[SeriesSet], set: usize, at: usize| {
        (at < sets[set].len()).then(|| sets[set].series(at).labels())
    };
    let mut heads: Vec<Option<Labels>> =
        (0..union.sets.len()).map(|set| label(&union.sets, set, 0)).collect();
    while let Some(first) = heads.iter().flatten().min().cloned() {
        for set in 0..heads.len() {
            if heads[set].as_ref() == Some(&first) {
                union.members.push((set as u32, next[set] as u32));
                next[set] += 1;
                heads[set] = label(&union.sets, set, next[set]);
            }
        }
        union.series.push((first, union.members.len()));
    }
    SeriesSet::new(Arc::new(union))
}

/// The same for those who need no order; the sets may be in any order, too. Costs a table of the series instead of comparing
/// their labels. The series come in the order of the last set, and then those that only others have: where the last set is the
/// head, whose neighbours are read together, that is six times as fast as the order of blocks.
pub(crate) fn union_unordered(mut sets: Vec<SeriesSet>) -> SeriesSet {
    sets.retain(|set| !set.is_empty() || !set.warnings().is_empty());
    if sets.len() < 2 {
        return sets.pop().unwrap_or_else(SeriesSet::empty);
    }
    let largest = sets.iter().map(SeriesSet::len).max().unwrap_or(0);
    let mut table: HashMap<Labels, u32, BuildHasherDefault<OwnHash>> =
        HashMap::with_capacity_and_hasher(largest, BuildHasherDefault::default());
    let mut series: Vec<(Labels, usize)> = Vec::with_capacity(largest);
    let mut index_of = |labels: Labels| {
        let index = *table.entry(labels).or_insert_with_key(|labels| {
            series.push((labels.clone(), 0));
            series.len() as u32 - 1
        });
        series[index as usize].1 += 1;
        index
    };
    let of_set = |set: &SeriesSet| (0..set.len()).map(|at| index_of(set.series(at).labels())).collect();
    let mut indices: Vec<Vec<u32>> = sets.iter().rev().map(of_set).collect();
    indices.reverse();
    // From how many members each has to where they begin, and in the loop below to where they end.
    let mut begin = 0;
    for (_, count) in &mut series {
        begin += std::mem::replace(count, begin);
    }
    let mut members = vec![(0, 0); begin];
    for (number, indices) in indices.into_iter().enumerate() {
        for (at, index) in indices.into_iter().enumerate() {
            let next = &mut series[index as usize].1;
            members[*next] = (number as u32, at as u32);
            *next += 1;
        }
    }
    SeriesSet::new(Arc::new(Union { sets, members, series }))
}

/// Labels know their hash.
#[derive(Default)]
struct OwnHash(u64);

impl Hasher for OwnHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not what labels do, but right for whatever they may do.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

struct Union {
    sets: Vec<SeriesSet>,
    /// Set and place in it, for every series of every set.
    members: Vec<(u32, u32)>,
    /// The labels of each series and where its members end.
    series: Vec<(Labels, usize)>,
}

impl Union {
    fn members(&self, index: usize) -> &[(u32, u32)] {
        let start = index.checked_sub(1).map_or(0, |before| self.series[before].1);
        &self.members[start..self.series[index].1]
    }

    /// Reads all of a series into `out`, if it is of one kind and its members lie behind one another; otherwise says no.
    fn read_apart(
        &self,
        index: usize,
        out: &mut Samples,
        mut read: impl FnMut(&mut SeriesReader<'_>, usize, &mut Samples) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut run = Samples::new();
        for (set, at) in self.members(index) {
            let mut reader = self.sets[*set as usize].series(*at as usize).reader();
            loop {
                let before = out.len();
                let first = before == 0;
                if !read(&mut reader, before, if first { &mut *out } else { &mut run })? {
                    break;
                }
                if !first && !append(out, &run) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// All samples of a series, as one run of floats and one of histograms.
    fn read_all(&self, index: usize) -> Result<(Column<f64>, Column<Arc<FloatHistogram>>), StoreError> {
        let (mut floats, mut histograms) = (Column::default(), Column::default());
        let mut run = Samples::new();
        for (set, at) in self.members(index) {
            let mut reader = self.sets[*set as usize].series(*at as usize).reader();
            while reader.read(&mut run)? {
                match &run.values {
                    Values::Floats(values) => floats.push(&run, values),
                    Values::Histograms(values) => histograms.push(&run, values),
                }
            }
        }
        floats.sort();
        if histograms.sort() {
            // What was known of resets was known of other neighbours.
            for histogram in histograms.values.iter_mut() {
                if ![CounterResetHint::Gauge, CounterResetHint::Unknown]
                    .contains(&histogram.counter_reset_hint)
                {
                    Arc::make_mut(histogram).counter_reset_hint = CounterResetHint::Unknown;
                }
            }
        }
        Ok((floats, histograms))
    }
}

/// Adds samples behind others, if they are of the same kind and later.
fn append(out: &mut Samples, run: &Samples) -> bool {
    if out.timestamps_ms.last() >= run.timestamps_ms.first() {
        return false;
    }
    match (&mut out.values, &run.values) {
        (Values::Floats(values), Values::Floats(more)) => values.extend_from_slice(more),
        (Values::Histograms(values), Values::Histograms(more)) => values.extend_from_slice(more),
        _ => return false,
    }
    if !out.start_timestamps_ms.is_empty() || !run.start_timestamps_ms.is_empty() {
        out.start_timestamps_ms.resize(out.timestamps_ms.len(), 0);
        out.start_timestamps_ms.extend_from_slice(&run.start_timestamps_ms);
        out.start_timestamps_ms.resize(out.timestamps_ms.len() + run.timestamps_ms.len(), 0);
    }
    out.timestamps_ms.extend_from_slice(&run.timestamps_ms);
    true
}

/// What [`Resume`] says when everything was read.
const ALL_READ: Resume = Resume { a: u64::MAX, b: u64::MAX };

/// Samples of one kind.
struct Column<V> {
    timestamps_ms: Vec<i64>,
    values: Vec<V>,
    starts_ms: Vec<i64>,
}

impl<V> Default for Column<V> {
    fn default() -> Column<V> {
        Column { timestamps_ms: Vec::new(), values: Vec::new(), starts_ms: Vec::new() }
    }
}

impl<V: Clone> Column<V> {
    fn push(&mut self, run: &Samples, values: &[V]) {
        if !run.start_timestamps_ms.is_empty() {
            self.starts_ms.resize(self.timestamps_ms.len(), 0);
            self.starts_ms.extend_from_slice(&run.start_timestamps_ms);
        }
        self.timestamps_ms.extend_from_slice(&run.timestamps_ms);
        self.values.extend_from_slice(values);
        if !self.starts_ms.is_empty() {
            self.starts_ms.resize(self.timestamps_ms.len(), 0);
        }
    }

    /// Brings the samples into order, of equal times the first. Says whether they were not.
    fn sort(&mut self) -> bool {
        if self.timestamps_ms.is_sorted_by(|before, after| before < after) {
            return false;
        }
        let mut order: Vec<usize> = (0..self.timestamps_ms.len()).collect();
        order.sort_by_key(|at| self.timestamps_ms[*at]);
        order.dedup_by_key(|at| self.timestamps_ms[*at]);
        self.values = order.iter().map(|at| self.values[*at].clone()).collect();
        if !self.starts_ms.is_empty() {
            self.starts_ms = order.iter().map(|at| self.starts_ms[*at]).collect();
        }
        self.timestamps_ms = order.iter().map(|at| self.timestamps_ms[*at]).collect();
        true
    }

    /// The part from `from` on that lies before `end_ms`.
    fn part(&self, from: usize, end_ms: Option<i64>) -> std::ops::Range<usize> {
        let rest = &self.timestamps_ms[from..];
        from..from + end_ms.map_or(rest.len(), |end_ms| rest.partition_point(|t_ms| *t_ms < end_ms))
    }

    fn starts(&self, part: std::ops::Range<usize>) -> Vec<i64> {
        self.starts_ms.get(part).map_or_else(Vec::new, <[i64]>::to_vec)
    }
}

impl SeriesSource for Union {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].0.clone()
    }

    /// A series is one run, unless floats and histograms take turns; then it is read anew for each run.
    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        if let [(set, at)] = self.members(index) {
            return self.sets[*set as usize].read(*at as usize, resume, out);
        }
        out.clear();
        if *resume == ALL_READ {
            return Ok(false);
        }
        if *resume == Resume::default() {
            if self.read_apart(index, out, |reader, _, out| reader.read(out))? {
                *resume = ALL_READ;
                return Ok(!out.is_empty());
            }
            out.clear();
        }
        let (floats, histograms) = self.read_all(index)?;
        let (float_at, histogram_at) = (resume.a as usize, resume.b as usize);
        let next = |times: &[i64], at: usize| times.get(at).copied();
        let (float_ms, histogram_ms) =
            (next(&floats.timestamps_ms, float_at), next(&histograms.timestamps_ms, histogram_at));
        let floats_first = match (float_ms, histogram_ms) {
            (None, None) => return Ok(false),
            (Some(float_ms), Some(histogram_ms)) => float_ms <= histogram_ms,
            (float_ms, _) => float_ms.is_some(),
        };
        if floats_first {
            // At one time a float hides a histogram.
            let part = floats.part(float_at, histogram_ms.map(|t_ms| t_ms.saturating_add(1)));
            let (timestamps_ms, values) = out.floats_mut();
            timestamps_ms.extend_from_slice(&floats.timestamps_ms[part.clone()]);
            values.extend_from_slice(&floats.values[part.clone()]);
            out.start_timestamps_ms = floats.starts(part.clone());
            let last_ms = floats.timestamps_ms[part.end - 1];
            resume.a = part.end as u64;
            resume.b += u64::from(histogram_ms == Some(last_ms));
        } else {
            let part = histograms.part(histogram_at, float_ms);
            let (timestamps_ms, values) = out.histograms_mut();
            timestamps_ms.extend_from_slice(&histograms.timestamps_ms[part.clone()]);
            values.extend_from_slice(&histograms.values[part.clone()]);
            out.start_timestamps_ms = histograms.starts(part.clone());
            resume.b = part.end as u64;
        }
        Ok(true)
    }

    /// Of members that do not lie behind one another nothing is left out.
    fn read_sparse(
        &self,
        index: usize,
        resume: &mut Resume,
        sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> Result<bool, StoreError> {
        gaps.clear();
        if let [(set, at)] = self.members(index) {
            return self.sets[*set as usize].read_sparse(*at as usize, resume, sparing, out, gaps);
        }
        if *resume != Resume::default() {
            return self.read(index, resume, out);
        }
        out.clear();
        let mut of_run = Vec::new();
        let apart = self.read_apart(index, out, |reader, before, run| {
            let read = reader.read_sparse(sparing, run, &mut of_run)?;
            gaps.extend(of_run.iter().map(|gap| Gap { after: gap.after + before, ..*gap }));
            Ok(read)
        })?;
        if !apart {
            gaps.clear();
            return self.read(index, resume, out);
        }
        *resume = ALL_READ;
        Ok(!out.is_empty())
    }

    fn warnings(&self) -> Vec<String> {
        self.sets.iter().flat_map(SeriesSet::warnings).collect()
    }
}
