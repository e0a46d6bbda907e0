//! Operations that fail: each one of a history in turn, once, or that one and all after it until the disk is repaired; and
//! each read of an opening. Nothing acknowledged is lost, and the database goes on when the disk does.

use kymo_testkit::{Crash, Fault, report};
use kymo_tsdb::SyncMode;

use crate::history::{History, Moved};
use crate::seeds;

const STEPS: usize = 45;

/// The faults by name: an fsync that fails with `Io` has dropped what it should have written, and the next one says yes.
const FAULTS: [Fault; 2] = [Fault::Full, Fault::Io];

/// How many operations a history makes when nothing fails.
fn calls(seed: u64, sync: SyncMode) -> u64 {
    let mut history = History::new(seed, sync, "without a fault".to_owned());
    history.live(STEPS);
    history.disk.calls()
}

#[test]
fn each_operation_fails_once() {
    let mut points = 0;
    for seed in seeds(2) {
        for sync in [SyncMode::Always, SyncMode::IntervalMs(1000)] {
            for call in 0..calls(seed, sync) {
                for fault in FAULTS {
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
    report(format_args!(
        "{points} histories in which one operation failed (ENOSPC, EIO, each operation in turn)"
    ));
}

/// Each operation of cuts, compactions, deletions and snapshots in turn.
#[test]
fn each_operation_fails_once_while_samples_move() {
    let (mut points, mut moved) = (0, Moved::default());
    for seed in seeds(1) {
        let sync = SyncMode::IntervalMs(1000);
        let begin = |what: String| {
            let mut history = History::new(seed, sync, what);
            history.live(30);
            history
        };
        let mut history = begin("without a fault".to_owned());
        let first = history.disk.calls();
        (0..2).for_each(|_| history.move_everything());
        for call in first..history.disk.calls() {
            let fault = FAULTS[(call % 2) as usize];
            let crash = if (seed + call / 2) % 2 == 0 { Crash::Process } else { Crash::Power };
            let mut history = begin(format!("{fault:?} at operation {call} of moving, {crash:?}"));
            history.disk.plan(call, fault);
            (0..2).for_each(|_| history.move_everything());
            moved += history.moved;
            history.crash_and_open(crash);
            points += 1;
        }
    }
    let Moved { cuts, compactions, made_cold, cleaned, deletions, snapshots } = moved;
    assert!(made_cold > 0, "{moved:?}");
    assert!(cuts > 0 && compactions > 0 && cleaned > 0 && deletions > 0 && snapshots > 0, "{moved:?}");
    report(format_args!(
        "{points} histories in which one operation failed while samples moved (ENOSPC, EIO)"
    ));
}

#[test]
fn each_operation_and_all_after_it_fail() {
    let mut points = 0;
    for seed in seeds(1) {
        let sync = SyncMode::IntervalMs(1000);
        for call in 0..calls(seed, sync) {
            for fault in FAULTS {
                let what = format!("{fault:?} from operation {call} on");
                let mut history = History::new(seed, sync, what.clone());
                history.disk.plan_all_from(call, fault);
                history.live(STEPS);
                history.disk.repair();
                let before = history.taken;
                // A database that saw an fsync fail takes no writes until it is opened again.
                let reopen = history.db.as_ref().is_none_or(|db| db.stats().wal.failed);
                if reopen {
                    history.crash_and_open(Crash::Process);
                }
                history.live(STEPS);
                assert!(history.taken > before, "{what}: nothing was taken after the disk was repaired");
                history.crash_and_open(Crash::Process);
                points += 1;
            }
        }
    }
    report(format_args!(
        "{points} histories in which the disk failed from one operation on, and was repaired"
    ));
}

#[test]
fn each_read_of_an_opening_fails_once() {
    let mut points = 0;
    for seed in seeds(3) {
        let mut history = History::new(seed, SyncMode::IntervalMs(1000), "a read fails".to_owned());
        history.live(STEPS);
        for crash in [Crash::Process, Crash::Power] {
            history.crash_and_open(crash);
            for read in 0..history.reads_of_an_opening() {
                history.open_with_failing_read(read);
                points += 1;
            }
            history.live(STEPS);
        }
    }
    report(format_args!(
        "{points} openings in which one read failed: an error that names the file, or nothing missing"
    ));
}

#[test]
fn a_full_disk_heals_when_there_is_space_again() {
    for seed in seeds(10) {
        let mut history = History::new(seed, SyncMode::IntervalMs(1000), "full disk".to_owned());
        history.live(15);
        history.disk.set_capacity(Some(history.disk.files().len() as u64 * 900));
        history.live(30);
        history.disk.set_capacity(None);
        let before = history.taken;
        history.live(30);
        assert!(history.taken > before, "seed {seed}: nothing was taken after space returned");
        history.crash_and_open(Crash::Process);
    }
}
