//! Cold blocks: any bytes in place of a file, or written over a part of one, with a checksum that is right or not: an error, a reported
//! loss, or no change. Reading, verifying and restoring never panic; without forged checksums nothing is read that was not written.
#![no_main]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kymo_chunk::{Encoding, HistogramAppender, XorAppender};
use kymo_model::{Histogram, Labels, Queryable, Samples, Selector, TimeRange, Values};
use kymo_testkit::SimDisk;
use kymo_tsdb::block::{Block, BlockChunk, BlockOrigin, BlockWriter, BlockWriterOptions, Ulid};
use kymo_tsdb::cold::{ColdBlock, ConvertOptions, convert, to_block, verify};

const FILES: [&str; 6] = ["columns", "times", "times-copy", "index", "tombstones", "meta.json"];

struct Pristine {
    dir: PathBuf,
    files: Vec<Vec<u8>>,
    rows: HashSet<(String, i64, u64)>,
}

/// Sixteen series of one target, every fourth of histograms.
fn pristine() -> &'static Pristine {
    static PRISTINE: OnceLock<Pristine> = OnceLock::new();
    PRISTINE.get_or_init(|| {
        let (disk, mut rows) = (SimDisk::new(1), HashSet::new());
        let (vfs, parent) = (disk.vfs(), Path::new("/data"));
        vfs.create_dir_all(parent).expect("a directory");
        let mut writer =
            BlockWriter::create(vfs.clone(), parent, Ulid::new(1, 1), BlockWriterOptions::default())
                .expect("a writer");
        for number in 0..16u64 {
            let value = format!("{number:02}");
            let labels = Labels::from_pairs([("__name__", "m"), ("number", value.as_str())]);
            let (mut floats, mut histograms) = (XorAppender::new(), HistogramAppender::new());
            for t_ms in 0..100 {
                let count = number + t_ms as u64;
                floats.push(t_ms * 1000, count as f64);
                let _ = histograms
                    .push(t_ms * 1000, &Histogram { count, zero_count: count, ..Histogram::default() });
                rows.insert((labels.to_string(), t_ms * 1000, (count as f64).to_bits()));
            }
            let (encoding, data) = match number % 4 {
                3 => (Encoding::Histogram, histograms.into_bytes()),
                _ => (Encoding::Xor, floats.into_bytes()),
            };
            writer
                .add_series(&labels, &[BlockChunk { min_ms: 0, max_ms: 99_000, encoding, data: &data }])
                .expect("a series");
        }
        let meta = writer.finish(BlockOrigin::default()).expect("a block");
        let block = Block::open(&*vfs, &parent.join(meta.ulid.to_string())).expect("a block");
        let options = ConvertOptions::default();
        let made =
            convert(&vfs, parent, Ulid::new(2, 2), &[block], options, &mut |_, _| ()).expect("a cold block");
        let dir = parent.join(format!("{}.cold", made.meta.expect("samples").ulid));
        let files = FILES.iter().map(|file| disk.read(&dir.join(file)).unwrap_or_default()).collect();
        Pristine { dir, files, rows }
    })
}

/// Makes the checksum right of the record that begins at an offset.
fn forge(file: &mut [u8], offset: usize) {
    let (mut length, mut at) = (0usize, offset);
    loop {
        let Some(byte) = file.get(at) else { return };
        length |= usize::from(byte & 0x7f) << (7 * (at - offset).min(4));
        at += 1;
        if byte & 0x80 == 0 || at > offset + 4 {
            break;
        }
    }
    let Some(end) = at.checked_add(length + 1).filter(|end| *end + 4 <= file.len()) else { return };
    let crc = crc32c::crc32c(&file[at..end]).to_be_bytes();
    file[end..end + 4].copy_from_slice(&crc);
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([how, place @ ..], bytes)) = data.split_first_chunk::<3>() else { return };
    let pristine = pristine();
    let damaged = usize::from(how % 8) % FILES.len();
    let forged = how & 0x10 != 0 && damaged < 3;
    let disk = SimDisk::new(1);
    for (number, (file, original)) in FILES.iter().zip(&pristine.files).enumerate() {
        let mut content = original.clone();
        if number == damaged && how & 8 == 0 {
            content = bytes.to_vec();
        } else if number == damaged {
            let at = usize::from(u16::from_be_bytes(*place)) % (content.len() + 1);
            let end = content.len().min(at + bytes.len());
            content[at..end].copy_from_slice(&bytes[..end - at]);
        }
        if number == damaged && forged {
            forge(&mut content, 8);
            forge(&mut content, usize::from(u16::from_be_bytes(*place)));
        }
        disk.put(&pristine.dir.join(file), content);
    }
    let vfs = disk.vfs();
    let Ok(block) = ColdBlock::open(&*vfs, &pristine.dir) else { return };
    let _ = verify(&block);
    let _ = to_block(
        &vfs,
        Path::new("/out"),
        Ulid::new(3, 3),
        &block,
        BlockWriterOptions::default(),
        &mut |_, _| (),
    );
    for range in [TimeRange::ALL, TimeRange::from_millis(20_000, 31_000)] {
        let Ok(set) = block.select(&Selector::new(Vec::new(), range)) else { return };
        for series in set.iter() {
            let (labels, mut reader, mut samples) =
                (series.labels().to_string(), series.reader(), Samples::new());
            while reader.read(&mut samples).unwrap_or(false) {
                assert!(samples.timestamps_ms.is_sorted_by(|a, b| a < b) || damaged < 3);
                for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                    let bits = match &samples.values {
                        Values::Floats(values) => values[at].to_bits(),
                        Values::Histograms(values) => values[at].count.to_bits(),
                    };
                    // Whole files of any bytes may have any checksum.
                    let known = pristine.rows.contains(&(labels.clone(), *t_ms, bits));
                    assert!(forged || how & 8 == 0 || known);
                }
            }
        }
    }
});
