//! Diagrams hold what the stacks say, all of it.

use std::collections::BTreeSet;

use contracts::Region;
use infra::environment::Environment;
use infra::{Place, System, graph, system};
use serde_json::Value as Json;

const ENVIRONMENTS: [(&str, &str); 3] = [
    ("sandbox", include_str!("../../environments/sandbox.toml")),
    ("staging", include_str!("../../environments/staging.toml")),
    ("production", include_str!("../../environments/production.toml")),
];

fn systems() -> impl Iterator<Item = (&'static str, System)> {
    ENVIRONMENTS.into_iter().map(|(name, text)| {
        let environment = Environment::parse(&format!("environments/{name}.toml"), text).expect("a good file");
        (name, system(&environment))
    })
}

/// A node's place, as text.
fn named(node: &Json) -> String {
    format!("{} {} {}", node["kind"], node["name"], node["region"])
}

fn place(place: &Place) -> String {
    let region = place.region.as_ref().map(Region::as_str);
    format!("{} {} {}", Json::from(place.kind), Json::from(place.name.as_str()), Json::from(region))
}

fn node<'a>(diagram: &'a Json, id: &Json) -> &'a Json {
    let nodes = diagram["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["id"] == *id).unwrap_or_else(|| panic!("{id} is a node"))
}

/// Each edge as places and verb.
fn edges(diagram: &Json) -> BTreeSet<(String, String, String)> {
    let edges = diagram["edges"].as_array().expect("edges").iter();
    let all = edges.flat_map(|edge| {
        let (from, to) = (named(node(diagram, &edge["from"])), named(node(diagram, &edge["to"])));
        let verbs = edge["verbs"].as_array().expect("verbs").clone();
        verbs.into_iter().map(move |verb| (from.clone(), verb.as_str().expect("a verb").to_owned(), to.clone()))
    });
    all.collect()
}

#[test]
fn every_flow_is_drawn_once_and_nothing_else() {
    for (name, system) in systems() {
        let diagram = graph::flows(&system, None);
        let flows = system.stacks.iter().flat_map(|stack| &stack.flows);
        let expected: BTreeSet<_> = flows.map(|flow| (place(&flow.from), flow.verb.clone(), place(&flow.to))).collect();
        assert!(expected.len() > 20, "{name}: {} flows", expected.len());
        assert_eq!(edges(&diagram.to_json()), expected, "{name}");

        let arrows = diagram.to_json()["edges"].as_array().map_or(0, Vec::len);
        let nodes = diagram.to_json()["nodes"].as_array().map_or(0, Vec::len);
        let (mermaid, dot) = (diagram.mermaid(), diagram.dot());
        let lines = |text: &str, parts: &[&str]| {
            text.lines().filter(|line| parts.iter().any(|part| line.contains(part))).count()
        };
        assert_eq!(lines(&mermaid, &[" --> ", " -->|", " -.->|"]), arrows, "{name}: {mermaid}");
        assert_eq!(lines(&dot, &[" -> "]), arrows, "{name}: {dot}");
        assert_eq!(lines(&dot, &[" shape="]), nodes, "{name}: {dot}");
    }
}

/// A region's diagram begins there, and both together are the whole.
#[test]
fn a_regions_diagram_begins_there() {
    for (name, system) in systems() {
        let whole = edges(&graph::flows(&system, None).to_json());
        let mut together = BTreeSet::new();
        for region in ["us-west-2", "us-east-1"] {
            let region: Region = region.parse().expect("a region");
            let diagram = graph::flows(&system, Some(&region)).to_json();
            for edge in diagram["edges"].as_array().expect("edges") {
                let from = &node(&diagram, &edge["from"])["region"];
                let to = &node(&diagram, &edge["to"])["region"];
                let begins = if from.is_null() { to } else { from };
                assert!(begins.is_null() || *begins == region.as_str(), "{name} {region}: {edge}");
            }
            together.extend(edges(&diagram));
        }
        let outside = |edge: &&(String, String, String)| edge.0.ends_with("null") && edge.2.ends_with("null");
        assert_eq!(whole.iter().filter(|edge| !outside(edge)).cloned().collect::<BTreeSet<_>>(), together, "{name}");
    }
}

/// Arrows between stacks stand for all dependencies: those that aren't drawn follow from others.
#[test]
fn every_dependency_follows_from_the_arrows() {
    for (name, system) in systems() {
        let diagram = graph::stacks(&system, None).to_json();
        let arrows: BTreeSet<(String, String)> = diagram["edges"]
            .as_array()
            .expect("edges")
            .iter()
            .map(|edge| {
                let place = |id: &Json| {
                    let node = node(&diagram, id);
                    format!("{}@{}", node["name"].as_str().unwrap(), node["region"].as_str().unwrap())
                };
                (place(&edge["from"]), place(&edge["to"]))
            })
            .collect();
        assert_eq!(diagram["nodes"].as_array().map_or(0, Vec::len), system.stacks.len(), "{name}");
        for stack in &system.stacks {
            let mut before = BTreeSet::from([stack.id.to_string()]);
            loop {
                let more = arrows.iter().filter(|(_, to)| before.contains(to)).map(|(from, _)| from.clone());
                let more: BTreeSet<String> = more.filter(|from| !before.contains(from)).collect();
                if more.is_empty() {
                    break;
                }
                before.extend(more);
            }
            for needed in &stack.depends_on {
                assert!(before.contains(&needed.to_string()), "{name}: {} after {needed}", stack.id);
            }
        }
    }
}
