//! Functions that count: samples, changes, resets. Counts up to each sample are kept, so a window is one subtraction.

use super::{Call, Work};
use crate::QueryError;
use crate::row::Row;

/// `count_over_time`
pub(super) fn count(call: &Call<'_>, out: &mut Row) -> Result<(), QueryError> {
    for (step, window) in call.each() {
        out.set(step, window.len() as f64);
    }
    Ok(())
}

/// `present_over_time`
pub(super) fn present(call: &Call<'_>, out: &mut Row) -> Result<(), QueryError> {
    for (step, _) in call.each() {
        out.set(step, 1.0);
    }
    Ok(())
}

/// `changes`: from NaN to NaN is none.
pub(super) fn changes(call: &Call<'_>, work: &mut Work, out: &mut Row) -> Result<(), QueryError> {
    pairs(call, work, out, |before, after| after != before && !(after.is_nan() && before.is_nan()))
}

/// `resets`
pub(super) fn resets(call: &Call<'_>, work: &mut Work, out: &mut Row) -> Result<(), QueryError> {
    pairs(call, work, out, |before, after| after < before)
}

fn pairs(
    call: &Call<'_>,
    work: &mut Work,
    out: &mut Row,
    counts: impl Fn(f64, f64) -> bool,
) -> Result<(), QueryError> {
    let values = call.samples.values;
    if call.scan_is_cheap() {
        for (step, window) in call.each() {
            let pairs = values[window.indices()].windows(2);
            out.set(step, pairs.filter(|pair| counts(pair[0], pair[1])).count() as f64);
        }
        return Ok(());
    }
    up_to_each(values, &mut work.counts, counts);
    for (step, window) in call.each() {
        let found = work.counts[window.hi as usize - 1] - work.counts[window.lo as usize];
        out.set(step, f64::from(found));
    }
    Ok(())
}

/// How many pairs of neighbours up to each sample `counts` accepts.
pub(super) fn up_to_each(values: &[f64], out: &mut Vec<u32>, counts: impl Fn(f64, f64) -> bool) {
    out.clear();
    out.resize(values.len(), 0);
    let mut so_far = 0;
    for (at, pair) in values.windows(2).enumerate() {
        so_far += u32::from(counts(pair[0], pair[1]));
        out[at + 1] = so_far;
    }
}
