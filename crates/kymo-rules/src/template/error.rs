//! TemplateError: why a template does not parse or expand, in the words of Go's text/template.

/// What went wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TemplateErrorKind {
    /// It does not parse.
    Syntax,
    /// It cannot be executed with this data.
    Execution,
    /// It hit one of the [`TemplateLimits`](super::TemplateLimits).
    Limit,
}

/// Why a template does not parse or expand.
///
/// ```
/// use kymo_rules::template::Template;
/// let error = Template::parse("__alert_Down", "it is {{ nosuch }}").err().unwrap();
/// assert_eq!(error.to_string(), "template: __alert_Down:1: function \"nosuch\" not defined");
/// assert_eq!(error.offset, 9);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What sort of failure.
    pub kind: TemplateErrorKind,
    /// What people read.
    pub message: String,
    /// The byte of the template it is about.
    pub offset: usize,
}
