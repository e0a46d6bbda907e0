//! Exposition formats: Prometheus text and OpenMetrics text, bytes to samples, zero-copy.
