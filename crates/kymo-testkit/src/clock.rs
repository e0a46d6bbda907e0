//! SimClock: time that passes when the test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};

use kymo_model::Timestamp;
use kymo_tsdb::Clock;

/// A clock in the hand of the test; clones show the same time.
///
/// ```
/// use kymo_testkit::SimClock;
/// use kymo_tsdb::Clock;
/// let clock = SimClock::at_ms(1000);
/// clock.advance_ms(500);
/// assert_eq!(clock.now().millis(), 1500);
/// assert_eq!(clock.monotonic_ms(), 500);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SimClock {
    wall_ms: Arc<AtomicI64>,
    monotonic_ms: Arc<AtomicU64>,
}

impl SimClock {
    /// A clock that shows this time of day.
    pub fn at_ms(wall_ms: i64) -> SimClock {
        let clock = SimClock::default();
        clock.wall_ms.store(wall_ms, SeqCst);
        clock
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: u64) {
        self.wall_ms.fetch_add(ms as i64, SeqCst);
        self.monotonic_ms.fetch_add(ms, SeqCst);
    }

    /// Sets the time of day alone, as an administrator or a bad time server does.
    pub fn jump_to_ms(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, SeqCst);
    }

    /// As the database takes it.
    pub fn shared(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_ms.load(SeqCst))
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(SeqCst)
    }
}
