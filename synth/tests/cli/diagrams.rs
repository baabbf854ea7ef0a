//! `graph`: the diagrams, and the one in the README.

use std::fs;

use super::run::{root, synth};

/// The command that the diagram in the README comes from.
const COMMAND: &str = "graph --env sandbox --region us-west-2";

#[test]
fn the_readme_shows_what_flows() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a file");
    let (_, rest) = readme.split_once("<!-- graph -->\n").expect("the README has a line `<!-- graph -->`");
    let (block, _) = rest.split_once("<!-- /graph -->").expect("the README has a line `<!-- /graph -->`");
    let expected = format!("```mermaid\n{}```\n", synth(COMMAND).out);
    assert!(
        block == expected,
        "the diagram between `<!-- graph -->` and `<!-- /graph -->` in README.md is old: put the output of \
         `cargo run -p synth -- {COMMAND}` there, as a block of `mermaid`"
    );
}

#[test]
fn json_has_nodes_and_edges() {
    for line in ["graph", "graph stacks --env production", "graph --as dot --region us-east-1"] {
        let answer = synth(&format!("{line} --format json")).json();
        let nodes = answer["nodes"].as_array().expect("nodes");
        let edges = answer["edges"].as_array().expect("edges");
        assert!(nodes.len() > 10 && edges.len() > 10, "{line}: {answer:#}");
        for edge in edges {
            for end in ["from", "to"] {
                assert!(nodes.iter().any(|node| node["id"] == edge[end]), "{line}: {edge}");
            }
        }
        assert!(answer["environment"].is_string(), "{line}");
    }
}

#[test]
fn both_languages_begin_as_they_must() {
    assert!(synth("graph").out.starts_with("flowchart LR\n  subgraph "));
    let dot = synth("graph stacks --as dot").out;
    assert!(dot.starts_with("digraph {\n") && dot.ends_with("}\n"), "{dot}");
}

#[test]
fn an_unknown_region_names_the_known_ones() {
    let ended = synth("graph --region eu-west-1");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert_eq!(
        ended.err,
        "usage error: `eu-west-1` is no region of `sandbox`\n  hint: its regions are us-west-2, us-east-1\n"
    );
}
