//! Expectations: the lines below an `eval`. Results, annotations, failures.

use kymo_model::{Labels, Regex, Timestamp, parse_duration, parse_float};
use kymo_promql_syntax::series::SequenceValue;

use crate::script::{Lines, ScriptError, Scripted, When, range, series_line};

/// What a query must give.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    /// Series in the order of their lines.
    pub(crate) series: Vec<(Labels, Vec<SequenceValue>)>,
    pub(crate) scalar: Option<f64>,
    pub(crate) string: Option<Vec<u8>>,
    pub(crate) ordered: bool,
    /// `expect fail` and its legacy forms.
    pub(crate) fail: Option<Text>,
    pub(crate) warn: Annotations,
    pub(crate) info: Annotations,
    /// The times at which values of a matrix stand.
    pub(crate) times: Times,
    /// The result is no instant vector or scalar: not asked again as a range query.
    pub(crate) not_as_range: bool,
}

/// The time of each expected value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Times {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) step_ms: i64,
}

/// What is said about warnings, or about infos.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    /// Each must match one that was given, and each that was given one of these; none: not looked at.
    pub(crate) wanted: Vec<Text>,
    /// The legacy form: at least one, whatever it says.
    pub(crate) any: bool,
    /// There must be none.
    pub(crate) none: bool,
}

/// A text to be matched.
#[derive(Debug)]
pub(crate) enum Text {
    Any,
    Exactly(String),
    Pattern(Regex),
}

impl Text {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Exactly(wanted) => wanted == text,
            Text::Pattern(regex) => regex.is_match(text),
        }
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Text::Any => f.write_str("any text"),
            Text::Exactly(wanted) => write!(f, "message {wanted:?}"),
            Text::Pattern(regex) => write!(f, "pattern {:?}", regex.pattern()),
        }
    }
}

impl Expectations {
    /// What the word behind `eval_` alone asks for.
    pub(crate) fn of_mode(mode: &str, when: When) -> Expectations {
        let times = match when {
            When::Instant(at) => Times { start: at, end: at, step_ms: 0 },
            When::Range { start, end, step_ms } => Times { start, end, step_ms },
        };
        Expectations {
            ordered: mode == "ordered",
            fail: (mode == "fail").then_some(Text::Any),
            warn: Annotations { any: mode == "warn", ..Annotations::default() },
            info: Annotations { any: mode == "info", ..Annotations::default() },
            times,
            ..Expectations::default()
        }
    }
}

/// Reads the lines below an `eval` and says how many belong to it.
pub(crate) fn read_expect(expected: &mut Expectations, when: When, lines: &Lines<'_>) -> Scripted<usize> {
    let legacy_fail = expected.fail.is_some();
    let mut range_vector = false;
    for (index, &(line, text)) in lines.iter().enumerate() {
        if legacy_fail && let Some(message) = text.strip_prefix("expected_fail_message") {
            let message = message.trim();
            expected.fail =
                Some(if message.is_empty() { Text::Any } else { Text::Exactly(message.to_owned()) });
            return Ok(index + 1);
        }
        if legacy_fail && let Some(pattern) = text.strip_prefix("expected_fail_regexp") {
            expected.fail = Some(pattern_text(line, pattern)?);
            return Ok(index + 1);
        }
        if let Some(rest) = text.strip_prefix("expect range vector") {
            expected.times = range_vector_times(line, rest)?;
            expected.not_as_range = true;
            range_vector = true;
        } else if let Some(literal) = text.strip_prefix("expect string") {
            expected.string = Some(string_literal(line, literal.trim())?);
            expected.not_as_range = true;
        } else if text.split(' ').next() == Some("expect") {
            annotation(expected, line, text, legacy_fail)?;
        } else if let Some(value) = number(text) {
            expected.scalar = Some(value);
            return Ok(index + 1);
        } else {
            let (labels, values) = series_line(line, text)?;
            if values.len() > 1 && matches!(when, When::Instant(_)) && !range_vector {
                let message = "expected one value in instant evaluation, found several; \"expect range vector\" allows them";
                return Err(ScriptError::new(line, message));
            }
            if values.is_empty() {
                return Err(ScriptError::new(line, "expected a value after the labels, found end of line"));
            }
            expected.series.push((labels, values));
        }
    }
    Ok(lines.len())
}

/// A line that is nothing but a number says that the result is a scalar. Integers are written as in Go.
fn number(text: &str) -> Option<f64> {
    integer(text).or_else(|| parse_float(text).ok())
}

/// `12`, `-0x1f`, `0b11`, `0o17`, `017`, `1_000`.
fn integer(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (prefix, radix) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (2, 16),
        [b'0', b'b' | b'B', ..] => (2, 2),
        [b'0', b'o' | b'O', ..] => (2, 8),
        [b'0', _, ..] => (1, 8),
        _ => (0, 10),
    };
    let digits = &unsigned[prefix..];
    let separated = if prefix == 0 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if separated.is_empty() || separated.split('_').any(|part| !part.starts_with(|c: char| c.is_digit(radix)))
    {
        return None;
    }
    let value = i64::from_str_radix(&digits.replace('_', ""), radix).ok()? as f64;
    Some(if text.starts_with('-') { -value } else { value })
}

fn pattern_text(line: usize, pattern: &str) -> Scripted<Text> {
    let pattern = pattern.trim();
    Regex::unanchored(pattern)
        .map(Text::Pattern)
        .map_err(|e| ScriptError::new(line, format!("invalid regex {pattern:?}: {e}")))
}

/// ` from 10s to 1m step 10s`.
fn range_vector_times(line: usize, rest: &str) -> Scripted<Times> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ["from", from, "to", to, "step", step] = words[..] else {
        let message =
            format!("expected \"from <time> to <time> step <step>\" after range vector, found {rest:?}");
        return Err(ScriptError::new(line, message));
    };
    let time = |text: &str| {
        parse_duration(text).map_err(|e| ScriptError::new(line, format!("invalid time {text:?}: {e}")))
    };
    match range(line, time(from)?, time(to)?, time(step)?)? {
        When::Range { start, end, step_ms } => Ok(Times { start, end, step_ms }),
        When::Instant(at) => Ok(Times { start: at, end: at, step_ms: 0 }),
    }
}

fn string_literal(line: usize, literal: &str) -> Scripted<Vec<u8>> {
    use kymo_promql_syntax::ast::ExprKind;
    match kymo_promql_syntax::parse(literal).map(|expr| expr.kind) {
        Ok(ExprKind::String(bytes)) => Ok(bytes),
        _ => Err(ScriptError::new(
            line,
            format!("expected a quoted string after expect string, found {literal:?}"),
        )),
    }
}

/// `expect warn`, `expect fail msg: …`, `expect info regex: …`, `expect no_warn`, `expect ordered`.
fn annotation(expected: &mut Expectations, line: usize, text: &str, legacy_fail: bool) -> Scripted<()> {
    let rest = text.trim_start_matches("expect").trim_start();
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    let wanted = if rest.is_empty() {
        Text::Any
    } else if let Some(message) = rest.strip_prefix("msg:") {
        Text::Exactly(message.trim().to_owned())
    } else if let Some(pattern) = rest.strip_prefix("regex:") {
        pattern_text(line, pattern)?
    } else {
        return Err(ScriptError::new(line, format!("expected \"msg:\" or \"regex:\", found {rest:?}")));
    };
    match kind {
        "ordered" => expected.ordered = true,
        "fail" if legacy_fail || expected.fail.is_none() => expected.fail = Some(wanted),
        "fail" => {
            return Err(ScriptError::new(
                line,
                "invalid expect lines, multiple expect fail lines are not allowed",
            ));
        }
        "warn" => expected.warn.wanted.push(wanted),
        "no_warn" => expected.warn.none = true,
        "info" => expected.info.wanted.push(wanted),
        "no_info" => expected.info.none = true,
        _ => {
            let message = format!(
                "expected one of ordered, fail, warn, no_warn, info, no_info, string, range vector after expect, found {kind:?}"
            );
            return Err(ScriptError::new(line, message));
        }
    }
    for (word, annotations) in [("info", &expected.info), ("warn", &expected.warn)] {
        if annotations.none && !annotations.wanted.is_empty() {
            let message = format!("invalid expect lines, {word} and no_{word} cannot be used together");
            return Err(ScriptError::new(line, message));
        }
    }
    Ok(())
}
