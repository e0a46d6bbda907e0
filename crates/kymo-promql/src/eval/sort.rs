//! `sort` and its kin: the order of an instant vector. Range results are always ordered by labels, so there is nothing to do.

use std::cmp::Ordering;

use kymo_promql_syntax::ast::Span;

use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::notes::Note;
use crate::plan::{Sort, VectorPlan};
use crate::row::{Block, Row, Rows};
use crate::vector::{Scratch, Series, Vector};

pub(super) fn sort<'q>(
    context: &'q Context,
    plan: &Sort,
    in_vain: Option<Span>,
    input: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let mut input = super::vector(context, input, grid)?;
    if let Sort::Value { .. } = plan {
        input.rows = Box::new(FloatRows(input.rows));
    }
    if let Some(span) = in_vain {
        if grid.steps > 0 {
            context.notes.add(Note::SortInRangeQuery, span);
        }
        return Ok(input);
    }
    let mut points: Vec<(Series, Row)> = Vec::new();
    let mut held = context.budget.nothing();
    input.each_row(context, grid.steps, |index, row| {
        if row.valid.any() {
            held.more(1, 16)?;
            points.push((input.series[index].clone(), std::mem::take(row)));
        }
        Ok(())
    })?;
    match plan {
        Sort::Value { descending } => {
            points.sort_by(|(_, a), (_, b)| by_value(a.values[0], b.values[0], *descending));
        }
        Sort::Labels { names, descending } => points.sort_by(|(a, _), (b, _)| {
            let order = by_labels(names, a, b);
            if *descending { order.reverse() } else { order }
        }),
    }
    let mut block = Block::new(grid.steps, &context.budget);
    let mut series = Vec::with_capacity(points.len());
    for (one, row) in points {
        block.push(&row)?;
        series.push(one);
    }
    Ok(Vector { series, rows: Box::new(block), one_name: input.one_name })
}

/// Rows without their histograms, which have no order.
struct FloatRows<'q>(Box<dyn Rows + 'q>);

impl Rows for FloatRows<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.0.fill(index, scratch, out)?;
        out.floats_only();
        Ok(())
    }

    fn may_note(&self) -> bool {
        self.0.may_note()
    }
}

/// NaN last, whichever way.
pub(super) fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    match a.partial_cmp(&b) {
        Some(order) if descending => order.reverse(),
        Some(order) => order,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

fn by_labels(names: &[String], a: &Series, b: &Series) -> Ordering {
    let of = |series: &Series, name: &str| series.get(name).unwrap_or("").to_owned();
    let chosen = names.iter().map(|name| natural(&of(a, name), &of(b, name)));
    chosen.fold(Ordering::Equal, Ordering::then).then_with(|| a.labels().cmp(&b.labels()))
}

/// Digits compare as numbers, everything else as bytes; equal numbers written differently by their bytes.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let (chunk_a, after_a) = chunk(rest_a);
        let (chunk_b, after_b) = chunk(rest_b);
        let digits = |s: &str| s.as_bytes()[0].is_ascii_digit();
        let order = if digits(chunk_a) && digits(chunk_b) {
            let (x, y) = (chunk_a.trim_start_matches('0'), chunk_b.trim_start_matches('0'));
            x.len().cmp(&y.len()).then(x.cmp(y))
        } else {
            chunk_a.cmp(chunk_b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (rest_a, rest_b) = (after_a, after_b);
    }
    rest_a.len().cmp(&rest_b.len()).then(a.cmp(b))
}

/// The longest prefix of digits alone or of anything but digits.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.as_bytes()[0].is_ascii_digit();
    let end = text.bytes().position(|b| b.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order() {
        let mut names = vec!["cpu10", "cpu2", "", "10", "9", "cpu", "a01", "a1", "a1b", "-1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "-1", "9", "10", "a01", "a1", "a1b", "cpu", "cpu2", "cpu10"]);
    }

    #[test]
    fn nan_sorts_last() {
        let mut values = [2.0, f64::NAN, f64::INFINITY, 1.0];
        values.sort_by(|a, b| by_value(*a, *b, false));
        assert_eq!(values[..3], [1.0, 2.0, f64::INFINITY]);
        values.sort_by(|a, b| by_value(*a, *b, true));
        assert_eq!(values[..3], [f64::INFINITY, 2.0, 1.0]);
    }
}
