//! Points: the float samples of a matrix as JSON. By far the most bytes that the API sends, so they are put together from
//! texts that are kept.
//!
//! The series of a matrix stand on the same steps, so the text of a time is printed once. Values with few decimals are cheaper
//! to print than to look for; of the others those are kept that came last, as values come again and again (constants, the rate
//! of something regular). Texts are copied whole and cut back.

use std::ops::Range;

use kymo_model::{FLOAT_JSON_BYTES, put_float_json, put_long_float_json, put_short_float_json};

use crate::json::push_timestamp;

/// `"],[` between a value and the time of the next point.
const BETWEEN: &str = "\"],[";

/// That and `seconds,"` with 16 digits, a sign and three decimals.
const TIME_BYTES: usize = 28;

/// Points are put together here before they are appended, so many at once.
const BLOCK_BYTES: usize = 4096;
const BLOCK_POINTS: usize = BLOCK_BYTES / (TIME_BYTES + FLOAT_JSON_BYTES);

/// What is longer has more digits than a short value.
const SHORT_BYTES: usize = 16;

/// How many values are kept, as a power of two.
const VALUES_LOG2: u32 = 8;

/// The times of series that are longer are not kept.
const TIMES_KEPT_MAX: usize = 16 * 1024;

/// A text in room for the longest.
#[derive(Clone, Copy)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: u32,
}

impl<const N: usize> Text<N> {
    /// Copies all of the room to `at`, and says where the text ends there.
    #[inline(always)]
    fn put(&self, block: &mut [u8; BLOCK_BYTES], at: usize) -> usize {
        block[at..at + N].copy_from_slice(&self.bytes);
        at + self.len as usize
    }
}

/// Prints the points of one matrix, series by series.
pub(crate) struct PointPrinter {
    block: Box<[u8; BLOCK_BYTES]>,
    times_ms: Vec<i64>,
    times: Vec<Text<TIME_BYTES>>,
    values: Values,
}

/// The values that came last.
struct Values {
    last_bits: u64,
    /// Was the last one that was printed long?
    is_long: bool,
    /// Its text, from the second time on that it comes.
    last: Option<Text<FLOAT_JSON_BYTES>>,
    /// Values that are not short, by a hash of their bits; texts, which may be empty, from the second time on.
    kept: Vec<(u64, Text<FLOAT_JSON_BYTES>)>,
}

impl PointPrinter {
    pub(crate) fn new() -> PointPrinter {
        PointPrinter {
            block: Box::new([0; BLOCK_BYTES]),
            times_ms: Vec::new(),
            times: Vec::new(),
            values: Values::new(),
        }
    }

    /// `[seconds,"value"],…`, without the brackets around all: of the points of a series those in `part`.
    pub(crate) fn push(
        &mut self,
        out: &mut Vec<u8>,
        (times_ms, values): (&[i64], &[f64]),
        part: Range<usize>,
    ) {
        if times_ms.len() > self.times_ms.len() && times_ms.len() <= TIMES_KEPT_MAX {
            self.times = times_ms.iter().map(|ms| time(*ms)).collect();
            self.times_ms.clear();
            self.times_ms.extend_from_slice(times_ms);
        }
        let block = &mut *self.block;
        // The first point has none before it.
        let mut begin = BETWEEN.len() - 1;
        let (times_ms, values) = (&times_ms[part.clone()], &values[part.clone()]);
        if self.times_ms.get(part.clone()).is_some_and(|kept| *kept == *times_ms) {
            let times = self.times[part].chunks(BLOCK_POINTS);
            for (times, values) in times.zip(values.chunks(BLOCK_POINTS)) {
                let mut at = 0;
                for (time, value) in times.iter().zip(values) {
                    at = time.put(block, at);
                    at = self.values.put(*value, block, at);
                }
                out.extend_from_slice(&block[std::mem::take(&mut begin)..at]);
            }
        } else {
            let first = times_ms.first().copied().unwrap_or(0);
            let mut known = self.times_ms.partition_point(|kept| *kept < first);
            for (times_ms, values) in times_ms.chunks(BLOCK_POINTS).zip(values.chunks(BLOCK_POINTS)) {
                let mut at = 0;
                for (ms, value) in times_ms.iter().zip(values) {
                    while self.times_ms.get(known).is_some_and(|kept| kept < ms) {
                        known += 1;
                    }
                    at = match self.times.get(known).filter(|_| self.times_ms[known] == *ms) {
                        Some(text) => text.put(block, at),
                        None => time(*ms).put(block, at),
                    };
                    at = self.values.put(*value, block, at);
                }
                out.extend_from_slice(&block[std::mem::take(&mut begin)..at]);
            }
        }
        out.extend_from_slice(b"\"]");
    }
}

fn time(ms: i64) -> Text<TIME_BYTES> {
    let mut text = String::with_capacity(TIME_BYTES);
    text.push_str(BETWEEN);
    push_timestamp(&mut text, ms);
    text.push_str(",\"");
    let mut bytes = [0; TIME_BYTES];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Text { bytes, len: text.len() as u32 }
}

impl Values {
    fn new() -> Values {
        let mut bytes = [0; FLOAT_JSON_BYTES];
        bytes[0] = b'0';
        let zero = (0, Text { bytes, len: 1 });
        Values { last_bits: 0, is_long: false, last: Some(zero.1), kept: vec![zero; 1 << VALUES_LOG2] }
    }

    /// Puts a value at `at`; where it ends.
    #[inline(always)]
    fn put(&mut self, value: f64, block: &mut [u8; BLOCK_BYTES], at: usize) -> usize {
        if value.to_bits() == self.last_bits {
            self.again(value, block, at)
        } else {
            self.last_bits = value.to_bits();
            self.last = None;
            self.other(value, block, at)
        }
    }

    #[inline(always)]
    fn again(&mut self, value: f64, block: &mut [u8; BLOCK_BYTES], at: usize) -> usize {
        let last = self.last.get_or_insert_with(|| {
            let mut bytes = [0; FLOAT_JSON_BYTES];
            let len = put_float_json(&mut bytes, value);
            Text { bytes, len: len as u32 }
        });
        last.put(block, at)
    }

    #[inline(always)]
    fn other(&mut self, value: f64, block: &mut [u8; BLOCK_BYTES], at: usize) -> usize {
        let Some(room) = block[at..].first_chunk_mut::<FLOAT_JSON_BYTES>() else { return at };
        // Where one is long, the next one mostly is, too.
        if !self.is_long {
            let len = put_short_float_json(room, value);
            if len > 0 {
                return at + len;
            }
        }
        let bits = value.to_bits();
        let slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - VALUES_LOG2)) as usize;
        let (kept_bits, kept) = &mut self.kept[slot];
        if *kept_bits != bits {
            (*kept_bits, kept.len) = (bits, 0);
            let len = put_long_float_json(room, value);
            self.is_long = len > SHORT_BYTES;
            return at + len;
        }
        if kept.len == 0 {
            kept.len = put_long_float_json(&mut kept.bytes, value) as u32;
        }
        kept.put(block, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kymo_model::write_float_json;
    use proptest::prelude::*;

    /// In two parts.
    fn printed(printer: &mut PointPrinter, times_ms: &[i64], values: &[f64]) -> String {
        let mut out = Vec::new();
        let middle = times_ms.len() / 3;
        for part in [0..middle, middle..times_ms.len()].into_iter().filter(|part| !part.is_empty()) {
            if part.start > 0 {
                out.push(b',');
            }
            printer.push(&mut out, (times_ms, values), part);
        }
        String::from_utf8(out).expect("points are ASCII")
    }

    fn plainly(times_ms: &[i64], values: &[f64]) -> String {
        let point = |(ms, value): (&i64, &f64)| {
            let mut out = "[".to_owned();
            push_timestamp(&mut out, *ms);
            out.push_str(",\"");
            write_float_json(&mut out, *value);
            out + "\"]"
        };
        times_ms.iter().zip(values).map(point).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn series_on_the_same_steps_and_on_others() {
        let mut printer = PointPrinter::new();
        for (ms, text) in [
            (&[1000, 2500][..], r#"[1,"0"],[2.500,"1"]"#),
            (&[2500], r#"[2.500,"0"]"#),
            (&[-1500, 2000, 2500], r#"[-1.500,"0"],[2,"1"],[2.500,"2"]"#),
            (&[1000, 2500, 3000], r#"[1,"0"],[2.500,"1"],[3,"2"]"#),
        ] {
            let values: Vec<f64> = (0..ms.len()).map(|value| value as f64).collect();
            assert_eq!(printed(&mut printer, ms, &values), text);
        }
    }

    #[test]
    fn the_longest_texts_have_room() {
        let values = [f64::MIN, f64::MIN_POSITIVE, -1.2345678901234567e-6, -1.2345678901234567e20, f64::NAN];
        let times_ms = [i64::MIN, -1, 0, 1, i64::MAX];
        let text = printed(&mut PointPrinter::new(), &times_ms, &values);
        assert_eq!(text, plainly(&times_ms, &values));
    }

    #[test]
    fn series_longer_than_what_is_kept() {
        let times_ms: Vec<i64> = (0..TIMES_KEPT_MAX as i64 + 3).map(|step| step * 7).collect();
        let values: Vec<f64> = times_ms.iter().map(|ms| (*ms as f64).sqrt()).collect();
        let text = printed(&mut PointPrinter::new(), &times_ms, &values);
        assert_eq!(text, plainly(&times_ms, &values));
    }

    proptest! {
        #[test]
        fn as_printed_one_by_one(series in prop::collection::vec(
            prop::collection::btree_map(-5000i64..5000, prop_oneof![any::<f64>(), Just(0.1), Just(-0.0), Just(0.1 + 0.2), (0i64..100_000).prop_map(|n| n as f64 / 200.0)], 0..300), 1..4,
        )) {
            let mut printer = PointPrinter::new();
            for points in series {
                let (times_ms, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
                prop_assert_eq!(printed(&mut printer, &times_ms, &values), plainly(&times_ms, &values));
            }
        }
    }
}
