//! Exposition formats: Prometheus text 0.0.4 and OpenMetrics 1.0 text, bytes to samples and back.
//!
//! The reader is made for the steady state of a scrape, in which every line's series was seen before. Per sample line
//! [`Parser`] finds the raw bytes of the series (`name{labels}` exactly as written), the value and the timestamp, and
//! allocates nothing; the raw bytes are the key of the caller's cache of series handles. Only for a key that is not in the
//! cache does the caller ask for [`Sample::labels`], and it is there that names, escapes and UTF-8 are checked.
//!
//! ```
//! use kymo_exposition::{Entry, Format, LabelScratch, Parser};
//!
//! let body = b"# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} 1027\n";
//! let mut scratch = LabelScratch::default();
//! for entry in Parser::new(Format::Text, body) {
//!     if let Entry::Sample(sample) = entry.unwrap() {
//!         assert_eq!(sample.series(), br#"http_requests_total{code="200"}"#); // the cache key
//!         assert_eq!(sample.value, 1027.0);
//!         let labels = sample.labels(&mut scratch).unwrap();
//!         assert_eq!(labels.get("code"), Some("200"));
//!     }
//! }
//! ```
//!
//! [`Parser`] accepts what Prometheus' own scrape parsers accept, [`strict`] refuses everything the OpenMetrics 1.0
//! specification forbids, [`lint`] finds what is legal but unwise, and [`Encoder`] writes both formats.
#![forbid(unsafe_code)]

mod encode;
mod entry;
mod error;
mod escape;
mod float;
mod format;
mod labels;
pub mod lint;
mod parser;
mod scan;
pub mod strict;

pub use encode::{Encoder, Exemplar as ExemplarOut, Family};
pub use entry::{Entry, EscapedText, Exemplar, Help, Sample, TypeEntry, Unit};
pub use error::{Expected, ParseError};
pub use format::{ContentTypeError, Format};
pub use labels::LabelScratch;
pub use parser::{Options, Parser};
