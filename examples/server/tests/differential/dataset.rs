//! The samples of one run, made from its seed: gauges, counters that are reset, gaps, staleness markers, NaN and infinities,
//! classic histograms, and for a peer that knows them native ones.
//!
//! Timestamps are odd milliseconds and no question is asked at one, so that windows which include their left end (Prometheus
//! before 3.0) hold the same samples as those which do not.

use std::sync::Arc;

use kymo_model::{
    Append, Batch, CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, Labels, MemoryStore, STALE_NAN,
    SampleValue, Span, Timestamp,
};
use kymo_remote::RequestEncoder;
use kymo_testkit::Random;

/// The first sample is around here; a multiple of all steps of subqueries.
pub(crate) const BEGIN_MS: i64 = 1_699_999_200_000;
/// From one sample of a series to the next.
const INTERVAL_MS: i64 = 15_000;
/// How many samples a series without gaps has: 50 minutes.
const POINTS: i64 = 200;
/// Seconds from [`BEGIN_MS`] between which questions are asked.
pub(crate) const ASKED_SECONDS: std::ops::Range<u64> = 240..3400;

/// One series with its samples.
pub(crate) struct Series {
    labels: Labels,
    samples: Vec<(i64, SampleValue)>,
    /// May a change of its values in the last bits change an answer only as rounding does? Not of whole numbers that queries
    /// compare for equality.
    continuous: bool,
    counter: bool,
}

/// Every series of a seed, in order of labels; for a peer of version 3 the `whole` variety.
pub(crate) fn series(seed: u64, whole: bool) -> Vec<Series> {
    let mut data = Dataset { random: Random::new(seed), series: Vec::new() };
    data.gauges();
    data.counters();
    data.classic_histograms();
    data.oddities();
    if whole {
        data.negative_zero();
        data.describing();
        data.native_histograms();
    }
    data.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    data.series
}

/// Requests that bring the series to a peer, in this order. Where floats become histograms or the other way round, there is a
/// new one: Prometheus takes all floats of a request first, and histograms that are older than those are too old to it.
pub(crate) fn requests(series: &[Series]) -> Vec<RequestEncoder> {
    let is_float = |value: &SampleValue| matches!(value, SampleValue::Float(_));
    let runs = series.iter().flat_map(|one| {
        let runs = one.samples.chunk_by(move |(_, a), (_, b)| is_float(a) == is_float(b));
        runs.map(move |run| (&one.labels, run))
    });
    let request = |(labels, run): (&Labels, &[(i64, SampleValue)])| {
        let mut floats: Vec<(i64, f64)> = Vec::new();
        let mut histograms: Vec<(i64, Histogram)> = Vec::new();
        for (time, value) in run {
            match value {
                SampleValue::Float(value) => floats.push((*time, *value)),
                SampleValue::Histogram(histogram) => histograms.push((*time, (**histogram).clone())),
                SampleValue::FloatHistogram(_) => {
                    unreachable!("BUG: the dataset has integer histograms only")
                }
            }
        }
        let mut request = RequestEncoder::new();
        match histograms.is_empty() {
            true => request.series(labels, &floats),
            false => request.histograms(labels, &histograms),
        };
        request
    };
    runs.map(request).collect()
}

/// The series in a store of ours.
pub(crate) fn store(series: &[Series]) -> MemoryStore {
    stored(series, |_, value| value.clone())
}

/// What of the values is wrong by some 1e-14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// All but whole numbers; counters still rise.
    Continuous,
    /// All; counters still rise.
    Whole,
    /// All, each by itself.
    Single,
}

/// The series with values that are wrong in their last bits: what a query makes of that, rounding may make of it, too. They are
/// all a bit larger, all smaller, or both, depending on the seed.
pub(crate) fn disturbed(series: &[Series], seed: u64, disturbance: Disturbance) -> MemoryStore {
    let mut random = Random::new(seed);
    stored(series, |one, value| {
        let SampleValue::Float(value) = value else { return value.clone() };
        // One factor for all of a counter, so that it still rises.
        let together = one.counter && disturbance != Disturbance::Single;
        let mut random = Random::new(if together { seed ^ one.labels.hash64() } else { random.next() });
        let factor = 1.0 + (random.unit() - [0.0, 0.5, 1.0][seed as usize % 3]) * 2f64.powi(-45);
        let stays = (disturbance == Disturbance::Continuous && !one.continuous) || value.is_nan();
        SampleValue::Float(if stays { *value } else { value * factor })
    })
}

fn stored(series: &[Series], mut change: impl FnMut(&Series, &SampleValue) -> SampleValue) -> MemoryStore {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for one in series {
        for (time, value) in &one.samples {
            batch.push(one.labels.clone(), Timestamp::from_millis(*time), change(one, value));
        }
    }
    let appended = store.append(&batch).expect("a store in memory takes everything");
    assert!(appended.refused.is_empty(), "{:?}", appended.refused.first());
    store
}

struct Dataset {
    random: Random,
    series: Vec<Series>,
}

impl Dataset {
    /// A series with a value, a gap or a histogram at each index.
    fn add(
        &mut self,
        labels: &[(&str, &str)],
        mut value: impl FnMut(&mut Random, i64) -> Option<SampleValue>,
    ) {
        let jitter_ms = 1 + 2 * self.random.below(6_900) as i64;
        let mut random = Random::new(self.random.next());
        let at = |index: i64| BEGIN_MS + index * INTERVAL_MS + jitter_ms;
        let samples =
            (0..POINTS).filter_map(|index| value(&mut random, index).map(|value| (at(index), value)));
        let samples = samples.collect();
        let counter = labels.iter().any(|(name, value)| *name == "__name__" && value.starts_with("c_"));
        self.series.push(Series {
            labels: Labels::from_pairs(labels.iter().copied()),
            samples,
            continuous: true,
            counter,
        });
    }

    fn floats(&mut self, labels: &[(&str, &str)], mut value: impl FnMut(&mut Random, i64) -> Option<f64>) {
        self.add(labels, |random, index| value(random, index).map(SampleValue::Float));
    }

    fn whole(&mut self, labels: &[(&str, &str)], value: impl FnMut(&mut Random, i64) -> Option<f64>) {
        self.floats(labels, value);
        self.series.last_mut().expect("one was added").continuous = false;
    }

    fn gauges(&mut self) {
        for job in ["a", "b"] {
            for instance in ["0", "1", "2"] {
                let mut level = self.random.unit() * 200.0 - 60.0;
                self.floats(&[("__name__", "g_load"), ("job", job), ("instance", instance)], |random, _| {
                    level += random.unit() * 20.0 - 10.0;
                    Some(level)
                });
                self.whole(&[("__name__", "g_count"), ("job", job), ("instance", instance)], |random, _| {
                    Some(random.below(5) as f64)
                });
            }
            let version = if job == "a" { "1.0" } else { "2.0" };
            self.whole(&[("__name__", "build_info"), ("job", job), ("version", version)], |_, _| Some(1.0));
        }
        self.whole(&[("__name__", "g_single")], |random, index| {
            Some((index / 7) as f64 + random.below(2) as f64)
        });
        // A moment of this or an earlier century.
        self.whole(&[("__name__", "g_moment")], |random, _| Some(random.below(4_000_000_000) as f64 - 1e9));
    }

    /// A counter never starts anew near zero: Prometheus before 2.5x extrapolates to the zero of a counter in another order
    /// of rules, which shows where the first value of a window is less than what one interval adds.
    fn counters(&mut self) {
        for job in ["a", "b"] {
            for instance in ["0", "1", "2"] {
                for code in ["200", "500"] {
                    let (step, resets) = (self.random.unit() * 30.0, self.random.below(3) * 20);
                    let labels = [
                        ("__name__", "c_requests_total"),
                        ("job", job),
                        ("instance", instance),
                        ("code", code),
                    ];
                    let mut level = 5_000.0;
                    self.floats(&labels, |random, _| {
                        let again = resets > 0 && random.chance(1, resets);
                        level = if again { 2_000.0 + random.unit() } else { level + step * random.unit() };
                        Some(level)
                    });
                }
            }
            let mut level = 3_000.0;
            self.floats(&[("__name__", "c_slow_total"), ("job", job)], |random, index| {
                if random.chance(1, 4) {
                    level += 3.0;
                }
                (!(60..100).contains(&index) && !random.chance(1, 5)).then_some(level)
            });
        }
    }

    fn classic_histograms(&mut self) {
        for job in ["a", "b"] {
            let bounds = ["0.1", "0.5", "1", "2.5", "+Inf"];
            let weights: Vec<f64> = bounds.iter().map(|_| self.random.below(40) as f64).collect();
            // All of one histogram are scraped at once.
            let seed = self.random.next();
            for (at, bound) in bounds.iter().enumerate() {
                let below: f64 = weights[..=at].iter().sum();
                let labels = [("__name__", "h_latency_bucket"), ("job", job), ("le", bound)];
                self.shared(&labels, seed, 3_000.0 + 100.0 * at as f64, below);
            }
            let all: f64 = weights.iter().sum();
            self.shared(&[("__name__", "h_latency_count"), ("job", job)], seed, 3_400.0, all);
            self.shared(&[("__name__", "h_latency_sum"), ("job", job)], seed, 4_000.0, all * 0.7);
        }
        // Not monotonic, without +Inf, bounds that are equal or no numbers.
        for (kind, bounds) in [
            ("wild", &["1", "2", "4", "+Inf"][..]),
            ("open", &["1", "2"]),
            ("bad", &["x", "1.0", "1", "+Inf"]),
        ] {
            for bound in bounds {
                let labels = [("__name__", "h_odd_bucket"), ("kind", kind), ("le", bound)];
                self.whole(&labels, |random, _| Some(random.below(50) as f64));
            }
        }
    }

    /// A counter that rises together with others.
    fn shared(&mut self, labels: &[(&str, &str)], seed: u64, start: f64, step: f64) {
        let mut level = start;
        let mut together = Random::new(seed);
        self.whole(labels, |_, _| {
            level += (step * (1 + together.below(3)) as f64).round();
            Some(level)
        });
        self.series.last_mut().expect("one was added").counter = true;
    }

    fn oddities(&mut self) {
        let special = |part: u64, values: &'static [f64]| {
            move |random: &mut Random, index: i64| match random.chance(1, part) {
                true => Some(values[random.below(values.len() as u64) as usize]),
                false => Some(index as f64 - 70.0),
            }
        };
        self.floats(&[("__name__", "odd"), ("kind", "nan")], special(6, &[f64::NAN]));
        self.floats(&[("__name__", "odd"), ("kind", "inf")], special(9, &[f64::INFINITY]));
        self.floats(
            &[("__name__", "odd"), ("kind", "infs")],
            special(9, &[f64::INFINITY, f64::NEG_INFINITY]),
        );
        self.floats(&[("__name__", "odd"), ("kind", "zero")], special(2, &[0.0]));
        self.whole(&[("__name__", "gappy"), ("kind", "hole")], |_, i| {
            (!(80..125).contains(&i)).then_some(i as f64)
        });
        self.whole(&[("__name__", "gappy"), ("kind", "rare")], |random, i| {
            random.chance(1, 12).then_some(i as f64)
        });
        self.whole(&[("__name__", "gappy"), ("kind", "late")], |_, i| (i > 130).then_some(4.0 * i as f64));
        self.whole(&[("__name__", "gappy"), ("kind", "once")], |_, i| (i == 140).then_some(7.0));
        self.whole(&[("__name__", "stopping"), ("kind", "once")], |_, i| match i {
            0..120 => Some(2.0 * i as f64),
            120 => Some(STALE_NAN),
            _ => None,
        });
        self.whole(&[("__name__", "stopping"), ("kind", "blinks")], |random, i| {
            Some(if random.chance(1, 5) { STALE_NAN } else { i as f64 })
        });
        for value in ["", "a b", "\"\\", "é"] {
            self.whole(
                &[("__name__", "strange"), ("label", value)],
                |random, _| Some(random.below(9) as f64),
            );
        }
    }

    /// Sums and means keep its sign or lose it, depending on the version.
    fn negative_zero(&mut self) {
        self.whole(&[("__name__", "odd"), ("kind", "negative")], |_, i| {
            Some(if i % 3 == 0 { 0.0 } else { -0.0 })
        });
    }

    /// What `info` adds, which is another halfway.
    fn describing(&mut self) {
        for (job, instance) in [("a", "0"), ("a", "1"), ("b", "0")] {
            for (release, from, until) in [("1", 0, 90), ("2", 90, POINTS)] {
                let labels = [
                    ("__name__", "machine_info"),
                    ("job", job),
                    ("instance", instance),
                    ("release", release),
                ];
                self.whole(&labels, |_, i| match i {
                    _ if (from..until).contains(&i) => Some(1.0),
                    _ if i == until => Some(STALE_NAN),
                    _ => None,
                });
            }
        }
    }

    fn native_histograms(&mut self) {
        for job in ["a", "b"] {
            self.native(&[("__name__", "nh_latency"), ("job", job)], 3, CounterResetHint::Unknown);
            self.native(&[("__name__", "nh_size"), ("job", job)], 0, CounterResetHint::Gauge);
            self.native(
                &[("__name__", "nhcb_latency"), ("job", job)],
                CUSTOM_BUCKETS_SCHEMA,
                CounterResetHint::Unknown,
            );
        }
        // Floats, then histograms, then floats.
        let mut buckets = [3; 4];
        self.add(&[("__name__", "nh_mixed")], |random, index| {
            buckets[random.below(4) as usize] += 1;
            Some(match index / 60 % 2 {
                0 => SampleValue::Float(index as f64),
                _ => SampleValue::Histogram(Arc::new(native(
                    2,
                    &buckets,
                    &[],
                    (0.001, 4),
                    CounterResetHint::Unknown,
                ))),
            })
        });
    }

    /// Observations that add up, are reset now and then, and lose resolution halfway.
    fn native(&mut self, labels: &[(&str, &str)], schema: i32, hint: CounterResetHint) {
        let gauge = hint == CounterResetHint::Gauge;
        let mut positive = [0i64; 8];
        let mut negative = [0i64; 3];
        let mut zero = 0;
        self.add(labels, |random, index| {
            if random.chance(1, if gauge { 2 } else { 40 }) {
                (positive, negative, zero) = ([0; 8], [0; 3], 0);
            }
            let custom = schema == CUSTOM_BUCKETS_SCHEMA;
            for _ in 0..random.below(6) {
                positive[random.below(if custom { 5 } else { 8 }) as usize] += 1;
                if !custom && random.chance(1, 3) {
                    negative[random.below(3) as usize] += 1;
                    zero += 1;
                }
            }
            let h = match custom {
                true => {
                    // The bounds change halfway.
                    let bounds: &[f64] =
                        if index < 120 { &[0.1, 0.5, 1.0, 5.0] } else { &[0.1, 0.25, 1.0, 5.0] };
                    Histogram {
                        custom_values: bounds.to_vec(),
                        ..native(schema, &positive[..5], &[], (0.0, 0), hint)
                    }
                }
                false => {
                    let schema = if index < 120 { schema } else { schema - 1 };
                    native(schema, &positive, &negative, (0.001, zero), hint)
                }
            };
            (!random.chance(1, 15)).then(|| SampleValue::Histogram(Arc::new(h)))
        });
    }
}

/// A histogram of these counts; the sum takes each observation for the number of its bucket.
fn native(
    schema: i32,
    positive: &[i64],
    negative: &[i64],
    (zero_threshold, zero_count): (f64, u64),
    counter_reset_hint: CounterResetHint,
) -> Histogram {
    let side = |counts: &[i64], offset: i32| match counts.len() {
        0 => (Vec::new(), Vec::new()),
        length => {
            let before = std::iter::once(&0).chain(counts);
            let deltas = counts.iter().zip(before).map(|(count, before)| count - before).collect();
            (vec![Span { offset, length: length as u32 }], deltas)
        }
    };
    let (positive_spans, positive_buckets) =
        side(positive, if schema == CUSTOM_BUCKETS_SCHEMA { 0 } else { -2 });
    let (negative_spans, negative_buckets) = side(negative, 1);
    let observed = positive.iter().chain(negative).sum::<i64>() as u64 + zero_count;
    let sum = positive.iter().zip(0..).map(|(count, at)| *count as f64 * f64::from(at) / 3.0).sum::<f64>()
        - negative.iter().sum::<i64>() as f64;
    Histogram {
        counter_reset_hint,
        schema,
        zero_threshold,
        zero_count,
        count: observed,
        sum,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_values: Vec::new(),
    }
}
