//! Prometheus' histogram encodings: integer counts and float counts, each with and without start timestamps.
//!
//! A chunk says once which buckets there are; its samples are then columns of numbers. A histogram with other buckets
//! makes the chunk be written anew with the buckets of both, or ends it.

mod form;
mod header;
mod layout;
mod merge;
mod state;

mod appender;
mod iter;

mod decode;

pub use appender::{FloatHistogramAppender, HistogramAppender, HistogramCutPolicy, HistogramPushed};
pub use decode::decode_histograms;
pub use header::ResetHeader;
pub use iter::{HistogramIter, HistogramSample, HistogramValue};
