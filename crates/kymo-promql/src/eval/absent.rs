//! `absent` and `absent_over_time`: one series where nothing is.

use kymo_model::Labels;

use super::RangeSamples;
use crate::QueryError;
use crate::bits::Bits;
use crate::context::Context;
use crate::grid::Grid;
use crate::plan::{RangePlan, VectorPlan};
use crate::row::{Block, Row};
use crate::vector::{Name, Series, Vector};

pub(super) fn instant<'q>(
    context: &Context,
    labels: &Labels,
    input: &VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let input = super::vector(context, input, grid)?;
    let mut present = Bits::zeros(grid.steps);
    let (mut scratch, mut row) = (context.scratch(), Row::default());
    for index in 0..input.len() {
        input.fill(index, &mut scratch, &mut row)?;
        present.or(&row.valid);
        if present.all() && !input.rows.may_note() {
            break;
        }
    }
    ones_where_not(context, present, labels, grid)
}

pub(super) fn over_time<'q>(
    context: &Context,
    labels: &Labels,
    range: &RangePlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let samples = RangeSamples::new(context, range, grid)?;
    let mut present = Bits::zeros(grid.steps);
    let mut scratch = context.scratch();
    for index in 0..samples.series().len() {
        samples.load(index, &mut scratch)?;
        for windows in [&scratch.windows, &scratch.native_windows] {
            let windows = windows.iter().enumerate();
            windows.filter(|(_, w)| !w.is_empty()).for_each(|(step, _)| present.set(step));
        }
        let looked_at = scratch.windows.iter().map(|window| window.len()).sum();
        samples.count((&scratch.windows, scratch.columns.left_out()), looked_at, grid);
        if present.all() && !samples.may_note() {
            break;
        }
    }
    let Vector { mut series, rows, one_name } = ones_where_not(context, present, labels, grid)?;
    // Where names are dropped at the end, so are types and units that the selector names.
    if context.delayed_name_removal {
        series = series.into_iter().map(|s| s.with_name(Name::DropAtEnd)).collect();
    }
    Ok(Vector { series, rows, one_name })
}

fn ones_where_not<'q>(
    context: &Context,
    present: Bits,
    labels: &Labels,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let mut row = Row::default();
    row.reset(grid.steps);
    row.values.fill(1.0);
    row.valid.set_all();
    row.valid.and_not(&present);
    if !row.valid.any() {
        return Ok(Vector::empty());
    }
    let mut block = Block::new(grid.steps, &context.budget);
    block.push(&row)?;
    Ok(Vector { series: vec![Series::new(labels.clone())], rows: Box::new(block), one_name: true })
}
