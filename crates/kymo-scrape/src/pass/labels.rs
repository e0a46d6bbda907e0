//! SampleRules: from the labels a target wrote to those that are stored. Run once per new series, never per sample.

use kymo_model::{Labels, METRIC_NAME, NameScheme, is_legacy_label_name, is_legacy_metric_name};
use kymo_relabel::{RelabelConfig, Verdict, relabel};

use super::error::PassError;
use crate::config::{Limits, ScrapeConfig};

/// How many characters of a name or value an error shows.
const SHOWN_CHARS: usize = 50;

/// What a job says about the samples of its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRules {
    /// Labels of the target's own win over those of the target.
    pub honor_labels: bool,
    /// Timestamps that the target writes are taken.
    pub honor_timestamps: bool,
    /// Series with timestamps get staleness markers too.
    pub track_timestamps_staleness: bool,
    /// Rules over samples.
    pub metric_relabel_configs: Vec<RelabelConfig>,
    /// What a scrape may bring; `body_bytes` and `targets` are for others to hold.
    pub limits: Limits,
    /// Which names are allowed.
    pub name_scheme: NameScheme,
    /// Report `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` too.
    pub extra_scrape_metrics: bool,
}

impl From<&ScrapeConfig> for SampleRules {
    fn from(job: &ScrapeConfig) -> SampleRules {
        SampleRules {
            honor_labels: job.honor_labels,
            honor_timestamps: job.honor_timestamps,
            track_timestamps_staleness: job.track_timestamps_staleness,
            metric_relabel_configs: job.metric_relabel_configs.clone(),
            limits: job.limits,
            name_scheme: job.name_scheme,
            extra_scrape_metrics: job.extra_scrape_metrics,
        }
    }
}

impl Default for SampleRules {
    fn default() -> SampleRules {
        SampleRules::from(&ScrapeConfig::new(""))
    }
}

impl SampleRules {
    /// The labels to store for a series written as `raw` with `exposed` labels; `None` when a rule drops it.
    pub(super) fn apply(
        &self,
        raw: &[u8],
        exposed: &Labels,
        target: &Labels,
    ) -> Result<Option<Labels>, PassError> {
        let mut builder = exposed.to_builder();
        if self.honor_labels {
            for label in target {
                if exposed.get(label.name).is_none() && !writes_empty(raw, label.name) {
                    builder.set(label.name, label.value);
                }
            }
        } else {
            let mut conflicts: Vec<(&str, &str)> = Vec::new();
            for label in target {
                conflicts.extend(exposed.get(label.name).map(|own| (label.name, own)));
                builder.set(label.name, label.value);
            }
            // Shorter names first: `a` may take the name that `exported_a` has.
            conflicts.sort_by_key(|(name, _)| name.len());
            for (name, own) in conflicts {
                let mut renamed = format!("exported_{name}");
                while builder.get(&renamed).is_some() {
                    renamed.insert_str(0, "exported_");
                }
                builder.set(&renamed, own);
            }
        }
        if relabel(&mut builder, &self.metric_relabel_configs) == Verdict::Drop {
            return Ok(None);
        }
        let labels = builder.build();
        if labels.is_empty() {
            return Ok(None);
        }
        self.check(&labels)?;
        Ok(Some(labels))
    }

    fn check(&self, labels: &Labels) -> Result<(), PassError> {
        let metric = labels.metric_name().ok_or(PassError::NameMissing)?;
        if self.name_scheme == NameScheme::Legacy {
            let names_are_legacy =
                labels.iter().all(|label| label.name == METRIC_NAME || is_legacy_label_name(label.name));
            if !is_legacy_metric_name(metric) || !names_are_legacy {
                return Err(PassError::InvalidNames(labels.to_string()));
            }
        }
        let limits = self.limits;
        let over = |found: usize, limit: u64| limit > 0 && found as u64 > limit;
        let count = labels.len();
        if over(count, limits.labels) {
            let metric = cut(metric);
            return Err(PassError::LabelLimit { metric, found: count, limit: limits.labels });
        }
        if limits.label_name_bytes == 0 && limits.label_value_bytes == 0 {
            return Ok(());
        }
        for label in labels {
            let metric = || cut(metric);
            if over(label.name.len(), limits.label_name_bytes) {
                return Err(PassError::LabelNameLength {
                    metric: metric(),
                    name: cut(label.name),
                    found: label.name.len(),
                    limit: limits.label_name_bytes,
                });
            }
            if over(label.value.len(), limits.label_value_bytes) {
                return Err(PassError::LabelValueLength {
                    metric: metric(),
                    name: cut(label.name),
                    value: cut(label.value),
                    found: label.value.len(),
                    limit: limits.label_value_bytes,
                });
            }
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// Does the series write the label with an empty value? Then the target says that it has none, which `honor_labels`
/// heeds: the Pushgateway exposes `instance=""` for groups without an instance. Labels themselves hold no empty values.
fn writes_empty(raw: &[u8], name: &str) -> bool {
    let mut rest = raw;
    while let Some(at) = rest
        .windows(name.len() + 3)
        .position(|window| window.starts_with(name.as_bytes()) && window.ends_with(b"=\"\""))
    {
        let before = rest[..at].iter().rev().find(|b| !b.is_ascii_whitespace());
        // Inside a quoted value the quotes of `=""` would be escaped, so this is a label.
        if matches!(before, Some(b'{' | b',')) {
            return true;
        }
        rest = &rest[at + name.len() + 3..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_labels_are_seen() {
        for (raw, want) in [
            (r#"m{instance=""}"#, true),
            (r#"m{a="b", instance="" }"#, true),
            (r#"m{my_instance=""}"#, false),
            (r#"m{instance="x"}"#, false),
            (r#"m{a="instance=\"\""}"#, false),
            ("m", false),
        ] {
            assert_eq!(writes_empty(raw.as_bytes(), "instance"), want, "{raw}");
        }
    }
}
