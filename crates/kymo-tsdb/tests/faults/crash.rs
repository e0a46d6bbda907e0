//! Crashes at every operation of many histories, those of the recovery from an earlier crash included.

use kymo_testkit::{Crash, Random, report, setting};
use kymo_tsdb::SyncMode;

use crate::history::{History, Moved, Place};
use crate::{MODES, first_seed, seeds};

/// A history is this long; longer ones cost more for each crash.
const STEPS: usize = 30;

/// The crashes that are tried at each operation: the process alone, and the power twice, with different luck.
const CRASHES: [Crash; 3] = [Crash::Process, Crash::Power, Crash::Power];

#[derive(Debug, Default)]
struct Counts {
    points: u64,
    syncs: u64,
    operations: u64,
    histories: u64,
}

/// Stops at every operation of history after history, until there were enough crashes.
fn check(sync: SyncMode) {
    let wanted = setting("KYMO_CRASH_POINTS", 10_000).div_ceil(MODES.len() as u64);
    let mut counts = Counts::default();
    let first = first_seed();
    let mut seed = first;
    while counts.points < wanted {
        stop_everywhere(seed, sync, &mut counts);
        seed += 1;
    }
    let Counts { points, syncs, operations, histories } = counts;
    report(format_args!(
        "{points} crashes ({syncs} of them at a sync) at {operations} operations, and in the recovery, of {histories} \
         histories with {sync:?} (seeds {first} to {}): every acknowledged sample as promised, none invented",
        seed - 1
    ));
}

fn stop_everywhere(seed: u64, sync: SyncMode, counts: &mut Counts) {
    let mut history = History::new(seed, sync, "stopped everywhere".to_owned());
    history.watch();
    let mut random = Random::new(seed);
    counts.histories += 1;
    for _ in 0..STEPS {
        history.live(1);
        // It crashes itself now and then, so that there are places in the recovery from that.
        if random.chance(1, 15) {
            history.crash_and_open(if random.chance(1, 3) { Crash::Process } else { Crash::Power });
        }
        stop_at_places(&mut history, &mut random, 10, counts);
    }
}

/// Stops at the places that were kept since it was done before.
fn stop_at_places(history: &mut History, random: &mut Random, one_again_in: u64, counts: &mut Counts) {
    for place in history.take_places() {
        counts.operations += 1;
        for crash in CRASHES {
            let again = random.chance(1, one_again_in);
            let mut stopped = history.stopped_at(&place, crash, random.next(), again);
            counts.add(&place);
            // The recovery is stopped, too.
            for place in stopped.take_places() {
                stopped.stopped_at(&place, Crash::Power, random.next(), false);
                counts.add(&place);
            }
            // It goes on from there; not every time, because it takes as long again.
            if random.chance(1, 4) {
                stopped.live(2);
                stopped.crash_and_open(Crash::Process);
            }
        }
    }
}

/// Stops at every operation of deletions and cuts while chunk files rot.
#[test]
fn while_chunks_rot() {
    let wanted = setting("KYMO_CRASH_POINTS", 10_000).div_ceil(5);
    let (mut counts, mut moved, mut quarantined) = (Counts::default(), Moved::default(), 0);
    let first = first_seed();
    let mut seed = first;
    while counts.points < wanted || (quarantined == 0 && counts.histories < 40) {
        let sync = MODES[(seed % 3) as usize];
        let mut history = History::new(seed, sync, "stopped while chunks rot".to_owned());
        history.live(30);
        history.watch();
        let mut random = Random::new(seed);
        counts.histories += 1;
        quarantined += history.rot_and_move();
        stop_at_places(&mut history, &mut random, 30, &mut counts);
        moved += history.moved;
        seed += 1;
    }
    let Counts { points, operations, histories, .. } = counts;
    assert!(quarantined > 0 && moved.deletions > 0, "{quarantined} put into quarantine, {moved:?}");
    report(format_args!(
        "{points} crashes at {operations} operations, and in the recovery, of {} deletions and {} cuts while chunks rot, of which \
         {quarantined} were put into quarantine, in {histories} histories (seeds {first} to {}): none of the others lost, none \
         invented, none back",
        moved.deletions,
        moved.cuts,
        seed - 1
    ));
}

/// Stops at every operation of cuts, compactions, deletions and snapshots.
#[test]
fn while_samples_move() {
    let wanted = setting("KYMO_CRASH_POINTS", 10_000).div_ceil(4);
    let (mut counts, mut moved) = (Counts::default(), Moved::default());
    let first = first_seed();
    let mut seed = first;
    // A history need not have all of it.
    while counts.points < wanted || (!moved.is_all() && counts.histories < 12) {
        let sync = MODES[(seed % 3) as usize];
        let mut history = History::new(seed, sync, "stopped while samples move".to_owned());
        history.live(40);
        history.watch();
        let mut random = Random::new(seed);
        counts.histories += 1;
        for _ in 0..3 {
            history.move_everything();
            stop_at_places(&mut history, &mut random, 30, &mut counts);
        }
        moved += history.moved;
        seed += 1;
    }
    let Counts { points, syncs, operations, histories } = counts;
    let Moved { cuts, compactions, made_cold, cleaned, deletions, snapshots } = moved;
    assert!(moved.is_all(), "{moved:?}");
    report(format_args!(
        "{points} crashes ({syncs} of them at a sync) at {operations} operations, and in the recovery, of {cuts} cuts, {compactions} \
         compactions, {made_cold} blocks made cold, {cleaned} blocks cleaned, {deletions} deletions, {snapshots} snapshots in {histories} histories (seeds {first} to {}): \
         every acknowledged sample as promised, none invented, none back",
        seed - 1
    ));
}

impl Counts {
    fn add(&mut self, place: &Place) {
        self.points += 1;
        self.syncs += u64::from(place.moment.is_sync());
    }
}

#[test]
fn synced_at_once() {
    check(SyncMode::Always);
}

#[test]
fn synced_each_second() {
    check(SyncMode::IntervalMs(1000));
}

#[test]
fn never_synced() {
    check(SyncMode::Never);
}

#[test]
fn long_histories_with_crashes() {
    let (mut samples, mut moved) = (0, Moved::default());
    for seed in seeds(3) {
        for sync in MODES {
            let mut history = History::new(seed, sync, "crashes now and then".to_owned());
            for round in 0..6 {
                history.live(40);
                history.crash_and_open(if round % 2 == 0 { Crash::Process } else { Crash::Power });
            }
            samples += history.model.len();
            moved += history.moved;
        }
    }
    assert!(samples > 0, "nothing was left to compare");
    assert!(moved.cuts > 0 && moved.compactions > 0 && moved.deletions > 0, "{moved:?}");
}
