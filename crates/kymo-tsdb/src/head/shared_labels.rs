//! Shared labels: for a query that looks at a few label names only, series that agree in these share one set of labels. Which set a
//! series has is read from the postings, so no series' own labels are touched: their memory is cold, and a million of them is
//! what most of such a query's time would go to.

use std::collections::HashMap;
use std::sync::Arc;

use kymo_model::Labels;

use crate::index::Postings;

/// With more sets, or more values of one name, sharing is no gain.
const SETS_MAX: usize = 4096;

/// So many times the wanted series may be walked over to find their sets; few series of a large database look at their labels.
const WALK_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct SharedLabels {
    pub(super) sets: Vec<Labels>,
    /// The id that is first in `numbers`.
    first: u32,
    /// The set of each id.
    numbers: Vec<u32>,
}

impl SharedLabels {
    /// The sets of these series; `None` where that costs more than it spares. The postings are those that gave the ids.
    pub(super) fn of(postings: &Postings, ids: &[u32], names: &[Arc<str>]) -> Option<SharedLabels> {
        let walk_max = WALK_MAX * ids.len() + SETS_MAX;
        let (first, last) = (*ids.iter().min()?, *ids.iter().max()?);
        let span = (last - first) as usize + 1;
        if span > walk_max {
            return None;
        }
        let mut shared = SharedLabels { sets: vec![Labels::empty()], first, numbers: vec![0; span] };
        for name in names {
            // Nobody has it.
            let Some(values) = postings.values(name) else { continue };
            let walk: usize = values.values().take(SETS_MAX + 1).map(|list| list.as_slice().len()).sum();
            if values.len() > SETS_MAX || walk > walk_max {
                return None;
            }
            for (value, list) in values {
                let ids = list.as_slice();
                let from = ids.partition_point(|id| *id < first);
                let to = ids.partition_point(|id| *id <= last);
                shared.add(name, value, &ids[from..to]);
                if shared.sets.len() > SETS_MAX {
                    return None;
                }
            }
        }
        Some(shared)
    }

    /// The series with these ids have this label too.
    fn add(&mut self, name: &str, value: &str, ids: &[u32]) {
        // From a set to the one that has the label as well.
        let mut with_label: HashMap<u32, u32> = HashMap::new();
        let mut last = None;
        for id in ids {
            let number = &mut self.numbers[(id - self.first) as usize];
            *number = match last {
                Some((without, with)) if without == *number => with,
                _ => {
                    let with = *with_label.entry(*number).or_insert_with(|| {
                        let pairs = self.sets[*number as usize].iter().map(|label| (label.name, label.value));
                        self.sets.push(Labels::from_pairs(pairs.chain([(name, value)])));
                        self.sets.len() as u32 - 1
                    });
                    last = Some((*number, with));
                    with
                }
            };
        }
    }

    /// The number of the set of a series, which is one of those that were asked for.
    pub(super) fn number(&self, id: u32) -> u32 {
        self.numbers[(id - self.first) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::SeriesId;

    #[test]
    fn series_share_what_they_agree_in() {
        let mut postings = Postings::default();
        let series = |id: u32| {
            let (zone, pod) = (format!("z{}", id % 3), id.to_string());
            let job = if id.is_multiple_of(5) { "" } else { "j" };
            Labels::from_pairs([
                ("__name__", "m"),
                ("zone", zone.as_str()),
                ("pod", pod.as_str()),
                ("job", job),
            ])
        };
        let all: Vec<_> = (0..10_000).map(|id| (SeriesId(id), series(id))).collect();
        postings.add_all(&all);
        let ids: Vec<u32> = (1000u32..9000).filter(|id| !id.is_multiple_of(7)).collect();
        let of = |names: &[&str], ids: &[u32]| {
            let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
            SharedLabels::of(&postings, ids, &names)
        };
        for (names, sets) in
            [(&[][..], 1), (&["zone"], 4), (&["job", "zone"], 8), (&["zone", "job", "zone", "none"], 13)]
        {
            let shared = of(names, &ids).unwrap();
            assert!(shared.sets.len() <= sets, "{names:?}: {} sets", shared.sets.len());
            for id in &ids {
                let expected = series(*id).filtered(|name| names.contains(&name));
                assert_eq!(shared.sets[shared.number(*id) as usize], expected, "{names:?}, series {id}");
            }
        }
        // Too many values, too few series, none at all.
        assert!(of(&["pod"], &ids).is_none());
        assert!(of(&["zone"], &[1, 9999]).is_none());
        assert!(of(&["zone"], &[]).is_none());
    }
}
