//! Trim: a histogram without the observations above or below a value.
//!
//! A bucket that the value cuts keeps the part that interpolation puts on the kept side: linearly in the zero bucket and
//! between custom bounds, on a logarithmic scale in exponential buckets. What a histogram sums up is not known by bucket, so
//! the sum is estimated anew from the middle of what is kept of each. Nothing cut, nothing changed.

use super::{Bucket, FloatHistogram};

/// Which observations stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Below,
    Above,
}

/// How observations are taken to lie within a bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl FloatHistogram {
    /// Removes the observations above `limit`: the operator `</`.
    ///
    /// ```
    /// use kymo_model::{FloatHistogram, Span};
    /// let mut h = FloatHistogram {
    ///     count: 7.0,
    ///     sum: 20.0,
    ///     positive_spans: vec![Span { offset: 1, length: 2 }],
    ///     positive_buckets: vec![3.0, 4.0],
    ///     ..FloatHistogram::default()
    /// };
    /// h.trim_upper(2.0);
    /// assert_eq!((h.count, h.positive_buckets), (3.0, vec![3.0]));
    /// ```
    pub fn trim_upper(&mut self, limit: f64) {
        self.trim(limit, Keep::Below);
    }

    /// Removes the observations below `limit`: the operator `>/`.
    pub fn trim_lower(&mut self, limit: f64) {
        self.trim(limit, Keep::Above);
    }

    fn trim(&mut self, limit: f64, keep: Keep) {
        let scale = if self.has_custom_buckets() { Scale::Linear } else { Scale::Logarithmic };
        let trimmed = |bucket: Bucket| match bucket.count {
            0.0 => Part::NOTHING,
            _ => Part::of(&bucket, limit, keep, scale),
        };
        let positive: Vec<Part> = self.positive().map(trimmed).collect();
        let negative: Vec<Part> = self.negative().map(trimmed).collect();
        let mut total = Total::default();
        let mut sides = [false; 2];
        for ((counts, parts), seen) in
            [(&mut self.positive_buckets, positive), (&mut self.negative_buckets, negative)]
                .into_iter()
                .zip(&mut sides)
        {
            for (count, part) in counts.iter_mut().zip(parts) {
                *seen |= *count != 0.0;
                total.take(count, part);
            }
        }
        let [any_positive, any_negative] = sides;
        if let Some(zero) = self.zero().filter(|zero| zero.count > 0.0) {
            let lower = if any_positive && !any_negative { 0.0 } else { zero.lower };
            let upper = if any_negative && !any_positive { 0.0 } else { zero.upper };
            total.take(&mut self.zero_count, Part::of_zero(zero.count, (lower, upper), limit, keep));
        }
        if total.cut {
            (self.count, self.sum) = (total.count, total.sum);
            self.compact(0);
        }
    }
}

/// What is left after trimming.
#[derive(Default)]
struct Total {
    count: f64,
    sum: f64,
    /// Did any bucket change?
    cut: bool,
}

impl Total {
    fn take(&mut self, count: &mut f64, part: Part) {
        if *count == 0.0 {
            return;
        }
        self.count += part.count;
        self.sum += part.middle * part.count;
        // A NaN count is not equal to itself and so counts as cut.
        if *count != part.count {
            *count = part.count;
            self.cut = true;
        }
    }
}

/// What is kept of a bucket: so many observations around a value.
#[derive(Clone, Copy)]
struct Part {
    count: f64,
    middle: f64,
}

impl Part {
    const NOTHING: Part = Part { count: 0.0, middle: 0.0 };

    fn of(bucket: &Bucket, limit: f64, keep: Keep, scale: Scale) -> Part {
        let Bucket { lower, upper, count, .. } = *bucket;
        let (all, some) = match keep {
            Keep::Below => (upper <= limit, lower < limit),
            Keep::Above => (lower >= limit, upper > limit),
        };
        if all {
            return Part { count, middle: middle(lower, upper, scale) };
        }
        if !some {
            return Part::NOTHING;
        }
        if lower == f64::NEG_INFINITY {
            return Part::of_lowest(upper, count, limit, keep);
        }
        if upper == f64::INFINITY {
            // Where in it the observations lie is not known: above the limit as far as they are wanted there, else gone.
            return match keep {
                Keep::Below => Part::NOTHING,
                Keep::Above => Part { count, middle: limit },
            };
        }
        let below = count * share_below(bucket, limit, scale);
        match keep {
            Keep::Below => Part { count: below, middle: middle(lower, limit, scale) },
            Keep::Above => Part { count: count - below, middle: middle(limit, upper, scale) },
        }
    }

    /// A bucket from −∞, cut: taken to begin at zero if it ends above, as histograms of what is never negative have it.
    fn of_lowest(upper: f64, count: f64, limit: f64, keep: Keep) -> Part {
        let from_zero = upper > 0.0 && upper != f64::INFINITY;
        match keep {
            Keep::Below if limit > 0.0 && from_zero => {
                Part { count: count * limit / upper, middle: limit / 2.0 }
            }
            Keep::Below if upper <= 0.0 => Part { count, middle: limit },
            Keep::Above if limit >= 0.0 && from_zero => {
                Part { count: count * (1.0 - limit / upper), middle: (limit + upper) / 2.0 }
            }
            _ => Part::NOTHING,
        }
    }

    fn of_zero(count: f64, (lower, upper): (f64, f64), limit: f64, keep: Keep) -> Part {
        let all = Part { count, middle: (lower + upper) / 2.0 };
        let width = upper - lower;
        match keep {
            Keep::Below if limit <= lower => Part::NOTHING,
            Keep::Below if limit >= upper => all,
            Keep::Below => Part { count: count * ((limit - lower) / width), middle: (lower + limit) / 2.0 },
            Keep::Above if limit <= lower => all,
            Keep::Above if limit >= upper => Part::NOTHING,
            Keep::Above => Part { count: count * ((upper - limit) / width), middle: (limit + upper) / 2.0 },
        }
    }
}

/// Which share of a bucket with finite bounds lies below a value within.
fn share_below(bucket: &Bucket, value: f64, scale: Scale) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    match scale {
        _ if value <= lower => 0.0,
        _ if value >= upper => 1.0,
        Scale::Linear => bucket.share_below_linear(value),
        Scale::Logarithmic => bucket.share_below_logarithmic(value),
    }
}

/// The value that stands for all between two: the geometric mean on a logarithmic scale.
fn middle(lower: f64, upper: f64, scale: Scale) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if scale == Scale::Linear => (lower + upper) / 2.0,
        (false, false) => {
            let geometric = (lower * upper).abs().sqrt();
            if upper > 0.0 { geometric } else { -geometric }
        }
    }
}
