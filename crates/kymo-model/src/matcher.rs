//! Matcher: one condition on one label, compiled once, asked once per distinct label value.

use std::fmt;
use std::sync::Arc;

use crate::{Labels, Pulse, Regex, RegexError, StoreError};

/// How a [`Matcher`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// A condition on the value of one label. A label that a series lacks has the empty value.
///
/// Regexes are Go's RE2 dialect, anchored: `^(?s:…)$`.
///
/// ```
/// use kymo_model::{MatchOp, Matcher};
/// let m = Matcher::new(MatchOp::Regex, "status", "5..").unwrap();
/// assert!(m.matches("503"));
/// assert!(!m.matches("5030"));
/// ```
#[derive(Clone)]
pub struct Matcher {
    inner: Arc<Inner>,
}

struct Inner {
    op: MatchOp,
    name: String,
    value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; fails only for a regex that does not compile.
    pub fn new(op: MatchOp, name: &str, value: &str) -> Result<Matcher, MatcherError> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => {
                Some(Regex::new(value).map_err(|e| MatcherError::new(value, &e))?)
            }
        };
        Ok(Matcher { inner: Arc::new(Inner { op, name: name.to_owned(), value: value.to_owned(), regex }) })
    }

    /// `name="value"`.
    pub fn equal(name: &str, value: &str) -> Matcher {
        Matcher::new(MatchOp::Equal, name, value).expect("BUG: only regexes can fail to compile")
    }

    /// The comparison.
    pub fn op(&self) -> MatchOp {
        self.inner.op
    }

    /// The label.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The value or the pattern, as written.
    pub fn value(&self) -> &str {
        &self.inner.value
    }

    /// Does this value of the label pass?
    pub fn matches(&self, value: &str) -> bool {
        let inner = &*self.inner;
        match (&inner.regex, inner.op) {
            (Some(regex), MatchOp::NotRegex) => !regex.is_match(value),
            (Some(regex), _) => regex.is_match(value),
            (None, MatchOp::NotEqual) => inner.value != value,
            (None, _) => inner.value == value,
        }
    }

    /// As [`matches`](Matcher::matches), for whoever asks about many values or long ones: looks at a token every few
    /// milliseconds, and counts its work itself.
    #[inline]
    pub fn try_matches(&self, value: &str, pulse: &mut Pulse) -> Result<bool, StoreError> {
        match &self.inner.regex {
            Some(regex) => {
                regex.try_match(value, pulse).map(|found| found == (self.inner.op != MatchOp::NotRegex))
            }
            None => pulse.tick(1).map(|()| self.matches(value)),
        }
    }

    /// Do all of these match the labels of a series? A label that it lacks has the empty value.
    pub fn try_all_match(
        matchers: &[Matcher],
        labels: &Labels,
        pulse: &mut Pulse,
    ) -> Result<bool, StoreError> {
        for matcher in matchers {
            if !matcher.try_matches(labels.get(matcher.name()).unwrap_or(""), pulse)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does a series without the label pass?
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// If the values that pass are finitely many and known: those, sorted. Only for `=` and `=~`: for `!~` the values that
    /// do not pass are those of [`regex`](Matcher::regex).
    pub fn set_matches(&self) -> Option<&[String]> {
        match self.inner.op {
            MatchOp::Equal => Some(std::slice::from_ref(&self.inner.value)),
            MatchOp::Regex => self.inner.regex.as_ref()?.set_matches(),
            MatchOp::NotEqual | MatchOp::NotRegex => None,
        }
    }

    /// The text that every value that passes begins with, if that is known and not empty. Only for `=` and `=~`.
    pub fn prefix(&self) -> Option<&str> {
        match self.inner.op {
            MatchOp::Equal => Some(self.value()).filter(|value| !value.is_empty()),
            MatchOp::Regex => self.inner.regex.as_ref()?.required_prefix(),
            MatchOp::NotEqual | MatchOp::NotRegex => None,
        }
    }

    /// The compiled pattern of `=~` and `!~`.
    pub fn regex(&self) -> Option<&Regex> {
        self.inner.regex.as_ref()
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.op() == other.op() && self.name() == other.name() && self.value() == other.value()
    }
}

impl Eq for Matcher {}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name(), self.op().as_str(), self.value())
    }
}

/// A regex that Prometheus would refuse too; reads as Prometheus says it: "error parsing regexp: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MatcherError {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
}

impl MatcherError {
    fn new(pattern: &str, error: &RegexError) -> MatcherError {
        MatcherError { pattern: pattern.to_owned(), message: error.to_string() }
    }
}
