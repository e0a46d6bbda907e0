//! Body: a Snappy block as it arrives, bounded by what it declares before anything is allocated for it.

use snap::raw::{Decoder, decompress_len};

/// The most bytes that one byte of a Snappy block can stand for: a copy of 64 bytes takes 3.
const SNAPPY_RATIO_MAX: usize = 22;

/// Why a body was not decompressed.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is larger than allowed.
    #[error("expected a body of at most {max} bytes, found {found}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The body says that it is larger than allowed once decompressed, or than it can be.
    #[error("expected a body of at most {max} bytes after decompression, found one that declares {found}")]
    DeclaredTooLarge {
        /// What it declares, in bytes.
        found: usize,
        /// The bound, or what Snappy can make of so few bytes.
        max: usize,
    },
    /// The body is not a Snappy block.
    #[error("expected a Snappy block: {0}")]
    Snappy(#[from] snap::Error),
}

impl BodyError {
    /// 413 for a body that is too large as it is, 400 for the others.
    pub fn http_status(&self) -> u16 {
        match self {
            BodyError::TooLarge { .. } => 413,
            BodyError::DeclaredTooLarge { .. } | BodyError::Snappy(_) => 400,
        }
    }
}

/// Bounds of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyBounds {
    pub(crate) compressed_bytes_max: usize,
    pub(crate) decompressed_bytes_max: usize,
}

impl BodyBounds {
    /// What the body says its decompressed size is, within the bounds.
    pub(crate) fn decompressed_len(self, body: &[u8]) -> Result<usize, BodyError> {
        if body.len() > self.compressed_bytes_max {
            return Err(BodyError::TooLarge { found: body.len(), max: self.compressed_bytes_max });
        }
        let found = decompress_len(body)?;
        let max = self.decompressed_bytes_max.min(body.len().saturating_mul(SNAPPY_RATIO_MAX));
        if found > max {
            return Err(BodyError::DeclaredTooLarge { found, max });
        }
        Ok(found)
    }

    /// The decompressed body.
    pub(crate) fn decompress(self, body: &[u8]) -> Result<Vec<u8>, BodyError> {
        let mut message = vec![0; self.decompressed_len(body)?];
        let len = Decoder::new().decompress(body, &mut message)?;
        message.truncate(len);
        Ok(message)
    }
}
