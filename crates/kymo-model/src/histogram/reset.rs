//! Reset: did a counter histogram start again since the one before it?

use super::buckets::Side;
use super::layout::Indexed;
use super::parts::{Parts, onto, shared_bounds};
use super::within::Within;
use super::{CounterResetHint, FloatHistogram};

impl FloatHistogram {
    /// Was there a counter reset since `previous`? A hint of reset or none is believed. Otherwise there was if anything that
    /// was counted before is counted less now: a bucket, the zero bucket, all observations (but not their sum); if the
    /// resolution grew or the zero bucket shrank; if the zero bucket now ends inside of what was a populated bucket; or if
    /// custom bounds replaced an exponential schema or the other way round.
    ///
    /// Gauges are compared like everything else.
    pub fn detect_reset(&self, previous: &FloatHistogram) -> bool {
        match self.counter_reset_hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.same_layout(previous) {
            let fewer =
                |now: &[f64], before: &[f64]| now.iter().zip(before).any(|(now, before)| now < before);
            return self.zero_count < previous.zero_count
                || fewer(&self.positive_buckets, &previous.positive_buckets)
                || fewer(&self.negative_buckets, &previous.negative_buckets);
        }
        if self.has_all_of(previous) {
            let fewer = |side: Within<'_>, now: &[f64], before: &[f64]| {
                let mut fewer = false;
                side.walk(|at, from, length| {
                    let mut pairs = now[at..at + length].iter().zip(&before[from..from + length]);
                    fewer |= pairs.any(|(now, before)| now < before);
                });
                fewer
            };
            let [positive, negative] = self.sides(previous);
            return self.zero_count < previous.zero_count
                || fewer(positive, &self.positive_buckets, &previous.positive_buckets)
                || fewer(negative, &self.negative_buckets, &previous.negative_buckets);
        }
        if self.has_custom_buckets() != previous.has_custom_buckets() {
            return true;
        }
        if self.has_custom_buckets() {
            return self.custom_reset(previous);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (mut now, mut before) = (Parts::of(self), Parts::of(previous));
        if before.zero_threshold < self.zero_threshold {
            let (zero, threshold) = before.zero_within(self.zero_threshold);
            if threshold != self.zero_threshold {
                return true;
            }
            before.zero = zero;
        }
        before.reduce(self.schema);
        // Without a zero bucket of any width nothing is within it, not even buckets that end at the smallest float.
        if self.zero_threshold != 0.0 {
            now.skip_within(self.zero_threshold);
            before.skip_within(self.zero_threshold);
        }
        now.zero < before.zero
            || fewer_of(&now.positive, &before.positive)
            || fewer_of(&now.negative, &before.negative)
    }

    /// The same question for custom bounds: asked of the buckets between those bounds that both share.
    fn custom_reset(&self, previous: &FloatHistogram) -> bool {
        let now = Side::new(&self.positive_spans, &self.positive_buckets);
        let before = Side::new(&previous.positive_spans, &previous.positive_buckets);
        if self.custom_values == previous.custom_values {
            return fewer_of(&now.collect(), &before.collect());
        }
        let shared = shared_bounds(&self.custom_values, &previous.custom_values);
        let mut counts = [vec![0.0; shared.len() + 1], vec![0.0; shared.len() + 1]];
        onto(now, |_, count| count, &self.custom_values, &shared, &mut counts[0]);
        onto(before, |_, count| count, &previous.custom_values, &shared, &mut counts[1]);
        let [now, before] = counts;
        now.iter().zip(&before).any(|(now, before)| now < before)
    }
}

/// Does a bucket count less than before? One that is missing counts as emptied.
fn fewer_of(now: &Indexed<f64>, before: &Indexed<f64>) -> bool {
    let mut now = now.iter().peekable();
    before.iter().any(|(index, count)| {
        while now.next_if(|(other, _)| other < index).is_some() {}
        match now.peek() {
            Some((other, current)) if other == index => current < count,
            _ => *count != 0.0,
        }
    })
}
