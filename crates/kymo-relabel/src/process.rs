//! Process: rules applied in order to labels. Cannot fail; a rule that yields no valid name does nothing.

use kymo_model::{Labels, LabelsBuilder};

use crate::case::{to_lower, to_upper};
use crate::{Action, RelabelConfig};

/// What the rules decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The labels, as changed, go on.
    Keep,
    /// The target or the sample is dropped. The labels are left as the dropping rule found them.
    Drop,
}

/// Applies rules in order; stops at the first that drops.
pub fn relabel(labels: &mut LabelsBuilder, rules: &[RelabelConfig]) -> Verdict {
    let mut source = String::new();
    for rule in rules {
        if apply(labels, rule, &mut source) == Verdict::Drop {
            return Verdict::Drop;
        }
    }
    Verdict::Keep
}

/// Applies rules to finished labels: `None` when they were dropped. Without rules, one atomic increment.
///
/// ```
/// use kymo_model::Labels;
/// let labels = Labels::from_pairs([("a", "1")]);
/// assert_eq!(kymo_relabel::relabel_labels(&labels, &[]), Some(labels));
/// ```
pub fn relabel_labels(labels: &Labels, rules: &[RelabelConfig]) -> Option<Labels> {
    if rules.is_empty() {
        return Some(labels.clone());
    }
    let mut builder = labels.to_builder();
    match relabel(&mut builder, rules) {
        Verdict::Keep => Some(builder.build()),
        Verdict::Drop => None,
    }
}

/// The labels after one rule, for people who ask why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The labels after the rule.
    pub output: Labels,
    /// Whether the rule let them go on. No step follows one that does not.
    pub verdict: Verdict,
}

/// Applies rules in order and keeps what each made of the labels.
pub fn relabel_steps(labels: &Labels, rules: &[RelabelConfig]) -> Vec<Step> {
    let mut builder = labels.to_builder();
    let mut source = String::new();
    let mut steps = Vec::new();
    for rule in rules {
        let verdict = apply(&mut builder, rule, &mut source);
        let output = if verdict == Verdict::Keep { builder.build() } else { Labels::empty() };
        steps.push(Step { output, verdict });
        if verdict == Verdict::Drop {
            break;
        }
    }
    steps
}

fn apply(labels: &mut LabelsBuilder, rule: &RelabelConfig, source: &mut String) -> Verdict {
    join_source(labels, rule, source);
    let regex = rule.compiled();
    let target = rule.target_label();
    let keep = match rule.action() {
        Action::Keep => regex.is_match(source),
        Action::Drop => !regex.is_match(source),
        Action::KeepEqual => labels.get(target).unwrap_or("") == source,
        Action::DropEqual => labels.get(target).unwrap_or("") != source,
        Action::Replace => {
            replace(labels, rule, source);
            true
        }
        Action::Lowercase => {
            labels.set(target, &to_lower(source));
            true
        }
        Action::Uppercase => {
            labels.set(target, &to_upper(source));
            true
        }
        Action::HashMod => {
            labels.set(target, &hash_modulo(source, rule.modulus()).to_string());
            true
        }
        Action::LabelMap => {
            map_names(labels, rule);
            true
        }
        Action::LabelDrop => {
            remove_names(labels, |name| regex.is_match(name));
            true
        }
        Action::LabelKeep => {
            remove_names(labels, |name| !regex.is_match(name));
            true
        }
    };
    if keep { Verdict::Keep } else { Verdict::Drop }
}

fn join_source(labels: &LabelsBuilder, rule: &RelabelConfig, source: &mut String) {
    source.clear();
    for (at, name) in rule.source_labels().iter().enumerate() {
        if at > 0 {
            source.push_str(rule.separator());
        }
        source.push_str(labels.get(name).unwrap_or(""));
    }
}

fn replace(labels: &mut LabelsBuilder, rule: &RelabelConfig, source: &str) {
    if source.is_empty() && rule.is_fixed() {
        labels.set(rule.target_label(), rule.replacement());
        return;
    }
    let mut target = String::new();
    if !rule.compiled().expand(source, rule.target_label(), &mut target) {
        return;
    }
    if rule.scheme().is_label_name(&target) {
        let mut value = String::new();
        rule.compiled().expand(source, rule.replacement(), &mut value);
        labels.set(&target, &value);
    }
}

/// The last eight bytes of the MD5, big end first, as Prometheus has always sharded.
fn hash_modulo(source: &str, modulus: u64) -> u64 {
    let digest = md5::compute(source.as_bytes());
    let tail: [u8; 8] = std::array::from_fn(|at| digest.0[at + 8]);
    // A compiled rule has a modulus; the check keeps a zero from ever dividing.
    u64::from_be_bytes(tail).checked_rem(modulus).unwrap_or(0)
}

fn map_names(labels: &mut LabelsBuilder, rule: &RelabelConfig) {
    let mapped: Vec<(String, String)> = labels
        .iter()
        .filter_map(|label| {
            let mut name = String::new();
            let matches = rule.compiled().expand(label.name, rule.replacement(), &mut name);
            (matches && !name.is_empty()).then(|| (name, label.value.to_owned()))
        })
        .collect();
    for (name, value) in mapped {
        labels.set(&name, &value);
    }
}

fn remove_names(labels: &mut LabelsBuilder, remove: impl Fn(&str) -> bool) {
    let names: Vec<String> =
        labels.iter().filter(|label| remove(label.name)).map(|label| label.name.to_owned()).collect();
    for name in &names {
        labels.remove(name);
    }
}
