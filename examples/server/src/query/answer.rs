//! Answer: the result of a query as promtool prints it, from the JSON of the HTTP API.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// An answer that is not as the API has it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} in the answer, found {found}")]
pub(super) struct AnswerError {
    expected: &'static str,
    found: String,
}

type Text = Result<String, AnswerError>;

/// Longest part of an answer in a message, in characters.
const FOUND_CHARS_MAX: usize = 100;

fn wrong<T>(expected: &'static str, found: &Value) -> Result<T, AnswerError> {
    Err(AnswerError { expected, found: found.to_string().chars().take(FOUND_CHARS_MAX).collect() })
}

/// The text of a result of a kind (`vector`, `matrix`, …), or of the data of a series or labels query, which has no kind.
pub(super) fn to_text(kind: Option<&str>, result: &Value) -> Text {
    match kind {
        Some("vector") => lines(result, sample),
        Some("matrix") => {
            let mut streams: Vec<&Value> = items(result)?.iter().collect();
            streams.sort_by(|a, b| before(a.get("metric"), b.get("metric")));
            let texts = streams.into_iter().map(stream).collect::<Result<Vec<_>, _>>()?;
            Ok(texts.join("\n"))
        }
        Some("scalar") => {
            let (time, value) = pair(result)?;
            Ok(format!("scalar: {} @[{time}]", number(value)?))
        }
        Some("string") => match pair(result)? {
            (_, Value::String(text)) => Ok(text.clone()),
            (_, other) => wrong("a string", other),
        },
        Some(_) => wrong("a vector, matrix, scalar or string", result),
        None => lines(result, |item| match item {
            Value::String(text) => Ok(text.clone()),
            Value::Object(labels) => braces(labels.iter()),
            other => wrong("labels or a label value", other),
        }),
    }
}

fn items(value: &Value) -> Result<&Vec<Value>, AnswerError> {
    value.as_array().map_or_else(|| wrong("a list", value), Ok)
}

fn lines(value: &Value, line: impl Fn(&Value) -> Text) -> Text {
    Ok(items(value)?.iter().map(line).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// `up{job="a"} => 1 @[1.5]`
fn sample(value: &Value) -> Text {
    let metric = metric(value)?;
    match (value.get("value"), value.get("histogram")) {
        (Some(point), _) => {
            let (time, value) = pair(point)?;
            Ok(format!("{metric} => {} @[{time}]", number(value)?))
        }
        (None, Some(point)) => {
            let (time, value) = pair(point)?;
            Ok(format!("{metric} => {} @[{time}]", histogram(value)?))
        }
        (None, None) => wrong("a value", value),
    }
}

/// The series, then a line for each point.
fn stream(value: &Value) -> Text {
    let mut text = format!("{} =>", metric(value)?);
    for (key, print) in [("values", number as fn(&Value) -> Text), ("histograms", histogram)] {
        for point in value.get(key).and_then(Value::as_array).into_iter().flatten() {
            let (time, value) = pair(point)?;
            text.push_str(&format!("\n{} @[{time}]", print(value)?));
        }
    }
    Ok(text)
}

/// `[time, value]`; JSON writes the time as promtool does, shortest and without an exponent.
fn pair(value: &Value) -> Result<(String, &Value), AnswerError> {
    match value.as_array().map(Vec::as_slice) {
        Some([time, value]) => match time.as_f64() {
            Some(time) => Ok((time.to_string(), value)),
            None => wrong("a time", time),
        },
        _ => wrong("a time and a value", value),
    }
}

/// A sample's value: shortest, without an exponent.
fn number(value: &Value) -> Text {
    match parsed(value)? {
        nan if nan.is_nan() => Ok("NaN".to_owned()),
        infinity if infinity.is_infinite() => Ok(if infinity > 0.0 { "+Inf" } else { "-Inf" }.to_owned()),
        number => Ok(number.to_string()),
    }
}

fn parsed(value: &Value) -> Result<f64, AnswerError> {
    let number = value.as_str().and_then(|text| kymo_model::parse_float(text).ok());
    number.map_or_else(|| wrong("a number in quotes", value), Ok)
}

/// `Count: 3.000000, Sum: 2.500000, Buckets: [[0,1):1 [1,2):2]`
fn histogram(value: &Value) -> Text {
    let field =
        |key: &str| value.get(key).map_or_else(|| wrong("count and sum of a histogram", value), parsed);
    let buckets = value.get("buckets").and_then(Value::as_array).into_iter().flatten();
    let buckets = buckets.map(bucket).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("Count: {:.6}, Sum: {:.6}, Buckets: [{}]", field("count")?, field("sum")?, buckets.join(" ")))
}

/// `[boundaries, lower, upper, count]`: whether the bounds belong to the bucket, 0 only the upper, 1 only the lower,
/// 2 neither, 3 both.
fn bucket(value: &Value) -> Text {
    let Some([kind, lower, upper, count]) = value.as_array().map(Vec::as_slice) else {
        return wrong("a bucket of four values", value);
    };
    let Some(kind) = kind.as_u64().filter(|kind| *kind <= 3) else {
        return wrong("0, 1, 2 or 3 for the bounds of a bucket", kind);
    };
    let open = if matches!(kind, 1 | 3) { '[' } else { '(' };
    let close = if matches!(kind, 0 | 3) { ']' } else { ')' };
    let bound = |value| Ok(kymo_model::format_float_g(parsed(value)?));
    Ok(format!("{open}{},{}{close}:{}", bound(lower)?, bound(upper)?, number(count)?))
}

/// `up{job="a"}`, `{job="a"}`, `up` or `{}`.
fn metric(value: &Value) -> Text {
    let Some(labels) = value.get("metric").and_then(Value::as_object) else {
        return wrong("the labels of a series", value);
    };
    let name = labels.get("__name__").and_then(Value::as_str).unwrap_or_default();
    let rest = braces(labels.iter().filter(|(key, _)| *key != "__name__"))?;
    let bare = !name.is_empty() && rest == "{}";
    Ok(if bare { name.to_owned() } else { format!("{name}{rest}") })
}

/// `{a="b", c="d"}`, in order of name.
fn braces<'a>(labels: impl Iterator<Item = (&'a String, &'a Value)>) -> Text {
    let mut pairs = labels
        .map(|(name, value)| match value {
            Value::String(value) => Ok((name, kymo_promql_syntax::quote_string(value.as_bytes()))),
            other => wrong("the value of a label", other),
        })
        .collect::<Result<Vec<_>, _>>()?;
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(format!("{{{}}}", pairs.join(", ")))
}

/// promtool's order of series: fewer labels first, then by the first label that differs; one that is absent comes first.
fn before(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let empty = Map::new();
    let a = a.and_then(Value::as_object).unwrap_or(&empty);
    let b = b.and_then(Value::as_object).unwrap_or(&empty);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let by_label = |name: &&String| {
        let (a, b) = (a.get(*name).and_then(Value::as_str), b.get(*name).and_then(Value::as_str));
        a.cmp(&b)
    };
    let differs = names.iter().map(by_label).find(|order| order.is_ne());
    a.len().cmp(&b.len()).then(differs.unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Option<&str>, result: &str, expected: &str) {
        let result: Value = serde_json::from_str(result).unwrap();
        let got = to_text(kind, &result).unwrap_or_else(|error| format!("error: {error}"));
        assert_eq!(got, expected, "{result}");
    }

    #[test]
    fn as_promtool_prints() {
        let vector = Some("vector");
        check(vector, "[]", "");
        check(
            vector,
            r#"[{"metric":{"__name__":"up","job":"a"},"value":[1.5,"1"]}]"#,
            r#"up{job="a"} => 1 @[1.5]"#,
        );
        check(
            vector,
            r#"[{"metric":{"__name__":"up"},"value":[1,"1e+21"]}]"#,
            "up => 1000000000000000000000 @[1]",
        );
        check(vector, r#"[{"metric":{},"value":[1,"+Inf"]}]"#, "{} => +Inf @[1]");
        check(vector, r#"[{"metric":{"a":"q\"\n"},"value":[1,"NaN"]}]"#, r#"{a="q\"\n"} => NaN @[1]"#);
        check(
            vector,
            r#"[{"metric":{},"histogram":[1,{"count":"3","sum":"2.5","buckets":[[1,"0","1","1"],[3,"1","2","2"]]}]}]"#,
            "{} => Count: 3.000000, Sum: 2.500000, Buckets: [[0,1):1 [1,2]:2] @[1]",
        );
        check(
            Some("matrix"),
            r#"[{"metric":{"a":"1","b":"1"},"values":[[1,"1"]]},{"metric":{"b":"1"},"values":[[1,"2"],[2.5,"3"]]}]"#,
            "{b=\"1\"} =>\n2 @[1]\n3 @[2.5]\n{a=\"1\", b=\"1\"} =>\n1 @[1]",
        );
        check(Some("scalar"), r#"[1795224577.458,"2"]"#, "scalar: 2 @[1795224577.458]");
        check(Some("string"), r#"[1,"a\"b"]"#, "a\"b");
        check(None, r#"["a","b"]"#, "a\nb");
        check(None, r#"[{"__name__":"up","job":"a"}]"#, r#"{__name__="up", job="a"}"#);
    }

    #[test]
    fn what_is_not_an_answer() {
        check(Some("vector"), "{}", "error: expected a list in the answer, found {}");
        check(
            Some("vector"),
            r#"[{"metric":{}}]"#,
            r#"error: expected a value in the answer, found {"metric":{}}"#,
        );
        check(Some("scalar"), "[1]", "error: expected a time and a value in the answer, found [1]");
        check(Some("scalar"), "[1,2]", "error: expected a number in quotes in the answer, found 2");
        check(
            Some("graph"),
            "1",
            "error: expected a vector, matrix, scalar or string in the answer, found 1",
        );
        check(None, "[1]", "error: expected labels or a label value in the answer, found 1");
    }
}
