//! `kymo query`: asks a server that speaks the Prometheus HTTP API. Words, flags and output are promtool's.

mod answer;
mod client;
mod time;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::output::{Verdict, complain, say};
use crate::progress::Progress;
use client::{Client, Header, Reply, Server};
use time::{parse_step, parse_time};

/// How far back a range query goes without --start.
const RANGE_DEFAULT_S: f64 = 300.0;
/// Into how many steps a range is cut without --step.
const STEPS_DEFAULT: f64 = 250.0;

/// Arguments of `kymo query`.
#[derive(Args)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run instant query.
    Instant(InstantArgs),
    /// Run range query.
    Range(RangeArgs),
    /// Tell how a server of kymo would answer a query, or how it did.
    Explain(ExplainArgs),
    /// Run series query.
    Series(SeriesArgs),
    /// Run labels query.
    Labels(LabelsArgs),
}

#[derive(Args)]
struct Common {
    /// Output format of the query.
    #[arg(short = 'o', long, value_enum, default_value = "promql")]
    format: OutputFormat,

    /// The same as --format=json.
    #[arg(long)]
    json: bool,

    /// Extra headers to send to server.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<Header>,

    /// How long to wait for the answer.
    #[arg(long, value_parser = parse_step, default_value = "2m")]
    timeout: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// As people write series and samples.
    Promql,
    /// As the server answers.
    Json,
}

#[derive(Args)]
struct InstantArgs {
    /// Prometheus server to query.
    #[arg(value_name = "URL")]
    server: Server,

    /// PromQL query expression.
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expr: String,

    /// Query evaluation time (RFC3339 or Unix timestamp).
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    time: Option<f64>,

    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct RangeArgs {
    /// Prometheus server to query.
    #[arg(value_name = "URL")]
    server: Server,

    /// PromQL query expression.
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expr: String,

    /// Query range start time (RFC3339 or Unix timestamp); 5 minutes before the end by default.
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    start: Option<f64>,

    /// Query range end time (RFC3339 or Unix timestamp); now by default.
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    end: Option<f64>,

    /// Query step size (duration); a 250th of the range, in whole seconds, by default.
    #[arg(long, value_parser = parse_step)]
    step: Option<f64>,

    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct ExplainArgs {
    /// Server to query.
    #[arg(value_name = "URL")]
    server: Server,

    /// PromQL query expression.
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expr: String,

    /// Run the query, and tell what each operator cost.
    #[arg(long)]
    analyze: bool,

    /// As an instant query at this time (RFC3339 or Unix timestamp); now by default.
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true, conflicts_with_all = ["start", "end", "step"])]
    time: Option<f64>,

    /// As a range query from this time (RFC3339 or Unix timestamp).
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    start: Option<f64>,

    /// Query range end time (RFC3339 or Unix timestamp); now by default.
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true, requires = "start")]
    end: Option<f64>,

    /// Query step size (duration); a 250th of the range, in whole seconds, by default.
    #[arg(long, value_parser = parse_step, requires = "start")]
    step: Option<f64>,

    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct SeriesArgs {
    /// Prometheus server to query.
    #[arg(value_name = "URL")]
    server: Server,

    /// Series selector. Can be specified multiple times.
    #[arg(long = "match", value_name = "MATCH", required = true)]
    matches: Vec<String>,

    /// Start time (RFC3339 or Unix timestamp).
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    start: Option<f64>,

    /// End time (RFC3339 or Unix timestamp).
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    end: Option<f64>,

    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct LabelsArgs {
    /// Prometheus server to query.
    #[arg(value_name = "URL")]
    server: Server,

    /// The label whose values are wanted.
    #[arg(value_name = "NAME")]
    name: String,

    /// Series selector. Can be specified multiple times.
    #[arg(long = "match", value_name = "MATCH")]
    matches: Vec<String>,

    /// Start time (RFC3339 or Unix timestamp).
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    start: Option<f64>,

    /// End time (RFC3339 or Unix timestamp).
    #[arg(long, value_parser = parse_time, allow_hyphen_values = true)]
    end: Option<f64>,

    #[command(flatten)]
    common: Common,
}

/// A request: the path under `/api/v1/` and its parameters.
struct Request {
    path: String,
    parameters: Vec<(&'static str, String)>,
    /// Asked with GET only.
    get: bool,
}

/// Runs `kymo query`.
pub(crate) fn run(args: QueryArgs) -> ExitCode {
    match args.what {
        What::Instant(args) => {
            let mut parameters = vec![("query", args.expr)];
            parameters.extend(args.time.map(|time| ("time", time.to_string())));
            ask(&args.server, &args.common, Request { path: "query".to_owned(), parameters, get: false })
        }
        What::Range(args) => match range_parameters(&args) {
            Ok(parameters) => {
                let request = Request { path: "query_range".to_owned(), parameters, get: false };
                ask(&args.server, &args.common, request)
            }
            Err(message) => {
                complain(message);
                Verdict::Faults
            }
        },
        What::Explain(args) => match explain_parameters(&args) {
            Ok(parameters) => {
                let request = Request { path: "query_explain".to_owned(), parameters, get: false };
                ask(&args.server, &args.common, request)
            }
            Err(message) => {
                complain(message);
                Verdict::Faults
            }
        },
        What::Series(args) => {
            let parameters = metadata_parameters(args.matches, args.start, args.end);
            ask(&args.server, &args.common, Request { path: "series".to_owned(), parameters, get: false })
        }
        What::Labels(args) => {
            let parameters = metadata_parameters(args.matches, args.start, args.end);
            let path = format!("label/{}/values", client::path_segment(&args.name));
            ask(&args.server, &args.common, Request { path, parameters, get: true })
        }
    }
    .into()
}

fn explain_parameters(args: &ExplainArgs) -> Result<Vec<(&'static str, String)>, &'static str> {
    let mut parameters = match args.start {
        Some(_) => range_of(&args.expr, args.start, args.end, args.step)?,
        None => {
            let time = args.time.map(|time| ("time", time.to_string()));
            [("query", args.expr.clone())].into_iter().chain(time).collect()
        }
    };
    if args.analyze {
        parameters.push(("analyze", "true".to_owned()));
    }
    Ok(parameters)
}

fn range_parameters(args: &RangeArgs) -> Result<Vec<(&'static str, String)>, &'static str> {
    range_of(&args.expr, args.start, args.end, args.step)
}

fn range_of(
    expr: &str,
    start: Option<f64>,
    end: Option<f64>,
    step: Option<f64>,
) -> Result<Vec<(&'static str, String)>, &'static str> {
    let end = end.unwrap_or_else(time::now);
    let start = start.unwrap_or(end - RANGE_DEFAULT_S);
    if start >= end {
        return Err("start time is not before end time");
    }
    let step = step.unwrap_or_else(|| ((end - start) / STEPS_DEFAULT).floor().max(1.0));
    Ok(vec![
        ("query", expr.to_owned()),
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("step", step.to_string()),
    ])
}

fn metadata_parameters(
    matches: Vec<String>,
    start: Option<f64>,
    end: Option<f64>,
) -> Vec<(&'static str, String)> {
    let mut parameters: Vec<_> = matches.into_iter().map(|selector| ("match[]", selector)).collect();
    parameters.extend(start.map(|time| ("start", time.to_string())));
    parameters.extend(end.map(|time| ("end", time.to_string())));
    parameters
}

fn ask(server: &Server, common: &Common, request: Request) -> Verdict {
    let client = Client {
        server,
        headers: &common.headers,
        timeout: Duration::try_from_secs_f64(common.timeout).unwrap_or(Duration::MAX),
    };
    let waiting = Progress::spinner(format!("waiting for {server}"));
    let reply = client.call(&request.path, &request.parameters, request.get);
    drop(waiting);
    let Reply { data, warnings, infos } = match reply {
        Ok(reply) => reply,
        Err(error) => {
            complain(format_args!("query error: {error}"));
            return Verdict::Faults;
        }
    };
    for warning in &warnings {
        complain(format_args!("warning: {warning}"));
    }
    for info in &infos {
        complain(format_args!("info: {info}"));
    }
    // Of a query the result, of anything else all of it.
    let result = data.get("result").unwrap_or(&data);
    if common.json || common.format == OutputFormat::Json {
        say(result);
        return Verdict::Good;
    }
    if let Some(text) = data.get("text").and_then(Value::as_str) {
        say(text.trim_end());
        return Verdict::Good;
    }
    let kind = data.get("resultType").and_then(Value::as_str);
    match answer::to_text(kind, result) {
        Ok(text) => {
            say(text);
            Verdict::Good
        }
        Err(error) => {
            complain(format_args!("query error: {error}"));
            Verdict::Faults
        }
    }
}
