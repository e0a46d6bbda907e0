//! BitWriter: bits to a growing buffer, whose last byte is filled up with zeros after every write.

/// What is written at once.
const FIELD_BYTES: usize = size_of::<u128>();

/// A chunk that is being written.
#[derive(Clone, Debug)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Unused bits of the last byte, 0 to 7.
    free_bits: u8,
}

impl BitWriter {
    /// The buffer grows by this much.
    const STEP_BYTES: usize = 128;

    /// A chunk that begins with these bytes, at least one.
    pub(crate) fn starting(header: &[u8]) -> BitWriter {
        let mut bytes = Vec::with_capacity(BitWriter::STEP_BYTES);
        bytes.extend_from_slice(header);
        BitWriter { bytes, free_bits: 0 }
    }

    /// Goes on behind what `reader` has read of `bytes`, which must reach into the last byte.
    pub(crate) fn resuming(mut bytes: Vec<u8>, end_bit: usize) -> BitWriter {
        let free_bits = (bytes.len() * 8 - end_bit) as u8;
        if let Some(last) = bytes.last_mut() {
            *last &= 0xff << free_bits;
        }
        BitWriter { bytes, free_bits }
    }

    /// Appends the low 1 to 120 bits of `bits`; the ones above must be zero.
    pub(crate) fn push(&mut self, bits: u128, count: u32) {
        let BitWriter { bytes, free_bits } = self;
        let free = u32::from(*free_bits);
        let last = bytes.len() - 1;
        if count <= free {
            bytes[last] |= (bits as u8) << (free - count);
            *free_bits = (free - count) as u8;
            return;
        }
        if bytes.capacity() - bytes.len() < FIELD_BYTES {
            bytes.reserve_exact(BitWriter::STEP_BYTES);
        }
        let rest = count - free;
        // With no bit free this is zero: the bits above `count` are.
        bytes[last] |= (bits >> rest) as u8;
        // A copy of fixed length that is cut back is several times faster than one of the right length.
        let whole = rest.div_ceil(8) as usize;
        bytes.extend_from_slice(&(bits << (128 - rest)).to_be_bytes());
        bytes.truncate(last + 1 + whole);
        *free_bits = (8 * whole as u32 - rest) as u8;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes written so far, for headers that change.
    pub(crate) fn header_mut<const N: usize>(&mut self) -> &mut [u8; N] {
        self.bytes.first_chunk_mut().expect("BUG: a chunk begins with its header")
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
