//! `kymo check metrics`: what exporters expose, judged by what a scrape accepts or, strictly, by the format's specification.

use clap::{Args, ValueEnum};
use kymo_exposition::strict::check_openmetrics;
use kymo_exposition::{Entry, Format, LabelScratch, ParseError, Parser};
use kymo_model::Labels;

use super::source::{read_bytes, shown};
use super::{Checked, check_each};
use crate::output::{Fault, Verdict};

mod lint;
mod strict_text;

/// Most faults of one file that are shown; how many more there are is counted.
const FAULTS_MAX: usize = 200;

#[derive(Args)]
pub(super) struct MetricsArgs {
    /// The format of the files. Without this flag it is text, and names are linted as promtool lints them (exit code 3).
    #[arg(long, value_enum)]
    format: Option<FormatArg>,

    /// Refuse everything that the specification of the format forbids, and not only what a scrape refuses.
    #[arg(long)]
    strict: bool,

    /// Linting checks to apply; the default is all without --format, none with it.
    #[arg(long, value_enum)]
    lint: Option<LintArg>,

    /// Files; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<String>,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0 text.
    Openmetrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LintArg {
    /// Everything.
    All,
    /// Nothing.
    None,
}

pub(super) fn run(args: &MetricsArgs) -> Verdict {
    let format = match args.format {
        Some(FormatArg::Openmetrics) => Format::OpenMetrics,
        Some(FormatArg::Text) | None => Format::Text,
    };
    let lints = match args.lint {
        Some(lint) => lint == LintArg::All,
        None => args.format.is_none(),
    };
    check_each(&args.files, args.json, Verdict::Lint, |path, _| {
        vec![check_file(path, format, args.strict, lints)]
    })
}

fn check_file(path: &str, format: Format, strict: bool, lints: bool) -> Checked {
    let mut checked = Checked::new("metrics", shown(path));
    let body = match read_bytes(path) {
        Ok(body) => body,
        Err(fault) => {
            checked.faults.push(fault);
            return checked;
        }
    };
    let judgement = match (format, strict) {
        (Format::OpenMetrics, true) => strict_openmetrics(&body),
        (Format::Text, true) => strict_text::judge(&body),
        (_, false) => as_scraped(format, &body),
    };
    let omitted = judgement.faults.len() > FAULTS_MAX;
    let place = |found: Found| Fault::at(shown(path), &body, found.line, found.column, found.message);
    checked.faults.extend(judgement.faults.into_iter().take(FAULTS_MAX).map(place));
    if omitted {
        checked.warnings.push(format!("only the first {FAULTS_MAX} faults are shown"));
    }
    checked.counts = vec![("samples", judgement.samples)];
    checked.success.push(format!("  SUCCESS: {} samples found", judgement.samples));
    if lints && checked.faults.is_empty() {
        checked.lints = lint::lint(format, &body);
    }
    checked
}

/// What is wrong with a body, in order of line.
#[derive(Debug, Default)]
struct Judgement {
    samples: usize,
    faults: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    line: usize,
    column: usize,
    message: String,
}

fn strict_openmetrics(body: &[u8]) -> Judgement {
    match check_openmetrics(body) {
        Ok(summary) => Judgement { samples: summary.samples, ..Judgement::default() },
        Err(faults) => {
            let found = |fault: &kymo_exposition::strict::Fault| Found {
                line: fault.line,
                column: fault.column,
                message: fault.kind.to_string(),
            };
            Judgement { faults: faults.iter().map(found).collect(), ..Judgement::default() }
        }
    }
}

/// Reads a body as a scrape does, but goes on in the next line after a fault.
fn as_scraped(format: Format, body: &[u8]) -> Judgement {
    read(format, body, |_| {})
}

/// A line that was understood.
struct Read<'a> {
    line: usize,
    entry: Entry<'a>,
    /// Of a sample.
    labels: Option<Labels>,
}

/// Reads a body, line by line, over faults.
fn read<'a>(format: Format, body: &'a [u8], mut see: impl FnMut(Read<'a>)) -> Judgement {
    let mut judgement = Judgement::default();
    let mut scratch = LabelScratch::default();
    let mut lines = LineCount { body, at: 0, line: 1 };
    let mut start = 0;
    loop {
        let mut fault = None;
        for entry in Parser::new(format, &body[start..]) {
            match entry.and_then(|entry| Ok((labels_of(&entry, &mut scratch)?, entry))) {
                Ok((labels, entry)) => {
                    judgement.samples += usize::from(labels.is_some());
                    let line = lines.of(offset_in(body, &entry).unwrap_or(start));
                    see(Read { line, entry, labels });
                }
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        let Some(error) = fault else { return judgement };
        let at = (start + error.offset).min(body.len());
        judgement.faults.push(Found {
            line: lines.of(at),
            column: error.column,
            message: format!("expected {}, found {}", error.expected, error.found),
        });
        let line_feed = body[at..].iter().position(|b| *b == b'\n');
        start = line_feed.map_or(body.len(), |len| at + len + 1);
        if start == body.len() {
            return judgement;
        }
        if judgement.faults.len() > FAULTS_MAX {
            return judgement;
        }
    }
}

/// Everything of a sample that is only checked when it is asked for.
fn labels_of(entry: &Entry<'_>, scratch: &mut LabelScratch) -> Result<Option<Labels>, ParseError> {
    let Entry::Sample(sample) = entry else { return Ok(None) };
    if let Some(exemplar) = &sample.exemplar {
        exemplar.labels(scratch)?;
    }
    sample.labels(scratch).map(Some)
}

/// Where in the body an entry stands, in bytes.
fn offset_in(body: &[u8], entry: &Entry<'_>) -> Option<usize> {
    let text = match entry {
        Entry::Help(help) => help.name.raw().as_bytes(),
        Entry::Type(entry) => entry.name.raw().as_bytes(),
        Entry::Unit(unit) => unit.name.raw().as_bytes(),
        Entry::Sample(sample) => sample.series(),
        Entry::Comment(text) => text,
        Entry::Eof => return None,
    };
    // The entry borrows from the body, so the distance of the two is an offset.
    (text.as_ptr() as usize).checked_sub(body.as_ptr() as usize)
}

/// Counts lines forwards only, so that all of them together cost one pass.
struct LineCount<'a> {
    body: &'a [u8],
    at: usize,
    line: usize,
}

impl LineCount<'_> {
    fn of(&mut self, offset: usize) -> usize {
        if let Some(between) = self.body.get(self.at..offset) {
            self.line += between.iter().filter(|b| **b == b'\n').count();
            self.at = offset;
        }
        self.line
    }
}
