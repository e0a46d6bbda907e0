//! Logging: one line per event on stderr, in Prometheus' two formats: logfmt and JSON, with its keys `time`, `level`,
//! `source`, `msg`, then the event's own.

use std::fmt::{self, Write as _};
use std::io;

use clap::ValueEnum;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Logfmt,
    Json,
}

/// Logs to stderr from now on.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Error => tracing::Level::ERROR,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(false)
        .event_format(format)
        .init();
}

impl<S, N> FormatEvent<S, N> for LogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line(vec![
            ("time", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into()),
            ("level", metadata.level().as_str().into()),
        ]);
        if let (Some(file), Some(number)) = (metadata.file(), metadata.line()) {
            line.0.push(("source", format!("{}:{number}", file.rsplit('/').next().unwrap_or(file)).into()));
        }
        let own = line.0.len();
        event.record(&mut line);
        // The message comes first, wherever it stands in the source.
        if let Some(at) = line.0[own..].iter().position(|(name, _)| *name == "msg") {
            line.0[own..=own + at].rotate_right(1);
        }
        out.write_str(&line.text(*self))?;
        out.write_char('\n')
    }
}

/// The fields of an event, in order.
struct Line(Vec<(&'static str, Value)>);

impl Line {
    fn text(self, format: LogFormat) -> String {
        match format {
            LogFormat::Json => {
                let pair = |(name, value): &(&str, Value)| format!("{}:{value}", Value::from(*name));
                format!("{{{}}}", self.0.iter().map(pair).collect::<Vec<_>>().join(","))
            }
            LogFormat::Logfmt => {
                let pair = |(name, value): &(&str, Value)| format!("{name}={}", logfmt(value));
                self.0.iter().map(pair).collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            "message" => "msg",
            name => name,
        };
        self.0.push((name, value));
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

/// A value of logfmt: in quotes where it would end early or run into the next.
fn logfmt(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let plain = |c: char| c > ' ' && c != '=' && c != '"' && c != '\\' && !c.is_control();
    if !text.is_empty() && text.chars().all(plain) {
        return text.clone();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a string does not fail.
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_logfmt() {
        for (value, text) in [
            (Value::from("plain/path:1"), "plain/path:1"),
            (Value::from(""), "\"\""),
            (Value::from("two words"), "\"two words\""),
            (Value::from("a=b"), "\"a=b\""),
            (Value::from("say \"x\"\n\t\u{7}\\"), "\"say \\\"x\\\"\\n\\t\\u0007\\\\\""),
            (Value::from("\u{D55C}"), "\u{D55C}"),
            (Value::from(7), "7"),
            (Value::from(true), "true"),
        ] {
            assert_eq!(logfmt(&value), text);
        }
    }
}
