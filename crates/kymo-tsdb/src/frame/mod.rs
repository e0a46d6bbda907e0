//! Frames: what all files of the head have in common. A header, then records that each carry two checksums.
//!
//! ```text
//! file    magic:8  version:u32  crc32 of these 12:u32        record...
//! record  f5 9a c1 e7  length:u32  crc32 of payload:u32  crc32 of place and header:u32   payload
//! ```
//!
//! All numbers are little-endian. The last checksum covers the kind and number of the file and the record's offset in it
//! besides the 12 bytes before it, so bytes that lie elsewhere (recycled by the file system, or written by a client into a
//! label) are never taken for a record. After damage the reader goes on at the next header that proves itself.

mod reader;
mod varint;
mod writer;

pub(crate) use reader::{Found, FrameReader, RecordAt, record_at};
pub(crate) use varint::{Bytes, put_signed, put_unsigned};
pub(crate) use writer::{finish_record, header_bytes};

/// Bytes of a file's header.
pub(crate) const FILE_HEADER_BYTES: usize = 16;

/// Bytes before a record's payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 16;

/// No record is longer. What would be is refused when it is written, and is damage when it is read.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// The version this crate writes, and the newest it reads.
pub(crate) const VERSION: u32 = 3;

/// The oldest version this crate reads.
pub(crate) const VERSION_MIN: u32 = 1;

/// None of these bytes occurs in UTF-8 text in this order, so label text cannot look like a record.
const RECORD_MAGIC: [u8; 4] = [0xf5, 0x9a, 0xc1, 0xe7];

/// Which kind of file a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Wal,
    Checkpoint,
    Chunks,
}

impl FileKind {
    fn magic(self) -> [u8; 8] {
        match self {
            FileKind::Wal => *b"kymo-wal",
            FileKind::Checkpoint => *b"kymo-chk",
            FileKind::Chunks => *b"kymo-chn",
        }
    }
}

/// A file: its kind and its number, which is also its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) kind: FileKind,
    pub(crate) number: u64,
}

impl FileId {
    /// The name in its directory.
    pub(crate) fn name(self) -> String {
        format!("{:08}", self.number)
    }

    /// The number in a file's name; `None` for names that are not ours.
    pub(crate) fn number_of(name: &str) -> Option<u64> {
        let digits = name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_digit());
        if digits { name.parse().ok() } else { None }
    }

    /// The checksum that ties a record's header to its place.
    fn place_crc(self, offset: u64, header: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.kind.magic());
        crc.update(&self.number.to_le_bytes());
        crc.update(&offset.to_le_bytes());
        crc.update(header);
        crc.finalize()
    }
}
