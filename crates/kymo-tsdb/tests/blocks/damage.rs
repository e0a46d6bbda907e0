//! Damage: a flipped bit, zeros or a missing end in any file of a block is an error, a reported loss, or changes nothing; what
//! is read is never anything that was not written.

use std::path::{Path, PathBuf};

use kymo_chunk::{Encoding, XorAppender};
use kymo_model::{CancelToken, Queryable, Selector, TimeRange};
use kymo_testkit::{Random, SimDisk, report, setting};
use kymo_tsdb::block::{
    Block, BlockChunk, BlockOrigin, BlockStore, BlockStoreOptions, BlockWriter, Ulid, verify_block,
};

use crate::data::{Data, Rows, read_all, write};
use crate::{DATA, options};

/// What is done to a file.
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

/// Does each harm to a file again and again; `KYMO_DAMAGE_ROUNDS` says how often (340, a thousand for each file).
fn nothing_is_invented(file: &str) {
    let disk = SimDisk::new(1);
    let data = Data::mixed(4, 5);
    let meta = write(&disk, DATA, &data, 1, options());
    let dir = Path::new(DATA).join(meta.ulid.to_string());
    let mut random = Random::new(setting("KYMO_SEED", 42));
    let path: PathBuf = dir.join(file);
    let bytes = disk.read(&path).unwrap();
    for harm in [Harm::Bit, Harm::Zeros, Harm::Cut] {
        let mut tally = Tally::default();
        for _ in 0..setting("KYMO_DAMAGE_ROUNDS", 340) {
            let (damaged, at) = harm.done_to(&bytes, &mut random);
            let what = format!("{file}: {harm:?} at {at}");
            if damaged == bytes {
                continue;
            }
            disk.put(&path, damaged);
            tally.tried += 1;
            match survivors(&disk, &dir, &data, &what) {
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
        let Tally { tried, refused, reported, harmless, rows_kept } = tally;
        let percent = |part: usize, of: usize| 100.0 * part as f64 / of as f64;
        report(format_args!(
            "block, {file}, {harm:?}: {tried} tried, {:.1} % detected ({refused} refused, {reported} reported), {harmless} \
             harmless, {:.1} % of rows kept, 0 wrong",
            percent(refused + reported, tried),
            percent(rows_kept, tried * data.rows()),
        ));
        assert!(tried > 80 && refused + reported > 0, "{file}: {tried} tried");
        if file == "chunks/000001" {
            assert_eq!(harmless, 0, "every damaged chunk is noticed");
            assert!(harm != Harm::Bit || rows_kept > tried * data.rows() / 2, "{rows_kept} rows kept");
        }
    }
}

#[test]
fn of_the_index() {
    nothing_is_invented("index");
}

/// Where the symbols and the postings table of an index begin, and where the sections end, by its table of contents.
fn sections(index: &[u8]) -> (usize, usize, usize) {
    let contents = index.len() - 52;
    let offset = |at: usize| {
        u64::from_be_bytes(index[contents + 8 * at..contents + 8 * at + 8].try_into().unwrap()) as usize
    };
    (offset(0), offset(5), contents)
}

/// Symbols are there twice: the postings table has each name and value, too. So no bit in them costs a row.
#[test]
fn symbols_are_put_together_from_postings() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(4, 5);
    let meta = write(&disk, DATA, &data, 1, options());
    let dir = Path::new(DATA).join(meta.ulid.to_string());
    let path = dir.join("index");
    let bytes = disk.read(&path).unwrap();
    let (begin, _, _) = sections(&bytes);
    let length = u32::from_be_bytes(bytes[begin..begin + 4].try_into().unwrap()) as usize;
    for at in begin..begin + 4 + length + 4 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        disk.put(&path, damaged);
        let what = format!("byte {at}");
        let (block, kept) = survivors(&disk, &dir, &data, &what).expect("a block");
        assert_eq!(kept, data.rows(), "{what}");
        let (listed, _) = block.damage();
        assert!(listed[0].message.ends_with("nothing is missing"), "{what}: {listed:?}");
        let report = verify_block(&block).unwrap();
        assert_eq!(report.damage, listed, "{what}");
        assert_eq!(report.samples as usize, data.rows(), "{what}");
    }
}

/// Found by fuzzing: symbols with an empty one before them look as Prometheus may have written them, and name everything
/// otherwise. Only a checksum proves those.
#[test]
fn symbols_that_were_shifted_prove_nothing() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(4, 5);
    let meta = write(&disk, DATA, &data, 1, options());
    let dir = Path::new(DATA).join(meta.ulid.to_string());
    let mut bytes = disk.read(&dir.join("index")).unwrap();
    let body = sections(&bytes).0 + 4;
    let length = u32::from_be_bytes(bytes[body - 4..body].try_into().unwrap()) as usize;
    let count = u32::from_be_bytes(bytes[body..body + 4].try_into().unwrap()) + 1;
    bytes[body..body + 4].copy_from_slice(&count.to_be_bytes());
    bytes.copy_within(body + 4..body + length, body + 5);
    bytes[body + 4] = 0;
    disk.put(&dir.join("index"), bytes);
    let (block, kept) = survivors(&disk, &dir, &data, "shifted").expect("a block");
    assert!(kept == 0 && block.damage().1 > 0, "{kept} rows");
}

/// A block in which nothing can be named, because the postings table is damaged as well, costs its own samples: the answer has those of
/// the other, and says what is missing.
#[test]
fn a_block_without_names_is_left_out() {
    let disk = SimDisk::new(1);
    let data = Data::mixed(4, 5);
    let metas = [1, 2].map(|number| write(&disk, DATA, &data, number, options()));
    let path = Path::new(DATA).join(metas[1].ulid.to_string()).join("index");
    let mut bytes = disk.read(&path).unwrap();
    let (symbols, table, _) = sections(&bytes);
    bytes[symbols + 9] ^= 1;
    bytes[table + 9] ^= 1;
    disk.put(&path, bytes);
    let store = BlockStore::open(disk.vfs(), Path::new(DATA), BlockStoreOptions::default()).unwrap();
    assert!(store.refused().is_empty());
    let wanted = Selector::new(Vec::new(), TimeRange::ALL);
    let set = store.select(&wanted).unwrap();
    let warnings = set.warnings();
    let missing =
        format!("samples from {} to {} are missing", metas[1].min_time_ms, metas[1].max_time_ms - 1);
    assert!(warnings.len() == 1 && warnings[0].contains(&missing), "{warnings:?}");
    assert!(warnings[0].contains(&format!("{}, offset {symbols}", path.display())), "{warnings:?}");
    assert_eq!(
        read_all(&store, TimeRange::ALL),
        read_all(store.blocks()[0].plain().unwrap(), TimeRange::ALL)
    );
    let cancel = CancelToken::new();
    assert!(!store.label_names(&[], TimeRange::ALL, &cancel).unwrap().is_empty());
    assert!(!store.label_values("__name__", &[], TimeRange::ALL, &cancel).unwrap().is_empty());
    assert!(store.estimate(&wanted).unwrap().is_some_and(|found| found.series > 0));
    // Nothing is deleted from what cannot be read: it would come back with the names.
    let error = store.delete(&[], TimeRange::ALL).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    // A compaction puts it into quarantine.
    while store.compact(0, &mut |_| ()).unwrap().is_some() {}
    assert_eq!(store.blocks().len(), 1);
    assert!(disk.files().iter().any(|file| file.starts_with("/data/quarantine")));
}

#[test]
fn of_a_chunk_file() {
    nothing_is_invented("chunks/000001");
}

#[test]
fn of_the_tombstones() {
    nothing_is_invented("tombstones");
}

#[test]
fn of_the_description() {
    nothing_is_invented("meta.json");
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

/// Found by fuzzing: a chunk with a right checksum whose samples go back in time, or are not where the index has them, is left
/// out and told; whoever reads relies on the order.
#[test]
fn samples_out_of_order_behind_right_checksums() {
    let disk = SimDisk::new(1);
    let vfs = disk.vfs();
    vfs.create_dir_all(Path::new(DATA)).unwrap();
    let mut writer = BlockWriter::create(vfs, Path::new(DATA), Ulid::new(1, 0), options()).unwrap();
    let chunk = |times: &[i64]| {
        let mut chunk = XorAppender::new();
        times.iter().for_each(|t_ms| chunk.push(*t_ms, 1.0));
        chunk.into_bytes()
    };
    let chunks = [
        (1000, 2000, chunk(&[1000, 2000, 1500])),
        (3000, 4000, chunk(&[3000, 5000])),
        (6000, 7000, chunk(&[6000, 7000])),
    ];
    let borrowed = chunks.each_ref().map(|(min_ms, max_ms, data)| BlockChunk {
        min_ms: *min_ms,
        max_ms: *max_ms,
        encoding: Encoding::Xor,
        data,
    });
    let labels = kymo_model::Labels::from_pairs([("__name__", "m")]);
    writer.add_series(&labels, &borrowed).unwrap();
    let meta = writer.finish(BlockOrigin::default()).unwrap();
    let block = Block::open(&*disk.vfs(), &Path::new(DATA).join(meta.ulid.to_string())).unwrap();
    // The answer that misses them says so, and not only later ones.
    let set = block.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    assert_eq!(set.warnings(), Vec::<String>::new());
    let (mut reader, mut samples) = (set.series(0).reader(), kymo_model::Samples::new());
    assert!(reader.read(&mut samples).unwrap());
    assert_eq!(samples.timestamps_ms, [6000, 7000]);
    let warnings = set.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["damaged in 2 places", "samples from 1000 to 2000 are missing", "chunks/000001, offset 8)"] {
        assert!(warnings[0].contains(part), "{warnings:?}");
    }
    let (damage, total) = block.damage();
    assert_eq!(total, 2, "{damage:?}");
    assert!(damage[0].message.contains("samples in order from 1000 to 2000"), "{damage:?}");
}
