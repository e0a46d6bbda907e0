//! Activity: when a series was last written to, on a clock that runs only while the database is open. Retention asks it, so
//! that old data that is being loaded is not taken for old data that nobody wants any more.

/// A second in the life of a database: how long it has been open, this time and the times before, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Second(u32);

/// A series that nobody wrote to for so long is idle.
pub(crate) const IDLE_S: u32 = 3600;

impl Second {
    /// The highest there is: the bit above has another meaning in a series.
    pub(crate) const MAX: Second = Second(u32::MAX >> 1);

    /// Seconds are counted from here at an opening, so that there is room for how long a series was idle before.
    pub(crate) const OPENING: Second = Second(IDLE_S);

    /// So many milliseconds after the opening.
    pub(crate) fn after_opening(open_ms: u64) -> Second {
        let since = u32::try_from(open_ms / 1000).unwrap_or(u32::MAX);
        Second(Second::OPENING.0.saturating_add(since).min(Second::MAX.0))
    }

    pub(crate) fn from_number(number: u32) -> Second {
        Second(number).min(Second::MAX)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// So many seconds later.
    pub(crate) fn later_by(self, seconds: u32) -> Second {
        Second(self.0.saturating_add(seconds)).min(Second::MAX)
    }

    /// How long a series that was last written to at `written` has been idle now, at most [`IDLE_S`].
    pub(crate) fn idle_s(self, written: Second) -> u32 {
        self.0.saturating_sub(written.0).min(IDLE_S)
    }

    /// For an opening: when a series was last written to that was idle for so long.
    pub(crate) fn before_opening(idle_s: u32) -> Second {
        Second(IDLE_S.saturating_sub(idle_s))
    }
}
