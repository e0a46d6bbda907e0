//! Aggregations that need all values of a step: `quantile`, one group at a time, and `count_values`.

use std::collections::HashMap;

use kymo_model::{Labels, LabelsBuilder, format_float};

use super::aggregate::{Input, key};
use crate::QueryError;
use crate::grouping::Key;
use crate::kernel::quantile_of;
use crate::notes::Note;
use crate::row::{Block, Point, Row};
use crate::scalar::Scalar;
use crate::vector::{Name, Series, Vector};

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
    let key = key(plan);
    let mut out = Block::new(grid.steps, &context.budget);
    let mut series = Vec::with_capacity(groups.len());
    let (mut scratch, mut row) = (context.scratch(), Row::default());
    let mut values = Vec::new();
    for (members, first) in groups.members().iter().zip(&groups.first) {
        let mut rows = Block::new(grid.steps, &context.budget);
        let mut name = Name::Kept;
        for member in members {
            vector.fill(*member as usize, &mut scratch, &mut row)?;
            if row.floats_only() {
                context.notes.add(Note::IgnoredInAggregation("quantile"), plan.input_span);
            }
            if row.valid.any() {
                rows.push(&row)?;
                if vector.series[*member as usize].name_state() == Name::DropAtEnd {
                    name = Name::DropAtEnd;
                }
            }
        }
        row.reset(grid.steps);
        for step in 0..grid.steps {
            values.clear();
            values.extend((0..rows.len()).filter_map(|at| rows.get(at, step)));
            scratch.pulse.tick(rows.len())?;
            if !values.is_empty() {
                row.set(step, quantile_of(q.at(step), &mut values));
            }
        }
        out.push(&row)?;
        let labels = vector.series[*first].labels().filtered(|label| key.wants(label));
        series.push(Series::new(labels).with_name(name));
    }
    Ok(Vector { series, rows: Box::new(out), one_name: false })
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
    let (mut scratch, mut row) = (context.scratch(), Row::default());
    for (at, one) in vector.series.iter().enumerate() {
        vector.fill(at, &mut scratch, &mut row)?;
        let mut builder = one.builder();
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
        scratch.pulse.tick(grid.steps)?;
    }
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
