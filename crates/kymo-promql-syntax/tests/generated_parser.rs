//! The committed parser is the one that the grammar gives.

mod generator;

#[test]
fn committed_parser_is_fresh() {
    let committed = std::fs::read_to_string(generator::source_dir().join("grammar.rs")).unwrap();
    assert!(
        committed == generator::generate(),
        "src/grammar.rs is not what src/grammar.lalrpop gives; run \
         `cargo run -p kymo-promql-syntax --example generate_parser`"
    );
}
