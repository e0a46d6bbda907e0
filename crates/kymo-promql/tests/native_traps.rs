//! The traps of PromQL that are about native histograms, one test each, numbered as the project's list of them numbers them.
//! The others stand in `traps.rs`.

mod store;

use kymo_model::{CounterResetHint, Timestamp};
use kymo_promql::{Engine, EngineOptions, PointValue, QueryOptions, QueryResult, QueryValue};
use store::loaded;

/// Series under test, a sample each minute.
struct Case(&'static str);

impl Case {
    fn ask(&self, query: &str, minute: i64) -> QueryResult {
        let expr = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything())
            .parse(query)
            .unwrap_or_else(|e| panic!("{query}: {e}"));
        let options = QueryOptions { text: Some(query.into()), ..QueryOptions::default() };
        let engine = Engine::new(EngineOptions { delayed_name_removal: true, ..EngineOptions::default() });
        let store = loaded(&format!("load 1m\n{}", self.0));
        let at = Timestamp::from_millis(minute * 60_000);
        engine.instant(&store, &expr, at, &options).unwrap_or_else(|e| panic!("{query}: {e}"))
    }

    /// The result, and every warning and info without its prefix.
    #[track_caller]
    fn gives(&self, query: &str, minute: i64, expected: &[&str], notes: &[&str]) -> &Case {
        let result = self.ask(query, minute);
        assert_eq!(lines(&result), expected, "{query}");
        let all = result.warnings.iter().chain(&result.infos);
        let told: Vec<&str> = all.map(|text| text.split_once(": ").map_or("", |(_, text)| text)).collect();
        assert_eq!(told, notes, "{query}");
        self
    }
}

/// `labels value`; a histogram as `{count:…, …}` with a letter for its hint.
fn lines(result: &QueryResult) -> Vec<String> {
    let QueryValue::Vector(samples) = &result.value else { panic!("{result:?} is no vector") };
    let value = |value: &PointValue| match value {
        PointValue::Float(value) => value.to_string(),
        PointValue::Histogram(h) => {
            let hint = match h.counter_reset_hint {
                CounterResetHint::Unknown => "",
                CounterResetHint::Reset => " reset",
                CounterResetHint::NotReset => " not reset",
                CounterResetHint::Gauge => " gauge",
            };
            format!("{h}{hint}")
        }
    };
    samples.iter().map(|s| format!("{} {}", s.labels, value(&s.value))).collect()
}

#[test]
fn trap_02_a_stale_sum_ends_a_histogram() {
    // A marker is a float here; the store of the tests cannot write one as a histogram.
    let case =
        Case("h {{schema:0 count:1 sum:1 buckets:[1]}} stale _ {{schema:0 count:2 sum:2 buckets:[2]}}");
    case.gives("h", 0, &["h {count:1, sum:1, (0.5,1]:1}"], &[])
        .gives("h", 1, &[], &[])
        .gives("count_over_time(h[3m])", 2, &["{} 1"], &[])
        .gives("h", 4, &["h {count:2, sum:2, (0.5,1]:2}"], &[]);
}

#[test]
fn trap_05_rates_of_floats_and_histograms_are_dropped() {
    let mix = "encountered a mix of histograms and floats for metric name \"h\"";
    let case = Case("h 1 2 {{schema:0 count:1 sum:1 buckets:[1]}} {{schema:0 count:2 sum:2 buckets:[2]}} 3");
    for function in ["rate", "increase", "delta"] {
        let at = function.len() + 2;
        case.gives(&format!("{function}(h[4m])"), 3, &[], &[&format!("{mix} (1:{at})")]);
    }
    for function in ["irate", "idelta"] {
        let note = format!("{mix} (1:{})", function.len() + 2);
        case.gives(&format!("{function}(h[4m])"), 2, &[], &[&note]).gives(
            &format!("{function}(h[4m])"),
            4,
            &[],
            &[&note],
        );
    }
    case.gives("increase(h[2m])", 3, &["{} {count:2, sum:2, (0.5,1]:2} gauge"], &[])
        .gives("sum_over_time(h[5m])", 4, &[], &[&format!("{mix} (1:15)")])
        .gives("count_over_time(h[5m])", 4, &["{} 5"], &[])
        .gives(
            "max_over_time(h[5m])",
            4,
            &["{} 3"],
            &["ignored histograms in a range containing both floats and histograms for metric name \"h\" (1:15)"],
        );
}

#[test]
fn trap_06_any_bucket_that_drops_is_a_reset() {
    // The count grows and a bucket falls.
    let case =
        Case("h_total {{schema:0 count:3 sum:3 buckets:[3]}} {{schema:0 count:4 sum:4 buckets:[1 3]}}");
    case.gives("resets(h_total[3m])", 1, &["{} 1"], &[]).gives(
        "increase(h_total[2m])",
        1,
        // What the first sample counted is gone, but it says how far back the counter can have begun.
        &["{} {count:7, sum:7, (0.5,1]:1.75, (1,2]:5.25} gauge"],
        &[],
    );
    // Exponential buckets before a reset to custom ones do not matter either.
    Case("h {{schema:0 count:9 buckets:[9]}} {{schema:-53 count:2 custom_values:[5] buckets:[1 1]}}x1")
        .gives("resets(h[5m])", 2, &["{} 1"], &[])
        .gives("increase(h[3m])", 2, &["{} {count:3, sum:0, [-Inf,5]:1.5, (5,+Inf]:1.5} gauge"], &[]);
    Case("h {{schema:-53 count:2 custom_values:[5] buckets:[1 1]}}x1 {{schema:0 count:9 buckets:[9]}}").gives(
        "increase(h[4m])",
        2,
        &[],
        &["vector contains a mix of histograms with exponential and custom buckets schemas for metric name \"h\" (1:10)"],
    );
}

#[test]
fn trap_07_rates_are_gauges_and_deltas_want_them() {
    let case = Case(
        "c {{schema:0 count:1 sum:1 buckets:[1]}} {{schema:0 count:2 sum:2 buckets:[2]}}
         g {{schema:0 count:4 sum:4 buckets:[4] counter_reset_hint:gauge}} {{schema:0 count:2 sum:2 buckets:[2] counter_reset_hint:gauge}}",
    );
    case.gives("idelta(g[2m])", 1, &["{} {count:-2, sum:-2, (0.5,1]:-2} gauge"], &[])
        .gives("irate(c[2m]) * 60", 1, &["{} {count:1, sum:1, (0.5,1]:1} gauge"], &[])
        .gives(
            "idelta(c[2m])",
            1,
            &["{} {count:1, sum:1, (0.5,1]:1} gauge"],
            &["this native histogram metric is not a gauge: \"c\" (1:8)"],
        )
        .gives(
            "increase(g[2m])",
            1,
            &["{} {count:4, sum:4, (0.5,1]:4} gauge"],
            &["this native histogram metric is not a counter: \"g\" (1:10)"],
        );
}

#[test]
fn trap_08_only_rates_that_are_floats_doubt_the_name() {
    Case("h {{schema:0 count:1 sum:1 buckets:[1]}}x1\nf 1 2").gives(
        "count(rate({__name__=~\"h|f\"}[2m]))",
        1,
        &["{} 2"],
        &["metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"f\" (1:12)"],
    );
}

#[test]
fn trap_19_groups_of_both_kinds_are_dropped() {
    let case = Case(
        "m{k=\"a\",n=\"1\"} 1
         m{k=\"a\",n=\"2\"} {{schema:0 count:1 sum:1 buckets:[1]}}
         m{k=\"b\",n=\"1\"} {{schema:0 count:1 sum:1 buckets:[1]}}
         m{k=\"b\",n=\"2\"} {{schema:1 count:2 sum:2 buckets:[1 1]}}
         m{k=\"c\",n=\"1\"} {{schema:-53 count:1 custom_values:[1] buckets:[1]}}
         m{k=\"c\",n=\"2\"} {{schema:0 count:1 buckets:[1]}}
         m{k=\"c\",n=\"3\"} 5",
    );
    let mixed = "encountered a mix of histograms and floats for aggregation";
    let buckets = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name \"m\"";
    // What comes after incompatible buckets is not even looked at: no mix in the group c.
    case.gives(
        "sum by (k) (m)",
        0,
        &["{k=\"b\"} {count:3, sum:3, (0.5,1]:2, (1,2]:1}"],
        &[&format!("{mixed} (1:13)"), &format!("{buckets} (1:13)")],
    );
    case.gives(
        "avg by (k) (m{k!=\"a\"})",
        0,
        &["{k=\"b\"} {count:1.5, sum:1.5, (0.5,1]:1, (1,2]:0.5}"],
        &[&format!("{buckets} (1:13)")],
    );
    case.gives("count by (k) (m)", 0, &["{k=\"a\"} 2", "{k=\"b\"} 2", "{k=\"c\"} 3"], &[])
        .gives("group(m)", 0, &["{} 1"], &[])
        .gives("min(m)", 0, &["{} 1"], &["ignored histogram in min aggregation (1:5)"])
        .gives("stddev(m)", 0, &["{} 2"], &["ignored histogram in stddev aggregation (1:8)"])
        .gives("quantile(1, m)", 0, &["{} 5"], &["ignored histogram in quantile aggregation (1:13)"])
        .gives("topk(1, m)", 0, &["m{k=\"c\", n=\"3\"} 5"], &["ignored histogram in topk aggregation (1:1)"])
        .gives("topk(0, m)", 0, &[], &[]);
    Case("m{n=\"1\"} {{schema:0 count:2 sum:3 z_bucket:1 z_bucket_w:0.5 buckets:[0 0 1]}}\nm{n=\"2\"} 2")
        .gives(
            "count_values(\"v\", m)",
            0,
            &["{v=\"{count:2, sum:3, [-0.5,0.5]:1, (2,4]:1}\"} 1", "{v=\"2\"} 1"],
            &[],
        );
}

#[test]
fn trap_38_classic_and_native_under_one_name_give_nothing() {
    let case = Case(
        "h {{schema:0 count:4 sum:4 buckets:[4]}}x1
         h{le=\"1\"} 1 _ _
         h{le=\"+Inf\"} 2 _ _
         h{le=\"2\",k=\"v\"} {{schema:0 count:4 sum:4 buckets:[0 4]}}",
    );
    let conflict = "vector contains a mix of classic and native histograms for metric name \"h\"";
    // A histogram with an le label is one by itself.
    case.gives("histogram_quantile(1, h)", 0, &["{k=\"v\", le=\"2\"} 2"], &[&format!("{conflict} (1:23)")]);
    case.gives("histogram_fraction(0, 1, h{le=\"\"})", 0, &["{} 1"], &[]);
    case.gives("histogram_quantile(1, h{k=\"\"})", 5, &["{} 1"], &[]);
    case.gives(
        "histogram_quantiles(h{le=\"\"}, \"q\", 1, 0.5)",
        0,
        &["{q=\"1.0\"} 1", "{q=\"0.5\"} 0.7071067811865476"],
        &[],
    );
}

#[test]
fn trap_39_quantiles_follow_the_kind_of_bucket() {
    let case = Case(
        "exponential {{schema:0 count:4 sum:4 offset:1 buckets:[4]}}
         zero {{schema:0 count:4 sum:4 z_bucket:4 z_bucket_w:1}}
         custom {{schema:-53 count:4 sum:4 custom_values:[1 3] buckets:[0 4]}}
         nans {{schema:0 count:4 sum:NaN buckets:[2]}}",
    );
    case.gives("histogram_quantile(0.5, exponential)", 0, &["{} 1.4142135623730951"], &[])
        .gives("histogram_quantile(0.75, zero)", 0, &["{} 0.5"], &[])
        .gives("histogram_quantile(0.5, custom)", 0, &["{} 2"], &[])
        .gives(
            "histogram_quantile(0.75, nans)",
            0,
            &["{} NaN"],
            &["input to histogram_quantile has NaN observations, result is NaN for metric name \"nans\" (1:26)"],
        )
        .gives(
            "histogram_quantile(0.25, nans)",
            0,
            &["{} 0.7071067811865476"],
            &["input to histogram_quantile has NaN observations, result is skewed higher for metric name \"nans\" (1:26)"],
        )
        .gives(
            "histogram_fraction(0, 1, nans)",
            0,
            &["{} 0.5"],
            &["input to histogram_fraction has NaN observations, which are excluded from all fractions for metric name \"nans\" (1:26)"],
        );
}

#[test]
fn trap_40_histograms_are_equal_or_not_and_nothing_else() {
    let case = Case(
        "a {{schema:0 count:1 sum:1 buckets:[1]}}
         b {{schema:0 count:1 sum:1 buckets:[1]}}
         c {{schema:0 count:2 sum:1 buckets:[2]}}
         f 1",
    );
    let refused = |left: &str, op: &str, right: &str| {
        format!(
            "incompatible sample types encountered for binary operator \"{op}\": {left} {op} {right} (1:1)"
        )
    };
    case.gives("a == b", 0, &["a {count:1, sum:1, (0.5,1]:1}"], &[])
        .gives("a == bool c", 0, &["{} 0"], &[])
        .gives("a != c", 0, &["a {count:1, sum:1, (0.5,1]:1}"], &[]);
    for op in ["<", ">=", "^", "%", "atan2", "*", "/", "</"] {
        case.gives(&format!("a {op} b"), 0, &[], &[&refused("histogram", op, "histogram")]);
    }
    for op in ["+", "-", "==", ">", "^"] {
        case.gives(&format!("a {op} f"), 0, &[], &[&refused("histogram", op, "float")])
            .gives(&format!("f {op} a"), 0, &[], &[&refused("float", op, "histogram")])
            .gives(&format!("a {op} 1"), 0, &[], &[&refused("histogram", op, "float")]);
    }
    case.gives("a > bool 1", 0, &[], &[&refused("histogram", ">", "float")])
        .gives("1 / a", 0, &[], &[&refused("float", "/", "histogram")])
        .gives("f >/ 1", 0, &[], &[&refused("float", ">/", "float")])
        .gives("c * 0.5 == a", 0, &[], &[])
        .gives("2 * f * a", 0, &["{} {count:2, sum:2, (0.5,1]:2}"], &[]);
}

#[test]
fn trap_41_differences_and_negative_multiples_are_gauges() {
    let case = Case(
        "a {{schema:0 count:3 sum:3 buckets:[3] counter_reset_hint:not_reset}}
         b {{schema:0 count:1 sum:1 buckets:[1] counter_reset_hint:not_reset}}
         r {{schema:0 count:1 sum:1 buckets:[1] counter_reset_hint:reset}}
         n {{schema:-53 count:2 sum:2 custom_values:[1 2] buckets:[1 1]}}
         m {{schema:-53 count:1 sum:1 custom_values:[2] buckets:[1]}}",
    );
    case.gives("a - b", 0, &["{} {count:2, sum:2, (0.5,1]:2} gauge"], &[])
        .gives("a + b", 0, &["{} {count:4, sum:4, (0.5,1]:4} not reset"], &[])
        .gives("b * -1", 0, &["{} {count:-1, sum:-1, (0.5,1]:-1} gauge"], &[])
        .gives("-b", 0, &["{} {count:-1, sum:-1, (0.5,1]:-1} gauge"], &[])
        .gives("b / 2", 0, &["{} {count:0.5, sum:0.5, (0.5,1]:0.5} not reset"], &[])
        .gives("a + r", 0, &[], &["conflicting counter resets during histogram addition (1:1)"])
        .gives(
            "n + m",
            0,
            &["{} {count:3, sum:3, [-Inf,2]:3}"],
            &["mismatched custom buckets were reconciled during addition (1:1)"],
        )
        .gives("n - a", 0, &[], &["incompatible bucket layout encountered for binary operator - (1:1)"]);
}

#[test]
fn trap_48_a_change_of_kind_is_a_change_and_a_reset() {
    let case =
        Case("m 1 {{schema:0 count:1 sum:1 buckets:[1]}}x1 {{schema:0 count:1 sum:2 buckets:[1]}} 5 5");
    case.gives("changes(m[10m])", 5, &["{} 3"], &[]).gives("resets(m[10m])", 5, &["{} 2"], &[]);
}
