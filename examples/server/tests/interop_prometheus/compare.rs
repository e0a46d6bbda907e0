//! One question to both servers, and every way in which the answers may differ.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::peers::{encode, get};

/// How far two values of the same answer may be apart, relative to the larger one; 0 where their text must be equal.
///
/// - Sums and means: version 3 compensates what rounding loses in places where 2.42 adds plainly.
/// - Variances over time and regressions: the same. Of a slope that cancels out nothing may be left but rounding, so
///   regressions are measured against the largest value of their series.
/// - Functions of real numbers: the last bit depends on the mathematics library.
pub(crate) fn tolerance(expression: &str) -> f64 {
    // By parts of names: `sin(` is also in `asin(`, `avg` also in `avg_over_time`.
    const LOOSE: [&str; 18] = [
        "sum(",
        "sum by",
        "sum without",
        "avg",
        "stddev_over_time",
        "stdvar_over_time",
        "deriv",
        "predict_linear",
        "exp(",
        "ln(",
        "log2(",
        "log10(",
        "sin(",
        "cos(",
        "tan(",
        "sinh(",
        "cosh(",
        "tanh(",
    ];
    if LOOSE.iter().any(|word| expression.contains(word)) { 1e-12 } else { 0.0 }
}

/// The answers compared so far.
pub(crate) struct Comparison {
    theirs: u16,
    ours: u16,
    answers: usize,
    refusals: usize,
    equal: usize,
    close: usize,
    /// How far the values were apart that were not equal as text.
    worst: f64,
    faults: Vec<String>,
}

/// What one server says.
struct Said {
    status: u16,
    json: Value,
}

/// A sample of a series: time and value as text.
type Point = (String, String);

impl Comparison {
    pub(crate) fn new(theirs: u16, ours: u16) -> Comparison {
        Comparison {
            theirs,
            ours,
            answers: 0,
            refusals: 0,
            equal: 0,
            close: 0,
            worst: 0.0,
            faults: Vec::new(),
        }
    }

    /// How many values were compared.
    pub(crate) fn values(&self) -> usize {
        self.equal + self.close
    }

    /// Panics with what differed.
    pub(crate) fn assert_equal(&self) {
        let shown = self.faults.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.faults.is_empty(), "{} answers differ:\n{shown}", self.faults.len());
    }

    /// Asks an expression; `succeeds` where it is known whether it must. Gives how many values both answered.
    pub(crate) fn query(&mut self, expression: &str, path: &str, succeeds: Option<bool>) -> usize {
        let path = format!("{path}&query={}", encode(expression));
        let at = path.split_once("&query").map_or("", |(at, _)| at).to_owned();
        let name = format!("{expression}   [{}]", at.trim_start_matches("/api/v1/"));
        let Some((theirs, ours)) = self.both(&name, &path, succeeds) else { return 0 };
        if theirs["resultType"] != ours["resultType"] {
            self.fault(&name, &theirs["resultType"], &ours["resultType"]);
            return 0;
        }
        match theirs["resultType"].as_str() {
            Some("vector" | "matrix") => self.series(expression, &name, &theirs["result"], &ours["result"]),
            _ => self.points(expression, &name, &[point(&theirs["result"])], &[point(&ours["result"])]),
        }
    }

    /// Asks for a list of names or label sets, in no promised order.
    pub(crate) fn list(&mut self, path: &str, succeeds: bool) {
        let Some((theirs, ours)) = self.both(path, path, Some(succeeds)) else { return };
        let sorted = |data: &Value| {
            let mut items: Vec<String> =
                data.as_array().into_iter().flatten().map(Value::to_string).collect();
            items.sort();
            items
        };
        let (theirs, ours) = (sorted(&theirs), sorted(&ours));
        self.equal += theirs.len();
        if theirs != ours {
            let missing: Vec<_> = theirs.iter().filter(|item| !ours.contains(item)).take(5).collect();
            let extra: Vec<_> = ours.iter().filter(|item| !theirs.contains(item)).take(5).collect();
            self.fault(
                path,
                &format!("{} items, only there {missing:?}", theirs.len()),
                &format!("{} items, only there {extra:?}", ours.len()),
            );
        }
    }

    /// The data of both answers, when both succeed. Both must succeed, or both fail in the same way.
    fn both(&mut self, name: &str, path: &str, succeeds: Option<bool>) -> Option<(Value, Value)> {
        let ask = |port: u16| {
            let answer = get(port, path).unwrap_or_else(|error| panic!("{name}: {error}"));
            Said { status: answer.status, json: answer.json() }
        };
        let (theirs, ours) = (ask(self.theirs), ask(self.ours));
        let outcome =
            |said: &Said| (said.status, said.json["status"].clone(), said.json["errorType"].clone());
        if outcome(&theirs) != outcome(&ours) {
            self.fault(name, &brief(&theirs.json), &brief(&ours.json));
            return None;
        }
        let success = theirs.status == 200;
        if succeeds.is_some_and(|succeeds| succeeds != success) {
            self.fault(name, &brief(&theirs.json), &"the same, and that is not what this case is for");
        }
        if !success {
            self.refusals += 1;
            return None;
        }
        self.answers += 1;
        Some((theirs.json["data"].clone(), ours.json["data"].clone()))
    }

    fn series(&mut self, expression: &str, name: &str, theirs: &Value, ours: &Value) -> usize {
        let by_labels = |result: &Value| -> BTreeMap<String, Vec<Point>> {
            let series = result.as_array().into_iter().flatten();
            series.map(|one| (one["metric"].to_string(), points_of(one))).collect()
        };
        let (their_series, our_series) = (by_labels(theirs), by_labels(ours));
        if !their_series.keys().eq(our_series.keys()) {
            let missing: Vec<_> =
                their_series.keys().filter(|key| !our_series.contains_key(*key)).take(3).collect();
            let extra: Vec<_> =
                our_series.keys().filter(|key| !their_series.contains_key(*key)).take(3).collect();
            let (theirs, ours) = (their_series.len(), our_series.len());
            self.fault(
                name,
                &format!("{theirs} series, only there {missing:?}"),
                &format!("{ours} series, only there {extra:?}"),
            );
            return 0;
        }
        if has_order(expression, name) {
            let order = |result: &Value| -> Vec<String> {
                result.as_array().into_iter().flatten().map(|one| one["metric"].to_string()).collect()
            };
            if order(theirs) != order(ours) {
                self.fault(name, &order(theirs).join(" "), &order(ours).join(" "));
            }
        }
        let mut values = 0;
        for (labels, theirs) in &their_series {
            values += self.points(expression, &format!("{name} {labels}"), theirs, &our_series[labels]);
        }
        values
    }

    fn points(&mut self, expression: &str, name: &str, theirs: &[Point], ours: &[Point]) -> usize {
        let times = |points: &[Point]| points.iter().map(|(time, _)| time.clone()).collect::<Vec<_>>();
        if times(theirs) != times(ours) {
            self.fault(name, &format!("{} times", theirs.len()), &format!("{} times", ours.len()));
            return 0;
        }
        let regression = ["deriv(", "predict_linear("].iter().any(|function| expression.contains(function));
        let scale = if regression { largest(theirs) } else { 0.0 };
        for ((time, theirs), (_, ours)) in theirs.iter().zip(ours) {
            if theirs == ours {
                self.equal += 1;
                continue;
            }
            let apart = distance(theirs, ours, scale);
            if tolerance(expression) > 0.0 && apart <= tolerance(expression) {
                self.close += 1;
                self.worst = self.worst.max(apart);
            } else {
                self.fault(name, &format!("{theirs} at {time}"), &format!("{ours}, apart by {apart:e}"));
                break;
            }
        }
        theirs.len()
    }

    fn fault(&mut self, name: &str, theirs: &dyn fmt::Display, ours: &dyn fmt::Display) {
        self.faults.push(format!("{name}\n    prometheus: {theirs}\n    kymo:       {ours}"));
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answers and {} refusals compared: {} values equal as text, {} within {:e}, {} answers differ",
            self.answers,
            self.refusals,
            self.equal,
            self.close,
            self.worst,
            self.faults.len()
        )
    }
}

/// Range answers are in order of labels. Instant ones only have an order where the expression asks for one.
fn has_order(expression: &str, name: &str) -> bool {
    let sorts = |word: &str| expression.starts_with(word) && !expression.contains(" by ");
    name.contains("[query_range") || ["sort", "topk(", "bottomk("].into_iter().any(sorts)
}

fn points_of(series: &Value) -> Vec<Point> {
    match series["values"].as_array() {
        Some(values) => values.iter().map(point).collect(),
        None => vec![point(&series["value"])],
    }
}

fn point(pair: &Value) -> Point {
    (pair[0].to_string(), pair[1].as_str().unwrap_or("not a string").to_owned())
}

/// The largest finite value of a series, without sign.
fn largest(points: &[Point]) -> f64 {
    let values = points.iter().filter_map(|(_, value)| value.parse::<f64>().ok());
    values.filter(|value| value.is_finite()).fold(0.0, |most, value| most.max(value.abs()))
}

/// Distance relative to the larger value, or to `scale` if that is more; infinite for what is not two finite numbers.
fn distance(a: &str, b: &str, scale: f64) -> f64 {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) if a.is_finite() && b.is_finite() => (a - b).abs() / a.abs().max(b.abs()).max(scale),
        _ => f64::INFINITY,
    }
}

fn brief(answer: &Value) -> String {
    answer.to_string().chars().take(300).collect()
}
