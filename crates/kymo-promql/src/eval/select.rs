//! Instant selectors: the last value of each series at each step, or a time of that value; smoothed, values on the line
//! between samples.

use kymo_promql_syntax::ast::Span;

use crate::QueryError;
use crate::columns::StartTimes;
use crate::context::Context;
use crate::grid::Grid;
use crate::kernel::{
    last_points, last_starts, last_times, last_times_of_both, last_values, smoothed_points, smoothed_values,
};
use crate::native::Findings;
use crate::notes::{Note, label_list};
use crate::plan::SelectPlan;
use crate::row::{Row, Rows};
use crate::vector::{Scratch, Series, Vector};

struct Selected<'q> {
    context: &'q Context,
    selection: usize,
    grid: Grid,
    track: Grid,
    wanted: Wanted,
    /// Are counts and sums of histograms enough?
    bucketless: bool,
}

/// What of each sample is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    Value,
    Time,
    /// The time of a sample that must be a float.
    TimeOfFloat,
    /// When the counter began.
    Start,
    /// A value between samples; notes name this place.
    Smoothed(Span),
}

pub(super) fn select<'q>(context: &'q Context, plan: &SelectPlan, grid: Grid) -> Vector<'q> {
    selected(context, plan, grid, plan.smoothed.map_or(Wanted::Value, Wanted::Smoothed))
}

/// `timestamp(selector)`.
pub(super) fn times<'q>(
    context: &'q Context,
    plan: &SelectPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    super::map::drop_names(context, selected(context, plan, grid, Wanted::Time))
}

/// `start_timestamp(selector)`: nothing unless start timestamps are in use.
pub(super) fn starts<'q>(
    context: &'q Context,
    plan: &SelectPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    if !context.use_start_timestamps {
        return Ok(Vector::empty());
    }
    super::map::drop_names(context, selected(context, plan, grid, Wanted::Start))
}

/// The times of samples that must be floats, for `info`.
pub(super) fn times_of_floats<'q>(context: &'q Context, plan: &SelectPlan, grid: Grid) -> Vector<'q> {
    selected(context, plan, grid, Wanted::TimeOfFloat)
}

fn selected<'q>(context: &'q Context, plan: &SelectPlan, grid: Grid, wanted: Wanted) -> Vector<'q> {
    let set = &context.sets[plan.selection];
    let series = set.series.iter().map(|s| Series::new(s.labels())).collect();
    let track = plan.shift.track(grid);
    let rows =
        Selected { context, selection: plan.selection, grid, track, wanted, bucketless: plan.bucketless };
    Vector { series, rows: Box::new(rows), one_name: set.one_name }
}

impl Rows for Selected<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        if let (Wanted::Value, 1) = (self.wanted, self.track.steps)
            && self.newest(index, scratch, out)
        {
            return Ok(());
        }
        let lookback_ms = self.context.lookback_ms;
        let starts = StartTimes::from(matches!(self.wanted, Wanted::Start));
        let Scratch { columns, budget, .. } = scratch;
        columns.load(self.context, budget, (self.selection, index), starts, None)?;
        if self.bucketless {
            scratch.columns.forget_buckets(self.track, lookback_ms);
        }
        if let Wanted::Smoothed(_) = self.wanted {
            scratch.columns.drop_stale();
        }
        let (floats, natives) = (scratch.columns.floats(), scratch.columns.natives());
        scratch.pulse.tick(floats.times.len() + natives.times.len())?;
        out.reset(self.track.steps);
        let both = (floats, natives);
        match (self.wanted, natives.times.is_empty()) {
            (Wanted::Value, true) => last_values(floats, self.track, lookback_ms, out),
            (Wanted::Value, false) => last_points(both, self.track, lookback_ms, out),
            (Wanted::Smoothed(_), true) => smoothed_values(floats, self.track, lookback_ms, out),
            (Wanted::Smoothed(span), false) => {
                let (findings, mixed) = smoothed_points(both, self.track, lookback_ms, out);
                self.note(index, span, findings, mixed);
            }
            (Wanted::Start, _) => last_starts(both, self.track, lookback_ms, out),
            (_, true) => last_times(floats, self.track, lookback_ms, out),
            (Wanted::Time, false) => last_times_of_both(both, self.track, lookback_ms, out),
            (Wanted::TimeOfFloat, false) => {
                last_points(both, self.track, lookback_ms, out);
                if !out.histogram_steps().is_empty() {
                    return Err(self.not_a_float(index));
                }
                last_times_of_both(both, self.track, lookback_ms, out);
            }
        }
        self.context.counters.looked_at(self.grid, out.weight(), || out.weights());
        Ok(())
    }

    fn may_note(&self) -> bool {
        matches!(self.wanted, Wanted::Smoothed(_) | Wanted::TimeOfFloat)
    }
}

impl Selected<'_> {
    /// Takes the sample that the store has at hand; says whether it has one.
    fn newest(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> bool {
        let set = &self.context.sets[self.selection];
        let Some((t_ms, value)) = set.newest(index) else { return false };
        let at = self.track.start;
        let is_there =
            t_ms <= at && t_ms > at.saturating_sub(self.context.lookback_ms) && !kymo_model::is_stale(value);
        out.reset(1);
        if is_there {
            out.set(0, value);
        }
        scratch.tally.one(&set.samples_read, self.grid, is_there);
        true
    }

    fn note(&self, index: usize, span: Span, findings: Findings, mixed: bool) {
        let labels = self.context.sets[self.selection].series.series(index).labels();
        let metric = labels.metric_name().unwrap_or("");
        let notes = &self.context.notes;
        if mixed {
            notes.add(Note::MixedRange(metric.to_owned()), span);
        }
        findings.iter().for_each(|finding| notes.add(Note::of_finding(finding, metric), span));
    }

    fn not_a_float(&self, index: usize) -> QueryError {
        let labels = self.context.sets[self.selection].series.series(index).labels();
        let labels = label_list(&labels);
        QueryError::execution(format!("this should be an info metric, with float samples: {labels}"))
    }
}
