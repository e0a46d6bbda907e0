//! Clock: nanoseconds that never go back, for deadlines of queries and for what their parts cost.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds since somebody first asked.
pub(crate) fn nanos() -> u64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    as_nanos(BEGUN.get_or_init(Instant::now).elapsed())
}

/// What [`nanos`] will be then.
pub(crate) fn nanos_after(time: Duration) -> u64 {
    nanos().saturating_add(as_nanos(time))
}

fn as_nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
