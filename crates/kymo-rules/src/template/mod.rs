//! Go-style templates as Prometheus' alerts have them: `{{ $labels.instance }} is at {{ $value | humanize }}`.
//!
//! An engine of our own, of the whole language of Go's text/template over the values that alerts have: a missing label is
//! the empty string, floats print as in Go, and every expansion has a budget of steps and bytes. docs/rules.md says why
//! no ready one fits.
//!
//! ```
//! use kymo_model::{Labels, Timestamp};
//! use kymo_rules::template::{Expansion, PointValue, Template, TemplateLimits};
//!
//! let template = Template::parse("__alert_Hot", "{{ $labels.room }}: {{ $value | humanize }} °C").unwrap();
//! let labels = Labels::from_pairs([("room", "kitchen")]);
//! let text = template.expand(&Expansion {
//!     labels: &labels,
//!     value: &PointValue::Float(31.25),
//!     external_labels: &Labels::empty(),
//!     external_url: "http://localhost:9090",
//!     now: Timestamp::from_millis(0),
//!     query: &|_, _| Ok(Vec::new()),
//!     limits: TemplateLimits::default(),
//! });
//! assert_eq!(text.unwrap(), "kitchen: 31.25 °C");
//! ```

mod error;
mod limits;

mod ast;
mod lex;
mod number;
mod parse;

mod value;

mod exec;
mod functions;
mod methods;

mod format;
mod humanize;
mod text;
mod time;

use std::sync::Arc;

use kymo_model::{Labels, Timestamp};

pub use kymo_promql::{PointValue, QueryError, VectorSample};

pub(crate) use format::quote;
pub(crate) use time::{days_of, format_duration_ns};

pub use error::{TemplateError, TemplateErrorKind};
pub use limits::TemplateLimits;

/// The variables that Prometheus declares before every template.
const PREFIX: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                      {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// A template that parsed. Expanding it takes `&self`, so one serves all alerts of a rule.
#[derive(Debug)]
pub struct Template {
    name: String,
    /// With the prefix in front.
    text: String,
    tree: ast::Tree,
}

/// Answers the function `query`: a PromQL text at a time.
pub type QueryFunction<'a> = dyn Fn(&str, Timestamp) -> Result<Vec<VectorSample>, QueryError> + 'a;

/// What a template is expanded with.
pub struct Expansion<'a> {
    /// `$labels`, `.Labels`: those of the series, the metric name as `__name__` included.
    pub labels: &'a Labels,
    /// `$value`, `.Value`.
    pub value: &'a PointValue,
    /// `$externalLabels`.
    pub external_labels: &'a Labels,
    /// `externalURL`, `$externalURL`.
    pub external_url: &'a str,
    /// The time of the evaluation, for `now` and `query`.
    pub now: Timestamp,
    /// Answers the function `query`.
    pub query: &'a QueryFunction<'a>,
    /// What it may cost.
    pub limits: TemplateLimits,
}

impl Template {
    /// Parses a template; `name` stands in its error messages (`__alert_NAME` in Prometheus).
    pub fn parse(name: &str, text: &str) -> Result<Template, TemplateError> {
        if text.len() > limits::TEXT_BYTES_MAX {
            let message = format!(
                "expected at most {} bytes of template, found {}",
                limits::TEXT_BYTES_MAX,
                text.len()
            );
            return Err(TemplateError { kind: TemplateErrorKind::Limit, message, offset: 0 });
        }
        let full = format!("{PREFIX}{text}");
        match parse::parse(&full) {
            Ok(tree) => Ok(Template { name: name.to_owned(), text: full, tree }),
            Err(fault) => {
                let line = 1 + full[..fault.offset].bytes().filter(|b| *b == b'\n').count();
                Err(TemplateError {
                    kind: TemplateErrorKind::Syntax,
                    message: format!("template: {name}:{line}: {}", fault.message),
                    offset: fault.offset.saturating_sub(PREFIX.len()).min(text.len()),
                })
            }
        }
    }

    /// The text with everything filled in.
    pub fn expand(&self, expansion: &Expansion<'_>) -> Result<String, TemplateError> {
        let root = value::Root {
            labels: expansion.labels.clone(),
            external_labels: expansion.external_labels.clone(),
            external_url: Arc::from(expansion.external_url),
            value: value::Value::from(expansion.value),
        };
        let root = value::Value::Root(Arc::new(root));
        exec::run(&self.name, &self.text, &self.tree, expansion, root).map_err(|mut error| {
            error.message = format!("error executing template {}: {}", self.name, error.message);
            error.offset = error.offset.saturating_sub(PREFIX.len());
            error
        })
    }
}
