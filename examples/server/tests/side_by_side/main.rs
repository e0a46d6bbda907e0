//! The same faults done to kymo, to Debian's Prometheus and to VictoriaMetrics: a disk that is full for a while, kill -9, one bit
//! that flips in one file. Prints the rows of the table in docs/reliability.md.
//!
//! ```sh
//! cargo test -p kymo-server --test side_by_side -- --ignored --nocapture
//! ```
//!
//! `KYMO_SIDE_ROUNDS` says how many bits flip in each kind of file (20), one after the other, each in a fresh copy.

#[path = "../peers/mod.rs"]
mod peers;

mod bit_flip;
mod full_disk;
mod system;

use system::System;

/// Runs a scenario for every system that is installed, side by side in time, too.
fn each(scenario: fn(System)) {
    std::thread::scope(|scope| {
        for system in System::ALL {
            if system.is_installed() {
                scope.spawn(move || scenario(system));
            }
        }
    });
}

#[test]
#[ignore = "takes a minute, needs a mount, and peers for a comparison"]
fn full_disk() {
    each(full_disk::run);
}

#[test]
#[ignore = "takes minutes, and needs peers for a comparison"]
fn bit_flip() {
    each(bit_flip::run);
}
