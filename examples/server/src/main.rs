//! The `kymo` binary: flags, config file, threads, wall clock, listening sockets. Thin on purpose.

fn main() {}
