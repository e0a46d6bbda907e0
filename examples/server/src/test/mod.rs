//! `kymo test`: unit tests of rules as promtool runs them, and promqltest scripts.

mod promql;
mod rules;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Arguments of `kymo test`.
#[derive(Args)]
pub(crate) struct TestArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Unit tests for rules.
    Rules(rules::RulesArgs),
    /// Scripts of the promqltest language.
    Promql(promql::PromqlArgs),
}

/// Runs `kymo test`.
pub(crate) fn run(args: TestArgs) -> ExitCode {
    match args.what {
        What::Rules(args) => rules::run(&args),
        What::Promql(args) => promql::run(&args),
    }
    .into()
}
