//! Any text is a pattern or an error; what is accepted compiles; literal plans and automaton agree.
#![no_main]

use kymo_model::Regex;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(data) = std::str::from_utf8(data) else { return };
    // The first line is the pattern, each further one a text.
    let mut lines = data.split('\n');
    let pattern = lines.next().unwrap_or("");
    if let Ok(searching) = Regex::unanchored(pattern) {
        searching.replace_all(data, "$1$name");
    }
    let Ok(regex) = Regex::new(pattern) else { return };
    // An unanchored regex is matched by the automaton. An open `\Q` would swallow the anchor.
    let automaton =
        Regex::unanchored(&format!(r"\A(?s:{pattern})\z")).ok().filter(|_| !pattern.contains(r"\Q"));
    let set = regex.set_matches().unwrap_or_default().iter().take(100).map(String::as_str);
    for text in lines.chain(set).chain([data, pattern, ""]) {
        let matched = regex.is_match(text);
        if let Some(automaton) = &automaton {
            assert_eq!(matched, automaton.is_match(text), "{pattern:?} on {text:?}");
        }
        let mut out = String::new();
        assert_eq!(matched, regex.expand(text, "$0", &mut out));
        assert!(!matched || out == text);
        assert!(!matched || text.starts_with(regex.required_prefix().unwrap_or("")));
    }
});
