//! A scrape, parsed: what a target says, line by line, without a copy per sample.

use kymo::exposition::{Entry, Format, LabelScratch, Parser};

const BODY: &str = r#"# HELP http_requests_total Requests so far.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/"} 1027
http_requests_total{code="500",path="/"} 3
# TYPE temperature_celsius gauge
temperature_celsius -1.5e1
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut scratch = LabelScratch::default();
    for entry in Parser::new(Format::Text, BODY.as_bytes()) {
        match entry? {
            Entry::Type(family) => println!("family of type {}", family.metric_type),
            Entry::Help(help) => println!("help: {}", help.text.unescape()),
            Entry::Sample(sample) => {
                // The raw bytes are what a scrape loop keys its cache by; labels are parsed only for a new series.
                println!(
                    "{} bytes of key, {} = {}",
                    sample.series().len(),
                    sample.labels(&mut scratch)?,
                    sample.value
                );
            }
            _ => {}
        }
    }
    let broken = b"ok 1\nhttp_requests_total{code=\"200\" 1\n";
    let error = Parser::new(Format::Text, broken).find_map(Result::err).ok_or("the second line is broken")?;
    println!("and a mistake: {error}");
    Ok(())
}
