//! Estimates of blocks: never more than is there, and all of it where a block is wanted as a whole.

use std::path::Path;

use kymo_model::{CancelReason, MatchOp, Matcher, Queryable, Selector, StoreErrorKind, TimeRange};
use kymo_testkit::SimDisk;
use kymo_tsdb::block::{Block, BlockStore, BlockStoreOptions};

use crate::data::{Data, rows_of, write};
use crate::{DATA, options};

fn matchers() -> Vec<Vec<Matcher>> {
    let matcher = |op, name, value| Matcher::new(op, name, value).unwrap();
    vec![
        Vec::new(),
        vec![Matcher::equal("zone", "zone-0")],
        vec![matcher(MatchOp::Regex, "__name__", ".+"), matcher(MatchOp::NotRegex, "zone", ".*[12]")],
    ]
}

fn check(store: &dyn Queryable, range: TimeRange) {
    for matchers in matchers() {
        let wanted = Selector::new(matchers, range);
        let estimate = store.estimate(&wanted).unwrap().expect("blocks know");
        let rows: Vec<usize> = store
            .select(&wanted)
            .unwrap()
            .iter()
            .map(|series| rows_of(series).len())
            .filter(|n| *n > 0)
            .collect();
        assert!(estimate.series <= rows.len() as u64, "{wanted:?}: {estimate:?}");
        assert!(estimate.samples <= rows.iter().sum::<usize>() as u64, "{wanted:?}: {estimate:?}");
    }
}

#[test]
fn lower_bounds() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(3, 300);
    let meta = write(&disk, DATA, &data, 1, options());
    let block = Block::open(&*disk.vfs(), &Path::new(DATA).join(meta.ulid.to_string())).unwrap();
    let all = block.estimate(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap().unwrap();
    assert_eq!((all.series, all.samples), (300, data.rows() as u64));
    let middle = (meta.min_time_ms + meta.max_time_ms) / 2;
    for (min_ms, max_ms) in
        [(i64::MIN, i64::MAX), (i64::MIN, middle), (middle, middle + 50_000), (i64::MAX, i64::MAX)]
    {
        check(&block, TimeRange::from_millis(min_ms, max_ms));
    }
    // The same block twice, and then with samples deleted.
    write(&disk, DATA, &data, 2, options());
    let store = BlockStore::open(disk.vfs(), Path::new(DATA), BlockStoreOptions::default()).unwrap();
    assert_eq!(store.blocks().len(), 2);
    assert_eq!(store.estimate(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap(), Some(all));
    store.delete(&[Matcher::equal("zone", "zone-0")], TimeRange::from_millis(i64::MIN, middle)).unwrap();
    for range in [TimeRange::ALL, TimeRange::from_millis(middle, i64::MAX)] {
        check(&store, range);
    }
}

#[test]
fn nobody_wants_it_any_more() {
    let disk = SimDisk::new(1);
    let meta = write(&disk, DATA, &Data::mixed(4, 600), 1, options());
    let block = Block::open(&*disk.vfs(), &Path::new(DATA).join(meta.ulid.to_string())).unwrap();
    for matchers in matchers() {
        let wanted = Selector::new(matchers, TimeRange::ALL);
        wanted.cancel.cancel(CancelReason::Canceled);
        let selected = block.select(&wanted).map(|set| set.len()).map_err(|error| error.kind());
        assert_eq!(selected, Err(StoreErrorKind::Canceled), "{wanted:?}");
    }
}
