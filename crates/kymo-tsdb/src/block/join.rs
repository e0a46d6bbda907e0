//! Join: chunks of one series that may overlap become chunks that do not. What overlaps nothing stays as it is.

use kymo_chunk::ChunkError;

use super::encode::{EncodedChunk, encode, for_each_row};

/// Of equal times the sample of the chunk that comes first stays. An error if a chunk that overlaps another does not decode.
pub(crate) fn join(mut chunks: Vec<EncodedChunk>) -> Result<Vec<EncodedChunk>, ChunkError> {
    // Stable, so that of equal ones the first come first.
    chunks.sort_by_key(|chunk| chunk.min_ms);
    if chunks.is_sorted_by(|before, after| before.max_ms < after.min_ms) {
        return Ok(chunks);
    }
    let (mut joined, mut cluster): (Vec<EncodedChunk>, Vec<EncodedChunk>) = (Vec::new(), Vec::new());
    let mut end_ms = i64::MIN;
    for chunk in chunks {
        if chunk.min_ms > end_ms {
            join_cluster(&mut cluster, &mut joined)?;
        }
        end_ms = end_ms.max(chunk.max_ms);
        cluster.push(chunk);
    }
    join_cluster(&mut cluster, &mut joined)?;
    Ok(joined)
}

fn join_cluster(cluster: &mut Vec<EncodedChunk>, joined: &mut Vec<EncodedChunk>) -> Result<(), ChunkError> {
    if cluster.len() < 2 {
        joined.append(cluster);
        return Ok(());
    }
    let mut rows = Vec::new();
    for chunk in cluster.drain(..) {
        for_each_row(chunk.encoding, &chunk.data, |row| rows.push(row))?;
    }
    rows.sort_by_key(|row| row.t_ms);
    rows.dedup_by_key(|row| row.t_ms);
    encode(&rows, joined);
    Ok(())
}
