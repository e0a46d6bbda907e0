//! Any bytes: no panic in parser, strict judge and lint; what parses is printed and parses to the same; strict accepts no more.
#![no_main]

use kymo_exposition::{Encoder, Entry, Format, LabelScratch, Options, Parser, lint, strict};
use kymo_model::{Labels, Timestamp};

type Read = Vec<(Labels, u64, Option<Timestamp>)>;

fn read(format: Format, body: &[u8]) -> Option<Read> {
    let mut scratch = LabelScratch::default();
    let mut out = Vec::new();
    for entry in Parser::with_options(format, body, Options { keep_bounds: true }) {
        if let Entry::Sample(sample) = entry.ok()? {
            if let Some(exemplar) = sample.exemplar {
                exemplar.labels(&mut scratch).ok()?;
            }
            out.push((sample.labels(&mut scratch).ok()?, sample.value.to_bits(), sample.timestamp));
        }
    }
    Some(out)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = lint::lint_text(data);
    for format in [Format::Text, Format::OpenMetrics] {
        let first = read(format, data);
        if format == Format::OpenMetrics && strict::check_openmetrics(data).is_ok() {
            assert!(first.is_some(), "strict accepts what the parser refuses");
        }
        let Some(first) = first else { continue };
        let mut encoder = Encoder::new(format);
        for (labels, bits, timestamp) in &first {
            // Timestamps past what a float of seconds holds exactly are not written back exactly.
            if timestamp.is_some_and(|t| format == Format::OpenMetrics && t.millis().unsigned_abs() > 1 << 50)
            {
                return;
            }
            assert!(encoder.series(labels, f64::from_bits(*bits), *timestamp));
        }
        let printed = encoder.finish();
        let second = read(format, printed.as_bytes());
        assert_eq!(second.as_ref(), Some(&first), "{printed}");
    }
});
