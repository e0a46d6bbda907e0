//! Tests of Regex. What Go says was taken from Go 1.26 by running it.

use proptest::prelude::*;

use crate::CancelToken;

use super::{Regex, parse, plan::Plan, unicode_names};

#[track_caller]
fn check(pattern: &str, matching: &[&str], other: &[&str]) {
    let regex = Regex::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
    for text in matching {
        assert!(regex.is_match(text), "{pattern} should match {text:?}");
        assert!(in_steps(&regex, text), "{pattern} should match {text:?} in steps");
    }
    for text in other {
        assert!(!regex.is_match(text), "{pattern} should not match {text:?}");
        assert!(!in_steps(&regex, text), "{pattern} should not match {text:?} in steps");
    }
}

/// As a text is matched that is dear.
fn in_steps(regex: &Regex, text: &str) -> bool {
    let stepped = regex.inner.stepper().is_match(text, 1, &mut CancelToken::new().pulse());
    stepped.expect("nobody has canceled")
}

thread_local! {
    static LOOKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A token is looked at after every few thousand steps in a state, which take some ten nanoseconds each: of the largest
/// automatons, which took two seconds for a label value of 4 KiB, after each byte.
#[test]
fn long_texts_can_be_stopped() {
    let runs: Vec<String> = (1..=300).map(|most| format!("[ab]{{1,{most}}}")).collect();
    let check = |pattern: &str, text: &str, bytes_between_looks: usize| {
        let regex = Regex::new(pattern).unwrap();
        let ask = |stop_at: u64| {
            LOOKS.set(0);
            let token = CancelToken::with_deadline(stop_at, || LOOKS.replace(LOOKS.get() + 1));
            (regex.try_match(text, &mut token.pulse()).ok(), LOOKS.get())
        };
        let (answer, looks) = ask(u64::MAX);
        assert_eq!(answer, Some(false));
        assert!(looks as usize >= text.len() / bytes_between_looks, "{pattern}: {looks} looks");
        for stop_at in [0, looks / 2, looks - 1] {
            assert_eq!(ask(stop_at), (None, stop_at + 1));
        }
    };
    let text = "ab".repeat(2048);
    check(&format!("({})*c", runs.join("|")), &text, 1);
    check("(a?b?){1000}[ab]*c", &text, 4);
    check("[ab]*a[ab]{1000}c", &text, 16);
    check("[a-z]+[0-9]", &text.repeat(256), 4096);
}

#[test]
fn means_what_go_means() {
    check(r"\d+", &["12"], &["٣", "", "a"]);
    check(r"\w", &["a", "_", "0"], &["é", "-"]);
    check(r"\s", &[" ", "\t", "\n", "\u{c}"], &["\u{b}", "\u{a0}"]);
    check(r"[[:space:]]", &["\u{b}", " "], &["\u{a0}"]);
    check(r"\W", &["é", "-"], &["a"]);
    check(r"é\b", &[], &["é"]);
    check(r"é\B", &["é"], &[]);
    check(r"a\b.*", &["a", "aé", "a-"], &["ab"]);
    check("[a&&b]", &["a", "&", "b"], &["c"]);
    check("[a[b]", &["a", "[", "b"], &["]"]);
    check("[]a]", &["]", "a"], &["["]);
    check("[^]a]", &["["], &["]", "a"]);
    check(r"[a\]b]", &["]"], &["\\"]);
    check("[[:alpha:]-]", &["a", "-"], &["1"]);
    check("[[:^alpha:]]", &["1", "é"], &["a"]);
    check("[a-]", &["a", "-"], &["b"]);
    check("[^a]", &["\n", "b"], &["a", ""]);
    check(r"\Qa.b*\E+", &["a.b*", "a.b**"], &["aab*"]);
    check(r"\Qa\Eb", &["ab"], &[]);
    check(r"\Qa.b", &["a.b"], &["axb"]);
    check("a{,5}", &["a{,5}"], &["aaa", ""]);
    check("a{01}", &["a{01}"], &["a"]);
    check("a{2", &["a{2"], &["aa"]);
    check("}]", &["}]"], &[]);
    check("a{2,3}", &["aa", "aaa"], &["a", "aaaa"]);
    check("a{0}", &[""], &["a"]);
    check(".", &["\n", "é"], &["", "ab"]);
    check("(?-s).", &["a"], &["\n"]);
    check("a(?-s:.)b", &["axb"], &["a\nb"]);
    check("(?i)straße", &["STRAßE", "straße", "strAẞe", "\u{17f}traße"], &["strasse"]);
    check("(?i:k)k", &["Kk", "\u{212a}k"], &["kK"]);
    check("(?i)[^k]", &["a"], &["K", "k", "\u{212a}"]);
    check(r"(?i)\W", &["-"], &["\u{212a}", "k"]);
    check("a(?i)b|c", &["aB", "C"], &["A", "AB"]);
    check("(a(?i)b)c", &["aBc"], &["aBC"]);
    check("(?i-s:A.)", &["ab"], &["a\n"]);
    check("(?)a", &["a"], &[]);
    check(r"\pL\PL", &["é1"], &["1é"]);
    check(r"\p{Greek}", &["α"], &["a"]);
    check(r"\p{^Greek}\P{^Greek}", &["aα"], &["αa"]);
    check(r"[\p{Lu}\d]", &["É", "1"], &["é"]);
    check(r"\x41\x{e9}\101\0", &["AéA\0"], &[]);
    check(r"\a\f\t\n\r\v", &["\x07\x0c\t\n\r\x0b"], &[]);
    check(r"\-\_\/\ \~", &["-_/ ~"], &[]);
    check(r"\Aa\z", &["a"], &["a\n"]);
    check("^a$", &["a"], &["a\n", "ab"]);
    check("(^a|b$)", &["a", "b"], &["ab"]);
    check("a^b", &[], &["ab", "a^b"]);
    check("(?m)a$\n^b", &["a\nb"], &["ab"]);
    check("", &[""], &["a"]);
    check("a|", &["a", ""], &["b"]);
    check("(?:a*)*b", &["aab", "b"], &["a"]);
    check("a(?i)*", &["", "aa"], &["A"]);
    check("(?P<n>a)(?P<n>b)", &["ab"], &[]);
    check(r"\x{D800}|a", &["a"], &["\u{fffd}"]);
    check(r"[\x{D7FF}-\x{E000}]", &["\u{d7ff}", "\u{e000}"], &["a"]);
    check(r"[^\x{D800}]", &["a"], &[""]);
    check(r"[^\x00-\x{10FFFF}]|a", &["a"], &["b"]);
}

#[test]
fn refuses_what_go_refuses() {
    for (pattern, message) in [
        ("a(b", "missing closing ): `a(b`"),
        ("a)(b", "unexpected ): `a)(b`"),
        ("[a-z", "missing closing ]: `[a-z`"),
        ("x[", "missing closing ]: `[`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("(?i)+", "missing argument to repetition operator: `+`"),
        ("a|{2}", "missing argument to repetition operator: `{2}`"),
        (r"\Q\E*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*??", "invalid nested repetition operator: `*??`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{5,1}", "invalid repeat count: `{5,1}`"),
        ("a{99999999999}", "invalid repeat count: `{99999999999}`"),
        ("(a{40}){26}", "invalid repeat count: `{26}`"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?P<", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?", "invalid or unsupported Perl syntax: `(?`"),
        ("(?P<a b>c)", "invalid named capture: `(?P<a b>`"),
        ("(?<>c)", "invalid named capture: `(?<>`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\é", r"invalid escape sequence: `\é`"),
        (r"\xA", r"invalid escape sequence: `\xA`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        (r"\x{}", r"invalid escape sequence: `\x{}`"),
        (r"[a-\d]", r"invalid escape sequence: `\d`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("[a--b]", "invalid character class range: `a--`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("[[:word]]", ""),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\p{Klingon}", r"invalid character class range: `\p{Klingon}`"),
        (r"\p{Greek", r"invalid character class range: `\p{Greek`"),
        (r"[\p]", r"invalid character class range: `\p]`"),
        (r"\p", r"invalid character class range: `\p`"),
    ] {
        match Regex::new(pattern) {
            Ok(_) => assert_eq!(message, "", "{pattern} was accepted"),
            Err(error) => {
                assert_eq!(error.to_string(), format!("error parsing regexp: {message}"), "{pattern}")
            }
        }
    }
}

#[test]
fn bounds() {
    let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(Regex::new(&nested(999)).is_ok());
    assert!(Regex::new(&nested(1000)).unwrap_err().to_string().contains("nests too deeply"));
    assert!(Regex::new(&"(?:".repeat(100_000)).unwrap_err().to_string().contains("missing closing )"));
    for large in
        [r"\pL".repeat(1000) + "*", "(.{0,999}a){9}".repeat(3), "a+".repeat(100_000), "()".repeat(9000)]
    {
        let error = Regex::new(&large).unwrap_err().to_string();
        assert!(error.contains("expression too large"), "{error}");
    }
    let too_long = "a".repeat(parse::PATTERN_BYTES_MAX + 1);
    assert!(Regex::new(&too_long).unwrap_err().to_string().contains("expression too large"));
    assert!(Regex::new(&too_long[1..]).is_ok());
}

/// The largest patterns of each shape that are accepted, on a thread with the stack that runtimes give.
#[test]
fn accepted_means_compiles() {
    fn largest(shape: impl Fn(usize) -> String) -> String {
        let (mut fits, mut too_large) = (1, 200_000);
        while fits + 1 < too_large {
            let middle = (fits + too_large) / 2;
            *(if Regex::unanchored(&shape(middle)).is_ok() { &mut fits } else { &mut too_large }) = middle;
        }
        shape(fits)
    }
    let patterns = vec![
        largest(|n| r"\pL".repeat(n)),
        largest(|n| String::from("(?i)") + &r"[^\pL\p{Greek}]".repeat(n)),
        largest(|n| String::from("(?i)") + &r"[\x{81}-\x{10fffe}]".repeat(n)),
        largest(|n| String::from("(?i)") + &r"\W".repeat(n)),
        largest(|n| ".{1000}".repeat(n)),
        largest(|n| "αx?".repeat(n)),
        largest(|n| r"\b\B".repeat(n)),
        largest(|n| "ab+|".repeat(n)),
        largest(|n| "(()*)*".repeat(n)),
        format!("{}[ab]{}", "(?:x|y".repeat(333), ")*".repeat(333)),
        format!("{}a{}", "(".repeat(999), ")".repeat(999)),
    ];
    let run = move || {
        for pattern in patterns {
            let regex = Regex::unanchored(&pattern).unwrap();
            assert!(!regex.is_match("\u{1}") || regex.is_match(""), "{}", &pattern[..20]);
            regex.replace_all("aé", "$1");
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn every_property_compiles() {
    assert!(unicode_names::NAMES.is_sorted_by(|a, b| a.0 < b.0));
    for (name, _) in
        unicode_names::NAMES.iter().filter(|(_, property)| *property != unicode_names::SURROGATES)
    {
        check(&format!(r"\p{{{name}}}|\P{{{name}}}"), &["a", "α"], &[""]);
    }
    check(r"\p{Cs}|\P{Cs}|[^\p{Cs}]", &["a", "α"], &[""]);
    check(r"\p{Cs}|[\p{Cs}]|b", &["b"], &["a"]);
    check(r"\p{Old_Italic}\p{olditalic}\p{Letter}", &["\u{10300}\u{10300}a"], &[]);
}

#[test]
fn sets_and_prefixes() {
    let check = |pattern: &str, set: Option<&[&str]>, prefix: &str| {
        let regex = Regex::new(pattern).unwrap();
        let found = regex.set_matches().map(|set| set.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), set, "{pattern}");
        assert_eq!(regex.required_prefix().unwrap_or(""), prefix, "{pattern}");
    };
    check("", Some(&[""]), "");
    check("foo", Some(&["foo"]), "foo");
    check("foo|bar|foo", Some(&["bar", "foo"]), "");
    check("(foo|fob)", Some(&["fob", "foo"]), "fo");
    check("(?:a|b)-(c|d)", Some(&["a-c", "a-d", "b-c", "b-d"]), "");
    check("api-v[12]", Some(&["api-v1", "api-v2"]), "api-v");
    check("^(a|b)$", Some(&["a", "b"]), "");
    check("https?", Some(&["http", "https"]), "http");
    check("a{2,3}", Some(&["aa", "aaa"]), "aa");
    check("(?i)ab", Some(&["AB", "Ab", "aB", "ab"]), "");
    check(r"a\.b", Some(&["a.b"]), "a.b");
    check("éa|éb|è", Some(&["è", "éa", "éb"]), "");
    check("a^b", Some(&[]), "");
    check("foo.*", None, "foo");
    check("foo.+bar", None, "foo");
    check("(foo|fob).*", None, "fo");
    check(".*foo", None, "");
    check(".*", None, "");
    check("foo[0-9]+bar", None, "foo");
    check(r"a(b(c\d))", None, "abc");
    check("(?i)fo+", None, "");
    check("[ab]{20}", None, "");
    check("(a|b){20}", None, "");
}

#[test]
fn plans_avoid_automata() {
    for pattern in
        ["foo", "a|b", "foo.*", ".*foo", ".*foo.*", ".*", ".+", "", "a.+b.*c|d", "(a|b).*", "(.*)", "^a.*$"]
    {
        let regex = Regex::new(pattern).unwrap();
        assert!(!matches!(regex.inner.planned().plan, Plan::Automaton), "{pattern}");
    }
    check(".+", &["a", "é", "\n"], &[""]);
    check("a.+b.*c", &["axbc", "abbc", "aébxc"], &["abc", "ab", "axb"]);
    check("a.*a", &["aa", "axa"], &["a"]);
    check(".{3,}é", &["abcé", "éééé"], &["abé", "ééé"]);
    check(".*.+.*", &["a"], &[""]);
    check(".*ab.*ab", &["abab", "xabxab"], &["ab", "abxb"]);
}

#[test]
fn large_sets() {
    let names: Vec<String> = (0..2000).map(|i| format!("instance-{i}")).collect();
    let regex = Regex::new(&names.join("|")).unwrap();
    assert_eq!(regex.set_matches().unwrap().len(), 2000);
    assert!(names.iter().all(|name| regex.is_match(name)));
    assert!(!regex.is_match("instance-2000") && !regex.is_match(""));
}

#[test]
fn templates() {
    let check = |pattern: &str, text: &str, template: &str, expected: Option<&str>| {
        let mut out = String::from(">");
        let matched = Regex::new(pattern).unwrap().expand(text, template, &mut out);
        assert_eq!(matched.then_some(&out[1..]), expected, "{pattern} {text} {template}");
        assert!(matched || out == ">");
    };
    check("(.*)", "x\ny", "$1", Some("x\ny"));
    check("(.*)", "x", "${1}-$0-$2", Some("x-x-"));
    check("foo", "foo", "bar", Some("bar"));
    check("foo", "bar", "bar", None);
    check("(a)(b)?", "a", "[$1$2]", Some("[a]"));
    check("(?P<n>a)(?<m_1>b)", "ab", "$m_1 ${n}x $nx", Some("b ax "));
    check("(?P<n>a)|(?P<n>b)", "b", "$n", Some("b"));
    check("(a)", "a", "$1x${1}x$$1 $ ${1 $-", Some("ax$1 $ ${1 $-"));
    check("(a)", "a", "$01$1é$é", Some(""));
    check("(a)", "a", "$99999999999999999999 $12", Some(" "));
    check("(a*)(a*)", "aaa", "$1,$2", Some("aaa,"));
    check("(a*?)(a*)", "aaa", "$1,$2", Some(",aaa"));
    check("(?U)(a*)(a*)", "aaa", "$1,$2", Some(",aaa"));
}

#[test]
fn replacing_and_searching() {
    let check = |pattern: &str, text: &str, template: &str, expected: &str| {
        assert_eq!(Regex::unanchored(pattern).unwrap().replace_all(text, template), expected, "{pattern}");
    };
    check("a*", "baac", "x", "xbxcx");
    check("(.)a", "bana", "$1-", "b-n-");
    check("^", "é", "<", "<é");
    check("", "éa", "-", "-é-a-");
    check(".", "a\nb", "x", "x\nx");
    assert!(Regex::unanchored("^a.c").unwrap().is_match("abcd"));
    assert_eq!(Regex::new("a").unwrap().replace_all("aa", "b"), "aa");
}

/// Patterns from pieces of syntax, so that many of them parse.
fn patterns() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "k",
        "ab",
        "é",
        ".",
        ".*",
        ".+",
        "*",
        "+",
        "?",
        "|",
        "(",
        ")",
        "(?:",
        "(?i)",
        "(?i:",
        "(?-s)",
        "{2}",
        "{1,3}",
        "{2,}",
        "[ab]",
        "[^a]",
        "[a-c]",
        "^",
        "$",
        r"\A",
        r"\z",
        r"\d",
        r"\w",
        r"\pL",
        r"\.",
        "(a|b)",
        "(a.*|b)",
        "a?",
        r"\b",
        "(?m)",
        r"\x{D800}",
        "[k-é]",
        "-",
    ]);
    prop::collection::vec(piece, 0..9).prop_map(|pieces| {
        let mut pattern = pieces.concat();
        let open = pattern.matches('(').count().saturating_sub(pattern.matches(')').count());
        pattern.push_str(&")".repeat(open));
        pattern
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// An unanchored regex has no plan, so the same pattern in written anchors asks the automaton.
    #[test]
    fn plan_and_automaton_agree(pattern in patterns(), texts in prop::collection::vec("[abkKAé.1\n-]{0,6}", 8)) {
        let Ok(regex) = Regex::new(&pattern) else { return Ok(()) };
        let automaton = Regex::unanchored(&format!(r"\A(?s:{pattern})\z")).unwrap();
        let set = regex.set_matches().unwrap_or_default();
        for text in texts.iter().chain(set) {
            let matched = regex.is_match(text);
            prop_assert_eq!(matched, automaton.is_match(text), "{} on {:?}", pattern, text);
            prop_assert_eq!(matched, in_steps(&regex, text), "{} on {:?} in steps", pattern, text);
            let mut out = String::new();
            prop_assert_eq!(matched, regex.expand(text, "$0", &mut out));
            prop_assert!(!matched || &out == text);
            prop_assert!(!matched || text.starts_with(regex.required_prefix().unwrap_or("")));
            prop_assert!(!matched || regex.set_matches().is_none_or(|set| set.contains(text)));
        }
        prop_assert!(set.iter().all(|text| regex.is_match(text)));
    }

    #[test]
    fn any_text_is_parsed_or_refused(pattern in r"[\[\](){}*+?|^$.\\a-c0-9:<>=!,&PQEpx-]{0,30}") {
        if let Ok(regex) = Regex::new(&pattern) {
            regex.is_match("a");
            regex.expand("a", "$1", &mut String::new());
        }
    }
}
