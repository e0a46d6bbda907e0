//! `/metadata`: targets first, then what the database keeps.

use std::sync::Arc;

use axum::http::StatusCode;
use kymo_model::{FamilyMetadata, Labels, Metadata, MetadataQueryable, MetricType, StoreError};
use serde_json::json;

use crate::client::{api, get_from};

/// Knows what two families are.
struct Told;

impl MetadataQueryable for Told {
    fn metadata(&self, metric: Option<&str>) -> Result<Vec<FamilyMetadata>, StoreError> {
        let family = |name: &str| FamilyMetadata {
            name: name.to_owned(),
            metadata: Metadata { metric_type: MetricType::Gauge, unit: "s".into(), help: "stored".into() },
        };
        let all = ["gone_seconds", "here_seconds"].map(family);
        Ok(all.into_iter().filter(|family| metric.is_none_or(|name| name == family.name)).collect())
    }
}

/// A target that knows what one of them is.
struct OneTarget;

impl kymo_http::Targets for OneTarget {
    fn active(&self) -> Vec<kymo_http::ActiveTarget> {
        Vec::new()
    }
    fn dropped(&self) -> Vec<kymo_http::DroppedTarget> {
        Vec::new()
    }
    fn dropped_counts(&self) -> Vec<(String, usize)> {
        Vec::new()
    }
    fn pools(&self) -> Vec<String> {
        Vec::new()
    }
    fn metadata(&self, metric: Option<&str>) -> Vec<kymo_http::MetadataEntry> {
        let entry = kymo_http::MetadataEntry {
            target: Labels::from_pairs([("job", "x")]),
            metric: "here_seconds".to_owned(),
            metadata: Metadata { metric_type: MetricType::Counter, unit: "s".into(), help: "scraped".into() },
        };
        Some(entry).into_iter().filter(|entry| metric.is_none_or(|name| name == entry.metric)).collect()
    }
}

#[tokio::test]
async fn metadata_of_targets_comes_first() {
    let here = json!([{"type": "counter", "unit": "s", "help": "scraped"}]);
    let gone = json!([{"type": "gauge", "unit": "s", "help": "stored"}]);
    for (query, expected) in [
        ("", json!({"gone_seconds": gone, "here_seconds": here})),
        ("?metric=gone_seconds", json!({"gone_seconds": gone})),
        ("?metric=here_seconds", json!({"here_seconds": here})),
        ("?limit=1", json!({"here_seconds": here})),
        ("?limit=0", json!({})),
        ("?metric=none", json!({})),
    ] {
        let api = api().targets(Arc::new(OneTarget)).metadata(Arc::new(Told));
        let (status, answer) = get_from(api, &format!("/api/v1/metadata{query}")).await;
        assert_eq!((status, &answer["data"]), (StatusCode::OK, &expected), "{query}");
    }
    let api = api().targets(Arc::new(OneTarget)).metadata(Arc::new(Told));
    let (_, answer) = get_from(api, "/api/v1/targets/metadata?metric=gone_seconds").await;
    assert_eq!(answer["data"], json!([]));
}
