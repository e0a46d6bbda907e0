//! `/federate`: the newest value of chosen series as exposition text, for another Prometheus to scrape.
//!
//! Source: Prometheus `web/federate.go`: one untyped family per metric name, external labels and `instance` (empty when
//! there is none) on every series that lacks them, stale series left out, explicit timestamps. Of a native histogram the
//! text format can say count and sum only.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kymo_exposition::{Encoder, Family, Format};
use kymo_model::{
    CancelToken, CounterResetHint, FloatHistogram, Labels, METRIC_NAME, Matcher, MetricType, Queryable,
    Samples, Selector, TimeRange, Timestamp, Values, is_stale,
};

use crate::api::Api;
use crate::error::ApiError;
use crate::params::Params;
use crate::query::CancelOnDrop;
use crate::series::time_limited;

pub(crate) async fn federate(State(api): State<Api>, params: Params) -> Response {
    let sets = match params.matcher_sets() {
        Ok(sets) => sets,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string() + "\n").into_response(),
    };
    let end = crate::query::now();
    let start = end.saturating_add_ms(-api.engine.options().lookback_delta_ms).saturating_add_ms(1);
    let cancel = time_limited(&api);
    let _guard = CancelOnDrop(cancel.clone());
    let work = move || {
        let external = api.status.as_ref().map_or_else(Labels::empty, |status| status.external_labels());
        let range = TimeRange { min: start, max: end };
        newest(&*api.store, (sets, range), &cancel)
            .map_err(|error| error.or_timeout(&cancel))
            .map(|found| text(&found, &external))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(text)) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Ok(Err(error)) => (error.kind.status(), error.to_string() + "\n").into_response(),
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{panic}\n")).into_response(),
    }
}

/// The newest sample of a series.
enum Newest {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Newest {
    fn last_of(values: &Values) -> Option<Newest> {
        match values {
            Values::Floats(values) => values.last().copied().map(Newest::Float),
            Values::Histograms(values) => values.last().cloned().map(Newest::Histogram),
        }
    }

    fn is_stale(&self) -> bool {
        match self {
            Newest::Float(value) => is_stale(*value),
            Newest::Histogram(histogram) => is_stale(histogram.sum),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self {
            Newest::Float(_) => MetricType::Unknown,
            Newest::Histogram(histogram) if histogram.counter_reset_hint == CounterResetHint::Gauge => {
                MetricType::GaugeHistogram
            }
            Newest::Histogram(_) => MetricType::Histogram,
        }
    }
}

/// Per metric name and labels.
type Found = BTreeMap<String, BTreeMap<Labels, (i64, Newest)>>;

fn newest(
    store: &dyn Queryable,
    (sets, range): (Vec<Vec<Matcher>>, TimeRange),
    cancel: &CancelToken,
) -> Result<Found, ApiError> {
    let mut pulse = cancel.pulse();
    let mut found = Found::new();
    let mut samples = Samples::new();
    for matchers in sets {
        let wanted = Selector { cancel: cancel.clone(), ..Selector::new(matchers, range) };
        for series in store.select(&wanted)?.iter() {
            pulse.tick(256)?;
            let mut reader = series.reader();
            let mut last = None;
            while reader.read(&mut samples)? {
                let newest = samples.timestamps_ms.last().copied().zip(Newest::last_of(&samples.values));
                last = newest.or(last);
            }
            let labels = series.labels();
            let (Some((time, value)), Some(name)) = (last, labels.metric_name()) else { continue };
            if !value.is_stale() {
                found.entry(name.to_owned()).or_default().insert(labels.clone(), (time, value));
            }
        }
    }
    Ok(found)
}

fn text(found: &Found, external: &Labels) -> String {
    // A series without an instance says so, or the scraper would put its own there.
    let mut attached: BTreeMap<&str, &str> = external.iter().map(|l| (l.name, l.value)).collect();
    attached.entry("instance").or_insert("");
    let mut encoder = Encoder::new(Format::Text);
    for (name, series) in found {
        let mut written = None;
        for (labels, (time, newest)) in series {
            let metric_type = newest.metric_type();
            if written.replace(metric_type) != Some(metric_type) {
                encoder.family(&Family { name, metric_type, ..Family::default() });
            }
            let own = labels.iter().filter(|l| l.name != METRIC_NAME).map(|l| (l.name, l.value));
            let missing = attached.iter().filter(|(name, _)| labels.get(name).is_none());
            let all: Vec<(&str, &str)> = own.chain(missing.map(|(name, value)| (*name, *value))).collect();
            let mut put = |name: &str, le: Option<&str>, value: f64| {
                let le = le.map(|le| ("le", le));
                encoder.sample(
                    name,
                    all.iter().copied().chain(le),
                    value,
                    Some(Timestamp::from_millis(*time)),
                );
            };
            match newest {
                Newest::Float(value) => put(name, None, *value),
                Newest::Histogram(histogram) => {
                    put(&format!("{name}_bucket"), Some("+Inf"), histogram.count);
                    put(&format!("{name}_sum"), None, histogram.sum);
                    put(&format!("{name}_count"), None, histogram.count);
                }
            }
        }
    }
    encoder.finish()
}
