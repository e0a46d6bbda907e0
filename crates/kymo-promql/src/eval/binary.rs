//! Binary operators on numbers and rows, and between a vector and a scalar.

use kymo_promql_syntax::ast::{BinaryOp, Span};

use super::map::drop_names;
use super::native_binary::{self, NativeBinary, Side};
use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::plan::{Operation, ScalarPlan, WithScalarPlan};
use crate::row::{Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Scratch, Vector};

/// One side of an operation, at every step of a row.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a> {
    Values(&'a [f64]),
    Constant(f64),
}

impl<'a> From<&'a Scalar> for Operand<'a> {
    fn from(scalar: &'a Scalar) -> Operand<'a> {
        match scalar {
            Scalar::Constant(value) => Operand::Constant(*value),
            Scalar::PerStep(values) => Operand::Values(values),
        }
    }
}

impl Operand<'_> {
    pub(super) fn at(self, step: usize) -> f64 {
        match self {
            Operand::Values(values) => values[step],
            Operand::Constant(value) => value,
        }
    }
}

impl Operation {
    pub(super) fn is_arithmetic(self) -> bool {
        arithmetic(self.op).is_some()
    }

    /// Do values become something else than what the metric's name says?
    pub(super) fn drops_name(self) -> bool {
        self.is_arithmetic() || self.bool
    }

    /// Computes every step of `out`, whose bits say where both sides have values; a comparison without `bool` clears the bits
    /// where it is false and gives the value of `kept`.
    pub(super) fn run(self, left: Operand<'_>, right: Operand<'_>, kept: Operand<'_>, out: &mut Row) {
        if let Some(f) = arithmetic(self.op) {
            match f {
                Arithmetic::Add => zip(left, right, &mut out.values, |a, b| a + b),
                Arithmetic::Sub => zip(left, right, &mut out.values, |a, b| a - b),
                Arithmetic::Mul => zip(left, right, &mut out.values, |a, b| a * b),
                Arithmetic::Div => zip(left, right, &mut out.values, |a, b| a / b),
                Arithmetic::Other(f) => zip(left, right, &mut out.values, f),
            }
            return;
        }
        let holds = comparison(self.op);
        if self.bool {
            zip(left, right, &mut out.values, |a, b| f64::from(u8::from(holds(a, b))));
            return;
        }
        out.valid.retain(|step| holds(left.at(step), right.at(step)));
        zip(kept, kept, &mut out.values, |a, _| a);
    }
}

#[inline]
fn zip(left: Operand<'_>, right: Operand<'_>, out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    match (left, right) {
        (Operand::Values(a), Operand::Values(b)) => {
            out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = f(*a, *b));
        }
        (Operand::Values(a), Operand::Constant(b)) => {
            out.iter_mut().zip(a).for_each(|(out, a)| *out = f(*a, b));
        }
        (Operand::Constant(a), Operand::Values(b)) => {
            out.iter_mut().zip(b).for_each(|(out, b)| *out = f(a, *b));
        }
        (Operand::Constant(a), Operand::Constant(b)) => out.fill(f(a, b)),
    }
}

enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Other(fn(f64, f64) -> f64),
}

fn arithmetic(op: BinaryOp) -> Option<Arithmetic> {
    Some(match op {
        BinaryOp::Add => Arithmetic::Add,
        BinaryOp::Sub => Arithmetic::Sub,
        BinaryOp::Mul => Arithmetic::Mul,
        BinaryOp::Div => Arithmetic::Div,
        BinaryOp::Mod => Arithmetic::Other(|a, b| a % b),
        BinaryOp::Pow => Arithmetic::Other(f64::powf),
        BinaryOp::Atan2 => Arithmetic::Other(f64::atan2),
        _ => return None,
    })
}

fn comparison(op: BinaryOp) -> fn(f64, f64) -> bool {
    match op {
        BinaryOp::Eq => |a, b| a == b,
        BinaryOp::Ne => |a, b| a != b,
        BinaryOp::Lt => |a, b| a < b,
        BinaryOp::Gt => |a, b| a > b,
        BinaryOp::Le => |a, b| a <= b,
        BinaryOp::Ge => |a, b| a >= b,
        // Set operators and trimming never come here: the plan has its own nodes and errors for them.
        _ => |_, _| false,
    }
}

/// The operator between two scalars; comparisons give 1 or 0.
pub(super) fn scalars(
    context: &Context,
    op: BinaryOp,
    (left, right): (&ScalarPlan, &ScalarPlan),
    grid: Grid,
) -> Result<Scalar, QueryError> {
    let left = super::scalar(context, left, grid)?;
    let right = super::scalar(context, right, grid)?;
    Ok(left.zip(right, |a, b| of_numbers(op, a, b)))
}

pub(crate) fn of_numbers(op: BinaryOp, a: f64, b: f64) -> f64 {
    match arithmetic(op) {
        Some(Arithmetic::Add) => a + b,
        Some(Arithmetic::Sub) => a - b,
        Some(Arithmetic::Mul) => a * b,
        Some(Arithmetic::Div) => a / b,
        Some(Arithmetic::Other(f)) => f(a, b),
        None => f64::from(u8::from(comparison(op)(a, b))),
    }
}

struct WithScalar<'q> {
    context: &'q Context,
    span: Span,
    input: Box<dyn Rows + 'q>,
    number: Scalar,
    operation: Operation,
    swapped: bool,
}

impl Rows for WithScalar<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let mut row = scratch.take_row();
        self.input.fill(index, scratch, &mut row)?;
        out.reset(row.values.len());
        out.valid.copy_from(row.valid.words());
        let (vector, number) = (Side::of_row(&row), Operand::from(&self.number));
        let number = Side { floats: number, histograms: None };
        let (left, right) = if self.swapped { (number, vector) } else { (vector, number) };
        if native_binary::concerns(self.operation, left, right) {
            let WithScalar { context, operation, span, .. } = *self;
            NativeBinary { context, operation, span, rank: index }.run(left, right, vector, out);
        } else {
            self.operation.run(left.floats, right.floats, vector.floats, out);
        }
        scratch.give_back(row);
        Ok(())
    }

    fn may_note(&self) -> bool {
        let suits_all = match self.operation.op {
            BinaryOp::Mul => true,
            BinaryOp::Div => !self.swapped,
            _ => false,
        };
        !suits_all || self.input.may_note()
    }
}

pub(super) fn with_scalar<'q>(
    context: &'q Context,
    plan: &'q WithScalarPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let Vector { series, rows, one_name } = super::vector(context, &plan.vector, grid)?;
    let number = super::scalar(context, &plan.scalar, grid)?;
    let (operation, swapped) = (plan.operation, plan.swapped);
    let rows = WithScalar { context, span: plan.span, input: rows, number, operation, swapped };
    let vector = Vector { series, rows: Box::new(rows), one_name };
    if operation.drops_name() { drop_names(context, vector) } else { Ok(vector) }
}
