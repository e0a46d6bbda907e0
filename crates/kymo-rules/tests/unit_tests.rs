//! Unit-test files: verdicts and the text of reports, as promtool gives them.

use kymo_rules::unit_test::{LoadedFile, RunOptions, TestReport, run};

const RULES: &str = "
groups:
- name: first
  rules:
  - {record: 'job:x:sum', expr: sum by (job) (x), labels: {agg: sum}}
  - alert: High
    expr: job:x:sum > 5
    for: 2m
    labels: {sev: '{{ if gt $value 10.0 }}crit{{ else }}warn{{ end }}', cl: '{{ $externalLabels.cluster }}'}
    annotations: {s: 'v={{ $value }} {{ $labels.job }}'}
- name: second
  rules:
  - {alert: Keep, expr: y > 0, keep_firing_for: 3m}
";

fn run_test(test: &str) -> TestReport {
    let load = |path: &str| {
        Ok(if path.ends_with("rules.yml") {
            vec![LoadedFile { path: path.to_owned(), text: RULES.to_owned() }]
        } else {
            Vec::new()
        })
    };
    run(test, "dir/t.yml", &load, &RunOptions::default())
}

const INPUT: &str = "
rule_files: [rules.yml]
tests:
- name: n
  external_labels: {cluster: eu}
  input_series:
  - {series: 'x{job=\"a\"}', values: '0+2x10'}
  - {series: 'y', values: '1 1 0 0 0 stale'}
";

fn check_pass(cases: &str) {
    let report = run_test(&format!("{INPUT}{cases}"));
    assert!(report.passed(), "{cases}\n{report}");
}

fn check_report(cases: &str, expected: &str) {
    assert_eq!(run_test(&format!("{INPUT}{cases}")).to_string(), expected, "{cases}");
}

#[test]
fn passes() {
    check_pass(
        "  alert_rule_test:
  - {eval_time: 4m, alertname: High}
  - eval_time: 5m
    alertname: High
    exp_alerts:
    - {exp_labels: {job: a, sev: warn, agg: sum, cl: eu}, exp_annotations: {s: v=10 a}}
  - {eval_time: 5m30s, alertname: High, exp_alerts: [{exp_labels: {job: a, sev: warn, agg: sum, cl: eu}, exp_annotations: {s: v=10 a}}]}
  - {eval_time: 4m, alertname: Keep, exp_alerts: [{}]}
  - {eval_time: 5m, alertname: Keep}
  promql_expr_test:
  - {expr: 'job:x:sum', eval_time: 3m, exp_samples: [{labels: 'job:x:sum{job=\"a\",agg=\"sum\"}', value: 6}]}
  - {expr: time(), eval_time: 3m, exp_samples: [{value: 180}]}
  - {expr: 'ALERTS{alertname=\"Keep\"}', eval_time: 2m, exp_samples: [{labels: 'ALERTS{alertname=\"Keep\",alertstate=\"firing\"}', value: 1}]}
  - {expr: nosuch, eval_time: 2m}
",
    );
}

#[test]
fn reports_what_promtool_reports() {
    check_report("", "Unit Testing:  dir/t.yml\n  SUCCESS\n");
    check_report(
        "  alert_rule_test:\n  - {eval_time: 5m, alertname: High, exp_alerts: [{exp_labels: {a: b}, exp_annotations: {x: y}}]}\n",
        concat!(
            "Unit Testing:  dir/t.yml\n  FAILED:\n    name: n,\n    alertname: High, time: 5m, \n        exp:[\n",
            "            0:\n              Labels:{a=\"b\", alertname=\"High\"}\n              Annotations:{x=\"y\"}\n",
            "            ], \n        got:[\n            0:\n              Labels:{agg=\"sum\", alertname=\"High\", ",
            "cl=\"eu\", job=\"a\", sev=\"warn\"}\n              Annotations:{s=\"v=10 a\"}\n            ]\n\n",
        ),
    );
    check_report(
        "  promql_expr_test:\n  - {expr: x, eval_time: 3m}\n  - {expr: 'x[5m]', eval_time: 1m}\n  - {expr: 1 / 0, eval_time: 0s}\n",
        concat!(
            "Unit Testing:  dir/t.yml\n  FAILED:\n    expr: \"x\", time: 3m,\n        exp: nil\n        ",
            "got: {__name__=\"x\", job=\"a\"} 6E+00\n\n    expr: \"x[5m]\", time: 1m, err: rule result is not a vector or ",
            "scalar\n\n    expr: \"1 / 0\", time: 0s,\n        exp: nil\n        got: {} +Inf\n\n",
        ),
    );
}

#[test]
fn faults_have_places() {
    let report = run_test(
        "tests:\n- foo: bar\n  input_series: [{series: 'x{', values: 1x}]\n  promql_expr_test: [{expr: sum(}]\n",
    );
    let lines: Vec<String> = report.faults.iter().map(|f| format!("{}:{}", f.line, f.column)).collect();
    assert_eq!(lines[..2], ["2:3", "3:30"], "{report}");
    assert_eq!(report.faults.len(), 3, "{report}");
    assert!(!report.passed());
}

#[test]
fn rule_files_are_found_from_the_test_file() {
    let report = run_test("rule_files: [rules.yml, nosuch.yml]\n");
    assert_eq!(report.warnings, ["no file match pattern nosuch.yml"]);
    assert!(report.passed());
    let load = |_: &str| Err(std::io::Error::other("on fire"));
    let report = run("rule_files: [a.yml]", "t.yml", &load, &RunOptions::default());
    assert_eq!(report.faults[0].to_string(), "a.yml: cannot read rule file: on fire");
}

#[test]
fn other_keys() {
    // Neighbouring floats, a start, an order of groups, and a bound.
    let cases = "fuzzy_compare: true
tests:
- start_timestamp: 1970-01-01T01:00:00Z
  promql_expr_test:
  - {expr: 0.1 + 0.2, eval_time: 0s, exp_samples: [{value: 0.3}]}
  - {expr: time(), eval_time: 1m, exp_samples: [{value: 3660}]}
";
    assert!(run_test(cases).passed(), "{}", run_test(cases));
    assert!(!run_test(&cases.replace("true", "false")).passed());
    let order = "rule_files: [rules.yml]\ngroup_eval_order: [second, first, second]\n";
    assert_eq!(run_test(order).faults[0].message, "group name repeated in evaluation order: second");
    let long = "evaluation_interval: 1ms\ntests: [{promql_expr_test: [{expr: '1', eval_time: 200y}]}]";
    let report = run_test(long);
    assert!(report.to_string().contains("expected at most 10000000 evaluations"), "{report}");
}
