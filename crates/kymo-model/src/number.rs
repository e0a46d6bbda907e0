//! Floats as Go writes and reads them, because every format and API of Prometheus does.
//!
//! Digits are the shortest that read back to the same float (crate `zmij`); the layout is that of Go's
//! `strconv.FormatFloat` with precision −1. Writing allocates nothing: an answer of the HTTP API holds millions of them.
//! Whole numbers, and numbers of up to three decimals, need no search for their digits ([`short`]); most others are found in
//! place ([`long`]).

mod long;
mod short;

use std::fmt::Write;

/// Integers below this are floats exactly, and are written as integers.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Go's format `'f'`: no exponent. What `count_values` uses.
///
/// ```
/// use kymo_model::format_float;
/// assert_eq!(format_float(1e21), "1000000000000000000000");
/// assert_eq!(format_float(1.5e-7), "0.00000015");
/// assert_eq!(format_float(f64::NEG_INFINITY), "-Inf");
/// ```
pub fn format_float(value: f64) -> String {
    let mut out = String::new();
    write_float(&mut out, value);
    out
}

/// Appends a float in Go's format `'f'`, as [`format_float`] does.
///
/// ```
/// let mut line = String::from("up ");
/// kymo_model::write_float(&mut line, 0.5);
/// assert_eq!(line, "up 0.5");
/// ```
pub fn write_float(out: &mut String, value: f64) {
    if write_integer(out, value, EXACT_INTEGER_MAX) {
        return;
    }
    let mut room = [0; FLOAT_JSON_BYTES];
    let short = short::put(&mut room, value);
    if short > 0 {
        return push_ascii(out, &room[..short]);
    }
    let mut buffer = zmij::Buffer::new();
    match Shortest::of(out, &mut buffer, value) {
        Some(Shortest::Plain(text)) => out.push_str(text),
        Some(Shortest::Digits(digits)) => digits.push_plain(out),
        None => {}
    }
}

/// Appends a float as the HTTP API does: format `'f'`, but with an exponent below 1e-6 and from 1e21 on.
///
/// ```
/// let mut text = String::new();
/// for value in [0.000001, 1.5e-7, 1e20, -1e21, f64::INFINITY, 0.0] {
///     kymo_model::write_float_json(&mut text, value);
///     text.push(' ');
/// }
/// assert_eq!(text, "0.000001 1.5e-07 100000000000000000000 -1e+21 +Inf 0 ");
/// ```
pub fn write_float_json(out: &mut String, value: f64) {
    if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        return write_float(out, value);
    }
    let mut buffer = zmij::Buffer::new();
    match Shortest::of(out, &mut buffer, value) {
        Some(Shortest::Plain(text)) => Digits::of(text, "", 0).push_scientific(out),
        Some(Shortest::Digits(digits)) => digits.push_scientific(out),
        None => {}
    }
}

/// The most bytes that a float takes as the HTTP API writes it, and some more, so that it can be copied in whole words.
pub const FLOAT_JSON_BYTES: usize = 32;

/// Puts a float at the front of `room` as [`write_float_json`] writes it; how many bytes that took.
///
/// ```
/// let mut room = [0; kymo_model::FLOAT_JSON_BYTES];
/// let len = kymo_model::put_float_json(&mut room, -12.625);
/// assert_eq!(&room[..len], b"-12.625");
/// ```
pub fn put_float_json(room: &mut [u8; FLOAT_JSON_BYTES], value: f64) -> usize {
    match put_short_float_json(room, value) {
        0 => put_long_float_json(room, value),
        short => short,
    }
}

/// As [`put_float_json`], for floats that are hardly short, such as those that [`put_short_float_json`] has refused: any float, but
/// sooner.
///
/// ```
/// let mut room = [0; kymo_model::FLOAT_JSON_BYTES];
/// let len = kymo_model::put_long_float_json(&mut room, 0.1 + 0.2);
/// assert_eq!(&room[..len], b"0.30000000000000004");
/// ```
pub fn put_long_float_json(room: &mut [u8; FLOAT_JSON_BYTES], value: f64) -> usize {
    match long::put(room, value) {
        0 => put_rare_float_json(room, value),
        long => long,
    }
}

/// A float that is no long one: short after all, very small or large, a power of two, none.
#[cold]
fn put_rare_float_json(room: &mut [u8; FLOAT_JSON_BYTES], value: f64) -> usize {
    let short = short::put(room, value);
    if short > 0 {
        return short;
    }
    let mut text = String::with_capacity(FLOAT_JSON_BYTES);
    write_float_json(&mut text, value);
    room[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

/// The same for floats that need no search for their digits, such as whole numbers and those of up to three decimals. 0 for
/// others, which leave anything in `room`.
///
/// ```
/// let mut room = [0; kymo_model::FLOAT_JSON_BYTES];
/// assert_eq!(kymo_model::put_short_float_json(&mut room, 0.75), 4);
/// assert_eq!(kymo_model::put_short_float_json(&mut room, 1.0 / 3.0), 0);
/// ```
#[inline(always)]
pub fn put_short_float_json(room: &mut [u8; FLOAT_JSON_BYTES], value: f64) -> usize {
    short::put(room, value)
}

/// Go's format `'g'`: an exponent below 1e-4 and from 1e6 on. What exposition text and Go templates use.
///
/// ```
/// use kymo_model::format_float_g;
/// assert_eq!(format_float_g(15_823_000.0), "1.5823e+07");
/// assert_eq!(format_float_g(0.0001), "0.0001");
/// assert_eq!(format_float_g(100.0), "100");
/// ```
pub fn format_float_g(value: f64) -> String {
    let mut out = String::new();
    write_float_g(&mut out, value);
    out
}

/// As [`format_float_g`], with `.0` where neither a point nor an exponent shows that it is a float. OpenMetrics writes bounds
/// and quantiles in labels like this.
///
/// ```
/// use kymo_model::format_openmetrics_float;
/// assert_eq!([1.0, 0.5, f64::INFINITY].map(format_openmetrics_float), ["1.0", "0.5", "+Inf"]);
/// ```
pub fn format_openmetrics_float(value: f64) -> String {
    let value = if value == 0.0 { 0.0 } else { value };
    let mut text = format_float_g(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// Appends a float in Go's format `'g'`, as [`format_float_g`] does.
pub fn write_float_g(out: &mut String, value: f64) {
    if write_integer(out, value, 1e6) {
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = Shortest::of(out, &mut buffer, value);
    match shortest {
        Some(Shortest::Plain(text)) if value == 0.0 || (1e-4..1e6).contains(&value.abs()) => {
            out.push_str(text)
        }
        Some(Shortest::Plain(text)) => Digits::of(text, "", 0).push_scientific(out),
        Some(Shortest::Digits(digits)) => digits.push_scientific(out),
        None => {}
    }
}

/// Writes whole numbers below a bound, by far the most common values; −0 is not one of them.
fn write_integer(out: &mut String, value: f64, below: f64) -> bool {
    let whole = value as i64;
    if value.abs() >= below || whole as f64 != value || (whole == 0 && value.is_sign_negative()) {
        return false;
    }
    out.push_str(itoa::Buffer::new().format(whole));
    true
}

fn push_ascii(out: &mut String, ascii: &[u8]) {
    out.push_str(std::str::from_utf8(ascii).expect("BUG: digits are ASCII"));
}

/// The magnitude of a float as the digits library lays it out.
enum Shortest<'b> {
    /// Without an exponent: Go's layout already.
    Plain(&'b str),
    Digits(Digits),
}

impl<'b> Shortest<'b> {
    /// Writes the sign of `value`, and all of it when it is not finite.
    fn of(out: &mut String, buffer: &'b mut zmij::Buffer, value: f64) -> Option<Shortest<'b>> {
        if value.is_nan() {
            out.push_str("NaN");
            return None;
        }
        if value.is_infinite() {
            out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
            return None;
        }
        if value.is_sign_negative() {
            out.push('-');
        }
        let text = buffer.format_finite(value.abs());
        if (1e-4..1e15).contains(&value.abs()) {
            debug_assert!(!text.contains('e'), "BUG: {text} has an exponent");
            return Some(Shortest::Plain(text.strip_suffix(".0").unwrap_or(text)));
        }
        Some(match text.split_once('e') {
            None => Shortest::Plain(text.strip_suffix(".0").unwrap_or(text)),
            Some((mantissa, power)) => {
                let power = power.parse().expect("BUG: the exponent of a float is a small number");
                let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
                Shortest::Digits(Digits::of(whole, fraction, power))
            }
        })
    }
}

/// Significant digits, first and last not zero, and where the point is.
struct Digits {
    digits: [u8; 40],
    start: usize,
    end: usize,
    /// The point stands after so many of the digits; below zero, before so many zeros in front of them.
    point: i32,
}

impl Digits {
    /// Of `whole.fraction` times ten to `power`; `whole` may hold a point itself.
    fn of(whole: &str, fraction: &str, power: i32) -> Digits {
        let mut digits = [0u8; 40];
        let mut end = 0;
        let mut point = None;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if byte == b'.' {
                point = Some(end);
            } else {
                digits[end] = byte;
                end += 1;
            }
        }
        let point = point.unwrap_or(end - fraction.len()) as i32 + power;
        let start = digits[..end].iter().take_while(|&&b| b == b'0').count();
        while end > start + 1 && digits[end - 1] == b'0' {
            end -= 1;
        }
        Digits { digits, start, end, point: point - start as i32 }
    }

    fn push_plain(&self, out: &mut String) {
        let digits = &self.digits[self.start..self.end];
        let len = digits.len() as i32;
        if self.point <= 0 {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', self.point.unsigned_abs() as usize));
            push_ascii(out, digits);
        } else if self.point >= len {
            push_ascii(out, digits);
            out.extend(std::iter::repeat_n('0', (self.point - len) as usize));
        } else {
            let (whole, fraction) = digits.split_at(self.point as usize);
            push_ascii(out, whole);
            out.push('.');
            push_ascii(out, fraction);
        }
    }

    fn push_scientific(&self, out: &mut String) {
        let (first, rest) = self.digits[self.start..self.end].split_at(1);
        push_ascii(out, first);
        if !rest.is_empty() {
            out.push('.');
            push_ascii(out, rest);
        }
        let power = self.point - 1;
        let sign = if power < 0 { '-' } else { '+' };
        write!(out, "e{sign}{:02}", power.unsigned_abs()).expect("BUG: writing to a string cannot fail");
    }
}

/// A number that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number, found {0:?}")]
pub struct FloatParseError(pub String);

/// A float as Go's `strconv.ParseFloat` reads it: decimal, hexadecimal with `p` exponent, `Inf`, `infinity`, `NaN` in any
/// case, with a sign.
///
/// Two things differ. Underscores between digits, which Go takes, are refused: of the formats only PromQL has them, and its
/// lexer takes them out. A magnitude past the largest float reads as infinity, where Go reports a range error; exposition
/// parsers accept it so.
///
/// ```
/// use kymo_model::parse_float;
/// assert_eq!(parse_float("+1e3"), Ok(1000.0));
/// assert_eq!(parse_float("0x1p-2"), Ok(0.25));
/// assert!(parse_float("nan").unwrap().is_nan());
/// assert!(parse_float("1_000").is_err());
/// ```
pub fn parse_float(text: &str) -> Result<f64, FloatParseError> {
    let error = || FloatParseError(text.to_owned());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = *unsigned.as_bytes().first().ok_or_else(error)?;
    if first.is_ascii_digit() || first == b'.' {
        if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
            let magnitude = parse_hex(hex).ok_or_else(error)?;
            return Ok(if text.starts_with('-') { -magnitude } else { magnitude });
        }
        return text.parse().map_err(|_| error());
    }
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Ok(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::from_bits(crate::NORMAL_NAN_BITS));
    }
    Err(error())
}

/// `mantissa p exponent` in base 16. Digits past 64 bits only say whether they were all zero.
fn parse_hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent = parse_exponent(exponent)?;
    let mut bits: u64 = 0;
    let mut digits = 0;
    let mut after_point = false;
    for c in mantissa.chars() {
        if c == '.' && !after_point {
            after_point = true;
            continue;
        }
        let digit = u64::from(c.to_digit(16)?);
        digits += 1;
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
            exponent -= if after_point { 4 } else { 0 };
        } else {
            bits |= u64::from(digit != 0);
            exponent += if after_point { 0 } else { 4 };
        }
    }
    (digits > 0).then(|| scaled(bits, exponent))
}

/// A sign and digits; numbers past every float's exponent are kept past it.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.bytes().fold(0i64, |n, b| (n * 10 + i64::from(b - b'0')).min(1 << 40));
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// `bits` times two to `exponent`, rounded once, to even: also where the result is subnormal.
fn scaled(bits: u64, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let shift = bits.leading_zeros();
    let bits = bits << shift;
    // The value is 1.something times two to this.
    let power = exponent - i64::from(shift) + 63;
    if power > 1023 {
        return f64::INFINITY;
    }
    let dropped = 11 + (-1022 - power).clamp(0, 60) as u32;
    if dropped > 64 {
        return 0.0;
    }
    let (kept, rest, half) = match dropped {
        64 => (0, bits, 1 << 63),
        n => (bits >> n, bits & ((1 << n) - 1), 1 << (n - 1)),
    };
    let rounded = kept + u64::from(rest > half || (rest == half && kept & 1 == 1));
    // A carry out of the mantissa makes the exponent one larger, which is just what addition does.
    let exponent_bits = (power.max(-1022) + 1022) as u64;
    f64::from_bits((exponent_bits << 52) + rounded)
}

/// What the tests of both ways to print are held against.
#[cfg(test)]
mod searching {
    use super::FLOAT_JSON_BYTES;

    /// By the search that takes any float.
    pub(super) fn searched(value: f64) -> String {
        let text = zmij::Buffer::new().format_finite(value).to_owned();
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    }

    /// What is put for a float, if it is one that can be put.
    pub(super) fn text_of(put: fn(&mut [u8; FLOAT_JSON_BYTES], f64) -> usize, value: f64) -> Option<String> {
        let mut room = [b'?'; FLOAT_JSON_BYTES];
        let len = put(&mut room, value);
        (len > 0).then(|| String::from_utf8_lossy(&room[..len]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Go's `strconv.FormatFloat(value, format, -1, 64)`.
    #[test]
    fn go_layouts() {
        let zeros = "0".repeat(323);
        let (tiny, large) = (format!("0.{zeros}5"), format!("17976931348623157{}", "0".repeat(292)));
        for (value, f, g) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.0, "1", "1"),
            (-42.0, "-42", "-42"),
            (100000.0, "100000", "100000"),
            (999999.0, "999999", "999999"),
            (1000000.0, "1000000", "1e+06"),
            (-1000000.0, "-1000000", "-1e+06"),
            (123456.0, "123456", "123456"),
            (1234567.0, "1234567", "1.234567e+06"),
            (123456789.0, "123456789", "1.23456789e+08"),
            (99999.5, "99999.5", "99999.5"),
            (999999.5, "999999.5", "999999.5"),
            (1234567.5, "1234567.5", "1.2345675e+06"),
            (1e15, "1000000000000000", "1e+15"),
            (1e16, "10000000000000000", "1e+16"),
            (9007199254740992.0, "9007199254740992", "9.007199254740992e+15"),
            (123456789012345680.0, "123456789012345680", "1.2345678901234568e+17"),
            (0.001, "0.001", "0.001"),
            (0.0001, "0.0001", "0.0001"),
            (0.000123, "0.000123", "0.000123"),
            (0.0000123, "0.0000123", "1.23e-05"),
            (0.00001, "0.00001", "1e-05"),
            (-0.1, "-0.1", "-0.1"),
            (1.0 / 3.0, "0.3333333333333333", "0.3333333333333333"),
            (1e23, "100000000000000000000000", "1e+23"),
            (2.5e-10, "0.00000000025", "2.5e-10"),
            (5e-324, &tiny, "5e-324"),
            (f64::MAX, &large, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (-f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!(format_float(value), f);
            assert_eq!(format_float_g(value), g);
        }
    }

    #[test]
    fn shortest_digits_read_back() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            for value in [f64::from_bits(state), (state >> 40) as f64 / 1000.0, (state >> 12) as f64] {
                if value.is_finite() {
                    assert_eq!(format_float(value).parse::<f64>(), Ok(value));
                    assert_eq!(format_float_g(value).parse::<f64>(), Ok(value));
                }
            }
        }
    }

    /// From Go's `strconv.ParseFloat(text, 64)`.
    #[test]
    fn go_numbers() {
        for (text, bits) in [
            ("0x1p-1074", 1),
            ("0x1p-1075", 0),
            ("0x1.8p-1075", 1),
            ("0x3p-1075", 2),
            ("0x0.00001p-1030", 0x0100_0000),
            ("0x1.fffffffffffff8p0", 0x4000_0000_0000_0000),
            ("0x1.fffffffffffff7p0", 0x3fff_ffff_ffff_ffff),
            ("0x1p1024", 0x7ff0_0000_0000_0000),
            ("0x1.fffffffffffff8p1023", 0x7ff0_0000_0000_0000),
            ("0x1.fffffffffffff7p1023", 0x7fef_ffff_ffff_ffff),
            ("0x1p99999999999999999999", 0x7ff0_0000_0000_0000),
            ("0x1p-99999999999999999999", 0),
            ("0x123456789abcdef01p0", 0x43f2_3456_789a_bcdf),
            ("0x1.0000000000000800000000001p0", 0x3ff0_0000_0000_0001),
            ("0x1.00000000000008p0", 0x3ff0_0000_0000_0000),
            ("-0x0p0", 0x8000_0000_0000_0000),
            ("0x1.fffffffffffffp-1022", 0x001f_ffff_ffff_ffff),
            ("0x0.fffffffffffff8p-1022", 0x0010_0000_0000_0000),
            ("0x1.00000000000008p-1022", 0x0010_0000_0000_0000),
            ("0x1.00000000000018p-1023", 0x0008_0000_0000_0001),
            ("0X1P+3", 0x4020_0000_0000_0000),
            ("0x.8p1", 0x3ff0_0000_0000_0000),
            ("1e-400", 0),
            ("1e400", 0x7ff0_0000_0000_0000),
            (".5", 0x3fe0_0000_0000_0000),
            ("5.", 0x4014_0000_0000_0000),
            ("Inf", 0x7ff0_0000_0000_0000),
            ("+INFINITY", 0x7ff0_0000_0000_0000),
            ("-inf", 0xfff0_0000_0000_0000),
            ("NaN", crate::NORMAL_NAN_BITS),
        ] {
            let value = parse_float(text).unwrap();
            assert_eq!(value.to_bits(), bits, "{text}: {value}");
        }
        for text in [
            "",
            "+",
            "0x",
            "0x1",
            "0xp1",
            "0x.p1",
            "0x1p",
            "0x1p+",
            "0x1.2.3p1",
            "0x1pa",
            "+nan",
            "1e",
            "1e+",
            "infi",
            "١",
            "0b1",
            "1_0",
            " 1",
            "1 ",
            ".",
            "e5",
            "--1",
            "0x-1p1",
        ] {
            assert_eq!(parse_float(text), Err(FloatParseError(text.to_owned())));
        }
    }
}
