//! The shared words of kymo: labels, matchers, samples, native histograms, exemplars, metadata, and the border traits.
//!
//! Every other crate depends on this one and this one depends on none of them. [`Append`] is how samples enter a
//! store and [`Queryable`] is how they come out ([`ExemplarQueryable`] and [`MetadataQueryable`] for what lies beside them); all are
//! synchronous, so the pure crates need no async runtime.
//!
//! ```
//! use kymo_model::{Append, Batch, Labels, Matcher, MemoryStore, Queryable, Samples, Selector, TimeRange, Timestamp};
//!
//! let store = MemoryStore::default();
//! let mut batch = Batch::new();
//! batch.push(Labels::from_pairs([("__name__", "up"), ("job", "node")]), Timestamp::from_millis(1000), 1.0);
//! store.append(&batch).unwrap();
//!
//! let wanted = Selector::new(vec![Matcher::equal("__name__", "up")], TimeRange::ALL);
//! let mut samples = Samples::new();
//! for series in store.select(&wanted).unwrap().iter() {
//!     let mut reader = series.reader();
//!     while reader.read(&mut samples).unwrap() {
//!         assert_eq!(samples.timestamps_ms, [1000]);
//!     }
//! }
//! ```

mod append;
mod batch;
mod cancel;
mod duration;
mod error;
mod estimate;
mod exemplar;
mod histogram;
mod labels;
mod matcher;
mod memory;
mod metadata;
mod name;
mod number;
mod queryable;
mod quote;
mod regex;
mod samples;
mod selector;
mod staleness;
mod timestamp;

pub use append::{Append, Appended, Refusal, RefusedRow};
pub use batch::{Batch, Row, RowSeries, SampleValue, SeriesHandle};
pub use cancel::{CancelReason, CancelToken, Pulse};
pub use duration::{DurationError, format_duration, parse_duration};
pub use error::{StoreError, StoreErrorKind};
pub use estimate::Estimate;
pub use exemplar::{
    BatchExemplar, Exemplar, ExemplarQueryable, ExemplarRefusal, RefusedExemplar, SeriesExemplars,
    StoredExemplar,
};
pub use histogram::{
    Bucket, CUSTOM_BUCKETS_SCHEMA, Combined, Compensation, CounterResetHint, FloatHistogram, Histogram,
    HistogramError, HistogramSide, IncompatibleHistograms, Span,
};
pub use labels::{Label, Labels, LabelsBuilder, LabelsIter};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use memory::MemoryStore;
pub use metadata::{FamilyMetadata, Metadata, MetadataQueryable, MetricType};
pub use name::{METRIC_NAME, NameScheme, is_legacy_label_name, is_legacy_metric_name};
pub use number::{
    FLOAT_JSON_BYTES, FloatParseError, format_float, format_float_g, format_openmetrics_float, parse_float,
    put_float_json, put_long_float_json, put_short_float_json, write_float, write_float_g, write_float_json,
};
pub use queryable::{Gap, Queryable, Resume, Series, SeriesReader, SeriesSet, SeriesSource, Sparing};
pub use quote::Quoted;
pub use regex::{Regex, RegexError, RegexErrorKind};
pub use samples::{Samples, Values};
pub use selector::{Hints, LabelsNeeded, Selector};
pub use staleness::{NORMAL_NAN_BITS, STALE_NAN, STALE_NAN_BITS, is_stale};
pub use timestamp::{TimeRange, Timestamp};
