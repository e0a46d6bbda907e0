//! The answer in one piece: every series of every query with its samples, in one Snappy block.

use kymo_model::{Labels, Queryable, Samples, Values};

use super::answer::{Selected, select, with_external};
use super::{ReadError, ReadOptions, ReadQuery};
use crate::put::{put_bytes, put_float_histogram, put_labels, put_sample};

/// The compressed `prometheus.ReadResponse`.
pub(super) fn response(
    queries: &[ReadQuery],
    store: &dyn Queryable,
    external: &Labels,
    options: &ReadOptions,
) -> Result<Vec<u8>, ReadError> {
    let mut response = Vec::new();
    let mut left = if options.samples_max == 0 { usize::MAX } else { options.samples_max };
    for query in queries {
        let selected = select(query, store, external)?;
        put_bytes(&mut response, 1, &result(&selected, external, options, &mut left)?);
    }
    let compressed = snap::raw::Encoder::new().compress_vec(&response);
    Ok(compressed.map_err(crate::BodyError::from)?)
}

/// A `prometheus.QueryResult`. Series without samples are left out.
fn result(
    selected: &Selected,
    external: &Labels,
    options: &ReadOptions,
    left: &mut usize,
) -> Result<Vec<u8>, ReadError> {
    let (mut result, mut message, mut histogram) = (Vec::new(), Vec::new(), Vec::new());
    let mut samples = Samples::new();
    for (labels, index) in &selected.order {
        let mut reader = selected.set.series(*index).reader();
        let mut has_samples = false;
        message.clear();
        put_labels(&mut message, with_external(labels, external));
        while reader.read(&mut samples)? {
            *left = left.checked_sub(samples.len()).ok_or(ReadError::SampleLimit(options.samples_max))?;
            has_samples |= !samples.is_empty();
            match &samples.values {
                Values::Floats(values) => {
                    for (timestamp_ms, value) in samples.timestamps_ms.iter().zip(values) {
                        put_sample(&mut message, 2, *timestamp_ms, *value);
                    }
                }
                Values::Histograms(values) => {
                    for (timestamp_ms, value) in samples.timestamps_ms.iter().zip(values) {
                        histogram.clear();
                        put_float_histogram(&mut histogram, *timestamp_ms, value);
                        put_bytes(&mut message, 4, &histogram);
                    }
                }
            }
        }
        if has_samples {
            put_bytes(&mut result, 1, &message);
        }
    }
    Ok(result)
}
