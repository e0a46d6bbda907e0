//! The main test of the database: random histories on a disk that fails, against the naive model.
//!
//! What was acknowledged is there after every crash as far as the sync mode promises, with its value, and nothing is there
//! that nobody wrote. Each failure names the seed and the fault. `KYMO_SEED` sets the first seed (1), `KYMO_SEEDS` how many
//! histories a test of single faults makes, `KYMO_CRASH_POINTS` after how many crashes the crash tests end (10,000, all sync
//! modes together), `KYMO_DAMAGE_ROUNDS` how often each kind of damage is done to each kind of file (1,000).

mod clock;
mod crash;
mod damage;
mod failure;
mod history;
mod model;
mod rot;

use kymo_testkit::setting;
use kymo_tsdb::SyncMode;

const MODES: [SyncMode; 3] = [SyncMode::Always, SyncMode::IntervalMs(1000), SyncMode::Never];

fn first_seed() -> u64 {
    setting("KYMO_SEED", 1)
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let first = first_seed();
    first..first + setting("KYMO_SEEDS", default)
}
