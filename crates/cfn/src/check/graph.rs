//! What refers to what: names that lead nowhere, attributes that can't be read, circles.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;

use super::Violation;
use crate::describe::describe;
use crate::intrinsic::{Reference, references};
use crate::template::Template;

const PSEUDO_PARAMETERS: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

pub(super) fn check(template: &Template, found: &mut Vec<Violation>) {
    let types: BTreeMap<&str, &str> =
        template.resources().map(|declaration| (declaration.logical_id(), declaration.type_name())).collect();
    let parameters: BTreeSet<&str> = template.parameters().map(|(name, _)| name).collect();
    let conditions: BTreeSet<&str> = template.conditions().map(|(name, _)| name).collect();
    let mut used_parameters: BTreeSet<String> = BTreeSet::new();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();

    let mut judge = |reference: Reference<'_>| -> Option<(&'static str, String)> {
        match reference {
            Reference::Name(name) if parameters.contains(name) => {
                used_parameters.insert(name.to_owned());
                None
            }
            Reference::Name(name) if types.contains_key(name) || PSEUDO_PARAMETERS.contains(&name) => None,
            Reference::Name(name) | Reference::Attribute(name, _) if !types.contains_key(name) => {
                Some(("dangling", format!("refers to `{name}`, which the template does not have")))
            }
            Reference::Attribute(name, attribute) => {
                let type_name = types[name];
                let readable = describe(type_name)
                    .is_none_or(|description| description.read_only.contains(&&*attribute.replace('.', "/")));
                let message = format!("reads `{attribute}` of `{name}`, which `{type_name}` does not have");
                (!readable).then_some(("attribute", message))
            }
            Reference::Condition(name) => (!conditions.contains(name))
                .then(|| ("dangling", format!("refers to the condition `{name}`, which the template does not have"))),
            Reference::Name(_) => None,
        }
    };

    for declaration in template.resources() {
        let targets = edges.entry(declaration.logical_id()).or_default();
        for (name, value) in declaration.properties().as_map() {
            references(value, &mut |reference| {
                if let Reference::Name(target) | Reference::Attribute(target, _) = reference {
                    targets.extend(types.get_key_value(target).map(|(known, _)| *known));
                }
                if let Some((rule, message)) = judge(reference) {
                    found.push(Violation::new(rule, message).of(declaration).at(name.as_str()));
                }
            });
        }
        for other in declaration.depends_on() {
            match types.get_key_value(other.as_str()) {
                Some((known, _)) => {
                    targets.insert(known);
                }
                None => found.push(
                    Violation::new("dangling", format!("depends on `{other}`, which the template does not have"))
                        .of(declaration),
                ),
            }
        }
        if let Some(name) = declaration.condition()
            && let Some((rule, message)) = judge(Reference::Condition(name))
        {
            found.push(Violation::new(rule, message).of(declaration));
        }
    }
    for (name, output) in template.outputs() {
        report_all(&output, name, template.output_location(name), &mut judge, found);
    }
    for (name, condition) in template.conditions() {
        report_all(condition, name, template.location_of(name), &mut judge, found);
    }
    for name in parameters.iter().filter(|name| !used_parameters.contains(**name)) {
        let violation = Violation::new("unused-parameter", "nothing refers to this parameter").note();
        found.push(match template.location_of(name) {
            Some(location) => violation.of_name(name, location),
            None => violation,
        });
    }
    circles(template, &edges, found);
}

fn report_all(
    json: &serde_json::Value,
    name: &str,
    location: Option<&'static Location<'static>>,
    judge: &mut impl FnMut(Reference<'_>) -> Option<(&'static str, String)>,
    found: &mut Vec<Violation>,
) {
    references(json, &mut |reference| {
        if let Some((rule, message)) = judge(reference) {
            let violation = Violation::new(rule, message);
            found.push(match location {
                Some(location) => violation.of_name(name, location),
                None => violation,
            });
        }
    });
}

/// Reports each circle once, at its resource that comes first by name.
fn circles(template: &Template, edges: &BTreeMap<&str, BTreeSet<&str>>, found: &mut Vec<Violation>) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for &start in edges.keys() {
        // Without recursion: a template may chain 500 resources.
        let mut path: Vec<(&str, Vec<&str>)> = vec![(start, next(edges, start))];
        while let Some((name, rest)) = path.last_mut() {
            let name = *name;
            match rest.pop() {
                None => {
                    done.insert(name);
                    path.pop();
                }
                Some(target) if done.contains(target) => {}
                Some(target) => match path.iter().position(|(on_path, _)| *on_path == target) {
                    None => path.push((target, next(edges, target))),
                    Some(from) => {
                        let mut circle: Vec<&str> = path[from..].iter().map(|(on_path, _)| *on_path).collect();
                        let first = circle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
                        circle.rotate_left(first);
                        let told = format!("needs itself: {} → {}", circle.join(" → "), circle[0]);
                        let violation = Violation::new("circle", told)
                            .hint("take one of the references out into a resource of its own, such as a policy");
                        let at = template.resource(circle[0]);
                        found.push(match at {
                            Some(declaration) => violation.of(declaration),
                            None => violation,
                        });
                    }
                },
            }
        }
    }
}

fn next<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, name: &str) -> Vec<&'a str> {
    edges.get(name).into_iter().flatten().rev().copied().collect()
}
