//! The main test of the database: random histories on a disk that fails, against the naive model.
//!
//! What was acknowledged is there after every crash as far as the sync mode promises, with its value, and nothing is there
//! that nobody wrote. Each failure names the seed and the fault; `KYMO_SEED` sets the first seed, `KYMO_SEEDS` how many.

mod damage;
mod history;

use history::History;
use kymo_testkit::{Crash, Fault};
use kymo_tsdb::SyncMode;

const MODES: [SyncMode; 3] = [SyncMode::Always, SyncMode::IntervalMs(1000), SyncMode::Never];

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("KYMO_SEED").unwrap_or(1);
    first..first + number("KYMO_SEEDS").unwrap_or(default)
}

/// How many operations a history makes when nothing fails.
fn calls(seed: u64, sync: SyncMode, steps: usize) -> u64 {
    let mut history = History::new(seed, sync, "without a fault".to_owned());
    history.live(steps);
    history.disk.calls()
}

#[test]
fn long_histories_with_crashes() {
    for seed in seeds(6) {
        for sync in MODES {
            let mut history = History::new(seed, sync, "crashes now and then".to_owned());
            for round in 0..6 {
                history.live(40);
                history.crash_and_open(if round % 2 == 0 { Crash::Process } else { Crash::Power });
            }
        }
    }
}

#[test]
fn a_crash_at_every_operation() {
    const STEPS: usize = 45;
    let mut points = 0;
    for seed in seeds(1) {
        for sync in MODES {
            for call in 0..calls(seed, sync, STEPS) {
                for crash in [Crash::Process, Crash::Power] {
                    let mut history =
                        History::new(seed, sync, format!("stop at operation {call}, {crash:?}"));
                    history.disk.plan(call, Fault::Stop);
                    history.live(STEPS);
                    history.crash_and_open(crash);
                    history.live(3);
                    history.crash_and_open(Crash::Process);
                    points += 1;
                }
            }
        }
    }
    println!("{points} crash points");
}

#[test]
fn a_failure_at_every_operation() {
    const STEPS: usize = 45;
    let mut points = 0;
    for seed in seeds(1) {
        for sync in [SyncMode::Always, SyncMode::IntervalMs(1000)] {
            for call in 0..calls(seed, sync, STEPS) {
                for fault in [Fault::Full, Fault::Io] {
                    // Which of the two follows from the numbers, so that more seeds are more cases.
                    let crash = if (seed + call) % 2 == 0 { Crash::Process } else { Crash::Power };
                    let what = format!("{fault:?} at operation {call}, {crash:?}");
                    let mut history = History::new(seed, sync, what);
                    history.disk.plan(call, fault);
                    history.live(STEPS);
                    history.crash_and_open(crash);
                    points += 1;
                }
            }
        }
    }
    println!("{points} failures");
}

#[test]
fn a_full_disk_heals_when_there_is_space_again() {
    for seed in seeds(10) {
        let mut history = History::new(seed, SyncMode::IntervalMs(1000), "full disk".to_owned());
        history.live(15);
        history.disk.set_capacity(Some(history.disk.files().len() as u64 * 900));
        history.live(30);
        history.disk.set_capacity(None);
        let before = history.model.len();
        history.live(30);
        assert!(history.model.len() > before, "seed {seed}: nothing was taken after space returned");
        history.crash_and_open(Crash::Process);
    }
}
