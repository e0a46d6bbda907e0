//! Progress: a bar or a spinner on stderr while work takes long. Only where stderr is a terminal; never in between lines. A server logs it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use kymo_tsdb::{OnProgress, ProgressUnit, Work};

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

    /// A bar for work that tells how far it has come, with the time it will take. What is done is told beside `of`.
    pub(crate) fn work(of: impl Into<String>) -> WorkProgress {
        WorkProgress { bar: Progress { bar: ProgressBar::new(0) }, of: of.into(), shown: Mutex::default() }
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

/// A bar for what the database tells of its work.
pub(crate) struct WorkProgress {
    bar: Progress,
    of: String,
    /// What the bar is dressed for.
    shown: Mutex<Option<(Work, ProgressUnit)>>,
}

impl WorkProgress {
    pub(crate) fn tell(&self, progress: kymo_tsdb::Progress) {
        let kymo_tsdb::Progress { what, unit, done, total } = progress;
        let bar = &self.bar.bar;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.replace((what, unit)) != Some((what, unit)) {
            let counted = match unit {
                ProgressUnit::Bytes => "{bytes}/{total_bytes}",
                _ => "{human_pos}/{human_len} series",
            };
            let template = format!("{{wide_msg}} {{bar:30}} {counted}, {{eta}} left");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_message(format!("{what} {}", self.of));
            // The time it will take is reckoned from its own beginning.
            bar.reset();
        }
        bar.set_length(total);
        bar.set_position(done);
    }

    /// What tells this bar about the opening of a database.
    pub(crate) fn on_open(self: &Arc<Self>) -> OnProgress {
        let this = Arc::clone(self);
        OnProgress::new(move |progress| this.tell(progress))
    }

    /// Prints while the bar is out of the way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.aside(print)
    }
}

/// How often a server says how far its database is open.
const LOG_STEP: Duration = Duration::from_secs(5);

/// Logs the progress of an opening that takes long.
pub(crate) fn log_opening() -> OnProgress {
    let began = Instant::now();
    let told = Mutex::new(began);
    OnProgress::new(move |kymo_tsdb::Progress { what, done, total, .. }| {
        let now = Instant::now();
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*told) >= LOG_STEP {
            *told = now;
            let percent = done.saturating_mul(100) / total.max(1);
            tracing::info!(percent, took_s = now.duration_since(began).as_secs(), "{what} the database");
        }
    })
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
