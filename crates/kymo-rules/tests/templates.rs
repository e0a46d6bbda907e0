//! Templates against promtool 2.42: what it printed for the same templates, values, functions and failures.

use kymo_model::{Labels, Timestamp};
use kymo_promql::{PointValue, QueryError, QueryErrorKind, VectorSample};
use kymo_rules::template::{Expansion, Template, TemplateErrorKind, TemplateLimits};

fn sample(name: &str, instance: &str, value: f64) -> VectorSample {
    let labels = Labels::from_pairs([("__name__", name), ("instance", instance)]);
    VectorSample { labels, timestamp: Timestamp::from_millis(0), value: PointValue::Float(value) }
}

fn query(text: &str) -> Result<Vec<VectorSample>, QueryError> {
    let labels = [("__name__", "x"), ("instance", "localhost:9090"), ("job", "node")];
    let timestamp = Timestamp::from_millis(0);
    match text {
        "x" => Ok(vec![VectorSample {
            labels: Labels::from_pairs(labels),
            timestamp,
            value: PointValue::Float(0.0667),
        }]),
        "y" => Ok(vec![sample("y", "b", 2.0), sample("y", "a", 1.0), sample("y", "c", 3.0)]),
        "1+1" => Ok(vec![VectorSample { labels: Labels::empty(), timestamp, value: PointValue::Float(2.0) }]),
        "nosuch" => Ok(Vec::new()),
        _ => Err(QueryError::new(
            QueryErrorKind::Execution,
            "1:3: parse error: unexpected end of input inside braces",
        )),
    }
}

fn expand(text: &str, limits: TemplateLimits) -> Result<String, kymo_rules::template::TemplateError> {
    let labels = Labels::from_pairs([("__name__", "x"), ("instance", "localhost:9090"), ("job", "node")]);
    Template::parse("__alert_A", text)?.expand(&Expansion {
        labels: &labels,
        value: &PointValue::Float(0.0667),
        external_labels: &Labels::from_pairs([("cluster", "c1")]),
        external_url: "http://prom.example:9090/base",
        now: Timestamp::from_millis(300_500),
        query: &|text, _| query(text),
        limits,
    })
}

fn check(text: &str, expected: &str) {
    match expand(text, TemplateLimits::default()) {
        Ok(got) => assert_eq!(got, expected, "{text}"),
        Err(error) => panic!("{text}: expected {expected:?}, found error {error}"),
    }
}

fn check_error(text: &str, expected: &str) {
    let error = expand(text, TemplateLimits::default()).expect_err(text).to_string();
    let tail = error.rsplit_once("template: __alert_A:").map_or(error.as_str(), |(_, tail)| tail);
    assert_eq!(tail, expected, "{text}");
}

#[test]
fn prints_what_promtool_prints() {
    for (text, expected) in [
        ("{{ $value }}", "0.0667"),
        ("{{ $labels.instance }}", "localhost:9090"),
        ("[{{ $labels.nosuch }}]", "[]"),
        ("{{ .Labels.job }} {{ .Value }}", "node 0.0667"),
        ("{{ $labels }}", "map[__name__:x instance:localhost:9090 job:node]"),
        ("{{ $externalLabels.cluster }}-{{ $externalLabels.zone }}", "c1-"),
        ("{{ .ExternalURL }}", "http://prom.example:9090/base"),
        (r#"{{ printf "%.1f" $value }}"#, "0.1"),
        (r#"{{ printf "%.1f" $value | humanizePercentage }}"#, "10%"),
        ("{{ $value | humanizePercentage }}", "6.67%"),
        (
            r#"{{ printf "%5.2f|%-8.1f|%08.3f|%+g|%e|%E|%G" $value $value $value $value $value $value $value }}"#,
            " 0.07|0.1     |0000.067|+0.0667|6.670000e-02|6.670000E-02|0.0667",
        ),
        (r#"{{ printf "%v %s %q %d" $labels.job $labels.job $labels.job 42 }}"#, r#"node node "node" 42"#),
        (r#"{{ printf "%d" $value }}"#, "%!d(float64=0.0667)"),
        (r#"{{ printf "%s" $value }}"#, "%!s(float64=0.0667)"),
        (r#"{{ printf "%s %s" "a" }}"#, "a %!s(MISSING)"),
        (r#"{{ printf "%s" "a" "b" 3 }}"#, "a%!(EXTRA string=b, int=3)"),
        (r#"{{ printf "%[2]s %[1]s" "a" "b" }}"#, "b a"),
        (r#"{{ printf "%*d|%-*d|" 5 42 5 42 }}"#, "   42|42   |"),
        (r#"{{ printf "%x %X %o %b %c %U %q" 255 255 8 5 65 65 65 }}"#, "ff FF 10 101 A U+0041 'A'"),
        (r#"{{ printf "%x" "hi" }}"#, "6869"),
        (r#"{{ printf "%t %v" true false }}"#, "true false"),
        (r#"{{ printf "%6.2f%%" 12.3456 }}"#, " 12.35%"),
        (r#"{{ printf "%.3s|%5s|%-5s|" "abcdef" "ab" "ab" }}"#, "abc|   ab|ab   |"),
        (r#"{{ printf "%!" }}"#, "%!!(MISSING)"),
        (r#"{{ printf "%" }}"#, "%!(NOVERB)"),
        (r#"{{ printf "%z" 3 }}"#, "%!z(int=3)"),
        (r#"{{ printf "%T %T %T" 1 2.5 "x" }}"#, "int float64 string"),
        (
            r#"{{ printf "%.4g %.4g %.4g %.4g" 123456.0 0.00001234 1000.0 0.5 }}"#,
            "1.235e+05 1.234e-05 1000 0.5",
        ),
        (r#"{{ printf "%g %g %v" 1000000.0 123456789.0 0.000001 }}"#, "1e+06 1.23456789e+08 1e-06"),
        (r#"{{ print 1 2 "a" "b" 3 4 }}"#, "1 2ab3 4"),
        (r#"{{ println 1 "a" }}"#, "1 a\n"),
        (
            r#"{{ humanize 0.0 }} {{ humanize 1.0 }} {{ humanize 1234567.0 }} {{ humanize .12 }} {{ humanize "1234" }} {{ humanize 1e30 }} {{ humanize -5000.0 }}"#,
            "0 1 1.235M 120m 1.234k 1e+06Y -5k",
        ),
        (
            r#"{{ humanize1024 0.0 }} {{ humanize1024 1048576.0 }} {{ humanize1024 1500.0 }} {{ humanize1024 1 }} {{ humanize1024 "2048" }}"#,
            "0 1Mi 1.465ki 1 2ki",
        ),
        (
            r#"{{ humanizeDuration 0.0 }} {{ humanizeDuration 0.5 }} {{ humanizeDuration 59.9 }} {{ humanizeDuration 60.0 }} {{ humanizeDuration 3661.0 }} {{ humanizeDuration 90061.0 }} {{ humanizeDuration -90.0 }} {{ "43200" | humanizeDuration }} {{ humanizeDuration 1 }}"#,
            "0s 500ms 59.9s 1m 0s 1h 1m 1s 1d 1h 1m 1s -1m 30s 12h 0m 0s 1s",
        ),
        (
            r#"{{ humanizePercentage 0.99999 }} {{ humanizePercentage "-0.1" }} {{ humanizePercentage 1 }}"#,
            "100% -10% 100%",
        ),
        (
            r#"{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0.0 }} {{ humanizeTimestamp "1.5e9" }}"#,
            "2015-06-23 13:19:44.128 +0000 UTC 1970-01-01 00:00:00 +0000 UTC 2017-07-14 02:40:00 +0000 UTC",
        ),
        (
            r#"{{ (1435065584.128 | toTime).Year }} {{ (toTime 1435065584.128).Format "2006-01-02 15:04" }}"#,
            "2015 2015-06-23 13:19",
        ),
        ("{{ toTime 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        (
            r#"{{ "foo" | title }} {{ title "aa bb-cc" }} {{ toUpper "abc" }} {{ toLower "ABC" }}"#,
            "Foo Aa Bb-Cc ABC abc",
        ),
        (
            r#"{{ reReplaceAll "(.*):.*" "$1" $labels.instance }} {{ reReplaceAll "[0-9]+" "<$0>" "a1b22" }} {{ reReplaceAll "a(x*)b" "${1}W" "-ab-axxb-" }}"#,
            "localhost a<1>b<22> -W-xxW-",
        ),
        (r#"{{ match "loc.*" $labels.instance }} {{ match "^x" "abc" }}"#, "true false"),
        (
            r#"{{ stripPort $labels.instance }} {{ stripDomain "foo.bar.com:80" }} {{ stripDomain "1.2.3.4:80" }} {{ stripPort "nothing" }} {{ stripDomain "a.b.c" }}"#,
            "localhost foo:80 1.2.3.4:80 nothing a",
        ),
        (
            r#"{{ graphLink "up" }} {{ tableLink "up{job=\"a\"} > 0" }}"#,
            "/graph?g0.expr=up&g0.tab=0 /graph?g0.expr=up%7Bjob%3D%22a%22%7D+%3E+0&g0.tab=1",
        ),
        (
            r#"{{ safeHtml "<b>" }} {{ html "<b>'\"&" }} {{ js "it's <x>" }} {{ urlquery "a b&c" }}"#,
            r#"<b> &lt;b&gt;&#39;&#34;&amp; it\'s \u003Cx\u003E a+b%26c"#,
        ),
        (r#"{{ if eq $labels.job "node" }}yes{{ else }}no{{ end }}"#, "yes"),
        ("{{ if gt $value 0.01 }}big{{ else }}small{{ end }}", "big"),
        ("{{ with $labels.cluster -}} on {{ . }} {{- end }}.", "."),
        ("{{ with $labels.job }} on {{ . }}{{ end }}.", " on node."),
        (
            "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
            "__name__=x;instance=localhost:9090;job=node;",
        ),
        ("{{ range $v := $labels }}{{ $v }};{{ end }}", "x;localhost:9090;node;"),
        ("{{ range .Labels }}{{ . }},{{ else }}none{{ end }}", "x,localhost:9090,node,"),
        (r#"{{ range query "x" }}{{ .Labels.instance }}:{{ .Value }} {{ end }}"#, "localhost:9090:0.0667 "),
        (r#"{{ with query "x" }}{{ . | first | value | humanize }}{{ end }}"#, "66.7m"),
        (r#"{{ query "x" | first | label "job" }}"#, "node"),
        (r#"{{ range query "nosuch" }}x{{ else }}empty{{ end }}"#, "empty"),
        (r#"{{ with query "nosuch" }}x{{ else }}nothing{{ end }}"#, "nothing"),
        (r#"{{ query "1+1" | first | value }}"#, "2"),
        (r#"{{ range sortByLabel "instance" (query "y") }}{{ .Labels.instance }} {{ end }}"#, "a b c "),
        (r#"{{ len (query "y") }} {{ len $labels }} {{ len "abc" }}"#, "3 3 3"),
        (r#"{{ (index (query "y" | sortByLabel "instance") 1).Labels.instance }}"#, "b"),
        (r#"{{ index $labels "job" }} [{{ index $labels "nosuch" }}]"#, "node []"),
        (r#"{{ slice "abcdef" 1 3 }}"#, "bc"),
        ("{{ $x := 5 }}{{ $x }}{{ $x = 6 }}{{ $x }}", "56"),
        (r#"{{ $x := "a" }}{{ if true }}{{ $x = "b" }}{{ end }}{{ $x }}"#, "b"),
        (r#"{{ and true "" }}|{{ or "" "x" }}|{{ not true }}|{{ and 1 2 3 }}"#, "|x|false|3"),
        (
            r#"{{ eq 1 2 1 }} {{ ne 1 2 }} {{ lt 1.5 2.5 }} {{ le "a" "b" }} {{ ge 2 2 }}"#,
            "true true true true true",
        ),
        (r#"{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" $labels.job }}"#, "<node>"),
        (r#"{{ block "b" .Value }}v={{ . }}{{ end }}"#, "v=0.0667"),
        (r#"{{ args 1 "two" }} {{ (args 1 "two").arg1 }}"#, "map[arg0:1 arg1:two] two"),
        ("{{/* comment */}}x", "x"),
        ("a {{- /* c */ -}} b", "ab"),
        ("a  {{- 1 -}}  b", "a1b"),
        (r#"{{ "quoted \"x\" \t \u00e9" }} {{ `raw \n` }} {{ 'a' }}"#, "quoted \"x\" \t é raw \\n 97"),
        (
            "{{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 017 }} {{ 1e3 }} {{ -5 }} {{ +3.5 }}",
            "1000 31 3 15 15 1000 -5 3.5",
        ),
        ("{{ true }} {{ false }}", "true false"),
        (r#"{{ $value | printf "%.2f" | printf "<%s>" }}"#, "<0.07>"),
        (r#"{{ parseDuration "1h30m" }}"#, "5400"),
        (
            r#"{{ range $i, $e := query "y" | sortByLabel "instance" }}{{ $i }}{{ $e.Labels.instance }}{{ end }}"#,
            "0a1b2c",
        ),
        (r#"{{ first (query "x") }}"#, "{map[__name__:x instance:localhost:9090 job:node] 0.0667}"),
        (r#"{{ query "x" | first | strvalue }}"#, ""),
        (r#"{{ printf "%v" $labels }}"#, "map[__name__:x instance:localhost:9090 job:node]"),
        (
            r#"{{ range query "y" }}{{ if eq .Labels.instance "b" }}{{ break }}{{ end }}{{ .Labels.instance }}{{ end }}"#,
            "",
        ),
        (r#"{{ printf "%5t|%-7v|%07d|%+d|% d" true 1.5 -42 7 7 }}"#, " true|1.5    |-000042|+7| 7"),
        (r#"{{ printf "%#x %#o %#q" 255 8 "a" }}"#, "0xff 010 `a`"),
        (r#"{{ printf "%v %v %v" 1e21 1e20 123456.789 }}"#, "1e+21 1e+20 123456.789"),
        (r#"{{ printf "%6.3v|%.3v" 3.14159 "abcdef" }}"#, "  3.14|abc"),
        (r#"{{ printf "%s" $labels.nosuch }}|{{ $labels.nosuch | toUpper }}|"#, "||"),
        (r#"{{ eq $labels.nosuch "" }}"#, "true"),
        ("{{ $labels.job | len }}", "4"),
        (
            r#"{{ "12" | humanize1024 }} {{ humanize "NaN" }} {{ humanize "+Inf" }} {{ humanizeDuration "Inf" }}"#,
            "12 NaN +Inf +Inf",
        ),
        ("{{ 1.0 }} {{ 100000.0 }} {{ 1234567.0 }} {{ 0.1 }}", "1 100000 1.234567e+06 0.1"),
        (r#"{{ if and (gt $value 0.0) (eq $labels.job "node") }}both{{ end }}"#, "both"),
        ("{{ with $x := $labels.job }}{{ $x }}{{ end }}", "node"),
        ("{{ if eq 1 1 }}a{{ else if eq 1 2 }}b{{ else }}c{{ end }}", "a"),
        ("{{ ($labels).job }} {{ ($value) }}", "node 0.0667"),
        (r#"{{ (printf "%s" "x") | toUpper }}"#, "X"),
        (r#"{{.Labels.job}}{{"\n"}}x"#, "node\nx"),
        (
            "{{ $ }}",
            "{map[__name__:x instance:localhost:9090 job:node] map[cluster:c1] http://prom.example:9090/base 0.0667}",
        ),
        ("{{ $.Labels.job }}", "node"),
    ] {
        check(text, expected);
    }
}

/// Not in 2.42, but in 3.14; and what promtool's own test runner cannot do.
#[test]
fn later_functions() {
    check("{{ externalURL }} {{ pathPrefix }}", "http://prom.example:9090/base /base");
    check(r#"{{ urlQueryEscape "a b/c" }}"#, "a+b%2Fc");
    check("{{ now }}", "300.5");
    check(
        "{{ toDuration 5400 }} {{ (toDuration 90).Seconds }} {{ toDuration $value }}",
        "1h30m0s 90 66.699999ms",
    );
    check("{{ range 3 }}{{ . }}{{ end }}", "012");
    check(r#"{{ with "" }}{{ . }}{{ else with 2 }}x{{ . }}{{ end }}"#, "x2");
}

#[test]
fn fails_to_expand_as_promtool_does() {
    for (text, expected) in [
        (
            r#"{{ humanize "abc" }}"#,
            r#"1:115: executing "__alert_A" at <humanize "abc">: error calling humanize: strconv.ParseFloat: parsing "abc": invalid syntax"#,
        ),
        (
            "{{ humanizeTimestamp 1e20 }}",
            r#"1:115: executing "__alert_A" at <humanizeTimestamp 1e20>: error calling humanizeTimestamp: 1e+20 cannot be represented as a nanoseconds timestamp since it overflows int64"#,
        ),
        (
            "{{ if gt $value 5 }}big{{ end }}",
            r#"1:118: executing "__alert_A" at <gt $value 5>: error calling gt: incompatible types for comparison"#,
        ),
        (
            r#"{{ query "nosuch" | first | value }}"#,
            r#"1:132: executing "__alert_A" at <first>: error calling first: first() called on vector with no elements"#,
        ),
        (
            r#"{{ query "x{" | first | value }}"#,
            r#"1:115: executing "__alert_A" at <query "x{">: error calling query: 1:3: parse error: unexpected end of input inside braces"#,
        ),
        (
            r#"{{ template "nosuch" }}"#,
            r#"1:124: executing "__alert_A" at <{{template "nosuch"}}>: template "nosuch" not defined"#,
        ),
        ("{{ nil }}", r#"1:115: executing "__alert_A" at <nil>: nil is not a command"#),
        (
            "{{ .Nosuch }}",
            r#"1:115: executing "__alert_A" at <.Nosuch>: can't evaluate field Nosuch in type struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value float64 }"#,
        ),
        (
            "{{ $labels.job.foo }}",
            r#"1:122: executing "__alert_A" at <$labels.job.foo>: can't evaluate field foo in type string"#,
        ),
        (
            "{{ $value.foo }}",
            r#"1:121: executing "__alert_A" at <$value.foo>: can't evaluate field foo in type float64"#,
        ),
        (
            "{{ toUpper $value }}",
            r#"1:123: executing "__alert_A" at <$value>: wrong type for value; expected string; got float64"#,
        ),
        (
            r#"{{ toUpper "a" "b" }}"#,
            r#"1:115: executing "__alert_A" at <toUpper>: wrong number of args for toUpper: want 1 got 2"#,
        ),
        (
            r#"{{ label "job" $labels }}"#,
            r#"1:127: executing "__alert_A" at <$labels>: wrong type for value; expected *template.sample; got map[string]string"#,
        ),
        (
            r#"{{ "a" "b" }}"#,
            r#"1:115: executing "__alert_A" at <"a">: can't give argument to non-function "a""#,
        ),
        (
            "{{ call 1 }}",
            r#"1:115: executing "__alert_A" at <call 1>: error calling call: non-function of type int"#,
        ),
        (
            "{{ toUpper }}",
            r#"1:115: executing "__alert_A" at <toUpper>: wrong number of args for toUpper: want 1 got 0"#,
        ),
        (
            "{{ $labels.job 1 }}",
            r#"1:122: executing "__alert_A" at <$labels.job>: job is not a method but has arguments"#,
        ),
        (
            "{{ .Value 1 }}",
            r#"1:115: executing "__alert_A" at <.Value>: Value has arguments but cannot be invoked as function"#,
        ),
        (
            "{{ printf }}",
            r#"1:115: executing "__alert_A" at <printf>: wrong number of args for printf: want at least 1 got 0"#,
        ),
        (
            r#"{{ index (query "y") 10 }}"#,
            r#"1:115: executing "__alert_A" at <index (query "y") 10>: error calling index: index out of range: 10"#,
        ),
        ("{{ len 3 }}", r#"1:115: executing "__alert_A" at <len 3>: error calling len: len of type int"#),
        (
            "{{ lt true false }}",
            r#"1:115: executing "__alert_A" at <lt true false>: error calling lt: invalid type for comparison"#,
        ),
        (
            "{{ eq 1 1.0 }}",
            r#"1:115: executing "__alert_A" at <eq 1 1.0>: error calling eq: incompatible types for comparison"#,
        ),
        (
            r#"{{ eq "a" 1 }}"#,
            r#"1:115: executing "__alert_A" at <eq "a" 1>: error calling eq: incompatible types for comparison"#,
        ),
        (
            r#"{{ range "abc" }}x{{ end }}"#,
            r#"1:121: executing "__alert_A" at <"abc">: range can't iterate over abc"#,
        ),
    ] {
        check_error(text, expected);
    }
}

#[test]
fn refuses_what_promtool_refuses() {
    for (text, expected) in [
        ("{{ /* comment */ }}x", r#"1: unexpected "/" in command"#),
        ("{{ 1 | 2 }}", "1: non executable command in pipeline stage 2"),
        ("{{ if }}x{{ end }}", "1: missing value for if"),
        ("{{ nosuch 1 }}", r#"1: function "nosuch" not defined"#),
        (r#"{{ tmpl "x" . }}"#, r#"1: function "tmpl" not defined"#),
        ("{{ $nosuch }}", r#"1: undefined variable "$nosuch""#),
        ("{{ end }}", "1: unexpected {{end}}"),
        ("{{ if true }}", "1: unexpected EOF"),
        (r#"{{ "unterminated }}"#, "1: unterminated quoted string"),
        ("{{ $value", "1: unclosed action"),
        ("{{ break }}", "1: {{break}} outside {{range}}"),
    ] {
        check_error(text, expected);
    }
}

fn check_limit(text: &str) {
    let limits = TemplateLimits { steps_max: 20_000, bytes_max: 100_000, depth_max: 20, queries_max: 5 };
    let error = expand(text, limits).expect_err(text);
    assert_eq!(error.kind, TemplateErrorKind::Limit, "{text}: {error}");
}

#[test]
fn bounds() {
    check_limit(r#"{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}"#);
    let doubling: String = (0..18).map(|i| {
        let next = i + 1;
        format!(r#"{{{{ define "t{i}" }}}}{{{{ template "t{next}" }}}}{{{{ template "t{next}" }}}}{{{{ end }}}}"#)
    }).collect();
    check_limit(&format!(r#"{doubling}{{{{ define "t18" }}}}{{{{ end }}}}{{{{ template "t0" }}}}"#));
    let growing = r#"{{ $x = print $x $x }}"#.repeat(40);
    check_limit(&format!(r#"{{{{ $x := "aaaaaaaa" }}}}{growing}"#));
    check_limit("{{ $x := args 1 }}{{ range 100 }}{{ $x = args $x }}{{ end }}{{ $x }}");
    let doubling = "{{ $x = args $x $x }}".repeat(30);
    check_limit(&format!("{{{{ $x := args 1 }}}}{doubling}{{{{ $x }}}}"));
    let many = "$x ".repeat(1000);
    check_limit(&format!(r#"{{{{ $x := printf "%1000d" 1 }}}}{{{{ print {many} }}}}"#));
    let many = "%[1]s".repeat(1000);
    check_limit(&format!(r#"{{{{ $x := printf "%1000d" 1 }}}}{{{{ printf "{many}" $x }}}}"#));
    check_limit(r#"{{ range 1000 }}{{ if match "a" "b" }}{{ end }}{{ end }}"#);
    check_limit(r#"{{ printf "%999999d" 1 }}"#);
    check_limit(r#"{{ printf "%*d" 999999 1 }}"#);
    check_limit("{{ range 1000000000000 }}{{ end }}");
    check_limit("{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}");
    check_limit(r#"{{ range 100 }}{{ $x := query "x" }}{{ end }}"#);
    let nested = "(".repeat(100) + "1" + &")".repeat(100);
    let error = expand(&format!("{{{{ {nested} }}}}"), TemplateLimits::default()).expect_err("nested");
    assert_eq!(error.kind, TemplateErrorKind::Syntax);
    let nested = "{{ if 1 }}".repeat(100) + &"{{ end }}".repeat(100);
    assert!(expand(&nested, TemplateLimits::default()).is_err());
}
