//! Moments: mean and spread of the observations, as far as buckets tell.

use kymo_model::{Bucket, FloatHistogram};

use crate::kernel::Sum;

/// The mean observation.
pub(crate) fn average(h: &FloatHistogram) -> f64 {
    h.sum / h.count
}

/// The variance of the observations around their mean, each taken to be in the middle of its bucket.
pub(crate) fn variance(h: &FloatHistogram) -> f64 {
    let mean = average(h);
    let mut total = Sum::default();
    for bucket in h.buckets().filter(|bucket| bucket.count != 0.0) {
        let distance = middle(&bucket, h.has_custom_buckets()) - mean;
        total = total.add(bucket.count * distance * distance);
    }
    total.total() / h.count
}

/// The standard deviation.
pub(crate) fn deviation(h: &FloatHistogram) -> f64 {
    variance(h).sqrt()
}

/// Halfway between custom bounds, zero in the zero bucket, else halfway on a logarithmic scale.
fn middle(bucket: &Bucket, custom: bool) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if custom {
        return (upper + lower) / 2.0;
    }
    if lower <= 0.0 && upper >= 0.0 {
        return 0.0;
    }
    let middle = (upper * lower).sqrt();
    if upper < 0.0 { -middle } else { middle }
}
