//! The `kymo` binary: flags, config file, threads, wall clock, listening sockets. Thin on purpose.
//!
//! Where Prometheus or promtool has a word for something, this uses the same word and flag, so that scripts carry over.

#![forbid(unsafe_code)]

mod check;
mod language;
mod output;
mod progress;
mod query;
mod serve;
mod test;
mod tsdb;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Prometheus, as a program made of libraries: scrapes, stores, answers PromQL, evaluates rules.
#[derive(Parser)]
#[command(name = "kymo", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: scrape, store, evaluate rules, answer over HTTP. Without a configuration it scrapes itself.
    Serve(Box<serve::ServeArgs>),
    /// Ask a server that speaks the Prometheus HTTP API.
    Query(query::QueryArgs),
    /// Check files and expressions.
    Check(check::CheckArgs),
    /// Run unit tests of rules, or promqltest scripts.
    Test(test::TestArgs),
    /// Look into a data directory.
    Tsdb(tsdb::TsdbArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
        Command::Query(args) => query::run(args),
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Tsdb(args) => tsdb::run(args),
    }
}
