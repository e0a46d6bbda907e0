//! Range functions over series that have native histograms, alone or among floats. Beside the kernels, which see floats only.
//!
//! Some functions need windows of one kind, some leave histograms out of mixed windows, some look at samples of both kinds in
//! their order. The floats of a window go to the kernels in any case.

use std::sync::Arc;

use kymo_model::FloatHistogram;
use kymo_promql_syntax::ast::{Edges, Span};

use crate::QueryError;
use crate::columns::Natives;
use crate::context::Context;
use crate::kernel::{self, RangeFunction, Window};
use crate::native::{self, Findings};
use crate::notes::Note;
use crate::row::{Point, Row};
use crate::vector::{Pulse, Scratch};

/// One series under a range function.
pub(super) struct NativeRange<'a> {
    pub(super) context: &'a Context,
    pub(super) function: RangeFunction,
    /// The call as it is for the floats of the series.
    pub(super) floats: kernel::Call<'a>,
    pub(super) natives: Natives<'a>,
    /// As many as there are windows of floats.
    pub(super) native_windows: &'a [Window],
    /// The metric and the place that notes name, and the place of the call.
    pub(super) metric: &'a str,
    pub(super) span: Span,
    pub(super) call: Span,
}

/// How a function deals with the two kinds.
enum Treatment {
    /// A window of both gives nothing and a warning.
    OneKind,
    /// Histograms are left out; a window of both gives an info.
    FloatsOnly,
    /// All samples of a window in their order.
    Together,
}

fn treatment(function: RangeFunction) -> Treatment {
    use RangeFunction::*;
    match function {
        Rate | Increase | Delta | Sum | Avg => Treatment::OneKind,
        First | Last | TsOfFirst | TsOfLast | Count | Present | Irate | Idelta | Changes | Resets => {
            Treatment::Together
        }
        Deriv
        | DoubleExponentialSmoothing
        | Mad
        | Max
        | Min
        | PredictLinear
        | Quantile
        | Stddev
        | Stdvar
        | TsOfMax
        | TsOfMin => Treatment::FloatsOnly,
    }
}

impl NativeRange<'_> {
    pub(super) fn run(
        &self,
        work: &mut kernel::Work,
        pulse: &mut Pulse,
        out: &mut Row,
    ) -> Result<(), QueryError> {
        match treatment(self.function) {
            Treatment::OneKind => self.one_kind(work, pulse, out),
            Treatment::FloatsOnly => {
                kernel::run(self.function, &self.floats, work, pulse, out)?;
                if self.function == RangeFunction::DoubleExponentialSmoothing {
                    // Wrong weights are an error wherever there are samples.
                    let mut steps = self.both().filter(|(_, _, natives)| !natives.is_empty());
                    steps.try_for_each(|(step, ..)| kernel::weights(&self.floats, step).map(drop))?;
                }
                if self.both().any(|(_, floats, natives)| !floats.is_empty() && !natives.is_empty()) {
                    self.note(Note::IgnoredInRange(self.metric.to_owned()));
                }
                Ok(())
            }
            Treatment::Together => self.together(work, pulse, out),
        }
    }

    fn note(&self, note: Note) {
        self.context.notes.add_of_argument(note, self.span, self.call);
    }

    fn note_findings(&self, findings: Findings) {
        // Overlaps are counted and noted by the caller.
        let others = findings.iter().filter(|finding| *finding != native::Finding::StartOverlap);
        others.for_each(|finding| self.note(Note::of_finding(finding, self.metric)));
    }

    /// Steps with their windows of floats and of histograms.
    fn both(&self) -> impl Iterator<Item = (usize, Window, Window)> + '_ {
        let windows = self.floats.windows.iter().zip(self.native_windows).enumerate();
        windows.map(|(step, (floats, natives))| (step, *floats, *natives))
    }

    fn one_kind(&self, work: &mut kernel::Work, pulse: &mut Pulse, out: &mut Row) -> Result<(), QueryError> {
        let mut mixed = false;
        let of_floats = self.both().map(|(_, floats, natives)| {
            mixed |= !floats.is_empty() && !natives.is_empty();
            if natives.is_empty() { floats } else { Window { lo: floats.hi, ..floats } }
        });
        let windows: Vec<Window> = of_floats.collect();
        if mixed {
            self.note(Note::MixedRange(self.metric.to_owned()));
        }
        if !out.histograms.is_empty() {
            work.spare.clear();
            out.histograms.give_up(&mut work.spare);
        }
        let of_floats = kernel::Call { windows: &windows, known: None, ..self.floats };
        kernel::run(self.function, &of_floats, work, pulse, out)?;
        let mut found = Findings::default();
        let ends = self.floats.ends.times();
        let resets = self.resets(pulse)?;
        let mut extension = native::Extension::default();
        for ((step, floats, natives), end_ms) in self.both().zip(ends) {
            if !floats.is_empty() || natives.is_empty() {
                continue;
            }
            pulse.tick(natives.len() * 16)?;
            let mut result = work.spare.pop().unwrap_or_default();
            // Spare ones have no other owner, or else a copy is changed.
            let (any, findings) = self.of_window(
                natives,
                end_ms,
                (resets.as_ref(), &mut extension),
                Arc::make_mut(&mut result),
            );
            work.start_overlaps += u64::from(findings.has(native::Finding::StartOverlap));
            found.merge(findings);
            if any {
                out.set_histogram(step, result);
            }
        }
        self.note_findings(found);
        Ok(())
    }

    fn samples(&self, range: std::ops::Range<usize>) -> native::Window<'_, Arc<FloatHistogram>> {
        native::Window {
            times: &self.natives.times[range.clone()],
            histograms: &self.natives.values[range.clone()],
            starts: self.natives.starts.get(range).unwrap_or(&[]),
        }
    }

    /// Where the series starts anew, if windows of a rate overlap so much that it pays to look once.
    fn resets(&self, pulse: &mut Pulse) -> Result<Option<native::Resets>, QueryError> {
        let rated = matches!(self.function, RangeFunction::Rate | RangeFunction::Increase);
        let looked_at: usize = self.native_windows.iter().map(|window| window.len()).sum();
        let all = self.natives.times.len();
        if !rated || self.floats.edges != Edges::Inside || looked_at < 2 * all {
            return Ok(None);
        }
        pulse.tick(all * 16)?;
        Ok(Some(native::Resets::of(self.samples(0..all))))
    }

    /// A function of histograms alone, into `result`, if it has one.
    fn of_window(
        &self,
        window: Window,
        end_ms: i64,
        (resets, extension): (Option<&native::Resets>, &mut native::Extension),
        result: &mut FloatHistogram,
    ) -> (bool, Findings) {
        let samples = self.samples(window.indices());
        let range_ms = self.floats.range_ms;
        let range = native::Range { start_ms: end_ms.saturating_sub(range_ms), end_ms, range_ms };
        let kind = match self.function {
            RangeFunction::Rate => native::Kind::Rate,
            RangeFunction::Increase => native::Kind::Increase,
            RangeFunction::Delta => native::Kind::Delta,
            RangeFunction::Avg => {
                let (of, add, finish) = (native::Mean::of, native::Mean::add, native::Mean::finish);
                return put(totalled(samples.histograms, of, add, finish), result);
            }
            _ => {
                let (of, add, finish) = (native::Sum::of, native::Sum::add, native::Sum::finish);
                return put(totalled(samples.histograms, of, add, finish), result);
            }
        };
        match self.floats.edges {
            Edges::Inside => {
                let known = resets.map(|known| (known, window.lo as usize));
                native::rate(samples, kind, range, known, extension, result)
            }
            edges => put(native::extended(samples, kind, range, edges == Edges::Smoothed), result),
        }
    }

    fn together(&self, work: &mut kernel::Work, pulse: &mut Pulse, out: &mut Row) -> Result<(), QueryError> {
        kernel::run(self.function, &self.floats, work, pulse, out)?;
        let counts = match self.function {
            RangeFunction::Changes => self.pairs_up_to_each(is_change),
            RangeFunction::Resets => self.pairs_up_to_each(is_reset),
            _ => Vec::new(),
        };
        let mut found = Findings::default();
        for (step, floats, natives) in self.both().filter(|(_, _, natives)| !natives.is_empty()) {
            match self.function {
                RangeFunction::Count => out.set(step, (floats.len() + natives.len()) as f64),
                RangeFunction::Present => out.set(step, 1.0),
                RangeFunction::Changes | RangeFunction::Resets => {
                    // Windows are ranges of time, so they are ranges of all samples in their order, too.
                    let (first, end) = (floats.lo + natives.lo, floats.hi + natives.hi);
                    out.set(step, f64::from(counts[end as usize - 1] - counts[first as usize]));
                }
                RangeFunction::Irate | RangeFunction::Idelta => {
                    pulse.tick(32)?;
                    self.last_two(step, floats, natives, &mut found, out);
                }
                RangeFunction::First | RangeFunction::TsOfFirst => {
                    let native = natives.lo as usize;
                    let before = |at: usize| self.floats.samples.times[at] < self.natives.times[native];
                    self.edge(
                        step,
                        (floats.lo as usize, native),
                        floats.is_empty() || !before(floats.lo as usize),
                        out,
                    );
                }
                _ => {
                    let native = natives.hi as usize - 1;
                    let after = |at: usize| self.floats.samples.times[at] > self.natives.times[native];
                    let last = (floats.hi as usize).wrapping_sub(1);
                    self.edge(step, (last, native), floats.is_empty() || !after(last), out);
                }
            }
        }
        self.note_findings(found);
        Ok(())
    }

    /// The first or last sample of a window, or its time: which one of each kind it could be, and which kind it is.
    fn edge(&self, step: usize, (float, native): (usize, usize), is_native: bool, out: &mut Row) {
        let value = matches!(self.function, RangeFunction::First | RangeFunction::Last);
        match (value, is_native) {
            (true, true) => out.set_histogram(step, self.natives.values[native].clone()),
            (true, false) => out.set(step, self.floats.samples.values[float]),
            (false, true) => out.set(step, self.natives.times[native] as f64 / 1000.0),
            (false, false) => out.set(step, self.floats.samples.times[float] as f64 / 1000.0),
        }
    }

    /// `irate`, `idelta` of a window with histograms.
    fn last_two(&self, step: usize, floats: Window, natives: Window, found: &mut Findings, out: &mut Row) {
        let last_of =
            |window: Window| window.hi.saturating_sub(2).max(window.lo) as usize..window.hi as usize;
        let mut last: Vec<(i64, bool)> = last_of(floats)
            .map(|at| (self.floats.samples.times[at], false))
            .chain(last_of(natives).map(|at| (self.natives.times[at], true)))
            .collect();
        last.sort_unstable();
        let [.., (_, before), (_, after)] = last[..] else {
            out.valid.clear(step);
            return;
        };
        if !before && !after {
            // Two floats: the kernel's value stands.
            return;
        }
        out.valid.clear(step);
        if before != after {
            self.note(Note::MixedRange(self.metric.to_owned()));
            return;
        }
        let two = natives.hi as usize - 2..natives.hi as usize;
        let window = self.samples(two);
        let (value, findings) = native::instant(window, self.function == RangeFunction::Irate);
        found.merge(findings);
        if let Some(value) = value {
            out.set_histogram(step, Arc::new(value));
        }
    }

    /// For all samples in their order, how many pairs of neighbours up to each one `counts` accepts.
    fn pairs_up_to_each(&self, counts: fn(&Sample<'_>, &Sample<'_>) -> bool) -> Vec<u32> {
        let (floats, natives) = (self.floats.samples, self.natives);
        let mut up_to_each = Vec::with_capacity(floats.times.len() + natives.times.len());
        let (mut float, mut native, mut so_far) = (0, 0, 0);
        let mut before: Option<Sample<'_>> = None;
        while float < floats.times.len() || native < natives.times.len() {
            let is_native = float == floats.times.len()
                || (native < natives.times.len() && natives.times[native] < floats.times[float]);
            let (times, starts, at) = match is_native {
                true => (natives.times, natives.starts, native),
                false => (floats.times, floats.starts, float),
            };
            let point = match is_native {
                true => Point::Histogram(&natives.values[at]),
                false => Point::Float(floats.values[at]),
            };
            native += usize::from(is_native);
            float += usize::from(!is_native);
            let sample = Sample { time: times[at], start: starts.get(at).copied().unwrap_or(0), point };
            so_far += u32::from(before.is_some_and(|before| counts(&before, &sample)));
            up_to_each.push(so_far);
            before = Some(sample);
        }
        up_to_each
    }
}

/// Puts a value, if there is one, where it is wanted.
fn put(
    (value, findings): (Option<FloatHistogram>, Findings),
    result: &mut FloatHistogram,
) -> (bool, Findings) {
    (value.map(|value| *result = value).is_some(), findings)
}

/// A sample among others of either kind.
struct Sample<'a> {
    time: i64,
    /// When its counter began; 0 if that is unknown.
    start: i64,
    point: Point<'a>,
}

/// Another value; from NaN to NaN is none, from one kind to the other is one.
fn is_change(before: &Sample<'_>, after: &Sample<'_>) -> bool {
    match (before.point, after.point) {
        (Point::Float(a), Point::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Point::Histogram(a), Point::Histogram(b)) => !b.same_bits(a),
        _ => true,
    }
}

/// A counter that started anew; one that changes its kind did.
fn is_reset(before: &Sample<'_>, after: &Sample<'_>) -> bool {
    let started = || native::start::is_reset(before.start, before.time, after.start, after.time);
    match (before.point, after.point) {
        (Point::Float(a), Point::Float(b)) => b < a || started(),
        (Point::Histogram(a), Point::Histogram(b)) => started() || b.detect_reset(a),
        _ => true,
    }
}

/// A sum or mean of histograms; none, and a finding, if they do not go together.
fn totalled<T>(
    histograms: &[Arc<FloatHistogram>],
    of: impl Fn(&FloatHistogram) -> T,
    add: impl Fn(&mut T, &FloatHistogram) -> Result<(), kymo_model::IncompatibleHistograms>,
    finish: impl Fn(T) -> (FloatHistogram, Findings),
) -> (Option<FloatHistogram>, Findings) {
    let Some((first, rest)) = histograms.split_first() else { return (None, Findings::default()) };
    let mut total = of(first);
    for histogram in rest {
        if add(&mut total, histogram).is_err() {
            return (None, Findings::of(native::Finding::MixedBuckets));
        }
    }
    let (total, findings) = finish(total);
    (Some(total), findings)
}

/// How many samples each window has, histograms counted by their size.
pub(super) fn looked_at(scratch: &Scratch) -> Vec<usize> {
    let natives = scratch.columns.natives();
    let mut up_to_each = Vec::with_capacity(natives.values.len() + 1);
    let mut weight = 0;
    up_to_each.push(0);
    for histogram in natives.values {
        weight += histogram.sample_weight();
        up_to_each.push(weight);
    }
    let weights =
        scratch.native_windows.iter().map(|w| up_to_each[w.hi as usize] - up_to_each[w.lo as usize]);
    // As many windows of one kind as of the other.
    weights.zip(&scratch.windows).map(|(weight, floats)| weight + floats.len()).collect()
}
