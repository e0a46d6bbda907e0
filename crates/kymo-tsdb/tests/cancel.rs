//! Whoever no longer wants an answer does not wait for it: every walk over a million label values looks at its token.
//!
//! The token's clock is asked at every look, so it sees how long a walk goes without one.

use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

use kymo_model::{
    Append, Batch, CancelToken, Labels, MatchOp, Matcher, Queryable, Selector, StoreErrorKind, TimeRange,
    Timestamp,
};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions};
use kymo_tsdb::{Db, Options};

const NOW_MS: i64 = 1_700_000_000_000;
const VALUES: usize = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    static LAST_MICROS: Cell<u128> = const { Cell::new(0) };
    static LONGEST_MICROS: Cell<u128> = const { Cell::new(0) };
}

/// One more with each look.
fn looks() -> u64 {
    let now = Instant::now();
    if let Some(last) = LAST.replace(Some(now)) {
        LAST_MICROS.set((now - last).as_micros());
        LONGEST_MICROS.set(LONGEST_MICROS.get().max(LAST_MICROS.get()));
    }
    LOOKS.replace(LOOKS.get() + 1)
}

/// Does `walk` with a token that stops it at a look; gives how often it looked, and the longest time in which it did not.
fn walk<T>(stop_at: u64, walk: impl FnOnce(&CancelToken) -> Result<T, StoreErrorKind>) -> (bool, u64, u128) {
    LOOKS.set(0);
    LONGEST_MICROS.set(0);
    LAST.set(Some(Instant::now()));
    let done = walk(&CancelToken::with_deadline(stop_at, looks));
    // The end of a walk is a look, too: what comes behind the last one takes time as well.
    looks();
    if let Err(kind) = &done {
        assert_eq!(*kind, StoreErrorKind::Canceled);
    }
    (done.is_ok(), LOOKS.get() - 1, LONGEST_MICROS.get())
}

type Walk<'a> = Box<dyn Fn(&CancelToken) -> Result<usize, StoreErrorKind> + 'a>;

fn walks(store: &dyn Queryable) -> Vec<(&'static str, Walk<'_>)> {
    // Takes an automaton to the end of each value, in vain.
    let dear = || Matcher::new(MatchOp::Regex, "pod", "(a|b|c|d|[0-9]|-|x)*(x+|y+)[0-9]{3}z").unwrap();
    let most = || Matcher::new(MatchOp::NotRegex, "pod", ".*(77|88|99)").unwrap();
    let none = || Matcher::equal("none", "");
    let range = || TimeRange::from_millis(NOW_MS - 10, NOW_MS + 10);
    let names = move |matchers: Vec<Matcher>, range: TimeRange| -> Walk<'_> {
        Box::new(move |cancel| {
            store.label_names(&matchers, range, cancel).map(|names| names.len()).map_err(|error| error.kind())
        })
    };
    let values = move |matchers: Vec<Matcher>, range: TimeRange| -> Walk<'_> {
        Box::new(move |cancel| {
            let found = store.label_values("pod", &matchers, range, cancel);
            found.map(|values| values.len()).map_err(|error| error.kind())
        })
    };
    let series = move |matchers: Vec<Matcher>, ordered: bool| -> Walk<'_> {
        Box::new(move |cancel| {
            let mut wanted = Selector { cancel: cancel.clone(), ..Selector::new(matchers.clone(), range()) };
            wanted.hints.ordered = ordered;
            store.select(&wanted).map(|set| set.len()).map_err(|error| error.kind())
        })
    };
    vec![
        ("values, dear", values(vec![dear()], TimeRange::ALL)),
        ("values, most", values(vec![most()], TimeRange::ALL)),
        ("values, all by matcher", values(vec![none()], TimeRange::ALL)),
        ("values, all", values(Vec::new(), TimeRange::ALL)),
        ("values, all in a range", values(Vec::new(), range())),
        ("names, dear", names(vec![dear()], range())),
        ("names, most", names(vec![most()], range())),
        ("series, dear", series(vec![dear()], false)),
        ("series, most, ordered", series(vec![most()], true)),
    ]
}

/// A piece of work between two looks is a small part of a walk, and the look that says stop is the last one.
fn check(what: &str, store: &dyn Queryable) {
    for (name, ask) in walks(store) {
        let (done, looks, longest_micros) = walk(u64::MAX, &ask);
        println!("{what}, {name}: {looks} looks, longest {longest_micros} µs without");
        assert!(done, "{what}, {name}");
        assert!(looks >= VALUES as u64 / 2_000, "{what}, {name}: {looks} looks");
        let mut slowest_micros = 0;
        for stop_at in [0, 1, looks / 3, looks * 2 / 3, looks - 1] {
            let (done, looks, _) = walk(stop_at, &ask);
            assert_eq!((done, looks), (false, stop_at + 1), "{what}, {name}");
            slowest_micros = slowest_micros.max(LAST_MICROS.get());
        }
        println!("  from the look that says stop to the end {slowest_micros} µs");
    }
}

#[test]
fn every_walk_over_many_values_can_be_stopped() {
    let disk = SimDisk::new(1);
    let options = Options { vfs: disk.vfs(), clock: SimClock::at_ms(NOW_MS).shared(), ..Options::default() };
    let db = Db::open("/data", options).unwrap();
    for first in (0..VALUES).step_by(10_000) {
        let mut batch = Batch::new();
        for number in first..first + 10_000 {
            let pod = format!("pod-{:x}-{number}", number.wrapping_mul(2_654_435_761) % 0xffff_ffff);
            let labels = Labels::from_pairs([("__name__", "up"), ("pod", pod.as_str())]);
            batch.push(labels, Timestamp::from_millis(NOW_MS), 1.0);
        }
        assert_eq!(db.append(&batch).unwrap().appended, 10_000);
    }
    check("head", &db);
    disk.vfs().create_dir_all(Path::new("/blocks")).unwrap();
    let blocks = BlockStore::open(disk.vfs(), Path::new("/blocks"), BlockStoreOptions::default()).unwrap();
    let two_hours = (NOW_MS - 7_200_000, NOW_MS + 7_200_000);
    blocks.cut(&db, two_hours, 0).unwrap().expect("there are samples");
    // The first question reads the tables of a block. What was stopped is done anew.
    drop(blocks);
    let reopened = BlockStore::open(disk.vfs(), Path::new("/blocks"), BlockStoreOptions::default()).unwrap();
    let (name, ask) = walks(&reopened).swap_remove(0);
    let (done, _, _) = walk(3, &ask);
    assert!(!done);
    let (done, looks, longest_micros) = walk(u64::MAX, &ask);
    println!("block just opened, {name}: {looks} looks, longest {longest_micros} µs without");
    assert!(done);
    check("block", &reopened);
}
