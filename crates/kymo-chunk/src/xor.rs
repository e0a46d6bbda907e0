//! Prometheus' XOR encoding: float samples, timestamps as deltas of deltas, values as what changed in their bits.

mod layout;

mod appender;
mod batch;
mod decode;
mod encode;
mod iter;
mod runs;

pub use appender::XorAppender;
pub use decode::{decode, decode_range};
pub use iter::XorIter;
pub use layout::SAMPLES_MAX;
