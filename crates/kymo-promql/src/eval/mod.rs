//! Evaluation: a plan becomes scalars and vectors on the points of a grid.
//!
//! Operators that look at one series at a time stay lazy; those that need many series at once (aggregations, the sides of
//! a join) run when they are reached.

mod absent;
mod aggregate;
mod binary;
mod buckets;
mod by_group;
mod classic;
mod fill;
mod histogram;
mod info;
mod instant;
mod join;
mod labels;
mod map;
mod native_binary;
mod native_groups;
mod native_range;
mod range;
mod same;
mod select;
mod set;
mod shared;
mod sort;
mod top;
mod values;

use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::plan::{ScalarPlan, VectorPlan};
use crate::row::{Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Scratch, Series, Vector};
pub(crate) use binary::of_numbers;
pub(crate) use map::{go_max, go_min};
pub(crate) use range::RangeSamples;
use same::merge_same;
pub(crate) use same::merge_same_finally;
pub(crate) use shared::HeldVector;

pub(crate) fn scalar(context: &Context, plan: &ScalarPlan, grid: Grid) -> Result<Scalar, QueryError> {
    match &context.probes {
        None => scalar_operator(context, plan, grid),
        Some(probes) => probes.scalar(plan, || scalar_operator(context, plan, grid)),
    }
}

fn scalar_operator(context: &Context, plan: &ScalarPlan, grid: Grid) -> Result<Scalar, QueryError> {
    Ok(match plan {
        ScalarPlan::Number(value) => Scalar::Constant(*value),
        ScalarPlan::Time => {
            context.budget.touch(grid.steps, grid.steps.saturating_mul(8))?;
            Scalar::PerStep((0..grid.steps).map(|step| grid.time(step) as f64 / 1000.0).collect())
        }
        ScalarPlan::OfVector(vector) => single_values(context, vector, grid)?,
        ScalarPlan::Negate(inner) => scalar(context, inner, grid)?.map(|v| -v),
        ScalarPlan::Binary(op, a, b) => binary::scalars(context, *op, (a, b), grid)?,
        ScalarPlan::MinOf(a, b) => scalar(context, a, grid)?.zip(scalar(context, b, grid)?, map::go_min),
        ScalarPlan::MaxOf(a, b) => scalar(context, a, grid)?.zip(scalar(context, b, grid)?, map::go_max),
        ScalarPlan::Once(inner) => {
            let value = scalar(context, inner, grid.first())?;
            Scalar::Constant(if grid.steps == 0 { f64::NAN } else { value.at(0) })
        }
    })
}

/// `scalar(v)`: the float of the only series with one at each step, NaN where there is none or more than one.
fn single_values(context: &Context, plan: &VectorPlan, grid: Grid) -> Result<Scalar, QueryError> {
    let input = vector(context, plan, grid)?;
    let _held = context.budget.hold_bytes(grid.steps.saturating_mul(9))?;
    let mut found = vec![0u8; grid.steps];
    let mut values = vec![f64::NAN; grid.steps];
    input.each_row(context, grid.steps, |_, row| {
        row.floats_only();
        for step in row.valid.iter() {
            values[step] = if found[step] == 0 { row.values[step] } else { f64::NAN };
            found[step] = 1;
        }
        Ok(())
    })?;
    Ok(Scalar::PerStep(values))
}

pub(crate) fn vector<'q>(
    context: &'q Context,
    plan: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    context.check()?;
    match &context.probes {
        None => operator(context, plan, grid),
        Some(probes) => probes.vector(plan, &context.budget, || operator(context, plan, grid)),
    }
}

fn operator<'q>(context: &'q Context, plan: &'q VectorPlan, grid: Grid) -> Result<Vector<'q>, QueryError> {
    // Each arm is a function of its own, so that the frame of this one, which recurs, stays small.
    match plan {
        VectorPlan::Select(plan) => Ok(select::select(context, plan, grid)),
        VectorPlan::SelectTimes(plan) => select::times(context, plan, grid),
        VectorPlan::SelectStarts(plan) => select::starts(context, plan, grid),
        VectorPlan::NothingOf(input) => {
            let input = vector(context, input, grid)?;
            input.note_rows(context, 0..input.len())?;
            Ok(Vector::empty())
        }
        VectorPlan::OfScalar(plan) => vector_of_scalar(context, plan, grid),
        VectorPlan::Range(plan) => range::call(context, plan, grid),
        VectorPlan::AbsentOverTime { labels, range } => absent::over_time(context, labels, range, grid),
        VectorPlan::Map(function, params, input) => map::map(context, *function, params, input, grid),
        VectorPlan::Measure(measure, input) => histogram::measure(context, *measure, input, grid),
        VectorPlan::Timestamp(input) => map::timestamps(context, input, grid),
        VectorPlan::Date(part, input) => map::date(context, *part, input.as_deref(), grid),
        VectorPlan::Absent { labels, input } => absent::instant(context, labels, input, grid),
        VectorPlan::LabelReplace(plan, input) => labels::replace(context, plan, input, grid),
        VectorPlan::LabelJoin(plan, input) => labels::join(context, plan, input, grid),
        VectorPlan::Sort(plan, span, input) => sort::sort(context, plan, *span, input, grid),
        VectorPlan::Info(plan) => info::info(context, plan, grid),
        VectorPlan::Histogram(plan) => histogram::histogram(context, plan, grid),
        VectorPlan::WithScalar(plan) => binary::with_scalar(context, plan, grid),
        VectorPlan::Join(plan) => join::join(context, plan, grid),
        VectorPlan::Set(plan) => set::set(context, plan, grid),
        VectorPlan::Aggregate(plan) => aggregate::aggregate(context, plan, grid),
        VectorPlan::Once(inner) => repeated(context, inner, grid),
        VectorPlan::Shared(index) => shared::shared(context, *index, grid),
    }
}

fn vector_of_scalar<'q>(
    context: &'q Context,
    plan: &'q ScalarPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    Ok(of_scalar(scalar(context, plan, grid)?, grid))
}

/// One series without labels that has the scalar's value at every step.
fn of_scalar<'q>(value: Scalar, grid: Grid) -> Vector<'q> {
    struct Values(Scalar, usize);
    impl Rows for Values {
        fn fill(&self, _: usize, _: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
            out.reset(self.1);
            out.values.iter_mut().zip(self.0.iter(self.1)).for_each(|(to, from)| *to = from);
            out.valid.set_all();
            Ok(())
        }

        fn may_note(&self) -> bool {
            false
        }
    }
    let series = vec![Series::new(kymo_model::Labels::empty())];
    Vector { series, rows: Box::new(Values(value, grid.steps)), one_name: true }
}

/// The value of the first step at every step.
fn repeated<'q>(context: &'q Context, plan: &'q VectorPlan, grid: Grid) -> Result<Vector<'q>, QueryError> {
    struct Repeated<'q>(Box<dyn Rows + 'q>, usize);
    impl Rows for Repeated<'_> {
        fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
            self.0.fill(index, scratch, out)?;
            let (value, histogram) = match out.values.is_empty() {
                true => (None, None),
                false => (out.get(0), out.histogram(0).cloned()),
            };
            out.reset(self.1);
            if let Some(value) = value {
                out.values.fill(value);
                out.valid.set_all();
            }
            if let Some(histogram) = histogram {
                (0..self.1).for_each(|step| out.set_histogram(step, histogram.clone()));
            }
            Ok(())
        }

        fn may_note(&self) -> bool {
            self.0.may_note()
        }
    }
    let Vector { series, rows, one_name } = vector(context, plan, grid.first())?;
    Ok(Vector { series, rows: Box::new(Repeated(rows, grid.steps)), one_name })
}
