//! HistogramIter: one histogram at a time from any bytes. Read path; the one reading of these encodings.

use kymo_model::{CounterResetHint, FloatHistogram, Histogram};

use super::form::Form;
use super::header::{Header, ResetHeader};
use super::state::State;
use crate::bits::BitReader;
use crate::starts::Starts;
use crate::{ChunkError, ChunkErrorKind, Encoding};

/// The highest schema that histograms are computed with; those of higher ones are reduced to it.
const SCHEMA_MAX: i32 = 8;

/// A histogram as the chunk holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum HistogramValue {
    /// Of integer counts: encodings 2 and 5.
    Integer(Histogram),
    /// Of float counts: encodings 3 and 6.
    Float(FloatHistogram),
}

impl HistogramValue {
    /// As PromQL computes with it.
    pub fn into_float(self) -> FloatHistogram {
        match self {
            HistogramValue::Integer(histogram) => histogram.to_float(),
            HistogramValue::Float(histogram) => histogram,
        }
    }
}

/// A sample of a histogram chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    /// When.
    pub t_ms: i64,
    /// Since when its counts count; 0 for unknown.
    pub start_ms: i64,
    /// What.
    pub value: HistogramValue,
}

/// The samples of a histogram chunk, in order, as far as they can be read.
///
/// After the first error it ends. Bytes after the last sample are not looked at, as in Prometheus. A staleness marker comes
/// out as a histogram with nothing but its sum. Schemas above 8 are reduced to 8.
///
/// ```
/// use kymo_chunk::{Encoding, HistogramAppender, HistogramIter, HistogramPushed, HistogramValue};
/// use kymo_model::{Histogram, Span};
/// let histogram = Histogram {
///     count: 3,
///     sum: 4.5,
///     positive_spans: vec![Span { offset: 0, length: 2 }],
///     positive_buckets: vec![1, 1],
///     ..Histogram::default()
/// };
/// let mut chunk = HistogramAppender::new();
/// assert_eq!(chunk.push(1000, &histogram), HistogramPushed::Appended);
/// let mut samples = HistogramIter::new(Encoding::Histogram, chunk.bytes())?;
/// let sample = samples.next().unwrap()?;
/// assert_eq!((sample.t_ms, sample.value), (1000, HistogramValue::Integer(histogram)));
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HistogramIter<'a> {
    reader: BitReader<'a>,
    header: Header,
    /// Set to the count by an error.
    next: u16,
    state: State,
    starts: Starts,
}

impl<'a> HistogramIter<'a> {
    /// The samples of `bytes`: a chunk's data without encoding byte and checksum.
    pub fn new(encoding: Encoding, bytes: &'a [u8]) -> Result<HistogramIter<'a>, ChunkError> {
        let form = match encoding {
            Encoding::Histogram | Encoding::HistogramStart => Form::Integer,
            Encoding::FloatHistogram | Encoding::FloatHistogramStart => Form::Float,
            Encoding::Xor | Encoding::Xor2 => {
                let kind = ChunkErrorKind::NotHistograms { found: encoding };
                return Err(ChunkError { kind, bit_offset: 0, sample: 0 });
            }
        };
        HistogramIter::of(form, encoding.has_starts(), bytes)
    }

    pub(super) fn of(
        form: Form,
        with_starts: bool,
        bytes: &'a [u8],
    ) -> Result<HistogramIter<'a>, ChunkError> {
        let mut reader = BitReader::new(bytes);
        let header = Header::read(&mut reader, with_starts)?;
        let starts = Starts::from_header(header.starts.unwrap_or(0));
        Ok(HistogramIter { reader, header, next: 0, state: State::new(form), starts })
    }

    /// How many samples the chunk says it has.
    pub fn sample_count(&self) -> u16 {
        self.header.count
    }

    /// What the chunk says about a reset before it.
    pub fn reset_header(&self) -> ResetHeader {
        self.header.reset
    }

    /// Moves on to the next sample without making a histogram of it; its time.
    pub(super) fn advance(&mut self) -> Option<Result<i64, ChunkError>> {
        if self.next == self.header.count {
            return None;
        }
        let before_ms = self.state.t_ms;
        self.reader.sample = self.next;
        let read = match self.next {
            0 => self.state.read_first(&mut self.reader, self.header.count),
            _ => self.state.read_next(&mut self.reader),
        };
        let read = read.and_then(|()| match self.header.starts {
            None => Ok(()),
            Some(_) => self.starts.read(&mut self.reader, self.next, self.state.t_ms, before_ms),
        });
        Some(match read {
            Ok(()) => {
                self.next += 1;
                Ok(self.state.t_ms)
            }
            Err(error) => {
                self.next = self.header.count;
                Err(error)
            }
        })
    }

    /// The start timestamp of the sample that was advanced to.
    pub(super) fn start_ms(&self) -> i64 {
        self.starts.start_ms
    }

    /// The numbers of the sample that was advanced to.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// The histogram that was advanced to.
    pub(super) fn value(&self) -> HistogramValue {
        let hint = self.header.reset.hint(self.next - 1);
        match self.state.form {
            Form::Integer => HistogramValue::Integer(self.integer(hint)),
            Form::Float => HistogramValue::Float(self.float(hint)),
        }
    }

    /// The histogram that was advanced to, as PromQL computes with it. Integers of a schema that is reduced are merged before
    /// they become floats: sums of counts above 2^53 would be rounded twice.
    pub(super) fn float_value(&self) -> FloatHistogram {
        let hint = self.header.reset.hint(self.next - 1);
        match self.state.form {
            Form::Integer if self.state.layout.schema > SCHEMA_MAX => self.integer(hint).to_float(),
            _ => self.float(hint),
        }
    }

    fn integer(&self, hint: CounterResetHint) -> Histogram {
        let state = &self.state;
        if state.is_stale() {
            return Histogram { sum: state.sum(), ..Histogram::default() };
        }
        let [positive_spans, negative_spans] = state.layout.spans.clone();
        let deltas = |side| state.buckets(side).into_iter().map(|bits| bits as i64).collect();
        let mut histogram = Histogram {
            counter_reset_hint: hint,
            schema: state.layout.schema,
            zero_threshold: state.layout.zero_threshold,
            zero_count: state.zero_count(),
            count: state.count(),
            sum: state.sum(),
            positive_spans,
            positive_buckets: deltas(0),
            negative_spans,
            negative_buckets: deltas(1),
            custom_values: state.layout.custom_values.clone(),
        };
        reduce(&mut histogram, |h| &mut h.schema, |h, schema| h.reduce_resolution(schema).is_ok());
        histogram
    }

    fn float(&self, hint: CounterResetHint) -> FloatHistogram {
        let state = &self.state;
        if state.is_stale() {
            return FloatHistogram { sum: state.sum(), ..FloatHistogram::default() };
        }
        let [positive_spans, negative_spans] = state.layout.spans.clone();
        let count = |bits: u64| match state.form {
            Form::Integer => bits as f64,
            Form::Float => f64::from_bits(bits),
        };
        let mut histogram = FloatHistogram {
            counter_reset_hint: hint,
            schema: state.layout.schema,
            zero_threshold: state.layout.zero_threshold,
            zero_count: count(state.zero_count()),
            count: count(state.count()),
            sum: state.sum(),
            positive_spans,
            positive_buckets: state.float_counts(0),
            negative_spans,
            negative_buckets: state.float_counts(1),
            custom_values: state.layout.custom_values.clone(),
        };
        reduce(&mut histogram, |h| &mut h.schema, |h, schema| h.reduce_resolution(schema).is_ok());
        histogram
    }

    /// Where the chunk stands after all samples were read, to be gone on with: state, end, header.
    pub(super) fn into_end(self) -> (State, usize, Header) {
        (self.state, self.reader.bit_offset(), self.header)
    }
}

/// Brings a schema above 8 down to it. Merging buckets depends on the difference of schemas only, so it is done as if from
/// the highest that is known.
fn reduce<H>(histogram: &mut H, schema: fn(&mut H) -> &mut i32, merge: fn(&mut H, i32) -> bool) {
    let mut excess = *schema(histogram) - SCHEMA_MAX;
    while excess > 0 {
        let step = excess.min(4);
        *schema(histogram) = SCHEMA_MAX;
        if !merge(histogram, SCHEMA_MAX - step) {
            break;
        }
        excess -= step;
        *schema(histogram) = SCHEMA_MAX;
    }
}

impl Iterator for HistogramIter<'_> {
    type Item = Result<HistogramSample, ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let advanced = self.advance()?;
        Some(advanced.map(|t_ms| HistogramSample { t_ms, start_ms: self.start_ms(), value: self.value() }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.header.count - self.next);
        (left.min(1), Some(left))
    }
}

impl std::iter::FusedIterator for HistogramIter<'_> {}
