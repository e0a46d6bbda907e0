//! "Did you mean": the known name nearest to an unknown one, if any is near.

use crate::functions::Function;
use crate::token::{AGGREGATES, KEYWORDS};

/// Names longer than this are nobody's typing error.
const NAME_BYTES_MAX: usize = 40;

/// The function or aggregation that `name` was probably meant to be.
pub(crate) fn callable(name: &str) -> Option<&'static str> {
    let functions = Function::all().iter().map(|f| f.name());
    nearest(name, functions.chain(AGGREGATES.iter().map(|(name, _)| *name)))
}

/// What a word before a parenthesis was probably meant to be: something callable, or a keyword that opens a list.
pub(crate) fn called(name: &str) -> Option<&'static str> {
    callable(name).or_else(|| nearest(name, LIST_KEYWORDS.iter().copied()))
}

/// The keyword that `name` was probably meant to be, among those that may stand in its place.
pub(crate) fn keyword(name: &str, allowed: impl Fn(&str) -> bool) -> Option<&'static str> {
    nearest(name, KEYWORDS.iter().copied().filter(|word| allowed(word)))
}

/// The keywords in front of a parenthesis.
const LIST_KEYWORDS: &[&str] =
    &["by", "without", "on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right"];

fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    // Two letters are near to too much.
    let near = if name.len() < 3 { 0 } else { (name.len() / 3).clamp(1, 3) };
    known
        .map(|word| (distance(name.as_bytes(), word.as_bytes()), word))
        .filter(|(distance, word)| *distance <= near.min(word.len() - 1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_and_no_far_ones() {
        for (typed, meant) in [
            ("rtae", Some("rate")),
            ("Rate", Some("rate")),
            ("histogram_quantil", Some("histogram_quantile")),
            ("avg_overtime", Some("avg_over_time")),
            ("summ", Some("sum")),
            ("frobnicate", None),
            ("x", None),
        ] {
            assert_eq!(callable(typed), meant, "{typed}");
        }
        for (typed, meant) in [
            ("witout", Some("without")),
            ("offest", Some("offset")),
            ("bye", Some("by")),
            ("onn", Some("on")),
            ("xy", None),
        ] {
            assert_eq!(keyword(typed, |_| true), meant, "{typed}");
        }
        assert_eq!(keyword("offest", |word| word != "offset"), None);
        assert_eq!(called("group_lefft"), Some("group_left"));
        assert_eq!(called("ignorin"), Some("ignoring"));
    }
}
