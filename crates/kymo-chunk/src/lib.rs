//! Gorilla chunks, bit for bit as Prometheus writes them: appenders, iterators, batch decoders.
//!
//! XOR chunks of floats and chunks of native histograms are written and read; XOR2 is read.
//!
//! A chunk is about 120 samples of one series in a few hundred bytes. This crate knows its bits and nothing else: framing,
//! checksums and files belong to kymo-tsdb. Values are carried as bits, so every NaN comes back as it went in.
//!
//! ```
//! use kymo_chunk::{XorAppender, decode};
//!
//! let mut chunk = XorAppender::new();
//! chunk.push(1_600_000_000_000, 1.5);
//! chunk.push(1_600_000_015_000, 1.5);
//!
//! let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
//! decode(chunk.bytes(), &mut timestamps_ms, &mut values)?;
//! assert_eq!(timestamps_ms, [1_600_000_000_000, 1_600_000_015_000]);
//! assert_eq!(values, [1.5, 1.5]);
//! # Ok::<(), kymo_chunk::ChunkError>(())
//! ```
//!
//! The layout and what a sample costs in it are written down in docs/chunk.md.

#![forbid(unsafe_code)]

mod bits;
pub mod cold;
mod cut;
mod encoding;
mod error;
mod floats;
mod histogram;
mod starts;
mod xor;
mod xor2;

pub use cut::CutPolicy;
pub use encoding::{Encoding, EncodingError};
pub use error::{ChunkError, ChunkErrorKind};
pub use floats::decode_floats;
pub use histogram::{
    FloatHistogramAppender, HistogramAppender, HistogramCutPolicy, HistogramIter, HistogramPushed,
    HistogramSample, HistogramValue, ResetHeader, decode_histograms,
};
pub use xor::{SAMPLES_MAX, XorAppender, XorIter, decode, decode_range};
pub use xor2::{StartedSample, Xor2Iter};
