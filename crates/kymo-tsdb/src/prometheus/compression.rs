//! How a record of Prometheus' log is compressed, and its bytes without that. What it says of its length is checked before
//! anything is reserved.

use std::io::Read;

use super::pages::RECORD_BYTES_MAX;

/// The compression of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Snappy,
    Zstd,
}

/// A copy of 64 bytes takes two at least; what says it is longer than this many times its bytes is not snappy.
const SNAPPY_RATIO_MAX: usize = 64;

impl Compression {
    /// From the bits above the type in a fragment's first byte; `None` for those that mean nothing yet.
    pub(super) fn from_bits(bits: u8) -> Option<Compression> {
        match bits {
            0 => Some(Compression::None),
            1 => Some(Compression::Snappy),
            2 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// The record's own bytes, in `scratch` when they have to be made. `None` when they cannot be.
    pub(super) fn decompress<'a>(self, record: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        scratch.clear();
        match self {
            Compression::None => return Some(record),
            Compression::Snappy => {
                let length = snap::raw::decompress_len(record).ok()?;
                if length > RECORD_BYTES_MAX || length > record.len().saturating_mul(SNAPPY_RATIO_MAX) {
                    return None;
                }
                scratch.resize(length, 0);
                let written = snap::raw::Decoder::new().decompress(record, scratch).ok()?;
                scratch.truncate(written);
            }
            Compression::Zstd => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(record).ok()?;
                decoder.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(scratch).ok()?;
                if scratch.len() > RECORD_BYTES_MAX {
                    return None;
                }
            }
        }
        Some(scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_about_its_length_is_refused() {
        let mut scratch = Vec::new();
        // Four gigabytes in ten bytes.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0];
        assert_eq!(Compression::Snappy.decompress(&bomb, &mut scratch), None);
        assert!(scratch.capacity() < 1 << 20);
        assert_eq!(Compression::Zstd.decompress(&bomb, &mut scratch), None);
        assert_eq!(Compression::from_bits(3), None);
    }

    #[test]
    fn both_come_back() {
        let record: Vec<u8> = (0..10_000u32).map(|n| (n % 7) as u8).collect();
        let mut scratch = Vec::new();
        let snappy = snap::raw::Encoder::new().compress_vec(&record).unwrap();
        assert_eq!(Compression::Snappy.decompress(&snappy, &mut scratch), Some(record.as_slice()));
        let zstd =
            ruzstd::encoding::compress_to_vec(record.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        assert_eq!(Compression::Zstd.decompress(&zstd, &mut scratch), Some(record.as_slice()));
    }
}
