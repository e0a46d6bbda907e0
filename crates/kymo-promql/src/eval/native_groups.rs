//! Native histograms in `sum` and `avg`: one total per group and step, held only where histograms are.
//!
//! A group that has floats and histograms at a step, or histograms with exponential and with custom buckets, has no value
//! there. Histograms are added in the order of series, as floats are.

use std::sync::Arc;

use kymo_model::{FloatHistogram, IncompatibleHistograms};

use crate::QueryError;
use crate::budget::Held;
use crate::context::Context;
use crate::native::{self, Finding, Findings};
use crate::notes::Note;
use crate::plan::AggregatePlan;
use crate::row::Row;

/// What becomes of the histograms of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Histograms {
    Sum,
    Mean,
    /// They count as samples like any other.
    Present,
    /// They are left out, with an info that names the aggregation.
    Ignored(&'static str),
}

pub(super) struct NativeGroups<'q> {
    context: &'q Context,
    plan: &'q AggregatePlan,
    wanted: Histograms,
    steps: usize,
    /// By group and step; the lists stay empty until there is a histogram.
    cells: Vec<Vec<Option<Box<Cell>>>>,
    held: Held,
}

/// A group at a step at which it has a histogram.
struct Cell {
    /// None once it is clear that there will be no value.
    total: Option<Total>,
    /// Buckets did not go together; nothing that comes later counts.
    closed: bool,
}

enum Total {
    Sum(native::Sum),
    Mean(native::Mean),
}

impl Total {
    fn add(&mut self, histogram: &FloatHistogram) -> Result<(), IncompatibleHistograms> {
        match self {
            Total::Sum(sum) => sum.add(histogram),
            Total::Mean(mean) => mean.add(histogram),
        }
    }

    fn finish(self) -> (FloatHistogram, Findings) {
        match self {
            Total::Sum(sum) => sum.finish(),
            Total::Mean(mean) => mean.finish(),
        }
    }
}

impl<'q> NativeGroups<'q> {
    pub(super) fn new(
        context: &'q Context,
        plan: &'q AggregatePlan,
        wanted: Histograms,
        steps: usize,
    ) -> NativeGroups<'q> {
        let held = context.budget.nothing();
        NativeGroups { context, plan, wanted, steps, cells: Vec::new(), held }
    }

    /// Has there been no histogram to add up?
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Are histograms added up, rather than counted?
    pub(super) fn are_summed(&self) -> bool {
        matches!(self.wanted, Histograms::Sum | Histograms::Mean)
    }

    /// Prepares a row for the loops over floats: leaves out histograms that do not count.
    pub(super) fn filter(&self, row: &mut Row) {
        if let Histograms::Ignored(name) = self.wanted
            && row.floats_only()
        {
            self.context.notes.add(Note::IgnoredInAggregation(name), self.plan.input_span);
        }
    }

    /// Does no further sample count for this group at this step?
    pub(super) fn is_closed(&self, group: usize, step: usize) -> bool {
        let cell = self.cells.get(group).and_then(|cells| cells.get(step)?.as_ref());
        cell.is_some_and(|cell| cell.closed)
    }

    /// Takes a histogram of the metric `name`. `mixed`: the group has a float at this step already.
    pub(super) fn add(
        &mut self,
        (group, step): (usize, usize),
        histogram: &Arc<FloatHistogram>,
        mixed: bool,
        name: &str,
    ) -> Result<(), QueryError> {
        if self.cells.len() <= group {
            self.cells.resize_with(group + 1, Vec::new);
        }
        let cells = &mut self.cells[group];
        if cells.is_empty() {
            self.held.more(0, self.steps.saturating_mul(8))?;
            cells.resize_with(self.steps, || None);
        }
        let Some(cell) = &mut cells[step] else {
            let total = (!mixed).then(|| match self.wanted {
                Histograms::Mean => Total::Mean(native::Mean::of(histogram)),
                _ => Total::Sum(native::Sum::of(histogram)),
            });
            let weight = histogram.sample_weight();
            self.held.more(weight, weight.saturating_mul(16))?;
            cells[step] = Some(Box::new(Cell { total, closed: false }));
            return Ok(());
        };
        if let Some(total) = &mut cell.total
            && !cell.closed
            && total.add(histogram).is_err()
        {
            cell.closed = true;
            self.context.notes.add(Note::MixedBuckets(name.to_owned()), self.plan.input_span);
        }
        Ok(())
    }

    /// What it counts for in the budget, to be kept.
    pub(super) fn into_held(self) -> Held {
        self.held
    }

    /// Puts the totals of a group into its row, whose bits say at which steps the group has floats.
    pub(super) fn finish(&mut self, group: usize, row: &mut Row) {
        let Some(cells) = self.cells.get_mut(group) else { return };
        let mut found = Findings::default();
        let mut mixed = false;
        for (step, cell) in std::mem::take(cells).into_iter().enumerate() {
            let Some(Cell { total, closed }) = cell.map(|cell| *cell) else { continue };
            let has_floats = row.valid.get(step);
            mixed |= has_floats;
            row.valid.clear(step);
            let Some(total) = total else { continue };
            let (mut total, findings) = total.finish();
            if has_floats || closed {
                let told = |finding: &Finding| matches!(finding, Finding::BoundsReconciled(_));
                findings.iter().filter(told).for_each(|finding| found.add(finding));
                continue;
            }
            found.merge(findings);
            total.compact(0);
            row.set_histogram(step, Arc::new(total));
        }
        let notes = &self.context.notes;
        if mixed {
            notes.add(Note::MixedGroup, self.plan.input_span);
        }
        found.iter().for_each(|finding| notes.add(Note::of_finding(finding, ""), self.plan.input_span));
    }
}
