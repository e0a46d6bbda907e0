//! The grammar: random expressions that make sense on the dataset more often than not.
//!
//! Prometheus 2.42 gets the language that it knows, without what means something else since:
//!
//! - `holt_winters` and what came later: `sort_by_label`, `mad_over_time`, `limitk`, `info`, native histograms, …
//! - `topk`, `bottomk` of values that may be equal: which of them stay changed in 2.44. They get distinct ones.
//! - `rate` and `increase` of what is no counter: the order of the rules of extrapolation changed, see the dataset.
//! - Variance over series of infinities and NaN, which became NaN.
//! - `predict_linear` and `quantile_over_time` with `@`: their windows moved along with the steps.
//! - Parameters of aggregations and `quantile_over_time` other than numbers: with `@` in them they moved along, too.
//! - Unary minus of series that differ in their name only: points at different times made a conflict.
//! - `topk` and `bottomk` of nothing that a 64-bit integer holds: below 1 is enough since to give back nothing.
//! - Comparisons that filter, of vectors that may hold several series for one: those filtered away made no conflict.
//! - `atan2` of vectors: it kept the metric name.
//! - A subquery's first step never lies on the left end of its window, which 3.0 left out: see [`Clock`].
//!
//! Nobody is asked for `timestamp(x @ t offset d)`, of which every version of Prometheus ignores the offset, nor for `@` in
//! parameters of aggregations, which moves along in version 3, too, nor for powers of numbers, nor for `count_values` of
//! computed values, which depend on the library of mathematics.

mod aggregations;
mod functions;
mod newer;
mod operators;
mod selectors;

use kymo_testkit::Random;

use crate::expression::{Expression, Kind};

/// Makes expressions.
pub(crate) struct Grammar {
    random: Random,
    /// The whole language, or that of Prometheus 2.42?
    whole: bool,
}

/// When an expression is evaluated. Queries are asked half a second past a full one, and steps of subqueries are full seconds,
/// so windows of subqueries begin between steps unless they are within subqueries, where half a second must be added.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    Half,
    Full,
}

/// What a range is asked of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Anything,
    Counters,
    /// Anything without `@`.
    Passing,
    /// Samples as they are stored, of which it is certain which are equal.
    Stored,
}

const DURATIONS: [&str; 7] = ["40s", "1m", "2m", "5m", "7m30s", "10m", "1h"];
const STEPS: [&str; 6] = ["", "10s", "15s", "30s", "1m", "97s"];
const LABELS: [&str; 7] = ["job", "instance", "code", "kind", "le", "version", "nothing"];

impl Grammar {
    pub(crate) fn new(seed: u64, whole: bool) -> Grammar {
        Grammar { random: Random::new(seed), whole }
    }

    /// A query.
    pub(crate) fn query(&mut self) -> Expression {
        let depth = 1 + self.random.below(4) as u32;
        match self.random.below(12) {
            0 => self.scalar(depth, Clock::Half),
            _ => self.vector(depth, Clock::Half),
        }
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    fn scalar(&mut self, depth: u32, clock: Clock) -> Expression {
        let scalar = || Expression::new(Kind::Scalar);
        if depth == 0 {
            return scalar().text(self.number());
        }
        match self.random.below(9) {
            0 => scalar().text("time()"),
            1 => scalar().text("pi()"),
            2 => scalar().text("scalar(").child(self.vector(depth - 1, clock)).text(")"),
            3 => {
                let operator = self.pick(&[
                    " + ",
                    " - ",
                    " * ",
                    " / ",
                    " % ",
                    " ^ ",
                    " > bool ",
                    " == bool ",
                    " <= bool ",
                ]);
                let left = self.scalar(depth - 1, clock);
                Expression::operation(Kind::Scalar)
                    .operand(left)
                    .text(operator)
                    .operand(self.scalar(depth - 1, clock))
            }
            4 => Expression::operation(Kind::Scalar).text("-").operand(self.scalar(depth - 1, clock)),
            _ => scalar().text(self.number()),
        }
    }

    /// Mostly a number; no power, of which notes would tell all digits.
    fn parameter(&mut self, clock: Clock) -> Expression {
        let depth = u32::from(self.whole && self.random.chance(1, 4));
        loop {
            let scalar = self.scalar(depth, clock);
            if !scalar.to_string().contains('^') {
                return scalar;
            }
        }
    }

    /// What an aggregation is told: without `@`, too.
    fn told(&mut self, clock: Clock) -> Expression {
        loop {
            let scalar = self.scalar(1, clock);
            if !scalar.to_string().contains(['@', '^']) {
                return scalar;
            }
        }
    }

    fn number(&mut self) -> &'static str {
        self.pick(&[
            "0", "1", "2", "3", "0.5", "0.9", "1.5", "10", "100", "-1", "-7.25", "1e3", "0x1F", "NaN", "Inf",
            "-Inf",
        ])
    }

    fn vector(&mut self, depth: u32, clock: Clock) -> Expression {
        if depth == 0 {
            return self.selector();
        }
        match self.random.below(if self.whole { 24 } else { 20 }) {
            0..=1 => self.selector(),
            2..=4 => self.aggregation(depth, clock),
            5 => self.top(depth, clock),
            6..=7 => self.map(depth, clock),
            8..=11 => self.over_time(depth, clock),
            12 => self.quantile_of_buckets(depth, clock),
            13..=15 => self.binary(depth, clock),
            16 => self.with_number(depth, clock),
            17 => self.set(depth, clock),
            18 => self.labels(depth, clock),
            19 => self.rest(depth, clock),
            20..=21 => self.native(depth, clock),
            _ => self.newer(depth, clock),
        }
    }
}
