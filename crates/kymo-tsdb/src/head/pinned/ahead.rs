//! Ahead: how far reading on pays when a chunk is read from its file, as neighbouring chunks are wanted next.

use super::Snapshot;
use crate::chunks::{ChunkPlace, GAP_BYTES_MAX, WINDOW_BYTES_MAX};
use crate::head::sealed::SealedChunk;

impl Snapshot {
    /// Up to where in the file the chunks lie that will be wanted next, as long as they lie close behind one another.
    pub(super) fn end_of_neighbours(&self, index: usize, place: ChunkPlace, chunk: &SealedChunk) -> u64 {
        let start = u64::from(place.offset);
        let (mut last, mut end) = (place.offset, place.end(chunk.data_bytes()));
        let mut strangers = 0;
        for pinned in &self.series[index..] {
            let before = last;
            let chunks = pinned.closed.iter().flat_map(|closed| &closed.chunks);
            for chunk in chunks.filter(|chunk| chunk.overlaps(self.range)) {
                let Some(next) = chunk.place() else { continue };
                if next.file != place.file
                    || next.offset <= last
                    || u64::from(next.offset) > end + GAP_BYTES_MAX
                {
                    continue;
                }
                let next_end = next.end(chunk.data_bytes());
                if next_end - start > WINDOW_BYTES_MAX {
                    return end;
                }
                (last, end) = (next.offset, next_end);
            }
            strangers = if last > before { 0 } else { strangers + 1 };
            if strangers > STRANGERS_MAX {
                break;
            }
        }
        end
    }
}

/// Up to where in the file the next chunks of the same series lie close behind one another.
pub(super) fn end_of_own<'a>(
    place: ChunkPlace,
    data_bytes: usize,
    rest: impl Iterator<Item = &'a SealedChunk>,
) -> u64 {
    let (mut last, mut end) = (place.offset, place.end(data_bytes));
    for chunk in rest {
        let Some(next) = chunk.place() else { break };
        let next_end = next.end(chunk.data_bytes());
        if next.file != place.file
            || next.offset <= last
            || u64::from(next.offset) > end + GAP_BYTES_MAX
            || next_end - u64::from(place.offset) > WINDOW_BYTES_MAX
        {
            break;
        }
        (last, end) = (next.offset, next_end);
    }
    end
}

/// After so many series that have nothing close behind, no more is looked for.
const STRANGERS_MAX: usize = 4;
