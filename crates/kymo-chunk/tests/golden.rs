//! Golden bytes: chunks written out by hand, bit by bit from the layout, and one that promtool wrote. Each must be what the
//! appender writes and what both readers read, to the bit.

use kymo_chunk::{XorAppender, XorIter, decode};

/// The samples of `wanted` and the bytes must be each other's encoding, with the appender resumed after any sample.
#[track_caller]
fn check(samples: &[(i64, f64)], wanted: &[u8]) {
    let mut chunk = XorAppender::new();
    for (t_ms, value) in samples {
        chunk.push(*t_ms, *value);
        chunk = XorAppender::resume(chunk.into_bytes()).expect("a chunk just written");
    }
    assert_eq!(hex(chunk.bytes()), hex(wanted));
    let mut chunk = XorAppender::new();
    chunk.push_all(samples.iter().copied());
    assert_eq!(hex(chunk.bytes()), hex(wanted));

    let bits = |(t_ms, value): (i64, f64)| (t_ms, value.to_bits());
    let iterated: Vec<_> = XorIter::new(wanted).unwrap().map(|sample| bits(sample.unwrap())).collect();
    assert!(iterated.iter().copied().eq(samples.iter().copied().map(bits)), "{iterated:x?}");
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    decode(wanted, &mut timestamps_ms, &mut values).unwrap();
    let decoded: Vec<_> = timestamps_ms.into_iter().zip(values).map(bits).collect();
    assert_eq!(decoded, iterated);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `01` text to bytes, zero bits at the end; everything else in the text is for the reader.
fn from_bits(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text.bytes().filter(|c| matches!(c, b'0' | b'1')).map(|c| c - b'0').collect();
    bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |all, (i, bit)| all | bit << (7 - i))).collect()
}

/// The bits of the value 0.0 as the first one.
const ZERO: &str = "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000";

/// A chunk of count 3 at 0, 1000 and 2000 + `dod`, all zero, so that only the delta of delta is interesting.
#[track_caller]
fn check_dod(dod: i64, wanted: &str) {
    let text = format!("00000000 00000011  00000000 {ZERO}  11101000 00000111 0  {wanted} 0");
    check(&[(0, 0.0), (1000, 0.0), (2000 + dod, 0.0)], &from_bits(&text));
}

#[test]
fn empty() {
    check(&[], &[0, 0]);
}

#[test]
fn first_timestamp_is_zigzag() {
    check(&[(-1, 0.0)], &from_bits(&format!("00000000 00000001  00000001 {ZERO}")));
    check(&[(1, 0.0)], &from_bits(&format!("00000000 00000001  00000010 {ZERO}")));
    check(&[(64, 0.0)], &from_bits(&format!("00000000 00000001  10000000 00000001 {ZERO}")));
    let lowest = [[0xff; 9].as_slice(), &[1]].concat();
    check(&[(i64::MIN, 0.0)], &[&[0, 1], lowest.as_slice(), &[0; 8]].concat());
}

#[test]
fn second_delta_is_unsigned() {
    // A step back by one is 2^64 - 1.
    let wanted = [[0, 2, 0].as_slice(), &[0; 8], &[0xff; 9], &[1, 0]].concat();
    check(&[(0, 0.0), (-1, 0.0)], &wanted);
}

#[test]
fn every_edge_of_the_delta_of_delta() {
    check_dod(0, "0");
    check_dod(1, "10 00000000000001");
    check_dod(-1, "10 11111111111111");
    check_dod(8192, "10 10000000000000");
    check_dod(-8191, "10 10000000000001");
    check_dod(8193, "110 00010000000000001");
    check_dod(-8192, "110 11110000000000000");
    check_dod(65536, "110 10000000000000000");
    check_dod(-65535, "110 10000000000000001");
    check_dod(65537, "1110 00010000000000000001");
    check_dod(-65536, "1110 11110000000000000000");
    check_dod(524_288, "1110 10000000000000000000");
    check_dod(-524_287, "1110 10000000000000000001");
    check_dod(524_289, &format!("1111 {:064b}", 524_289));
    check_dod(-524_288, &format!("1111 {:064b}", -524_288i64));
}

/// A chunk of values at 0, 1, 2 and so on, from the second on. `wanted` has the changes, without the times.
#[track_caller]
fn check_values(bits: &[u64], wanted: &[&str]) {
    let samples: Vec<_> =
        bits.iter().enumerate().map(|(i, bits)| (i as i64, f64::from_bits(*bits))).collect();
    let mut text = format!("{:016b} 00000000 {:064b} 00000001", samples.len(), bits[0]);
    for (i, change) in wanted.iter().enumerate() {
        text.push_str(if i == 0 { " " } else { "  0 " });
        text.push_str(change);
    }
    check(&samples, &from_bits(&text));
}

#[test]
fn value_windows() {
    // 12 leading zeros, 4 bits; the same window again; a narrower change in it; then a wider one, which needs its own.
    check_values(
        &[0, 0xf << 48, 0, 0x6 << 48, (0x6 << 48) | 1 << 47],
        &["11 01100 000100 1111", "10 1111", "10 0110", "11 10000 000001 1"],
    );
    // Unchanged samples do not touch the window.
    check_values(&[0, 0xf << 48, 0xf << 48, 0], &["11 01100 000100 1111", "0", "10 1111"]);
    // 64 significant bits are written as 0.
    let all = format!("11 00000 000000 {}", "1".repeat(64));
    check_values(&[0, u64::MAX, u64::MAX], &[&all, "0"]);
    let ends = format!("11 00000 000000 1{}1", "0".repeat(62));
    check_values(&[0, 1 << 63 | 1], &[&ends]);
    // More than 31 leading zeros count as 31: the window is 33 bits wide, and holds the next change too.
    check_values(
        &[0, 1, 1 << 32],
        &[&format!("11 11111 100001 {:033b}", 1), &format!("10 {:033b}", 1u64 << 32 | 1)],
    );
    // Nothing is reused before a window was described, however small the change.
    check_values(&[7, 7, 6], &["0", &format!("11 11111 100001 {:033b}", 1)]);
    // The staleness marker is a signalling NaN and stays one.
    let marker = 0x7ff0_0000_0000_0002u64;
    check_values(&[0, marker], &[&format!("11 00001 111110 {:062b}", marker >> 1)]);
}

/// Prometheus that was restarted reuses the whole 64 bits without having described them, and readers take that.
#[test]
fn window_of_all_bits_needs_no_description() {
    let bytes =
        from_bits(&format!("00000000 00000010  00000000 {ZERO}  00000001 10 {:064b}", 3.5f64.to_bits()));
    let samples: Result<Vec<_>, _> = XorIter::new(&bytes).unwrap().collect();
    assert_eq!(samples.unwrap(), [(0, 0.0), (1, 3.5)]);
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    decode(&bytes, &mut timestamps_ms, &mut values).unwrap();
    assert_eq!((timestamps_ms, values), (vec![0, 1], vec![0.0, 3.5]));
}

/// Made by Prometheus 2.42: the samples below as OpenMetrics text (`golden 1 1600000000.000` and so on, `# EOF`), then
/// `promtool tsdb create-blocks-from openmetrics`; this is the only chunk of chunks/000001 of the block.
#[test]
fn as_promtool_writes() {
    let samples = [
        (1_600_000_000_000, 1.0),
        (1_600_000_015_000, 1.0),
        (1_600_000_030_000, 2.0),
        (1_600_000_045_003, 2.5),
        (1_600_000_060_001, -0.0),
        (1_600_000_090_001, f64::from_bits(0x7ff8_0000_0000_0001)),
        (1_600_000_090_002, f64::INFINITY),
        (1_600_000_300_000, 12.34),
        (1_600_001_400_000, 12.35),
        (1_600_001_415_000, 12.34),
        (1_600_001_430_000, 5e-324),
        (1_600_001_430_001, -1e308),
    ];
    check(&samples, &from_hex(PROMTOOL_CHUNK));
}

const PROMTOOL_CHUNK: &str = "\
    000c8080f4f6905d3ff000000000000098753097ffe000f683bffbc07600387535800fff8000000000001d8a \
    d1800200000000000078cd1363fd8ae147ae147aef00000000000d949280000749d2749d277fffffffffffbd \
    c6e200001d2749d2749d480515c28f5c28f5fb8ad37ff0e679c2f5e45080";

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
