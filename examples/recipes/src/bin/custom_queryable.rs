//! PromQL over data of your own: anything that is `Queryable` can be queried. Here: the sine of every degree, computed when asked.

use std::f64::consts::PI;
use std::sync::Arc;

use kymo::model::{
    CancelToken, Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource, StoreError,
    TimeRange, Timestamp,
};
use kymo::promql::{Engine, QueryOptions, QueryValue};

/// One sample a second, of two waves.
struct Waves;

/// What a select pins: the waves that match, and the time that was asked for.
struct Pinned {
    waves: Vec<(Labels, f64)>,
    range: TimeRange,
}

fn waves() -> impl Iterator<Item = (Labels, f64)> {
    [("slow", 3600.0), ("fast", 60.0)].into_iter().map(|(kind, period_seconds)| {
        (Labels::from_pairs([("__name__", "wave"), ("kind", kind)]), period_seconds)
    })
}

impl Queryable for Waves {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let waves = waves().filter(|(labels, _)| wanted.matches(labels)).collect();
        Ok(SeriesSet::new(Arc::new(Pinned { waves, range: wanted.range })))
    }

    fn label_names(&self, _: &[Matcher], _: TimeRange, _: &CancelToken) -> Result<Vec<String>, StoreError> {
        Ok(vec!["__name__".to_owned(), "kind".to_owned()])
    }

    fn label_values(
        &self,
        name: &str,
        _: &[Matcher],
        _: TimeRange,
        _: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let mut values: Vec<String> =
            waves().filter_map(|(labels, _)| labels.get(name).map(str::to_owned)).collect();
        values.sort();
        values.dedup();
        Ok(values)
    }
}

impl SeriesSource for Pinned {
    fn len(&self) -> usize {
        self.waves.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.waves[index].0.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        let (times, values) = out.floats_mut();
        if resume.a > 0 {
            return Ok(false);
        }
        resume.a = 1;
        let first = self.range.min.millis().div_euclid(1000);
        for second in first..=self.range.max.millis().div_euclid(1000) {
            if self.range.contains(Timestamp::from_millis(second * 1000)) {
                times.push(second * 1000);
                values.push((second as f64 * 2.0 * PI / self.waves[index].1).sin());
            }
        }
        Ok(!times.is_empty())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let query = kymo::promql_syntax::parse("max by (kind) (max_over_time(wave[1m]))")?;
    let at = Timestamp::from_millis(1_700_000_000_000);
    let result = Engine::default().instant(&Waves, &query, at, &QueryOptions::default())?;
    let QueryValue::Vector(samples) = result.value else { unreachable!("an aggregation gives a vector") };
    for sample in samples {
        println!("{} {:.3}", sample.labels, sample.value.float().unwrap_or(f64::NAN));
    }
    Ok(())
}
