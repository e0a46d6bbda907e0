//! The record of how long series have been idle, in checkpoints: one for each page, after its definitions.
//!
//! ```text
//! activity  kind:byte  run...
//! run       id:signed, minus the id before minus 1   series:count   idle seconds, at most an hour
//! ```

use crate::frame::{Bytes, put_signed, put_unsigned};
use crate::index::SeriesId;
use crate::wal::RecordKind;

/// Series with neighbouring ids that were last written to at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdleRun {
    pub(crate) first: SeriesId,
    pub(crate) count: u32,
    pub(crate) idle_s: u32,
}

/// No run is longer: it has series of one page.
const RUN_MAX: u64 = 256;

/// Appends the payload.
pub(crate) fn put_activity(out: &mut Vec<u8>, runs: &[IdleRun]) {
    out.push(RecordKind::Activity as u8);
    let mut next_id = 0;
    for run in runs {
        put_signed(out, i64::from(run.first.0) - next_id);
        put_unsigned(out, u64::from(run.count));
        put_unsigned(out, u64::from(run.idle_s));
        next_id = i64::from(run.first.0) + i64::from(run.count);
    }
}

/// Reads what follows the kind: how long each series has been idle. `None` when the bytes are no such record.
pub(crate) fn read_activity(mut bytes: Bytes<'_>, mut idle: impl FnMut(SeriesId, u32)) -> Option<()> {
    let mut next_id = 0i64;
    while !bytes.0.is_empty() {
        let first = u32::try_from(next_id.checked_add(bytes.signed()?)?).ok()?;
        let count = u32::try_from(bytes.unsigned()?).ok().filter(|count| u64::from(*count) <= RUN_MAX)?;
        let end = first.checked_add(count)?;
        let idle_s = u32::try_from(bytes.unsigned()?).ok()?;
        for id in first..end {
            idle(SeriesId(id), idle_s);
        }
        next_id = i64::from(end);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn activity_comes_back(runs in proptest::collection::vec((0u32..5000, 1u32..=256, 0u32..=3600), 0..20)) {
            let runs: Vec<IdleRun> = runs
                .into_iter()
                .map(|(first, count, idle_s)| IdleRun { first: SeriesId(first), count, idle_s })
                .collect();
            let mut out = Vec::new();
            put_activity(&mut out, &runs);
            let (kind, bytes) = RecordKind::of(&out).unwrap();
            prop_assert_eq!(kind, RecordKind::Activity);
            let mut found = Vec::new();
            prop_assert_eq!(read_activity(bytes, |id, idle_s| found.push((id.0, idle_s))), Some(()));
            let expected: Vec<_> =
                runs.iter().flat_map(|run| (0..run.count).map(|i| (run.first.0 + i, run.idle_s))).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_activity(Bytes(&bytes), |_, _| {});
        }
    }
}
