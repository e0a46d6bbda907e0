//! Relabelling rules of a file: each key where it stands, each fault at its key.

use kymo_model::NameScheme;
use kymo_relabel::{Action, RelabelConfig, RelabelSpec};

use super::reader::{Fields, Reader};
use crate::yaml::{Node, Value};

/// The rules of a list. A rule with a fault is left out, so the list is only whole when nothing was noted.
pub(crate) fn read_rules(
    reader: &mut Reader,
    node: Option<&Node>,
    path: &str,
    scheme: NameScheme,
) -> Vec<RelabelConfig> {
    let Some(node) = node else { return Vec::new() };
    let items = reader.items(node, path);
    items.into_iter().filter_map(|(item, path)| read_rule(reader, item, &path, scheme)).collect()
}

fn read_rule(reader: &mut Reader, node: &Node, path: &str, scheme: NameScheme) -> Option<RelabelConfig> {
    if matches!(node.value, Value::Null) {
        reader.fault(node.place, path, "empty or null relabeling rule");
        return None;
    }
    let mut fields = Fields::open(reader, node, path);
    let source_labels = fields.texts(reader, "source_labels");
    if let Some(bad) = source_labels.iter().flatten().find(|name| !scheme.is_label_name(name)) {
        fields.fault_at(reader, "source_labels", format!("{bad:?} is not a valid label name"));
    }
    let separator = fields.text(reader, "separator");
    let regex = fields.text(reader, "regex");
    let modulus = fields.unsigned(reader, "modulus").unwrap_or_default();
    let target_label = fields.text(reader, "target_label").unwrap_or_default();
    let replacement = fields.text(reader, "replacement");
    let action = match fields.text(reader, "action") {
        None => Some(Action::Replace),
        Some(word) => {
            let action = Action::parse(&word);
            if action.is_none() {
                let known: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
                let known = known.join(", ");
                let message = format!("unknown relabel action {word:?}, expected one of {known}");
                fields.fault_at(reader, "action", message);
            }
            action
        }
    };
    let spec =
        RelabelSpec { source_labels, separator, regex, modulus, target_label, replacement, action: action? };
    let compiled = match RelabelConfig::compile_with(spec, scheme) {
        Ok(rule) => Some(rule),
        Err(e) => {
            fields.fault_at(reader, e.key(), e.to_string());
            None
        }
    };
    fields.finish(reader);
    compiled
}
