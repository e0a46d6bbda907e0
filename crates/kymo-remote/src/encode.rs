//! RequestEncoder: series and samples to the body of a write request. The sending end's first step.

use kymo_model::{CounterResetHint, FloatHistogram, Histogram, Labels, MetricType, Span};

use crate::receive::FamilyMetadata;
use crate::wire::zigzag;

/// Writes a `prometheus.WriteRequest`.
#[derive(Clone, Debug, Default)]
pub struct RequestEncoder {
    out: Vec<u8>,
    message: Vec<u8>,
    part: Vec<u8>,
}

impl RequestEncoder {
    /// An empty request.
    pub fn new() -> RequestEncoder {
        RequestEncoder::default()
    }

    /// A series with float samples: timestamps in milliseconds and values.
    pub fn series(&mut self, labels: &Labels, samples: &[(i64, f64)]) -> &mut RequestEncoder {
        self.labels(labels);
        for (timestamp_ms, value) in samples {
            self.part.clear();
            put_double(&mut self.part, 1, *value);
            put_varint_field(&mut self.part, 2, *timestamp_ms as u64);
            put_bytes(&mut self.message, 2, &self.part);
        }
        put_bytes(&mut self.out, 1, &self.message);
        self
    }

    /// A series with native histograms of integer counts.
    pub fn histograms(&mut self, labels: &Labels, samples: &[(i64, Histogram)]) -> &mut RequestEncoder {
        self.labels(labels);
        for (timestamp_ms, histogram) in samples {
            self.part.clear();
            put_histogram(&mut self.part, *timestamp_ms, histogram);
            put_bytes(&mut self.message, 4, &self.part);
        }
        put_bytes(&mut self.out, 1, &self.message);
        self
    }

    /// A series with native histograms of float counts.
    pub fn float_histograms(
        &mut self,
        labels: &Labels,
        samples: &[(i64, FloatHistogram)],
    ) -> &mut RequestEncoder {
        self.labels(labels);
        for (timestamp_ms, histogram) in samples {
            self.part.clear();
            put_float_histogram(&mut self.part, *timestamp_ms, histogram);
            put_bytes(&mut self.message, 4, &self.part);
        }
        put_bytes(&mut self.out, 1, &self.message);
        self
    }

    /// Metadata of a metric family.
    pub fn metadata(&mut self, family: &FamilyMetadata) -> &mut RequestEncoder {
        self.message.clear();
        put_varint_field(&mut self.message, 1, metric_type(family.metadata.metric_type));
        put_bytes(&mut self.message, 2, family.name.as_bytes());
        put_bytes(&mut self.message, 4, family.metadata.help.as_bytes());
        put_bytes(&mut self.message, 5, family.metadata.unit.as_bytes());
        put_bytes(&mut self.out, 3, &self.message);
        self
    }

    fn labels(&mut self, labels: &Labels) {
        self.message.clear();
        for label in labels {
            self.part.clear();
            put_bytes(&mut self.part, 1, label.name.as_bytes());
            put_bytes(&mut self.part, 2, label.value.as_bytes());
            put_bytes(&mut self.message, 1, &self.part);
        }
    }

    /// The request so far, not compressed.
    pub fn as_protobuf(&self) -> &[u8] {
        &self.out
    }

    /// The request so far as the body of a POST.
    ///
    /// # Panics
    ///
    /// On a request of 4 GiB or more, which no Snappy block can hold; receivers take far less.
    pub fn to_snappy(&self) -> Vec<u8> {
        let compressed = snap::raw::Encoder::new().compress_vec(&self.out);
        compressed.expect("a request of less than 4 GiB")
    }

    /// Starts over, keeping the memory.
    pub fn clear(&mut self) {
        self.out.clear();
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_spans(out: &mut Vec<u8>, number: u32, spans: &[Span]) {
    for span in spans {
        let mut message = Vec::new();
        put_varint_field(&mut message, 1, zigzag(span.offset.into()));
        put_varint_field(&mut message, 2, span.length.into());
        put_bytes(out, number, &message);
    }
}

fn put_deltas(out: &mut Vec<u8>, number: u32, deltas: &[i64]) {
    let mut packed = Vec::new();
    for delta in deltas {
        put_varint(&mut packed, zigzag(*delta));
    }
    put_bytes(out, number, &packed);
}

fn put_doubles(out: &mut Vec<u8>, number: u32, values: &[f64]) {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    put_bytes(out, number, &packed);
}

fn put_histogram(out: &mut Vec<u8>, timestamp_ms: i64, histogram: &Histogram) {
    put_varint_field(out, 1, histogram.count);
    put_double(out, 3, histogram.sum);
    put_varint_field(out, 4, zigzag(histogram.schema.into()));
    put_double(out, 5, histogram.zero_threshold);
    put_varint_field(out, 6, histogram.zero_count);
    put_spans(out, 8, &histogram.negative_spans);
    put_deltas(out, 9, &histogram.negative_buckets);
    put_spans(out, 11, &histogram.positive_spans);
    put_deltas(out, 12, &histogram.positive_buckets);
    put_varint_field(out, 14, hint(histogram.counter_reset_hint));
    put_varint_field(out, 15, timestamp_ms as u64);
    put_doubles(out, 16, &histogram.custom_values);
}

fn put_float_histogram(out: &mut Vec<u8>, timestamp_ms: i64, histogram: &FloatHistogram) {
    put_double(out, 2, histogram.count);
    put_double(out, 3, histogram.sum);
    put_varint_field(out, 4, zigzag(histogram.schema.into()));
    put_double(out, 5, histogram.zero_threshold);
    put_double(out, 7, histogram.zero_count);
    put_spans(out, 8, &histogram.negative_spans);
    put_doubles(out, 10, &histogram.negative_buckets);
    put_spans(out, 11, &histogram.positive_spans);
    put_doubles(out, 13, &histogram.positive_buckets);
    put_varint_field(out, 14, hint(histogram.counter_reset_hint));
    put_varint_field(out, 15, timestamp_ms as u64);
    put_doubles(out, 16, &histogram.custom_values);
}

fn hint(hint: CounterResetHint) -> u64 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

fn metric_type(metric_type: MetricType) -> u64 {
    match metric_type {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}
