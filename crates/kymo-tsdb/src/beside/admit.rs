//! Admit: which exemplars and metadata of a batch are taken. Write path, after its rows were judged and before the log.

use std::collections::HashMap;

use kymo_model::{
    Appended, Batch, BatchExemplar, Exemplar, ExemplarRefusal, FamilyMetadata, Labels, RefusedExemplar,
    RowSeries, StoredExemplar,
};

use super::families::Said;
use super::ring::{KeptExemplar, Ring};
use crate::append::id;
use crate::db::Shared;
use crate::head::Cursor;
use crate::index::SeriesId;
use crate::lock::{read, write};

/// What a batch brings beside its rows.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// The number of the first exemplar.
    pub(crate) first_sequence: u64,
    pub(crate) exemplars: Vec<(SeriesId, KeptExemplar)>,
    /// The series of each.
    series: Vec<Labels>,
    pub(crate) families: Vec<FamilyMetadata>,
}

impl Admitted {
    pub(crate) fn is_empty(&self) -> bool {
        self.exemplars.is_empty() && self.families.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.exemplars.clear();
        self.series.clear();
        self.families.clear();
    }
}

/// Judges exemplars and metadata of a batch whose rows were judged: `new` are the series that these create. Nothing is
/// changed but `admitted` and `outcome`.
pub(crate) fn admit(
    shared: &Shared,
    batch: &Batch,
    new: &[(SeriesId, Labels)],
    new_by_labels: &HashMap<Labels, u32>,
    admitted: &mut Admitted,
    outcome: &mut Appended,
) {
    let options = &shared.options;
    let ring = read(&shared.head.beside.exemplars);
    admitted.first_sequence = ring.next_sequence();
    let latest_ms = options.clock.now().millis().saturating_add(options.ahead_ms_max);
    let pages = shared.head.pages();
    let series = Series { shared, new, new_by_labels };
    let mut judge = Judge { ring: &ring, latest_ms, newest: HashMap::new() };
    for (index, one) in batch.exemplars().iter().enumerate() {
        let judged = judge.exemplar(&series, &mut Cursor::new(&pages), one, admitted);
        match judged {
            Ok(()) => outcome.exemplars += 1,
            Err(reason) => outcome.exemplars_refused.push(RefusedExemplar { index, reason }),
        }
    }
    drop(ring);
    admit_families(shared, batch, admitted, outcome);
}

fn admit_families(shared: &Shared, batch: &Batch, admitted: &mut Admitted, outcome: &mut Appended) {
    let families = read(&shared.head.beside.families);
    let mut more_bytes = 0;
    for family in batch.metadata() {
        let (said, added) = families.judge(family, more_bytes);
        match said {
            Said::Known => {}
            Said::Changed => {
                more_bytes += added;
                outcome.metadata_changed += 1;
                admitted.families.push(family.clone());
            }
            Said::Refused => outcome.metadata_refused += 1,
        }
    }
}

/// Makes what was admitted, and is in the log, visible.
pub(crate) fn apply(shared: &Shared, admitted: &mut Admitted) {
    let beside = &shared.head.beside;
    if !admitted.exemplars.is_empty() {
        let mut ring = write(&beside.exemplars);
        for (series, (_, kept)) in admitted.series.drain(..).zip(admitted.exemplars.drain(..)) {
            ring.push(&series, kept);
        }
    }
    if !admitted.families.is_empty() {
        let mut families = write(&beside.families);
        admitted.families.drain(..).for_each(|family| families.put(family));
    }
}

/// Where series are looked for.
struct Series<'a> {
    shared: &'a Shared,
    new: &'a [(SeriesId, Labels)],
    new_by_labels: &'a HashMap<Labels, u32>,
}

impl Series<'_> {
    fn of(&self, cursor: &mut Cursor<'_>, wanted: &RowSeries) -> Result<(SeriesId, Labels), ExemplarRefusal> {
        match wanted {
            RowSeries::Handle(handle) => {
                let id = id(*handle).ok_or(ExemplarRefusal::UnknownHandle)?;
                let series = cursor.get(id).ok_or(ExemplarRefusal::UnknownHandle)?;
                Ok((id, series.labels().clone()))
            }
            RowSeries::Labels(labels) => {
                if let Some(index) = self.new_by_labels.get(labels) {
                    return Ok(self.new[*index as usize].clone());
                }
                let id = self.shared.head.find(labels).ok_or(ExemplarRefusal::UnknownSeries)?;
                Ok((id, labels.clone()))
            }
        }
    }
}

struct Judge<'a> {
    ring: &'a Ring,
    latest_ms: i64,
    /// For series of which exemplars of this batch were taken, the index of the newest.
    newest: HashMap<SeriesId, usize>,
}

impl Judge<'_> {
    fn exemplar(
        &mut self,
        series: &Series<'_>,
        cursor: &mut Cursor<'_>,
        one: &BatchExemplar,
        admitted: &mut Admitted,
    ) -> Result<(), ExemplarRefusal> {
        if self.ring.max() == 0 {
            return Err(ExemplarRefusal::Disabled);
        }
        let Exemplar { labels, value, timestamp } = &one.exemplar;
        // Counting characters is for labels that could be too long.
        if labels.heap_bytes() > Exemplar::LABEL_CHARS_MAX
            && one.exemplar.label_chars() > Exemplar::LABEL_CHARS_MAX
        {
            return Err(ExemplarRefusal::LabelsTooLong);
        }
        let (own_time, timestamp) = (timestamp.is_some(), timestamp.unwrap_or(one.sample_timestamp));
        if timestamp.millis() > self.latest_ms {
            return Err(ExemplarRefusal::TooFarAhead);
        }
        let (id, of) = series.of(cursor, &one.series)?;
        let exemplar = StoredExemplar { labels: labels.clone(), value: *value, timestamp };
        let kept = KeptExemplar { exemplar, own_time };
        match self.newest.get(&id) {
            Some(at) => kept.judge(Some(&admitted.exemplars[*at].1))?,
            None => kept.judge(self.ring.newest(&of))?,
        }
        self.newest.insert(id, admitted.exemplars.len());
        admitted.exemplars.push((id, kept));
        admitted.series.push(of);
        Ok(())
    }
}
