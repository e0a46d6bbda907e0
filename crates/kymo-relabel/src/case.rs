//! Case: Go's upper and lower case, character by character.
//!
//! Rust maps some characters to several (`ß` to `SS`) and looks at the place in the word (final sigma); Go's
//! `strings.ToUpper` and `ToLower` do neither. Labels must come out as Prometheus writes them, so this file keeps to
//! Unicode's simple mappings.

pub(crate) fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

pub(crate) fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // Greek letters with iota subscript have a simple mapping beside the full one.
        _ => match c as u32 {
            code @ (0x1F80..=0x1F87 | 0x1F90..=0x1F97 | 0x1FA0..=0x1FA7) => from_code(code + 8, c),
            code @ (0x1FB3 | 0x1FC3 | 0x1FF3) => from_code(code + 9, c),
            _ => c,
        },
    }
}

fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // U+0130, capital I with dot, is the only character here: its simple mapping is i.
        _ => 'i',
    }
}

fn from_code(code: u32, otherwise: char) -> char {
    char::from_u32(code).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_mappings_only() {
        for (text, upper, lower) in [
            ("aBc1", "ABC1", "abc1"),
            ("straße", "STRAßE", "straße"),
            ("ΟΔΟΣ", "ΟΔΟΣ", "οδοσ"),
            ("İ", "İ", "i"),
            ("ᾳ", "ᾼ", "ᾳ"),
            ("", "", ""),
        ] {
            assert_eq!(to_upper(text), upper, "{text}");
            assert_eq!(to_lower(text), lower, "{text}");
        }
    }

    #[test]
    fn only_one_character_has_a_long_lower_case() {
        let long: Vec<char> = ('\0'..=char::MAX).filter(|c| c.to_lowercase().count() > 1).collect();
        assert_eq!(long, ['\u{130}']);
    }
}
