//! `kymo check promql`: expressions from the command line, or one per line from standard input.

use clap::Args;
use kymo_promql_syntax::{ParseError, Parser};
use serde_json::{Value, json};

use super::source::read_bytes;
use crate::language::LanguageArgs;
use crate::output::{Verdict, complain, say, say_json};

#[derive(Args)]
pub(super) struct PromqlArgs {
    /// Expressions; `-` reads them from standard input, one per line, blank lines passed over.
    #[arg(value_name = "EXPR", required = true, allow_hyphen_values = true)]
    expressions: Vec<String>,

    #[command(flatten)]
    language: LanguageArgs,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PromqlArgs) -> Verdict {
    let mut tally = Tally { parser: args.language.parser(), json: args.json, ..Tally::default() };
    for (index, expression) in args.expressions.iter().enumerate() {
        if expression == "-" {
            match read_bytes("-") {
                Ok(bytes) => tally.lines(&bytes),
                Err(fault) => {
                    complain(fault.text);
                    return Verdict::Faults;
                }
            }
        } else {
            tally.one(&format!("expression {}", index + 1), expression);
        }
    }
    tally.conclude()
}

#[derive(Default)]
struct Tally {
    parser: Parser,
    json: bool,
    valid: usize,
    invalid: usize,
    /// Filled only when a document is wanted.
    found: Vec<Value>,
}

impl Tally {
    fn lines(&mut self, bytes: &[u8]) {
        for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let place = format!("line {}", index + 1);
            match std::str::from_utf8(line) {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => self.one(&place, line.strip_suffix('\r').unwrap_or(line)),
                Err(error) => {
                    let found = line[error.valid_up_to()];
                    let message = format!("expected UTF-8, found the byte 0x{found:02x}");
                    self.refuse(&place, &String::from_utf8_lossy(line), &message, &message, None);
                }
            }
        }
    }

    fn one(&mut self, place: &str, expression: &str) {
        match self.parser.parse(expression) {
            Ok(expr) => {
                self.valid += 1;
                if self.json {
                    let value_type = expr.value_type().to_string();
                    self.found.push(json!({ "place": place, "expression": expression, "valid": true, "type": value_type }));
                }
            }
            Err(error) => {
                let text = error.render(expression);
                self.refuse(place, expression, text.trim_end(), &error.to_string(), Some(&error));
            }
        }
    }

    fn refuse(
        &mut self,
        place: &str,
        expression: &str,
        text: &str,
        message: &str,
        error: Option<&ParseError>,
    ) {
        self.invalid += 1;
        if !self.json {
            complain(format_args!("{place}: {text}"));
            return;
        }
        let mut value =
            json!({ "place": place, "expression": expression, "valid": false, "message": message });
        if let Some(error) = error {
            value["line"] = error.line.into();
            value["column"] = error.column.into();
        }
        self.found.push(value);
    }

    fn conclude(self) -> Verdict {
        if self.json {
            say_json(&json!({ "valid": self.valid, "invalid": self.invalid, "expressions": self.found }));
        } else {
            say(format_args!("{} valid, {} invalid", self.valid, self.invalid));
        }
        Verdict::good_if(self.invalid == 0)
    }
}
