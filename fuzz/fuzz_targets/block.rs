//! Blocks: any bytes in place of a file of a block, or written over a part of one, are an error, a reported loss, or change
//! nothing; reading and verifying never panic, and answers hold nothing that was not written.
#![no_main]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kymo_chunk::{Encoding, HistogramAppender, XorAppender};
use kymo_model::{
    CancelToken, Histogram, Labels, MatchOp, Matcher, Queryable, Samples, Selector, TimeRange, Values,
};
use kymo_testkit::SimDisk;
use kymo_tsdb::block::{Block, BlockChunk, BlockOrigin, BlockWriter, BlockWriterOptions, Ulid, verify_block};

const FILES: [&str; 4] = ["index", "chunks/000001", "tombstones", "meta.json"];

struct Pristine {
    dir: PathBuf,
    files: Vec<Vec<u8>>,
    rows: HashSet<(String, i64, u64)>,
}

/// Ten series, every third of histograms.
fn pristine() -> &'static Pristine {
    static PRISTINE: OnceLock<Pristine> = OnceLock::new();
    PRISTINE.get_or_init(|| {
        let (disk, mut rows) = (SimDisk::new(1), HashSet::new());
        let (vfs, parent) = (disk.vfs(), Path::new("/data"));
        vfs.create_dir_all(parent).expect("a directory");
        let mut writer = BlockWriter::create(vfs, parent, Ulid::new(1, 1), BlockWriterOptions::default())
            .expect("a writer");
        for number in 0..10u64 {
            let value = number.to_string();
            let labels = Labels::from_pairs([("__name__", "m"), ("number", value.as_str())]);
            let (mut floats, mut histograms) = (XorAppender::new(), HistogramAppender::new());
            for t_ms in 0..20 {
                let count = number + t_ms as u64;
                floats.push(t_ms * 1000, count as f64);
                let _ = histograms
                    .push(t_ms * 1000, &Histogram { count, zero_count: count, ..Histogram::default() });
                rows.insert((labels.to_string(), t_ms * 1000, (count as f64).to_bits()));
            }
            let (encoding, data) = match number % 3 {
                0 => (Encoding::Histogram, histograms.into_bytes()),
                _ => (Encoding::Xor, floats.into_bytes()),
            };
            writer
                .add_series(&labels, &[BlockChunk { min_ms: 0, max_ms: 19_000, encoding, data: &data }])
                .expect("a series");
        }
        let meta = writer.finish(BlockOrigin::default()).expect("a block");
        let dir = parent.join(meta.ulid.to_string());
        let files = FILES.iter().map(|file| disk.read(&dir.join(file)).expect("a file")).collect();
        Pristine { dir, files, rows }
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(([how, place @ ..], bytes)) = data.split_first_chunk::<3>() else { return };
    let pristine = pristine();
    let damaged = usize::from(how % 4);
    let disk = SimDisk::new(1);
    for (number, (file, original)) in FILES.iter().zip(&pristine.files).enumerate() {
        let mut content = original.clone();
        if number == damaged && how & 4 == 0 {
            content = bytes.to_vec();
        } else if number == damaged {
            let at = usize::from(u16::from_be_bytes(*place)) % (content.len() + 1);
            let end = content.len().min(at + bytes.len());
            content[at..end].copy_from_slice(&bytes[..end - at]);
        }
        disk.put(&pristine.dir.join(file), content);
    }
    let Ok(block) = Block::open(&*disk.vfs(), &pristine.dir) else { return };
    let _ = verify_block(&block);
    let matchers = [Matcher::new(MatchOp::Regex, "number", "[1-5]|x.*").expect("a regex")];
    let _ = block.label_values("number", &matchers, TimeRange::ALL, &CancelToken::new());
    for matchers in [&matchers[..], &[]] {
        let Ok(set) = block.select(&Selector::new(matchers.to_vec(), TimeRange::ALL)) else { return };
        for series in set.iter() {
            let (labels, mut reader, mut samples) =
                (series.labels().to_string(), series.reader(), Samples::new());
            while reader.read(&mut samples).unwrap_or(false) {
                for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                    let bits = match &samples.values {
                        Values::Floats(values) => values[at].to_bits(),
                        Values::Histograms(values) => values[at].count.to_bits(),
                    };
                    // Checksums can be forged by a fuzzer, though not soon.
                    assert!(how & 4 == 0 || pristine.rows.contains(&(labels.clone(), *t_ms, bits)));
                }
            }
        }
    }
});
