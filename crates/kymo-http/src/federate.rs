//! `/federate`: the newest value of chosen series as exposition text, for another Prometheus to scrape.
//!
//! Source: Prometheus `web/federate.go`: one untyped family per metric name, `instance` always present (empty when the
//! series has none), stale series left out, explicit timestamps.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kymo_exposition::{Encoder, Family, Format};
use kymo_model::{
    Labels, METRIC_NAME, Matcher, Queryable, Samples, Selector, TimeRange, Timestamp, Values, is_stale,
};

use crate::api::Api;
use crate::error::ApiError;
use crate::params::Params;

pub(crate) async fn federate(State(api): State<Api>, params: Params) -> Response {
    let sets = match params.matcher_sets() {
        Ok(sets) => sets,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string() + "\n").into_response(),
    };
    let end = crate::query::now();
    let start = end.saturating_add_ms(-api.engine.options().lookback_delta_ms).saturating_add_ms(1);
    let work = move || newest(&*api.store, sets, TimeRange { min: start, max: end });
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(text)) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Ok(Err(error)) => (error.kind.status(), error.to_string() + "\n").into_response(),
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{panic}\n")).into_response(),
    }
}

fn newest(store: &dyn Queryable, sets: Vec<Vec<Matcher>>, range: TimeRange) -> Result<String, ApiError> {
    let mut found: BTreeMap<String, BTreeMap<Labels, (i64, f64)>> = BTreeMap::new();
    let mut samples = Samples::new();
    for matchers in sets {
        for series in store.select(&Selector::new(matchers, range))?.iter() {
            let mut reader = series.reader();
            let mut last = None;
            while reader.read(&mut samples)? {
                last = match &samples.values {
                    Values::Floats(values) => {
                        samples.timestamps_ms.last().copied().zip(values.last().copied())
                    }
                    Values::Histograms(_) => None,
                };
            }
            let labels = series.labels();
            let (Some((time, value)), Some(name)) = (last, labels.metric_name()) else { continue };
            if !is_stale(value) {
                found.entry(name.to_owned()).or_default().insert(labels.clone(), (time, value));
            }
        }
    }
    let mut encoder = Encoder::new(Format::Text);
    for (name, series) in &found {
        encoder.family(&Family { name, ..Family::default() });
        for (labels, (time, value)) in series {
            // A series without an instance says so, or the scraper would put its own there.
            let instance = labels.get("instance").is_none().then_some(("instance", ""));
            let others = labels.iter().filter(|l| l.name != METRIC_NAME).map(|l| (l.name, l.value));
            encoder.sample(name, others.chain(instance), *value, Some(Timestamp::from_millis(*time)));
        }
    }
    Ok(encoder.finish())
}
