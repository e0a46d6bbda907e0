//! Row and Block: values between operators. One value per step, a bit that says whether there is one, and beside the floats
//! the steps whose value is a native histogram.
//!
//! Floats and histograms at steps without a bit are left over from earlier and mean nothing. Where there is a bit, the value
//! is the histogram if the row has one for that step, the float otherwise. Rows of floats alone, nearly all of them, carry an
//! empty list of histograms and pay nothing else.

use std::sync::Arc;

use kymo_model::FloatHistogram;

use crate::bits::{Bits, words_of};
use crate::budget::{Budget, Held};
use crate::{QueryError, vector::Scratch};

/// The values of one series, one per step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) values: Vec<f64>,
    pub(crate) valid: Bits,
    pub(crate) histograms: Histograms,
}

/// The native histograms of a row by step; empty, not merely without any, for rows of floats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histograms(Vec<Option<Arc<FloatHistogram>>>);

impl Histograms {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The histogram at a step, left over or not: ask the row's bits first.
    pub(crate) fn get(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.0.get(step)?.as_ref()
    }

    fn set(&mut self, step: usize, steps: usize, histogram: Arc<FloatHistogram>) {
        if self.0.is_empty() {
            self.0.resize(steps, None);
        }
        self.0[step] = Some(histogram);
    }

    fn remove(&mut self, step: usize) {
        if let Some(histogram) = self.0.get_mut(step) {
            *histogram = None;
        }
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    /// Moves those that nobody else has to `spare`, and leaves out the others.
    pub(crate) fn give_up(&mut self, spare: &mut Vec<Arc<FloatHistogram>>) {
        spare.extend(self.0.drain(..).flatten().filter(|histogram| Arc::strong_count(histogram) == 1));
    }
}

/// The value at a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Point<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

impl Row {
    /// No values; room for `steps`.
    pub(crate) fn reset(&mut self, steps: usize) {
        self.values.resize(steps, 0.0);
        self.valid.reset(steps);
        self.histograms.clear();
    }

    /// Sets a float in a row that has no histogram at this step.
    pub(crate) fn set(&mut self, step: usize, value: f64) {
        debug_assert!(self.histograms.get(step).is_none());
        self.values[step] = value;
        self.valid.set(step);
    }

    pub(crate) fn set_histogram(&mut self, step: usize, histogram: Arc<FloatHistogram>) {
        self.histograms.set(step, self.values.len(), histogram);
        self.valid.set(step);
    }

    /// Sets a value of either kind, whatever was there before.
    pub(crate) fn put(&mut self, step: usize, point: Point<'_>) {
        match point {
            Point::Float(value) => {
                self.histograms.remove(step);
                self.set(step, value);
            }
            Point::Histogram(histogram) => self.set_histogram(step, histogram.clone()),
        }
    }

    /// The value at a step.
    pub(crate) fn point(&self, step: usize) -> Option<Point<'_>> {
        self.valid.get(step).then(|| match self.histograms.get(step) {
            Some(histogram) => Point::Histogram(histogram),
            None => Point::Float(self.values[step]),
        })
    }

    /// The float at a step.
    pub(crate) fn get(&self, step: usize) -> Option<f64> {
        (self.valid.get(step) && self.histograms.get(step).is_none()).then(|| self.values[step])
    }

    /// The histogram at a step.
    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.get(step).filter(|_| self.valid.get(step))
    }

    /// Is any value a float?
    pub(crate) fn has_floats(&self) -> bool {
        match self.histograms.is_empty() {
            true => self.valid.any(),
            false => self.valid.iter().any(|step| self.histograms.get(step).is_none()),
        }
    }

    /// The steps whose value is a histogram.
    pub(crate) fn histogram_steps(&self) -> Vec<usize> {
        match self.histograms.is_empty() {
            true => Vec::new(),
            false => self.valid.iter().filter(|step| self.histograms.get(*step).is_some()).collect(),
        }
    }

    /// Leaves out histograms. Says whether there were any.
    pub(crate) fn floats_only(&mut self) -> bool {
        if self.histograms.is_empty() {
            return false;
        }
        let histograms = &self.histograms;
        let before = self.valid.count();
        self.valid.retain(|step| histograms.get(step).is_none());
        self.histograms.clear();
        self.valid.count() != before
    }

    /// Leaves out floats.
    pub(crate) fn histograms_only(&mut self) {
        let histograms = &self.histograms;
        self.valid.retain(|step| histograms.get(step).is_some());
    }

    /// Turns histograms into floats, and leaves out what was a float.
    pub(crate) fn measure_histograms(&mut self, f: impl Fn(&FloatHistogram) -> f64) {
        let (histograms, values) = (&self.histograms, &mut self.values);
        self.valid.retain(|step| match histograms.get(step) {
            Some(histogram) => {
                values[step] = f(histogram);
                true
            }
            None => false,
        });
        self.histograms.clear();
    }

    /// Replaces every value by a float that depends on its step alone.
    pub(crate) fn overwrite(&mut self, f: impl Fn(usize) -> f64) {
        self.histograms.clear();
        self.values.iter_mut().enumerate().for_each(|(step, value)| *value = f(step));
    }

    /// Changes every histogram.
    pub(crate) fn map_histograms(&mut self, f: impl Fn(&mut FloatHistogram)) {
        for step in self.histogram_steps() {
            if let Some(histogram) = self.histograms.0.get_mut(step).and_then(Option::as_mut) {
                f(Arc::make_mut(histogram));
            }
        }
    }

    /// Replaces every float, those that mean nothing included, so that the loop has no branches.
    pub(crate) fn map(&mut self, f: impl Fn(f64) -> f64) {
        for value in &mut self.values {
            *value = f(*value);
        }
    }

    /// As many samples as the budget counts for this row.
    pub(crate) fn weight(&self) -> usize {
        let points = self.valid.count();
        if self.histograms.is_empty() {
            return points;
        }
        let of_histograms = self.histogram_steps().into_iter().filter_map(|step| self.histograms.get(step));
        of_histograms.fold(points, |sum, h| sum - 1 + h.sample_weight())
    }
}

impl Row {
    /// The same for each step with a value.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let weight = |step: usize| self.histograms.get(step).map_or(1, |histogram| histogram.sample_weight());
        self.valid.iter().map(move |step| (step, weight(step)))
    }
}

/// Anything that can compute the rows of a list of series, one at a time, in any order, from several threads.
pub(crate) trait Rows: Send + Sync {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError>;

    /// May computing a row note something for the reader? Then each row has to be computed once, also where its values are not
    /// needed.
    fn may_note(&self) -> bool {
        true
    }
}

/// Rows kept in memory, one after the other in one allocation.
pub(crate) struct Block {
    steps: usize,
    rows: usize,
    values: Vec<f64>,
    valid: Vec<u64>,
    /// By row, up to the last one that has any.
    histograms: Vec<Histograms>,
    held: Held,
}

impl Block {
    pub(crate) fn new(steps: usize, budget: &Budget) -> Block {
        let held = budget.nothing();
        Block { steps, rows: 0, values: Vec::new(), valid: Vec::new(), histograms: Vec::new(), held }
    }

    /// Room for so many rows, which are counted as they come; an error if they would not fit.
    pub(crate) fn with_room(rows: usize, steps: usize, budget: &Budget) -> Result<Block, QueryError> {
        drop(budget.hold_rows(rows, steps)?);
        let mut block = Block::new(steps, budget);
        block.values.reserve_exact(rows * steps);
        block.valid.reserve_exact(rows * words_of(steps));
        Ok(block)
    }

    /// Rows without any value.
    pub(crate) fn zeros(rows: usize, steps: usize, budget: &Budget) -> Result<Block, QueryError> {
        let held = budget.hold_rows(rows, steps)?;
        Ok(Block {
            steps,
            rows,
            values: vec![0.0; rows * steps],
            valid: vec![0; rows * words_of(steps)],
            histograms: Vec::new(),
            held,
        })
    }

    pub(crate) fn push(&mut self, row: &Row) -> Result<(), QueryError> {
        self.held.more(row.weight(), self.steps * 8 + words_of(self.steps) * 8)?;
        if !row.histograms.is_empty() {
            self.held.more(0, row.weight().saturating_mul(16))?;
            self.histograms.resize_with(self.rows + 1, Histograms::default);
            self.histograms[self.rows] = row.histograms.clone();
        }
        self.rows += 1;
        self.values.extend_from_slice(&row.values[..self.steps]);
        self.valid.extend_from_slice(row.valid.words());
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn values(&self, row: usize) -> &[f64] {
        &self.values[row * self.steps..][..self.steps]
    }

    /// Has a row a value at every step?
    pub(crate) fn is_full(&self, row: usize) -> bool {
        self.words(row).iter().map(|word| word.count_ones() as usize).sum::<usize>() == self.steps
    }

    pub(crate) fn words(&self, row: usize) -> &[u64] {
        let words = words_of(self.steps);
        &self.valid[row * words..][..words]
    }

    /// The histograms of a row, if it has any.
    pub(crate) fn histograms(&self, row: usize) -> Option<&Histograms> {
        self.histograms.get(row).filter(|histograms| !histograms.is_empty())
    }

    /// Is there a value of either kind?
    pub(crate) fn has(&self, row: usize, step: usize) -> bool {
        self.words(row)[step / 64] >> (step % 64) & 1 == 1
    }

    /// The float at a step.
    pub(crate) fn get(&self, row: usize, step: usize) -> Option<f64> {
        (self.has(row, step) && self.histograms.get(row).and_then(|h| h.get(step)).is_none())
            .then(|| self.values(row)[step])
    }

    pub(crate) fn set(&mut self, row: usize, step: usize, value: f64) {
        self.values[row * self.steps + step] = value;
        self.valid[row * words_of(self.steps) + step / 64] |= 1 << (step % 64);
    }

    pub(crate) fn copy(&self, row: usize, out: &mut Row) {
        out.reset(self.steps);
        out.values.copy_from_slice(self.values(row));
        out.valid.copy_from(self.words(row));
        if let Some(histograms) = self.histograms(row) {
            out.histograms.clone_from(histograms);
        }
    }
}

impl Rows for Block {
    fn fill(&self, index: usize, _: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.copy(index, out);
        Ok(())
    }

    fn may_note(&self) -> bool {
        false
    }
}
