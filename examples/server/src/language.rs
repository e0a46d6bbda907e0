//! Features: the parts of PromQL that Prometheus hides behind `--enable-feature`, by Prometheus' names. The same for the
//! server and for the checkers.

use clap::{Args, ValueEnum};
use kymo_promql_syntax::{ParseOptions, Parser};

/// What checkers of expressions and rules ask about the language.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LanguageArgs {
    /// Allow parts of the language that Prometheus hides behind flags.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FEATURE")]
    enable_feature: Vec<Feature>,
}

impl LanguageArgs {
    /// The parser that allows them.
    pub(crate) fn parser(&self) -> Parser {
        parser(&self.enable_feature)
    }
}

/// A part of the language behind a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Feature {
    /// Experimental functions and aggregations.
    #[value(name = "promql-experimental-functions")]
    ExperimentalFunctions,
    /// The modifiers anchored and smoothed.
    #[value(name = "promql-extended-range-selectors")]
    ExtendedRangeSelectors,
    /// The modifiers fill, fill_left and fill_right.
    #[value(name = "promql-binop-fill-modifiers")]
    BinopFillModifiers,
}

/// A parser that allows what is enabled.
pub(crate) fn parser(features: &[Feature]) -> Parser {
    let mut options = ParseOptions::default();
    for feature in features {
        match feature {
            Feature::ExperimentalFunctions => options.experimental_functions = true,
            Feature::ExtendedRangeSelectors => options.extended_range_selectors = true,
            Feature::BinopFillModifiers => options.fill_modifiers = true,
        }
    }
    Parser::new(options)
}
