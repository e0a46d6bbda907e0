//! Runs lalrpop over the grammar. Shared by the example that writes src/grammar.rs and the test that compares it.

use std::path::{Path, PathBuf};

/// Where grammar.lalrpop and grammar.rs stand.
pub(crate) fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The parser that grammar.lalrpop gives, with the opening comment of a file of this project.
pub(crate) fn generate() -> String {
    let out = std::env::temp_dir().join(format!("kymo-promql-grammar-{}", std::process::id()));
    lalrpop::Configuration::new()
        .set_out_dir(&out)
        .emit_rerun_directives(false)
        .force_build(true)
        .process_file(source_dir().join("grammar.lalrpop"))
        .expect("the grammar is free of conflicts");
    let name = walk(&out).expect("lalrpop wrote a file");
    let code = std::fs::read_to_string(name).expect("the file can be read");
    let _ = std::fs::remove_dir_all(&out);
    // The hash of the grammar in the second line keeps; the version in the first would differ with each lalrpop.
    let body = code.split_once('\n').map_or("", |(_, rest)| rest);
    format!(
        "//! The parser, generated from grammar.lalrpop; never edited by hand.\n\
         //!\n\
         //! Longer than 500 lines because it is a table of states: `cargo run -p kymo-promql-syntax --example generate_parser`\n\
         //! writes it, and the test `generated_parser` compares it with a fresh one.\n{body}"
    )
}

fn walk(dir: &Path) -> Option<PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = walk(&path) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|name| name == "grammar.rs") {
            return Some(path);
        }
    }
    None
}
