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

/// The keyword that `name` was probably meant to be.
pub(crate) fn keyword(name: &str) -> Option<&'static str> {
    nearest(name, KEYWORDS.iter().copied().filter(|word| word.len() > 2))
}

fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let near = (name.len() / 3).clamp(1, 3);
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
        assert_eq!(keyword("witout"), Some("without"));
        assert_eq!(keyword("offest"), Some("offset"));
    }
}
