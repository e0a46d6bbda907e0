//! Samples: columns of one run of a series, timestamps strictly increasing. Read path, after merge.

use std::sync::Arc;

use crate::FloatHistogram;

/// The values of a run of samples. One run has one kind, so no reader can meet the wrong kind in the middle.
#[derive(Clone, Debug)]
pub enum Values {
    /// Float samples.
    Floats(Vec<f64>),
    /// Native histograms, as PromQL computes with them.
    Histograms(Vec<Arc<FloatHistogram>>),
}

/// One run of samples of one series, as columns of equal length.
///
/// The buffers belong to the caller and are refilled by [`SeriesReader::read`](crate::SeriesReader::read), so reading a
/// million series allocates once.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Milliseconds since the Unix epoch, strictly increasing.
    pub timestamps_ms: Vec<i64>,
    /// The values, as many as there are timestamps.
    pub values: Values,
    /// Start (created) timestamps in milliseconds, 0 where unknown. Empty when the store knows none for this run.
    pub start_timestamps_ms: Vec<i64>,
}

impl Default for Samples {
    fn default() -> Samples {
        Samples::new()
    }
}

impl Samples {
    /// Empty columns of floats.
    pub const fn new() -> Samples {
        Samples {
            timestamps_ms: Vec::new(),
            values: Values::Floats(Vec::new()),
            start_timestamps_ms: Vec::new(),
        }
    }

    /// How many samples.
    pub fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.start_timestamps_ms.clear();
        match &mut self.values {
            Values::Floats(values) => values.clear(),
            Values::Histograms(values) => values.clear(),
        }
    }

    /// Empties the columns and gives out the timestamp and float columns to fill, which must end with equal lengths.
    pub fn floats_mut(&mut self) -> (&mut Vec<i64>, &mut Vec<f64>) {
        self.timestamps_ms.clear();
        self.start_timestamps_ms.clear();
        if let Values::Floats(values) = &mut self.values {
            values.clear();
        } else {
            self.values = Values::Floats(Vec::new());
        }
        match &mut self.values {
            Values::Floats(values) => (&mut self.timestamps_ms, values),
            Values::Histograms(_) => unreachable!("BUG: the column was just made a float column"),
        }
    }

    /// Empties the columns and gives out the timestamp and histogram columns to fill.
    pub fn histograms_mut(&mut self) -> (&mut Vec<i64>, &mut Vec<Arc<FloatHistogram>>) {
        self.timestamps_ms.clear();
        self.start_timestamps_ms.clear();
        if let Values::Histograms(values) = &mut self.values {
            values.clear();
        } else {
            self.values = Values::Histograms(Vec::new());
        }
        match &mut self.values {
            Values::Histograms(values) => (&mut self.timestamps_ms, values),
            Values::Floats(_) => unreachable!("BUG: the column was just made a histogram column"),
        }
    }

    /// The float column, if this run is one of floats.
    pub fn floats(&self) -> Option<&[f64]> {
        match &self.values {
            Values::Floats(values) => Some(values),
            Values::Histograms(_) => None,
        }
    }
}
