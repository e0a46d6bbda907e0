//! Values of either kind: finding one in a chunk, comparing two, and making chunks of sorted ones.

use kymo_chunk::{ChunkError, Encoding, HistogramIter, HistogramValue, XorAppender, XorIter, decode_range};
use kymo_model::{FloatHistogram, Refusal, SampleValue, TimeRange};

use super::open::{Open, OpenHistograms};
use super::sealed::SealedChunk;
use super::series::{Verdict, range_number};

/// The value at a time in one chunk.
pub(crate) fn value_in(encoding: Encoding, chunk: &[u8], t_ms: i64) -> Option<SampleValue> {
    // A chunk on the heap that does not decode was checked on its way in; it holds no value to compare with.
    if !encoding.is_float() {
        return histograms_of(encoding, chunk)
            .find(|(found_ms, _)| *found_ms >= t_ms)
            .filter(|f| f.0 == t_ms)
            .map(|(_, value)| value);
    }
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    let only = TimeRange::from_millis(t_ms, t_ms);
    let decoded: Result<(), ChunkError> = decode_range(chunk, only, &mut timestamps_ms, &mut values);
    decoded.ok().and_then(|()| values.first().copied()).map(SampleValue::Float)
}

/// The histograms of a chunk, as far as they can be read.
pub(crate) fn histograms_of(
    encoding: Encoding,
    chunk: &[u8],
) -> impl Iterator<Item = (i64, SampleValue)> + '_ {
    HistogramIter::new(encoding, chunk).into_iter().flatten().map_while(Result::ok).map(|sample| {
        let value = match sample.value {
            HistogramValue::Integer(histogram) => SampleValue::Histogram(histogram.into()),
            HistogramValue::Float(histogram) => SampleValue::FloatHistogram(histogram.into()),
        };
        (sample.t_ms, value)
    })
}

/// A sample at a time that is taken: the same is a repeat.
pub(crate) fn judge_same_time(stored: &SampleValue, value: &SampleValue) -> Verdict {
    let same = match (float_histogram(stored), float_histogram(value)) {
        (None, None) => match (stored, value) {
            (SampleValue::Float(stored), SampleValue::Float(value)) => stored.to_bits() == value.to_bits(),
            _ => false,
        },
        (Some(stored), Some(value)) => {
            // Of a staleness marker nothing else is kept.
            stored.is_stale() && value.is_stale() || stored.same_bits(&value)
        }
        _ => false,
    };
    if same { Verdict::Repeat } else { Verdict::Refused(Refusal::DuplicateTimestamp) }
}

/// A histogram with nothing in it that says nothing: a chunk adds empty buckets.
fn float_histogram(value: &SampleValue) -> Option<FloatHistogram> {
    let mut histogram = match value {
        SampleValue::Float(_) => return None,
        SampleValue::Histogram(histogram) => histogram.to_float(),
        SampleValue::FloatHistogram(histogram) => (**histogram).clone(),
    };
    histogram.compact(0);
    Some(histogram)
}

/// Can it be stored? Whoever reads it relies on that.
pub(crate) fn is_sound(value: &SampleValue) -> bool {
    match value {
        SampleValue::Float(_) => true,
        SampleValue::Histogram(histogram) => histogram.is_stale() || histogram.validate().is_ok(),
        SampleValue::FloatHistogram(histogram) => histogram.is_stale() || histogram.validate().is_ok(),
    }
}

/// The samples of a chunk, as far as they can be read.
pub(crate) fn samples_of(encoding: Encoding, chunk: &[u8]) -> Vec<(i64, SampleValue)> {
    if !encoding.is_float() {
        return histograms_of(encoding, chunk).collect();
    }
    let samples = XorIter::new(chunk).into_iter().flatten().map_while(Result::ok);
    samples.map(|(t_ms, value)| (t_ms, SampleValue::Float(value))).collect()
}

/// Sorted samples as chunks that came out of order. None crosses a multiple of two hours.
pub(crate) fn late_chunks(samples: &[(i64, SampleValue)]) -> Vec<SealedChunk> {
    chunks_of(samples, true)
}

/// Sorted samples as chunks, of which none crosses a multiple of two hours. Did they come late?
pub(crate) fn chunks_of(samples: &[(i64, SampleValue)], late: bool) -> Vec<SealedChunk> {
    let sealed = |(min_ms, chunk): (i64, Open)| {
        let max_ms = chunk.newest_ms().unwrap_or(min_ms);
        SealedChunk::new(min_ms, max_ms, chunk.len(), late, chunk.encoding(), chunk.bytes())
    };
    let mut chunks = Vec::new();
    let mut begun: Option<(i64, Open)> = None;
    for (t_ms, value) in samples {
        let begun_here =
            begun.as_mut().filter(|(begin_ms, _)| range_number(*begin_ms) == range_number(*t_ms));
        let pushed = match (begun_here, value) {
            (Some((_, Open::Floats(chunk))), SampleValue::Float(value)) => {
                chunk.push(*t_ms, *value);
                true
            }
            (Some((_, Open::Histograms(chunk))), value) => chunk.push(*t_ms, value),
            _ => false,
        };
        if !pushed {
            let next = match value {
                SampleValue::Float(value) => {
                    let mut chunk = XorAppender::new();
                    chunk.push(*t_ms, *value);
                    Open::Floats(chunk)
                }
                // What came before it in time is elsewhere, too: nothing is known of a reset.
                _ => Open::Histograms(Box::new(OpenHistograms::begin(&Open::default(), *t_ms, value))),
            };
            chunks.extend(begun.replace((*t_ms, next)).map(sealed));
        }
    }
    chunks.extend(begun.map(sealed));
    chunks
}
