//! Row and Block: values between operators. One dense `f64` per step and a bit that says whether it counts.
//!
//! Values at steps without a bit are left over from earlier and mean nothing. A row of native histograms will be a second
//! kind of column beside `values`, with a bitmap of its own; floats then stay as they are.

use crate::bits::{Bits, words_of};
use crate::budget::{Budget, Held};
use crate::{QueryError, vector::Scratch};

/// The values of one series, one per step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) values: Vec<f64>,
    pub(crate) valid: Bits,
}

impl Row {
    /// No values; room for `steps`.
    pub(crate) fn reset(&mut self, steps: usize) {
        self.values.resize(steps, 0.0);
        self.valid.reset(steps);
    }

    pub(crate) fn set(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.valid.set(step);
    }

    pub(crate) fn get(&self, step: usize) -> Option<f64> {
        self.valid.get(step).then(|| self.values[step])
    }

    /// Replaces every value, those that mean nothing included, so that the loop has no branches.
    pub(crate) fn map(&mut self, f: impl Fn(f64) -> f64) {
        for value in &mut self.values {
            *value = f(*value);
        }
    }
}

/// Anything that can compute the rows of a list of series, one at a time, in any order, from several threads.
pub(crate) trait Rows: Send + Sync {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError>;
}

/// Rows kept in memory, one after the other in one allocation.
pub(crate) struct Block {
    steps: usize,
    rows: usize,
    values: Vec<f64>,
    valid: Vec<u64>,
    held: Held,
}

impl Block {
    pub(crate) fn new(steps: usize, budget: &Budget) -> Block {
        Block { steps, rows: 0, values: Vec::new(), valid: Vec::new(), held: budget.nothing() }
    }

    /// Rows without any value.
    pub(crate) fn zeros(rows: usize, steps: usize, budget: &Budget) -> Result<Block, QueryError> {
        let held = budget.hold_rows(rows, steps)?;
        Ok(Block {
            steps,
            rows,
            values: vec![0.0; rows * steps],
            valid: vec![0; rows * words_of(steps)],
            held,
        })
    }

    pub(crate) fn push(&mut self, row: &Row) -> Result<(), QueryError> {
        let points = row.valid.count();
        self.held.more(points, self.steps * 8 + words_of(self.steps) * 8)?;
        self.rows += 1;
        self.values.extend_from_slice(&row.values[..self.steps]);
        self.valid.extend_from_slice(row.valid.words());
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn values(&self, row: usize) -> &[f64] {
        &self.values[row * self.steps..][..self.steps]
    }

    pub(crate) fn words(&self, row: usize) -> &[u64] {
        let words = words_of(self.steps);
        &self.valid[row * words..][..words]
    }

    pub(crate) fn get(&self, row: usize, step: usize) -> Option<f64> {
        (self.words(row)[step / 64] >> (step % 64) & 1 == 1).then(|| self.values(row)[step])
    }

    pub(crate) fn set(&mut self, row: usize, step: usize, value: f64) {
        self.values[row * self.steps + step] = value;
        self.valid[row * words_of(self.steps) + step / 64] |= 1 << (step % 64);
    }

    pub(crate) fn copy(&self, row: usize, out: &mut Row) {
        out.reset(self.steps);
        out.values.copy_from_slice(self.values(row));
        out.valid.copy_from(self.words(row));
    }
}

impl Rows for Block {
    fn fill(&self, index: usize, _: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.copy(index, out);
        Ok(())
    }
}
