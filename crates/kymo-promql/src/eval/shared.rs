//! What a query has more than once: computed when it is first asked for, held, and given out from there.

use std::sync::Arc;

use crate::QueryError;
use crate::context::Context;
use crate::counters::Counted;
use crate::grid::Grid;
use crate::plan::VectorPlan;
use crate::row::{Block, Row, Rows};
use crate::vector::{Scratch, Series, Vector};

/// All rows of a vector.
pub(crate) struct HeldVector {
    series: Vec<Series>,
    rows: Block,
    one_name: bool,
    /// How many samples its steps looked at, which count for each use.
    looked_at: Counted,
}

pub(super) fn shared<'q>(context: &'q Context, index: usize, grid: Grid) -> Result<Vector<'q>, QueryError> {
    let plan = &context.shared[index];
    if plan.others.is_empty() {
        return super::vector(context, &plan.plan, grid);
    }
    let mut first = false;
    let held = context.held[index].get_or_init(|| {
        first = true;
        hold(context, &plan.plan, grid).map(Arc::new)
    });
    let held = held.as_ref().map_err(QueryError::clone)?;
    if !first {
        context.counters.again(&held.looked_at);
    }
    let rows = HeldRows(held.clone());
    Ok(Vector { series: held.series.clone(), rows: Box::new(rows), one_name: held.one_name })
}

fn hold(context: &Context, plan: &VectorPlan, grid: Grid) -> Result<HeldVector, QueryError> {
    let before = context.counters.so_far();
    let vector = super::vector(context, plan, grid)?;
    let mut rows = Block::new(grid.steps, &context.budget);
    vector.each_row(context, grid.steps, |_, row| rows.push(row))?;
    let looked_at = context.counters.since(&before);
    Ok(HeldVector { series: vector.series, rows, one_name: vector.one_name, looked_at })
}

struct HeldRows(Arc<HeldVector>);

impl Rows for HeldRows {
    fn fill(&self, index: usize, _: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.0.rows.copy(index, out);
        Ok(())
    }
}
