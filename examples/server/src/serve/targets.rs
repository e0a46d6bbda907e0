//! The scrape manager as the API shows it.

use std::sync::Arc;

use kymo_http::{ActiveTarget, DroppedTarget, MetadataEntry, TargetHealth};
use kymo_scrape::{Health, ManagerStats, ScrapeManager};

/// Targets and their metadata, for the API.
pub(crate) struct ScrapeView {
    pub(crate) manager: Arc<ScrapeManager>,
}

impl ScrapeView {
    pub(crate) fn stats(&self) -> ManagerStats {
        self.manager.stats()
    }
}

impl kymo_http::Targets for ScrapeView {
    fn active(&self) -> Vec<ActiveTarget> {
        let view = |target: kymo_scrape::ActiveTarget| ActiveTarget {
            discovered_labels: target.discovered_labels,
            labels: target.labels,
            scrape_pool: target.scrape_pool,
            scrape_url: target.scrape_url,
            global_url: target.global_url,
            last_error: target.last_error,
            last_scrape: target.last_scrape,
            last_scrape_duration_seconds: target.last_scrape_duration_seconds,
            health: match target.health {
                Health::Up => TargetHealth::Up,
                Health::Down => TargetHealth::Down,
                Health::Unknown => TargetHealth::Unknown,
            },
            scrape_interval_ms: target.scrape_interval_ms,
            scrape_timeout_ms: target.scrape_timeout_ms,
        };
        self.manager.targets().active.into_iter().map(view).collect()
    }

    fn dropped(&self) -> Vec<DroppedTarget> {
        let view = |target: kymo_scrape::DroppedTarget| DroppedTarget {
            discovered_labels: target.discovered_labels,
            scrape_pool: target.scrape_pool,
        };
        self.manager.targets().dropped.into_iter().map(view).collect()
    }

    fn dropped_counts(&self) -> Vec<(String, usize)> {
        self.manager.targets().dropped_counts.into_iter().collect()
    }

    fn pools(&self) -> Vec<String> {
        self.manager.targets().pools
    }

    fn metadata(&self, metric: Option<&str>) -> Vec<MetadataEntry> {
        let mut found = Vec::new();
        for target in self.manager.metadata() {
            let wanted = target.entries.iter().filter(|entry| metric.is_none_or(|name| name == entry.metric));
            found.extend(wanted.map(|entry| MetadataEntry {
                target: target.labels.clone(),
                metric: entry.metric.clone(),
                metadata: entry.metadata.clone(),
            }));
        }
        found
    }
}
