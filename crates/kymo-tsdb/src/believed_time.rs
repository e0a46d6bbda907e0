//! BelievedTime: the wall clock as far as retention believes it. It deletes nothing because a clock was wrong for a while.
//!
//! Invariant: between two looks it goes forwards by no more than the monotonic clock and [`LEAP_MS`], unless the wall clock has
//! been ahead by more than that for [`HELD_MS`].

/// The wall clock may be corrected by so much at once.
const LEAP_MS: i64 = 10 * 60_000;

/// A greater leap forwards is believed when it has lasted a day: time enough for somebody to notice a wrong clock.
const HELD_MS: u64 = 24 * 3_600_000;

#[derive(Debug)]
pub(crate) struct BelievedTime {
    wall_ms: i64,
    /// When that was, by the monotonic clock.
    seen_ms: u64,
    /// Since when the wall clock has been too far ahead.
    ahead_since_ms: Option<u64>,
}

impl BelievedTime {
    /// At the opening nothing is known but the newest sample: if the clock is ahead of it, that may be a pause or a wrong clock.
    pub(crate) fn at_opening(wall_ms: i64, newest_ms: Option<i64>, monotonic_ms: u64) -> BelievedTime {
        let wall_ms = newest_ms.map_or(wall_ms, |newest_ms| newest_ms.min(wall_ms));
        BelievedTime { wall_ms, seen_ms: monotonic_ms, ahead_since_ms: None }
    }

    /// Looks at the clocks; gives the time that is believed now. Backwards everything is believed.
    pub(crate) fn look(&mut self, wall_ms: i64, monotonic_ms: u64) -> i64 {
        let passed_ms = i64::try_from(monotonic_ms.saturating_sub(self.seen_ms)).unwrap_or(i64::MAX);
        self.seen_ms = self.seen_ms.max(monotonic_ms);
        self.wall_ms = self.wall_ms.saturating_add(passed_ms);
        if wall_ms > self.wall_ms.saturating_add(LEAP_MS) {
            let since_ms = *self.ahead_since_ms.get_or_insert(monotonic_ms);
            if monotonic_ms.saturating_sub(since_ms) < HELD_MS {
                return self.wall_ms;
            }
        }
        self.ahead_since_ms = None;
        self.wall_ms = wall_ms;
        wall_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

    /// Clock readings (wall, monotonic, both after the opening at 0, in hours) and the time that is believed then.
    fn check(newest_h: Option<i64>, readings: &[(i64, i64, i64)]) {
        let mut time = BelievedTime::at_opening(YEAR_MS, newest_h.map(|hours| YEAR_MS + hours * HOUR_MS), 77);
        for (wall_h, monotonic_h, expected_h) in readings {
            let found =
                time.look(YEAR_MS + wall_h * HOUR_MS, 77 + u64::try_from(monotonic_h * HOUR_MS).unwrap());
            assert_eq!((found - YEAR_MS) / HOUR_MS, *expected_h, "wall {wall_h}, monotonic {monotonic_h}");
        }
    }

    #[test]
    fn a_leap_forwards_is_believed_when_it_lasts() {
        check(None, &[(1, 1, 1), (5, 5, 5)]);
        check(None, &[(9000, 1, 1), (9005, 6, 6), (7, 7, 7), (8, 8, 8)]);
        check(None, &[(9000, 1, 1), (9023, 24, 24), (9024, 25, 9024), (9030, 31, 9030)]);
        check(None, &[(-9000, 1, -9000), (2, 2, -8999), (26, 26, 26)]);
        // Off for 50 hours: the first day is lived as if it were right after the newest sample.
        check(Some(-50), &[(0, 0, -50), (23, 23, -27), (24, 24, 24)]);
        check(Some(9000), &[(0, 0, 0), (1, 1, 1)]);
    }
}
