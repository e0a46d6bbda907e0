//! XOR chunks: on any bytes iterator and batch decoder agree, sample by sample or fault by fault; what can be read can be
//! resumed and written again, at once or one by one, and is read again as the same.
#![no_main]

use kymo_chunk::{XorAppender, XorIter, decode, decode_range};
use kymo_model::TimeRange;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    let decoded = decode(data, &mut timestamps_ms, &mut values);
    let iterated: Result<Vec<_>, _> = XorIter::new(data).and_then(Iterator::collect);
    let bits = |(t_ms, value): (i64, f64)| (t_ms, value.to_bits());
    let samples = match (decoded, iterated) {
        (Ok(()), Ok(samples)) => samples,
        (Err(batch), Err(single)) => {
            assert_eq!(batch, single);
            assert!(timestamps_ms.is_empty() && values.is_empty());
            return;
        }
        (batch, single) => panic!("{batch:?} against {single:?}"),
    };
    let columns = timestamps_ms.iter().copied().zip(values.iter().copied()).map(bits);
    assert!(columns.eq(samples.iter().copied().map(bits)));

    let middle_ms = samples.get(samples.len() / 2).map_or(0, |(t_ms, _)| *t_ms);
    let range = TimeRange::from_millis(middle_ms.saturating_sub(60_000), middle_ms);
    (timestamps_ms.clear(), values.clear());
    decode_range(data, range, &mut timestamps_ms, &mut values).expect("the whole chunk can be read");
    let wanted = samples.iter().take_while(|(t_ms, _)| *t_ms <= middle_ms);
    let wanted = wanted.filter(|(t_ms, _)| *t_ms >= range.min.millis());
    let columns = timestamps_ms.iter().copied().zip(values.iter().copied()).map(bits);
    assert!(columns.eq(wanted.copied().map(bits)));

    let mut again = XorAppender::new();
    samples.iter().for_each(|(t_ms, value)| again.push(*t_ms, *value));
    let mut at_once = XorAppender::new();
    at_once.push_all(samples.iter().copied());
    assert_eq!(at_once.bytes(), again.bytes());
    let read_again =
        XorIter::new(again.bytes()).expect("a header").map(|sample| bits(sample.expect("a sample")));
    assert!(read_again.eq(samples.iter().copied().map(bits)));
    if let Ok(resumed) = XorAppender::resume(data.to_vec()) {
        assert_eq!(resumed.last().map(bits), samples.last().copied().map(bits));
    }
});
