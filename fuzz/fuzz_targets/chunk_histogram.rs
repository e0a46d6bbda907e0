//! Histogram chunks and XOR2: on any bytes iterator and batch decoder agree, sample by sample or fault by fault; histograms
//! that can be read can be written again, and are read again as the same.
#![no_main]

use kymo_chunk::{
    Encoding, FloatHistogramAppender, HistogramIter, HistogramPushed, HistogramValue, Xor2Iter,
    decode_floats, decode_histograms,
};
use kymo_model::TimeRange;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((number, bytes)) = data.split_first() else { return };
    let Ok(encoding) = Encoding::from_byte(number % 5 + 2) else { return };
    let (mut timestamps_ms, mut starts_ms) = (Vec::new(), Vec::new());
    if encoding.is_float() {
        let mut values = Vec::new();
        let columns = (&mut timestamps_ms, &mut values, &mut starts_ms);
        let decoded = decode_floats(encoding, bytes, TimeRange::ALL, columns);
        let iterated: Result<Vec<_>, _> = Xor2Iter::new(bytes).and_then(Iterator::collect);
        match (decoded, iterated) {
            (Ok(()), Ok(samples)) => assert!(
                samples
                    .iter()
                    .map(|s| (s.t_ms, s.value.to_bits()))
                    .eq(timestamps_ms.into_iter().zip(values.into_iter().map(f64::to_bits)))
            ),
            (decoded, iterated) => assert_eq!(decoded.unwrap_err(), iterated.unwrap_err()),
        }
        return;
    }
    let mut histograms = Vec::new();
    let decoded = decode_histograms(
        encoding,
        bytes,
        TimeRange::ALL,
        (&mut timestamps_ms, &mut histograms, &mut starts_ms),
    );
    let iterated: Result<Vec<_>, _> = HistogramIter::new(encoding, bytes).and_then(Iterator::collect);
    let samples = match (decoded, iterated) {
        (Ok(()), Ok(samples)) => samples,
        (decoded, iterated) => {
            assert_eq!(decoded.unwrap_err(), iterated.unwrap_err());
            return;
        }
    };
    let mut chunk: Option<FloatHistogramAppender> = None;
    for (sample, histogram) in samples.iter().zip(&histograms) {
        assert!(
            matches!(&sample.value, HistogramValue::Integer(_)) || {
                sample.value.clone().into_float().same_bits(histogram)
            }
        );
        if chunk.as_mut().is_none_or(|chunk| chunk.push(sample.t_ms, histogram) == HistogramPushed::Cut) {
            let mut next = chunk.map_or_else(FloatHistogramAppender::new, |chunk| chunk.following(histogram));
            assert_eq!(next.push(sample.t_ms, histogram), HistogramPushed::Appended);
            chunk = Some(next);
        }
        let chunk = chunk.as_ref().expect("one was begun");
        let last = HistogramIter::new(Encoding::FloatHistogram, chunk.bytes()).expect("a header").last();
        let last = last.expect("a sample").expect("one that was just written").value.into_float();
        assert_eq!(
            (last.count.to_bits(), last.sum.to_bits()),
            if histogram.is_stale() {
                (0, histogram.sum.to_bits())
            } else {
                (histogram.count.to_bits(), histogram.sum.to_bits())
            }
        );
    }
});
