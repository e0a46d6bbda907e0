//! Functions that count: samples, changes, resets. Counts up to each sample are kept, so a window is one subtraction.

use kymo_model::Gap;

use super::{Call, Work};
use crate::QueryError;
use crate::native::start;
use crate::row::Row;

/// `count_over_time`
pub(super) fn count(call: &Call<'_>, out: &mut Row) -> Result<(), QueryError> {
    for (step, window) in call.each() {
        out.set(step, (window.len() + call.left_out) as f64);
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
    // Without a branch: which of both a sample is cannot be foreseen.
    let changes = |before: f64, after: f64| (after != before) & !(after.is_nan() & before.is_nan());
    pairs_of_values(call, work, out, |gap| gap.changes, changes)
}

/// `resets`: a counter went down, or its start timestamp says that it began anew.
pub(super) fn resets(call: &Call<'_>, work: &mut Work, out: &mut Row) -> Result<(), QueryError> {
    let (times, values, starts) = (call.samples.times, call.samples.values, call.samples.starts);
    if starts.is_empty() {
        return pairs_of_values(call, work, out, |gap| gap.resets, |before, after| after < before);
    }
    pairs(call, work, out, 0.0, |at| {
        values[at] < values[at - 1] || start::is_reset(starts[at - 1], times[at - 1], starts[at], times[at])
    })
}

/// [`pairs`] that looks at values alone, and what was counted of them in gaps.
fn pairs_of_values(
    call: &Call<'_>,
    work: &mut Work,
    out: &mut Row,
    in_gap: impl Fn(&Gap) -> usize,
    counts: impl Fn(f64, f64) -> bool,
) -> Result<(), QueryError> {
    let values = call.samples.values;
    // The samples on both sides of a gap are compared like neighbours, which may count once.
    let more = |gap: &Gap| in_gap(gap) as f64 - f64::from(counts(values[gap.after], values[gap.after + 1]));
    let left_out = call.gaps.iter().map(more).sum();
    if call.scan_is_cheap() || values.is_empty() {
        return pairs(call, work, out, left_out, |at| counts(values[at - 1], values[at]));
    }
    work.counts.clear();
    work.counts.push(0);
    let mut so_far = 0;
    work.counts.extend(values.windows(2).map(|pair| {
        so_far += u32::from(counts(pair[0], pair[1]));
        so_far
    }));
    subtract(call, work, left_out, out);
    Ok(())
}

/// Counts neighbours in each window, to which come `left_out`.
fn pairs(
    call: &Call<'_>,
    work: &mut Work,
    out: &mut Row,
    left_out: f64,
    counts: impl Fn(usize) -> bool,
) -> Result<(), QueryError> {
    if call.scan_is_cheap() {
        for (step, window) in call.each() {
            out.set(step, window.indices().skip(1).filter(|at| counts(*at)).count() as f64 + left_out);
        }
        return Ok(());
    }
    up_to_each(call.samples.values.len(), &mut work.counts, counts);
    subtract(call, work, left_out, out);
    Ok(())
}

/// What was counted in each window, from the counts up to each sample.
fn subtract(call: &Call<'_>, work: &Work, left_out: f64, out: &mut Row) {
    for (step, window) in call.each() {
        let found = work.counts[window.hi as usize - 1] - work.counts[window.lo as usize];
        out.set(step, f64::from(found) + left_out);
    }
}

/// How many samples up to each one `counts` accepts, which compares it with the one before.
pub(super) fn up_to_each(samples: usize, out: &mut Vec<u32>, counts: impl Fn(usize) -> bool) {
    out.clear();
    out.resize(samples, 0);
    let mut so_far = 0;
    for (at, count) in out.iter_mut().enumerate().skip(1) {
        so_far += u32::from(counts(at));
        *count = so_far;
    }
}
