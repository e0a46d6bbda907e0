//! `kymo tsdb dump`: every sample as a line, as promtool prints it, or as OpenMetrics text.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use kymo_model::{
    Labels, Quoted, Samples, Selector, StoreError, TimeRange, Values, is_legacy_label_name, write_float_g,
};

use super::sources::{Sources, SourcesError};
use crate::output::Verdict;

#[derive(Args)]
pub(super) struct DumpArgs {
    /// The data directory, ours or Prometheus'.
    #[arg(value_name = "DIR", default_value = "data/")]
    dir: PathBuf,

    /// First millisecond.
    #[arg(long, default_value_t = i64::MIN, allow_hyphen_values = true)]
    min_time: i64,

    /// Last millisecond.
    #[arg(long, default_value_t = i64::MAX, allow_hyphen_values = true)]
    max_time: i64,

    /// Series to dump; may be given several times.
    #[arg(long = "match", value_name = "SELECTOR", default_value = "{__name__=~\"(?s:.*)\"}")]
    matchers: Vec<String>,
}

/// Why not everything was dumped.
#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    #[error(transparent)]
    Sources(#[from] SourcesError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{selector}: {message}")]
    Selector { selector: String, message: String },
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

pub(super) fn run(args: &DumpArgs) -> Result<Verdict, DumpError> {
    let sources = Sources::open(&args.dir)?;
    let range = TimeRange::from_millis(args.min_time, args.max_time);
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let dumped = args.matchers.iter().try_for_each(|selector| {
        let matchers = kymo_promql_syntax::Parser::default().parse_selector(selector).map_err(|error| {
            DumpError::Selector { selector: selector.clone(), message: error.to_string() }
        })?;
        dump(&sources, &Selector::new(matchers, range), &mut out)
    });
    match dumped.and_then(|()| Ok(out.flush()?)) {
        // Whoever read has seen enough.
        Err(DumpError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Verdict::Good);
        }
        dumped => dumped?,
    }
    let damaged = sources.complain_of_damage();
    Ok(Verdict::good_if(damaged == 0 && sources.refused == 0))
}

fn dump(sources: &Sources, wanted: &Selector, out: &mut impl Write) -> Result<(), DumpError> {
    let (mut samples, mut line) = (Samples::new(), String::new());
    for series in sources.select(wanted)?.iter() {
        line.clear();
        write_labels(&mut line, &series.labels());
        line.push(' ');
        let labels_end = line.len();
        let mut reader = series.reader();
        while reader.read(&mut samples)? {
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                line.truncate(labels_end);
                match &samples.values {
                    Values::Floats(values) => write_float_g(&mut line, values[at]),
                    Values::Histograms(values) => {
                        let _infallible = write!(line, "{}", values[at]);
                    }
                }
                writeln!(out, "{line} {t_ms}")?;
            }
        }
    }
    Ok(())
}

/// Braces around all labels, the metric name among them.
fn write_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (at, label) in labels.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        let _infallible = if is_legacy_label_name(label.name) {
            write!(out, "{}={}", label.name, Quoted(label.value))
        } else {
            write!(out, "{}={}", Quoted(label.name), Quoted(label.value))
        };
    }
    out.push('}');
}
