//! Spill: sealed chunks leave the heap for chunk files, as soon as there are enough of them. Nothing is made durable: until a
//! checkpoint names them, they are a cache of what the log has, and a crash cuts them off.
//!
//! After an error the chunks that could not be written are on the heap as before, and the next spill tries again.

use kymo_model::StoreError;

use super::chunk_files::{ChunkFiles, ChunkTarget};
use super::chunk_writer::{ChunkWriter, Taken};
use crate::head::{Head, Series, place};
use crate::index::SeriesId;

/// Writes the sealed chunks that are on the heap to chunk files. An fsync that failed meanwhile is told in `sync_failed`.
pub(crate) fn spill(
    target: &ChunkTarget,
    head: &Head,
    files: &mut ChunkFiles,
    sync_failed: &mut Option<String>,
) -> Result<(), StoreError> {
    let series = head.unspilled.take();
    let mut writer = ChunkWriter::new(target, head, files);
    let result = spill_series(head, &series, &mut writer).and_then(|()| writer.flush());
    *sync_failed = writer.sync_failed.take();
    drop(writer);
    if result.is_err() {
        give_back(head, &series);
    }
    result
}

fn spill_series(head: &Head, series: &[SeriesId], writer: &mut ChunkWriter<'_>) -> Result<(), StoreError> {
    let pages = head.pages();
    for of_page in series.chunk_by(|a, b| place(*a).0 == place(*b).0) {
        let mut taken = Vec::new();
        pages.with_page(place(of_page[0]).0, |slots| {
            for id in of_page {
                if let Some(Some(series)) = slots.get(place(*id).1) {
                    take(*id, series, &mut taken, |_, chunk| chunk.place().is_none());
                }
            }
        });
        writer.put(&mut taken)?;
    }
    Ok(())
}

/// Takes the chunks of a series that are wanted.
pub(super) fn take(
    id: SeriesId,
    series: &Series,
    taken: &mut Vec<Taken>,
    is_wanted: impl Fn(SeriesId, &crate::head::SealedChunk) -> bool,
) {
    let chunks = series.closed().into_iter().flat_map(|closed| &closed.chunks);
    for chunk in chunks.filter(|chunk| is_wanted(id, chunk)) {
        taken.push(Taken { id, labels: series.labels().clone(), chunk: chunk.clone() });
    }
}

/// What these series have on the heap is still to be spilled.
pub(super) fn give_back(head: &Head, series: &[SeriesId]) {
    let pages = head.pages();
    let mut cursor = crate::head::Cursor::new(&pages);
    let mut left = Vec::new();
    let mut bytes = 0;
    for id in series {
        let unspilled = cursor.get(*id).map_or(0, |series| series.unspilled_bytes());
        if unspilled > 0 {
            left.push(*id);
            bytes += unspilled as u64;
        }
    }
    head.unspilled.add(&left, bytes);
}
