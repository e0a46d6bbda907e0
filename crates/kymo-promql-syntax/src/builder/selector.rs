//! Selectors, and what may follow an operand: ranges, `offset`, `@`, `anchored`, `smoothed`. Also the lists of matchers and
//! labels that are read before what they belong to.

use kymo_model::{MatchOp, Matcher};

use crate::ast::{
    At, DurationExpr, Edges, Expr, ExprKind, MatrixSelector, Span, Subquery, TimeModifiers, VectorSelector,
};
use crate::builder::{Builder, Built, span};
use crate::error::{Fault, ParseErrorKind};
use crate::print::begins_with_paren;
use crate::quote::quoted;

const ONLY_SELECTORS: &str = "ranges only allowed for vector selectors";
const NEEDS_SELECTOR: &str =
    "must be preceded by an instant vector selector or range vector selector or a subquery";

impl Builder<'_> {
    /// A selector with the last `matchers` conditions that were read.
    pub(crate) fn selector(&mut self, l: u32, name_end: Option<u32>, matchers: u32, r: u32) -> Built<()> {
        let first = self.matchers.len() - matchers as usize;
        let name = name_end.map(|end| self.slice(l, end).to_owned());
        let named = name.as_deref().map(|name| Matcher::equal(kymo_model::METRIC_NAME, name));
        let mut all = Vec::with_capacity(matchers as usize + usize::from(named.is_some()));
        all.extend(named);
        all.extend(self.matchers.drain(first..));
        let selector =
            VectorSelector { name, matchers: all, time: TimeModifiers::default(), edges: Edges::Inside };
        self.leaf(span(l, r), ExprKind::Selector(selector))
    }

    pub(crate) fn matcher(&mut self, l: u32, name_end: u32, op: MatchOp, value: u32, r: u32) -> Built<()> {
        self.count(span(l, r))?;
        let value = self.unquoted_utf8(value, r, "label value");
        let name = match self.text.as_bytes()[l as usize] {
            b'"' | b'\'' | b'`' => &self.unquoted_utf8(l, name_end, "label name"),
            _ => self.slice(l, name_end),
        };
        let matcher = Matcher::new(op, name, &value).unwrap_or_else(|e| {
            self.semantic(span(l, r), e.to_string());
            Matcher::equal(name, &value)
        });
        self.matchers.push(matcher);
        Ok(())
    }

    /// `{"name"}`
    pub(crate) fn name_matcher(&mut self, l: u32, r: u32) -> Built<()> {
        self.count(span(l, r))?;
        let name = self.unquoted_utf8(l, r, "metric name");
        self.matchers.push(Matcher::equal(kymo_model::METRIC_NAME, &name));
        Ok(())
    }

    // Labels of lists.

    pub(crate) fn label(&mut self, l: u32, r: u32) {
        let label = self.slice(l, r).to_owned();
        self.labels.push(label);
    }

    pub(crate) fn quoted_label(&mut self, l: u32, r: u32) -> Built<()> {
        let name = match String::from_utf8(self.unquoted(l, r)) {
            Ok(name) if !name.is_empty() => name,
            Ok(name) => self.bad_label(span(l, r), name.as_bytes()),
            Err(e) => self.bad_label(span(l, r), e.as_bytes()),
        };
        self.labels.push(name);
        Ok(())
    }

    fn bad_label(&mut self, at: Span, name: &[u8]) -> String {
        self.semantic(at, format!("invalid label name for grouping: {}", quoted(name)));
        String::new()
    }

    /// The last `count` labels that were read.
    pub(super) fn take_labels(&mut self, count: u32) -> Vec<String> {
        let first = self.labels.len() - count as usize;
        self.labels.drain(first..).collect()
    }

    // What follows an operand.

    pub(crate) fn matrix(&mut self, l: u32, r: u32) -> Built<()> {
        let range = self.pop_millis();
        let node = self.pop();
        let at = span(node.expr.span.start, r);
        let brackets = span(l, r);
        let selector_span = node.expr.span;
        let selector = match node.expr.kind {
            ExprKind::Selector(selector) => selector,
            kind => {
                let fault = Fault::new(ParseErrorKind::Semantic, brackets, ONLY_SELECTORS);
                self.faults
                    .push(fault.help("a range over any other expression is a subquery: `[5m:]`, `[5m:1m]`"));
                // Stands for what was refused: modifiers may follow it.
                let expr = Box::new(Expr { kind, span: selector_span });
                let time = TimeModifiers::default();
                let kind = ExprKind::Subquery(Subquery { expr, range, step: None, time });
                return self.parent(at, node.height + 1, node.depth + 1, kind);
            }
        };
        if selector.time.offset.is_some() || selector.time.at.is_some() {
            let (word, example) =
                if selector.time.offset.is_some() { ("offset", "offset 1h") } else { ("@", "@ 0") };
            let message = format!("no {word} modifiers allowed before range");
            let fault = Fault::new(ParseErrorKind::Semantic, brackets, message);
            self.faults.push(fault.help(format!("the range comes first: `x[5m] {example}`")));
        }
        let kind = ExprKind::Matrix(MatrixSelector { selector, selector_span, range });
        self.parent(at, node.height + 1, node.depth + 1, kind)
    }

    pub(crate) fn subquery(&mut self, with_step: bool, r: u32) -> Built<()> {
        let step = with_step.then(|| self.pop_millis());
        let range = self.pop_millis();
        let node = self.pop();
        let at = span(node.expr.span.start, r);
        let kind = ExprKind::Subquery(Subquery {
            expr: Box::new(node.expr),
            range,
            step,
            time: TimeModifiers::default(),
        });
        self.parent(at, node.height + 1, node.depth + 1, kind)
    }

    pub(crate) fn offset(&mut self, r: u32) -> Built<()> {
        let offset = match self.pop_millis() {
            // Written with two signs, which are gone; without parentheses it would be arithmetic with the selector.
            chain @ DurationExpr::Binary(..) if !begins_with_paren(&chain) => {
                DurationExpr::Paren(Box::new(chain))
            }
            offset => offset,
        };
        let expr = self.top();
        let at = expr.span;
        expr.span.end = r;
        match expr.time_modifiers_mut() {
            None => self.semantic(at, format!("offset modifier {NEEDS_SELECTOR}")),
            Some(time) if time.offset.is_some() => {
                self.semantic(at, "offset may not be set multiple times");
            }
            // An offset of zero is none.
            Some(time) => time.offset = (offset != DurationExpr::Millis(0)).then_some(offset),
        }
        Ok(())
    }

    pub(crate) fn at(&mut self, seconds: f64, r: u32) -> Built<()> {
        let ms = (seconds * 1000.0).round();
        if ms.is_nan() || ms.abs() >= i64::MAX as f64 {
            let shown = match seconds {
                s if s.is_nan() => "NaN".to_owned(),
                s if s.is_infinite() => kymo_model::format_float(s),
                s => format!("{s:.6}"),
            };
            let at = self.top().span;
            self.semantic(at, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        self.at_boundary(At::Time(ms as i64), r)
    }

    pub(crate) fn at_boundary(&mut self, at: At, r: u32) -> Built<()> {
        let expr = self.top();
        let place = expr.span;
        expr.span.end = r;
        match expr.time_modifiers_mut() {
            None => self.semantic(place, format!("@ modifier {NEEDS_SELECTOR}")),
            Some(time) if time.at.is_some() => {
                self.semantic(place, "@ <timestamp> may not be set multiple times");
            }
            Some(time) => time.at = Some(at),
        }
        Ok(())
    }

    pub(crate) fn edges(&mut self, edges: Edges, r: u32) -> Built<()> {
        let allowed = self.options.extended_range_selectors;
        let expr = self.top();
        let at = expr.span;
        expr.span.end = r;
        let word = if edges == Edges::Anchored { "anchored" } else { "smoothed" };
        if !allowed {
            let message = format!("{word} modifier is experimental and not enabled");
            self.note(ParseErrorKind::Disabled, at, message);
            return Ok(());
        }
        let selector = match &mut expr.kind {
            ExprKind::Selector(selector) => selector,
            ExprKind::Matrix(matrix) => &mut matrix.selector,
            ExprKind::Subquery(_) => {
                self.semantic(at, format!("{word} modifier is not supported for subqueries"));
                return Ok(());
            }
            _ => {
                self.semantic(at, format!("{word} modifier not implemented"));
                return Ok(());
            }
        };
        if selector.edges != Edges::Inside && selector.edges != edges {
            self.semantic(at, "anchored and smoothed modifiers cannot be used together");
            return Ok(());
        }
        selector.edges = edges;
        Ok(())
    }
}
