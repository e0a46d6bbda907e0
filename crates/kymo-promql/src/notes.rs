//! Notes: the warnings and infos of a query, in Prometheus' words, each once, with line and column of the query text.

use std::collections::BTreeMap;
use std::sync::Mutex;

use kymo_model::format_float_g;
use kymo_promql_syntax::ast::Span;

/// Collects while a query runs. Operators may note the same thing any number of times.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    seen: Mutex<BTreeMap<(Note, u32), Merged>>,
}

/// Things to tell the reader; equal notes at one place are one note.
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
    /// `rate` of something whose name does not look like a counter's.
    PossibleNonCounter(String),
    /// Buckets of a classic histogram had to be repaired.
    ForcedMonotonicity(String),
    /// `sort` in a range query.
    SortInRangeQuery,
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
#[derive(Clone, Copy, Debug, Default)]
struct Merged {
    repair: Option<Repair>,
    samples: usize,
}

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

impl Notes {
    pub(crate) fn add(&self, note: Note, span: Span) {
        self.record(note, span, None);
    }

    pub(crate) fn repaired(&self, metric: &str, span: Span, repair: Repair) {
        self.record(Note::ForcedMonotonicity(metric.to_owned()), span, Some(repair));
    }

    fn record(&self, note: Note, span: Span, repair: Option<Repair>) {
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let merged = seen.entry((note, span.start)).or_default();
        merged.samples += 1;
        merged.repair = match (merged.repair, repair) {
            (Some(a), Some(b)) => Some(a.merge(b)),
            (a, b) => a.or(b),
        };
    }

    /// Warnings and infos as text. Without a query text, the place is a column of line 1.
    pub(crate) fn texts(&self, query: Option<&str>) -> (Vec<String>, Vec<String>) {
        let seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for ((note, start), merged) in seen.iter() {
            let text = note.text(merged);
            let (line, column) = position(query, *start as usize);
            match note {
                Note::Store(_) => warnings.push(text),
                _ if note.is_info() => infos.push(format!("PromQL info: {text} ({line}:{column})")),
                _ => warnings.push(format!("PromQL warning: {text} ({line}:{column})")),
            }
        }
        warnings.dedup();
        infos.dedup();
        (warnings, infos)
    }
}

/// Line and column of a byte, both from 1; columns count bytes, as upstream's do.
fn position(query: Option<&str>, start: usize) -> (usize, usize) {
    let before = query.map(|text| &text.as_bytes()[..start.min(text.len())]).unwrap_or(&[]);
    match before.iter().rposition(|b| *b == b'\n') {
        Some(newline) => (before.iter().filter(|b| **b == b'\n').count() + 1, start - newline),
        None => (1, start + 1),
    }
}

impl Note {
    fn is_info(&self) -> bool {
        matches!(self, Note::PossibleNonCounter(_) | Note::ForcedMonotonicity(_))
    }

    fn text(&self, merged: &Merged) -> String {
        match self {
            Note::Store(text) => text.clone(),
            Note::InvalidQuantile(q) => format!("quantile value should be between 0 and 1, got {}", q.0),
            Note::InvalidRatio(ratio, to) => {
                format!("ratio value should be between -1 and 1, got {}, capping to {}", ratio.0, to.0)
            }
            Note::BadBucketLabel(metric, le) => format!(
                "bucket label \"le\" is missing or has a malformed value of {}{}",
                quoted(le.as_bytes()),
                for_metric(metric)
            ),
            Note::PossibleNonCounter(metric) => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quoted(metric.as_bytes())
            ),
            Note::ForcedMonotonicity(metric) => {
                let mut text = format!(
                    "input to histogram_quantile needed to be fixed for monotonicity (see \
                     https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
                    for_metric(metric)
                );
                if let Some(repair) = merged.repair {
                    text.push_str(&format!(
                        ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                        format_float_g(repair.bucket_min),
                        format_float_g(repair.bucket_max),
                        two_digits(repair.diff_max),
                        merged.samples,
                        rfc3339(repair.from_ms),
                        rfc3339(repair.to_ms)
                    ));
                }
                text
            }
            Note::SortInRangeQuery => {
                "sort is ineffective for range queries since results are always ordered by labels".to_owned()
            }
        }
    }
}

fn for_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", quoted(name.as_bytes())) }
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

/// Go's `%.2g`.
fn two_digits(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_float_g(value);
    }
    let scientific = format!("{value:.1e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    if (-4..2).contains(&exponent) {
        let rounded: f64 = scientific.parse().unwrap_or(value);
        return kymo_model::format_float(rounded);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// Seconds only, UTC, as Go's `time.RFC3339`.
fn rfc3339(ms: i64) -> String {
    let civil = crate::date::Civil::from_unix(ms.div_euclid(1000));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
    )
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
        notes.repaired("series_1", at(0), repair(1_735_084_800_000, 5.0, 50.0, 5.5));
        notes.repaired("series_1", at(0), repair(1_703_462_400_000, 10.0, 100.0, 10.0));
        notes.repaired("series_1", at(0), repair(1_733_011_200_000, 2.5, 75.0, 7.5));
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
    fn go_formats() {
        for (value, text) in [
            (10.0, "10"),
            (5.5, "5.5"),
            (0.014, "0.014"),
            (123.0, "1.2e+02"),
            (1e-5, "1e-05"),
            (99.9, "1e+02"),
        ] {
            assert_eq!(two_digits(value), text);
        }
        assert_eq!(quoted(b"a\xc5z\n\""), r#""a\xc5z\n\"""#);
    }
}
