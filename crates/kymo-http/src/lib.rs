//! The Prometheus HTTP API as a mountable axum router.
