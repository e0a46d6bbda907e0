//! Ring: the exemplars that were stored last, at most so many of all series together. When it is full, the one that was stored
//! first goes. Those of one series are in order of time.

use std::collections::{HashMap, VecDeque};

use kymo_model::{
    ExemplarRefusal, Labels, METRIC_NAME, Matcher, Selector, SeriesExemplars, StoredExemplar, TimeRange,
    Timestamp,
};

/// An exemplar, and whether its time is its own or that of its sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeptExemplar {
    pub(crate) exemplar: StoredExemplar,
    pub(crate) own_time: bool,
}

/// The exemplars of one series.
#[derive(Debug)]
struct OfSeries {
    labels: Labels,
    /// Never empty, in order.
    kept: VecDeque<KeptExemplar>,
}

#[derive(Debug, Default)]
pub(crate) struct Ring {
    max: usize,
    /// Places are used again when their series has none left.
    places: Vec<Option<OfSeries>>,
    free: Vec<u32>,
    by_labels: HashMap<Labels, u32>,
    /// Metric name to places, so that a select need not look at every series.
    by_name: HashMap<Box<str>, Vec<u32>>,
    /// The place of the series of each exemplar, in the order in which they were stored.
    order: VecDeque<u32>,
    /// The number of the next exemplar. In the log each has one, so that none is replayed twice.
    next_sequence: u64,
}

impl KeptExemplar {
    /// May it be stored behind the newest of its series?
    ///
    /// Without a time of its own an exemplar gets another time with each scrape; it is a repetition all the same.
    pub(crate) fn judge(&self, newest: Option<&KeptExemplar>) -> Result<(), ExemplarRefusal> {
        let Some(newest) = newest else { return Ok(()) };
        let (new, old) = (&self.exemplar, &newest.exemplar);
        let timeless = !self.own_time && !newest.own_time;
        if timeless && new.value.to_bits() == old.value.to_bits() && new.labels == old.labels {
            return Err(ExemplarRefusal::Duplicate);
        }
        match new.order(old) {
            std::cmp::Ordering::Greater => Ok(()),
            std::cmp::Ordering::Equal => Err(ExemplarRefusal::Duplicate),
            std::cmp::Ordering::Less => Err(ExemplarRefusal::OutOfOrder),
        }
    }
}

impl Ring {
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn series_count(&self) -> usize {
        self.by_labels.len()
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The time of the exemplar that was stored last.
    pub(crate) fn last_stored(&self) -> Option<Timestamp> {
        let of = self.places[*self.order.back()? as usize].as_ref()?;
        of.kept.back().map(|kept| kept.exemplar.timestamp)
    }

    pub(crate) fn newest(&self, series: &Labels) -> Option<&KeptExemplar> {
        let place = *self.by_labels.get(series)?;
        self.places[place as usize].as_ref()?.kept.back()
    }

    /// Another bound; what is over it goes, the oldest first.
    pub(crate) fn resize(&mut self, max: usize) {
        if max == 0 {
            // With all the memory.
            *self = Ring { next_sequence: self.next_sequence, ..Ring::default() };
        }
        self.max = max;
        while self.order.len() > max {
            self.drop_oldest();
        }
        self.order.shrink_to(max);
    }

    /// Stores an exemplar that was judged to be newer than those of its series.
    pub(crate) fn push(&mut self, series: &Labels, kept: KeptExemplar) {
        self.next_sequence += 1;
        if self.max == 0 {
            return;
        }
        // Before the place is looked up, which may be freed by it.
        while self.order.len() >= self.max {
            self.drop_oldest();
        }
        let place = match self.by_labels.get(series) {
            Some(place) => *place,
            None => self.add_series(series),
        };
        let of = self.places[place as usize].as_mut().expect("BUG: a place that is named has a series");
        of.kept.push_back(kept);
        self.order.push_back(place);
    }

    /// Stores an exemplar of the log or a checkpoint, unless it was read before.
    pub(crate) fn replay(&mut self, sequence: u64, series: &Labels, kept: KeptExemplar) {
        if sequence >= self.next_sequence {
            self.next_sequence = sequence;
            self.push(series, kept);
        }
    }

    /// Takes in the exemplars of another ring, as if all had been stored in order of time. Those that are in both stay once.
    pub(super) fn merge(&mut self, other: &Ring) {
        let both = self.in_order().chain(other.in_order());
        let mut all: Vec<(Labels, KeptExemplar)> =
            both.map(|(labels, kept)| (labels.clone(), kept.clone())).collect();
        all.sort_by(|(_, a), (_, b)| a.exemplar.order(&b.exemplar));
        let mut merged = Ring { max: self.max, next_sequence: self.next_sequence, ..Ring::default() };
        for (series, kept) in all {
            if kept.judge(merged.newest(&series)).is_ok() {
                merged.push(&series, kept);
            }
        }
        *self = merged;
    }

    /// No new exemplar gets a number below this.
    pub(crate) fn reserve_sequence(&mut self, next: u64) {
        self.next_sequence = self.next_sequence.max(next);
    }

    /// Those of the series that one of the sets selects, inside the range; sorted by series.
    pub(crate) fn select(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        let selectors: Vec<Selector> = sets.iter().map(|set| Selector::new(set.clone(), range)).collect();
        let mut found: Vec<SeriesExemplars> = Vec::new();
        let mut look = |place: u32| {
            let Some(of) = &self.places[place as usize] else { return };
            let from = of.kept.partition_point(|kept| kept.exemplar.timestamp < range.min);
            let to = of.kept.partition_point(|kept| kept.exemplar.timestamp <= range.max);
            if from < to && selectors.iter().any(|selector| selector.matches(&of.labels)) {
                let exemplars = of.kept.range(from..to).map(|kept| kept.exemplar.clone()).collect();
                found.push(SeriesExemplars { series: of.labels.clone(), exemplars });
            }
        };
        match names(sets) {
            Some(names) => {
                let places = names.into_iter().filter_map(|name| self.by_name.get(name));
                places.flatten().for_each(|place| look(*place));
            }
            None => self.by_labels.values().for_each(|place| look(*place)),
        }
        found.sort_by(|a, b| a.series.cmp(&b.series));
        found
    }

    /// All of them in the order in which they were stored.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&Labels, &KeptExemplar)> {
        let mut next = vec![0; self.places.len()];
        self.order.iter().filter_map(move |place| {
            let of = self.places[*place as usize].as_ref()?;
            let at = &mut next[*place as usize];
            *at += 1;
            Some((&of.labels, of.kept.get(*at - 1)?))
        })
    }

    /// Labels of series that are in the head, too, are counted there.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of_series = |of: &OfSeries| {
            let labels: usize = of.kept.iter().map(|kept| kept.exemplar.labels.heap_bytes()).sum();
            labels + of.kept.capacity() * size_of::<KeptExemplar>()
        };
        let text: usize = self.by_name.keys().map(|name| name.len()).sum();
        let lists: usize = self.by_name.values().map(|places| places.capacity() * size_of::<u32>()).sum();
        self.places.iter().flatten().map(of_series).sum::<usize>()
            + text
            + lists
            + self.by_name.capacity() * size_of::<(Box<str>, Vec<u32>)>()
            + self.places.capacity() * size_of::<Option<OfSeries>>()
            + self.by_labels.capacity() * size_of::<(Labels, u32)>()
            + (self.order.capacity() + self.free.capacity()) * size_of::<u32>()
    }

    fn add_series(&mut self, labels: &Labels) -> u32 {
        let of = Some(OfSeries { labels: labels.clone(), kept: VecDeque::new() });
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = of;
                place
            }
            None => {
                self.places.push(of);
                u32::try_from(self.places.len() - 1).expect("BUG: there are more series than exemplars")
            }
        };
        self.by_labels.insert(labels.clone(), place);
        let name = labels.metric_name().unwrap_or_default();
        match self.by_name.get_mut(name) {
            Some(places) => places.push(place),
            None => {
                self.by_name.insert(name.into(), vec![place]);
            }
        }
        place
    }

    fn drop_oldest(&mut self) {
        let Some(place) = self.order.pop_front() else { return };
        let Some(of) = &mut self.places[place as usize] else { return };
        of.kept.pop_front();
        if !of.kept.is_empty() {
            return;
        }
        let labels = of.labels.clone();
        self.places[place as usize] = None;
        self.free.push(place);
        self.by_labels.remove(&labels);
        let name = labels.metric_name().unwrap_or_default();
        if let Some(places) = self.by_name.get_mut(name) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.by_name.remove(name);
            }
        }
    }
}

/// The metric names that the sets ask for, each once; `None` when one of the sets asks for others, too.
fn names(sets: &[Vec<Matcher>]) -> Option<Vec<&str>> {
    let mut all = Vec::new();
    for set in sets {
        let of_name = set.iter().filter(|matcher| matcher.name() == METRIC_NAME);
        let wanted = of_name.filter_map(Matcher::set_matches).min_by_key(|values| values.len())?;
        all.extend(wanted.iter().map(String::as_str));
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kymo_model::MatchOp;
    use proptest::prelude::*;

    fn series(number: u8) -> Labels {
        let name = format!("m{}", number % 3);
        Labels::from_pairs([("__name__", name.as_str()), ("n", &number.to_string())])
    }

    fn kept(t_ms: i64, value: f64) -> KeptExemplar {
        let labels = Labels::from_pairs([("trace_id", value.to_string().as_str())]);
        let exemplar = StoredExemplar { labels, value, timestamp: Timestamp::from_millis(t_ms) };
        KeptExemplar { exemplar, own_time: true }
    }

    fn sets() -> Vec<Vec<Matcher>> {
        let matcher = |op, name, value| Matcher::new(op, name, value).unwrap();
        vec![
            vec![Matcher::equal("__name__", "m1")],
            vec![matcher(MatchOp::Regex, "__name__", "m0|m2"), matcher(MatchOp::NotEqual, "n", "3")],
            vec![matcher(MatchOp::Regex, "n", "[0-4]")],
            vec![matcher(MatchOp::Regex, "__name__", "m.*"), Matcher::equal("n", "5")],
            vec![Matcher::equal("__name__", "")],
        ]
    }

    proptest! {
        /// Against a plain list: what is kept, in which order, and what selects find, whatever goes and whenever the bound
        /// changes.
        #[test]
        fn as_a_list(
            steps in prop::collection::vec((0u8..8, 0i64..4, 0u8..20), 0..120),
            chosen in prop::collection::vec(0usize..5, 1..3),
            from in 0i64..150,
            length in 0i64..150,
        ) {
            let (mut ring, mut list, mut max, mut t_ms) = (Ring::default(), Vec::new(), 12usize, 0);
            ring.resize(max);
            for (step, (number, later, die)) in steps.into_iter().enumerate() {
                t_ms += later;
                if die == 0 {
                    max = usize::from(number) * 3;
                    ring.resize(max);
                }
                let new = kept(t_ms, step as f64);
                prop_assert_eq!(new.judge(ring.newest(&series(number))), Ok(()));
                ring.push(&series(number), new.clone());
                list.push((series(number), new));
                list.drain(..list.len().saturating_sub(max));
            }
            let all: Vec<_> = ring.in_order().map(|(labels, kept)| (labels.clone(), kept.clone())).collect();
            prop_assert_eq!(&all, &list);
            prop_assert_eq!((ring.len(), ring.max()), (list.len(), max));
            let distinct: std::collections::BTreeSet<_> = list.iter().map(|(labels, _)| labels.clone()).collect();
            prop_assert_eq!(ring.series_count(), distinct.len());

            let sets: Vec<Vec<Matcher>> = chosen.iter().map(|at| sets()[*at].clone()).collect();
            let range = TimeRange::from_millis(from, from + length);
            let found = ring.select(&sets, range);
            prop_assert!(found.is_sorted_by(|a, b| a.series < b.series));
            let found: Vec<_> = found
                .into_iter()
                .flat_map(|of| of.exemplars.into_iter().map(move |exemplar| (of.series.clone(), exemplar)))
                .collect();
            let mut expected: Vec<_> = list
                .into_iter()
                .map(|(labels, kept)| (labels, kept.exemplar))
                .filter(|(_, exemplar)| range.min <= exemplar.timestamp && exemplar.timestamp <= range.max)
                .filter(|(labels, _)| sets.iter().any(|set| Selector::new(set.clone(), range).matches(labels)))
                .collect();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(found, expected);
        }

        /// What a checkpoint has and the log repeats, gives what there was.
        #[test]
        fn replayed_over_itself(numbers in prop::collection::vec(0u8..5, 0..60), from in 0usize..60, upto in 0usize..60) {
            let log: Vec<_> = numbers.iter().enumerate().map(|(at, number)| (series(*number), kept(at as i64, 0.5))).collect();
            let push_all = |ring: &mut Ring, log: &[(Labels, KeptExemplar)]| {
                log.iter().for_each(|(labels, kept)| ring.push(labels, kept.clone()));
            };
            let (upto, mut whole, mut checkpoint, mut again) =
                (upto.min(log.len()), Ring::default(), Ring::default(), Ring::default());
            [&mut whole, &mut checkpoint, &mut again].into_iter().for_each(|ring| ring.resize(7));
            push_all(&mut whole, &log);
            push_all(&mut checkpoint, &log[..upto]);
            let first = checkpoint.next_sequence() - checkpoint.len() as u64;
            for (sequence, (labels, kept)) in (first..).zip(checkpoint.in_order()) {
                again.replay(sequence, labels, kept.clone());
            }
            let from = from.min(upto);
            for (sequence, (labels, kept)) in (from as u64..).zip(&log[from..]) {
                again.replay(sequence, labels, kept.clone());
            }
            prop_assert!(again.in_order().eq(whole.in_order()));
            prop_assert_eq!(again.next_sequence(), whole.next_sequence());
        }
    }

    #[test]
    fn order_and_repetition() {
        let with = |t_ms, value, own_time| KeptExemplar { own_time, ..kept(t_ms, value) };
        let newest = with(1000, 2.0, false);
        let judge = |new: KeptExemplar| new.judge(Some(&newest));
        assert_eq!(judge(with(1000, 2.0, true)), Err(ExemplarRefusal::Duplicate));
        // The same at a later scrape, and what has a time of its own.
        assert_eq!(judge(with(2000, 2.0, false)), Err(ExemplarRefusal::Duplicate));
        assert_eq!(judge(with(2000, 2.0, true)), Ok(()));
        assert_eq!(judge(with(2000, 1.0, false)), Ok(()));
        assert_eq!(judge(with(999, 3.0, true)), Err(ExemplarRefusal::OutOfOrder));
        // At one time by value, then by labels.
        assert_eq!(judge(with(1000, 2.5, true)), Ok(()));
        assert_eq!(judge(with(1000, 1.5, true)), Err(ExemplarRefusal::OutOfOrder));
        assert_eq!(with(0, 0.0, true).judge(None), Ok(()));
    }
}
