//! Damage of the head's chunks, as it is met while the database is open. Each place counts once.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::ChunkPlace;
use crate::lock::lock;
use crate::stats::{Damage, HeadDamage, ReplayReport};

/// The places of chunks that are not what was written.
#[derive(Debug, Default)]
pub(super) struct DamageLog {
    met: Mutex<Met>,
}

#[derive(Debug, Default)]
struct Met {
    all: BTreeSet<ChunkPlace>,
    set_aside: BTreeSet<ChunkPlace>,
    /// Some of them, in the order in which they were met.
    listed: Vec<(ChunkPlace, Damage)>,
}

impl DamageLog {
    /// A chunk could not be read.
    pub(super) fn note(&self, place: ChunkPlace, damage: impl FnOnce() -> Damage) {
        let mut met = lock(&self.met);
        if met.all.insert(place) && met.listed.len() < ReplayReport::DAMAGED_MAX {
            met.listed.push((place, damage()));
        }
    }

    /// Its bytes are in quarantine, as far as there are any, and the head lets go of it.
    pub(super) fn note_set_aside(&self, place: ChunkPlace, damage: Damage) {
        let mut met = lock(&self.met);
        met.all.insert(place);
        met.set_aside.insert(place);
        if let Some((_, listed)) = met.listed.iter_mut().find(|(other, _)| *other == place) {
            *listed = damage;
        } else if met.listed.len() < ReplayReport::DAMAGED_MAX {
            met.listed.push((place, damage));
        }
    }

    pub(super) fn figures(&self) -> HeadDamage {
        let met = lock(&self.met);
        HeadDamage {
            chunks: met.all.len() as u64,
            quarantined: met.set_aside.len() as u64,
            listed: met.listed.iter().map(|(_, damage)| damage.clone()).collect(),
        }
    }
}
