//! Query: the database as the border's `Queryable`. The head and the blocks beside it.
//!
//! The head is pinned first and then the list of blocks: a sample that moves from one to the other enters the list before it
//! leaves the head, so a select may see it twice, which the union hides, and never not at all.

use std::sync::Arc;

use kymo_model::{
    CancelToken, Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, StoreErrorKind, TimeRange,
};

use crate::block::{BlockStore, StoredBlock, merged, union, union_unordered};
use crate::db::Db;
use crate::head::Head;

/// What is queried together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) head: &'a Head,
    pub(crate) blocks: &'a BlockStore,
}

impl Parts<'_> {
    pub(crate) fn select(self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let blocks_overlap = || !self.overlapping(wanted.range).is_empty();
        if wanted.hints.newest_only && !blocks_overlap() {
            let newest = self.head.select_newest(wanted)?;
            // Its labels may be cut to those that are asked for, so where a block has come meanwhile it cannot be merged.
            if !blocks_overlap() {
                return Ok(SeriesSet::new(Arc::new(newest)));
            }
        }
        let head = SeriesSet::new(Arc::new(self.head.select(wanted)?));
        let blocks = self.overlapping(wanted.range);
        if blocks.is_empty() {
            return Ok(head);
        }
        // Blocks come first: of a sample that both have, and that was written anew with another value, the first one stays.
        let mut sets = blocks
            .iter()
            .map(|block| block.select(wanted))
            .collect::<Result<Vec<SeriesSet>, StoreError>>()?;
        sets.push(head);
        let all = if wanted.hints.ordered { union(sets) } else { union_unordered(sets) };
        let limit = wanted.hints.series_limit;
        if limit > 0 && all.len() > limit {
            let message = format!("expected at most {limit} series, found {}", all.len());
            return Err(StoreError::new(StoreErrorKind::Limit, message));
        }
        Ok(all)
    }

    /// At least this. What is in the head and in blocks of the same time may be the same samples.
    pub(crate) fn estimate(self, wanted: &Selector) -> Result<Estimate, StoreError> {
        let head = self.head.estimate(wanted)?;
        let Some(end_ms) = self.blocks.end_ms() else { return Ok(head) };
        let blocks = self.blocks.estimate(wanted)?.unwrap_or_default();
        let apart = self.head.time().is_none_or(|time| time.min.millis() >= end_ms);
        Ok(if apart { blocks.beside(head) } else { blocks.over(head) })
    }

    pub(crate) fn label_names(
        self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let mut lists = vec![self.head.label_names(matchers, range, cancel)?];
        for block in self.overlapping(range) {
            lists.push(block.label_names(matchers, range, cancel)?);
        }
        merged(lists, cancel)
    }

    pub(crate) fn label_values(
        self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let mut lists = vec![self.head.label_values(name, matchers, range, cancel)?];
        for block in self.overlapping(range) {
            lists.push(block.label_values(name, matchers, range, cancel)?);
        }
        merged(lists, cancel)
    }

    fn overlapping(self, range: TimeRange) -> Vec<StoredBlock> {
        let blocks = self.blocks.blocks();
        blocks.iter().filter(|block| block.time_range().overlaps(&range)).cloned().collect()
    }
}

impl Queryable for Db {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        self.shared().ensure_open()?;
        self.shared().parts().select(wanted)
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        self.shared().ensure_open()?;
        self.shared().parts().estimate(wanted).map(Some)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.shared().ensure_open()?;
        self.shared().parts().label_names(matchers, range, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.shared().ensure_open()?;
        self.shared().parts().label_values(name, matchers, range, cancel)
    }
}
