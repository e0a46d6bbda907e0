//! Properties: whatever is pushed comes back to the bit, and whatever bytes are read, both readers say the same.

use kymo_chunk::{ChunkError, ChunkErrorKind, CutPolicy, Encoding, EncodingError, XorAppender, XorIter};
use kymo_chunk::{decode, decode_range};
use kymo_model::TimeRange;
use proptest::prelude::*;

type Bits = Vec<(i64, u64)>;

fn iterated(bytes: &[u8]) -> Result<Bits, ChunkError> {
    XorIter::new(bytes)?.map(|sample| sample.map(|(t_ms, value)| (t_ms, value.to_bits()))).collect()
}

fn decoded(bytes: &[u8], range: Option<TimeRange>) -> Result<Bits, ChunkError> {
    // Something is there already, and must stay.
    let (mut timestamps_ms, mut values) = (vec![7], vec![7.0]);
    let answer = match range {
        None => decode(bytes, &mut timestamps_ms, &mut values),
        Some(range) => decode_range(bytes, range, &mut timestamps_ms, &mut values),
    };
    assert_eq!((timestamps_ms[0], values[0], timestamps_ms.len()), (7, 7.0, values.len()));
    assert!(answer.is_ok() || values.len() == 1, "an error leaves the columns alone");
    answer.map(|()| timestamps_ms.into_iter().zip(values).skip(1).map(|(t, v)| (t, v.to_bits())).collect())
}

/// All readings of any bytes agree: samples, or kind and place of the error.
fn check_bytes(bytes: &[u8], range: TimeRange) {
    assert_eq!(decoded(bytes, None), iterated(bytes));
    let mut wanted = Ok(Vec::new());
    for sample in XorIter::new(bytes).into_iter().flatten() {
        match (sample, &mut wanted) {
            (Err(error), _) => wanted = Err(error),
            (Ok((t_ms, _)), _) if t_ms > range.max.millis() => break,
            (Ok((t_ms, value)), Ok(kept)) if t_ms >= range.min.millis() => kept.push((t_ms, value.to_bits())),
            _ => {}
        }
    }
    if bytes.len() >= 2 {
        assert_eq!(decoded(bytes, Some(range)), wanted);
    }
    if let (Ok(mut chunk), Ok(samples)) = (XorAppender::resume(bytes.to_vec()), iterated(bytes))
        && chunk.len() < u16::MAX
    {
        assert_eq!(chunk.last().map(|(t, v)| (t, v.to_bits())), samples.last().copied());
        chunk.push(1, 2.5);
        let longer: Bits = samples.into_iter().chain([(1, 2.5f64.to_bits())]).collect();
        assert_eq!(iterated(chunk.bytes()), Ok(longer));
    }
}

fn check_round_trip(samples: &[(i64, u64)], resume_at: usize) -> Vec<u8> {
    let mut chunk = XorAppender::new();
    for (i, (t_ms, bits)) in samples.iter().enumerate() {
        if i == resume_at {
            chunk = XorAppender::resume(chunk.bytes().to_vec()).unwrap();
        }
        chunk.push(*t_ms, f64::from_bits(*bits));
        assert_eq!(chunk.last().map(|(t, v)| (t, v.to_bits())), Some((*t_ms, *bits)));
    }
    assert_eq!(usize::from(chunk.len()), samples.len());
    assert_eq!(chunk.first_timestamp_ms(), samples.first().map(|(t_ms, _)| *t_ms));
    assert_eq!(iterated(chunk.bytes()).as_deref(), Ok(samples));
    assert_eq!(decoded(chunk.bytes(), None).as_deref(), Ok(samples));
    let mut at_once = XorAppender::new();
    let (first, second) = samples.split_at(resume_at.min(samples.len()));
    for part in [first, &[], second] {
        at_once.push_all(part.iter().map(|(t_ms, bits)| (*t_ms, f64::from_bits(*bits))));
    }
    assert_eq!(at_once.bytes(), chunk.bytes());
    at_once.push(7, 7.0);
    let mut longer = chunk.clone();
    longer.push(7, 7.0);
    assert_eq!(at_once.bytes(), longer.bytes());
    chunk.into_bytes()
}

fn timestamps() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        8 => Just(15_000i64),
        4 => 14_990..15_010i64,
        2 => -1_100_000..1_100_000i64,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, 0, -1, 23_192, 80_536, 539_288, -509_288]),
    ];
    (any::<i64>(), prop::collection::vec(step, 0..300)).prop_map(|(start, steps)| {
        let walk = steps.into_iter().scan(start, |at, step| {
            *at = at.wrapping_add(step);
            Some(*at)
        });
        walk.collect()
    })
}

fn value_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(1.0f64.to_bits()),
        4 => (0..1000i32).prop_map(|n| f64::from(n).to_bits()),
        2 => (0..10_000i32).prop_map(|n| (f64::from(n) / 100.0).to_bits()),
        2 => any::<u64>(),
        1 => prop::sample::select(vec![0x7ff0_0000_0000_0002, 0x7ff8_0000_0000_0001, 1 << 63, 0, 1, u64::MAX]),
    ]
}

fn samples() -> impl Strategy<Value = Bits> {
    (timestamps(), prop::collection::vec(value_bits(), 300)).prop_map(|(t, v)| t.into_iter().zip(v).collect())
}

fn ranges() -> impl Strategy<Value = TimeRange> {
    let end = || prop_oneof![any::<i64>(), -100..10_000i64];
    (end(), end()).prop_map(|(a, b)| TimeRange::from_millis(a, b))
}

/// What scrapes give: counters that rise at most or at some of them, at exact intervals or nearly.
fn scraped() -> impl Strategy<Value = Bits> {
    let start = prop_oneof![Just(0u64), 0..5_000_000u64];
    let sample = (0..7i64, 0..100u64, 0..100u64);
    let share = prop::sample::select(vec![0, 10, 50, 95, 100]);
    (start, share.clone(), share, prop::collection::vec(sample, 0..300)).prop_map(
        |(start, moves, rises, steps)| {
            let mut count = start;
            let sample = |(at, (jitter, roll, rise)): (usize, (i64, u64, u64))| {
                let t_ms = 1_600_000_000_000 + at as i64 * 15_000 + if roll < moves { jitter } else { 0 };
                count += if (roll * 7 + 3) % 100 < rises { rise } else { 0 };
                (t_ms, (count as f64).to_bits())
            };
            steps.into_iter().enumerate().map(sample).collect()
        },
    )
}

/// The chunks that a policy makes of samples, asked before each one or only when its room was used up.
fn cut(samples: &[(i64, u64)], by_room: bool) -> Vec<Vec<u8>> {
    let policy = CutPolicy { samples_target: 120, samples_max: 120, bytes_max: 400 };
    let (mut chunk, mut chunks, mut rest) = (XorAppender::new(), Vec::new(), samples);
    while !rest.is_empty() {
        if policy.is_full(&chunk) {
            chunks.push(chunk.take());
        }
        let room = if by_room { policy.room(&chunk).min(rest.len()) } else { 1 };
        let (now, later) = rest.split_at(room);
        chunk.push_all(now.iter().map(|(t_ms, bits)| (*t_ms, f64::from_bits(*bits))));
        rest = later;
    }
    chunks.push(chunk.take());
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn scrapes(samples in scraped(), resume_at in 0..300usize, at in any::<prop::sample::Index>(), flip in 0..8u8) {
        let mut bytes = check_round_trip(&samples, resume_at);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << flip;
        check_bytes(&bytes, TimeRange::from_millis(1_600_000_100_000, 1_600_001_000_000));
    }

    #[test]
    fn round_trip(samples in samples(), resume_at in 0..300usize) {
        check_round_trip(&samples, resume_at);
    }

    #[test]
    fn room(samples in samples(), scraped in scraped()) {
        assert_eq!(cut(&samples, true), cut(&samples, false));
        assert_eq!(cut(&scraped, true), cut(&scraped, false));
    }

    #[test]
    fn arbitrary_bytes(count in 0..400u16, body in prop::collection::vec(any::<u8>(), 0..200), range in ranges()) {
        check_bytes(&body, range);
        check_bytes(&[&count.to_be_bytes(), body.as_slice()].concat(), range);
    }

    #[test]
    fn damaged_chunks(samples in samples(), at in any::<prop::sample::Index>(), flip in 0..8u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = check_round_trip(&samples, usize::MAX);
        let middle = samples.get(samples.len() / 2).map_or(0, |(t_ms, _)| *t_ms);
        let range = TimeRange::from_millis(middle.saturating_sub(100_000), middle);
        check_bytes(&bytes, range);
        check_bytes(&bytes[..cut.index(bytes.len())], range);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << flip;
        check_bytes(&bytes, range);
    }
}

/// Every length of a chunk: cut chunks are errors that say so, and all sizes of the end go through the padded copy.
#[test]
fn every_prefix() {
    let samples: Bits = (0..130).map(|i| (i * 15_000 + i % 3, (i as f64 * 0.37).to_bits())).collect();
    let bytes = check_round_trip(&samples, 60);
    for end in 0..bytes.len() {
        check_bytes(&bytes[..end], TimeRange::from_millis(20_000, 900_000));
        let error = iterated(&bytes[..end]).unwrap_err();
        assert!(matches!(error.kind, ChunkErrorKind::Truncated { .. }), "{end}: {error}");
        assert!(error.bit_offset <= 8 * end, "{end}: {error}");
    }
}

#[test]
fn faults_say_where() {
    let check = |bytes: &[u8], wanted: &str| assert_eq!(iterated(bytes).unwrap_err().to_string(), wanted);
    check(&[0], "expected 16 more bits, found 8 (sample 0, bit 0)");
    check(
        &[[0, 1].as_slice(), &[0xff; 10]].concat(),
        "expected a varint of at most 64 bits, found a longer one (sample 0, bit 16)",
    );
    // 11, 31 leading, 34 significant.
    let bad_window = [[0, 2, 0].as_slice(), &[0; 8], &[0], &[0b1111_1111, 0b0001_0000], &[0; 8]].concat();
    check(
        &bad_window,
        "expected a value window within 64 bits, found 31 leading zeros and 34 bits (sample 1, bit 98)",
    );
    let error = XorAppender::resume(vec![0, 0, 1]).unwrap_err();
    assert_eq!(error.to_string(), "expected the end of the chunk, found 1 more bytes (sample 0, bit 16)");
    assert_eq!(XorAppender::resume(vec![0, 0, 0]).unwrap().bytes(), [0, 0]);
}

#[test]
fn a_count_alone_reserves_nothing() {
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    decode(&[0xff; 40], &mut timestamps_ms, &mut values).unwrap_err();
    assert!(timestamps_ms.capacity() + values.capacity() < 1000);
}

#[test]
fn open_chunks_are_small() {
    let mut chunk = XorAppender::new();
    for i in 0..120 {
        chunk.push(i * 15_000, i as f64);
        assert!(chunk.memory_bytes() <= 56 + chunk.bytes().len() + 64, "{}", chunk.memory_bytes());
    }
}

#[test]
fn policy() {
    let policy = CutPolicy::default();
    let mut chunk = XorAppender::new();
    while !policy.is_full(&chunk) {
        chunk.push(i64::from(chunk.len()) * 15_000, 1.0);
        assert_eq!(policy.knows_rate(&chunk), chunk.len() == 30);
    }
    assert_eq!(chunk.len(), 240);
    assert_eq!(chunk.take()[..2], [0, 240]);
    while !policy.is_full(&chunk) {
        let t_ms = i64::from(chunk.len())
            .wrapping_mul(0x1234_5678_9abc_def1)
            .wrapping_mul(i64::from(chunk.len()) + 7);
        chunk.push(t_ms, f64::from_bits((t_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
    assert!((1006..=1024).contains(&chunk.bytes().len()), "{}", chunk.bytes().len());
    assert_eq!(policy.end_ms(i64::MIN, i64::MAX, i64::MAX), i64::MAX, "no overflow");
    assert_eq!(policy.end_ms(0, 0, i64::MAX), 4, "a sample a millisecond");
    assert_eq!(policy.end_ms(0, 7_000_000, 7_200_000), 7_200_000, "one chunk to the end of the block");
}

#[test]
fn encodings() {
    for byte in 0..=255u8 {
        match Encoding::from_byte(byte) {
            Ok(encoding) => {
                assert_eq!((encoding.to_byte(), encoding.is_float()), (byte, byte == 1 || byte == 4))
            }
            Err(error) => {
                assert!(error == EncodingError::Unknown { found: byte } && !(1..=6).contains(&byte))
            }
        }
    }
}
