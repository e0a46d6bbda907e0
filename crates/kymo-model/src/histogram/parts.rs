//! Parts: a histogram taken apart by bucket index, so that two of different layouts can be brought to one and compared or
//! combined.
//!
//! This is the slow way. Histograms of equal layout, by far the most, never come here.

use super::buckets::Side;
use super::layout::{Indexed, merged, unindexed};
use super::terms::Term;
use super::{FloatHistogram, Span, bounds};

/// Zero bucket and the buckets by index of an exponential histogram.
pub(super) struct Parts<C> {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero: C,
    pub(super) positive: Indexed<C>,
    pub(super) negative: Indexed<C>,
}

impl Parts<f64> {
    pub(super) fn of(h: &FloatHistogram) -> Parts<f64> {
        Parts {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero: h.zero_count,
            positive: Side::new(&h.positive_spans, &h.positive_buckets).collect(),
            negative: Side::new(&h.negative_spans, &h.negative_buckets).collect(),
        }
    }
}

impl<C: Term> Parts<C> {
    /// The zero bucket if its threshold were at least this, and the threshold. It ends up further out where it would lie
    /// inside of a populated bucket, which then comes along as a whole.
    pub(super) fn zero_within(&self, threshold: f64) -> (C, f64) {
        let mut threshold = threshold;
        loop {
            let (zero, reached) = self.swallow(self.zero, &self.positive, threshold);
            let (zero, further) = self.swallow(zero, &self.negative, reached);
            if further == reached {
                return (zero, reached);
            }
            threshold = further;
        }
    }

    /// Adds one side's buckets that begin within the threshold, which moves to the end of the last populated one.
    fn swallow(&self, mut zero: C, side: &Indexed<C>, threshold: f64) -> (C, f64) {
        for (index, count) in side {
            if bound(*index - 1, self.schema) >= threshold {
                break;
            }
            zero += *count;
            let end = bound(*index, self.schema);
            if end > threshold {
                return (zero, if *count == C::default() { threshold } else { end });
            }
        }
        (zero, threshold)
    }

    /// Makes the zero bucket wider: count and threshold as [`Parts::zero_within`] has them. Empty buckets go as well, wherever they
    /// are, since Prometheus has quantiles depend on whether there are any.
    fn widen(&mut self, (zero, threshold): (C, f64)) {
        (self.zero, self.zero_threshold) = (zero, threshold);
        let schema = self.schema;
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|(index, count)| bound(*index - 1, schema) >= threshold && *count != C::default());
        }
    }

    /// Widens both zero buckets until they are equal and no populated bucket of either begins inside of them.
    pub(super) fn reconcile_zero(&mut self, other: &mut Parts<C>) {
        let (mut zero, mut threshold) = (other.zero, other.zero_threshold);
        loop {
            if self.zero_threshold > threshold {
                (zero, threshold) = other.zero_within(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                self.widen(self.zero_within(threshold));
            } else {
                // Equal, or not comparable at all.
                break;
            }
        }
        (other.zero, other.zero_threshold) = (zero, threshold);
    }

    /// Leaves out the first buckets of both sides that end within the threshold: they are in the zero bucket.
    pub(super) fn skip_within(&mut self, threshold: f64) {
        let schema = self.schema;
        for side in [&mut self.positive, &mut self.negative] {
            let inside = side.iter().take_while(|(index, _)| bound(*index, schema) <= threshold).count();
            side.drain(..inside);
        }
    }

    /// Merges buckets down to a lower schema.
    pub(super) fn reduce(&mut self, schema: i32) {
        if schema < self.schema {
            let steps = self.schema.abs_diff(schema).min(31);
            for side in [&mut self.positive, &mut self.negative] {
                *side = merged(std::mem::take(side).into_iter(), steps);
            }
            self.schema = schema;
        }
    }
}

/// The bound of a bucket index; beyond all of them for indices that no valid histogram has.
fn bound(index: i64, schema: i32) -> f64 {
    bounds::exponential(index.clamp(i32::MIN.into(), i32::MAX.into()) as i32, schema)
}

/// One side of two histograms of one schema: the buckets of either, those of both added.
pub(super) fn united<C: Term>(a: Indexed<C>, b: Indexed<C>) -> Indexed<C> {
    let mut out: Indexed<C> = Vec::with_capacity(a.len().max(b.len()));
    let mut b = b.into_iter().peekable();
    for (index, count) in a {
        while let Some(before) = b.next_if(|(other, _)| *other < index) {
            out.push(before);
        }
        let mut count = count;
        if let Some((_, other)) = b.next_if(|(other, _)| *other == index) {
            count += other;
        }
        out.push((index, count));
    }
    out.extend(b);
    out
}

/// The buckets of a custom layout moved onto a subset of its bounds: each goes to the first bound that is not below its own.
pub(super) fn onto<C: Term>(
    side: Side<'_, f64>,
    term: impl Fn(usize, f64) -> C,
    bounds: &[f64],
    subset: &[f64],
    out: &mut [C],
) {
    for (position, (index, count)) in side.enumerate() {
        let own = usize::try_from(index).ok().and_then(|index| bounds.get(index));
        let target = own.map_or(subset.len(), |own| subset.partition_point(|bound| bound < own));
        out[target] += term(position, count);
    }
}

/// The bounds that two custom layouts share.
pub(super) fn shared_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut b = b.iter().copied().peekable();
    let mut shared = Vec::new();
    for bound in a {
        while b.next_if(|other| other < bound).is_some() {}
        if b.next_if(|other| other == bound).is_some() {
            shared.push(*bound);
        }
    }
    shared
}

/// Spans and counts of one bucket for each bound and one above, without the empty ones.
pub(super) fn populated<C: Term>(counts: Vec<C>) -> (Vec<Span>, Vec<C>) {
    let numbered = counts.into_iter().enumerate().map(|(index, count)| (index as i64, count));
    unindexed(numbered.filter(|(_, count)| *count != C::default()).collect())
}
