//! Generators: series as exporters have them, and values with the shapes that matter to an encoder.

use kymo_model::Labels;

use crate::Random;

/// The labels of series number `index`: a metric of some instance, as a scrape would have it.
///
/// ```
/// let labels = kymo_testkit::series_labels(1234);
/// assert_eq!(labels.get("instance"), Some("10.0.0.12:9100"));
/// ```
pub fn series_labels(index: usize) -> Labels {
    let (instance, slot) = (index / 100, index % 100);
    let name = format!("metric_{}_total", slot / 10);
    let address = format!("10.0.{}.{}:9100", instance / 250, instance % 250);
    let device = format!("device-{}", slot % 10);
    let zone = format!("zone-{}", instance % 3);
    Labels::from_pairs([
        ("__name__", name.as_str()),
        ("device", device.as_str()),
        ("instance", address.as_str()),
        ("job", "node"),
        ("zone", zone.as_str()),
    ])
}

/// How the values of a series move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueShape {
    /// Never changes.
    Constant,
    /// A whole number that rises.
    Counter,
    /// Two decimals, up and down.
    Gauge,
    /// Every bit is used.
    Noise,
}

impl ValueShape {
    /// Every shape.
    pub const ALL: [ValueShape; 4] =
        [ValueShape::Constant, ValueShape::Counter, ValueShape::Gauge, ValueShape::Noise];
}

/// The samples of one series, one after the other, at an interval with some jitter.
#[derive(Clone, Debug)]
pub struct SampleStream {
    random: Random,
    shape: ValueShape,
    t_ms: i64,
    interval_ms: i64,
    jitter_ms: i64,
    value: i64,
}

impl SampleStream {
    /// A stream that begins at `start_ms`.
    pub fn new(
        seed: u64,
        shape: ValueShape,
        start_ms: i64,
        interval_ms: i64,
        jitter_ms: i64,
    ) -> SampleStream {
        let mut random = Random::new(seed);
        let value = random.below(10_000) as i64;
        SampleStream { random, shape, t_ms: start_ms, interval_ms, jitter_ms, value }
    }
}

impl Iterator for SampleStream {
    type Item = (i64, f64);

    fn next(&mut self) -> Option<(i64, f64)> {
        let jitter_ms = self.random.below(self.jitter_ms as u64 + 1) as i64;
        let t_ms = self.t_ms + jitter_ms;
        self.t_ms += self.interval_ms;
        let value = match self.shape {
            ValueShape::Constant => self.value as f64,
            ValueShape::Counter => {
                self.value += self.random.below(1000) as i64;
                self.value as f64
            }
            ValueShape::Gauge => {
                self.value = (self.value + self.random.below(201) as i64 - 100).clamp(0, 10_000);
                self.value as f64 / 100.0
            }
            ValueShape::Noise => self.random.unit(),
        };
        Some((t_ms, value))
    }
}
