//! Sparse: a run of floats read without the chunks of which enough is known, for blocks and the head alike.
//!
//! Chunks are in order and none overlaps another: what lies inside all windows is told by its first and last sample and a gap.
//! Whatever is read meanwhile is learned, so that the next such query need not read it.

use std::ops::Range;

use kymo_model::{Gap, Samples, Sparing, StoreError, Values};

use crate::block::ChunkMeta;
use crate::summary::{Summaries, Summary, is_inside};

/// Where is kept what is known of the chunks of one series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneSeries<'a> {
    pub(crate) summaries: &'a Summaries,
    /// The block it is in, or the head.
    pub(crate) owner: u64,
    /// Its number there.
    pub(crate) number: u64,
    /// Chunks with lower references are not there any more.
    pub(crate) oldest: u64,
}

/// Sees a chunk that was read, how many samples there were before it, and all there are now.
pub(crate) type After<'a> = &'a mut dyn FnMut(&ChunkMeta, usize, &Samples);

/// Adds the samples of chunks as long as they are floats, but for what can be spared; how many chunks.
///
/// `read` adds those of the chunks at these places as long as they are of one kind, and gives how many chunks that was. It calls
/// its last argument with each, unless it is damaged and passed over.
pub(crate) fn read_sparse(
    series: OneSeries<'_>,
    chunks: &[ChunkMeta],
    sparing: Sparing,
    (out, gaps): (&mut Samples, &mut Vec<Gap>),
    mut read: impl FnMut(Range<usize>, &mut Samples, After<'_>) -> Result<usize, StoreError>,
) -> Result<usize, StoreError> {
    // Short windows have no whole chunk inside, and nothing to do with what others look up at the same time.
    if !chunks.iter().any(|chunk| is_inside(chunk, sparing)) {
        return read(0..chunks.len(), out, &mut |_, _, _| {});
    }
    let OneSeries { summaries, owner, number, oldest } = series;
    let known = summaries.get((owner, number));
    let of_chunks: Vec<Option<&Summary>> = known.each(chunks).collect();
    let spared = |at: usize| {
        of_chunks[at].filter(|summary| is_inside(&chunks[at], sparing) && summary.suffices(sparing))
    };
    let (mut next, mut learned) = (0, Vec::new());
    let outcome = loop {
        let stretch = (next..chunks.len()).map_while(|at| Some((&chunks[at], spared(at)?)));
        let is_float = out.is_empty() || out.floats().is_some();
        if is_float {
            next += leave_out(stretch, sparing, out, gaps);
        }
        let wanted = (next..chunks.len()).take_while(|at| spared(*at).is_none()).count();
        if wanted == 0 {
            break Ok(next);
        }
        let mut at = next;
        let mut after = |chunk: &ChunkMeta, before: usize, out: &Samples| {
            while chunks[at].reference != chunk.reference {
                at += 1;
            }
            if let Some(values) = out.floats()
                && out.start_timestamps_ms.is_empty()
                && is_inside(chunk, sparing)
                && of_chunks[at].is_none()
            {
                learned.push(Summary::of(chunk, &out.timestamps_ms[before..], &values[before..]));
            }
        };
        match read(next..next + wanted, out, &mut after) {
            Ok(read) => {
                next += read;
                if read < wanted {
                    break Ok(next);
                }
            }
            Err(error) => break Err(error),
        }
    };
    summaries.add((owner, number), oldest, learned);
    outcome
}

/// Adds first and last samples of chunks that follow one another, and what lies between as gaps; how many chunks.
fn leave_out<'a>(
    chunks: impl Iterator<Item = (&'a ChunkMeta, &'a Summary)>,
    sparing: Sparing,
    out: &mut Samples,
    gaps: &mut Vec<Gap>,
) -> usize {
    let mut chunks = chunks.peekable();
    if chunks.peek().is_some() && out.is_empty() {
        out.floats_mut();
    }
    let Samples { timestamps_ms, values: Values::Floats(values), start_timestamps_ms } = out else {
        return 0;
    };
    let (mut open, mut count): (Option<Gap>, _) = (None, 0);
    for (chunk, summary) in chunks {
        count += 1;
        let (samples, changes, resets) =
            (summary.samples as usize, summary.changes as usize, summary.resets as usize);
        // The gap goes on over the end of the chunk before, unless the value went down there and may not.
        let before = values.last().copied().unwrap_or(summary.first);
        match &mut open {
            Some(gap) if sparing.resets || summary.first >= before => {
                gap.samples += samples;
                gap.changes += changes + usize::from(summary.first != before);
                gap.resets += resets + usize::from(summary.first < before);
                (timestamps_ms[gap.after + 1], values[gap.after + 1]) = (chunk.max_ms, summary.last);
                continue;
            }
            _ => gaps.extend(open.take()),
        }
        timestamps_ms.push(chunk.min_ms);
        values.push(summary.first);
        if samples > 1 {
            timestamps_ms.push(chunk.max_ms);
            values.push(summary.last);
            open = Some(Gap { after: values.len() - 2, samples: samples - 2, changes, resets });
        }
    }
    gaps.extend(open);
    if !start_timestamps_ms.is_empty() {
        start_timestamps_ms.resize(timestamps_ms.len(), 0);
    }
    count
}

#[cfg(test)]
mod tests {
    use kymo_model::TimeRange;

    use super::*;

    /// A chunk before them had start timestamps: columns stay as long as one another.
    #[test]
    fn what_is_left_out_has_no_start_timestamps() {
        let chunk = ChunkMeta { min_ms: 20, max_ms: 40, reference: 8 };
        let summary = Summary::of(&chunk, &[20, 30, 40], &[1.0, 2.0, 3.0]);
        let mut out = Samples::new();
        let (timestamps_ms, values) = out.floats_mut();
        timestamps_ms.push(10);
        values.push(0.5);
        out.start_timestamps_ms = vec![5];
        let sparing = Sparing { range: TimeRange::ALL, resets: false };
        let mut gaps = Vec::new();
        assert_eq!(leave_out([(&chunk, &summary)].into_iter(), sparing, &mut out, &mut gaps), 1);
        assert_eq!((out.timestamps_ms, out.start_timestamps_ms), (vec![10, 20, 40], vec![5, 0, 0]));
        assert_eq!(gaps, [Gap { after: 1, samples: 1, changes: 2, resets: 0 }]);
    }
}
