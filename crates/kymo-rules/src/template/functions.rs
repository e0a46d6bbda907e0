//! The functions of templates: Go's own and those of Prometheus, with Go's messages where they fail.

use std::fmt;
use std::sync::Arc;

use kymo_model::{Regex, parse_duration, parse_float};

use super::exec::Exec;
use super::format::{padding_bytes, quote, sprint, sprintf, sprintln};
use super::humanize;
use super::limits::{ARGS_DEPTH_MAX, PATTERN_BYTES_MAX, PATTERN_STEPS};
use super::text;
use super::value::{Args, Value};

/// Why a call failed.
pub(super) enum CallError {
    /// Too many arguments or too few: the message as it is.
    Count(String),
    /// An argument of the wrong type, by its index: the message as it is.
    Type(usize, String),
    /// The function itself failed: `error calling NAME: …`.
    Failed(String),
    /// A limit of the expansion.
    Limit(String),
}

type Called = Result<Value, CallError>;

/// A function that templates can call.
#[derive(Clone, Copy)]
pub(super) struct Function(&'static Definition);

pub(super) struct Definition {
    name: &'static str,
    args_min: usize,
    /// `None` for any number.
    args_max: Option<usize>,
    call: fn(&mut Exec<'_>, &[Value]) -> Called,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Function> {
        FUNCTIONS.iter().find(|definition| definition.name == name).map(Function)
    }

    pub(super) fn name(self) -> &'static str {
        self.0.name
    }

    /// `and` and `or` stop at the argument that decides.
    pub(super) fn short_circuit(self) -> Option<bool> {
        match self.0.name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        }
    }

    pub(super) fn call(self, exec: &mut Exec<'_>, args: &[Value]) -> Called {
        let (min, max) = (self.0.args_min, self.0.args_max);
        if args.len() < min || max.is_some_and(|max| args.len() > max) {
            let want = if max.is_none() { format!("at least {min}") } else { max.unwrap_or(min).to_string() };
            let message = format!("wrong number of args for {}: want {want} got {}", self.0.name, args.len());
            return Err(CallError::Count(message));
        }
        (self.0.call)(exec, args)
    }
}

const fn define(
    name: &'static str,
    args_min: usize,
    args_max: Option<usize>,
    call: fn(&mut Exec<'_>, &[Value]) -> Called,
) -> Definition {
    Definition { name, args_min, args_max, call }
}

static FUNCTIONS: [Definition; 48] = [
    // Go's.
    define("and", 1, None, |_, args| Ok(args[args.len() - 1].clone())),
    define("or", 1, None, |_, args| Ok(args[args.len() - 1].clone())),
    define("not", 1, Some(1), |_, args| Ok(Value::Bool(!args[0].truth()))),
    define("len", 1, Some(1), |_, args| len(&args[0])),
    define("index", 1, None, |_, args| index(args)),
    define("slice", 1, Some(4), |_, args| slice(args)),
    define("print", 0, None, |exec, args| printed(exec, args, sprint)),
    define("println", 0, None, |exec, args| printed(exec, args, sprintln)),
    define("printf", 1, None, printf),
    define("html", 0, None, |exec, args| printed(exec, args, |args| text::html_escape(&sprint(args)))),
    define("js", 0, None, |exec, args| printed(exec, args, |args| text::js_escape(&sprint(args)))),
    define("urlquery", 0, None, |exec, args| printed(exec, args, |args| text::query_escape(&sprint(args)))),
    define("call", 1, None, |_, args| {
        Err(CallError::Failed(format!("non-function of type {}", args[0].type_name())))
    }),
    define("eq", 1, None, |_, args| equal_any(args)),
    define("ne", 2, Some(2), |_, args| Ok(Value::Bool(!equal(&args[0], &args[1])?))),
    define("lt", 2, Some(2), |_, args| Ok(Value::Bool(less(&args[0], &args[1])?))),
    define("le", 2, Some(2), |_, args| {
        Ok(Value::Bool(less(&args[0], &args[1])? || equal(&args[0], &args[1])?))
    }),
    define("gt", 2, Some(2), |_, args| {
        Ok(Value::Bool(!(less(&args[0], &args[1])? || equal(&args[0], &args[1])?)))
    }),
    define("ge", 2, Some(2), |_, args| Ok(Value::Bool(!less(&args[0], &args[1])?))),
    // Prometheus': results of queries.
    define("query", 1, Some(1), |exec, args| exec.query(text_arg(args, 0)?)),
    define("first", 1, Some(1), |_, args| match samples_arg(args, 0)?.first() {
        Some(sample) => Ok(sample.clone()),
        None => Err(CallError::Failed("first() called on vector with no elements".to_owned())),
    }),
    define("label", 2, Some(2), |_, args| {
        let name = text_arg(args, 0)?;
        Ok(Value::text(sample_arg(args, 1)?.labels.get(name).unwrap_or("")))
    }),
    define("value", 1, Some(1), |_, args| Ok(sample_arg(args, 0)?.value.clone())),
    define("strvalue", 1, Some(1), |_, args| {
        Ok(Value::text(sample_arg(args, 0)?.labels.get("__value__").unwrap_or("")))
    }),
    define("sortByLabel", 2, Some(2), sort_by_label),
    define("args", 0, None, |exec, values| {
        let args = Args::new(values);
        if args.depth > ARGS_DEPTH_MAX {
            return Err(CallError::Limit(format!("exceeded limit of {ARGS_DEPTH_MAX} nested args")));
        }
        exec.reserve(args.printed_bytes)?;
        Ok(Value::Args(Arc::new(args)))
    }),
    // Text.
    define("reReplaceAll", 3, Some(3), |exec, args| {
        let (pattern, with, subject) = (text_arg(args, 0)?, text_arg(args, 1)?, text_arg(args, 2)?);
        // Each place of the subject may be replaced by the whole template, and `$1` by the whole subject.
        let places = subject.len() + 1;
        exec.reserve(with.len().saturating_mul(places).max(places))?;
        let groups = with.bytes().filter(|b| *b == b'$').count();
        exec.reserve(groups.saturating_mul(subject.len()))?;
        let regex = regex(exec, pattern)?;
        exec.built(regex.replace_all(subject, with))
    }),
    define("match", 2, Some(2), |exec, args| {
        let (pattern, subject) = (text_arg(args, 0)?, text_arg(args, 1)?);
        exec.reserve(subject.len())?;
        Ok(Value::Bool(regex(exec, pattern)?.is_match(subject)))
    }),
    define("safeHtml", 1, Some(1), |_, args| Ok(Value::text(text_arg(args, 0)?))),
    define("title", 1, Some(1), |exec, args| exec.built(text::title(text_arg(args, 0)?))),
    define("toUpper", 1, Some(1), |exec, args| exec.built(text_arg(args, 0)?.to_uppercase())),
    define("toLower", 1, Some(1), |exec, args| exec.built(text_arg(args, 0)?.to_lowercase())),
    define("stripPort", 1, Some(1), |exec, args| exec.built(text::strip_port(text_arg(args, 0)?))),
    define("stripDomain", 1, Some(1), |exec, args| exec.built(text::strip_domain(text_arg(args, 0)?))),
    define("urlQueryEscape", 1, Some(1), |exec, args| exec.built(text::query_escape(text_arg(args, 0)?))),
    // Links.
    define("graphLink", 1, Some(1), |exec, args| exec.built(graph_link(text_arg(args, 0)?, 0))),
    define("tableLink", 1, Some(1), |exec, args| exec.built(graph_link(text_arg(args, 0)?, 1))),
    define("externalURL", 0, Some(0), |exec, _| Ok(Value::text(exec.external_url()))),
    define("pathPrefix", 0, Some(0), |exec, _| Ok(Value::text(text::url_path(exec.external_url())))),
    // Numbers and times.
    define("humanize", 1, Some(1), |_, args| Ok(Value::text(humanize::decimal(number_arg(args)?)))),
    define("humanize1024", 1, Some(1), |_, args| Ok(Value::text(humanize::binary(number_arg(args)?)))),
    define("humanizeDuration", 1, Some(1), |_, args| Ok(Value::text(humanize::duration(number_arg(args)?)))),
    define("humanizePercentage", 1, Some(1), |_, args| {
        Ok(Value::text(sprintf("%.4g%%", &[Value::Float(number_arg(args)? * 100.0)])))
    }),
    define("humanizeTimestamp", 1, Some(1), |_, args| {
        let value = number_arg(args)?;
        if !value.is_finite() {
            return Ok(Value::text(sprintf("%.4g", &[Value::Float(value)])));
        }
        Ok(Value::text(Value::Time(nanoseconds(value)?).printed()))
    }),
    define("toTime", 1, Some(1), |_, args| Ok(Value::Time(nanoseconds(number_arg(args)?)?))),
    define("toDuration", 1, Some(1), |_, args| {
        let value = number_arg(args)?;
        if !value.is_finite() {
            return Err(CallError::Failed("value is NaN or Inf".to_owned()));
        }
        Ok(Value::Duration((value * 1e9) as i64))
    }),
    define("now", 0, Some(0), |exec, _| Ok(Value::Float(exec.now().seconds()))),
    define("parseDuration", 1, Some(1), |_, args| match parse_duration(text_arg(args, 0)?) {
        Ok(ms) => Ok(Value::Float(ms as f64 / 1000.0)),
        Err(error) => Err(CallError::Failed(error.to_string())),
    }),
];

fn wrong_type(index: usize, expected: &str, found: &Value) -> CallError {
    CallError::Type(index, format!("wrong type for value; expected {expected}; got {}", found.type_name()))
}

fn text_arg(args: &[Value], at: usize) -> Result<&str, CallError> {
    match &args[at] {
        Value::Str(text) => Ok(text),
        other => Err(wrong_type(at, "string", other)),
    }
}

fn samples_arg(args: &[Value], at: usize) -> Result<&[Value], CallError> {
    match &args[at] {
        Value::Samples(samples) => Ok(samples),
        other => Err(wrong_type(at, "template.queryResult", other)),
    }
}

fn sample_arg(args: &[Value], at: usize) -> Result<&super::value::Sample, CallError> {
    match &args[at] {
        Value::Sample(sample) => Ok(sample),
        other => Err(wrong_type(at, "*template.sample", other)),
    }
}

/// Numbers, and strings that read as one: `printf "%.1f" $value | humanizePercentage` works on the rounded text.
fn number_arg(args: &[Value]) -> Result<f64, CallError> {
    match &args[0] {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Duration(ns) => Ok(*ns as f64 / 1e9),
        Value::Str(text) => parse_go_float(text),
        other => Err(CallError::Failed(format!("can't convert {} to float", other.type_name()))),
    }
}

fn parse_go_float(text: &str) -> Result<f64, CallError> {
    let failed = |why: &str| CallError::Failed(format!("strconv.ParseFloat: parsing {}: {why}", quote(text)));
    let value = parse_float(text).map_err(|_| failed("invalid syntax"))?;
    let spelled = text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
    if value.is_infinite() && !spelled {
        return Err(failed("value out of range"));
    }
    Ok(value)
}

/// Seconds to nanoseconds, cut to milliseconds as Prometheus' times are.
fn nanoseconds(seconds: f64) -> Result<i64, CallError> {
    if !seconds.is_finite() {
        return Err(CallError::Failed("value is NaN or Inf".to_owned()));
    }
    let ns = seconds * 1e9;
    if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
        let value = kymo_model::format_float_g(seconds);
        let message =
            format!("{value} cannot be represented as a nanoseconds timestamp since it overflows int64");
        return Err(CallError::Failed(message));
    }
    Ok((ns as i64 / 1_000_000).saturating_mul(1_000_000))
}

fn regex(exec: &mut Exec<'_>, pattern: &str) -> Result<Regex, CallError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        let message =
            format!("expected a pattern of at most {PATTERN_BYTES_MAX} bytes, found {}", pattern.len());
        return Err(CallError::Limit(message));
    }
    exec.steps(PATTERN_STEPS + pattern.len() as u64)?;
    Regex::unanchored(pattern).map_err(|error| CallError::Failed(error.to_string()))
}

fn graph_link(expr: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", text::query_escape(expr))
}

/// Text made of the operands; the budget is asked before.
fn printed(exec: &mut Exec<'_>, args: &[Value], print: fn(&[Value]) -> String) -> Called {
    exec.reserve(args.iter().map(Value::printed_bytes).fold(0, usize::saturating_add))?;
    exec.built(print(args))
}

fn printf(exec: &mut Exec<'_>, args: &[Value]) -> Called {
    let format = text_arg(args, 0)?;
    // `%[1]s` may print the longest operand any number of times.
    let longest = args[1..].iter().map(Value::printed_bytes).max().unwrap_or(0);
    let verbs = format.bytes().filter(|b| *b == b'%').count().max(args.len());
    exec.reserve(longest.saturating_mul(verbs).saturating_add(padding_bytes(format, &args[1..])))?;
    exec.built(sprintf(format, &args[1..]))
}

fn sort_by_label(exec: &mut Exec<'_>, args: &[Value]) -> Called {
    let name = text_arg(args, 0)?;
    let mut samples = samples_arg(args, 1)?.to_vec();
    exec.steps(samples.len() as u64)?;
    let key = |value: &Value| match value {
        Value::Sample(sample) => sample.labels.get(name).unwrap_or("").to_owned(),
        _ => String::new(),
    };
    samples.sort_by_cached_key(key);
    Ok(Value::Samples(Arc::new(samples)))
}

fn len(value: &Value) -> Called {
    let len = match value {
        Value::Str(text) => text.len(),
        Value::Labels(labels) => labels.len(),
        Value::Args(args) => args.map.len(),
        Value::Samples(samples) => samples.len(),
        other => return Err(CallError::Failed(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::Int(len as i64))
}

fn position(value: &Value, len: usize) -> Result<usize, CallError> {
    match value {
        Value::Int(at) => usize::try_from(*at)
            .ok()
            .filter(|at| *at < len)
            .ok_or_else(|| CallError::Failed(format!("index out of range: {at}"))),
        Value::Nil => Err(CallError::Failed("cannot index slice/array with nil".to_owned())),
        other => Err(CallError::Failed(format!("cannot index slice/array with type {}", other.type_name()))),
    }
}

fn index(args: &[Value]) -> Called {
    let mut item = args[0].clone();
    for key in &args[1..] {
        item = match &item {
            Value::Labels(labels) => match key {
                Value::Str(name) => Value::text(labels.get(name).unwrap_or("")),
                other => return Err(not_assignable(other)),
            },
            Value::Args(args) => match key {
                Value::Str(name) => args.map.get(&**name).cloned().unwrap_or(Value::Nil),
                other => return Err(not_assignable(other)),
            },
            Value::Samples(samples) => samples[position(key, samples.len())?].clone(),
            Value::Str(text) => Value::Int(i64::from(text.as_bytes()[position(key, text.len())?])),
            Value::Nil => return Err(CallError::Failed("index of untyped nil".to_owned())),
            other => {
                return Err(CallError::Failed(format!("can't index item of type {}", other.type_name())));
            }
        };
    }
    Ok(item)
}

fn not_assignable(key: &Value) -> CallError {
    CallError::Failed(format!("value has type {}; should be string", key.type_name()))
}

fn slice(args: &[Value]) -> Called {
    let len = match &args[0] {
        Value::Str(text) => text.len(),
        Value::Samples(samples) => samples.len(),
        Value::Nil => return Err(CallError::Failed("slice of untyped nil".to_owned())),
        other => {
            return Err(CallError::Failed(format!("can't slice item of type {}", other.type_name())));
        }
    };
    if args.len() == 4 {
        return Err(CallError::Failed("cannot 3-index slice a string".to_owned()));
    }
    // A bound may be the length itself.
    let bound = |at: usize, default: usize| {
        args.get(at).map_or(Ok(default), |value| position(value, len.saturating_add(1)))
    };
    let (start, end) = (bound(1, 0)?, bound(2, len)?);
    if start > end {
        return Err(CallError::Failed(format!("invalid slice index: {start} > {end}")));
    }
    match &args[0] {
        Value::Str(text) => {
            Ok(Value::text(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned()))
        }
        Value::Samples(samples) => Ok(Value::Samples(Arc::new(samples[start..end].to_vec()))),
        other => Err(CallError::Failed(format!("can't slice item of type {}", other.type_name()))),
    }
}

fn incompatible() -> CallError {
    CallError::Failed("incompatible types for comparison".to_owned())
}

fn equal(a: &Value, b: &Value) -> Result<bool, CallError> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Str(a), Value::Str(b)) => Ok(a == b),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Labels(_) | Value::Args(_) | Value::Samples(_), _)
        | (_, Value::Labels(_) | Value::Args(_) | Value::Samples(_)) => {
            Err(CallError::Failed("non-comparable type".to_owned()))
        }
        _ => Err(incompatible()),
    }
}

fn equal_any(args: &[Value]) -> Called {
    if args.len() == 1 {
        return Err(CallError::Failed("missing argument for comparison".to_owned()));
    }
    for other in &args[1..] {
        if equal(&args[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn less(a: &Value, b: &Value) -> Result<bool, CallError> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => Ok(a < b),
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        (Value::Str(a), Value::Str(b)) => Ok(a < b),
        (
            Value::Int(_) | Value::Float(_) | Value::Str(_),
            Value::Int(_) | Value::Float(_) | Value::Str(_),
        ) => Err(incompatible()),
        _ => Err(CallError::Failed("invalid type for comparison".to_owned())),
    }
}
