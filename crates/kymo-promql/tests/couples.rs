//! Joins in which every series has one partner hold no side. Answers, notes and errors are those of a join that holds one, which a
//! series without a partner brings about; and no memory is held.

mod store;

use kymo_model::{MemoryStore, Timestamp};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryResult};
use proptest::prelude::*;
use store::loaded;

fn ask(store: &MemoryStore, text: &str, threads: usize) -> Result<QueryResult, kymo_promql::QueryError> {
    let options = EngineOptions { threads, alone_work: 0, ..EngineOptions::default() };
    let expr = kymo_promql_syntax::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let (from, to) = (Timestamp::from_millis(0), Timestamp::from_millis(600_000));
    let query = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
    Engine::new(options).range(store, &expr, from, to, 60_000, &query)
}

fn sample() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (-3i32..9).prop_map(|value| value.to_string()),
        3 => Just("_".to_owned()),
        2 => Just("stale".to_owned()),
        1 => Just("NaN".to_owned()),
        2 => (1u32..4).prop_map(|count| format!("{{{{schema:0 count:{count} sum:{count} buckets:[{count}]}}}}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_a_join_that_holds_a_side(
        series in prop::collection::vec(prop::collection::vec(sample(), 10), 2..8),
        op in prop::sample::select(vec!["+", "-", "*", "/", ">", "== bool", "!=", "^"]),
        matching in prop::sample::select(vec!["", "on (x)", "ignoring (y)", "on (x) group_left", "on (x) group_right (y)"]),
    ) {
        let line = |(at, samples): (usize, &Vec<String>)| {
            let (name, other) = if at % 2 == 0 { ("a", "") } else { ("b", r#", y="1""#) };
            format!("{name}{{x=\"{}\"{other}}} {}\n", at / 2, samples.join(" "))
        };
        let couples = format!("load 1m\n{}", series.iter().enumerate().map(line).collect::<String>());
        let lonely = if matching.contains("right") { "a" } else { "b" };
        let with_one_more = format!("{couples}{lonely}{{x=\"nobody's\"}} 1x9\n");
        for text in [format!("a {op} {matching} b"), format!("sum(a {op} {matching} b)")] {
            let shown = |script: &str, threads| {
                let result = ask(&loaded(script), &text, threads);
                format!("{:?}", result.map(|found| (found.value, found.warnings, found.infos)))
            };
            let expected = shown(&with_one_more, 1);
            prop_assert_eq!(shown(&couples, 1), expected.clone(), "{}\n{}", text, couples);
            prop_assert_eq!(shown(&couples, 3), expected, "{}\n{}", text, couples);
        }
    }
}

#[test]
fn nothing_is_held() {
    let series = |name: &str| (0..50).map(|x| format!("{name}{{x=\"{x}\"}} 1+1x10\n")).collect::<String>();
    let store = loaded(&format!("load 1m\n{}{}", series("a"), series("b")));
    let peak = ask(&store, "sum(a + b)", 1).expect("an answer").stats.peak_samples;
    // One series of either side and the sum, instead of a whole side.
    assert!(peak < 50, "{peak}");
}
