//! Validate: is a histogram one that Prometheus would store?

use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span, absolute, bounds};

/// Which buckets an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramSide {
    /// Those above zero, or all with custom bounds.
    Positive,
    /// Those below zero.
    Negative,
}

impl std::fmt::Display for HistogramSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            HistogramSide::Positive => "positive",
            HistogramSide::Negative => "negative",
        })
    }
}

/// What is wrong with a histogram. Spans, buckets and bounds are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// A schema that is none.
    #[error("expected a schema from -4 to 8, or -53 for custom bounds, found {0}")]
    Schema(i32),
    /// Only the first span may lie below the bucket before it.
    #[error("{side} side: expected an offset of 0 or more in span {span}, found {offset}")]
    SpanOffset {
        /// The buckets it is about.
        side: HistogramSide,
        /// Which span.
        span: usize,
        /// Its offset.
        offset: i32,
    },
    /// Spans and buckets do not go together.
    #[error("{side} side: expected {spans} buckets as the spans say, found {buckets}")]
    BucketCount {
        /// The buckets it is about.
        side: HistogramSide,
        /// Lengths of all spans.
        spans: u64,
        /// How many counts there are.
        buckets: usize,
    },
    /// Spans that reach beyond every index.
    #[error("{side} side: expected bucket indices of 32 bits, found {index} in span {span}")]
    IndexRange {
        /// The buckets it is about.
        side: HistogramSide,
        /// Which span.
        span: usize,
        /// The index.
        index: i64,
    },
    /// A count below zero.
    #[error("{side} side: expected a count of 0 or more in bucket {bucket}, found {count}")]
    NegativeBucket {
        /// The buckets it is about.
        side: HistogramSide,
        /// Which bucket of the list.
        bucket: usize,
        /// Its count.
        count: f64,
    },
    /// A zero bucket below zero.
    #[error("expected a count of 0 or more in the zero bucket, found {0}")]
    NegativeZeroCount(f64),
    /// A count below zero.
    #[error("expected a count of 0 or more, found {0}")]
    NegativeCount(f64),
    /// More in the buckets than there were observations, or fewer although none was NaN.
    #[error("expected a count of {buckets} observations as the buckets say, found {count}")]
    Count {
        /// Observations in all buckets.
        buckets: u64,
        /// The histogram's count.
        count: u64,
    },
    /// Custom bounds not in order, or NaN among them.
    #[error(
        "expected custom bounds in strictly increasing order, found {bound} after {before} at bound {at}"
    )]
    BoundOrder {
        /// Which bound.
        at: usize,
        /// The bound.
        bound: f64,
        /// The bound before it.
        before: f64,
    },
    /// The bucket up to infinity is always there and has no bound.
    #[error("expected finite custom bounds, found +Inf as the last")]
    BoundInfinite,
    /// Buckets beyond the last bound.
    #[error("expected custom bounds for {buckets} buckets as the spans say, found {bounds} bounds")]
    BoundCount {
        /// Buckets covered and skipped by the spans.
        buckets: u64,
        /// How many bounds there are; one bucket more than that exists.
        bounds: usize,
    },
    /// Custom bounds go without a zero bucket and without negative buckets.
    #[error("expected no {0} together with custom bounds, found some")]
    WithCustomBounds(&'static str),
    /// Exponential schemas go without custom bounds.
    #[error("expected no custom bounds with schema {schema}, found {bounds}")]
    CustomBounds {
        /// The schema.
        schema: i32,
        /// How many bounds there are.
        bounds: usize,
    },
    /// A resolution can only be lowered, and only within the exponential schemas.
    #[error("cannot reduce resolution from schema {from} to {to}")]
    CannotReduce {
        /// The histogram's schema.
        from: i32,
        /// The schema asked for.
        to: i32,
    },
}

use HistogramSide::{Negative, Positive};

impl Histogram {
    /// Checks everything that Prometheus checks before it stores a histogram: schema, spans against buckets, counts.
    ///
    /// Without NaN among the observations, the count is that of all buckets; NaN are counted and lie in no bucket.
    pub fn validate(&self) -> Result<(), HistogramError> {
        layout(
            self.schema,
            &self.custom_values,
            (&self.positive_spans, self.positive_buckets.len()),
            (&self.negative_spans, self.negative_buckets.len()),
            (self.zero_count as f64, self.zero_threshold),
        )?;
        let mut sum = self.zero_count;
        for (side, deltas) in [(Negative, &self.negative_buckets), (Positive, &self.positive_buckets)] {
            for (index, count) in absolute(deltas).enumerate() {
                let Ok(count) = u64::try_from(count) else {
                    return Err(HistogramError::NegativeBucket {
                        side,
                        bucket: index + 1,
                        count: count as f64,
                    });
                };
                sum = sum.saturating_add(count);
            }
        }
        if sum > self.count || (sum != self.count && !self.sum.is_nan()) {
            return Err(HistogramError::Count { buckets: sum, count: self.count });
        }
        Ok(())
    }
}

impl FloatHistogram {
    /// Checks everything that Prometheus checks before it stores a histogram: schema, spans against buckets, counts.
    ///
    /// The count is not compared with that of the buckets: sums of floats differ a little for honest reasons.
    pub fn validate(&self) -> Result<(), HistogramError> {
        layout(
            self.schema,
            &self.custom_values,
            (&self.positive_spans, self.positive_buckets.len()),
            (&self.negative_spans, self.negative_buckets.len()),
            (self.zero_count, self.zero_threshold),
        )?;
        if self.zero_count < 0.0 {
            return Err(HistogramError::NegativeZeroCount(self.zero_count));
        }
        if self.count < 0.0 {
            return Err(HistogramError::NegativeCount(self.count));
        }
        for (side, counts) in [(Negative, &self.negative_buckets), (Positive, &self.positive_buckets)] {
            if let Some(index) = counts.iter().position(|count| *count < 0.0) {
                return Err(HistogramError::NegativeBucket { side, bucket: index + 1, count: counts[index] });
            }
        }
        Ok(())
    }
}

/// Schema, spans, bounds: all but the counts.
fn layout(
    schema: i32,
    custom_values: &[f64],
    positive: (&[Span], usize),
    negative: (&[Span], usize),
    (zero_count, zero_threshold): (f64, f64),
) -> Result<(), HistogramError> {
    if schema == CUSTOM_BUCKETS_SCHEMA {
        custom_bounds(custom_values, positive.0)?;
        spans(Positive, positive)?;
        for (found, what) in [
            (zero_count != 0.0, "zero count"),
            (zero_threshold != 0.0, "zero threshold"),
            (!negative.0.is_empty(), "negative spans"),
            (negative.1 > 0, "negative buckets"),
        ] {
            if found {
                return Err(HistogramError::WithCustomBounds(what));
            }
        }
        return Ok(());
    }
    if !(bounds::SCHEMA_MIN..=bounds::SCHEMA_MAX).contains(&schema) {
        return Err(HistogramError::Schema(schema));
    }
    spans(Positive, positive)?;
    spans(Negative, negative)?;
    if !custom_values.is_empty() {
        return Err(HistogramError::CustomBounds { schema, bounds: custom_values.len() });
    }
    Ok(())
}

fn spans(side: HistogramSide, (spans, buckets): (&[Span], usize)) -> Result<(), HistogramError> {
    let mut covered: u64 = 0;
    let mut index: i64 = 0;
    for (at, Span { offset, length }) in spans.iter().enumerate() {
        if at > 0 && *offset < 0 {
            return Err(HistogramError::SpanOffset { side, span: at + 1, offset: *offset });
        }
        covered += u64::from(*length);
        index += i64::from(*offset) + i64::from(*length);
        if i32::try_from(index).is_err() {
            return Err(HistogramError::IndexRange { side, span: at + 1, index });
        }
    }
    if covered != buckets as u64 {
        return Err(HistogramError::BucketCount { side, spans: covered, buckets });
    }
    Ok(())
}

fn custom_bounds(custom_values: &[f64], spans: &[Span]) -> Result<(), HistogramError> {
    for (index, &bound) in custom_values.iter().enumerate() {
        let before = index.checked_sub(1).map_or(f64::NEG_INFINITY, |before| custom_values[before]);
        if bound.is_nan() || (index > 0 && bound <= before) {
            return Err(HistogramError::BoundOrder { at: index + 1, bound, before });
        }
    }
    if custom_values.last() == Some(&f64::INFINITY) {
        return Err(HistogramError::BoundInfinite);
    }
    let mut buckets: u64 = 0;
    for (at, Span { offset, length }) in spans.iter().enumerate() {
        let Ok(offset) = u64::try_from(*offset) else {
            return Err(HistogramError::SpanOffset { side: Positive, span: at + 1, offset: *offset });
        };
        buckets += offset + u64::from(*length);
    }
    if buckets > custom_values.len() as u64 + 1 {
        return Err(HistogramError::BoundCount { buckets, bounds: custom_values.len() });
    }
    Ok(())
}
