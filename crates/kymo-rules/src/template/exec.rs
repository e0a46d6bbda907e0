//! Execution: walks the tree with a budget. Every node, call and round of `range` costs a step, every byte written or built
//! counts, so that no template from outside runs long or grows large.

use std::sync::Arc;

use kymo_model::Timestamp;

use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipeline, Span, Tree};
use super::error::TemplateErrorKind;
use super::functions::{CallError, Function};
use super::methods::{duration_method, time_method};
use super::value::Value;
use super::{Expansion, TemplateError};

/// What the nodes of a list did to the `range` around them.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Run<T> = Result<T, TemplateError>;

/// One expansion.
pub(super) struct Exec<'a> {
    name: &'a str,
    text: &'a str,
    tree: &'a Tree,
    expansion: &'a Expansion<'a>,
    /// The template that is running: the main one, or one of `{{ define }}`.
    running: &'a str,
    variables: Vec<(&'a str, Value)>,
    out: String,
    steps_left: u64,
    bytes_left: usize,
    queries_left: usize,
    depth: usize,
}

pub(super) fn run(
    name: &str,
    text: &str,
    tree: &Tree,
    expansion: &Expansion<'_>,
    root: Value,
) -> Run<String> {
    let limits = expansion.limits;
    let mut exec = Exec {
        name,
        text,
        tree,
        expansion,
        running: name,
        variables: vec![("$", root.clone())],
        out: String::new(),
        steps_left: limits.steps_max,
        bytes_left: limits.bytes_max,
        queries_left: limits.queries_max,
        depth: 0,
    };
    exec.list(&tree.main, &root)?;
    Ok(exec.out)
}

impl<'a> Exec<'a> {
    // What functions ask for.

    pub(super) fn external_url(&self) -> &'a str {
        self.expansion.external_url
    }

    pub(super) fn now(&self) -> Timestamp {
        self.expansion.now
    }

    pub(super) fn steps(&mut self, count: u64) -> Result<(), CallError> {
        match self.steps_left.checked_sub(count) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => {
                let max = self.expansion.limits.steps_max;
                Err(CallError::Limit(format!("exceeded limit of {max} steps")))
            }
        }
    }

    /// Takes bytes off the budget.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), CallError> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => {
                let max = self.expansion.limits.bytes_max;
                Err(CallError::Limit(format!("exceeded limit of {max} bytes of text")))
            }
        }
    }

    /// A text that a function made.
    pub(super) fn built(&mut self, text: String) -> Result<Value, CallError> {
        self.reserve(text.len())?;
        Ok(Value::text(text))
    }

    pub(super) fn query(&mut self, text: &str) -> Result<Value, CallError> {
        let Some(left) = self.queries_left.checked_sub(1) else {
            let max = self.expansion.limits.queries_max;
            return Err(CallError::Limit(format!("exceeded limit of {max} queries")));
        };
        self.queries_left = left;
        let samples = (self.expansion.query)(text, self.expansion.now)
            .map_err(|error| CallError::Failed(error.to_string()))?;
        self.reserve(samples.iter().map(|sample| sample.labels.heap_bytes() + 64).sum())?;
        Ok(Value::Samples(Arc::new(samples.into_iter().map(Value::from).collect())))
    }

    // Messages.

    fn error(&self, span: Span, kind: TemplateErrorKind, message: &str) -> TemplateError {
        let context = self.text.get(span.start..span.end).unwrap_or("");
        self.error_at(span.start, context, kind, message)
    }

    /// As Go words it: line, column in bytes from 0, the text in question.
    fn error_at(&self, at: usize, context: &str, kind: TemplateErrorKind, message: &str) -> TemplateError {
        let before = &self.text[..at];
        let line = 1 + before.bytes().filter(|b| *b == b'\n').count();
        let column = at - before.rfind('\n').map_or(0, |at| at + 1);
        TemplateError {
            kind,
            message: format!(
                "template: {}:{line}:{column}: executing {:?} at <{context}>: {message}",
                self.name, self.running
            ),
            offset: at,
        }
    }

    fn fail<T>(&self, span: Span, message: impl AsRef<str>) -> Run<T> {
        Err(self.error(span, TemplateErrorKind::Execution, message.as_ref()))
    }

    fn call_error(&self, span: Span, name: &str, error: CallError) -> TemplateError {
        match error {
            CallError::Count(message) | CallError::Type(_, message) => {
                self.error_at(span.start, name, TemplateErrorKind::Execution, &message)
            }
            CallError::Limit(message) => self.error(span, TemplateErrorKind::Limit, &message),
            CallError::Failed(message) => {
                let message = format!("error calling {name}: {message}");
                self.error(span, TemplateErrorKind::Execution, &message)
            }
        }
    }

    fn step(&mut self, span: Span) -> Run<()> {
        self.steps(1).map_err(|error| self.call_error(span, "", error))
    }

    fn write(&mut self, text: &str, span: Span) -> Run<()> {
        self.reserve(text.len()).map_err(|error| self.call_error(span, "", error))?;
        self.out.push_str(text);
        Ok(())
    }

    // Nodes. Recursion is bounded by the parser's nesting and, for `template`, by `depth_max`.

    fn list(&mut self, nodes: &'a [Node], dot: &Value) -> Run<Flow> {
        for node in nodes {
            match node {
                Node::Text(text) => self.write(text, Span::default())?,
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        match &value {
                            Value::Nil => self.write("<no value>", pipeline.span)?,
                            Value::Str(text) => self.write(text, pipeline.span)?,
                            value => {
                                self.reserve(value.printed_bytes())
                                    .map_err(|error| self.call_error(pipeline.span, "", error))?;
                                self.write(&value.printed(), pipeline.span)?;
                            }
                        }
                    }
                }
                Node::If(branch) => {
                    let flow = self.scoped(branch, dot, false)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
                Node::With(branch) => {
                    let flow = self.scoped(branch, dot, true)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Template { span, name, data } => self.template(*span, name, data.as_ref(), dot)?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::Next)
    }

    /// `if`, and `with`, whose value becomes the dot.
    fn scoped(&mut self, branch: &'a Branch, dot: &Value, with: bool) -> Run<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(&branch.pipeline, dot)?;
        let flow = match (value.truth(), with) {
            (true, true) => self.list(&branch.body, &value)?,
            (true, false) => self.list(&branch.body, dot)?,
            (false, _) => self.list(&branch.otherwise, dot)?,
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range(&mut self, branch: &'a Branch, dot: &Value) -> Run<()> {
        let known = self.variables.len();
        let span = branch.pipeline.span;
        let over = self.pipeline_value(&branch.pipeline, dot)?;
        let items: Vec<(Value, Value)> = match &over {
            Value::Samples(samples) => {
                samples.iter().enumerate().map(|(i, v)| (Value::Int(i as i64), v.clone())).collect()
            }
            Value::Labels(labels) => {
                labels.iter().map(|label| (Value::text(label.name), Value::text(label.value))).collect()
            }
            Value::Args(args) => args.map.iter().map(|(k, v)| (Value::text(k.as_str()), v.clone())).collect(),
            Value::Int(count) => {
                let rounds = u64::try_from(*count).unwrap_or(0);
                self.steps(rounds).map_err(|error| self.call_error(span, "", error))?;
                (0..rounds).map(|i| (Value::Int(i as i64), Value::Int(i as i64))).collect()
            }
            Value::Nil => Vec::new(),
            other => return self.fail(span, format!("range can't iterate over {}", other.printed())),
        };
        if items.is_empty() {
            self.variables.truncate(known);
            self.list(&branch.otherwise, dot)?;
            return Ok(());
        }
        for (key, value) in items {
            self.step(span)?;
            self.variables.truncate(known);
            self.bind_round(&branch.pipeline, key, &value, span)?;
            if self.list(&branch.body, &value)? == Flow::Break {
                break;
            }
        }
        self.variables.truncate(known);
        Ok(())
    }

    /// One variable is the value, two are key and value.
    fn bind_round(&mut self, pipeline: &'a Pipeline, key: Value, value: &Value, span: Span) -> Run<()> {
        let bound: Vec<(&'a String, Value)> = match pipeline.variables.as_slice() {
            [] => Vec::new(),
            [one] => vec![(one, value.clone())],
            [first, second, ..] => vec![(first, key), (second, value.clone())],
        };
        for (name, value) in bound {
            self.bind(name, value, pipeline.assigns, span)?;
        }
        Ok(())
    }

    fn bind(&mut self, name: &'a str, value: Value, assigns: bool, span: Span) -> Run<()> {
        if !assigns {
            self.variables.push((name, value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => self.fail(span, format!("undefined variable: {name}")),
        }
    }

    fn template(&mut self, span: Span, name: &'a str, data: Option<&'a Pipeline>, dot: &Value) -> Run<()> {
        self.step(span)?;
        let tree = self.tree;
        let Some((defined, body)) = tree.defined.get_key_value(name) else {
            let context = format!("{{{{template {name:?}}}}}");
            let message = format!("template {name:?} not defined");
            return Err(self.error_at(span.start, &context, TemplateErrorKind::Execution, &message));
        };
        let limit = self.expansion.limits.depth_max;
        if self.depth >= limit {
            let message = format!("exceeded maximum template depth ({limit})");
            return Err(self.error(span, TemplateErrorKind::Limit, &message));
        }
        let data = data.map_or(Ok(Value::Nil), |pipeline| self.pipeline(pipeline, dot))?;
        let outside = std::mem::replace(&mut self.variables, vec![("$", data.clone())]);
        let running = std::mem::replace(&mut self.running, defined);
        self.depth += 1;
        self.list(body, &data)?;
        self.depth -= 1;
        self.running = running;
        self.variables = outside;
        Ok(())
    }

    // Values.

    fn pipeline_value(&mut self, pipeline: &'a Pipeline, dot: &Value) -> Run<Value> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    /// The value, bound to the variables of the pipeline. `range` binds its own, per round.
    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Value) -> Run<Value> {
        let value = self.pipeline_value(pipeline, dot)?;
        for name in &pipeline.variables {
            self.bind(name, value.clone(), pipeline.assigns, pipeline.span)?;
        }
        Ok(value)
    }

    fn command(&mut self, command: &'a Command, dot: &Value, piped: Option<Value>) -> Run<Value> {
        self.step(command.span)?;
        let (first, rest) = command
            .operands
            .split_first()
            .unwrap_or_else(|| unreachable!("BUG: the parser gives commands at least one operand"));
        match &first.kind {
            OperandKind::Function(function) => self.function(*function, command, rest, dot, piped),
            OperandKind::Field(names) => self.fields(dot.clone(), names, first, rest, dot, piped),
            OperandKind::Variable(name, names) => {
                let value = self.variable(name, first.span)?;
                self.fields(value, names, first, rest, dot, piped)
            }
            OperandKind::Chain(inner, names) => {
                let value = self.operand(inner, dot)?;
                self.fields(value, names, first, rest, dot, piped)
            }
            OperandKind::Nil => self.fail(first.span, "nil is not a command"),
            _ if !rest.is_empty() || piped.is_some() => {
                let context = self.text.get(first.span.start..first.span.end).unwrap_or("");
                self.fail(first.span, format!("can't give argument to non-function {context}"))
            }
            _ => self.operand(first, dot),
        }
    }

    fn function(
        &mut self,
        function: Function,
        command: &'a Command,
        operands: &'a [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Run<Value> {
        let mut args = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            let value = self.operand(operand, dot)?;
            if function.short_circuit() == Some(value.truth()) {
                return Ok(value);
            }
            args.push(value);
        }
        args.extend(piped);
        function.call(self, &args).map_err(|error| match error {
            // Go points at the argument, where it was written.
            CallError::Type(index, message) if index < operands.len() => {
                let Operand { span, mark, .. } = operands[index];
                let context = self.text.get(span.start..span.end).unwrap_or("");
                self.error_at(mark, context, TemplateErrorKind::Execution, &message)
            }
            error => self.call_error(command.span, function.name(), error),
        })
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Run<Value> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Constant(value) => Ok(value.clone()),
            OperandKind::Field(names) => self.fields(dot.clone(), names, operand, &[], dot, None),
            OperandKind::Variable(name, names) => {
                let value = self.variable(name, operand.span)?;
                self.fields(value, names, operand, &[], dot, None)
            }
            OperandKind::Function(function) => {
                self.step(operand.span)?;
                function
                    .call(self, &[])
                    .map_err(|error| self.call_error(operand.span, function.name(), error))
            }
            OperandKind::Chain(inner, names) => {
                let value = self.operand(inner, dot)?;
                self.fields(value, names, operand, &[], dot, None)
            }
            OperandKind::Pipeline(pipeline) => {
                let known = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                self.variables.truncate(known);
                Ok(value)
            }
        }
    }

    fn variable(&self, name: &str, span: Span) -> Run<Value> {
        match self.variables.iter().rev().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(span, format!("undefined variable: {name}")),
        }
    }

    /// `.a.b`: fields one after the other; arguments go to the last, which must be a method then.
    fn fields(
        &mut self,
        mut value: Value,
        names: &[String],
        operand: &Operand,
        operands: &'a [Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Run<Value> {
        let mut args = Vec::new();
        for operand in operands {
            args.push(self.operand(operand, dot)?);
        }
        args.extend(piped);
        let Some((last, path)) = names.split_last() else {
            if args.is_empty() {
                return Ok(value);
            }
            let span = operand.span;
            let context = self.text.get(span.start..span.end).unwrap_or("");
            return self.fail(span, format!("can't give argument to non-function {context}"));
        };
        for name in path {
            value = self.field(&value, name, &[], operand)?;
        }
        self.field(&value, last, &args, operand)
    }

    fn field(&mut self, value: &Value, name: &str, args: &[Value], place: &Operand) -> Run<Value> {
        if let Value::Time(ns) | Value::Duration(ns) = value {
            let result = match value {
                Value::Time(_) => time_method(*ns, name, args),
                _ => duration_method(*ns, name, args),
            };
            return result.map_or_else(|| self.no_field(value, name, place), Ok);
        }
        if !args.is_empty() {
            let message = match value {
                Value::Labels(_) | Value::Args(_) => format!("{name} is not a method but has arguments"),
                _ => format!("{name} has arguments but cannot be invoked as function"),
            };
            return self.fail_at(place, &message);
        }
        match (value, name) {
            (Value::Labels(labels), name) => Ok(Value::text(labels.get(name).unwrap_or(""))),
            (Value::Args(args), name) => Ok(args.map.get(name).cloned().unwrap_or(Value::Nil)),
            (Value::Sample(sample), "Labels") => Ok(Value::Labels(sample.labels.clone())),
            (Value::Sample(sample), "Value") => Ok(sample.value.clone()),
            (Value::Root(root), "Labels") => Ok(Value::Labels(root.labels.clone())),
            (Value::Root(root), "ExternalLabels") => Ok(Value::Labels(root.external_labels.clone())),
            (Value::Root(root), "ExternalURL") => Ok(Value::Str(Arc::clone(&root.external_url))),
            (Value::Root(root), "Value") => Ok(root.value.clone()),
            (Value::Histogram(h), "Count") => Ok(Value::Float(h.count)),
            (Value::Histogram(h), "Sum") => Ok(Value::Float(h.sum)),
            (Value::Nil, name) => {
                self.fail_at(place, &format!("nil pointer evaluating interface {{}}.{name}"))
            }
            (value, name) => self.no_field(value, name, place),
        }
    }

    fn no_field(&self, value: &Value, name: &str, place: &Operand) -> Run<Value> {
        self.fail_at(place, &format!("can't evaluate field {name} in type {}", value.type_name()))
    }

    fn fail_at<T>(&self, place: &Operand, message: &str) -> Run<T> {
        let context = self.text.get(place.span.start..place.span.end).unwrap_or("");
        Err(self.error_at(place.mark, context, TemplateErrorKind::Execution, message))
    }
}
