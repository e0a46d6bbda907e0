//! Functions of the first, last, or last two samples of a window.

use super::{Call, Window};
use crate::QueryError;
use crate::native::start;
use crate::row::Row;

/// `first_over_time`, `last_over_time`.
pub(super) fn value(call: &Call<'_>, at: impl Fn(Window) -> u32, out: &mut Row) -> Result<(), QueryError> {
    for (step, window) in call.each() {
        out.set(step, call.samples.values[at(window) as usize]);
    }
    Ok(())
}

/// `ts_of_first_over_time`, `ts_of_last_over_time`.
pub(super) fn time(call: &Call<'_>, at: impl Fn(Window) -> u32, out: &mut Row) -> Result<(), QueryError> {
    for (step, window) in call.each() {
        out.set(step, call.samples.times[at(window) as usize] as f64 / 1000.0);
    }
    Ok(())
}

/// `irate` (a counter, per second) and `idelta`. After a reset, or if a start timestamp tells of one, the counter counts
/// from zero.
pub(super) fn last_two(call: &Call<'_>, rate: bool, out: &mut Row) -> Result<(), QueryError> {
    let (times, values, starts) = (call.samples.times, call.samples.values, call.samples.starts);
    for (step, window) in call.each().filter(|(_, w)| w.len() >= 2) {
        let last = window.hi as usize - 1;
        let started = !starts.is_empty()
            && start::is_reset(starts[last - 1], times[last - 1], starts[last], times[last]);
        let reset = rate && (values[last] < values[last - 1] || started);
        let mut result = if reset { values[last] } else { values[last] - values[last - 1] };
        if rate {
            result /= (times[last] - times[last - 1]) as f64 / 1000.0;
        }
        out.set(step, result);
    }
    Ok(())
}
