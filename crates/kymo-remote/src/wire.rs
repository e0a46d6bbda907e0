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

/// A place in a message. All cursors of a request share its bytes, so that errors know their offset, and so that an integer
/// at the end of a message inside another can be read as a word.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the message ends; never past the bytes.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// `bytes` end where the message ends; it starts at `at`.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at, end: bytes.len() }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// What is left of the message.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..self.end]
    }

    /// Passes over bytes of the rest that the caller knows.
    pub(crate) fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.end - self.at, "BUG: past the end of the message");
        self.at += bytes;
    }

    pub(crate) fn error<T>(&self, kind: WireErrorKind) -> Result<T, WireError> {
        Err(WireError { kind, offset: self.at })
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.byte(self.at) {
            Some(byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.varint_of_a_word(),
        }
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        if at < self.end { self.bytes.get(at).copied() } else { None }
    }

    /// An integer of at most eight bytes, such as a timestamp: found and put together without a loop.
    #[inline(always)]
    fn varint_of_a_word(&mut self) -> Result<u64, WireError> {
        const LAST: u64 = 0x8080_8080_8080_8080;
        let word = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>());
        let Some(word) = word.map(|bytes| u64::from_le_bytes(*bytes)) else { return self.long_varint() };
        let last = !word & LAST;
        let len = last.trailing_zeros() as usize / 8 + 1;
        if last == 0 || self.at + len > self.end {
            return self.long_varint();
        }
        self.at += len;
        // Seven bits of each byte up to the last one, pushed together two by two.
        let sevens = word & !LAST & (u64::MAX >> (64 - 8 * len));
        let pairs = (sevens & 0x007f_007f_007f_007f) | (sevens & 0x7f00_7f00_7f00_7f00) >> 1;
        let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
        Ok((fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4)
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for i in 0..10 {
            let Some(byte) = self.byte(self.at + i) else {
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
    #[inline(always)]
    pub(crate) fn take_byte(&mut self, byte: u8) -> Option<()> {
        if self.byte(self.at) != Some(byte) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Passes over fields as long as their tag is this one byte and they are length-delimited.
    #[inline(always)]
    pub(crate) fn skip_run(&mut self, tag: u8) -> Result<(), WireError> {
        while self.byte(self.at) == Some(tag) {
            self.at += 1;
            self.range()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn take(&mut self, len: u64) -> Result<usize, WireError> {
        let left = (self.end - self.at) as u64;
        if len > left {
            return self.error(WireErrorKind::Truncated);
        }
        let from = self.at;
        self.at += len as usize;
        Ok(from)
    }

    /// The bounds of a length-delimited field.
    #[inline(always)]
    pub(crate) fn range(&mut self) -> Result<(usize, usize), WireError> {
        let len = self.varint()?;
        let from = self.take(len)?;
        Ok((from, self.at))
    }

    /// A cursor over a message that is a field.
    #[inline(always)]
    pub(crate) fn message(&mut self) -> Result<Cursor<'a>, WireError> {
        let (from, to) = self.range()?;
        Ok(Cursor { bytes: self.bytes, at: from, end: to })
    }

    /// A text field.
    pub(crate) fn text(&mut self) -> Result<&'a str, WireError> {
        let (from, to) = self.range()?;
        std::str::from_utf8(&self.bytes[from..to])
            .map_err(|e| WireError { kind: WireErrorKind::Utf8, offset: from + e.valid_up_to() })
    }

    #[inline(always)]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        crate::put::put_varint(&mut out, value);
        out
    }

    proptest! {
        /// Integers are the same whether they are read as a word or byte by byte, wherever their message ends.
        #[test]
        fn integers_read_as_words(value: u64, shift in 0u32..64, padding in 0usize..9, cut in 0usize..12) {
            let value = value >> shift;
            let mut bytes = written(value);
            let len = bytes.len();
            bytes.resize(len + padding, 0xff);
            let cursor = Cursor { bytes: &bytes, at: 0, end: len.saturating_sub(cut) };
            let (mut by_word, mut by_byte) = (cursor, cursor);
            let expected = if cut == 0 {
                Ok(value)
            } else {
                Err(WireError { kind: WireErrorKind::Truncated, offset: 0 })
            };
            prop_assert_eq!(by_word.varint(), expected);
            prop_assert_eq!(by_byte.long_varint(), expected);
            prop_assert_eq!(by_word.at, by_byte.at);
        }

        /// Any bytes: the same integer or the same error.
        #[test]
        fn any_bytes_read_as_words(bytes in prop::collection::vec(any::<u8>(), 0..14), end in 0usize..14) {
            let cursor = Cursor { bytes: &bytes, at: 0, end: end.min(bytes.len()) };
            let (mut by_word, mut by_byte) = (cursor, cursor);
            prop_assert_eq!(by_word.varint(), by_byte.long_varint());
            prop_assert_eq!(by_word.at, by_byte.at);
        }
    }
}
