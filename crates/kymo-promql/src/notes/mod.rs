//! Notes: the warnings and infos of a query, in Prometheus' words, each once, with line and column of the query text.

mod text;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use kymo_model::format_float_g;
use kymo_promql_syntax::ast::Span;

use crate::plan::SharedPlan;

/// Collects while a query runs. Operators may note the same thing any number of times.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    seen: Mutex<Seen>,
    /// Parts of the query that stand in several places and are evaluated once: the first place, and where the others start.
    repeated: Vec<(Span, Vec<u32>)>,
}

#[derive(Debug, Default)]
struct Seen {
    notes: BTreeMap<Note, Merged>,
    /// By place and step the note of the highest rank, where an operator tells of only one.
    ranked: BTreeMap<(u32, u32, usize), (usize, Note)>,
}

/// Things to tell the reader. Equal notes are one, wherever they are from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    /// From the store; has no place.
    Store(String),
    /// A quantile outside of 0 to 1.
    InvalidQuantile(Shown),
    /// A ratio outside of -1 to 1, and what it is taken for.
    InvalidRatio(Shown, Shown),
    /// `le` does not parse: metric name and what it holds.
    BadBucketLabel(String, String),
    /// Floats and histograms in one range of this metric.
    MixedRange(String),
    /// Floats and histograms in one group.
    MixedGroup,
    /// Classic and native histograms of this metric at one time.
    ClassicAndNative(String),
    /// A function of counters met gauge histograms.
    NotCounter(String),
    /// A function of gauges met counter histograms.
    NotGauge(String),
    /// Exponential and custom buckets met.
    MixedBuckets(String),
    /// The same in a binary operator.
    MixedBucketsIn(&'static str),
    /// Hints of a reset and of none met.
    ResetsCollide(&'static str),
    /// A start timestamp lies before the sample that precedes its own.
    StartOverlap(String),
    /// `sort` in a range query.
    SortInRangeQuery,
    /// `rate` of something whose name does not look like a counter's.
    PossibleNonCounter(String),
    /// `rate` of something whose `__type__` is not a counter's: the type and the metric.
    PossibleNonCounterType(String, String),
    /// Buckets of a classic histogram had to be repaired.
    ForcedMonotonicity(String),
    /// The types around a binary operator do not go together: left side, operator, right side.
    IncompatibleTypes(&'static str, &'static str, &'static str),
    /// An aggregation left histograms out.
    IgnoredInAggregation(&'static str),
    /// A range function left histograms out.
    IgnoredInRange(String),
    /// A quantile is NaN because observations are.
    QuantileIsNan(String),
    /// A quantile is too high because observations are NaN.
    QuantileIsSkewed(String),
    /// A fraction leaves out observations that are NaN.
    FractionOfNans(String),
    /// Different custom bounds met; those shared were used.
    BoundsReconciled(&'static str),
}

/// A float as it is shown, so that notes can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown(String);

impl From<f64> for Shown {
    fn from(value: f64) -> Shown {
        Shown(format_float_g(value))
    }
}

/// What repeated notes add up to.
#[derive(Clone, Debug)]
struct Merged {
    /// Place, and what had been evaluated by then.
    first: (Span, Span),
    last: (Span, Span),
    /// How often, by place and series.
    counts: BTreeMap<(u32, u32, usize), u64>,
    repairs: Repairs,
}

/// What is known of repeated repairs.
#[derive(Clone, Debug, Default)]
struct Repairs {
    all: Option<Repair>,
    /// By place: how many steps the evaluation there has, and what was repaired at which.
    steps: BTreeMap<(u32, u32), (usize, RepairedBySteps)>,
}

/// What of a step was repaired: the histogram, and the quantile that it was repaired for.
pub(crate) type Repaired = (usize, usize);

type RepairedBySteps = BTreeMap<usize, BTreeSet<Repaired>>;

/// Which buckets were repaired, by how much, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repair {
    pub(crate) bucket_min: f64,
    pub(crate) bucket_max: f64,
    pub(crate) diff_max: f64,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

impl Repair {
    fn merge(self, other: Repair) -> Repair {
        Repair {
            bucket_min: self.bucket_min.min(other.bucket_min),
            bucket_max: self.bucket_max.max(other.bucket_max),
            diff_max: self.diff_max.max(other.diff_max),
            from_ms: self.from_ms.min(other.from_ms),
            to_ms: self.to_ms.max(other.to_ms),
        }
    }
}

impl Repairs {
    /// How many samples upstream says were repaired. From step to step it merges what it has so far with itself, so that
    /// later steps double the number, in 64 bits.
    fn samples(&self) -> i64 {
        let at_place = |(steps, counts): &(usize, RepairedBySteps)| {
            let first = counts.keys().next().copied().unwrap_or(0);
            let count = |step: usize| counts.get(&step).map_or(0, |repaired| repaired.len() as u64);
            // 64 doublings leave nothing of what was before.
            let from = first.max(steps.saturating_sub(65));
            let start = if from == first { count(first) } else { 0 };
            (from + 1..*steps).fold(start, |sum, step| sum.wrapping_add(count(step)).wrapping_mul(2))
        };
        self.steps.values().map(at_place).fold(0, u64::wrapping_add) as i64
    }
}

impl Notes {
    /// Where parts of a query are evaluated once for several places, what is noted at one place holds for all.
    pub(crate) fn of(shared: &[SharedPlan]) -> Notes {
        let repeated = shared.iter().filter(|shared| !shared.others.is_empty());
        let repeated = repeated.map(|shared| (shared.span, shared.others.clone())).collect();
        Notes { seen: Mutex::default(), repeated }
    }

    /// The places of a note: the one given, and the same one in parts that are written alike.
    fn places(&self, span: Span) -> Vec<Span> {
        let mut places = vec![span];
        if span == Span::default() {
            return places;
        }
        for (first, others) in &self.repeated {
            // A part may stand in a part.
            for at in 0..places.len() {
                let place = places[at];
                if place.start >= first.start && place.end <= first.end {
                    places.extend(others.iter().map(|start| Span {
                        start: place.start - first.start + start,
                        end: place.end - first.start + start,
                    }));
                }
            }
        }
        places
    }

    pub(crate) fn add(&self, note: Note, span: Span) {
        self.add_after(note, span, span);
    }

    /// What is noted at a place only after all of `part`, which stands there, was evaluated.
    pub(crate) fn add_after(&self, note: Note, span: Span, part: Span) {
        let mut seen = self.lock();
        let (before, after) = (span.start.saturating_sub(part.start), part.end.saturating_sub(span.end));
        for span in self.places(span) {
            let part = Span { start: span.start.saturating_sub(before), end: span.end.saturating_add(after) };
            seen.merge_after(note.clone(), span, part);
        }
    }

    /// What a function notes of its argument; of one without a place, after all of the call.
    pub(crate) fn add_of_argument(&self, note: Note, span: Span, call: Span) {
        self.add_after(note, span, if span == Span::default() { call } else { span });
    }

    /// The same thing several times in one series. What is said of a series again replaces what was said: its row may be
    /// computed more than once.
    pub(crate) fn counted(&self, note: Note, span: Span, series: usize, times: u64) {
        let mut seen = self.lock();
        for span in self.places(span) {
            seen.merge(note.clone(), span).counts.insert((span.start, span.end, series), times);
        }
    }

    /// Of the notes with the same place and step only the one with the highest rank will be told.
    pub(crate) fn add_ranked(&self, note: Note, span: Span, step: usize, rank: usize) {
        let mut seen = self.lock();
        for span in self.places(span) {
            let at = (span.start, span.end, step);
            let known = seen.ranked.entry(at).or_insert_with(|| (rank, note.clone()));
            if known.0 <= rank {
                *known = (rank, note.clone());
            }
        }
    }

    /// Buckets were repaired at a step of an evaluation with so many steps.
    pub(crate) fn repaired(
        &self,
        metric: &str,
        span: Span,
        (step, steps): (usize, usize),
        repaired: Repaired,
        repair: Repair,
    ) {
        let mut seen = self.lock();
        for span in self.places(span) {
            let repairs = &mut seen.merge(Note::ForcedMonotonicity(metric.to_owned()), span).repairs;
            repairs.all = Some(repairs.all.map_or(repair, |known| known.merge(repair)));
            let (known_steps, counts) = repairs.steps.entry((span.start, span.end)).or_default();
            *known_steps = steps;
            counts.entry(step).or_default().insert(repaired);
        }
    }

    /// Forgets what the evaluation noted, as it runs again.
    pub(crate) fn begin_again(&self) {
        let mut seen = self.lock();
        seen.ranked.clear();
        seen.notes.retain(|note, _| matches!(note, Note::Store(_)));
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Warnings and infos as text. Without a query text, the place is a column of line 1.
    pub(crate) fn texts(&self, query: Option<&str>) -> (Vec<String>, Vec<String>) {
        let mut seen = self.lock();
        for ((start, end, _), (_, note)) in std::mem::take(&mut seen.ranked) {
            seen.merge(note, Span { start, end });
        }
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for (note, merged) in &seen.notes {
            let text = note.text(merged);
            let (place, _) = if note.is_counted() { merged.first } else { merged.last };
            let (line, column) = position(query, place.start as usize);
            match note {
                Note::Store(_) => warnings.push(text),
                _ if note.is_info() => infos.push(format!("PromQL info: {text} ({line}:{column})")),
                _ => warnings.push(format!("PromQL warning: {text} ({line}:{column})")),
            }
        }
        (warnings, infos)
    }
}

impl Seen {
    /// Of equal notes upstream keeps the place of the one that it came to last, or first if it counts them. It evaluates
    /// operands from left to right and operators after them.
    fn merge(&mut self, note: Note, span: Span) -> &mut Merged {
        self.merge_after(note, span, span)
    }

    fn merge_after(&mut self, note: Note, span: Span, part: Span) -> &mut Merged {
        let order = |span: Span| (span.end, Reverse(span.start));
        let merged = self.notes.entry(note).or_insert_with(|| Merged {
            first: (span, part),
            last: (span, part),
            counts: BTreeMap::new(),
            repairs: Repairs::default(),
        });
        if order(part) < order(merged.first.1) {
            merged.first = (span, part);
        }
        if order(part) > order(merged.last.1) {
            merged.last = (span, part);
        }
        merged
    }
}

/// Line and column of a byte, both from 1; columns count bytes, as upstream's do.
pub(crate) fn position(query: Option<&str>, start: usize) -> (usize, usize) {
    let before = query.map(|text| &text.as_bytes()[..start.min(text.len())]).unwrap_or(&[]);
    match before.iter().rposition(|b| *b == b'\n') {
        Some(newline) => (before.iter().filter(|b| **b == b'\n').count() + 1, start - newline),
        None => (1, start + 1),
    }
}

/// Labels as Go's `labels.Labels` print: the name among the others.
pub(crate) fn label_list(labels: &kymo_model::Labels) -> String {
    let list = labels.iter().map(|label| match kymo_model::is_legacy_label_name(label.name) {
        true => format!("{}={}", label.name, quoted(label.value.as_bytes())),
        false => format!("{}={}", quoted(label.name.as_bytes()), quoted(label.value.as_bytes())),
    });
    format!("{{{}}}", list.collect::<Vec<_>>().join(", "))
}

/// A string as Go's `%q` prints it: bytes that are not UTF-8 as `\xff`.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_upstreams() {
        let notes = Notes::default();
        let at = |start| Span { start, end: start + 1 };
        notes.add(Note::InvalidQuantile(f64::NAN.into()), at(3));
        notes.add(Note::InvalidQuantile(f64::NAN.into()), at(3));
        notes.add(Note::PossibleNonCounter("foo".into()), at(9));
        let repair = |ms, min, max, diff| Repair {
            bucket_min: min,
            bucket_max: max,
            diff_max: diff,
            from_ms: ms,
            to_ms: ms,
        };
        notes.repaired("series_1", at(0), (0, 1), (1, 0), repair(1_735_084_800_000, 5.0, 50.0, 5.5));
        notes.repaired("series_1", at(0), (0, 1), (2, 0), repair(1_703_462_400_000, 10.0, 100.0, 10.0));
        notes.repaired("series_1", at(0), (0, 1), (3, 0), repair(1_733_011_200_000, 2.5, 75.0, 7.5));
        let (warnings, infos) = notes.texts(Some("ab\ncdefghijk"));
        assert_eq!(warnings, ["PromQL warning: quantile value should be between 0 and 1, got NaN (2:1)"]);
        assert_eq!(
            infos[0],
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"foo\" (2:7)"
        );
        assert_eq!(
            infos[1],
            "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"series_1\", from buckets 2.5 to 100, with a max diff of 10, over 3 samples from 2023-12-25T00:00:00Z to 2024-12-25T00:00:00Z (1:1)"
        );
    }

    #[test]
    fn equal_notes_are_one_at_the_last_place_unless_they_are_counted() {
        let notes = Notes::default();
        let at = |start, end| Span { start, end };
        for span in [at(5, 9), at(0, 3), at(2, 9)] {
            notes.add(Note::MixedGroup, span);
            notes.counted(Note::StartOverlap("m".into()), span, 0, 1);
            notes.counted(Note::StartOverlap("m".into()), span, 0, 1);
        }
        notes.add_ranked(Note::ResetsCollide("addition"), at(0, 9), 0, 1);
        notes.add_ranked(Note::MixedBucketsIn("+"), at(0, 9), 0, 2);
        let (warnings, _) = notes.texts(Some("0123456789"));
        assert_eq!(
            warnings,
            [
                "PromQL warning: encountered a mix of histograms and floats for aggregation (1:3)",
                "PromQL warning: incompatible bucket layout encountered for binary operator + (1:1)",
                "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric \"m\" \
                 (3 occurrences) (1:1)"
            ]
        );
    }

    #[test]
    fn repairs_are_counted_as_upstream_counts() {
        let check = |steps, counts: &[(usize, u64)], expected| {
            let all = |count: u64| (0..count as usize).map(|at| (at, 0)).collect();
            let counts = counts.iter().map(|(step, count)| (*step, all(*count)));
            let steps = BTreeMap::from([((0, 1), (steps, counts.collect()))]);
            assert_eq!(Repairs { all: None, steps }.samples(), expected);
        };
        check(1, &[(0, 3)], 3);
        check(2, &[(0, 1), (1, 1)], 4);
        check(3, &[(0, 1), (1, 1), (2, 1)], 10);
        check(3, &[(1, 1)], 2);
        check(3, &[(2, 5)], 5);
        check(100, &[(0, 1)], 0);
        check(100, &[(98, 1), (99, 1)], 4);
    }
}
