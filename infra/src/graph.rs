//! Diagrams of the system: which stack needs which, and which way events and data flow.
//!
//! Both come from what the stacks say: dependencies from their inputs, flows from the programs' declared needs and from
//! rules, mappings and schedules. Nothing is drawn by hand, so a diagram can't be out of date.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use contracts::Region;
use serde_json::{Value as Json, json};

use crate::system::{Place, StackId, StackInstance, System};

/// Boxes in groups, and arrows between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagram {
    /// Boxes by the title of their group.
    groups: BTreeMap<String, BTreeSet<Place>>,
    /// Words of the arrows from one box to another.
    arrows: BTreeMap<(Place, Place), BTreeSet<String>>,
}

/// Which stack comes after which; with a region, only its stacks and those that they come right after.
pub fn stacks(system: &System, region: Option<&Region>) -> Diagram {
    let place = |id: &StackId| Place { kind: "stack", name: id.name.to_owned(), region: Some(id.region.clone()) };
    let mut diagram = Diagram::default();
    for stack in system.stacks.iter().filter(|stack| region.is_none_or(|region| stack.id.region == *region)) {
        diagram.add(place(&stack.id));
        for needed in nearest(system, stack) {
            diagram.connect(place(needed), String::new(), place(&stack.id));
        }
    }
    diagram
}

/// Which way events and data flow; with a region, only what begins there, and what comes to it from no region.
pub fn flows(system: &System, region: Option<&Region>) -> Diagram {
    let mut diagram = Diagram::default();
    for flow in system.stacks.iter().flat_map(|stack| &stack.flows) {
        let begins = flow.from.region.as_ref().or(flow.to.region.as_ref());
        if region.is_none() || begins == region {
            diagram.connect(flow.from.clone(), flow.verb.clone(), flow.to.clone());
        }
    }
    diagram
}

/// The stacks that `stack` depends on and that no other of them depends on already.
fn nearest<'a>(system: &'a System, stack: &'a StackInstance) -> impl Iterator<Item = &'a StackId> {
    let mut implied = BTreeSet::new();
    for needed in &stack.depends_on {
        all_before(system, needed, &mut implied);
    }
    stack.depends_on.iter().filter(move |needed| !implied.contains(*needed))
}

fn all_before<'a>(system: &'a System, id: &StackId, found: &mut BTreeSet<&'a StackId>) {
    let Some(stack) = system.stacks.iter().find(|stack| stack.id == *id) else { return };
    for needed in &stack.depends_on {
        if found.insert(needed) {
            all_before(system, needed, found);
        }
    }
}

impl Diagram {
    fn add(&mut self, place: Place) {
        let group = place.region.as_ref().map_or_else(|| "outside".to_owned(), ToString::to_string);
        self.groups.entry(group).or_default().insert(place);
    }

    fn connect(&mut self, from: Place, words: String, to: Place) {
        self.add(from.clone());
        self.add(to.clone());
        let all = self.arrows.entry((from, to)).or_default();
        if !words.is_empty() {
            all.insert(words);
        }
    }

    /// The diagram in Mermaid's language.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (group, places) in &self.groups {
            write(&mut text, format_args!("  subgraph {} [{group}]\n", identifier(group)));
            for place in places {
                let (open, close) = mermaid_shape(place.kind);
                write(&mut text, format_args!("    {}{open}\"{}\"{close}\n", id_of(place), place.name));
            }
            text.push_str("  end\n");
        }
        for ((from, to), words) in &self.arrows {
            let arrow = if is_for_failures(words) { "-.->" } else { "-->" };
            let words = joined(words);
            let label = if words.is_empty() { String::new() } else { format!("|{words}|") };
            write(&mut text, format_args!("  {} {arrow}{label} {}\n", id_of(from), id_of(to)));
        }
        text
    }

    /// The diagram as data: `nodes` with `id`, `kind`, `name` and `region` (null outside of the regions), and `edges`
    /// with `from`, `to` (ids) and `verbs` (none between stacks).
    pub fn to_json(&self) -> Json {
        let node = |place: &Place| {
            let region = place.region.as_ref().map(Region::as_str);
            json!({"id": id_of(place), "kind": place.kind, "name": place.name, "region": region})
        };
        let edge = |((from, to), verbs): (&(Place, Place), &BTreeSet<String>)| json!({"from": id_of(from), "to": id_of(to), "verbs": verbs});
        let nodes: Vec<Json> = self.groups.values().flatten().map(node).collect();
        let edges: Vec<Json> = self.arrows.iter().map(edge).collect();
        json!({"nodes": nodes, "edges": edges})
    }

    /// The diagram in Graphviz's language.
    pub fn dot(&self) -> String {
        let mut text = "digraph {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
        for (group, places) in &self.groups {
            write(&mut text, format_args!("  subgraph \"cluster_{group}\" {{\n    label=\"{group}\";\n"));
            for place in places {
                let shape = dot_shape(place.kind);
                write(&mut text, format_args!("    {} [label=\"{}\" shape={shape}];\n", id_of(place), place.name));
            }
            text.push_str("  }\n");
        }
        for ((from, to), words) in &self.arrows {
            let style = if is_for_failures(words) { " style=dashed" } else { "" };
            let (from, to, label) = (id_of(from), id_of(to), joined(words));
            write(&mut text, format_args!("  {from} -> {to} [label=\"{label}\"{style}];\n"));
        }
        text.push_str("}\n");
        text
    }
}

fn write(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a text takes everything");
}

fn joined(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Arrows that only failures take are drawn lightly.
fn is_for_failures(words: &BTreeSet<String>) -> bool {
    !words.is_empty() && words.iter().all(|words| words.starts_with("gives up"))
}

/// One word for a box, unique by kind, name and region.
fn id_of(place: &Place) -> String {
    let region = place.region.as_ref().map(Region::as_str).unwrap_or_default();
    identifier(&format!("{} {} {region}", place.kind, place.name))
}

fn identifier(text: &str) -> String {
    let letters = text.trim().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
    letters.collect()
}

fn mermaid_shape(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "table" => ("[(", ")]"),
        "queue" => ("[/", "/]"),
        "event bus" => ("{{", "}}"),
        "topic" | "schedule" | "client" => ("([", "])"),
        "secret" => (">", "]"),
        _ => ("[", "]"),
    }
}

fn dot_shape(kind: &str) -> &'static str {
    match kind {
        "table" => "cylinder",
        "queue" => "parallelogram",
        "event bus" => "hexagon",
        "topic" | "schedule" | "client" => "oval",
        "secret" => "note",
        _ => "box",
    }
}
