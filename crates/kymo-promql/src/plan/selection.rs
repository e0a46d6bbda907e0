//! Selections: each distinct selector once, with the widest range that any use needs and what is known about the uses.

use std::sync::Arc;

use kymo_model::{Hints, LabelsNeeded, METRIC_NAME, MatchOp, Matcher, Selector, TimeRange};
use kymo_promql_syntax::ast::Span;

/// What the store is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) selector: Selector,
    /// Where it stands in the query first.
    pub(crate) span: Span,
}

impl Selection {
    /// Do all series have the same name, so that dropping it keeps them apart?
    pub(crate) fn one_name(&self) -> bool {
        self.selector.matchers.iter().any(|m| m.op() == MatchOp::Equal && m.name() == METRIC_NAME)
    }
}

/// One use of a selector.
pub(crate) struct Use<'a> {
    pub(crate) matchers: &'a [Matcher],
    pub(crate) range: TimeRange,
    pub(crate) step_ms: i64,
    pub(crate) range_ms: i64,
    pub(crate) function: Option<&'static str>,
    pub(crate) labels: LabelsNeeded,
    /// Is it the newest sample of the range that counts, and no other?
    pub(crate) newest_only: bool,
    pub(crate) span: Span,
}

/// The index of the selection that serves this use; uses share one when their matchers are the same and their ranges meet,
/// so that a far offset does not make everybody read the time between.
pub(crate) fn select(selections: &mut Vec<Selection>, wanted: Use<'_>) -> usize {
    let found = selections
        .iter()
        .position(|s| s.selector.matchers == wanted.matchers && s.selector.range.overlaps(&wanted.range));
    if let Some(index) = found {
        let selector = &mut selections[index].selector;
        let hints = &mut selector.hints;
        hints.newest_only &= wanted.newest_only && selector.range == wanted.range;
        selector.range = selector.range.union(&wanted.range);
        hints.range_ms = hints.range_ms.max(wanted.range_ms);
        if hints.function.as_deref() != wanted.function {
            hints.function = None;
        }
        if hints.labels != wanted.labels {
            hints.labels = LabelsNeeded::All;
        }
        return index;
    }
    let hints = Hints {
        step_ms: wanted.step_ms,
        function: wanted.function.map(Arc::from),
        range_ms: wanted.range_ms,
        labels: wanted.labels,
        newest_only: wanted.newest_only,
        ..Hints::default()
    };
    let mut selector = Selector::new(wanted.matchers.to_vec(), wanted.range);
    selector.hints = hints;
    selections.push(Selection { selector, span: wanted.span });
    selections.len() - 1
}
