//! Exemplars and metadata of a Prometheus' log: they wait for a database, are taken in once, and stay, wherever it stops.

use std::collections::BTreeMap;
use std::path::Path;

use kymo_model::{
    Append, Batch, Exemplar, ExemplarQueryable, FamilyMetadata, Labels, Matcher, Metadata, MetadataQueryable,
    MetricType, RowSeries, TimeRange, Timestamp,
};
use kymo_testkit::{Crash, Fault, SimClock, SimDisk};
use kymo_tsdb::prometheus::ImportOptions;
use kymo_tsdb::{DamageKind, Db, Options, ReadOnlyDb};

use crate::written::{Compression, exemplars, metadata, on_disk, segment, series};
use crate::{NOW_MS, START_MS, import, labels, options, rows, whole};

const WAITING: &str = "/data/imported/beside";

/// Series, time, value.
type Found = Vec<(Labels, i64, f64)>;

fn db_options(disk: &SimDisk) -> Options {
    Options { vfs: disk.vfs(), clock: SimClock::at_ms(NOW_MS).shared(), ..Options::default() }
}

/// What a database has of both.
fn found(db: &(impl ExemplarQueryable + MetadataQueryable)) -> (Found, Vec<FamilyMetadata>) {
    let all = db.exemplars(&[vec![Matcher::equal("nothing", "")]], TimeRange::ALL).unwrap();
    let each = all.iter().flat_map(|of| of.exemplars.iter().map(|one| (of.series.clone(), one)));
    let exemplars = each.map(|(series, one)| {
        assert_eq!(one.labels, Labels::from_pairs([("trace_id", one.value.to_string().as_str())]));
        (series, one.timestamp.millis(), one.value)
    });
    (exemplars.collect(), db.metadata(None).unwrap())
}

fn family(name: &str, metric_type: MetricType, help: &str) -> FamilyMetadata {
    let metadata = Metadata { metric_type, unit: "s".to_owned(), help: help.to_owned() };
    FamilyMetadata { name: name.to_owned(), metadata }
}

/// What `whole` has of both after so many steps.
fn wanted(steps: i64) -> (Found, Vec<FamilyMetadata>) {
    let told: Vec<i64> = (0..steps).filter(|step| step % 50 == 7).collect();
    let of = |number: u64| {
        told.iter()
            .map(move |step| (labels(number), START_MS + step * 30_000 + number as i64 - 1, *step as f64))
    };
    let help = format!("It helped {} times.", told[told.len() - 1]);
    (of(1).chain(of(2)).collect(), vec![family("m", MetricType::Counter, &help)])
}

fn is_waiting(disk: &SimDisk) -> bool {
    disk.files().contains(&WAITING.into())
}

fn plain(records: Vec<Vec<u8>>) -> Vec<u8> {
    segment(&records.into_iter().map(|one| (one, Compression::None)).collect::<Vec<_>>()).0
}

#[test]
fn they_come_back() {
    let (files, _) = whole(1, Compression::Snappy, 200);
    let disk = on_disk(1, &files);
    let report = import(&disk, &options()).unwrap();
    assert_eq!((report.exemplars, report.metadata, is_waiting(&disk)), (8, 1, true));
    let db = Db::open("/data", db_options(&disk)).unwrap();
    assert_eq!((found(&db), is_waiting(&disk)), (wanted(200), false));
    let stats = db.stats();
    assert_eq!((stats.exemplars.stored, stats.exemplars.series, stats.metadata.families), (8, 2, 1));
    drop(db);
    disk.restart(Crash::Power);
    let db = Db::open("/data", db_options(&disk)).unwrap();
    assert_eq!(found(&db), wanted(200));
    drop(db);
    // By itself, without a command before.
    let disk = on_disk(1, &files);
    let db = Db::open("/data", db_options(&disk)).unwrap();
    assert_eq!((found(&db), is_waiting(&disk)), (wanted(200), false));
}

/// What is refused is counted, and takes nothing with it; metadata of the parts of a histogram is that of the family.
#[test]
fn what_is_not_taken() {
    let named = |name: &str| Labels::from_pairs([("__name__", name)]);
    let nameless = Labels::from_pairs([("job", "a")]);
    let (bucket, total, count) = (named("h_bucket"), named("c_total"), named("s_count"));
    let log = vec![
        series(&[(1, &bucket), (2, &total), (3, &count), (4, &nameless)]),
        exemplars(&[(1, START_MS, 1.0), (1, START_MS, 1.0), (1, START_MS - 1, 2.0), (9, START_MS, 3.0)]),
        exemplars(&[(2, NOW_MS + 3_600_000, 4.0), (2, START_MS, 5.0), (2, START_MS + 1, 5.0)]),
        metadata(&[(1, 3, "H."), (2, 1, "C."), (3, 5, "S."), (4, 2, "No name."), (9, 1, "Nobody's.")]),
    ];
    let files = BTreeMap::from([("wal/00000000".to_owned(), plain(log))]);
    let disk = on_disk(1, &files);
    let report = import(&disk, &options()).unwrap();
    assert_eq!((report.exemplars, report.exemplars_skipped), (3, 4));
    assert_eq!((report.metadata, report.metadata_skipped), (3, 2));
    assert!(!report.has_loss());
    let all = vec![(total.clone(), START_MS, 5.0), (total, START_MS + 1, 5.0), (bucket, START_MS, 1.0)];
    let families = vec![
        family("c_total", MetricType::Counter, "C."),
        family("h", MetricType::Histogram, "H."),
        family("s", MetricType::Summary, "S."),
    ];
    assert_eq!(found(&Db::open("/data", db_options(&disk)).unwrap()), (all.clone(), families));
    // A bound keeps the last ones.
    let disk = on_disk(1, &files);
    let report =
        import(&disk, &ImportOptions { exemplars_max: 1, metadata_bytes_max: 0, ..options() }).unwrap();
    assert_eq!((report.exemplars, report.metadata, report.metadata_skipped), (1, 0, 5));
    assert_eq!(found(&Db::open("/data", db_options(&disk)).unwrap()), (vec![all[1].clone()], vec![]));
    // Where none are kept nothing waits.
    let disk = on_disk(1, &files);
    import(&disk, &ImportOptions { exemplars_max: 0, metadata_bytes_max: 0, ..options() }).unwrap();
    assert!(!is_waiting(&disk));
}

/// Into a database that has some already, of the same series and newer, and of one in both.
#[test]
fn beside_those_that_are_there() {
    let (files, _) = whole(1, Compression::None, 120);
    let disk = on_disk(1, &BTreeMap::new());
    let db = Db::open("/data", db_options(&disk)).unwrap();
    let (of, newer_ms) = (labels(1), START_MS + 80_000_000);
    let mut batch = Batch::new();
    batch.push(of.clone(), Timestamp::from_millis(newer_ms), 1.0);
    let mut put = |t_ms: i64, value: f64| {
        let labels = Labels::from_pairs([("trace_id", value.to_string().as_str())]);
        let exemplar = Exemplar { labels, value, timestamp: Some(Timestamp::from_millis(t_ms)) };
        batch.push_exemplar(RowSeries::Labels(of.clone()), Timestamp::from_millis(t_ms), exemplar);
    };
    put(START_MS + 57 * 30_000, 57.0);
    put(newer_ms, 1000.0);
    batch.push_metadata(family("m", MetricType::Gauge, "Said later."));
    assert_eq!(db.append(&batch).unwrap().exemplars, 2);
    db.close().unwrap();
    for (name, bytes) in &files {
        let path = Path::new("/data").join(name);
        disk.vfs().create_dir_all(path.parent().unwrap()).unwrap();
        disk.put(&path, bytes.clone());
    }
    import(&disk, &options()).unwrap();
    let (mut all, _) = wanted(120);
    all.insert(3, (of, newer_ms, 1000.0));
    let families = vec![family("m", MetricType::Gauge, "Said later.")];
    // A guest sees both, and leaves the file where it is.
    let guest = ReadOnlyDb::open("/data", db_options(&disk)).unwrap();
    assert_eq!((found(&guest), is_waiting(&disk)), ((all.clone(), families.clone()), true));
    let db = Db::open("/data", db_options(&disk)).unwrap();
    assert_eq!((found(&db), is_waiting(&disk)), ((all, families), false));
}

/// A crash or a fault at every operation of an import and of the opening after it: all of it is there, each once.
#[test]
fn a_stop_loses_nothing() {
    let (files, samples) = whole(2, Compression::Snappy, 60);
    let life = |disk: &SimDisk| {
        import(disk, &options()).map_err(|error| error.to_string())?;
        let db = Db::open("/data", db_options(disk)).map_err(|error| error.to_string())?;
        db.close().map_err(|error| error.to_string())
    };
    let counting = on_disk(0, &files);
    let first = counting.calls();
    life(&counting).unwrap();
    let calls = counting.calls();
    assert!(calls - first > 60, "{first} to {calls}");
    for call in first..calls {
        for (fault, crash) in [
            (Fault::Stop, Crash::Power),
            (Fault::Stop, Crash::Process),
            (Fault::Full, Crash::Power),
            (Fault::Io, Crash::Process),
        ] {
            let disk = on_disk(call, &files);
            disk.plan(call, fault);
            let first_time = life(&disk);
            disk.restart(crash);
            let what = format!("operation {call}, {fault:?}: {first_time:?}");
            let db = Db::open("/data", db_options(&disk)).unwrap_or_else(|error| panic!("{what}: {error}"));
            // A head that is there already is not joined by a log: the command does that.
            if disk.files().iter().any(|file| file.starts_with("/data/wal")) {
                drop(db);
                import(&disk, &options()).unwrap();
                let db = Db::open("/data", db_options(&disk)).unwrap();
                assert_eq!(found(&db), wanted(60), "{what}, imported again");
            } else {
                assert_eq!(found(&db), wanted(60), "{what}");
                drop(db);
            }
            assert!(rows(&disk) == samples, "{what}");
            assert!(!is_waiting(&disk), "{what}");
        }
    }
}

/// One damaged byte in what waits costs a record, and is told; the bytes are kept.
#[test]
fn damage_is_told() {
    let (files, _) = whole(1, Compression::Snappy, 120);
    let disk = on_disk(1, &files);
    import(&disk, &options()).unwrap();
    let bytes = disk.read(Path::new(WAITING)).unwrap();
    for at in 0..bytes.len() {
        let disk = disk.copy(at as u64);
        disk.flip(Path::new(WAITING), at as u64, 1 << (at % 8)).unwrap();
        let db = match Db::open("/data", db_options(&disk)) {
            Ok(db) => db,
            Err(error) => panic!("byte {at}: {error}"),
        };
        let damaged = db.stats().replay.damaged;
        let is_it = |place: &&kymo_tsdb::Damage| place.file == Path::new(WAITING) && place.bytes > 0;
        let place = damaged.iter().find(is_it).unwrap_or_else(|| panic!("byte {at}: {damaged:?}"));
        let (found, wanted) = (found(&db), wanted(120));
        assert!(found.0.iter().all(|one| wanted.0.contains(one)), "byte {at}");
        assert!(found.1.iter().all(|one| wanted.1.contains(one)), "byte {at}");
        assert!(found.0 == wanted.0 || found.1 == wanted.1, "byte {at} costs both");
        assert!(place.kind != DamageKind::TornTail, "byte {at}");
        assert!(
            place.quarantine.as_ref().is_some_and(|copy| disk.read(copy).is_ok()),
            "byte {at}: {place:?}"
        );
    }
}
