//! Aggregations.

use super::{Clock, Grammar};
use crate::expression::{Expression, Kind};

impl Grammar {
    pub(super) fn grouping(&mut self) -> String {
        let labels =
            ["", "job", "instance", "code", "job, instance", "kind", "job, code", "le, job", "nothing"];
        match self.random.below(5) {
            0..=1 => String::new(),
            2 => format!(" without ({})", self.pick(&labels)),
            _ => format!(" by ({})", self.pick(&labels)),
        }
    }

    pub(super) fn aggregation(&mut self, depth: u32, clock: Clock) -> Expression {
        let operator = self.pick(&[
            "sum",
            "avg",
            "min",
            "max",
            "count",
            "group",
            "stddev",
            "stdvar",
            "quantile",
            "count_values",
        ]);
        let vector = Expression::new(Kind::Vector).text(operator).option(self.grouping()).text("(");
        let vector = match operator {
            "quantile" if self.whole && self.random.chance(1, 4) => vector.child(self.told(clock)).text(", "),
            "quantile" => vector.text(self.number()).text(", "),
            "count_values" => vector.text(self.pick(&["\"value\", ", "\"job\", ", "\"__name__\", "])),
            _ => vector,
        };
        let input = match operator {
            "stddev" | "stdvar" if !self.whole => self.finite(),
            // It writes all digits of a value, also those that another library of mathematics makes.
            "count_values" => self.selector(),
            _ => self.vector(depth - 1, clock),
        };
        vector.child(input).text(")")
    }

    /// A vector of distinct finite values.
    pub(super) fn finite(&mut self) -> Expression {
        let name = self.pick(&["g_load", "c_requests_total", "g_load{job=\"a\"}"]);
        let inner = Expression::new(Kind::Vector).text(name).option(self.place());
        match self.random.below(3) {
            0 => Expression::new(Kind::Vector)
                .text("exp(")
                .child(Expression::operation(Kind::Vector).child(inner).text(" / 100"))
                .text(")"),
            1 => Expression::new(Kind::Vector)
                .text("avg_over_time(")
                .child(Expression::new(Kind::Range).text(name).text("[5m]"))
                .text(")"),
            _ => inner,
        }
    }

    pub(super) fn top(&mut self, depth: u32, clock: Clock) -> Expression {
        let operator = self.pick(&["topk", "bottomk"]);
        let k = match self.random.below(4) {
            0 if self.whole => self.told(clock),
            _ => {
                Expression::new(Kind::Scalar).text(self.pick(&["0", "1", "2", "3", "5", "100", "-1", "NaN"]))
            }
        };
        let input = if self.whole { self.vector(depth - 1, clock) } else { self.finite() };
        Expression::new(Kind::Vector)
            .text(operator)
            .option(self.grouping())
            .text("(")
            .child(k)
            .text(", ")
            .child(input)
            .text(")")
    }
}
