//! From matchers to the series of a block, by algebra over its sorted postings.
//!
//! As in the head: a matcher that the empty value passes takes away, any other keeps. Lists are read only where that is
//! cheaper than asking the series' own labels, which are read anyway. A list that is damaged narrows nothing; its matcher is
//! asked of the labels.

use std::collections::BTreeSet;

use kymo_model::{CancelToken, Matcher, Pulse, TimeRange};

use super::error::BlockError;
use super::index::{Entry, PostingsTable, Values, read_postings};
use super::reader::{Inner, Tables};
use crate::index::Texts;

/// What it takes to read an entry, beside asking about a value.
const ENTRY_WORK: usize = 128;

/// The series that may match, sorted; `None` for all of them. When `ask_labels`, not all matchers were applied.
struct Candidates {
    series: Option<Vec<u32>>,
    ask_labels: bool,
}

impl Inner {
    /// Calls `each` with every series that matches, in order of labels: its number in tombstones, and its entry. Ends with an
    /// error when `cancel` says so.
    pub(super) fn for_each_match(
        &self,
        tables: &Tables,
        (matchers, cancel): (&[Matcher], &CancelToken),
        mut each: impl FnMut(u64, Entry),
    ) -> Result<(), BlockError> {
        cancel.check()?;
        let mut pulse = cancel.pulse();
        let Candidates { series, mut ask_labels } = match &tables.postings {
            Some(postings) => self.candidates(postings, matchers, &mut pulse)?,
            None => Candidates { series: None, ask_labels: true },
        };
        let listed = match series {
            Some(series) => Some(series),
            None => {
                ask_labels |= !matchers.is_empty();
                let all = tables.postings.as_ref().and_then(PostingsTable::all);
                match all.map(|offset| self.list(offset)) {
                    Some(list) => list?,
                    None => None,
                }
            }
        };
        let asked = if ask_labels { matchers } else { &[] };
        let factor = self.toc.series_factor();
        let mut entries = self.entries();
        let Some(listed) = listed else {
            for (number, entry) in self.scan(tables) {
                pulse.tick(ENTRY_WORK)?;
                match entry {
                    Ok(entry) => {
                        if Matcher::try_all_match(asked, &entry.labels, &mut pulse)? {
                            each(number, entry);
                        }
                    }
                    Err(error) => self.note_error(error)?,
                }
            }
            return Ok(());
        };
        for number in listed {
            pulse.tick(ENTRY_WORK)?;
            match entries.read(u64::from(number) * factor, &tables.symbols) {
                Ok(entry) => {
                    if Matcher::try_all_match(asked, &entry.labels, &mut pulse)? {
                        each(number.into(), entry);
                    }
                }
                Err(error) => self.note_error(error)?,
            }
        }
        Ok(())
    }

    pub(super) fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, BlockError> {
        let Some(tables) = self.tables_if_any(cancel)? else { return Ok(Vec::new()) };
        if let (true, Some(postings)) = (matchers.is_empty(), &tables.postings) {
            cancel.check()?;
            return Ok(postings.names().map(|(name, _)| name.to_owned()).collect());
        }
        let mut names = BTreeSet::new();
        self.for_each_match(&tables, (matchers, cancel), |_, entry| {
            if entry.chunks.iter().any(|chunk| chunk.overlaps(range)) {
                for label in &entry.labels {
                    if !names.contains(label.name) {
                        names.insert(label.name.to_owned());
                    }
                }
            }
        })?;
        Ok(names.into_iter().collect())
    }

    pub(super) fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, BlockError> {
        let Some(tables) = self.tables_if_any(cancel)? else { return Ok(Vec::new()) };
        if let (true, Some(postings)) = (matchers.is_empty(), &tables.postings) {
            let mut pulse = cancel.pulse();
            let known = postings.values(name).filter(|_| !name.is_empty());
            let mut values = Vec::with_capacity(known.map_or(0, Values::len));
            for (value, _) in known.into_iter().flat_map(Values::iter) {
                pulse.tick(16)?;
                values.push(value.to_owned());
            }
            return Ok(values);
        }
        let (mut values, mut stopped) = (Texts::new(cancel), Ok(()));
        self.for_each_match(&tables, (matchers, cancel), |_, entry| {
            if let (Some(value), Ok(())) = (entry.labels.get(name), &stopped)
                && entry.chunks.iter().any(|chunk| chunk.overlaps(range))
            {
                stopped = values.push(value);
            }
        })?;
        stopped?;
        Ok(values.sorted()?)
    }

    fn candidates(
        &self,
        postings: &PostingsTable,
        matchers: &[Matcher],
        pulse: &mut Pulse,
    ) -> Result<Candidates, BlockError> {
        let mut found = Candidates { series: None, ask_labels: false };
        let (mut keeping, mut taking) = (Vec::new(), Vec::new());
        for matcher in matchers {
            match (
                matcher.matches_empty(),
                postings.values(matcher.name()).filter(|_| !matcher.name().is_empty()),
            ) {
                (false, None) => return Ok(Candidates { series: Some(Vec::new()), ask_labels: false }),
                (false, Some(values)) => keeping.push((matcher, values)),
                // No series has the label, so every series has the empty value, which passes.
                (true, None) => {}
                (true, Some(values)) => taking.push((matcher, values)),
            }
        }
        // The cheap ones first: those that name their values.
        keeping.sort_by_key(|(matcher, values)| matcher.set_matches().map_or(values.len(), |_| 0));
        for (matcher, values) in keeping {
            let few = found.series.as_ref().is_some_and(|series| series.len() < values.len());
            if few && matcher.set_matches().is_none() {
                found.ask_labels = true;
                continue;
            }
            match (self.passing(matcher, values, pulse)?, &mut found.series) {
                (None, _) => found.ask_labels = true,
                (Some(passing), Some(series)) => retain_common(series, &passing, true),
                (Some(passing), series @ None) => *series = Some(passing),
            }
            if found.series.as_ref().is_some_and(Vec::is_empty) {
                return Ok(found);
            }
        }
        for (matcher, values) in taking {
            match &mut found.series {
                Some(series) if series.len() >= values.len() => {
                    let refused = lists(matcher, values, false, pulse)?;
                    match self.union(refused.into_iter(), pulse)? {
                        Some(refused) => retain_common(series, &refused, false),
                        None => found.ask_labels = true,
                    }
                }
                _ => found.ask_labels = true,
            }
        }
        Ok(found)
    }

    /// The series whose value of the label passes; `None` when a list of them is damaged.
    fn passing(
        &self,
        matcher: &Matcher,
        values: Values<'_>,
        pulse: &mut Pulse,
    ) -> Result<Option<Vec<u32>>, BlockError> {
        if let Some(wanted) = matcher.set_matches() {
            return self.union(wanted.iter().filter_map(|value| values.find(value)), pulse);
        }
        let values = matcher.prefix().map_or(values, |prefix| values.with_prefix(prefix));
        self.union(lists(matcher, values, true, pulse)?.into_iter(), pulse)
    }

    fn union(
        &self,
        offsets: impl Iterator<Item = u64>,
        pulse: &mut Pulse,
    ) -> Result<Option<Vec<u32>>, BlockError> {
        let (mut all, mut lists) = (Vec::new(), 0);
        for offset in offsets {
            pulse.tick(ENTRY_WORK)?;
            match self.list(offset)? {
                Some(series) if lists == 0 => all = series,
                Some(series) => all.extend(series),
                None => return Ok(None),
            }
            lists += 1;
        }
        if lists > 1 {
            all.sort_unstable();
            all.dedup();
        }
        Ok(Some(all))
    }

    /// A list of postings; `None` when it is damaged.
    fn list(&self, offset: u64) -> Result<Option<Vec<u32>>, BlockError> {
        match read_postings(&self.index, offset) {
            Ok(series) => Ok(Some(series)),
            Err(error) => self.note_error(error).map(|()| None),
        }
    }
}

/// Where the lists of the values are that the matcher says `wanted` to.
fn lists(
    matcher: &Matcher,
    values: Values<'_>,
    wanted: bool,
    pulse: &mut Pulse,
) -> Result<Vec<u64>, BlockError> {
    let mut found = Vec::new();
    for (value, offset) in values.iter() {
        if matcher.try_matches(value, pulse)? == wanted {
            found.push(offset);
        }
    }
    Ok(found)
}

/// Keeps of `series` what is in `others`, or what is not. Both are sorted.
fn retain_common(series: &mut Vec<u32>, others: &[u32], keep_common: bool) {
    let mut others = others;
    series.retain(|number| {
        let before = others.partition_point_near(*number);
        others = &others[before..];
        (others.first() == Some(number)) == keep_common
    });
}

/// Search in sorted numbers from the front, cheap when the place is near.
trait Gallop {
    /// How many are lower than `number`.
    fn partition_point_near(&self, number: u32) -> usize;
}

impl Gallop for [u32] {
    fn partition_point_near(&self, number: u32) -> usize {
        let (mut low, mut step) = (0, 1);
        while low + step <= self.len() && self[low + step - 1] < number {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.len());
        low + self[low..high].partition_point(|other| *other < number)
    }
}
