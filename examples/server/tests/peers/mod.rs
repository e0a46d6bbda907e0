//! The parts of an interop test: programs that are started on loopback and stopped by their pid, and a small HTTP client.

#![allow(dead_code)] // each test binary uses its own selection

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A program of this test; killed when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) port: u16,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts a command whose output goes to a file in `dir`.
    pub(crate) fn start(name: &str, port: u16, dir: &Path, command: &mut Command) -> Program {
        let log = dir.join(format!("{name}-{port}.log"));
        let open = || std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Program { child, port, name: name.to_owned(), log }
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `path` answers 200.
    pub(crate) fn wait_for(&mut self, path: &str) {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            if get(self.port, path).is_ok_and(|answer| answer.status == 200) {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status}:\n{}", self.name, self.log());
            }
            assert!(Instant::now() < deadline, "{} does not answer {path}:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("the process is ours");
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {signal} to {}", self.name);
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().expect("the process is ours").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A mounted tmpfs; unmounted when dropped.
pub(crate) struct SmallDisk {
    pub(crate) path: PathBuf,
}

impl SmallDisk {
    /// `None` without the right to mount one.
    pub(crate) fn mount(path: PathBuf, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir(&path).expect("a new directory");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            Some(SmallDisk { path })
        } else {
            println!("skipped: no right to mount a tmpfs");
            None
        }
    }

    /// From now on nothing can be written to it. Fails while a file is open for writing.
    pub(crate) fn make_read_only(&self) {
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.path).status();
        assert!(
            remount.is_ok_and(|status| status.success()),
            "cannot make {} read-only",
            self.path.display()
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that is being killed may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Writes a line past the capture of the test harness. CI prints these lines again at its end.
pub(crate) fn report(line: impl std::fmt::Display) {
    // A closed output is no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "\nfaults: {line}");
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Is a peer installed? Where `KYMO_INTEROP=required` (CI), it must be; elsewhere a test says that it skips.
pub(crate) fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    skip_unless(found, program)
}

/// The same for what a variable names.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).map(PathBuf::from);
    skip_unless(value.is_some(), name).then_some(value).flatten()
}

fn skip_unless(found: bool, what: &str) -> bool {
    let required = std::env::var("KYMO_INTEROP").is_ok_and(|value| value == "required");
    assert!(found || !required, "{what} is required here and not there");
    if !found {
        println!("skipped: {what} is not there");
    }
    found
}

/// `kymo serve` on a free port, ready.
pub(crate) fn kymo(dir: &Path, port: u16, flags: &[&str]) -> Program {
    let mut server = kymo_unready(dir, port, flags);
    server.wait_for("/-/ready");
    server
}

/// The same, not waited for.
pub(crate) fn kymo_unready(dir: &Path, port: u16, flags: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kymo"));
    command
        .arg("serve")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .args(flags);
    Program::start("kymo", port, dir, &mut command)
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) fn get(port: u16, path: &str) -> std::io::Result<Answer> {
    send(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"), b"", ANSWER_WITHIN)
}

pub(crate) fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Answer> {
    post_within(port, path, headers, body, ANSWER_WITHIN)
}

fn post_within(
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    within: Duration,
) -> std::io::Result<Answer> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    send(port, &head, body, within)
}

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

fn send(port: u16, head: &str, body: &[u8], within: Duration) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(within))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let bad = || std::io::Error::other("not an HTTP answer");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(bad)?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
    Ok(Answer { status, body: bytes[end + 4..].to_vec() })
}

/// Percent-encodes a query parameter.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The `data` of a successful answer.
pub(crate) fn data(port: u16, path: &str) -> Value {
    let answer = get(port, path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let json = answer.json();
    assert_eq!((answer.status, json["status"].as_str()), (200, Some("success")), "{path}: {json}");
    json["data"].clone()
}

/// The result of an instant query, by labels without the given ones: `labels → value`.
pub(crate) fn vector(port: u16, query: &str) -> Vec<(Value, f64)> {
    let data = data(port, &format!("/api/v1/query?query={}", encode(query)));
    let samples = data["result"].as_array().cloned().unwrap_or_default();
    let value =
        |sample: &Value| sample["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    samples.iter().map(|sample| (sample["metric"].clone(), value(sample))).collect()
}

/// Everything in a directory, to a new one.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Asks again until `good`, or fails with the last answer.
pub(crate) fn eventually<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask();
        if good(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: last answer {answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Sends one remote-write request; the status says whether it was acknowledged.
pub(crate) fn push(port: u16, request: &kymo_remote::RequestEncoder) -> std::io::Result<Answer> {
    push_within(port, request, ANSWER_WITHIN)
}

/// The same; an error when there is no answer by then.
pub(crate) fn push_within(
    port: u16,
    request: &kymo_remote::RequestEncoder,
    within: Duration,
) -> std::io::Result<Answer> {
    let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
    post_within(port, "/api/v1/write", &headers, &request.to_snappy(), within)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_millis() as i64
}
