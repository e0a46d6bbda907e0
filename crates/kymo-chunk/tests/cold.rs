//! Cold columns: whatever goes in comes out to the bit, from every range; any bytes are an error or columns, never a panic; the
//! bytes of known columns never change.

use std::ops::Range;

use kymo_chunk::cold::{
    COLUMN_SAMPLES_MAX, ColdErrorKind, decode_times, decode_values, encode_times, encode_values, sample_count,
};
use proptest::prelude::*;

const STALE: u64 = 0x7ff0_0000_0000_0002;

fn check_values(values: &[f64], ranges: &[Range<usize>]) -> usize {
    let mut column = Vec::new();
    encode_values(values, &mut column);
    assert_eq!(sample_count(&column), Ok(values.len()));
    for range in ranges.iter().cloned().chain(std::iter::once(0..values.len())) {
        let mut read = vec![7.0];
        decode_values(&column, range.clone(), &mut read).unwrap();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read[1..]), bits(&values[range]));
    }
    column.len()
}

fn check_times(times: &[i64], ranges: &[Range<usize>]) -> usize {
    let mut column = Vec::new();
    encode_times(times, &mut column);
    for range in ranges.iter().cloned().chain(std::iter::once(0..times.len())) {
        let mut read = vec![7];
        decode_times(&column, range.clone(), &mut read).unwrap();
        assert_eq!(read[1..], times[range]);
    }
    column.len()
}

fn special() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::from_bits(STALE)),
        Just(f64::NAN),
        Just(f64::from_bits(0xfff8_dead_beef_0001)),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        Just(0.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        Just(5e-324),
        Just(i64::MAX as f64),
        Just(i64::MIN as f64),
        Just(9_007_199_254_740_993.0),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

/// A column of one nature, with some special values in it.
fn column() -> impl Strategy<Value = Vec<f64>> {
    let decimals = |places: u32| {
        prop::collection::vec(-50_000i64..50_000, 0..700)
            .prop_map(move |numbers| numbers.iter().map(|n| *n as f64 / 10f64.powi(places as i32)).collect())
    };
    let natures = prop_oneof![
        (0u32..16).prop_flat_map(decimals),
        // A counter, large or small, that may be reset.
        (0u32..62, prop::collection::vec(any::<u64>(), 0..700)).prop_map(|(bits, steps)| {
            let mut count = 0u64;
            let step = |step: u64| {
                count = if step % 300 == 7 { 0 } else { count.wrapping_add(step >> (64 - bits.max(1))) };
                count as f64
            };
            steps.into_iter().map(step).collect()
        }),
        prop::collection::vec(
            any::<u64>().prop_map(|m| f64::from_bits(0x4030_0000_0000_0000 | m >> 12)),
            0..400
        ),
        prop::collection::vec(any::<f32>().prop_map(f64::from), 0..400),
        prop::collection::vec(prop::sample::select(vec![0.1, 2.5e-7, f64::NAN, 17.0, 3.3333333]), 0..400),
        prop::collection::vec(special(), 0..300),
        (special(), 0usize..2000).prop_map(|(value, count)| vec![value; count]),
        // Long runs.
        prop::collection::vec((0i32..4, 1usize..200), 0..10)
            .prop_map(|runs| runs.iter().flat_map(|(v, n)| vec![f64::from(*v) * 1.5e-3; *n]).collect()),
        // Multiples.
        (2i64..5_000_000, prop::collection::vec(-4000i64..4000, 0..300))
            .prop_map(|(factor, numbers)| numbers.iter().map(|n| (7 + n * factor) as f64).collect()),
    ];
    (natures, prop::collection::vec((any::<prop::sample::Index>(), special()), 0..6), any::<bool>()).prop_map(
        |(mut values, specials, mixed): (Vec<f64>, _, _)| {
            for (place, special) in
                specials.into_iter().filter(|_| mixed && !values.is_empty()).collect::<Vec<_>>()
            {
                let place = place.index(values.len());
                values[place] = special;
            }
            values
        },
    )
}

fn times() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        prop::collection::vec(any::<i64>(), 0..400),
        (any::<i64>(), 0i64..100_000, prop::collection::vec(-5i64..5, 0..700)).prop_map(
            |(start, step, jitter)| {
                let time = |(i, j): (usize, &i64)| start.wrapping_add(step * i as i64).wrapping_add(*j);
                jitter.iter().enumerate().map(time).collect()
            }
        ),
        (prop::sample::select(vec![0, 1, 1000, 15_000]), prop::collection::vec(0usize..400, 0..6)).prop_map(
            |(step, runs)| {
                let (mut t, mut times) = (1_600_000_000_000, Vec::new());
                for run in runs {
                    times.extend((0..run as i64).map(|i| t + i * step));
                    t += 3_600_000 + run as i64 * step;
                }
                times
            }
        ),
    ]
}

fn ranges() -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index)>> {
    prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..3)
}

fn within(ranges: &[(prop::sample::Index, prop::sample::Index)], length: usize) -> Vec<Range<usize>> {
    let ends =
        |(a, b): &(prop::sample::Index, prop::sample::Index)| (a.index(length + 1), b.index(length + 1));
    ranges.iter().map(ends).map(|(a, b)| a.min(b)..a.max(b)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn values_come_back(values in column(), ranges in ranges()) {
        let bytes = check_values(&values, &within(&ranges, values.len()));
        // At worst a number and a patch each, and a header of five numbers.
        prop_assert!(bytes <= 18 * values.len() + 80, "{} bytes for {} values", bytes, values.len());
    }

    #[test]
    fn times_come_back(times in times(), ranges in ranges()) {
        let bytes = check_times(&times, &within(&ranges, times.len()));
        prop_assert!(bytes <= 9 * times.len() + 80, "{} bytes for {} times", bytes, times.len());
    }

    #[test]
    fn any_bytes_are_an_error_or_a_column(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut values = vec![1.0];
        let mut times = vec![1];
        let count = sample_count(&bytes).unwrap_or(0);
        match decode_values(&bytes, 0..count, &mut values) {
            Ok(()) => prop_assert_eq!(values.len(), count + 1),
            Err(error) => { prop_assert_eq!(values.len(), 1); prop_assert!(error.offset <= bytes.len()); }
        }
        match decode_times(&bytes, 0..count, &mut times) {
            Ok(()) => prop_assert_eq!(times.len(), count + 1),
            Err(error) => { prop_assert_eq!(times.len(), 1); prop_assert!(error.offset <= bytes.len()); }
        }
    }

    /// A column that was cut off is noticed when it is read to its end.
    #[test]
    fn a_missing_end_is_noticed(values in column(), cut in any::<prop::sample::Index>()) {
        let mut column = Vec::new();
        encode_values(&values, &mut column);
        column.truncate(cut.index(column.len()));
        let mut read = Vec::new();
        prop_assert!(decode_values(&column, 0..values.len(), &mut read).is_err());
        prop_assert!(read.is_empty());
    }
}

#[test]
fn sizes_are_as_the_page_says() {
    let mut random = 1u64;
    let mut below = move |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let exact: Vec<i64> = (0..2048).map(|i| 1_600_000_000_000 + 15_000 * i).collect();
    let jittered: Vec<i64> = exact.iter().map(|t| t + below(9) as i64 - 4).collect();
    assert!(check_times(&exact, &[]) < 80);
    assert!(check_times(&jittered, &[]) <= 2048 * 4 / 8 + 100);
    let counter: Vec<f64> = (0..2048)
        .scan(0, |count, _| {
            *count += below(100);
            Some(*count as f64)
        })
        .collect();
    assert!(check_values(&counter, &[]) <= 2048 * 7 / 8 + 100);
    let gauge: Vec<f64> = (0..2048).map(|_| below(10_000) as f64 / 100.0).collect();
    assert!(check_values(&gauge, &[]) <= 2048 * 14 / 8 + 100);
    // Staleness markers cost themselves alone.
    let mut stale = counter.clone();
    for place in [5, 6, 7, 500, 501, 2047] {
        stale[place] = f64::from_bits(STALE);
    }
    assert!(check_values(&stale, &[]) <= 2048 * 7 / 8 + 160);
    assert_eq!(check_values(&[1.0; 2048], &[]), 11);
    let largest = vec![2.5; COLUMN_SAMPLES_MAX];
    assert_eq!(check_values(&largest, &[60_000..65_536, 0..1]), 12);
}

/// What is on disk stays readable: these bytes never change.
#[test]
fn golden_columns() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let values = |values: &[f64]| {
        let mut column = Vec::new();
        encode_values(values, &mut column);
        check_values(values, &[]);
        hex(&column)
    };
    let times = |times: &[i64]| {
        let mut column = Vec::new();
        encode_times(times, &mut column);
        check_times(times, &[]);
        hex(&column)
    };
    let mut different = Vec::new();
    for (name, found, wanted) in [
        ("no value", values(&[]), "00000000000000000000"),
        ("constant", values(&[1.5; 3]), "0300000000000000f83f"),
        ("counter", values(&[10.0, 12.0, 13.0, 17.0, 18.0]), "05110001100202c500"),
        (
            "decimals and a marker",
            values(&[0.25, 0.5, f64::from_bits(STALE), 0.31, 0.99]),
            "0571020102020000000000f07f000732800cc4a004",
        ),
        (
            "bits",
            values(&[std::f64::consts::PI, std::f64::consts::E, -std::f64::consts::PI]),
            "0302028e8ba0d783bbc28c8001ddd6fe9299bcb1034000000000000000000000000000000000002d51d7e9ea81f47f",
        ),
        (
            "dictionary",
            values(&[0.1f64.sqrt(), 2f64.sqrt()].repeat(20)),
            "2802049ea4c2a4ecc49ed47fbee5dba1b0f198110100aaaaaaaaaa",
        ),
        ("no time", times(&[]), "000100"),
        (
            "every 15 s",
            times(&[1_600_000_000_000, 1_600_000_015_000, 1_600_000_030_000]),
            "0305018080f4f6905d98750002",
        ),
        (
            "jitter",
            times(&[1_600_000_000_003, 1_600_000_015_001, 1_600_000_030_000, 1_600_000_045_004]),
            "0402da95f2f6905dacea010300400a",
        ),
    ] {
        println!("{name}: {found}");
        different.extend((found != wanted).then_some(name));
    }
    assert_eq!(different, Vec::<&str>::new());
}

#[test]
fn errors_say_what_and_where() {
    let error = |bytes: &[u8], range| decode_values(bytes, range, &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(error(&[], 0..0), "expected the number of samples, found the end (byte 0)");
    assert_eq!(error(&[1], 0..1), "expected the kind of the column, found the end (byte 1)");
    assert_eq!(error(&[1, 0x80], 0..1), "expected a kind of column, found 128 (byte 1)");
    assert_eq!(error(&[1, 1, 16], 0..1), "expected at most 15 decimal places, found 16 (byte 2)");
    assert_eq!(error(&[1, 3, 0], 0..1), "expected a dictionary of 1 to 256 values, found 0 (byte 2)");
    assert_eq!(error(&[1, 2, 0, 59], 0..1), "expected a width of at most 64 bits, found 59 (byte 3)");
    assert_eq!(
        error(&[1, 2, 0, 0, 0, 9], 0..1),
        "expected the end of the column, found 1 more bytes (byte 5)"
    );
    assert_eq!(error(&[0x81, 0x80, 4], 0..1), "expected at most 65,536 samples, found 65537 (byte 0)");
    let few = decode_times(&[1, 1], 0..2, &mut Vec::new()).unwrap_err();
    assert_eq!(few.kind, ColdErrorKind::TooFew { wanted: 2, found: 1 });
}
