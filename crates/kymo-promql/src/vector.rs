//! Vector: series and a way to compute their rows. What operators give to each other.
//!
//! The list of series is known before any row is; rows are computed one at a time, when somebody asks. So a chain such as
//! `sum by (a) (rate(b[5m]))` never holds more than one row of `rate`. A listed series may turn out to have no value.

use kymo_model::{Labels, LabelsBuilder, METRIC_NAME};

use crate::budget::Budget;
use crate::columns::Columns;
use crate::context::Context;
use crate::counters::Tally;
use crate::kernel::{Window, WindowsOf, Work};
use crate::row::{Row, Rows};
use crate::{CancelToken, QueryError};

/// What becomes of a series' metric name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Name {
    #[default]
    Kept,
    /// Still there, to be dropped from the result (delayed name removal).
    DropAtEnd,
    /// Dropped already; the labels carry it, nobody may see it.
    Hidden,
}

/// The labels that say what a metric is, and go when its values become something else.
pub(crate) fn describes_metric(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// The identity of a series on its way through a query.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    labels: Labels,
    name: Name,
}

impl Series {
    pub(crate) fn new(labels: Labels) -> Series {
        Series { labels, name: Name::Kept }
    }

    pub(crate) fn with_name(mut self, name: Name) -> Series {
        if self.name != Name::Hidden {
            self.name = name;
        }
        self
    }

    pub(crate) fn name_state(&self) -> Name {
        self.name
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        if self.name == Name::Hidden && describes_metric(name) { None } else { self.labels.get(name) }
    }

    pub(crate) fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let hidden = self.name == Name::Hidden;
        self.labels
            .iter()
            .map(|l| (l.name, l.value))
            .filter(move |(name, _)| !(hidden && describes_metric(name)))
    }

    /// Does a label say its type or unit, seen or hidden?
    pub(crate) fn has_type_or_unit(&self) -> bool {
        ["__type__", "__unit__"].iter().any(|name| self.labels.get(name).is_some())
    }

    /// The labels as operators see them.
    pub(crate) fn labels(&self) -> Labels {
        if self.name == Name::Hidden { self.labels.without(describes_metric) } else { self.labels.clone() }
    }

    /// The labels as the store has them, a name that was dropped included: for messages.
    pub(crate) fn known_labels(&self) -> &Labels {
        &self.labels
    }

    /// The labels as the result shows them.
    pub(crate) fn final_labels(&self) -> Labels {
        if self.name == Name::Kept { self.labels.clone() } else { self.labels.without(describes_metric) }
    }

    pub(crate) fn builder(&self) -> LabelsBuilder {
        self.labels().to_builder()
    }

    /// A series with new labels and the same intent for its name.
    pub(crate) fn relabelled(&self, labels: Labels) -> Series {
        let name = if self.name == Name::Hidden { Name::Kept } else { self.name };
        Series { labels, name }
    }
}

pub(crate) struct Vector<'q> {
    pub(crate) series: Vec<Series>,
    pub(crate) rows: Box<dyn Rows + 'q>,
    /// Are the series still distinct when the metric name is dropped, and not also types and units?
    pub(crate) one_name: bool,
}

impl<'q> Vector<'q> {
    pub(crate) fn empty() -> Vector<'q> {
        struct NoRows;
        impl Rows for NoRows {
            fn fill(&self, _: usize, _: &mut Scratch, _: &mut Row) -> Result<(), QueryError> {
                Ok(())
            }

            fn may_note(&self) -> bool {
                false
            }
        }
        Vector { series: Vec::new(), rows: Box::new(NoRows), one_name: true }
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Computes rows that nobody needs, for what they note.
    pub(crate) fn note_rows(
        &self,
        context: &Context,
        indices: impl IntoIterator<Item = usize>,
    ) -> Result<(), QueryError> {
        if !self.rows.may_note() {
            return Ok(());
        }
        let indices: Vec<usize> = indices.into_iter().collect();
        let compute = |at: usize, scratch: &mut Scratch, _: &mut ()| {
            let mut row = scratch.take_row();
            let filled = self.fill(indices[at], scratch, &mut row);
            scratch.give_back(row);
            filled
        };
        context.in_order(indices.len(), 0, compute, |_, _| Ok(()))
    }

    pub(crate) fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.rows.fill(index, scratch, out)
    }

    /// Gives every row to `take`, in the order of the series; workers compute them.
    pub(crate) fn each_row(
        &self,
        context: &Context,
        steps: usize,
        take: impl FnMut(usize, &mut Row) -> Result<(), QueryError> + Send,
    ) -> Result<(), QueryError> {
        context.in_order(self.len(), steps, |at, scratch, row| self.fill(at, scratch, row), take)
    }
}

/// Buffers of one worker, reused from row to row.
pub(crate) struct Scratch {
    pub(crate) columns: Columns,
    pub(crate) windows: Vec<Window>,
    /// What the windows were made of.
    pub(crate) windows_of: WindowsOf,
    /// The windows of native histograms; empty when the series has none.
    pub(crate) native_windows: Vec<Window>,
    pub(crate) work: Work,
    pub(crate) pulse: Pulse,
    /// For what is held while a row is computed.
    pub(crate) budget: Budget,
    pub(crate) tally: Tally,
    rows: Vec<Row>,
}

impl Scratch {
    pub(crate) fn new(cancel: CancelToken, budget: Budget, tally: Tally) -> Scratch {
        Scratch {
            columns: Columns::default(),
            windows: Vec::new(),
            windows_of: WindowsOf::default(),
            native_windows: Vec::new(),
            work: Work::default(),
            pulse: Pulse { cancel, left: Pulse::EVERY, before: 0 },
            budget,
            tally,
            rows: Vec::new(),
        }
    }

    /// One of no query, for tests of kernels.
    #[cfg(test)]
    pub(crate) fn alone() -> Scratch {
        let budget = Budget::new(usize::MAX, usize::MAX, crate::budget::AllQueries::new(0));
        Scratch::new(
            CancelToken::new(),
            budget,
            Tally::new(std::sync::Arc::new(crate::counters::Counters::new(
                crate::grid::Grid::instant(0),
                false,
            ))),
        )
    }

    /// A row to compute with; give it back with [`Scratch::give_back`].
    pub(crate) fn take_row(&mut self) -> Row {
        self.rows.pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&mut self, row: Row) {
        self.rows.push(row);
    }
}

/// Looks at the cancel token every few thousand samples.
pub(crate) struct Pulse {
    cancel: CancelToken,
    left: usize,
    /// What was worked on until the last look.
    before: usize,
}

impl Pulse {
    const EVERY: usize = 16 * 1024;

    /// Says that `samples` more were worked on.
    pub(crate) fn tick(&mut self, samples: usize) -> Result<(), QueryError> {
        if samples < self.left {
            self.left -= samples;
            return Ok(());
        }
        self.before = self.before.saturating_add(Pulse::EVERY - self.left).saturating_add(samples);
        self.left = Pulse::EVERY;
        self.cancel.reason().map_or(Ok(()), |reason| Err(QueryError::stopped(reason)))
    }

    /// How many samples were worked on.
    pub(crate) fn worked(&self) -> usize {
        self.before + (Pulse::EVERY - self.left)
    }
}
