//! Windows: what a select has read of chunk files, so that neighbouring chunks cost one read. Shared by all readers of the set.
//!
//! A spill writes chunks in the order of their series, and selects are read in that order: who misses a chunk looks which chunks
//! will be wanted next, and reads on as long as they lie close behind one another.

use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex};

use kymo_model::StoreError;

use super::place::{Unreadable, read_up_to};
use super::{ChunkPlace, ChunkStore, FileSet};
use crate::error::store_error;
use crate::lock::lock;

/// At most so much is read at once.
pub(crate) const WINDOW_BYTES_MAX: u64 = 96 << 10;

/// Bytes between two chunks that are read rather than jumped over.
pub(crate) const GAP_BYTES_MAX: u64 = 4 << 10;

/// So many windows are kept, the latest used.
const WINDOWS_MAX: usize = 32;

/// Windows of a series with more chunks would drive out one another before the next series comes.
pub(crate) const CHUNKS_AHEAD_MAX: usize = 8;

/// A stretch of a chunk file.
#[derive(Debug)]
struct Window {
    file: u32,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Its bytes from a place on.
    fn from(&self, place: ChunkPlace) -> Option<usize> {
        let at = usize::try_from(u64::from(place.offset).checked_sub(self.start)?).ok()?;
        (self.file == place.file && at < self.bytes.len()).then_some(at)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// The latest used ones last.
    windows: Mutex<Vec<Arc<Window>>>,
}

/// A chunk's encoded samples, wherever they are.
#[derive(Debug)]
pub(crate) enum ChunkBytes<'a> {
    Heap(&'a [u8]),
    Read(ReadBytes),
}

/// Encoded samples that were read from a file.
#[derive(Debug)]
pub(crate) struct ReadBytes {
    window: Arc<Window>,
    range: Range<usize>,
}

impl Deref for ChunkBytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            ChunkBytes::Heap(bytes) => bytes,
            ChunkBytes::Read(ReadBytes { window, range }) => &window.bytes[range.clone()],
        }
    }
}

impl Windows {
    /// The chunk at a place. `end` says up to where reading on is worth it, when the chunk was not read yet.
    pub(crate) fn read(
        &self,
        store: &ChunkStore,
        files: &FileSet,
        place: ChunkPlace,
        data_bytes: usize,
        end: impl FnOnce() -> u64,
    ) -> Result<ReadBytes, StoreError> {
        if let Some((window, at)) = self.find(place)
            && let Ok(range) = place.data_in(&window.bytes[at..])
        {
            return Ok(ReadBytes { window, range: at + range.start..at + range.end });
        }
        let file = store.handle(files, place.file)?;
        let start = u64::from(place.offset);
        let wanted = end().max(place.end(data_bytes)) - start;
        let bytes = read_up_to(&*file, start, wanted as usize)
            .map_err(|error| store_error("read", &store.path(place.file.into()), error))?;
        let (bytes, range) = match place.data_in(&bytes) {
            Ok(range) => (bytes, range),
            Err(Unreadable::Longer(_)) => store.read_one(files, place, usize::from(u16::MAX))?,
            Err(Unreadable::Damaged) => return Err(place.damaged(&store.path(place.file.into()))),
        };
        let window = Arc::new(Window { file: place.file, start, bytes });
        if window.bytes.len() > RECORD_ALONE_BYTES {
            self.keep(window.clone());
        }
        Ok(ReadBytes { window, range })
    }

    fn find(&self, place: ChunkPlace) -> Option<(Arc<Window>, usize)> {
        let mut windows = lock(&self.windows);
        let (index, at) = windows
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, window)| Some((index, window.from(place)?)))?;
        // The latest used one goes to the end, unless it is near it.
        if index + WINDOWS_MAX / 4 < windows.len() {
            let window = windows.remove(index);
            windows.push(window);
            return windows.last().map(|window| (window.clone(), at));
        }
        Some((windows[index].clone(), at))
    }

    fn keep(&self, window: Arc<Window>) {
        let mut windows = lock(&self.windows);
        if windows.len() == WINDOWS_MAX {
            windows.remove(0);
        }
        windows.push(window);
    }
}

/// A window of no more than about one chunk is not worth keeping.
const RECORD_ALONE_BYTES: usize = 1200;
