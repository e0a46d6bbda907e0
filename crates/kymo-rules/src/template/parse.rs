//! Parser: tokens to the tree, with Go's checks: functions and variables must be known, `else` and `end` must match.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipeline, Span, Tree};
use super::functions::Function;
use super::lex::{Lexeme, Token, lex};
use super::limits::NESTING_MAX;
use super::number::number;
use super::value::Value;

/// What the parser stumbled over, and at which byte.
pub(super) struct ParseFault {
    pub(super) message: String,
    pub(super) offset: usize,
}

type Parsed<T> = Result<T, ParseFault>;

/// Parses a text in which the variable `$` is known.
pub(super) fn parse(text: &str) -> Parsed<Tree> {
    let lexemes = lex(text).map_err(|error| ParseFault { message: error.message, offset: error.offset })?;
    let mut parser = Parser {
        lexemes,
        at: 0,
        end: text.len(),
        variables: vec!["$".to_owned()],
        nesting: 0,
        ranges: 0,
        defined: BTreeMap::new(),
    };
    let (main, end) = parser.list()?;
    match end {
        Stop::Eof => Ok(Tree { main, defined: parser.defined }),
        Stop::End(at) => Err(parser.fault_at(at, "unexpected {{end}}")),
        Stop::Else(at) => Err(parser.fault_at(at, "unexpected {{else}}")),
    }
}

struct Parser {
    lexemes: Vec<Lexeme>,
    at: usize,
    end: usize,
    variables: Vec<String>,
    nesting: usize,
    ranges: usize,
    defined: BTreeMap<String, Arc<Vec<Node>>>,
}

/// What ended a list of nodes. After `else`, the parser stands behind the word.
enum Stop {
    Eof,
    End(usize),
    Else(usize),
}

impl Parser {
    fn fault_at<T: From<ParseFault>>(&self, offset: usize, message: impl Into<String>) -> T {
        T::from(ParseFault { message: message.into(), offset })
    }

    fn fault<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseFault { message: message.into(), offset: self.offset() })
    }

    fn offset(&self) -> usize {
        self.lexemes.get(self.at).map_or(self.end, |lexeme| lexeme.span.start)
    }

    fn peek(&self) -> Option<&Token> {
        self.lexemes.get(self.at).map(|lexeme| &lexeme.token)
    }

    fn next(&mut self) -> Option<Lexeme> {
        let lexeme = self.lexemes.get(self.at).cloned();
        self.at += 1;
        lexeme
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.at += 1;
        }
    }

    fn peek_non_space(&mut self) -> Option<&Token> {
        self.skip_spaces();
        self.peek()
    }

    /// Where the token before this one ended.
    fn last_end(&self) -> usize {
        self.lexemes[..self.at.min(self.lexemes.len())].last().map_or(0, |lexeme| lexeme.span.end)
    }

    fn unexpected<T>(&self, context: &str) -> Parsed<T> {
        let found = match self.peek() {
            None => "unexpected EOF".to_owned(),
            Some(Token::RightDelim) => format!("unexpected \"}}}}\" in {context}"),
            Some(Token::Pipe) => format!("unexpected \"|\" in {context}"),
            Some(Token::RightParen) => format!("unexpected \")\" in {context}"),
            Some(Token::Comma) => format!("unexpected \",\" in {context}"),
            Some(Token::Assign) => format!("unexpected \"=\" in {context}"),
            Some(Token::Declare) => format!("unexpected \":=\" in {context}"),
            Some(Token::Field(name)) => format!("unexpected <.{name}> in {context}"),
            Some(Token::Variable(name)) => format!("unexpected {name:?} in {context}"),
            Some(Token::Identifier(name)) => format!("unexpected <{name}> in {context}"),
            Some(Token::Number(text)) => format!("unexpected {text:?} in {context}"),
            Some(Token::Str(text)) => format!("unexpected {text:?} in {context}"),
            Some(_) => format!("unexpected token in {context}"),
        };
        self.fault(found)
    }

    fn enter(&mut self) -> Parsed<()> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return self.fault(format!("max nesting depth of {NESTING_MAX} exceeded"));
        }
        Ok(())
    }

    /// Nodes up to `end`, `else` or the end of the text.
    fn list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        self.enter()?;
        let mut nodes = Vec::new();
        let end = loop {
            let Some(lexeme) = self.next() else { break Stop::Eof };
            if let Token::Text(text) = lexeme.token {
                nodes.push(Node::Text(text));
                continue;
            }
            let start = lexeme.span.start;
            let keyword = match self.peek_non_space() {
                Some(Token::Identifier(word)) => word.clone(),
                _ => String::new(),
            };
            if matches!(
                keyword.as_str(),
                "if" | "with"
                    | "range"
                    | "end"
                    | "else"
                    | "define"
                    | "template"
                    | "block"
                    | "break"
                    | "continue"
            ) {
                self.at += 1;
            }
            match keyword.as_str() {
                "end" => {
                    self.close("end")?;
                    break Stop::End(start);
                }
                "else" => break Stop::Else(start),
                "if" => nodes.push(Node::If(self.branch("if")?)),
                "with" => nodes.push(Node::With(self.branch("with")?)),
                "range" => nodes.push(Node::Range(self.branch("range")?)),
                "define" => self.define()?,
                "template" => nodes.push(self.template()?),
                "block" => nodes.push(self.block(start)?),
                "break" | "continue" => {
                    if self.ranges == 0 {
                        return Err(self.fault_at(start, format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
                    }
                    self.close(&keyword)?;
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                _ => {
                    let pipeline = self.pipeline("command", &Token::RightDelim)?;
                    nodes.push(Node::Action(pipeline));
                }
            }
        };
        self.nesting -= 1;
        Ok((nodes, end))
    }

    /// The closing delimiter of an action.
    fn close(&mut self, context: &str) -> Parsed<()> {
        if self.peek_non_space() != Some(&Token::RightDelim) {
            return self.unexpected(context);
        }
        self.at += 1;
        Ok(())
    }

    /// `if`, `with` and `range`, the chain of `else if` included.
    fn branch(&mut self, context: &str) -> Parsed<Branch> {
        let known = self.variables.len();
        let pipeline = self.pipeline(context, &Token::RightDelim)?;
        if context == "range" {
            self.ranges += 1;
        }
        let (body, end) = self.list()?;
        if context == "range" {
            self.ranges -= 1;
        }
        let mut otherwise = Vec::new();
        match end {
            Stop::Eof => return self.fault("unexpected EOF"),
            Stop::End(_) => {}
            Stop::Else(at) => {
                let chained = match self.peek_non_space() {
                    Some(Token::Identifier(word)) if word == context && context != "range" => true,
                    Some(Token::RightDelim) => false,
                    _ => return self.unexpected("else"),
                };
                self.at += 1;
                if chained {
                    self.enter()?;
                    let inner = self.branch(context)?;
                    self.nesting -= 1;
                    otherwise.push(if context == "if" { Node::If(inner) } else { Node::With(inner) });
                } else {
                    let (list, end) = self.list()?;
                    match end {
                        Stop::End(_) => otherwise = list,
                        Stop::Eof => return self.fault("unexpected EOF"),
                        Stop::Else(_) => {
                            return Err(self.fault_at(at, "expected end; found {{else}}"));
                        }
                    }
                }
            }
        }
        self.variables.truncate(known);
        Ok(Branch { pipeline, body, otherwise })
    }

    fn name(&mut self, context: &str) -> Parsed<String> {
        match self.peek_non_space() {
            Some(Token::Str(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected(context),
        }
    }

    /// The body of `define` and `block`: variables outside are unknown inside.
    fn body_of(&mut self, name: String) -> Parsed<()> {
        let outside = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (list, end) = self.list()?;
        if !matches!(end, Stop::End(_)) {
            return self.fault("unexpected EOF");
        }
        self.variables = outside;
        self.ranges = ranges;
        self.defined.insert(name, Arc::new(list));
        Ok(())
    }

    fn define(&mut self) -> Parsed<()> {
        if self.nesting > 1 {
            return self.fault("unexpected {{define}}");
        }
        let name = self.name("define clause")?;
        self.close("define clause")?;
        self.body_of(name)
    }

    fn template(&mut self) -> Parsed<Node> {
        self.skip_spaces();
        let start = self.offset();
        let name = self.name("template clause")?;
        let data = if self.peek_non_space() == Some(&Token::RightDelim) {
            self.at += 1;
            None
        } else {
            Some(self.pipeline("template clause", &Token::RightDelim)?)
        };
        Ok(Node::Template { span: Span { start, end: self.last_end() }, name, data })
    }

    fn block(&mut self, start: usize) -> Parsed<Node> {
        let name = self.name("block clause")?;
        let data = Some(self.pipeline("block clause", &Token::RightDelim)?);
        let end = self.last_end();
        self.body_of(name.clone())?;
        Ok(Node::Template { span: Span { start, end }, name, data })
    }

    /// Declarations and commands up to and with `closing`.
    fn pipeline(&mut self, context: &str, closing: &Token) -> Parsed<Pipeline> {
        self.enter()?;
        self.skip_spaces();
        let start = self.offset();
        let (variables, assigns) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            match self.peek_non_space() {
                Some(token) if token == closing => {
                    if commands.is_empty() {
                        return self.fault(format!("missing value for {context}"));
                    }
                    self.at += 1;
                    break;
                }
                Some(
                    Token::Dot
                    | Token::Field(_)
                    | Token::Variable(_)
                    | Token::Identifier(_)
                    | Token::Number(_)
                    | Token::Char(_)
                    | Token::Str(_)
                    | Token::LeftParen,
                ) => commands.push(self.command(context)?),
                _ => return self.unexpected(context),
            }
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            let first = &command.operands[0];
            if matches!(first.kind, OperandKind::Dot | OperandKind::Nil | OperandKind::Constant(_)) {
                let message = format!("non executable command in pipeline stage {}", index + 1);
                return Err(self.fault_at(first.span.start, message));
            }
        }
        self.variables.extend(if assigns { Vec::new() } else { variables.clone() });
        self.nesting -= 1;
        let span = Span { start, end: commands.last().map_or(start, |command| command.span.end) };
        Ok(Pipeline { span, variables, assigns, commands })
    }

    /// `$x :=`, `$x =`, and for range `$i, $x :=`.
    fn declarations(&mut self, context: &str) -> Parsed<(Vec<String>, bool)> {
        let begin = self.at;
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek_non_space() {
            names.push(name.clone());
            self.at += 1;
            match self.peek_non_space() {
                Some(Token::Declare) => {
                    self.at += 1;
                    return self.declared(names, false, context);
                }
                Some(Token::Assign) => {
                    self.at += 1;
                    return self.declared(names, true, context);
                }
                Some(Token::Comma) if context == "range" && names.len() < 2 => self.at += 1,
                _ => break,
            }
        }
        if names.len() > 1 {
            return self.fault("range can only initialize variables");
        }
        self.at = begin;
        Ok((Vec::new(), false))
    }

    fn declared(&self, names: Vec<String>, assigns: bool, context: &str) -> Parsed<(Vec<String>, bool)> {
        if names.len() > 1 && context != "range" {
            return self.fault(format!("too many declarations in {context}"));
        }
        if assigns && let Some(unknown) = names.iter().find(|name| !self.variables.contains(name)) {
            return self.fault(format!("undefined variable {unknown:?}"));
        }
        Ok((names, assigns))
    }

    fn command(&mut self, context: &str) -> Parsed<Command> {
        let start = self.offset();
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            match self.peek() {
                Some(Token::Space) => {}
                Some(Token::RightDelim | Token::RightParen) => break,
                Some(Token::Pipe) => {
                    let span = Span { start, end: self.last_end() };
                    self.at += 1;
                    // A pipe must be followed by a command.
                    if matches!(self.peek_non_space(), None | Some(Token::RightDelim | Token::RightParen)) {
                        return self.fault(format!("missing value for {context}"));
                    }
                    return self.finish_command(operands, span);
                }
                _ => return self.unexpected("operand"),
            }
        }
        let span = Span { start, end: self.last_end() };
        self.finish_command(operands, span)
    }

    fn finish_command(&self, operands: Vec<Operand>, span: Span) -> Parsed<Command> {
        let Some(last) = operands.last() else { return Err(self.fault_at(span.start, "empty command")) };
        let span = Span { start: span.start, end: last.span.end };
        Ok(Command { span, operands })
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let start = self.offset();
        let Some(term) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        let mark = if matches!(self.peek(), Some(Token::Field(_))) { self.offset() } else { start };
        while let Some(Token::Field(name)) = self.peek() {
            fields.push(name.clone());
            self.at += 1;
        }
        let span = Span { start, end: self.last_end() };
        if fields.is_empty() {
            return Ok(Some(Operand { span, mark, kind: term }));
        }
        let kind = match term {
            OperandKind::Field(mut names) => {
                names.append(&mut fields);
                OperandKind::Field(names)
            }
            OperandKind::Variable(name, mut names) => {
                names.append(&mut fields);
                OperandKind::Variable(name, names)
            }
            OperandKind::Nil | OperandKind::Dot | OperandKind::Constant(_) => {
                return Err(self.fault_at(start, format!("unexpected . after term at .{}", fields[0])));
            }
            kind => OperandKind::Chain(Box::new(Operand { span, mark: start, kind }), fields),
        };
        Ok(Some(Operand { span, mark, kind }))
    }

    fn term(&mut self) -> Parsed<Option<OperandKind>> {
        let Some(lexeme) = self.lexemes.get(self.at).cloned() else { return Ok(None) };
        let kind = match lexeme.token {
            Token::Dot => OperandKind::Dot,
            Token::Field(name) => OperandKind::Field(vec![name]),
            Token::Variable(name) => {
                if !self.variables.contains(&name) {
                    return self.fault(format!("undefined variable {name:?}"));
                }
                OperandKind::Variable(name, Vec::new())
            }
            Token::Identifier(word) => match word.as_str() {
                "true" => OperandKind::Constant(Value::Bool(true)),
                "false" => OperandKind::Constant(Value::Bool(false)),
                "nil" => OperandKind::Nil,
                name => match Function::named(name) {
                    Some(function) => OperandKind::Function(function),
                    None => return self.fault(format!("function {name:?} not defined")),
                },
            },
            Token::Number(text) => match number(&text) {
                Some(value) => OperandKind::Constant(value),
                None => return self.fault(format!("illegal number syntax: {text:?}")),
            },
            Token::Char(code) => OperandKind::Constant(Value::Int(code)),
            Token::Str(text) => OperandKind::Constant(Value::text(text)),
            Token::LeftParen => {
                self.at += 1;
                let pipeline = self.pipeline("parenthesized pipeline", &Token::RightParen)?;
                return Ok(Some(OperandKind::Pipeline(Box::new(pipeline))));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(kind))
    }
}
