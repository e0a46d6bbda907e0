//! Targets, service discovery, scrape loops, staleness.
