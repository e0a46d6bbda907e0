//! Compaction is the union of what the blocks hold, less what was deleted, the first block's sample where several have one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kymo_model::{Labels, TimeRange};
use kymo_testkit::{Crash, Fault, SimDisk};
use kymo_tsdb::block::{
    Block, BlockMeta, CompactOptions, Interval, Tombstones, Ulid, compact_blocks, remove_block,
    remove_unfinished_blocks, verify_block, write_tombstones,
};

use crate::data::{Data, Rows, START_MS, read_all, try_write, write};
use crate::{DATA, options};

fn dir_of(meta: &BlockMeta) -> PathBuf {
    Path::new(DATA).join(meta.ulid.to_string())
}

fn compact(disk: &SimDisk, metas: &[&BlockMeta], number: u64) -> Option<Block> {
    let vfs = disk.vfs();
    let blocks: Vec<Block> = metas.iter().map(|meta| Block::open(&*vfs, &dir_of(meta)).unwrap()).collect();
    let (mut told, mut done) = (0, 0);
    let compacted = compact_blocks(
        &vfs,
        Path::new(DATA),
        Ulid::new(number, 0),
        &blocks,
        &CompactOptions { writer: options() },
        &mut |now| (told, done) = (told + 1, now.total - now.done),
    )
    .unwrap();
    assert!(told > 0 && done == 0 && compacted.damage.is_empty());
    compacted.meta.map(|meta| Block::open(&*vfs, &dir_of(&meta)).unwrap())
}

fn union(parts: &[BTreeMap<Labels, Rows>]) -> BTreeMap<Labels, Rows> {
    let mut all: BTreeMap<Labels, Rows> = BTreeMap::new();
    for (labels, rows) in parts.iter().flatten() {
        let series = all.entry(labels.clone()).or_default();
        for (t_ms, value) in rows {
            series.entry(*t_ms).or_insert_with(|| value.clone());
        }
    }
    all
}

#[test]
fn compaction_is_the_union() {
    // Beside one another, overlapping with equal times, and overlapping with times in between.
    for (number, shift_ms) in [(1, 10_000_000), (2, 0), (3, 777_123)] {
        let disk = SimDisk::new(number);
        let left = Data::from(number, 0..60, START_MS);
        let right = Data::from(number + 100, 30..90, START_MS + shift_ms);
        let (a, b) = (write(&disk, DATA, &left, 1, options()), write(&disk, DATA, &right, 2, options()));
        let merged = compact(&disk, &[&a, &b], 3).unwrap();
        assert_eq!(read_all(&merged, TimeRange::ALL), union(&[left.all(), right.all()]), "shift {shift_ms}");
        let report = verify_block(&merged).unwrap();
        assert!(report.is_sound(), "{:#?}", report.damage);
        let BlockMeta { min_time_ms, max_time_ms, compaction, .. } = merged.meta();
        assert_eq!(*min_time_ms, a.min_time_ms.min(b.min_time_ms));
        assert_eq!(*max_time_ms, a.max_time_ms.max(b.max_time_ms));
        assert_eq!((compaction.level, compaction.sources.as_slice()), (2, &[a.ulid, b.ulid][..]));
        assert_eq!(compaction.parents.len(), 2);
        // Once more, with itself: the same.
        let again = compact(&disk, &[merged.meta(), &a], 4).unwrap();
        assert_eq!(read_all(&again, TimeRange::ALL), read_all(&merged, TimeRange::ALL));
    }
}

#[test]
fn what_was_deleted_is_gone() {
    let disk = SimDisk::new(5);
    let data = Data::mixed(5, 40);
    let meta = write(&disk, DATA, &data, 1, options());
    let vfs = disk.vfs();
    let block = Block::open(&*vfs, &dir_of(&meta)).unwrap();
    let mut wanted = data.all();
    let mut tombstones = Tombstones::default();
    for (at, series) in block.series().unwrap().enumerate() {
        let series = series.unwrap();
        let (first, last) = (series.chunks[0].min_ms, series.chunks[series.chunks.len() - 1].max_ms);
        let deleted = match at % 4 {
            0 => continue,
            1 => vec![(i64::MIN, i64::MAX)],
            2 => vec![(first, first + 100_000), (first + 50_000, first + 200_000)],
            _ => vec![(last - 20_000, last), ((first + last) / 2, (first + last) / 2 + 30_000)],
        };
        for (min_ms, max_ms) in deleted {
            tombstones.add(series.number, Interval { min_ms, max_ms });
            wanted.get_mut(&series.labels).unwrap().retain(|t_ms, _| !(min_ms..=max_ms).contains(t_ms));
        }
    }
    wanted.retain(|_, rows| !rows.is_empty());
    write_tombstones(&*vfs, &dir_of(&meta), &tombstones).unwrap();
    let block = Block::open(&*vfs, &dir_of(&meta)).unwrap();
    assert_eq!(block.tombstones(), &tombstones);
    assert_eq!(block.meta().stats.num_tombstones, tombstones.len() as u64);
    assert_eq!(read_all(&block, TimeRange::ALL), wanted);
    let clean = compact(&disk, &[&meta], 2).unwrap();
    assert_eq!(read_all(&clean, TimeRange::ALL), wanted);
    assert!(clean.tombstones().is_empty() && verify_block(&clean).unwrap().is_sound());

    for series in block.series().unwrap() {
        tombstones.add(series.unwrap().number, Interval { min_ms: i64::MIN, max_ms: i64::MAX });
    }
    write_tombstones(&*vfs, &dir_of(&meta), &tombstones).unwrap();
    assert!(compact(&disk, &[&meta], 3).is_none());
    remove_block(&*vfs, &dir_of(&meta)).unwrap();
    assert!(disk.files().iter().all(|path| !path.starts_with(dir_of(&meta))));
}

/// A crash or a fault at every operation: the block is there whole or not at all, and what is left over can be removed.
#[test]
fn whole_or_not_at_all() {
    let data = Data::from(9, 0..6, START_MS);
    let prepared = |seed| {
        let disk = SimDisk::new(seed);
        disk.vfs().create_dir_all(Path::new(DATA)).unwrap();
        disk.vfs().sync_dir(Path::new("/")).unwrap();
        disk
    };
    let counting = prepared(0);
    let first = counting.calls();
    let meta = write(&counting, DATA, &data, 1, options());
    let (calls, mut finished) = (counting.calls(), 0);
    for call in first..calls {
        for (fault, crash) in [
            (Fault::Stop, Crash::Power),
            (Fault::Stop, Crash::Process),
            (Fault::Full, Crash::Power),
            (Fault::Io, Crash::Power),
        ] {
            let disk = prepared(call);
            disk.plan(call, fault);
            let written = try_write(&disk, DATA, &data, 1, options());
            disk.restart(crash);
            let vfs = disk.vfs();
            let left = remove_unfinished_blocks(&*vfs, Path::new(DATA)).unwrap();
            let there = vfs.list(Path::new(DATA)).unwrap();
            if there.is_empty() {
                assert!(written.is_err(), "seed and call {call}: lost after it was finished");
                continue;
            }
            finished += 1;
            assert_eq!((there.len(), left), (1, 0), "seed and call {call}: {there:?}");
            let block = Block::open(&*vfs, &dir_of(&meta)).unwrap();
            assert_eq!(read_all(&block, TimeRange::ALL), data.all(), "seed and call {call}");
        }
    }
    assert!(calls > 15 && finished > 0, "{calls} calls, finished {finished} times");
}
