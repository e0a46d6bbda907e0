//! Runs promqltest scripts against any PromQL engine behind a trait.
