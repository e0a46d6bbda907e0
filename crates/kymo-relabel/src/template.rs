//! Template: `$1`, `${name}` and `$$` in target labels and replacements, and which of them make a name.

/// Does a template refer to the match? A template without `$` is written as it stands.
pub(crate) fn has_variable(template: &str) -> bool {
    template.contains('$')
}

/// Can a template become a name of the old kind, `[a-zA-Z_][a-zA-Z0-9_]*`, when its variables are filled?
///
/// Letters, digits, `_` and variables `$name` or `${name}`, not starting with a digit.
pub(crate) fn is_legacy_name_template(template: &str) -> bool {
    let bytes = template.as_bytes();
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' => {
                let braced = bytes.get(at + 1) == Some(&b'{');
                let start = at + 1 + usize::from(braced);
                let len = bytes[start.min(bytes.len())..].iter().take_while(|&&b| word(b)).count();
                let end = start + len;
                if len == 0 || (braced && bytes.get(end) != Some(&b'}')) {
                    return false;
                }
                at = end + usize::from(braced);
            }
            b if word(b) && !(at == 0 && b.is_ascii_digit()) => at += 1,
            _ => return false,
        }
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_templates() {
        for good in ["a", "_a1", "$1", "${1}", "a_${name}_b", "$1$2", "a$1", "${3}4"] {
            assert!(is_legacy_name_template(good), "{good}");
        }
        for bad in ["", "1a", "$", "${", "${}", "${a", "a-b", "a.b", "$$", "a b", "é", "${a-b}"] {
            assert!(!is_legacy_name_template(bad), "{bad}");
        }
    }
}
