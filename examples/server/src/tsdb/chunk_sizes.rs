//! Chunk sizes: how many samples, bytes and buckets the chunks of a block have, as `promtool tsdb analyze --extended` shows them.

use kymo_chunk::{ChunkError, HistogramIter, HistogramValue};
use kymo_tsdb::block::ChunkData;

/// A `#` of a bar is a hundredth of all chunks.
const BAR: usize = 100;

#[derive(Default)]
pub(super) struct ChunkSizes {
    chunks: usize,
    floats: Sizes,
    histograms: Sizes,
    /// Of each chunk of histograms, those of all its samples.
    buckets: Vec<usize>,
}

/// Of chunks of one kind, one for each.
#[derive(Default)]
struct Sizes {
    samples: Vec<usize>,
    bytes: Vec<usize>,
}

impl ChunkSizes {
    pub(super) fn add(&mut self, chunk: &ChunkData) -> Result<(), ChunkError> {
        let is_float = chunk.encoding.is_float();
        if !is_float {
            let mut buckets = 0;
            for sample in HistogramIter::new(chunk.encoding, &chunk.data)? {
                buckets += match sample?.value {
                    HistogramValue::Integer(h) => h.positive_buckets.len() + h.negative_buckets.len(),
                    HistogramValue::Float(h) => h.positive_buckets.len() + h.negative_buckets.len(),
                };
            }
            self.buckets.push(buckets);
        }
        let sizes = if is_float { &mut self.floats } else { &mut self.histograms };
        // A chunk begins with its count.
        let samples = chunk.data.first_chunk().map_or(0, |count| u16::from_be_bytes(*count));
        sizes.samples.push(samples.into());
        sizes.bytes.push(chunk.data.len());
        self.chunks += 1;
        Ok(())
    }

    pub(super) fn text(self) -> String {
        let mut text = "\nCompaction analysis:\n\n".to_owned();
        for (what, sizes) in [
            ("samples per float chunk", self.floats.samples),
            ("bytes per float chunk", self.floats.bytes),
            ("samples per histogram chunk", self.histograms.samples),
            ("bytes per histogram chunk", self.histograms.bytes),
            ("buckets per histogram chunk", self.buckets),
        ] {
            push_distribution(&mut text, what, &sizes, self.chunks);
        }
        text
    }
}

fn push_distribution(text: &mut String, what: &str, sizes: &[usize], chunks: usize) {
    let (Some(min), Some(max)) = (sizes.iter().min(), sizes.iter().max()) else {
        return text.push_str(&format!("{what}: N/A\n\n"));
    };
    // About ten steps of a power of ten, from 10 to 100,000.
    let mut step = 10;
    while step < (max - min) / 10 && step <= 10_000 {
        step *= 10;
    }
    let (start, end) = (min - min % step, max - max % step + step);
    let mut counts = vec![0; (end - start) / step + 1];
    sizes.iter().for_each(|size| counts[(size - start) / step] += 1);
    let average = sizes.iter().sum::<usize>() / sizes.len();
    text.push_str(&format!("{what} (min/avg/max): {min}/{average}/{max}\n"));
    let width = |number: usize| number.to_string().len();
    let most = counts.iter().copied().max().unwrap_or(0);
    let (left, right, wide) = (width(end), width(end + step), width(most));
    for (number, count) in counts.iter().enumerate() {
        let (from, to) = (number * step + start + 1, (number + 1) * step + start);
        let bar = "#".repeat(BAR * count / chunks.max(1));
        text.push_str(&format!("[{from:left$}, {to:right$}]: {count:wide$} {bar}\n"));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout is that of promtool 3.15.
    #[test]
    fn distributions() {
        let mut text = String::new();
        push_distribution(&mut text, "samples per float chunk", &[120, 120, 119, 48], 5);
        let expected = "samples per float chunk (min/avg/max): 48/101/120\n\
                        [ 41,  50]: 1 ####################\n\
                        [ 51,  60]: 0 \n\
                        [ 61,  70]: 0 \n\
                        [ 71,  80]: 0 \n\
                        [ 81,  90]: 0 \n\
                        [ 91, 100]: 0 \n\
                        [101, 110]: 0 \n\
                        [111, 120]: 1 ####################\n\
                        [121, 130]: 2 ########################################\n\
                        [131, 140]: 0 \n\n";
        assert_eq!(text, expected);
        text.clear();
        push_distribution(&mut text, "bytes per histogram chunk", &[], 5);
        assert_eq!(text, "bytes per histogram chunk: N/A\n\n");
    }
}
