//! Golden bytes of histogram chunks: those that Prometheus wrote must be what the appenders write, chunk for chunk, and must
//! read as what was given to Prometheus. XOR2 and the encodings with start timestamps are written out bit by bit.

use kymo_chunk::{
    Encoding, FloatHistogramAppender, HistogramAppender, HistogramIter, HistogramPushed, HistogramValue,
    ResetHeader, StartedSample, Xor2Iter, decode_floats, decode_histograms,
};
use kymo_model::{CounterResetHint, FloatHistogram, Histogram, STALE_NAN, Span, TimeRange};

const PROMETHEUS: &str = include_str!("golden/histograms.txt");

struct Chunk {
    series: String,
    encoding: Encoding,
    data: Vec<u8>,
    samples: Vec<(i64, HistogramValue)>,
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn float(text: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(text, 16).unwrap())
}

fn list<T>(text: &str, one: impl Fn(&str) -> T) -> Vec<T> {
    if text == "-" { Vec::new() } else { text.split(',').map(one).collect() }
}

fn span(text: &str) -> Span {
    let (offset, length) = text.split_once(':').unwrap();
    Span { offset: offset.parse().unwrap(), length: length.parse().unwrap() }
}

fn sample(line: &str, encoding: Encoding) -> (i64, HistogramValue) {
    let words: Vec<&str> = line.split(' ').collect();
    let [t, schema, threshold, zero_count, count, sum, hint, p_spans, p_buckets, n_spans, n_buckets] =
        words[..]
    else {
        panic!("{line}")
    };
    let counter_reset_hint = match hint {
        "1" => CounterResetHint::Reset,
        "3" => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    let stale = kymo_model::is_stale(float(sum));
    let value = match encoding {
        Encoding::Histogram if stale => {
            HistogramValue::Integer(Histogram { sum: STALE_NAN, ..Default::default() })
        }
        Encoding::Histogram => HistogramValue::Integer(Histogram {
            counter_reset_hint,
            schema: schema.parse().unwrap(),
            zero_threshold: float(threshold),
            zero_count: zero_count.parse().unwrap(),
            count: count.parse().unwrap(),
            sum: float(sum),
            positive_spans: list(p_spans, span),
            positive_buckets: list(p_buckets, |delta| delta.parse().unwrap()),
            negative_spans: list(n_spans, span),
            negative_buckets: list(n_buckets, |delta| delta.parse().unwrap()),
            custom_values: Vec::new(),
        }),
        _ => HistogramValue::Float(FloatHistogram {
            counter_reset_hint,
            schema: schema.parse().unwrap(),
            zero_threshold: float(threshold),
            zero_count: float(zero_count),
            count: float(count),
            sum: float(sum),
            positive_spans: list(p_spans, span),
            positive_buckets: list(p_buckets, float),
            negative_spans: list(n_spans, span),
            negative_buckets: list(n_buckets, float),
            custom_values: Vec::new(),
        }),
    };
    (t.parse().unwrap(), value)
}

fn chunks() -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for line in PROMETHEUS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix("chunk ") {
            let words: Vec<&str> = head.split(' ').collect();
            let encoding = Encoding::from_byte(words[1].parse().unwrap()).unwrap();
            chunks.push(Chunk {
                series: words[0].to_owned(),
                encoding,
                data: hex(words[2]),
                samples: Vec::new(),
            });
        } else {
            let chunk = chunks.last_mut().unwrap();
            chunk.samples.push(sample(line, chunk.encoding));
        }
    }
    chunks
}

enum Open {
    Integer(HistogramAppender),
    Float(FloatHistogramAppender),
}

impl Open {
    fn new(value: &HistogramValue) -> Open {
        match value {
            HistogramValue::Integer(_) => Open::Integer(HistogramAppender::new()),
            HistogramValue::Float(_) => Open::Float(FloatHistogramAppender::new()),
        }
    }

    fn push(&mut self, t_ms: i64, value: &HistogramValue) -> HistogramPushed {
        match (self, value) {
            (Open::Integer(chunk), HistogramValue::Integer(histogram)) => chunk.push(t_ms, histogram),
            (Open::Float(chunk), HistogramValue::Float(histogram)) => chunk.push(t_ms, histogram),
            _ => HistogramPushed::Cut,
        }
    }

    fn following(&self, value: &HistogramValue) -> Open {
        match (self, value) {
            (Open::Integer(chunk), HistogramValue::Integer(histogram)) => {
                Open::Integer(chunk.following(histogram))
            }
            (Open::Float(chunk), HistogramValue::Float(histogram)) => Open::Float(chunk.following(histogram)),
            _ => Open::new(value),
        }
    }

    fn resumed(self) -> Open {
        match self {
            Open::Integer(chunk) => {
                Open::Integer(HistogramAppender::resume(with_empty_byte(chunk.into_bytes())).unwrap())
            }
            Open::Float(chunk) => {
                Open::Float(FloatHistogramAppender::resume(with_empty_byte(chunk.into_bytes())).unwrap())
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Open::Integer(chunk) => chunk.bytes(),
            Open::Float(chunk) => chunk.bytes(),
        }
    }
}

/// As Prometheus may leave it.
fn with_empty_byte(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(0);
    bytes
}

/// Every chunk that Prometheus cut is cut here, in the same place, with the same bytes; resumed after every sample or not.
#[test]
fn written_as_prometheus_writes() {
    for resume in [false, true] {
        let (mut open, mut series, mut filled_bytes) = (None::<Open>, String::new(), 0);
        for chunk in chunks() {
            let first = &chunk.samples[0].1;
            let before = open.take().filter(|_| series == chunk.series);
            series.clone_from(&chunk.series);
            let mut now = match before {
                None => Open::new(first),
                Some(mut before) => {
                    assert_eq!(before.push(chunk.samples[0].0, first), HistogramPushed::Cut, "{series}");
                    before.following(first)
                }
            };
            for (t_ms, value) in &chunk.samples {
                assert_ne!(now.push(*t_ms, value), HistogramPushed::Cut, "{series} at {t_ms}");
                if resume {
                    now = now.resumed();
                }
            }
            let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            // Prometheus leaves an empty byte behind a number that ended with a byte.
            let filled = chunk.data.strip_suffix(&[0]).filter(|data| data.len() == now.bytes().len());
            let wanted = filled.unwrap_or(&chunk.data);
            assert_eq!(text(now.bytes()), text(wanted), "{series} from {}", chunk.samples[0].0);
            filled_bytes += usize::from(filled.is_some());
            open = Some(now);
        }
        assert!(filled_bytes > 0, "the case of the empty byte is among them");
    }
}

/// Buckets by index, without the empty ones: what recoding keeps.
fn by_index(spans: &[Span], counts: &[f64]) -> Vec<(i64, u64)> {
    let (mut next, mut counts, mut found) = (0i64, counts.iter(), Vec::new());
    for span in spans {
        next += i64::from(span.offset);
        for _ in 0..span.length {
            let count = *counts.next().unwrap();
            if count != 0.0 {
                found.push((next, count.to_bits()));
            }
            next += 1;
        }
    }
    found
}

#[track_caller]
fn assert_same(found: &FloatHistogram, wanted: &FloatHistogram) {
    let numbers = |h: &FloatHistogram| [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits);
    assert_eq!((found.schema, numbers(found)), (wanted.schema, numbers(wanted)));
    let sides = |h: &FloatHistogram| {
        (by_index(&h.positive_spans, &h.positive_buckets), by_index(&h.negative_spans, &h.negative_buckets))
    };
    assert_eq!(sides(found), sides(wanted));
}

#[test]
fn read_as_given_to_prometheus() {
    let mut count = 0;
    for chunk in chunks() {
        let iterated: Vec<_> =
            HistogramIter::new(chunk.encoding, &chunk.data).unwrap().map(Result::unwrap).collect();
        let (mut timestamps_ms, mut histograms, mut starts_ms) = (Vec::new(), Vec::new(), Vec::new());
        let columns = (&mut timestamps_ms, &mut histograms, &mut starts_ms);
        decode_histograms(chunk.encoding, &chunk.data, TimeRange::ALL, columns).unwrap();
        assert_eq!(iterated.len(), chunk.samples.len());
        assert!(starts_ms.is_empty());
        for (at, (t_ms, wanted)) in chunk.samples.into_iter().enumerate() {
            assert_eq!((iterated[at].t_ms, timestamps_ms[at], iterated[at].start_ms), (t_ms, t_ms, 0));
            let wanted = wanted.into_float();
            assert_same(&iterated[at].value.clone().into_float(), &wanted);
            assert!(histograms[at].same_bits(&iterated[at].value.clone().into_float()));
            let hint = match (wanted.counter_reset_hint, at) {
                _ if wanted.is_stale() => CounterResetHint::Unknown,
                (CounterResetHint::Gauge, _) => CounterResetHint::Gauge,
                (_, 0) => CounterResetHint::Unknown,
                _ => CounterResetHint::NotReset,
            };
            assert_eq!(histograms[at].counter_reset_hint, hint);
            count += 1;
        }
    }
    assert!(count > 400, "{count} samples compared");
}

/// `01` text to bytes, zero bits at the end; what follows a bar is for the reader.
fn from_bits(text: &str) -> Vec<u8> {
    let code = text.lines().filter_map(|line| line.split('|').next());
    let bits: Vec<u8> =
        code.flat_map(str::bytes).filter(|c| matches!(c, b'0' | b'1')).map(|c| c - b'0').collect();
    bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |all, (i, bit)| all | bit << (7 - i))).collect()
}

fn bits_of(value: f64) -> String {
    format!("{:064b}", value.to_bits())
}

/// The samples of `wanted` as (t, start, bits of the value).
#[track_caller]
fn check_xor2(text: &str, wanted: &[(i64, i64, u64)]) {
    let bytes = from_bits(text);
    let found: Vec<_> = Xor2Iter::new(&bytes)
        .unwrap()
        .map(|sample| {
            let StartedSample { t_ms, start_ms, value } = sample.unwrap();
            (t_ms, start_ms, value.to_bits())
        })
        .collect();
    assert_eq!(found, wanted);
    let (mut timestamps_ms, mut values, mut starts_ms) = (Vec::new(), Vec::new(), Vec::new());
    let columns = (&mut timestamps_ms, &mut values, &mut starts_ms);
    decode_floats(Encoding::Xor2, &bytes, TimeRange::ALL, columns).unwrap();
    let columns: Vec<_> =
        timestamps_ms.into_iter().zip(starts_ms).zip(values).map(|((t, s), v)| (t, s, v.to_bits())).collect();
    assert_eq!(columns, wanted);
}

#[test]
fn xor2() {
    let (one, two, stale) = (1.0f64.to_bits(), 2.0f64.to_bits(), STALE_NAN.to_bits());
    // 1.0 ^ 2.0: one leading zero, 11 significant bits, 52 trailing.
    let to_two = "00001 001011 11111111111";
    check_xor2(
        &format!(
            "0000000000001010 00000000  00000010 {}  00000101 0
             0                      | as before
             10 1 {to_two}          | 2.0, with a window
             10 0 11111111111       | 1.0, in it
             110 0000000000001 0    | a delta one longer
             110 1111111111111 110 {to_two}  | one shorter, 2.0
             11111                  | a marker
             0                      | 2.0 again, no change
             1110 10000000000000000000 111 | -524288, a marker",
            bits_of(1.0)
        ),
        &[
            (1, 0, one),
            (6, 0, one),
            (11, 0, one),
            (16, 0, two),
            (21, 0, one),
            (27, 0, one),
            (32, 0, two),
            (37, 0, stale),
            (42, 0, two),
            (47 - 524_288, 0, stale),
        ],
    );
    // Known from the first sample on and the same for two, then others: distances to the time before each.
    check_xor2(
        &format!(
            "0000000000000101 10000010  11001000 00000001 {}  00001010
             00001010 0             | 110, nothing said: still 95
             0  10 011              | 120: 110 - 3
             0  0                   | 130: 120 - 3
             11110 {} 0  110 010000 | 141 + 1000: 130 - 3 - 16",
            bits_of(1.0),
            format_args!("{:064b}", 1001)
        ),
        &[(100, 95, one), (110, 95, one), (120, 107, one), (130, 117, one), (1141, 111, one)],
    );
}

/// Start timestamps behind histograms: encoding 5 with its other header.
#[test]
fn histograms_with_starts() {
    let bytes = from_bits(
        "01 00000000000011 10000001       | no reset before, 3 samples, first known, second says
         00000000 0 0 0                   | threshold 0, schema 0, no spans
         110 010100 10 001 10 001         | t 20, count 1, zero count 1
         0000000000000000000000000000000000000000000000000000000000000000
         00001010                         | start 15
         110 001010 10 001 10 001 0       | t 30
         10 100                           | start 20 - 4
         0 0 0 0 10 001                   | t 40, start 30 - 5",
    );
    let found: Vec<_> = HistogramIter::new(Encoding::HistogramStart, &bytes)
        .unwrap()
        .map(|sample| sample.unwrap())
        .map(|sample| (sample.t_ms, sample.start_ms, sample.value.into_float().count))
        .collect();
    assert_eq!(found, [(20, 15, 1.0), (30, 16, 2.0), (40, 25, 3.0)]);

    let counted = |count| Histogram { count, zero_count: count, ..Histogram::default() };
    let mut chunk = HistogramAppender::with_starts();
    for (t_ms, start_ms, count) in [(20, 15, 1), (30, 16, 2), (40, 25, 3)] {
        assert_eq!(chunk.push_started(t_ms, start_ms, &counted(count)), HistogramPushed::Appended);
    }
    // All but the header's word about a reset, which nobody told.
    assert_eq!(chunk.bytes()[1..], bytes[1..]);
    assert_eq!(chunk.reset_header(), ResetHeader::Unknown);
    let (mut timestamps_ms, mut histograms, mut starts_ms) = (Vec::new(), Vec::new(), Vec::new());
    let columns = (&mut timestamps_ms, &mut histograms, &mut starts_ms);
    decode_histograms(Encoding::HistogramStart, &bytes, TimeRange::from_millis(25, 40), columns).unwrap();
    assert_eq!((timestamps_ms, starts_ms), (vec![30, 40], vec![16, 25]));
    assert_eq!(histograms.len(), 2);
}

/// Bounds are thousandths as whole numbers, or floats.
#[test]
fn custom_bounds() {
    let histogram = Histogram {
        schema: kymo_model::CUSTOM_BUCKETS_SCHEMA,
        count: 1,
        sum: 0.0,
        positive_spans: vec![Span { offset: 1, length: 1 }],
        positive_buckets: vec![1],
        custom_values: vec![-1.0, 0.0, 0.005, 33_554.43, 33_554.431, 1.0 / 3.0 + 40_000.0],
        ..Histogram::default()
    };
    let bytes = from_bits(&format!(
        "0000000000000001 00000000
         00000000 1110 111001011          | threshold 0, schema -53
         10 001 10 001 10 001             | one span of 1 after 1
         0                                | no negative spans
         10 110                           | six bounds
         0 {}
         10 001
         10 110
         1111110 1111111111111111111111111
         0 {}
         0 {}
         0 10 001 0                       | t 0, count 1, zero count 0
         0000000000000000000000000000000000000000000000000000000000000000
         10 001",
        bits_of(-1.0),
        bits_of(33_554.431),
        bits_of(1.0 / 3.0 + 40_000.0),
    ));
    let mut chunk = HistogramAppender::new();
    assert_eq!(chunk.push(0, &histogram), HistogramPushed::Appended);
    assert_eq!(chunk.bytes(), bytes);
    let sample = HistogramIter::new(Encoding::Histogram, &bytes).unwrap().next().unwrap().unwrap();
    assert_eq!(sample.value, HistogramValue::Integer(histogram.clone()));
    // Other bounds are a reset.
    let other = Histogram { custom_values: vec![0.0, 1.0], ..histogram };
    assert_eq!(chunk.push(1, &other), HistogramPushed::Cut);
    assert_eq!(chunk.following(&other).reset_header(), ResetHeader::Reset);
}
