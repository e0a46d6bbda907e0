//! What the lenient parsers take and refuse, line by line, and that what the encoder writes reads back unchanged.

use kymo_exposition::{Encoder, Entry, ExemplarOut, Family, Format, LabelScratch, Options, Parser};
use kymo_model::{Labels, MetricType, Timestamp};
use proptest::prelude::*;

/// A body's entries, one line of text each; an error ends them.
fn listing(format: Format, body: &[u8]) -> Vec<String> {
    let mut scratch = LabelScratch::default();
    let mut lines = Vec::new();
    for entry in Parser::new(format, body) {
        let line = entry.and_then(|entry| match entry {
            Entry::Help(help) => Ok(format!("HELP {} {:?}", help.name.unescape(), help.text.unescape())),
            Entry::Type(entry) => Ok(format!("TYPE {} {}", entry.name.unescape(), entry.metric_type)),
            Entry::Unit(unit) => Ok(format!("UNIT {} {:?}", unit.name.unescape(), unit.unit)),
            Entry::Comment(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            Entry::Eof => Ok("EOF".to_owned()),
            Entry::Sample(sample) => {
                let mut line = format!("{} {}", sample.labels(&mut scratch)?, sample.value);
                if let Some(timestamp) = sample.timestamp {
                    line.push_str(&format!(" @{}", timestamp.millis()));
                }
                if let Some(exemplar) = sample.exemplar {
                    line.push_str(&format!(" # {} {}", exemplar.labels(&mut scratch)?, exemplar.value));
                    if let Some(timestamp) = exemplar.timestamp {
                        line.push_str(&format!(" @{}", timestamp.millis()));
                    }
                }
                Ok(line)
            }
        });
        lines.push(line.unwrap_or_else(|error| format!("ERROR {error}")));
    }
    lines
}

#[track_caller]
fn check(format: Format, body: &str, expected: &[&str]) {
    assert_eq!(listing(format, body.as_bytes()), expected, "{body:?}");
}

fn check_text(body: &str, expected: &[&str]) {
    check(Format::Text, body, expected);
}

/// A body without its `# EOF`.
#[track_caller]
fn check_om(body: &str, expected: &[&str]) {
    let body = format!("{body}\n# EOF\n");
    let mut expected = expected.to_vec();
    if !expected.last().is_some_and(|line| line.starts_with("ERROR")) {
        expected.push("EOF");
    }
    check(Format::OpenMetrics, &body, &expected);
}

#[test]
fn text_samples() {
    check_text("", &[]);
    check_text("\n\n  \n", &[]);
    check_text("a 1\nb{} 2\n", &["a 1", "b 2"]);
    check_text("a 1", &["a 1"]);
    check_text("  a\t{ b = \"c\" , d=\"e\" , } \t 1 \t 1234 \n", &["a{b=\"c\", d=\"e\"} 1 @1234"]);
    check_text("a{b=\"c\"}1\n", &["a{b=\"c\"} 1"]);
    check_text("a{b=\"c\"d=\"e\"} 1\n", &["a{b=\"c\", d=\"e\"} 1"]);
    check_text("a{z=\"1\",b=\"2\"} 1 -5\n", &["a{b=\"2\", z=\"1\"} 1 @-5"]);
    check_text("a{b=\"\"} 1\n", &["a 1"]);
    check_text("a{b=\"x\ny}\"} 1\nc 2", &[r#"a{b="x\ny}"} 1"#, "c 2"]);
    check_text(r#"a{b="q\"s\\n\n\z} 1"} 1"#, &[r#"a{b="q\"s\\n\n\\z} 1"} 1"#]);
    check_text("a:b_9 +Inf\na NaN\na -inf", &["a:b_9 inf", "a NaN", "a -inf"]);
    check_text("a 1 9223372036854775807", &["a 1 @9223372036854775807"]);
    check_text("a 1 -9223372036854775808", &["a 1 @-9223372036854775808"]);
}

#[test]
fn text_names_in_quotes() {
    check_text(r#"{"http.requests","label.name"="x"} 1"#, &[r#"{"http.requests", "label.name"="x"} 1"#]);
    check_text(r#"{a="b","m"} 1"#, &[r#"m{a="b"} 1"#]);
    check_text(r#"{"m\"\\x"} 1"#, &[r#"{"m\"\\x"} 1"#]);
    check_text(r#"# TYPE "http.requests" counter"#, &["TYPE http.requests counter"]);
    check_text("# HELP \"a b\" c\\\\d\\ne", &["HELP a b \"c\\\\d\\ne\""]);
}

#[test]
fn text_comments_and_metadata() {
    check_text("# HELP a \n# HELP b\n", &["HELP a \"\"", "HELP b \"\""]);
    check_text("#\tHELP \t a  two\n", &["HELP a \" two\""]);
    check_text(r#"# HELP a x\ny\"z\\"#, &[r#"HELP a "x\ny\\\"z\\""#]);
    check_text("#HELP a b\n# HELPER\n#\n# EOF\n# HELP\n", &["#HELP a b", "# HELPER", "#", "# EOF", "# HELP"]);
    check_text("# TYPE a untyped\n# UNIT a x", &["TYPE a unknown", "# UNIT a x"]);
}

#[test]
fn text_errors_say_where() {
    for (body, error) in [
        ("a\n", "expected a number, found the end of the line (line 1, column 2)"),
        ("a 1\nb c\n", "expected a number, found `c` (line 2, column 3)"),
        ("a 1 x\n", "expected a timestamp in whole milliseconds, found `x` (line 1, column 5)"),
        ("a 1 1.5\n", "expected the end of the line, found `.5` (line 1, column 6)"),
        ("a 1 1 1\n", "expected the end of the line, found `1` (line 1, column 7)"),
        (
            "a 1 99999999999999999999\n",
            "expected a timestamp in whole milliseconds, found `99999999999999999999` (line 1, column 5)",
        ),
        ("a 1\r\n", "expected a timestamp in whole milliseconds, found `\\r` (line 1, column 4)"),
        ("a 1e999\n", "expected a number, found `1e999` (line 1, column 3)"),
        ("a{b=\"é\",c} 1\n", "expected `=` after label name, found `}` (line 1, column 10)"),
        ("a{b=\"c\" 1\n", "expected a label name, found `1` (line 1, column 9)"),
        ("a{b=\"c", "expected `\"` closing the string, found `\"c` (line 1, column 5)"),
        ("a{b='c'} 1\n", "expected a label value in double quotes, found `'c'}` (line 1, column 5)"),
        ("a{,b=\"c\"} 1\n", "expected a label name, found `,b=\"c\"}` (line 1, column 3)"),
        ("a{b=\"c\",,} 1\n", "expected a label name, found `,}` (line 1, column 9)"),
        (
            "a{b=\"c\",b=\"d\"} 1\n",
            "expected a label name that was not used before, found `b` (line 1, column 9)",
        ),
        (
            "a{__name__=\"b\"} 1\n",
            "expected a label name that was not used before, found `__name__` (line 1, column 3)",
        ),
        ("a{\"b\"} 1\n", "expected one metric name, found `\"b\"}` (line 1, column 3)"),
        ("{a=\"b\"} 1\n", "expected one metric name, found `{a=\"b\"}` (line 1, column 1)"),
        ("{\"\"} 1\n", "expected a label name, found `\"\"}` (line 1, column 2)"),
        ("1a 1\n", "expected a metric name, found `1a` (line 1, column 1)"),
        ("a-b 1\n", "expected a metric name, found `-b` (line 1, column 2)"),
        ("# TYPE a meter\n", "expected a metric type, found `meter` (line 1, column 10)"),
        ("# TYPE a counter\r\n", "expected a metric type, found `counter\\r` (line 1, column 10)"),
        ("# TYPE\t1 counter\n", "expected a metric name, found `1` (line 1, column 8)"),
        ("\0a 1\n", "expected a metric name, `{` or `#`, found `\\u{0}a` (line 1, column 1)"),
    ] {
        check_text(body, &listing_with_error(body, error));
    }
    let invalid = listing(Format::Text, b"a{b=\"\xff\"} 1\n");
    assert_eq!(invalid, ["ERROR expected valid UTF-8, found `\u{fffd}` (line 1, column 6)"]);
    let invalid = listing(Format::Text, b"# HELP a b\xff\n");
    assert_eq!(invalid, ["ERROR expected valid UTF-8, found `\u{fffd}` (line 1, column 11)"]);
}

/// The samples before the line with the error, and the error.
fn listing_with_error<'a>(body: &str, error: &'a str) -> Vec<&'a str> {
    let error = Box::leak(format!("ERROR {error}").into_boxed_str()) as &str;
    if body.starts_with("a 1\nb") { vec!["a 1", error] } else { vec![error] }
}

#[test]
fn labels_have_a_longest_part() {
    let longest = "x".repeat(1 << 20);
    let lines = listing(Format::Text, format!("a{{b=\"{longest}\"}} 1").as_bytes());
    assert!(lines[0].starts_with("a{b=\"xxx"));
    let lines = listing(Format::Text, format!("a{{b=\"{longest}x\"}} 1").as_bytes());
    let expected = "ERROR expected a label name or value of at most 1048576 bytes, found `b=\"xxx";
    assert!(
        lines[0].starts_with(expected) && lines[0].ends_with("(line 1, column 3)"),
        "{}",
        &lines[0][..200]
    );
    let lines = listing(Format::Text, format!("{longest}x 1").as_bytes());
    assert!(lines[0].starts_with("ERROR expected a label name or value"));
}

#[test]
fn openmetrics_samples() {
    check_om(
        "# TYPE a counter\n# UNIT a_s s\n# HELP a q\\\"\\n\na_total{b=\"c\",} 1 1.001 # {d=\"e\"} 2.5 1520879607.789",
        &[
            "TYPE a counter",
            "UNIT a_s \"s\"",
            "HELP a \"q\\\"\\n\"",
            "a_total{b=\"c\"} 1 @1001 # {d=\"e\"} 2.5 @1520879607789",
        ],
    );
    check_om("a 1 # {} 1", &["a 1 # {} 1"]);
    check_om("a 1 1.0009 # {} 1 -1.5", &["a 1 @1000 # {} 1 @-1500"]);
    check_om(r#"{"a.b","c.d"="x"} 1"#, &[r#"{"a.b", "c.d"="x"} 1"#]);
    check_om(r#"a{b=" # {"} 1"#, &[r#"a{b=" # {"} 1"#]);
    check(Format::OpenMetrics, "# EOF", &["EOF"]);
}

#[test]
fn openmetrics_errors() {
    for (body, error) in [
        ("a 1\n# EOF\nb", "expected nothing after `# EOF`, found `b` (line 3, column 1)"),
        ("a 1\n", "expected `# EOF` as the last line, found the end of the input (line 2, column 1)"),
        ("a 1", "expected `# EOF` as the last line, found the end of the input (line 1, column 4)"),
        ("a  1\n", "expected a number, found a space (line 1, column 3)"),
        ("a\t1\n", "expected a single space, found a tab (line 1, column 2)"),
        ("a 1 \n", "expected a timestamp in seconds, found the end of the line (line 1, column 5)"),
        ("a 1 NaN\n", "expected a timestamp in seconds, found `NaN` (line 1, column 5)"),
        ("\n", "expected a metric name, `{` or `#`, found the end of the line (line 1, column 1)"),
        ("# a\n", "expected `HELP`, `TYPE`, `UNIT` or `EOF`, found `a` (line 1, column 3)"),
        ("#\n", "expected a single space, found the end of the line (line 1, column 2)"),
        ("# TYPE a untyped\n", "expected a metric type, found `untyped` (line 1, column 10)"),
        ("# HELP a\n", "expected a single space, found the end of the line (line 1, column 9)"),
        (
            "# UNIT a s\n",
            "expected a unit that is the last part of the metric name, found `s` (line 1, column 10)",
        ),
        (
            "a{b=\"x\ny\"} 1\n",
            "expected `\"` closing the string, found the end of the line (line 1, column 7)",
        ),
        (
            "a{b=\"c\"d=\"e\"} 1\n",
            "expected `,` or `}` after label value, found `d=\"e\"}` (line 1, column 8)",
        ),
        ("a 1 # {\"x\"} 1\n", "expected `=` after label name, found `}` (line 1, column 11)"),
        ("a 1 # {} 1 1 1\n", "expected the end of the line, found a space (line 1, column 13)"),
        ("a 1 # {a=\"b\"\n", "expected `}` closing the labels, found `{a=\"b\"` (line 1, column 7)"),
    ] {
        let found = listing(Format::OpenMetrics, body.as_bytes());
        let first = found.iter().find_map(|line| line.strip_prefix("ERROR "));
        assert_eq!(first, Some(error), "{body:?}");
    }
}

#[test]
fn bounds_come_out_as_floats_unless_kept() {
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\n# TYPE s summary\ns{quantile=\"1\"} 3\n# TYPE g gauge\ng{le=\"1\"} 4\n";
    let expected = [
        "TYPE h histogram",
        "h_bucket{le=\"1.0\"} 2",
        "h_bucket{le=\"+Inf\"} 2",
        "TYPE s summary",
        "s{quantile=\"1.0\"} 3",
        "TYPE g gauge",
        "g{le=\"1\"} 4",
    ];
    check_text(body, &expected);
    let mut scratch = LabelScratch::default();
    let kept: Vec<Labels> =
        Parser::with_options(Format::Text, body.as_bytes(), Options { keep_bounds: true })
            .filter_map(|entry| match entry.unwrap() {
                Entry::Sample(sample) => Some(sample.labels(&mut scratch).unwrap()),
                _ => None,
            })
            .collect();
    assert_eq!(kept[0].get("le"), Some("1"));
    assert_eq!(kept[2].get("quantile"), Some("1"));
}

#[test]
fn the_series_is_the_bytes_as_written() {
    let body = b"a  {b=\"\\n\"} 1\nb 2 3\n{\"c\"} 4\n";
    let series: Vec<&[u8]> = Parser::new(Format::Text, body)
        .filter_map(|entry| match entry.unwrap() {
            Entry::Sample(sample) => Some(sample.series()),
            _ => None,
        })
        .collect();
    assert_eq!(series, [&b"a  {b=\"\\n\"}"[..], b"b", b"{\"c\"}"]);
}

fn family_types() -> impl Strategy<Value = MetricType> {
    prop::sample::select(vec![
        MetricType::Unknown,
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::GaugeHistogram,
        MetricType::Info,
        MetricType::StateSet,
    ])
}

type SampleIn = (String, Vec<(String, String)>, f64, Option<i64>);

fn sample_in() -> impl Strategy<Value = SampleIn> {
    let name = prop_oneof!["[a-z_:][a-z0-9_:]{0,8}", "[a-z.\"\\\\\n é{}]{1,8}"];
    let label = prop_oneof!["[a-z][a-z0-9_]{0,5}", "[a-z.\"\\\\\n é{}=]{1,6}"];
    let value = "[a-z\"\\\\\n é{}=,#\r\t\0]{1,10}";
    let time = prop::option::of(-1_000_000_000_000_000i64..1_000_000_000_000_000);
    (name, prop::collection::btree_map(label, value, 0..4), any::<u64>(), time).prop_map(
        |(name, labels, bits, time)| (name, labels.into_iter().collect(), f64::from_bits(bits), time),
    )
}

/// Bodies made of pieces that mean something, in any order, so that many lines are samples and many nearly are.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "a_total",
        "{",
        "}",
        "{b=\"c\"}",
        "{b=\"}\"}",
        "{\"a.b\",c=\"\\\"\"}",
        " ",
        "\t",
        "\n",
        "1",
        "-2.5e+3",
        "NaN",
        "7",
        " # {t=\"x\"} 1\n",
        "# TYPE a counter\n",
        "# EOF\n",
        "#",
        ",",
        "\"",
        " 1\n",
        " 2 3\n",
        "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// A line is the same whether its series was expected or not, and so is all that follows.
    #[test]
    fn what_is_expected_reads_the_same(body in pieces(), openmetrics in any::<bool>()) {
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
        let mut parser = Parser::new(format, body.as_bytes());
        loop {
            let mut expecting = parser.clone();
            let Some(entry) = parser.next() else { break };
            if let Ok(Entry::Sample(sample)) = &entry {
                let (other, has_braces) = (expecting.sample_of(b"other{}"), sample.series().ends_with(b"}"));
                prop_assert!(other.is_none());
                let found = expecting.sample_of(sample.series()).map(|sample| format!("{sample:?}"));
                let sample = format!("{:?}", Ok::<_, ()>(sample));
                prop_assert_eq!(found, has_braces.then_some(sample));
                if has_braces {
                    prop_assert_eq!(format!("{:?}", expecting), format!("{:?}", parser));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        samples in prop::collection::vec(sample_in(), 0..6),
        metric_type in family_types(),
        help in "[a-z\\\\\n\" é]{0,12}",
        openmetrics in any::<bool>(),
    ) {
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
        let mut encoder = Encoder::new(format);
        encoder.family(&Family { name: "a_s", metric_type, unit: "s", help: &help });
        for (name, labels, value, time) in &samples {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let time = time.map(Timestamp::from_millis);
            let exemplar = ExemplarOut { labels: &labels, value: 1.5, timestamp: time };
            encoder.sample_with(name, labels.iter().copied(), *value, time, Some(&exemplar));
        }
        let body = encoder.finish();
        let mut scratch = LabelScratch::default();
        let mut read = Vec::new();
        for entry in Parser::new(format, body.as_bytes()) {
            match entry.unwrap_or_else(|e| panic!("{e}\n{body}")) {
                Entry::Help(read) => prop_assert_eq!(read.text.unescape(), help.as_str()),
                Entry::Sample(sample) => {
                    let exemplar = sample.exemplar.map(|exemplar| {
                        (exemplar.labels(&mut scratch).unwrap(), exemplar.value, exemplar.timestamp)
                    });
                    read.push((sample.labels(&mut scratch).unwrap(), sample.value, sample.timestamp, exemplar));
                }
                _ => {}
            }
        }
        prop_assert_eq!(read.len(), samples.len());
        for ((labels, value, timestamp, exemplar), (name, pairs, wanted, time)) in read.iter().zip(&samples) {
            let others: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let all = others.iter().copied().chain([("__name__", name.as_str())]);
            prop_assert_eq!(labels, &Labels::from_pairs(all));
            prop_assert!(value.to_bits() == wanted.to_bits() || (value.is_nan() && wanted.is_nan()));
            prop_assert_eq!(timestamp.map(Timestamp::millis), *time);
            if openmetrics {
                let wanted = (Labels::from_pairs(others), 1.5, time.map(Timestamp::from_millis));
                prop_assert_eq!(exemplar.as_ref(), Some(&wanted));
            }
        }
    }

    #[test]
    fn any_bytes_end_without_panic(body in prop::collection::vec(prop::sample::select(
        b"ab_1.{}\"\\=, \t\n#HELPTYUNIOF\xff\x00eE+-".to_vec()), 0..200)) {
        for format in [Format::Text, Format::OpenMetrics] {
            listing(format, &body);
        }
        let _ = kymo_exposition::strict::check_openmetrics(&body);
    }
}
