//! Regex: Go's regular expressions (RE2), which Prometheus' matchers, rules and relabelling are written in.
//!
//! Patterns are parsed here, by Go's rules and with Go's errors, and matched by a plan of literal texts where that is enough
//! and else by an automaton of the `regex` crate, which gets a translation. Making a `Regex` only parses; the plan is
//! made and automata are built on first use. Everything that parses compiles, because the parser bounds the size.

mod class;
mod error;
mod parse;
mod plan;
mod scan;
mod sequence;
mod step;
mod template;
mod translate;
mod tree;
mod unicode_names;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::{Pulse, StoreError};

pub use error::{RegexError, RegexErrorKind};
use parse::Flags;
use plan::Plan;
use step::Stepper;
use template::Part;
use tree::Tree;

/// The largest automaton in bytes. The parser's limit of states keeps every pattern below it.
const PROGRAM_BYTES_MAX: usize = 64 << 20;
/// From so many bytes times states on, a text is matched in steps: a step in one state takes some ten nanoseconds.
const DEAR_WORK: usize = 1 << 20;
/// Levels of parentheses, repetitions and alternatives in a translation: at most four for each level of the pattern.
const NEST_MAX: u32 = 5000;

/// A regular expression in Go's syntax and with Go's meaning.
///
/// Where that differs from the `regex` crate: `\d`, `\w`, `\s` and `\b` are ASCII, `[a&&b]` is a class of three characters,
/// `\Q…\E` quotes, `(?x)` and counts above 1000 are refused, `{,5}` is plain text.
///
/// ```
/// use kymo_model::Regex;
/// let regex = Regex::new("node-(a|b)-(?P<port>[0-9]+)").unwrap();
/// assert!(regex.is_match("node-a-80"));
/// assert!(!regex.is_match("my-node-a-80"));
/// let mut out = String::new();
/// assert!(regex.expand("node-b-9100", "$port/${1}", &mut out));
/// assert_eq!(out, "9100/b");
/// ```
#[derive(Clone)]
pub struct Regex {
    inner: Arc<Inner>,
}

struct Inner {
    pattern: String,
    anchored: bool,
    /// How many states an automaton needs, from above; 0 where none is needed.
    states: u64,
    plan: OnceLock<Planned>,
    /// Without captures: its engines need no room for groups.
    matcher: OnceLock<regex::Regex>,
    capturer: OnceLock<Capturer>,
    stepper: OnceLock<Stepper>,
}

struct Planned {
    plan: Plan,
    /// What every match begins with; empty when unknown.
    prefix: String,
}

impl Planned {
    /// A plan that needed no tree.
    fn known(plan: Plan) -> Planned {
        Planned { prefix: plan.prefix(None), plan }
    }
}

/// An automaton that captures. Names are kept here, as Go allows a name twice and `regex` does not.
struct Capturer {
    regex: regex::Regex,
    groups: Vec<Option<String>>,
}

impl Regex {
    /// The whole text must match, and `.` matches newlines: `^(?s:…)$`, as in matchers, `label_replace` and relabelling.
    pub fn new(pattern: &str) -> Result<Regex, RegexError> {
        let plain = (pattern.len() <= parse::PATTERN_BYTES_MAX).then(|| Plan::of_plain(pattern)).flatten();
        match plain {
            Some(plan) => Ok(Regex::with_plan(pattern, true, (0, Some(plan)))),
            None => {
                let tree = parse::parse(pattern, flags(true))?;
                Ok(Regex::with_plan(pattern, true, (tree.states, None)))
            }
        }
    }

    /// Any part of the text may match: Go's plain `regexp.MustCompile(…)`, as in `match` and `reReplaceAll` of templates.
    ///
    /// ```
    /// let regex = kymo_model::Regex::unanchored("o+").unwrap();
    /// assert!(regex.is_match("foo"));
    /// assert_eq!(regex.replace_all("foo boo", "<$0>"), "f<oo> b<oo>");
    /// ```
    pub fn unanchored(pattern: &str) -> Result<Regex, RegexError> {
        let tree = parse::parse(pattern, flags(false))?;
        Ok(Regex::with_plan(pattern, false, (tree.states, Some(Plan::Automaton))))
    }

    fn with_plan(pattern: &str, anchored: bool, (states, plan): (u64, Option<Plan>)) -> Regex {
        let inner = Inner {
            pattern: pattern.to_owned(),
            anchored,
            states,
            plan: plan.map(Planned::known).map(OnceLock::from).unwrap_or_default(),
            matcher: OnceLock::new(),
            capturer: OnceLock::new(),
            stepper: OnceLock::new(),
        };
        Regex { inner: Arc::new(inner) }
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &str {
        &self.inner.pattern
    }

    /// Does `text` match?
    pub fn is_match(&self, text: &str) -> bool {
        match &self.inner.planned().plan {
            Plan::Set(set) => set.contains(text),
            Plan::Sequences(sequences) => sequences.iter().any(|sequence| sequence.is_match(text)),
            Plan::Automaton => self.inner.matcher().is_match(text),
        }
    }

    /// As [`is_match`](Regex::is_match), and looks at a token meanwhile: every few milliseconds, however long the text and
    /// however large the pattern. Counts its work itself.
    ///
    /// ```
    /// # use kymo_model::{CancelReason, CancelToken, Regex};
    /// let regex = Regex::new(".*a.*b[a-z]{500}").unwrap();
    /// let token = CancelToken::new();
    /// assert!(regex.try_match(&("ab".to_owned() + &"z".repeat(500)), &mut token.pulse()).unwrap());
    /// token.cancel(CancelReason::Canceled);
    /// assert!(regex.try_match(&"z".repeat(100_000), &mut token.pulse()).is_err());
    /// ```
    pub fn try_match(&self, text: &str, pulse: &mut Pulse) -> Result<bool, StoreError> {
        let step_work = usize::try_from(self.inner.states).unwrap_or(usize::MAX).max(1);
        let work = match &self.inner.planned().plan {
            Plan::Set(_) => 1,
            Plan::Sequences(sequences) => 8 + text.len() * sequences.len() / 8,
            Plan::Automaton if step_work.saturating_mul(text.len()) > DEAR_WORK => {
                return self.inner.stepper().is_match(text, step_work, pulse);
            }
            Plan::Automaton => 8 + text.len() * step_work / 8,
        };
        pulse.tick(work)?;
        Ok(self.is_match(text))
    }

    /// If only finitely and not too many texts match: those, sorted and distinct.
    ///
    /// ```
    /// let regex = kymo_model::Regex::new("(dev|prod)-[ab]").unwrap();
    /// assert_eq!(regex.set_matches().unwrap(), ["dev-a", "dev-b", "prod-a", "prod-b"]);
    /// ```
    pub fn set_matches(&self) -> Option<&[String]> {
        match &self.inner.planned().plan {
            Plan::Set(set) => Some(&set.texts),
            _ => None,
        }
    }

    /// The text that every match begins with, if that is known and not empty. `None` for an unanchored regex.
    ///
    /// ```
    /// let regex = kymo_model::Regex::new("node_(cpu|memory)_.+").unwrap();
    /// assert_eq!(regex.required_prefix(), Some("node_"));
    /// ```
    pub fn required_prefix(&self) -> Option<&str> {
        Some(self.inner.planned().prefix.as_str()).filter(|prefix| !prefix.is_empty())
    }

    /// Appends `template` to `out`, with `$1`, `${1}`, `$name` and `${name}` replaced by what the groups matched in `text`
    /// and `$$` by `$`. Appends nothing and returns `false` when `text` does not match.
    pub fn expand(&self, text: &str, template: &str, out: &mut String) -> bool {
        if !template::has_references(template) {
            let matched = self.is_match(text);
            if matched {
                template::push(template, out, |_| None);
            }
            return matched;
        }
        // The default of relabelling.
        if self.inner.anchored && self.inner.pattern == "(.*)" {
            template::push(template, out, |part| matches!(part, Part::Number(0 | 1)).then_some(text));
            return true;
        }
        let capturer = self.inner.capturer();
        let Some(captures) = capturer.regex.captures(text) else {
            return false;
        };
        capturer.expand(&captures, template, out);
        true
    }

    /// `text` with every match replaced by the expanded template: Go's `ReplaceAllString`.
    pub fn replace_all(&self, text: &str, template: &str) -> String {
        let capturer = self.inner.capturer();
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for captures in capturer.regex.captures_iter(text) {
            let whole = captures.get_match();
            out.push_str(&text[done..whole.start()]);
            capturer.expand(&captures, template, &mut out);
            done = whole.end();
        }
        out.push_str(&text[done..]);
        out
    }
}

fn flags(anchored: bool) -> Flags {
    Flags { dot_newline: anchored, ..Flags::default() }
}

impl Inner {
    fn matcher(&self) -> &regex::Regex {
        self.matcher.get_or_init(|| self.compile(false).regex)
    }

    fn capturer(&self) -> &Capturer {
        self.capturer.get_or_init(|| self.compile(true))
    }

    fn planned(&self) -> &Planned {
        self.plan.get_or_init(|| {
            let tree = self.tree();
            let plan = Plan::of_tree(&tree, self.pattern.len());
            Planned { prefix: plan.prefix(Some(&tree)), plan }
        })
    }

    fn tree(&self) -> Tree {
        parse::parse(&self.pattern, flags(self.anchored))
            .expect("BUG: a pattern that was parsed before does not parse")
    }

    fn stepper(&self) -> &Stepper {
        self.stepper.get_or_init(|| Stepper::new(&self.translation(&self.tree(), false), self.anchored))
    }

    fn translation(&self, tree: &Tree, captures: bool) -> String {
        let translation = translate::translate(tree, captures);
        if self.anchored { format!(r"\A(?:{translation})\z") } else { translation }
    }

    fn compile(&self, captures: bool) -> Capturer {
        let tree = self.tree();
        let translation = self.translation(&tree, captures);
        let regex = regex::RegexBuilder::new(&translation)
            .size_limit(PROGRAM_BYTES_MAX)
            .nest_limit(NEST_MAX)
            .build()
            .expect("BUG: a pattern that was accepted does not compile");
        Capturer { regex, groups: tree.groups }
    }
}

impl Capturer {
    fn expand(&self, captures: &regex::Captures<'_>, template: &str, out: &mut String) {
        let group = |number: usize| captures.get(number).map(|group| group.as_str());
        template::push(template, out, |part| match part {
            Part::Text(_) => None,
            Part::Number(number) => group(number),
            // Of groups with the same name the first that took part.
            Part::Name(name) => (self.groups.iter().enumerate())
                .filter(|(_, known)| known.as_deref() == Some(name))
                .find_map(|(index, _)| group(index + 1)),
        });
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.pattern())
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pattern())
    }
}

/// Two regexes are equal when their patterns are and both are anchored or not.
impl PartialEq for Regex {
    fn eq(&self, other: &Regex) -> bool {
        self.pattern() == other.pattern() && self.inner.anchored == other.inner.anchored
    }
}

impl Eq for Regex {}
