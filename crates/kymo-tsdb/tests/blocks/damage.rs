//! Damage: a flipped bit, zeros or a missing end in any file of a block is an error, a reported loss, or changes nothing; what
//! is read is never anything that was not written.

use std::path::{Path, PathBuf};

use kymo_model::TimeRange;
use kymo_testkit::{Random, SimDisk};
use kymo_tsdb::block::{Block, verify_block};

use crate::data::{Data, Rows, read_all, write};
use crate::{DATA, options};

/// What came of damage.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    /// The block was refused.
    refused: usize,
    /// Reading it, or verifying it, said something.
    reported: usize,
    /// Nothing was said, and all was as before.
    harmless: usize,
    rows_kept: usize,
}

/// The rows that are left of a block, if it can be opened; asserts that none was invented.
fn survivors(disk: &SimDisk, dir: &Path, data: &Data, what: &str) -> Option<(Block, usize)> {
    let block = Block::open(&*disk.vfs(), dir).ok()?;
    let set =
        kymo_model::Queryable::select(&block, &kymo_model::Selector::new(Vec::new(), TimeRange::ALL)).ok()?;
    drop(set);
    let (wanted, empty) = (data.all(), Rows::new());
    let mut kept = 0;
    for (labels, rows) in read_all(&block, TimeRange::ALL) {
        let wanted = wanted.get(&labels).unwrap_or(&empty);
        for (t_ms, value) in &rows {
            assert_eq!(wanted.get(t_ms), Some(value), "{what}: {labels} at {t_ms}");
        }
        kept += rows.len();
    }
    Some((block, kept))
}

#[test]
fn nothing_is_invented() {
    let pristine = SimDisk::new(1);
    let data = Data::mixed(4, 16);
    let meta = write(&pristine, DATA, &data, 1, options());
    let dir = Path::new(DATA).join(meta.ulid.to_string());
    let mut random = Random::new(42);
    for file in ["index", "chunks/000001", "tombstones", "meta.json"] {
        let path: PathBuf = dir.join(file);
        let bytes = pristine.read(&path).unwrap();
        let mut tally = Tally::default();
        for case in 0..100 {
            let at = random.below(bytes.len() as u64) as usize;
            let mut damaged = bytes.clone();
            let what = match case % 4 {
                0 | 1 => {
                    damaged[at] ^= 1 << random.below(8);
                    format!("{file}: a bit at {at}")
                }
                2 => {
                    let end = damaged.len().min(at + 512);
                    damaged[at..end].fill(0);
                    format!("{file}: zeros at {at}")
                }
                _ => {
                    damaged.truncate(at);
                    format!("{file}: cut at {at}")
                }
            };
            if damaged == bytes {
                continue;
            }
            pristine.put(&path, damaged);
            tally.tried += 1;
            match survivors(&pristine, &dir, &data, &what) {
                None => tally.refused += 1,
                Some((block, kept)) => {
                    tally.rows_kept += kept;
                    let reported = block.damage().1 > 0
                        || verify_block(&block).map_or(true, |report| !report.is_sound());
                    tally.reported += usize::from(reported);
                    tally.harmless += usize::from(!reported && kept == data.rows());
                    // meta.json has no checksum: there a number may be another one.
                    assert!(
                        reported || kept == data.rows() || file == "meta.json",
                        "{what}: lost without a word"
                    );
                }
            }
        }
        pristine.put(&path, bytes);
        println!("{file}: {tally:?} of {} rows each", data.rows());
        assert!(tally.tried > 80 && tally.refused + tally.reported > 0, "{file}: {tally:?}");
        if file == "chunks/000001" {
            assert_eq!(tally.harmless, 0, "every damaged chunk is noticed");
            assert!(tally.rows_kept > tally.tried * data.rows() / 3, "{tally:?}");
        }
    }
}

/// Random bytes as each file in turn: an error or an empty answer, never a panic.
#[test]
fn any_bytes() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(4, 6);
    let meta = write(&disk, DATA, &data, 1, options());
    let dir = Path::new(DATA).join(meta.ulid.to_string());
    let mut random = Random::new(7);
    for file in ["index", "chunks/000001", "tombstones", "meta.json"] {
        let path = dir.join(file);
        let bytes = disk.read(&path).unwrap();
        for _ in 0..50 {
            let length = random.below(400) as usize;
            let kept = random.below(bytes.len() as u64) as usize;
            let mut noise = bytes[..kept].to_vec();
            noise.extend((0..length).map(|_| random.next() as u8));
            disk.put(&path, noise);
            survivors(&disk, &dir, &data, file);
        }
        disk.put(&path, bytes);
    }
}
