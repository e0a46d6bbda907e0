//! Points: the float samples of a matrix as JSON. By far the most bytes that the API sends, so they are put together from
//! texts that are kept.
//!
//! The series of a matrix stand on the same steps, and values come again and again (zeros, constants, the rate of something
//! regular); copying a text of known size costs a tenth of printing a float. Texts are copied whole and cut back.

use kymo_model::write_float_json;

use crate::json::push_timestamp;

/// `[seconds,"` with 16 digits, a sign and three decimals.
const TIME_BYTES: usize = 24;

/// `value"],` with the longest value, 25 bytes.
const VALUE_BYTES: usize = 32;

/// Points are put together here before they are appended.
const BLOCK_BYTES: usize = 4096;

/// How many values are kept, as a power of two.
const VALUES_LOG2: u32 = 8;

/// A text in room for the longest.
#[derive(Clone, Copy)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    fn of(text: &str) -> Text<N> {
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Text { bytes, len: text.len() }
    }

    /// Copies all of the room to `at`, and says where the text ends there.
    #[inline(always)]
    fn put(&self, block: &mut [u8; BLOCK_BYTES], at: usize) -> usize {
        block[at..at + N].copy_from_slice(&self.bytes);
        at + self.len
    }
}

/// Prints the points of one matrix, series by series.
pub(crate) struct PointPrinter {
    times_ms: Vec<i64>,
    times: Vec<Text<TIME_BYTES>>,
    /// By a hash of their bits.
    values: Vec<(u64, Text<VALUE_BYTES>)>,
    scratch: String,
}

impl PointPrinter {
    pub(crate) fn new() -> PointPrinter {
        let zero = (0.0f64.to_bits(), Text::of("0\"],"));
        PointPrinter {
            times_ms: Vec::new(),
            times: Vec::new(),
            values: vec![zero; 1 << VALUES_LOG2],
            scratch: String::new(),
        }
    }

    /// `[seconds,"value"],…`, without the brackets around all.
    pub(crate) fn push(&mut self, out: &mut String, times_ms: &[i64], values: &[f64]) {
        if times_ms.len() > self.times_ms.len() {
            self.keep_times(times_ms);
        }
        let mut block = [0; BLOCK_BYTES];
        let (mut at, mut known) = (0, 0);
        for (ms, value) in times_ms.iter().zip(values) {
            if at + TIME_BYTES + VALUE_BYTES > BLOCK_BYTES {
                out.push_str(ascii(&block[..at]));
                at = 0;
            }
            while self.times_ms.get(known).is_some_and(|time| time < ms) {
                known += 1;
            }
            at = match self.times.get(known).filter(|_| self.times_ms[known] == *ms) {
                Some(text) => text.put(&mut block, at),
                None => self.time(*ms).put(&mut block, at),
            };
            at = self.value(*value).put(&mut block, at);
        }
        // Without the last comma.
        out.push_str(ascii(&block[..at.saturating_sub(1)]));
    }

    fn keep_times(&mut self, times_ms: &[i64]) {
        self.times = times_ms.iter().map(|ms| self.time(*ms)).collect();
        self.times_ms.clear();
        self.times_ms.extend_from_slice(times_ms);
    }

    fn time(&mut self, ms: i64) -> Text<TIME_BYTES> {
        self.scratch.clear();
        self.scratch.push('[');
        push_timestamp(&mut self.scratch, ms);
        self.scratch.push_str(",\"");
        Text::of(&self.scratch)
    }

    #[inline(always)]
    fn value(&mut self, value: f64) -> &Text<VALUE_BYTES> {
        let bits = value.to_bits();
        let slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - VALUES_LOG2)) as usize;
        if self.values[slot].0 != bits {
            self.print_value(slot, value);
        }
        &self.values[slot].1
    }

    #[inline(never)]
    fn print_value(&mut self, slot: usize, value: f64) {
        self.scratch.clear();
        write_float_json(&mut self.scratch, value);
        self.scratch.push_str("\"],");
        self.values[slot] = (value.to_bits(), Text::of(&self.scratch));
    }
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("BUG: points are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            let mut out = String::new();
            let values: Vec<f64> = (0..ms.len()).map(|value| value as f64).collect();
            printer.push(&mut out, ms, &values);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn the_longest_texts_have_room() {
        let values = [f64::MIN, f64::MIN_POSITIVE, -1.2345678901234567e-6, -1.2345678901234567e20, f64::NAN];
        let times_ms = [i64::MIN, -1, 0, 1, i64::MAX];
        let mut out = String::new();
        PointPrinter::new().push(&mut out, &times_ms, &values);
        assert_eq!(out, plainly(&times_ms, &values));
    }

    proptest! {
        #[test]
        fn as_printed_one_by_one(series in prop::collection::vec(
            prop::collection::btree_map(-5000i64..5000, prop_oneof![any::<f64>(), Just(0.1), Just(-0.0)], 0..300), 1..4,
        )) {
            let mut printer = PointPrinter::new();
            for points in series {
                let (times_ms, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
                let mut out = String::new();
                printer.push(&mut out, &times_ms, &values);
                prop_assert_eq!(out, plainly(&times_ms, &values));
            }
        }
    }
}
