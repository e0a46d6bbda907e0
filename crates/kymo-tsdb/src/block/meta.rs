//! meta.json: what a block holds and where it came from. Has no checksum; fields that are not known are passed over.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::BlockError;
use super::file::BlockFile;
use super::ulid::Ulid;
use crate::vfs::Vfs;

pub(super) const META_FILE: &str = "meta.json";

/// The only version there is.
const VERSION: u64 = 1;

/// What a block holds and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// Its name.
    pub ulid: Ulid,
    /// No sample is before this time.
    #[serde(rename = "minTime")]
    pub min_time_ms: i64,
    /// All samples are before this time.
    #[serde(rename = "maxTime")]
    pub max_time_ms: i64,
    /// How much there is.
    #[serde(default)]
    pub stats: BlockStats,
    /// How it was made.
    pub compaction: BlockCompaction,
    version: u64,
}

/// How much there is in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples.
    pub num_samples: u64,
    /// Those that are floats; 0 also where the writer did not say.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Those that are histograms; 0 also where the writer did not say.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    pub num_series: u64,
    /// Chunks.
    pub num_chunks: u64,
    /// Deleted intervals.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How a block was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockCompaction {
    /// 1 for a block cut from a head, one more than the highest of its parents for others.
    pub level: u32,
    /// The blocks of level 1 whose samples are in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Ulid>,
    /// The blocks that it was made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<BlockParent>,
    /// Has it no samples left, so that it may go?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletable: bool,
    /// Did compacting it fail?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// What writers noted: `from-out-of-order` of a block that may overlap others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A block that another was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockParent {
    /// Its name.
    pub ulid: Ulid,
    /// As [`BlockMeta::min_time_ms`].
    #[serde(rename = "minTime")]
    pub min_time_ms: i64,
    /// As [`BlockMeta::max_time_ms`].
    #[serde(rename = "maxTime")]
    pub max_time_ms: i64,
}

impl Serialize for Ulid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Ulid, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl BlockMeta {
    /// Was this block made of `old`, or of what was made of it?
    pub(super) fn replaces(&self, old: &BlockMeta) -> bool {
        if self.ulid == old.ulid {
            return false;
        }
        if self.compaction.parents.iter().any(|parent| parent.ulid == old.ulid) {
            return true;
        }
        let covers = self.min_time_ms <= old.min_time_ms && old.max_time_ms <= self.max_time_ms;
        if !covers || self.compaction.level <= old.compaction.level || old.compaction.sources.is_empty() {
            return false;
        }
        let sources: BTreeSet<Ulid> = self.compaction.sources.iter().copied().collect();
        old.compaction.sources.iter().all(|source| sources.contains(source))
    }

    pub(super) fn new(
        ulid: Ulid,
        (min_time_ms, max_time_ms): (i64, i64),
        stats: BlockStats,
        compaction: BlockCompaction,
    ) -> BlockMeta {
        BlockMeta { ulid, min_time_ms, max_time_ms, stats, compaction, version: VERSION }
    }

    /// Reads the description of the block in `dir`.
    pub fn read(vfs: &dyn Vfs, dir: &Path) -> Result<BlockMeta, BlockError> {
        let path = dir.join(META_FILE);
        let file = BlockFile::open(vfs, &path)?;
        /// Far above the description of a block made of thousands of others.
        const META_BYTES_MAX: u64 = 16 << 20;
        let bad = |message: String| BlockError::Meta { path: path.clone(), message };
        if file.size() > META_BYTES_MAX {
            return Err(bad(format!("expected at most {META_BYTES_MAX} bytes, found {}", file.size())));
        }
        let bytes = file.read(0, file.size() as usize)?;
        /// The version is judged before anything else is.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if version != VERSION {
            return Err(BlockError::Version { path, expected: "meta.json of version 1", found: version });
        }
        let meta: BlockMeta = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if meta.min_time_ms > meta.max_time_ms {
            let (min, max) = (meta.min_time_ms, meta.max_time_ms);
            return Err(bad(format!("expected minTime up to maxTime, found {min} and {max}")));
        }
        Ok(meta)
    }

    /// As Prometheus prints it.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
        self.serialize(&mut serializer).expect("BUG: a description is always JSON");
        out
    }
}
