//! Blocks between Prometheus and kymo, both ways: rows are compared, never exit codes. promtool's dump and Prometheus' answers
//! are the oracle.

mod peers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kymo_model::{FloatHistogram, Histogram, Labels, Queryable, Samples, Selector, Span, TimeRange, Values};
use kymo_remote::RequestEncoder;
use kymo_tsdb::OsVfs;
use kymo_tsdb::block::{
    Block, BlockOrigin, BlockWriter, BlockWriterOptions, CompactOptions, Ulid, compact_blocks, union,
    verify_block, write_select,
};
use peers::*;

const START_S: i64 = 1_600_000_000;

/// Series of all shapes over five hours, as OpenMetrics text.
fn openmetrics(series: usize, samples: usize) -> String {
    let mut text = String::new();
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for number in 0..series {
        let mut value = (random() % 1000) as f64;
        let step_ms = (5 * 3_600_000 / samples) as i64;
        for sample in 0..samples {
            let t_ms = START_S * 1000 + sample as i64 * step_ms + (random() % 7) as i64;
            value = match number % 5 {
                0 => value,
                1 => value + (random() % 100) as f64,
                2 => (random() % 100_000) as f64 / 100.0,
                3 => f64::from_bits(0x3ff0_0000_0000_0000 | random() << 19),
                _ => [f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, -5e-324][random() as usize % 5],
            };
            let value = if value.is_infinite() {
                format!("{value:+}").replace("inf", "Inf")
            } else {
                value.to_string()
            };
            let labels = format!(
                r#"metric_{}{{instance="10.0.0.{}:9100",job="job-{}",odd="ö \\\"{}\""}}"#,
                number % 17,
                number,
                number % 3,
                number % 7
            );
            writeln!(text, "{labels} {value} {}.{:03}", t_ms / 1000, t_ms % 1000).unwrap();
        }
    }
    text.push_str("# EOF\n");
    text
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn kymo_tsdb(arguments: &[&str]) -> String {
    run(env!("CARGO_BIN_EXE_kymo"), &[&["tsdb"], arguments].concat())
}

fn promtool_tsdb(arguments: &[&str]) -> String {
    run("promtool", &[&["tsdb"], arguments].concat())
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// What promtool and kymo say of a directory of blocks is the same.
fn check_directory(dir: &Path) {
    let dir = dir.to_str().expect("a temporary directory is text");
    // promtool's dump asks for one.
    fs::create_dir_all(format!("{dir}/wal")).unwrap();
    let (theirs, ours) = (promtool_tsdb(&["dump", dir]), kymo_tsdb(&["dump", dir]));
    assert!(theirs.lines().count() > 1000, "{theirs}");
    assert!(
        sorted(&theirs) == sorted(&ours),
        "dumps differ: {} and {} lines",
        theirs.lines().count(),
        ours.lines().count()
    );
    for flags in [&["list", dir][..], &["list", "-r", dir]] {
        assert_eq!(kymo_tsdb(flags).trim_end(), promtool_tsdb(flags).trim_end());
    }
    // Items of equal count come in any order, and which of them are shown, too.
    for limit in ["3", "100000"] {
        let (theirs, ours) = (
            promtool_tsdb(&["analyze", "--limit", limit, dir]),
            kymo_tsdb(&["analyze", "--limit", limit, dir]),
        );
        if limit == "3" {
            let counts = |text: &str| -> Vec<String> {
                text.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
            };
            assert_eq!(counts(&ours), counts(&theirs));
        } else {
            assert_eq!(sorted(&ours), sorted(&theirs));
        }
    }
    // 2.42 shows something else here.
    let extended = kymo_tsdb(&["analyze", "--extended", dir]);
    let sizes = extended.split("Compaction analysis:").nth(1).expect("chunks are counted");
    assert!(sizes.contains("samples per float chunk (min/avg/max): ") && sizes.contains("]: "), "{extended}");
    let verdicts = kymo_tsdb(&["verify", dir]);
    assert!(verdicts.lines().all(|line| line.contains(": sound, ")), "{verdicts}");
}

/// Prometheus over a directory of blocks.
fn prometheus(dir: &Path, data: &Path) -> Program {
    let port = free_port();
    let config = dir.join("prometheus.yml");
    fs::write(&config, "scrape_configs: []\n").unwrap();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--storage.tsdb.retention.time=100y")
        .arg("--enable-feature=native-histograms")
        .arg("--web.enable-remote-write-receiver")
        .arg("--web.enable-admin-api");
    let mut server = Program::start("prometheus", port, dir, &mut command);
    server.wait_for("/-/ready");
    server
}

fn answers(server: &Program, queries: &[&str], times_s: &[i64]) -> BTreeMap<String, String> {
    let mut answers = BTreeMap::new();
    for query in queries {
        for t_s in times_s {
            let data = data(server.port, &format!("/api/v1/query?query={}&time={t_s}", encode(query)));
            let mut rows: Vec<String> =
                data["result"].as_array().expect("a vector").iter().map(ToString::to_string).collect();
            rows.sort_unstable();
            assert!(!rows.is_empty(), "{query} at {t_s}");
            answers.insert(format!("{query} at {t_s}"), rows.join("\n"));
        }
    }
    answers
}

#[test]
fn floats_both_ways() {
    if !installed("promtool") || !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = dir.path().join("samples.txt");
    fs::write(&text, openmetrics(2000, 20)).unwrap();
    let (theirs, ours, merged) =
        (dir.path().join("theirs"), dir.path().join("ours"), dir.path().join("merged"));
    let name = |path: &Path| path.to_str().expect("a temporary directory is text").to_owned();

    promtool_tsdb(&["create-blocks-from", "openmetrics", &name(&text), &name(&theirs)]);
    check_directory(&theirs);
    let told = kymo_tsdb(&["import", "openmetrics", &name(&text), &name(&ours)]);
    assert!(told.lines().count() >= 3, "{told}");
    check_directory(&ours);
    assert_eq!(
        sorted(&promtool_tsdb(&["dump", &name(&ours)])),
        sorted(&promtool_tsdb(&["dump", &name(&theirs)])),
        "what kymo writes of a text is what promtool writes of it"
    );

    // Compacted by kymo: their blocks and ours hold the same, so all of them overlap.
    fs::create_dir(&merged).unwrap();
    let open = |dir: &Path| Block::open_all(&OsVfs, dir).unwrap().blocks;
    let blocks: Vec<Block> = open(&theirs).into_iter().chain(open(&ours)).collect();
    let vfs: Arc<dyn kymo_tsdb::Vfs> = Arc::new(OsVfs);
    let options = CompactOptions::default();
    let compacted = compact_blocks(&vfs, &merged, Ulid::generate(1), &blocks, &options, &mut |_| ()).unwrap();
    assert_eq!(compacted.meta.unwrap().stats.num_samples, 40_000);
    check_directory(&merged);

    // Deleted by kymo from ours, while nobody else has the directory.
    let pruned = dir.path().join("pruned");
    kymo_tsdb(&["import", "openmetrics", &name(&text), &name(&pruned)]);
    let until = ((START_S + 2 * 3600) * 1000).to_string();
    kymo_tsdb(&["delete", "--match", "{job=\"job-2\"}", "--max-time", &until, &name(&pruned)]);
    fs::create_dir_all(pruned.join("wal")).unwrap();
    let left = |dump: &str| -> Vec<String> {
        let deleted = |line: &&str| {
            let t_ms: i64 = line.rsplit_once(' ').and_then(|(_, t)| t.parse().ok()).expect("a time");
            line.contains("job=\"job-2\"") && t_ms <= (START_S + 2 * 3600) * 1000
        };
        sorted(dump).into_iter().filter(|line| !deleted(line)).map(str::to_owned).collect()
    };
    let wanted = left(&promtool_tsdb(&["dump", &name(&ours)]));
    assert!(wanted.len() < 40_000);
    assert_eq!(sorted(&promtool_tsdb(&["dump", &name(&pruned)])), wanted);
    // Compacted by kymo where they are: they fill no range, but their overlapping copies are merged.
    kymo_tsdb(&["import", "openmetrics", &name(&text), &name(&ours)]);
    let blocks_before = open(&ours).len();
    assert!(!kymo_tsdb(&["compact", &name(&ours)]).is_empty());
    assert!(open(&ours).len() < blocks_before);
    check_directory(&ours);

    let queries = [
        "count(metric_3)",
        "sum by (job) (metric_1)",
        "metric_2{instance=~\"10.0.0.1.*\"}",
        "sum by (__name__) (count_over_time({__name__=~\".+\"}[2h]))",
        "avg by (job) (rate({job=\"job-1\"}[3h]))",
        "max_over_time(metric_7{odd!=\"\"}[5h])",
    ];
    let times = [START_S + 3 * 3600, START_S + 5 * 3600 - 900];
    let expected = answers(&prometheus(dir.path(), &theirs), &queries, &times);
    for data in [&ours, &merged] {
        let server = prometheus(dir.path(), data);
        assert_eq!(answers(&server, &queries, &times), expected, "{}: {}", data.display(), server.log());
    }
}

fn histogram(number: u64) -> Histogram {
    let n = number + 1;
    // A bucket appears on the way.
    let late = if number > 30 { 2 } else { 1 };
    Histogram {
        schema: 3,
        zero_threshold: 2f64.powi(-128),
        zero_count: n,
        count: n * (3 + late),
        sum: n as f64 * 1.25,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: late as u32 }],
        positive_buckets: if late == 1 { vec![n as i64, 0, 0] } else { vec![n as i64, 0, 0, 0] },
        ..Histogram::default()
    }
}

/// Everything that a store gives of a range, by labels: times and values as text.
fn rows(store: &dyn Queryable) -> BTreeMap<String, Vec<String>> {
    let mut wanted = Selector::new(Vec::new(), TimeRange::ALL);
    wanted.hints.ordered = true;
    let mut all = BTreeMap::new();
    for series in store.select(&wanted).unwrap().iter() {
        let (mut reader, mut samples) = (series.reader(), Samples::new());
        let rows: &mut Vec<String> = all.entry(series.labels().to_string()).or_default();
        while reader.read(&mut samples).unwrap() {
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                rows.push(match &samples.values {
                    Values::Floats(values) => format!("{t_ms} {:x}", values[at].to_bits()),
                    Values::Histograms(values) => format!("{t_ms} {}", values[at]),
                });
            }
        }
    }
    all
}

/// What a running kymo holds in its head becomes blocks that promtool dumps as kymo dumps the head.
#[test]
fn the_head_as_blocks() {
    if !installed("promtool") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("kymo.yml");
    fs::write(&config, "scrape_configs: []\n").unwrap();
    let config = format!("--config.file={}", config.display());
    let server = kymo(dir.path(), free_port(), &[&config, "--web.enable-remote-write-receiver"]);
    // Over a boundary of blocks.
    let start_ms = START_S * 1000 / 7_200_000 * 7_200_000 - 600_000;
    for number in 0..100 {
        let mut request = RequestEncoder::new();
        for pod in ["a", "b \"\u{1f4c8}\""] {
            let labels = Labels::from_pairs([("__name__", "m"), ("pod", pod)]);
            request.series(&labels, &[(start_ms + number * 15_000, number as f64 / 7.0)]);
        }
        assert_eq!(push(server.port, &request).expect("an answer").status, 204);
    }
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let (data, out) = (data.to_str().expect("text"), out.to_str().expect("text"));
    let ours = kymo_tsdb(&["dump", data]);
    assert_eq!(ours.lines().count(), 200, "{ours}");
    assert_eq!(kymo_tsdb(&["export", data, out]).lines().count(), 2);
    fs::create_dir(format!("{out}/wal")).unwrap();
    assert_eq!(sorted(&promtool_tsdb(&["dump", out])), sorted(&ours));
    assert_eq!(kymo_tsdb(&["dump", out]), ours);
    let only =
        kymo_tsdb(&["dump", "--match", "m{pod=\"a\"}", "--min-time", &(start_ms + 1).to_string(), out]);
    assert_eq!(only.lines().count(), 99);
}

/// Damage is told by verify and dump, with a code that says so, and costs one chunk.
#[test]
fn damage_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (text, out) = (dir.path().join("samples.txt"), dir.path().join("out"));
    fs::write(&text, openmetrics(10, 30)).unwrap();
    let name = |path: &Path| path.to_str().expect("text").to_owned();
    kymo_tsdb(&["import", "openmetrics", &name(&text), &name(&out)]);
    assert_eq!(kymo_tsdb(&["dump", &name(&out)]).lines().count(), 300);
    let block = Block::open_all(&OsVfs, &out).unwrap().blocks.remove(0);
    let segment = block.dir().join("chunks/000001");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    for command in ["verify", "dump"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_kymo")).args(["tsdb", command]).arg(&out).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {errors}");
        assert!(
            errors.contains("expected checksum") && errors.contains("000001, offset 8"),
            "{command}: {errors}"
        );
        let lines = String::from_utf8_lossy(&output.stdout).lines().count();
        let whole = if command == "dump" { 250..300 } else { 3..4 };
        assert!(whole.contains(&lines), "{command}: {lines} lines");
    }
    // So is one bit in the names of another block, which costs nothing.
    let index = Block::open_all(&OsVfs, &out).unwrap().blocks.remove(1).dir().join("index");
    let mut bytes = fs::read(&index).unwrap();
    bytes[20] ^= 1;
    fs::write(&index, bytes).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kymo")).args(["tsdb", "dump"]).arg(&out).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("index, offset 5)") && errors.contains("nothing is missing"), "{errors}");
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    assert!((250..300).contains(&lines) && output.status.code() == Some(1), "{lines} lines: {errors}");
    // A block that is none is told, and the others are listed.
    fs::write(block.dir().join("meta.json"), "{\"version\": 2}").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kymo")).args(["tsdb", "list"]).arg(&out).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("expected meta.json of version 1, found version 2"), "{errors}");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).lines().count()), (Some(1), 3));
}

/// Floats and histograms of both forms through Prometheus' head into a block, into kymo, and back.
#[test]
fn histograms_both_ways() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("served");
    let server = prometheus(dir.path(), &data);
    let labels = |name: &str| Labels::from_pairs([("__name__", name), ("job", "x")]);
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in 0..80u64 {
        let t_ms = START_S * 1000 + number as i64 * 15_000;
        let integer = histogram(number);
        // Snapshots of Prometheus 2.42 fail over open chunks of gauges; tests/golden of kymo-chunk has those.
        let float = FloatHistogram { sum: number as f64 * -0.5, ..histogram(number).to_float() };
        let value = (number as f64).sqrt();
        let mut request = RequestEncoder::new();
        request
            .series(&labels("f"), &[(t_ms, value)])
            .histograms(&labels("h"), &[(t_ms, integer.clone())])
            .float_histograms(&labels("g"), &[(t_ms, float.clone())]);
        let answer = push(server.port, &request).expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.text());
        for (name, value) in [
            ("f", format!("{:x}", value.to_bits())),
            ("h", integer.to_float().to_string()),
            ("g", float.to_string()),
        ] {
            wanted.entry(labels(name).to_string()).or_default().push(format!("{t_ms} {value}"));
        }
    }
    let snapshot = post(server.port, "/api/v1/admin/tsdb/snapshot", &[], b"").expect("an answer");
    let snapshot =
        snapshot.json()["data"]["name"].as_str().unwrap_or_else(|| panic!("{}", snapshot.text())).to_owned();
    let queries =
        ["histogram_count(h)", "histogram_sum(g)", "histogram_quantile(0.7, rate(h[10m]))", "rate(f[5m])"];
    let times = [START_S + 600, START_S + 1185];
    let expected = answers(&server, &queries, &times);
    drop(server);

    let theirs = Block::open_all(&OsVfs, &data.join("snapshots").join(&snapshot)).unwrap().blocks;
    assert_eq!(theirs.len(), 1);
    assert_eq!(rows(&theirs[0]), wanted);
    let report = verify_block(&theirs[0]).unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);

    // Once chunk by chunk, once sample by sample.
    let copied = dir.path().join("copied");
    let cut = dir.path().join("cut");
    fs::create_dir(&copied).unwrap();
    fs::create_dir(&cut).unwrap();
    let vfs: Arc<dyn kymo_tsdb::Vfs> = Arc::new(OsVfs);
    compact_blocks(&vfs, &copied, Ulid::generate(1), &theirs, &CompactOptions::default(), &mut |_| ())
        .unwrap();
    let mut writer =
        BlockWriter::create(vfs, &cut, Ulid::generate(2), BlockWriterOptions::default()).unwrap();
    let mut all = Selector::new(Vec::new(), TimeRange::ALL);
    all.hints.ordered = true;
    write_select(&mut writer, &union(vec![theirs[0].select(&all).unwrap()]), &mut |_| ()).unwrap();
    writer.finish(BlockOrigin::default()).unwrap();
    for dir_of_blocks in [&copied, &cut] {
        let block = Block::open_all(&OsVfs, dir_of_blocks).unwrap().blocks.remove(0);
        assert_eq!(rows(&block), wanted);
        let server = prometheus(dir.path(), dir_of_blocks);
        assert_eq!(answers(&server, &queries, &times), expected, "{}", server.log());
    }
}

/// Blocks become cold and are exported again: promtool and Prometheus see of the export what they saw of the blocks, and pass over
/// what is cold.
#[test]
fn cold_and_back() {
    if !installed("promtool") || !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (text, data, out) = (dir.path().join("samples.txt"), dir.path().join("data"), dir.path().join("out"));
    fs::write(&text, openmetrics(500, 80)).unwrap();
    let name = |path: &Path| path.to_str().expect("a temporary directory is text").to_owned();
    kymo_tsdb(&["import", "openmetrics", &name(&text), &name(&data)]);
    check_directory(&data);
    let (wanted, blocks) = (promtool_tsdb(&["dump", &name(&data)]), promtool_tsdb(&["list", &name(&data)]));

    let before = analyses(&data);

    // Nothing is a century old.
    assert_eq!(kymo_tsdb(&["cold", "--older-than", "100y", &name(&data)]), "");
    let told = kymo_tsdb(&["cold", "--older-than", "1h", &name(&data)]);
    assert_eq!(told.lines().count() + 1, blocks.lines().count(), "{told}");
    let listed = kymo_tsdb(&["list", &name(&data)]);
    assert_eq!(
        listed.lines().filter(|line| line.contains(".cold ")).count(),
        told.lines().count(),
        "{listed}"
    );
    // Their indices say the same.
    let after = analyses(&data);
    assert_eq!(after.len(), before.len());
    for ((block, before), (cold, after)) in before.iter().zip(&after) {
        assert!(!block.ends_with(".cold") && cold.ends_with(".cold"), "{block} became {cold}");
        assert_eq!(after, before, "{cold}");
    }
    let newest = kymo_tsdb(&["analyze", &name(&data)]);
    assert!(newest.starts_with(&format!("Block ID: {}\n", after[after.len() - 1].0)), "{newest}");
    let verdicts = kymo_tsdb(&["verify", &name(&data)]);
    assert!(verdicts.lines().all(|line| line.contains(".cold: sound, ")), "{verdicts}");
    assert_eq!(sorted(&kymo_tsdb(&["dump", &name(&data)])), sorted(&wanted));

    // Prometheus starts over it, finds nothing, and leaves it alone.
    let server = prometheus(dir.path(), &data);
    let absent = answers(&server, &["absent({__name__=~\"metric_.*\"})"], &[START_S + 3600]);
    assert!(absent.values().all(|answer| answer.contains("\"1\"")), "{absent:?}");
    drop(server);
    assert_eq!(kymo_tsdb(&["list", &name(&data)]), listed);

    // A server of ours sees all of it. Its snapshot is a directory of Prometheus', which answers as it does.
    let config = format!("--config.file={}", name(&dir.path().join("prometheus.yml")));
    let flags =
        ["--storage.tsdb.retention.time=100y", "--storage.tsdb.cold-after=1h", "--web.enable-admin-api"];
    let server = kymo(dir.path(), free_port(), &[&[config.as_str()], &flags[..]].concat());
    let taken = post(server.port, "/api/v1/admin/tsdb/snapshot", &[], b"").expect("an answer").json();
    let queries = ["sum by (__name__) (count_over_time({__name__=~\"metric_.*\"}[6h]))", "metric_1"];
    let times = [START_S + 3600, START_S + 5 * 3600];
    let expected = answers(&server, &queries, &times);
    drop(server);
    let snapshot = data.join("snapshots").join(taken["data"]["name"].as_str().expect("its name"));
    assert_eq!(sorted(&kymo_tsdb(&["dump", &name(&snapshot)])), sorted(&wanted));
    let server = prometheus(dir.path(), &snapshot);
    assert_eq!(answers(&server, &queries, &times), expected, "{}", server.log());
    drop(server);
    // Beside a head, too, each cold block is there once.
    assert_eq!(kymo_tsdb(&["list", &name(&data)]), listed);
    assert_eq!(sorted(&kymo_tsdb(&["dump", &name(&data)])), sorted(&wanted));
    let sound = kymo_tsdb(&["verify", &name(&data)]);
    assert_eq!(sound.lines().filter(|line| line.contains(".cold: sound, ")).count(), told.lines().count());

    kymo_tsdb(&["export", &name(&data), &name(&out)]);
    check_directory(&out);
    assert_eq!(sorted(&promtool_tsdb(&["dump", &name(&out)])), sorted(&wanted));
}

/// What `analyze` says of each block, by what `list` calls it, but for the line with its name; in order of time.
fn analyses(data: &Path) -> Vec<(String, String)> {
    let data = data.to_str().expect("a temporary directory is text");
    let listed = kymo_tsdb(&["list", data]);
    let names = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names
        .map(|name| {
            let text = kymo_tsdb(&["analyze", data, name]);
            let (first, rest) = text.split_once('\n').expect("many lines");
            assert_eq!(first, format!("Block ID: {name}"));
            (name.to_owned(), rest.to_owned())
        })
        .collect()
}

/// Deletions from cold blocks, without a head and beside one: promtool sees of the export what is left. Compaction writes a cold block anew of
/// which much was deleted.
#[test]
fn deleted_from_cold_blocks() {
    if !installed("promtool") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (text, data) = (dir.path().join("samples.txt"), dir.path().join("data"));
    fs::write(&text, openmetrics(500, 80)).unwrap();
    let name = |path: &Path| path.to_str().expect("a temporary directory is text").to_owned();
    let data_name = name(&data);
    kymo_tsdb(&["import", "openmetrics", &name(&text), &data_name]);
    fs::create_dir_all(data.join("wal")).unwrap();
    let mut wanted: Vec<String> = promtool_tsdb(&["dump", &data_name]).lines().map(str::to_owned).collect();
    fs::remove_dir(data.join("wal")).unwrap();
    kymo_tsdb(&["cold", "--older-than", "1h", &data_name]);
    let names = || {
        let listed = kymo_tsdb(&["list", &data_name]);
        listed
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let cold = names();
    assert!(cold.len() > 1 && cold.iter().all(|name| name.ends_with(".cold")), "{cold:?}");

    // From the middle of the second range on to the middle of the third.
    let (from_ms, to_ms) = ((START_S + 3 * 3600) * 1000, (START_S + 5 * 3600) * 1000);
    let mut deletes = |selector: &str, is_meant: &dyn Fn(&str) -> bool| {
        let times = [format!("--min-time={from_ms}"), format!("--max-time={to_ms}")];
        let told = kymo_tsdb(&["delete", "--match", selector, &times[0], &times[1], &data_name]);
        let before = wanted.len();
        wanted.retain(|line| {
            let t_ms: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            !(is_meant(line) && (from_ms..=to_ms).contains(&t_ms))
        });
        assert!(wanted.len() < before && !told.contains("from 0 series of blocks"), "{told}");
        let mut left: Vec<String> = kymo_tsdb(&["dump", &data_name]).lines().map(str::to_owned).collect();
        left.sort_unstable();
        wanted.sort_unstable();
        assert!(left == wanted, "{} rows are left, expected {}", left.len(), wanted.len());
    };
    deletes("metric_1{}", &|line| line.contains("__name__=\"metric_1\""));
    assert_eq!(names(), cold);
    // Now there is a head beside them.
    let config = dir.path().join("nothing-to-scrape.yml");
    fs::write(&config, "global: {}\n").unwrap();
    let flags = [&format!("--config.file={}", name(&config)), "--storage.tsdb.retention.time=100y"];
    drop(kymo(dir.path(), free_port(), &flags));
    assert!(data.join("head").is_dir());
    deletes("metric_2{}", &|line| line.contains("__name__=\"metric_2\""));
    deletes("{__name__=~\"metric_.*\"}", &|_| true);
    let pruned = names();
    assert_eq!(pruned, cold, "no block is written anew by a deletion");

    kymo_tsdb(&["compact", &data_name]);
    let compacted = names();
    assert!(compacted.iter().all(|name| name.ends_with(".cold")), "{compacted:?}");
    let stay = compacted.iter().filter(|name| cold.contains(name)).count();
    assert!(
        stay < cold.len() && stay > 0,
        "those of which something was deleted are new: {compacted:?}, before {cold:?}"
    );
    let verdicts = kymo_tsdb(&["verify", &data_name]);
    assert!(verdicts.lines().all(|line| line.contains(": sound, ")), "{verdicts}");
    let out = dir.path().join("out");
    kymo_tsdb(&["export", &data_name, &name(&out)]);
    check_directory(&out);
    let mut exported: Vec<String> =
        promtool_tsdb(&["dump", &name(&out)]).lines().map(str::to_owned).collect();
    exported.sort_unstable();
    assert!(exported == wanted, "{} rows are exported, expected {}", exported.len(), wanted.len());
}
