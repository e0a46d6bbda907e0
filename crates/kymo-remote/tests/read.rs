//! Remote read: questions in protobuf, answers taken apart again, in both forms.

use std::collections::BTreeMap;
use std::sync::Arc;

use kymo_chunk::{Encoding, decode, decode_histograms};
use kymo_model::{
    Append, Batch, FloatHistogram, Labels, MemoryStore, SampleValue, Span, TimeRange, Timestamp,
};
use kymo_remote::{ReadError, ReadOptions, ReadRequest, ResponseType};
use proptest::prelude::*;

/// A message, field by field.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Varint(u64),
    Double(f64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn fields(bytes: &[u8]) -> Vec<(u64, Field)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let tag = varint(bytes, &mut at);
        let field = match tag & 7 {
            0 => Field::Varint(varint(bytes, &mut at)),
            1 => {
                at += 8;
                Field::Double(f64::from_le_bytes(bytes[at - 8..at].try_into().expect("8 bytes")))
            }
            2 => {
                let len = varint(bytes, &mut at) as usize;
                at += len;
                Field::Bytes(bytes[at - len..at].to_vec())
            }
            other => panic!("wire type {other}"),
        };
        found.push((tag >> 3, field));
    }
    found
}

fn messages(bytes: &[u8], number: u64) -> Vec<Vec<u8>> {
    let of = |(found, field)| match field {
        Field::Bytes(bytes) if found == number => Some(bytes),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(of).collect()
}

fn number(bytes: &[u8], wanted: u64) -> i64 {
    let of = |(found, field): &(u64, Field)| match field {
        Field::Varint(value) if *found == wanted => Some(*value as i64),
        _ => None,
    };
    fields(bytes).iter().find_map(of).unwrap_or(0)
}

fn double(bytes: &[u8], wanted: u64) -> f64 {
    let of = |(found, field): &(u64, Field)| match field {
        Field::Double(value) if *found == wanted => Some(*value),
        _ => None,
    };
    fields(bytes).iter().find_map(of).unwrap_or(0.0)
}

fn labels(message: &[u8]) -> String {
    let text = |bytes: &[u8], field| {
        String::from_utf8(messages(bytes, field).pop().unwrap_or_default()).expect("UTF-8")
    };
    let pairs: Vec<String> =
        messages(message, 1).iter().map(|label| format!("{}={}", text(label, 1), text(label, 2))).collect();
    pairs.join(",")
}

fn put(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One query: from, to, and matchers as (type, name, value).
type Query<'a> = (i64, i64, &'a [(u8, &'a str, &'a str)]);

fn request(queries: &[Query<'_>], accepted: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    for (start, end, matchers) in queries {
        let mut query = vec![8];
        put_varint(&mut query, *start as u64);
        query.push(16);
        put_varint(&mut query, *end as u64);
        for (kind, name, value) in *matchers {
            let mut matcher = vec![8, *kind];
            put(&mut matcher, 2, name.as_bytes());
            put(&mut matcher, 3, value.as_bytes());
            put(&mut query, 3, &matcher);
        }
        // Hints, which change nothing.
        put(&mut query, 4, &[8, 60]);
        put(&mut request, 1, &query);
    }
    if !accepted.is_empty() {
        put(&mut request, 2, accepted);
    }
    request
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("a small message")
}

const SAMPLES: i64 = 300;

/// Two counters `c`, one in job `a` and one in `b`, and a histogram `h`, a sample each second.
fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for second in 0..SAMPLES {
        let at = Timestamp::from_millis(second * 1000);
        for (job, factor) in [("a", 1.0), ("b", 1.5)] {
            batch.push(Labels::from_pairs([("__name__", "c"), ("job", job)]), at, second as f64 * factor);
        }
        let histogram = histogram(second);
        let labels = Labels::from_pairs([("__name__", "h"), ("job", "a"), ("dc", "own")]);
        batch.push(labels, at, SampleValue::FloatHistogram(Arc::new(histogram)));
    }
    store.append(&batch).expect("a store in memory takes everything");
    Arc::new(store)
}

fn histogram(second: i64) -> FloatHistogram {
    FloatHistogram {
        schema: 1,
        count: 2.0 * second as f64,
        sum: second as f64,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![second as f64; 2],
        ..FloatHistogram::default()
    }
}

/// Series and samples per query, from either form: labels to times and values (of histograms, their counts).
type Found = Vec<BTreeMap<String, Vec<(i64, f64)>>>;

fn from_samples(pieces: &[Vec<u8>]) -> Found {
    assert_eq!(pieces.len(), 1);
    let response = snap::raw::Decoder::new().decompress_vec(&pieces[0]).expect("a Snappy block");
    let series = |message: &Vec<u8>| {
        let floats = messages(message, 2).into_iter().map(|sample| (number(&sample, 2), double(&sample, 1)));
        let counts = messages(message, 4).into_iter().map(|sample| (number(&sample, 15), double(&sample, 2)));
        (labels(message), floats.chain(counts).collect())
    };
    messages(&response, 1).iter().map(|result| messages(result, 1).iter().map(series).collect()).collect()
}

fn from_stream(pieces: &[Vec<u8>], queries: usize) -> Found {
    let mut found: Found = vec![BTreeMap::new(); queries];
    for frame in pieces {
        let mut at = 0;
        let len = varint(frame, &mut at) as usize;
        let response = &frame[at + 4..];
        assert_eq!(frame[at..at + 4], crc32c::crc32c(response).to_be_bytes());
        assert_eq!(response.len(), len);
        let into = &mut found[number(response, 2) as usize];
        for series in messages(response, 1) {
            let samples = into.entry(labels(&series)).or_default();
            for chunk in messages(&series, 2) {
                let data = messages(&chunk, 4).pop().expect("data");
                let (mut times, mut values) = (Vec::new(), Vec::new());
                if number(&chunk, 3) == 1 {
                    decode(&data, &mut times, &mut values).expect("a chunk");
                } else {
                    assert_eq!(number(&chunk, 3), 3);
                    let mut histograms = Vec::new();
                    decode_histograms(
                        Encoding::FloatHistogram,
                        &data,
                        TimeRange::ALL,
                        (&mut times, &mut histograms, &mut Vec::new()),
                    )
                    .expect("a chunk");
                    values.extend(histograms.iter().map(|histogram| histogram.count));
                }
                assert!(times.len() <= 240);
                assert_eq!(
                    (times.first(), times.last()),
                    (Some(&number(&chunk, 1)), Some(&number(&chunk, 2)))
                );
                samples.extend(times.into_iter().zip(values));
            }
        }
    }
    found
}

fn ask(message: &[u8], external: &Labels, options: ReadOptions) -> Result<Vec<Vec<u8>>, ReadError> {
    let request = ReadRequest::from_snappy(&snappy(message), &options)?;
    request.answer(store(), external.clone(), options)?.collect()
}

/// Both forms of the answer to the same queries, which must say the same.
fn check(queries: &[Query<'_>], external: &Labels, expected: &Found) {
    // One chunk a frame, many chunks a frame.
    for frame_bytes_max in [1, 1 << 20] {
        let options = ReadOptions { frame_bytes_max, ..ReadOptions::default() };
        let streamed = ask(&request(queries, &[7, 1, 0]), external, options).expect("an answer");
        assert_eq!(&from_stream(&streamed, queries.len()), expected, "{queries:?}");
    }
    for accepted in [&[][..], &[0], &[0, 1]] {
        let whole = ask(&request(queries, accepted), external, ReadOptions::default()).expect("an answer");
        assert_eq!(&from_samples(&whole), expected, "{queries:?}");
    }
}

fn run(from: i64, to: i64, factor: f64) -> Vec<(i64, f64)> {
    (from..=to).map(|second| (second * 1000, second as f64 * factor)).collect()
}

#[test]
fn both_forms_say_the_same() {
    let none = Labels::empty();
    let everything = (0, 1 << 40, &[(0, "__name__", "c")][..]);
    let both = BTreeMap::from([
        ("__name__=c,job=a".to_owned(), run(0, SAMPLES - 1, 1.0)),
        ("__name__=c,job=b".to_owned(), run(0, SAMPLES - 1, 1.5)),
    ]);
    check(&[everything], &none, &vec![both.clone()]);
    let part = (10_000, 12_999, &[(2, "job", "b|c"), (1, "__name__", "h")][..]);
    let of_part = BTreeMap::from([("__name__=c,job=b".to_owned(), run(10, 12, 1.5))]);
    let histograms = (0, 299_000, &[(3, "job", "b"), (2, "__name__", "h")][..]);
    let of_histograms = BTreeMap::from([("__name__=h,dc=own,job=a".to_owned(), run(0, SAMPLES - 1, 2.0))]);
    let nothing = (0, 1000, &[(0, "job", "c")][..]);
    let backwards = (1000, 0, &[(0, "job", "a")][..]);
    check(
        &[part, nothing, everything, backwards, histograms],
        &none,
        &vec![of_part, BTreeMap::new(), both, BTreeMap::new(), of_histograms],
    );
    check(&[], &none, &Vec::new());
}

/// External labels are added to series that lack them, and asking for them finds these series.
#[test]
fn external_labels() {
    let external = Labels::from_pairs([("dc", "x"), ("job", "outer")]);
    check(
        &[(0, 1000, &[(0, "dc", "x"), (0, "__name__", "c"), (0, "job", "a")])],
        &external,
        &vec![BTreeMap::from([("__name__=c,dc=x,job=a".to_owned(), run(0, 1, 1.0))])],
    );
    check(&[(0, 1000, &[(0, "dc", "y"), (0, "__name__", "c")])], &external, &vec![BTreeMap::new()]);
    check(
        &[(0, 0, &[(0, "__name__", "h")])],
        &external,
        &vec![BTreeMap::from([("__name__=h,dc=own,job=a".to_owned(), run(0, 0, 2.0))])],
    );
}

#[test]
fn bad_questions() {
    let check = |message: &[u8], options: ReadOptions, status: u16, part: &str| {
        let error = ask(message, &Labels::empty(), options).expect_err(part);
        assert_eq!(error.http_status(), status, "{error}");
        assert!(error.to_string().contains(part), "expected {part:?} in {error}");
    };
    let plain = ReadOptions::default();
    let one: Query<'_> = (0, 1 << 40, &[(0, "__name__", "c")]);
    check(&[10, 5, 0], plain, 400, "expected more bytes");
    check(&[8, 1], plain, 400, "wire type");
    check(&request(&[(0, 1, &[(9, "a", "b")])], &[]), plain, 400, "type 0, 1, 2 or 3, found 9");
    check(&request(&[(0, 1, &[(2, "a", "(")])], &[]), plain, 400, "label \"a\"");
    check(&request(&[one], &[5, 6]), plain, 400, "found only [5, 6]");
    check(&request(&[one, one], &[]), ReadOptions { queries_max: 1, ..plain }, 400, "1 queries");
    check(&request(&[one], &[]), ReadOptions { matchers_max: 0, ..plain }, 400, "0 matchers");
    check(
        &request(&[one], &[]),
        ReadOptions { samples_max: 599, ..plain },
        400,
        "exceeded sample limit (599)",
    );
    check(&request(&[one], &[]), ReadOptions { compressed_bytes_max: 5, ..plain }, 413, "at most 5 bytes");
    check(&request(&[one], &[]), ReadOptions { decompressed_bytes_max: 5, ..plain }, 400, "declares");
    // What is enough, is; and streams have no such bound.
    for (samples_max, accepted) in [(600, &[0][..]), (0, &[0]), (1, &[1])] {
        assert!(
            ask(&request(&[one], accepted), &Labels::empty(), ReadOptions { samples_max, ..plain }).is_ok()
        );
    }
    let error = ReadRequest::from_snappy(b"no snappy", &plain).expect_err("not Snappy");
    assert_eq!(error.http_status(), 400);
    // Forms repeated without end are one form.
    let many = request(&[one], &[1; 1000]);
    let read = ReadRequest::from_snappy(&snappy(&many), &plain).expect("a request");
    assert_eq!(read.response_type().expect("a form"), ResponseType::StreamedXorChunks);
}

proptest! {
    /// Bytes that look like questions, and may be some.
    #[test]
    fn any_question_gets_an_answer(message in prop::collection::vec(prop::sample::select(
        vec![0u8, 1, 2, 3, 8, 0x0a, 0x10, 0x12, 0x1a, 0x22, 0x7f, 0x80, 0xff, b'c', b'(']), 0..60)) {
        match ask(&message, &Labels::empty(), ReadOptions { samples_max: 1000, ..ReadOptions::default() }) {
            Ok(pieces) => prop_assert!(pieces.iter().all(|piece| !piece.is_empty())),
            Err(error) => prop_assert!(error.http_status() >= 400),
        }
    }
}
