//! Operators between vectors, with numbers, and of sets.

use super::{Clock, Grammar, LABELS};
use crate::expression::{Expression, Kind};

impl Grammar {
    pub(super) fn operator(&mut self) -> String {
        let arithmetic = [" + ", " - ", " * ", " / ", " % "];
        let comparison = [" == ", " != ", " > ", " < ", " >= ", " <= "];
        match self.random.below(4) {
            0 => self.pick(&comparison).to_owned(),
            1 => format!("{}bool ", self.pick(&comparison)),
            2 if self.whole && self.random.chance(1, 4) => self.pick(&[" </ ", " >/ "]).to_owned(),
            3 if self.whole && self.random.chance(1, 8) => " atan2 ".to_owned(),
            _ => self.pick(&arithmetic).to_owned(),
        }
    }

    pub(super) fn binary(&mut self, depth: u32, clock: Clock) -> Expression {
        let mut operator = self.operator();
        let vector = |text: &str| Expression::new(Kind::Vector).text(text);
        let (left, matching, right) = match self.random.below(6) {
            // The same series on both sides.
            0 => {
                let (name, matchers) = self.series();
                let left = Expression::new(Kind::Vector).text(name).option(matchers);
                (left, String::new(), Expression::new(Kind::Vector).text(name).option(" offset 1m"))
            }
            1 => (
                vector("g_load"),
                self.pick(&["", "on (job, instance) ", "ignoring (nothing) "]).to_owned(),
                vector("g_count"),
            ),
            // Many to one.
            2 => {
                let include = self.pick(&["", "version", "nothing"]);
                let left =
                    self.pick(&["g_load", "c_requests_total", "g_count", "rate(c_requests_total[5m])"]);
                (vector(left), format!("on (job) group_left ({include}) "), vector("build_info"))
            }
            3 => {
                let whole = Expression::new(Kind::Vector)
                    .text("sum without (code) (")
                    .child(vector("c_requests_total"))
                    .text(")");
                if self.random.chance(1, 2) {
                    (vector("c_requests_total"), "ignoring (code) group_left ".to_owned(), whole)
                } else {
                    (whole, "ignoring (code) group_right ".to_owned(), vector("c_requests_total"))
                }
            }
            _ => {
                let left = self.vector(depth - 1, clock);
                let matching = match self.random.below(4) {
                    0 => format!("on ({}) ", self.pick(&LABELS)),
                    1 => format!("ignoring ({}) ", self.pick(&LABELS)),
                    _ => String::new(),
                };
                if !self.whole && operator.contains(['=', '<', '>']) && !operator.contains("bool") {
                    operator.push_str("bool ");
                }
                (left, matching, self.vector(depth - 1, clock))
            }
        };
        let fill = match self.whole && self.random.chance(1, 8) {
            true => self.pick(&["fill (0) ", "fill_left (3) ", "fill_right (NaN) "]),
            false => "",
        };
        Expression::operation(Kind::Vector)
            .operand(left)
            .text(operator)
            .option(matching)
            .option(fill)
            .operand(right)
    }

    pub(super) fn with_number(&mut self, depth: u32, clock: Clock) -> Expression {
        let operator = self.operator();
        let operator = if self.random.chance(1, 8) { " ^ ".to_owned() } else { operator };
        let vector = self.vector(depth - 1, clock);
        let number = match operator.as_str() {
            // Larger ones leave nothing of the last bits in which libraries of mathematics differ.
            " ^ " => Expression::new(Kind::Scalar)
                .text(self.pick(&["2", "0.5", "3", "-1", "0", "Inf", "-Inf", "NaN"])),
            _ => self.scalar(1, clock),
        };
        let operation = Expression::operation(Kind::Vector);
        match self.random.chance(1, 3) {
            true if operator != " ^ " => operation.operand(number).text(operator).operand(vector),
            _ => operation.operand(vector).text(operator).operand(number),
        }
    }

    pub(super) fn set(&mut self, depth: u32, clock: Clock) -> Expression {
        let operator = self.pick(&[" and ", " or ", " unless "]);
        let matching = match self.random.below(4) {
            0 => format!("on ({}) ", self.pick(&LABELS)),
            1 => format!("ignoring ({}) ", self.pick(&LABELS)),
            _ => String::new(),
        };
        let left = self.vector(depth - 1, clock);
        let right = self.vector(depth - 1, clock);
        Expression::operation(Kind::Vector).operand(left).text(operator).option(matching).operand(right)
    }
}
