//! The answer in frames: one series after the other, its samples in chunks of Prometheus' encodings.
//!
//! ```text
//! frame: length of the message (varint) │ CRC-32C of the message (4 bytes, big endian) │ ChunkedReadResponse
//! ```

use std::collections::VecDeque;

use crc32c::crc32c;
use kymo_chunk::{
    CutPolicy, Encoding, FloatHistogramAppender, HistogramCutPolicy, HistogramPushed, XorAppender,
};
use kymo_model::{FloatHistogram, Labels, Samples, Series, Values};

use super::ReadError;
use super::answer::with_external;
use crate::put::{put_bytes, put_labels, put_varint, put_varint_field};

/// The frames of one series; none when it has no samples.
pub(super) fn frames(
    series: Series<'_>,
    labels: &Labels,
    external: &Labels,
    query_index: usize,
    frame_bytes_max: usize,
) -> Result<VecDeque<Vec<u8>>, ReadError> {
    let mut head = Vec::new();
    put_labels(&mut head, with_external(labels, external));
    let mut frames =
        Frames { head, query_index, frame_bytes_max, message: Vec::new(), done: VecDeque::new() };
    let mut samples = Samples::new();
    let mut reader = series.reader();
    let mut floats = Floats::default();
    let mut histograms = Histograms::default();
    while reader.read(&mut samples)? {
        match &samples.values {
            Values::Floats(values) => {
                histograms.end(&mut frames);
                for (timestamp_ms, value) in samples.timestamps_ms.iter().zip(values) {
                    floats.push(*timestamp_ms, *value, &mut frames);
                }
            }
            Values::Histograms(values) => {
                floats.end(&mut frames);
                for (timestamp_ms, value) in samples.timestamps_ms.iter().zip(values) {
                    histograms.push(*timestamp_ms, value, &mut frames);
                }
            }
        }
    }
    floats.end(&mut frames);
    histograms.end(&mut frames);
    frames.end();
    Ok(frames.done)
}

/// The open chunk of floats.
#[derive(Default)]
struct Floats {
    chunk: XorAppender,
    last_ms: i64,
}

impl Floats {
    fn push(&mut self, timestamp_ms: i64, value: f64, frames: &mut Frames) {
        let policy = CutPolicy::default();
        if self.chunk.len() >= policy.samples_target || policy.is_full(&self.chunk) {
            self.end(frames);
        }
        self.chunk.push(timestamp_ms, value);
        self.last_ms = timestamp_ms;
    }

    fn end(&mut self, frames: &mut Frames) {
        if let Some(first_ms) = self.chunk.first_timestamp_ms() {
            let bytes = self.chunk.take();
            frames.chunk(Encoding::Xor, first_ms, self.last_ms, &bytes);
        }
    }
}

/// The open chunk of histograms.
#[derive(Default)]
struct Histograms {
    chunk: FloatHistogramAppender,
    first_ms: i64,
    last_ms: i64,
}

impl Histograms {
    fn push(&mut self, timestamp_ms: i64, histogram: &FloatHistogram, frames: &mut Frames) {
        let policy = HistogramCutPolicy::default();
        let full = policy.is_full(self.chunk.len(), self.chunk.bytes().len());
        if full || self.chunk.push(timestamp_ms, histogram) == HistogramPushed::Cut {
            let next = self.chunk.following(histogram);
            self.end(frames);
            self.chunk = next;
            let pushed = self.chunk.push(timestamp_ms, histogram);
            debug_assert_ne!(pushed, HistogramPushed::Cut, "BUG: an empty chunk takes any histogram");
        }
        if self.chunk.len() == 1 {
            self.first_ms = timestamp_ms;
        }
        self.last_ms = timestamp_ms;
    }

    fn end(&mut self, frames: &mut Frames) {
        if !self.chunk.is_empty() {
            let bytes = std::mem::take(&mut self.chunk).into_bytes();
            frames.chunk(Encoding::FloatHistogram, self.first_ms, self.last_ms, &bytes);
        }
    }
}

/// Frames of a series, filled with chunks.
struct Frames {
    /// The labels, which every frame repeats.
    head: Vec<u8>,
    query_index: usize,
    frame_bytes_max: usize,
    /// The `ChunkedSeries` of the open frame; empty before its first chunk.
    message: Vec<u8>,
    done: VecDeque<Vec<u8>>,
}

impl Frames {
    fn chunk(&mut self, encoding: Encoding, first_ms: i64, last_ms: i64, bytes: &[u8]) {
        let mut chunk = Vec::with_capacity(bytes.len() + 32);
        put_varint_field(&mut chunk, 1, first_ms as u64);
        put_varint_field(&mut chunk, 2, last_ms as u64);
        put_varint_field(&mut chunk, 3, encoding.to_byte().into());
        put_bytes(&mut chunk, 4, bytes);
        if self.message.is_empty() {
            self.message.extend_from_slice(&self.head);
        }
        put_bytes(&mut self.message, 2, &chunk);
        if self.message.len() >= self.frame_bytes_max {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.message.is_empty() {
            return;
        }
        let mut response = Vec::with_capacity(self.message.len() + 16);
        put_bytes(&mut response, 1, &self.message);
        put_varint_field(&mut response, 2, self.query_index as u64);
        let mut frame = Vec::with_capacity(response.len() + 16);
        put_varint(&mut frame, response.len() as u64);
        frame.extend_from_slice(&crc32c(&response).to_be_bytes());
        frame.append(&mut response);
        self.done.push_back(frame);
        self.message.clear();
    }
}
