//! Cold columns: thousands of samples of a series, times and values apart, for data that is written once and read for years.
//!
//! Values are lossless to the bit. A column is chosen by trial: a constant; whole numbers after scaling by a power of ten; bits in
//! order of value; or a dictionary. Numbers are then differences, packed in groups of 128 to the width that is cheapest, with those
//! that are far off told apart. docs/cold.md has the layout and what a sample costs.
//!
//! ```
//! use kymo_chunk::cold::{decode_values, encode_values};
//! let values = [0.5, f64::INFINITY, -0.0, 1e300];
//! let (mut column, mut read) = (Vec::new(), Vec::new());
//! encode_values(&values, &mut column);
//! decode_values(&column, 0..4, &mut read)?;
//! assert!(read.iter().zip(values).all(|(read, value)| read.to_bits() == value.to_bits()));
//! # Ok::<(), kymo_chunk::cold::ColdError>(())
//! ```

mod error;

mod bytes;
mod group;
mod integers;
mod pack;

mod decimal;
mod dictionary;
mod patches;

mod times;
mod values;

pub use error::{ColdError, ColdErrorKind};
pub use times::{decode_times, encode_times, sample_count};
pub use values::{decode_values, encode_values};

/// No column has more samples.
pub const COLUMN_SAMPLES_MAX: usize = 1 << 16;
