//! Every answer of Prometheus' own parser that was written down: messages, places, trees as JSON, printing on one line and on
//! several.
//!
//! `tests/upstream/answers.jsonl` holds queries of our own with what Prometheus 3.15's parser said to them. KYMO_PROMQL_ANSWERS
//! names another file of the same shape, such as one made from Prometheus' own test cases; tests/upstream/main.go makes them.

use kymo_promql_syntax::{ParseOptions, Parser};
use serde_json::Value;

/// What differs between our answer and the one written down.
fn differences(answer: &Value) -> Vec<String> {
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    let query = text("q");
    let mut out = Vec::new();
    let mut same = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            out.push(format!("{query}\n  {what}\n    ours   {ours}\n    theirs {theirs}"));
        }
    };
    let place = |line: &Value| format!("{} {}", line["start"], line["full"].as_str().unwrap_or_default());
    match (Parser::new(ParseOptions::everything()).parse_all(query), answer["errs"].as_array()) {
        (Ok(expr), None) => {
            same("prints", expr.to_string(), text("str").to_owned());
            // Left out where it is one line.
            same("pretty", expr.pretty(), answer["pretty"].as_str().unwrap_or(text("str")).to_owned());
            same("type", expr.value_type().short_name().to_owned(), text("type").to_owned());
            #[cfg(feature = "serde")]
            same("tree", serde_json::to_value(&expr).unwrap().to_string(), answer["ast"].to_string());
        }
        (Ok(expr), Some(errors)) => same("accepted", expr.to_string(), place(&errors[0])),
        (Err(errors), None) => same("refused", errors[0].to_string(), text("str").to_owned()),
        (Err(errors), Some(theirs)) => {
            let ours = format!("{} {}", errors[0].span.start, errors[0]);
            same("refused otherwise", ours, place(&theirs[0]));
            // Behind the first fault theirs are partly consequences of it; but a tree of wrong types is told alike.
            if errors[0].kind == kymo_promql_syntax::ParseErrorKind::Type {
                same("number of faults", errors.len().to_string(), theirs.len().to_string());
            }
        }
    }
    out
}

fn check(answers: &str) -> usize {
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let faults: Vec<String> = answers.iter().flat_map(differences).collect();
    assert!(
        faults.is_empty(),
        "{} differences in {} answers:\n{}",
        faults.len(),
        answers.len(),
        faults.join("\n")
    );
    answers.len()
}

#[test]
fn answers() {
    let count = check(include_str!("upstream/answers.jsonl"));
    assert!(count > 450, "only {count} answers");
}

#[test]
fn another_file() {
    let Some(path) = std::env::var_os("KYMO_PROMQL_ANSWERS") else {
        eprintln!("skipped: KYMO_PROMQL_ANSWERS is not set");
        return;
    };
    check(&std::fs::read_to_string(path).unwrap());
}
