//! Aggregations that need all values of a step: `quantile`, one group at a time, and `count_values`.

use std::collections::HashMap;

use kymo_model::{Labels, LabelsBuilder, format_float};

use super::aggregate::{GroupName, Input, by_first, key};
use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::Key;
use crate::kernel::quantile_of;
use crate::notes::Note;
use crate::plan::AggregatePlan;
use crate::row::{Block, Point, Row};
use crate::scalar::Scalar;
use crate::vector::{Scratch, Series, Vector};

pub(super) fn quantile(input: Input<'_>, q: Scalar) -> Result<Vector<'_>, QueryError> {
    let Input { context, vector, grid, groups, plan } = input;
    let all = q.iter(grid.steps);
    let (min, max, nan) = all.fold((f64::INFINITY, f64::NEG_INFINITY, false), |(min, max, nan), q| {
        (min.min(q), max.max(q), nan || q.is_nan())
    });
    let wrong = [(nan, f64::NAN), (max > 1.0, max), (min < 0.0, min)];
    for (_, q) in wrong.into_iter().filter(|(is, _)| *is) {
        context.notes.add_after(Note::InvalidQuantile(q.into()), plan.param_span, plan.span);
    }
    let of = Quantile { context, vector: &vector, grid, plan, q };
    let members = groups.members();
    let mut out = Block::new(grid.steps, &context.budget);
    let (mut names, mut first) = (Vec::with_capacity(groups.len()), Vec::with_capacity(groups.len()));
    if groups.len() >= GROUPS_PER_WORKER_MIN * context.workers.threads {
        let compute = |group: usize, scratch: &mut Scratch, found: &mut (Row, Seen)| {
            *found = of.group(&members[group], scratch)?;
            Ok(())
        };
        context.in_order(groups.len(), grid.steps, compute, |_, (row, seen)| {
            names.push(seen.name.name);
            first.push(seen.first);
            out.push(row)
        })?;
    } else {
        for members in &members {
            let (row, seen) = of.large_group(members)?;
            names.push(seen.name.name);
            first.push(seen.first);
            out.push(&row)?;
        }
    }
    let key = key(plan);
    let series = groups.first.iter().zip(names).map(|(first, name)| {
        let labels = vector.series[*first].labels().filtered(|label| key.wants(label));
        Series::new(labels).with_name(name)
    });
    let vector = Vector { series: series.collect(), rows: Box::new(out), one_name: false };
    Ok(by_first(vector, &groups.first_with_values(&first)))
}

/// With fewer groups for each worker, workers share the series and steps of one.
const GROUPS_PER_WORKER_MIN: usize = 4;

/// What the series of a group make of it besides values.
#[derive(Default)]
struct Seen {
    name: GroupName,
    /// The first series that has a value, of either kind.
    first: Option<usize>,
}

/// What is asked of each group.
struct Quantile<'a, 'q> {
    context: &'q Context,
    vector: &'a Vector<'q>,
    grid: Grid,
    plan: &'q AggregatePlan,
    q: Scalar,
}

impl Quantile<'_, '_> {
    /// Keeps the values of a series of the group.
    fn keep(&self, member: u32, row: &mut Row, rows: &mut Block, seen: &mut Seen) -> Result<(), QueryError> {
        if row.valid.any() {
            seen.first.get_or_insert(member as usize);
        }
        if row.floats_only() {
            self.context.notes.add(Note::IgnoredInAggregation("quantile"), self.plan.input_span);
        }
        if !row.valid.any() {
            return Ok(());
        }
        seen.name.see(&self.vector.series[member as usize], row);
        rows.push(row)
    }

    fn at(&self, step: usize, rows: &Block, values: &mut Vec<f64>) -> Option<f64> {
        values.clear();
        values.extend((0..rows.len()).filter_map(|at| rows.get(at, step)));
        (!values.is_empty()).then(|| quantile_of(self.q.at(step), values))
    }

    /// One worker does all of a group.
    fn group(&self, members: &[u32], scratch: &mut Scratch) -> Result<(Row, Seen), QueryError> {
        let mut rows = Block::new(self.grid.steps, &scratch.budget);
        let (mut row, mut seen) = (Row::default(), Seen::default());
        for member in members {
            self.vector.fill(*member as usize, scratch, &mut row)?;
            self.keep(*member, &mut row, &mut rows, &mut seen)?;
        }
        row.reset(self.grid.steps);
        let mut values = Vec::new();
        for step in 0..self.grid.steps {
            scratch.pulse.tick(rows.len())?;
            self.at(step, &rows, &mut values).into_iter().for_each(|value| row.set(step, value));
        }
        Ok((row, seen))
    }

    /// Workers share the series, and then the steps, of a group.
    fn large_group(&self, members: &[u32]) -> Result<(Row, Seen), QueryError> {
        let (context, steps) = (self.context, self.grid.steps);
        let mut rows = Block::new(steps, &context.budget);
        let (mut result, mut seen) = (Row::default(), Seen::default());
        let fill = |at: usize, scratch: &mut Scratch, row: &mut Row| {
            self.vector.fill(members[at] as usize, scratch, row)
        };
        context.in_order(members.len(), steps, fill, |at, row| {
            self.keep(members[at], row, &mut rows, &mut seen)
        })?;
        result.reset(steps);
        let of_step = |step: usize, scratch: &mut Scratch, (value, values): &mut (Option<f64>, Vec<f64>)| {
            *value = self.at(step, &rows, values);
            scratch.pulse.tick(rows.len())
        };
        context.in_order(steps, rows.len(), of_step, |step, (value, _)| {
            value.iter().for_each(|value| result.set(step, *value));
            Ok(())
        })?;
        Ok((result, seen))
    }
}

/// How often each value occurs. The value becomes a label, and is part of the group.
pub(super) fn count_values<'q>(input: Input<'q>, label: &str) -> Result<Vector<'q>, QueryError> {
    let Input { context, vector, grid, plan, .. } = input;
    let key = if plan.without {
        Key::without(&plan.labels)
    } else {
        let mut names = plan.labels.clone();
        names.push(label.to_owned());
        Key::by(&names)
    };
    let mut numbers: HashMap<Labels, usize> = HashMap::new();
    let mut series: Vec<Series> = Vec::new();
    let mut counts: Vec<Row> = Vec::new();
    let mut held = context.budget.nothing();
    let mut pulse = context.scratch().pulse;
    vector.each_row(context, grid.steps, |at, row| {
        let mut builder = vector.series[at].builder();
        let mut last: Option<(u64, usize)> = None;
        for step in row.valid.iter() {
            let Some(point) = row.point(step) else { continue };
            let bits = match point {
                Point::Float(value) if value.is_nan() => Some(f64::NAN.to_bits()),
                Point::Float(value) => Some(value.to_bits()),
                Point::Histogram(_) => None,
            };
            let number = match last {
                Some((known, number)) if Some(known) == bits => number,
                _ => {
                    let labels = group_labels(&mut builder, label, point, &key);
                    let number = *numbers.entry(labels.clone()).or_insert(counts.len());
                    if number == counts.len() {
                        held.more(0, grid.steps.saturating_mul(9))?;
                        let mut row = Row::default();
                        row.reset(grid.steps);
                        counts.push(row);
                        series.push(Series::new(labels));
                    }
                    number
                }
            };
            last = bits.map(|bits| (bits, number));
            let count = counts[number].get(step).unwrap_or(0.0);
            counts[number].set(step, count + 1.0);
        }
        pulse.tick(grid.steps)
    })?;
    let mut block = Block::new(grid.steps, &context.budget);
    for row in &counts {
        block.push(row)?;
    }
    Ok(Vector { series, rows: Box::new(block), one_name: false })
}

fn group_labels(builder: &mut LabelsBuilder, label: &str, point: Point<'_>, key: &Key) -> Labels {
    match point {
        Point::Float(value) => builder.set(label, &format_float(value)),
        Point::Histogram(histogram) => builder.set(label, &histogram.to_string()),
    };
    builder.build().filtered(|name| key.wants(name))
}
