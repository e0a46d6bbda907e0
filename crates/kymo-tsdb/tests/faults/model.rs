//! Model: what the histories know: the samples (`ModelStore`), and, as plain lists, exemplars and metadata.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use kymo_model::{
    Batch, ExemplarQueryable, ExemplarRefusal, FamilyMetadata, Labels, MatchOp, Matcher, Metadata,
    MetadataQueryable, Queryable, StoreError, StoredExemplar, TimeRange,
};
use kymo_testkit::ModelStore;
use kymo_tsdb::Db;

/// So few that most of a history's are dropped again.
pub(crate) const EXEMPLARS_MAX: usize = 20;
/// Those that were dropped are remembered: they come back when later ones are lost.
const REMEMBERED: usize = 8 * EXEMPLARS_MAX;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    samples: ModelStore,
    /// In the order in which they were stored.
    exemplars: Vec<Known<(Labels, StoredExemplar, bool)>>,
    /// What was said of each family, one after the other.
    families: BTreeMap<String, Vec<Known<Metadata>>>,
    /// How many of `exemplars`, and which families, the last batch brought.
    last_exemplars: usize,
    last_families: Vec<String>,
}

#[derive(Clone, Debug)]
struct Known<T> {
    what: T,
    acked: bool,
    durable: bool,
    taken_ms: u64,
}

impl Deref for Model {
    type Target = ModelStore;
    fn deref(&self) -> &ModelStore {
        &self.samples
    }
}

impl DerefMut for Model {
    fn deref_mut(&mut self) -> &mut ModelStore {
        &mut self.samples
    }
}

impl Model {
    pub(crate) fn new(samples: ModelStore) -> Model {
        Model {
            samples,
            exemplars: Vec::new(),
            families: BTreeMap::new(),
            last_exemplars: 0,
            last_families: Vec::new(),
        }
    }

    /// The exemplars that an open database has, the newest first.
    fn kept(&self) -> impl Iterator<Item = &(Labels, StoredExemplar, bool)> {
        self.exemplars.iter().rev().filter(|known| known.acked).take(EXEMPLARS_MAX).map(|known| &known.what)
    }

    /// Takes what a batch brings beside its rows, which was taken before. `series` are those of the exemplars, `None` for one
    /// that is not there. Gives what the database must say of each exemplar, and how many families are new or changed.
    pub(crate) fn take_beside(
        &mut self,
        batch: &Batch,
        series: &[Option<Labels>],
        durable: bool,
        taken_ms: u64,
    ) -> (Vec<Option<ExemplarRefusal>>, usize) {
        (self.last_exemplars, self.last_families) = (0, Vec::new());
        let mut outcomes = Vec::new();
        let kept: Vec<_> = self.kept().cloned().collect();
        let mut newest: BTreeMap<&Labels, (StoredExemplar, bool)> = BTreeMap::new();
        for (labels, exemplar, own_time) in kept.iter().rev() {
            newest.insert(labels, (exemplar.clone(), *own_time));
        }
        for (one, series) in batch.exemplars().iter().zip(series) {
            let kymo_model::Exemplar { labels, value, timestamp } = one.exemplar.clone();
            let own_time = timestamp.is_some();
            let new = StoredExemplar { labels, value, timestamp: timestamp.unwrap_or(one.sample_timestamp) };
            let outcome = if one.exemplar.label_chars() > 128 {
                Some(ExemplarRefusal::LabelsTooLong)
            } else if let Some(series) = series {
                let before = newest.get(series);
                let same = |(old, old_own_time): &(StoredExemplar, bool)| {
                    old.labels == new.labels
                        && old.value.to_bits() == new.value.to_bits()
                        && (old.timestamp == new.timestamp || !(own_time || *old_own_time))
                };
                if before.is_some_and(same) {
                    Some(ExemplarRefusal::Duplicate)
                } else if before.is_some_and(|(old, _)| new.order(old).is_lt()) {
                    Some(ExemplarRefusal::OutOfOrder)
                } else {
                    newest.insert(series, (new.clone(), own_time));
                    let what = (series.clone(), new, own_time);
                    self.exemplars.push(Known { what, acked: true, durable, taken_ms });
                    self.last_exemplars += 1;
                    None
                }
            } else {
                Some(ExemplarRefusal::UnknownSeries)
            };
            outcomes.push(outcome);
        }
        self.exemplars.drain(..self.exemplars.len().saturating_sub(REMEMBERED));
        let mut changed = 0;
        for FamilyMetadata { name, metadata } in batch.metadata() {
            let said = self.families.entry(name.clone()).or_default();
            if said.iter().rev().find(|known| known.acked).is_none_or(|known| known.what != *metadata) {
                said.push(Known { what: metadata.clone(), acked: true, durable, taken_ms });
                self.last_families.push(name.clone());
                changed += 1;
            }
        }
        (outcomes, changed)
    }

    /// The batch that was just taken failed after all.
    pub(crate) fn last_batch_failed(&mut self) {
        self.samples.last_batch_failed();
        for known in self.exemplars.iter_mut().rev().take(std::mem::take(&mut self.last_exemplars)) {
            known.acked = false;
        }
        for name in std::mem::take(&mut self.last_families) {
            if let Some(known) = self.families.get_mut(&name).and_then(|said| said.last_mut()) {
                known.acked = false;
            }
        }
    }

    pub(crate) fn synced(&mut self) {
        self.synced_until(u64::MAX);
    }

    pub(crate) fn synced_until(&mut self, monotonic_ms: u64) {
        self.samples.synced_until(monotonic_ms);
        let times = self.exemplars.iter_mut().map(|known| (&mut known.durable, known.taken_ms));
        let families = self.families.values_mut().flatten().map(|known| (&mut known.durable, known.taken_ms));
        times.chain(families).for_each(|(durable, taken_ms)| *durable |= taken_ms <= monotonic_ms);
    }

    /// Takes what the store has as acknowledged.
    pub(crate) fn adopt(&mut self, db: &Db, durable: bool) -> Result<(), StoreError> {
        self.samples.adopt(db as &dyn Queryable, durable)?;
        let found = exemplars(db)?;
        let mut last: Vec<bool> = Vec::new();
        for (at, known) in self.exemplars.iter().enumerate() {
            let (labels, exemplar, _) = &known.what;
            let is_this = |one: &(Labels, StoredExemplar)| one.0 == *labels && one.1 == *exemplar;
            let comes_again = self.exemplars[at + 1..]
                .iter()
                .any(|later| later.what.0 == *labels && later.what.1 == *exemplar);
            last.push(found.iter().any(is_this) && !comes_again);
        }
        for (known, found) in self.exemplars.iter_mut().zip(last) {
            (known.acked, known.durable) = (found, durable);
        }
        // What was said before may come back while what was said last is not durable.
        self.families.values_mut().flatten().for_each(|known| known.acked = false);
        for FamilyMetadata { name, metadata } in db.metadata(None)? {
            let said = self.families.entry(name).or_default();
            said.push(Known { what: metadata, acked: true, durable, taken_ms: 0 });
            said.drain(..said.len().saturating_sub(REMEMBERED));
        }
        Ok(())
    }

    /// Every way in which exemplars and metadata differ from what was acknowledged. `failed_may_be_there`: batches that failed
    /// may be in the store.
    pub(crate) fn compare_beside(
        &self,
        db: &Db,
        power_lost: bool,
        failed_may_be_there: bool,
    ) -> Result<Vec<String>, StoreError> {
        let mut wrong = Vec::new();
        let found = exemplars(db)?;
        if found.len() > EXEMPLARS_MAX {
            wrong.push(format!("{} exemplars, expected at most {EXEMPLARS_MAX}", found.len()));
        }
        for (labels, exemplar) in &found {
            let mut all = self.exemplars.iter();
            let is_this = |known: &Known<(Labels, StoredExemplar, bool)>| {
                (known.acked || failed_may_be_there) && known.what.0 == *labels && known.what.1 == *exemplar
            };
            if !all.any(is_this) {
                wrong.push(format!("nobody wrote {exemplar:?} of {labels}"));
            }
        }
        for (at, known) in self.exemplars.iter().enumerate() {
            let (labels, exemplar, _) = &known.what;
            let later = self.exemplars[at + 1..].iter().filter(|known| known.acked || failed_may_be_there);
            let wanted = known.acked && (known.durable || !power_lost) && later.count() < EXEMPLARS_MAX;
            if wanted && !found.iter().any(|one| one.0 == *labels && one.1 == *exemplar) {
                wrong.push(format!("{exemplar:?} of {labels} is lost"));
            }
        }
        let families: BTreeMap<String, Metadata> =
            db.metadata(None)?.into_iter().map(|family| (family.name, family.metadata)).collect();
        for (name, said) in &self.families {
            let must = said.iter().rposition(|known| known.acked && (known.durable || !power_lost));
            let found = families.get(name);
            let allowed = said[must.unwrap_or(0)..].iter().enumerate().any(|(at, known)| {
                (at == 0 || known.acked || failed_may_be_there) && found == Some(&known.what)
            });
            if !allowed && (must.is_some() || found.is_some()) {
                wrong.push(format!("family {name}: {found:?} instead of {said:?}"));
            }
        }
        wrong.extend(
            families
                .keys()
                .filter(|name| !self.families.contains_key(*name))
                .map(|name| format!("family {name}")),
        );
        Ok(wrong)
    }
}

fn exemplars(db: &Db) -> Result<Vec<(Labels, StoredExemplar)>, StoreError> {
    let all = Matcher::new(MatchOp::Regex, "__name__", ".*").expect("a good pattern");
    let found = db.exemplars(&[vec![all]], TimeRange::ALL)?;
    for series in &found {
        assert!(series.exemplars.is_sorted_by(|a, b| a.order(b).is_lt()), "{series:?}");
    }
    let each = |of: kymo_model::SeriesExemplars| {
        of.exemplars.into_iter().map(move |exemplar| (of.series.clone(), exemplar))
    };
    Ok(found.into_iter().flat_map(each).collect())
}
