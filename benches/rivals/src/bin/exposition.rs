//! Parsing one text exposition: kymo against `prometheus-parse` and `openmetrics-parser`, each asserted to find every sample.
//!
//! `cargo run --profile bench -p kymo-rivals --bin exposition [FILE]`; without a file, a body of 20,000 made-up lines.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kymo_exposition::{Entry, Format, LabelScratch, Parser};

/// Each parser runs until it used this much time.
const BUDGET: Duration = Duration::from_secs(2);

fn main() {
    let body = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path).expect("the file is readable text"),
        None => made_up(),
    };
    let samples = body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    println!("{} bytes, {samples} samples", body.len());
    println!("{:<34} {:>9} {:>10}", "parser", "MB/s", "ns/sample");

    measure("kymo, known series", &body, samples, known_series);
    let mut scratch = LabelScratch::default();
    measure("kymo, new series (labels read)", &body, samples, |body| new_series(body, &mut scratch));
    measure("prometheus-parse 0.2", &body, samples, prometheus_parse);
    measure("openmetrics-parser 0.5", &body, samples, openmetrics_parser);
}

/// Best of the runs within the budget: the quietest one.
fn measure(name: &str, body: &str, samples: usize, mut parse: impl FnMut(&str) -> Option<usize>) {
    let Some(found) = parse(body) else {
        println!("{name:<34} {:>9}", "refused");
        return;
    };
    assert_eq!(found, samples, "{name}");
    let mut best = Duration::MAX;
    let begun = Instant::now();
    while begun.elapsed() < BUDGET {
        let start = Instant::now();
        let found = parse(black_box(body));
        best = best.min(start.elapsed());
        assert_eq!(found, Some(samples), "{name}");
    }
    let rate = body.len() as f64 / best.as_secs_f64() / 1e6;
    println!("{name:<34} {rate:>9.1} {:>10.1}", best.as_nanos() as f64 / samples as f64);
}

fn known_series(body: &str) -> Option<usize> {
    let mut samples = 0;
    for entry in Parser::new(Format::Text, body.as_bytes()) {
        if let Entry::Sample(sample) = entry.ok()? {
            black_box((sample.series(), sample.value));
            samples += 1;
        }
    }
    Some(samples)
}

fn new_series(body: &str, scratch: &mut LabelScratch) -> Option<usize> {
    let mut samples = 0;
    for entry in Parser::new(Format::Text, body.as_bytes()) {
        if let Entry::Sample(sample) = entry.ok()? {
            black_box((sample.labels(scratch).ok()?, sample.value));
            samples += 1;
        }
    }
    Some(samples)
}

/// That crate makes one sample of all lines of a histogram or summary; its parts are counted, `+Inf` and quantiles too.
fn prometheus_parse(body: &str) -> Option<usize> {
    let lines = body.lines().map(|line| Ok(line.to_owned()));
    let scrape = prometheus_parse::Scrape::parse(lines).ok()?;
    let parts = scrape.samples.iter().map(|sample| match &sample.value {
        prometheus_parse::Value::Histogram(buckets) => buckets.len(),
        prometheus_parse::Value::Summary(quantiles) => quantiles.len(),
        _ => 1,
    });
    Some(parts.sum())
}

fn openmetrics_parser(body: &str) -> Option<usize> {
    let set = openmetrics_parser::prometheus::parse_prometheus(body).ok()?;
    Some(set.families.values().map(|family| family.iter_samples().count()).sum())
}

/// Counters and gauges with two to four labels, as node_exporter has them; no histograms, so that all count alike.
fn made_up() -> String {
    let mut body = String::new();
    for family in 0..200 {
        let (kind, name) = match family % 2 {
            0 => ("counter", format!("node_network_receive_bytes_{family}_total")),
            _ => ("gauge", format!("node_filesystem_avail_bytes_{family}")),
        };
        body.push_str(&format!("# HELP {name} A made-up family of metrics.\n# TYPE {name} {kind}\n"));
        for line in 0..100 {
            let value = kymo_model::format_float_g(f64::from(family * 7919 + line * 104_729) / 8.0);
            // One set of label names per family: openmetrics-parser refuses others.
            match family / 2 % 3 {
                0 => body.push_str(&format!("{name}{{device=\"eth{line}\",direction=\"in\"}} {value}\n")),
                1 => body.push_str(&format!(
                    "{name}{{device=\"/dev/sda{line}\",fstype=\"ext4\",mountpoint=\"/srv/data/{line}\"}} {value}\n"
                )),
                _ => body.push_str(&format!(
                    "{name}{{cpu=\"{line}\",mode=\"system\",core=\"{}\",package=\"0\"}} {value}\n",
                    line / 2
                )),
            }
        }
    }
    body
}
