//! What the machine refuses: a second process on the directory, file descriptors, memory, a disk that can only be read. The
//! server says what is missing, goes on with what it has, and loses nothing that it acknowledged.

mod peers;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kymo_model::Labels;
use kymo_remote::RequestEncoder;
use peers::*;

const RECEIVE: &str = "--web.enable-remote-write-receiver";

/// `kymo serve` by a shell that first runs `before`, so that what it sets holds for the server.
fn kymo_after(before: &str, dir: &Path, flags: &[&str]) -> Program {
    let port = free_port();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{before}; exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_kymo"))
        .arg("serve")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .args(flags);
    let mut server = Program::start("kymo", port, dir, &mut command);
    server.wait_for("/-/ready");
    server
}

/// Sample number `index` of the series that counts what was acknowledged.
fn sample(index: u64) -> RequestEncoder {
    let mut request = RequestEncoder::new();
    request.series(&Labels::from_pairs([("__name__", "pushed")]), &[(now_ms(), index as f64)]);
    request
}

fn present(port: u16) -> f64 {
    vector(port, "count_over_time(pushed[1h])").first().map_or(0.0, |found| found.1)
}

#[test]
fn a_second_process_is_turned_away_and_the_first_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut first = kymo(dir.path(), free_port(), &[RECEIVE]);
    assert_eq!(push(first.port, &sample(0)).expect("an answer").status, 204);
    let started = Instant::now();
    let mut second = kymo_unready(dir.path(), free_port(), &[]);
    let status = second.child.wait().expect("the process is ours");
    let turned_away_after = started.elapsed();
    assert_eq!(status.code(), Some(1), "{}", second.log());
    assert!(second.log().contains("in use") && second.log().contains("lock"), "{}", second.log());
    assert_eq!(push(first.port, &sample(1)).expect("an answer").status, 204);
    // The lock ends with the process, however that ends.
    first.kill();
    let third = kymo(dir.path(), free_port(), &[]);
    assert_eq!(present(third.port), 2.0);
    assert_eq!(third.stop(), Some(0));
    report(format_args!(
        "second process on a directory: exit code 1 after {} ms, the first goes on; after kill -9 of that the next one starts",
        turned_away_after.as_millis()
    ));
}

/// A connection that is kept open, so that it needs no new file descriptor.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        Connection { stream: BufReader::new(stream) }
    }

    /// Sends a remote-write request; gives the status of the answer.
    fn push(&mut self, request: &RequestEncoder) -> std::io::Result<u16> {
        let body = request.to_snappy();
        let head = format!(
            "POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n\
             Content-Encoding: snappy\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(&body)?;
        let (mut status, mut length) = (0, 0);
        for number in 0.. {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if number == 0 {
                status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(status)
    }
}

#[test]
fn sixty_four_file_descriptors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut server = kymo_after("ulimit -n 64", dir.path(), &[RECEIVE]);
    let mut kept_open = Connection::open(server.port);
    let mut acknowledged = 0;
    assert_eq!(kept_open.push(&sample(acknowledged)).expect("an answer"), 204);
    acknowledged += 1;
    // More connections than there are descriptors; nobody says anything on them.
    let crowd: Vec<TcpStream> =
        (0..100).filter_map(|_| TcpStream::connect(("127.0.0.1", server.port)).ok()).collect();
    assert!(crowd.len() > 64, "only {} connections were made", crowd.len());
    let descriptors = || {
        let found = fs::read_dir(format!("/proc/{}/fd", server.child.id()));
        found.map_or(0, |entries| entries.count())
    };
    eventually("the descriptors are used up", descriptors, |count| *count >= 63);
    for _ in 0..50 {
        assert_eq!(kept_open.push(&sample(acknowledged)).expect("an answer"), 204);
        acknowledged += 1;
    }
    drop(crowd);
    eventually(
        "new connections are served again",
        || get(server.port, "/-/ready").map(|answer| answer.status).ok(),
        |status| *status == Some(200),
    );
    assert_eq!(push(server.port, &sample(acknowledged)).expect("an answer").status, 204);
    acknowledged += 1;
    server.kill();
    let again = kymo(dir.path(), free_port(), &[]);
    assert_eq!(present(again.port), acknowledged as f64);
    assert_eq!(again.stop(), Some(0));
    report(format_args!(
        "ulimit -n 64 and 100 idle connections: writes go on over an open connection, {acknowledged} acknowledged, \
         {acknowledged} present after kill -9; new connections are served when the idle ones are gone"
    ));
}

/// A memory limit for one process and its children, below the limits that this one has; removed when dropped.
struct MemoryCap {
    path: PathBuf,
}

impl MemoryCap {
    /// `None` where control groups of version 1 cannot be made.
    fn new(bytes: u64) -> Option<MemoryCap> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = groups.lines().find_map(|line| line.split_once(":memory:"))?.1;
        let parent = Path::new("/sys/fs/cgroup/memory").join(own.trim_start_matches('/'));
        let path = parent.join(format!("kymo-limits-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let cap = MemoryCap { path };
        fs::write(cap.path.join("memory.limit_in_bytes"), bytes.to_string()).ok()?;
        Some(cap)
    }

    fn enter(&self) -> String {
        format!("echo $$ > {}", self.path.join("cgroup.procs").display())
    }

    /// The most that was used, page cache included.
    fn used_most_bytes(&self) -> u64 {
        let text = fs::read_to_string(self.path.join("memory.max_usage_in_bytes")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// How many processes the kernel has ended because of the limit.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.path.join("memory.oom_control")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for MemoryCap {
    fn drop(&mut self) {
        // The processes in it are gone a moment after they were waited for.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The resident memory of a process.
fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0) * 1024
}

#[test]
fn a_memory_cap_and_ten_times_too_many_series() {
    const CAP_BYTES: u64 = 64 << 20;
    const SERIES_MAX: usize = 20_000;
    let Some(cap) = MemoryCap::new(CAP_BYTES) else {
        println!("skipped: no right to make a control group with a memory limit");
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let most = format!("--storage.tsdb.max-series={SERIES_MAX}");
    let mut server = kymo_after(&cap.enter(), dir.path(), &[RECEIVE, &most]);
    assert_eq!(push(server.port, &sample(0)).expect("an answer").status, 204);
    let mut acknowledged = 1;
    let (mut taken, mut refused) = (0, 0);
    let long = "x".repeat(200);
    for request_number in 0..200 {
        let mut request = RequestEncoder::new();
        for series in 0..1000 {
            let number = format!("{request_number}-{series}");
            let labels = Labels::from_pairs([("__name__", "bomb"), ("long", &long), ("n", &number)]);
            request.series(&labels, &[(now_ms(), 1.0)]);
        }
        match push(server.port, &request).expect("an answer") {
            answer if answer.status == 204 => taken += 1,
            answer => {
                assert!(answer.text().contains("limit"), "{} {}", answer.status, answer.text());
                refused += 1;
            }
        }
        // Series that exist go on.
        assert_eq!(push(server.port, &sample(acknowledged)).expect("an answer").status, 204);
        acknowledged += 1;
    }
    assert!(taken < 20 && refused >= 180, "{taken} requests taken, {refused} refused");
    let count = vector(server.port, "count({__name__=~\".+\"})")[0].1;
    assert!(count <= SERIES_MAX as f64, "{count}");
    let resident = resident_bytes(server.child.id());
    server.kill();
    // What fitted fits again, or it would never start.
    let again = kymo_after(&cap.enter(), dir.path(), &[RECEIVE, &most]);
    assert_eq!(present(again.port), acknowledged as f64);
    let resident_again = resident_bytes(again.child.id());
    assert_eq!(again.stop(), Some(0));
    assert_eq!(cap.kills(), 0, "the kernel has ended a process");
    report(format_args!(
        "memory cap {} MiB, bound of {SERIES_MAX} series, 200,000 offered: {} new series taken, {acknowledged} samples of an \
         old one acknowledged and present after kill -9; {} MiB resident, {} MiB after the restart, {} MiB with page cache",
        CAP_BYTES >> 20,
        count as u64,
        resident >> 20,
        resident_again >> 20,
        cap.used_most_bytes() >> 20
    ));
}

#[test]
fn a_disk_that_can_only_be_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(dir.path().join("disk"), "6m") else { return };
    let mut first = kymo(&disk.path, free_port(), &[RECEIVE]);
    assert_eq!(push(first.port, &sample(0)).expect("an answer").status, 204);
    first.kill();
    drop(first);
    disk.make_read_only();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kymo"));
    let data = disk.path.join("data");
    command
        .args(["serve", "--web.listen-address=127.0.0.1:0"])
        .arg(format!("--storage.tsdb.path={}", data.display()));
    let mut second = Program::start("kymo", 0, dir.path(), &mut command);
    let status = second.child.wait().expect("the process is ours");
    assert_eq!(status.code(), Some(1), "{}", second.log());
    let log = second.log().to_lowercase();
    assert!(log.contains("read-only") && log.contains(&*data.to_string_lossy().to_lowercase()), "{log}");
}
