//! `and`, `or`, `unless`: decided at each step by whether the other side has a series with the same matching labels.

use kymo_promql_syntax::ast::VectorMatching;

use super::join::matching_key;
use crate::QueryError;
use crate::bits::Bits;
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::Numbering;
use crate::plan::{SetOp, SetPlan};
use crate::row::{Block, Row, Rows};
use crate::vector::{Scratch, Series, Vector};

/// Where each match group of a vector has any value.
struct Presence {
    numbering: Numbering,
    bits: Vec<Bits>,
}

impl Presence {
    fn new(matching: &VectorMatching) -> Presence {
        Presence { numbering: Numbering::new(matching_key(matching)), bits: Vec::new() }
    }

    fn add(&mut self, series: &Series, row: &Row, steps: usize) {
        let number = self.numbering.number(series) as usize;
        if number == self.bits.len() {
            self.bits.push(Bits::zeros(steps));
        }
        self.bits[number].or(&row.valid);
    }

    /// For each series the index of its group's bits.
    fn groups_of(&mut self, series: &[Series]) -> Vec<Option<u32>> {
        series.iter().map(|s| self.numbering.find(s)).collect()
    }
}

struct Masked<'q> {
    input: Box<dyn Rows + 'q>,
    groups: Vec<Option<u32>>,
    bits: Vec<Bits>,
    /// Keep what is present on the other side, or what is absent there?
    keep_present: bool,
}

impl Rows for Masked<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.input.fill(index, scratch, out)?;
        match (self.groups[index], self.keep_present) {
            (Some(group), true) => out.valid.and(&self.bits[group as usize]),
            (Some(group), false) => out.valid.and_not(&self.bits[group as usize]),
            (None, true) => out.reset(out.values.len()),
            (None, false) => {}
        }
        Ok(())
    }

    fn may_note(&self) -> bool {
        self.input.may_note()
    }
}

pub(super) fn set<'q>(context: &'q Context, plan: &'q SetPlan, grid: Grid) -> Result<Vector<'q>, QueryError> {
    let lhs = super::vector(context, &plan.lhs, grid)?;
    let rhs = super::vector(context, &plan.rhs, grid)?;
    match plan.op {
        SetOp::Or => or(context, &plan.matching, lhs, rhs, grid),
        SetOp::And | SetOp::Unless => filter(context, plan.op, &plan.matching, lhs, rhs, grid),
    }
}

/// `and`, `unless`.
fn filter<'q>(
    context: &Context,
    op: SetOp,
    matching: &VectorMatching,
    lhs: Vector<'q>,
    rhs: Vector<'_>,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let mut presence = Presence::new(matching);
    rhs.each_row(context, grid.steps, |at, row| {
        presence.add(&rhs.series[at], row, grid.steps);
        Ok(())
    })?;
    let groups = presence.groups_of(&lhs.series);
    let rows = Masked { input: lhs.rows, groups, bits: presence.bits, keep_present: op == SetOp::And };
    Ok(Vector { series: lhs.series, rows: Box::new(rows), one_name: lhs.one_name })
}

/// `or`: the left side, and of the right side what the left does not have.
fn or<'q>(
    context: &Context,
    matching: &VectorMatching,
    lhs: Vector<'q>,
    rhs: Vector<'q>,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let mut presence = Presence::new(matching);
    let mut left = Block::new(grid.steps, &context.budget);
    lhs.each_row(context, grid.steps, |at, row| {
        presence.add(&lhs.series[at], row, grid.steps);
        left.push(row)
    })?;
    let groups = presence.groups_of(&rhs.series);
    let right = Masked { input: rhs.rows, groups, bits: presence.bits, keep_present: false };
    let mut series = lhs.series;
    let boundary = series.len();
    series.extend(rhs.series);
    let rows = Both { left, right, boundary };
    super::merge_same(context, Vector { series, rows: Box::new(rows), one_name: false })
}

struct Both<'q> {
    left: Block,
    right: Masked<'q>,
    /// How many series are on the left.
    boundary: usize,
}

impl Rows for Both<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        match index.checked_sub(self.boundary) {
            None => self.left.fill(index, scratch, out),
            Some(index) => self.right.fill(index, scratch, out),
        }
    }

    fn may_note(&self) -> bool {
        self.right.may_note()
    }
}
