//! Any bytes as a query or series description: no panic, errors inside the text, and what is printed parses to the same.
#![no_main]

use kymo_promql_syntax::{ParseOptions, Parser, completion, series};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let parser = Parser::new(ParseOptions::everything());
    let text = String::from_utf8_lossy(bytes);
    match parser.parse_bytes(bytes) {
        Ok(expr) => {
            let printed = expr.to_string();
            let again = parser.parse(&printed).expect("what is printed parses");
            assert_eq!(again.to_string(), printed);
            let pretty = parser.parse(&expr.pretty()).expect("what is printed on several lines parses");
            assert_eq!(pretty.to_string(), printed);
        }
        Err(e) => {
            for other in parser.parse_all(&text).err().into_iter().flatten() {
                other.render(&text);
            }
            assert!(e.span.start <= e.span.end && e.span.end as usize <= bytes.len());
            e.render(&text);
        }
    }
    let hints = completion(&text, bytes.first().map_or(0, |cursor| usize::from(*cursor)));
    assert!(text.get(hints.replace.start as usize..hints.replace.end as usize).is_some());
    hints.words();
    if let Err(e) = series::parse_series_description(&text) {
        e.render(&text);
    }
});
