//! RequestEncoder: series and samples to the body of a write request. The sending end's first step.

use kymo_model::{Exemplar, FamilyMetadata, FloatHistogram, Histogram, Labels, MetricType};

use crate::put::{
    put_bytes, put_double, put_float_histogram, put_histogram, put_labels, put_sample, put_varint_field,
};

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
            put_sample(&mut self.message, 2, *timestamp_ms, *value);
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

    /// Exemplars of a series, whose samples are sent apart, as Prometheus does.
    pub fn exemplars(&mut self, labels: &Labels, exemplars: &[Exemplar]) -> &mut RequestEncoder {
        self.labels(labels);
        for exemplar in exemplars {
            self.part.clear();
            put_labels(&mut self.part, exemplar.labels.iter().map(|label| (label.name, label.value)));
            put_double(&mut self.part, 2, exemplar.value);
            put_varint_field(&mut self.part, 3, exemplar.timestamp.map_or(0, |t| t.millis() as u64));
            put_bytes(&mut self.message, 3, &self.part);
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
        put_labels(&mut self.message, labels.iter().map(|label| (label.name, label.value)));
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
