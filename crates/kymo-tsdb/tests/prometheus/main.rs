//! The import of a Prometheus' log and head: everything comes back, whatever compresses it; damage costs a record, a page or a
//! chunk; a crash at any operation doubles nothing.

mod beside;
mod damage;
mod written;

use std::collections::BTreeMap;
use std::path::Path;

use kymo_model::{
    CUSTOM_BUCKETS_SCHEMA, Histogram, Labels, Queryable, Samples, Selector, Span, TimeRange, Values,
};
use kymo_testkit::{Crash, Fault, Random, SimClock, SimDisk};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions, StoredBlock, verify_block};
use kymo_tsdb::prometheus::{ImportError, ImportOptions, ImportReport, import_prometheus};
use kymo_tsdb::{Db, OpenError, Options, Progress};
use written::*;

const RANGE_MS: i64 = 7_200_000;
const START_MS: i64 = 1_600_000_000_000 / RANGE_MS * RANGE_MS;
const NOW_MS: i64 = START_MS + 86_400_000;

/// Values as text that tells their bits apart, by series and time.
pub(crate) type Rows = BTreeMap<Labels, BTreeMap<i64, String>>;

pub(crate) fn labels(number: u64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("nr", number.to_string().as_str()), ("job", "ödd \" job")])
}

pub(crate) fn float(value: f64) -> String {
    format!("{:x}", value.to_bits())
}

/// Everything that the blocks of a disk give; each time once.
pub(crate) fn rows(disk: &SimDisk) -> Rows {
    let store =
        BlockStore::open(disk.vfs(), Path::new("/data"), BlockStoreOptions::default()).expect("blocks");
    assert!(store.refused().is_empty(), "{:?}", store.refused());
    for block in store.blocks().iter().filter_map(StoredBlock::plain) {
        let report = verify_block(block).unwrap();
        assert!(report.is_sound(), "{:?}", report.damage);
    }
    let (mut rows, mut samples) = (Rows::new(), Samples::new());
    for series in store.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap().iter() {
        let row = rows.entry(series.labels()).or_default();
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                let value = match &samples.values {
                    Values::Floats(values) => float(values[at]),
                    Values::Histograms(values) => values[at].to_string(),
                };
                assert_eq!(row.insert(*t_ms, value), None, "twice at {t_ms}");
            }
        }
    }
    rows
}

pub(crate) fn options() -> ImportOptions {
    ImportOptions { clock: SimClock::at_ms(NOW_MS).shared(), ..ImportOptions::default() }
}

pub(crate) fn import(disk: &SimDisk, options: &ImportOptions) -> Result<ImportReport, ImportError> {
    import_prometheus(&disk.vfs(), Path::new("/data"), options, &mut |_| ())
}

/// A Prometheus without a lock file that runs: its log grows, or another segment comes. Nothing of it is moved.
#[test]
fn a_prometheus_that_runs() {
    let (files, rows_wanted) = whole(3, Compression::Snappy, 40);
    for name in ["wal/00000000", "wal/00000077"] {
        let disk = on_disk(1, &files);
        let path = Path::new("/data").join(name);
        let before = disk.read(&path).unwrap_or_default();
        let mut grow = |_| disk.put(&path, [&before[..], &[0; 100]].concat());
        let error = import_prometheus(&disk.vfs(), Path::new("/data"), &options(), &mut grow)
            .unwrap_err()
            .to_string();
        let sizes = format!("from {} to {} bytes (/data/{name})", before.len(), before.len() + 100);
        assert!(error.contains(&sizes), "{error}");
        for (name, bytes) in files.iter().filter(|(other, _)| **other != *name) {
            assert_eq!(disk.read(&Path::new("/data").join(name)).unwrap(), *bytes, "{name}");
        }
        assert_eq!(rows(&disk), Rows::new());
        // It was stopped.
        disk.put(&path, before);
        import(&disk, &options()).unwrap();
        assert_eq!(rows(&disk), rows_wanted);
    }
}

fn histogram(number: u64, custom: bool) -> Histogram {
    let n = number + 1;
    let mut histogram = Histogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 2 },
        count: 3 * n,
        sum: n as f64 / 3.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n as i64, n as i64],
        ..Histogram::default()
    };
    if custom {
        histogram.custom_values = vec![0.5, 2.5];
    } else {
        histogram.zero_threshold = 0.001;
        histogram.negative_spans = vec![Span { offset: -3, length: 1 }];
        histogram.negative_buckets = vec![0];
    }
    histogram
}

/// A directory as Prometheus leaves it, and what is in it.
pub(crate) fn whole(seed: u64, compression: Compression, steps: i64) -> (BTreeMap<String, Vec<u8>>, Rows) {
    let mut random = Random::new(seed);
    let mut rows = Rows::new();
    let count = 60u64;
    let mut log = vec![];
    let all: Vec<Labels> = (0..count).map(labels).collect();
    // Numbers leave gaps, and begin anew after a restart: the same series under another number.
    let number = |series: u64| series * 3 + 1;
    log.push(series(
        &all.iter().enumerate().map(|(at, labels)| (number(at as u64), labels)).collect::<Vec<_>>(),
    ));
    let mut keep = |series: u64, t_ms: i64, value: String| {
        rows.entry(labels(series)).or_default().entry(t_ms).or_insert(value);
    };
    for step in 0..steps {
        let t_ms = START_MS + step * 30_000;
        let list: Vec<(u64, i64, f64)> = (0..10)
            .map(|series| {
                let value = match series % 4 {
                    0 => f64::from_bits(0x7ff0_0000_0000_0002),
                    1 => step as f64,
                    2 => random.unit(),
                    _ => -0.0,
                };
                keep(series, t_ms + series as i64, float(value));
                (number(series), t_ms + series as i64, value)
            })
            .collect();
        log.push(if step % 7 == 3 { samples_started(&list) } else { samples(&list) });
        if step % 5 == 0 {
            for (kind, series) in [(7u8, 40), (8, 41), (9, 42), (10, 43)] {
                let value = histogram(step as u64, kind > 8);
                keep(series, t_ms, value.to_float().to_string());
                log.push(histograms(kind, &[(number(series), t_ms, value)]));
            }
        }
        if step % 50 == 7 {
            // A refused repeat, exemplars, metadata.
            log.push(samples(&[(number(1), t_ms + 1, -7.0)]));
            log.push(exemplars(&[(number(1), t_ms, step as f64), (number(2), t_ms + 1, step as f64)]));
            log.push(metadata(&[(number(1), 1, &format!("It helped {step} times."))]));
        }
    }
    log.push(series(&[(9000, &all[2])]));
    let late_ms = START_MS + steps * 30_000;
    log.push(samples(&[(9000, late_ms, 1.25)]));
    keep(2, late_ms, float(1.25));
    // The second half of series 3 was deleted, and all of series 4.
    let middle_ms = START_MS + steps / 2 * 30_000;
    log.push(tombstones(&[(number(3), middle_ms, i64::MAX), (number(4), i64::MIN, i64::MAX)]));

    let mut late = vec![];
    for n in 0..30i64 {
        let t_ms = START_MS + 3 + n * 17_000;
        late.push(samples(&[(number(1), t_ms, n as f64 / 7.0)]));
        keep(1, t_ms, float(n as f64 / 7.0));
    }
    // Series 50 and 51 are in chunk files alone; one of them came out of order. So did a chunk of what the log has, too.
    let chunk = |series: u64, from: i64| -> Vec<(i64, f64)> {
        (0..100).map(|n| (START_MS + from + n * 15_000, (series * 100 + n as u64) as f64)).collect()
    };
    let mut chunks = vec![];
    for (series, out_of_order) in [(50, false), (51, true)] {
        for from in [0, 100 * 15_000, 3 * RANGE_MS] {
            chunk(series, from).into_iter().for_each(|(t_ms, value)| keep(series, t_ms, float(value)));
            chunks.push((number(series), out_of_order, chunk(series, from)));
        }
    }
    let same: Vec<(i64, f64)> =
        (0..steps.min(100)).map(|step| (START_MS + step * 30_000 + 1, step as f64)).collect();
    chunks.push((number(1), false, same));

    rows.get_mut(&labels(3)).unwrap().retain(|t_ms, _| *t_ms < middle_ms);
    rows.remove(&labels(4));
    let records = |list: Vec<Vec<u8>>| list.into_iter().map(|one| (one, compression)).collect::<Vec<_>>();
    let mut log = records(log);
    let later = log.split_off(log.len() * 2 / 3);
    let second = log.split_off(log.len() / 2);
    let files = BTreeMap::from([
        ("wal/checkpoint.00000004/00000000".to_owned(), segment(&log).0),
        ("wal/00000005".to_owned(), segment(&second).0),
        ("wal/00000006".to_owned(), segment(&later).0),
        ("wal/00000007".to_owned(), Vec::new()),
        ("wbl/00000000".to_owned(), segment(&records(late)).0),
        ("chunks_head/000001".to_owned(), head_chunks(&chunks[..3]).0),
        ("chunks_head/000003".to_owned(), head_chunks(&chunks[3..]).0),
    ]);
    (files, rows)
}

#[test]
fn everything_comes_back() {
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        let (files, wanted) = whole(1, compression, 500);
        // With memory for all, and with so little that there are many parts of each block.
        for memory_bytes_max in [64 << 20, 0] {
            let disk = on_disk(1, &files);
            let mut told: Vec<Progress> = Vec::new();
            let options = ImportOptions { memory_bytes_max, ..options() };
            let report =
                import_prometheus(&disk.vfs(), Path::new("/data"), &options, &mut |now| told.push(now))
                    .unwrap();
            assert_eq!(report.damaged, [], "{compression:?}");
            assert!(!report.has_loss());
            let found = rows(&disk);
            assert_eq!(found.len(), wanted.len());
            for (labels, rows) in &wanted {
                assert_eq!(found.get(labels), Some(rows), "{labels} {compression:?}");
            }
            assert_eq!(report.samples(), wanted.values().map(|rows| rows.len() as u64).sum::<u64>());
            assert_eq!((report.segments, report.chunk_files, report.tombstones), (5, 2, 2));
            assert_eq!((report.exemplars, report.exemplars_skipped), (20, 0));
            assert_eq!((report.metadata, report.metadata_skipped), (1, 0));
            assert_eq!(report.float_starts_dropped, 10 * 71);
            assert!(report.blocks.len() >= 3 && report.blocks.iter().all(|meta| meta.compaction.level == 1));
            // One range, one block, even where there were many parts.
            let mut begins: Vec<i64> = report.blocks.iter().map(|meta| meta.min_time_ms).collect();
            begins.dedup();
            assert_eq!(begins.len(), report.blocks.len());
            assert_eq!(report.moved_to.as_deref(), Some(Path::new("/data/imported/00000001")));
            assert!(told.iter().all(|now| now.done <= now.total), "{told:?}");
            let left = disk.files();
            assert!(left.contains(&"/data/imported/00000001/wal/00000006".into()), "{left:?}");
            assert!(!left.iter().any(|path| path.starts_with("/data/wal") || path.ends_with("unfinished")));
            assert!(matches!(import(&disk, &options), Err(ImportError::NoPrometheus { .. })));
        }
    }
}

/// A crash or a fault at any operation, then another import: nothing is lost, nothing is there twice.
#[test]
fn a_crash_doubles_nothing() {
    let (files, wanted) = whole(2, Compression::Snappy, 60);
    // Few parts, so that there are not too many operations.
    let options = ImportOptions { memory_bytes_max: 0, ..options() };
    let counting = on_disk(0, &files);
    let first = counting.calls();
    import(&counting, &options).unwrap();
    let calls = counting.calls();
    assert!(calls - first > 40, "{first} to {calls}");
    let (mut again, mut done) = (0, 0);
    for call in first..calls {
        let (fault, crash) = match call % 4 {
            0 => (Fault::Stop, Crash::Power),
            1 => (Fault::Stop, Crash::Process),
            2 => (Fault::Full, Crash::Power),
            _ => (Fault::Io, Crash::Process),
        };
        let disk = on_disk(call, &files);
        disk.plan(call, fault);
        let first_time = import(&disk, &options);
        disk.restart(crash);
        match import(&disk, &options) {
            Ok(report) => {
                assert_eq!(report.damaged, [], "call {call}");
                again += 1;
            }
            // All of it had been moved.
            Err(ImportError::NoPrometheus { .. }) => done += 1,
            Err(error) => panic!("call {call}: {error}, after {first_time:?}"),
        }
        assert!(rows(&disk) == wanted, "call {call}, {fault:?}");
    }
    assert!(again > 20 && done > 0, "{again} and {done}");
}

/// What the last block has is not imported; what came late is.
#[test]
fn what_blocks_have_stays_there() {
    let all = labels(1);
    let log = |list: &[(u64, i64, f64)]| {
        segment(&[(series(&[(1, &all)]), Compression::None), (samples(list), Compression::None)]).0
    };
    let second_ms = START_MS + RANGE_MS;
    let first = BTreeMap::from([("wal/00000000".to_owned(), log(&[(1, START_MS, 1.0)]))]);
    let disk = on_disk(1, &first);
    let report = import(&disk, &options()).unwrap();
    assert_eq!(report.blocks[0].max_time_ms, START_MS + 1, "Prometheus could go on behind it");
    // As if Prometheus had cut it: without the note of an import, up to the end of its range.
    let meta = format!("/data/{}/meta.json", report.blocks[0].ulid);
    let text = String::from_utf8(disk.read(Path::new(&meta)).unwrap()).unwrap();
    assert!(text.contains("from-prometheus-head"), "{text}");
    disk.put(
        Path::new(&meta),
        text.replace("from-prometheus-head", "note")
            .replace(&(START_MS + 1).to_string(), &second_ms.to_string())
            .into_bytes(),
    );
    for (name, bytes) in [
        ("wal/00000000", log(&[(1, START_MS + 5, 2.0), (1, second_ms, 3.0)])),
        ("wbl/00000000", segment(&[(samples(&[(1, START_MS + 9, 4.0)]), Compression::None)]).0),
    ] {
        let path = Path::new("/data").join(name);
        disk.vfs().create_dir_all(path.parent().unwrap()).unwrap();
        disk.put(&path, bytes);
    }
    let report = import(&disk, &options()).unwrap();
    assert_eq!((report.samples_in_blocks, report.samples()), (1, 2));
    assert_eq!(report.moved_to.as_deref(), Some(Path::new("/data/imported/00000002")));
    let wanted = BTreeMap::from([(START_MS, 1.0), (START_MS + 9, 4.0), (second_ms, 3.0)]);
    let wanted = wanted.into_iter().map(|(t_ms, value)| (t_ms, float(value))).collect();
    assert_eq!(rows(&disk), Rows::from([(all, wanted)]));
    assert_eq!(report.blocks[0].compaction.hints, ["from-out-of-order", "from-prometheus-head"]);
}

/// A number that two series had says which of them only where the log defines it.
#[test]
fn a_number_given_twice() {
    let (a, b) = (labels(1), labels(2));
    let plain = |list: Vec<Vec<u8>>| -> Vec<u8> {
        segment(&list.into_iter().map(|one| (one, Compression::None)).collect::<Vec<_>>()).0
    };
    let log = plain(vec![
        series(&[(1, &a)]),
        samples(&[(1, START_MS, 1.0)]),
        series(&[(1, &b)]),
        samples(&[(1, START_MS + 1, 2.0), (5, START_MS, 9.0)]),
    ]);
    let files = BTreeMap::from([
        ("wal/00000000".to_owned(), log),
        ("wbl/00000000".to_owned(), plain(vec![samples(&[(1, START_MS - 1, 3.0)])])),
        ("chunks_head/000001".to_owned(), head_chunks(&[(1, false, vec![(START_MS - 5, 4.0)])]).0),
    ]);
    let disk = on_disk(1, &files);
    let report = import(&disk, &options()).unwrap();
    assert_eq!((report.orphans, report.has_loss()), (3, true));
    let row = |t_ms, value| BTreeMap::from([(t_ms, float(value))]);
    assert_eq!(rows(&disk), Rows::from([(a, row(START_MS, 1.0)), (b, row(START_MS + 1, 2.0))]));
}

#[test]
fn a_database_opens_on_it() {
    let (files, wanted) = whole(3, Compression::None, 60);
    let disk = on_disk(3, &files);
    let options = |import_prometheus| Options {
        vfs: disk.vfs(),
        clock: SimClock::at_ms(NOW_MS).shared(),
        import_prometheus,
        ..Options::default()
    };
    Db::open("/other", options(true)).unwrap();
    let few = Options { series_max: 10, ..options(true) };
    let error = Db::open("/data", few).unwrap_err();
    assert!(matches!(error, OpenError::Import { source: ImportError::SeriesLimit { expected: 10, .. } }));
    assert!(error.to_string().contains("/data/wal/checkpoint.00000004/00000000, offset 0"), "{error}");
    let db = Db::open("/data", options(true)).unwrap();
    let held = import(&disk, &ImportOptions::default());
    assert!(matches!(held, Err(ImportError::Locked { .. } | ImportError::NoPrometheus { .. })), "{held:?}");
    let imported = db.stats().replay.imported.expect("an import");
    assert_eq!(imported.samples(), wanted.values().map(|rows| rows.len() as u64).sum::<u64>());
    db.close().unwrap();
    drop(db);
    assert_eq!(rows(&disk), wanted);
    // Not a second time, nor what a Prometheus has written since, nor where nobody wants it.
    let replay = Db::open("/data", options(true)).unwrap().stats().replay;
    assert_eq!((replay.imported, replay.prometheus_passed_over), (None, false));
    disk.vfs().create_dir_all(Path::new("/data/wal")).unwrap();
    disk.put(Path::new("/data/wal/00000000"), segment(&[]).0);
    for wanted in [true, false] {
        let replay = Db::open("/data", options(wanted)).unwrap().stats().replay;
        assert_eq!((replay.imported, replay.prometheus_passed_over), (None, wanted));
    }
    let disk = on_disk(3, &files);
    let options = Options { import_prometheus: false, vfs: disk.vfs(), ..Options::default() };
    assert_eq!(Db::open("/data", options).unwrap().stats().replay.imported, None);
    assert!(disk.files().iter().any(|path| path.starts_with("/data/wal")));
}

/// The log of a Debian Prometheus 2.42.0 that scraped a small target for twenty seconds, and what promtool dumps of it.
#[test]
fn a_real_log() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/prometheus-2.42");
    let hex: String =
        std::fs::read_to_string(golden.join("wal-00000000.hex")).unwrap().split_whitespace().collect();
    let bytes =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let disk = on_disk(1, &BTreeMap::from([("wal/00000000".to_owned(), bytes)]));
    let report = import(&disk, &options()).unwrap();
    assert_eq!(report.damaged, []);
    // As promtool prints them, the bits of the values instead.
    let mut found: Vec<String> = Vec::new();
    for (labels, rows) in rows(&disk) {
        let labels: Vec<String> =
            labels.iter().map(|label| format!("{}={:?}", label.name, label.value)).collect();
        found.extend(rows.iter().map(|(t_ms, bits)| format!("{{{}}} {bits} {t_ms}", labels.join(", "))));
    }
    let wanted = std::fs::read_to_string(golden.join("rows.txt")).unwrap();
    let mut wanted: Vec<String> = wanted
        .lines()
        .map(|line| {
            let (rest, t_ms) = line.rsplit_once(' ').unwrap();
            let (labels, value) = rest.rsplit_once(' ').unwrap();
            // What promtool calls NaN may be a staleness marker.
            let bits = value.parse::<f64>().ok().filter(|value| !value.is_nan()).map(float);
            format!("{labels} {} {t_ms}", bits.as_deref().unwrap_or("NaN"))
        })
        .collect();
    for row in &mut found {
        for nan in ["7ff0000000000002", "7ff8000000000001"] {
            *row = row.replace(&format!(" {nan} "), " NaN ");
        }
    }
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}
