//! Exemplars in the log, and in checkpoints.
//!
//! ```text
//! exemplars       kind:byte   numbered      of the log: ids are those of its definitions
//! kept exemplars  kind:byte   definitions   numbered      of a checkpoint: ids are those of the record itself
//! numbered        number of the first exemplar   count   exemplar...
//! exemplar        id:signed, minus the id before   flags:byte (1: has a time of its own)   t_ms:signed, minus the one before
//!                 value:f64   labels:count   label... (as of definitions, after those of the exemplar before)
//! ```

use kymo_model::{Labels, StoredExemplar, Timestamp};

use super::definitions::{LabelsBefore, put_definitions, read_definitions};
use super::record::RecordKind;
use crate::beside::KeptExemplar;
use crate::frame::{Bytes, put_signed, put_unsigned};
use crate::index::SeriesId;

const OWN_TIME: u8 = 1;

/// Appends a payload for the log.
pub(crate) fn put_exemplars(out: &mut Vec<u8>, first_sequence: u64, exemplars: &[(SeriesId, KeptExemplar)]) {
    out.push(RecordKind::Exemplars as u8);
    put_numbered(out, first_sequence, exemplars);
}

/// Appends a payload for a checkpoint, which says itself what its ids stand for.
pub(crate) fn put_kept_exemplars(
    out: &mut Vec<u8>,
    series: &[(SeriesId, Labels)],
    first_sequence: u64,
    exemplars: &[(SeriesId, KeptExemplar)],
) {
    out.push(RecordKind::KeptExemplars as u8);
    put_definitions(out, series.iter().map(|(id, labels)| (*id, labels)));
    put_numbered(out, first_sequence, exemplars);
}

fn put_numbered(out: &mut Vec<u8>, first_sequence: u64, exemplars: &[(SeriesId, KeptExemplar)]) {
    put_unsigned(out, first_sequence);
    put_unsigned(out, exemplars.len() as u64);
    let (mut id_before, mut time, mut before) = (0, 0i64, LabelsBefore::default());
    for (id, KeptExemplar { exemplar, own_time }) in exemplars {
        put_signed(out, i64::from(id.0) - id_before);
        out.push(if *own_time { OWN_TIME } else { 0 });
        let t_ms = exemplar.timestamp.millis();
        put_signed(out, t_ms.wrapping_sub(time));
        out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        before.put(out, &exemplar.labels);
        (id_before, time) = (i64::from(id.0), t_ms);
    }
}

/// Exemplars with their numbers and the ids of their series.
pub(crate) type Numbered = Vec<(u64, SeriesId, KeptExemplar)>;

/// Reads what [`put_exemplars`] wrote after the kind; `None` when the bytes are no such record.
pub(crate) fn read_exemplars(mut bytes: Bytes<'_>) -> Option<Numbered> {
    let first_sequence = bytes.unsigned()?;
    let count = bytes.count()?;
    // What nobody can have counted to was not written by us.
    first_sequence.checked_add(count as u64).filter(|end| *end <= SEQUENCE_MAX)?;
    let mut all = Vec::with_capacity(count.min(READ_AHEAD));
    let (mut id_before, mut time, mut before) = (0i64, 0i64, LabelsBefore::default());
    let mut scratch = String::new();
    for sequence in first_sequence..first_sequence + count as u64 {
        let id = u32::try_from(id_before.checked_add(bytes.signed()?)?).ok()?;
        let flags = bytes.byte()?;
        time = time.wrapping_add(bytes.signed()?);
        let value = f64::from_bits(u64::from_le_bytes(*bytes.take(8)?.first_chunk()?));
        let labels = before.take(&mut bytes, &mut scratch)?;
        let exemplar = StoredExemplar { labels, value, timestamp: Timestamp::from_millis(time) };
        all.push((sequence, SeriesId(id), KeptExemplar { exemplar, own_time: flags & OWN_TIME != 0 }));
        id_before = i64::from(id);
    }
    bytes.0.is_empty().then_some(all)
}

/// Reads what [`put_kept_exemplars`] wrote after the kind.
pub(crate) fn read_kept_exemplars(
    mut bytes: Bytes<'_>,
    define: impl FnMut(SeriesId, Labels),
) -> Option<Numbered> {
    read_definitions(&mut bytes, |_| true, define)?;
    read_exemplars(bytes)
}

/// No exemplar has a higher number.
const SEQUENCE_MAX: u64 = 1 << 60;

/// Room for so many is made before they were read: a byte says little about how many there are.
const READ_AHEAD: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exemplars_come_back(
            first in 0u64..SEQUENCE_MAX - 100,
            all in prop::collection::vec(
                (0u32..9, any::<i64>(), any::<u64>(), any::<bool>(), prop::collection::btree_map("[a-c]{1,2}", "[a-bé]{1,3}", 0..4)),
                0..30,
            ),
        ) {
            let written: Vec<(SeriesId, KeptExemplar)> = all
                .iter()
                .map(|(id, t_ms, bits, own_time, labels)| {
                    let labels = Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
                    let (value, timestamp) = (f64::from_bits(*bits), Timestamp::from_millis(*t_ms));
                    let exemplar = StoredExemplar { labels, value, timestamp };
                    (SeriesId(*id), KeptExemplar { exemplar, own_time: *own_time })
                })
                .collect();
            let series: Vec<(SeriesId, Labels)> =
                (0..9).map(|id| (SeriesId(id), Labels::from_pairs([("n", id.to_string().as_str())]))).collect();
            let (mut log, mut checkpoint) = (Vec::new(), Vec::new());
            put_exemplars(&mut log, first, &written);
            put_kept_exemplars(&mut checkpoint, &series, first, &written);
            // NaNs and signs of zeros are in the text, too.
            let text = |all: Numbered| {
                all.into_iter().map(|(_, id, kept)| format!("{id:?} {kept:?} {:x}", kept.exemplar.value.to_bits())).collect::<Vec<_>>()
            };
            let numbered: Numbered =
                (first..).zip(&written).map(|(sequence, (id, kept))| (sequence, *id, kept.clone())).collect();
            let (kind, bytes) = RecordKind::of(&log).unwrap();
            prop_assert_eq!(kind, RecordKind::Exemplars);
            let found = read_exemplars(bytes).unwrap();
            prop_assert!(found.iter().map(|(sequence, ..)| *sequence).eq(numbered.iter().map(|(sequence, ..)| *sequence)));
            prop_assert_eq!(text(found), text(numbered.clone()));
            let (kind, bytes) = RecordKind::of(&checkpoint).unwrap();
            prop_assert_eq!(kind, RecordKind::KeptExemplars);
            let mut defined = Vec::new();
            let found = read_kept_exemplars(bytes, |id, labels| defined.push((id, labels))).unwrap();
            prop_assert_eq!(text(found), text(numbered));
            prop_assert_eq!(defined, series);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_exemplars(Bytes(&bytes));
            let _ = read_kept_exemplars(Bytes(&bytes), |_, _| {});
        }
    }
}
