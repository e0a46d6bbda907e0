//! Staleness: a marker is one exact NaN bit pattern, never "any NaN".
//!
//! Source: Prometheus, `model/value`. The marker is a signalling NaN, so it is carried, compared by bits and never
//! computed with.

/// The bits of the staleness marker.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The bits of an ordinary NaN as Prometheus writes it.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The staleness marker as a float: says that the series ended here.
pub const STALE_NAN: f64 = f64::from_bits(STALE_NAN_BITS);

/// Is this value the staleness marker? Other NaNs are ordinary values.
///
/// ```
/// assert!(kymo_model::is_stale(kymo_model::STALE_NAN));
/// assert!(!kymo_model::is_stale(f64::NAN));
/// ```
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}
