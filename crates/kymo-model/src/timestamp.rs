//! Timestamps: milliseconds since the Unix epoch, in a newtype so that seconds cannot slip in.

use std::fmt;

/// A point in time: milliseconds since the Unix epoch, as Prometheus stores it. May be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest representable time.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest representable time.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, as PromQL's `time()` and `timestamp()` see it.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This time moved by `ms` milliseconds, stopping at the ends of the representable range.
    pub const fn saturating_add_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A closed interval of time: both ends belong to it. Empty when `min > max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First millisecond of the range.
    pub min: Timestamp,
    /// Last millisecond of the range.
    pub max: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { min: Timestamp::MIN, max: Timestamp::MAX };

    /// From and up to these milliseconds, both included.
    pub const fn from_millis(min: i64, max: i64) -> TimeRange {
        TimeRange { min: Timestamp(min), max: Timestamp(max) }
    }

    /// Is `t` inside?
    pub fn contains(&self, t: Timestamp) -> bool {
        self.min <= t && t <= self.max
    }

    /// Do the two ranges share a millisecond?
    pub fn overlaps(&self, other: &TimeRange) -> bool {
        self.min <= other.max && other.min <= self.max
    }

    /// The smallest range that holds both.
    pub fn union(&self, other: &TimeRange) -> TimeRange {
        TimeRange { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}
