//! Answers in one form, whoever gave them, and what makes two of them different.

use std::collections::BTreeMap;

use kymo_model::{FloatHistogram, Labels};
use kymo_promql::{PointValue, QueryResult, QueryValue};
use serde_json::Value as Json;

/// How far values may be apart without being different: by a share of the larger one, or by an amount.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Near {
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
}

/// How much further rounding may take a value than the disturbances did that were tried.
const SLACK: f64 = 64.0;

/// What a query is answered with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Not a query.
    Malformed(String),
    /// No answer on this data.
    Failed(String),
    /// Points by label set and time.
    Data(Data),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Data {
    form: &'static str,
    series: BTreeMap<BTreeMap<String, String>, BTreeMap<i64, Point>>,
    /// Warnings and infos, sorted: Prometheus gives them in no order. Empty where the peer knows none.
    notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Point {
    Float(f64),
    /// Count, sum, and the buckets that count something as lower bound, upper bound and count.
    Histogram(f64, f64, Vec<[f64; 3]>),
}

impl Answer {
    /// Of an engine of ours.
    pub(crate) fn of(result: QueryResult, with_notes: bool) -> Answer {
        let mut series = BTreeMap::new();
        let mut put = |labels: &Labels, time: i64, point: Point| {
            let labels = labels.iter().map(|label| (label.name.to_owned(), label.value.to_owned())).collect();
            let points: &mut BTreeMap<_, _> = series.entry(labels).or_default();
            points.insert(time, point);
        };
        let form = match &result.value {
            QueryValue::Scalar { timestamp, value } => {
                put(&Labels::empty(), timestamp.millis(), Point::Float(*value));
                "scalar"
            }
            QueryValue::String { .. } => "string",
            QueryValue::Vector(samples) => {
                for sample in samples {
                    let point = match &sample.value {
                        PointValue::Float(value) => Point::Float(*value),
                        PointValue::Histogram(histogram) => Point::of_histogram(histogram),
                    };
                    put(&sample.labels, sample.timestamp.millis(), point);
                }
                "vector"
            }
            QueryValue::Matrix(matrix) => {
                for one in matrix {
                    one.floats.iter().for_each(|(time, value)| put(&one.labels, time, Point::Float(*value)));
                    let histograms = one.histograms.iter();
                    histograms
                        .for_each(|(time, histogram)| put(&one.labels, time, Point::of_histogram(histogram)));
                }
                "matrix"
            }
        };
        let mut notes = if with_notes { [result.warnings, result.infos].concat() } else { Vec::new() };
        notes.sort();
        Answer::Data(Data { form, series, notes })
    }

    /// Of an HTTP API.
    pub(crate) fn of_json(json: &Json, with_notes: bool) -> Answer {
        if json["status"] != "success" {
            let message = json["error"].as_str().unwrap_or("no message").to_owned();
            return match json["errorType"].as_str() {
                Some("bad_data") => Answer::Malformed(message),
                _ => Answer::Failed(message),
            };
        }
        let mut series = BTreeMap::new();
        let result = &json["data"]["result"];
        let form = match json["data"]["resultType"].as_str() {
            Some("scalar") => {
                series.insert(BTreeMap::new(), BTreeMap::from([float(result)]));
                "scalar"
            }
            Some("vector") => "vector",
            Some("matrix") => "matrix",
            _ => "string",
        };
        if form == "vector" || form == "matrix" {
            for one in result.as_array().into_iter().flatten() {
                let labels = one["metric"].as_object().into_iter().flatten();
                let labels = labels
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned()))
                    .collect();
                let many = |name: &str| one[name].as_array().cloned().unwrap_or_default();
                let single = |name: &str| Some(one[name].clone()).filter(|value| !value.is_null());
                let floats = many("values").into_iter().chain(single("value")).map(|pair| float(&pair));
                let histograms = many("histograms").into_iter().chain(single("histogram"));
                let points =
                    floats.chain(histograms.map(|pair| (time(&pair), Point::of_histogram_json(&pair[1]))));
                series.insert(labels, points.collect());
            }
        }
        let texts = |name: &str| json[name].as_array().cloned().unwrap_or_default();
        let notes = texts("warnings").into_iter().chain(texts("infos"));
        let mut notes: Vec<String> =
            notes.filter_map(|note| note.as_str().map(str::to_owned)).filter(|_| with_notes).collect();
        notes.sort();
        Answer::Data(Data { form, series, notes })
    }

    pub(crate) fn points(&self) -> usize {
        match self {
            Answer::Data(data) => data.series.values().map(BTreeMap::len).sum(),
            _ => 0,
        }
    }

    /// The first thing in which two answers differ, in words; values nearly alike are not different.
    pub(crate) fn difference(&self, ours: &Answer, near: Near) -> Option<String> {
        self.differences(ours, near, |_, _, difference| difference > 0.0).into_iter().next()
    }

    /// Of a range query, what an instant query at one of its steps has to give.
    pub(crate) fn at(&self, time: i64) -> Answer {
        let Answer::Data(data) = self else { return self.clone() };
        let only = |(labels, points): (&BTreeMap<String, String>, &BTreeMap<i64, Point>)| {
            points.get(&time).map(|point| (labels.clone(), BTreeMap::from([(time, point.clone())])))
        };
        Answer::Data(Data {
            form: "vector",
            series: data.series.iter().filter_map(only).collect(),
            notes: Vec::new(),
        })
    }

    /// Can the differences between two answers come from rounding? So they can if answers of ours to disturbed data differ as
    /// much from ours to the data as it is.
    pub(crate) fn is_rounding(&self, ours: &Answer, near: Near, disturbed: &[Answer]) -> bool {
        let unstable =
            disturbed.iter().any(|answer| !answer.differences(ours, near, |_, _, _| false).is_empty());
        let apart = |labels: &BTreeMap<String, String>, time: i64, relative: f64| {
            let by = |answer: &Answer| answer.relative_difference(ours, labels, time);
            relative > SLACK * disturbed.iter().map(by).fold(0.0, f64::max)
        };
        unstable || self.differences(ours, near, apart).is_empty()
    }

    fn relative_difference(&self, other: &Answer, labels: &BTreeMap<String, String>, time: i64) -> f64 {
        let point = |answer: &'_ Answer| match answer {
            Answer::Data(data) => data.series.get(labels).and_then(|points| points.get(&time)).cloned(),
            _ => None,
        };
        match (point(self), point(other)) {
            (Some(a), Some(b)) => a.difference(&b, None),
            _ => f64::INFINITY,
        }
    }

    /// Every difference of structure, and those of values that are called one.
    fn differences(
        &self,
        ours: &Answer,
        near: Near,
        counts: impl Fn(&BTreeMap<String, String>, i64, f64) -> bool,
    ) -> Vec<String> {
        let (theirs, ours) = match (self, ours) {
            (Answer::Malformed(_), Answer::Malformed(_)) | (Answer::Failed(_), Answer::Failed(_)) => {
                return Vec::new();
            }
            (Answer::Data(theirs), Answer::Data(ours)) => (theirs, ours),
            (theirs, ours) => return vec![format!("{} / {}", theirs.brief(), ours.brief())],
        };
        if theirs.form != ours.form {
            return vec![format!("a {} / a {}", theirs.form, ours.form)];
        }
        let mut found = Vec::new();
        if !same_notes(&theirs.notes, &ours.notes) {
            found.push(format!("notes {:?} / {:?}", theirs.notes, ours.notes));
        }
        for labels in theirs.series.keys().filter(|labels| !ours.series.contains_key(*labels)) {
            found.push(format!("{labels:?} there / not there"));
        }
        for (labels, ours) in &ours.series {
            let Some(theirs) = theirs.series.get(labels) else {
                found.push(format!("{labels:?} not there / there"));
                continue;
            };
            if !theirs.keys().eq(ours.keys()) {
                let only = |a: &BTreeMap<i64, Point>, b: &BTreeMap<i64, Point>| {
                    a.keys().filter(|time| !b.contains_key(time)).copied().take(3).collect::<Vec<i64>>()
                };
                found.push(format!(
                    "{labels:?}: {} points, only there {:?} / {} points, only there {:?}",
                    theirs.len(),
                    only(theirs, ours),
                    ours.len(),
                    only(ours, theirs)
                ));
                continue;
            }
            for ((time, theirs), ours) in theirs.iter().zip(ours.values()) {
                let difference = theirs.difference(ours, Some(near));
                if difference == f64::INFINITY || counts(labels, *time, difference) {
                    found.push(format!("{labels:?} at {time}: {theirs:?} / {ours:?}"));
                    break;
                }
            }
        }
        found
    }

    fn brief(&self) -> String {
        match self {
            Answer::Malformed(message) => format!("malformed: {message}"),
            Answer::Failed(message) => format!("failed: {message}"),
            Answer::Data(data) => format!("{} series as a {}", data.series.len(), data.form),
        }
    }
}

impl Point {
    fn of_histogram(h: &FloatHistogram) -> Point {
        let buckets = h.buckets().filter(|bucket| bucket.count != 0.0);
        Point::Histogram(
            h.count,
            h.sum,
            buckets.map(|bucket| [bucket.lower, bucket.upper, bucket.count]).collect(),
        )
    }

    fn of_histogram_json(json: &Json) -> Point {
        let bucket = |bucket: &Json| [1, 2, 3].map(|at| number(&bucket[at]));
        let buckets = json["buckets"].as_array().into_iter().flatten().map(bucket).collect();
        Point::Histogram(number(&json["count"]), number(&json["sum"]), buckets)
    }

    /// Relative to the larger value; infinite if they are not even of one kind, 0 if they are near.
    fn difference(&self, other: &Point, near: Option<Near>) -> f64 {
        let relative = |a, b| relative(a, b, near);
        match (self, other) {
            (Point::Float(a), Point::Float(b)) => relative(*a, *b),
            (Point::Histogram(count, sum, buckets), Point::Histogram(count2, sum2, buckets2)) => {
                if buckets.len() != buckets2.len() {
                    return f64::INFINITY;
                }
                let pairs = buckets.iter().flatten().zip(buckets2.iter().flatten());
                let worst = pairs.map(|(a, b)| relative(*a, *b)).fold(0.0, f64::max);
                worst.max(relative(*count, *count2)).max(relative(*sum, *sum2))
            }
            _ => f64::INFINITY,
        }
    }
}

/// Prometheus gives ten warnings and ten infos, of more some ten and how many it left out.
fn same_notes(theirs: &[String], ours: &[String]) -> bool {
    let (mut given, mut left_out) = (Vec::new(), 0);
    for note in theirs {
        let more = note.strip_suffix(" annotations omitted").and_then(|note| note.split_once(" more "));
        match more.and_then(|(count, _)| count.parse::<usize>().ok()) {
            Some(count) => left_out += count,
            None => given.push(note),
        }
    }
    match left_out {
        0 => given.into_iter().eq(ours),
        _ => given.len() + left_out == ours.len() && given.iter().all(|note| ours.contains(note)),
    }
}

fn relative(a: f64, b: f64, near: Option<Near>) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    if !a.is_finite() || !b.is_finite() {
        return f64::INFINITY;
    }
    let difference = (a - b).abs();
    let relative = difference / a.abs().max(b.abs());
    let equal = near.is_some_and(|near| relative <= near.relative || difference <= near.absolute);
    if equal { 0.0 } else { relative }
}

fn float(pair: &Json) -> (i64, Point) {
    (time(pair), Point::Float(number(&pair[1])))
}

fn time(pair: &Json) -> i64 {
    (pair[0].as_f64().unwrap_or(f64::NAN) * 1000.0).round() as i64
}

fn number(json: &Json) -> f64 {
    json.as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("expected a number, found {json}"))
}
