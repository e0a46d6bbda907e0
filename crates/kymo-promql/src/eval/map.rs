//! Functions of one value: arithmetic, rounding, trigonometry, dates, times of evaluation.

use std::cmp::Ordering;

use crate::QueryError;
use crate::context::Context;
use crate::date::{Civil, days_in_month};
use crate::grid::Grid;
use crate::plan::{DatePart, MapFunction, ScalarPlan, VectorPlan};
use crate::row::{Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Scratch, Vector};

/// Drops the metric name, as the options say when.
pub(super) fn drop_names<'q>(context: &Context, vector: Vector<'q>) -> Result<Vector<'q>, QueryError> {
    let name = context.dropped_name();
    let Vector { series, rows, one_name } = vector;
    let series = series.into_iter().map(|s| s.with_name(name)).collect();
    let vector = Vector { series, rows, one_name };
    if context.delayed_name_removal { Ok(vector) } else { super::merge_same(context, vector) }
}

struct Mapped<'q, F> {
    input: Box<dyn Rows + 'q>,
    f: F,
}

impl<F: Fn(&mut Row) + Send + Sync> Rows for Mapped<'_, F> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.input.fill(index, scratch, out)?;
        (self.f)(out);
        Ok(())
    }

    fn may_note(&self) -> bool {
        self.input.may_note()
    }
}

/// Changes floats, leaves out histograms, and drops names.
pub(super) fn mapped<'q>(
    context: &Context,
    input: Vector<'q>,
    f: impl Fn(&mut Row) + Send + Sync + 'q,
) -> Result<Vector<'q>, QueryError> {
    mapped_rows(context, input, move |row| {
        row.floats_only();
        f(row);
    })
}

/// Changes rows and drops names.
fn mapped_rows<'q>(
    context: &Context,
    input: Vector<'q>,
    f: impl Fn(&mut Row) + Send + Sync + 'q,
) -> Result<Vector<'q>, QueryError> {
    let Vector { series, rows, one_name } = input;
    drop_names(context, Vector { series, rows: Box::new(Mapped { input: rows, f }), one_name })
}

pub(super) fn map<'q>(
    context: &'q Context,
    function: MapFunction,
    params: &'q [ScalarPlan],
    input: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let input = super::vector(context, input, grid)?;
    let params = params.iter().map(|p| super::scalar(context, p, grid)).collect::<Result<_, _>>()?;
    mapped_by(context, function, params, input)
}

fn mapped_by<'q>(
    context: &Context,
    function: MapFunction,
    params: Vec<Scalar>,
    input: Vector<'q>,
) -> Result<Vector<'q>, QueryError> {
    match function {
        MapFunction::Clamp | MapFunction::ClampMax | MapFunction::ClampMin => {
            let (low, high) = limits(function, params);
            mapped(context, input, move |row| clamp(row, &low, &high))
        }
        MapFunction::Round => {
            let nearest = params.into_iter().next().unwrap_or(Scalar::Constant(1.0));
            mapped(context, input, move |row| {
                for (step, value) in row.values.iter_mut().enumerate() {
                    let inverse = 1.0 / nearest.at(step);
                    *value = (*value * inverse + 0.5).floor() / inverse;
                }
            })
        }
        MapFunction::Negate => mapped_rows(context, input, |row| {
            row.map(|value| -value);
            row.map_histograms(|histogram| histogram.mul(-1.0));
        }),
        _ => {
            let f = of_one(function);
            mapped(context, input, move |row| row.map(f))
        }
    }
}

/// From here on squares and doubles are left out of inverse hyperbolic functions, which would overflow in them (as upstream).
const LARGE: f64 = (1u64 << 28) as f64;

fn of_one(function: MapFunction) -> fn(f64) -> f64 {
    match function {
        MapFunction::Abs => f64::abs,
        MapFunction::Acos => f64::acos,
        MapFunction::Acosh => |v| if v > LARGE { v.ln() + std::f64::consts::LN_2 } else { v.acosh() },
        MapFunction::Asin => f64::asin,
        MapFunction::Asinh => |v| match v.abs() {
            large if large > LARGE => (large.ln() + std::f64::consts::LN_2).copysign(v),
            _ => v.asinh(),
        },
        MapFunction::Atan => f64::atan,
        MapFunction::Atanh => f64::atanh,
        MapFunction::Ceil => f64::ceil,
        MapFunction::Cos => f64::cos,
        MapFunction::Cosh => f64::cosh,
        MapFunction::Deg => |v| turned(v, 180.0, std::f64::consts::PI),
        MapFunction::Exp => f64::exp,
        MapFunction::Floor => f64::floor,
        MapFunction::Ln => f64::ln,
        MapFunction::Log10 => f64::log10,
        MapFunction::Log2 => f64::log2,
        MapFunction::Rad => |v| turned(v, std::f64::consts::PI, 180.0),
        MapFunction::Sgn => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        MapFunction::Sin => f64::sin,
        MapFunction::Sinh => f64::sinh,
        MapFunction::Sqrt => f64::sqrt,
        MapFunction::Tan => f64::tan,
        MapFunction::Tanh => f64::tanh,
        // These have parameters, or change histograms, and are handled by the caller.
        MapFunction::Clamp
        | MapFunction::ClampMax
        | MapFunction::ClampMin
        | MapFunction::Negate
        | MapFunction::Round => |v| v,
    }
}

/// A measure of angles in another unit. Divided first where the product is too large.
fn turned(v: f64, times: f64, by: f64) -> f64 {
    let turned = v * times / by;
    if turned.is_infinite() { v * (times / by) } else { turned }
}

fn limits(function: MapFunction, params: Vec<Scalar>) -> (Scalar, Scalar) {
    let mut params = params.into_iter();
    let mut next = |default| params.next().unwrap_or(Scalar::Constant(default));
    match function {
        MapFunction::ClampMin => (next(f64::NEG_INFINITY), Scalar::Constant(f64::INFINITY)),
        MapFunction::ClampMax => (Scalar::Constant(f64::NEG_INFINITY), next(f64::INFINITY)),
        _ => (next(f64::NEG_INFINITY), next(f64::INFINITY)),
    }
}

/// Limits the wrong way round give nothing.
fn clamp(row: &mut Row, low: &Scalar, high: &Scalar) {
    row.valid.retain(|step| high.at(step).partial_cmp(&low.at(step)) != Some(Ordering::Less));
    for (step, value) in row.values.iter_mut().enumerate() {
        *value = go_max(low.at(step), go_min(high.at(step), *value));
    }
}

/// Go's `math.Max`: infinity wins over NaN, NaN over numbers, 0 over -0.
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// Go's `math.Min`.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}

/// `timestamp` of what is not a selector: when it was evaluated.
pub(super) fn timestamps<'q>(
    context: &'q Context,
    input: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let input = super::vector(context, input, grid)?;
    mapped_rows(context, input, move |row| row.overwrite(|step| grid.time(step) as f64 / 1000.0))
}

/// A part of the date that each value means, or of the time of evaluation.
pub(super) fn date<'q>(
    context: &'q Context,
    part: DatePart,
    input: Option<&'q VectorPlan>,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    match input {
        Some(input) => {
            let input = super::vector(context, input, grid)?;
            mapped(context, input, move |row| row.map(|seconds| date_part(part, Civil::from_float(seconds))))
        }
        None => {
            let at = |step| date_part(part, Civil::from_unix(grid.time(step).div_euclid(1000)));
            Ok(super::of_scalar(Scalar::PerStep((0..grid.steps).map(at).collect()), grid))
        }
    }
}

fn date_part(part: DatePart, civil: Civil) -> f64 {
    match part {
        DatePart::DayOfMonth => f64::from(civil.day),
        DatePart::DayOfWeek => f64::from(civil.weekday),
        DatePart::DayOfYear => f64::from(civil.year_day),
        DatePart::DaysInMonth => f64::from(days_in_month(civil.year, civil.month)),
        DatePart::Hour => f64::from(civil.hour),
        DatePart::Minute => f64::from(civil.minute),
        DatePart::Month => f64::from(civil.month),
        DatePart::Year => civil.year as f64,
    }
}
