//! Start timestamps in a chunk: written behind each sample as the distance from the timestamp *before* it. Shared by the
//! encodings 4 to 6; docs/chunk.md has the layout.

use crate::ChunkError;
use crate::bits::{BitReader, BitWriter, unzigzag, zigzag};

/// The highest index of a sample that the header can name. From there on every sample says its start timestamp.
const CHANGE_INDEX_MAX: u16 = 0x7f;

/// The highest bit of the header: the first sample says its start timestamp.
const FIRST_KNOWN: u8 = 0x80;

/// Where a chunk with start timestamps stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Starts {
    first_known: bool,
    /// From this sample on each says its start timestamp; 0 when none does.
    change_index: u16,
    /// That of the newest sample; 0 for unknown.
    pub(crate) start_ms: i64,
    /// How far the newest start timestamp lay before the timestamp before it.
    distance: i64,
}

impl Starts {
    /// Before the first sample of a chunk with this header.
    pub(crate) fn from_header(header: u8) -> Starts {
        Starts {
            first_known: header & FIRST_KNOWN != 0,
            change_index: u16::from(header & !FIRST_KNOWN),
            ..Starts::default()
        }
    }

    /// The header byte of what was written.
    pub(crate) fn header(&self) -> u8 {
        self.change_index as u8 | if self.first_known { FIRST_KNOWN } else { 0 }
    }

    /// Reads what follows sample `index` at `t_ms`; the sample before was at `before_ms`.
    pub(crate) fn read(
        &mut self,
        reader: &mut BitReader<'_>,
        index: u16,
        t_ms: i64,
        before_ms: i64,
    ) -> Result<(), ChunkError> {
        if index == 0 {
            if self.first_known {
                self.start_ms = t_ms.wrapping_sub(unzigzag(reader.varint()?));
            }
        } else if self.change_index > 0 && index >= self.change_index {
            let number = reader.varbit_signed()?;
            self.distance =
                if index == self.change_index { number } else { self.distance.wrapping_add(number) };
            self.start_ms = before_ms.wrapping_sub(self.distance);
        }
        Ok(())
    }

    /// Writes what follows sample `index` at `t_ms`; the sample before was at `before_ms`.
    pub(crate) fn write(
        &mut self,
        writer: &mut BitWriter,
        index: u16,
        t_ms: i64,
        before_ms: i64,
        start_ms: i64,
    ) {
        if index == 0 {
            if start_ms != 0 {
                self.first_known = true;
                let mut number = zigzag(t_ms.wrapping_sub(start_ms));
                while number >= 0x80 {
                    writer.push(u128::from(number as u8 | 0x80), 8);
                    number >>= 7;
                }
                writer.push(u128::from(number), 8);
            }
        } else if self.change_index > 0 {
            let distance = before_ms.wrapping_sub(start_ms);
            writer.push_varbit_signed(distance.wrapping_sub(self.distance));
            self.distance = distance;
        } else if start_ms != self.start_ms || index == CHANGE_INDEX_MAX {
            self.change_index = index;
            self.distance = before_ms.wrapping_sub(start_ms);
            writer.push_varbit_signed(self.distance);
        }
        self.start_ms = start_ms;
    }
}
