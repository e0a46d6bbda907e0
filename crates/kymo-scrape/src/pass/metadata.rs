//! Metadata of a target's metric families, as its HELP, TYPE and UNIT lines say it. Published, and sent to the store, only when
//! it changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kymo_exposition::{Help, TypeEntry, Unit};
use kymo_model::{Batch, FamilyMetadata, Metadata};

/// Passes after which a family that is not written any more is forgotten.
const PASSES_KEPT: u32 = 10;
/// Most families of a target whose metadata is kept.
const FAMILIES_MAX: usize = 100_000;

/// One family and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataEntry {
    /// The family's name.
    pub metric: String,
    /// Type, unit and help.
    pub metadata: Metadata,
}

/// The families of a target, sorted by name; shared, so that a snapshot costs one atomic increment.
pub type MetadataEntries = Arc<[MetadataEntry]>;

#[derive(Debug, Default)]
pub(super) struct MetadataCache {
    families: HashMap<String, Family>,
    changed: bool,
    published: MetadataEntries,
    /// Families of which the store does not know what was last said.
    unsent: BTreeSet<String>,
    /// Are they in the batch under way?
    in_batch: bool,
}

#[derive(Debug, Default)]
struct Family {
    metadata: Metadata,
    last_pass: u32,
}

impl MetadataCache {
    pub(super) fn help(&mut self, help: &Help<'_>, pass: u32) {
        let (name, text) = (help.name.unescape(), help.text.unescape());
        if let Some(family) = self.family(&name, pass)
            && family.metadata.help != *text
        {
            family.metadata.help = text.into_owned();
            self.changed(&name);
        }
    }

    pub(super) fn metric_type(&mut self, entry: &TypeEntry<'_>, pass: u32) {
        let name = entry.name.unescape();
        if let Some(family) = self.family(&name, pass)
            && family.metadata.metric_type != entry.metric_type
        {
            family.metadata.metric_type = entry.metric_type;
            self.changed(&name);
        }
    }

    pub(super) fn unit(&mut self, unit: &Unit<'_>, pass: u32) {
        let name = unit.name.unescape();
        if let Some(family) = self.family(&name, pass)
            && family.metadata.unit != unit.unit
        {
            unit.unit.clone_into(&mut family.metadata.unit);
            self.changed(&name);
        }
    }

    fn family(&mut self, name: &str, pass: u32) -> Option<&mut Family> {
        if !self.families.contains_key(name) {
            if self.families.len() >= FAMILIES_MAX {
                return None;
            }
            self.families.insert(name.to_owned(), Family::default());
            self.changed(name);
        }
        let family = self.families.get_mut(name)?;
        family.last_pass = pass;
        Some(family)
    }

    fn changed(&mut self, name: &str) {
        self.changed = true;
        if !self.unsent.contains(name) {
            self.unsent.insert(name.to_owned());
        }
    }

    /// Puts what the store does not know into the batch of a pass that succeeded.
    pub(super) fn put_unsent(&mut self, batch: &mut Batch) {
        for name in &self.unsent {
            if let Some(family) = self.families.get(name) {
                batch.push_metadata(FamilyMetadata { name: name.clone(), metadata: family.metadata.clone() });
            }
        }
        self.in_batch = true;
    }

    /// The store has taken the batch.
    pub(super) fn sent(&mut self) {
        if std::mem::take(&mut self.in_batch) {
            self.unsent.clear();
        }
    }

    /// The batch was given up.
    pub(super) fn not_sent(&mut self) {
        self.in_batch = false;
    }

    /// Ends a pass: forgets old families and publishes what changed.
    pub(super) fn end_pass(&mut self, pass: u32) {
        let before = self.families.len();
        self.families.retain(|_, family| pass.saturating_sub(family.last_pass) <= PASSES_KEPT);
        if self.families.len() == before && !self.changed {
            return;
        }
        self.changed = false;
        let mut entries: Vec<MetadataEntry> = self
            .families
            .iter()
            .map(|(metric, family)| MetadataEntry {
                metric: metric.clone(),
                metadata: family.metadata.clone(),
            })
            .collect();
        entries.sort_by(|a, b| a.metric.cmp(&b.metric));
        self.published = entries.into();
    }

    pub(super) fn entries(&self) -> MetadataEntries {
        self.published.clone()
    }
}
