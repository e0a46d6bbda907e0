//! `deriv` and `predict_linear`: least squares. `deriv` looks from the first sample, `predict_linear` from the evaluation.

use super::count::up_to_each;
use super::stacks::{Summary, summaries};
use super::sum::Sum;
use super::{Call, Work};
use crate::QueryError;
use crate::row::Row;
use crate::vector::Pulse;

/// Slope per second, and value at the origin.
struct Line {
    slope: f64,
    intercept: f64,
}

impl Line {
    /// Of a constant series, which needs no arithmetic.
    fn constant(value: f64) -> Line {
        if value.is_infinite() {
            return Line { slope: f64::NAN, intercept: f64::NAN };
        }
        Line { slope: 0.0, intercept: value }
    }

    /// Through the samples, seen from `origin`, in upstream's order of operations.
    fn through(times: &[i64], values: &[f64], origin: i64) -> Line {
        if values.iter().all(|v| *v == values[0]) {
            return Line::constant(values[0]);
        }
        let n = values.len() as f64;
        let (mut x_sum, mut y_sum) = (Sum::default(), Sum::default());
        let (mut xy_sum, mut xx_sum) = (Sum::default(), Sum::default());
        for (t, y) in times.iter().zip(values) {
            let x = t.saturating_sub(origin) as f64 / 1e3;
            x_sum = x_sum.add(x);
            y_sum = y_sum.add(*y);
            xy_sum = xy_sum.add(x * y);
            xx_sum = xx_sum.add(x * x);
        }
        let plain = |sum: Sum| sum.sum + sum.rest;
        let (x, y, xy, xx) = (plain(x_sum), plain(y_sum), plain(xy_sum), plain(xx_sum));
        let covariance = xy - x * y / n;
        let variance = xx - x * x / n;
        let slope = covariance / variance;
        Line { slope, intercept: y / n - slope * x / n }
    }
}

/// Sums about the means, so that joining does not lose digits.
#[derive(Clone, Copy)]
struct Scatter {
    count: f64,
    /// Mean time in milliseconds from the origin of the summaries.
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Summary for Scatter {
    const EMPTY: Scatter = Scatter { count: 0.0, x: 0.0, y: 0.0, xx: 0.0, xy: 0.0 };

    fn with(self, time_ms: i64, value: f64) -> Scatter {
        self.join(Scatter { count: 1.0, x: time_ms as f64, y: value, xx: 0.0, xy: 0.0 })
    }

    fn join(self, later: Scatter) -> Scatter {
        if self.count == 0.0 {
            return later;
        }
        if later.count == 0.0 {
            return self;
        }
        let count = self.count + later.count;
        let (dx, dy) = (later.x - self.x, later.y - self.y);
        let weight = self.count * later.count / count;
        Scatter {
            count,
            x: self.x + dx * (later.count / count),
            y: self.y + dy * (later.count / count),
            xx: self.xx + later.xx + dx * dx * weight,
            xy: self.xy + later.xy + dx * dy * weight,
        }
    }
}

/// Slopes per second of windows with two samples or more.
pub(super) fn deriv(
    call: &Call<'_>,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    lines(call, work, pulse, |times, _| times[0], |step, line| out.set(step, line.slope))
}

/// The line of each window, followed for as many seconds as the parameter says.
pub(super) fn predict(
    call: &Call<'_>,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    let ahead = &call.params[0];
    lines(
        call,
        work,
        pulse,
        |_, step| call.grid.time(step),
        |step, line| out.set(step, line.slope * ahead.at(step) + line.intercept),
    )
}

/// Windows of so few samples are computed as they are: as fast, and with the digits that upstream loses where they lie close
/// together and far from the origin.
const FEW: usize = 16;

fn lines(
    call: &Call<'_>,
    work: &mut Work,
    pulse: &mut Pulse,
    origin: impl Fn(&[i64], usize) -> i64,
    mut found: impl FnMut(usize, Line),
) -> Result<(), QueryError> {
    let (times, values) = (call.samples.times, call.samples.values);
    // An infinity leaves no covariance, which only the sums of its own window show.
    if call.scan_is_cheap() || values.iter().any(|v| v.is_infinite()) {
        for (step, window) in call.each().filter(|(_, w)| w.len() >= 2) {
            pulse.tick(window.len())?;
            let (times, values) = (&times[window.indices()], &values[window.indices()]);
            found(step, Line::through(times, values, origin(times, step)));
        }
        return Ok(());
    }
    up_to_each(values.len(), &mut work.counts, |at| values[at - 1] != values[at]);
    let changes = &work.counts;
    summaries(call, pulse, |step, scatter: Scatter, from| {
        let window = call.windows[step];
        if window.len() < 2 {
            return;
        }
        let (first, last) = (window.lo as usize, window.hi as usize - 1);
        let line = if changes[last] == changes[first] {
            Line::constant(values[first])
        } else if window.len() <= FEW {
            let (times, values) = (&times[window.indices()], &values[window.indices()]);
            Line::through(times, values, origin(times, step))
        } else {
            let slope = scatter.xy / scatter.xx * 1e3;
            let seen_from = origin(&times[window.indices()], step).saturating_sub(from);
            let from_mean = (seen_from as f64 - scatter.x) / 1e3;
            Line { slope, intercept: scatter.y + slope * from_mean }
        };
        found(step, line);
    })
}
