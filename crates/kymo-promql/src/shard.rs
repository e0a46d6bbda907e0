//! Shard: many small pieces of work (rows, groups) by several workers, and what they give taken in order.
//!
//! Workers take blocks of neighbouring pieces. Whoever finishes the block that is next in line hands over its results, and
//! those of blocks that wait behind it; so results arrive in the order of the pieces, one at a time, as on one thread, and
//! nobody waits for a thread that does nothing else. Sums add up in the same order, notes and errors are the same ones: the
//! error that counts is that of the first piece that has one.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::QueryError;
use crate::context::Context;
use crate::row::Row;
use crate::vector::Scratch;

/// So many times the work that the calling thread did alone must be left, judged by what that was, for workers to be worth
/// their start.
const WORTH: usize = 4;

/// Two blocks are so much work: small enough that workers end together and that little memory is in flight, large enough that
/// taking blocks costs nothing.
const BLOCKS_WORK: usize = 32 * 1024;

/// What a piece costs beside its samples and steps.
const PIECE_WORK: usize = 16;

/// How many blocks for each worker are begun and not handed over yet.
const BLOCKS_PER_WORKER: usize = 3;

/// What workers hand over.
pub(crate) trait Piece: Default + Send {
    /// Bytes that are not the same for all pieces.
    fn extra_bytes(&self) -> usize {
        0
    }
}

impl Piece for () {}

impl Piece for (Option<f64>, Vec<f64>) {}

impl<T: Default + Send> Piece for (Row, T) {
    fn extra_bytes(&self) -> usize {
        self.0.extra_bytes()
    }
}

impl Piece for Row {
    fn extra_bytes(&self) -> usize {
        if self.histograms.is_empty() { 0 } else { self.weight().saturating_mul(16) }
    }
}

impl Context {
    /// Computes `count` pieces, with several workers where that is worth it, and gives each to `take`, in order. Every piece is
    /// computed once. `size` is what one takes, in values of eight bytes.
    pub(crate) fn in_order<T: Piece>(
        &self,
        count: usize,
        size: usize,
        compute: impl Fn(usize, &mut Scratch, &mut T) -> Result<(), QueryError> + Sync,
        mut take: impl FnMut(usize, &mut T) -> Result<(), QueryError> + Send,
    ) -> Result<(), QueryError> {
        let (mut scratch, mut piece) = (self.scratch(), T::default());
        let mut alone = if self.workers.threads > 1 { self.workers.alone_work } else { usize::MAX };
        for at in 0..count {
            compute(at, &mut scratch, &mut piece)?;
            take(at, &mut piece)?;
            let done = at + 1;
            if done.saturating_mul(size + PIECE_WORK) >= alone || scratch.pulse.worked() >= alone {
                let work = scratch.pulse.worked() + done * (size + PIECE_WORK);
                let each = work / done;
                let worth = alone.saturating_mul(WORTH);
                let block = (BLOCKS_WORK.min(alone) / 2 / each).clamp(1, count);
                alone = usize::MAX;
                if done < count && each.saturating_mul(count - done) >= worth {
                    let blocks = BLOCKS_PER_WORKER * self.workers.threads;
                    let in_flight = (size * 8 + size_of::<T>()).saturating_mul(block).saturating_mul(blocks);
                    // Where there is no room for more than one piece, one thread goes on.
                    if let Ok(_held) = self.budget.hold_bytes(in_flight) {
                        drop((scratch, piece));
                        return InOrder::new(self, done..count, block, compute, take).run();
                    }
                }
            }
        }
        Ok(())
    }
}

/// Pieces on their way.
struct InOrder<'c, T, C, F> {
    context: &'c Context,
    pieces: std::ops::Range<usize>,
    /// How many pieces a block has.
    block: usize,
    compute: C,
    state: Mutex<State<T, F>>,
    /// A block was handed over, or there is no more to do.
    moved: Condvar,
}

struct State<T, F> {
    /// Absent while a worker hands over.
    take: Option<F>,
    /// How many blocks there are that anybody wants: those behind an error nobody does.
    blocks: usize,
    begun: usize,
    handed_over: usize,
    ready: BTreeMap<usize, Block<T>>,
    /// Memory of blocks that were handed over.
    spare: Vec<Block<T>>,
    error: Option<QueryError>,
    /// A worker panicked: nobody is to wait for its block.
    broken: bool,
}

struct Block<T> {
    pieces: Vec<T>,
    /// What was held for a moment to compute each: samples and bytes.
    peaks: Vec<(usize, usize)>,
    /// Why there are no more.
    error: Option<QueryError>,
}

impl<T> Default for Block<T> {
    fn default() -> Block<T> {
        Block { pieces: Vec::new(), peaks: Vec::new(), error: None }
    }
}

impl<'c, T, C, F> InOrder<'c, T, C, F>
where
    T: Piece,
    C: Fn(usize, &mut Scratch, &mut T) -> Result<(), QueryError> + Sync,
    F: FnMut(usize, &mut T) -> Result<(), QueryError> + Send,
{
    fn new(context: &'c Context, pieces: std::ops::Range<usize>, block: usize, compute: C, take: F) -> Self {
        let state = State {
            take: Some(take),
            blocks: pieces.len().div_ceil(block),
            begun: 0,
            handed_over: 0,
            ready: BTreeMap::new(),
            spare: Vec::new(),
            error: None,
            broken: false,
        };
        InOrder { context, pieces, block, compute, state: Mutex::new(state), moved: Condvar::new() }
    }

    fn run(self) -> Result<(), QueryError> {
        self.context.workers.run(&|| self.work());
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.error {
            Some(error) => {
                self.context.native_buckets.forget_unless(&error);
                Err(error)
            }
            None if state.handed_over == state.blocks => Ok(()),
            None => Err(QueryError::execution("the executor of the query ended before its work was done")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each worker does.
    fn work(&self) {
        let mut scratch = self.context.worker_scratch();
        let mut on_panic = OnPanic { of: self, ended: false };
        while let Some((number, mut block)) = self.begin() {
            self.compute(number, &mut scratch, &mut block);
            self.end(number, block);
        }
        on_panic.ended = true;
    }

    /// The next block to compute, as soon as there is room for it.
    fn begin(&self) -> Option<(usize, Block<T>)> {
        let most = BLOCKS_PER_WORKER * self.context.workers.threads;
        let mut state = self.lock();
        while state.begun < state.blocks && state.begun - state.handed_over >= most && !state.broken {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.begun >= state.blocks || state.broken {
            return None;
        }
        state.begun += 1;
        let block = state.spare.pop().unwrap_or_default();
        Some((state.begun - 1, block))
    }

    fn indices(&self, number: usize) -> std::ops::Range<usize> {
        let start = self.pieces.start + number * self.block;
        start..(start + self.block).min(self.pieces.end)
    }

    fn compute(&self, number: usize, scratch: &mut Scratch, block: &mut Block<T>) {
        block.peaks.clear();
        for (place, at) in self.indices(number).enumerate() {
            if place == block.pieces.len() {
                block.pieces.push(T::default());
            }
            if let Err(error) = (self.compute)(at, scratch, &mut block.pieces[place]) {
                block.error = Some(error);
                return;
            }
            block.peaks.push(scratch.budget.take_peaks());
        }
    }

    /// Puts a block in line, and hands over what is first in line unless somebody else is at it.
    fn end(&self, number: usize, block: Block<T>) {
        let mut state = self.lock();
        if block.error.is_some() {
            state.blocks = state.blocks.min(number + 1);
        }
        state.ready.insert(number, block);
        while state.error.is_none() {
            let next = state.handed_over;
            if !state.ready.contains_key(&next) {
                return;
            }
            let Some(mut take) = state.take.take() else { return };
            let Some(mut block) = state.ready.remove(&next) else { return };
            drop(state);
            let outcome = self.hand_over(next, &mut block, &mut take);
            state = self.lock();
            state.take = Some(take);
            state.spare.push(block);
            match outcome {
                Ok(()) => state.handed_over += 1,
                Err(error) => {
                    state.error = Some(error);
                    state.blocks = 0;
                }
            }
            self.moved.notify_all();
        }
    }

    fn hand_over(&self, number: usize, block: &mut Block<T>, take: &mut F) -> Result<(), QueryError> {
        let workers = self.context.workers.threads;
        for ((at, piece), (samples, bytes)) in self.indices(number).zip(&mut block.pieces).zip(&block.peaks) {
            // As if one thread had held it now, but for memory: each worker may hold as much.
            let extra = piece.extra_bytes().saturating_mul(self.block * BLOCKS_PER_WORKER);
            self.context.budget.touch(*samples, bytes.saturating_add(extra).saturating_mul(workers))?;
            take(at, piece)?;
        }
        block.error.take().map_or(Ok(()), Err)
    }
}

/// Lets nobody wait for a worker that panicked.
struct OnPanic<'a, 'c, T, C, F> {
    of: &'a InOrder<'c, T, C, F>,
    ended: bool,
}

impl<T, C, F> Drop for OnPanic<'_, '_, T, C, F> {
    fn drop(&mut self) {
        if !self.ended {
            self.of.state.lock().unwrap_or_else(PoisonError::into_inner).broken = true;
            self.of.moved.notify_all();
        }
    }
}
