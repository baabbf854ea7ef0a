//! Checks that every build of this workspace uses the heavy dependencies with the same features.
//!
//! Cargo unifies features over the packages of one command. Where two commands end up with different features of one
//! dependency, everything above it is compiled twice. `crates/features` evens that out; this says when it no longer does.

use std::collections::BTreeSet;
use std::process::Command;

/// What people and tools build: each must agree with the build of the whole workspace.
const SELECTIONS: [&[&str]; 3] = [
    &["synth"],
    &["authorizer", "event-router", "event-transformer", "health-checker", "stream-processor"],
    &["authorizer", "consumer", "event-router", "event-transformer", "health-checker", "stream-processor"],
];

/// What may have other features in another build. `kube` turns on all of `regex`, for `synth` alone; the one function with
/// patterns keeps to the small part that it needs, and is the only thing above it that is compiled twice.
const MAY_DIFFER: [&str; 3] = ["regex", "regex-automata", "regex-syntax"];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start `cargo`")]
    Start(#[source] std::io::Error),
    #[error("`cargo tree` failed:\n{0}")]
    Tree(String),
    #[error(
        "features differ from those of the whole workspace; add them to `crates/features/Cargo.toml`:\n{}",
        .0.join("\n")
    )]
    Differ(Vec<String>),
}

/// Compares each selection with the whole workspace.
pub(crate) fn check() -> Result<String, Error> {
    // `fuzz` is for tests alone, whose dependencies have features of their own in any case.
    let workspace = resolved(&["--workspace", "--exclude", "fuzz"])?;
    let mut differences = Vec::new();
    for packages in SELECTIONS {
        let arguments: Vec<&str> = packages.iter().flat_map(|package| ["-p", package]).collect();
        let selection = resolved(&arguments)?;
        let differing = selection.difference(&workspace).filter(|line| !may_differ(line));
        differences.extend(differing.map(|line| format!("  {} builds {line}", packages.join(", "))));
    }
    if differences.is_empty() {
        Ok(format!("{} builds agree on the features of {} packages", SELECTIONS.len() + 1, workspace.len()))
    } else {
        Err(Error::Differ(differences))
    }
}

fn may_differ(line: &str) -> bool {
    line.split(' ').next().is_some_and(|package| MAY_DIFFER.contains(&package))
}

/// Each package of a build with its features, one a line.
fn resolved(selection: &[&str]) -> Result<BTreeSet<String>, Error> {
    let format = ["--prefix", "none", "--edges", "normal,build", "--format", "{p} [{f}]"];
    let output =
        Command::new("cargo").args(["tree", "--locked"]).args(selection).args(format).output().map_err(Error::Start)?;
    if !output.status.success() {
        return Err(Error::Tree(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}
