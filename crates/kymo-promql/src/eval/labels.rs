//! `label_replace` and `label_join`: new labels, same rows.

use kymo_model::METRIC_NAME;

use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::plan::{LabelJoin, LabelReplace, VectorPlan};
use crate::vector::{Name, Series, Vector};

pub(super) fn replace<'q>(
    context: &'q Context,
    plan: &LabelReplace,
    input: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let input = super::vector(context, input, grid)?;
    let mut value = String::new();
    relabel(context, input, &plan.target, |series| {
        value.clear();
        let source = series.get(&plan.source).unwrap_or("");
        plan.regex.expand(source, &plan.template, &mut value).then(|| value.clone())
    })
}

pub(super) fn join<'q>(
    context: &'q Context,
    plan: &LabelJoin,
    input: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let input = super::vector(context, input, grid)?;
    relabel(context, input, &plan.target, |series| {
        let values: Vec<&str> = plan.sources.iter().map(|name| series.get(name).unwrap_or("")).collect();
        Some(values.join(&plan.separator))
    })
}

/// Sets one label of every series for which there is a value. A name that was to be dropped is kept when it is set anew.
fn relabel<'q>(
    context: &Context,
    input: Vector<'q>,
    target: &str,
    mut value: impl FnMut(&Series) -> Option<String>,
) -> Result<Vector<'q>, QueryError> {
    let Vector { series, rows, .. } = input;
    let relabelled = series.into_iter().map(|series| match value(&series) {
        None => series,
        Some(value) => {
            let labels = series.builder().set(target, &value).build();
            let series = series.relabelled(labels);
            if target == METRIC_NAME { series.with_name(Name::Kept) } else { series }
        }
    });
    super::merge_same(context, Vector { series: relabelled.collect(), rows, one_name: false })
}
