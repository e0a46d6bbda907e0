//! Floats as Go writes and reads them, because every format and API of Prometheus does.
//!
//! Digits are the shortest that read back to the same float (crate `zmij`); the layout is that of Go's
//! `strconv.FormatFloat` with precision −1.

/// Go's format `'f'`: no exponent. What the HTTP API and `count_values` use.
///
/// ```
/// use kymo_model::format_float;
/// assert_eq!(format_float(1e21), "1000000000000000000000");
/// assert_eq!(format_float(1.5e-7), "0.00000015");
/// assert_eq!(format_float(f64::NEG_INFINITY), "-Inf");
/// ```
pub fn format_float(value: f64) -> String {
    let Some((negative, digits, exponent)) = shortest(value) else {
        return special(value).to_owned();
    };
    let mut out = String::with_capacity(digits.len() + 8);
    if negative {
        out.push('-');
    }
    push_plain(&mut out, &digits, exponent);
    out
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
    let Some((negative, digits, exponent)) = shortest(value) else {
        return special(value).to_owned();
    };
    let mut out = String::with_capacity(digits.len() + 8);
    if negative {
        out.push('-');
    }
    let scientific = exponent - 1;
    if !(-4..6).contains(&scientific) {
        out.push_str(&digits[..1]);
        if digits.len() > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        out.push('e');
        out.push(if scientific < 0 { '-' } else { '+' });
        let magnitude = scientific.unsigned_abs();
        if magnitude < 10 {
            out.push('0');
        }
        out.push_str(&magnitude.to_string());
    } else {
        push_plain(&mut out, &digits, exponent);
    }
    out
}

fn special(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// Sign, significant digits without a point, and the power of ten of the point counted from the front of the digits.
fn shortest(value: f64) -> Option<(bool, String, i32)> {
    if !value.is_finite() {
        return None;
    }
    let negative = value.is_sign_negative();
    if value == 0.0 {
        return Some((negative, "0".to_owned(), 1));
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value.abs());
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i32>().unwrap_or(0)),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: String = [whole, fraction].concat();
    let leading = all.bytes().take_while(|&b| b == b'0').count();
    let digits = all[leading..].trim_end_matches('0').to_owned();
    Some((negative, digits, whole.len() as i32 + power - leading as i32))
}

fn push_plain(out: &mut String, digits: &str, exponent: i32) {
    let len = digits.len() as i32;
    if exponent <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent) as usize));
        out.push_str(digits);
    } else if exponent >= len {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', (exponent - len) as usize));
    } else {
        out.push_str(&digits[..exponent as usize]);
        out.push('.');
        out.push_str(&digits[exponent as usize..]);
    }
}

/// A number that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number, found {0:?}")]
pub struct FloatParseError(pub String);

/// A float as Go's `strconv.ParseFloat` reads it: decimal, hexadecimal with `p` exponent, `Inf`, `infinity`, `NaN` in any
/// case, with a sign.
///
/// Underscores are refused, as Go does outside of source code. A magnitude past the largest float reads as infinity here,
/// where Go reports a range error; exposition parsers accept it so.
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
    let lower = unsigned.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => Ok(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" if unsigned.len() == text.len() => Ok(f64::from_bits(crate::NORMAL_NAN_BITS)),
        _ => Err(error()),
    }
}

/// `mantissa p exponent` in base 16; correctly rounded for mantissas of up to 64 bits, truncated bits kept sticky.
fn parse_hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent: i64 = exponent.parse::<i32>().ok()?.into();
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
        if bits >> 59 == 0 {
            bits = bits << 4 | digit;
            exponent -= if after_point { 4 } else { 0 };
        } else {
            bits |= u64::from(digit != 0);
            exponent += if after_point { 0 } else { 4 };
        }
    }
    if digits == 0 {
        return None;
    }
    let exponent = exponent.clamp(-5000, 5000) as i32;
    // Two steps, so that the scale itself neither overflows nor vanishes before it meets the mantissa.
    let half = exponent / 2;
    Some(bits as f64 * 2f64.powi(half) * 2f64.powi(exponent - half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_layouts() {
        for (value, f, g) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.0, "1", "1"),
            (100000.0, "100000", "100000"),
            (1000000.0, "1000000", "1e+06"),
            (123456.0, "123456", "123456"),
            (1234567.0, "1234567", "1.234567e+06"),
            (0.00001, "0.00001", "1e-05"),
            (-0.1, "-0.1", "-0.1"),
            (1e23, "100000000000000000000000", "1e+23"),
            (2.5e-10, "0.00000000025", "2.5e-10"),
            (f64::INFINITY, "+Inf", "+Inf"),
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
            let value = f64::from_bits(state);
            if value.is_finite() {
                assert_eq!(format_float(value).parse::<f64>(), Ok(value));
                assert_eq!(format_float_g(value).parse::<f64>(), Ok(value));
            }
        }
    }
}
