//! printf, print and println as Go's package fmt does them, over the values of templates.

use super::value::Value;

/// Go refuses widths and precisions above this.
const WIDTH_MAX: i64 = 1_000_000;

/// Operands with spaces between two that are not strings.
pub(super) fn sprint(args: &[Value]) -> String {
    let mut out = String::new();
    for (index, arg) in args.iter().enumerate() {
        let strings = matches!(arg, Value::Str(_)) || index > 0 && matches!(args[index - 1], Value::Str(_));
        if index > 0 && !strings {
            out.push(' ');
        }
        arg.write_to(&mut out);
    }
    out
}

/// Operands with spaces between all, and a line end.
pub(super) fn sprintln(args: &[Value]) -> String {
    let mut out = String::new();
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        arg.write_to(&mut out);
    }
    out.push('\n');
    out
}

#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats as Go's `Sprintf`; what does not fit is said in the result, as there.
pub(super) fn sprintf(format: &str, args: &[Value]) -> String {
    Printer { out: String::new(), args, next: 0, reordered: false }.run(format)
}

/// The bytes that a format may add by widths and precisions: for a bound before formatting.
pub(super) fn padding_bytes(format: &str, args: &[Value]) -> usize {
    let mut total: usize = 0;
    let mut number: usize = 0;
    for b in format.bytes() {
        if b.is_ascii_digit() {
            number = number.saturating_mul(10).saturating_add(usize::from(b - b'0'));
        } else {
            total = total.saturating_add(number.min(WIDTH_MAX as usize));
            number = 0;
            if b == b'*' {
                let widest =
                    args.iter().filter_map(|a| if let Value::Int(n) = a { Some(n.abs()) } else { None });
                total = total.saturating_add(widest.max().unwrap_or(0).clamp(0, WIDTH_MAX) as usize);
            }
        }
    }
    total
}

struct Printer<'a> {
    out: String,
    args: &'a [Value],
    next: usize,
    reordered: bool,
}

impl Printer<'_> {
    fn run(mut self, format: &str) -> String {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            self.out.push_str(&rest[..at]);
            rest = self.verb(&rest[at + 1..]);
        }
        self.out.push_str(rest);
        if !self.reordered && self.next < self.args.len() {
            self.extra();
        }
        self.out
    }

    fn extra(&mut self) {
        self.out.push_str("%!(EXTRA ");
        for (index, arg) in self.args[self.next..].iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            if matches!(arg, Value::Nil) {
                self.out.push_str("<nil>");
            } else {
                self.out.push_str(arg.type_name());
                self.out.push('=');
                arg.write_to(&mut self.out);
            }
        }
        self.out.push(')');
    }

    /// One directive behind its `%`; gives what is left of the format.
    fn verb<'f>(&mut self, format: &'f str) -> &'f str {
        let mut flags = Flags::default();
        let mut rest = format;
        while let Some(c) = rest.chars().next() {
            match c {
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        rest = self.index(rest);
        match self.number(rest) {
            (Number::None, tail) => rest = tail,
            (Number::Good(n), tail) => {
                flags.minus |= n < 0;
                flags.width = Some(n.unsigned_abs() as usize);
                rest = tail;
            }
            (Number::Bad, tail) => {
                self.out.push_str("%!(BADWIDTH)");
                rest = tail;
            }
        }
        if let Some(tail) = rest.strip_prefix('.') {
            let tail = self.index(tail);
            match self.number(tail) {
                (Number::None, tail) => {
                    flags.precision = Some(0);
                    rest = tail;
                }
                (Number::Good(n), tail) => {
                    flags.precision = usize::try_from(n).ok();
                    rest = tail;
                }
                (Number::Bad, tail) => {
                    self.out.push_str("%!(BADPREC)");
                    rest = tail;
                }
            }
        }
        rest = self.index(rest);
        let Some(verb) = rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return "";
        };
        let rest = &rest[verb.len_utf8()..];
        if verb == '%' {
            self.out.push('%');
            return rest;
        }
        match self.args.get(self.next) {
            None => {
                let why = if self.reordered { "BADINDEX" } else { "MISSING" };
                self.out.push_str(&format!("%!{verb}({why})"));
            }
            Some(arg) => {
                self.next += 1;
                let text = format_one(arg, verb, flags);
                self.out.push_str(&text);
            }
        }
        rest
    }

    /// `[2]`: the next operand is the second one.
    fn index<'f>(&mut self, rest: &'f str) -> &'f str {
        let Some((inside, tail)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
            return rest;
        };
        self.reordered = true;
        self.next = match inside.parse::<usize>() {
            Ok(n) if (1..=self.args.len()).contains(&n) => n - 1,
            _ => self.args.len(),
        };
        tail
    }

    fn number<'f>(&mut self, rest: &'f str) -> (Number, &'f str) {
        if let Some(tail) = rest.strip_prefix('*') {
            let number = match self.args.get(self.next) {
                Some(Value::Int(n)) if n.abs() <= WIDTH_MAX => Number::Good(*n),
                _ => Number::Bad,
            };
            self.next += 1;
            return (number, tail);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return (Number::None, rest);
        }
        let number = match rest[..digits].parse::<i64>() {
            Ok(n) if n <= WIDTH_MAX => Number::Good(n),
            _ => Number::Bad,
        };
        (number, &rest[digits..])
    }
}

enum Number {
    None,
    Good(i64),
    Bad,
}

fn bad_verb(arg: &Value, verb: char) -> String {
    match arg {
        Value::Nil => format!("%!{verb}(<nil>)"),
        arg => format!("%!{verb}({}={})", arg.type_name(), arg.printed()),
    }
}

fn format_one(arg: &Value, verb: char, flags: Flags) -> String {
    if verb == 'T' {
        return pad(arg.type_name().to_owned(), flags);
    }
    match arg {
        Value::Nil if verb == 'v' => pad("<nil>".to_owned(), flags),
        Value::Bool(value) if matches!(verb, 't' | 'v') => pad(value.to_string(), flags),
        Value::Int(value) => integer(*value, verb, flags).unwrap_or_else(|| bad_verb(arg, verb)),
        Value::Float(value) => match verb {
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'v' => float(*value, verb, flags),
            _ => bad_verb(arg, verb),
        },
        Value::Str(text) => string(text, verb, flags).unwrap_or_else(|| bad_verb(arg, verb)),
        Value::Duration(ns) if matches!(verb, 'd' | 'x' | 'X' | 'o' | 'b') => {
            integer(*ns, verb, flags).unwrap_or_else(|| bad_verb(arg, verb))
        }
        Value::Nil | Value::Bool(_) => bad_verb(arg, verb),
        _ if matches!(verb, 'v' | 's') => pad(arg.printed(), flags),
        _ => bad_verb(arg, verb),
    }
}

/// To the width, with spaces.
fn pad(text: String, flags: Flags) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    let spaces = " ".repeat(missing);
    if flags.minus { text + &spaces } else { spaces + &text }
}

/// To the width, a number: with zeros behind the sign if asked for.
fn pad_number(sign: &str, digits: String, flags: Flags, zeros: bool) -> String {
    let len = sign.len() + digits.chars().count();
    let missing = flags.width.unwrap_or(0).saturating_sub(len);
    if zeros && !flags.minus {
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    pad(format!("{sign}{digits}"), flags)
}

fn sign_of(negative: bool, flags: Flags) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn integer(value: i64, verb: char, flags: Flags) -> Option<String> {
    let magnitude = value.unsigned_abs();
    let (digits, prefix) = match verb {
        'd' | 'v' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), "0b"),
        'o' => (format!("{magnitude:o}"), "0"),
        'O' => (format!("0o{magnitude:o}"), ""),
        'x' => (format!("{magnitude:x}"), "0x"),
        'X' => (format!("{magnitude:X}"), "0X"),
        'c' => return Some(pad(char_of(value).to_string(), flags)),
        'q' => return Some(pad(format!("'{}'", char_of(value).escape_default()), flags)),
        'U' => return Some(pad(format!("U+{magnitude:04X}"), flags)),
        _ => return None,
    };
    let wanted = flags.precision.unwrap_or(0);
    let digits = "0".repeat(wanted.saturating_sub(digits.len())) + &digits;
    let digits = if flags.sharp { format!("{prefix}{digits}") } else { digits };
    Some(pad_number(sign_of(value < 0, flags), digits, flags, flags.zero && flags.precision.is_none()))
}

fn char_of(value: i64) -> char {
    u32::try_from(value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn string(text: &str, verb: char, flags: Flags) -> Option<String> {
    let cut: String = match flags.precision {
        Some(precision) if verb != 'x' && verb != 'X' => text.chars().take(precision).collect(),
        _ => text.to_owned(),
    };
    let text = match verb {
        's' | 'v' if flags.sharp && verb == 'v' => quote(&cut),
        's' | 'v' => cut,
        'q' if flags.sharp && !cut.contains('`') => format!("`{cut}`"),
        'q' => quote(&cut),
        'x' | 'X' => {
            let wanted = flags.precision.unwrap_or(usize::MAX);
            let hex: String = cut.bytes().take(wanted).map(|b| format!("{b:02x}")).collect();
            if verb == 'X' { hex.to_uppercase() } else { hex }
        }
        _ => return None,
    };
    Some(pad(text, flags))
}

/// A Go string literal.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A float with a verb of `eEfFgGv`.
fn float(value: f64, verb: char, flags: Flags) -> String {
    let negative = value.is_sign_negative() && !value.is_nan();
    if !value.is_finite() {
        let word = if value.is_nan() { "NaN" } else { "Inf" };
        // Infinity keeps its plus only when asked for, except with %v, which always shows it.
        let sign = match (negative, verb == 'v' && value.is_infinite()) {
            (false, true) => "+",
            _ if value.is_infinite() && !negative && !flags.plus && !flags.space => "+",
            _ => sign_of(negative, flags),
        };
        return pad(format!("{sign}{word}"), flags);
    }
    let digits = digits_of(value.abs(), verb, flags.precision, flags.sharp);
    pad_number(sign_of(negative, flags), digits, flags, flags.zero)
}

fn digits_of(magnitude: f64, verb: char, precision: Option<usize>, sharp: bool) -> String {
    let text = match verb {
        'f' | 'F' => format!("{magnitude:.*}", precision.unwrap_or(6)),
        'e' | 'E' => exponent(&format!("{magnitude:.*e}", precision.unwrap_or(6))),
        _ => match precision {
            None => kymo_model::format_float_g(magnitude),
            Some(precision) => general(magnitude, precision.max(1), sharp),
        },
    };
    if verb.is_ascii_uppercase() && verb != 'F' { text.to_uppercase() } else { text }
}

/// Rust's `1.5e2` as Go's `1.5e+02`.
fn exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%g` with a number of significant digits.
fn general(magnitude: f64, precision: usize, sharp: bool) -> String {
    let scientific = format!("{magnitude:.*e}", precision - 1);
    let power: i64 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let strip = |text: &str| -> String {
        if sharp || !text.contains('.') {
            return text.to_owned();
        }
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let significant = {
        let (mantissa, _) = scientific.split_once('e').unwrap_or((&scientific, ""));
        mantissa.trim_end_matches('0').bytes().filter(u8::is_ascii_digit).count() as i64
    };
    // Go lowers the bound to the digits there are, when those reach the point.
    let mut bound = precision as i64;
    if bound > significant && significant > power {
        bound = significant.max(1);
    }
    if power < -4 || power >= bound.max(1) {
        let (mantissa, e) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return exponent(&format!("{}e{e}", strip(mantissa)));
    }
    let decimals = (precision as i64 - 1 - power).max(0) as usize;
    strip(&format!("{magnitude:.decimals$}"))
}
