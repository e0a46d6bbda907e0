//! The record of a chunk, in chunk files and checkpoints.
//!
//! ```text
//! chunk  kind:byte  id  state:byte  encoding:byte  min_ms:signed  max_ms - min_ms  data...
//! ```

use kymo_chunk::Encoding;

use crate::frame::{Bytes, put_signed, put_unsigned};
use crate::index::SeriesId;
use crate::wal::RecordKind;

/// What a chunk is to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ChunkState {
    /// Takes no more samples.
    Sealed = 0,
    /// As sealed; its samples came out of order.
    SealedLate = 1,
    /// The one that takes samples.
    Open = 2,
    /// The buffer of samples that came out of order.
    LateBuffer = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRecord<'a> {
    pub(crate) id: SeriesId,
    pub(crate) state: ChunkState,
    pub(crate) encoding: Encoding,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    pub(crate) data: &'a [u8],
}

impl<'a> ChunkRecord<'a> {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(RecordKind::Chunk as u8);
        put_unsigned(out, u64::from(self.id.0));
        out.push(self.state as u8);
        out.push(self.encoding.to_byte());
        put_signed(out, self.min_ms);
        put_unsigned(out, self.max_ms.wrapping_sub(self.min_ms) as u64);
        out.extend_from_slice(self.data);
    }

    /// Reads what follows the kind; `None` when it is no chunk, or one of an encoding that this version does not write.
    pub(crate) fn read(mut bytes: Bytes<'a>) -> Option<ChunkRecord<'a>> {
        let id = SeriesId(u32::try_from(bytes.unsigned()?).ok()?);
        let state = match bytes.byte()? {
            0 => ChunkState::Sealed,
            1 => ChunkState::SealedLate,
            2 => ChunkState::Open,
            3 => ChunkState::LateBuffer,
            _ => return None,
        };
        let encoding = Encoding::from_byte(bytes.byte()?).ok()?;
        let written = [Encoding::Xor, Encoding::Histogram, Encoding::FloatHistogram];
        if !written.contains(&encoding) {
            return None;
        }
        let min_ms = bytes.signed()?;
        let max_ms = min_ms.checked_add_unsigned(bytes.unsigned()?)?;
        // Readers rely on the count at the front, and a chunk without samples is not written.
        let chunk = ChunkRecord { id, state, encoding, min_ms, max_ms, data: bytes.0 };
        (chunk.count()? > 0).then_some(chunk)
    }

    /// How many samples the chunk says it has.
    pub(crate) fn count(&self) -> Option<u16> {
        self.encoding.sample_count(self.data)
    }
}
