//! Which blocks go together: those that overlap, then those that fill a range of a level, as Prometheus chooses.

use super::super::meta::BlockMeta;

/// How blocks grow: the length of a block of each level.
///
/// ```
/// use kymo_tsdb::block::CompactionPlan;
/// let plan = CompactionPlan::from_first(2 * 3_600_000, 3, 31 * 24 * 3_600_000);
/// assert_eq!(plan.ranges_ms().iter().map(|ms| ms / 3_600_000).collect::<Vec<_>>(), [2, 6, 18, 54, 162, 486]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionPlan {
    ranges_ms: Vec<i64>,
}

impl CompactionPlan {
    /// A block of the first level is `first_ms` long, each level is `factor` times as long as the one before, up to `max_ms`.
    pub fn from_first(first_ms: i64, factor: i64, max_ms: i64) -> CompactionPlan {
        let mut ranges_ms = vec![first_ms.max(1)];
        while let Some(next) = ranges_ms.last().and_then(|last| last.checked_mul(factor.max(2))) {
            if next > max_ms {
                break;
            }
            ranges_ms.push(next);
        }
        CompactionPlan { ranges_ms }
    }

    /// The length of a block, level by level.
    pub fn ranges_ms(&self) -> &[i64] {
        &self.ranges_ms
    }

    /// The blocks that should be compacted next, as indices; empty when there is nothing to do.
    pub fn choose(&self, blocks: &[BlockMeta]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|index| (blocks[*index].min_time_ms, blocks[*index].ulid));
        let overlapping = overlapping(blocks, &order);
        if !overlapping.is_empty() {
            return overlapping;
        }
        // The newest block stays as it is, so that it can still be joined by what comes late.
        let Some((_, older)) = order.split_last() else { return Vec::new() };
        if let Some(chosen) = self.fill_range(blocks, older) {
            return chosen;
        }
        // A block of which much was deleted is written anew, if it has grown up.
        let grown_ms = self.ranges_ms[self.ranges_ms.len() / 2];
        let pruned = older.iter().rev().take_while(|index| {
            let meta = &blocks[**index];
            meta.max_time_ms - meta.min_time_ms >= grown_ms
        });
        pruned.copied().find(|index| much_was_deleted(&blocks[*index])).into_iter().collect()
    }

    /// Will a block go together with no other any more, when none is chosen now and the newest one begins at `newest_ms`? One that
    /// comes late and overlaps it is not foreseen.
    pub(in super::super) fn is_settled(&self, block: &BlockMeta, newest_ms: i64) -> bool {
        let longest_ms = self.ranges_ms[self.ranges_ms.len() - 1];
        let range_end_ms = (block.min_time_ms.div_euclid(longest_ms) + 1).saturating_mul(longest_ms);
        block.max_time_ms.saturating_sub(block.min_time_ms) >= longest_ms || range_end_ms <= newest_ms
    }

    /// Several blocks of one range of some level, when the range is full or another block is behind it.
    fn fill_range(&self, blocks: &[BlockMeta], older: &[usize]) -> Option<Vec<usize>> {
        let newest_ms = older.last().map(|index| blocks[*index].min_time_ms)?;
        for range_ms in &self.ranges_ms[1..] {
            let range_of = |index: &usize| {
                let meta = &blocks[*index];
                let number = meta.min_time_ms.div_euclid(*range_ms);
                (meta.max_time_ms <= (number + 1).saturating_mul(*range_ms)).then_some(number)
            };
            let inside: Vec<usize> =
                older.iter().copied().filter(|index| range_of(index).is_some()).collect();
            for part in inside.chunk_by(|a, b| range_of(a) == range_of(b)) {
                let begin_ms = part.iter().map(|index| blocks[*index].min_time_ms).min()?;
                let end_ms = part.iter().map(|index| blocks[*index].max_time_ms).max()?;
                let failed = part.iter().any(|index| blocks[*index].compaction.failed);
                let done = end_ms - begin_ms == *range_ms || end_ms <= newest_ms;
                if part.len() > 1 && done && !failed {
                    return Some(part.to_vec());
                }
            }
        }
        None
    }
}

/// Was something deleted in more than a twentieth of its series?
pub(in super::super) fn much_was_deleted(meta: &BlockMeta) -> bool {
    meta.stats.num_tombstones.saturating_mul(20) > meta.stats.num_series.saturating_add(1)
}

/// The first group of blocks that overlap.
fn overlapping(blocks: &[BlockMeta], order: &[usize]) -> Vec<usize> {
    let mut group: Vec<usize> = Vec::new();
    let mut end_ms = i64::MIN;
    for index in order {
        let meta = &blocks[*index];
        if !group.is_empty() && meta.min_time_ms >= end_ms {
            if group.len() > 1 {
                break;
            }
            group.clear();
        }
        group.push(*index);
        end_ms = end_ms.max(meta.max_time_ms);
    }
    if group.len() > 1 { group } else { Vec::new() }
}
