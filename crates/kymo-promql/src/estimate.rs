//! Estimates: what a query would hold or read at least, asked of the store before anything is read.
//!
//! All samples of a range selector that is the whole query are its result and are held at once; so if the store says that there
//! are more than may be held, reading them is in vain. Anything else reads series by series and may hold little.

use kymo_model::{Estimate, Queryable, Selector};
use kymo_promql_syntax::ast::Edges;

use crate::context::Context;
use crate::plan::{Plan, RangePlan, RangeSource, Root, Selection};
use crate::{Bound, QueryError};

/// Bytes of a sample in the columns of a result.
pub(crate) const SAMPLE_BYTES: usize = 16;

impl Context {
    /// Refuses a query that would hold more than it may, as far as the store knows without reading.
    pub(crate) fn refuse_by_estimate(&self, store: &dyn Queryable, plan: &Plan) -> Result<(), QueryError> {
        let Root::Range(RangePlan {
            source: RangeSource::Selection(selection),
            range_ms,
            edges: Edges::Inside,
            ..
        }) = &plan.root
        else {
            return Ok(());
        };
        let selection = &plan.selections[*selection];
        let (samples_max, bytes_max) = self.budget.limits();
        let most = samples_max.min(bytes_max / SAMPLE_BYTES);
        let Some(found) = self.estimate(store, selection, most)? else { return Ok(()) };
        let Estimate { series, samples } = found;
        let range = kymo_model::format_duration(*range_ms);
        if self.series_max != 0 && series > self.series_max as u64 {
            let message =
                format!("query would read {series} series or more, expected at most {}", self.series_max);
            return Err(self.refused(Bound::Series, message, selection));
        }
        if samples > samples_max as u64 {
            let message = format!(
                "query processing would load too many samples into memory in query execution: expected at most \
                 {samples_max}, found {samples} or more in {range}"
            );
            return Err(self.refused(Bound::Samples, message, selection));
        }
        if samples > most as u64 {
            let bytes = samples.saturating_mul(SAMPLE_BYTES as u64);
            let message = format!(
                "query would hold {bytes} bytes of columns in memory or more, {samples} samples in {range}, expected at most \
                 {bytes_max}"
            );
            return Err(self.refused(Bound::Bytes, message, selection));
        }
        Ok(())
    }

    /// Refuses a query that would read more samples than it may, as far as the store knows. It is not asked where so many series
    /// would need more than a sample a second each, as nearly always.
    pub(crate) fn refuse_to_read(
        &self,
        store: &dyn Queryable,
        selection: &Selection,
        series: usize,
    ) -> Result<(), QueryError> {
        let (max, selector) = (self.samples_read_max, &selection.selector);
        let seconds = selector.range.max.millis().saturating_sub(selector.range.min.millis()) / 1000;
        let needs_a_look = max != 0 && (series as u64).saturating_mul(seconds.max(1) as u64) > max;
        if !needs_a_look || selector.hints.newest_only {
            return Ok(());
        }
        let samples_max = usize::try_from(max).unwrap_or(usize::MAX);
        match self.estimate(store, selection, samples_max)? {
            Some(Estimate { samples, .. }) if samples > max => {
                Err(self.too_many_to_read(&format!("query would read {samples} samples or more"), selection))
            }
            _ => Ok(()),
        }
    }

    /// What the store knows of a selection; it need not count beyond what may be held.
    fn estimate(
        &self,
        store: &dyn Queryable,
        selection: &Selection,
        samples_max: usize,
    ) -> Result<Option<Estimate>, QueryError> {
        self.check()?;
        let mut selector: Selector = selection.selector.clone();
        selector.hints.series_limit = self.series_max;
        selector.hints.samples_limit = samples_max;
        selector.cancel = self.cancel.clone();
        store.estimate(&selector).map_err(|error| self.of_store(error, selection))
    }
}
