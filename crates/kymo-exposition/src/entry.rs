//! Entries: what a line of an exposition says, borrowed from the body. Between parser and series cache.

use std::borrow::Cow;

use kymo_model::{Labels, MetricType, Timestamp};

use crate::escape::{Escapes, unescape};
use crate::labels::{self, LabelScratch, Place};
use crate::{Format, ParseError};

/// One line.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// `# HELP name text`.
    Help(Help<'a>),
    /// `# TYPE name type`.
    Type(TypeEntry<'a>),
    /// `# UNIT name unit`, OpenMetrics only.
    Unit(Unit<'a>),
    /// Any other line that starts with `#`, with the `#`; text format only. May be anything but a line feed.
    Comment(&'a [u8]),
    /// A sample.
    Sample(Sample<'a>),
    /// `# EOF`: always the last entry of OpenMetrics, never in the text format.
    Eof,
}

/// Text in which backslashes are not resolved yet.
#[derive(Clone, Copy, Debug)]
pub struct EscapedText<'a> {
    raw: &'a str,
    escapes: Escapes,
}

impl<'a> EscapedText<'a> {
    pub(crate) fn new(raw: &'a str, escapes: Escapes) -> EscapedText<'a> {
        EscapedText { raw, escapes }
    }

    /// As it is written, without quotes around it.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// With escapes resolved; allocates only where there are any.
    pub fn unescape(&self) -> Cow<'a, str> {
        unescape(self.raw, self.escapes)
    }
}

/// A HELP line.
#[derive(Clone, Copy, Debug)]
pub struct Help<'a> {
    /// The metric or metric family.
    pub name: EscapedText<'a>,
    /// What it says.
    pub text: EscapedText<'a>,
}

/// A TYPE line.
#[derive(Clone, Copy, Debug)]
pub struct TypeEntry<'a> {
    /// The metric or metric family.
    pub name: EscapedText<'a>,
    /// Its type; `untyped` of the text format is `Unknown`.
    pub metric_type: MetricType,
}

/// A UNIT line.
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// The metric family.
    pub name: EscapedText<'a>,
    /// Its unit, may be empty.
    pub unit: &'a str,
}

/// A sample line.
///
/// Its value, timestamp and end are checked. Its series is delimited but not checked until [`labels`](Sample::labels) is
/// called: whoever uses [`series`](Sample::series) as a cache key calls it once per key.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) series_start: usize,
    pub(crate) series_end: usize,
    pub(crate) format: Format,
    /// The type of the TYPE line last seen, for `le` and `quantile`; `Unknown` where these are to stay as written.
    pub(crate) bounds_of: MetricType,
    /// The value. A NaN has the bits of an ordinary NaN: staleness markers cannot be written in text.
    pub value: f64,
    /// The timestamp, where the line has one.
    pub timestamp: Option<Timestamp>,
    /// The exemplar, where the line has one; OpenMetrics only.
    pub exemplar: Option<Exemplar<'a>>,
}

impl<'a> Sample<'a> {
    /// `name{labels}` exactly as it is written.
    pub fn series(&self) -> &'a [u8] {
        &self.body[self.series_start..self.series_end]
    }

    /// Reads the series: names, escapes, UTF-8, distinct label names. Empty labels are left out.
    ///
    /// The labels `le` of histograms and `quantile` of summaries come out as OpenMetrics writes floats (`1.0` for `1`),
    /// as in Prometheus 3, unless [`Options::keep_bounds`](crate::Options::keep_bounds) says otherwise.
    ///
    /// An error is one of the whole body, like those of the parser: stop there. (Each counts the lines before it.)
    pub fn labels(&self, scratch: &mut LabelScratch) -> Result<Labels, ParseError> {
        let place = Place { body: self.body, start: self.series_start, end: self.series_end };
        labels::read_series(place, self.format, self.bounds_of, scratch)
    }

    /// Where the line starts in the body, in bytes.
    pub fn offset(&self) -> usize {
        self.series_start
    }
}

/// An exemplar: a reference to something outside, such as a trace. Its value is checked, its labels when they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) labels_start: usize,
    pub(crate) labels_end: usize,
    /// The value.
    pub value: f64,
    /// The timestamp, where there is one.
    pub timestamp: Option<Timestamp>,
}

impl<'a> Exemplar<'a> {
    /// `{labels}` exactly as it is written.
    pub fn raw_labels(&self) -> &'a [u8] {
        &self.body[self.labels_start..self.labels_end]
    }

    /// Reads the labels.
    pub fn labels(&self, scratch: &mut LabelScratch) -> Result<Labels, ParseError> {
        let place = Place { body: self.body, start: self.labels_start, end: self.labels_end };
        labels::read_exemplar(place, scratch)
    }
}
