//! Instant selectors: the last value of each series at each step, or the time of that value.

use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::kernel::{last_points, last_times, last_times_of_both, last_values};
use crate::plan::SelectPlan;
use crate::row::{Row, Rows};
use crate::vector::{Scratch, Series, Vector};

struct Selected<'q> {
    context: &'q Context,
    selection: usize,
    track: Grid,
    times: bool,
}

pub(super) fn select<'q>(context: &'q Context, plan: &SelectPlan, grid: Grid) -> Vector<'q> {
    selected(context, plan, grid, false)
}

/// `timestamp(selector)`.
pub(super) fn times<'q>(
    context: &'q Context,
    plan: &SelectPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    super::map::drop_names(context, selected(context, plan, grid, true))
}

/// The times of samples that must be floats, for `info`.
pub(super) fn times_of_floats<'q>(context: &'q Context, plan: &SelectPlan, grid: Grid) -> Vector<'q> {
    selected(context, plan, grid, true)
}

fn selected<'q>(context: &'q Context, plan: &SelectPlan, grid: Grid, times: bool) -> Vector<'q> {
    let set = &context.sets[plan.selection];
    let series = set.series.iter().map(|s| Series::new(s.labels())).collect();
    let track = plan.shift.track(grid);
    let rows = Selected { context, selection: plan.selection, track, times };
    Vector { series, rows: Box::new(rows), one_name: set.one_name }
}

impl Rows for Selected<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let lookback_ms = self.context.lookback_ms;
        scratch.columns.load(self.context, self.selection, index)?;
        let (floats, natives) = (scratch.columns.floats(), scratch.columns.natives());
        scratch.pulse.tick(floats.times.len() + natives.times.len())?;
        out.reset(self.track.steps);
        match (self.times, natives.times.is_empty()) {
            (true, true) => last_times(floats, self.track, lookback_ms, out),
            (false, true) => last_values(floats, self.track, lookback_ms, out),
            (true, false) => last_times_of_both((floats, natives), self.track, lookback_ms, out),
            (false, false) => last_points((floats, natives), self.track, lookback_ms, out),
        }
        self.context.counters.looked_at(out.weight());
        Ok(())
    }
}
