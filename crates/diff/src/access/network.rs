//! Changes of what can be reached, thing by thing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::direction;
use super::reach::{Peer, Ports, Reach, endpoint, rules};
use crate::model::{AccessChange, Flag, code};
use crate::parameters::Side;
use crate::pieces::{Piece, Resolve, is_intrinsic, is_no_value, pieces, unresolved};
use crate::template::Resource;

/// Changes of reachability between two templates, in order of subject.
pub(crate) fn network(before: Side<'_>, after: Side<'_>) -> Vec<AccessChange> {
    let (old, new) = (collect(before, after), collect(after, before));
    let mut changes = Vec::new();
    let subjects = old.keys().chain(new.keys().filter(|subject| !old.contains_key(*subject)));
    for subject in subjects {
        let (was, is) = (list(&old, subject), list(&new, subject));
        // As sets: what stands twice on one side must not hide what is new on the other.
        if was.iter().all(|reach| is.contains(reach)) && is.iter().all(|reach| was.contains(reach)) {
            continue;
        }
        let beyond = |reaches: &[Reach], others: &[Reach]| -> Vec<Reach> {
            reaches.iter().filter(|reach| !covers(others, reach)).cloned().collect()
        };
        let (gained, lost) = (beyond(is, was), beyond(was, is));
        let flags = if gained.iter().any(Reach::is_world) { vec![Flag::OpenToWorld] } else { Vec::new() };
        changes.push(AccessChange {
            subject: subject.clone(),
            direction: direction(!gained.is_empty(), !lost.is_empty()),
            gained: gained.iter().map(|reach| format!("opens {reach}")).collect(),
            lost: lost.iter().map(|reach| format!("closes {reach}")).collect(),
            flags,
        });
    }
    changes.sort_by(|left, right| left.subject.cmp(&right.subject));
    changes
}

/// Whether one way covers it, or all addresses of both families do.
fn covers(reaches: &[Reach], reach: &Reach) -> bool {
    let everywhere = |all: &str| {
        let all = Reach { peer: Peer::addresses(all), ..reach.clone() };
        reaches.iter().any(|reach| reach.covers(&all))
    };
    reaches.iter().any(|one| one.covers(reach))
        || (matches!(reach.peer, Peer::Opaque(_)) && everywhere("0.0.0.0/0") && everywhere("::/0"))
}

type Reaches = BTreeMap<String, Vec<Reach>>;

fn list<'a>(reaches: &'a Reaches, subject: &str) -> &'a [Reach] {
    reaches.get(subject).map_or(&[], Vec::as_slice)
}

fn collect(side: Side<'_>, other: Side<'_>) -> Reaches {
    let mut reaches = Reaches::new();
    let Some(template) = side.template else { return reaches };
    let resolve = |name: &str| side.shown_value(name, other);
    for (id, resource) in template.resources() {
        let condition = resource.attribute("Condition").and_then(Value::as_str);
        let decided = condition.map(|name| (name, side.condition(name)));
        let condition = decided.and_then(|(name, holds)| holds.is_none().then_some(name));
        if !matches!(decided, Some((_, Some(false)))) {
            of_resource(id, resource, condition, &resolve, &mut reaches);
        }
    }
    reaches
}

fn of_resource(id: &str, resource: Resource<'_>, condition: Option<&str>, resolve: Resolve<'_>, reaches: &mut Reaches) {
    let mut add = |what: &str, name: &str, mut found: Vec<Reach>| {
        found.iter_mut().for_each(|reach| reach.condition = condition.map(str::to_owned));
        if !found.is_empty() {
            reaches.entry(format!("{what} {}", code(name))).or_default().extend(found);
        }
    };
    match resource.type_name() {
        "AWS::EC2::SecurityGroup" => {
            let inline = |property: &str, kind| {
                resource.at(property).map(|value| {
                    // What isn't a list is one rule, or can't be read.
                    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    let items = items.iter().filter(|rule| !is_no_value(rule));
                    items.flat_map(|rule| rules(kind, rule, resolve)).collect::<Vec<_>>()
                })
            };
            add("security group", id, inline("SecurityGroupIngress", "ingress").unwrap_or_default());
            // Without a rule of its own a group lets everything out.
            let egress = inline("SecurityGroupEgress", "egress").unwrap_or_else(|| {
                ["0.0.0.0/0", "::/0"]
                    .map(|all| Reach {
                        kind: "egress",
                        protocol: None,
                        ports: Ports::All,
                        peer: Peer::addresses(all),
                        condition: None,
                    })
                    .to_vec()
            });
            add("security group", id, egress);
        }
        "AWS::EC2::SecurityGroupIngress" | "AWS::EC2::SecurityGroupEgress" => {
            let kind = if resource.type_name().ends_with("Ingress") { "ingress" } else { "egress" };
            let group = resource.at("GroupId").map_or_else(|| id.to_owned(), target);
            let rule = Value::Object(resource.properties().clone());
            add("security group", &group, rules(kind, &rule, resolve));
        }
        "AWS::EKS::Cluster" => add("cluster", id, endpoint(resource, resolve)),
        "AWS::EC2::Subnet" => {
            let setting = resource.at("MapPublicIpOnLaunch").unwrap_or(&Value::Bool(false));
            let found = Reach::opened_by("public addresses", setting, |text| text == "true", resolve);
            add("subnet", id, found.into_iter().collect());
        }
        "AWS::ApiGatewayV2::Route" | "AWS::ApiGateway::Method" | "AWS::Lambda::Url" => {
            let (what, property) = match resource.type_name() {
                "AWS::ApiGatewayV2::Route" => ("route", "AuthorizationType"),
                "AWS::ApiGateway::Method" => ("method", "AuthorizationType"),
                _ => ("function URL", "AuthType"),
            };
            let none = Value::from("NONE");
            let setting = resource.at(property).unwrap_or(&none);
            let found = Reach::opened_by("calls without an authorizer", setting, |text| text == "NONE", resolve);
            add(what, id, found.into_iter().collect());
        }
        "AWS::S3::Bucket" => {
            const BLOCKS: [(&str, &str); 4] = [
                ("BlockPublicAcls", "setting public ACLs"),
                ("BlockPublicPolicy", "setting public policies"),
                ("IgnorePublicAcls", "access by public ACLs"),
                ("RestrictPublicBuckets", "access by public policies"),
            ];
            // AWS blocks a new bucket by itself, but to take the settings away opens one that is there.
            let settings = resource.at("PublicAccessBlockConfiguration").unwrap_or(&Value::Null);
            let found = BLOCKS.iter().filter_map(|(name, kind)| {
                let setting = if is_intrinsic(settings) { Some(settings) } else { settings.get(name) };
                let setting = setting.unwrap_or(&Value::Bool(false));
                Reach::opened_by(kind, setting, |text| text != "true", resolve)
            });
            add("bucket", id, found.collect());
        }
        _ => {}
    }
}

/// The group that a rule belongs to.
fn target(value: &Value) -> String {
    match pieces(value, &unresolved).as_slice() {
        [Piece::Reference(target, _)] => (*target).to_owned(),
        [Piece::Literal(text)] => text.to_string(),
        _ => value.to_string(),
    }
}
