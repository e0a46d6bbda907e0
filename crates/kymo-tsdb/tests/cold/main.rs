//! Cold blocks: what is converted is read, by every way of asking, to the bit; and becomes a block again. Damage costs what it hits
//! and is reported; a crash while one is made loses nothing and leaves nothing twice.
//!
//! What a column's bytes are is tested in kymo-chunk.

mod crash;
mod damage;
// Of the blocks' tests; not all of it is needed here.
#[allow(dead_code)]
#[path = "../blocks/data.rs"]
mod data;
mod scraped;

use std::path::{Path, PathBuf};

use data::{Data, Rows, START_MS, read_all, write};
use kymo_model::{CancelToken, LabelsNeeded, MatchOp, Matcher, Queryable, Selector, TimeRange};
use kymo_testkit::SimDisk;
use kymo_tsdb::block::{
    Block, BlockMeta, BlockWriterOptions, Interval, Tombstones, Ulid, verify_block, write_tombstones,
};
use kymo_tsdb::cold::{ColdBlock, ConvertOptions, convert, to_block, verify};

const DATA: &str = "/data";

fn options() -> BlockWriterOptions {
    BlockWriterOptions { segment_bytes_max: 200_000, postings_per_pass_max: 300 }
}

fn dir_of(meta: &BlockMeta) -> PathBuf {
    Path::new(DATA).join(meta.ulid.to_string())
}

fn cold_dir_of(meta: &BlockMeta) -> PathBuf {
    Path::new(DATA).join(format!("{}.cold", meta.ulid))
}

/// The cold block that blocks become.
fn cold(disk: &SimDisk, metas: &[&BlockMeta], number: u64) -> ColdBlock {
    let vfs = disk.vfs();
    let blocks: Vec<Block> = metas.iter().map(|meta| Block::open(&*vfs, &dir_of(meta)).unwrap()).collect();
    let (mut told, mut left) = (0, 0);
    // So few timestamps in memory that some are forgotten.
    let options = ConvertOptions { shared_times_max: 30_000, postings_per_pass_max: 300 };
    let progress = &mut |read, total| (told, left) = (told + 1, total - read);
    let made = convert(&vfs, Path::new(DATA), Ulid::new(number, 0), &blocks, options, progress).unwrap();
    assert!(told > 0 && left == 0 && made.damage.is_empty());
    let meta = made.meta.unwrap();
    let cold = ColdBlock::open(&*vfs, &cold_dir_of(&meta)).unwrap();
    assert_eq!(cold.meta(), &meta);
    let report = verify(&cold).unwrap();
    assert!(report.is_sound(), "{:#?}", report.damage);
    assert_eq!(
        (report.series, report.chunks, report.samples),
        (meta.stats.num_series, meta.stats.num_chunks, meta.stats.num_samples)
    );
    cold
}

fn restored(disk: &SimDisk, cold: &ColdBlock, number: u64) -> Block {
    let vfs = disk.vfs();
    let made =
        to_block(&vfs, Path::new(DATA), Ulid::new(number, 0), cold, options(), &mut |_, _| ()).unwrap();
    assert!(made.damage.is_empty());
    let block = Block::open(&*vfs, &dir_of(&made.meta.unwrap())).unwrap();
    let report = verify_block(&block).unwrap();
    assert!(report.is_sound(), "{:#?}", report.damage);
    block
}

fn several() -> [(&'static str, Data); 3] {
    [
        ("mixed", Data::mixed(1, 150)),
        ("scraped", scraped::data(1, 3, 40, 700)),
        ("long", scraped::data(2, 2, 12, 6000)),
    ]
}

#[test]
fn what_is_converted_is_read_and_comes_back() {
    for (name, data) in several() {
        let disk = SimDisk::new(1);
        let meta = write(&disk, DATA, &data, 1, options());
        let block = Block::open(&*disk.vfs(), &dir_of(&meta)).unwrap();
        let cold = cold(&disk, &[&meta], 2);
        assert_eq!(cold.meta().stats.num_samples, meta.stats.num_samples);
        assert_eq!(cold.meta().stats.num_histogram_samples, meta.stats.num_histogram_samples);
        assert!(cold.meta().stats.num_chunks <= meta.stats.num_chunks);
        println!("{name}: {} bytes, of {}", cold.size_bytes(), block.size_bytes());
        assert_eq!(read_all(&cold, TimeRange::ALL), data.all(), "{name}");
        let span = meta.max_time_ms - meta.min_time_ms;
        for part in 0..7 {
            let from = meta.min_time_ms + span * part / 7;
            for range in [(from, from + span / 9), (from, i64::MAX), (i64::MIN, from), (from, from)] {
                let range = TimeRange::from_millis(range.0, range.1);
                assert_eq!(read_all(&cold, range), data.within(range), "{name}");
            }
        }
        assert_eq!(cold.damage().1, 0);
        let back = restored(&disk, &cold, 3);
        assert_eq!(read_all(&back, TimeRange::ALL), data.all(), "{name}");
        assert_eq!(back.meta().stats.num_samples, meta.stats.num_samples);
        // Prometheus, and kymo where it looks for blocks, pass over a cold one.
        assert_eq!(Block::open_all(&*disk.vfs(), Path::new(DATA)).unwrap().blocks.len(), 2);
        cold.release_memory();
        assert_eq!(read_all(&cold, TimeRange::ALL), data.all(), "{name}");
    }
}

#[test]
fn timestamps_are_kept_once() {
    let disk = SimDisk::new(1);
    let (targets, series, scrapes) = (3, 40, 700);
    let meta = write(&disk, DATA, &scraped::data(1, targets, series, scrapes), 1, options());
    let cold = cold(&disk, &[&meta], 2);
    let times = disk.read(&cold.dir().join("times")).unwrap();
    // A few series of each target lack samples here and there; of the others the times are there once.
    let own = targets * series / 10;
    assert!(times.len() < (targets + own) * scrapes, "{} bytes of timestamps", times.len());
    assert_eq!(disk.read(&cold.dir().join("times-copy")).ok(), Some(times));
}

#[test]
fn it_is_asked_as_a_block_is() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(2, 120);
    let meta = write(&disk, DATA, &data, 1, options());
    let (block, cold) = (Block::open(&*disk.vfs(), &dir_of(&meta)).unwrap(), cold(&disk, &[&meta], 2));
    let matchers = |texts: &[(&str, MatchOp, &str)]| -> Vec<Matcher> {
        texts.iter().map(|(name, op, value)| Matcher::new(*op, name, value).unwrap()).collect()
    };
    let never = TimeRange::from_millis(i64::MIN, meta.min_time_ms - 1);
    for matchers in [
        matchers(&[]),
        matchers(&[("__name__", MatchOp::Equal, "metric_3_total")]),
        matchers(&[("__name__", MatchOp::Regex, "metric_.*"), ("zone", MatchOp::NotEqual, "zone-1")]),
        matchers(&[("extra", MatchOp::Equal, "")]),
        matchers(&[("absent", MatchOp::Equal, "x")]),
    ] {
        let mut selector = Selector::new(matchers.clone(), TimeRange::ALL);
        selector.hints.labels = LabelsNeeded::All;
        let labels = |store: &dyn Queryable| -> Vec<_> {
            store.select(&selector).unwrap().iter().map(|series| series.labels()).collect()
        };
        assert_eq!(labels(&cold), labels(&block));
        for range in [TimeRange::ALL, never] {
            assert_eq!(
                cold.label_names(&matchers, range, &CancelToken::new()).unwrap(),
                block.label_names(&matchers, range, &CancelToken::new()).unwrap()
            );
            assert_eq!(
                cold.label_values("device", &matchers, range, &CancelToken::new()).unwrap(),
                block.label_values("device", &matchers, range, &CancelToken::new()).unwrap()
            );
        }
    }
    assert!(cold.select(&Selector::new(Vec::new(), never)).unwrap().is_empty());
}

#[test]
fn several_blocks_become_one_without_what_was_deleted() {
    let disk = SimDisk::new(5);
    let (left, right) = (Data::from(5, 0..60, START_MS), Data::from(105, 30..90, START_MS + 777_123));
    let (a, b) = (write(&disk, DATA, &left, 1, options()), write(&disk, DATA, &right, 2, options()));
    let block = Block::open(&*disk.vfs(), &dir_of(&a)).unwrap();
    let mut wanted = left.all();
    let mut tombstones = Tombstones::default();
    for series in block.series().unwrap().step_by(3) {
        let series = series.unwrap();
        let (min_ms, max_ms) = (series.chunks[0].min_ms + 40_000, series.chunks[0].max_ms);
        tombstones.add(series.number, Interval { min_ms, max_ms });
        wanted.get_mut(&series.labels).unwrap().retain(|t_ms, _| !(min_ms..=max_ms).contains(t_ms));
    }
    write_tombstones(&*disk.vfs(), &dir_of(&a), &tombstones).unwrap();
    for (labels, rows) in right.all() {
        let series = wanted.entry(labels).or_default();
        for (t_ms, value) in rows {
            series.entry(t_ms).or_insert(value);
        }
    }
    let cold = cold(&disk, &[&a, &b], 3);
    assert_eq!(read_all(&cold, TimeRange::ALL), wanted);
    assert_eq!((cold.meta().compaction.parents.len(), cold.meta().compaction.level), (2, 2));
    assert_eq!(cold.meta().compaction.sources, [a.ulid, b.ulid]);

    // What is deleted from the cold block is neither read nor restored.
    let mut tombstones = Tombstones::default();
    let plain = restored(&disk, &cold, 4);
    let middle = START_MS + 600_000;
    for series in plain.series().unwrap() {
        let series = series.unwrap();
        // The series of a restored block come in the same order, and so have the same numbers only by chance.
        wanted.get_mut(&series.labels).unwrap().retain(|t_ms, _| *t_ms > middle);
    }
    let index = disk.read(&cold.dir().join("index")).unwrap();
    // Entries are found at multiples of 16; numbers that are none are passed over.
    for number in 0..index.len() as u64 / 16 {
        tombstones.add(number, Interval { min_ms: i64::MIN, max_ms: middle });
    }
    wanted.retain(|_, rows: &mut Rows| !rows.is_empty());
    write_tombstones(&*disk.vfs(), cold.dir(), &tombstones).unwrap();
    let cold = ColdBlock::open(&*disk.vfs(), cold.dir()).unwrap();
    assert_eq!(read_all(&cold, TimeRange::ALL), wanted);
    assert_eq!(read_all(&restored(&disk, &cold, 5), TimeRange::ALL), wanted);
}

#[test]
fn several_threads_read() {
    let disk = SimDisk::new(1);
    let data = scraped::data(1, 3, 20, 500);
    let meta = write(&disk, DATA, &data, 1, options());
    let (cold, wanted) = (cold(&disk, &[&meta], 2), data.all());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(read_all(&cold, TimeRange::ALL), wanted));
        }
    });
}

/// What is on disk stays readable: these bytes never change.
#[test]
fn golden_files() {
    let disk = SimDisk::new(1);
    let meta = write(&disk, DATA, &scraped::tiny(), 1, options());
    let cold = cold(&disk, &[&meta], 2);
    let hex = |file: &str| -> String {
        disk.read(&cold.dir().join(file)).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert_eq!(
        hex("times"),
        "b5c01d85010000000e100403d095f2f6905db0ea01010004a4c30a580e100205018e80f4f6905de0d40300028b9a4211"
    );
    assert_eq!(
        hex("columns"),
        "b5c01d85010000000a1108000411000105010808df55beb32411080004620102020000000000f07f0480808080808080e07f80808080808080020307c40c84f150cc0c110801030000000000000000408fe047d01b111c0002020502b0b4a1c4eafe9089800199da90a2b5bfc88440000102b84e1d"
    );
}
