//! Columns: the samples of one series while range functions and selectors run over them. Reused from series to series.
//!
//! Floats and native histograms stand in columns of their own, each with its times, and no time is in both. Series of floats
//! alone leave the other column empty. Start timestamps are there if the query wants them and the store knows any.

use std::sync::Arc;

use kymo_model::{CounterResetHint, FloatHistogram, Gap, Samples, Sparing, Values, is_stale};

use crate::QueryError;
use crate::bucketless::forget_buckets;
use crate::budget::Budget;
use crate::context::Context;
use crate::grid::Grid;
use crate::row::{Point, Row};

/// Timestamps, strictly increasing, and as many values, of either kind.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    samples: Samples,
    /// A run after the first lands here before it is appended.
    next_run: Samples,
    /// Samples that the store has left out, of floats alone.
    gaps: Vec<Gap>,
    histogram_times: Vec<i64>,
    histograms: Vec<Arc<FloatHistogram>>,
    histogram_starts: Vec<i64>,
    /// What the histograms count for in the budget.
    histogram_weight: usize,
    /// Histograms without buckets of earlier series, whose memory the next ones get.
    bucketless: Vec<Arc<FloatHistogram>>,
    are_bucketless: bool,
}

/// Borrowed columns of equal length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floats<'a> {
    pub(crate) times: &'a [i64],
    pub(crate) values: &'a [f64],
    /// When counters began, 0 where unknown; empty if it is not known of any sample.
    pub(crate) starts: &'a [i64],
}

/// The same for native histograms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Natives<'a> {
    pub(crate) times: &'a [i64],
    pub(crate) values: &'a [Arc<FloatHistogram>],
    /// As those of floats.
    pub(crate) starts: &'a [i64],
}

impl Columns {
    pub(crate) fn floats(&self) -> Floats<'_> {
        let values = self.samples.floats().unwrap_or(&[]);
        let times = &self.samples.timestamps_ms[..values.len()];
        Floats { times, values, starts: &self.samples.start_timestamps_ms }
    }

    pub(crate) fn natives(&self) -> Natives<'_> {
        Natives { times: &self.histogram_times, values: &self.histograms, starts: &self.histogram_starts }
    }

    /// What was left out of the floats, in order.
    pub(crate) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many samples those are.
    pub(crate) fn left_out(&self) -> usize {
        self.gaps.iter().map(|gap| gap.samples).sum()
    }

    /// Decodes a series: with start timestamps if they are `wanted`, without the floats that can be spared.
    pub(crate) fn load(
        &mut self,
        context: &Context,
        budget: &Budget,
        (selection, index): (usize, usize),
        wanted: StartTimes,
        sparing: Option<Sparing>,
    ) -> Result<(), QueryError> {
        let series = context.sets[selection].series.series(index);
        let mut reader = series.reader();
        self.gaps.clear();
        self.clear_histograms();
        let mut more = match sparing {
            Some(sparing) => reader.read_sparse(sparing, &mut self.samples, &mut self.gaps)?,
            None => reader.read(&mut self.samples)?,
        };
        if !self.gaps.is_empty() {
            let samples = self.samples.len() + self.left_out();
            budget.touch(samples, 0)?;
            if !reader.read(&mut self.next_run)? {
                // Other chunks of the run may know some, but nothing is left out where they are wanted.
                self.samples.start_timestamps_ms.clear();
                return context.read(selection, samples);
            }
            // Floats and histograms take turns: windows over both look at all of them.
            self.gaps.clear();
            reader = series.reader();
            more = reader.read(&mut self.samples)?;
        }
        while more && self.samples.floats().is_none() {
            std::mem::swap(&mut self.samples, &mut self.next_run);
            self.append_next(budget)?;
            more = reader.read(&mut self.samples)?;
        }
        while more {
            budget.touch(self.samples.len(), 0)?;
            more = reader.read(&mut self.next_run)?;
            self.append_next(budget)?;
        }
        if wanted == StartTimes::Unwanted {
            self.samples.start_timestamps_ms.clear();
            self.histogram_starts.clear();
        }
        context.read(selection, self.samples.len() + self.histogram_weight)
    }

    /// Leaves count, sum and a reset hint of each histogram, for a walk over windows with these ends.
    pub(crate) fn forget_buckets(&mut self, ends: Grid, back_ms: i64) {
        self.are_bucketless = true;
        forget_buckets(&self.histogram_times, &mut self.histograms, &mut self.bucketless, ends, back_ms);
    }

    fn clear_histograms(&mut self) {
        self.histogram_times.clear();
        self.histogram_starts.clear();
        self.histogram_weight = 0;
        match std::mem::take(&mut self.are_bucketless) {
            true => {
                self.bucketless.clear();
                self.bucketless.append(&mut self.histograms);
            }
            false => self.histograms.clear(),
        }
    }

    /// Appends the run just read to the columns of its kind.
    fn append_next(&mut self, budget: &Budget) -> Result<(), QueryError> {
        match (&mut self.samples.values, &mut self.next_run.values) {
            (Values::Floats(values), Values::Floats(next)) => {
                let starts = &self.next_run.start_timestamps_ms;
                append_starts(&mut self.samples.start_timestamps_ms, values.len(), starts, next.len());
                values.extend_from_slice(next);
                self.samples.timestamps_ms.extend_from_slice(&self.next_run.timestamps_ms);
            }
            (_, Values::Histograms(next)) => {
                let starts = &self.next_run.start_timestamps_ms;
                append_starts(&mut self.histogram_starts, self.histograms.len(), starts, next.len());
                self.histogram_times.extend_from_slice(&self.next_run.timestamps_ms);
                self.histogram_weight += next.iter().map(|h| h.sample_weight()).sum::<usize>();
                budget.touch(self.histogram_weight, self.histogram_weight.saturating_mul(16))?;
                self.histograms.append(next);
                // `append` took the values; the run must keep columns of equal length.
                self.next_run.timestamps_ms.clear();
                self.next_run.start_timestamps_ms.clear();
            }
            (Values::Histograms(_), Values::Floats(_)) => {}
        }
        Ok(())
    }

    /// The points of a row, as a subquery gives them to a range function.
    ///
    /// What is known about counter resets between histograms holds for neighbours in the store and not for points of a
    /// subquery, so functions do not see it.
    pub(crate) fn take_points(&mut self, row: &Row, grid: Grid, keep_hints: bool) {
        self.gaps.clear();
        self.clear_histograms();
        let (times, values) = self.samples.floats_mut();
        if row.histograms.is_empty() {
            for step in row.valid.iter() {
                times.push(grid.time(step));
                values.push(row.values[step]);
            }
            return;
        }
        for step in row.valid.iter() {
            match row.point(step) {
                Some(Point::Float(value)) => {
                    times.push(grid.time(step));
                    values.push(value);
                }
                Some(Point::Histogram(histogram)) => {
                    self.histogram_times.push(grid.time(step));
                    self.histograms.push(match keep_hints {
                        true => histogram.clone(),
                        false => without_reset_hint(histogram),
                    });
                }
                None => {}
            }
        }
    }

    /// Leaves out staleness markers, which ranges do not see.
    pub(crate) fn drop_stale(&mut self) {
        self.drop_stale_histograms();
        let Values::Floats(values) = &mut self.samples.values else { return };
        // Most have none, which is seen without a branch for each.
        if !values.iter().fold(false, |any, v| any | is_stale(*v)) {
            return;
        }
        let Some(first) = values.iter().position(|v| is_stale(*v)) else { return };
        for gap in &mut self.gaps {
            gap.after -= values[..=gap.after].iter().filter(|v| is_stale(**v)).count();
        }
        let times = &mut self.samples.timestamps_ms;
        let starts = &mut self.samples.start_timestamps_ms;
        let mut kept = first;
        for at in first..values.len() {
            if !is_stale(values[at]) {
                values[kept] = values[at];
                times[kept] = times[at];
                if !starts.is_empty() {
                    starts[kept] = starts[at];
                }
                kept += 1;
            }
        }
        values.truncate(kept);
        times.truncate(kept);
        starts.truncate(kept);
    }

    fn drop_stale_histograms(&mut self) {
        if self.histograms.iter().any(|h| h.is_stale()) {
            let stale: Vec<bool> = self.histograms.iter().map(|h| h.is_stale()).collect();
            let mut at = stale.iter();
            self.histogram_times.retain(|_| at.next() == Some(&false));
            let mut at = stale.iter();
            self.histogram_starts.retain(|_| at.next() == Some(&false));
            self.histograms.retain(|h| !h.is_stale());
        }
    }
}

/// Are start timestamps to be kept?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartTimes {
    Wanted,
    Unwanted,
}

impl From<bool> for StartTimes {
    fn from(wanted: bool) -> StartTimes {
        if wanted { StartTimes::Wanted } else { StartTimes::Unwanted }
    }
}

/// Appends the start timestamps of a run to a column of `len` samples; 0 stands where a run knows none.
fn append_starts(starts: &mut Vec<i64>, len: usize, of_run: &[i64], run_len: usize) {
    if starts.is_empty() && of_run.is_empty() {
        return;
    }
    starts.resize(len, 0);
    starts.extend_from_slice(of_run);
    starts.resize(len + run_len, 0);
}

fn without_reset_hint(histogram: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::Unknown | CounterResetHint::Gauge => histogram.clone(),
        CounterResetHint::Reset | CounterResetHint::NotReset => Arc::new(FloatHistogram {
            counter_reset_hint: CounterResetHint::Unknown,
            ..FloatHistogram::clone(histogram)
        }),
    }
}
