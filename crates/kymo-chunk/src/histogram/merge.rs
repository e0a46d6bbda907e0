//! Merge: may a histogram go on in a chunk with other buckets, and with which buckets then?

use kymo_model::Span;

use super::form::Form;

/// One side of chunk and histogram, which have other buckets each.
#[derive(Clone, Debug)]
pub(super) struct SidePlan {
    /// The buckets of both, ascending.
    indices: Vec<i64>,
    chunk_indices: Vec<i64>,
    raw_indices: Vec<i64>,
}

impl SidePlan {
    /// What to do on one side. `None` when a bucket has become lower, or was in use and is gone, and that matters.
    pub(super) fn make(
        form: Form,
        counter: bool,
        chunk: (&[Span], &[u64]),
        raw: (&[Span], &[u64]),
    ) -> Option<SidePlan> {
        let (chunk_indices, raw_indices) = (indices(chunk.0), indices(raw.0));
        let (chunk_counts, raw_counts) = (form.counts(chunk.1), form.counts(raw.1));
        let mut merged = Vec::with_capacity(chunk_indices.len().max(raw_indices.len()));
        let (mut old, mut new) = (0, 0);
        loop {
            let (old_index, new_index) = (chunk_indices.get(old), raw_indices.get(new));
            let first = match (old_index, new_index) {
                (None, None) => break,
                (Some(index), None) | (None, Some(index)) => index,
                (Some(a), Some(b)) => a.min(b),
            };
            let (in_chunk, in_raw) = (old_index == Some(first), new_index == Some(first));
            if counter && in_chunk {
                let lost = if in_raw {
                    form.is_less(raw_counts[new], chunk_counts[old])
                } else {
                    !form.is_empty(chunk_counts[old])
                };
                if lost {
                    return None;
                }
            }
            merged.push(*first);
            old += usize::from(in_chunk);
            new += usize::from(in_raw);
        }
        Some(SidePlan { indices: merged, chunk_indices, raw_indices })
    }

    /// Has the histogram buckets that the chunk has not?
    pub(super) fn chunk_grows(&self) -> bool {
        self.indices.len() > self.chunk_indices.len()
    }

    /// Has the chunk buckets that the histogram has not?
    pub(super) fn raw_grows(&self) -> bool {
        self.indices.len() > self.raw_indices.len()
    }

    /// Buckets of the chunk with those of the histogram between them, empty.
    pub(super) fn widen_chunk(&self, form: Form, buckets: &[u64]) -> Vec<u64> {
        widen(form, &self.chunk_indices, &self.indices, buckets)
    }

    /// Buckets of the histogram with those of the chunk between them, empty.
    pub(super) fn widen_raw(&self, form: Form, buckets: &[u64]) -> Vec<u64> {
        widen(form, &self.raw_indices, &self.indices, buckets)
    }

    /// The merged buckets as spans.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut next = 0;
        for index in &self.indices {
            match spans.last_mut() {
                Some(span) if *index == next => span.length += 1,
                // Between two indices of 32 bits; a chunk with wider gaps is not read.
                _ => spans.push(Span { offset: (index - next) as i32, length: 1 }),
            }
            next = index + 1;
        }
        spans
    }
}

fn indices(spans: &[Span]) -> Vec<i64> {
    let mut indices = Vec::new();
    let mut next = 0i64;
    for Span { offset, length } in spans {
        next += i64::from(*offset);
        indices.extend(next..next + i64::from(*length));
        next += i64::from(*length);
    }
    indices
}

fn widen(form: Form, from: &[i64], to: &[i64], buckets: &[u64]) -> Vec<u64> {
    let counts = form.counts(buckets);
    let mut given = from.iter().zip(counts).peekable();
    let wide = to.iter().map(|index| given.next_if(|(at, _)| *at == index).map_or(0, |(_, count)| count));
    form.buckets(wide.collect())
}
