//! Metadata of metric families, in the log and in checkpoints. What is said later counts.
//!
//! ```text
//! metadata  kind:byte   count   family...
//! family    name:text   type:byte   unit:text   help:text
//! ```

use kymo_model::{FamilyMetadata, Metadata, MetricType};

use super::record::RecordKind;
use crate::frame::{Bytes, put_unsigned};

/// In the order of their numbers.
const TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

/// Appends the payload.
pub(crate) fn put_metadata(out: &mut Vec<u8>, families: &[FamilyMetadata]) {
    out.push(RecordKind::Metadata as u8);
    put_unsigned(out, families.len() as u64);
    for FamilyMetadata { name, metadata } in families {
        put_text(out, name);
        out.push(TYPES.iter().position(|known| *known == metadata.metric_type).unwrap_or(0) as u8);
        put_text(out, &metadata.unit);
        put_text(out, &metadata.help);
    }
}

/// Reads what follows the kind; `None` when the bytes are no such record.
pub(crate) fn read_metadata(mut bytes: Bytes<'_>) -> Option<Vec<FamilyMetadata>> {
    let mut families = Vec::new();
    for _ in 0..bytes.count()? {
        let name = bytes.text()?.to_owned();
        let metric_type = *TYPES.get(usize::from(bytes.byte()?))?;
        let (unit, help) = (bytes.text()?.to_owned(), bytes.text()?.to_owned());
        families.push(FamilyMetadata { name, metadata: Metadata { metric_type, unit, help } });
    }
    bytes.0.is_empty().then_some(families)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_unsigned(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn metadata_comes_back(all in prop::collection::vec((".{0,9}", 0usize..8, ".{0,9}", ".{0,200}"), 0..9)) {
            let families: Vec<FamilyMetadata> = all
                .into_iter()
                .map(|(name, kind, unit, help)| FamilyMetadata {
                    name,
                    metadata: Metadata { metric_type: TYPES[kind], unit, help },
                })
                .collect();
            let mut out = Vec::new();
            put_metadata(&mut out, &families);
            let (kind, bytes) = RecordKind::of(&out).unwrap();
            prop_assert_eq!(kind, RecordKind::Metadata);
            prop_assert_eq!(read_metadata(bytes), Some(families));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_metadata(Bytes(&bytes));
        }
    }
}
