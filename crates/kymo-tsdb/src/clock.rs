//! Clock: where the database gets the time. Nothing else in the crate asks the operating system what time it is.

use std::fmt;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kymo_model::Timestamp;

/// The two clocks a database needs; a test gives its own.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day. It may jump; it judges only how far ahead a sample is.
    fn now(&self) -> Timestamp;

    /// Milliseconds that only ever grow, from any starting point. Intervals are measured with these.
    fn monotonic_ms(&self) -> u64;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Timestamp::from_millis(millis)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
