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
//! Nobody is asked for `timestamp(x @ t offset d)`, of which every version of Prometheus ignores the offset, nor for powers of
//! numbers, nor for `count_values` of computed values, which depend on the library of mathematics.

use kymo_testkit::Random;

use crate::dataset::BEGIN_MS;
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

    /// Mostly a number.
    fn parameter(&mut self, clock: Clock) -> Expression {
        let depth = u32::from(self.whole && self.random.chance(1, 4));
        self.scalar(depth, clock)
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

    /// A selector, now and then of another time.
    fn selector(&mut self) -> Expression {
        let (name, matchers) = self.series();
        let selector = Expression::new(Kind::Vector).text(name).option(matchers);
        let place = self.place();
        selector.option(place)
    }

    fn series(&mut self) -> (&'static str, &'static str) {
        let names: &[(&str, &[&str])] = &[
            ("g_load", &["", "{job=\"a\"}", "{instance!=\"1\"}", "{instance=~\"[01]\", job=\"b\"}"]),
            ("g_count", &["", "{job!~\"a|c\"}", "{instance=\"2\"}"]),
            (
                "c_requests_total",
                &["", "{code=\"500\"}", "{job=\"a\", instance!~\"2.*\"}", "{code=~\"2..\"}"],
            ),
            ("c_slow_total", &["", "{job=\"a\"}"]),
            ("h_latency_bucket", &["", "{job=\"a\"}", "{le!=\"+Inf\"}"]),
            ("odd", &["", "{kind=\"nan\"}", "{kind=~\"inf.*\"}", "{kind=\"zero\"}"]),
            ("gappy", &["", "{kind=\"rare\"}", "{kind!=\"late\"}"]),
            ("stopping", &[""]),
            ("strange", &["", "{label=\"\"}", "{label=~\".+\"}"]),
            ("build_info", &["", "{version=\"1.0\"}"]),
            ("g_single", &[""]),
            ("g_moment", &[""]),
            ("", &["{__name__=~\"g_.*\"}", "{job=\"a\", __name__!~\"h_.*|nh.*\"}", "{kind=\"once\"}"]),
            ("nothing_at_all", &["", "{job=\"a\"}"]),
        ];
        let native: &[(&str, &[&str])] = &[
            ("nh_latency", &["", "{job=\"a\"}"]),
            ("nh_size", &[""]),
            ("nhcb_latency", &[""]),
            ("nh_mixed", &[""]),
        ];
        let (name, matchers) =
            if self.whole && self.random.chance(1, 4) { self.pick(native) } else { self.pick(names) };
        (name, self.pick(matchers))
    }

    /// `offset` and `@`, mostly none.
    fn place(&mut self) -> String {
        match self.random.below(16) {
            0 => self.pick(&[" offset 30s", " offset 5m", " offset -1m", " offset 1m30s"]).to_owned(),
            1 => format!(" @ {}", self.moment()),
            2 => self.pick(&[" @ start()", " @ end()"]).to_owned(),
            3 => format!(" @ {} offset 2m", self.moment()),
            _ => String::new(),
        }
    }

    /// Half a second past a full one.
    fn moment(&mut self) -> String {
        format!("{}.5", BEGIN_MS / 1000 + 60 * self.random.below(50) as i64)
    }

    fn grouping(&mut self) -> String {
        let labels =
            ["", "job", "instance", "code", "job, instance", "kind", "job, code", "le, job", "nothing"];
        match self.random.below(5) {
            0..=1 => String::new(),
            2 => format!(" without ({})", self.pick(&labels)),
            _ => format!(" by ({})", self.pick(&labels)),
        }
    }

    fn aggregation(&mut self, depth: u32, clock: Clock) -> Expression {
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
            "quantile" => vector.child(self.parameter(clock)).text(", "),
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
    fn finite(&mut self) -> Expression {
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

    fn top(&mut self, depth: u32, clock: Clock) -> Expression {
        let operator = self.pick(&["topk", "bottomk"]);
        let k = match self.random.below(4) {
            0 if self.whole => self.scalar(1, clock),
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

    fn map(&mut self, depth: u32, clock: Clock) -> Expression {
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

    fn over_time(&mut self, depth: u32, clock: Clock) -> Expression {
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

    /// A range of a selector or a subquery.
    fn range(&mut self, depth: u32, clock: Clock, of: Of) -> Expression {
        let range = Expression::new(Kind::Range);
        let duration = self.pick(&DURATIONS);
        if depth <= 1 || of == Of::Stored || self.random.chance(2, 3) {
            let (name, matchers) = match of == Of::Counters {
                true => self.pick(&[
                    ("c_requests_total", ""),
                    ("c_requests_total", "{code=\"200\"}"),
                    ("c_slow_total", ""),
                ]),
                false => self.series(),
            };
            let range = range.text(name).option(matchers).text(format!("[{duration}]"));
            let extended = self.whole && self.random.chance(1, 12);
            let range = if extended { range.option(self.pick(&[" anchored", " smoothed"])) } else { range };
            return if of == Of::Passing { range } else { range.option(self.place()) };
        }
        let input = if of == Of::Counters { self.counter() } else { self.vector(depth - 1, Clock::Full) };
        let step = self.pick(&STEPS);
        // Windows without a step are evaluated in part, and then there are errors that nobody asked for.
        let duration = if DURATIONS[..2].contains(&duration) { "2m" } else { duration };
        let range = range.operand(input).text(format!("[{duration}:{step}]"));
        match (clock, self.random.below(6)) {
            (Clock::Half, 0) => range.option(" offset 1m"),
            (Clock::Full, 0) => range.text(" offset 1m500ms"),
            (Clock::Full, 1..) => range.text(" offset 500ms"),
            (_, 1) if of != Of::Passing => {
                let moment = self.moment();
                range.option(format!(" @ {moment}"))
            }
            _ => range,
        }
    }

    /// Rises and is not reset.
    fn counter(&mut self) -> Expression {
        Expression::new(Kind::Vector).text(self.pick(&[
            "h_latency_count",
            "c_slow_total{job=\"a\"}",
            "h_latency_bucket",
        ]))
    }

    fn quantile_of_buckets(&mut self, depth: u32, clock: Clock) -> Expression {
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

    fn operator(&mut self) -> String {
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

    fn binary(&mut self, depth: u32, clock: Clock) -> Expression {
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

    fn with_number(&mut self, depth: u32, clock: Clock) -> Expression {
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

    fn set(&mut self, depth: u32, clock: Clock) -> Expression {
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

    fn labels(&mut self, depth: u32, clock: Clock) -> Expression {
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

    fn rest(&mut self, depth: u32, clock: Clock) -> Expression {
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

    /// Native histograms.
    fn native(&mut self, depth: u32, clock: Clock) -> Expression {
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
    fn newer(&mut self, depth: u32, clock: Clock) -> Expression {
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
            2 => vector.text("info(").child(self.selector()).text(", {__name__=\"build_info\"})"),
            3 => Expression::operation(Kind::Vector).operand(self.vector(depth - 1, clock)).text(" > 5m"),
            _ => vector
                .text("sum_over_time(")
                .child(Expression::new(Kind::Range).text("g_count[2m * 2]"))
                .text(")"),
        }
    }
}
