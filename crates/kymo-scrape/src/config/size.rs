//! Sizes: `15MB` is 15 × 1024² bytes, as everywhere in prometheus.yml.

const UNITS: [(&str, u64); 7] =
    [("E", 1 << 60), ("P", 1 << 50), ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("", 1)];

/// Bytes of a size such as `512KB`, `1.5GiB`, `1GB512MB`, `0`.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let prefix = unit.strip_suffix('B')?;
        let prefix = prefix.strip_suffix('i').filter(|p| !p.is_empty()).unwrap_or(prefix);
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == prefix)?;
        let bytes = if number.contains('.') {
            let value = number.parse::<f64>().ok()? * factor as f64;
            (value < i64::MAX as f64).then_some(value as u64)?
        } else {
            number.parse::<u64>().ok()?.checked_mul(factor)?
        };
        total = total.checked_add(bytes).filter(|total| *total <= i64::MAX as u64)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A size as Prometheus prints it: `15MiB`, `1GiB512MiB`.
pub(crate) fn format_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    let mut out = String::new();
    let mut rest = bytes;
    for (name, factor) in UNITS {
        let count = rest / factor;
        if count > 0 {
            let suffix = if name.is_empty() { "B" } else { "iB" };
            out.push_str(&format!("{count}{name}{suffix}"));
            rest %= factor;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("15MB", 15 << 20),
            ("15MiB", 15 << 20),
            ("1.5KB", 1536),
            ("7B", 7),
            ("1GB512MB", 1536 << 20),
            ("10GiB", 10 << 30),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(parse_size(&format_size(bytes)), Some(bytes), "{text}");
        }
        for bad in ["", "1", "MB", "1mb", "1 MB", "-1MB", "1XB", "1iB", "99EB", "1.2.3MB", "1e3MB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
        assert_eq!(format_size(15 << 20), "15MiB");
    }
}
