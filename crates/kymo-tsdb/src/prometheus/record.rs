//! Records of Prometheus' log: what they say, all of it or nothing.
//!
//! ```text
//! 1 series      (number:u64 labels)...                      labels: count (name value)..., each with its length
//! 2 samples     number:u64 t:u64 (dnumber dt value:f64)...      differences to these two, signed
//! 3 tombstones  (number:u64 min:signed max:signed)...
//! 4 exemplars   number:u64 t:u64 (dnumber dt value:f64 labels)...
//! 5 m-mapped    (number:u64 chunk:u64)...
//! 6 metadata    (number:unsigned type:byte fields (name value)...)...
//! 7 8 9 10      number:u64 t:u64 (dnumber dt histogram)...      of integers, of floats; 9 and 10 with custom bounds
//! 11 12 13      (number t start value or histogram)...          samples and histograms of both kinds with start timestamps:
//!               the first as it is; others: number minus the one before, t minus the first, start: 0 none, 1 as before, 2 and
//!               its difference to the first
//! 14 cutoff     t:u64        what is before was in blocks when the checkpoint was made
//! ```

use std::sync::Arc;

use kymo_model::{FloatHistogram, Histogram, Labels, Metadata, MetricType};

use super::histogram::{float_histogram, integer_histogram};
use crate::frame::Bytes;

/// One thing that a record says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    Series {
        number: u64,
        labels: Labels,
    },
    Sample {
        number: u64,
        t_ms: i64,
        start_ms: i64,
        value: Value,
    },
    Tombstone {
        number: u64,
        min_ms: i64,
        max_ms: i64,
    },
    Exemplar {
        number: u64,
        t_ms: i64,
        value: f64,
        labels: Labels,
    },
    Metadata {
        number: u64,
        metadata: Metadata,
    },
    /// Nothing: samples of a log of samples out of order went into a chunk file.
    Mapped,
    Cutoff {
        t_ms: i64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
    FloatHistogram(Arc<FloatHistogram>),
}

/// Does a record of this type say what series there are and what is left out of them?
pub(super) fn is_about_series(record: &[u8]) -> bool {
    matches!(record.first(), Some(1 | 3 | 14))
}

/// Replaces `entries` by what a record says; `None` when it makes no sense or its type is not known.
pub(super) fn decode(record: &[u8], entries: &mut Vec<Entry>) -> Option<()> {
    entries.clear();
    let mut bytes = Bytes(record);
    match bytes.byte()? {
        1 => repeat(&mut bytes, entries, |bytes| {
            Some(Entry::Series { number: be_u64(bytes)?, labels: labels(bytes)? })
        }),
        2 => deltas(&mut bytes, entries, |bytes| Some(Value::Float(be_f64(bytes)?))),
        3 => repeat(&mut bytes, entries, |bytes| {
            Some(Entry::Tombstone {
                number: be_u64(bytes)?,
                min_ms: bytes.signed()?,
                max_ms: bytes.signed()?,
            })
        }),
        4 => {
            if bytes.0.is_empty() {
                return Some(());
            }
            let (number, t_ms) = (be_u64(&mut bytes)?, be_u64(&mut bytes)? as i64);
            repeat(&mut bytes, entries, |bytes| {
                Some(Entry::Exemplar {
                    number: number.wrapping_add(bytes.signed()? as u64),
                    t_ms: t_ms.wrapping_add(bytes.signed()?),
                    value: be_f64(bytes)?,
                    labels: labels(bytes)?,
                })
            })
        }
        5 => repeat(&mut bytes, entries, |bytes| bytes.take(16).map(|_| Entry::Mapped)),
        6 => repeat(&mut bytes, entries, |bytes| {
            let number = bytes.unsigned()?;
            let metric_type = metric_type(bytes.byte()?);
            let mut metadata = Metadata { metric_type, ..Metadata::default() };
            for _ in 0..bytes.count()? {
                let (name, value) = (raw_text(bytes)?, raw_text(bytes)?);
                let text = || String::from_utf8_lossy(value).into_owned();
                match name {
                    b"UNIT" => metadata.unit = text(),
                    b"HELP" => metadata.help = text(),
                    // Of a version that has more to say.
                    _ => {}
                }
            }
            Some(Entry::Metadata { number, metadata })
        }),
        7 | 9 => {
            deltas(&mut bytes, entries, |bytes| Some(Value::Histogram(integer_histogram(bytes)?.into())))
        }
        8 | 10 => {
            deltas(&mut bytes, entries, |bytes| Some(Value::FloatHistogram(float_histogram(bytes)?.into())))
        }
        11 => started(&mut bytes, entries, |bytes| Some(Value::Float(be_f64(bytes)?))),
        12 => started(&mut bytes, entries, |bytes| Some(Value::Histogram(integer_histogram(bytes)?.into()))),
        13 => {
            started(&mut bytes, entries, |bytes| Some(Value::FloatHistogram(float_histogram(bytes)?.into())))
        }
        14 => {
            entries.push(Entry::Cutoff { t_ms: be_u64(&mut bytes)? as i64 });
            bytes.0.is_empty().then_some(())
        }
        _ => None,
    }
}

/// Entries up to the end.
fn repeat(
    bytes: &mut Bytes<'_>,
    entries: &mut Vec<Entry>,
    mut entry: impl FnMut(&mut Bytes<'_>) -> Option<Entry>,
) -> Option<()> {
    while !bytes.0.is_empty() {
        entries.push(entry(bytes)?);
    }
    Some(())
}

/// Samples whose numbers and times are differences to those in front.
fn deltas(
    bytes: &mut Bytes<'_>,
    entries: &mut Vec<Entry>,
    mut value: impl FnMut(&mut Bytes<'_>) -> Option<Value>,
) -> Option<()> {
    if bytes.0.is_empty() {
        return Some(());
    }
    let (number, t_ms) = (be_u64(bytes)?, be_u64(bytes)? as i64);
    repeat(bytes, entries, |bytes| {
        Some(Entry::Sample {
            number: number.wrapping_add(bytes.signed()? as u64),
            t_ms: t_ms.wrapping_add(bytes.signed()?),
            start_ms: 0,
            value: value(bytes)?,
        })
    })
}

/// Samples with start timestamps.
fn started(
    bytes: &mut Bytes<'_>,
    entries: &mut Vec<Entry>,
    mut value: impl FnMut(&mut Bytes<'_>) -> Option<Value>,
) -> Option<()> {
    if bytes.0.is_empty() {
        return Some(());
    }
    let (mut number, first_ms, first_start_ms) = (bytes.signed()? as u64, bytes.signed()?, bytes.signed()?);
    let mut start_ms = first_start_ms;
    entries.push(Entry::Sample { number, t_ms: first_ms, start_ms, value: value(bytes)? });
    repeat(bytes, entries, |bytes| {
        number = number.wrapping_add(bytes.signed()? as u64);
        let t_ms = first_ms.wrapping_add(bytes.signed()?);
        start_ms = match bytes.byte()? {
            0 => 0,
            1 => start_ms,
            2 => first_start_ms.wrapping_add(bytes.signed()?),
            _ => return None,
        };
        Some(Entry::Sample { number, t_ms, start_ms, value: value(bytes)? })
    })
}

/// Labels; an empty value is as no label, as everywhere.
fn labels(bytes: &mut Bytes<'_>) -> Option<Labels> {
    let count = bytes.count()?;
    let mut pairs = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        pairs.push((bytes.text()?, bytes.text()?));
    }
    Some(Labels::from_pairs(pairs))
}

/// A number that is not known stands for a type that is not.
fn metric_type(number: u8) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

/// Bytes with their length, of which nobody knows whether they are text.
fn raw_text<'a>(bytes: &mut Bytes<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(bytes.unsigned()?).ok()?;
    bytes.take(length)
}

pub(super) fn be_u64(bytes: &mut Bytes<'_>) -> Option<u64> {
    bytes.take(8)?.try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn be_f64(bytes: &mut Bytes<'_>) -> Option<f64> {
    be_u64(bytes).map(f64::from_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: &[u8], wanted: Option<&[Entry]>) {
        let mut entries = Vec::new();
        assert_eq!(decode(record, &mut entries).map(|()| entries.as_slice()), wanted, "{record:?}");
    }

    fn sample(number: u64, t_ms: i64, start_ms: i64, value: f64) -> Entry {
        Entry::Sample { number, t_ms, start_ms, value: Value::Float(value) }
    }

    #[test]
    fn samples_with_start_timestamps() {
        let one = 1f64.to_bits().to_be_bytes();
        // Number 3 at 100 since 60; number 5 at 101, as before; number 4 at 99 since 61; number 9 at 100, unknown.
        let record =
            [&[11, 6, 200, 1, 120][..], &one, &[4, 2, 1], &one, &[1, 1, 2, 2], &one, &[10, 0, 0], &one]
                .concat();
        let wanted = [
            sample(3, 100, 60, 1.0),
            sample(5, 101, 60, 1.0),
            sample(4, 99, 61, 1.0),
            sample(9, 100, 0, 1.0),
        ];
        check(&record, Some(&wanted));
        // A marker that means nothing, and a record that was cut.
        let mut unknown = record.clone();
        unknown[15] = 3;
        check(&unknown, None);
        check(&record[..record.len() - 1], None);
    }

    #[test]
    fn other_records() {
        let mut record = vec![1];
        record.extend_from_slice(&7u64.to_be_bytes());
        record.extend_from_slice(b"\x02\x03job\x01a\x05empty\x00");
        let labels = Labels::from_pairs([("job", "a")]);
        check(&record, Some(&[Entry::Series { number: 7, labels }]));
        let mut record = vec![3];
        record.extend_from_slice(&7u64.to_be_bytes());
        record.extend_from_slice(&[1, 4]);
        check(&record, Some(&[Entry::Tombstone { number: 7, min_ms: -1, max_ms: 2 }]));
        let mut record = vec![2];
        record.extend_from_slice(&7u64.to_be_bytes());
        record.extend_from_slice(&1000u64.to_be_bytes());
        check(&record, Some(&[]));
        record.extend_from_slice(&[1, 2]);
        record.extend_from_slice(&0x7ff0_0000_0000_0002u64.to_be_bytes());
        let mut entries = Vec::new();
        decode(&record, &mut entries).unwrap();
        let [Entry::Sample { number: 6, t_ms: 1001, value: Value::Float(value), .. }] = entries[..] else {
            panic!("{entries:?}")
        };
        assert_eq!(value.to_bits(), 0x7ff0_0000_0000_0002, "a staleness marker stays one");
        check(&[14, 0, 0, 0, 0, 0, 0, 0, 9], Some(&[Entry::Cutoff { t_ms: 9 }]));
        let metadata = |metric_type, unit: &str, help: &str| Metadata {
            metric_type,
            unit: unit.to_owned(),
            help: help.to_owned(),
        };
        check(
            b"\x06\x05\x01\x01\x04HELP\x01x\x07\x07\x03\x04UNIT\x01s\x04MORE\x01?\x04HELP\x02\xc3\xb6\x08\x09\x00",
            Some(&[
                Entry::Metadata { number: 5, metadata: metadata(MetricType::Counter, "", "x") },
                Entry::Metadata { number: 7, metadata: metadata(MetricType::StateSet, "s", "ö") },
                Entry::Metadata { number: 8, metadata: metadata(MetricType::Unknown, "", "") },
            ]),
        );
        let mut record = vec![4];
        record.extend_from_slice(&7u64.to_be_bytes());
        record.extend_from_slice(&1000u64.to_be_bytes());
        check(&record, Some(&[]));
        for (delta, later_ms) in [(0, 0), (3, 4)] {
            record.extend_from_slice(&[delta, later_ms]);
            record.extend_from_slice(&0.5f64.to_bits().to_be_bytes());
            record.extend_from_slice(b"\x01\x02id\x01a");
        }
        let exemplar = |number, t_ms| Entry::Exemplar {
            number,
            t_ms,
            value: 0.5,
            labels: Labels::from_pairs([("id", "a")]),
        };
        check(&record, Some(&[exemplar(7, 1000), exemplar(5, 1002)]));
        check(&record[..record.len() - 1], None);
        for unknown in [&[][..], &[0], &[15], &[255, 1]] {
            check(unknown, None);
        }
    }
}
