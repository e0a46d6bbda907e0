//! Start times in `load`: `metric@st -30s-1mx2`, one offset from its sample's time for each value of the line after it.

use kymo_model::{Labels, parse_duration};
use kymo_promql_syntax::series::parse_labels;

use crate::script::{ScriptError, Scripted};

/// More offsets than this in one line are refused.
const OFFSETS_MAX: usize = 1_000_000;

/// Offsets in milliseconds, `None` where a sample has no start time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StartTimes(Vec<Option<i64>>);

impl StartTimes {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn at(&self, index: usize) -> Option<i64> {
        self.0.get(index).copied().flatten()
    }
}

/// Is this a line of start times? Its first word ends with `@st`.
pub(crate) fn is_start_times(text: &str) -> bool {
    text.split_once([' ', '\t']).is_some_and(|(word, _)| word.ends_with("@st"))
}

/// The labels, none for the form that gives the default, and the offsets.
pub(crate) fn read(line: usize, text: &str) -> Scripted<(Option<Labels>, StartTimes)> {
    let (word, items) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let metric = word.trim_end_matches("@st");
    let labels = match metric {
        "" => None,
        metric => Some(
            parse_labels(metric)
                .map_err(|e| ScriptError::new(line, format!("invalid @st line metric {metric:?}: {e}")))?,
        ),
    };
    let mut times = StartTimes::default();
    for item in items.split_whitespace() {
        let previous = times.0.iter().rev().find_map(|offset| *offset).unwrap_or(0);
        push_item(&mut times.0, item, previous)
            .map_err(|message| ScriptError::new(line, format!("invalid ST item {item:?}: {message}")))?;
    }
    Ok((labels, times))
}

/// `_`, `_x3`, `*`, `*x3`, `-1m`, `-1mx3`, `-30s-1mx3`.
fn push_item(times: &mut Vec<Option<i64>>, item: &str, previous: i64) -> Result<(), String> {
    if let Some(rest) = item.strip_prefix('_') {
        let count = if rest.is_empty() { 1 } else { repetitions(rest)? };
        times.extend(std::iter::repeat_n(None, count));
        return Ok(());
    }
    let (base, mut rest) = match item.strip_prefix('*') {
        Some(rest) => (previous, rest),
        None => offset(item)?,
    };
    let mut step = 0;
    if rest.starts_with(['+', '-']) {
        (step, rest) = offset(rest)?;
        if rest.is_empty() {
            return Err("expected x and a count after the step".to_owned());
        }
    }
    let more = if rest.is_empty() { 0 } else { repetitions(rest)? };
    let mut value = base;
    for _ in 0..=more {
        times.push(Some(value));
        value = value.saturating_add(step);
    }
    Ok(())
}

fn repetitions(text: &str) -> Result<usize, String> {
    let count = text.strip_prefix('x').and_then(|digits| digits.parse().ok());
    count
        .filter(|count| *count < OFFSETS_MAX)
        .ok_or_else(|| format!("expected x and a count below {OFFSETS_MAX}, found {text:?}"))
}

/// A duration with a sign at the front, in milliseconds, and what follows it.
fn offset(text: &str) -> Result<(i64, &str), String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let unit = unsigned[digits..].bytes().take_while(|b| b.is_ascii_alphabetic() && *b != b'x').count();
    let (duration, rest) = unsigned.split_at(digits + unit);
    let ms = parse_duration(duration).map_err(|e| e.to_string())?;
    Ok((if text.starts_with('-') { -ms } else { ms }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        for (text, wanted) in [
            ("m@st _ _x2 1s", vec![None, None, None, Some(1000)]),
            ("m@st -30s-1mx2", vec![Some(-30_000), Some(-90_000), Some(-150_000)]),
            ("m@st -0msx1 * *x1", vec![Some(0); 5]),
            ("m@st 5ms *x1", vec![Some(5); 3]),
        ] {
            let (labels, times) = read(1, text).unwrap();
            assert_eq!(labels, Some(Labels::from_pairs([("__name__", "m")])), "{text}");
            assert_eq!(times.0, wanted, "{text}");
        }
        for bad in ["m@st 1", "m@st 1s+1s", "m@st x3", "m@st 1sx", "m@st {} 1s"] {
            assert!(read(1, bad).is_err(), "{bad}");
        }
        assert!(is_start_times("m{a=\"b\"}@st 0") && !is_start_times("m@st") && !is_start_times("m 0 @st"));
    }
}
