//! Targets, service discovery, scrape loops, staleness, and the whole of prometheus.yml.
//!
//! [`config::Config`] reads a prometheus.yml with every fault at its place.

#![forbid(unsafe_code)]

pub mod config;
mod glob;
mod yaml;
