//! A server under measurement: started in a directory of its own on loopback, watched through /proc, stopped by its pid.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http;

/// Which program.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Kymo(PathBuf),
    Prometheus,
    VictoriaMetrics,
}

impl Kind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Kymo(_) => "kymo",
            Kind::Prometheus => "prometheus",
            Kind::VictoriaMetrics => "victoria",
        }
    }

    fn ready_path(&self) -> &'static str {
        match self {
            Kind::VictoriaMetrics => "/health",
            _ => "/-/ready",
        }
    }
}

/// The kymo to measure.
pub(crate) fn kymo() -> Option<Kind> {
    let built = || {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
        target.join("release/kymo")
    };
    let path = std::env::var_os("KYMO_BIN").map_or_else(built, PathBuf::from);
    path.is_file().then_some(Kind::Kymo(path))
}

pub(crate) fn installed_peers() -> Vec<Kind> {
    let found = |program: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    };
    let peers = [("prometheus", Kind::Prometheus), ("victoria-metrics", Kind::VictoriaMetrics)];
    peers.into_iter().filter(|(program, _)| found(program)).map(|(_, kind)| kind).collect()
}

/// A running server.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    dir: PathBuf,
    child: Child,
    /// From the start of the process to the first good answer.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// With an empty directory.
    pub(crate) fn start(kind: &Kind) -> Server {
        Server::start_with(kind, "")
    }

    /// With an empty directory and a configuration.
    pub(crate) fn start_with(kind: &Kind, config: &str) -> Server {
        let dir = std::env::temp_dir().join(format!("kymo-peers-{}-{}", kind.name(), std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        std::fs::write(dir.join("config.yml"), config).expect("a temporary file");
        Server::start_in(kind, dir)
    }

    fn start_in(kind: &Kind, dir: PathBuf) -> Server {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let (data, config, listen) = (dir.join("data"), dir.join("config.yml"), format!("127.0.0.1:{port}"));
        let (data, config) = (data.display(), config.display());
        let words = match kind {
            Kind::Kymo(path) => format!(
                "{} serve --config.file={config} --storage.tsdb.path={data} --web.listen-address={listen} \
                 --web.enable-remote-write-receiver --storage.tsdb.retention.time=100y --query.timeout=10m --log.level=warn",
                path.display()
            ),
            Kind::Prometheus => format!(
                "prometheus --config.file={config} --storage.tsdb.path={data} --web.listen-address={listen} \
                 --web.enable-remote-write-receiver --storage.tsdb.retention.time=100y --query.timeout=10m --log.level=warn"
            ),
            Kind::VictoriaMetrics => format!(
                "victoria-metrics -storageDataPath={data} -httpListenAddr={listen} -retentionPeriod=100y -promscrape.config={config} \
                 -search.latencyOffset=0s -search.maxQueryDuration=300s -search.maxPointsPerTimeseries=1000000 \
                 -loggerLevel=WARN"
            ),
        };
        let cores = std::env::var("KYMO_PEERS_CORES").unwrap_or_else(|_| "1".to_owned());
        let one = cores == "1";
        let mut words = words.split_whitespace();
        let program = words.next().expect("each command has a program");
        let mut command = Command::new(if one { "taskset" } else { program });
        if one {
            command.args(["-c", "0", program]);
        }
        let log = std::fs::File::create(dir.join("log")).expect("a temporary file");
        let from = Instant::now();
        let child = command
            .args(words)
            .env("GOMAXPROCS", &cores)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let mut server = Server { kind: kind.clone(), port, dir, child, ready_after: Duration::ZERO };
        while !http::get(port, kind.ready_path()).is_ok_and(|reply| reply.status == 200) {
            if let Ok(Some(status)) = server.child.try_wait() {
                let log = std::fs::read_to_string(server.dir.join("log")).unwrap_or_default();
                panic!("{} ended with {status}:\n{log}", kind.name());
            }
            assert!(from.elapsed() < Duration::from_secs(300), "{} does not become ready", kind.name());
            std::thread::sleep(Duration::from_millis(2));
        }
        server.ready_after = from.elapsed();
        server
    }

    /// The same directory again, after the end that `signal` makes.
    pub(crate) fn restart(mut self, signal: &str) -> Server {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {signal}");
        self.child.wait().expect("the process is ours");
        let dir = std::mem::take(&mut self.dir);
        Server::start_in(&self.kind, dir)
    }

    /// Seconds of CPU that the process has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux's /proc");
        let nanos = |task: std::fs::DirEntry| -> Option<u64> {
            std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
        };
        tasks.flatten().filter_map(nanos).sum::<u64>() as f64 / 1e9
    }

    /// Waits until it has nothing to do any more: both look once a minute what can be cut into blocks.
    pub(crate) fn settle(&self) {
        std::thread::sleep(Duration::from_secs(65));
        const LOOK: Duration = Duration::from_secs(2);
        for _ in 0..60 {
            let before = self.cpu_seconds();
            std::thread::sleep(LOOK);
            if self.cpu_seconds() - before < LOOK.as_secs_f64() / 50.0 {
                return;
            }
        }
    }

    /// A metric of its own, that has no labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let reply = http::get(self.port, "/metrics").expect("it answers");
        let text = String::from_utf8_lossy(reply.body());
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("{} has no metric {name}", self.kind.name()))
    }

    /// Peak resident memory in bytes.
    pub(crate) fn peak_rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Bytes of all files in a directory of its own.
    pub(crate) fn disk_bytes(&self, folder: &str) -> u64 {
        let (mut folders, mut bytes) = (vec![self.dir.join(folder)], 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(found) if found.is_dir() => folders.push(entry.path()),
                    Ok(found) => bytes += found.len(),
                    Err(_) => {}
                }
            }
        }
        bytes
    }

    /// How many blocks it has: directories named by a ULID, which both have below their data.
    pub(crate) fn blocks(&self) -> usize {
        let is_ulid = |name: &str| name.len() == 26 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let entries = std::fs::read_dir(self.dir.join("data")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_str().is_some_and(is_ulid)).count()
    }

    /// Sends one body of remote write, which must be taken.
    pub(crate) fn write(&self, body: &[u8]) {
        let reply = http::write(self.port, body).expect("the server answers");
        let text = String::from_utf8_lossy(reply.body());
        assert!(matches!(reply.status, 200 | 204), "{}: {} {text}", self.kind.name(), reply.status);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.dir.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
