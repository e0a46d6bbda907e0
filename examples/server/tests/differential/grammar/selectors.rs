//! Selectors, ranges and subqueries, and the times they are of.

use super::{Clock, DURATIONS, Grammar, Of, STEPS};
use crate::dataset::BEGIN_MS;
use crate::expression::{Expression, Kind};

impl Grammar {
    /// A selector, now and then of another time.
    pub(super) fn selector(&mut self) -> Expression {
        let (name, matchers) = self.series();
        let selector = Expression::new(Kind::Vector).text(name).option(matchers);
        let place = self.place();
        selector.option(place)
    }

    pub(super) fn series(&mut self) -> (&'static str, &'static str) {
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
    pub(super) fn place(&mut self) -> String {
        match self.random.below(16) {
            0 => self.pick(&[" offset 30s", " offset 5m", " offset -1m", " offset 1m30s"]).to_owned(),
            1 => format!(" @ {}", self.moment()),
            2 => self.pick(&[" @ start()", " @ end()"]).to_owned(),
            3 => format!(" @ {} offset 2m", self.moment()),
            _ => String::new(),
        }
    }

    /// Half a second past a full one.
    pub(super) fn moment(&mut self) -> String {
        format!("{}.5", BEGIN_MS / 1000 + 60 * self.random.below(50) as i64)
    }

    /// A range of a selector or a subquery.
    pub(super) fn range(&mut self, depth: u32, clock: Clock, of: Of) -> Expression {
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
    pub(super) fn counter(&mut self) -> Expression {
        Expression::new(Kind::Vector).text(self.pick(&[
            "h_latency_count",
            "c_slow_total{job=\"a\"}",
            "h_latency_bucket",
        ]))
    }
}
