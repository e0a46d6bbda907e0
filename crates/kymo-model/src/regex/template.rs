//! Templates: `$1`, `${1}`, `$name`, `$$` in the replacement of `label_replace`, relabelling and `reReplaceAll`.
//!
//! Source: Go's `regexp.Expand`: a name is the longest run of letters, digits and `_`, so `$1x` is the group `1x`, which
//! no pattern has, and therefore nothing; a `$` before anything else stands for itself.

use std::sync::OnceLock;

/// One part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    Text(&'t str),
    Number(usize),
    Name(&'t str),
}

/// Takes the first part off a template.
fn next_part(template: &str) -> Option<(Part<'_>, &str)> {
    if template.is_empty() {
        return None;
    }
    let Some(after) = template.strip_prefix('$') else {
        let end = template.find('$').unwrap_or(template.len());
        return Some((Part::Text(&template[..end]), &template[end..]));
    };
    if let Some(rest) = after.strip_prefix('$') {
        return Some((Part::Text("$"), rest));
    }
    Some(reference(after).unwrap_or((Part::Text("$"), after)))
}

/// Appends a template to `out`, with what `group` knows of its references.
pub(super) fn push<'a>(mut template: &str, out: &mut String, group: impl Fn(Part<'_>) -> Option<&'a str>) {
    while let Some((part, rest)) = next_part(template) {
        match part {
            Part::Text(text) => out.push_str(text),
            reference => out.push_str(group(reference).unwrap_or("")),
        }
        template = rest;
    }
}

/// Does the template use any group, or is it the same text for every match?
pub(super) fn has_references(mut template: &str) -> bool {
    while let Some((part, rest)) = next_part(template) {
        if !matches!(part, Part::Text(_)) {
            return true;
        }
        template = rest;
    }
    false
}

/// `1`, `{1}`, `name`, `{name}`.
fn reference(text: &str) -> Option<(Part<'_>, &str)> {
    let inner = text.strip_prefix('{');
    let start = inner.unwrap_or(text);
    let end = start
        .find(|c: char| !(c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && is_go_word(c))))
        .unwrap_or(start.len());
    let (name, mut rest) = start.split_at(end);
    if name.is_empty() {
        return None;
    }
    if inner.is_some() {
        rest = rest.strip_prefix('}')?;
    }
    let plain_number =
        name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    let part = match name.parse::<usize>() {
        Ok(number) if plain_number => Part::Number(number),
        _ => Part::Name(name),
    };
    Some((part, rest))
}

/// Go's letters and digits (`\pL`, `\p{Nd}`), wider than ASCII although names of groups are not: an unknown name reaches as
/// far as they go.
fn is_go_word(c: char) -> bool {
    static WORD: OnceLock<regex::Regex> = OnceLock::new();
    let word = WORD.get_or_init(|| regex::Regex::new(r"[\pL\p{Nd}]").expect("BUG: a constant pattern"));
    word.is_match(c.encode_utf8(&mut [0; 4]))
}
