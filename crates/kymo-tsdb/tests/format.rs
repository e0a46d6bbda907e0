//! The format on disk, held by golden files: what versions 1 to 3 wrote is read, and what is written is version 3 byte for
//! byte.
//!
//! tests/golden/v3 has a file for each file of a database, in hexadecimal, tests/golden/v3-exemplars of one with exemplars
//! and metadata, and tests/golden/v3-packed of one with batches that are packed. `KYMO_WRITE_GOLDEN=1` writes them anew, which is
//! right only together with a new version number, or before the first release.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kymo_model::{
    Append, Batch, CounterResetHint, Exemplar, ExemplarQueryable, FamilyMetadata, Histogram, Labels, Matcher,
    Metadata, MetadataQueryable, MetricType, Queryable, STALE_NAN, SampleValue, Samples, Selector, Span,
    TimeRange, Timestamp, Values,
};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{Db, Options};

const START_MS: i64 = 1_700_000_000_000;

fn options(disk: &SimDisk) -> Options {
    Options {
        vfs: disk.vfs(),
        clock: SimClock::at_ms(START_MS + 86_400_000).shared(),
        checkpoint_close_bytes: u64::MAX,
        spill_bytes: 256,
        ..Options::default()
    }
}

/// A directory of golden files and what writes them: samples alone, with exemplars and metadata, and many at once.
type Golden = (&'static str, fn() -> SimDisk);

const SAMPLES: Golden = ("v3", written);
const BESIDE: Golden = ("v3-exemplars", written_beside);
const PACKED: Golden = ("v3-packed", written_packed);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn labels(number: i64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("n", &number.to_string()), ("zone", "é\n")])
}

fn histogram(i: i64) -> SampleValue {
    let histogram = Histogram {
        counter_reset_hint: if i == 9 { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: i as u64,
        count: 4 * i as u64 + 3,
        sum: if i == 7 { STALE_NAN } else { i as f64 * 0.5 },
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 1, length: 1 }],
        positive_buckets: vec![i, 1, 1],
        ..Histogram::default()
    };
    match (i % 3, histogram) {
        (2, histogram) => SampleValue::FloatHistogram(Arc::new(histogram.to_float())),
        (_, histogram) => SampleValue::Histogram(Arc::new(histogram)),
    }
}

/// One value for every way in which the log keeps one.
fn float(i: i64) -> f64 {
    let all = [
        0.0,
        -0.0,
        1.0,
        -33.0,
        99.9,
        1e15,
        0.1 + 0.2,
        1.0 / 3.0,
        f64::INFINITY,
        f64::NAN,
        STALE_NAN,
        7.0,
        7.0,
    ];
    all[i as usize % all.len()]
}

/// Batch number `i`: a counter, every float, now and then a histogram, a new series or a late sample.
fn batch(i: i64) -> Vec<(i64, i64, SampleValue)> {
    let t_ms = START_MS + i * 15_000;
    let mut rows =
        vec![(0, t_ms, SampleValue::Float((i * 3) as f64)), (1, t_ms, SampleValue::Float(float(i)))];
    if i % 10 == 5 {
        rows.push((2, t_ms, histogram(i / 10)));
        rows.push((3, t_ms, histogram(i / 10 + 1)));
    }
    if i % 20 == 9 {
        rows.push((10 + i, t_ms + 1, SampleValue::Float(0.25)));
        rows.push((0, t_ms - 7_000, SampleValue::Float(i as f64)));
    }
    if i == 128 {
        rows.push((2, t_ms - 1_000, SampleValue::Float(4.5)));
        rows.push((3, t_ms - 600_000 - 1, histogram(2)));
    }
    rows
}

const BATCHES: i64 = 140;
const CHECKPOINT_AT: i64 = 130;

fn written() -> SimDisk {
    let disk = SimDisk::new(1);
    let db = Db::open("/data", options(&disk)).unwrap();
    for i in 0..BATCHES {
        if i == CHECKPOINT_AT {
            db.checkpoint().unwrap();
        }
        let mut rows = Batch::new();
        for (series, t_ms, value) in batch(i) {
            rows.push(labels(series), Timestamp::from_millis(t_ms), value);
        }
        assert_eq!(db.append(&rows).unwrap().refused, []);
    }
    db.close().unwrap();
    disk
}

/// Exemplar number `i`.
fn exemplar(i: i64) -> Exemplar {
    Exemplar {
        labels: match i % 4 {
            0 => Labels::empty(),
            1 => Labels::from_pairs([("trace_id", "é"), ("span_id", &i.to_string())]),
            _ => Labels::from_pairs([("trace_id", i.to_string().as_str())]),
        },
        value: float(i),
        timestamp: (i % 3 != 0).then(|| Timestamp::from_millis(START_MS + i * 15_000 - 7)),
    }
}

fn family(i: i64) -> FamilyMetadata {
    let types = [MetricType::Counter, MetricType::Unknown, MetricType::StateSet];
    let metadata = Metadata {
        metric_type: types[i as usize % 3],
        unit: if i % 2 == 0 { "seconds".into() } else { String::new() },
        help: "é\n".repeat(i as usize % 4),
    };
    FamilyMetadata { name: format!("family_{}", i % 5), metadata }
}

const BESIDE_BATCHES: i64 = 12;

fn written_beside() -> SimDisk {
    let disk = SimDisk::new(1);
    let db = Db::open("/data", Options { exemplars_max: 12, ..options(&disk) }).unwrap();
    for i in 0..BESIDE_BATCHES {
        if i == 8 {
            db.checkpoint().unwrap();
        }
        let (mut rows, t) = (Batch::new(), Timestamp::from_millis(START_MS + i * 15_000));
        rows.push(labels(i % 3), t, 1.0);
        rows.push_exemplar(labels(i % 3), t, exemplar(i));
        rows.push_metadata(family(i));
        let outcome = db.append(&rows).unwrap();
        assert_eq!((outcome.exemplars, outcome.metadata_changed), (1, 1));
    }
    db.close().unwrap();
    disk
}

const PACKED_SERIES: i64 = 40;
const PACKED_BATCHES: i64 = 3;

fn written_packed() -> SimDisk {
    let disk = SimDisk::new(1);
    let db = Db::open("/data", options(&disk)).unwrap();
    for i in 0..PACKED_BATCHES {
        let mut rows = Batch::new();
        for series in 0..PACKED_SERIES {
            let value = if series == 30 { histogram(i) } else { SampleValue::Float(float(series + i)) };
            rows.push(labels(series), Timestamp::from_millis(START_MS + i * 15_000), value);
        }
        assert_eq!(db.append(&rows).unwrap().refused, []);
    }
    db.close().unwrap();
    disk
}

fn files(disk: &SimDisk) -> Vec<PathBuf> {
    disk.files().into_iter().filter(|file| file.starts_with("/data/head")).collect()
}

fn golden_path(of: Golden, file: &Path) -> PathBuf {
    let parts: Vec<_> = file.iter().skip(3).filter_map(|part| part.to_str()).collect();
    golden(of.0).join(format!("{}.hex", parts.join("-")))
}

fn to_hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(48).map(line).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn what_is_written_is_version_3() {
    check_written(SAMPLES);
    check_written(BESIDE);
    check_written(PACKED);
}

fn check_written(of: Golden) {
    let disk = of.1();
    let renew = std::env::var_os("KYMO_WRITE_GOLDEN").is_some();
    let mut names = Vec::new();
    for file in files(&disk) {
        let (path, found) = (golden_path(of, &file), to_hex(&disk.read(&file).unwrap()));
        if renew {
            std::fs::create_dir_all(golden(of.0)).unwrap();
            std::fs::write(&path, &found).unwrap();
        }
        let expected =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{} differs from byte {} on", file.display(), line * 48);
        }
        assert_eq!(found.len(), expected.len(), "length of {}", file.display());
        names.push(path);
    }
    let mut listed: Vec<_> =
        std::fs::read_dir(golden(of.0)).unwrap().map(|entry| entry.unwrap().path()).collect();
    listed.sort();
    names.sort();
    assert_eq!(listed, names);
}

fn golden_disk(name: &str) -> SimDisk {
    let disk = SimDisk::new(1);
    for entry in std::fs::read_dir(golden(name)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().replace('-', "/");
        let file = Path::new("/data/head").join(name);
        disk.vfs().create_dir_all(file.parent().unwrap()).unwrap();
        disk.put(&file, from_hex(&std::fs::read_to_string(&path).unwrap()));
    }
    disk
}

#[test]
fn packed_batches_are_read() {
    let disk = golden_disk(PACKED.0);
    let log = disk.read(Path::new("/data/head/wal/00000001")).unwrap();
    // Behind the header of the file and that of the record.
    assert_eq!(log[32], 11, "the first batch is packed");
    let db = Db::open("/data", options(&disk)).unwrap();
    let mut expected = Vec::new();
    for i in 0..PACKED_BATCHES {
        for series in 0..PACKED_SERIES {
            let value = if series == 30 { histogram(i) } else { SampleValue::Float(float(series + i)) };
            expected.push((series, START_MS + i * 15_000, value));
        }
    }
    check_samples(&db, &expected);
}

#[test]
fn exemplars_and_metadata_of_version_2_are_read() {
    check_beside("v2-exemplars");
}

#[test]
fn exemplars_and_metadata_of_version_3_are_read() {
    check_beside("v3-exemplars");
}

fn check_beside(name: &str) {
    let disk = golden_disk(name);
    let db = Db::open("/data", options(&disk)).unwrap();
    let replay = db.stats().replay;
    assert_eq!((&replay.damaged[..], replay.orphans), (&[][..], 0));
    let mut expected = Vec::new();
    for i in 0..BESIDE_BATCHES {
        let Exemplar { labels: of, value, timestamp } = exemplar(i);
        let t = timestamp.unwrap_or(Timestamp::from_millis(START_MS + i * 15_000));
        expected.push(format!("{} {of} {:x} {}", labels(i % 3), value.to_bits(), t.millis()));
    }
    let found = db.exemplars(&[vec![Matcher::equal("__name__", "m")]], TimeRange::ALL).unwrap();
    let mut found: Vec<String> = found
        .iter()
        .flat_map(|series| series.exemplars.iter().map(move |exemplar| (&series.series, exemplar)))
        .map(|(series, e)| format!("{series} {} {:x} {}", e.labels, e.value.to_bits(), e.timestamp.millis()))
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let families: BTreeMap<String, FamilyMetadata> =
        (0..BESIDE_BATCHES).map(family).map(|family| (family.name.clone(), family)).collect();
    assert_eq!(db.metadata(None).unwrap(), families.into_values().collect::<Vec<_>>());
}

#[test]
fn what_older_versions_wrote_is_read() {
    check_read("v1");
    check_read("v2");
}

#[test]
fn what_version_3_wrote_is_read() {
    check_read("v3");
}

/// Everything is there: as it was written, and again when this version has made a checkpoint of it.
fn check_read(name: &str) {
    let disk = golden_disk(name);
    let all: Vec<_> = (0..BATCHES).flat_map(batch).collect();
    let check_samples = |db: &Db| check_samples(db, &all);
    let db = Db::open("/data", options(&disk)).unwrap();
    check_samples(&db);
    let replay = db.stats().replay;
    assert!(replay.records == (BATCHES - CHECKPOINT_AT) as u64 && replay.chunks > 5, "{replay:?}");
    db.checkpoint().unwrap();
    check_samples(&db);
    db.close().unwrap();
    let db = Db::open("/data", options(&disk)).unwrap();
    check_samples(&db);
    assert_eq!(db.stats().replay.records, 0);
}

fn check_samples(db: &Db, expected: &[(i64, i64, SampleValue)]) {
    let replay = db.stats().replay;
    assert_eq!((&replay.damaged[..], replay.orphans), (&[][..], 0));
    let text = |labels: &Labels, t_ms: i64, value: &str| format!("{labels} {t_ms} {value}");
    let mut expected: Vec<String> = expected
        .iter()
        .map(|(series, t_ms, value)| text(&labels(*series), *t_ms, &value_text(value)))
        .collect();
    let (mut found, mut samples) = (Vec::new(), Samples::new());
    for series in db.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap().iter() {
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                let value = match &samples.values {
                    Values::Floats(values) => SampleValue::Float(values[at]),
                    Values::Histograms(values) => SampleValue::FloatHistogram(values[at].clone()),
                };
                found.push(text(&series.labels(), *t_ms, &value_text(&value)));
            }
        }
    }
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

fn value_text(value: &SampleValue) -> String {
    let mut histogram = match value {
        SampleValue::Float(value) => return format!("{:016x}", value.to_bits()),
        SampleValue::Histogram(histogram) => histogram.to_float(),
        SampleValue::FloatHistogram(histogram) => (**histogram).clone(),
    };
    if histogram.is_stale() {
        return "stale histogram".to_owned();
    }
    histogram.compact(0);
    histogram.counter_reset_hint = CounterResetHint::Unknown;
    format!("{histogram:?}")
}
