//! Benchmarks live in the files beside this folder; this library holds the data they share.
