//! Glob: paths whose last part may vary, as `rule_files` and `file_sd_configs` name them: `*`, `?`, `[a-z]`, `\`.

use std::path::{Path, PathBuf};

/// The files that a pattern names, sorted. The directory is literal; a directory that cannot be read has none.
pub(crate) fn glob(pattern: &Path) -> Vec<PathBuf> {
    let Some(name) = pattern.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    if !name.contains(['*', '?', '[', '\\']) {
        return if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    let dir = pattern.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let parts = parse(name);
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|candidate| matches(&parts, candidate))
        .map(|candidate| pattern.with_file_name(candidate))
        .collect();
    found.sort();
    found
}

enum Part {
    Char(char),
    AnyChar,
    AnyText,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

fn parse(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => Part::AnyText,
            '?' => Part::AnyChar,
            '\\' => Part::Char(chars.next().unwrap_or('\\')),
            '[' => {
                let negated = chars.next_if(|c| matches!(c, '^' | '!')).is_some();
                let mut ranges = Vec::new();
                while let Some(low) = chars.next().filter(|c| *c != ']') {
                    let high = match chars.next_if_eq(&'-') {
                        Some(_) => chars.next().unwrap_or(low),
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Part::Class { negated, ranges }
            }
            c => Part::Char(c),
        });
    }
    parts
}

/// Remembers the last `*` and tries it longer on a mismatch: linear in pattern × text, no recursion.
fn matches(parts: &[Part], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut pos) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while pos < text.len() {
        match parts.get(at) {
            Some(Part::AnyText) => {
                star = Some((at, pos));
                at += 1;
            }
            Some(part) if part.takes(text[pos]) => {
                at += 1;
                pos += 1;
            }
            _ => match &mut star {
                Some((star_at, star_pos)) => {
                    *star_pos += 1;
                    at = *star_at + 1;
                    pos = *star_pos;
                }
                None => return false,
            },
        }
    }
    parts[at..].iter().all(|part| matches!(part, Part::AnyText))
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Part::Char(own) => *own == c,
            Part::AnyChar => true,
            Part::AnyText => false,
            Part::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("*.yml", "a.yml", true),
            ("*.yml", ".yml", true),
            ("*.yml", "a.yaml", false),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbY", false),
            ("[a-c]?.json", "bz.json", true),
            ("[^a-c]?.json", "bz.json", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
        ] {
            assert_eq!(matches(&parse(pattern), text), want, "{pattern} {text}");
        }
    }
}
