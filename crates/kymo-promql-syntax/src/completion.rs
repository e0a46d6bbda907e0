//! What may be written where the cursor stands, for editors. Works on any text, finished or not, and without a store: it says
//! which kinds of word may stand there, and whoever has a store looks up the names.
//!
//! The grammar itself answers: it is given the tokens before the word that is being written, and says which may follow. What
//! the grammar does not know, such as which label a value belongs to, is read from the tokens around ([`scan`]).

mod scan;

use kymo_model::Matcher;

use crate::ast::{AggregateOp, Span};
use crate::builder::Builder;
use crate::diagnose::bare;
use crate::functions::Function;
use crate::grammar::QueryParser;
use crate::lexer::Lexed;
use crate::options::ParseOptions;
use crate::token::{KEYWORDS, Token};

use scan::{Scan, Surroundings};

/// What may stand at the cursor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completions {
    /// What an accepted completion takes the place of: the word or string under the cursor, without its quotes.
    pub replace: Span,
    /// What is written of it before the cursor.
    pub typed: String,
    /// The quote of the string in which the cursor stands. Outside of a string, values want quotes of their own.
    pub quote: Option<char>,
    /// What may stand there, likely things first. Empty where nothing can be said.
    pub kinds: Vec<Completion>,
}

/// A kind of word.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Completion {
    /// A metric.
    MetricName,
    /// A label of the series that match one of `selectors`; of any series if there are none.
    LabelName {
        /// What is known of the series so far.
        selectors: Vec<Vec<Matcher>>,
        /// Labels that are in the list already.
        used: Vec<String>,
    },
    /// A value of `label` among the series that match `selector`.
    LabelValue {
        /// The label.
        label: String,
        /// What the other conditions in the same braces, and the name before them, say.
        selector: Vec<Matcher>,
    },
    /// A function.
    Function,
    /// An aggregation operator.
    Aggregation,
    /// This keyword or operator.
    Keyword(&'static str),
    /// `=`, `!=`, `=~` or `!~`.
    MatchOperator,
    /// A duration.
    Duration,
    /// `start()`, `end()` or a time, behind `@`.
    AtModifier,
}

/// What may stand at byte `cursor` of `text`.
///
/// ```
/// use kymo_promql_syntax::{Completion, completion};
///
/// let text = r#"sum by (job) (rate(http_requests_total{code=~"5..", meth}[5m]))"#;
/// let found = completion(text, text.find("meth").unwrap() + 4);
/// assert_eq!(found.typed, "meth");
/// let Completion::LabelName { selectors, used } = &found.kinds[0] else { panic!() };
/// let known: Vec<String> = selectors[0].iter().map(|m| format!("{}{}", m.name(), m.value())).collect();
/// assert_eq!(known, ["__name__http_requests_total", "code5.."]);
/// assert_eq!(used, &["code"]);
///
/// assert_eq!(completion("up off", 6).words(), ["offset"]);
/// ```
pub fn completion(text: &str, cursor: usize) -> Completions {
    let options = ParseOptions::everything();
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    if text.len() > options.limits.text_bytes_max {
        return Completions::default();
    }
    let Some(scan) = Scan::new(text, cursor) else {
        return Completions {
            replace: Span { start: cursor as u32, end: cursor as u32 },
            ..Completions::default()
        };
    };
    let expected = expected(text, &options, &scan);
    let kinds = kinds(&expected, scan.surroundings(text));
    let typed = text[scan.word.start as usize..cursor].to_owned();
    Completions { replace: scan.word, typed, quote: scan.quote, kinds }
}

/// Which terminals of the grammar may stand at the cursor.
fn expected(text: &str, options: &ParseOptions, scan: &Scan) -> Vec<String> {
    let at = scan.word.start;
    let tokens = scan.before.iter().copied().chain([(at, Token::Cursor, at)]);
    let mut builder = Builder::new(text, options);
    match QueryParser::new().parse(&mut builder, tokens.map(|token| -> Lexed { Ok(token) })) {
        // Unless the parser came as far as the cursor, nothing is known about it.
        Err(lalrpop_util::ParseError::UnrecognizedToken { token: (_, Token::Cursor, _), expected }) => {
            expected
        }
        _ => Vec::new(),
    }
}

fn kinds(expected: &[String], surroundings: Surroundings) -> Vec<Completion> {
    let may = |terminal: &str| expected.iter().any(|e| bare(e) == terminal);
    let mut out = Vec::new();
    match surroundings {
        Surroundings::Braces { label, selector, used } => {
            if may("identifier") {
                out.push(Completion::LabelName { selectors: vec![selector], used });
            } else if let Some(label) = label.filter(|_| may("string")) {
                out.push(Completion::LabelValue { label, selector });
            } else if may("=~") {
                out.push(Completion::MatchOperator);
            }
        }
        Surroundings::Labels { selectors, used } if may("identifier") => {
            out.push(Completion::LabelName { selectors, used });
        }
        Surroundings::LabelString { selectors } if may("string") => {
            out.push(Completion::LabelName { selectors, used: Vec::new() });
        }
        Surroundings::Labels { .. } | Surroundings::LabelString { .. } | Surroundings::OtherString => {}
        Surroundings::Elsewhere => elsewhere(may, &mut out),
    }
    out
}

fn elsewhere(may: impl Fn(&str) -> bool, out: &mut Vec<Completion>) {
    let operand = may("{") && may("string");
    if operand {
        out.extend([Completion::MetricName, Completion::Function, Completion::Aggregation]);
    } else if may("duration") && may("step") {
        out.push(Completion::Duration);
    } else if may("number") && may("start") {
        out.push(Completion::AtModifier);
        return;
    }
    // Where a metric may stand, most keywords are metrics too; but not those between an operator and its operand.
    let between = ["bool", "on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right"];
    let keywords = KEYWORDS.iter().filter(|word| may(word) && (!operand || between.contains(word)));
    out.extend(keywords.map(|word| Completion::Keyword(word)));
}

impl Completions {
    /// The words that need no store: functions, aggregations, keywords and the like that begin as what is typed.
    ///
    /// ```
    /// use kymo_promql_syntax::completion;
    /// assert_eq!(completion("histogram_q", 11).words(), ["histogram_quantile", "histogram_quantiles"]);
    /// assert_eq!(completion("a * on (job) group_", 19).words(), ["group_left", "group_right"]);
    /// assert_eq!(completion("up @ ", 5).words(), ["start()", "end()"]);
    /// ```
    pub fn words(&self) -> Vec<&'static str> {
        let mut out = Vec::new();
        for kind in &self.kinds {
            match kind {
                Completion::Keyword(word) => out.push(*word),
                Completion::Function => out.extend(Function::all().iter().map(|function| function.name())),
                Completion::Aggregation => out.extend(AggregateOp::all().map(AggregateOp::name)),
                Completion::MatchOperator => out.extend(["=", "!=", "=~", "!~"]),
                Completion::AtModifier => out.extend(["start()", "end()"]),
                Completion::MetricName
                | Completion::LabelName { .. }
                | Completion::LabelValue { .. }
                | Completion::Duration => {}
            }
        }
        out.retain(|word| begins(word, &self.typed));
        out
    }
}

fn begins(word: &str, typed: &str) -> bool {
    word.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed))
}
