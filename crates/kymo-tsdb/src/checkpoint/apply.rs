//! Apply: puts gathered rows into the head, page by page, on as many threads as the options allow.
//!
//! Whoever gathers hands over many pages at once, gathers the next ones meanwhile, and helps before it hands over again. All
//! pages of one handing-over are done before those of the next are begun, so what comes out does not depend on the threads.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex, PoisonError};

use kymo_model::SampleValue;

use super::gather::PageRows;
use crate::chunks::ChunkStore;
use crate::head::{Buffers, Head, SERIES_PER_PAGE, Second, Series};
use crate::index::SeriesId;
use crate::lock::lock;

/// Pages whose rows wait to be applied.
#[derive(Debug)]
pub(super) struct Appliers<'a> {
    head: &'a Head,
    threads: usize,
    /// What the gathering thread works in when it helps.
    own: Mutex<Scratch>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(usize, PageRows)>,
    /// How many pages are being worked on.
    working: usize,
    ended: bool,
    /// Memory to be used again.
    spare: Vec<PageRows>,
}

/// Runs `read` with appliers, on `threads` threads with this one.
pub(super) fn with_appliers<T>(head: &Head, threads: usize, read: impl FnOnce(&Appliers<'_>) -> T) -> T {
    let appliers =
        Appliers { head, threads, own: Mutex::default(), state: Mutex::default(), changed: Condvar::new() };
    std::thread::scope(|scope| {
        // However `read` ends, the threads do too.
        let _end = End(&appliers);
        for number in 1..threads {
            let thread = std::thread::Builder::new().name(format!("kymo-replay-{number}"));
            // Without another thread it takes longer, nothing else.
            if thread.spawn_scoped(scope, || appliers.work()).is_err() {
                break;
            }
        }
        read(&appliers)
    })
}

struct End<'a, 'b>(&'a Appliers<'b>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        lock(&self.0.state).ended = true;
        self.0.changed.notify_all();
    }
}

impl Appliers<'_> {
    /// Hands over pages, when those of the time before are done. No page may come twice.
    pub(super) fn hand_over(&self, pages: Vec<(usize, PageRows)>) {
        self.finish(|| {});
        lock(&self.state).waiting.extend(pages);
        self.changed.notify_all();
    }

    /// Returns when everything was applied. Where there is no other thread, `between` is called after each page, while it lies in the
    /// processor's caches.
    pub(super) fn finish(&self, mut between: impl FnMut()) {
        let mut scratch = lock(&self.own);
        while self.work_on_one(&mut scratch) {
            if self.threads == 1 {
                between();
            }
        }
        drop(scratch);
        let mut state = lock(&self.state);
        while state.working > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Memory that was used before, or none.
    pub(super) fn spare(&self) -> PageRows {
        lock(&self.state).spare.pop().unwrap_or_default()
    }

    /// What the other threads do.
    fn work(&self) {
        let mut scratch = Scratch::default();
        loop {
            while self.work_on_one(&mut scratch) {}
            let mut state = lock(&self.state);
            while state.waiting.is_empty() {
                if state.ended {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn work_on_one(&self, scratch: &mut Scratch) -> bool {
        let (page, rows) = {
            let mut state = lock(&self.state);
            let Some(next) = state.waiting.pop_front() else { return false };
            state.working += 1;
            next
        };
        let mut working = Working { appliers: self, rows };
        apply(self.head, page, &working.rows, scratch);
        working.rows.clear();
        true
    }
}

/// A page that is being worked on; counted until it is dropped, so that nobody waits for a thread that panicked.
struct Working<'a, 'b> {
    appliers: &'a Appliers<'b>,
    rows: PageRows,
}

impl Drop for Working<'_, '_> {
    fn drop(&mut self) {
        let mut state = lock(&self.appliers.state);
        state.working -= 1;
        state.spare.push(std::mem::take(&mut self.rows));
        if state.working == 0 {
            self.appliers.changed.notify_all();
        }
    }
}

/// What is said of a row: it is late, it has a histogram.
const LATE: u8 = 1;
const HISTOGRAM: u8 = 2;

/// Memory that a thread works in.
#[derive(Debug, Default)]
struct Scratch {
    /// Where the rows of a slot begin.
    starts: Vec<u32>,
    /// In place of a histogram the index it has among the histograms, as bits.
    samples: Vec<(i64, f64)>,
    marks: Vec<u8>,
    buffers: Buffers,
    /// Series of which chunks were sealed.
    sealed: Vec<SeriesId>,
}

impl Scratch {
    /// Brings the rows of a page into the order of their series.
    fn sort(&mut self, rows: &PageRows) {
        self.starts.clear();
        self.starts.resize(SERIES_PER_PAGE + 1, 0);
        for run in &rows.runs {
            let first = usize::from(run.first_slot) + 1;
            self.starts[first..first + usize::from(run.count)].iter_mut().for_each(|count| *count += 1);
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        let all = rows.values.len() + rows.histograms.len();
        self.samples.resize(all, (0, 0.0));
        self.marks.resize(all, 0);
        let mut values = rows.values.iter().copied();
        let mut histograms = (0..).map(f64::from_bits);
        for run in &rows.runs {
            let first = usize::from(run.first_slot);
            let next = self.starts[first..first + usize::from(run.count)].iter_mut();
            let mark = if run.late { LATE } else { 0 } | if run.histograms { HISTOGRAM } else { 0 };
            let mut put = |next: &mut u32, value: f64| {
                self.samples[*next as usize] = (run.t_ms, value);
                self.marks[*next as usize] = mark;
                *next += 1;
            };
            if run.histograms {
                next.zip(histograms.by_ref()).for_each(|(next, value)| put(next, value));
            } else {
                next.zip(values.by_ref()).for_each(|(next, value)| put(next, value));
            }
        }
    }

    /// The rows of a slot, once sorted.
    fn of_slot(&self, slot: usize) -> Range<usize> {
        // Each start has moved on to the next one's.
        let start = slot.checked_sub(1).map_or(0, |before| self.starts[before]);
        start as usize..self.starts[slot] as usize
    }
}

/// What was added to the head.
struct Added {
    samples: u64,
    chunks: u64,
    min_ms: i64,
    max_ms: i64,
}

/// Puts the rows of one page into its series. Those that are there already change nothing.
fn apply(head: &Head, page: usize, rows: &PageRows, scratch: &mut Scratch) {
    let mut added = Added { samples: 0, chunks: 0, min_ms: i64::MAX, max_ms: i64::MIN };
    let mut sealed_bytes = 0;
    scratch.sort(rows);
    head.pages().with_page(page, |slots| {
        for (slot, series) in slots.iter_mut().enumerate() {
            let range = scratch.of_slot(slot);
            if let (Some(series), false) = (series, range.is_empty()) {
                let Scratch { samples, marks, buffers, sealed, .. } = &mut *scratch;
                let before = added.chunks;
                let of_series = SeriesRows {
                    samples: &samples[range.clone()],
                    marks: &marks[range],
                    histograms: &rows.histograms,
                };
                apply_series(series, of_series, buffers, &head.store, &mut added);
                let unspilled = if added.chunks > before { series.unspilled_bytes() } else { 0 };
                if unspilled > 0 {
                    sealed_bytes += unspilled as u64;
                    sealed.push(SeriesId((page * SERIES_PER_PAGE + slot) as u32));
                }
            }
        }
    });
    head.unspilled.add(&scratch.sealed, sealed_bytes);
    scratch.sealed.clear();
    if added.samples > 0 {
        head.extend_time(added.min_ms, added.max_ms);
        head.samples.fetch_add(added.samples, Relaxed);
        head.chunks.fetch_add(added.chunks, Relaxed);
    }
}

/// Rows of one series, in order.
struct SeriesRows<'a> {
    samples: &'a [(i64, f64)],
    marks: &'a [u8],
    /// Those of the page.
    histograms: &'a [SampleValue],
}

impl SeriesRows<'_> {
    /// How many rows from `at` on have floats.
    fn floats(&self, at: usize) -> usize {
        let rest = &self.marks[at..];
        if self.histograms.is_empty() {
            rest.len()
        } else {
            rest.iter().take_while(|mark| **mark & HISTOGRAM == 0).count()
        }
    }

    fn value(&self, at: usize) -> SampleValue {
        let number = self.samples[at].1;
        if self.marks[at] & HISTOGRAM == 0 {
            SampleValue::Float(number)
        } else {
            self.histograms[number.to_bits() as usize].clone()
        }
    }
}

fn apply_series(
    series: &mut Series,
    rows: SeriesRows<'_>,
    buffers: &mut Buffers,
    store: &ChunkStore,
    added: &mut Added,
) {
    series.touch(Second::OPENING);
    let mut at = 0;
    while at < rows.samples.len() {
        let (count, chunks) = series.push_newer(&rows.samples[at..at + rows.floats(at)], buffers);
        if count > 0 {
            added.add(rows.samples[at].0, rows.samples[at + count - 1].0, count, chunks);
            at += count;
            continue;
        }
        let t_ms = rows.samples[at].0;
        if series.newest_ms().is_none_or(|newest_ms| newest_ms < t_ms) {
            added.add(t_ms, t_ms, 1, series.push(t_ms, &rows.value(at)));
        } else if rows.marks[at] & LATE != 0 && !series.has(t_ms, store) {
            added.add(t_ms, t_ms, 1, series.push_late(t_ms, rows.value(at)));
        }
        // What is neither newer nor late is in a chunk that was read before: the checkpoint was made after this row.
        at += 1;
    }
}

impl Added {
    fn add(&mut self, first_ms: i64, last_ms: i64, samples: usize, chunks: usize) {
        self.min_ms = self.min_ms.min(first_ms);
        self.max_ms = self.max_ms.max(last_ms);
        self.samples += samples as u64;
        self.chunks += chunks as u64;
    }
}
