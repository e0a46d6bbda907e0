//! Within: one histogram has all the buckets of another, so that both can be walked side by side without being taken apart.
//!
//! Counters get new buckets as time goes on and sums have those of all that were added, so this is usual where layouts are
//! not equal. Anything doubtful, such as lists that do not fit their spans, is not within.

use super::{FloatHistogram, Span};

impl FloatHistogram {
    /// Are all buckets of `other` among those of this histogram, none of either inside of a zero bucket?
    pub(super) fn has_all_of(&self, other: &FloatHistogram) -> bool {
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && if self.has_custom_buckets() {
                self.custom_values == other.custom_values
            } else {
                [self, other].iter().all(|h| {
                    h.begins_outside_zero(&h.positive_spans) && h.begins_outside_zero(&h.negative_spans)
                })
            }
            && self.sides(other).iter().all(|side| side.walk(|_, _, _| ()))
    }

    /// The buckets of both signs beside those of another histogram.
    pub(super) fn sides<'h>(&'h self, other: &'h FloatHistogram) -> [Within<'h>; 2] {
        [
            Within::new(
                (&self.positive_spans, self.positive_buckets.len()),
                (&other.positive_spans, other.positive_buckets.len()),
            ),
            Within::new(
                (&self.negative_spans, self.negative_buckets.len()),
                (&other.negative_spans, other.negative_buckets.len()),
            ),
        ]
    }
}

/// Spans and number of buckets of one sign, of both histograms.
#[derive(Clone, Copy)]
pub(super) struct Within<'h> {
    outer: (&'h [Span], usize),
    inner: (&'h [Span], usize),
}

impl<'h> Within<'h> {
    /// Spans and number of buckets of the one that has all, and of the other.
    pub(super) fn new(outer: (&'h [Span], usize), inner: (&'h [Span], usize)) -> Within<'h> {
        Within { outer, inner }
    }

    /// Runs of buckets that stand beside each other: where in the outer list, where in the inner one, how many. False as soon
    /// as an inner bucket has none beside it.
    pub(super) fn walk(&self, mut run: impl FnMut(usize, usize, usize)) -> bool {
        let mut outer = self.outer.0.iter();
        // The span of the outer list looked at, once there is one: its first index, its end, where it begins in the list.
        let (mut first, mut end, mut position) = (0i64, 0i64, 0usize);
        let mut begun = false;
        let (mut inner_end, mut inner_position) = (0i64, 0usize);
        for span in self.inner.0 {
            let from = inner_end + i64::from(span.offset);
            inner_end = from + i64::from(span.length);
            if span.length == 0 {
                continue;
            }
            while !begun || end <= from {
                begun = true;
                let Some(next) = outer.next() else { return false };
                position += (end - first) as usize;
                first = end + i64::from(next.offset);
                end = first + i64::from(next.length);
            }
            let at = match usize::try_from(from - first) {
                Ok(skipped) if inner_end <= end => position + skipped,
                _ => return false,
            };
            let length = span.length as usize;
            if at + length > self.outer.1 || inner_position + length > self.inner.1 {
                return false;
            }
            run(at, inner_position, length);
            inner_position += length;
        }
        inner_position == self.inner.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(spans: &[(i32, u32)]) -> Vec<Span> {
        spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
    }

    #[test]
    fn runs_stand_beside_each_other() {
        let check =
            |outer: &[(i32, u32)], inner: &[(i32, u32)], expected: Option<&[(usize, usize, usize)]>| {
                let (outer, inner) = (spans(outer), spans(inner));
                let count = |spans: &[Span]| spans.iter().map(|s| s.length as usize).sum();
                let within = Within { outer: (&outer, count(&outer)), inner: (&inner, count(&inner)) };
                let mut runs = Vec::new();
                let all = within.walk(|outer, inner, length| runs.push((outer, inner, length)));
                assert_eq!(all.then_some(&runs[..]), expected, "{outer:?} {inner:?}");
            };
        check(&[(0, 3)], &[(0, 3)], Some(&[(0, 0, 3)]));
        check(&[(-2, 5)], &[(-1, 1), (1, 1)], Some(&[(1, 0, 1), (3, 1, 1)]));
        check(&[(0, 2), (3, 4)], &[(6, 2)], Some(&[(3, 0, 2)]));
        check(&[(0, 2)], &[], Some(&[]));
        check(&[], &[(0, 1)], None);
        check(&[(0, 2)], &[(1, 2)], None);
        check(&[(0, 2), (3, 4)], &[(3, 1)], None);
        check(&[(5, 2)], &[(4, 2)], None);
        // A list shorter than its spans.
        let (outer, inner) = (spans(&[(0, 2)]), spans(&[(0, 2)]));
        assert!(!Within { outer: (&outer, 1), inner: (&inner, 2) }.walk(|_, _, _| ()));
        assert!(!Within { outer: (&outer, 2), inner: (&inner, 3) }.walk(|_, _, _| ()));
    }
}
