//! Damage: a flipped bit, zeros or a missing end in any file of a cold block is an error, a reported loss, or changes nothing; what is
//! read is never anything that was not written. One column is lost at most where one byte is damaged, and no timestamps that are
//! kept twice.

use std::collections::BTreeMap;
use std::path::Path;

use kymo_model::{Labels, Queryable, Selector, TimeRange};
use kymo_testkit::{Random, SimDisk, report, setting};
use kymo_tsdb::cold::{ColdBlock, verify};

use crate::data::{Data, Rows, read_all, write};
use crate::{DATA, cold, options, scraped};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Bit,
    Zeros,
    Cut,
}

impl Harm {
    fn done_to(self, bytes: &[u8], random: &mut Random) -> (Vec<u8>, usize) {
        let (mut damaged, at) = (bytes.to_vec(), random.below(bytes.len() as u64) as usize);
        match self {
            Harm::Bit => damaged[at] ^= 1 << random.below(8),
            Harm::Zeros => {
                let end = damaged.len().min(at + 512);
                damaged[at..end].fill(0);
            }
            Harm::Cut => damaged.truncate(at),
        }
        (damaged, at)
    }
}

/// The rows that are left of a cold block, if it can be opened; asserts that none was invented.
fn survivors(
    disk: &SimDisk,
    dir: &Path,
    wanted: &BTreeMap<Labels, Rows>,
    what: &str,
) -> Option<(ColdBlock, usize)> {
    let block = ColdBlock::open(&*disk.vfs(), dir).ok()?;
    block.select(&Selector::new(Vec::new(), TimeRange::ALL)).ok()?;
    let (mut kept, empty) = (0, Rows::new());
    for (labels, rows) in read_all(&block, TimeRange::ALL) {
        let wanted = wanted.get(&labels).unwrap_or(&empty);
        for (t_ms, value) in &rows {
            assert_eq!(wanted.get(t_ms), Some(value), "{what}: {labels} at {t_ms}");
        }
        kept += rows.len();
    }
    Some((block, kept))
}

/// Does each harm to a file again and again; `KYMO_DAMAGE_ROUNDS` says how often (340, a thousand for each file).
fn nothing_is_invented(file: &str, data: &Data) {
    let disk = SimDisk::new(1);
    let meta = write(&disk, DATA, data, 1, options());
    let dir = cold(&disk, &[&meta], 2).dir().to_owned();
    let mut random = Random::new(setting("KYMO_SEED", 42));
    let wanted = data.all();
    let longest = wanted.values().map(|rows| rows.len()).max().unwrap_or(0);
    let path = dir.join(file);
    let bytes = disk.read(&path).unwrap();
    for harm in [Harm::Bit, Harm::Zeros, Harm::Cut] {
        let (mut tried, mut refused, mut reported, mut kept_rows) = (0, 0, 0, 0);
        for _ in 0..setting("KYMO_DAMAGE_ROUNDS", 340) {
            let (damaged, at) = harm.done_to(&bytes, &mut random);
            let what = format!("{file}: {harm:?} at {at}");
            if damaged == bytes {
                continue;
            }
            disk.put(&path, damaged);
            tried += 1;
            let Some((block, kept)) = survivors(&disk, &dir, &wanted, &what) else {
                refused += 1;
                continue;
            };
            kept_rows += kept;
            let told = block.damage().1 > 0 || verify(&block).map_or(true, |report| !report.is_sound());
            reported += usize::from(told);
            // meta.json has no checksum: there a number may be another one.
            assert!(told || kept == data.rows() || file == "meta.json", "{what}: lost without a word");
            if harm == Harm::Bit && file == "columns" {
                assert!(kept + longest >= data.rows(), "{what}: more than a column was lost");
            }
            if file.starts_with("times") {
                assert_eq!(kept, data.rows(), "{what}: there is a copy");
            }
        }
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        report(format_args!(
            "cold block, {file}, {harm:?}: {tried} tried, {:.1} % detected ({refused} refused, {reported} reported), \
             {:.1} % of rows kept, 0 wrong",
            percent(refused + reported, tried),
            percent(kept_rows, tried * data.rows()),
        ));
        assert!(tried > 80 && refused + reported > 0, "{file}: {tried} tried");
        if file == "columns" || file.starts_with("times") {
            assert_eq!(refused + reported, tried, "{file}, {harm:?}: every damage is noticed");
        }
    }
}

#[test]
fn of_the_columns() {
    nothing_is_invented("columns", &Data::mixed(4, 8));
    nothing_is_invented("columns", &scraped::data(4, 1, 9, 150));
}

#[test]
fn of_the_timestamps() {
    nothing_is_invented("times", &scraped::data(4, 1, 16, 150));
    nothing_is_invented("times-copy", &scraped::data(4, 1, 16, 150));
}

#[test]
fn of_the_index() {
    nothing_is_invented("index", &Data::mixed(4, 5));
}

#[test]
fn of_the_tombstones() {
    nothing_is_invented("tombstones", &Data::mixed(4, 5));
}

#[test]
fn of_the_description() {
    nothing_is_invented("meta.json", &Data::mixed(4, 5));
}

/// Random bytes as each file in turn: an error or a smaller answer, never a panic.
#[test]
fn any_bytes() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(4, 6);
    let meta = write(&disk, DATA, &data, 1, options());
    let dir = cold(&disk, &[&meta], 2).dir().to_owned();
    let mut random = Random::new(7);
    for file in ["index", "columns", "times", "tombstones", "meta.json"] {
        let path = dir.join(file);
        let bytes = disk.read(&path).unwrap();
        for _ in 0..50 {
            let (length, kept) = (random.below(400), random.below(bytes.len() as u64) as usize);
            let mut noise = bytes[..kept].to_vec();
            noise.extend((0..length).map(|_| random.next() as u8));
            disk.put(&path, noise);
            survivors(&disk, &dir, &data.all(), file);
        }
        disk.put(&path, bytes);
    }
}

/// Damage is told with its file and offset, in the warnings of selects, too.
#[test]
fn it_is_told_where() {
    let disk = SimDisk::new(1);
    let data = scraped::data(4, 1, 6, 100);
    let meta = write(&disk, DATA, &data, 1, options());
    let dir = cold(&disk, &[&meta], 2).dir().to_owned();
    disk.flip(&dir.join("columns"), 12, 1).unwrap();
    let block = ColdBlock::open(&*disk.vfs(), &dir).unwrap();
    assert_eq!(read_all(&block, TimeRange::ALL).len(), 5);
    let (listed, total) = block.damage();
    assert_eq!((listed[0].file.as_path(), listed[0].offset, total), (dir.join("columns").as_path(), 8, 1));
    assert!(listed[0].message.starts_with("expected checksum "), "{}", listed[0].message);
    let warned = block.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    assert!(warned.warnings()[0].contains("columns, offset 8"), "{:?}", warned.warnings());
}
