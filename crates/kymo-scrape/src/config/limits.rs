//! Limits of a scrape: 0 is no limit. Those of a job stand above the global ones.

use super::reader::{Fields, Reader};
use super::size::parse_size;

/// What one scrape may bring before it fails as a whole; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `body_size_limit`: decompressed bytes of a response.
    pub body_bytes: u64,
    /// `sample_limit`: samples after relabelling.
    pub samples: u64,
    /// `target_limit`: targets of the job after relabelling.
    pub targets: u64,
    /// `label_limit`: labels of a sample after relabelling.
    pub labels: u64,
    /// `label_name_length_limit`: bytes of a name after relabelling.
    pub label_name_bytes: u64,
    /// `label_value_length_limit`: bytes of a value after relabelling.
    pub label_value_bytes: u64,
    /// `keep_dropped_targets`: how many dropped targets of the job are kept to be shown.
    pub keep_dropped_targets: u64,
}

impl Limits {
    pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Limits {
        let body_bytes = match fields.text(reader, "body_size_limit") {
            None => 0,
            Some(text) if text.is_empty() => 0,
            Some(text) => parse_size(&text).unwrap_or_else(|| {
                let message =
                    format!("not a valid size: {text:?}, expected a number and a unit such as 15MB");
                fields.fault_at(reader, "body_size_limit", message);
                0
            }),
        };
        let mut count = |key| fields.unsigned(reader, key).unwrap_or(0);
        Limits {
            body_bytes,
            samples: count("sample_limit"),
            targets: count("target_limit"),
            labels: count("label_limit"),
            label_name_bytes: count("label_name_length_limit"),
            label_value_bytes: count("label_value_length_limit"),
            keep_dropped_targets: count("keep_dropped_targets"),
        }
    }

    /// These limits, and where there is none, those of `global`.
    pub(crate) fn or(self, global: Limits) -> Limits {
        let pick = |own: u64, other: u64| if own == 0 { other } else { own };
        Limits {
            body_bytes: pick(self.body_bytes, global.body_bytes),
            samples: pick(self.samples, global.samples),
            targets: pick(self.targets, global.targets),
            labels: pick(self.labels, global.labels),
            label_name_bytes: pick(self.label_name_bytes, global.label_name_bytes),
            label_value_bytes: pick(self.label_value_bytes, global.label_value_bytes),
            keep_dropped_targets: pick(self.keep_dropped_targets, global.keep_dropped_targets),
        }
    }
}
