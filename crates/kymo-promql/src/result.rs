//! Results: what a query gives back. Points are columns, floats and histograms apart, as the HTTP API writes them.

use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, Timestamp};

use crate::QueryStats;

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// The value.
    pub value: QueryValue,
    /// Things that may make the answer wrong, distinct, each with `(line:col)` of the query text where it has a place.
    pub warnings: Vec<String>,
    /// Things to look at, same form.
    pub infos: Vec<String>,
    /// What it cost.
    pub stats: QueryStats,
    /// Time in milliseconds of each step, and how many samples it looked at; empty unless the query was asked to count.
    pub samples_per_step: Vec<(i64, u64)>,
}

/// The value of a query. Range queries give a matrix.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// A number (instant queries).
    Scalar {
        /// The time of the query.
        timestamp: Timestamp,
        /// The number.
        value: f64,
    },
    /// A string (instant queries). Bytes, because PromQL strings are.
    String {
        /// The time of the query.
        timestamp: Timestamp,
        /// The bytes.
        value: Vec<u8>,
    },
    /// One sample per series (instant queries), in the order that the query asks for.
    Vector(Vec<VectorSample>),
    /// Points per series; sorted by labels.
    Matrix(Vec<MatrixSeries>),
}

/// One sample of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// Its series.
    pub labels: Labels,
    /// The time of the query (not that of the stored sample).
    pub timestamp: Timestamp,
    /// Its value.
    pub value: PointValue,
}

/// The value of one point.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl PointValue {
    /// The float, if it is one.
    pub fn float(&self) -> Option<f64> {
        match self {
            PointValue::Float(value) => Some(*value),
            PointValue::Histogram(_) => None,
        }
    }
}

/// One series of a matrix. No timestamp is in both columns, and at least one column has points.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its float points.
    pub floats: Points<f64>,
    /// Its native histogram points.
    pub histograms: Points<Arc<FloatHistogram>>,
}

/// Points as two columns of equal length, timestamps strictly increasing.
#[derive(Clone, Debug, PartialEq)]
pub struct Points<T> {
    /// Milliseconds since the Unix epoch. Shared by the series of a matrix that have a point at every step.
    pub timestamps_ms: Arc<[i64]>,
    /// The values.
    pub values: Vec<T>,
}

impl<T> Default for Points<T> {
    fn default() -> Points<T> {
        Points { timestamps_ms: Arc::default(), values: Vec::new() }
    }
}

impl<T> Points<T> {
    /// How many points.
    pub fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Time and value of each point.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &T)> {
        self.timestamps_ms.iter().copied().zip(&self.values)
    }
}
