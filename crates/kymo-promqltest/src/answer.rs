//! The border to engines: what a script loads, what it asks, what comes back.

use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, Timestamp};

/// An engine under test, with a store of its own.
pub trait Engine {
    /// Forgets all series.
    fn clear(&mut self) -> Result<(), EngineError>;

    /// Adds series. Samples of one series come in order of time.
    fn load(&mut self, series: &[LoadedSeries]) -> Result<(), EngineError>;

    /// The answer to a query at one time.
    fn instant(&mut self, query: &str, at: Timestamp) -> Answered;

    /// The answer to a query at `start`, `start + step_ms`, … up to `end`.
    fn range(&mut self, query: &str, start: Timestamp, end: Timestamp, step_ms: i64) -> Answered;
}

/// What an engine says to a query.
pub type Answered = Result<Answer, EngineError>;

/// Why an engine has no answer. The text is what `expect fail msg:` compares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// The engine's own words.
    pub message: String,
}

impl EngineError {
    /// An error with these words.
    pub fn new(message: impl Into<String>) -> EngineError {
        EngineError { message: message.into() }
    }
}

/// A series to be loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub samples: Vec<LoadedSample>,
}

/// A sample to be loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedSample {
    /// When.
    pub timestamp: Timestamp,
    /// What.
    pub value: Value,
    /// The start (created) timestamp in milliseconds, if the script gives one.
    pub start_timestamp_ms: Option<i64>,
}

/// A float or a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Outcome,
    /// Warnings, as the engine words them.
    pub warnings: Vec<String>,
    /// Infos, as the engine words them.
    pub infos: Vec<String>,
}

/// The value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A number.
    Scalar(f64),
    /// A string.
    String(Vec<u8>),
    /// One value per series, in the order in which the engine gives them.
    Vector(Vec<(Labels, Value)>),
    /// Values over time per series.
    Matrix(Vec<Series>),
}

/// A series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Milliseconds and floats, in order of time.
    pub floats: Vec<(i64, f64)>,
    /// Milliseconds and histograms, in order of time.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}
