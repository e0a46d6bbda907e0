//! Any bytes as a rule file, as a template and as a unit-test file: no panic, no long run, places inside the file.
#![no_main]

use kymo_model::{Labels, Timestamp};
use kymo_rules::RuleFile;
use kymo_rules::template::{Expansion, PointValue, Template, TemplateLimits};
use kymo_rules::unit_test::{LoadedFile, RunOptions, run};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(faults) = RuleFile::parse(text, "f") {
        for fault in faults {
            assert!(fault.line as usize <= text.lines().count() + 1, "{fault}");
            fault.render();
        }
    }
    expand(text);
    let options = RunOptions { evaluations_max: 20, ..RunOptions::default() };
    let load = |path: &str| Ok(vec![LoadedFile { path: path.to_owned(), text: text.to_owned() }]);
    run(text, "t", &load, &options).to_string();
});

fn expand(text: &str) {
    let limits = TemplateLimits { steps_max: 2_000, bytes_max: 100_000, depth_max: 16, queries_max: 4 };
    let Ok(template) = Template::parse("t", text) else { return };
    let labels = Labels::from_pairs([("job", "node"), ("instance", "localhost:9100")]);
    let expanded = template.expand(&Expansion {
        labels: &labels,
        value: &PointValue::Float(0.5),
        external_labels: &Labels::empty(),
        external_url: "http://localhost:9090/",
        now: Timestamp::from_millis(0),
        query: &|_, _| Ok(Vec::new()),
        limits,
    });
    if let Ok(text) = expanded {
        assert!(text.len() <= limits.bytes_max);
    }
}
