//! Schedule: when a target is scraped next and which time its samples get.
//!
//! Targets are spread over their interval by hash, at the same place after every start, so that they do not come all at
//! once. Timers come a little late; times within a small tolerance of the grid are put on it, which makes them compress.

use kymo_model::Timestamp;

/// How late a scrape may begin and still get the time it was planned for, in milliseconds.
const TOLERANCE_MS: i64 = 2;

/// After so many scrapes in a row beside the grid, a new one begins: the clock was set, or drifted from the timer's.
const MISSES_MAX: u32 = 5;

/// The grid of one target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    interval_ms: i64,
    grid: Option<Timestamp>,
    misses: u32,
}

impl Schedule {
    pub(crate) fn new(interval_ms: i64) -> Schedule {
        Schedule { interval_ms: interval_ms.max(1), grid: None, misses: 0 }
    }

    /// Milliseconds from `now` to the target's place in the interval.
    pub(crate) fn first_delay_ms(&self, now: Timestamp, hash: u64) -> u64 {
        let interval = self.interval_ms;
        let place = (hash % interval as u64) as i64;
        place.saturating_sub(now.millis()).rem_euclid(interval) as u64
    }

    /// The time for the samples of a scrape that begins `now`.
    pub(crate) fn align(&mut self, now: Timestamp) -> Timestamp {
        let interval = self.interval_ms;
        // Short intervals get less tolerance; those under 100 ms none.
        let tolerance = TOLERANCE_MS.min(interval / 100);
        let Some(grid) = self.grid.filter(|_| self.misses < MISSES_MAX) else {
            self.grid = Some(now);
            self.misses = 0;
            return now;
        };
        let past = now.millis().saturating_sub(grid.millis()).rem_euclid(interval);
        self.misses = if past <= tolerance || interval - past <= tolerance { 0 } else { self.misses + 1 };
        if past <= tolerance {
            now.saturating_add_ms(-past)
        } else if interval - past <= tolerance {
            now.saturating_add_ms(interval - past)
        } else {
            now
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_scrapes_are_spread_and_stable() {
        let schedule = Schedule::new(15_000);
        for (now, hash, delay) in [(0, 0, 0), (1, 0, 14_999), (14_999, 5_000, 5_001), (30_000, 45_100, 100)] {
            assert_eq!(schedule.first_delay_ms(Timestamp::from_millis(now), hash), delay, "{now} {hash}");
        }
    }

    #[test]
    fn times_near_the_grid_are_put_on_it() {
        let mut schedule = Schedule::new(1000);
        for (now, want) in [
            (5, 5),
            (1006, 1005),
            (2007, 2005),
            (3004, 3005),
            (4008, 4008),
            (5006, 5005),
            (9003, 9005),
            (2500, 2500),
            (3500, 3500),
            (4500, 4500),
            (5500, 5500),
            (6500, 6500),
            (7501, 7501),
            (8502, 8501),
        ] {
            assert_eq!(schedule.align(Timestamp::from_millis(now)).millis(), want, "{now}");
        }
    }
}
