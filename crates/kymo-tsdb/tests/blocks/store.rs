//! A store of blocks holds what was put into it, less what was deleted and let go, through cuts, compactions and crashes.

use std::collections::BTreeMap;
use std::path::Path;

use kymo_model::{CancelToken, Labels, Matcher, Queryable, Selector, TimeRange};
use kymo_testkit::{Crash, Fault, SimDisk};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions, CompactionPlan};

use crate::data::{Data, Rows, START_MS, rows_of, write};
use crate::{DATA, options};

const BLOCK_MS: i64 = 1_200_000;

fn store_options() -> BlockStoreOptions {
    let plan = CompactionPlan::from_first(BLOCK_MS, 3, 100 * BLOCK_MS);
    BlockStoreOptions { plan, writer: options(), ..BlockStoreOptions::default() }
}

fn prepared(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.vfs().create_dir_all(Path::new(DATA)).unwrap();
    disk.vfs().sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> BlockStore {
    BlockStore::open(disk.vfs(), Path::new(DATA), store_options()).unwrap()
}

fn all(store: &BlockStore) -> BTreeMap<Labels, Rows> {
    let set = store.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    set.iter().map(|series| (series.labels(), rows_of(series))).filter(|(_, rows)| !rows.is_empty()).collect()
}

#[test]
fn cut_compact_delete_retain() {
    // What plays the head: a store of one block.
    let head_disk = prepared(1);
    let data = Data::from(7, 0..40, START_MS / BLOCK_MS * BLOCK_MS);
    write(&head_disk, DATA, &data, 1, options());
    let head = open(&head_disk);

    let disk = prepared(2);
    let store = open(&disk);
    let begin_ms = START_MS / BLOCK_MS * BLOCK_MS;
    for number in 0..10 {
        let range = (begin_ms + number * BLOCK_MS, begin_ms + (number + 1) * BLOCK_MS);
        store.cut(&head, range, number as u64).unwrap();
    }
    assert!(store.blocks().len() >= 4, "{} blocks", store.blocks().len());
    let mut wanted = data.all();
    assert_eq!(all(&store), wanted);
    assert_eq!(all(&open(&disk)), wanted);

    // One more time over a part of it: overlapping blocks, the same samples.
    store.cut(&head, (begin_ms, begin_ms + 3 * BLOCK_MS), 11).unwrap().unwrap();
    assert_eq!(all(&store), wanted);

    let gone = TimeRange::from_millis(begin_ms + 100_000, begin_ms + BLOCK_MS + 400_000);
    let matcher = Matcher::equal("zone", "zone-0");
    assert!(store.delete(std::slice::from_ref(&matcher), gone).unwrap().series > 0);
    for (labels, rows) in &mut wanted {
        if labels.get("zone") == Some("zone-0") {
            rows.retain(|t_ms, _| !(gone.min.millis()..=gone.max.millis()).contains(t_ms));
        }
    }
    wanted.retain(|_, rows| !rows.is_empty());
    assert_eq!(all(&store), wanted);

    let (before, mut rounds) = (store.blocks().len(), 0);
    while store.compact(20 + rounds, &mut |_| ()).unwrap().is_some() {
        rounds += 1;
        assert_eq!(all(&store), wanted, "round {rounds}");
        assert!(rounds < 20);
    }
    assert!(rounds >= 1 && store.blocks().len() < before, "{before} blocks, {rounds} rounds");
    assert_eq!(all(&open(&disk)), wanted);
    let names: Vec<_> =
        wanted.keys().flat_map(|labels| labels.iter()).map(|label| label.name.to_owned()).collect();
    let names: std::collections::BTreeSet<_> = names.into_iter().collect();
    assert!(store.label_names(&[], TimeRange::ALL, &CancelToken::new()).unwrap().into_iter().eq(names));

    let first = store.blocks()[0].meta().clone();
    let kept_set = store.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    assert_eq!(store.retain(first.max_time_ms, 0).unwrap(), std::slice::from_ref(&first));
    for rows in wanted.values_mut() {
        rows.retain(|t_ms, _| *t_ms >= first.max_time_ms);
    }
    wanted.retain(|_, rows| !rows.is_empty());
    assert_eq!(all(&store), wanted);
    // Who had selected before still reads.
    assert!(
        kept_set.iter().map(rows_of).map(|rows| rows.len()).sum::<usize>()
            > wanted.values().map(BTreeMap::len).sum()
    );
    store.retain(i64::MIN, 1).unwrap();
    assert!(store.blocks().is_empty() && store.end_ms().is_none());
    assert_eq!(disk.files(), [] as [std::path::PathBuf; 0]);
}

/// A crash at every operation of a compaction: nothing is lost, nothing is twice.
#[test]
fn compaction_and_crashes() {
    let fill = |disk: &SimDisk| {
        let data = Data::from(3, 0..5, START_MS);
        write(disk, DATA, &data, 1, options());
        write(disk, DATA, &data, 2, options());
        data
    };
    let counting = prepared(0);
    let data = fill(&counting);
    let first = counting.calls();
    open(&counting).compact(9, &mut |_| ()).unwrap().unwrap();
    let calls = counting.calls();
    for call in first..calls {
        for (fault, crash) in
            [(Fault::Stop, Crash::Power), (Fault::Stop, Crash::Process), (Fault::Io, Crash::Power)]
        {
            let disk = prepared(call);
            fill(&disk);
            disk.plan(call, fault);
            let compacted = open(&disk).compact(9, &mut |_| ());
            disk.restart(crash);
            let store = open(&disk);
            assert_eq!(all(&store), data.all(), "seed and call {call}: {compacted:?}");
            assert!(store.refused().is_empty(), "seed and call {call}: {:?}", store.refused());
        }
    }
    assert!(calls - first > 20);
}

/// What cannot be read is left out, told, and its block set aside.
#[test]
fn damaged_blocks_are_set_aside() {
    let disk = prepared(4);
    let (left, right) = (Data::from(1, 0..20, START_MS), Data::from(2, 10..30, START_MS));
    let meta = write(&disk, DATA, &left, 1, options());
    write(&disk, DATA, &right, 2, options());
    let dir = Path::new(DATA).join(meta.ulid.to_string());
    disk.flip(&dir.join("chunks/000001"), 300, 4).unwrap();
    let store = open(&disk);
    let compacted = store.compact(9, &mut |_| ()).unwrap().unwrap();
    assert_eq!(compacted.damage.len(), 1, "{:?}", compacted.damage);
    assert_eq!(store.blocks().len(), 1);
    let aside = Path::new(DATA).join("quarantine").join(meta.ulid.to_string());
    assert!(
        disk.files().contains(&aside.join("meta.json")) && !disk.files().contains(&dir.join("meta.json"))
    );
    let kept: usize = all(&store).values().map(BTreeMap::len).sum();
    assert!(kept > left.rows() && kept < left.rows() + right.rows());
    // A block that cannot be opened at all is told, and the others are served.
    disk.put(&dir.join("meta.json"), b"{}".to_vec());
    let store = open(&disk);
    assert_eq!((store.blocks().len(), store.refused().len()), (1, 1));
}
