//! Scanning for delimiters, eight bytes at a time. Names, label names and label values are short (8 to 30 bytes), so a
//! word at a time beats a call to a vector search; measured in benches/exposition.rs.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A high bit in each byte of `word` that is zero; exact up to and including the first.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

const fn splat(byte: u8) -> u64 {
    ONES * byte as u64
}

fn word_at(body: &[u8], at: usize) -> Option<u64> {
    let bytes = body.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn find(body: &[u8], mut at: usize, in_word: impl Fn(u64) -> u64, is_it: impl Fn(u8) -> bool) -> usize {
    while let Some(word) = word_at(body, at) {
        let hits = in_word(word);
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < body.len() && !is_it(body[at]) {
        at += 1;
    }
    at
}

/// The first of two bytes from `at` on, or the end of the body.
pub(crate) fn find_either(body: &[u8], at: usize, a: u8, b: u8) -> usize {
    find(body, at, |w| zeros(w ^ splat(a)) | zeros(w ^ splat(b)), |x| x == a || x == b)
}

/// The first line feed from `at` on, or the end of the body.
pub(crate) fn find_line_end(body: &[u8], at: usize) -> usize {
    find(body, at, |w| zeros(w ^ splat(b'\n')), |x| x == b'\n')
}

/// The first `{`, space or control character from `at` on, or the end of the body: where an unquoted metric name ends.
pub(crate) fn find_name_end(body: &[u8], at: usize) -> usize {
    // Bytes below 0x21: a borrow from 0x21 in a byte without its high bit.
    let low = |w: u64| w.wrapping_sub(splat(0x21)) & !w & HIGHS;
    find(body, at, |w| low(w) | zeros(w ^ splat(b'{')), |x| x < 0x21 || x == b'{')
}

/// The first space or control character from `at` on, or the end of the body.
pub(crate) fn find_blank(body: &[u8], at: usize) -> usize {
    find(body, at, |w| w.wrapping_sub(splat(0x21)) & !w & HIGHS, |x| x < 0x21)
}

const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = (b as u8).is_ascii_alphanumeric() || b as u8 == b'_' || b as u8 == b':';
        b += 1;
    }
    table
};

/// The first byte from `at` on that cannot be part of an unquoted metric name, or the end of the body.
pub(crate) fn find_word_end(body: &[u8], mut at: usize) -> usize {
    while at < body.len() && WORD[usize::from(body[at])] {
        at += 1;
    }
    at
}

/// The first byte from `at` on that is neither space nor tab, or the end of the body.
pub(crate) fn skip_blanks(body: &[u8], mut at: usize) -> usize {
    while matches!(body.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// From just behind an opening quote to the quote that closes it, or the end of the body. A backslash hides one byte.
pub(crate) fn find_closing_quote(body: &[u8], mut at: usize) -> usize {
    loop {
        at = find_either(body, at, b'"', b'\\');
        if body.get(at) != Some(&b'\\') {
            return at;
        }
        at = (at + 2).min(body.len());
    }
}

/// From just behind an opening brace to the brace that closes it, braces in strings left out; the end of the body where
/// there is none.
pub(crate) fn find_closing_brace(body: &[u8], mut at: usize) -> usize {
    loop {
        at = find_either(body, at, b'"', b'}');
        if body.get(at) != Some(&b'"') {
            return at;
        }
        at = (find_closing_quote(body, at + 1) + 1).min(body.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_plain_search_at_every_offset() {
        let mut state = 7u64;
        for round in 0..2000 {
            let body: Vec<u8> = (0..round % 41)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    // Dense in the neighbours of the bytes that are searched, high bytes included.
                    *b"\"\\}{ \n\t!z\xa0\xfb\xdc\x8a0\x00~".get((state >> 60) as usize).unwrap()
                })
                .collect();
            for at in 0..=body.len() {
                let plain = |is_it: &dyn Fn(u8) -> bool| {
                    body[at..].iter().position(|&b| is_it(b)).map_or(body.len(), |found| at + found)
                };
                assert_eq!(
                    find_either(&body, at, b'"', b'\\'),
                    plain(&|b| b == b'"' || b == b'\\'),
                    "{body:?}"
                );
                assert_eq!(
                    find_either(&body, at, b'"', b'}'),
                    plain(&|b| b == b'"' || b == b'}'),
                    "{body:?}"
                );
                assert_eq!(find_line_end(&body, at), plain(&|b| b == b'\n'), "{body:?}");
                assert_eq!(find_name_end(&body, at), plain(&|b| b < 0x21 || b == b'{'), "{body:?}");
                assert_eq!(find_blank(&body, at), plain(&|b| b < 0x21), "{body:?}");
            }
        }
    }
}
