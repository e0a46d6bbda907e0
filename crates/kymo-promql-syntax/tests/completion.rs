//! What may stand where the cursor stands: `|` in each case. Finished texts and unfinished ones.

use kymo_promql_syntax::{Completion, Completions, completion};
use proptest::prelude::*;

fn at(marked: &str) -> (String, Completions) {
    let cursor = marked.find('|').expect("a cursor");
    let text = marked.replacen('|', "", 1);
    let found = completion(&text, cursor);
    (text, found)
}

fn describe(kind: &Completion) -> String {
    let matchers = |selector: &[kymo_model::Matcher]| {
        let all: Vec<String> = selector.iter().map(|m| format!("{}={}", m.name(), m.value())).collect();
        format!("{{{}}}", all.join(","))
    };
    match kind {
        Completion::MetricName => "metric".to_owned(),
        Completion::LabelName { selectors, used } => {
            let selectors: Vec<String> = selectors.iter().map(|s| matchers(s)).collect();
            let used = if used.is_empty() { String::new() } else { format!(" without {}", used.join(",")) };
            format!("label of {}{used}", selectors.join(" "))
        }
        Completion::LabelValue { label, selector } => format!("value of {label} of {}", matchers(selector)),
        Completion::Function => "function".to_owned(),
        Completion::Aggregation => "aggregation".to_owned(),
        Completion::Keyword(word) => (*word).to_owned(),
        Completion::MatchOperator => "=".to_owned(),
        Completion::Duration => "duration".to_owned(),
        Completion::AtModifier => "time".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The kinds at the cursor, separated by `;`, and what is replaced.
fn check(marked: &str, kinds: &str, replaced: &str) {
    let (text, found) = at(marked);
    let all: Vec<String> = found.kinds.iter().map(describe).collect();
    assert_eq!(all.join("; "), kinds, "{marked}");
    assert_eq!(found.replace.slice(&text), replaced, "{marked}");
    assert!(replaced.starts_with(&found.typed), "{marked}");
}

const OPERAND: &str = "metric; function; aggregation";
const BETWEEN: &str = "metric; function; aggregation; on; ignoring; fill; fill_left; fill_right; bool";
const AFTER: &str = "and; or; unless; atan2; offset; smoothed; anchored";

#[test]
fn expressions() {
    for (marked, kinds, replaced) in [
        ("|", OPERAND, ""),
        ("  |", OPERAND, ""),
        ("ra|", OPERAND, "ra"),
        ("ra|te", OPERAND, "rate"),
        ("|rate(up[5m])", OPERAND, "rate"),
        ("rate(|", OPERAND, ""),
        ("rate(u|)", OPERAND, "u"),
        ("sum(rate(htt|p_requests[5m])) / 2", OPERAND, "http_requests"),
        ("job:requests|", OPERAND, "job:requests"),
        ("-|", OPERAND, ""),
        ("(|", OPERAND, ""),
        ("label_replace(up, |", OPERAND, ""),
        ("topk(5, |)", OPERAND, ""),
        ("up |", AFTER, ""),
        ("up[5m] o|", AFTER, "o"),
        ("rate(up[5m]) |", AFTER, ""),
        ("(up) |", AFTER, ""),
        ("up # com|", "", ""),
        ("# comment\n|", OPERAND, ""),
        ("up ? |", "", ""),
        ("sum(up)) |", "", ""),
    ] {
        check(marked, kinds, replaced);
    }
}

#[test]
fn operators_and_groupings() {
    for (marked, word) in [
        ("a + |", "bool"),
        ("a + o|", "on"),
        ("a == b|", "bool"),
        ("a + on (x) gr|", "group_left"),
        ("a + on (x) f|", "fill"),
        ("sum |", "by"),
        ("sum wi|", "without"),
        ("sum(up) |", "by"),
        ("sum(up) wi|", "without"),
        ("up[5m] of|", "offset"),
        ("up[5m] s|", "smoothed"),
        ("up[s|", "step"),
        ("up offset st|", "step"),
    ] {
        let (_, found) = at(marked);
        assert!(found.words().contains(&word), "{marked}: {:?}", found.words());
    }
    check("a + |", &sorted_like(BETWEEN, "a + |"), "");
    for (marked, never) in [("up |", "by"), ("a + |", "offset"), ("a + on (x) |", "bool"), ("rate(|", "by")] {
        let (_, found) = at(marked);
        assert!(!found.words().contains(&never), "{marked}: {:?}", found.words());
    }
}

/// The kinds at the cursor, if they are the wanted ones in any order.
fn sorted_like(wanted: &str, marked: &str) -> String {
    let found: Vec<String> = at(marked).1.kinds.iter().map(describe).collect();
    let (mut left, mut right) = (found.clone(), wanted.split("; ").map(str::to_owned).collect::<Vec<_>>());
    left.sort();
    right.sort();
    assert_eq!(left, right, "{marked}");
    found.join("; ")
}

#[test]
fn braces() {
    for (marked, kinds, replaced) in [
        ("up{|", "label of {__name__=up}", ""),
        ("up{|}", "label of {__name__=up}", ""),
        ("{|}", "label of {}", ""),
        ("up{jo|}", "label of {__name__=up}", "jo"),
        ("up{job=\"a\", in|}", "label of {__name__=up,job=a} without job", "in"),
        ("up{in|, job=\"a\"}", "label of {__name__=up,job=a} without job", "in"),
        ("up{in|stance=\"x\", job=~\"a.*\"}", "label of {__name__=up,job=a.*} without job", "instance"),
        ("sum{a=\"b\", |}", "label of {__name__=sum,a=b} without a", ""),
        ("sum(up{a=\"b\",|}) + down{c=\"d\"}", "label of {__name__=up,a=b} without a", ""),
        ("{\"a.b\", |}", "label of {__name__=a.b} without __name__", ""),
        ("{\"a.|\"}", "label of {}", "a."),
        ("up{job|", "label of {__name__=up}", "job"),
        ("up{job |", "=", ""),
        ("up{job=|", "value of job of {__name__=up}", ""),
        ("up{job=|}", "value of job of {__name__=up}", ""),
        ("up{job=\"|\"}", "value of job of {__name__=up}", ""),
        ("up{job=\"ap|\"}", "value of job of {__name__=up}", "ap"),
        ("up{job=\"ap|i\", x=\"y\"}", "value of job of {__name__=up,x=y}", "api"),
        ("up{job=~\"ap|", "value of job of {__name__=up}", "ap"),
        ("up{x!=\"y\",job!~'ap|", "value of job of {__name__=up,x=y}", "ap"),
        ("{__name__=\"ht|\",job=\"a\"}", "value of __name__ of {job=a}", "ht"),
        ("{\"l.x\"=\"|\"}", "value of l.x of {}", ""),
        ("rate(up{job=\"a\"|", "", ""),
        ("up{job=\"a\"} |", AFTER, ""),
    ] {
        check(marked, kinds, replaced);
    }
    assert_eq!(at("up{job='a|'}").1.quote, Some('\''));
    assert_eq!(at("up{job=|}").1.quote, None);
}

#[test]
fn label_lists() {
    for (marked, kinds, replaced) in [
        ("sum by (|) (up)", "label of {__name__=up}", ""),
        ("sum by (jo|) (rate(up{a=\"b\"}[5m]))", "label of {__name__=up,a=b}", "jo"),
        ("sum by (job, |) (a + on (x) b{c=\"d\"})", "label of {__name__=a} {__name__=b,c=d} without job", ""),
        ("sum without (j|, job) (up)", "label of {__name__=up} without job", "j"),
        ("sum(up) by (|", "label of {__name__=up}", ""),
        ("1 + sum(up) by (|) + down", "label of {__name__=up}", ""),
        ("sum by (|", "label of ", ""),
        ("a + on (|) b", "label of {__name__=a} {__name__=b}", ""),
        ("a + on (x) group_left (|) b", "label of {__name__=a} {__name__=b}", ""),
        ("label_replace(up, \"ds|\"", "label of {__name__=up}", "ds"),
        ("label_replace(up, \"dst\", \"$|\")", "", "$"),
        ("label_join(up, \"dst\", \"-\", \"|\")", "label of {__name__=up}", ""),
        ("sort_by_label(up{a=\"b\"}, \"|", "label of {__name__=up,a=b}", ""),
        ("sum by (\"a|\") (up)", "label of {__name__=up}", "a"),
        ("\"some text|\"", "", "some text"),
    ] {
        check(marked, kinds, replaced);
    }
}

#[test]
fn times() {
    for (marked, first) in [
        ("up[|", "duration"),
        ("up[|]", "duration"),
        ("up[5|", "duration"),
        ("up[5|m]", "duration"),
        ("up[5m:|", "duration"),
        ("up[1h + |]", "duration"),
        ("up offset |", "duration"),
        ("up offset 5|", "duration"),
        ("up offset -|", "duration"),
        ("up @ |", "time"),
        ("up @ st|", "time"),
        ("rate(up[5m] @ |)", "time"),
    ] {
        let (_, found) = at(marked);
        assert_eq!(found.kinds.first().map(describe).as_deref(), Some(first), "{marked}");
    }
    assert_eq!(at("up @ e|").1.words(), ["end()"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any text, any cursor: an answer within the text.
    #[test]
    fn any_text(parts in prop::collection::vec(prop::sample::select(vec![
        "up", "sum", "by", "rate", "on", "(", ")", "{", "}", "[", "]", "=", "=~", "\"", "'", "`", "\\", "a", ",", " ", "5m",
        ":", "@", "offset", "#", "\n", "é", "+", "-", "$", "group_left", "label_replace",
    ]), 0..16), cursor in 0usize..64) {
        let text = parts.concat();
        let found = completion(&text, cursor);
        let (start, end) = (found.replace.start as usize, found.replace.end as usize);
        prop_assert!(start <= end && end <= text.len() && text.get(start..end).is_some(), "{text:?} {cursor}");
        prop_assert!(text[start..].starts_with(&found.typed), "{text:?} {cursor}");
        found.words();
    }
}
