//! The OpenMetrics project's parser cases: `strict` judges each as its test.json says. Skips without `KYMO_CORPORA`.

use std::path::PathBuf;

use kymo_exposition::strict::check_openmetrics;
use kymo_exposition::{Entry, Format, LabelScratch, Parser};

fn corpora(folder: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("KYMO_CORPORA") else {
        println!("skipped: KYMO_CORPORA is not set");
        return None;
    };
    Some(PathBuf::from(root).join(folder))
}

#[test]
fn cases_are_judged_as_they_say() {
    let Some(root) = corpora("openmetrics") else { return };
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let (Ok(body), Ok(test)) =
            (std::fs::read(folder.join("metrics")), std::fs::read_to_string(folder.join("test.json")))
        else {
            continue;
        };
        cases += 1;
        let should_parse = test.replace(' ', "").contains("\"shouldParse\":true");
        let judged = check_openmetrics(&body);
        if judged.is_ok() != should_parse {
            wrong.push(format!("{}: {judged:?}", folder.display()));
        }
        // What the specification allows, the lenient parser reads too.
        if should_parse {
            let samples = read(Format::OpenMetrics, &body);
            assert_eq!(samples, judged.unwrap().samples, "{}", folder.display());
        }
    }
    assert!(cases > 0, "no cases found");
    assert!(wrong.is_empty(), "{} of {cases} cases judged wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn real_exposition_reads_whole() {
    let Some(root) = corpora("exposition") else { return };
    let mut bodies = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let body = std::fs::read(entry.unwrap().path()).unwrap();
        let lines = body.split(|&b| b == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
        assert_eq!(read(Format::Text, &body), lines);
        bodies += 1;
    }
    assert!(bodies > 0, "no bodies found");
}

fn read(format: Format, body: &[u8]) -> usize {
    let mut scratch = LabelScratch::default();
    let mut samples = 0;
    for entry in Parser::new(format, body) {
        if let Entry::Sample(sample) = entry.unwrap() {
            let labels = sample.labels(&mut scratch).unwrap();
            assert!(labels.metric_name().is_some());
            samples += 1;
        }
    }
    samples
}
