//! Buffers: memory of open chunks, while a thread adds many samples to many series. What one chunk has outgrown the next one
//! gets, as the allocator would make threads wait for one another.

/// Buffers are of multiples of this size.
const STEP_BYTES: usize = 64;

/// Larger ones than chunks need are not kept.
const SIZES: usize = 24;

/// At most so many are kept of a size.
const KEPT_MAX: usize = 512;

/// Buffers without content, and one to work in.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(super) work: Vec<u8>,
    /// By size, in steps.
    kept: [Vec<Vec<u8>>; SIZES],
}

impl Buffers {
    /// A buffer with room for so many bytes, and for less than a step more.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let steps = bytes.div_ceil(STEP_BYTES);
        let kept = self.kept.get_mut(steps).and_then(Vec::pop);
        kept.unwrap_or_else(|| Vec::with_capacity(steps * STEP_BYTES))
    }

    /// Keeps a buffer for somebody else.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        let kept = self.kept.get_mut(buffer.capacity() / STEP_BYTES);
        if let Some(kept) = kept.filter(|kept| kept.len() < KEPT_MAX) {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let mut buffers = Buffers::default();
        let buffer = buffers.take(100);
        assert_eq!(buffer.capacity(), 128);
        let place = buffer.as_ptr();
        buffers.give_back(buffer);
        // One of another size is none.
        let larger = buffers.take(129);
        assert_eq!((larger.capacity(), larger.as_ptr() == place), (192, false));
        let again = buffers.take(128);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        // 127 bytes are enough for 64.
        buffers.give_back(Vec::with_capacity(127));
        assert_eq!(buffers.take(60).capacity(), 127);
        buffers.give_back(Vec::with_capacity(100_000));
        (0..KEPT_MAX + 5).for_each(|_| buffers.give_back(Vec::with_capacity(640)));
        assert_eq!(buffers.kept[10].len(), KEPT_MAX);
    }
}
