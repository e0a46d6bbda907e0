//! JSON of the API: the envelope, and results written straight into one buffer.
//!
//! Query results can have millions of numbers, so they are printed without an intermediate tree, and matrices while they are
//! sent (`matrix.rs`).

use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use kymo_model::{FloatHistogram, Labels, format_float, write_float_json};
use kymo_promql::{Engine, PointValue, QueryValue};

use crate::error::ApiError;
use crate::matrix::{MatrixPrinter, Streamed};

/// At most this many warnings, and as many infos, are shown in an answer.
const ANNOTATIONS_MAX: usize = 10;

/// What stands before the data of a good answer.
const HEAD: &str = "{\"status\":\"success\",\"data\":";

/// What an endpoint answers with when it succeeds: the envelope around the data, and what the reader should be told.
pub(crate) struct Answer {
    /// The head, and the data or its beginning.
    body: Vec<u8>,
    /// The part of the data that is printed while it is sent, if that is much.
    rest: Option<MatrixPrinter>,
    /// The end of the data.
    tail: String,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Answer {
    /// Data that serde can write.
    pub(crate) fn of(data: &impl serde::Serialize) -> Answer {
        let data = serde_json::to_string(data).expect("BUG: the API's own types serialize");
        Answer::raw(data)
    }

    /// Data that is JSON text already.
    pub(crate) fn raw(data: String) -> Answer {
        Answer { tail: data, ..Answer::begun() }
    }

    fn begun() -> Answer {
        let (body, tail) = (HEAD.as_bytes().to_vec(), String::new());
        Answer { body, rest: None, tail, warnings: Vec::new(), infos: Vec::new() }
    }

    /// `{"resultType":…,"result":…}`, with `more` before the closing brace.
    pub(crate) fn of_query(value: QueryValue, engine: &Engine, more: &str) -> Answer {
        let mut answer = Answer::begun();
        match value {
            QueryValue::Matrix(series) => {
                answer.body.extend_from_slice(b"{\"resultType\":\"matrix\",\"result\":[");
                let mut printer = MatrixPrinter::new(series, engine.clone());
                answer.rest = printer.print(&mut answer.body).then_some(printer);
                answer.tail.push(']');
            }
            other => push_query_value(&mut answer.tail, &other),
        }
        answer.tail.push_str(more);
        answer.tail.push('}');
        answer
    }

    /// With warnings.
    pub(crate) fn with_warnings(self, warnings: Vec<String>) -> Answer {
        Answer { warnings, ..self }
    }

    /// With infos.
    pub(crate) fn with_infos(self, infos: Vec<String>) -> Answer {
        Answer { infos, ..self }
    }
}

/// The answer in its envelope.
pub(crate) fn respond(answer: Result<Answer, ApiError>) -> Response {
    let Answer { mut body, rest, mut tail, warnings, infos } = match answer {
        Ok(answer) => answer,
        Err(error) => return self::error(&error),
    };
    for (key, texts) in [("warnings", warnings), ("infos", infos)] {
        if !texts.is_empty() {
            tail.push_str(&format!(",\"{key}\":"));
            push_serialized(&mut tail, &capped(texts, key));
        }
    }
    tail.push('}');
    let body = match rest {
        Some(rest) => Body::new(Streamed::new(body, rest, tail)),
        None => {
            body.extend_from_slice(tail.as_bytes());
            Body::from(body)
        }
    };
    json_response(axum::http::StatusCode::OK, body)
}

/// An error in its envelope, with its status code.
pub(crate) fn error(error: &ApiError) -> Response {
    let body = serde_json::json!({
        "status": "error", "errorType": error.kind.as_str(), "error": error.message,
    });
    json_response(error.kind.status(), Body::from(body.to_string()))
}

fn json_response(status: axum::http::StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// The first few of the `warnings` or `infos`, and how many more there were.
fn capped(mut texts: Vec<String>, key: &str) -> Vec<String> {
    if texts.len() > ANNOTATIONS_MAX {
        let more = texts.len() - ANNOTATIONS_MAX;
        texts.truncate(ANNOTATIONS_MAX);
        let kind = key.trim_end_matches('s');
        texts.push(format!("{more} more {kind} annotations omitted"));
    }
    texts
}

fn push_serialized(out: &mut String, value: &impl serde::Serialize) {
    out.push_str(&serde_json::to_string(value).expect("BUG: the API's own types serialize"));
}

/// A string in its quotes. Nearly all names and values need no escape and are copied whole.
pub(crate) fn push_string(out: &mut String, text: &str) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        push_serialized(out, &text);
    }
}

/// `{"name":"value",…}`.
pub(crate) fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(out, label.name);
        out.push(':');
        push_string(out, label.value);
    }
    out.push('}');
}

/// Labels as a JSON object, for the small endpoints.
pub(crate) struct LabelsJson<'a>(pub(crate) &'a Labels);

impl serde::Serialize for LabelsJson<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|label| (label.name, label.value)))
    }
}

/// A number of seconds, as JSON writes it elsewhere: `60`, not `60.0`. Some clients take whole numbers only.
pub(crate) fn seconds_json(seconds: f64) -> serde_json::Value {
    /// Whole numbers up to here are exact in both.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if seconds.fract() == 0.0 && seconds.abs() <= EXACT_MAX {
        (seconds as i64).into()
    } else {
        seconds.into()
    }
}

/// Seconds with up to three decimals: `1435781451`, `1435781451.781`.
pub(crate) fn push_timestamp(out: &mut String, ms: i64) {
    if ms < 0 {
        out.push('-');
    }
    let ms = ms.unsigned_abs();
    push_number(out, ms / 1000);
    let fraction = ms % 1000;
    if fraction > 0 {
        out.push('.');
        out.extend([100, 10, 1].map(|unit| char::from(b'0' + (fraction / unit % 10) as u8)));
    }
}

fn push_number(out: &mut String, number: u64) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

/// `[seconds,"value"]`.
fn push_float_point(out: &mut String, ms: i64, value: f64) {
    out.push('[');
    push_timestamp(out, ms);
    out.push_str(",\"");
    write_float_json(out, value);
    out.push_str("\"]");
}

/// `[seconds,{"count":…,"sum":…,"buckets":[[rule,"lower","upper","count"],…]}]`; empty buckets are left out.
pub(crate) fn push_histogram_point(out: &mut String, ms: i64, histogram: &FloatHistogram) {
    out.push('[');
    push_timestamp(out, ms);
    out.push_str(",{\"count\":\"");
    write_float_json(out, histogram.count);
    out.push_str("\",\"sum\":\"");
    write_float_json(out, histogram.sum);
    out.push('"');
    let mut begin = ",\"buckets\":[[";
    for bucket in histogram.buckets().filter(|bucket| bucket.count != 0.0) {
        out.push_str(begin);
        begin = ",[";
        // Prometheus' codes: 0 (lo,hi], 1 [lo,hi), 2 (lo,hi), 3 [lo,hi].
        out.push(match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => '0',
            (true, false) => '1',
            (false, false) => '2',
            (true, true) => '3',
        });
        for number in [bucket.lower, bucket.upper, bucket.count] {
            out.push_str(",\"");
            write_float_json(out, number);
            out.push('"');
        }
        out.push(']');
    }
    out.push_str(if begin == ",[" { "]}]" } else { "}]" });
}

/// `{"resultType":…,"result":…}`, without the closing brace. Matrices are printed elsewhere.
fn push_query_value(out: &mut String, value: &QueryValue) {
    match value {
        QueryValue::Scalar { timestamp, value } => {
            out.push_str("{\"resultType\":\"scalar\",\"result\":[");
            push_timestamp(out, timestamp.millis());
            // Unlike the values of series, never with an exponent.
            out.push(',');
            push_string(out, &format_float(*value));
            out.push(']');
        }
        QueryValue::String { timestamp, value } => {
            out.push_str("{\"resultType\":\"string\",\"result\":[");
            push_timestamp(out, timestamp.millis());
            out.push(',');
            push_string(out, &String::from_utf8_lossy(value));
            out.push(']');
        }
        QueryValue::Vector(samples) => {
            out.push_str("{\"resultType\":\"vector\",\"result\":[");
            for (index, sample) in samples.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str("{\"metric\":");
                push_labels(out, &sample.labels);
                match &sample.value {
                    PointValue::Float(value) => {
                        out.push_str(",\"value\":");
                        push_float_point(out, sample.timestamp.millis(), *value);
                    }
                    PointValue::Histogram(histogram) => {
                        out.push_str(",\"histogram\":");
                        push_histogram_point(out, sample.timestamp.millis(), histogram);
                    }
                }
                out.push('}');
            }
            out.push(']');
        }
        QueryValue::Matrix(_) => unreachable!("BUG: a matrix is printed series by series"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kymo_model::{Span, Timestamp};
    use kymo_promql::VectorSample;

    #[test]
    fn timestamps_have_three_decimals_or_none() {
        for (ms, text) in
            [(0, "0"), (1_435_781_451_000, "1435781451"), (1_001, "1.001"), (-1_500, "-1.500"), (50, "0.050")]
        {
            let mut out = String::new();
            push_timestamp(&mut out, ms);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn histogram_shape() {
        let check = |histogram: FloatHistogram, expected: &str| {
            let point = || PointValue::Histogram(std::sync::Arc::new(histogram.clone()));
            let labels = Labels::from_pairs([("job", "a")]);
            let timestamp = Timestamp::from_millis(1500);
            let mut out = String::new();
            let sample = VectorSample { labels, timestamp, value: point() };
            push_query_value(&mut out, &QueryValue::Vector(vec![sample]));
            let head = r#"{"resultType":"vector","result":[{"metric":{"job":"a"},"histogram":[1.500,"#;
            assert_eq!(out, format!("{head}{expected}]}}]"));
        };
        check(FloatHistogram { sum: f64::NAN, ..FloatHistogram::default() }, r#"{"count":"0","sum":"NaN"}"#);
        let histogram = FloatHistogram {
            schema: 0,
            zero_threshold: 0.5,
            zero_count: 1.0,
            count: 5.5,
            sum: 1e21,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![2.5, 0.0],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            negative_buckets: vec![2.0],
            ..FloatHistogram::default()
        };
        check(
            histogram,
            r#"{"count":"5.5","sum":"1e+21","buckets":[[1,"-1","-0.5","2"],[3,"-0.5","0.5","1"],[0,"1","2","2.5"]]}"#,
        );
        let custom = FloatHistogram {
            schema: kymo_model::CUSTOM_BUCKETS_SCHEMA,
            count: 3.0,
            sum: 4.0,
            custom_values: vec![0.5, 2.0],
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 1.0, 1.0],
            ..FloatHistogram::default()
        };
        check(
            custom,
            r#"{"count":"3","sum":"4","buckets":[[3,"-Inf","0.5","1"],[0,"0.5","2","1"],[0,"2","+Inf","1"]]}"#,
        );
    }

    #[test]
    fn vector_shape() {
        let value = QueryValue::Vector(vec![VectorSample {
            labels: Labels::from_pairs([("__name__", "up"), ("q", "a\"b")]),
            timestamp: Timestamp::from_millis(1500),
            value: PointValue::Float(f64::INFINITY),
        }]);
        let mut out = String::new();
        push_query_value(&mut out, &value);
        assert_eq!(
            out,
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","q":"a\"b"},"value":[1.500,"+Inf"]}]"#
        );
    }

    #[test]
    fn what_is_left_out_is_told_by_its_kind() {
        let texts = |count: usize| vec!["one".to_owned(); count];
        assert_eq!(capped(texts(10), "infos"), texts(10));
        assert_eq!(capped(texts(13), "infos").last().unwrap(), "3 more info annotations omitted");
        assert_eq!(capped(texts(11), "warnings").last().unwrap(), "1 more warning annotations omitted");
    }
}
