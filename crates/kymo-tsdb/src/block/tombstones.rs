//! Tombstones: what was deleted of which series. A block without the file has none.
//!
//! ```text
//! 01 30 ba 30   version 1   (series:unsigned min:signed max:signed)...   crc32c of the entries
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use super::error::BlockError;
use super::file::{BlockFile, CRC_BYTES};
use crate::frame::{Bytes, put_signed, put_unsigned};
use crate::vfs::Vfs;

pub(super) const TOMBSTONES_FILE: &str = "tombstones";

const MAGIC: [u8; 4] = [0x01, 0x30, 0xba, 0x30];

const VERSION: u8 = 1;

const HEADER_BYTES: usize = MAGIC.len() + 1;

/// A closed interval of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first millisecond.
    pub min_ms: i64,
    /// The last millisecond.
    pub max_ms: i64,
}

/// What was deleted, by the series' reference in the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    /// Sorted, apart from each other.
    series: BTreeMap<u64, Vec<Interval>>,
}

impl Tombstones {
    /// Deletes an interval of a series.
    pub fn add(&mut self, series: u64, added: Interval) {
        let intervals = self.series.entry(series).or_default();
        let mut merged = added;
        intervals.retain(|interval| {
            let touches = interval.min_ms <= merged.max_ms.saturating_add(1)
                && merged.min_ms <= interval.max_ms.saturating_add(1);
            if touches {
                merged.min_ms = merged.min_ms.min(interval.min_ms);
                merged.max_ms = merged.max_ms.max(interval.max_ms);
            }
            !touches
        });
        let at = intervals.partition_point(|interval| interval.min_ms < merged.min_ms);
        intervals.insert(at, merged);
    }

    /// What was deleted of a series, sorted.
    pub fn of(&self, series: u64) -> &[Interval] {
        self.series.get(&series).map_or(&[], Vec::as_slice)
    }

    /// How many intervals.
    pub fn len(&self) -> usize {
        self.series.values().map(Vec::len).sum()
    }

    /// Was nothing deleted?
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = [MAGIC.as_slice(), &[VERSION]].concat();
        for (series, intervals) in &self.series {
            for Interval { min_ms, max_ms } in intervals {
                put_unsigned(&mut out, *series);
                put_signed(&mut out, *min_ms);
                put_signed(&mut out, *max_ms);
            }
        }
        // The checksum passes over magic and version.
        let crc = crc32c::crc32c(&out[HEADER_BYTES..]);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    pub(super) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Tombstones, BlockError> {
        let path = dir.join(TOMBSTONES_FILE);
        let file = match BlockFile::open(vfs, &path) {
            Err(BlockError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Tombstones::default());
            }
            file => file?,
        };
        let size = usize::try_from(file.size())
            .map_err(|_| file.damaged(0, "expected a file that fits in memory"))?;
        let bytes = file.read(0, size)?;
        if bytes.len() < HEADER_BYTES + CRC_BYTES || bytes[..MAGIC.len()] != MAGIC {
            return Err(file.damaged(0, "expected a file of tombstones, found something else"));
        }
        if bytes[MAGIC.len()] != VERSION {
            let found = bytes[MAGIC.len()].into();
            return Err(BlockError::Version { path, expected: "tombstones of version 1", found });
        }
        file.check_crc(HEADER_BYTES as u64, &bytes[HEADER_BYTES..])?;
        let mut entries = Bytes(&bytes[HEADER_BYTES..bytes.len() - CRC_BYTES]);
        let mut tombstones = Tombstones::default();
        while !entries.0.is_empty() {
            let offset = (bytes.len() - CRC_BYTES - entries.0.len()) as u64;
            let mut entry = || Some((entries.unsigned()?, entries.signed()?, entries.signed()?));
            let Some((series, min_ms, max_ms)) = entry() else {
                return Err(file.damaged(offset, "expected a series and two times, found the end"));
            };
            tombstones.add(series, Interval { min_ms, max_ms });
        }
        Ok(tombstones)
    }
}
