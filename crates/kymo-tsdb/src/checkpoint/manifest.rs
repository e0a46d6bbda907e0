//! Manifest: what a checkpoint stands for. Written twice, at its end, where the chunk files are known.

use crate::frame::{Bytes, put_unsigned};
use crate::wal::RecordKind;

/// `manifest  kind:byte  wal_from  chunk_file  chunk_file_bytes  next_id`, all unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The first segment of the log that is replayed over the checkpoint.
    pub(crate) wal_from: u64,
    /// The newest chunk file, 0 for none. Those with smaller numbers belong to the database whole.
    pub(crate) chunk_file: u64,
    /// How much of the newest chunk file belongs to the database.
    pub(crate) chunk_file_bytes: u64,
    /// No series has this id or a higher one.
    pub(crate) next_id: u32,
}

impl Manifest {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(RecordKind::Manifest as u8);
        for number in [self.wal_from, self.chunk_file, self.chunk_file_bytes, u64::from(self.next_id)] {
            put_unsigned(out, number);
        }
    }

    pub(crate) fn read(mut bytes: Bytes<'_>) -> Option<Manifest> {
        Some(Manifest {
            wal_from: bytes.unsigned()?,
            chunk_file: bytes.unsigned()?,
            chunk_file_bytes: bytes.unsigned()?,
            next_id: u32::try_from(bytes.unsigned()?).ok()?,
        })
    }
}
