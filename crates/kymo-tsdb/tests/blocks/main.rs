//! Blocks: what is written is read again, by every way of asking; what was deleted is not; several become one; damage costs
//! what it hits and is reported; a crash while one is written leaves all of it or nothing.
//!
//! That Prometheus writes and reads the same files is tested in examples/server/tests/interop_blocks.rs.

mod damage;
mod data;
mod estimate;
mod merging;
mod store;

use std::collections::BTreeSet;
use std::path::Path;

use data::{Data, read_all, rows_of, write};
use kymo_model::{CancelToken, LabelsNeeded, MatchOp, Matcher, Queryable, Selector, TimeRange};
use kymo_testkit::SimDisk;
use kymo_tsdb::block::{Block, BlockWriterOptions, CompactionPlan, verify_block};

/// Small bounds, so that small data crosses them.
fn options() -> BlockWriterOptions {
    BlockWriterOptions { segment_bytes_max: 20_000, postings_per_pass_max: 300 }
}

const DATA: &str = "/data";

#[test]
fn what_is_written_is_read() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(1, 300);
    let meta = write(&disk, DATA, &data, 1, options());
    let block = Block::open(&*disk.vfs(), &Path::new(DATA).join(meta.ulid.to_string())).unwrap();
    assert_eq!(block.meta(), &meta);
    assert_eq!(meta.stats.num_series, 300);
    assert_eq!(meta.stats.num_samples, data.rows() as u64);
    let segments =
        disk.files().iter().filter(|path| path.parent().is_some_and(|dir| dir.ends_with("chunks"))).count();
    assert!(segments > 3, "{segments} segments");
    assert_eq!(read_all(&block, TimeRange::ALL), data.all());

    let report = verify_block(&block).unwrap();
    assert!(report.is_sound(), "{:#?}", report.damage);
    assert_eq!((report.series, report.samples), (300, data.rows() as u64));

    let middle = (meta.min_time_ms + meta.max_time_ms) / 2;
    for range in [(i64::MIN, middle), (middle, middle + 50_000), (middle, i64::MAX), (i64::MAX, i64::MAX)] {
        let range = TimeRange::from_millis(range.0, range.1);
        assert_eq!(read_all(&block, range), data.within(range));
    }
}

#[test]
fn matchers_choose_as_labels_say() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(2, 200);
    let meta = write(&disk, DATA, &data, 2, options());
    let block = Block::open(&*disk.vfs(), &Path::new(DATA).join(meta.ulid.to_string())).unwrap();
    let matchers = |texts: &[(&str, MatchOp, &str)]| -> Vec<Matcher> {
        texts.iter().map(|(name, op, value)| Matcher::new(*op, name, value).unwrap()).collect()
    };
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    for texts in [
        &[][..],
        &[("__name__", Equal, "metric_3_total")],
        &[("__name__", Regex, "metric_(1|2)_total")],
        &[("__name__", Regex, "metric_.*"), ("device", Equal, "device-4")],
        &[("__name__", Regex, ".+"), ("zone", NotEqual, "zone-1")],
        &[("instance", Regex, "10\\.0\\.0\\..*"), ("zone", NotRegex, "zone-(0|2)")],
        &[("extra", Equal, "")],
        &[("extra", NotEqual, "")],
        &[("extra", NotEqual, ""), ("__name__", Regex, "metric_[12].*|metric_3_total")],
        &[("extra", Regex, ".*"), ("device", Regex, "device-[0-3]")],
        &[("absent", Equal, "")],
        &[("absent", Regex, "x?"), ("zone", Equal, "zone-0")],
        &[("absent", Equal, "x")],
        &[("zone", Equal, "")],
        &[("", Equal, ""), ("zone", Equal, "zone-1")],
    ] {
        let matchers = matchers(texts);
        let mut selector = Selector::new(matchers.clone(), TimeRange::ALL);
        selector.hints.labels = LabelsNeeded::All;
        let set = block.select(&selector).unwrap();
        let wanted: Vec<_> = data.series().filter(|(labels, _)| selector.matches(labels)).collect();
        let found: Vec<_> = set.iter().map(|series| (series.labels(), rows_of(series))).collect();
        assert_eq!(found.len(), wanted.len(), "{matchers:?}");
        assert!(found.iter().zip(wanted).all(|(found, wanted)| &found.0 == wanted.0 && &found.1 == wanted.1));

        let names: BTreeSet<_> =
            found.iter().flat_map(|(labels, _)| labels.iter()).map(|label| label.name.to_owned()).collect();
        let names: Vec<_> = names.into_iter().collect();
        assert_eq!(
            block.label_names(&matchers, TimeRange::ALL, &CancelToken::new()).unwrap(),
            names,
            "{matchers:?}"
        );
        for name in ["__name__", "extra", "absent", ""] {
            let values: BTreeSet<_> =
                found.iter().filter_map(|(labels, _)| labels.get(name).map(str::to_owned)).collect();
            let values: Vec<_> = values.into_iter().collect();
            assert_eq!(
                block.label_values(name, &matchers, TimeRange::ALL, &CancelToken::new()).unwrap(),
                values,
                "{matchers:?} {name}"
            );
        }
        let never = TimeRange::from_millis(i64::MIN, meta.min_time_ms - 1);
        assert!(block.label_names(&matchers, never, &CancelToken::new()).unwrap().is_empty());
    }
}

#[test]
fn plans() {
    let hour = 3_600_000;
    let plan = CompactionPlan::from_first(2 * hour, 3, 100 * hour);
    assert_eq!(plan.ranges_ms(), [2 * hour, 6 * hour, 18 * hour, 54 * hour]);
    let disk = SimDisk::new(1);
    let template = write(&disk, DATA, &Data::mixed(3, 1), 3, options());
    let check = |hours: &[(i64, i64)], wanted: &[usize]| {
        let metas: Vec<_> = hours
            .iter()
            .map(|(min, max)| {
                let mut meta = template.clone();
                (meta.min_time_ms, meta.max_time_ms) = (min * hour, max * hour);
                meta
            })
            .collect();
        assert_eq!(plan.choose(&metas), wanted, "{hours:?}");
    };
    check(&[], &[]);
    check(&[(0, 2)], &[]);
    check(&[(0, 2), (2, 4)], &[]);
    check(&[(0, 2), (2, 4), (4, 6)], &[]);
    // Full, and another behind it.
    check(&[(0, 2), (2, 4), (4, 6), (6, 8)], &[0, 1, 2]);
    // With a gap.
    check(&[(0, 2), (4, 6), (6, 8)], &[0, 1]);
    check(&[(6, 8), (4, 6), (0, 2)], &[2, 1]);
    // Not full, but another will not come.
    check(&[(0, 2), (2, 4), (8, 10), (10, 12)], &[0, 1]);
    // The next level.
    check(&[(0, 6), (6, 12), (12, 18), (18, 20)], &[0, 1, 2]);
    check(&[(0, 6), (6, 12), (12, 14), (14, 16)], &[]);
    // Overlapping ones come first, all that hang together.
    check(&[(0, 2), (2, 4), (4, 6), (6, 8), (7, 9), (8, 12)], &[3, 4, 5]);
    check(&[(0, 2), (0, 2)], &[0, 1]);
    // One that is longer than its level is left alone.
    check(&[(0, 2), (5, 7), (7, 9)], &[]);
}

/// Version 3 is read as 2; 1 names symbols and series by their offsets, and need not have its postings in order.
#[test]
fn versions_of_the_index() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(6, 20);
    let meta = write(&disk, DATA, &data, 1, options());
    let dir = Path::new(DATA).join(meta.ulid.to_string());
    let index = dir.join("index");
    disk.flip(&index, 4, 2 ^ 3).unwrap();
    let block = Block::open(&*disk.vfs(), &dir).unwrap();
    assert_eq!(read_all(&block, TimeRange::ALL), data.all());
    disk.flip(&index, 4, 3 ^ 4).unwrap();
    let error = Block::open(&*disk.vfs(), &dir).unwrap_err().to_string();
    assert!(error.starts_with("expected an index of version 1 to 3, found version 4"), "{error}");

    // Two series without chunks, by hand.
    let section = |body: &[u8]| {
        let length = (body.len() as u32).to_be_bytes();
        [&length, body, &crc32c::crc32c(body).to_be_bytes()].concat()
    };
    let mut file = vec![0xba, 0xaa, 0xd7, 0x00, 1];
    let symbols = file.len();
    file.extend(section(b"\0\0\0\x04\x01a\x01b\x01m\x01n"));
    let symbol = |number: usize| (symbols + 8 + 2 * number) as u8;
    let series: Vec<usize> = [[2, 0], [2, 1]]
        .map(|[name, value]| {
            let at = file.len();
            let body = [1, symbol(name), symbol(value), 1, 0, 0, 8];
            file.push(body.len() as u8);
            file.extend(body);
            file.extend(crc32c::crc32c(&body).to_be_bytes());
            at
        })
        .into();
    let series_end = file.len();
    let mut list = |numbers: &[usize]| {
        let at = file.len() as u8;
        let mut body = (numbers.len() as u32).to_be_bytes().to_vec();
        body.extend(numbers.iter().flat_map(|number| (*number as u32).to_be_bytes()));
        file.extend(section(&body));
        at
    };
    let (all, a, b) = (list(&series), list(&series[..1]), list(&series[1..]));
    let table = file.len();
    let entry = |name: &[u8], value: &[u8], list: u8| {
        let mut out = vec![2, name.len() as u8];
        out.extend_from_slice(name);
        out.push(value.len() as u8);
        out.extend_from_slice(value);
        // A varint of two bytes.
        out.extend([list | 0x80, list >> 7]);
        out
    };
    let entries =
        [vec![0, 0, 0, 3], entry(b"m", b"b", b), entry(b"", b"", all), entry(b"m", b"a", a)].concat();
    file.extend(section(&entries));
    let offsets = [symbols, series[0], series_end, series_end, series_end, table];
    let contents: Vec<u8> = offsets.iter().flat_map(|offset| (*offset as u64).to_be_bytes()).collect();
    file.extend(&contents);
    file.extend(crc32c::crc32c(&contents).to_be_bytes());
    disk.put(&index, file);

    let block = Block::open(&*disk.vfs(), &dir).unwrap();
    let found = |matchers: Vec<Matcher>| -> Vec<String> {
        let range = TimeRange::from_millis(i64::MIN, i64::MAX);
        let set = block.select(&Selector::new(matchers, range)).unwrap();
        set.iter().map(|series| series.labels().to_string()).collect()
    };
    assert_eq!(found(Vec::new()), [r#"{m="a"}"#, r#"{m="b"}"#]);
    assert_eq!(found(vec![Matcher::equal("m", "b")]), [r#"{m="b"}"#]);
    assert_eq!(block.label_values("m", &[], TimeRange::ALL, &CancelToken::new()).unwrap(), ["a", "b"]);
    assert_eq!(block.series().unwrap().count(), 2);
}
