//! Strict: judges a body by the OpenMetrics 1.0 specification and names every fault, each with its line.
//!
//! The lines are read by a grammar of their own, because the lenient parser takes more: quoted names, trailing commas,
//! numbers out of range. The module `line` is the specification's ABNF, `family` its rules on families, `point` those on
//! the points of histograms.

mod family;
mod line;
mod number;
mod point;

use std::fmt;

use crate::ParseError;
use family::Families;
use line::Line;

/// What a valid exposition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Metric families.
    pub families: usize,
    /// Samples.
    pub samples: usize,
    /// Exemplars.
    pub exemplars: usize,
}

/// Something the specification forbids, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters; 1 where the fault is the whole line.
    pub column: usize,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// A line that is not of the specification's grammar.
    #[error("{0}")]
    Syntax(Box<str>),
    /// A rule on what stands in well-formed lines.
    #[error("{rule}: {name}")]
    Rule {
        /// The rule.
        rule: Rule,
        /// The family, sample or label it is about.
        name: Box<str>,
    },
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// The rules of the specification that well-formed lines can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])* $name,)*
        }

        impl fmt::Display for Rule {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Rule::$name => $text,)* })
            }
        }
    };
}

rules! {
    /// One HELP, TYPE and UNIT per family.
    RepeatedMetadata = "metadata line repeated for a family",
    /// Metadata comes before samples.
    MetadataAfterSamples = "metadata after samples of its family",
    /// Families must not share sample names.
    ClashingName = "name clashes with another metric family",
    /// Names with a leading underscore are reserved.
    ReservedName = "names starting with an underscore are reserved",
    /// A unit is the last part of the name.
    UnitNotSuffix = "unit is not the last part of the metric name",
    /// Infos and statesets have no unit.
    UnitNotAllowed = "unit on a type that has none",
    /// Label names are distinct.
    DuplicateLabel = "label name used twice",
    /// The label that a type asks for.
    MissingLabel = "label missing that the metric type asks for",
    /// A label that a type keeps for itself.
    ReservedLabel = "label on a sample that must not have it",
    /// `le` and `quantile` are numbers in range; infinity is `+Inf`.
    InvalidBound = "label value is not a valid number for this metric type",
    /// Metrics and points are not interleaved.
    Interleaved = "samples of a metric are not together",
    /// All points of a metric have timestamps, or none.
    MixedTimestamps = "metric has points with and without timestamp",
    /// Timestamps of a metric do not go back.
    TimestampsGoBack = "timestamps of a metric go back",
    /// One sample per point and label set.
    DuplicateSample = "sample repeated",
    /// Counters and buckets are neither NaN nor negative.
    CounterValue = "counter-like value is NaN or negative",
    /// Counts are whole numbers.
    CountNotInteger = "count is not a whole number",
    /// Statesets are 0 or 1.
    StateValue = "state is neither 0 nor 1",
    /// Infos are 1.
    InfoValue = "info is not 1",
    /// Quantiles are not negative.
    QuantileValue = "quantile value is negative",
    /// Created times are finite.
    CreatedValue = "created time is not a finite number",
    /// Where exemplars may stand.
    ExemplarNotAllowed = "exemplar on a sample that must not have one",
    /// At most 128 characters of labels.
    ExemplarTooLong = "exemplar labels of more than 128 characters",
    /// The exemplar of a bucket lies in the bucket.
    ExemplarOutsideBucket = "exemplar value above the bound of its bucket",
    /// Buckets in increasing order, each bound once.
    BucketOrder = "buckets not in increasing order",
    /// Buckets are cumulative.
    BucketsNotCumulative = "bucket values decrease",
    /// The bucket that counts all.
    NoInfBucket = "bucket `+Inf` missing as the last one",
    /// The count equals the bucket `+Inf`.
    CountMismatch = "count differs from the bucket `+Inf`",
    /// A sum comes with a count, and a count with a sum.
    SumWithoutCount = "sum and count must come together",
    /// No sum beside buckets below zero, as it would be no counter.
    SumWithNegativeBuckets = "sum beside buckets with negative bounds",
    /// No negative sum without buckets below zero.
    NegativeSum = "negative sum without buckets with negative bounds",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, column {})", self.kind, self.line, self.column)
    }
}

impl From<ParseError> for Fault {
    fn from(error: ParseError) -> Fault {
        let text = format!("expected {}, found {}", error.expected, error.found);
        Fault { line: error.line, column: error.column, kind: FaultKind::Syntax(text.into()) }
    }
}

/// Judges a body; all faults come in order of line, at most a few for each line.
///
/// ```
/// use kymo_exposition::strict::check_openmetrics;
/// assert!(check_openmetrics(b"# TYPE a counter\na_total 1\n# EOF\n").is_ok());
/// let faults = check_openmetrics(b"# TYPE a counter\na_total -1\n# EOF\n").unwrap_err();
/// assert_eq!(faults[0].to_string(), "counter-like value is NaN or negative: a_total (line 2, column 1)");
/// ```
pub fn check_openmetrics(body: &[u8]) -> Result<Summary, Vec<Fault>> {
    let mut families = Families::default();
    let mut faults = Vec::new();
    let mut ended = false;
    let mut rest = 0;
    let mut number = 0;
    while rest < body.len() {
        number += 1;
        let end = crate::scan::find_line_end(body, rest);
        let has_line_feed = end < body.len();
        let line = &body[rest..end];
        rest = end + 1;
        if ended {
            faults.push(Fault::syntax(number, 1, "expected nothing after `# EOF`"));
            break;
        }
        match line::read(line, has_line_feed) {
            Ok(Line::Eof) => ended = true,
            Ok(Line::Metadata(metadata)) => families.metadata(number, metadata, &mut faults),
            Ok(Line::Sample(sample)) => families.sample(number, &sample, &mut faults),
            Err(error) => faults.push(Fault::syntax(number, error.column(line), error.text)),
        }
    }
    let summary = families.finish(&mut faults);
    if !ended {
        faults.push(Fault::syntax(
            number + 1,
            1,
            "expected `# EOF` as the last line, found the end of the input",
        ));
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    if faults.is_empty() { Ok(summary) } else { Err(faults) }
}

impl Fault {
    fn syntax(line: usize, column: usize, text: &str) -> Fault {
        Fault { line, column, kind: FaultKind::Syntax(text.into()) }
    }

    fn rule(line: usize, rule: Rule, name: &str) -> Fault {
        Fault { line, column: 1, kind: FaultKind::Rule { rule, name: name.into() } }
    }
}
