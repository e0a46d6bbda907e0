//! From matchers to series ids, by algebra over sorted postings. Nothing here looks at samples.
//!
//! A matcher that the empty value passes takes away the series whose value does not pass; any other keeps the series whose
//! value passes. The kept sets are intersected from the smallest up. When few series are left, the rest of the matchers
//! are asked about these series' labels instead of about every value.

use kymo_model::{CancelToken, Labels, Matcher, Pulse, StoreError};

use super::SeriesId;
use super::postings::{Postings, Values};

/// Where the labels of a series are; `None` when it is gone.
pub(crate) type LabelsOf<'a> = &'a mut dyn FnMut(SeriesId) -> Option<Labels>;

/// From this many ids in a union on, marking bits is cheaper than sorting.
const SORT_MAX: usize = 4096;

/// The series that match all matchers, sorted. `all` gives every series, for when nothing narrows them down. Ends with an
/// error when `cancel` says so.
pub(crate) fn resolve(
    postings: &Postings,
    matchers: &[Matcher],
    all: impl FnOnce() -> Vec<u32>,
    labels_of: LabelsOf<'_>,
    cancel: &CancelToken,
) -> Result<Vec<u32>, StoreError> {
    let mut pulse = cancel.pulse();
    let mut keeping: Vec<(&Matcher, &Values)> = Vec::new();
    let mut taking: Vec<(&Matcher, &Values)> = Vec::new();
    for matcher in matchers {
        match (matcher.matches_empty(), postings.values(matcher.name())) {
            (false, None) => return Ok(Vec::new()),
            (false, Some(values)) => keeping.push((matcher, values)),
            // No series has the label, so every series has the empty value, which passes.
            (true, None) => {}
            (true, Some(values)) => taking.push((matcher, values)),
        }
    }
    // The cheap ones first: those that name their values.
    keeping.sort_by_key(|(matcher, values)| matcher.set_matches().map_or(values.len(), |_| 0));
    let mut left: Option<Vec<u32>> = None;
    for (matcher, values) in keeping {
        left = Some(match left {
            None => passing(matcher, values, &mut pulse)?,
            Some(ids) if ids.len() < values.len() && matcher.set_matches().is_none() => {
                filtered(ids, matcher, labels_of, &mut pulse)?
            }
            Some(ids) => intersection(&ids, &passing(matcher, values, &mut pulse)?),
        });
        cancel.check()?;
        if left.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
    }
    let mut left = left.unwrap_or_else(all);
    for (matcher, values) in taking {
        left = if left.len() < values.len() {
            filtered(left, matcher, labels_of, &mut pulse)?
        } else {
            difference(&left, &union(lists(matcher, values, false, &mut pulse)?))
        };
        cancel.check()?;
    }
    Ok(left)
}

/// The series whose value of the label passes; values that are named are looked up, others are all asked.
fn passing(matcher: &Matcher, values: &Values, pulse: &mut Pulse) -> Result<Vec<u32>, StoreError> {
    if let Some(wanted) = matcher.set_matches() {
        let found = wanted.iter().filter_map(|value| values.get(value.as_str()));
        return Ok(union(found.map(|list| list.as_slice()).collect()));
    }
    Ok(union(lists(matcher, values, true, pulse)?))
}

/// The lists of the values that the matcher says `wanted` to.
fn lists<'v>(
    matcher: &Matcher,
    values: &'v Values,
    wanted: bool,
    pulse: &mut Pulse,
) -> Result<Vec<&'v [u32]>, StoreError> {
    let mut found = Vec::new();
    for (value, list) in values {
        if matcher.try_matches(value, pulse)? == wanted {
            found.push(list.as_slice());
        }
    }
    Ok(found)
}

fn filtered(
    mut ids: Vec<u32>,
    matcher: &Matcher,
    labels_of: LabelsOf<'_>,
    pulse: &mut Pulse,
) -> Result<Vec<u32>, StoreError> {
    let mut stopped = Ok(());
    ids.retain(|id| {
        let Some(labels) = stopped.is_ok().then(|| labels_of(SeriesId(*id))).flatten() else { return false };
        let value = labels.get(matcher.name()).unwrap_or("");
        let matches = pulse.tick(16).and_then(|()| matcher.try_matches(value, pulse));
        matches.unwrap_or_else(|error| {
            stopped = Err(error);
            false
        })
    });
    stopped.map(|()| ids)
}

/// All ids of lists that share none: a series has one value for a label.
fn union(lists: Vec<&[u32]>) -> Vec<u32> {
    if let [only] = lists.as_slice() {
        return only.to_vec();
    }
    let total: usize = lists.iter().map(|list| list.len()).sum();
    if total <= SORT_MAX {
        let mut ids = lists.concat();
        ids.sort_unstable();
        return ids;
    }
    let highest = lists.iter().filter_map(|list| list.last()).max().copied().unwrap_or(0);
    let mut bits = vec![0u64; highest as usize / 64 + 1];
    for id in lists.into_iter().flatten() {
        bits[*id as usize / 64] |= 1 << (id % 64);
    }
    let mut ids = Vec::with_capacity(total);
    for (word, mut bits) in bits.into_iter().enumerate() {
        while bits != 0 {
            ids.push(word as u32 * 64 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    ids
}

/// The ids in both. Steps through the longer one by leaps.
fn intersection(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (short, mut long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut both = Vec::with_capacity(short.len());
    for id in short {
        long = &long[leap(long, *id)..];
        match long.first() {
            None => break,
            Some(found) if found == id => both.push(*id),
            Some(_) => {}
        }
    }
    both
}

/// The ids of `a` that are not in `b`.
fn difference(a: &[u32], mut b: &[u32]) -> Vec<u32> {
    let mut left = Vec::with_capacity(a.len());
    for id in a {
        b = &b[leap(b, *id)..];
        if b.first() != Some(id) {
            left.push(*id);
        }
    }
    left
}

/// How many ids at the front are below `id`: doubling steps, then halving.
fn leap(ids: &[u32], id: u32) -> usize {
    let mut step = 1;
    while step < ids.len() && ids[step] < id {
        step *= 2;
    }
    let from = step / 2;
    let to = ids.len().min(step + 1);
    from + ids[from..to].partition_point(|other| *other < id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kymo_model::{CancelReason, MatchOp, Selector, StoreErrorKind, TimeRange};

    fn series() -> Vec<Labels> {
        let mut all = Vec::new();
        for i in 0..600u32 {
            let (name, pod, zone) = (format!("m{}", i % 5), format!("pod-{i}"), format!("z{}", i % 3));
            let zone = if i % 4 == 0 { "" } else { zone.as_str() };
            all.push(Labels::from_pairs([
                ("__name__", name.as_str()),
                ("pod", pod.as_str()),
                ("zone", zone),
            ]));
        }
        all
    }

    fn numbered(all: &[Labels]) -> Vec<(SeriesId, Labels)> {
        (0..).map(SeriesId).zip(all.iter().cloned()).collect()
    }

    #[test]
    fn agrees_with_asking_every_series() {
        let all = series();
        let mut postings = Postings::default();
        postings.add_all(&numbered(&all));
        let m = |op, name, value| Matcher::new(op, name, value).unwrap();
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let choices = [
            m(Equal, "__name__", "m1"),
            m(Equal, "zone", ""),
            m(Equal, "none", ""),
            m(Equal, "none", "x"),
            m(NotEqual, "zone", "z1"),
            m(NotEqual, "zone", ""),
            m(NotEqual, "none", ""),
            m(Regex, "__name__", "m1|m2|m9"),
            m(Regex, "pod", "pod-1.*"),
            m(Regex, "pod", ".*"),
            m(Regex, "zone", "z1|"),
            m(NotRegex, "zone", "z.*"),
            m(NotRegex, "zone", "z1|z2"),
            m(NotRegex, "pod", ".*[0-4]"),
            m(NotRegex, "zone", ""),
        ];
        let check = |matchers: Vec<Matcher>| {
            let selector = Selector::new(matchers.clone(), TimeRange::ALL);
            let expected: Vec<u32> =
                (0..all.len()).filter(|i| selector.matches(&all[*i])).map(|i| i as u32).collect();
            let every = || (0..all.len() as u32).collect();
            let mut labels_of = |id: SeriesId| all.get(id.0 as usize).cloned();
            let found = resolve(&postings, &matchers, every, &mut labels_of, &CancelToken::new());
            assert_eq!(found.ok(), Some(expected), "{matchers:?}");
            // Whoever does not want the answer does not get one, unless nothing had to be looked at.
            let gone = CancelToken::new();
            gone.cancel(CancelReason::Canceled);
            let found = resolve(&postings, &matchers, every, &mut labels_of, &gone);
            let kind = found.map_err(|error| error.kind());
            assert!(
                kind == Err(StoreErrorKind::Canceled)
                    || kind.is_ok_and(|ids| ids.is_empty() || ids.len() == 600)
            );
        };
        check(Vec::new());
        for a in &choices {
            check(vec![a.clone()]);
            for b in &choices {
                check(vec![a.clone(), b.clone()]);
                check(vec![a.clone(), b.clone(), choices[8].clone()]);
            }
        }
    }

    #[test]
    fn unions_by_bits_are_sorted() {
        let (even, odd): (Vec<u32>, Vec<u32>) =
            ((0..6000).map(|i| i * 2).collect(), (0..6000).map(|i| i * 2 + 1).collect());
        assert_eq!(union(vec![&even[..], &odd[..]]), (0..12000).collect::<Vec<u32>>());
    }

    #[test]
    fn removal_leaves_the_others() {
        let all = series();
        let mut postings = Postings::default();
        postings.add_all(&numbered(&all));
        let dead: std::collections::HashSet<u32> = (0..600).filter(|i| i % 5 != 1).collect();
        postings.remove(&dead, all.iter().enumerate().filter(|(i, _)| i % 5 != 1).map(|(_, l)| l));
        assert_eq!(postings.values("__name__").unwrap().len(), 1);
        assert_eq!(postings.values("pod").unwrap().len(), 120);
        assert_eq!(postings.pairs(), 1 + 120 + 3);
    }
}
