//! Order statistics: `quantile_over_time` and `mad_over_time`.
//!
//! For large overlapping windows all values of the series are sorted once; a Fenwick tree counts which ranks are inside the
//! window. A sample enters and leaves in logarithmic time, and so is a quantile found. NaN sorts below every number.

use std::cmp::Ordering;

use super::{Call, Work};
use crate::QueryError;
use crate::row::Row;
use crate::vector::Pulse;

/// NaN first, then by value; 0 and -0 are equal.
fn by_value(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The lower rank of a quantile and the weight of the one above it.
fn rank_of(q: f64, count: usize) -> (usize, usize, f64) {
    let rank = q * (count as f64 - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(count as f64 - 1.0);
    (lower as usize, upper as usize, rank - rank.floor())
}

/// What a quantile outside of 0 to 1 gives.
fn out_of_range(q: f64) -> Option<f64> {
    if q.is_nan() {
        Some(f64::NAN)
    } else if q < 0.0 {
        Some(f64::NEG_INFINITY)
    } else if q > 1.0 {
        Some(f64::INFINITY)
    } else {
        None
    }
}

/// The quantile of some values, whose order is changed.
pub(crate) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    if let Some(value) = out_of_range(q) {
        return value;
    }
    let (lower, upper, weight) = rank_of(q, values.len());
    let (_, low, above) = values.select_nth_unstable_by(lower, by_value);
    let low = *low;
    let high = if upper == lower { low } else { above.iter().copied().min_by(by_value).unwrap_or(low) };
    low * (1.0 - weight) + high * weight
}

pub(super) fn quantile(
    call: &Call<'_>,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    let q = &call.params[0];
    if call.scan_is_cheap() {
        return scan(call, work, pulse, out, |step, window| quantile_of(q.at(step), window));
    }
    let values = call.samples.values;
    let mut tree = Ranks::of(values, work, pulse)?;
    let (mut lo, mut hi) = (0, 0);
    for (step, window) in call.each() {
        pulse.tick((window.hi - hi) as usize * 16)?;
        if window.lo >= hi {
            while lo < hi {
                tree.remove(lo);
                lo += 1;
            }
            (lo, hi) = (window.lo, window.lo);
        }
        while hi < window.hi {
            tree.insert(hi);
            hi += 1;
        }
        while lo < window.lo {
            tree.remove(lo);
            lo += 1;
        }
        let q = q.at(step);
        let value = out_of_range(q).unwrap_or_else(|| {
            let (lower, upper, weight) = rank_of(q, window.len());
            let low = tree.nth(lower);
            let high = if upper == lower { low } else { tree.nth(upper) };
            low * (1.0 - weight) + high * weight
        });
        out.set(step, value);
    }
    Ok(())
}

/// `mad_over_time`: the median distance from the median; a NaN makes it NaN.
pub(super) fn mad(
    call: &Call<'_>,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    scan(call, work, pulse, out, |_, window| {
        if window.iter().any(|v| v.is_nan()) {
            return f64::NAN;
        }
        let median = quantile_of(0.5, window);
        window.iter_mut().for_each(|v| *v = (*v - median).abs());
        quantile_of(0.5, window)
    })
}

fn scan(
    call: &Call<'_>,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
    f: impl Fn(usize, &mut [f64]) -> f64,
) -> Result<(), QueryError> {
    for (step, window) in call.each() {
        pulse.tick(window.len())?;
        work.floats.clear();
        work.floats.extend_from_slice(&call.samples.values[window.indices()]);
        out.set(step, f(step, &mut work.floats));
    }
    Ok(())
}

/// A multiset of samples of one series, ordered by value.
struct Ranks<'a> {
    /// All values of the series, sorted.
    sorted: &'a [f64],
    /// For each sample its place in `sorted`.
    ranks: &'a [u32],
    /// Fenwick tree of how many of each place are inside, from 1.
    tree: &'a mut [u32],
}

impl<'a> Ranks<'a> {
    fn of(values: &[f64], work: &'a mut Work, pulse: &mut Pulse) -> Result<Ranks<'a>, QueryError> {
        let Work { indices, floats: _, sorted, counts, .. } = work;
        // Sort samples by value, then turn the permutation round.
        counts.clear();
        counts.extend(0..values.len() as u32);
        counts.sort_unstable_by(|a, b| by_value(&values[*a as usize], &values[*b as usize]).then(a.cmp(b)));
        pulse.tick(values.len() * 8)?;
        indices.clear();
        indices.resize(values.len(), 0);
        sorted.clear();
        for (rank, sample) in counts.iter().enumerate() {
            indices[*sample as usize] = rank as u32;
            sorted.push(values[*sample as usize]);
        }
        counts.clear();
        counts.resize(values.len() + 1, 0);
        Ok(Ranks { sorted, ranks: indices, tree: counts })
    }

    fn insert(&mut self, sample: u32) {
        self.change(sample, 1);
    }

    fn remove(&mut self, sample: u32) {
        self.change(sample, u32::MAX);
    }

    fn change(&mut self, sample: u32, by: u32) {
        let mut at = self.ranks[sample as usize] as usize + 1;
        while at < self.tree.len() {
            self.tree[at] = self.tree[at].wrapping_add(by);
            at += at & at.wrapping_neg();
        }
    }

    /// The value with `rank` samples below it.
    fn nth(&self, rank: usize) -> f64 {
        let mut left = rank as u32;
        let mut at = 0;
        let mut jump = self.tree.len().next_power_of_two() / 2;
        while jump > 0 {
            let next = at + jump;
            if next < self.tree.len() && self.tree[next] <= left {
                left -= self.tree[next];
                at = next;
            }
            jump /= 2;
        }
        self.sorted[at]
    }
}
