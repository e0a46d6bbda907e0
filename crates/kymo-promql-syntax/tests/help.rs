//! What an error says beyond Prometheus' message: what could have stood there, what was probably meant, which bracket is
//! open, how it is usually written, and what else is wrong in the same text.

use kymo_promql_syntax::{ParseError, ParseOptions, Parser};

fn errors(query: &str) -> Vec<ParseError> {
    let errors = Parser::new(ParseOptions::everything()).parse_all(query).expect_err(query);
    for error in &errors {
        assert!(error.render(query).contains(&error.message), "{query}");
    }
    errors
}

#[test]
fn did_you_mean() {
    for (query, suggestion) in [
        ("rtae(up[5m])", Some("rate")),
        ("RATE(up[5m])", Some("rate")),
        ("histogram_quantil(0.9, up)", Some("histogram_quantile")),
        ("summ(up)", Some("sum")),
        ("summ by (a) (up)", Some("sum")),
        ("sum bye (x) (up)", Some("by")),
        ("sum(up) byy (x)", Some("by")),
        ("sum(up) witout (a)", Some("without")),
        ("a + onn (x) b", Some("on")),
        ("a + ignorin (x) b", Some("ignoring")),
        ("a * on (x) group_lefft (y) b", Some("group_left")),
        ("a * on (x) group_rigth (y) b", Some("group_right")),
        ("a + fil_left (1) b", Some("fill_left")),
        ("up offest 5m", Some("offset")),
        ("up[5m] ofset 5m", Some("offset")),
        ("a unles b", Some("unless")),
        ("a adn b", Some("and")),
        ("a == boool b", None),
        ("up b", None),
        ("frobnicate(up)", None),
        ("f(up)", None),
    ] {
        assert_eq!(errors(query)[0].suggestion.as_deref(), suggestion, "{query}");
    }
}

#[test]
fn expected() {
    for (query, expected) in [
        (
            "1 +",
            &["an expression", "`bool`", "`on`", "`ignoring`", "`fill`", "`fill_left`", "`fill_right`"][..],
        ),
        ("* 1", &["an expression"]),
        ("1 b", &["an operator", "`[`", "`@`", "`offset`", "`smoothed`", "`anchored`"]),
        ("up{a=b}", &["string"]),
        ("up{a b}", &["`!=`", "`=`", "`=~`", "`!~`"]),
        ("up[]", &["a duration"]),
        ("up offset", &["a duration"]),
        ("up[5m 5m]", &["`]`", "`:`", "`+`", "`-`", "`*`", "`/`", "`%`", "`^`"]),
        ("up @ b", &["number", "duration", "`+`", "`-`", "`start`", "`end`"]),
        ("sum by (+) (up)", &["a label name", "`)`"]),
        ("sum by (a b) (up)", &["`)`", "`,`"]),
        ("sum by (a) up", &["`(`"]),
        ("a + on x", &["`(`"]),
        ("foo{a=", &[]),
    ] {
        assert_eq!(errors(query)[0].expected, expected, "{query}");
    }
}

#[test]
fn open_brackets() {
    for (query, opener) in [
        ("(", 0),
        ("sum(rate(up[5m])", 3),
        ("sum(rate(up[5m]", 8),
        ("up{a=\"b\"", 2),
        ("sum(up{", 6),
        ("rate(up[5m", 7),
        ("rate(up[", 7),
        ("up[(5m", 3),
        ("a + on (b, c", 7),
        ("a + on (b) group_left (", 22),
    ] {
        let errors = errors(query);
        let note = errors.last().unwrap().note.as_ref().unwrap_or_else(|| panic!("{query}"));
        assert_eq!((note.span.start, note.span.end), (opener, opener + 1), "{query}");
    }
    let query = "sum by (job) (\n\trate(\n\t\tup[5m]\n)\n";
    assert_eq!(
        errors(query)[0].render(query),
        "5:1: parse error: unclosed left parenthesis\n  |\n5 | \n  | ^\n1 | sum by (job) (\n  |              - opened here\n"
    );
    assert!(errors("up)").iter().all(|error| error.note.is_none()));
    // A quote that is never closed is the place itself.
    assert_eq!(errors("up{a=\"b}")[0].span.start, 5);
}

#[test]
fn how_it_is_written() {
    for (query, part) in [
        ("rate(up)", "`up[5m]`"),
        ("rate({a=\"b\"})", "`{…}[5m]`"),
        ("rate(sum(up))", "`(…)[5m:]`"),
        ("sum(up[5m])", "`rate(…[5m])`"),
        ("rate(up[5m])[1h]", "`[5m:]`"),
        ("up offset 5m [5m]", "`x[5m] offset 1h`"),
        ("1 == 2", "`== bool`"),
        ("abs(1)", "`vector(…)`"),
        ("vector(up)", "`scalar(…)`"),
    ] {
        let error = &errors(query)[0];
        let help = error.help.as_deref().unwrap_or_else(|| panic!("{query}"));
        assert!(help.contains(part), "{query}: {help}");
        assert!(error.render(query).ends_with(&format!("= help: {help}\n")), "{query}");
    }
}

#[test]
fn several() {
    for (query, starts) in [
        ("rtae(up[5m]) / summm(up)", &[0, 15][..]),
        ("rate(up) + abs(1) - sum(\"a\")", &[5, 15, 24]),
        ("up{a=~\"(\", b=~\"[\"}", &[3, 11]),
        ("up offset 5m offset 6m + 1 @ 5", &[0, 25]),
        ("foo(1) bar", &[0, 7]),
        ("up[0] + up[5m", &[3, 13]),
        ("sum() + topk(up)", &[0, 8]),
        ("1 == 2 == 3", &[2, 7]),
    ] {
        let found: Vec<u32> = errors(query).iter().map(|error| error.span.start).collect();
        assert_eq!(found, starts, "{query}");
    }
    // Not more than somebody reads.
    assert_eq!(errors(&"foo() + ".repeat(1000)).len(), 20);
}

#[test]
fn advice_for_what_other_languages_write() {
    for (query, advice) in [
        ("up && down", "`and`, `or` and `unless` are words"),
        ("up || down", "`and`, `or` and `unless` are words"),
        ("not up", "`unless` leaves out"),
        ("up = 1", "values are compared by `==`"),
        ("up === 1", "values are compared by `==`"),
        ("up ! = 1", "values are compared by `==`"),
        ("up <> 1", "values are compared by `==`"),
        ("a ** b", "`^` is the power"),
        ("http.requests", "a name with dots stands in quotes"),
        ("rate(up[5m]) by (job)", "only aggregations have groups"),
        ("sum(rate(up[5m]) by (job)", "only aggregations have groups"),
        ("a ignoring(x) * b", "what is matched stands behind the operator"),
        ("a * group_left(x) b", "`group_left` and `group_right` stand behind"),
        ("rate(up[$__rate_interval])", "variables of a dashboard"),
        ("up + $x", "variables of a dashboard"),
        ("up[5min]", "durations have the units"),
        ("up{job=api}", "values of labels stand in quotes"),
        ("up{job==\"api\"}", "labels are compared by"),
        ("up{job~=\"api\"}", "labels are compared by"),
        ("up{job:\"api\"}", "labels are compared by"),
        ("up{job<\"api\"}", "labels are compared by"),
        ("up{job=\"a\" or job=\"b\"}", "one label takes several values"),
        ("{job=~\".*\"}", "a metric name, or a matcher"),
        ("topk(up, 5)", "the parameter stands before what is aggregated: `topk(5, …)`"),
        (
            "count_values(up, \"v\")",
            "the parameter stands before what is aggregated: `count_values(\"v\", …)`",
        ),
        ("label_join(up, a, \"b\")", "text stands in quotes"),
    ] {
        let error = &errors(query)[0];
        let help = error.help.as_deref().unwrap_or_default();
        assert!(help.starts_with(advice), "{query}: {help:?}");
        assert!(error.render(query).contains(advice), "{query}");
    }
    for query in ["up b", "up +", "sum(up", "up{job=", "up, down", "1x", "0xg", "1e", "up[5 m]", "*", ""] {
        assert_eq!(errors(query)[0].help, None, "{query}");
    }
}
