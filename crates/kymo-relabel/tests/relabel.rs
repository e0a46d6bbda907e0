//! The eleven actions and their validation, as cases: rules in YAML, labels before, labels after.

use kymo_model::{Labels, NameScheme};
use kymo_relabel::{RelabelConfig, RelabelSpec, Verdict, relabel_labels, relabel_steps};

fn rules(yaml: &str) -> Vec<RelabelConfig> {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{yaml}\n{e}"))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

const INPUT: [(&str, &str); 4] = [("a", "foo"), ("b", "bar"), ("c", "baz"), ("__tmp", "Ab")];

/// `want` is what INPUT becomes, without `__tmp`; `None` when it is dropped.
#[track_caller]
fn check(yaml: &str, want: Option<&[(&str, &str)]>) {
    let got = relabel_labels(&labels(&INPUT), &rules(yaml));
    let got = got.map(|labels| labels.without(|name| name == "__tmp"));
    assert_eq!(got, want.map(labels), "{yaml}");
}

#[test]
fn replace() {
    let abc = |extra: &[(&'static str, &'static str)]| {
        let mut all = vec![("a", "foo"), ("b", "bar"), ("c", "baz")];
        all.extend_from_slice(extra);
        all
    };
    for (yaml, want) in [
        ("[{source_labels: [a], target_label: d}]", abc(&[("d", "foo")])),
        ("[{source_labels: [a, b], target_label: d}]", abc(&[("d", "foo;bar")])),
        ("[{source_labels: [a, b], separator: '', target_label: d}]", abc(&[("d", "foobar")])),
        (
            "[{source_labels: [a], regex: 'f(.*)', replacement: 'x${1}y$1', target_label: d}]",
            abc(&[("d", "xooyoo")]),
        ),
        ("[{source_labels: [a], regex: 'o', target_label: d}]", abc(&[])),
        (
            "[{source_labels: [a], regex: '(f)(?P<n>.*)', replacement: '$n$1', target_label: 'd_${n}'}]",
            abc(&[("d_oo", "oof")]),
        ),
        ("[{replacement: fixed, target_label: d}]", abc(&[("d", "fixed")])),
        ("[{source_labels: [missing], replacement: fixed, target_label: d}]", abc(&[("d", "fixed")])),
        ("[{source_labels: [missing], regex: '(.+)', target_label: a}]", abc(&[])),
        ("[{source_labels: [a], target_label: 'http.d'}]", abc(&[("http.d", "foo")])),
        ("[{source_labels: [a], regex: 'fo(x?)o', target_label: '$1'}]", abc(&[])),
        (
            "[{source_labels: [a], target_label: d}, {source_labels: [d], regex: foo, replacement: z, target_label: e}]",
            abc(&[("d", "foo"), ("e", "z")]),
        ),
    ] {
        check(yaml, Some(&want));
    }
    // An empty result removes the label.
    check("[{replacement: '', target_label: a}]", Some(&[("b", "bar"), ("c", "baz")]));
    check("[{source_labels: [missing], target_label: a}]", Some(&[("b", "bar"), ("c", "baz")]));
}

#[test]
fn keep_and_drop() {
    let all: &[(&str, &str)] = &INPUT[..3];
    for (yaml, want) in [
        ("[{action: keep, source_labels: [a], regex: foo}]", Some(all)),
        ("[{action: keep, source_labels: [a], regex: fo}]", None),
        ("[{action: keep, source_labels: [a, b], regex: 'foo;bar'}]", Some(all)),
        ("[{action: KEEP, source_labels: [missing], regex: ''}]", Some(all)),
        ("[{action: drop, source_labels: [a], regex: foo}]", None),
        ("[{action: drop, source_labels: [a], regex: 'o'}]", Some(all)),
        ("[{action: drop, source_labels: [a], regex: '.*o.*'}]", None),
        ("[{action: keep}]", Some(all)),
        ("[{action: drop}]", None),
        ("[{action: keepequal, source_labels: [a], target_label: b}]", None),
        (
            "[{replacement: foo, target_label: b}, {action: keepequal, source_labels: [a], target_label: b}]",
            Some(&[("a", "foo"), ("b", "foo"), ("c", "baz")]),
        ),
        ("[{action: dropequal, source_labels: [a], target_label: b}]", Some(all)),
        ("[{action: dropequal, source_labels: [a], target_label: a}]", None),
        ("[{action: dropequal, source_labels: [x], target_label: y}]", None),
    ] {
        check(yaml, want);
    }
}

#[test]
fn hash_and_case() {
    // MD5("foo") ends in ed 4c 64 bd e7 d2 0f 45... of acbd18db4cc2f85cedef654fccc4a4d8.
    let last = u64::from_be_bytes([0xed, 0xef, 0x65, 0x4f, 0xcc, 0xc4, 0xa4, 0xd8]);
    let shard = (last % 1000).to_string();
    let want = [("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", shard.as_str())];
    check("[{action: hashmod, source_labels: [a], modulus: 1000, target_label: d}]", Some(&want));
    // The case of Prometheus' own documentation and tests.
    check(
        "[{action: hashmod, source_labels: [c], target_label: d, separator: ';', modulus: 1000}]",
        Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "976")]),
    );
    check(
        "[{action: uppercase, source_labels: [__tmp], target_label: d}, {action: lowercase, source_labels: [__tmp], target_label: e}]",
        Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "AB"), ("e", "ab")]),
    );
}

#[test]
fn names() {
    check(
        "[{action: labelmap, regex: '(a|b)', replacement: 'my_$1'}]",
        Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("my_a", "foo"), ("my_b", "bar")]),
    );
    check("[{action: labelmap, regex: 'x.*'}]", Some(&INPUT[..3]));
    check("[{action: labeldrop, regex: '(a|c)'}]", Some(&[("b", "bar")]));
    check("[{action: labelkeep, regex: '(a|c)'}]", Some(&[("a", "foo"), ("c", "baz")]));
    // A copy is made of what was there before, not of copies.
    check(
        "[{action: labelkeep, regex: a}, {action: labelmap, regex: '(a+)', replacement: 'a$1'}]",
        Some(&[("a", "foo"), ("aa", "foo")]),
    );
}

#[test]
fn steps_show_each_rule() {
    let rules = rules(
        "[{target_label: d, replacement: x}, {action: drop, source_labels: [d]}, {target_label: e, replacement: y}]",
    );
    let steps = relabel_steps(&labels(&INPUT), &rules);
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].output.get("d"), Some("x"));
    assert_eq!((steps[1].verdict, steps[1].output.is_empty()), (Verdict::Drop, true));
}

#[test]
fn refused() {
    for (yaml, want) in [
        (
            "{action: hashmod, source_labels: [a], target_label: d}",
            "relabel configuration for hashmod requires non-zero modulus",
        ),
        (
            "{action: replace, source_labels: [a]}",
            "relabel configuration for replace action requires 'target_label' value",
        ),
        (
            "{action: lowercase, source_labels: [a]}",
            "relabel configuration for lowercase action requires 'target_label' value",
        ),
        (
            "{action: uppercase, source_labels: [a], target_label: d, replacement: x}",
            "'replacement' can not be set for uppercase action",
        ),
        ("{action: labelmap, replacement: ''}", "\"\" is invalid 'replacement' for labelmap action"),
        (
            "{action: keepequal, source_labels: [a], target_label: d, regex: x}",
            "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        (
            "{action: dropequal, source_labels: [a], target_label: d, separator: x}",
            "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        (
            "{action: labeldrop, regex: a, source_labels: [a]}",
            "labeldrop action requires only 'regex', and no other fields",
        ),
        (
            "{action: labelkeep, regex: a, target_label: a}",
            "labelkeep action requires only 'regex', and no other fields",
        ),
        ("{action: rename}", "unknown relabel action \"rename\""),
        ("{target_label: d, regex: '('}", "missing closing )"),
        ("{target_label: d, colour: red}", "unknown field"),
    ] {
        let error = serde_saphyr::from_str::<RelabelConfig>(yaml).unwrap_err().to_string();
        assert!(error.contains(want), "{yaml}: expected {want:?} in {error:?}");
    }
}

#[test]
fn legacy_names_are_stricter() {
    for (target_label, want) in [("a.b", false), ("a_b", true), ("a_${1}", true), ("$1.x", false)] {
        let spec = RelabelSpec { target_label: target_label.to_owned(), ..RelabelSpec::default() };
        assert!(RelabelConfig::compile(spec.clone()).is_ok(), "{target_label}");
        let legacy = RelabelConfig::compile_with(spec, NameScheme::Legacy);
        assert_eq!(legacy.is_ok(), want, "{target_label}");
    }
}

#[test]
fn round_trip_through_yaml() {
    let text = "source_labels: [a, b]\nseparator: '-'\nregex: x(.*)\ntarget_label: d\nreplacement: ''\naction: replace\n";
    let rule: RelabelConfig = serde_saphyr::from_str(text).unwrap();
    let again: RelabelConfig = serde_saphyr::from_str(&serde_saphyr::to_string(&rule).unwrap()).unwrap();
    assert_eq!(rule, again);
    assert_eq!(again.replacement(), "");
}
