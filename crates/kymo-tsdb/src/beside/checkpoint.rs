//! Exemplars and metadata in a checkpoint, beside running appends: all there are at some moment after the log has moved on.

use kymo_model::{FamilyMetadata, Labels, StoreError};

use super::Beside;
use super::families::Families;
use super::ring::{KeptExemplar, Ring};
use crate::checkpoint::RecordFile;
use crate::index::SeriesId;
use crate::lock::read;
use crate::wal::{put_kept_exemplars, put_metadata};

/// So many exemplars, or families, are in one record: what one damaged byte may cost.
const PER_RECORD: usize = 1000;

/// Puts everything into the checkpoint.
pub(crate) fn put_beside(beside: &Beside, out: &mut RecordFile) -> Result<(), StoreError> {
    let (first_sequence, kept) = numbered_of(&read(&beside.exemplars));
    let families = read(&beside.families).list(None);
    put_all(first_sequence, &kept, &families, out)
}

/// The same of a ring and of families that nobody changes meanwhile.
pub(super) fn put_kept(ring: &Ring, families: &Families, out: &mut RecordFile) -> Result<(), StoreError> {
    let (first_sequence, kept) = numbered_of(ring);
    put_all(first_sequence, &kept, &families.list(None), out)
}

/// The number of the first exemplar that there is, and all of them.
fn numbered_of(ring: &Ring) -> (u64, Vec<(Labels, KeptExemplar)>) {
    let kept: Vec<(Labels, KeptExemplar)> =
        ring.in_order().map(|(labels, kept)| (labels.clone(), kept.clone())).collect();
    (ring.next_sequence().saturating_sub(kept.len() as u64), kept)
}

fn put_all(
    first_sequence: u64,
    kept: &[(Labels, KeptExemplar)],
    families: &[FamilyMetadata],
    out: &mut RecordFile,
) -> Result<(), StoreError> {
    for (at, part) in kept.chunks(PER_RECORD).enumerate() {
        let Numbered { series, exemplars } = numbered(part);
        let first = first_sequence + (at * PER_RECORD) as u64;
        out.put(|payload| put_kept_exemplars(payload, &series, first, &exemplars));
        out.flush_if_large()?;
    }
    for part in families.chunks(PER_RECORD) {
        out.put(|payload| put_metadata(payload, part));
        out.flush_if_large()?;
    }
    Ok(())
}

/// Series with numbers of their own, because they may be gone from the head, and exemplars with these numbers.
struct Numbered {
    series: Vec<(SeriesId, Labels)>,
    exemplars: Vec<(SeriesId, KeptExemplar)>,
}

fn numbered(part: &[(Labels, KeptExemplar)]) -> Numbered {
    let mut series: Vec<&Labels> = part.iter().map(|(labels, _)| labels).collect();
    series.sort();
    series.dedup();
    let number = |labels: &Labels| SeriesId(series.partition_point(|other| *other < labels) as u32);
    let exemplars = part.iter().map(|(labels, kept)| (number(labels), kept.clone())).collect();
    let series = series.iter().enumerate().map(|(at, labels)| (SeriesId(at as u32), (*labels).clone()));
    Numbered { series: series.collect(), exemplars }
}
