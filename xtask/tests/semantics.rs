//! `docs/semantics.md` names tests that are there.

use std::collections::BTreeSet;
use std::path::Path;

/// Paths of tests in a page: what stands in backticks and has two colons, without anything that is no name.
fn named(page: &str) -> BTreeSet<&str> {
    let is_path = |text: &&str| {
        text.contains("::")
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:".contains(&byte))
    };
    page.split('`').skip(1).step_by(2).filter(is_path).collect()
}

/// The text of all Rust files in a folder and those below.
fn sources(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&std::fs::read_to_string(&path).expect("a readable file"));
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let page = std::fs::read_to_string(root.join("docs/semantics.md")).expect("the page");
    let mut text = String::new();
    for folder in ["crates", "functions", "consumer", "infra", "synth"] {
        sources(&root.join(folder), &mut text);
    }
    let tests = named(&page);
    assert!(tests.len() > 30, "{tests:?}");
    let missing: Vec<&&str> = tests
        .iter()
        .filter(|test| {
            let name = test.rsplit("::").next().expect("a last part");
            !text.contains(&format!("fn {name}("))
        })
        .collect();
    assert!(missing.is_empty(), "docs/semantics.md names tests that aren't there: {missing:#?}");
}

#[test]
fn names_are_told_from_other_words() {
    let page = "say `a::b_1` and `A::b`, `a::{b,c}`, `a`, `x::*::y`, then `c::d`.";
    assert_eq!(named(page), ["a::b_1", "c::d"].into());
}
