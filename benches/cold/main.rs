//! Cold blocks beside the blocks they were made of: bytes and nanoseconds per sample, of the same samples, in one run; the same queries
//! over both. Asserts that both give the same samples to the bit, and that the cold block becomes the same block again.
//!
//! `cargo bench -p kymo-benches --bench cold`. Times are CPU time of the thread, the best of several rounds, so that other work on
//! the machine disturbs little. `KYMO_COLD_PEERS=all` (or `victoria`, `prometheus`) pushes the same samples to those that are
//! installed, and measures their directories. `KYMO_COLD_HOUR` and `KYMO_COLD_DAY` are numbers of instances (20 and 3).

mod fleet;
#[path = "../peers/http.rs"]
#[allow(dead_code)]
mod http;
#[path = "../peers/server.rs"]
#[allow(dead_code)]
mod server;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use fleet::{Fleet, Kind, START_MS};
use kymo_chunk::cold::{decode_values, encode_values};
use kymo_chunk::{Encoding, XorAppender, decode};
use kymo_model::{Matcher, Queryable, Samples, Selector, TimeRange, Values};
use kymo_remote::RequestEncoder;
use kymo_tsdb::block::{Block, BlockChunk, BlockOrigin, BlockWriter, BlockWriterOptions, Ulid};
use kymo_tsdb::cold::{ColdBlock, ConvertOptions, convert, to_block};
use kymo_tsdb::{OsVfs, Vfs};

const CHUNK_SAMPLES: usize = 120;

/// Nanoseconds that this thread has used.
fn cpu_ns() -> u64 {
    // Linux adds them up at ticks and when a thread gives way.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux's /proc");
    stat.split(' ').next().and_then(|number| number.parse().ok()).expect("nanoseconds")
}

/// The best of some rounds, in nanoseconds.
fn best(rounds: usize, mut work: impl FnMut()) -> f64 {
    let mut round = |()| {
        let from = cpu_ns();
        work();
        cpu_ns() - from
    };
    // What is short is done again, as other work on the machine leaves few rounds alone.
    let (mut best, mut total, mut done) = (u64::MAX, 0, 0);
    while done < rounds || (done < 50 * rounds && total < 200_000_000 && rounds > 1) {
        let took = round(());
        (best, total, done) = (best.min(took), total + took, done + 1);
    }
    best as f64
}

fn main() {
    let instances = |name: &str, default| {
        std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
    };
    run("an hour", instances("KYMO_COLD_HOUR", 20), 240);
    run("a day", instances("KYMO_COLD_DAY", 3), 5760);
}

fn run(name: &str, instances: usize, scrapes: usize) {
    if instances == 0 {
        return;
    }
    let fleet = Fleet::scraped(instances, scrapes);
    let samples = (fleet.members.len() * scrapes) as f64;
    println!("{name}: {} series, {samples} samples", fleet.members.len());
    let dir = std::env::temp_dir().join(format!("kymo-cold-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);

    columns(&fleet);
    let block = write_block(&fleet, &vfs, &dir);
    let mut made = None;
    let converting = best(1, || {
        let blocks = std::slice::from_ref(&block);
        made = Some(convert(&vfs, &dir, Ulid::new(2, 0), blocks, ConvertOptions::default(), &mut |_, _| ()));
    });
    let meta = made.expect("converted").expect("a cold block").meta.expect("samples");
    let cold = ColdBlock::open(&OsVfs, &dir.join(format!("{}.cold", meta.ulid))).expect("a cold block");
    let mut parts = String::new();
    for file in ["index", "columns", "times", "times-copy"] {
        let bytes = std::fs::metadata(cold.dir().join(file)).map_or(0, |metadata| metadata.len());
        parts.push_str(&format!("  {file} {:.3}", bytes as f64 / samples));
    }
    let (before, after) = (block.size_bytes() as f64 / samples, cold.size_bytes() as f64 / samples);
    println!(
        "  bytes per sample: block {before:.3}, cold {after:.3} ({:.2}x smaller):{parts}",
        before / after
    );
    println!("  converted and verified in {:.0} ns per sample", converting / samples);

    let back = to_block(&vfs, &dir, Ulid::new(3, 0), &cold, BlockWriterOptions::default(), &mut |_, _| ());
    let back = Block::open(&OsVfs, &dir.join(back.expect("a block").meta.expect("samples").ulid.to_string()));
    assert_eq!(scan(&cold, &[], TimeRange::ALL), scan(&block, &[], TimeRange::ALL), "not the same samples");
    assert_eq!(scan(&back.expect("a block"), &[], TimeRange::ALL), scan(&block, &[], TimeRange::ALL));
    queries(&block, &cold, scrapes);
    let _ = std::fs::remove_dir_all(&dir);
    if let Ok(wanted) = std::env::var("KYMO_COLD_PEERS") {
        peers(&fleet, scrapes, &wanted);
    }
}

/// Columns of values against XOR chunks, by class of series: one table, no files.
fn columns(fleet: &Fleet) {
    println!(
        "  {:<10} {:>9} {:>9} {:>11} {:>11} {:>11}",
        "values", "XOR B", "cold B", "XOR ns", "cold ns", "encode ns"
    );
    for (class, name) in Kind::CLASSES.iter().enumerate() {
        let members: Vec<_> =
            fleet.members.iter().filter(|member| member.kind.class() == class).take(300).collect();
        let (mut chunks, mut columns) = (Vec::new(), Vec::new());
        for member in &members {
            for (times, values) in
                fleet.times[member.instance].chunks(CHUNK_SAMPLES).zip(member.values.chunks(CHUNK_SAMPLES))
            {
                chunks.push(xor(times, values));
            }
            columns.extend(member.values.chunks(1440).map(|values| {
                let mut column = Vec::new();
                encode_values(values, &mut column);
                (column, values)
            }));
        }
        let samples = members.iter().map(|member| member.values.len()).sum::<usize>() as f64;
        let (mut timestamps_ms, mut read) = (Vec::new(), Vec::new());
        let with_xor = best(7, || {
            for chunk in &chunks {
                timestamps_ms.clear();
                read.clear();
                decode(black_box(chunk), &mut timestamps_ms, &mut read).expect("a chunk just written");
            }
        });
        let with_cold = best(7, || {
            for (column, values) in &columns {
                read.clear();
                decode_values(black_box(column), 0..values.len(), &mut read).expect("a column just written");
            }
        });
        for (column, values) in &columns {
            read.clear();
            decode_values(column, 0..values.len(), &mut read).expect("a column just written");
            assert!(read.iter().zip(*values).all(|(read, value)| read.to_bits() == value.to_bits()));
        }
        let encoding = best(3, || {
            let mut column = Vec::new();
            for (_, values) in &columns {
                column.clear();
                encode_values(black_box(values), &mut column);
            }
        });
        println!(
            "  {name:<10} {:>9.3} {:>9.3} {:>11.2} {:>11.2} {:>11.1}",
            chunks.iter().map(Vec::len).sum::<usize>() as f64 / samples,
            columns.iter().map(|(column, _)| column.len()).sum::<usize>() as f64 / samples,
            with_xor / samples,
            with_cold / samples,
            encoding / samples
        );
    }
}

fn xor(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut chunk = XorAppender::new();
    times.iter().zip(values).for_each(|(t_ms, value)| chunk.push(*t_ms, *value));
    chunk.into_bytes()
}

fn write_block(fleet: &Fleet, vfs: &Arc<dyn Vfs>, dir: &Path) -> Block {
    let mut writer = BlockWriter::create(vfs.clone(), dir, Ulid::new(1, 0), BlockWriterOptions::default())
        .expect("a block");
    for member in &fleet.members {
        let times = &fleet.times[member.instance];
        let parts = || times.chunks(CHUNK_SAMPLES).zip(member.values.chunks(CHUNK_SAMPLES));
        let data: Vec<Vec<u8>> = parts().map(|(times, values)| xor(times, values)).collect();
        let chunks: Vec<BlockChunk<'_>> = parts()
            .zip(&data)
            .map(|((times, _), data)| BlockChunk {
                min_ms: times[0],
                max_ms: times[times.len() - 1],
                encoding: Encoding::Xor,
                data,
            })
            .collect();
        writer.add_series(&member.labels, &chunks).expect("a series");
    }
    let meta = writer.finish(BlockOrigin::default()).expect("a block");
    Block::open(&**vfs, &dir.join(meta.ulid.to_string())).expect("a block")
}

/// Reads all samples of a select: how many, and a sum of all bits.
fn scan(store: &dyn Queryable, matchers: &[Matcher], range: TimeRange) -> (usize, u64) {
    let set = store.select(&Selector::new(matchers.to_vec(), range)).expect("a select");
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
    let (mut samples, mut count, mut sum) = (Samples::new(), 0, 0u64);
    for series in set.iter() {
        let mut reader = series.reader();
        while reader.read(&mut samples).expect("samples") {
            let Values::Floats(values) = &samples.values else { panic!("expected floats") };
            count += values.len();
            for (t_ms, value) in samples.timestamps_ms.iter().zip(values) {
                sum = sum.wrapping_add(value.to_bits() ^ *t_ms as u64);
            }
        }
    }
    (count, sum)
}

fn queries(block: &Block, cold: &ColdBlock, scrapes: usize) {
    let end_ms = START_MS + scrapes as i64 * 15_000;
    let last = |minutes: i64| TimeRange::from_millis(end_ms - minutes * 60_000, end_ms);
    let cpu = || vec![Matcher::equal("__name__", "node_cpu_seconds_total")];
    for (name, matchers, range) in [
        ("all of it", Vec::new(), TimeRange::ALL),
        ("one name", cpu(), TimeRange::ALL),
        ("one name, last 30 min", cpu(), last(30)),
        ("everything, last 5 min", Vec::new(), last(5)),
        ("reals", vec![Matcher::equal("__name__", "app_signal_level")], TimeRange::ALL),
    ] {
        let (count, _) = scan(block, &matchers, range);
        assert_eq!(
            scan(cold, &matchers, range),
            scan(block, &matchers, range),
            "{name}: not the same samples"
        );
        let plain = best(5, || _ = black_box(scan(block, &matchers, range)));
        let frozen = best(5, || _ = black_box(scan(cold, &matchers, range)));
        println!(
            "  {name:<24} {count:>10} samples: block {:>7.2} ns per sample, cold {:>7.2} ({:.2}x the time)",
            plain / count as f64,
            frozen / count as f64,
            frozen / plain
        );
    }
}

/// The same samples by remote write, scrape by scrape, and what is on disk then.
fn peers(fleet: &Fleet, scrapes: usize, wanted: &str) {
    let samples = (fleet.members.len() * scrapes) as f64;
    let chosen = |kind: &server::Kind| wanted == "all" || wanted == kind.name();
    for kind in server::installed_peers().into_iter().filter(chosen) {
        let server = server::Server::start(&kind);
        let mut request = RequestEncoder::new();
        for scrape in 0..scrapes {
            for members in fleet.members.chunks(2000) {
                request.clear();
                for member in members {
                    request.series(
                        &member.labels,
                        &[(fleet.times[member.instance][scrape], member.values[scrape])],
                    );
                }
                server.write(&request.to_snappy());
            }
        }
        if let server::Kind::VictoriaMetrics = kind {
            let flushed = http::get(server.port, "/internal/force_flush");
            assert!(flushed.is_ok_and(|reply| reply.status == 200), "cannot flush");
            // Parts are merged behind the answer; kymo's files do not grow smaller by waiting.
            std::thread::sleep(std::time::Duration::from_secs(20));
        }
        println!(
            "  {}: {:.3} bytes per sample in its directory",
            kind.name(),
            server.disk_bytes("data") as f64 / samples
        );
    }
}
