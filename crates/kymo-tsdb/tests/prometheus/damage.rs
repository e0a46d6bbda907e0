//! Damage to a Prometheus' files: what is lost is the record, page or chunk that was hit, it is reported, and no value is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kymo_model::Labels;
use kymo_testkit::Random;

use super::written::*;
use super::{Rows, float, import, options, rows};

const START_MS: i64 = super::START_MS;

fn rounds() -> u64 {
    std::env::var("KYMO_DAMAGE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

struct Log {
    bytes: Vec<u8>,
    extents: Vec<Extent>,
    /// What each record says.
    said: Vec<Vec<(Labels, i64, String)>>,
}

/// A segment of several pages, whose records are of all sizes. The series come first, and once more at the end, as after a restart.
fn log(seed: u64, compression: Compression) -> Log {
    let mut random = Random::new(seed);
    let all: Vec<Labels> = (0..200u64).map(super::labels).collect();
    let numbered: Vec<(u64, &Labels)> =
        all.iter().enumerate().map(|(at, one)| (at as u64 + 1, one)).collect();
    let (mut records, mut said) = (vec![], vec![]);
    records.push((series(&numbered), compression));
    said.push(vec![]);
    for step in 0..100i64 {
        let length = if random.chance(1, 25) { 1500 } else { 1 + random.below(60) };
        let list: Vec<(u64, i64, f64)> = (0..length)
            .map(|n| (1 + n % 200, START_MS + step * 40_000 + (n / 200) as i64, random.unit()))
            .collect();
        said.push(
            list.iter()
                .map(|(number, t_ms, value)| (all[*number as usize - 1].clone(), *t_ms, float(*value)))
                .collect(),
        );
        records.push((samples(&list), compression));
    }
    records.push((series(&numbered), compression));
    said.push(vec![]);
    let (bytes, extents) = segment(&records);
    Log { bytes, extents, said }
}

/// Imports the damaged bytes. Everything but the records that the damage may cost is there, and nothing else; what is missing
/// was told. How many rows are missing.
fn check(what: &str, log: &Log, bytes: Vec<u8>, hit: &[bool]) -> usize {
    let files = BTreeMap::from([("wal/00000000".to_owned(), bytes)]);
    let disk = on_disk(1, &files);
    let report = import(&disk, &options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = rows(&disk);
    let flat = |rows: &Rows| -> BTreeSet<(Labels, i64, String)> {
        let one = |(labels, row): (&Labels, &BTreeMap<i64, String>)| {
            row.iter().map(|(t_ms, value)| (labels.clone(), *t_ms, value.clone())).collect::<Vec<_>>()
        };
        rows.iter().flat_map(one).collect()
    };
    let found = flat(&found);
    let all: BTreeSet<_> = log.said.iter().flatten().cloned().collect();
    assert!(found.is_subset(&all), "{what}: a value that was never written");
    for (said, hit) in log.said.iter().zip(hit) {
        assert!(*hit || said.iter().all(|row| found.contains(row)), "{what}: more is lost than was hit");
    }
    let missing = all.len() - found.len();
    assert!(missing == 0 || report.damaged_total > 0, "{what}: {missing} rows lost without a word");
    missing
}

#[test]
fn a_bit_of_the_log() {
    for compression in [Compression::None, Compression::Snappy] {
        let log = log(1, compression);
        let mut random = Random::new(9);
        let (mut lost, mut lengths) = (0, 0);
        let rounds = rounds() / 2;
        for round in 0..rounds {
            let at = match round % 5 {
                // The type and the length of a fragment.
                4 => {
                    let record = random.below(log.extents.len() as u64) as usize;
                    log.extents[record].begin + random.below(3) as usize
                }
                _ => random.below(log.bytes.len() as u64) as usize,
            };
            let mut bytes = log.bytes.clone();
            bytes[at] ^= 1 << random.below(8);
            // A record is hit; where a length is not to be believed, those behind it in its page, too.
            let page_end = (at / PAGE_BYTES + 1) * PAGE_BYTES;
            let is_hit = |extent: &&Extent| (extent.begin..extent.end).contains(&at);
            let own = log.extents.iter().position(|extent| is_hit(&extent));
            let header = own.is_some_and(|own| {
                let fragment = log.extents[own].begin.max(at / PAGE_BYTES * PAGE_BYTES);
                at < fragment + 3
            });
            lengths += u64::from(header);
            let end = if header || own.is_none() { page_end } else { at + 1 };
            let hit: Vec<bool> =
                log.extents.iter().map(|extent| extent.begin < end && at < extent.end).collect();
            lost += check(&format!("{compression:?} round {round}, byte {at}"), &log, bytes, &hit);
        }
        let all: usize = log.said.iter().map(Vec::len).sum();
        let kept = 100.0 - lost as f64 * 100.0 / (all as u64 * rounds) as f64;
        println!("{compression:?}: {rounds} bits, {lengths} of them of lengths: {kept:.2} % of rows kept");
        // Most rows are in a few records of hundreds of them, which are hit most.
        assert!(kept > 80.0);
    }
}

#[test]
fn sectors_and_ends_of_the_log() {
    let log = log(2, Compression::Snappy);
    let mut random = Random::new(10);
    for round in 0..rounds() / 3 {
        let at = random.below(log.bytes.len() as u64) as usize / 512 * 512;
        let end = (at + 512).min(log.bytes.len());
        let mut bytes = log.bytes.clone();
        bytes[at..end].fill(0);
        let page_end = (at / PAGE_BYTES + 1) * PAGE_BYTES;
        let hit: Vec<bool> =
            log.extents.iter().map(|extent| extent.begin < page_end && at < extent.end).collect();
        check(&format!("round {round}, sector at {at}"), &log, bytes, &hit);

        let cut = random.below(log.bytes.len() as u64) as usize;
        let hit: Vec<bool> = log.extents.iter().map(|extent| extent.end > cut).collect();
        let files = BTreeMap::from([("wal/00000000".to_owned(), log.bytes[..cut].to_vec())]);
        let disk = on_disk(1, &files);
        let report = import(&disk, &options()).unwrap();
        let whole: usize =
            log.said.iter().zip(&hit).filter(|(_, hit)| !**hit).map(|(said, _)| said.len()).sum();
        let found: usize = rows(&disk).values().map(BTreeMap::len).sum();
        assert_eq!(found, whole, "cut at {cut}");
        assert!(!report.has_loss(), "cut at {cut}: an end that was torn was never acknowledged: {report:?}");
    }
}

/// A page of zeros in the middle, and one at the end.
#[test]
fn pages_of_zeros() {
    let log = log(3, Compression::None);
    let (begin, end) = (PAGE_BYTES, 2 * PAGE_BYTES);
    let mut bytes = log.bytes.clone();
    bytes[begin..end].fill(0);
    let hit: Vec<bool> = log.extents.iter().map(|extent| extent.begin < end && begin < extent.end).collect();
    assert!(check("a page of zeros", &log, bytes, &hit) > 0);
    let mut bytes = log.bytes.clone();
    bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES) + PAGE_BYTES, 0);
    assert_eq!(check("a page of zeros at the end", &log, bytes, &vec![false; log.said.len()]), 0);
}

/// What the log has lost, the chunks of the head still have, and the other way round.
#[test]
fn one_has_what_the_other_lost() {
    let all: Vec<Labels> = (0..20u64).map(super::labels).collect();
    let numbered: Vec<(u64, &Labels)> =
        all.iter().enumerate().map(|(at, one)| (at as u64 + 1, one)).collect();
    let row = |number: u64, n: i64| (START_MS + n * 15_000, (number * 1000) as f64 + n as f64);
    let mut records = vec![(series(&numbered), Compression::None), (series(&numbered), Compression::None)];
    for n in 0..100 {
        let list: Vec<(u64, i64, f64)> = (1..=20)
            .map(|number| {
                let (t_ms, value) = row(number, n);
                (number, t_ms, value)
            })
            .collect();
        records.push((samples(&list), Compression::None));
    }
    let chunks: Vec<_> =
        (1..=20).map(|number| (number, false, (0..100).map(|n| row(number, n)).collect())).collect();
    let ((log, log_extents), (chunks, chunk_extents)) = (segment(&records), head_chunks(&chunks));
    let mut random = Random::new(11);
    for round in 0..rounds() / 3 {
        let (mut log, mut chunks) = (log.clone(), chunks.clone());
        let begin = log_extents[2].begin;
        let (in_log, in_chunks) = (
            begin + random.below((log.len() - begin) as u64) as usize,
            random.below(chunk_extents[19].end as u64) as usize,
        );
        if round % 3 != 0 {
            log[in_log] ^= 1 << random.below(8);
        }
        if round % 3 != 1 {
            chunks[in_chunks] ^= 1 << random.below(8);
        } else {
            chunks[in_chunks / 512 * 512..].iter_mut().take(512).for_each(|byte| *byte = 0);
        }
        // Without the log's samples only the chunks count.
        let alone = round % 5 == 4;
        if alone {
            log.truncate(begin);
        }
        let files =
            BTreeMap::from([("wal/00000000".to_owned(), log), ("chunks_head/000001".to_owned(), chunks)]);
        let disk = on_disk(1, &files);
        let report = import(&disk, &options()).unwrap();
        assert!(report.damaged_total > 0, "round {round}: bytes {in_log} and {in_chunks}");
        let found = rows(&disk);
        let mut count = 0;
        for (labels, rows) in &found {
            let number = all.iter().position(|one| one == labels).unwrap() as u64 + 1;
            for (t_ms, value) in rows {
                assert_eq!(*value, float(row(number, (t_ms - START_MS) / 15_000).1), "round {round}");
            }
            count += rows.len();
        }
        let least = match (alone, round % 3) {
            // Two chunks, of which a sector may lie across.
            (true, _) => 2000 - 500,
            // What is lost of both at once: a page of samples, in the chunks that are lost.
            (false, _) => 2000 - 300,
        };
        assert!(count >= least, "round {round}: {count} of 2000 kept, {report:?}");
    }
    assert!(disk_is_left_alone());
}

/// An import reads what is damaged and leaves the bytes as they are.
fn disk_is_left_alone() -> bool {
    let log = log(5, Compression::None);
    let mut bytes = log.bytes.clone();
    bytes[100] ^= 1;
    let disk = on_disk(1, &BTreeMap::from([("wal/00000000".to_owned(), bytes.clone())]));
    import(&disk, &options()).unwrap();
    disk.read(Path::new("/data/imported/00000001/wal/00000000")).unwrap() == bytes
}
