//! Functions of vectors, of ranges, of buckets and of labels.

use super::{Clock, Grammar, Of};
use crate::expression::{Expression, Kind};

impl Grammar {
    pub(super) fn map(&mut self, depth: u32, clock: Clock) -> Expression {
        const PLAIN: [&str; 42] = [
            "abs",
            "ceil",
            "floor",
            "exp",
            "sqrt",
            "ln",
            "log2",
            "log10",
            "sgn",
            "deg",
            "rad",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "acosh",
            "atanh",
            "timestamp",
            "minute",
            "hour",
            "month",
            "year",
            "day_of_month",
            "day_of_week",
            "day_of_year",
            "days_in_month",
            "round",
            "sort",
            "sort_desc",
            "abs",
            "ceil",
            "floor",
            "round",
            "sgn",
            "absent",
            "-",
        ];
        let vector = Expression::new(Kind::Vector);
        match self.random.below(10) {
            0 => vector
                .text("round(")
                .child(self.vector(depth - 1, clock))
                .text(self.pick(&[", 5)", ", 0.1)", ", 0)", ", -3)"])),
            1 => {
                let function = self.pick(&["clamp_min(", "clamp_max("]);
                let input = self.vector(depth - 1, clock);
                vector.text(function).child(input).text(", ").child(self.scalar(1, clock)).text(")")
            }
            2 => {
                let input = self.vector(depth - 1, clock);
                let low = self.scalar(1, clock);
                vector
                    .text("clamp(")
                    .child(input)
                    .text(", ")
                    .child(low)
                    .text(", ")
                    .child(self.scalar(1, clock))
                    .text(")")
            }
            _ => match self.pick(&PLAIN) {
                "-" => {
                    let input = if self.whole { self.vector(depth - 1, clock) } else { self.finite() };
                    Expression::operation(Kind::Vector).text("-").operand(input)
                }
                function => vector.text(function).text("(").child(self.vector(depth - 1, clock)).text(")"),
            },
        }
    }

    pub(super) fn over_time(&mut self, depth: u32, clock: Clock) -> Expression {
        const FUNCTIONS: [&str; 22] = [
            "avg_over_time",
            "min_over_time",
            "max_over_time",
            "sum_over_time",
            "count_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "last_over_time",
            "present_over_time",
            "absent_over_time",
            "quantile_over_time",
            "irate",
            "idelta",
            "delta",
            "deriv",
            "changes",
            "resets",
            "predict_linear",
            "rate",
            "increase",
            "rate",
            "increase",
        ];
        const NEWER: [&str; 8] = [
            "mad_over_time",
            "first_over_time",
            "ts_of_min_over_time",
            "ts_of_max_over_time",
            "ts_of_first_over_time",
            "ts_of_last_over_time",
            "double_exponential_smoothing",
            "rate",
        ];
        let function =
            if self.whole && self.random.chance(1, 4) { self.pick(&NEWER) } else { self.pick(&FUNCTIONS) };
        let vector = Expression::new(Kind::Vector).text(function).text("(");
        match function {
            "rate" | "increase" => {
                vector.child(self.range(depth, clock, if self.whole { Of::Anything } else { Of::Counters }))
            }
            "quantile_over_time" => {
                let q = self.parameter(clock);
                let of = if self.whole { Of::Anything } else { Of::Passing };
                vector.child(q).text(", ").child(self.range(depth, clock, of))
            }
            "changes" | "resets" => vector.child(self.range(depth, clock, Of::Stored)),
            "predict_linear" => {
                let of = if self.whole { Of::Anything } else { Of::Passing };
                let range = self.range(depth, clock, of);
                vector.child(range).text(self.pick(&[", 1", ", 60", ", -7.25", ", 3600"]))
            }
            "double_exponential_smoothing" => {
                vector.child(self.range(depth, clock, Of::Anything)).text(", 0.3, 0.6")
            }
            _ => vector.child(self.range(depth, clock, Of::Anything)),
        }
        .text(")")
    }

    pub(super) fn quantile_of_buckets(&mut self, depth: u32, clock: Clock) -> Expression {
        let q = self.parameter(clock);
        let vector = Expression::new(Kind::Vector).text("histogram_quantile(").child(q).text(", ");
        let buckets = match self.random.below(6) {
            0 => Expression::new(Kind::Vector).text("h_latency_bucket"),
            1 => Expression::new(Kind::Vector).text("h_odd_bucket"),
            2 => Expression::new(Kind::Vector)
                .text("rate(")
                .child(Expression::new(Kind::Range).text("h_latency_bucket[5m]"))
                .text(")"),
            3 => Expression::new(Kind::Vector)
                .text("sum by (le) (")
                .child(Expression::new(Kind::Vector).text("h_latency_bucket"))
                .text(")"),
            4 => Expression::new(Kind::Vector)
                .text("increase(")
                .child(Expression::new(Kind::Range).text("h_latency_bucket[10m]"))
                .text(")"),
            _ => self.vector(depth - 1, clock),
        };
        vector.child(buckets).text(")")
    }

    pub(super) fn labels(&mut self, depth: u32, clock: Clock) -> Expression {
        let input = self.vector(depth - 1, clock);
        let arguments = self.pick(&[
            ("label_replace(", ", \"x\", \"$1-$0\", \"instance\", \"(.)\")"),
            ("label_replace(", ", \"job\", \"${1}\", \"job\", \"(?:a|b)(.*)\")"),
            ("label_replace(", ", \"x\", \"fixed\", \"nothing\", \"\")"),
            ("label_replace(", ", \"x\", \"$2\", \"code\", \"([0-9])(.*)\")"),
            ("label_replace(", ", \"instance\", \"\", \"instance\", \"1\")"),
            ("label_replace(", ", \"__name__\", \"new_$1\", \"__name__\", \"(.*)\")"),
            ("label_join(", ", \"x\", \"-\", \"job\", \"instance\")"),
            ("label_join(", ", \"job\", \"\", \"nothing\")"),
            ("label_join(", ", \"y\", \",\")"),
        ]);
        Expression::new(Kind::Vector).text(arguments.0).child(input).text(arguments.1)
    }

    pub(super) fn rest(&mut self, depth: u32, clock: Clock) -> Expression {
        let vector = Expression::new(Kind::Vector);
        match self.random.below(5) {
            0..=1 => vector.text("vector(").child(self.scalar(depth - 1, clock)).text(")"),
            2 => vector.text("absent(").child(self.vector(depth - 1, clock)).text(")"),
            3 => vector.text(self.pick(&["minute()", "day_of_week()", "days_in_month()", "year()"])),
            _ => {
                let (name, matchers) = self.series();
                let place = self.pick(&["", "", " @ start()", " offset 1m30s"]);
                let series = Expression::new(Kind::Vector).text(name).option(matchers).option(place);
                vector.text("timestamp(").child(series).text(")")
            }
        }
    }
}
