//! The protobuf wire format, read by a cursor over bounded bytes: loops only, groups refused. Below every message.

use std::fmt;

/// Bytes that are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of the decompressed request")]
pub struct WireError {
    /// What is wrong.
    pub kind: WireErrorKind,
    /// In bytes from the start of the decompressed body.
    pub offset: usize,
}

/// What is wrong with bytes that should be protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// A field or message ends before its length says.
    Truncated,
    /// A variable-length integer of more than 64 bits.
    VarintTooLong,
    /// Field number 0, or one that is too large.
    InvalidTag,
    /// A group, which this format has none of.
    Group,
    /// A wire type that does not exist.
    UnknownWireType,
    /// A field of another wire type than its number has.
    WrongWireType,
    /// Text that is not UTF-8.
    Utf8,
}

impl fmt::Display for WireErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WireErrorKind::Truncated => "expected more bytes of a field, found its message's end",
            WireErrorKind::VarintTooLong => "expected an integer of at most 64 bits, found a longer one",
            WireErrorKind::InvalidTag => "expected a field number from 1 to 536870911, found another",
            WireErrorKind::Group => "expected a field, found a group",
            WireErrorKind::UnknownWireType => "expected wire type 0, 1, 2 or 5, found another",
            WireErrorKind::WrongWireType => "expected a field's own wire type, found another",
            WireErrorKind::Utf8 => "expected UTF-8 text, found other bytes",
        })
    }
}

/// How a field is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

/// A place in a message. All cursors of a request share its bytes, so that errors know their offset.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// `bytes` end where the message ends; it starts at `at`.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn error<T>(&self, kind: WireErrorKind) -> Result<T, WireError> {
        Err(WireError { kind, offset: self.at })
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for i in 0..10 {
            let Some(&byte) = self.bytes.get(self.at + i) else {
                return self.error(WireErrorKind::Truncated);
            };
            // The tenth byte has room for one bit.
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        self.error(WireErrorKind::VarintTooLong)
    }

    /// The next field's number and wire type; `None` at the message's end.
    #[inline]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Wire)>, WireError> {
        if self.is_at_end() {
            return Ok(None);
        }
        let start = *self;
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > 0x1fff_ffff {
            return start.error(WireErrorKind::InvalidTag);
        }
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            3 | 4 => return start.error(WireErrorKind::Group),
            5 => Wire::Fixed32,
            _ => return start.error(WireErrorKind::UnknownWireType),
        };
        Ok(Some((number as u32, wire)))
    }

    /// Passes over this byte, if it is next.
    #[inline]
    pub(crate) fn take_byte(&mut self, byte: u8) -> Option<()> {
        if self.bytes.get(self.at) != Some(&byte) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Passes over fields as long as their tag is this one byte and they are length-delimited.
    #[inline]
    pub(crate) fn skip_run(&mut self, tag: u8) -> Result<(), WireError> {
        while self.bytes.get(self.at) == Some(&tag) {
            self.at += 1;
            self.range()?;
        }
        Ok(())
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<usize, WireError> {
        let left = (self.bytes.len() - self.at) as u64;
        if len > left {
            return self.error(WireErrorKind::Truncated);
        }
        let from = self.at;
        self.at += len as usize;
        Ok(from)
    }

    /// The bounds of a length-delimited field.
    #[inline]
    pub(crate) fn range(&mut self) -> Result<(usize, usize), WireError> {
        let len = self.varint()?;
        let from = self.take(len)?;
        Ok((from, self.at))
    }

    /// A cursor over a message that is a field.
    #[inline]
    pub(crate) fn message(&mut self) -> Result<Cursor<'a>, WireError> {
        let (from, to) = self.range()?;
        Ok(Cursor { bytes: &self.bytes[..to], at: from })
    }

    /// A text field.
    pub(crate) fn text(&mut self) -> Result<&'a str, WireError> {
        let (from, to) = self.range()?;
        std::str::from_utf8(&self.bytes[from..to])
            .map_err(|e| WireError { kind: WireErrorKind::Utf8, offset: from + e.valid_up_to() })
    }

    #[inline]
    pub(crate) fn double(&mut self) -> Result<f64, WireError> {
        let from = self.take(8)?;
        let mut bits = [0; 8];
        bits.copy_from_slice(&self.bytes[from..from + 8]);
        Ok(f64::from_le_bytes(bits))
    }

    /// Passes over a field of any kind.
    #[inline]
    pub(crate) fn skip(&mut self, wire: Wire) -> Result<(), WireError> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.take(8).map(drop),
            Wire::Bytes => self.range().map(drop),
            Wire::Fixed32 => self.take(4).map(drop),
        }
    }
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
