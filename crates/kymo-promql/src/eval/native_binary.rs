//! Binary operators where a side is a native histogram, step by step. Steps with floats on both sides never come here, except
//! for trimming, which floats do not have.

use std::sync::Arc;

use kymo_model::{CounterResetHint, FloatHistogram};
use kymo_promql_syntax::ast::{BinaryOp, Span};

use super::binary::Operand;
use crate::context::Context;
use crate::native::{Findings, Operation as Combining};
use crate::notes::Note;
use crate::plan::Operation;
use crate::row::{Histograms, Point, Row};

/// One side of an operation at all steps, histograms included.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) floats: Operand<'a>,
    pub(super) histograms: Option<&'a Histograms>,
}

impl<'a> Side<'a> {
    pub(super) fn of_row(row: &'a Row) -> Side<'a> {
        let histograms = (!row.histograms.is_empty()).then_some(&row.histograms);
        Side { floats: Operand::Values(&row.values), histograms }
    }

    fn at(&self, step: usize) -> Point<'a> {
        match self.histograms.and_then(|histograms| histograms.get(step)) {
            Some(histogram) => Point::Histogram(histogram),
            None => Point::Float(self.floats.at(step)),
        }
    }

    fn has_histogram(&self, step: usize) -> bool {
        self.histograms.is_some_and(|histograms| histograms.get(step).is_some())
    }
}

/// An operation at its place, on one row of several. Of what is noted at a step only the row of the highest rank is told.
pub(super) struct NativeBinary<'a> {
    pub(super) context: &'a Context,
    pub(super) operation: Operation,
    pub(super) span: Span,
    pub(super) rank: usize,
}

/// What an operation gives where a side is a histogram.
enum Outcome {
    /// Nothing, and why.
    Refused(Note),
    /// A histogram, and for comparisons whether it is kept.
    Histogram { value: Arc<FloatHistogram>, keep: bool, note: Option<Note> },
}

/// Does an operation need to be looked at step by step?
pub(super) fn concerns(operation: Operation, left: Side<'_>, right: Side<'_>) -> bool {
    left.histograms.is_some() || right.histograms.is_some() || is_trim(operation.op)
}

fn is_trim(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
}

impl NativeBinary<'_> {
    /// Computes every step of `out`, whose bits say where both sides have values.
    pub(super) fn run(&self, left: Side<'_>, right: Side<'_>, kept: Side<'_>, out: &mut Row) {
        let here = |step: &usize| {
            left.has_histogram(*step) || right.has_histogram(*step) || is_trim(self.operation.op)
        };
        let steps: Vec<usize> = out.valid.iter().filter(here).collect();
        steps.iter().for_each(|step| out.valid.clear(*step));
        if out.valid.any() {
            self.operation.run(left.floats, right.floats, kept.floats, out);
        }
        for step in steps {
            match combined(self.operation.op, left.at(step), right.at(step)) {
                Outcome::Refused(note) => self.note(note, step),
                Outcome::Histogram { value, keep, note } => {
                    note.into_iter().for_each(|note| self.note(note, step));
                    if self.operation.bool {
                        out.set(step, f64::from(u8::from(keep)));
                    } else if keep {
                        out.set_histogram(step, value);
                    }
                }
            }
        }
    }

    fn note(&self, note: Note, step: usize) {
        self.context.notes.add_ranked(note, self.span, step, self.rank);
    }
}

/// Does an operator refuse these two, so that they make no pair?
pub(super) fn is_refused(op: BinaryOp, left: Point<'_>, right: Point<'_>) -> bool {
    match (left, right) {
        (Point::Float(_), Point::Float(_)) => is_trim(op),
        _ => matches!(combined(op, left, right), Outcome::Refused(_)),
    }
}

fn combined(op: BinaryOp, left: Point<'_>, right: Point<'_>) -> Outcome {
    let changed = |histogram: &FloatHistogram, change: &dyn Fn(&mut FloatHistogram)| {
        let mut value = histogram.clone();
        change(&mut value);
        Outcome::Histogram { value: Arc::new(value), keep: true, note: None }
    };
    let compared =
        |value: &Arc<FloatHistogram>, keep| Outcome::Histogram { value: value.clone(), keep, note: None };
    match (op, left, right) {
        (BinaryOp::Mul, Point::Histogram(h), Point::Float(factor))
        | (BinaryOp::Mul, Point::Float(factor), Point::Histogram(h)) => changed(h, &|h| {
            h.mul(factor);
            h.compact(0);
        }),
        (BinaryOp::Div, Point::Histogram(h), Point::Float(divisor)) => changed(h, &|h| {
            h.div(divisor);
            h.compact(0);
        }),
        (BinaryOp::TrimUpper, Point::Histogram(h), Point::Float(limit)) => {
            changed(h, &|h| h.trim_upper(limit))
        }
        (BinaryOp::TrimLower, Point::Histogram(h), Point::Float(limit)) => {
            changed(h, &|h| h.trim_lower(limit))
        }
        (BinaryOp::Add | BinaryOp::Sub, Point::Histogram(a), Point::Histogram(b)) => added(op, a, b),
        (BinaryOp::Eq, Point::Histogram(a), Point::Histogram(b)) => compared(a, a.same_bits(b)),
        (BinaryOp::Ne, Point::Histogram(a), Point::Histogram(b)) => compared(a, !a.same_bits(b)),
        _ => Outcome::Refused(Note::IncompatibleTypes(kind(left), op.as_str(), kind(right))),
    }
}

fn kind(point: Point<'_>) -> &'static str {
    match point {
        Point::Float(_) => "float",
        Point::Histogram(_) => "histogram",
    }
}

/// Sum or difference. Hints that contradict each other leave nothing, as upstream has it.
fn added(op: BinaryOp, a: &FloatHistogram, b: &FloatHistogram) -> Outcome {
    let mut value = a.clone();
    let (result, combining) = match op {
        BinaryOp::Add => (value.add(b), Combining::Addition),
        _ => (value.sub(b), Combining::Subtraction),
    };
    let Ok(met) = result else { return Outcome::Refused(Note::MixedBucketsIn(op.as_str())) };
    let mut notes = Findings::of_combined(met, combining).iter().map(|finding| Note::of_finding(finding, ""));
    if met.resets_collide
        && let Some(collision) = notes.next()
    {
        return Outcome::Refused(collision);
    }
    if op == BinaryOp::Sub {
        value.counter_reset_hint = CounterResetHint::Gauge;
    }
    value.compact(0);
    Outcome::Histogram { value: Arc::new(value), keep: true, note: notes.next() }
}
