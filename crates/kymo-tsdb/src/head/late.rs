//! LateBuffer: samples that came out of order, sorted by time. Nearly all series have none, and pay a pointer for it.

use std::ops::{Deref, Range};

use kymo_model::SampleValue;

#[derive(Clone, Debug, Default)]
pub(crate) struct LateBuffer(Option<Box<Samples>>);

#[derive(Clone, Debug, Default)]
struct Samples {
    sorted: Vec<(i64, SampleValue)>,
}

impl Deref for LateBuffer {
    type Target = [(i64, SampleValue)];

    fn deref(&self) -> &[(i64, SampleValue)] {
        self.0.as_ref().map_or(&[], |samples| &samples.sorted)
    }
}

impl LateBuffer {
    pub(crate) fn insert(&mut self, at: usize, sample: (i64, SampleValue)) {
        self.0.get_or_insert_default().sorted.insert(at, sample);
    }

    /// Everything, leaving nothing.
    pub(crate) fn take(&mut self) -> Vec<(i64, SampleValue)> {
        self.0.take().map_or_else(Vec::new, |samples| samples.sorted)
    }

    /// Drops the first so many.
    pub(crate) fn drop_first(&mut self, count: usize) {
        self.take_range(0..count);
    }

    /// Takes out those at these places.
    pub(crate) fn take_range(&mut self, places: Range<usize>) -> Vec<(i64, SampleValue)> {
        let taken = self.0.as_mut().map_or_else(Vec::new, |samples| samples.sorted.drain(places).collect());
        if self.is_empty() {
            self.0 = None;
        }
        taken
    }

    /// What it takes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let bytes = |samples: &Samples| samples.sorted.capacity() * size_of::<(i64, SampleValue)>();
        self.0.as_ref().map_or(0, |samples| size_of::<Samples>() + bytes(samples))
    }
}
