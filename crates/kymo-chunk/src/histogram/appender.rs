//! HistogramAppender and FloatHistogramAppender: open chunks of histograms. Write path. Their bytes are a whole chunk after
//! every push, which holds on to two rules: all histograms of a chunk have the same buckets, and none has lower counts than
//! the one before (unless they are gauges).

use kymo_model::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram};

use super::form::{Form, Raw};
use super::header::{HEADER_BYTES, Header, ResetHeader};
use super::iter::HistogramIter;
use super::layout::Layout;
use super::merge::SidePlan;
use super::state::State;
use crate::bits::{BitWriter, strip_empty_byte};
use crate::starts::Starts;
use crate::{ChunkError, Encoding};

/// What became of a histogram that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a histogram that was not taken belongs into the next chunk"]
pub enum HistogramPushed {
    /// It was written behind the others.
    Appended,
    /// It has buckets that the chunk had not. All of the chunk was written anew, and the histogram behind it.
    Recoded,
    /// It was not taken: schema, threshold, bounds or kind are others, a count became lower, or the newest sample is a
    /// staleness marker. Take this chunk, and push to the one that `following` gives for the histogram.
    Cut,
}

/// When a chunk of histograms is full. The defaults are Prometheus': about a kilobyte, but at least ten samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistogramCutPolicy {
    /// A chunk with as many bytes gets no further sample once it has `samples_min`.
    pub bytes_target: usize,
    /// How many samples a chunk should have however large they are.
    pub samples_min: u16,
    /// How many samples it may have.
    pub samples_max: u16,
}

impl Default for HistogramCutPolicy {
    fn default() -> HistogramCutPolicy {
        HistogramCutPolicy { bytes_target: 1024, samples_min: 10, samples_max: 240 }
    }
}

impl HistogramCutPolicy {
    /// Must the next sample go into a new chunk, for a chunk of so many samples and bytes?
    pub fn is_full(&self, samples: u16, bytes: usize) -> bool {
        samples >= self.samples_max || (samples >= self.samples_min && bytes >= self.bytes_target)
    }
}

/// Either kind of chunk.
#[derive(Clone, Debug)]
struct Appender {
    writer: BitWriter,
    header: Header,
    state: State,
    starts: Starts,
}

/// What may be done with a histogram.
enum Verdict {
    /// What the next chunk's header says, when it begins with this histogram.
    Cut(ResetHeader),
    /// It has the buckets of the chunk.
    Fits,
    /// One side or both have other buckets.
    Merge([SidePlan; 2]),
}

impl Appender {
    fn new(form: Form, reset: ResetHeader, with_starts: bool) -> Appender {
        let header = Header { count: 0, reset, starts: with_starts.then_some(0) };
        let writer = BitWriter::starting(&header.bytes());
        Appender { writer, header, state: State::new(form), starts: Starts::default() }
    }

    fn resume(form: Form, mut bytes: Vec<u8>) -> Result<Appender, ChunkError> {
        let mut samples = HistogramIter::of(form, false, &bytes)?;
        while let Some(advanced) = samples.advance() {
            advanced?;
        }
        let (state, end_bit, header) = samples.into_end();
        strip_empty_byte(&mut bytes, end_bit, header.count)?;
        Ok(Appender { writer: BitWriter::resuming(bytes, end_bit), header, state, starts: Starts::default() })
    }

    /// An empty chunk for what comes after this one, beginning with `raw`.
    fn following(&self, raw: &Raw<'_>) -> Appender {
        let reset = match self.judge(raw) {
            Verdict::Cut(reset) => reset,
            Verdict::Fits | Verdict::Merge(_) => ResetHeader::NotReset,
        };
        Appender::new(self.state.form, reset, self.header.starts.is_some())
    }

    fn push(&mut self, t_ms: i64, start_ms: i64, mut raw: Raw<'_>) -> HistogramPushed {
        let lengths = raw.spans.map(|spans| spans.iter().map(|span| span.length as usize).sum::<usize>());
        assert_eq!(lengths, raw.buckets.each_ref().map(Vec::len), "BUG: an invalid histogram was admitted");
        let (gauge, reset) = (raw.gauge, raw.reset);
        if raw.is_stale() {
            raw = Raw { sum: raw.sum, gauge, reset, ..Raw::STALE };
        }
        if self.header.count == 0 {
            match (gauge, reset) {
                (true, _) => self.header.reset = ResetHeader::Gauge,
                (_, true) => self.header.reset = ResetHeader::Reset,
                // What `following` has found out, unless that was of a gauge.
                _ if self.header.reset == ResetHeader::Gauge => self.header.reset = ResetHeader::Unknown,
                _ => {}
            }
            self.write(t_ms, start_ms, &raw);
            return HistogramPushed::Appended;
        }
        match self.judge(&raw) {
            Verdict::Cut(_) => HistogramPushed::Cut,
            Verdict::Fits => {
                self.write(t_ms, start_ms, &raw);
                HistogramPushed::Appended
            }
            Verdict::Merge(plans) => self.merge(t_ms, start_ms, raw, &plans),
        }
    }

    fn judge(&self, raw: &Raw<'_>) -> Verdict {
        let in_gauge = self.header.reset == ResetHeader::Gauge;
        if self.header.count == 0 || self.header.count == self.header.count_max() {
            return Verdict::Cut(ResetHeader::Unknown);
        }
        if raw.gauge {
            if !in_gauge {
                return Verdict::Cut(ResetHeader::Gauge);
            }
        } else if in_gauge {
            // Staleness markers, too: they say nothing of gauges.
            return Verdict::Cut(ResetHeader::Unknown);
        } else if raw.reset {
            return Verdict::Cut(ResetHeader::Reset);
        }
        if raw.is_stale() {
            return Verdict::Fits;
        }
        let otherwise = if raw.gauge { ResetHeader::Gauge } else { ResetHeader::Unknown };
        if self.state.is_stale() {
            return Verdict::Cut(otherwise);
        }
        let (form, counter) = (self.state.form, !raw.gauge);
        if counter && form.is_less(raw.count, self.state.count()) {
            return Verdict::Cut(ResetHeader::Reset);
        }
        let Layout { schema, zero_threshold, spans, custom_values } = &self.state.layout;
        if raw.schema != *schema || raw.zero_threshold != *zero_threshold {
            return Verdict::Cut(otherwise);
        }
        let same_bounds = || {
            let bits = |bounds: &[f64]| bounds.iter().map(|bound| bound.to_bits()).collect::<Vec<_>>();
            bits(raw.custom_values) == bits(custom_values)
        };
        let lower = || Verdict::Cut(if counter { ResetHeader::Reset } else { otherwise });
        if raw.schema == CUSTOM_BUCKETS_SCHEMA && !same_bounds() {
            return lower();
        }
        if counter && form.is_less(raw.zero_count, self.state.zero_count()) {
            return lower();
        }
        // The usual case, without looking at indices.
        if raw.spans[0] == spans[0] && raw.spans[1] == spans[1] {
            return if counter && self.state.has_lower_bucket(raw) { lower() } else { Verdict::Fits };
        }
        let plan = |side: usize| {
            let chunk = self.state.buckets(side);
            SidePlan::make(form, counter, (&spans[side], &chunk), (raw.spans[side], &raw.buckets[side]))
        };
        match (plan(0), plan(1)) {
            (Some(positive), Some(negative)) => {
                let plans = [positive, negative];
                if plans.iter().any(|plan| plan.chunk_grows() || plan.raw_grows()) {
                    Verdict::Merge(plans)
                } else {
                    Verdict::Fits
                }
            }
            _ => lower(),
        }
    }

    fn merge(
        &mut self,
        t_ms: i64,
        start_ms: i64,
        mut raw: Raw<'_>,
        plans: &[SidePlan; 2],
    ) -> HistogramPushed {
        let form = self.state.form;
        // Which spans Prometheus writes: those of the histogram, unless it lacks buckets (gauges: on either side).
        let any_raw_grows = plans.iter().any(SidePlan::raw_grows);
        let merged_spans = [0, 1].map(|side| {
            let merged = if raw.gauge { any_raw_grows } else { plans[side].raw_grows() };
            if merged { plans[side].spans() } else { raw.spans[side].to_vec() }
        });
        for (side, plan) in plans.iter().enumerate() {
            if plan.raw_grows() {
                raw.buckets[side] = plan.widen_raw(form, &raw.buckets[side]);
            }
        }
        if !plans.iter().any(SidePlan::chunk_grows) {
            self.write(t_ms, start_ms, &raw);
            return HistogramPushed::Appended;
        }
        let spans = merged_spans.each_ref().map(Vec::as_slice);
        self.recode(plans, spans);
        let raw = Raw { spans, ..raw };
        self.write(t_ms, start_ms, &raw);
        HistogramPushed::Recoded
    }

    /// Writes all samples again with more buckets.
    fn recode(&mut self, plans: &[SidePlan; 2], spans: [&[kymo_model::Span]; 2]) {
        let form = self.state.form;
        let wider = Appender::new(form, self.header.reset, self.header.starts.is_some());
        let old = std::mem::replace(self, wider);
        let mut samples = HistogramIter::of(form, old.header.starts.is_some(), old.writer.bytes())
            .expect("BUG: an open chunk has a header");
        while let Some(advanced) = samples.advance() {
            let t_ms = advanced.expect("BUG: an open chunk can be read");
            let state = samples.state();
            let raw = if state.is_stale() {
                Raw { sum: state.sum(), ..Raw::STALE }
            } else {
                Raw {
                    schema: state.layout.schema,
                    zero_threshold: state.layout.zero_threshold,
                    spans,
                    custom_values: &state.layout.custom_values,
                    count: state.count(),
                    zero_count: state.zero_count(),
                    sum: state.sum(),
                    buckets: [0, 1].map(|side| plans[side].widen_chunk(form, &state.buckets(side))),
                    gauge: false,
                    reset: false,
                }
            };
            self.write(t_ms, samples.start_ms(), &raw);
        }
    }

    /// Writes a sample that has the buckets of the chunk, or is the first one.
    fn write(&mut self, t_ms: i64, start_ms: i64, raw: &Raw<'_>) {
        let before_ms = self.state.t_ms;
        match self.header.count {
            0 => self.state.write_first(&mut self.writer, t_ms, raw),
            _ => self.state.write_next(&mut self.writer, t_ms, raw),
        }
        if self.header.starts.is_some() {
            self.starts.write(&mut self.writer, self.header.count, t_ms, before_ms, start_ms);
            self.header.starts = Some(self.starts.header());
        }
        self.header.count += 1;
        *self.writer.header_mut::<HEADER_BYTES>() = self.header.bytes();
    }
}

/// The methods that both kinds have, on one kind of histogram.
macro_rules! appender {
    ($(#[$doc:meta])* $name:ident, $histogram:ty, $form:expr, $raw:path, $encoding:expr, $started:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            appender: Appender,
        }

        impl Default for $name {
            fn default() -> $name {
                $name::new()
            }
        }

        impl $name {
            /// A chunk without samples. When it comes after another one of its series, [`following`](Self::following)
            /// is better: its header can say whether there was a reset.
            pub fn new() -> $name {
                $name { appender: Appender::new($form, ResetHeader::Unknown, false) }
            }

            /// A chunk without samples that keeps start timestamps (encodings 5 and 6).
            pub fn with_starts() -> $name {
                $name { appender: Appender::new($form, ResetHeader::Unknown, true) }
            }

            /// A chunk without samples that comes after this one and begins with `next`, which is to be pushed to it.
            pub fn following(&self, next: &$histogram) -> $name {
                $name { appender: self.appender.following(&$raw(next)) }
            }

            /// Goes on where the writer of `bytes`, without start timestamps, stopped. The chunk must end in the byte of its last sample, or with an
            /// empty one behind it, as Prometheus may leave it.
            pub fn resume(bytes: Vec<u8>) -> Result<$name, ChunkError> {
                Ok($name { appender: Appender::resume($form, bytes)? })
            }

            /// Adds a histogram, or says that it belongs into the next chunk. Timestamps may be any; that they increase
            /// is for the caller to see to.
            ///
            /// # Panics
            ///
            /// When the spans of the histogram do not say as many buckets as it has: it must be valid.
            pub fn push(&mut self, t_ms: i64, histogram: &$histogram) -> HistogramPushed {
                self.push_started(t_ms, 0, histogram)
            }

            /// As [`push`](Self::push), with its start timestamp (0 for unknown), which a chunk without start timestamps
            /// does not keep.
            pub fn push_started(&mut self, t_ms: i64, start_ms: i64, histogram: &$histogram) -> HistogramPushed {
                self.appender.push(t_ms, start_ms, $raw(histogram))
            }

            /// How many samples.
            pub fn len(&self) -> u16 {
                self.appender.header.count
            }

            /// Are there none?
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The time of the newest sample.
            pub fn last_timestamp_ms(&self) -> Option<i64> {
                (!self.is_empty()).then_some(self.appender.state.t_ms)
            }

            /// What the header says about a reset before this chunk.
            pub fn reset_header(&self) -> ResetHeader {
                self.appender.header.reset
            }

            /// What its bytes are to be read as.
            pub fn encoding(&self) -> Encoding {
                if self.appender.header.starts.is_some() { $started } else { $encoding }
            }

            /// The chunk as it is now, ready to be decoded or stored.
            pub fn bytes(&self) -> &[u8] {
                self.appender.writer.bytes()
            }

            /// The finished chunk.
            pub fn into_bytes(self) -> Vec<u8> {
                self.appender.writer.into_bytes()
            }

            /// What the open chunk takes in memory.
            pub fn memory_bytes(&self) -> usize {
                size_of::<$name>() + self.appender.writer.heap_bytes() + self.appender.state.heap_bytes()
            }
        }
    };
}

appender!(
    /// A chunk of histograms of integer counts that takes samples at its end: encoding 2, or 5 with start timestamps.
    ///
    /// ```
    /// use kymo_chunk::{HistogramAppender, HistogramPushed, ResetHeader};
    /// use kymo_model::Histogram;
    /// let counted = |count| Histogram { count, zero_count: count, ..Histogram::default() };
    /// let mut chunk = HistogramAppender::new();
    /// assert_eq!(chunk.push(1000, &counted(5)), HistogramPushed::Appended);
    /// assert_eq!(chunk.push(2000, &counted(1)), HistogramPushed::Cut);
    /// let mut next = chunk.following(&counted(1));
    /// assert_eq!(next.push(2000, &counted(1)), HistogramPushed::Appended);
    /// assert_eq!(next.reset_header(), ResetHeader::Reset);
    /// ```
    HistogramAppender,
    Histogram,
    Form::Integer,
    Raw::integer,
    Encoding::Histogram,
    Encoding::HistogramStart
);

appender!(
    /// A chunk of histograms of float counts that takes samples at its end: encoding 3, or 6 with start timestamps. As
    /// [`HistogramAppender`] in everything else.
    FloatHistogramAppender,
    FloatHistogram,
    Form::Float,
    Raw::float,
    Encoding::FloatHistogram,
    Encoding::FloatHistogramStart
);
