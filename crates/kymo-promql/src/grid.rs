//! Grid: the points in time at which a part of a query is evaluated. Planning and evaluation.
//!
//! Times are `start + i * step` for `i < steps`. A step of 0 is allowed and means the same time again and again: that is
//! what `@` makes of a selector. All arithmetic saturates, so no offset or range can overflow.

/// Points in time, evenly spaced, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) steps: usize,
}

impl Grid {
    pub(crate) fn instant(at: i64) -> Grid {
        Grid { start: at, step: 0, steps: 1 }
    }

    pub(crate) fn time(&self, index: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(index as i64))
    }

    /// All points in order, without a multiplication for each.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let step = self.step;
        let mut next = self.start;
        (0..self.steps).map(move |_| {
            let time = next;
            next = next.saturating_add(step);
            time
        })
    }

    pub(crate) fn last(&self) -> i64 {
        self.time(self.steps.saturating_sub(1))
    }

    /// The grid of the first point alone: where step-invariant parts are evaluated.
    pub(crate) fn first(&self) -> Grid {
        Grid { steps: self.steps.min(1), ..*self }
    }

    pub(crate) fn is_range(&self) -> bool {
        self.steps > 1
    }
}

/// `offset` and `@`, resolved: how the time that is looked at follows from the time of evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) offset_ms: i64,
    pub(crate) at: Option<i64>,
}

impl Shift {
    /// The times looked at, one per point of `grid`.
    pub(crate) fn track(&self, grid: Grid) -> Grid {
        match self.at {
            None => Grid { start: grid.start.saturating_sub(self.offset_ms), ..grid },
            Some(at) => Grid { start: at.saturating_sub(self.offset_ms), step: 0, steps: grid.steps },
        }
    }
}

/// The grid of a subquery's inside: multiples of `step` after the start of its first window, up to the end of its last.
///
/// `None` when there are more points than fit a `usize`-sized count of `steps_max`.
pub(crate) fn subquery_grid(track: Grid, range_ms: i64, step: i64, steps_max: usize) -> Option<Grid> {
    let after = track.start.saturating_sub(range_ms);
    let start = after.div_euclid(step).checked_add(1)?.checked_mul(step)?;
    let end = track.last();
    if track.steps == 0 || end < start {
        return Some(Grid { start, step, steps: 0 });
    }
    let steps = usize::try_from((i128::from(end) - i128::from(start)) / i128::from(step) + 1).ok()?;
    (steps <= steps_max).then_some(Grid { start, step, steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subqueries_align_to_the_epoch() {
        let check = |at: i64, range, step| {
            let grid = subquery_grid(Grid::instant(at), range, step, 1000).unwrap();
            (0..grid.steps).map(|i| grid.time(i)).collect::<Vec<_>>()
        };
        assert_eq!(check(50, 30, 10), [30, 40, 50]);
        assert_eq!(check(55, 30, 10), [30, 40, 50]);
        assert_eq!(check(5, 30, 10), [-20, -10, 0]);
        assert_eq!(check(5, 3, 10), [] as [i64; 0]);
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(subquery_grid(Grid::instant(i64::MAX), i64::MAX, 1, 1000), None);
        assert!(
            subquery_grid(Grid::instant(i64::MIN), i64::MAX, i64::MAX, 1000).is_none_or(|g| g.steps <= 2)
        );
        let grid = Grid { start: i64::MAX, step: i64::MAX, steps: 3 };
        assert_eq!(grid.last(), i64::MAX);
        assert_eq!(grid.times().collect::<Vec<_>>(), [i64::MAX; 3]);
    }
}
