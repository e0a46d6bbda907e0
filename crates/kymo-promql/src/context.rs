//! Context: what all operators of one running query share. Evaluation; read-only, or counted through atomics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use kymo_model::{Queryable, SeriesSet, StoreError, StoreErrorKind};
use kymo_promql_syntax::ast::Span;

use crate::budget::Budget;
use crate::counters::{Counters, Tally};
use crate::eval::HeldVector;
use crate::executor::Workers;
use crate::explain::matchers_text;
use crate::notes::{Note, Notes, position};
use crate::plan::{Selection, SharedPlan};
use crate::probe::Probes;
use crate::spare::Spare;
use crate::vector::{Name, Scratch};
use crate::{Bound, CancelToken, MatrixSeries, QueryError, QueryStats};

pub(crate) struct Context {
    pub(crate) lookback_ms: i64,
    pub(crate) delayed_name_removal: bool,
    pub(crate) type_and_unit_labels: bool,
    pub(crate) use_start_timestamps: bool,
    pub(crate) cancel: CancelToken,
    /// The text of the query, for places in messages.
    pub(crate) text: Option<Arc<str>>,
    /// How many series all selections together may have; 0 for no bound.
    pub(crate) series_max: usize,
    /// How many samples all selections together may have; 0 for no bound.
    pub(crate) samples_read_max: u64,
    pub(crate) budget: Budget,
    pub(crate) workers: Workers,
    pub(crate) spare: Spare,
    pub(crate) notes: Notes,
    pub(crate) counters: Arc<Counters>,
    pub(crate) native_buckets: NativeBuckets,
    /// One per selection of the plan.
    pub(crate) sets: Vec<SelectedSet>,
    /// What the query has more than once, and its values as soon as somebody has asked for them.
    pub(crate) shared: Arc<[SharedPlan]>,
    pub(crate) held: Vec<OnceLock<Result<Arc<HeldVector>, QueryError>>>,
    /// Where the query is to be explained.
    pub(crate) probes: Option<Probes>,
}

/// What the store gave for a selection.
pub(crate) struct SelectedSet {
    pub(crate) series: SeriesSet,
    /// Do all have the same name, so that dropping it keeps them apart?
    pub(crate) one_name: bool,
    /// Was the newest sample of each series asked for, and nothing else?
    newest_only: bool,
    /// How many samples were read, each once per read.
    pub(crate) samples_read: Arc<AtomicU64>,
    selection: Selection,
}

impl SelectedSet {
    /// The newest sample of a series, where the store has it at hand.
    pub(crate) fn newest(&self, index: usize) -> Option<(i64, f64)> {
        if self.newest_only { self.series.newest(index) } else { None }
    }
}

/// Native histograms in series with an `le` label, as buckets have it. They have series of their own in the results of
/// `histogram_quantile` and its kin, which costs a look at every bucket to know; hardly any query meets one. So a query first
/// runs without expecting them, and again if it did.
#[derive(Debug, Default)]
pub(crate) struct NativeBuckets {
    expected: bool,
    met: AtomicBool,
}

const ANOTHER_RUN: &str = "native histograms in series with an le label need another run";

impl NativeBuckets {
    pub(crate) fn expected(&self) -> bool {
        self.expected
    }

    /// Asks for another run that expects them. The error ends this one.
    pub(crate) fn expect(&self) -> QueryError {
        self.met.store(true, Ordering::Relaxed);
        QueryError::execution(ANOTHER_RUN)
    }

    /// A worker may meet one behind the row whose error ends the query, which nobody would have got to.
    pub(crate) fn forget_unless(&self, error: &QueryError) {
        if error.message != ANOTHER_RUN {
            self.met.store(false, Ordering::Relaxed);
        }
    }

    /// What the next run needs to know, if there has to be one.
    pub(crate) fn next_run(&self) -> Option<NativeBuckets> {
        let again = self.met.load(Ordering::Relaxed) && !self.expected;
        again.then(|| NativeBuckets { expected: true, met: AtomicBool::new(false) })
    }
}

impl Context {
    /// Asks the store, once per selection.
    pub(crate) fn select(
        &mut self,
        store: &dyn Queryable,
        selections: &[Selection],
    ) -> Result<(), QueryError> {
        let series_max = self.series_max;
        let mut found = 0usize;
        for selection in selections {
            self.check()?;
            let mut selector = selection.selector.clone();
            selector.hints.series_limit = series_max;
            selector.cancel = self.cancel.clone();
            let series = store.select(&selector).map_err(|error| self.of_store(error, selection))?;
            found = found.saturating_add(series.len());
            if series_max != 0 && found > series_max {
                let message =
                    format!("query would read {found} series or more, expected at most {series_max}");
                return Err(self.refused(Bound::Series, message, selection));
            }
            self.refuse_to_read(store, selection, series.len())?;
            let samples_read = Arc::new(AtomicU64::new(0));
            self.sets.push(SelectedSet {
                series,
                one_name: selection.one_name(),
                newest_only: selector.hints.newest_only,
                samples_read,
                selection: selection.clone(),
            });
        }
        Ok(())
    }

    /// Takes what the store has to say, when everything was read: some of it is found by reading.
    pub(crate) fn note_warnings(&self) {
        for warning in self.sets.iter().flat_map(|set| set.series.warnings()) {
            self.notes.add(Note::Store(warning), Span::default());
        }
    }

    /// An error of the store, as that of the query: whoever stopped it said why.
    pub(crate) fn of_store(&self, error: StoreError, selection: &Selection) -> QueryError {
        match error.kind() {
            StoreErrorKind::Canceled => self.check().err().unwrap_or_else(|| error.into()),
            StoreErrorKind::Limit => {
                let message = format!("query would read too many series: {error}");
                self.refused(Bound::Series, message, selection)
            }
            _ => error.into(),
        }
    }

    /// A refusal that says which selector it is about.
    pub(crate) fn refused(&self, bound: Bound, message: String, selection: &Selection) -> QueryError {
        let (line, column) = position(self.text.as_deref(), selection.span.start as usize);
        let matchers = matchers_text(&selection.selector.matchers);
        let message = format!("{message}; the selector is {matchers} ({line}:{column})");
        QueryError::limit(message).over(bound).at(selection.span)
    }

    /// Orders the series of a result.
    pub(crate) fn sort_by_labels(&self, all: &mut [MatrixSeries]) -> Result<(), QueryError> {
        let sorted = self.cancel.sort_by(all, |a, b| a.labels.cmp(&b.labels));
        sorted.map_err(|error| self.check().err().unwrap_or_else(|| error.into()))
    }

    /// Lets what is held be computed again.
    pub(crate) fn forget_held(&mut self) {
        self.held = self.shared.iter().map(|_| OnceLock::new()).collect();
    }

    /// Says that so many samples of a selection were read, which may be too many.
    pub(crate) fn read(&self, selection: usize, samples: usize) -> Result<(), QueryError> {
        self.sets[selection].samples_read.fetch_add(samples as u64, Ordering::Relaxed);
        self.check_reading()
    }

    /// Have more samples been read than may be? Newest samples that the store had at hand are counted, but not each by itself: at the
    /// end somebody must look.
    pub(crate) fn check_reading(&self) -> Result<(), QueryError> {
        let mut read = 0;
        for set in self.sets.iter().take_while(|_| self.samples_read_max != 0) {
            read += set.samples_read.load(Ordering::Relaxed);
            if read > self.samples_read_max {
                return Err(self.too_many_to_read("query would read more samples", &set.selection));
            }
        }
        Ok(())
    }

    pub(crate) fn too_many_to_read(&self, what: &str, selection: &Selection) -> QueryError {
        let message = format!("{what}, expected at most {}", self.samples_read_max);
        self.refused(Bound::SamplesRead, message, selection)
    }

    /// Has somebody asked to stop?
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        self.cancel.reason().map_or(Ok(()), |reason| Err(QueryError::stopped(reason)))
    }

    /// The same for number `at` of many series of which little is asked.
    pub(crate) fn check_now_and_then(&self, at: usize) -> Result<(), QueryError> {
        if at.is_multiple_of(4096) { self.check() } else { Ok(()) }
    }

    pub(crate) fn scratch(&self) -> Scratch {
        Scratch::new(self.cancel.clone(), self.budget.clone(), Tally::new(self.counters.clone()))
    }

    /// That of a worker beside others.
    pub(crate) fn worker_scratch(&self) -> Scratch {
        Scratch::new(self.cancel.clone(), self.budget.lane(), Tally::new(self.counters.clone()))
    }

    /// What becomes of the metric name in an operator that changes the meaning of values.
    pub(crate) fn dropped_name(&self) -> Name {
        if self.delayed_name_removal { Name::DropAtEnd } else { Name::Hidden }
    }

    pub(crate) fn stats(&self) -> QueryStats {
        let (peak_samples, peak_bytes) = self.budget.peaks();
        QueryStats {
            selects: self.sets.len() as u64,
            series: self.sets.iter().map(|set| set.series.len() as u64).sum(),
            samples_read: self.sets.iter().map(|set| set.samples_read.load(Ordering::Relaxed)).sum(),
            total_queryable_samples: self.counters.total(),
            peak_samples,
            peak_bytes,
        }
    }
}
