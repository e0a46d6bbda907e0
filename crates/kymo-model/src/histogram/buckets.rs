//! Buckets: a histogram's buckets with their bounds, in order.

use super::{FloatHistogram, Span, bounds};

/// One bucket: the range of values it counts, and the count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Does `lower` itself belong to it?
    pub lower_inclusive: bool,
    /// Does `upper` itself belong to it?
    pub upper_inclusive: bool,
    /// How many observations.
    pub count: f64,
    /// Its index within schema and sign; 0 for the zero bucket.
    pub index: i32,
}

impl Bucket {
    /// Which share of it lies below `value`, on a linear scale. For finite bounds and a value between them.
    pub fn share_below_linear(&self, value: f64) -> f64 {
        (value - self.lower) / (self.upper - self.lower)
    }

    /// Which share of it lies below `value`, on a logarithmic scale, on which all buckets of an exponential schema are equally
    /// wide. For finite bounds of one sign and a value between them.
    pub fn share_below_logarithmic(&self, value: f64) -> f64 {
        let [lower, upper, at] = [self.lower, self.upper, value].map(|bound| bound.abs().log2());
        if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
    }
}

/// Index and count of the present buckets of one side, from both ends.
#[derive(Clone)]
pub(super) struct Side<'a, C> {
    spans: &'a [Span],
    /// Those not given out yet.
    counts: &'a [C],
    front: Cursor,
    back: Cursor,
}

/// Before the bucket at `position` of a span, which has this index.
#[derive(Clone, Copy)]
struct Cursor {
    span: usize,
    position: u32,
    index: i64,
}

impl<'a, C: Copy> Side<'a, C> {
    /// Counts without a span, or spans without counts, are left out.
    pub(super) fn new(spans: &'a [Span], counts: &'a [C]) -> Side<'a, C> {
        let first = spans.first().map_or(0, |span| i64::from(span.offset));
        let front = Cursor { span: 0, position: 0, index: first };
        let mut back = front;
        let mut index = 0;
        let mut left = counts.len();
        for (span, Span { offset, length }) in spans.iter().enumerate() {
            index += i64::from(*offset);
            let taken = (*length as usize).min(left) as u32;
            left -= taken as usize;
            back = Cursor { span, position: taken, index: index + i64::from(taken) };
            if left == 0 {
                break;
            }
            index += i64::from(*length);
        }
        Side { spans, counts: &counts[..counts.len() - left], front, back }
    }
}

impl<C: Copy> Iterator for Side<'_, C> {
    type Item = (i64, C);

    fn next(&mut self) -> Option<(i64, C)> {
        let (count, rest) = self.counts.split_first()?;
        self.counts = rest;
        let front = &mut self.front;
        while front.position >= self.spans[front.span].length {
            front.span += 1;
            front.position = 0;
            front.index += i64::from(self.spans[front.span].offset);
        }
        let index = front.index;
        front.position += 1;
        front.index += 1;
        Some((index, *count))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.counts.len(), Some(self.counts.len()))
    }
}

impl<C: Copy> DoubleEndedIterator for Side<'_, C> {
    fn next_back(&mut self) -> Option<(i64, C)> {
        let (count, rest) = self.counts.split_last()?;
        self.counts = rest;
        let back = &mut self.back;
        while back.position == 0 {
            back.index -= i64::from(self.spans[back.span].offset);
            back.span -= 1;
            back.position = self.spans[back.span].length;
        }
        back.position -= 1;
        back.index -= 1;
        Some((back.index, *count))
    }
}

impl<C: Copy> ExactSizeIterator for Side<'_, C> {}

impl FloatHistogram {
    /// The buckets above zero, or all of them with custom bounds, from low to high; empty ones that a span covers are
    /// included.
    ///
    /// ```
    /// use kymo_model::{FloatHistogram, Span};
    /// let h = FloatHistogram {
    ///     positive_spans: vec![Span { offset: 1, length: 2 }],
    ///     positive_buckets: vec![3.0, 4.0],
    ///     ..FloatHistogram::default()
    /// };
    /// let bounds: Vec<_> = h.positive().map(|b| (b.lower, b.upper, b.count)).collect();
    /// assert_eq!(bounds, [(1.0, 2.0, 3.0), (2.0, 4.0, 4.0)]);
    /// ```
    pub fn positive(&self) -> impl DoubleEndedIterator<Item = Bucket> + ExactSizeIterator + '_ {
        Side::new(&self.positive_spans, &self.positive_buckets)
            .map(|(index, count)| self.positive_bucket(index, count))
    }

    /// The buckets below zero by their index, so from near zero downwards.
    pub fn negative(&self) -> impl DoubleEndedIterator<Item = Bucket> + ExactSizeIterator + '_ {
        Side::new(&self.negative_spans, &self.negative_buckets).map(|(index, count)| {
            let index = clamp(index);
            let lower = -bounds::exponential(index, self.schema);
            let upper = -bounds::exponential(index.saturating_sub(1), self.schema);
            Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count, index }
        })
    }

    /// The zero bucket, which custom bounds do not have.
    pub fn zero(&self) -> Option<Bucket> {
        (!self.has_custom_buckets()).then_some(Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        })
    }

    /// All buckets from the lowest value to the highest, the zero bucket only when it counts something. Where a bucket
    /// reaches into the zero bucket, it ends at the zero threshold.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let cut = |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
                bucket.upper = -self.zero_threshold;
            } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
                bucket.lower = self.zero_threshold;
            }
            bucket
        };
        let zero = self.zero().filter(|zero| zero.count > 0.0);
        self.negative().rev().map(cut).chain(zero).chain(self.positive().map(cut))
    }

    fn positive_bucket(&self, index: i64, count: f64) -> Bucket {
        let index = clamp(index);
        if self.has_custom_buckets() {
            let bound = |index: i32| match usize::try_from(index) {
                Err(_) => f64::NEG_INFINITY,
                Ok(index) => self.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
            };
            let (lower, upper) = (bound(index.saturating_sub(1)), bound(index));
            return Bucket { lower, upper, lower_inclusive: index == 0, upper_inclusive: true, count, index };
        }
        let lower = bounds::exponential(index.saturating_sub(1), self.schema);
        let upper = bounds::exponential(index, self.schema);
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count, index }
    }
}

/// Indices of valid histograms fit.
fn clamp(index: i64) -> i32 {
    index.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
