//! `topk`, `bottomk`, `limitk`, `limit_ratio`: some of the series of each group, chosen anew at every step.
//!
//! Heaps of values and series ids, one per group and step, are filled as rows come; rows themselves are not kept. The heaps
//! work as Go's `container/heap`, because it decides which of equal values stays.

use std::collections::HashMap;

use kymo_model::format_float_g;
use xxhash_rust::xxh64::xxh64;

use super::aggregate::{Input, order_by_first};
use super::sort::by_value;
use crate::QueryError;
use crate::notes::Note;
use crate::row::{Block, Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Scratch, Series, Vector};

/// How many to keep at each step, at most as many as there are series.
pub(super) fn counts(k: &Scalar, steps: usize, series: usize) -> Result<Vec<u32>, QueryError> {
    if k.iter(steps).any(f64::is_nan) {
        return Err(QueryError::execution("Parameter value is NaN"));
    }
    let max = k.iter(steps).fold(f64::NEG_INFINITY, f64::max);
    if max < 1.0 {
        return Ok(vec![0; steps]);
    }
    let min = k.iter(steps).fold(f64::INFINITY, f64::min);
    if min <= i64::MIN as f64 {
        return Err(QueryError::execution(format!("Scalar value {} underflows int64", format_float_g(min))));
    }
    if max >= i64::MAX as f64 {
        return Err(QueryError::execution(format!("Scalar value {} overflows int64", format_float_g(max))));
    }
    let series = series.min(u32::MAX as usize) as i64;
    Ok(k.iter(steps).map(|k| (k as i64).clamp(0, series) as u32).collect())
}

/// A value and the series it is from.
#[derive(Clone, Copy, Default)]
struct Entry {
    value: f64,
    series: u32,
}

/// One heap per group and step, each of a fixed capacity, in one allocation.
struct Heaps {
    steps: usize,
    /// For each group how much a heap holds and where its heaps start.
    groups: Vec<(usize, usize)>,
    entries: Vec<Entry>,
    lengths: Vec<u32>,
    top: bool,
}

impl Heaps {
    fn slot(&mut self, group: usize, step: usize) -> (&mut [Entry], &mut u32) {
        let (capacity, start) = self.groups[group];
        let entries = &mut self.entries[start + step * capacity..][..capacity];
        (entries, &mut self.lengths[group * self.steps + step])
    }

    /// The entries of a heap, best first.
    fn ordered(&mut self, group: usize, step: usize) -> Vec<Entry> {
        let top = self.top;
        let (entries, length) = self.slot(group, step);
        let mut entries = entries[..*length as usize].to_vec();
        entries.sort_by(|a, b| by_value(a.value, b.value, top));
        entries
    }
}

/// Is `a` the one to go first when the heap is full? NaN always is.
fn worse(a: f64, b: f64, top: bool) -> bool {
    a.is_nan() || if top { a < b } else { a > b }
}

fn push(heap: &mut [Entry], length: &mut u32, entry: Entry, top: bool) {
    let mut at = *length as usize;
    heap[at] = entry;
    *length += 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if !worse(heap[at].value, heap[parent].value, top) {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

fn sift_down(heap: &mut [Entry], top: bool) {
    let mut at = 0;
    loop {
        let left = 2 * at + 1;
        if left >= heap.len() {
            break;
        }
        let right = left + 1;
        let child =
            if right < heap.len() && worse(heap[right].value, heap[left].value, top) { right } else { left };
        if !worse(heap[child].value, heap[at].value, top) {
            break;
        }
        heap.swap(at, child);
        at = child;
    }
}

/// The most extreme samples of each group at one time.
pub(super) struct Chosen {
    most: usize,
    top: bool,
    heaps: Vec<Vec<Entry>>,
}

impl Chosen {
    /// At most `most` of each group.
    pub(super) fn new(most: usize, top: bool) -> Chosen {
        Chosen { most, top, heaps: Vec::new() }
    }

    /// Takes a sample if it is among the most extreme; gives how many bytes it takes more.
    pub(super) fn offer(&mut self, group: usize, series: u32, value: f64) -> usize {
        let (entry, mut more) = (Entry { value, series }, 0);
        if group >= self.heaps.len() {
            more = (group + 1 - self.heaps.len()) * size_of::<Vec<Entry>>();
            self.heaps.resize_with(group + 1, Vec::new);
        }
        let heap = &mut self.heaps[group];
        if heap.len() < self.most {
            let mut length = heap.len() as u32;
            heap.push(entry);
            push(heap, &mut length, entry, self.top);
            more += size_of::<Entry>();
        } else if replaces(entry.value, heap[0].value, self.top) {
            heap[0] = entry;
            sift_down(heap, self.top);
        }
        more
    }

    /// Series and values, in the order of the first series of groups, best first.
    pub(super) fn ordered(mut self, first: &[usize]) -> impl Iterator<Item = (u32, f64)> {
        let top = self.top;
        order_by_first(first).into_iter().flat_map(move |group| {
            let mut heap = self.heaps.get_mut(group).map(std::mem::take).unwrap_or_default();
            heap.sort_by(|a, b| by_value(a.value, b.value, top));
            heap.into_iter().map(|entry| (entry.series, entry.value))
        })
    }
}

/// Is a value better than the worst of a full heap?
fn replaces(value: f64, worst: f64, top: bool) -> bool {
    let better = if top { worst < value } else { worst > value };
    better || (worst.is_nan() && !value.is_nan())
}

/// `topk`, `bottomk`.
pub(super) fn extremes(input: Input<'_>, k: Scalar, top: bool) -> Result<Vector<'_>, QueryError> {
    let Input { context, vector, grid, groups, plan } = input;
    let counts = counts(&k, grid.steps, vector.len()).map_err(|e| e.at(plan.param_span))?;
    let most = counts.iter().copied().max().unwrap_or(0) as usize;
    if most == 0 || vector.len() == 0 {
        vector.note_rows(context, 0..vector.len())?;
        return Ok(Vector::empty());
    }
    let mut start = 0usize;
    let capacities = groups.members().into_iter().map(|members| {
        let capacity = members.len().min(most);
        let group = (capacity, start);
        start = start.saturating_add(capacity.saturating_mul(grid.steps));
        group
    });
    let capacities = capacities.collect();
    let _held = context.budget.hold_bytes(start.saturating_mul(size_of::<Entry>()))?;
    let mut heaps = Heaps {
        steps: grid.steps,
        groups: capacities,
        entries: vec![Entry::default(); start],
        lengths: vec![0; groups.len() * grid.steps],
        top,
    };
    let mut first: Vec<Option<usize>> = vec![None; groups.len()];
    vector.each_row(context, grid.steps, |at, row| {
        if row.valid.any() {
            first[groups.of_series[at] as usize].get_or_insert(at);
        }
        let ignored = |step: &usize| counts[*step] > 0;
        if row.histogram_steps().iter().any(ignored) {
            let name = if top { "topk" } else { "bottomk" };
            context.notes.add(Note::IgnoredInAggregation(name), plan.span);
        }
        row.floats_only();
        let group = groups.of_series[at] as usize;
        for step in row.valid.iter() {
            let entry = Entry { value: row.values[step], series: at as u32 };
            let (heap, length) = heaps.slot(group, step);
            let room = (counts[step] as usize).min(heap.len());
            if (*length as usize) < room {
                push(heap, length, entry, top);
            } else if room > 0 && replaces(entry.value, heap[0].value, top) {
                heap[0] = entry;
                sift_down(&mut heap[..room], top);
            }
        }
        Ok(())
    })?;
    let order = order_by_first(&groups.first_with_values(&first));
    collect(context, &vector, heaps, &order, grid.steps)
}

/// The chosen series with their points; in an instant query in the order of the groups, best first.
fn collect<'q>(
    context: &crate::context::Context,
    vector: &Vector<'q>,
    mut heaps: Heaps,
    groups: &[usize],
    steps: usize,
) -> Result<Vector<'q>, QueryError> {
    let mut numbers: HashMap<u32, usize> = HashMap::new();
    let mut chosen: Vec<u32> = Vec::new();
    let mut points: Vec<(usize, usize, f64)> = Vec::new();
    let mut held = context.budget.nothing();
    for group in groups {
        for step in 0..steps {
            for entry in heaps.ordered(*group, step) {
                let number = *numbers.entry(entry.series).or_insert(chosen.len());
                if number == chosen.len() {
                    chosen.push(entry.series);
                }
                points.push((number, step, entry.value));
            }
        }
    }
    held.more(points.len(), points.len().saturating_mul(24))?;
    let mut block = Block::zeros(chosen.len(), steps, &context.budget)?;
    for (number, step, value) in points {
        block.set(number, step, value);
    }
    let series = chosen.iter().map(|at| vector.series[*at as usize].clone()).collect();
    Ok(Vector { series, rows: Box::new(block), one_name: vector.one_name })
}

/// `limitk`: the first series of each group that have a value.
pub(super) fn limit(input: Input<'_>, k: Scalar) -> Result<Vector<'_>, QueryError> {
    let Input { context, vector, grid, groups, plan } = input;
    let counts = counts(&k, grid.steps, vector.len()).map_err(|e| e.at(plan.param_span))?;
    let cells = groups.len().saturating_mul(grid.steps);
    let _held = context.budget.hold_bytes(cells.saturating_mul(4))?;
    let mut taken = vec![0u32; cells];
    let mut block = Block::new(grid.steps, &context.budget);
    let mut series: Vec<Series> = Vec::new();
    vector.each_row(context, grid.steps, |at, row| {
        let taken = &mut taken[groups.of_series[at] as usize * grid.steps..][..grid.steps];
        row.valid.retain(|step| {
            let room = taken[step] < counts[step];
            taken[step] += u32::from(room);
            room
        });
        if row.valid.any() {
            block.push(row)?;
            series.push(vector.series[at].clone());
        }
        Ok(())
    })?;
    Ok(Vector { series, rows: Box::new(block), one_name: vector.one_name })
}

/// `limit_ratio`: the series whose hash, as a fraction of all hashes, is below the ratio, or above what it leaves.
pub(super) fn limit_ratio(input: Input<'_>, ratio: Scalar) -> Result<Vector<'_>, QueryError> {
    let Input { context, vector, grid, plan, .. } = input;
    if ratio.iter(grid.steps).all(|r| r == 0.0) {
        vector.note_rows(context, 0..vector.len())?;
        return Ok(Vector::empty());
    }
    if ratio.iter(grid.steps).any(f64::is_nan) {
        return Err(QueryError::execution("Ratio value is NaN").at(plan.param_span));
    }
    let max = ratio.iter(grid.steps).fold(f64::NEG_INFINITY, f64::max);
    let min = ratio.iter(grid.steps).fold(f64::INFINITY, f64::min);
    if max > 1.0 {
        context.notes.add_after(Note::InvalidRatio(max.into(), 1.0.into()), plan.param_span, plan.span);
    }
    if min < -1.0 {
        context.notes.add_after(Note::InvalidRatio(min.into(), (-1.0).into()), plan.param_span, plan.span);
    }
    let offsets = vector.series.iter().map(|s| prometheus_hash(s) as f64 / u64::MAX as f64).collect();
    let Vector { series, rows, one_name } = vector;
    let rows = Sampled { input: rows, offsets, ratio: ratio.map(|r| r.clamp(-1.0, 1.0)) };
    Ok(Vector { series, rows: Box::new(rows), one_name })
}

struct Sampled<'q> {
    input: Box<dyn Rows + 'q>,
    offsets: Vec<f64>,
    ratio: Scalar,
}

impl Rows for Sampled<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.input.fill(index, scratch, out)?;
        let offset = self.offsets[index];
        out.valid.retain(|step| {
            let ratio = self.ratio.at(step);
            if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
        });
        Ok(())
    }

    fn may_note(&self) -> bool {
        self.input.may_note()
    }
}

/// The hash of labels as Prometheus lays them out: for each label two strings, each after its length in one byte, or 255 and
/// three bytes.
fn prometheus_hash(series: &Series) -> u64 {
    let mut bytes = Vec::new();
    for part in series.iter().flat_map(|(name, value)| [name, value]) {
        if part.len() < 255 {
            bytes.push(part.len() as u8);
        } else {
            bytes.push(255);
            bytes.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    xxh64(&bytes, 0)
}
