//! Data as scrapes make it: the series of a target share their timestamps, but for some that begin later, end earlier or lack
//! samples; values of all kinds, markers and other special ones among them.

use kymo_model::Labels;
use kymo_testkit::Random;

use crate::data::{Data, START_MS};

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The values of a series.
fn values(kind: usize, random: &mut Random, count: usize) -> Vec<f64> {
    let mut state = random.below(1000) as f64;
    let value = |_| {
        let step = random.below(100) as f64;
        match kind % 8 {
            0 => 4096.0,
            1 => {
                state = if random.below(400) == 0 { 0.0 } else { state + step };
                state
            }
            2 => (step * 7.0).round() / 100.0,
            3 => f64::from_bits(0x4030_0000_0000_0000 | random.next() >> 12),
            4 => f64::from(u8::from(random.below(20) == 0)),
            5 => match random.below(30) {
                0 => STALE,
                1 => f64::INFINITY,
                2 => f64::from_bits(0xfff8_0000_dead_beef),
                3 => -0.0,
                _ => step,
            },
            6 => [0.1, 0.25, f64::NAN][random.below(3) as usize].sqrt(),
            _ => f64::from_bits(random.next()),
        }
    };
    (0..count).map(value).collect()
}

pub(crate) fn data(seed: u64, targets: usize, series: usize, scrapes: usize) -> Data {
    let mut data = Data::default();
    for target in 0..targets {
        let mut random = Random::new(seed ^ (target as u64) << 32);
        let offset = random.below(15_000) as i64;
        let times: Vec<i64> = (0..scrapes as i64)
            .map(|scrape| START_MS + offset + 15_000 * scrape + random.below(9) as i64 - 4)
            .collect();
        for number in 0..series {
            let (name, instance) = (format!("metric_{number}"), format!("target-{target}"));
            let labels = Labels::from_pairs([("__name__", name.as_str()), ("instance", &instance)]);
            let times: Vec<i64> = match number % 20 {
                17 => times[scrapes / 3..].to_vec(),
                18 => times[..scrapes / 2].to_vec(),
                19 => times.iter().copied().filter(|_| random.below(50) > 0).collect(),
                _ => times.clone(),
            };
            let values = values(number, &mut random, times.len());
            data.add_floats(labels, times.into_iter().zip(values));
        }
    }
    data
}

/// Two series of one target, one that lacks the first sample, and one of its own.
pub(crate) fn tiny() -> Data {
    let mut data = Data::default();
    let times = [START_MS, START_MS + 15_000, START_MS + 30_001, START_MS + 45_000];
    let mut add = |name: &str, times: &[i64], values: &[f64]| {
        let pairs = times.iter().copied().zip(values.iter().copied());
        data.add_floats(Labels::from_pairs([("__name__", name)]), pairs);
    };
    add("counter", &times, &[1.0, 5.0, 9.0, 14.0]);
    add("gauge", &times, &[0.5, 0.25, STALE, 0.75]);
    add("late", &times[1..], &[2.0, 2.0, 2.0]);
    add("own", &[START_MS + 7, START_MS + 60_007], &[std::f64::consts::PI, -0.0]);
    data
}
