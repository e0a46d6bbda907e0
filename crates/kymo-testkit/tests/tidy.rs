//! Tidy: the rules of the house that a machine can check, over the whole workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// File names that say nothing about what is inside.
const BANNED_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];

/// What may lie at the top level, besides dot files.
const TOP_LEVEL: [&str; 14] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates",
    "benches",
    "fuzz",
    "examples",
    "docs",
    "README.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "rustfmt.toml",
    "target",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is two folders up")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    let mut files = Vec::new();
    for folder in ["crates", "benches", "fuzz", "examples"] {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "expected the workspace, found {} files", files.len());
    let mut faults = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("source files are UTF-8");
        let generated = text.starts_with("// @generated") || text.starts_with("// auto-generated");
        if !generated && !text.starts_with("//! ") {
            faults.push(format!("{}: expected `//! …` as first line", path.display()));
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        if BANNED_NAMES.contains(&stem) {
            faults.push(format!("{}: a name that says nothing", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn top_level_is_as_agreed() {
    let allowed: BTreeSet<&str> = TOP_LEVEL.into();
    for entry in fs::read_dir(root()).expect("root") {
        let name = entry.expect("entry").file_name().into_string().expect("UTF-8");
        // A server started from here leaves its data behind; git ignores it.
        let known = name.starts_with('.') || name == "data" || allowed.contains(name.as_str());
        assert!(known, "{name} at the top level: expected one of {allowed:?}");
    }
}

/// `name -> dependencies` of every crate below `crates`, from the manifests.
fn graph_of_manifests() -> BTreeMap<String, BTreeSet<String>> {
    let mut graph = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).expect("crates") {
        let path = entry.expect("entry").path();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).expect("manifest");
        let mut inside = false;
        let mut needs = BTreeSet::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                inside = line.trim() == "[dependencies]";
            } else if inside && line.starts_with("kymo-") {
                let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
                needs.insert(line[..end].to_owned());
            }
        }
        let name = path.file_name().and_then(|name| name.to_str()).expect("crate name").to_owned();
        graph.insert(name, needs);
    }
    graph
}

/// The same from the drawing in docs/architecture.md: lines `name -> a, b` in the block after "The crate graph".
fn graph_of_the_drawing() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let block = text.split("## The crate graph").nth(1).expect("a section `The crate graph`");
    let block = block.split("```").nth(1).expect("a block in it");
    block
        .lines()
        .filter_map(|line| line.split_once("->"))
        .map(|(name, needs)| {
            let needs = needs.split(',').map(|need| need.trim().to_owned()).filter(|need| !need.is_empty());
            (name.trim().to_owned(), needs.collect())
        })
        .collect()
}

#[test]
fn the_drawing_is_the_graph() {
    let (drawn, real) = (graph_of_the_drawing(), graph_of_manifests());
    for (name, needs) in &real {
        assert_eq!(
            drawn.get(name),
            Some(needs),
            "{name}: docs/architecture.md (left) and its Cargo.toml (right)"
        );
    }
    assert_eq!(drawn.len(), real.len(), "docs/architecture.md draws crates that are not there");
}

#[test]
fn edges_point_down() {
    let layers = [
        vec!["kymo-model"],
        vec!["kymo-exposition", "kymo-chunk", "kymo-promql-syntax", "kymo-relabel"],
        vec!["kymo-tsdb", "kymo-promql", "kymo-remote"],
        vec!["kymo-rules", "kymo-promqltest", "kymo-scrape", "kymo-testkit"],
        vec!["kymo-http"],
        vec!["kymo"],
    ];
    let layer_of = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    for (name, needs) in graph_of_manifests() {
        let own = layer_of(&name).unwrap_or_else(|| panic!("{name} has no layer"));
        for need in needs {
            assert!(layer_of(&need).is_some_and(|layer| layer < own), "{name} -> {need} does not point down");
        }
    }
}

#[test]
fn pure_crates_stay_free_of_the_runtime() {
    let edge = ["kymo-scrape", "kymo-http", "kymo"];
    for entry in fs::read_dir(root().join("crates")).expect("crates") {
        let path = entry.expect("entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("crate name").to_owned();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).expect("manifest");
        let uses =
            ["tokio", "hyper", "axum"].iter().any(|dep| manifest.lines().any(|line| line.starts_with(dep)));
        assert!(
            edge.contains(&name.as_str()) || !uses,
            "{name} is pure and must not depend on tokio, hyper or axum"
        );
    }
}
