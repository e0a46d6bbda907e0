//! ChunkError: what is wrong with a chunk, and at which bit and sample.

use crate::Encoding;

/// Bytes that are not a whole chunk.
///
/// ```
/// let error = kymo_chunk::decode(&[0, 1, 0], &mut Vec::new(), &mut Vec::new()).unwrap_err();
/// assert_eq!(error.to_string(), "expected 64 more bits, found 0 (sample 0, bit 24)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (sample {sample}, bit {bit_offset})")]
pub struct ChunkError {
    /// What is wrong.
    pub kind: ChunkErrorKind,
    /// Where the field that is wrong begins, counted in bits from the start of the chunk.
    pub bit_offset: usize,
    /// The index of the sample it belongs to, equal to the number of samples before it that are whole.
    pub sample: u16,
}

/// What is wrong with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkErrorKind {
    /// The chunk ends inside a field.
    #[error("expected {wanted_bits} more bits, found {left_bits}")]
    Truncated {
        /// How many bits the field has.
        wanted_bits: u32,
        /// How many there are.
        left_bits: u32,
    },
    /// A value window that is wider than a float.
    #[error("expected a value window within 64 bits, found {leading} leading zeros and {significant} bits")]
    BadWindow {
        /// Leading zeros, as read.
        leading: u8,
        /// Significant bits, as read.
        significant: u8,
    },
    /// The timestamp of the first or second sample does not fit in 64 bits.
    #[error("expected a varint of at most 64 bits, found a longer one")]
    VarintTooLong,
    /// A schema that no histogram has.
    #[error("expected a schema from -9 to 52, or -53 for custom bounds, found {found}")]
    Schema {
        /// As read.
        found: i64,
    },
    /// A span whose buckets are not behind those before it, or have indices beyond 32 bits.
    #[error(
        "expected a span behind the one before and within 32 bits, found offset {offset} and length {length}"
    )]
    Span {
        /// As read.
        offset: i64,
        /// As read.
        length: u64,
    },
    /// More buckets than the rest of the chunk can hold.
    #[error("expected no more buckets than {left_bits} bits can hold, found {buckets}")]
    Buckets {
        /// How many the spans say.
        buckets: usize,
        /// What is left of the chunk.
        left_bits: usize,
    },
    /// So many spans and bounds in so many samples that no writer would have made it.
    #[error("expected at most {max} spans and bounds in all histograms together, found {found}")]
    LayoutTooLarge {
        /// Spans and bounds, times samples.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// A chunk of floats where histograms were asked for.
    #[error("expected a chunk of histograms, found encoding {} ({found})", .found.to_byte())]
    NotHistograms {
        /// Its encoding.
        found: Encoding,
    },
    /// A chunk of histograms where floats were asked for.
    #[error("expected a chunk of floats, found encoding {} ({found})", .found.to_byte())]
    NotFloats {
        /// Its encoding.
        found: Encoding,
    },
    /// Bytes after the last sample, in a chunk that was to be appended to.
    #[error("expected the end of the chunk, found {bytes} more bytes")]
    TrailingBytes {
        /// How many whole bytes.
        bytes: usize,
    },
}
