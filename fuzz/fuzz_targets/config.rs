//! Any bytes as prometheus.yml: no panic; what is read is shown, and what is shown is read again to the same.
#![no_main]

use kymo_scrape::config::Config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = |text: &str| Config::parse_with(text, "p.yml", &|_| None);
    match read(text) {
        Ok(config) => {
            let shown = config.to_yaml();
            let again = read(&shown).unwrap_or_else(|e| panic!("{shown}\n{e}"));
            assert_eq!(again.to_yaml(), shown);
        }
        Err(error) => drop(error.to_string()),
    }
});
