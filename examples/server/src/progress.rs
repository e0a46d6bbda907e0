//! Progress: a bar or a spinner on stderr while work takes long. Only where stderr is a terminal; never in between lines.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kymo_tsdb::OnProgress;

/// How often a spinner turns.
const TURN_MS: u64 = 100;

/// A bar over things that are done one after the other, or a spinner for one thing. Gone when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total` things; nothing is shown for a single one.
    pub(crate) fn over(total: usize) -> Progress {
        if total < 2 {
            return Progress { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(total as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// A bar over bytes that are read, with the time it will take; how many there are is told while it runs.
    pub(crate) fn bytes(what: impl Into<String>) -> Progress {
        let bar = ProgressBar::new(0).with_message(what.into());
        let template = "{wide_msg} {bar:30} {bytes}/{total_bytes}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// What tells this bar about the opening of a database.
    pub(crate) fn on_open(&self) -> OnProgress {
        let bar = self.bar.clone();
        OnProgress::new(move |progress| {
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes_read);
        })
    }

    /// A spinner beside what is going on.
    pub(crate) fn spinner(what: impl Into<String>) -> Progress {
        let bar = ProgressBar::new_spinner().with_message(what.into());
        bar.enable_steady_tick(Duration::from_millis(TURN_MS));
        Progress { bar }
    }

    /// What is being done now.
    pub(crate) fn doing(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// One thing is done.
    pub(crate) fn done(&self) {
        self.bar.inc(1);
    }

    /// Prints while the bar is out of the way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
