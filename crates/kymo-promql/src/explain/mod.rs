//! Explanation: how a query is answered, as plain data and as text. After the plan, beside evaluation.
//!
//! `explain` tells the plan alone; `explain analyze` has run it and adds what each operator cost.

mod describe;
mod text;

use kymo_model::{Estimate, Queryable};

use crate::estimate::SAMPLE_BYTES;
use crate::plan::Plan;
use crate::{CancelToken, QueryError, QueryStats};
pub(crate) use describe::{explain, matchers_text};

/// How a query is answered.
///
/// `Display` draws it as a tree. With the feature `serde` it can be serialized.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Explanation {
    /// The query, as the printer writes it.
    pub query: String,
    /// The first point in time, in milliseconds.
    pub start_ms: i64,
    /// From one point to the next, in milliseconds; 0 for an instant query.
    pub step_ms: i64,
    /// At how many points it is answered.
    pub steps: usize,
    /// What the store is asked for, each distinct selector once.
    pub selections: Vec<SelectionNode>,
    /// The operator that gives the result.
    pub root: OperatorNode,
    /// What the whole query cost, if it has run.
    pub stats: Option<QueryStats>,
}

impl Explanation {
    /// Asks the store what it knows without reading.
    pub(crate) fn add_estimates(
        &mut self,
        store: &dyn Queryable,
        plan: &Plan,
        cancel: &CancelToken,
    ) -> Result<(), QueryError> {
        for (node, selection) in self.selections.iter_mut().zip(&plan.selections) {
            let mut selector = selection.selector.clone();
            selector.cancel = cancel.clone();
            let found = store.estimate(&selector).map_err(|error| match cancel.reason() {
                Some(reason) => QueryError::stopped(reason),
                None => error.into(),
            })?;
            node.estimate = found.map(|Estimate { series, samples }| SelectionEstimate {
                series,
                samples,
                bytes: samples.saturating_mul(SAMPLE_BYTES as u64),
            });
        }
        Ok(())
    }
}

/// One question to the store.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SelectionNode {
    /// Which series.
    pub matchers: String,
    /// The earliest sample that any use looks at, in milliseconds.
    pub start_ms: i64,
    /// The latest one.
    pub end_ms: i64,
    /// Hint: the step of the query, in milliseconds.
    pub step_ms: i64,
    /// Hint: the widest range selector, in milliseconds; 0 for instant selectors alone.
    pub range_ms: i64,
    /// Hint: the function around all uses.
    pub function: Option<String>,
    /// Hint: the labels that the query looks at.
    pub labels: String,
    /// How many operators read it.
    pub uses: usize,
    /// What it would find at least, if a store was asked and knows.
    pub estimate: Option<SelectionEstimate>,
    /// What it cost, if the query has run.
    pub cost: Option<SelectionCost>,
}

/// What a question to the store would find at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SelectionEstimate {
    /// Series.
    pub series: u64,
    /// Samples in the whole range.
    pub samples: u64,
    /// Bytes of these samples as columns.
    pub bytes: u64,
}

/// What a question to the store cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SelectionCost {
    /// Series that the store gave.
    pub series: u64,
    /// Samples read, each as often as it was read.
    pub samples_read: u64,
}

/// One operator and what it works on.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OperatorNode {
    /// What it does: `sum`, `rate`, `join +`, `select`, …
    pub operator: String,
    /// How: grouping, matching, range, parameters.
    pub detail: String,
    /// What the planner made of it: `step-invariant`, `rows folded in as they come`, …
    pub notes: Vec<String>,
    /// The selection that it reads, by index.
    pub selection: Option<usize>,
    /// At how many points in time it is evaluated.
    pub steps: usize,
    /// What it works on.
    pub children: Vec<OperatorNode>,
    /// What it cost, if the query has run and come here.
    pub cost: Option<OperatorCost>,
}

/// What an operator cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OperatorCost {
    /// Series that it gives.
    pub series: u64,
    /// Rows that were asked of it.
    pub rows: u64,
    /// Values in those rows.
    pub points: u64,
    /// Bytes of columns and rows that it keeps, without what it works on.
    pub bytes: u64,
    /// Time in it and in what it works on.
    pub nanos: u64,
    /// Time in it alone.
    pub self_nanos: u64,
}
