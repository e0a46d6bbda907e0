//! Auto-reload (`--enable-feature=auto-reload-config`): the configuration is read again when one of its files has changed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kymo_scrape::config::Config;
use tokio::sync::mpsc;

use super::status::Order;

/// Asks for a reload whenever the files have changed, until nobody listens.
pub(crate) async fn watch(file: PathBuf, interval: Duration, orders: mpsc::UnboundedSender<Order>) {
    let fingerprint = || {
        let file = file.clone();
        async move { tokio::task::spawn_blocking(move || fingerprint(&file)).await.ok() }
    };
    let mut seen = fingerprint().await;
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let now = fingerprint().await;
        if now != seen {
            seen = now;
            tracing::info!(file = %file.display(), "the configuration has changed");
            if orders.send(Order::Reload(std::sync::mpsc::sync_channel(1).0)).is_err() {
                return;
            }
        }
    }
}

/// Of the bytes of the configuration file, and of the files that it names while it can be read.
fn fingerprint(file: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |path: &Path| {
        path.hash(&mut hasher);
        std::fs::read(path).ok().hash(&mut hasher);
    };
    add(file);
    if let Ok(config) = Config::load(file) {
        config.rule_paths().iter().chain(&config.scrape_config_paths()).for_each(|path| add(path));
    }
    hasher.finish()
}
