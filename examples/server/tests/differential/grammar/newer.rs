//! What Prometheus 2.42 does not know: native histograms, and what came later.

use super::{Clock, DURATIONS, Grammar};
use crate::expression::{Expression, Kind};

impl Grammar {
    /// Native histograms.
    pub(super) fn native(&mut self, depth: u32, clock: Clock) -> Expression {
        let name = self.pick(&["nh_latency", "nh_size", "nhcb_latency", "nh_mixed", "nh_latency{job=\"a\"}"]);
        let duration = self.pick(&DURATIONS);
        let series = Expression::new(Kind::Vector).text(name);
        let range = Expression::new(Kind::Range).text(name).text(format!("[{duration}]"));
        let over = self.pick(&[
            "rate",
            "increase",
            "delta",
            "irate",
            "idelta",
            "sum_over_time",
            "avg_over_time",
            "last_over_time",
            "first_over_time",
        ]);
        let histograms = match self.random.below(5) {
            0 => series,
            1 => Expression::new(Kind::Vector)
                .text("sum")
                .option(self.grouping())
                .text("(")
                .child(series)
                .text(")"),
            2 => Expression::new(Kind::Vector)
                .text("avg")
                .option(self.grouping())
                .text("(")
                .child(series)
                .text(")"),
            _ => Expression::new(Kind::Vector).text(over).text("(").child(range).text(")"),
        };
        let vector = Expression::new(Kind::Vector);
        match self.random.below(8) {
            0..=2 => {
                let function = self.pick(&[
                    "histogram_count",
                    "histogram_sum",
                    "histogram_avg",
                    "histogram_stddev",
                    "histogram_stdvar",
                ]);
                vector.text(function).text("(").child(histograms).text(")")
            }
            3..=4 => vector
                .text("histogram_quantile(")
                .child(self.scalar(0, clock))
                .text(", ")
                .child(histograms)
                .text(")"),
            5 => {
                let (low, high) = (self.scalar(0, clock), self.scalar(0, clock));
                vector
                    .text("histogram_fraction(")
                    .child(low)
                    .text(", ")
                    .child(high)
                    .text(", ")
                    .child(histograms)
                    .text(")")
            }
            6 if depth > 1 => {
                let operator = self.pick(&[" + ", " - ", " == ", " != ", " * "]);
                let right = self.native(depth - 1, clock);
                Expression::operation(Kind::Vector).operand(histograms).text(operator).operand(right)
            }
            _ => histograms,
        }
    }

    /// What came after 2.42.
    pub(super) fn newer(&mut self, depth: u32, clock: Clock) -> Expression {
        let vector = Expression::new(Kind::Vector);
        match self.random.below(5) {
            0 => {
                let operator = self.pick(&["limitk", "limit_ratio"]);
                let size = if operator == "limitk" { "2, " } else { "0.4, " };
                let grouping = self.grouping();
                vector
                    .text(operator)
                    .option(grouping)
                    .text("(")
                    .text(size)
                    .child(self.vector(depth - 1, clock))
                    .text(")")
            }
            1 => vector
                .text("sort_by_label(")
                .child(self.vector(depth - 1, clock))
                .text(", \"instance\", \"job\")"),
            2 => {
                let described = match self.random.below(3) {
                    0 => self.selector(),
                    1 => self.vector(depth - 1, clock),
                    // Of two times, mostly.
                    _ => {
                        let mut of = |name: &str| {
                            let place = match self.random.chance(2, 3) {
                                true => format!(" @ {}", self.moment()),
                                false => self.place(),
                            };
                            Expression::new(Kind::Vector).text(name).option(place)
                        };
                        let (one, other) = (of("g_load"), of("g_count"));
                        let operator = self.pick(&[" + ", " or ", " > "]);
                        Expression::operation(Kind::Vector).operand(one).text(operator).operand(other)
                    }
                };
                let metric = self.pick(&["build_info", "machine_info", "machine_info"]);
                vector.text("info(").child(described).text(format!(", {{__name__=\"{metric}\"}})"))
            }
            3 => Expression::operation(Kind::Vector).operand(self.vector(depth - 1, clock)).text(" > 5m"),
            _ => vector
                .text("sum_over_time(")
                .child(Expression::new(Kind::Range).text("g_count[2m * 2]"))
                .text(")"),
        }
    }
}
