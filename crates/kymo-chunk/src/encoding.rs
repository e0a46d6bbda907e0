//! Encoding: the byte before a chunk's data in Prometheus' files. The numbers are the format and never change.

use std::fmt;

/// How the data of a chunk is encoded, with Prometheus' numbers.
///
/// ```
/// use kymo_chunk::{Encoding, EncodingError};
/// assert_eq!(Encoding::from_byte(1), Ok(Encoding::Xor));
/// assert_eq!(Encoding::Xor.ensure_readable(), Ok(()));
/// let error = Encoding::from_byte(2).unwrap().ensure_readable().unwrap_err();
/// assert_eq!(error.to_string(), "expected a chunk of encoding 1 (XOR), found encoding 2 (histogram), which is not read yet");
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

/// A chunk whose encoding this crate cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// A number that Prometheus gives to no encoding.
    #[error("expected a chunk encoding from 1 to 6, found {found}")]
    Unknown {
        /// The number.
        found: u8,
    },
    /// One of Prometheus' encodings that has no decoder here.
    #[error("expected a chunk of encoding 1 (XOR), found encoding {} ({found}), which is not read yet", .found.to_byte())]
    Unsupported {
        /// The encoding.
        found: Encoding,
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

    /// Says no to the encodings that have no decoder here.
    pub fn ensure_readable(self) -> Result<(), EncodingError> {
        if self == Encoding::Xor { Ok(()) } else { Err(EncodingError::Unsupported { found: self }) }
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
