//! `info`: adds the labels of series that describe others, such as `target_info`, to those they describe.
//!
//! Who belongs together is decided once, by the identifying labels. Which of several describing series counts is decided at
//! every step, by the newest sample; so a described series may come out as several, each with its own steps.

use std::cell::OnceCell;
use std::collections::HashMap;

use kymo_model::{Labels, Matcher};

use super::merge_same;
use super::select;
use crate::QueryError;
use crate::bits::Bits;
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Key, Numbering};
use crate::notes::label_list;
use crate::plan::{IDENTIFYING_LABELS, InfoPlan};
use crate::row::{Row, Rows};
use crate::vector::{Scratch, Series, Vector};

pub(super) fn info<'q>(
    context: &'q Context,
    plan: &'q InfoPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let input = super::vector(context, &plan.input, grid)?;
    let mut numbering = Numbering::new(Key::by(&IDENTIFYING_LABELS.map(str::to_owned)));
    // A series that describes others is not described itself; one without identifying labels cannot be.
    let group_of = |series: &Series, numbering: &mut Numbering| {
        let describes = plan.names.iter().all(|m| m.matches(series.metric_name()));
        let known = IDENTIFYING_LABELS.iter().any(|name| series.get(name).is_some_and(|v| !v.is_empty()));
        (!describes && known).then(|| numbering.number(series))
    };
    let roles: Vec<Role> = input
        .series
        .iter()
        .map(|series| match group_of(series, &mut numbering) {
            Some(group) => Role::Described(group),
            None if plan.names.iter().all(|m| m.matches(series.metric_name())) => Role::Describes,
            None => Role::Unknown,
        })
        .collect();
    let mut choices =
        Choices { context, plan, input: &input, grid, groups: Vec::new(), present: OnceCell::new() };
    choices.make(&mut numbering).map_err(|e| e.at(plan.span))?;
    let groups = choices.groups;
    let enriched = enriched(context, plan, &input, &roles, &groups);
    let (series, origins) = enriched.map_err(|e| e.at(plan.span))?;
    let rows = Parts { input: input.rows, origins };
    merge_same(context, Vector { series, rows: Box::new(rows), one_name: false })
}

/// What a series of the input is.
enum Role {
    /// It describes others and stays as it is.
    Describes,
    /// It belongs to a group of series with the same identifying labels.
    Described(u32),
    /// It has no identifying labels.
    Unknown,
}

/// Which describing series count for a group, and when: one for each metric at most.
struct Choice {
    sources: Vec<Series>,
    steps: Bits,
}

/// Decides, for each group of described series, what describes them.
struct Choices<'a, 'q> {
    context: &'q Context,
    plan: &'q InfoPlan,
    input: &'a Vector<'q>,
    grid: Grid,
    groups: Vec<Vec<Choice>>,
    /// The steps at which the input has anything; found when somebody asks.
    present: OnceCell<Bits>,
}

impl Choices<'_, '_> {
    fn make(&mut self, numbering: &mut Numbering) -> Result<(), QueryError> {
        let sources = select::times_of_floats(self.context, &self.plan.source, self.grid);
        // For each group its metrics in order of name, each with its series.
        let mut metrics: Vec<Vec<(&str, Vec<usize>)>> = vec![Vec::new(); numbering.len()];
        for (at, series) in sources.series.iter().enumerate() {
            let Some(group) = numbering.find(series) else { continue };
            let metrics = &mut metrics[group as usize];
            match metrics.binary_search_by_key(&series.metric_name(), |(name, _)| *name) {
                Ok(found) => metrics[found].1.push(at),
                Err(place) => metrics.insert(place, (series.metric_name(), vec![at])),
            }
        }
        let mut scratch = self.context.scratch();
        for metrics in &metrics {
            let choices = self.of_group(&sources, metrics, &mut scratch)?;
            self.groups.push(choices);
        }
        Ok(())
    }

    fn of_group(
        &self,
        sources: &Vector<'_>,
        metrics: &[(&str, Vec<usize>)],
        scratch: &mut Scratch,
    ) -> Result<Vec<Choice>, QueryError> {
        let _held = self.context.budget.hold_rows(metrics.len(), self.grid.steps)?;
        let mut chosen = Vec::with_capacity(metrics.len());
        for (_, series) in metrics {
            chosen.push(self.newest(sources, series, scratch)?);
        }
        let mut numbers: HashMap<Vec<Option<u32>>, usize> = HashMap::new();
        let mut choices: Vec<Choice> = Vec::new();
        let mut of_step = Vec::with_capacity(metrics.len());
        for step in 0..self.grid.steps {
            of_step.clear();
            of_step.extend(chosen.iter().map(|of_metric| of_metric[step]));
            scratch.pulse.tick(metrics.len())?;
            if of_step.iter().all(Option::is_none) {
                continue;
            }
            let number = match numbers.get(&of_step) {
                Some(number) => *number,
                None => {
                    let sources = of_step.iter().flatten().map(|at| sources.series[*at as usize].clone());
                    choices.push(Choice { sources: sources.collect(), steps: Bits::zeros(self.grid.steps) });
                    numbers.insert(of_step.clone(), choices.len() - 1);
                    choices.len() - 1
                }
            };
            choices[number].steps.set(step);
        }
        Ok(choices)
    }

    /// At each step the series of one metric that has the newest sample.
    fn newest(
        &self,
        sources: &Vector<'_>,
        series: &[usize],
        scratch: &mut Scratch,
    ) -> Result<Vec<Option<u32>>, QueryError> {
        let mut newest = vec![None; self.grid.steps];
        let mut times = vec![f64::NEG_INFINITY; self.grid.steps];
        let mut row = Row::default();
        for at in series {
            sources.fill(*at, scratch, &mut row)?;
            for step in row.valid.iter() {
                let time = row.values[step];
                match newest[step] {
                    Some(known) if times[step] == time && self.any_input(step)? => {
                        return Err(duplicate(&sources.series[known as usize], &sources.series[*at], time));
                    }
                    Some(_) if times[step] >= time => {}
                    _ => {
                        newest[step] = Some(*at as u32);
                        times[step] = time;
                    }
                }
            }
        }
        Ok(newest)
    }

    /// Is anything there to be described at a step? Where nothing is, there are no conflicts.
    fn any_input(&self, step: usize) -> Result<bool, QueryError> {
        if let Some(present) = self.present.get() {
            return Ok(present.get(step));
        }
        let mut present = Bits::zeros(self.grid.steps);
        let (mut scratch, mut row) = (self.context.scratch(), Row::default());
        for at in 0..self.input.len() {
            self.input.fill(at, &mut scratch, &mut row)?;
            present.or(&row.valid);
        }
        Ok(self.present.get_or_init(|| present).get(step))
    }
}

fn duplicate(existing: &Series, new: &Series, seconds: f64) -> QueryError {
    let time = (seconds * 1000.0).round() as i64;
    QueryError::execution(format!(
        "found duplicate series for info metric: existing {} @ {time}, new {} @ {time}",
        label_list(&existing.labels()),
        label_list(&new.labels())
    ))
}

/// Where the row of a series of the result comes from, and which of its steps.
struct Origin {
    input: usize,
    steps: Option<Bits>,
}

/// The series of the result.
fn enriched(
    context: &Context,
    plan: &InfoPlan,
    input: &Vector<'_>,
    roles: &[Role],
    groups: &[Vec<Choice>],
) -> Result<(Vec<Series>, Vec<Origin>), QueryError> {
    // Who wants a label that cannot be empty gets nothing where nobody has it.
    let unenriched = plan.data.iter().all(Matcher::matches_empty);
    let (mut series, mut origins) = (Vec::new(), Vec::new());
    for (at, (one, role)) in input.series.iter().zip(roles).enumerate() {
        let choices: &[Choice] = match role {
            Role::Describes => {
                series.push(one.clone());
                origins.push(Origin { input: at, steps: None });
                continue;
            }
            Role::Described(group) => &groups[*group as usize],
            Role::Unknown => &[],
        };
        let before = series.len();
        let mut rest: Option<Bits> = None;
        for choice in choices {
            match described(one, &choice.sources, &plan.data) {
                Ok(labels) => series.push(one.relabelled(labels)),
                Err(conflict) if meets(context, input, at, &choice.steps)? => {
                    return Err(QueryError::execution(format!("conflicting label: {conflict}")));
                }
                Err(_) => continue,
            }
            origins.push(Origin { input: at, steps: Some(choice.steps.clone()) });
            let rest = rest.get_or_insert_with(|| {
                let mut all = choice.steps.clone();
                all.set_all();
                all
            });
            rest.and_not(&choice.steps);
        }
        if unenriched && rest.as_ref().is_none_or(Bits::any) {
            series.push(one.clone());
            origins.push(Origin { input: at, steps: rest });
        }
        if series.len() == before {
            input.note_rows(context, [at])?;
        }
    }
    Ok((series, origins))
}

/// Does a series of the input have a value at any of these steps?
fn meets(context: &Context, input: &Vector<'_>, at: usize, steps: &Bits) -> Result<bool, QueryError> {
    let mut row = Row::default();
    input.fill(at, &mut context.scratch(), &mut row)?;
    row.valid.and(steps);
    Ok(row.valid.any())
}

/// The labels of a series with those of the series that describe it; its own come first. Two that describe it differently
/// are in conflict, which is named by the label.
fn described(series: &Series, sources: &[Series], data: &[Matcher]) -> Result<Labels, String> {
    let mut builder = series.builder();
    let mut added: HashMap<&str, &str> = HashMap::new();
    for source in sources {
        for (name, value) in source.iter().filter(|(name, _)| *name != kymo_model::METRIC_NAME) {
            let wanted = data.is_empty() || data.iter().any(|m| m.name() == name);
            if !wanted || series.get(name).is_some() {
                continue;
            }
            match added.insert(name, value) {
                Some(other) if other != value => return Err(name.to_owned()),
                Some(_) => {}
                None => {
                    builder.set(name, value);
                }
            }
        }
    }
    Ok(builder.build())
}

struct Parts<'q> {
    input: Box<dyn Rows + 'q>,
    origins: Vec<Origin>,
}

impl Rows for Parts<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let origin = &self.origins[index];
        self.input.fill(origin.input, scratch, out)?;
        if let Some(steps) = &origin.steps {
            out.valid.and(steps);
        }
        Ok(())
    }

    fn may_note(&self) -> bool {
        self.input.may_note()
    }
}
