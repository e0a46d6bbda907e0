//! Histogram chunks and XOR2 on arbitrary data: what is pushed comes back, through cuts, recodings and resumptions; any bytes
//! are samples or an error, the same for both readings.

use std::collections::BTreeMap;

use kymo_chunk::{
    Encoding, FloatHistogramAppender, HistogramAppender, HistogramIter, HistogramPushed, HistogramValue,
    Xor2Iter, decode_floats, decode_histograms,
};
use kymo_model::{CounterResetHint, FloatHistogram, Histogram, Span, TimeRange};
use proptest::prelude::*;

type Side = BTreeMap<i32, i64>;

/// One step of a series: what is added where, at which time.
#[derive(Clone, Debug)]
struct Step {
    delta_ms: i64,
    start_ms: i64,
    adds: [Side; 2],
    schema: i32,
    sum_bits: u64,
    kind: u8,
}

fn side() -> impl Strategy<Value = Side> {
    prop::collection::btree_map(-12..12i32, prop_oneof![0..4i64, 0..1i64 << 40], 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        prop_oneof![4 => Just(15_000i64), 1 => any::<i64>()],
        prop_oneof![4 => Just(7i64), 1 => 0..5_000i64],
        [side(), side()],
        prop_oneof![12 => Just(3), 1 => -4..=8i32],
        prop_oneof![3 => Just(2.5f64.to_bits()), 2 => any::<u64>(), 1 => Just(kymo_model::STALE_NAN_BITS)],
        0..16u8,
    );
    let step = step.prop_map(|(delta_ms, start_ms, adds, schema, sum_bits, kind)| Step {
        delta_ms,
        start_ms,
        adds,
        schema,
        sum_bits,
        kind,
    });
    prop::collection::vec(step, 0..60)
}

fn spans(side: &Side) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut next) = (Vec::<Span>::new(), 0);
    for index in side.keys() {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
    }
    (spans, side.values().copied().collect())
}

/// The histograms of a series: mostly counters that grow, some that reset, lose a bucket, or are gauges.
fn histograms(steps: &[Step], all_gauges: bool) -> Vec<(i64, i64, Histogram)> {
    let (mut t_ms, mut sides, mut found) = (0i64, [Side::new(), Side::new()], Vec::new());
    for step in steps {
        t_ms = t_ms.wrapping_add(step.delta_ms);
        if step.kind == 0 {
            sides = [Side::new(), Side::new()];
        } else if step.kind == 1 {
            for side in &mut sides {
                side.pop_first();
            }
        }
        for (side, adds) in sides.iter_mut().zip(&step.adds) {
            for (index, count) in adds {
                *side.entry(*index).or_default() += count;
            }
        }
        let [(positive_spans, positive), (negative_spans, negative)] = [spans(&sides[0]), spans(&sides[1])];
        let deltas = |counts: &[i64]| {
            let mut last = 0;
            counts.iter().map(|count| count - std::mem::replace(&mut last, *count)).collect()
        };
        found.push((
            t_ms,
            step.start_ms,
            Histogram {
                counter_reset_hint: match step.kind {
                    _ if all_gauges => CounterResetHint::Gauge,
                    2 => CounterResetHint::Reset,
                    3 => CounterResetHint::Gauge,
                    _ => CounterResetHint::Unknown,
                },
                schema: step.schema,
                zero_threshold: if step.kind == 4 { 0.01 } else { 0.0 },
                zero_count: step.kind.into(),
                count: positive.iter().chain(&negative).sum::<i64>() as u64,
                sum: f64::from_bits(step.sum_bits),
                positive_spans,
                positive_buckets: deltas(&positive),
                negative_spans,
                negative_buckets: deltas(&negative),
                custom_values: Vec::new(),
            },
        ));
    }
    found
}

/// What must come back of a histogram: everything but the shape of its spans and its empty buckets. Of a marker, the sum.
fn essence(h: &FloatHistogram) -> (i32, [u64; 4], [BTreeMap<i64, u64>; 2]) {
    let sides = [(&h.positive_spans, &h.positive_buckets), (&h.negative_spans, &h.negative_buckets)];
    let sides = sides.map(|(spans, counts)| {
        let (mut next, mut counts, mut found) = (0i64, counts.iter(), BTreeMap::new());
        for span in spans {
            next += i64::from(span.offset);
            for index in next..next + i64::from(span.length) {
                let count = counts.next().unwrap();
                if *count != 0.0 {
                    found.insert(index, count.to_bits());
                }
            }
            next += i64::from(span.length);
        }
        found
    });
    if h.is_stale() {
        return (0, [0, 0, 0, h.sum.to_bits()], Default::default());
    }
    (h.schema, [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits), sides)
}

enum Open {
    Integer(HistogramAppender),
    Float(FloatHistogramAppender),
}

impl Open {
    fn push(&mut self, (t_ms, start_ms, histogram): &(i64, i64, Histogram)) -> HistogramPushed {
        match self {
            Open::Integer(chunk) => chunk.push_started(*t_ms, *start_ms, histogram),
            Open::Float(chunk) => chunk.push_started(*t_ms, *start_ms, &histogram.to_float()),
        }
    }

    fn following(&self, histogram: &Histogram) -> Open {
        match self {
            Open::Integer(chunk) => Open::Integer(chunk.following(histogram)),
            Open::Float(chunk) => Open::Float(chunk.following(&histogram.to_float())),
        }
    }

    fn resumed(self) -> Open {
        match self {
            Open::Integer(chunk) => Open::Integer(HistogramAppender::resume(chunk.into_bytes()).unwrap()),
            Open::Float(chunk) => Open::Float(FloatHistogramAppender::resume(chunk.into_bytes()).unwrap()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Open::Integer(chunk) => chunk.bytes(),
            Open::Float(chunk) => chunk.bytes(),
        }
    }
}

/// Both readings of a chunk agree: samples, or the error.
fn check_bytes(encoding: Encoding, bytes: &[u8]) -> Option<Vec<(i64, i64, FloatHistogram)>> {
    let iterated: Result<Vec<_>, _> = HistogramIter::new(encoding, bytes).and_then(Iterator::collect);
    let (mut timestamps_ms, mut histograms, mut starts_ms) = (vec![7], vec![], vec![]);
    let columns = (&mut timestamps_ms, &mut histograms, &mut starts_ms);
    let decoded = decode_histograms(encoding, bytes, TimeRange::ALL, columns);
    assert_eq!(timestamps_ms.remove(0), 7);
    match (iterated, decoded) {
        (Ok(samples), Ok(())) => {
            assert_eq!(samples.len(), timestamps_ms.len());
            if !encoding.has_starts() {
                starts_ms = vec![0; samples.len()];
            }
            let samples: Vec<_> = samples
                .into_iter()
                .map(|sample| (sample.t_ms, sample.start_ms, sample.value.into_float()))
                .collect();
            for (at, (t_ms, start_ms, histogram)) in samples.iter().enumerate() {
                assert_eq!((*t_ms, *start_ms), (timestamps_ms[at], starts_ms[at]));
                assert!(histogram.same_bits(&histograms[at]));
            }
            Some(samples)
        }
        (iterated, decoded) => {
            assert_eq!(iterated.unwrap_err(), decoded.unwrap_err());
            assert!(timestamps_ms.is_empty() && histograms.is_empty() && starts_ms.is_empty());
            None
        }
    }
}

fn check_series(
    series: &[(i64, i64, Histogram)],
    mut open: Open,
    encoding: Encoding,
    resume_at: usize,
) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    for (at, sample) in series.iter().enumerate() {
        if at == resume_at && !encoding.has_starts() {
            open = open.resumed();
        }
        if open.push(sample) == HistogramPushed::Cut {
            let next = open.following(&sample.2);
            chunks.push(std::mem::replace(&mut open, next).bytes().to_vec());
            assert_ne!(open.push(sample), HistogramPushed::Cut);
        }
    }
    chunks.push(open.bytes().to_vec());
    let read: Vec<_> =
        chunks.iter().flat_map(|chunk| check_bytes(encoding, chunk).expect("a chunk")).collect();
    assert_eq!(read.len(), series.len());
    for ((t_ms, start_ms, found), (t_wanted, start_wanted, wanted)) in read.iter().zip(series) {
        let start_wanted = if encoding.has_starts() { *start_wanted } else { 0 };
        assert_eq!((*t_ms, *start_ms), (*t_wanted, start_wanted));
        assert_eq!(essence(found), essence(&wanted.to_float()));
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn round_trip(
        steps in steps(),
        all_gauges in any::<bool>(),
        resume_at in 0..60usize,
        at in any::<prop::sample::Index>(),
        flip in 0..8u8,
    ) {
        let series = histograms(&steps, all_gauges);
        for (open, encoding) in [
            (Open::Integer(HistogramAppender::new()), Encoding::Histogram),
            (Open::Float(FloatHistogramAppender::new()), Encoding::FloatHistogram),
            (Open::Integer(HistogramAppender::with_starts()), Encoding::HistogramStart),
            (Open::Float(FloatHistogramAppender::with_starts()), Encoding::FloatHistogramStart),
        ] {
            for mut chunk in check_series(&series, open, encoding, resume_at) {
                check_bytes(encoding, &chunk[..at.index(chunk.len())]);
                let at = at.index(chunk.len());
                chunk[at] ^= 1 << flip;
                check_bytes(encoding, &chunk);
            }
        }
    }

    #[test]
    fn arbitrary_bytes(count in 0..400u16, body in prop::collection::vec(any::<u8>(), 0..200)) {
        for encoding in Encoding::ALL.into_iter().filter(|encoding| !encoding.is_float()) {
            check_bytes(encoding, &body);
            check_bytes(encoding, &[&count.to_be_bytes(), body.as_slice()].concat());
        }
        let bytes = [&count.to_be_bytes(), body.as_slice()].concat();
        let iterated: Result<Vec<_>, _> = Xor2Iter::new(&bytes).and_then(Iterator::collect);
        let (mut timestamps_ms, mut values, mut starts_ms) = (Vec::new(), Vec::new(), Vec::new());
        let columns = (&mut timestamps_ms, &mut values, &mut starts_ms);
        let decoded = decode_floats(Encoding::Xor2, &bytes, TimeRange::ALL, columns);
        prop_assert_eq!(iterated.as_ref().map(|_| ()), decoded.as_ref().map(|_| ()));
        prop_assert_eq!(timestamps_ms.len(), iterated.map_or(0, |samples| samples.len()));
    }
}

/// `01` text to bytes.
fn from_bits(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text.bytes().filter(|c| matches!(c, b'0' | b'1')).map(|c| c - b'0').collect();
    bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |all, (i, bit)| all | bit << (7 - i))).collect()
}

/// A count, spans or bounds alone reserve nothing, and what few bytes can stand for is bounded.
#[test]
fn claims_are_bounded() {
    let check = |text: &str, wanted: &str| {
        let bytes = from_bits(text);
        let error = HistogramIter::new(Encoding::Histogram, &bytes).unwrap().find_map(Result::err).unwrap();
        assert_eq!(error.to_string(), wanted);
    };
    let threshold_and_schema = "1111111111111111 00000000 00000000 0";
    let long = "1".repeat(25);
    check(
        &format!("{threshold_and_schema} 10001 1111110{long} 0 0 {}", "0".repeat(63)),
        "expected no more buckets than 64 bits can hold, found 33554431 (sample 0, bit 72)",
    );
    check(
        &format!(
            "{threshold_and_schema} 11110{} {} 0 {}",
            "1".repeat(12),
            "00".repeat(4095),
            "0".repeat(200)
        ),
        "expected at most 16777216 spans and bounds in all histograms together, found 268365825 (sample 0, bit 8241)",
    );
    check(
        &format!("{threshold_and_schema} 10010 10001 0 10001 10111 {}", "0".repeat(200)),
        "expected a span behind the one before and within 32 bits, found offset -1 and length 1 (sample 0, bit 44)",
    );
    check(
        "0000000000000001 00000000 00000000 1110 111001010 0",
        "expected a schema from -9 to 52, or -53 for custom bounds, found -54 (sample 0, bit 32)",
    );
    let error = HistogramIter::new(Encoding::Xor, &[]).unwrap_err();
    assert_eq!(error.to_string(), "expected a chunk of histograms, found encoding 1 (XOR) (sample 0, bit 0)");
}

#[test]
fn schemas_of_later_versions_are_reduced() {
    let deep = Histogram {
        schema: 20,
        count: 3,
        positive_spans: vec![Span { offset: 4096, length: 1 }, Span { offset: 0, length: 1 }],
        positive_buckets: vec![1, 1],
        ..Histogram::default()
    };
    let mut chunk = HistogramAppender::new();
    assert_eq!(chunk.push(0, &deep), HistogramPushed::Appended);
    let sample = HistogramIter::new(Encoding::Histogram, chunk.bytes()).unwrap().next().unwrap().unwrap();
    let HistogramValue::Integer(found) = sample.value else { panic!("an integer histogram") };
    // 4096 is the last bucket of those that become bucket 1, 4097 the first of bucket 2.
    assert_eq!((found.schema, found.positive_spans), (8, vec![Span { offset: 1, length: 2 }]));
    assert_eq!(found.positive_buckets, [1, 1]);
}

/// Counts above 2^53 of a schema that is reduced: both readings merge before they round.
#[test]
fn merging_rounds_once() {
    let histogram = Histogram {
        schema: 11,
        count: 1 << 60,
        positive_spans: vec![Span { offset: 1, length: 3 }],
        positive_buckets: vec![(1 << 53) + 1, -(1 << 53), 0],
        ..Histogram::default()
    };
    let mut chunk = HistogramAppender::new();
    assert_eq!(chunk.push(1, &histogram), HistogramPushed::Appended);
    let samples = check_bytes(Encoding::Histogram, chunk.bytes()).unwrap();
    assert_eq!(samples[0].2.positive_buckets, [((1u64 << 53) + 3) as f64]);
}
