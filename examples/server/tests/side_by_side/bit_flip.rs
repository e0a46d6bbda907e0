//! One bit flips in one file of a data directory that is not in use; then the server is started, and all samples are asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kymo_model::{Append, Batch, Labels, Timestamp};
use kymo_remote::RequestEncoder;
use kymo_tsdb::{Db, Options};

use crate::peers::*;
use crate::system::{Rows, System, complaints};

const SERIES: usize = 20;
const SAMPLES: usize = 500;
const INTERVAL_MS: i64 = 5000;

/// A directory, what it holds, and the files that are damaged, by kind: a part of their path.
struct Directory {
    data: PathBuf,
    kinds: &'static [&'static str],
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "pushed"), ("s", &*series.to_string())])
}

fn value(series: usize, sample: usize) -> f64 {
    (series * 100_000 + sample * 37) as f64 / 100.0
}

fn time_ms(end_ms: i64, sample: usize) -> i64 {
    end_ms - (SAMPLES - sample) as i64 * INTERVAL_MS
}

fn rows(end_ms: i64) -> Rows {
    let sample =
        |series: usize, sample: usize| ((series.to_string(), time_ms(end_ms, sample)), value(series, sample));
    (0..SERIES).flat_map(|series| (0..SAMPLES).map(move |index| sample(series, index))).collect()
}

/// The samples pushed into a server, which then ends by this signal.
fn pushed(system: System, dir: &Path, end_ms: i64, signal: &str) -> PathBuf {
    let data = dir.join(format!("pushed-{signal}"));
    let mut server = system.start(dir, &data, None);
    assert!(system.comes_up(&mut server), "{system}: {}", server.log());
    for samples in (0..SAMPLES).collect::<Vec<_>>().chunks(10) {
        let mut request = RequestEncoder::new();
        for series in 0..SERIES {
            let samples: Vec<(i64, f64)> =
                samples.iter().map(|sample| (time_ms(end_ms, *sample), value(series, *sample))).collect();
            request.series(&labels(series), &samples);
        }
        let answer = push(server.port, &request).expect("an answer");
        assert_eq!(answer.status / 100, 2, "{system}: {}", answer.text());
    }
    server.signal(signal);
    server.child.wait().expect("the process is ours");
    data
}

/// The directories of a system, with the kinds of files to damage in each.
fn directories(system: System, dir: &Path, end_ms: i64) -> Vec<Directory> {
    match system {
        System::Kymo => {
            let data = dir.join("checkpoint");
            let db = Db::open(&data, Options::default()).expect("a new database");
            for sample in 0..SAMPLES {
                if sample == SAMPLES * 9 / 10 {
                    db.checkpoint().expect("a checkpoint");
                }
                let mut batch = Batch::new();
                for series in 0..SERIES {
                    let time = Timestamp::from_millis(time_ms(end_ms, sample));
                    batch.push(labels(series), time, value(series, sample));
                }
                assert!(db.append(&batch).expect("written").refused.is_empty());
            }
            db.close().expect("closed");
            vec![
                Directory { data: pushed(system, dir, end_ms, "KILL"), kinds: &["wal/"] },
                Directory { data, kinds: &["checkpoint/", "chunks/"] },
            ]
        }
        System::Prometheus => {
            let (data, text) = (dir.join("block"), dir.join("block.txt"));
            let mut lines = String::from("# TYPE pushed gauge\n");
            for ((series, t_ms), value) in rows(end_ms) {
                lines.push_str(&format!("pushed{{s=\"{series}\"}} {value} {}\n", t_ms as f64 / 1000.0));
            }
            fs::write(&text, lines + "# EOF\n").expect("a file in a temporary directory");
            let made = Command::new("promtool")
                .args(["tsdb", "create-blocks-from", "openmetrics"])
                .args([&text, &data])
                .output()
                .expect("promtool comes with prometheus");
            assert!(made.status.success(), "{made:?}");
            vec![
                Directory { data: pushed(system, dir, end_ms, "KILL"), kinds: &["wal/"] },
                Directory { data, kinds: &["/chunks/", "/index", "/meta.json"] },
            ]
        }
        System::VictoriaMetrics => vec![Directory {
            data: pushed(system, dir, end_ms, "TERM"),
            kinds: &[
                "/timestamps.bin",
                "/values.bin",
                "data/small/*/index.bin",
                "/metaindex.bin",
                "/items.bin",
            ],
        }],
    }
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![dir.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files_under(from) {
        let target = to.join(file.strip_prefix(from).expect("it is in there"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("a new folder");
        fs::copy(&file, &target).expect("a copy");
    }
}

/// Is a file of a kind? A star stands for anything.
fn is_of_kind(path: &Path, kind: &str) -> bool {
    let path = format!("/{}", path.display());
    let mut rest = &*path;
    kind.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// What a start found.
struct Found {
    starts: bool,
    whole_query: bool,
    complaints: usize,
    rows: Rows,
}

fn look(system: System, dir: &Path, data: &Path, end_ms: i64) -> Found {
    let mut server = system.start(dir, data, None);
    let mut starts = system.comes_up(&mut server);
    if !starts && server.log().contains("address already in use") {
        // Another program of this machine has taken the port meanwhile.
        server = system.start(dir, data, None);
        starts = system.comes_up(&mut server);
    }
    let mut found = Found { starts, whole_query: false, complaints: 0, rows: Rows::new() };
    if found.starts {
        match system.rows(server.port, "pushed", end_ms) {
            Some(rows) => (found.whole_query, found.rows) = (true, rows),
            // One query that fails is not the end: series by series.
            None => {
                for series in 0..SERIES {
                    let selector = format!("pushed{{s=\"{series}\"}}");
                    found.rows.extend(system.rows(server.port, &selector, end_ms).unwrap_or_default());
                }
            }
        }
    }
    found.complaints = complaints(&server.log());
    assert!(found.starts || system != System::Kymo, "kymo does not start: {}", server.log());
    found
}

#[derive(Default)]
struct Counts {
    detected: usize,
    starts: usize,
    whole_queries: usize,
    kept: usize,
    kept_least: usize,
    wrong: usize,
    silent_loss: usize,
}

pub(crate) fn run(system: System) {
    let rounds: usize =
        std::env::var("KYMO_SIDE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let end_ms = now_ms() / 1000 * 1000 - 5000;
    let expected = rows(end_ms);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |end: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % end
    };
    for Directory { data, kinds } in directories(system, dir.path(), end_ms) {
        let trial = |number: String, flip: Option<(&Path, usize, u8)>| {
            let trial = dir.path().join(number);
            fs::create_dir(&trial).expect("a new folder");
            copy(&data, &trial.join("data"));
            if let Some((file, at, mask)) = flip {
                let file = trial.join("data").join(file.strip_prefix(&data).expect("it is in there"));
                let mut bytes = fs::read(&file).expect("a file");
                bytes[at] ^= mask;
                fs::write(&file, bytes).expect("written");
            }
            let found = look(system, &trial, &trial.join("data"), end_ms);
            fs::remove_dir_all(&trial).expect("it is ours");
            found
        };
        let whole = trial("whole".to_owned(), None);
        assert!(
            whole.rows == expected,
            "{system} undamaged: {} of {} rows",
            whole.rows.len(),
            expected.len()
        );
        for kind in kinds {
            let inside = |file: &PathBuf| is_of_kind(file.strip_prefix(&data).expect("it is in there"), kind);
            let files: Vec<_> = files_under(&data).into_iter().filter(inside).collect();
            let sized = |file: &Path| fs::metadata(file).map_or(0, |found| found.len() as usize);
            let files: Vec<_> = files.into_iter().filter(|file| sized(file) > 0).collect();
            if files.is_empty() {
                report(format_args!("{system}, {kind}: no such file"));
                continue;
            }
            let mut counts = Counts { kept_least: expected.len(), ..Counts::default() };
            for number in 0..rounds {
                let file = &files[below(files.len())];
                let flip = (file.as_path(), below(sized(file)), 1u8 << below(8));
                let found = trial(number.to_string(), Some(flip));
                let wrong = found.rows.iter().filter(|(key, value)| expected.get(key) != Some(value)).count();
                let kept = found.rows.len() - wrong;
                let detected = !found.starts || !found.whole_query || found.complaints > whole.complaints;
                counts.detected += usize::from(detected);
                counts.silent_loss += usize::from(!detected && kept < expected.len());
                counts.starts += usize::from(found.starts);
                counts.whole_queries += usize::from(found.whole_query);
                counts.kept += kept;
                counts.kept_least = counts.kept_least.min(kept);
                counts.wrong += usize::from(wrong > 0);
            }
            let percent = |part: usize, of: usize| 100.0 * part as f64 / of as f64;
            let Counts { detected, starts, whole_queries, kept, kept_least, wrong, silent_loss } = counts;
            report(format_args!(
                "{system}, one bit of {kind} flipped, {rounds} times: {starts} start, {whole_queries} answer a query of all \
                 series, {detected} say something, {silent_loss} lose rows and say nothing, {:.1} % of rows kept ({:.1} % at \
                 worst), {wrong} with wrong values",
                percent(kept, rounds * expected.len()),
                percent(kept_least, expected.len()),
            ));
            if system == System::Kymo {
                assert_eq!((starts, wrong, silent_loss), (rounds, 0, 0), "kymo, {kind}");
            }
        }
    }
}
