//! Queries of death: each ends in an error with a place, or in a tree within its limits; none in a panic or a long wait.

use kymo_promql_syntax::{Limits, ParseErrorKind, ParseOptions, Parser, parse};

fn check(query: &str) {
    let error = parse(query).expect_err("a query of death");
    assert_eq!(error.kind, ParseErrorKind::Limit, "{error}");
    assert!(error.span.end as usize <= query.len());
}

fn roomy(text_bytes_max: usize) -> Parser {
    let limits = Limits { text_bytes_max, nodes_max: usize::MAX, ..Limits::default() };
    Parser::new(ParseOptions { limits, ..ParseOptions::everything() })
}

/// Also where the text may be of any length, the tree is never higher than its limits.
fn check_roomy(query: &str) {
    check(query);
    let error = roomy(usize::MAX).parse(query).expect_err("a query of death");
    assert_eq!(error.kind, ParseErrorKind::Limit, "{error}");
}

#[test]
fn bombs() {
    let n = 100_000;
    check_roomy(&format!("{}1{}", "(".repeat(n), ")".repeat(n)));
    check_roomy(&format!("{}x", "-".repeat(n)));
    check_roomy(&format!("x{}", " + x".repeat(n)));
    check_roomy(&format!("x{}", " ^ x".repeat(n)));
    check_roomy(&format!("{}x{}", "abs(".repeat(n), ")".repeat(n)));
    check_roomy(&format!("{}x{}", "sum(".repeat(n), ")".repeat(n)));
    check_roomy(&format!("x{}", "[1m:]".repeat(n)));
    check_roomy(&format!("x[{}1m{}]", "(".repeat(n), ")".repeat(n)));
    check_roomy(&format!("x[1m{}]", "+1m".repeat(n)));
    check_roomy(&format!("x[{}step()]", "-".repeat(n)));
    check(&format!("x{{{}}}", "a=\"b\",".repeat(n)));
    check(&format!("x{{a=\"{}\"}}", "b".repeat(1 << 20)));
}

#[test]
fn many_parts_in_a_small_text() {
    check(&format!("sum(x{{{}}})", "a=\"\",".repeat(5_000)));
    check(&format!("label_join(x{})", ",\"\"".repeat(5_000)));
}

#[test]
fn unfinished_bombs() {
    for part in ["(", "{", "[", "-", "sum(", "a[", "by(", "\"", "1+", "offset ", "# ", "\\", "'", "@", "a{b="]
    {
        assert!(parse(&part.repeat(20_000)).is_err(), "{part}");
    }
}

#[test]
fn just_inside() {
    assert!(parse(&format!("{}1{}", "(".repeat(127), ")".repeat(127))).is_ok());
    assert!(parse(&format!("x{}", " + x".repeat(511))).is_ok());
    assert!(parse(&format!("x{}", " + x".repeat(512))).is_err());
}

/// A sum of 20,000 terms inside 1,000 subqueries: with limits raised, its first fault is found, as Prometheus does.
#[test]
fn long_chain_with_raised_limits() {
    let query = format!("({}){}", "-{}-1".repeat(10_000), "[1m:]".repeat(1_000));
    check(&query);
    let limits =
        Limits { text_bytes_max: 1 << 20, depth_max: 100_000, height_max: 100_000, nodes_max: 100_000 };
    let parser = Parser::new(ParseOptions { limits, ..ParseOptions::default() });
    // Whoever raises the limits provides the stack.
    let thread = std::thread::Builder::new().stack_size(256 << 20);
    let error = thread.spawn(move || parser.parse(&query).expect_err("{} matches everything")).unwrap();
    let error = error.join().unwrap();
    assert_eq!(error.message, "vector selector must contain at least one non-empty matcher");
    assert_eq!((error.span.start, error.span.end), (2, 4));
}
