//! Writes src/grammar.rs from src/grammar.lalrpop: `cargo run -p kymo-promql-syntax --example generate_parser`.
//!
//! The result is committed, so that nobody who depends on this crate compiles lalrpop; the test `generated_parser` compares
//! the two.

#[path = "../tests/generator/mod.rs"]
mod generator;

fn main() {
    let path = generator::source_dir().join("grammar.rs");
    let code = generator::generate();
    std::fs::write(&path, code).expect("src/grammar.rs can be written");
    println!("wrote {}", path.display());
}
