//! Scripts: text to commands. A blank line or a comment ends a command; one that cannot be read is a failure of its own
//! and the next one goes on.

use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, Timestamp, parse_duration};
use kymo_promql_syntax::series::{SequenceValue, parse_series_description};

use crate::answer::{LoadedSample, LoadedSeries, Value};
use crate::expect::{Expectations, read_expect};
use crate::start_times::{StartTimes, is_start_times};
use crate::{nhcb, start_times};

/// One command and the number of its first line, from 1.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) kind: CommandKind,
}

#[derive(Debug)]
pub(crate) enum CommandKind {
    Clear,
    Load(Vec<LoadedSeries>),
    Eval(Box<Eval>),
    /// Not a command: why.
    Unreadable(ScriptError),
}

/// A query and what it must give.
#[derive(Debug)]
pub(crate) struct Eval {
    pub(crate) query: String,
    pub(crate) when: When,
    pub(crate) expected: Expectations,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    Instant(Timestamp),
    Range { start: Timestamp, end: Timestamp, step_ms: i64 },
}

/// Why a line of a script cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct ScriptError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl ScriptError {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> ScriptError {
        ScriptError { line, message: message.into() }
    }
}

pub(crate) type Scripted<T> = Result<T, ScriptError>;

/// The lines of one command, comments and outer blanks removed, with their numbers.
pub(crate) type Lines<'t> = [(usize, &'t str)];

/// All commands of a script in order.
pub(crate) fn parse(text: &str) -> Vec<Command> {
    let lines = text.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l });
    let numbered: Vec<(usize, &str)> = lines.enumerate().map(|(at, line)| (at + 1, line)).collect();
    let mut commands = Vec::new();
    for block in numbered.split(|(_, line)| line.is_empty()) {
        let mut rest = block;
        while let Some((&(line, first), _)) = rest.split_first() {
            // `clear` is complete in its line; the other commands reach to the end of the block.
            let (kind, taken) = match first.split_whitespace().next().map(str::to_lowercase).as_deref() {
                Some("clear") => (Ok(CommandKind::Clear), 1),
                Some(word) if word.starts_with("load") => (load(rest).map(CommandKind::Load), rest.len()),
                Some(word) if word.starts_with("eval") => {
                    let (eval, taken) = eval(rest);
                    (eval.map(|eval| CommandKind::Eval(Box::new(eval))), taken)
                }
                _ => (Err(ScriptError::new(line, format!("invalid command {first:?}"))), rest.len()),
            };
            commands.push(Command { line, kind: kind.unwrap_or_else(CommandKind::Unreadable) });
            rest = &rest[taken..];
        }
    }
    commands
}

fn load(lines: &Lines<'_>) -> Scripted<Vec<LoadedSeries>> {
    let (line, head) = lines[0];
    let (word, step) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
    let with_nhcb = match word.to_lowercase().as_str() {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(ScriptError::new(line, "invalid load command, expected load[_with_nhcb] <step>")),
    };
    let step_ms = parse_duration(step.trim())
        .map_err(|e| ScriptError::new(line, format!("invalid step definition {step:?}: {e}")))?;
    let mut series: Vec<LoadedSeries> = Vec::new();
    let mut default_times: Option<StartTimes> = None;
    let mut times: Option<(usize, Labels, StartTimes)> = None;
    for &(line, text) in &lines[1..] {
        if is_start_times(text) {
            if let Some((line, ..)) = times {
                return Err(ScriptError::new(line, "@st line has no following sample line"));
            }
            match start_times::read(line, text)? {
                (None, found) => default_times = Some(found),
                (Some(labels), found) => times = Some((line, labels, found)),
            }
            continue;
        }
        let (labels, values) = series_line(line, text)?;
        let own_times = match times.take() {
            None => None,
            Some((line, wanted, _)) if wanted != labels => {
                return Err(ScriptError::new(
                    line,
                    format!("@st line is for {wanted}, but the sample line after it for {labels}"),
                ));
            }
            Some((line, _, found)) if found.len() != values.len() => {
                let message =
                    format!("@st line has {} values but sample line has {}", found.len(), values.len());
                return Err(ScriptError::new(line, message));
            }
            Some((_, _, found)) => Some(found),
        };
        let samples = samples(&values, step_ms, own_times.as_ref(), default_times.as_ref());
        // A series that is defined twice has the later definition.
        series.retain(|other| other.labels != labels);
        series.push(LoadedSeries { labels, samples });
    }
    if let Some((line, ..)) = times {
        return Err(ScriptError::new(line, "@st line has no following sample line"));
    }
    if with_nhcb {
        let converted = nhcb::convert(&series).map_err(|message| ScriptError::new(line, message))?;
        series.extend(converted);
    }
    Ok(series)
}

pub(crate) fn series_line(line: usize, text: &str) -> Scripted<(Labels, Vec<SequenceValue>)> {
    parse_series_description(text).map_err(|e| ScriptError::new(line, e.to_string()))
}

fn samples(
    values: &[SequenceValue],
    step_ms: i64,
    own: Option<&StartTimes>,
    default: Option<&StartTimes>,
) -> Vec<LoadedSample> {
    let mut samples = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let timestamp_ms = step_ms.saturating_mul(index as i64);
        let offset = match (own, default) {
            (Some(own), _) => own.at(index),
            (None, Some(default)) if !default.is_empty() => default.at(index % default.len()),
            _ => None,
        };
        if let Some(value) = loaded(value) {
            samples.push(LoadedSample {
                timestamp: Timestamp::from_millis(timestamp_ms),
                value,
                start_timestamp_ms: offset.map(|ms| timestamp_ms.saturating_add(ms)),
            });
        }
    }
    samples
}

pub(crate) fn loaded(value: &SequenceValue) -> Option<Value> {
    match value {
        SequenceValue::Omitted => None,
        SequenceValue::Float(value) => Some(Value::Float(*value)),
        SequenceValue::Histogram { histogram, .. } => {
            Some(Value::Histogram(Arc::<FloatHistogram>::clone(histogram)))
        }
    }
}

/// An `eval` and how many lines it takes: a bare number or a legacy failure line ends it early.
fn eval(lines: &Lines<'_>) -> (Scripted<Eval>, usize) {
    let (line, head) = lines[0];
    let (when, query, mode) = match eval_head(line, head) {
        Ok(found) => found,
        Err(e) => return (Err(e), lines.len()),
    };
    let mut expected = Expectations::of_mode(mode, when);
    match read_expect(&mut expected, when, &lines[1..]) {
        Ok(taken) => (Ok(Eval { query: query.to_owned(), when, expected }), 1 + taken),
        Err(e) => (Err(e), lines.len()),
    }
}

const EVAL_FORMS: &str = "expected eval[_fail|_warn|_info|_ordered] instant at <time> <query> or \
                          eval[_fail|_warn|_info] range from <time> to <time> step <step> <query>";

fn eval_head(line: usize, head: &str) -> Scripted<(When, &str, &str)> {
    let invalid = || ScriptError::new(line, format!("invalid evaluation command, {EVAL_FORMS}"));
    let mut rest = head;
    let mut word = || -> Option<&str> {
        let (word, tail) = rest.split_once(char::is_whitespace)?;
        rest = tail.trim_start();
        Some(word)
    };
    let command = word().ok_or_else(invalid)?;
    let mode = match command {
        "eval" => "",
        _ => command.strip_prefix("eval_").ok_or_else(invalid)?,
    };
    let time = |text: Option<&str>| {
        let text = text.ok_or_else(invalid)?;
        parse_duration(text).map_err(|e| {
            ScriptError::new(line, format!("invalid timestamp or step definition {text:?}: {e}"))
        })
    };
    let kind = word();
    let when = match kind {
        Some("instant") if word() == Some("at") => When::Instant(Timestamp::from_millis(time(word())?)),
        Some("range") if word() == Some("from") => {
            let start = time(word())?;
            let to = word() == Some("to");
            let end = time(word())?;
            let step = word() == Some("step");
            let step_ms = time(word())?;
            if !to || !step {
                return Err(invalid());
            }
            range(line, start, end, step_ms)?
        }
        _ => return Err(invalid()),
    };
    let known = match when {
        When::Instant(_) => ["", "fail", "warn", "info", "ordered"].contains(&mode),
        When::Range { .. } => ["", "fail", "warn", "info"].contains(&mode),
    };
    if !known || rest.is_empty() {
        return Err(invalid());
    }
    Ok((when, rest, mode))
}

/// A range from durations since the epoch.
pub(crate) fn range(line: usize, start_ms: i64, end_ms: i64, step_ms: i64) -> Scripted<When> {
    if end_ms < start_ms {
        return Err(ScriptError::new(
            line,
            "invalid test definition, end timestamp is before start timestamp",
        ));
    }
    let (start, end) = (Timestamp::from_millis(start_ms), Timestamp::from_millis(end_ms));
    Ok(When::Range { start, end, step_ms })
}
