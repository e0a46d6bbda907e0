//! Rule files: what is accepted, and every fault of what is not, with its place.

use kymo_model::NameScheme;
use kymo_rules::{FileOptions, Rule, RuleFile};

/// Rules under one group; the first rule is on line 4.
fn group(rules: &str) -> String {
    let indented: String = rules.lines().map(|line| format!("  {line}\n")).collect();
    format!("groups:\n- name: g\n  rules:\n{indented}")
}

/// The names of the promtool that the verdicts were compared with.
fn legacy() -> FileOptions {
    FileOptions { names: NameScheme::Legacy, ..FileOptions::default() }
}

fn check_good(text: &str, rules: usize) {
    match RuleFile::parse(text, "r.yml") {
        Ok(file) => assert_eq!(file.rule_count(), rules, "{text}"),
        Err(faults) => panic!("{text}\n{faults:#?}"),
    }
}

/// The faults, one line each.
fn check_faults(text: &str, expected: &[&str]) {
    let faults = RuleFile::parse_with(text, "r.yml", legacy()).expect_err(text);
    let lines: Vec<String> = faults.iter().map(|fault| fault.to_string()).collect();
    assert_eq!(lines, expected, "{text}");
}

#[test]
fn accepts_what_promtool_accepts() {
    check_good("", 0);
    check_good("# nothing\n", 0);
    check_good("groups:\n", 0);
    check_good("groups: []\n", 0);
    check_good("groups:\n- name: g\n", 0);
    check_good(&group("- record: a:b\n  expr: 1"), 1);
    check_good(&group("- {alert: A, expr: up == 0, for: 5m, keep_firing_for: 1h30m}"), 1);
    check_good(&group("- alert: A\n  expr: up\n  labels: {severity: 1, on: true, none: , t: 2001-01-01}"), 1);
    check_good(&group("- alert: 5\n  expr: 1\n  for: 0"), 1);
    check_good(&group("- record: a\n  expr: 1\n  for: 0s\n  annotations: {}"), 1);
    check_good(
        "groups:\n- {name: g, interval: 1m, limit: 5, query_offset: 30s, labels: {a: b}, rules: []}",
        0,
    );
    check_good(
        "groups:\n- name: g\n  rules:\n  - &r\n    alert: A\n    expr: up\n  - <<: *r\n    alert: B\n",
        2,
    );
}

#[test]
fn values_are_taken_as_go_takes_them() {
    let text = "groups:\n- name: 5\n  labels: {team: a, tier: x}\n  rules:\n  - alert: A\n    expr: 1\n    for: 90s\n    \
                labels: {n: 1.50, b: yes, e: , team: b}\n    annotations:\n      d: |\n        one\n        two\n";
    let file = RuleFile::parse(text, "r.yml").unwrap();
    assert_eq!(file.groups[0].name, "5");
    let Rule::Alerting(rule) = &file.groups[0].rules[0] else { panic!("an alert") };
    assert_eq!(rule.for_ms, 90_000);
    assert_eq!(rule.line, 5);
    let labels: Vec<(&str, &str)> = rule.labels.iter().map(|(k, v)| (k.as_str(), &*v.text)).collect();
    assert_eq!(labels, [("b", "yes"), ("e", ""), ("n", "1.50"), ("team", "b"), ("tier", "x")]);
    assert_eq!(&*rule.annotations["d"].text, "one\ntwo\n");
}

#[test]
fn refuses_what_promtool_refuses() {
    check_faults(
        &group("- expr: 1"),
        &["r.yml:4:5: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set"],
    );
    check_faults(
        &group("- {record: a, alert: b, expr: 1}"),
        &["r.yml:4:14: group \"g\", rule 1, \"a\": only one of 'record' and 'alert' must be set"],
    );
    check_faults(
        &group("- record: a"),
        &["r.yml:4:5: group \"g\", rule 1, \"a\": field 'expr' must be set in rule"],
    );
    check_faults(
        &group("- record: a\n  expr: 1\n  for: 5m\n  keep_firing_for: 1m\n  annotations: {a: b}"),
        &[
            "r.yml:6:10: group \"g\", rule 1, \"a\": invalid field 'for' in recording rule",
            "r.yml:7:22: group \"g\", rule 1, \"a\": invalid field 'keep_firing_for' in recording rule",
            "r.yml:8:18: group \"g\", rule 1, \"a\": invalid field 'annotations' in recording rule",
        ],
    );
    check_faults(
        &group("- {record: 'a-b', expr: 1}"),
        &["r.yml:4:14: group \"g\", rule 1, \"a-b\": invalid recording rule name: a-b"],
    );
    check_faults(
        &group("- alert: A\n  expr: 1\n  labels: {__name__: x, a-b: y}\n  annotations: {c-d: x}"),
        &[
            "r.yml:6:14: group \"g\", rule 1, \"A\": invalid label name: __name__",
            "r.yml:6:27: group \"g\", rule 1, \"A\": invalid label name: a-b",
            "r.yml:7:19: group \"g\", rule 1, \"A\": invalid annotation name: c-d",
        ],
    );
    check_faults(
        "groups:\n- name: g\n- name: g\n- rules: []\n- labels: {a-b: c}\n  name: h\n",
        &[
            "r.yml:3:9: groupname: \"g\" is repeated in the same file",
            "r.yml:4:3: Groupname must not be empty",
            "r.yml:5:12: group \"h\": invalid label name: a-b",
        ],
    );
}

#[test]
fn all_faults_with_their_places() {
    check_faults(
        "group: []\ngroups:\n- name: g\n  intervall: 1m\n  interval: 1x\n  limit: many\n  rules:\n  - record: a\n    \
         expr: 1\n    foo: 1\n  - 5\n  - alert: A\n    expr: [1]\n    for: soon\n    labels: [a]\n",
        &[
            "r.yml:1:1: field \"group\" not found in a rule file, expected one of: groups",
            "r.yml:4:3: field \"intervall\" not found in a group, expected one of: name, interval, query_offset, limit, \
             labels, rules",
            "r.yml:5:13: interval: not a valid duration string: \"1x\", expected a number and a unit of y, w, d, h, m, s, \
             ms in this order",
            "r.yml:6:10: limit: expected a whole number, found \"many\"",
            "r.yml:10:5: field \"foo\" not found in a rule, expected one of: record, alert, expr, for, keep_firing_for, \
             labels, annotations",
            "r.yml:11:5: expected a rule, found \"5\"",
            "r.yml:13:11: expr: expected text, found a list",
            "r.yml:13:11: group \"g\", rule 3, \"A\": field 'expr' must be set in rule",
            "r.yml:14:10: for: not a valid duration string: \"soon\", expected a number and a unit of y, w, d, h, m, s, ms \
             in this order",
            "r.yml:15:13: labels: expected a mapping, found a list",
        ],
    );
    check_faults(
        "groups:\n- name: g\n  name: h\n  rules:\n  - record: a\n",
        &[
            "r.yml:3:3: duplicate mapping key: name",
            "r.yml:5:5: group \"g\", rule 1, \"a\": field 'expr' must be set in rule",
        ],
    );
    // A lone carriage return ends a line for YAML and for nobody else. Found by fuzzing.
    check_faults("a: \"\r\r\r\"\nb: {c\n", &["r.yml:2:4: unclosed bracket '{'"]);
    let faults = RuleFile::parse("groups: [1\nb: 2\n", "r.yml").unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, 2), "{faults:?}");
}

/// The place of an expression's fault, whatever the style of the scalar.
#[test]
fn expressions_are_located_in_the_file() {
    for (expr, line, column) in [
        ("up bar", 5, 14),
        ("'up bar'", 5, 15),
        ("\"sum(\\\"a\\\" foo bar\"", 5, 22),
        ("|\n      sum(\n        up bar\n      )", 7, 12),
        (">-\n      sum(\n      up bar\n      )", 7, 10),
        ("sum(\n      up bar)", 6, 10),
    ] {
        let text = format!("groups:\n- name: g\n  rules:\n  - record: a\n    expr: {expr}\n");
        let faults = RuleFile::parse(&text, "r.yml").expect_err(&text);
        assert_eq!((faults[0].line, faults[0].column), (line, column), "{text}{}", faults[0].render());
    }
    let text = "groups:\n- name: g\n  rules:\n  - record: a\n    expr: |\n      up +\n      foo bar\n";
    let fault = &RuleFile::parse(text, "r.yml").unwrap_err()[0];
    assert!(fault.render().ends_with("\n7 |       foo bar\n  |           ^"), "{}", fault.render());
}

#[test]
fn templates_are_checked_and_located() {
    check_faults(
        &group(
            "- alert: A\n  expr: 1\n  labels: {a: '{{ $x }}'}\n  annotations:\n    b: |\n      fine\n      {{ nosuch }}",
        ),
        &[
            "r.yml:6:21: group \"g\", rule 1, \"A\": label \"a\": template: __alert_A:1: undefined variable \"$x\"",
            "r.yml:10:12: group \"g\", rule 1, \"A\": annotation \"b\": template: __alert_A:2: function \"nosuch\" not \
             defined",
        ],
    );
}

#[test]
fn manifests() {
    let rule = "kind: PrometheusRule\napiVersion: monitoring.coreos.com/v1\nmetadata: {name: n, namespace: m}\nspec:\n  \
                groups:\n  - name: g\n    partial_response_strategy: warn\n    rules:\n    - {record: a, expr: 1}\n";
    check_good(rule, 1);
    // Each manifest is a file of its own, so that names may come again.
    check_good(&format!("---\n{rule}---\n# empty\n---\nkind: Service\napiVersion: v1\n---\n{rule}"), 2);
    let item: String = rule.lines().map(|line| format!("  {line}\n")).collect();
    check_good(&format!("apiVersion: v1\nkind: List\nitems:\n- {}", &item[2..]), 1);
    let file =
        RuleFile::parse(&format!("{rule}---\nkind: Service\nmetadata: {{name: s}}\n"), "r.yml").unwrap();
    assert_eq!(file.groups[0].source, "r.yml#m/n");
    assert_eq!(file.skipped, ["Service/s"]);
    check_faults(
        "kind: Deployment\nmetadata: {name: d}\n",
        &["r.yml:1:1: expected groups or a PrometheusRule manifest, found only Deployment/d"],
    );
    check_faults(
        "kind: PrometheusRule\napiVersion: v1\nspec:\n  group: []\n",
        &[
            "r.yml:2:13: expected apiVersion \"monitoring.coreos.com/v1\", found \"v1\"",
            "r.yml:4:3: field \"group\" not found in the spec of a PrometheusRule, expected one of: groups",
        ],
    );
    check_faults(
        "groups: [{name: g, partial_response_strategy: warn}]",
        &[
            "r.yml:1:20: field \"partial_response_strategy\" not found in a group, expected one of: name, interval, \
           query_offset, limit, labels, rules",
        ],
    );
}

#[test]
fn options() {
    let text = group("- {record: http.requests, expr: 1, labels: {a-b: c}}");
    assert!(RuleFile::parse_with(&text, "r.yml", legacy()).is_err());
    assert!(RuleFile::parse(&text, "r.yml").is_ok());
    assert!(RuleFile::parse(&group("- {record: 'a{b=\"c\"}', expr: 1}"), "r.yml").is_err());
    let lax = FileOptions { ignore_unknown_keys: true, ..FileOptions::default() };
    assert!(RuleFile::parse_with(&group("- {record: a, expr: 1, foo: 2}"), "r.yml", lax).is_ok());
}

#[test]
fn duplicates() {
    let text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: 1, labels: {x: y}}\n  - {record: a, expr: 2}\n  \
                - {record: a, expr: 3, labels: {x: y}}\n  - {alert: b, expr: 3}\n";
    let duplicates = RuleFile::parse(text, "r.yml").unwrap().duplicates();
    let shown: Vec<String> = duplicates.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["Metric: a\nLabel(s):\n\tx: y"]);
}

#[test]
fn bounds() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert!(RuleFile::parse(&format!("groups: {deep}"), "r.yml").is_err());
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n\
                f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ngroups: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    assert!(RuleFile::parse(bomb, "r.yml").is_err());
    // Many faults, on one long line: counted, and shown around their places.
    let text = format!("groups: [{{name: g, rules: [{}]}}]", "{x: 1}, ".repeat(1000));
    let faults = RuleFile::parse(&text, "r.yml").unwrap_err();
    assert_eq!(faults.len(), 1001);
    assert!(faults.iter().any(|fault| fault.message == "and 2000 more faults"));
    assert!(faults.iter().all(|fault| fault.source_line.chars().count() <= 200));
    let shown = faults[700].render();
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines[3].find('^').unwrap();
    assert_eq!(&lines[2][caret..caret + 1], &text[faults[700].column as usize - 1..][..1], "{shown}");
}
