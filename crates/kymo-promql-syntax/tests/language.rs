//! The language case by case: what queries mean, and with which words and at which place others are refused.

use kymo_promql_syntax::ast::{DurationExpr, ExprKind, ValueType};
use kymo_promql_syntax::{ParseErrorKind, ParseOptions, Parser, parse};

fn everything() -> Parser {
    Parser::new(ParseOptions::everything())
}

/// The query prints as `printed`; empty: as itself.
fn check_printed(query: &str, printed: &str) {
    let expr = everything().parse(query).unwrap_or_else(|e| panic!("{query}\n{}", e.render(query)));
    assert_eq!(expr.to_string(), if printed.is_empty() { query } else { printed }, "{query}");
    let again = everything().parse(&expr.to_string()).unwrap();
    assert_eq!(again.to_string(), expr.to_string(), "{query}");
}

/// The query is refused at these bytes with these words.
fn check_refused(query: &str, start: u32, end: u32, message: &str) {
    let error = everything().parse(query).expect_err(query);
    assert_eq!(error.message, message, "{query}");
    assert_eq!((error.span.start, error.span.end), (start, end), "{query}: {message}");
    assert!(error.render(query).contains('^'));
}

#[test]
fn numbers_and_signs() {
    for (query, printed) in [
        ("1", ""),
        ("+Inf", ""),
        ("-Inf", ""),
        ("inf", "+Inf"),
        ("nAN", "NaN"),
        (".5", "0.5"),
        ("5.", "5"),
        ("5e-3", "0.005"),
        ("0xc", "12"),
        ("0755", "493"),
        ("-0755", "-493"),
        ("1_000", "1000"),
        ("1e1_0", "10000000000"),
        ("5m", ""),
        ("1h30m + 90m", "1h30m + 1h30m"),
        ("-5m", ""),
        ("- 1", "-1"),
        ("-1^2", ""),
        ("-1^-2", ""),
        ("(-1)^2", "(-1) ^ 2"),
        ("+1 + -2 * 1", "1 + -2 * 1"),
        ("--foo", ""),
        ("2^-3*4", "2 ^ -3 * 4"),
        ("1 - - 1", "1 - -1"),
    ] {
        let printed = if printed.is_empty() { query.replace('^', " ^ ") } else { printed.to_owned() };
        check_printed(query, &printed);
    }
}

#[test]
fn precedence() {
    fn shape(expr: &kymo_promql_syntax::ast::Expr) -> String {
        match &expr.kind {
            ExprKind::Binary(b) => format!("({} {} {})", shape(&b.lhs), b.op.as_str(), shape(&b.rhs)),
            ExprKind::Unary(u) => format!("[{}{}]", if u.negative { "-" } else { "+" }, shape(&u.expr)),
            _ => expr.to_string(),
        }
    }
    for (query, wanted) in [
        ("a + b or c and d", "((a + b) or (c and d))"),
        ("a and b unless c or d", "(((a and b) unless c) or d)"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("a * b ^ c % d", "((a * (b ^ c)) % d)"),
        ("-a ^ b", "[-(a ^ b)]"),
        ("-a * b", "([-a] * b)"),
        ("a ^ -b * c", "((a ^ [-b]) * c)"),
        ("a < b == c", "((a < b) == c)"),
        ("a </ 1 + 2 >/ 3", "((a </ (1 + 2)) >/ 3)"),
        ("a atan2 b * c", "((a atan2 b) * c)"),
        ("a == bool b > c", "((a == b) > c)"),
    ] {
        assert_eq!(shape(&everything().parse(query).unwrap()), wanted, "{query}");
    }
}

#[test]
fn selectors_and_modifiers() {
    for (query, printed) in [
        ("foo", ""),
        ("min", ""),
        ("offset{step=\"1s\"}[5m]", ""),
        ("a offset 5m", ""),
        ("a offset -7m", ""),
        ("a OFFSET 1h30m", "a offset 1h30m"),
        ("a offset 300", "a offset 5m"),
        ("a offset 0", "a"),
        ("a offset step()", ""),
        ("a offset -step()", ""),
        ("a offset +(5)", "a offset (5)"),
        ("a offset -(5)", ""),
        ("a offset -(1^2)", "a offset -(1 ^ 2)"),
        ("a offset (-1^2)", "a offset (-1 ^ 2)"),
        ("a offset -min_of(5s,step()+8s)", "a offset -min_of(5s, step() + 8s)"),
        ("a offset max_of(step(),5s)", "a offset max_of(step(), 5s)"),
        ("a offset 5s-8", "a offset 5s - 8"),
        ("a offset -1^1", "a offset -1s ^ 1"),
        ("a @ 1603774568", "a @ 1603774568.000"),
        ("a @ -100", "a @ -100.000"),
        ("a @ .3", "a @ 0.300"),
        ("a @ 3.3335", "a @ 3.334"),
        ("a @ 0xA", "a @ 10.000"),
        ("a @ 1m", "a @ 60.000"),
        ("a @ -3.3e1", "a @ -33.000"),
        ("a @ end() offset 1m", ""),
        ("a offset 1m @ start()", "a @ start() offset 1m"),
        ("a[1m] @ 10 offset 3m", "a[1m] @ 10.000 offset 3m"),
        ("a anchored", ""),
        ("a[5m] anchored @ 3", "a[5m] anchored @ 3.000"),
        ("a[5m] @ 3 smoothed", "a[5m] smoothed @ 3.000"),
        ("a[4.18]", "a[4s180ms]"),
        ("a[300]", "a[5m]"),
        ("a[(5s)]", ""),
        ("a[-10s+15s]", "a[-10s + 15s]"),
        ("a[11s+10s-5*2^2]", "a[11s + 10s - 5 * 2 ^ 2]"),
        ("a[-(10s-5s)+20s]", "a[-(10s - 5s) + 20s]"),
        ("a[  -  step  (  )  ]", "a[-step()]"),
        ("a[RANGE()]", "a[range()]"),
        ("a[5m:step()]", ""),
        ("a[10m5s:1h6ms]", ""),
        ("a[10m:] offset 1m @ 123", "a[10m:] @ 123.000 offset 1m"),
        ("a[4s+4s:1s*2] offset (5s-8)", "a[4s + 4s:1s * 2] offset (5s - 8)"),
        ("a @ 123 offset 1m [10m:5s]", "a @ 123.000 offset 1m[10m:5s]"),
        ("{\"foo\"}", "{__name__=\"foo\"}"),
        ("{'foo\\'bar', `a\\dos`=\"boo\\\\urns\"}", "{\"a\\\\dos\"=\"boo\\\\urns\",__name__=\"foo'bar\"}"),
        ("foo{NaN='bc'}", "foo{NaN=\"bc\"}"),
        (
            "foo{a=\"b\", foo!=\"bar\", test=~\"test\", bar!~\"baz\",}",
            "foo{a=\"b\",bar!~\"baz\",foo!=\"bar\",test=~\"test\"}",
        ),
        ("{__name__=\"bar\", __name__=\"baz\"}", "{__name__=\"bar\",__name__=\"baz\"}"),
        ("foo # comment\n {a=\"b\" # another\n}", "foo{a=\"b\"}"),
        ("foo[5m # comment\n]", "foo[5m]"),
        ("fill + fill_left", ""),
    ] {
        check_printed(query, printed);
    }
}

/// Behind `offset (…)` arithmetic belongs to the duration, behind any other offset it does not.
#[test]
fn arithmetic_behind_offset() {
    for (query, wanted) in [
        ("a offset (5m) * 2", Some("(5m) * 2")),
        ("a offset (5m) + 2 * 3m", Some("(5m) + 2 * 3m")),
        ("a offset (5m) ^ -2", Some("(5m) ^ -2")),
        ("a offset (1m) - step() > 3", Some("(1m) - step()")),
        ("(a offset (5m)) * 2", Some("(5m)")),
        ("a offset -(5m) * 2", Some("-(5m)")),
        ("a offset step() * 2", Some("step()")),
        ("a offset 5m * 2", Some("5m")),
    ] {
        let expr = everything().parse(query).unwrap_or_else(|e| panic!("{query}\n{e}"));
        let found = expr.selectors()[0].0.time.offset.as_ref().map(DurationExpr::to_string);
        assert_eq!(found.as_deref(), wanted, "{query}");
        check_printed(&expr.to_string(), "");
    }
}

#[test]
fn calls_and_aggregations() {
    for (query, printed) in [
        ("sum by() (x)", "sum(x)"),
        ("sum by (foo,bar,)(x)", "sum by (foo, bar) (x)"),
        ("sum(x) without (\"foo bar\", a)", "sum without (\"foo bar\", a) (x)"),
        ("sum without() (x)", "sum without () (x)"),
        ("SUM(x)", "sum(x)"),
        (
            "sum without(and, by, avg, count, start, end)(x)",
            "sum without (and, by, avg, count, start, end) (x)",
        ),
        ("topk(5, x)", ""),
        ("count_values(\"value\", x)", ""),
        ("limit_ratio(-0.5, x)", ""),
        ("sum(sum)", ""),
        ("a + sum", ""),
        ("time()", ""),
        ("round(x, 5)", ""),
        ("label_join(x, 'a', \"b\", `c`, \"d\")", "label_join(x, \"a\", \"b\", \"c\", \"d\")"),
        ("start() + end() + step() + range()", ""),
        ("max_of(1, min_of(2, 3))", ""),
        ("info(x, {foo=\"bar\"})", ""),
        ("info(x, {})", ""),
        ("min_over_time(rate(foo[2s])[5m:] offset 4m)[4m:3s]", ""),
        ("\"a\\\"b\\n☺\\xff\"", ""),
    ] {
        check_printed(query, printed);
    }
}

#[test]
fn matching() {
    for (query, printed) in [
        ("a - on() c", "a - on () c"),
        ("a - on(b) group_left c", "a - on (b) group_left () c"),
        ("a - on(b) group_left(x,y) c", "a - on (b) group_left (x, y) c"),
        ("a - on(b) group_left() (c)", "a - on (b) group_left () (c)"),
        ("a - on(b) group_right # x\n (d,) c", "a - on (b) group_right (d) c"),
        ("a - ignoring() c", "a - c"),
        ("a and on() c", "a and on () c"),
        ("a == bool on(b) c", "a == bool on (b) c"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a + on(x) fill_right(-1) fill_left(NaN) b", "a + on (x) fill_left (NaN) fill_right (-1) b"),
        ("a + on(x) group_left(y) fill(1m) b", "a + on (x) group_left (y) fill (60) b"),
        ("foo unless on(start) bar", "foo unless on (start) bar"),
    ] {
        check_printed(query, printed);
    }
}

#[test]
fn refused_characters() {
    for (query, start, end, message) in [
        (".", 0, 1, "unexpected character: '.'"),
        ("2.5.", 0, 4, "bad number or duration syntax: \"2.5.\""),
        ("100..4", 0, 5, "bad number or duration syntax: \"100..\""),
        ("0deadbeef", 0, 3, "bad number or duration syntax: \"0de\""),
        ("1 !~ 1", 2, 6, "unexpected character after '!': '~'"),
        ("1 =~ 1", 2, 6, "unexpected character after '=': '~'"),
        ("(1))", 4, 4, "unexpected right parenthesis ')'"),
        ("((1)", 4, 4, "unclosed left parenthesis"),
        ("(", 1, 1, "unclosed left parenthesis"),
        ("sum(rate(", 9, 9, "unclosed left parenthesis"),
        ("{", 1, 1, "unexpected end of input inside braces"),
        ("}", 0, 1, "unexpected character: '}'"),
        ("some}", 4, 5, "unexpected character: '}'"),
        ("some_metric{a:b=\"b\"}", 13, 20, "unexpected character inside braces: ':'"),
        ("foo{a*\"b\"}", 5, 10, "unexpected character inside braces: '*'"),
        ("foo{1}", 4, 6, "unexpected character inside braces: '1'"),
        ("foo{{", 4, 5, "unexpected left brace '{'"),
        ("foo{a!b}", 5, 8, "unexpected character after '!' inside braces: 'b'"),
        ("foo]", 3, 4, "unexpected right bracket ']'"),
        ("foo[5m[", 6, 7, "unexpected left bracket '['"),
        ("foo[5mm]", 4, 7, "bad number or duration syntax: \"5mm\""),
        ("foo[5m1]", 4, 7, "bad number or duration syntax: \"5m1\""),
        ("foo[5m:1m1]", 7, 10, "bad number or duration syntax: \"1m1\""),
        ("foo[5y1hs]", 4, 9, "unknown unit \"hs\" in duration \"5y1hs\""),
        ("foo[5m1h]", 4, 8, "not a valid duration string: \"5m1h\""),
        ("foo[\"5m\"]", 4, 9, "unexpected character in duration expression: '\"'"),
        ("foo[5s x 5s]", 7, 12, "unexpected character: 'x', expected ':'"),
        ("foo[5s s 5s]", 7, 12, "unexpected character: 's', expected ':'"),
        ("foo[", 4, 4, "unexpected end of input in duration expression"),
        ("foo[5m", 6, 6, "unclosed left bracket"),
        ("\"\\", 0, 2, "escape sequence not terminated"),
        ("\"\\c\"", 0, 4, "unknown escape sequence U+0063 'c'"),
        ("\"\\x.\"", 0, 5, "illegal character U+002E '.' in escape sequence"),
        ("`\\``", 3, 4, "unterminated raw string"),
        ("sum by (\"foo)(x{})", 8, 18, "unterminated quoted string"),
        ("\"a\nb\"", 0, 5, "unterminated quoted string"),
    ] {
        let bad_number = message.starts_with("bad number");
        let end = if bad_number { query.len() as u32 } else { end };
        check_refused(query, start, end, message);
    }
}

#[test]
fn refused_order_of_tokens() {
    for (query, start, end, message) in [
        ("", 0, 0, "no expression found in input"),
        ("# just a comment\n\n", 0, 0, "no expression found in input"),
        ("1+", 2, 2, "unexpected end of input"),
        ("*1", 0, 1, "unexpected <op:*>"),
        ("@@", 0, 1, "unexpected <op:@>"),
        ("-=", 1, 2, "unexpected \"=\""),
        ("++-++-+-+-<", 10, 11, "unexpected <op:<>"),
        ("a - on(b) ignoring(c) d", 10, 18, "unexpected <ignoring>"),
        ("foo + group_left(baz) bar", 6, 17, "unexpected <group_left>"),
        ("foo 12345678901", 4, 15, "unexpected number \"1234567890\"..."),
        ("some_metric{a=b}", 14, 15, "unexpected identifier \"b\" in label matching, expected string"),
        ("foo{gibberish}", 13, 14, "unexpected \"}\" in label matching, expected label matching operator"),
        ("foo{,}", 4, 5, "unexpected \",\" in label matching, expected identifier or \"}\""),
        ("foo{__name__ == \"bar\"}", 14, 15, "unexpected \"=\" in label matching, expected string"),
        (
            "foo{a=\"bar\" lol}",
            12,
            15,
            "unexpected identifier \"lol\" in label matching, expected \",\" or \"}\"",
        ),
        ("foo{\"a\"=}", 8, 9, "unexpected \"}\" in label matching, expected string"),
        (
            "foo[]",
            4,
            5,
            "unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "foo[step]",
            8,
            9,
            "unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        ("foo[5m 5m]", 7, 9, "unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\""),
        ("foo[5m:5m 5m]", 10, 12, "unexpected duration \"5m\" in subquery selector, expected \"]\""),
        (
            "foo[5m:+]",
            8,
            9,
            "unexpected \"]\" in subquery selector, expected number, duration, step(), range(), or \"]\"",
        ),
        (
            "some_metric[5m] OFFSET",
            22,
            22,
            "unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        ("some_metric[5m] @", 17, 17, "unexpected end of input in @, expected timestamp"),
        ("sum without(==)(x)", 12, 14, "unexpected <op:==> in grouping opts, expected label"),
        ("sum without(foo,,)(x)", 16, 17, "unexpected \",\" in grouping opts, expected label"),
        (
            "sum without(foo bar)(x)",
            16,
            19,
            "unexpected identifier \"bar\" in grouping opts, expected \",\" or \")\"",
        ),
        ("sum (x) by test", 11, 15, "unexpected identifier \"test\" in grouping opts, expected \"(\""),
        ("sum some_metric by (test)", 4, 15, "unexpected identifier \"some_metric\""),
        ("MIN (x) keep_common", 8, 19, "unexpected identifier \"keep_common\""),
        ("sum (x) without (test) by (test)", 23, 25, "unexpected <by>"),
        ("topk(some_metric,)", 16, 17, "trailing commas not allowed in function call args"),
    ] {
        check_refused(query, start, end, message);
    }
}

#[test]
fn refused_meanings() {
    const MODIFIER: &str =
        "must be preceded by an instant vector selector or range vector selector or a subquery";
    for (query, start, end, message) in [
        ("1 offset 1d", 0, 1, &*format!("offset modifier {MODIFIER}")),
        ("rate(x[5m]) @ 1234", 0, 11, &*format!("@ modifier {MODIFIER}")),
        ("foo offset 1s offset 2s", 0, 13, "offset may not be set multiple times"),
        ("foo @ 1 @ 2", 0, 7, "@ <timestamp> may not be set multiple times"),
        ("foo @ +Inf", 0, 3, "timestamp out of bounds for @ modifier: +Inf"),
        ("foo @ NaN", 0, 3, "timestamp out of bounds for @ modifier: NaN"),
        ("foo @ 1e19", 0, 3, "timestamp out of bounds for @ modifier: 10000000000000000000.000000"),
        ("some_metric OFFSET 1m[5m]", 21, 25, "no offset modifiers allowed before range"),
        ("some_metric @ end()[5m]", 19, 23, "no @ modifiers allowed before range"),
        ("(foo + bar)[5m]", 11, 15, "ranges only allowed for vector selectors"),
        ("1[5m] smoothed", 1, 5, "ranges only allowed for vector selectors"),
        ("foo[0m]", 4, 6, "duration must be greater than 0"),
        ("foo[-1]", 4, 6, "duration must be greater than 0"),
        ("foo[5m:0]", 7, 8, "duration must be greater than 0"),
        ("foo[9.5e10]", 4, 10, "duration out of range"),
        ("foo offset 9.5e10", 11, 17, "duration out of range"),
        ("foo[1e30]", 4, 8, "duration out of range"),
        ("foo[step()/0d]", 10, 11, "division by zero"),
        ("foo[5s%0d]", 6, 7, "modulo by zero"),
        ("foo anchored smoothed", 0, 12, "anchored and smoothed modifiers cannot be used together"),
        ("foo[5m:] anchored", 0, 8, "anchored modifier is not supported for subqueries"),
        ("{}", 0, 2, "vector selector must contain at least one non-empty matcher"),
        ("{x=~\".*\"}", 0, 9, "vector selector must contain at least one non-empty matcher"),
        ("{x!=\"a\"}", 0, 8, "vector selector must contain at least one non-empty matcher"),
        ("foo{__name__=\"bar\"}", 0, 19, "metric name must not be set twice: \"foo\" or \"bar\""),
        ("sum () by (test)", 0, 16, "no arguments for aggregate expression provided"),
        ("topk(x)", 0, 7, "wrong number of arguments for aggregate expression provided, expected 2, got 1"),
        ("sum by (\"\") (x)", 8, 10, "invalid label name for grouping: \"\""),
        ("a>b()", 2, 3, "unknown function with name \"b\""),
    ] {
        check_refused(query, start, end, message);
    }
    assert!(parse("foo{a=~\"(\"}").is_err());
}

#[test]
fn refused_types() {
    const PLAIN: &str = "binary expression must contain only scalar and instant vector types";
    for (query, start, end, message) in [
        ("1 and 1", 0, 7, "set operator \"and\" not allowed in binary scalar expression"),
        ("foo or 1", 0, 8, "set operator \"or\" not allowed in binary scalar expression"),
        ("1 == 1", 2, 4, "comparisons between scalars must use BOOL modifier"),
        ("foo + bool bar", 4, 5, "bool modifier can only be used on comparison operators"),
        ("foo </ bool 3", 4, 6, "bool modifier can only be used on comparison operators"),
        ("foo + bar[5m]", 6, 13, PLAIN),
        ("\"a\" + 1", 0, 3, PLAIN),
        (
            "-\"string\"",
            0,
            9,
            "unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
        (
            "-test[5m]",
            0,
            9,
            "unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
        ),
        ("1 or on(bar) foo", 0, 16, "vector matching only allowed between instant vectors"),
        ("foo == on(bar) 10", 0, 17, "vector matching only allowed between instant vectors"),
        ("foo + fill(0) 10", 0, 16, "filling in missing series only allowed between instant vectors"),
        ("foo or fill(0) bar", 0, 18, "filling in missing series not allowed for set operators"),
        ("foo and on(bar) group_left(baz) bar", 0, 35, "no grouping allowed for \"and\" operation"),
        ("a + on(x) group_left(y,x) b", 2, 3, "label \"x\" must not occur in ON and GROUP clause at once"),
        (
            "test[5d] OFFSET 10s [10m:5s]",
            0,
            28,
            "subquery is only allowed on instant vector, got matrix instead",
        ),
        ("1[10m:5s]", 0, 9, "subquery is only allowed on instant vector, got scalar instead"),
        (
            "topk(some_metric, other)",
            5,
            16,
            "expected type scalar in aggregation parameter, got instant vector",
        ),
        ("count_values(5, other)", 13, 14, "expected type string in aggregation parameter, got scalar"),
        ("sum(5)", 4, 5, "expected type instant vector in aggregation expression, got scalar"),
        ("floor()", 0, 7, "expected 1 argument(s) in call to \"floor\", got 0"),
        ("floor(x, 1)", 0, 11, "expected 1 argument(s) in call to \"floor\", got 2"),
        ("floor(1)", 6, 7, "expected type instant vector in call to function \"floor\", got scalar"),
        ("hour(x, x, x)", 0, 13, "expected at most 1 argument(s) in call to \"hour\", got 3"),
        ("label_join(x, \"a\")", 0, 18, "expected at least 3 argument(s) in call to \"label_join\", got 2"),
        ("rate(avg)", 5, 8, "expected type range vector in call to function \"rate\", got instant vector"),
        ("info(x, y{foo=\"bar\"})", 8, 20, "expected label selectors only, got vector selector instead"),
        ("info(x, {foo=\"bar\"} == 1)", 8, 24, "expected label selectors only"),
        ("info(x, 1)", 0, 10, "expected type instant vector in call to function \"info\", got scalar"),
    ] {
        check_refused(query, start, end, message);
    }
}

#[test]
fn parts_behind_options() {
    for (query, message) in [
        ("mad_over_time(x[5m])", "function \"mad_over_time\" is not enabled"),
        ("start()", "function \"start\" is not enabled"),
        (
            "limitk(1, x)",
            "limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        ("x[5m] anchored", "anchored modifier is experimental and not enabled"),
        ("a + fill(0) b", "binop fill modifiers are experimental and not enabled"),
    ] {
        let error = parse(query).expect_err(query);
        assert_eq!((error.kind, &*error.message), (ParseErrorKind::Disabled, message));
        assert!(everything().parse(query).is_ok());
    }
}

#[test]
fn places_suggestions_and_carets() {
    let query = "sum by (job) (\n  rate(up)\n)";
    let error = parse(query).unwrap_err();
    assert_eq!((error.line, error.column), (2, 8));
    assert_eq!(
        error.render(query),
        "2:8: parse error: expected type range vector in call to function \"rate\", got instant vector\n  |\n2 |   rate(up)\n  |        ^^\n  = help: a range in brackets makes it a range vector: `up[5m]`\n"
    );
    for (query, suggestion) in [
        ("histogram_quantil(0.9, x)", Some("histogram_quantile")),
        ("summ by (a) (x)", Some("sum")),
        ("a unles b", Some("unless")),
        ("sum(x) witout (a)", Some("without")),
        ("frobnicate(x)", None),
    ] {
        assert_eq!(parse(query).unwrap_err().suggestion.as_deref(), suggestion, "{query}");
    }
    assert_eq!(parse("foo{a=").unwrap_err().expected, Vec::<String>::new());
    assert_eq!(parse("foo{a=b}").unwrap_err().expected, ["string"]);
    assert_eq!(
        parse("").unwrap_err().to_string(),
        "unknown position: parse error: no expression found in input"
    );
}

#[test]
fn types() {
    for (query, value_type) in [
        ("1 + 2 * time()", ValueType::Scalar),
        ("1 + vector(1)", ValueType::Vector),
        ("x + 1", ValueType::Vector),
        ("(-x)", ValueType::Vector),
        ("scalar(x) ^ 2", ValueType::Scalar),
        ("x[5m:]", ValueType::Matrix),
        ("\"a\"", ValueType::String),
    ] {
        assert_eq!(parse(query).unwrap().value_type(), value_type, "{query}");
    }
}
