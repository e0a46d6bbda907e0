//! The receiver against stores that keep, forget, refuse and fail; against requests that are whole, odd and broken.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Mutex;

use kymo_model::{
    Append, Appended, Batch, CounterResetHint, Exemplar, ExemplarRefusal, FamilyMetadata, FloatHistogram,
    Histogram, Labels, Metadata, MetricType, Refusal, RefusedExemplar, RefusedRow, RowSeries, SampleValue,
    SeriesHandle, Span, StoreError, StoreErrorKind, Timestamp,
};
use kymo_remote::{BodyError, Options, ReceiveError, RequestEncoder, WriteReceiver, Written};
use proptest::prelude::*;

/// A store that gives handles, forgets them when told to, and refuses what goes back in time.
#[derive(Default)]
struct Store(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    handles: BTreeMap<u64, Labels>,
    rows: Vec<(Labels, i64, SampleValue)>,
    rows_by_handle: usize,
    /// Series, labels, time.
    exemplars: Vec<String>,
    families: Vec<FamilyMetadata>,
    fail: Option<StoreErrorKind>,
}

impl Store {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// All series get new handles from now on.
    fn forget(&self) {
        self.state().handles.clear();
    }

    fn floats(&self) -> Vec<(String, i64, f64)> {
        let state = self.state();
        let floats = state.rows.iter().filter_map(|(labels, t, value)| match value {
            SampleValue::Float(value) => Some((labels.to_string(), *t, *value)),
            _ => None,
        });
        floats.collect()
    }
}

impl Append for Store {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        let mut state = self.state();
        if let Some(kind) = state.fail {
            return Err(StoreError::new(kind, "told to fail"));
        }
        let mut outcome = Appended::default();
        for (row, entry) in batch.rows().iter().enumerate() {
            let labels = match &entry.series {
                RowSeries::Labels(labels) => labels.clone(),
                RowSeries::Handle(handle) => match state.handles.get(&handle.get().get()) {
                    Some(labels) => {
                        let labels = labels.clone();
                        state.rows_by_handle += 1;
                        labels
                    }
                    None => {
                        outcome.refused.push(RefusedRow { row, reason: Refusal::UnknownHandle });
                        continue;
                    }
                },
            };
            let t = entry.timestamp.millis();
            if state.rows.iter().any(|(known, at, _)| *known == labels && *at > t) {
                outcome.refused.push(RefusedRow { row, reason: Refusal::OutOfOrder });
                continue;
            }
            if matches!(entry.series, RowSeries::Labels(_)) {
                let found = state.handles.iter().find(|(_, known)| **known == labels).map(|(id, _)| *id);
                let id = found.unwrap_or_else(|| {
                    outcome.series_created += 1;
                    state.next += 1;
                    state.next
                });
                state.handles.insert(id, labels.clone());
                outcome.handles.push((row, SeriesHandle::new(NonZeroU64::new(id).unwrap())));
            }
            state.rows.push((labels, t, entry.value.clone()));
            outcome.appended += 1;
        }
        for (index, one) in batch.exemplars().iter().enumerate() {
            let mut refuse = |reason| outcome.exemplars_refused.push(RefusedExemplar { index, reason });
            let labels = match &one.series {
                RowSeries::Handle(handle) => match state.handles.get(&handle.get().get()) {
                    Some(labels) => labels.clone(),
                    None => {
                        refuse(ExemplarRefusal::UnknownHandle);
                        continue;
                    }
                },
                RowSeries::Labels(labels) => labels.clone(),
            };
            if !state.handles.values().any(|known| *known == labels) {
                refuse(ExemplarRefusal::UnknownSeries);
                continue;
            }
            let Exemplar { labels: of, value, timestamp } = &one.exemplar;
            let time = timestamp.map_or("-".to_owned(), |t| t.millis().to_string());
            state.exemplars.push(format!("{labels} {of} {value} {time}"));
            outcome.exemplars += 1;
        }
        state.families.extend_from_slice(batch.metadata());
        outcome.metadata_changed = batch.metadata().len();
        Ok(outcome)
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn up(job: &str) -> Labels {
    labels(&[("__name__", "up"), ("job", job)])
}

fn refused(answer: Result<Written, ReceiveError>) -> kymo_remote::Refused {
    match answer {
        Err(error @ ReceiveError::Refused(_)) => {
            assert_eq!(error.http_status(), 400);
            let ReceiveError::Refused(refused) = error else { unreachable!() };
            *refused
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn known_series_go_by_handle() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    for round in 0..3i64 {
        let mut request = RequestEncoder::new();
        request.series(&up("a"), &[(round * 10, 1.0), (round * 10 + 5, 2.0)]);
        request.series(&up("b"), &[(round * 10, 3.0)]);
        let written = receiver.receive(&request.to_snappy(), &store).unwrap();
        assert_eq!(written.samples, 3);
        assert_eq!(written.series_created, if round == 0 { 2 } else { 0 });
    }
    assert_eq!(store.state().rows_by_handle, 6);
    assert_eq!(receiver.cached_series(), 2);
    assert_eq!(store.floats().len(), 9);
    assert_eq!(store.floats()[8], (up("b").to_string(), 20, 3.0));
}

#[test]
fn forgotten_handles_are_sent_again_with_labels() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    let send = |t: i64| {
        let mut request = RequestEncoder::new();
        request.series(&up("a"), &[(t, 1.0), (t + 1, 2.0)]).series(&up("b"), &[(t, 3.0)]);
        receiver.receive(&request.to_snappy(), &store).unwrap()
    };
    send(0);
    store.forget();
    assert_eq!(send(10).samples, 3);
    assert_eq!(store.state().rows_by_handle, 0);
    assert_eq!(send(20).samples, 3);
    assert_eq!(store.state().rows_by_handle, 3);
    let expected: Vec<i64> = vec![0, 1, 0, 10, 11, 10, 20, 21, 20];
    assert_eq!(store.floats().iter().map(|(_, t, _)| *t).collect::<Vec<_>>(), expected);
}

#[test]
fn out_of_order_is_a_bad_request_after_the_rest_is_written() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    let mut request = RequestEncoder::new();
    request.series(&up("a"), &[(100, 1.0)]);
    receiver.receive(&request.to_snappy(), &store).unwrap();
    let mut request = RequestEncoder::new();
    request.series(&up("a"), &[(50, 2.0), (200, 3.0)]).series(&up("b"), &[(50, 4.0)]);
    let refused = refused(receiver.receive(&request.to_snappy(), &store));
    assert_eq!(refused.by_reason, [(Refusal::OutOfOrder, 1)]);
    assert_eq!((refused.written.samples, refused.written.series_created), (2, 1));
    assert_eq!(refused.to_string(), "out of order sample: up{job=\"a\"} at 50ms (1 of 3 samples refused)");
    assert_eq!(store.floats().len(), 3);
}

#[test]
fn invalid_labels_are_a_bad_request_after_the_rest_is_written() {
    let series = |pairs: &[(&[u8], &[u8])]| {
        let mut message = Vec::new();
        for (name, value) in pairs {
            let label = [&[0x0a, name.len() as u8], *name, &[0x12, value.len() as u8], value].concat();
            message.extend([0x0a, label.len() as u8]);
            message.extend(label);
        }
        message.extend([0x12, 2, 0x10, 7]);
        [&[0x0a, message.len() as u8], message.as_slice()].concat()
    };
    let good = series(&[(b"job", b"x"), (b"__name__", b"up"), (b"zone", b"")]);
    type Pairs<'a> = &'a [(&'a [u8], &'a [u8])];
    let cases: [(Pairs<'_>, &str); 6] = [
        (&[(b"job", b"x")], "expected a label `__name__` with a metric name, found none in {job=\"x\"}"),
        (
            &[(b"__name__", b"")],
            "expected a label `__name__` with a metric name, found none in {__name__=\"\"}",
        ),
        (
            &[(b"__name__", b"up"), (b"", b"x")],
            "expected a label name, found an empty one in {=\"x\", __name__=\"up\"}",
        ),
        (
            &[(b"__name__", b"up"), (b"a", b"1"), (b"a", b"")],
            "expected distinct label names, found \"a\" twice in {__name__=\"up\", a=\"\", a=\"1\"}",
        ),
        (
            &[(b"__name__", b"up"), (b"a", b"\xff")],
            "expected UTF-8 in label names and values, found other bytes in {__name__=\"up\", a=\"\u{fffd}\"}",
        ),
        (&[], "expected a label `__name__` with a metric name, found none in {}"),
    ];
    for (pairs, message) in cases {
        let (receiver, store) = (WriteReceiver::default(), Store::default());
        let request = [series(pairs), good.clone()].concat();
        let refused = refused(receiver.receive(&snappy(&request), &store));
        assert_eq!(refused.first, message);
        assert_eq!((refused.invalid, refused.written.samples), (1, 1));
        assert_eq!(store.floats(), [("up{job=\"x\"}".to_owned(), 7, 0.0)]);
    }
}

#[test]
fn labels_after_samples_and_unknown_fields_are_read() {
    let label = |name: &str, value: &str| {
        let label =
            [&[0x0a, name.len() as u8], name.as_bytes(), &[0x12, value.len() as u8], value.as_bytes()]
                .concat();
        [&[0x0a, label.len() as u8], label.as_slice()].concat()
    };
    let sample: &[u8] = &[0x12, 2, 0x10, 9];
    let unknown: &[u8] =
        &[0x98, 0x06, 0x01, 0xa1, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0xa5, 0x06, 0, 0, 0, 0, 0xaa, 0x06, 1, 0];
    // Without labels, value or time; and one with two labels of one name, which is none.
    let exemplar: &[u8] =
        &[0x1a, 0, 0x1a, 14, 0x0a, 5, 0x0a, 1, b'a', 0x12, 0, 0x0a, 5, 0x0a, 1, b'a', 0x12, 0];
    let message = [unknown, &label("__name__", "up"), sample, exemplar, &label("job", "x"), unknown].concat();
    let request = [unknown, &[0x0a, message.len() as u8], &message, unknown].concat();
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    for _ in 0..2 {
        let written = receiver.receive(&snappy(&request), &store).unwrap();
        assert_eq!((written.samples, written.exemplars, written.exemplars_invalid), (1, 1, 1));
    }
    assert_eq!(store.state().rows_by_handle, 1);
    assert_eq!(store.floats()[1], ("up{job=\"x\"}".to_owned(), 9, 0.0));
}

#[test]
fn broken_requests_write_nothing() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    let mut good = RequestEncoder::new();
    good.series(&up("a"), &[(1, 1.0)]);
    for (tail, message, at) in [
        (&[0x0a, 5, 0][..], "expected more bytes of a field, found its message's end", 2),
        (&[0x0b], "expected a field, found a group", 0),
        (&[0x0c], "expected a field, found a group", 0),
        (&[0x0f], "expected wire type 0, 1, 2 or 5, found another", 0),
        (&[0x00], "expected a field number from 1 to 536870911, found another", 0),
        (&[0x08, 1], "expected a field's own wire type, found another", 1),
        (&[0x80; 11], "expected an integer of at most 64 bits, found a longer one", 0),
        (&[0x1a, 4, 0x12, 2, 0xff, 0xff], "expected UTF-8 text, found other bytes", 4),
    ] {
        let request = [good.as_protobuf(), tail].concat();
        let error = receiver.receive(&snappy(&request), &store).unwrap_err();
        assert_eq!(error.http_status(), 400);
        let at = good.as_protobuf().len() + at;
        let expected = format!(
            "expected a remote-write 1.0 request: {message} at byte {at} of the decompressed request"
        );
        assert_eq!(error.to_string(), expected);
    }
    assert!(store.floats().is_empty());
}

#[test]
fn sizes_are_bounded_before_anything_is_allocated() {
    let options = Options { compressed_bytes_max: 100, decompressed_bytes_max: 1000, ..Options::default() };
    let (receiver, store) = (WriteReceiver::new(options), Store::default());
    let status = |body: &[u8]| receiver.receive(body, &store).unwrap_err().http_status();
    assert_eq!(status(&[0; 101]), 413);
    // Declares 4 GiB in five bytes; then a size within the bound that so few bytes cannot hold.
    assert_eq!(status(&[0xff, 0xff, 0xff, 0xff, 0x0f]), 400);
    let error = receiver.receive(&[0xe7, 0x07, 0x00], &store).unwrap_err();
    assert!(
        matches!(error, ReceiveError::Body(BodyError::DeclaredTooLarge { found: 999, max: 66 })),
        "{error}"
    );
    assert_eq!(status(&snappy(&[0; 1001])), 400);
    assert_eq!(status(b"not snappy at all"), 400);
    assert_eq!(status(&[]), 400);
    assert!(receiver.receive(&snappy(&[]), &store).is_ok());
}

#[test]
fn labels_are_bounded_in_number_and_size() {
    let options = Options { labels_max: 3, label_bytes_max: usize::MAX, ..Options::default() };
    let (receiver, store) = (WriteReceiver::new(options), Store::default());
    let mut request = RequestEncoder::new();
    request.series(&labels(&[("__name__", "up"), ("a", "1"), ("b", "2"), ("c", "3")]), &[(1, 1.0)]);
    request.series(&labels(&[("__name__", "up"), ("a", &"x".repeat(1 << 20))]), &[(1, 1.0)]);
    let first = refused(receiver.receive(&request.to_snappy(), &store));
    assert_eq!(first.first, "expected at most 3 labels, found 4");
    assert_eq!((first.invalid, first.written.samples), (1, 1));
    // A value that is longer than any labels can hold, so it has to be put together by hand.
    let long = "x".repeat((1 << 20) + 1);
    let name = [&[0x0a, 8], &b"__name__"[..], &[0x12, 0x81, 0x80, 0x40], long.as_bytes()].concat();
    let mut message = vec![0x0a];
    put_len(&mut message, name.len());
    message.extend(name);
    message.extend([0x12, 2, 0x10, 7]);
    let mut request = vec![0x0a];
    put_len(&mut request, message.len());
    request.extend(message);
    let second = refused(receiver.receive(&snappy(&request), &store));
    let expected = "expected at most 1048576 bytes in a label name or value, found 1048577 in \"__name__\"";
    assert_eq!(second.first, expected);
}

fn put_len(out: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

#[test]
fn a_store_that_takes_no_writes_asks_to_try_again() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    let mut request = RequestEncoder::new();
    request.series(&up("a"), &[(1, 1.0)]);
    for (kind, status) in [
        (StoreErrorKind::Full, 503),
        (StoreErrorKind::ReadOnly, 503),
        (StoreErrorKind::Closed, 503),
        (StoreErrorKind::Io, 500),
    ] {
        store.state().fail = Some(kind);
        let error = receiver.receive(&request.to_snappy(), &store).unwrap_err();
        assert_eq!(error.http_status(), status);
    }
    store.state().fail = None;
    assert!(receiver.receive(&request.to_snappy(), &store).is_ok());
}

#[test]
fn metadata_is_handed_on() {
    let family = FamilyMetadata {
        name: "a_seconds".to_owned(),
        metadata: Metadata {
            metric_type: MetricType::Histogram,
            unit: "seconds".into(),
            help: "How long.".into(),
        },
    };
    let mut request = RequestEncoder::new();
    request.metadata(&family).metadata(&FamilyMetadata::default());
    let store = Store::default();
    let written = WriteReceiver::default().receive(&request.to_snappy(), &store).unwrap();
    assert_eq!((written.metadata_changed, written.metadata_refused), (1, 0));
    assert_eq!(store.state().families, [family]);
}

fn exemplar(trace: &str, value: f64, t_ms: i64) -> Exemplar {
    let timestamp = (t_ms != 0).then_some(Timestamp::from_millis(t_ms));
    Exemplar { labels: labels(&[("trace_id", trace)]), value, timestamp }
}

#[test]
fn exemplars_never_fail_a_request() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    let send = |t: i64| {
        let mut request = RequestEncoder::new();
        // As Prometheus sends them, each in a series of its own; of a histogram in any order; before the sample; of nobody.
        request
            .exemplars(&up("a"), &[exemplar("z", 2.0, t + 5), exemplar("x", 1.0, t), exemplar("y", 0.5, t)]);
        request.series(&up("a"), &[(t, 1.0)]).exemplars(&up("a"), &[exemplar("w", 3.0, 0)]);
        request.exemplars(&up("nobody"), &[exemplar("x", 1.0, t)]);
        receiver.receive(&request.to_snappy(), &store).unwrap()
    };
    let expected = |t: i64| {
        let of = |labels: &str, value: f64, t: String| {
            format!("up{{job=\"a\"}} {{trace_id=\"{labels}\"}} {value} {t}")
        };
        let times = [t.to_string(), t.to_string(), (t + 5).to_string(), "-".to_owned()];
        let all = [("y", 0.5), ("x", 1.0), ("z", 2.0), ("w", 3.0)];
        all.into_iter().zip(times).map(|((labels, value), t)| of(labels, value, t)).collect::<Vec<_>>()
    };
    for (round, forget) in [false, false, true, false].into_iter().enumerate() {
        if forget {
            store.forget();
        }
        let t = 10 + 100 * round as i64;
        let written = send(t);
        assert_eq!(
            (written.samples, written.exemplars, written.exemplars_invalid),
            (1, 4, 0),
            "round {round}"
        );
        assert_eq!(written.exemplars_refused, [(ExemplarRefusal::UnknownSeries, 1)]);
        assert_eq!(std::mem::take(&mut store.state().exemplars), expected(t), "round {round}");
    }
    assert_eq!(store.state().rows_by_handle, 2);
    // A series without a name is a bad request, whatever it has.
    let mut request = RequestEncoder::new();
    request.exemplars(&labels(&[("job", "x")]), &[exemplar("x", 1.0, 1)]).series(&up("a"), &[(900, 1.0)]);
    let refused = refused(receiver.receive(&request.to_snappy(), &store));
    assert_eq!((refused.written.samples, refused.written.exemplars_invalid), (1, 1));
}

/// A native histogram has several exemplars in one message with its sample.
#[test]
fn exemplars_of_native_histograms() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    // The messages of the two series without their heads of two bytes each, and the second without the labels.
    let bare = RequestEncoder::new().series(&up("a"), &[]).as_protobuf()[2..].to_vec();
    let mut encoder = RequestEncoder::new();
    let sample = encoder.histograms(&up("a"), &[(10, histogram())]).as_protobuf()[2..].to_vec();
    encoder.clear();
    let all = [exemplar("late", 0.5, 9), exemplar("x", 2.0, 7), exemplar("x", 1.0, 7)];
    let exemplars = encoder.exemplars(&up("a"), &all).as_protobuf()[2..].to_vec();
    let message = [sample.as_slice(), &exemplars[bare.len()..]].concat();
    assert!(message.len() > 127 && sample.len() < 128 && exemplars.len() < 128, "lengths of one byte");
    let request =
        [&[0x0a, message.len() as u8 | 0x80, (message.len() >> 7) as u8], message.as_slice()].concat();
    for _ in 0..2 {
        let written = receiver.receive(&snappy(&request), &store).unwrap();
        assert_eq!((written.histograms, written.exemplars), (1, 3));
        let found: Vec<String> = std::mem::take(&mut store.state().exemplars);
        let expected = ["{trace_id=\"x\"} 1 7", "{trace_id=\"x\"} 2 7", "{trace_id=\"late\"} 0.5 9"];
        assert_eq!(found, expected.map(|one| format!("up{{job=\"a\"}} {one}")));
    }
    assert_eq!(store.state().rows_by_handle, 1);
}

fn histogram() -> Histogram {
    Histogram {
        counter_reset_hint: CounterResetHint::NotReset,
        schema: 2,
        zero_threshold: 1e-128,
        zero_count: 3,
        count: 12,
        sum: 4.5,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![2, 1, -1],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![2],
        custom_values: vec![],
    }
}

#[test]
fn histograms_arrive_as_they_were_sent() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    let custom = FloatHistogram {
        schema: -53,
        count: 2.5,
        sum: 3.0,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive_buckets: vec![1.5, 1.0],
        custom_values: vec![0.5, 2.0],
        ..FloatHistogram::default()
    };
    let mut request = RequestEncoder::new();
    request.histograms(&up("a"), &[(5, histogram())]);
    request.float_histograms(&up("b"), &[(6, histogram().to_float()), (7, custom.clone())]);
    let written = receiver.receive(&request.to_snappy(), &store).unwrap();
    assert_eq!((written.samples, written.histograms), (0, 3));
    let state = store.state();
    let values: Vec<_> = state.rows.iter().map(|(_, t, value)| (*t, value.clone())).collect();
    assert_eq!(values[0], (5, SampleValue::Histogram(histogram().into())));
    assert_eq!(values[1], (6, SampleValue::FloatHistogram(histogram().to_float().into())));
    assert_eq!(values[2], (7, SampleValue::FloatHistogram(custom.into())));
}

/// Gauges, unknown hints, NaN, and staleness markers of either kind, of which only the marker is kept.
#[test]
fn hints_and_markers_of_histograms() {
    let (receiver, store) = (WriteReceiver::default(), Store::default());
    let stale = kymo_model::STALE_NAN;
    let gauge = Histogram { counter_reset_hint: CounterResetHint::Gauge, ..histogram() };
    let reset = Histogram { counter_reset_hint: CounterResetHint::Reset, ..histogram() };
    // A NaN is counted and lies in no bucket.
    let with_nan = Histogram { count: 14, sum: f64::NAN, ..histogram() };
    let marker = Histogram { sum: stale, count: 1, ..histogram() };
    let mut request = RequestEncoder::new();
    request
        .histograms(&up("a"), &[(1, gauge.clone()), (2, reset.clone()), (3, with_nan), (4, marker.clone())]);
    request.float_histograms(&up("b"), &[(5, FloatHistogram { sum: stale, ..histogram().to_float() })]);
    let written = receiver.receive(&request.to_snappy(), &store).expect("all are sound");
    assert_eq!(written.histograms, 5);
    let state = store.state();
    let values: Vec<&SampleValue> = state.rows.iter().map(|(_, _, value)| value).collect();
    assert_eq!(*values[0], SampleValue::Histogram(gauge.into()));
    assert_eq!(*values[1], SampleValue::Histogram(reset.into()));
    let SampleValue::Histogram(found) = values[2] else { panic!("{:?}", values[2]) };
    assert!(found.sum.is_nan() && !found.is_stale() && found.count == 14);
    let SampleValue::Histogram(found) = values[3] else { panic!("{:?}", values[3]) };
    assert!(found.is_stale() && found.positive_spans.is_empty() && found.count == 0);
    let SampleValue::FloatHistogram(found) = values[4] else { panic!("{:?}", values[4]) };
    assert!(found.is_stale() && found.positive_spans.is_empty());
}

#[test]
fn unsound_histograms_are_refused() {
    type Change = fn(&mut Histogram);
    let changes: [(Change, &str); 7] = [
        (|h| h.schema = 9, "a schema"),
        (|h| h.positive_spans[0].length = u32::MAX, "positive side"),
        (|h| h.positive_spans[1].offset = -1, "offset of 0 or more"),
        (|h| h.positive_spans[0].offset = i32::MAX, "32 bits"),
        (|h| h.positive_buckets[1] = -9, "in bucket 2"),
        (|h| h.count = 11, "a count of 12"),
        (|h| h.custom_values = vec![1.0], "no custom bounds"),
    ];
    for (change, word) in changes {
        let (receiver, store) = (WriteReceiver::default(), Store::default());
        let mut unsound = histogram();
        change(&mut unsound);
        let mut request = RequestEncoder::new();
        request.histograms(&up("a"), &[(5, unsound), (6, histogram())]);
        let refused = refused(receiver.receive(&request.to_snappy(), &store));
        assert!(
            refused.first.starts_with("invalid native histogram: ") && refused.first.contains(word),
            "expected {word:?} in {}",
            refused.first
        );
        assert_eq!((refused.invalid, refused.written.histograms), (1, 1), "{word}");
    }
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

proptest! {
    #[test]
    fn what_is_sent_arrives(
        series in prop::collection::btree_map("[a-zé]{1,6}", prop::collection::vec(any::<u64>(), 0..4), 0..5),
        rounds in 1usize..5,
    ) {
        let (receiver, store) = (WriteReceiver::default(), Store::default());
        let mut expected = Vec::new();
        for round in 0..rounds {
            let (mut request, before) = (RequestEncoder::new(), expected.len());
            // In one order, in the other, and with one series left out: what was learnt of the order is a guess.
            let mut order: Vec<_> = series.iter().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            let left_out = order.len().saturating_sub(usize::from(round == 2));
            for (job, values) in order.into_iter().take(left_out) {
                let samples: Vec<(i64, f64)> = values
                    .iter()
                    .enumerate()
                    .map(|(i, bits)| ((round * 10 + i) as i64, f64::from_bits(*bits)))
                    .collect();
                request.series(&up(job), &samples);
                expected.extend(samples.iter().map(|(t, v)| (up(job).to_string(), *t, v.to_bits())));
            }
            let written = receiver.receive(&request.to_snappy(), &store).unwrap();
            prop_assert_eq!(written.samples, expected.len() - before);
        }
        let found: Vec<_> = store.floats().into_iter().map(|(l, t, v)| (l, t, v.to_bits())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_get_an_answer(message in prop::collection::vec(prop::sample::select(
        vec![0u8, 1, 2, 3, 8, 9, 0x0a, 0x10, 0x12, 0x1a, 0x22, 0x7f, 0x80, 0xff, b'a', b'_']), 0..80)) {
        let (receiver, store) = (WriteReceiver::default(), Store::default());
        let shown = || receiver.receive(&snappy(&message), &store).map_err(|error| error.to_string());
        // The second time what is valid is known, and the answer is the same but for series that are new.
        let (cold, warm) = (shown(), shown());
        let without_new = |answer: Result<Written, String>| {
            answer.map(|written| Written { series_created: 0, ..written })
        };
        prop_assert_eq!(without_new(cold), without_new(warm));
        let _ = receiver.receive(&message, &store);
    }
}
