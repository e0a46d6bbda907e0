//! What the steady state of a scrape costs, parsing included and the store left out:
//! `cargo run --release -p kymo-scrape --example pass_cost [PASSES]`.

use std::num::NonZeroU64;
use std::time::Instant;

use kymo_exposition::Format;
use kymo_model::{Appended, Labels, SeriesHandle, Timestamp};
use kymo_scrape::{Report, SampleRules, ScrapeCache};

const SERIES: usize = 100_000;

fn main() {
    let passes: i64 = std::env::args().nth(1).map_or(20, |text| text.parse().expect("a number of passes"));
    let mut body = String::new();
    for n in 0..SERIES {
        let (handler, code) = (n % 97, 200 + n % 7);
        body.push_str(&format!(
            "http_request_duration_seconds_bucket{{handler=\"/api/v1/{handler}\",code=\"{code}\",le=\"{n}\"}} {n}\n"
        ));
    }
    let target = Labels::from_pairs([("job", "api"), ("instance", "127.0.0.1:8080")]);
    let mut cache = ScrapeCache::new(target, SampleRules::default());
    let mut pass = |now: i64| {
        let now = Timestamp::from_millis(now);
        let started = Instant::now();
        cache.scrape(Format::Text, body.as_bytes(), now).expect("the body is well formed");
        cache.report(now, &Report { up: true, ..Report::default() });
        let rows = cache.batch().len();
        assert_eq!(rows, SERIES + 5);
        let handle = |row: usize| SeriesHandle::new(NonZeroU64::new(row as u64 + 1).expect("counted from 1"));
        let handles =
            if now.millis() == 0 { (0..rows).map(|row| (row, handle(row))).collect() } else { Vec::new() };
        cache.applied(&Appended { appended: rows, handles, ..Appended::default() });
        started.elapsed().as_secs_f64()
    };
    let first = pass(0);
    let steady = (1..=passes).map(&mut pass).fold(f64::INFINITY, f64::min);
    let per_sample = |seconds: f64| seconds * 1e9 / SERIES as f64;
    println!(
        "first pass {:.0} ns/sample, steady state {:.0} ns/sample",
        per_sample(first),
        per_sample(steady)
    );
}
