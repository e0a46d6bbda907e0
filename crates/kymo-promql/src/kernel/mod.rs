//! Kernels: functions over sliding windows of one series, at a cost of samples plus steps.
//!
//! A kernel gets columns, one window of indices per step, and fills a row. Small or disjoint windows are simply scanned, in
//! upstream's order of operations, so that results agree to the bit; large overlapping ones use a structure that slides.

mod count;
mod edge;
mod extended;
mod extreme;
mod instant;
mod moment;
#[cfg(test)]
mod naive;
mod order;
mod rate;
mod regression;
mod smoothed;
mod smoothing;
mod stacks;
mod sum;
mod window;

use std::sync::Arc;

use kymo_model::{FloatHistogram, Gap};
use kymo_promql_syntax::ast::Edges;

use crate::QueryError;
use crate::columns::Floats;
use crate::grid::Grid;
use crate::row::Row;
use crate::scalar::Scalar;
use crate::vector::Pulse;
pub(crate) use extended::{extended_points, narrow_to_anchor};
pub(crate) use instant::{last_points, last_starts, last_times, last_times_of_both, last_values};
pub(crate) use order::quantile_of;
pub(crate) use smoothed::{smoothed_points, smoothed_values};
pub(crate) use smoothing::weights;
pub(crate) use sum::{Mean, Sum};
pub(crate) use window::{Known, Window, WindowsOf, slide};

/// Range functions over floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeFunction {
    Avg,
    Changes,
    Count,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    First,
    Idelta,
    Increase,
    Irate,
    Last,
    Mad,
    Max,
    Min,
    PredictLinear,
    Present,
    Quantile,
    Rate,
    Resets,
    Stddev,
    Stdvar,
    Sum,
    TsOfFirst,
    TsOfLast,
    TsOfMax,
    TsOfMin,
}

impl RangeFunction {
    /// Can it do without samples that all windows have, if they are counted? And then, may values go down among them?
    pub(crate) fn spares(self) -> Option<bool> {
        use RangeFunction::*;
        match self {
            Changes | Count | Delta | First | Last | Present | Resets | TsOfFirst | TsOfLast => Some(true),
            Increase | Rate => Some(false),
            _ => None,
        }
    }
}

/// Buffers of the kernels, reused from series to series.
#[derive(Debug, Default)]
pub(crate) struct Work {
    indices: Vec<u32>,
    floats: Vec<f64>,
    sorted: Vec<f64>,
    counts: Vec<u32>,
    deque: std::collections::VecDeque<u32>,
    /// Histograms that nobody looks at any more, whose memory those of the next row get.
    pub(crate) spare: Vec<Arc<FloatHistogram>>,
    runs: rate::Runs,
    /// In how many windows a kernel met a start timestamp before the sample that precedes its own. Whoever reads it clears it.
    pub(crate) start_overlaps: u64,
}

/// One call of a kernel: the windows and what is known about them.
pub(crate) struct Call<'a> {
    pub(crate) samples: Floats<'a>,
    /// Samples that were left out of those, by functions that [spare](RangeFunction::spares) them. Every window has the
    /// samples on both sides of each.
    pub(crate) gaps: &'a [Gap],
    /// How many those are.
    pub(crate) left_out: usize,
    pub(crate) windows: &'a [Window],
    pub(crate) known: Option<Known>,
    /// The end of each window.
    pub(crate) ends: Grid,
    pub(crate) range_ms: i64,
    /// Do windows reach beyond the range?
    pub(crate) edges: Edges,
    /// The time of evaluation of each step; differs from `ends` under `offset` and `@`.
    pub(crate) grid: Grid,
    pub(crate) params: &'a [Scalar],
}

impl Call<'_> {
    /// How many samples all windows together have.
    pub(crate) fn total(&self) -> usize {
        self.known.map_or_else(|| self.windows.iter().map(|w| w.len()).sum(), |known| known.total)
    }

    /// Is scanning every window about as cheap as one pass over the samples?
    fn scan_is_cheap(&self) -> bool {
        self.total() <= 4 * (self.samples.times.len() + self.windows.len())
    }

    /// The windows that are not empty, with their step.
    fn each(&self) -> impl Iterator<Item = (usize, Window)> + '_ {
        self.windows.iter().copied().enumerate().filter(|(_, w)| !w.is_empty())
    }
}

/// Runs a range function over one series.
pub(crate) fn run(
    function: RangeFunction,
    call: &Call<'_>,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    out.reset(call.windows.len());
    pulse.tick(call.samples.times.len())?;
    if call.edges != Edges::Inside
        && let Some(kind) = rate::Kind::of(function)
    {
        return extended::extended(call, kind, work, pulse, out);
    }
    match function {
        RangeFunction::Rate => rate::extrapolated(call, rate::Kind::Rate, work, pulse, out),
        RangeFunction::Increase => rate::extrapolated(call, rate::Kind::Increase, work, pulse, out),
        RangeFunction::Delta => rate::extrapolated(call, rate::Kind::Delta, work, pulse, out),
        RangeFunction::Irate => edge::last_two(call, true, out),
        RangeFunction::Idelta => edge::last_two(call, false, out),
        RangeFunction::Changes => count::changes(call, work, out),
        RangeFunction::Resets => count::resets(call, work, out),
        RangeFunction::Count => count::count(call, out),
        RangeFunction::Present => count::present(call, out),
        RangeFunction::First => edge::value(call, |w| w.lo, out),
        RangeFunction::Last => edge::value(call, |w| w.hi - 1, out),
        RangeFunction::TsOfFirst => edge::time(call, |w| w.lo, out),
        RangeFunction::TsOfLast => edge::time(call, |w| w.hi - 1, out),
        RangeFunction::Max => extreme::value(call, extreme::Kind::Max, work, out),
        RangeFunction::Min => extreme::value(call, extreme::Kind::Min, work, out),
        RangeFunction::TsOfMax => extreme::time(call, extreme::Kind::LastMax, work, out),
        RangeFunction::TsOfMin => extreme::time(call, extreme::Kind::LastMin, work, out),
        RangeFunction::Sum => sum::sum(call, pulse, out),
        RangeFunction::Avg => sum::avg(call, pulse, out),
        RangeFunction::Stddev => moment::variance(call, f64::sqrt, pulse, out),
        RangeFunction::Stdvar => moment::variance(call, |v| v, pulse, out),
        RangeFunction::Deriv => regression::deriv(call, work, pulse, out),
        RangeFunction::PredictLinear => regression::predict(call, work, pulse, out),
        RangeFunction::Quantile => order::quantile(call, work, pulse, out),
        RangeFunction::Mad => order::mad(call, work, pulse, out),
        RangeFunction::DoubleExponentialSmoothing => smoothing::smooth(call, pulse, out),
    }
}
