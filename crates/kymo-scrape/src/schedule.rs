//! Schedule: when a target is scraped next and which time its samples get.
//!
//! Targets are spread over their interval by hash, at the same place after every start, so that they do not come all at
//! once. Timers come a little late; times within a small tolerance of the grid are put on it, which makes them compress.

use kymo_model::Timestamp;

/// How late a scrape may begin and still get the time it was planned for, in milliseconds.
const TOLERANCE_MS: i64 = 2;

/// The grid of one target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    interval_ms: i64,
    planned: Option<Timestamp>,
}

impl Schedule {
    pub(crate) fn new(interval_ms: i64) -> Schedule {
        Schedule { interval_ms: interval_ms.max(1), planned: None }
    }

    /// Milliseconds from `now` to the target's place in the interval.
    pub(crate) fn first_delay_ms(&self, now: Timestamp, hash: u64) -> u64 {
        let interval = self.interval_ms;
        let place = (hash % interval as u64) as i64;
        (place - now.millis()).rem_euclid(interval) as u64
    }

    /// The time for the samples of a scrape that begins `now`.
    pub(crate) fn align(&mut self, now: Timestamp) -> Timestamp {
        let interval = self.interval_ms;
        // Short intervals get less tolerance; those under 100 ms none.
        let tolerance = TOLERANCE_MS.min(interval / 100);
        let Some(planned) = self.planned else {
            self.planned = Some(now);
            return now;
        };
        let late = now.millis().saturating_sub(planned.millis());
        let past_grid = late.rem_euclid(interval);
        let near = if past_grid <= tolerance {
            now.saturating_add_ms(-past_grid)
        } else if interval - past_grid <= tolerance {
            now.saturating_add_ms(interval - past_grid)
        } else {
            // Off the grid: a new one begins when the clock was set or scrapes run late.
            self.planned = Some(now);
            return now;
        };
        self.planned = Some(near);
        near
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
            (5009, 5008),
            (9010, 9008),
            (2500, 2500),
        ] {
            assert_eq!(schedule.align(Timestamp::from_millis(now)).millis(), want, "{now}");
        }
    }
}
