//! Layout: the same observations in fewer buckets or spans.

use std::num::Wrapping;
use std::ops::AddAssign;

use super::buckets::Side;
use super::{FloatHistogram, Histogram, HistogramError, Span, absolute, bounds};

/// The buckets of one side by index, indices strictly increasing.
pub(super) type Indexed<C> = Vec<(i64, C)>;

impl FloatHistogram {
    /// Leaves out empty buckets, except for gaps of up to `max_empty_buckets`, which are written as empty buckets rather
    /// than as a span of their own.
    pub fn compact(&mut self, max_empty_buckets: usize) {
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            if is_compact(spans, buckets.iter().copied(), max_empty_buckets) {
                continue;
            }
            if max_empty_buckets == 0 {
                leave_out_empty(spans, buckets);
                continue;
            }
            let side = compacted(Side::new(spans, buckets), max_empty_buckets);
            (*spans, *buckets) = unindexed(side);
        }
    }

    /// Merges buckets until the histogram has a lower schema.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramError> {
        let steps = steps_down(self.schema, schema)?;
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            (*spans, *buckets) = unindexed(merged(Side::new(spans, buckets), steps));
        }
        self.schema = schema;
        Ok(())
    }
}

impl Histogram {
    /// Leaves out empty buckets, except for gaps of up to `max_empty_buckets`; see [`FloatHistogram::compact`].
    pub fn compact(&mut self, max_empty_buckets: usize) {
        for (spans, deltas) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            let counts: Vec<i64> = absolute(deltas).collect();
            if !is_compact(spans, counts.iter().copied(), max_empty_buckets) {
                let (new_spans, counts) = unindexed(compacted(Side::new(spans, &counts), max_empty_buckets));
                (*spans, *deltas) = (new_spans, differences(counts.into_iter()));
            }
        }
    }

    /// Merges buckets until the histogram has a lower schema.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramError> {
        let steps = steps_down(self.schema, schema)?;
        for (spans, deltas) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            // Damaged counts may be anything; their sums wrap as their differences do.
            let counts: Vec<Wrapping<i64>> = absolute(deltas).map(Wrapping).collect();
            let (new_spans, counts) = unindexed(merged(Side::new(spans, &counts), steps));
            (*spans, *deltas) = (new_spans, differences(counts.into_iter().map(|count| count.0)));
        }
        self.schema = schema;
        Ok(())
    }
}

/// By how many powers of two the buckets become wider.
fn steps_down(from: i32, to: i32) -> Result<u32, HistogramError> {
    let known = bounds::SCHEMA_MIN..=bounds::SCHEMA_MAX;
    if known.contains(&from) && known.contains(&to) && to < from {
        Ok((from - to) as u32)
    } else {
        Err(HistogramError::CannotReduce { from, to })
    }
}

/// Nothing empty, and no gap that should be filled: the usual case.
fn is_compact<C: PartialEq + Default>(
    spans: &[Span],
    counts: impl ExactSizeIterator<Item = C>,
    max_empty: usize,
) -> bool {
    let covered: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    let gap_wide = |span: &Span| usize::try_from(span.offset).is_ok_and(|offset| offset > max_empty);
    covered == counts.len() as u64
        && spans.iter().all(|span| span.length > 0)
        && spans.iter().skip(1).all(gap_wide)
        && { counts }.all(|count| count != C::default())
}

/// The same without any empty bucket, in the list that is there.
fn leave_out_empty(spans: &mut Vec<Span>, buckets: &mut Vec<f64>) {
    let mut new_spans: Vec<Span> = Vec::with_capacity(spans.len() + 2);
    let (mut read, mut kept) = (0, 0);
    // The index of the next bucket, and the one behind the last that was kept.
    let (mut index, mut end) = (0i64, 0i64);
    for span in spans.iter() {
        index += i64::from(span.offset);
        let length = (span.length as usize).min(buckets.len() - read);
        for _ in 0..length {
            let count = buckets[read];
            read += 1;
            if count != 0.0 {
                buckets[kept] = count;
                kept += 1;
                match new_spans.last_mut() {
                    Some(span) if index == end => span.length += 1,
                    _ => new_spans.push(Span {
                        offset: (index - end).clamp(i32::MIN.into(), i32::MAX.into()) as i32,
                        length: 1,
                    }),
                }
                end = index + 1;
            }
            index += 1;
        }
        if read == buckets.len() {
            break;
        }
    }
    buckets.truncate(kept);
    *spans = new_spans;
}

fn compacted<C: Copy + PartialEq + Default>(side: Side<'_, C>, max_empty: usize) -> Indexed<C> {
    let mut out: Indexed<C> = Vec::with_capacity(side.len());
    for (index, count) in side.filter(|(_, count)| *count != C::default()) {
        if let Some((last, _)) = out.last() {
            let gap = *last + 1..index;
            if gap.end - gap.start <= max_empty as i64 {
                out.extend(gap.map(|index| (index, C::default())));
            }
        }
        out.push((index, count));
    }
    out
}

/// Buckets of a schema this many steps lower, each the sum of those it covers.
pub(super) fn merged<C: AddAssign>(side: impl ExactSizeIterator<Item = (i64, C)>, steps: u32) -> Indexed<C> {
    let mut out: Indexed<C> = Vec::with_capacity(side.len());
    for (index, count) in side {
        // A bucket's index belongs to its upper bound, hence the moves by one.
        let index = ((index - 1) >> steps) + 1;
        match out.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            _ => out.push((index, count)),
        }
    }
    out
}

/// Spans and counts of buckets by index.
pub(super) fn unindexed<C>(buckets: Indexed<C>) -> (Vec<Span>, Vec<C>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for (index, _) in &buckets {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            // Of a valid histogram every index is an i32 and every distance between two of them.
            _ => spans.push(Span {
                offset: (index - next).clamp(i32::MIN.into(), i32::MAX.into()) as i32,
                length: 1,
            }),
        }
        next = index + 1;
    }
    (spans, buckets.into_iter().map(|(_, count)| count).collect())
}

fn differences(counts: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut last = 0i64;
    counts.map(|count| count.wrapping_sub(std::mem::replace(&mut last, count))).collect()
}
