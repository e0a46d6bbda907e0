//! `stddev_over_time`, `stdvar_over_time`: Welford's variance with compensated sums; joined by Chan's rule when sliding.

use super::Call;
use super::stacks::{Summary, summaries};
use super::sum::Sum;
use crate::QueryError;
use crate::row::Row;
use crate::vector::Pulse;

#[derive(Clone, Copy)]
struct Moments {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Moments {
    fn variance(&self) -> f64 {
        (self.squares.sum + self.squares.rest) / self.count
    }
}

impl Summary for Moments {
    const EMPTY: Moments = Moments { count: 0.0, mean: Sum::EMPTY, squares: Sum::EMPTY };

    fn with(self, _: i64, value: f64) -> Moments {
        let count = self.count + 1.0;
        let delta = value - (self.mean.sum + self.mean.rest);
        let mean = self.mean.add(delta / count);
        let squares = self.squares.add(delta * (value - (mean.sum + mean.rest)));
        Moments { count, mean, squares }
    }

    fn join(self, later: Moments) -> Moments {
        if self.count == 0.0 {
            return later;
        }
        if later.count == 0.0 {
            return self;
        }
        let count = self.count + later.count;
        let delta = (later.mean.sum + later.mean.rest) - (self.mean.sum + self.mean.rest);
        let mean = self.mean.add(delta * (later.count / count));
        let mut squares = self.squares.add(later.squares.sum);
        squares.rest += later.squares.rest;
        squares = squares.add(delta * delta * (self.count * later.count / count));
        Moments { count, mean, squares }
    }
}

pub(super) fn variance(
    call: &Call<'_>,
    finish: impl Fn(f64) -> f64,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    let values = call.samples.values;
    if !call.scan_is_cheap() {
        return summaries(call, pulse, |step, m: Moments, _| out.set(step, finish(m.variance())));
    }
    for (step, window) in call.each() {
        pulse.tick(window.len())?;
        let moments = values[window.indices()].iter().fold(Moments::EMPTY, |m, v| m.with(0, *v));
        out.set(step, finish(moments.variance()));
    }
    Ok(())
}
