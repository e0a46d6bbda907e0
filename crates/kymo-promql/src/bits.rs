//! Bits: which steps of a row have a value. One bit per step, bits past the length are 0.

/// A bitmap of a fixed length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
}

/// How many words hold `len` bits.
pub(crate) fn words_of(len: usize) -> usize {
    len.div_ceil(64)
}

impl Bits {
    pub(crate) fn zeros(len: usize) -> Bits {
        Bits { words: vec![0; words_of(len)], len }
    }

    pub(crate) fn reset(&mut self, len: usize) {
        self.words.clear();
        self.words.resize(words_of(len), 0);
        self.len = len;
    }

    pub(crate) fn set_all(&mut self) {
        self.words.fill(u64::MAX);
        self.trim();
    }

    fn trim(&mut self) {
        let rest = self.len % 64;
        if let (Some(last), true) = (self.words.last_mut(), rest != 0) {
            *last &= (1 << rest) - 1;
        }
    }

    pub(crate) fn set(&mut self, index: usize) {
        self.words[index / 64] |= 1 << (index % 64);
    }

    /// Sets bits of 64 at once, none of them past the end.
    pub(crate) fn set_in_word(&mut self, word: usize, bits: u64) {
        self.words[word] |= bits;
    }

    pub(crate) fn set_range(&mut self, range: std::ops::Range<usize>) {
        for word in range.start / 64..words_of(range.end) {
            let from = range.start.saturating_sub(word * 64);
            let to = (range.end - word * 64).min(64);
            self.words[word] |= u64::MAX >> (64 - (to - from)) << from;
        }
    }

    pub(crate) fn clear(&mut self, index: usize) {
        self.words[index / 64] &= !(1 << (index % 64));
    }

    pub(crate) fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// The last bit that is set.
    pub(crate) fn last(&self) -> Option<usize> {
        let word = self.words.iter().rposition(|word| *word != 0)?;
        Some(word * 64 + self.words[word].ilog2() as usize)
    }

    pub(crate) fn any(&self) -> bool {
        self.words.iter().any(|w| *w != 0)
    }

    pub(crate) fn all(&self) -> bool {
        self.count() == self.len
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Takes over a copy of `words`, which must be of this bitmap's length.
    pub(crate) fn copy_from(&mut self, words: &[u64]) {
        self.words.copy_from_slice(words);
    }

    pub(crate) fn and(&mut self, other: &Bits) {
        self.combine(other, |a, b| a & b);
    }

    pub(crate) fn or(&mut self, other: &Bits) {
        self.combine(other, |a, b| a | b);
    }

    pub(crate) fn and_not(&mut self, other: &Bits) {
        self.combine(other, |a, b| a & !b);
    }

    fn combine(&mut self, other: &Bits, op: impl Fn(u64, u64) -> u64) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a = op(*a, *b);
        }
    }

    /// Keeps only the set bits for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        for (at, word) in self.words.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if !keep(at * 64 + bit as usize) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// The set bits, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        iter_words(&self.words)
    }
}

/// The set bits of a list of words, in order.
pub(crate) fn iter_words(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                at * 64 + bit
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_set_as_bit_by_bit() {
        for range in [0..0, 0..1, 3..64, 0..64, 63..65, 64..64, 64..128, 5..130, 129..130] {
            let (mut bits, mut expected) = (Bits::zeros(130), Bits::zeros(130));
            bits.set_range(range.clone());
            range.clone().for_each(|index| expected.set(index));
            assert_eq!(bits, expected, "{range:?}");
        }
    }

    #[test]
    fn bits_past_the_end_stay_clear() {
        for len in [0, 1, 63, 64, 65, 130] {
            let mut bits = Bits::zeros(len);
            bits.set_all();
            assert_eq!((bits.count(), bits.all()), (len, true));
            assert_eq!(bits.iter().collect::<Vec<_>>(), (0..len).collect::<Vec<_>>());
            bits.retain(|i| i % 3 == 0);
            assert_eq!(bits.iter().collect::<Vec<_>>(), (0..len).step_by(3).collect::<Vec<_>>());
        }
    }
}
