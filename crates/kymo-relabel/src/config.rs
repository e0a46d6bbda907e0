//! RelabelConfig: one rule, checked and compiled. A spec is what the file says; a config is what can run.
//!
//! The rules of validation and the texts of the errors are Prometheus' (model/relabel, 3.x).

use std::sync::Arc;

use kymo_model::{NameScheme, Regex, RegexError};
use serde::{Deserialize, Serialize};

use crate::Action;
use crate::template::{has_variable, is_legacy_name_template};

/// The default of `separator`.
pub(crate) const DEFAULT_SEPARATOR: &str = ";";
/// The default of `regex`.
pub(crate) const DEFAULT_REGEX: &str = "(.*)";
/// The default of `replacement`.
pub(crate) const DEFAULT_REPLACEMENT: &str = "$1";

/// Can this template become the name of a label?
fn is_name_template(scheme: NameScheme, template: &str) -> bool {
    match scheme {
        NameScheme::Utf8 => !template.is_empty(),
        NameScheme::Legacy => is_legacy_name_template(template),
    }
}

/// A rule as a file writes it. `None` is a key that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelabelSpec {
    /// The labels whose values are joined to make the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_labels: Option<Vec<String>>,
    /// What stands between the values, `;` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// What the source (or, for the label actions, each name) must match as a whole, `(.*)` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// The modulus of `hashmod`.
    #[serde(skip_serializing_if = "is_zero")]
    pub modulus: u64,
    /// The label that is written or compared.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_label: String,
    /// What is written, `$1` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// What to do.
    pub action: Action,
}

fn is_zero(modulus: &u64) -> bool {
    *modulus == 0
}

/// A rule that is valid and compiled. Cheap to clone.
///
/// ```
/// use kymo_relabel::{RelabelConfig, RelabelSpec, Action};
/// let spec = RelabelSpec { action: Action::HashMod, target_label: "shard".into(), ..Default::default() };
/// assert_eq!(
///     RelabelConfig::compile(spec).unwrap_err().to_string(),
///     "relabel configuration for hashmod requires non-zero modulus",
/// );
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "RelabelSpec", into = "RelabelSpec")]
pub struct RelabelConfig {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    spec: RelabelSpec,
    regex: Regex,
    scheme: NameScheme,
    fixed: bool,
}

impl RelabelConfig {
    /// Checks and compiles a rule; names may be any UTF-8.
    pub fn compile(spec: RelabelSpec) -> Result<RelabelConfig, RelabelConfigError> {
        RelabelConfig::compile_with(spec, NameScheme::Utf8)
    }

    /// Checks and compiles a rule under a scheme of names.
    pub fn compile_with(spec: RelabelSpec, scheme: NameScheme) -> Result<RelabelConfig, RelabelConfigError> {
        check(&spec, scheme)?;
        let pattern = spec.regex.as_deref().unwrap_or(DEFAULT_REGEX);
        let regex = Regex::new(pattern).map_err(RelabelConfigError::Regex)?;
        let replacement = spec.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT);
        let fixed =
            pattern == DEFAULT_REGEX && !has_variable(&spec.target_label) && !has_variable(replacement);
        Ok(RelabelConfig { inner: Arc::new(Inner { spec, regex, scheme, fixed }) })
    }

    /// The rule as written.
    pub fn spec(&self) -> &RelabelSpec {
        &self.inner.spec
    }

    /// What it does.
    pub fn action(&self) -> Action {
        self.inner.spec.action
    }

    /// The labels whose values make the source.
    pub fn source_labels(&self) -> &[String] {
        self.inner.spec.source_labels.as_deref().unwrap_or_default()
    }

    /// What stands between the values of the source.
    pub fn separator(&self) -> &str {
        self.inner.spec.separator.as_deref().unwrap_or(DEFAULT_SEPARATOR)
    }

    /// The pattern as written, or the default.
    pub fn regex(&self) -> &str {
        self.inner.spec.regex.as_deref().unwrap_or(DEFAULT_REGEX)
    }

    /// The modulus of `hashmod`, otherwise 0.
    pub fn modulus(&self) -> u64 {
        self.inner.spec.modulus
    }

    /// The label that is written or compared; for `replace` a template.
    pub fn target_label(&self) -> &str {
        &self.inner.spec.target_label
    }

    /// What is written: a template.
    pub fn replacement(&self) -> &str {
        self.inner.spec.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT)
    }

    /// Which names it may write.
    pub fn scheme(&self) -> NameScheme {
        self.inner.scheme
    }

    pub(crate) fn compiled(&self) -> &Regex {
        &self.inner.regex
    }

    /// A `replace` that writes a constant whatever the source is.
    pub(crate) fn is_fixed(&self) -> bool {
        self.inner.fixed
    }
}

impl PartialEq for RelabelConfig {
    fn eq(&self, other: &RelabelConfig) -> bool {
        self.spec() == other.spec() && self.scheme() == other.scheme()
    }
}

impl Eq for RelabelConfig {}

impl TryFrom<RelabelSpec> for RelabelConfig {
    type Error = RelabelConfigError;

    fn try_from(spec: RelabelSpec) -> Result<RelabelConfig, RelabelConfigError> {
        RelabelConfig::compile(spec)
    }
}

impl From<RelabelConfig> for RelabelSpec {
    fn from(config: RelabelConfig) -> RelabelSpec {
        config.spec().clone()
    }
}

/// Why a rule does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelabelConfigError {
    /// `hashmod` without a modulus.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    ModulusMissing,
    /// An action that writes a label, and no label.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    TargetMissing(Action),
    /// A field whose text is not a name, nor a template of one.
    #[error("{text:?} is invalid '{field}' for {action} action")]
    Invalid {
        /// Which field.
        field: FieldFault,
        /// Its text.
        text: String,
        /// The action.
        action: Action,
    },
    /// A replacement where none can be.
    #[error("'replacement' can not be set for {0} action")]
    ReplacementSet(Action),
    /// `keepequal` or `dropequal` with more than its two fields.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    /// `labeldrop` or `labelkeep` with more than a regex.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
    /// The regex does not compile.
    #[error(transparent)]
    Regex(RegexError),
}

impl RelabelConfigError {
    /// The key of the rule that the error is about, for a caret.
    pub fn key(&self) -> &'static str {
        match self {
            RelabelConfigError::ModulusMissing => "modulus",
            RelabelConfigError::TargetMissing(_) => "target_label",
            RelabelConfigError::Invalid { field, .. } => field.as_str(),
            RelabelConfigError::ReplacementSet(_) => "replacement",
            RelabelConfigError::OnlySourceAndTarget(_) | RelabelConfigError::OnlyRegex(_) => "action",
            RelabelConfigError::Regex(_) => "regex",
        }
    }
}

/// The field that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// `target_label`
    TargetLabel,
    /// `replacement`
    Replacement,
}

impl FieldFault {
    /// The key in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            FieldFault::TargetLabel => "target_label",
            FieldFault::Replacement => "replacement",
        }
    }
}

impl std::fmt::Display for FieldFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn check(spec: &RelabelSpec, scheme: NameScheme) -> Result<(), RelabelConfigError> {
    use Action::{
        DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase,
    };
    let action = spec.action;
    let target = spec.target_label.as_str();
    let replacement = spec.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT);
    let plain_separator = spec.separator.as_deref().unwrap_or(DEFAULT_SEPARATOR) == DEFAULT_SEPARATOR;
    let invalid = |field: FieldFault, text: &str| {
        Err(RelabelConfigError::Invalid { field, text: text.to_owned(), action })
    };

    if action == HashMod && spec.modulus == 0 {
        return Err(RelabelConfigError::ModulusMissing);
    }
    let writes = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
    if writes && target.is_empty() {
        return Err(RelabelConfigError::TargetMissing(action));
    }
    let target_is_valid = match action {
        Replace if has_variable(target) => is_name_template(scheme, target),
        _ => !writes || scheme.is_label_name(target),
    };
    if !target_is_valid {
        return invalid(FieldFault::TargetLabel, target);
    }
    let plain_replacement = replacement == DEFAULT_REPLACEMENT;
    if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && !plain_replacement {
        return Err(RelabelConfigError::ReplacementSet(action));
    }
    if action == LabelMap && !is_name_template(scheme, replacement) {
        return invalid(FieldFault::Replacement, replacement);
    }
    let plain = spec.modulus == 0 && plain_separator && plain_replacement;
    if matches!(action, KeepEqual | DropEqual) && !(plain && spec.regex.is_none()) {
        return Err(RelabelConfigError::OnlySourceAndTarget(action));
    }
    if matches!(action, LabelDrop | LabelKeep)
        && !(plain && spec.source_labels.is_none() && target.is_empty())
    {
        return Err(RelabelConfigError::OnlyRegex(action));
    }
    Ok(())
}
