//! Whom a query is put to: the evaluator in this process, and a Prometheus over HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;

use kymo_model::{Queryable, Timestamp};
use kymo_promql::{Engine, QueryErrorKind, QueryOptions};
use kymo_promql_syntax::{ParseOptions, Parser};

use crate::answer::Answer;
use crate::peers::{Program, encode, free_port, get, installed};

/// When a query is asked for; milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// A Prometheus and what it understands.
pub(crate) struct Peer {
    program: Program,
    /// Does it know the whole language, native histograms and annotations?
    pub(crate) whole: bool,
}

impl Peer {
    /// The binary that `KYMO_DIFFERENTIAL_PROMETHEUS` names, else Debian's; `None` if there is none.
    pub(crate) fn start(dir: &Path) -> Option<Peer> {
        let named = std::env::var_os("KYMO_DIFFERENTIAL_PROMETHEUS").map(PathBuf::from);
        if named.is_none() && !installed("prometheus") {
            return None;
        }
        let binary = named.unwrap_or_else(|| PathBuf::from("prometheus"));
        let whole = is_version_3(&binary);
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, "scrape_configs: []\n").expect("a file in the test's directory");
        let port = free_port();
        let mut command = Command::new(&binary);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--storage.tsdb.path={}", dir.join("peer").display()))
            // The data is from 2023.
            .args([
                "--storage.tsdb.retention.time=100y",
                "--web.enable-remote-write-receiver",
                "--log.level=warn",
                "--enable-feature=promql-per-step-stats",
            ])
            .current_dir(dir);
        if whole {
            command.arg(
                "--enable-feature=native-histograms,promql-experimental-functions,promql-extended-range-selectors,\
                 promql-binop-fill-modifiers",
            );
        }
        let mut program = Program::start("prometheus", port, dir, &mut command);
        program.wait_for("/-/ready");
        Some(Peer { program, whole })
    }

    pub(crate) fn port(&self) -> u16 {
        self.program.port
    }

    pub(crate) fn ask(&self, query: &str, times: Times) -> Answer {
        Answer::of_json(&self.json(query, "", times), self.whole)
    }

    /// The same as JSON, with more parameters.
    pub(crate) fn json(&self, query: &str, more: &str, times: Times) -> serde_json::Value {
        let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
        let path = match times {
            Times::Instant(at) => format!("/api/v1/query?time={}", seconds(at)),
            Times::Range { start, end, step } => {
                format!(
                    "/api/v1/query_range?start={}&end={}&step={}",
                    seconds(start),
                    seconds(end),
                    seconds(step)
                )
            }
        };
        let answer = get(self.port(), &format!("{path}&query={}{more}", encode(query)));
        answer.unwrap_or_else(|error| panic!("{query}: {error}")).json()
    }
}

fn is_version_3(binary: &Path) -> bool {
    let output = Command::new(binary).arg("--version").output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()));
    // Version 2 prints to standard error.
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let version = text.split_once("version ").map_or("", |(_, version)| version);
    !version.starts_with("2.")
}

/// The evaluator on a store.
pub(crate) fn evaluate(store: &dyn Queryable, query: &str, times: Times, whole: bool) -> Answer {
    let options = if whole { ParseOptions::everything() } else { ParseOptions::default() };
    let expr = match Parser::new(options).parse(query) {
        Ok(expr) => expr,
        Err(error) => return Answer::Malformed(error.to_string()),
    };
    let engine = Engine::default();
    let options = QueryOptions { text: Some(query.into()), ..QueryOptions::default() };
    let ms = Timestamp::from_millis;
    let result = match times {
        Times::Instant(at) => engine.instant(store, &expr, ms(at), &options),
        Times::Range { start, end, step } => engine.range(store, &expr, ms(start), ms(end), step, &options),
    };
    match result {
        Ok(result) => Answer::of(result, whole),
        Err(error) => {
            assert_eq!(error.kind, QueryErrorKind::Execution, "{query}: {error}");
            Answer::Failed(error.to_string())
        }
    }
}
