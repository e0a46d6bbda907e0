//! Every query of the corpora parses, and what the printer makes of it parses to the same tree.

use kymo_promql_syntax::ast::{Expr, Span};
use kymo_promql_syntax::{ParseOptions, Parser};

fn corpora() -> Option<std::path::PathBuf> {
    let dir = std::env::var_os("KYMO_CORPORA").map(Into::into);
    if dir.is_none() {
        eprintln!("skipped: KYMO_CORPORA is not set");
    }
    dir
}

/// Parses, prints, parses again; the fault if the two trees differ.
fn check(query: &str) -> Result<(), String> {
    let parser = Parser::new(ParseOptions::everything());
    let expr = parser.parse(query).map_err(|e| format!("{query}\n  {e}"))?;
    let printed = expr.to_string();
    let again = parser.parse(&printed).map_err(|e| format!("{query}\n  {printed}\n  {e}"))?;
    if without_places(expr) == without_places(again) { Ok(()) } else { Err(format!("{query}\n  {printed}")) }
}

/// As text, because NaN does not equal itself; places and the order of matchers do not count.
fn without_places(mut expr: Expr) -> String {
    expr.walk_mut(|expr| {
        expr.span = Span::default();
        match &mut expr.kind {
            kymo_promql_syntax::ast::ExprKind::Binary(binary) => binary.op_span = Span::default(),
            kymo_promql_syntax::ast::ExprKind::Selector(selector) => {
                selector.matchers.sort_by_key(|m| format!("{m:?}"))
            }
            kymo_promql_syntax::ast::ExprKind::Matrix(matrix) => {
                matrix.selector_span = Span::default();
                matrix.selector.matchers.sort_by_key(|m| format!("{m:?}"));
            }
            _ => {}
        }
    });
    format!("{expr:?}")
}

fn check_all(what: &str, queries: impl IntoIterator<Item = String>, at_least: usize) {
    let mut count = 0;
    let faults: Vec<String> =
        queries.into_iter().inspect(|_| count += 1).filter_map(|query| check(&query).err()).collect();
    assert!(faults.is_empty(), "{} of {count} queries of {what} fail:\n{}", faults.len(), faults.join("\n"));
    assert!(count >= at_least, "only {count} queries of {what} found, expected {at_least}");
}

#[test]
fn promqltest_scripts() {
    let Some(dir) = corpora() else { return };
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(dir.join("promqltest")).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("eval")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let skipped = match words.get(1) {
                Some(&"range") => 8,
                _ => 4,
            };
            let mut rest = line;
            for _ in 0..skipped {
                rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
            }
            queries.push(rest.to_owned());
        }
    }
    check_all("promqltest", queries, 1000);
}

#[test]
fn dashboard_queries() {
    let Some(dir) = corpora() else { return };
    let text = std::fs::read_to_string(dir.join("seeds/promql.txt")).unwrap();
    check_all("seeds", text.lines().filter_map(|line| line.split_once('|')).map(|(_, q)| q.to_owned()), 40);
}

/// The expressions of rule files, found by indentation: block scalars behind `expr: |` and plain ones behind `expr:`.
#[test]
fn rule_expressions() {
    let Some(dir) = corpora() else { return };
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(dir.join("kube-prometheus")).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(value) = line.trim_start().trim_start_matches("- ").strip_prefix("expr:") else {
                continue;
            };
            let indent = line.len() - "expr:".len() - value.len();
            let value = value.trim();
            if !value.starts_with('|') && !value.starts_with('>') {
                queries.push(value.to_owned());
                continue;
            }
            let mut query = String::new();
            while let Some(next) =
                lines.next_if(|l| l.trim().is_empty() || l.len() - l.trim_start().len() > indent)
            {
                query.push_str(next);
                query.push('\n');
            }
            queries.push(query);
        }
    }
    check_all("kube-prometheus", queries, 100);
}

#[test]
fn series_descriptions() {
    let Some(dir) = corpora() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(dir.join("promqltest")).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let mut loading = false;
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if line.starts_with("load") || line.is_empty() {
                loading = line.starts_with("load");
            } else if loading && !line.contains("@st") {
                count += 1;
                let parsed = kymo_promql_syntax::series::parse_series_description(line);
                assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
            }
        }
    }
    assert!(count > 500, "only {count} descriptions found");
}
