//! The traps of PromQL, one test each, numbered as the project's list of them numbers them. Those about native histograms
//! (5 to 8, 19, 38 to 41) stand in `native_traps.rs`. One file for the rest, long as it is: the list is looked up by number.

mod store;

use kymo_model::{MemoryStore, Timestamp};
use kymo_promql::{
    Engine, EngineOptions, MatrixSeries, QueryError, QueryOptions, QueryResult, QueryValue, VectorSample,
};
use store::loaded;

/// Series under test and the options of the engine.
struct Case {
    store: MemoryStore,
    options: EngineOptions,
}

/// Loads series with a sample each minute.
fn load(series: &str) -> Case {
    Case { store: loaded(&format!("load 1m\n{series}")), options: EngineOptions::default() }
}

impl Case {
    fn instant(&self, query: &str, seconds: i64) -> Result<QueryResult, QueryError> {
        let options = QueryOptions { text: Some(query.into()), ..QueryOptions::default() };
        let at = Timestamp::from_millis(seconds * 1000);
        Engine::new(self.options.clone()).instant(&self.store, &parse(query), at, &options)
    }

    fn range(&self, query: &str, minutes: (i64, i64)) -> Result<QueryResult, QueryError> {
        let options = QueryOptions { text: Some(query.into()), ..QueryOptions::default() };
        let [start, end] = [minutes.0, minutes.1].map(|m| Timestamp::from_millis(m * 60_000));
        Engine::new(self.options.clone()).range(&self.store, &parse(query), start, end, 60_000, &options)
    }

    /// The result at some second, in its order.
    #[track_caller]
    fn gives(&self, query: &str, seconds: i64, expected: &[&str]) -> &Case {
        let result = self.instant(query, seconds).unwrap_or_else(|e| panic!("{query}: {e}"));
        assert_eq!(lines(&result), expected, "{query}");
        self
    }

    /// The result at each minute, sorted by labels.
    #[track_caller]
    fn gives_each_minute(&self, query: &str, minutes: (i64, i64), expected: &[&str]) -> &Case {
        let result = self.range(query, minutes).unwrap_or_else(|e| panic!("{query}: {e}"));
        assert_eq!(lines(&result), expected, "{query}");
        self
    }

    #[track_caller]
    fn fails(&self, query: &str, seconds: i64, message: &str) -> &Case {
        let error = self.instant(query, seconds).expect_err(query);
        assert_eq!(error.message, message, "{query}");
        self
    }
}

fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything())
        .parse(text)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// `labels value` of a vector, `labels value@minute …` of a matrix, or the number.
fn lines(result: &QueryResult) -> Vec<String> {
    let sample = |s: &VectorSample| match s.value.float() {
        Some(value) => format!("{} {value}", s.labels),
        None => format!("{} histogram", s.labels),
    };
    let series = |s: &MatrixSeries| {
        let points = s.floats.iter().map(|(t, v)| format!("{v}@{}", t / 60_000));
        format!("{} {}", s.labels, points.collect::<Vec<_>>().join(" "))
    };
    match &result.value {
        QueryValue::Scalar { value, .. } => vec![value.to_string()],
        QueryValue::String { value, .. } => vec![format!("{value:?}")],
        QueryValue::Vector(samples) => samples.iter().map(sample).collect(),
        QueryValue::Matrix(all) => all.iter().map(series).collect(),
    }
}

const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

#[test]
fn trap_01_ranges_are_left_open() {
    load("m 0 1 2 3")
        .gives("count_over_time(m[2m])", 180, &["{} 2"])
        .gives("m[2m]", 180, &["m 2@2 3@3"])
        .gives("count_over_time(m[2m1ms])", 180, &["{} 3"])
        .gives("m", 180 + 299, &["m 3"])
        .gives("m", 180 + 300, &[]);
}

#[test]
fn trap_02_staleness_is_one_nan_alone() {
    load("gone 1 stale\nodd 1 NaN")
        .gives("gone", 60, &[])
        .gives("odd", 60, &["odd NaN"])
        .gives("gone[5m]", 60, &["gone 1@0"])
        .gives("odd[5m]", 60, &["odd 1@0 NaN@1"]);
}

#[test]
fn trap_03_extrapolation_goes_half_a_gap_then_to_zero() {
    load("high_total _ _ _ 100 160 220\nlow_total _ _ _ 10 70 130\nnear_total _ _ _ 1000 1060 1120")
        // Eight minutes of nothing: half a gap is added.
        .gives("increase(high_total[10m])", 300, &["{} 150"])
        // But not beyond where the counter would have been zero.
        .gives("increase(low_total[10m])", 300, &["{} 130"])
        // A minute and five seconds are still within reach of a gap of one minute.
        .gives("increase(near_total[185s])", 300, &["{} 185"]);
}

#[test]
fn trap_04_one_sample_has_no_rate() {
    load("m_total 0 60")
        .gives("rate(m_total[1m])", 60, &[])
        .gives("increase(m_total[61s])", 60, &["{} 60"])
        .gives("idelta(m_total[1m])", 60, &[]);
}

#[test]
fn trap_09_irate_after_a_reset_is_the_last_value() {
    load("m_total 100 30").gives("irate(m_total[5m])", 60, &["{} 0.5"]).gives(
        "idelta(m_total[5m])",
        60,
        &["{} -70"],
    );
}

#[test]
fn trap_10_sums_are_compensated_until_infinity() {
    load("m{n=\"1\"} 1e100\nm{n=\"2\"} 1\nm{n=\"3\"} -1e100").gives("sum(m)", 0, &["{} 1"]).gives(
        "sum_over_time(vector(time() - 1)[2m:1m])",
        60,
        &["{} 58"],
    );
    load("m{n=\"1\"} 1e308\nm{n=\"2\"} 1e308\nm{n=\"3\"} 1").gives("sum(m)", 0, &["{} inf"]);
    load("m 1e100 1 -1e100").gives("sum_over_time(m[5m])", 120, &["{} 1"]);
}

#[test]
fn trap_11_an_average_does_not_overflow() {
    load("m{n=\"1\"} 1.5e308\nm{n=\"2\"} 1.5e308\nm{n=\"3\"} 1.5e308").gives(
        "avg(m) / 1e308",
        0,
        &["{} 1.5"],
    );
    load("m 1.5e308 1.5e308 1.5e308").gives("avg_over_time(m[5m]) / 1e308", 120, &["{} 1.5"]);
    load("m 0.1 0.2 0.3").gives("avg_over_time(m[5m])", 120, &["{} 0.2"]);
}

#[test]
fn trap_12_only_variances_over_time_are_compensated() {
    load("m{n=\"1\"} 100000000.1\nm{n=\"2\"} 100000000.3\nm{n=\"3\"} 100000000.7").gives(
        "stdvar(m)",
        0,
        &["{} 0.06222222622897896"],
    );
    load("m 100000000.1 100000000.3 100000000.7").gives(
        "stdvar_over_time(m[5m])",
        120,
        &["{} 0.06222222374545202"],
    );
    load("m Inf").gives("stddev(m)", 0, &["{} NaN"]).gives("stddev_over_time(m[5m])", 0, &["{} NaN"]);
}

#[test]
fn trap_13_any_number_beats_nan() {
    let case = load("m{n=\"1\"} NaN\nm{n=\"2\"} 3\nm{n=\"3\"} NaN\nonly NaN\nover NaN 3 NaN");
    for function in ["min", "max"] {
        case.gives(&format!("{function}(m)"), 0, &["{} 3"])
            .gives(&format!("{function}(only)"), 0, &["{} NaN"])
            .gives(&format!("{function}_over_time(over[5m])"), 120, &["{} 3"])
            .gives(&format!("{function}_over_time(only[5m])"), 120, &["{} NaN"]);
    }
}

#[test]
fn trap_14_quantiles_weigh_both_neighbours() {
    load("m{n=\"1\"} 1\nm{n=\"2\"} 2\nm{n=\"3\"} 4\nm{n=\"4\"} 8")
        .gives("quantile(0.25, m)", 0, &["{} 1.75"])
        .gives("quantile(-0.1, m)", 0, &["{} -inf"])
        .gives("quantile(1.1, m)", 0, &["{} inf"]);
    // Infinity times a weight of zero is not zero.
    load("m{n=\"1\"} 1\nm{n=\"2\"} Inf").gives("quantile(0, m)", 0, &["{} NaN"]).gives(
        "quantile(0.5, m)",
        0,
        &["{} inf"],
    );
    load("m{n=\"1\"} NaN\nm{n=\"2\"} 1").gives("quantile(1, m)", 0, &["{} 1"]).gives(
        "quantile(0, m)",
        0,
        &["{} NaN"],
    );
}

#[test]
fn trap_15_topk_takes_nan_last_and_the_first_of_equals() {
    load("m{n=\"1\"} NaN\nm{n=\"2\"} 5\nm{n=\"3\"} 5\nm{n=\"4\"} 1")
        .gives("topk(1, m)", 0, &["m{n=\"2\"} 5"])
        .gives("topk(1.9, m)", 0, &["m{n=\"2\"} 5"])
        .gives("bottomk(3, m)", 0, &["m{n=\"4\"} 1", "m{n=\"2\"} 5", "m{n=\"3\"} 5"])
        .gives("topk(4, m)", 0, &["m{n=\"3\"} 5", "m{n=\"2\"} 5", "m{n=\"4\"} 1", "m{n=\"1\"} NaN"])
        .gives("topk(0.5, m)", 0, &[])
        .gives("topk(-1, m)", 0, &[])
        .fails("topk(NaN, m)", 0, "Parameter value is NaN")
        .fails("bottomk(1e19, m)", 0, "Scalar value 1e+19 overflows int64");
}

#[test]
fn trap_16_topk_chooses_at_every_step() {
    load("m{n=\"1\"} 1 2 3\nm{n=\"2\"} 3 2 1")
        .gives_each_minute("topk(1, m)", (0, 2), &["m{n=\"1\"} 2@1 3@2", "m{n=\"2\"} 3@0"])
        .gives_each_minute(
            "topk(scalar(m{n=\"1\"}) - 1, m)",
            (0, 2),
            &["m{n=\"1\"} 2@1 3@2", "m{n=\"2\"} 1@2"],
        );
    load("m{g=\"b\", n=\"1\"} 1\nm{g=\"b\", n=\"2\"} 9\nm{g=\"a\", n=\"3\"} 4\nm{g=\"a\", n=\"4\"} 5").gives(
        "topk by (g) (2, m)",
        0,
        &["m{g=\"a\", n=\"4\"} 5", "m{g=\"a\", n=\"3\"} 4", "m{g=\"b\", n=\"2\"} 9", "m{g=\"b\", n=\"1\"} 1"],
    );
}

#[test]
fn trap_17_limit_ratio_follows_prometheus_hash_of_labels() {
    // Hashes of `\x08__name__\x01m\x01i\x010` and so on as fractions of all: 0.18, 0.33, 0.26, 0.19, 0.56, 0.72, 0.2+, 0.71.
    let case = load(&(0..8).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect::<String>());
    let series = |of: &[usize]| of.iter().map(|i| format!("m{{i=\"{i}\"}} {i}")).collect::<Vec<_>>();
    let check = |ratio: &str, expected: &[usize]| {
        let expected = series(expected);
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        case.gives(&format!("limit_ratio({ratio}, m)"), 0, &expected);
    };
    check("0.2", &[0, 3]);
    check("-0.8", &[1, 2, 4, 5, 6, 7]);
    check("0.3", &[0, 2, 3, 6]);
    check("-0.3", &[5, 7]);
    check("1", &[0, 1, 2, 3, 4, 5, 6, 7]);
    check("-2", &[0, 1, 2, 3, 4, 5, 6, 7]);
    check("0", &[]);
    case.fails("limit_ratio(NaN, m)", 0, "Ratio value is NaN");
}

#[test]
fn trap_18_count_values_writes_no_exponents() {
    load("m{n=\"1\"} 1e-7\nm{n=\"2\"} 1e21\nm{n=\"3\"} 0.30000000000000004\nm{n=\"4\"} Inf\nm{n=\"5\"} NaN")
        .gives(
            "sort_by_label(count_values(\"v\", m), \"v\")",
            0,
            &[
                "{v=\"+Inf\"} 1",
                "{v=\"0.0000001\"} 1",
                "{v=\"0.30000000000000004\"} 1",
                "{v=\"1000000000000000000000\"} 1",
                "{v=\"NaN\"} 1",
            ],
        );
}

#[test]
fn trap_20_duplicates_on_the_one_side_matter_unmatched() {
    let case = load("many{k=\"a\"} 1\none{k=\"b\", n=\"1\"} 1\none{k=\"b\", n=\"2\"} 1");
    let message = |side| {
        format!(
            "found duplicate series for the match group {{k=\"b\"}} on the {side} hand-side of the operation: \
             [{{__name__=\"one\", k=\"b\", n=\"1\"}}, {{__name__=\"one\", k=\"b\", n=\"2\"}}];many-to-many matching not \
             allowed: matching labels must be unique on one side"
        )
    };
    case.fails("many + on (k) one", 0, &message("right"))
        .fails("one + on (k) group_right many", 0, &message("left"))
        .gives("nothing + on (k) one", 0, &[]);
}

#[test]
fn trap_21_group_left_judges_before_the_comparison_filters() {
    load("many{k=\"a\", n=\"1\"} 1\nmany{k=\"a\", n=\"2\"} 1\none{k=\"a\"} 5")
        .fails(
            "many > on (k) group_left (n) one",
            0,
            "multiple matches for labels: grouping labels must ensure unique matches",
        )
        .gives("many > on (k) group_left one", 0, &[]);
}

#[test]
fn trap_22_a_label_that_the_one_side_lacks_is_deleted() {
    load("many{k=\"a\", owner=\"me\"} 1\none{k=\"a\"} 5").gives(
        "many * on (k) group_left (owner) one",
        0,
        &["{k=\"a\"} 5"],
    );
}

#[test]
fn trap_23_one_to_one_with_on_keeps_those_labels_alone() {
    load("a{k=\"1\", x=\"1\"} 5\nb{k=\"1\", y=\"1\"} 5")
        .gives("a == on (k) b", 0, &["{k=\"1\"} 5"])
        .gives("a == ignoring (x, y) b", 0, &["a{k=\"1\"} 5"])
        .gives("a == on (k) group_left b", 0, &["a{k=\"1\", x=\"1\"} 5"]);
}

#[test]
fn trap_24_a_scalar_on_the_left_gives_the_value_of_the_vector() {
    load("m 5").gives("1 < m", 0, &["m 5"]).gives("m > 1", 0, &["m 5"]).gives("1 < bool m", 0, &["{} 1"]);
}

#[test]
fn trap_25_matching_ignores_the_name() {
    load("a{k=\"1\"} 1\nb{k=\"1\"} 2")
        .gives("a + b", 0, &["{k=\"1\"} 3"])
        .gives("a + on (__name__) b", 0, &[])
        .gives("a + on (__name__) a", 0, &["{} 2"])
        .gives("a and b", 0, &["a{k=\"1\"} 1"]);
}

#[test]
fn trap_26_set_operators_are_decided_at_every_step() {
    load("a 1 1 1\nb 2 stale 2")
        .gives_each_minute("a and b", (0, 2), &["a 1@0 1@2"])
        .gives_each_minute("a unless b", (0, 2), &["a 1@1"])
        .gives_each_minute("b or a", (0, 2), &["a 1@1", "b 2@0 2@2"]);
}

#[test]
fn trap_27_minus_drops_the_name_and_plus_does_not() {
    load("m 1").gives("-m", 0, &["{} -1"]).gives("+m", 0, &["m 1"]);
}

#[test]
fn trap_28_first_and_last_keep_the_name() {
    load("m 1 2")
        .gives("first_over_time(m[5m])", 60, &["m 1"])
        .gives("last_over_time(m[5m])", 60, &["m 2"])
        .gives("max_over_time(m[5m])", 60, &["{} 2"]);
}

#[test]
fn trap_29_label_replace_gives_a_new_name() {
    let query = "label_replace(-m, \"__name__\", \"minus_$1\", \"k\", \"(.*)\")";
    let mut case = load("m{k=\"a\"} 1");
    case.gives(query, 0, &["minus_a{k=\"a\"} -1"]);
    case.options.delayed_name_removal = true;
    case.gives(query, 0, &["minus_a{k=\"a\"} -1"]).gives(
        "label_replace(-m, \"k\", \"b\", \"\", \"\")",
        0,
        &["{k=\"b\"} -1"],
    );
}

#[test]
fn trap_30_equal_labels_merge_only_apart_in_time() {
    let drop = "label_replace(m, \"n\", \"\", \"\", \"\")";
    load("m{n=\"1\"} 1 stale\nm{n=\"2\"} _ 2").gives_each_minute(drop, (0, 1), &["m 1@0 2@1"]);
    let case = load("m{n=\"1\"} 1 1\nm{n=\"2\"} _ 2");
    case.gives(drop, 0, &["m 1"]).fails(drop, 60, SAME_LABELSET);
    assert_eq!(case.range(drop, (0, 1)).unwrap_err().message, SAME_LABELSET);
}

#[test]
fn trap_31_regexes_are_whole_and_expand_as_go_does() {
    load("m{k=\"a-b\", long=\"x\\ny\"} 1")
        .gives("m{k=~\"a\"}", 0, &[])
        .gives("count(m{long=~\"x.y\"})", 0, &["{} 1"])
        .gives(
            "sum by (to) (label_replace(m, \"to\", \"$2.${1}x\", \"k\", \"(.)-(.)\"))",
            0,
            &["{to=\"b.ax\"} 1"],
        )
        // A group that is not there is empty, also `$1x`, which names the group `1x`.
        .gives("sum by (to) (label_replace(m, \"to\", \"$1x-$3\", \"k\", \"(.)-(.)\"))", 0, &["{to=\"-\"} 1"])
        .gives("sum by (to) (label_replace(m, \"to\", \"$1\", \"k\", \"(.)\"))", 0, &["{} 1"])
        .gives("count by (k) (label_replace(m, \"k\", \"\", \"\", \"\"))", 0, &["{} 1"]);
}

#[test]
fn trap_32_a_missing_label_is_empty() {
    load("m 1\nm{k=\"a\"} 2\nother 3")
        .gives("m{k=\"\"}", 0, &["m 1"])
        .gives("m{k!=\"a\"}", 0, &["m 1"])
        .gives("m{k=~\"a|\"} * 0 + 1", 0, &["{} 1", "{k=\"a\"} 1"])
        .gives("m + on (k) other", 0, &["{} 4"])
        .gives("sum by (k, nothing) (m)", 0, &["{} 1", "{k=\"a\"} 2"]);
}

#[test]
fn trap_33_absent_knows_the_labels_of_lone_equalities() {
    load("m 1")
        .gives("absent(x{a=\"1\", b!=\"2\", c=~\"3\"})", 0, &["{a=\"1\"} 1"])
        .gives("absent(x{a=\"1\", a=\"2\", d=\"4\"})", 0, &["{d=\"4\"} 1"])
        .gives("absent(x{a=\"1\", a=~\".*\"})", 0, &["{} 1"])
        .gives("absent(sum(x{a=\"1\"}))", 0, &["{} 1"])
        .gives("absent(m)", 0, &[]);
}

#[test]
fn trap_34_absent_over_time_is_one_series() {
    load("m{n=\"1\"} 1 _ _ 1\nm{n=\"2\"} _ 1")
        .gives_each_minute("absent_over_time(m{n=~\".+\"}[1m])", (0, 4), &["{} 1@2 1@4"])
        .gives_each_minute("absent_over_time(m{n=\"9\"}[1m])", (0, 1), &["{n=\"9\"} 1@0 1@1"]);
}

#[test]
fn trap_35_sort_is_for_instants() {
    let case = load("m{n=\"1\"} NaN 1\nm{n=\"2\"} 5 1\nm{n=\"3\"} 3 1");
    case.gives("sort(m)", 0, &["m{n=\"3\"} 3", "m{n=\"2\"} 5", "m{n=\"1\"} NaN"]).gives(
        "sort_desc(m)",
        0,
        &["m{n=\"2\"} 5", "m{n=\"3\"} 3", "m{n=\"1\"} NaN"],
    );
    for function in ["sort(m)", "sort_desc(m)", "sort_by_label(m, \"n\")", "sort_by_label_desc(m, \"n\")"] {
        let result = case.range(function, (0, 1)).unwrap();
        assert_eq!(lines(&result)[0], "m{n=\"1\"} NaN@0 1@1", "{function}");
        assert_eq!(
            result.warnings,
            [
                "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)"
            ]
        );
        assert!(case.instant(function, 0).unwrap().warnings.is_empty());
    }
}

#[test]
fn trap_36_sort_by_label_counts_as_people_do() {
    load("m{c=\"cpu10\", r=\"a\"} 1\nm{c=\"cpu9\", r=\"b\"} 2\nm{c=\"cpu9\", r=\"a\"} 3\nm{r=\"z\"} 4")
        .gives(
            "sort_by_label(m, \"c\")",
            0,
            &[
                "m{r=\"z\"} 4",
                "m{c=\"cpu9\", r=\"a\"} 3",
                "m{c=\"cpu9\", r=\"b\"} 2",
                "m{c=\"cpu10\", r=\"a\"} 1",
            ],
        )
        .gives(
            "sort_by_label_desc(m, \"r\", \"c\")",
            0,
            &[
                "m{r=\"z\"} 4",
                "m{c=\"cpu9\", r=\"b\"} 2",
                "m{c=\"cpu10\", r=\"a\"} 1",
                "m{c=\"cpu9\", r=\"a\"} 3",
            ],
        );
}

#[test]
fn trap_37_classic_quantiles_repair_their_buckets() {
    let quantile = "histogram_quantile(0.5, b)";
    // No +Inf, no answer.
    load("b{le=\"1\"} 5\nb{le=\"2\"} 10").gives(quantile, 0, &["{} NaN"]);
    // Equal bounds that are written differently are one bucket.
    load("b{le=\"1\"} 2\nb{le=\"1.0\"} 3\nb{le=\"+Inf\"} 10").gives(quantile, 0, &["{} 1"]);
    // A name is part of the group.
    load("b{le=\"1\"} 5\nb{le=\"+Inf\"} 10\nc{le=\"1\"} 5\nc{le=\"+Inf\"} 10").fails(
        "histogram_quantile(0.5, {__name__=~\"b|c\"})",
        0,
        SAME_LABELSET,
    );
    // What rounding does is nobody's business; a real decrease is repaired and told.
    let rounded =
        load("b{le=\"1\"} 5\nb{le=\"2\"} 4.9999999999999\nb{le=\"+Inf\"} 10").instant(quantile, 0).unwrap();
    assert!(rounded.infos.is_empty());
    let repaired = load("b{le=\"1\"} 6\nb{le=\"2\"} 4\nb{le=\"+Inf\"} 10").instant(quantile, 0).unwrap();
    assert_eq!(lines(&repaired), ["{} 0.8333333333333334"]);
    assert!(repaired.infos[0].contains("needed to be fixed for monotonicity"), "{:?}", repaired.infos);
}

#[test]
fn trap_42_clamp_the_wrong_way_and_ties_of_round() {
    load("m{n=\"1\"} 2.5\nm{n=\"2\"} -2.5")
        .gives("clamp(m, 3, 1)", 0, &[])
        .gives("clamp(m, -1, 1)", 0, &["{n=\"1\"} 1", "{n=\"2\"} -1"])
        .gives("clamp(m, NaN, 1)", 0, &["{n=\"1\"} NaN", "{n=\"2\"} NaN"])
        .gives("round(m)", 0, &["{n=\"1\"} 3", "{n=\"2\"} -2"])
        .gives("round(m, 5)", 0, &["{n=\"1\"} 5", "{n=\"2\"} 0"]);
}

#[test]
fn trap_43_remainders_have_the_sign_of_the_dividend() {
    load("m -5").gives("m % 3", 0, &["{} -2"]).gives("5 % -3", 0, &["2"]).gives("0755", 0, &["493"]).gives(
        "0x1F",
        0,
        &["31"],
    );
}

#[test]
fn trap_44_subqueries_stand_on_the_epoch() {
    load("m 0 1 2 3")
        .gives("m[2m:45s]", 150, &["m 0@0 1@1 2@2"])
        .gives("count_over_time(vector(1)[2m:45s])", 150, &["{} 3"])
        // The step that is not written is the engine's, not that of the query.
        .gives_each_minute("count_over_time(vector(1)[5m:])", (10, 11), &["{} 5@10 5@11"]);
    let mut case = load("m 0");
    case.options.subquery_step_ms = 30_000;
    case.gives("count_over_time(vector(1)[5m:])", 600, &["{} 10"]);
}

#[test]
fn trap_45_start_and_end_are_those_of_the_whole_query() {
    load("m 0 1 2 3 4 5")
        .gives_each_minute("m @ start() + 10 * m @ end()", (1, 3), &["{} 31@1 31@2 31@3"])
        .gives_each_minute("sum_over_time((m @ end())[2m:1m])", (1, 3), &["{} 6@1 6@2 6@3"])
        .gives("m @ start() + m @ end()", 120, &["{} 4"]);
}

#[test]
fn trap_46_predict_linear_starts_now() {
    load("m 0+60x20")
        .gives("predict_linear(m[5m], 60)", 600, &["{} 660"])
        .gives("predict_linear(m[5m] offset 5m, 0)", 600, &["{} 600"])
        .gives("deriv(m[5m])", 600, &["{} 1"]);
}

#[test]
fn trap_47_timestamp_sees_samples_of_selectors_alone() {
    load("m 1 2")
        .gives("timestamp(m)", 90, &["{} 60"])
        .gives("timestamp((m))", 90, &["{} 60"])
        .gives("timestamp(m * 1)", 90, &["{} 90"])
        .gives("timestamp(m offset 1m)", 90, &["{} 0"]);
}

#[test]
fn trap_48_changes_between_nans_are_none() {
    load("m 1 NaN NaN 1 1").gives("changes(m[10m])", 240, &["{} 2"]).gives("resets(m[10m])", 240, &["{} 0"]);
    // Between a float and a histogram there is always one.
    load("m 1 {{count:1}} {{count:1}} 2").gives("changes(m[10m])", 180, &["{} 2"]).gives(
        "resets(m[10m])",
        180,
        &["{} 2"],
    );
}

#[test]
fn trap_49_only_range_results_are_sorted() {
    load("a{k=\"1\"} 1\nb{k=\"2\"} 2")
        .gives("b or a", 0, &["b{k=\"2\"} 2", "a{k=\"1\"} 1"])
        .gives_each_minute("b or a", (0, 0), &["a{k=\"1\"} 1@0", "b{k=\"2\"} 2@0"]);
}

#[test]
fn trap_50_strings_are_bytes() {
    load("m 1").gives("\"\\xff\"", 0, &["[255]"]).gives("'a\\u00e9'", 0, &["[97, 195, 169]"]).gives(
        "`\\n`",
        0,
        &["[92, 110]"],
    );
}
