//! The Prometheus HTTP API as a mountable axum router.
//!
//! [`Api`] says what stands behind the endpoints: a store that is [`Queryable`](kymo_model::Queryable), an engine, and
//! whatever of targets, rules, remote write and status there is. [`router`] makes the routes of it; an embedder mounts
//! them where it likes, [`serve`] runs them on a listener. Shapes and error types are those of Prometheus 3.14.
//!
//! ```
//! use std::sync::Arc;
//! use kymo_http::{Api, router};
//! use kymo_model::MemoryStore;
//! use kymo_promql::Engine;
//!
//! let api = Api::new(Arc::new(MemoryStore::default()), Engine::default());
//! let app: axum::Router = router(api);
//! ```

#![forbid(unsafe_code)]

mod admin;
mod api;
mod body;
mod clock;
mod cors;
mod error;
mod exemplars;
mod explain;
mod features;
mod federate;
mod gate;
mod json;
mod management;
mod matrix;
mod metadata;
mod mount;
mod notifications;
mod page;
mod params;
mod points;
mod query;
mod read;
mod router;
mod rules;
mod series;
mod serve;
mod status;
mod targets;
mod views;
mod write;

pub use api::{
    Admin, Api, ApiLimits, Control, ControlError, NoControl, RemoteRead, RemoteReadAnswer, RemoteReadError,
    RemoteWrite, RemoteWriteError, Rules, SnapshotTaken, Status, Targets, WebOptions,
};
pub use error::{ApiError, ApiErrorKind};
pub use gate::Gate;
pub use mount::mount;
pub use notifications::Notifications;
pub use params::FORM_BYTES_MAX;
pub use router::router;
pub use serve::{ServeOptions, serve};
pub use views::{
    ActiveTarget, AlertView, BuildInfo, CardinalityStats, DroppedTarget, FeatureGroup, MetadataEntry,
    NameCount, RuleGroupView, RuleKindView, RuleView, RuntimeInfo, TargetHealth, WalReplay,
};
