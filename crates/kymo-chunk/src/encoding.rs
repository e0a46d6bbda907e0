//! Encoding: the byte before a chunk's data in Prometheus' files. The numbers are the format and never change.

use std::fmt;

/// How the data of a chunk is encoded, with Prometheus' numbers.
///
/// ```
/// use kymo_chunk::{Encoding, EncodingError};
/// assert_eq!(Encoding::from_byte(1), Ok(Encoding::Xor));
/// assert!(Encoding::HistogramStart.has_starts() && !Encoding::HistogramStart.is_float());
/// assert_eq!(Encoding::from_byte(9), Err(EncodingError::Unknown { found: 9 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Encoding {
    /// Float samples: [`XorAppender`](crate::XorAppender).
    Xor = 1,
    /// Native histograms of integer counts.
    Histogram = 2,
    /// Native histograms of float counts.
    FloatHistogram = 3,
    /// Float samples with start timestamps, Prometheus 3.14.
    Xor2 = 4,
    /// Native histograms of integer counts with start timestamps.
    HistogramStart = 5,
    /// Native histograms of float counts with start timestamps.
    FloatHistogramStart = 6,
}

/// A byte that is no chunk encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// A number that Prometheus gives to no encoding.
    #[error("expected a chunk encoding from 1 to 6, found {found}")]
    Unknown {
        /// The number.
        found: u8,
    },
}

impl Encoding {
    /// Every encoding, in order of number.
    pub const ALL: [Encoding; 6] = [
        Encoding::Xor,
        Encoding::Histogram,
        Encoding::FloatHistogram,
        Encoding::Xor2,
        Encoding::HistogramStart,
        Encoding::FloatHistogramStart,
    ];

    /// The encoding of this number.
    pub fn from_byte(byte: u8) -> Result<Encoding, EncodingError> {
        let known = Encoding::ALL.into_iter().find(|encoding| encoding.to_byte() == byte);
        known.ok_or(EncodingError::Unknown { found: byte })
    }

    /// Its number in files.
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// Are its samples floats? Those of the others are native histograms.
    pub const fn is_float(self) -> bool {
        matches!(self, Encoding::Xor | Encoding::Xor2)
    }

    /// Does it keep start timestamps?
    pub const fn has_starts(self) -> bool {
        matches!(self, Encoding::Xor2 | Encoding::HistogramStart | Encoding::FloatHistogramStart)
    }

    /// How many samples a chunk of this encoding says it has, from its first bytes.
    pub fn sample_count(self, bytes: &[u8]) -> Option<u16> {
        let count = u16::from_be_bytes(*bytes.first_chunk()?);
        let in_count = matches!(self, Encoding::HistogramStart | Encoding::FloatHistogramStart);
        Some(if in_count { count & 0x3fff } else { count })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Xor => "XOR",
            Encoding::Histogram => "histogram",
            Encoding::FloatHistogram => "float histogram",
            Encoding::Xor2 => "XOR2",
            Encoding::HistogramStart => "histogram with start timestamps",
            Encoding::FloatHistogramStart => "float histogram with start timestamps",
        })
    }
}
