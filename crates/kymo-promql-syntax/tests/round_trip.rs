//! Random queries: what parses prints, what prints parses to the same tree, on one line and on several. Random text: no panic.

use kymo_promql_syntax::ast::{Expr, ExprKind, Span};
use kymo_promql_syntax::{Function, ParseOptions, Parser};
use proptest::prelude::*;

/// Equal but for places and the order of matchers; as text, because NaN does not equal itself.
fn shape(mut expr: Expr) -> String {
    expr.walk_mut(|expr| {
        expr.span = Span::default();
        match &mut expr.kind {
            ExprKind::Binary(binary) => binary.op_span = Span::default(),
            ExprKind::Selector(selector) => selector.matchers.sort_by_key(|m| format!("{m:?}")),
            ExprKind::Matrix(matrix) => {
                matrix.selector_span = Span::default();
                matrix.selector.matchers.sort_by_key(|m| format!("{m:?}"));
            }
            _ => {}
        }
    });
    format!("{expr:?}")
}

fn check(query: &str) {
    let parser = Parser::new(ParseOptions::everything());
    let expr = parser.parse(query).unwrap_or_else(|e| panic!("{query}\n{}", e.render(query)));
    for printed in [expr.to_string(), expr.pretty()] {
        let again = parser.parse(&printed).unwrap_or_else(|e| panic!("{query}\n{}", e.render(&printed)));
        assert_eq!(again.to_string(), expr.to_string(), "{query}");
        assert_eq!(shape(again), shape(expr.clone()), "{query}");
    }
    let mut count = 0;
    expr.walk(|inner| {
        count += 1;
        assert!(inner.span.start >= expr.span.start && inner.span.end <= expr.span.end, "{query}");
    });
    assert!(count > 0);
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    one_of(&["up", "a:b", "sum", "by", "offset", "start", "step", "fill", "anchored", "min_of", "_x9", "or"])
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![8 => known_label(), 1 => any_name()]
}

fn known_label() -> impl Strategy<Value = String> {
    one_of(&["job", "le", "\"a.b\"", "'it\\'s'", "`x y`", "on", "bool", "group_left", "by", "end", "fill"])
}

fn labels() -> impl Strategy<Value = String> {
    (prop::collection::vec(label(), 0..3), any::<bool>()).prop_map(|(labels, comma)| {
        let comma = if comma && !labels.is_empty() { "," } else { "" };
        format!("({}{comma})", labels.join(", "))
    })
}

fn duration() -> impl Strategy<Value = String> {
    let leaf = one_of(&["5m", "1h30m", "1y2w3d", "250ms", "300", "0.5", "1e3", "step()", "range()", "7"]);
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|d| format!("({d})")),
            (inner.clone(), one_of(&["+", "-", "*"]), inner.clone())
                .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (one_of(&["max_of", "min_of"]), inner.clone(), inner.clone())
                .prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            (one_of(&["5m", "(3)", "step()"]), inner.clone()).prop_map(|(a, b)| format!("{a} ^ ({b})")),
            inner.prop_map(|d| format!("step() + -({d})")),
        ]
    })
}

fn time_modifiers() -> impl Strategy<Value = String> {
    let at = one_of(&["", "", "", " @ 3.3335", " @ -5m", " @ start()", " @ end()", " @ +0"]);
    let offset = prop_oneof![
        3 => Just(String::new()),
        1 => one_of(&[" offset 5m", " offset -7", " offset step()", " offset -range()", " offset +1h", " offset 0"]),
        1 => duration().prop_map(|d| format!(" offset ({d})")),
        1 => duration().prop_map(|d| format!(" offset -({d})")),
    ];
    (at, offset, any::<bool>())
        .prop_map(|(at, offset, first)| if first { at + &offset } else { offset + &at })
}

fn matchers() -> impl Strategy<Value = String> {
    let matcher =
        (label().prop_filter("a name", |l| !l.is_empty()), one_of(&["=", "!=", "=~", "!~"]), value())
            .prop_map(|(l, op, v)| format!("{l}{op}{v}"));
    let named = (any_name(), one_of(&["=", "!="]), any_name()).prop_map(|(l, op, v)| format!("{l}{op}{v}"));
    prop::collection::vec(prop_oneof![3 => matcher, 1 => named], 0..3).prop_map(|all| all.join(","))
}

fn value() -> impl Strategy<Value = String> {
    one_of(&["\"\"", "\"a|b.*\"", "'\\n'", "`\\d+`", "\"é☺\"", "\"\\u00e9\\x41\""])
}

/// Any bytes, each written in one of the ways there are.
fn any_string() -> impl Strategy<Value = String> {
    let byte = (any::<u8>(), 0..3).prop_map(|(byte, how)| match how {
        0 => format!("\\x{byte:02x}"),
        1 => format!("\\{byte:03o}"),
        _ if byte.is_ascii_alphanumeric() => (byte as char).to_string(),
        _ => format!("\\u{:04x}", u32::from(byte)),
    });
    (
        prop::collection::vec(
            prop_oneof![byte, any::<char>().prop_map(|c| format!("\\U{:08x}", c as u32))],
            0..6,
        ),
        any::<bool>(),
    )
        .prop_map(|(parts, single)| {
            let quote = if single { '\'' } else { '"' };
            format!("{quote}{}{quote}", parts.concat())
        })
}

/// Any name that is UTF-8, in quotes.
fn any_name() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 1..5)
        .prop_map(|chars| kymo_promql_syntax::quote_string(chars.into_iter().collect::<String>().as_bytes()))
}

fn selector() -> impl Strategy<Value = String> {
    prop_oneof![
        name(),
        (name(), matchers()).prop_map(|(n, m)| format!("{n}{{{m}}}")),
        matchers().prop_map(|m| format!("{{\"a.b\",{m}}}")),
        matchers().prop_map(|m| format!("{{x=~\".+\", {m}}}")),
        (any_name(), matchers()).prop_map(|(n, m)| format!("{{{n},{m}}}")),
    ]
}

fn vector() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (selector(), time_modifiers()).prop_map(|(s, t)| s + &t),
        (selector(), one_of(&[" anchored", " smoothed"]), time_modifiers()).prop_map(|(s, e, t)| s + &e + &t),
        Just("vector(time())".to_owned()),
    ];
    // Arithmetic directly behind `offset (…)` would belong to the duration.
    let leaf = leaf.prop_map(|v| if v.contains("offset (") { format!("({v})") } else { v });
    leaf.prop_recursive(5, 40, 3, |inner| {
        let ranged = (
            selector(),
            duration(),
            one_of(&["", "", " anchored", " smoothed"]),
            time_modifiers(),
            any::<bool>(),
        )
            .prop_map(|(s, d, e, t, first)| {
                let (a, b) = if first { (e, t) } else { (t, e) };
                // Behind `offset (…)` a word is fine, arithmetic is not; see above.
                format!("{s}[{d} + 1s]{a}{b}")
            });
        let subquery = (inner.clone(), duration(), prop::option::of(duration()), time_modifiers()).prop_map(
            |(v, d, s, t)| format!("({v})[{d} + 1s:{}]{t}", s.map_or(String::new(), |s| s + " + 1ms")),
        );
        let range_functions: Vec<Function> = Function::all()
            .iter()
            .copied()
            .filter(|f| f.signature().args == [kymo_promql_syntax::ast::ValueType::Matrix])
            .collect();
        prop_oneof![
            (prop::sample::select(range_functions), prop_oneof![ranged, subquery])
                .prop_map(|(f, r)| format!("{f}({r})")),
            inner.clone().prop_map(|v| format!("({v})")),
            (one_of(&["-", "+", "- -"]), inner.clone()).prop_map(|(s, v)| s + &v),
            (one_of(&["sum", "avg", "COUNT", "group"]), one_of(&["by", "without"]), labels(), inner.clone())
                .prop_map(|(op, by, l, v)| format!("{op} {by} {l} ({v})")),
            (any_string(), inner.clone(), labels())
                .prop_map(|(s, v, l)| format!("count_values by {l} ({s}, {v})")),
            (inner.clone(), matchers()).prop_map(|(v, m)| format!("info({v}, {{{m}}})")),
            (inner.clone(), scalar()).prop_map(|(v, s)| format!("clamp({v}, max_of({s}, step()), end())")),
            (one_of(&["topk", "limit_ratio", "limitk", "bottomk", "quantile"]), inner.clone(), labels())
                .prop_map(|(op, v, l)| format!("{op}(0x1F, {v}) by {l}")),
            (inner.clone(), modified(), inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), one_of(&["+", "atan2", "</", ">/", ">= bool", "^"]), scalar())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), any_string(), any_string())
                .prop_map(|(v, a, b)| format!("label_replace({v}, {a}, {b}, {a}, {b})")),
        ]
    })
}

fn scalar() -> impl Strategy<Value = String> {
    one_of(&["1", "-0755", "1_000.5", "5m", "-1h", "NaN", "-inf", "time()", "(2 ^ -3)", "-(1 + 2)", "1e-300"])
}

fn modified() -> impl Strategy<Value = String> {
    let fill = one_of(&["", "", "fill(0)", "fill_left (-1)", "fill_right(NaN) fill_left(5m)", "fill(-0)"]);
    let group = prop_oneof![
        Just(String::new()),
        (one_of(&["group_left", "group_right"]), one_of(&["()", "(zone)", " (zone, \"a b\",)", "()"]))
            .prop_map(|(g, l)| g + &l),
    ];
    prop_oneof![
        one_of(&["and", "or", "unless", "and ignoring ()", "OR on (job)"]),
        one_of(&["+", "-", "*", "/", "%", "^", "==", "!= bool", "</", ">/", "atan2"]),
        (one_of(&["+", "-", "* ", "== bool", "<"]), one_of(&["on", "ignoring"]), labels(), group, fill)
            .prop_map(|(op, on, l, g, f)| format!("{op} {on} {l} {g} {f}")),
    ]
}

/// Without parentheses, which printing sets where a tree put together by hand needs them.
fn bare(mut expr: Expr) -> String {
    expr.rewrite(&mut |expr| {
        if let ExprKind::Paren(inner) = &mut expr.kind {
            let inner = std::mem::replace(
                &mut **inner,
                Expr { kind: ExprKind::String(Vec::new()), span: Span::default() },
            );
            *expr = inner;
        }
    });
    shape(expr)
}

/// A tree in which others stand in place of the selectors prints as text that means that tree.
fn check_rewritten(query: &str, replacements: &[String]) {
    let limits = kymo_promql_syntax::Limits { depth_max: 4000, height_max: 4000, ..Default::default() };
    let parser = Parser::new(ParseOptions { limits, ..ParseOptions::everything() });
    let mut next = replacements.iter().cycle();
    let mut expr = parser.parse(query).unwrap();
    expr.rewrite(&mut |expr| match &expr.kind {
        ExprKind::Selector(_) => *expr = parser.parse(next.next().unwrap()).unwrap(),
        ExprKind::Paren(inner) => *expr = (**inner).clone(),
        _ => {}
    });
    if parser.verify(&mut expr).is_err() {
        return;
    }
    for printed in [expr.to_string(), expr.pretty()] {
        let again = parser.parse(&printed).unwrap_or_else(|e| panic!("{query}\n{}", e.render(&printed)));
        assert_eq!(bare(again), bare(expr.clone()), "{query}: {printed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries(query in vector()) {
        check(&query);
    }

    #[test]
    fn offset_before_arithmetic(query in vector()) {
        check_rewritten(&query, &["x offset (5m)".to_owned(), "-x offset (step() + 1m)".to_owned()]);
    }

    #[test]
    fn rewritten(query in vector(), replacements in prop::collection::vec(prop_oneof![vector(), scalar()], 1..4)) {
        check_rewritten(&query, &replacements);
    }

    #[test]
    fn tokens_in_any_order(words in prop::collection::vec(prop_oneof![
        one_of(&["(", ")", "{", "}", "[", "]", ",", ":", "@", "=", "!=", "=~", "-", "+", "^", "</", "# c\n", "\"s\""]),
        name(), label(), scalar(), duration(), modified(),
    ], 0..12)) {
        let text = words.join(" ");
        let parser = Parser::new(ParseOptions::everything());
        match parser.parse(&text) {
            Ok(_) => check(&text),
            Err(e) => {
                prop_assert!(e.span.start <= e.span.end && e.span.end as usize <= text.len(), "{text}: {e:?}");
                e.render(&text);
            }
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Parser::new(ParseOptions::everything()).parse_bytes(&bytes).map_err(|e| e.render(&text));
        let _ = kymo_promql_syntax::series::parse_series_description(&text).map_err(|e| e.render(&text));
    }
}
