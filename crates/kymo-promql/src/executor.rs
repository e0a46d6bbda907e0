//! Executor: where the workers of a query run. Threads are the embedder's business; this crate only says how many it could use.
//!
//! The default starts scoped threads and ends them with the part of the query that they worked on. A pool of our own would save
//! some 30 µs for each of them, and would be threads that live on behind an embedder's back; who has a pool lends it as an
//! [`Executor`]. Nothing depends on when, where, or how often a worker is run: each takes what is left of the work.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::EngineOptions;

/// Runs workers.
///
/// ```
/// use std::sync::Arc;
/// use kymo_promql::{Engine, EngineOptions, Executor};
///
/// /// All on the thread that asks: no faster, and the same answers.
/// #[derive(Debug)]
/// struct Here;
/// impl Executor for Here {
///     fn run(&self, workers: usize, work: &(dyn Fn() + Sync)) {
///         (0..workers).for_each(|_| work());
///     }
/// }
///
/// let options = EngineOptions { threads: 4, executor: Arc::new(Here), ..EngineOptions::default() };
/// let engine = Engine::new(options);
/// # let store = kymo_model::MemoryStore::default();
/// # let expr = kymo_promql_syntax::parse("1 + 1").unwrap();
/// # engine.instant(&store, &expr, kymo_model::Timestamp::from_millis(0), &Default::default()).unwrap();
/// ```
pub trait Executor: Debug + Send + Sync {
    /// Calls `work` up to `workers` times, at the same time where it can, once at least; returns when all calls have ended.
    fn run(&self, workers: usize, work: &(dyn Fn() + Sync));
}

/// Threads that are started for a part of a query and end with it. The calling thread is one of the workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopedThreads;

impl Executor for ScopedThreads {
    fn run(&self, workers: usize, work: &(dyn Fn() + Sync)) {
        std::thread::scope(|scope| {
            for _ in 1..workers {
                // Where the system gives no thread, those that run do its work.
                let _ = std::thread::Builder::new().name("promql".to_owned()).spawn_scoped(scope, work);
            }
            work();
        });
    }
}

/// How many workers a query may have, and how many more than their own thread all queries of an engine may have together.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    pub(crate) threads: usize,
    /// See [`EngineOptions::alone_work`](crate::EngineOptions::alone_work).
    pub(crate) alone_work: usize,
    executor: Arc<dyn Executor>,
    spare: Arc<AtomicUsize>,
}

impl Workers {
    /// 0 threads are as many as there are processors for this process.
    pub(crate) fn new(options: &EngineOptions) -> Workers {
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let (alone_work, executor) = (options.alone_work, options.executor.clone());
        Workers { threads, alone_work, executor, spare: Arc::new(AtomicUsize::new(threads - 1)) }
    }

    /// Runs `work` as often as workers are free, the calling thread included.
    pub(crate) fn run(&self, work: &(dyn Fn() + Sync)) {
        let taken = Taken::some_of(&self.spare);
        match taken.count {
            0 => work(),
            more => self.executor.run(more + 1, work),
        }
    }
}

/// Workers that other queries cannot have meanwhile.
struct Taken<'a> {
    spare: &'a AtomicUsize,
    count: usize,
}

impl Taken<'_> {
    fn some_of(spare: &AtomicUsize) -> Taken<'_> {
        Taken { spare, count: spare.swap(0, Ordering::Relaxed) }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.spare.fetch_add(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_share_workers() {
        let of = |threads| Workers::new(&EngineOptions { threads, ..EngineOptions::default() });
        let workers = of(3);
        let (outer, inner) = (AtomicUsize::new(0), AtomicUsize::new(0));
        workers.run(&|| {
            outer.fetch_add(1, Ordering::Relaxed);
            // All are taken: whoever asks now works alone.
            workers.run(&|| {
                inner.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!((outer.into_inner(), inner.into_inner()), (3, 3));
        assert_eq!(workers.spare.load(Ordering::Relaxed), 2);
        assert!(of(0).threads >= 1);
    }
}
