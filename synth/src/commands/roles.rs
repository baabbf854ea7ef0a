//! `synth roles`

use cfn::Declaration;
use clap::Args;
use infra::environment::Environment;
use infra::{Grant, StackInstance};
use serde::Serialize;
use serde_json::Value as Json;

use super::{Checkout, Ended};
use crate::error::Error;
use crate::exit_code;
use crate::ui::{Style, Ui};

/// Show the roles of an environment: who may take them, what they may do, and where each statement comes from
///
/// Statements are derived from what programs declare and from how stacks connect things; each names who needs it and
/// the line that asks for it. Policies of their own stand after the roles of their stack; those that AWS keeps are
/// named.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  synth roles --env production\n  synth roles --role EventRouter --format json")]
pub(crate) struct RolesArgs {
    /// Only roles and policies whose logical id contains this
    #[arg(long, value_name = "TEXT")]
    role: Option<String>,
}

/// A role, or a policy that roles have.
#[derive(Serialize)]
struct RoleShown {
    stack: String,
    role: String,
    /// Name in IAM, where the template gives one.
    name: Option<String>,
    /// The most that the role can do, whatever its policies say: the ARN of a policy.
    boundary: Option<String>,
    attached: Vec<Attached>,
    /// Who may take the role; none for a policy.
    trust: Vec<StatementShown>,
    /// What its own policies say; those that it has besides say theirs where they are declared.
    statements: Vec<StatementShown>,
}

/// A policy that a role has besides its own.
#[derive(Serialize)]
struct Attached {
    arn: String,
    /// Logical id of the policy, where the same template declares it.
    policy: Option<String>,
}

/// A statement as it is in the template; lists that the template leaves out are left out.
#[derive(Serialize)]
struct StatementShown {
    sid: String,
    effect: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    principals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_principals: Vec<String>,
    actions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_actions: Vec<String>,
    resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_resources: Vec<String>,
    conditions: Vec<String>,
    why: Option<String>,
    /// File and line that ask for it.
    location: Option<String>,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &RolesArgs) -> Ended {
    let environment = Checkout::find()?.environment(environments)?;
    let all = roles(&environment);
    let shown = match arguments.role.as_deref() {
        Some(wanted) => chosen(all, wanted)?,
        None => all,
    };
    if ui.is_json() {
        ui.json(&serde_json::json!({ "environment": environment.environment_name(), "roles": shown }));
    } else {
        for role in &shown {
            print(ui, role);
        }
        let statements: usize = shown.iter().map(|role| role.statements.len()).sum();
        ui.answer(&format!("{} roles and policies with {statements} statements", shown.len()));
    }
    Ok(exit_code::DONE)
}

/// Those whose logical id contains `wanted`.
fn chosen(all: Vec<RoleShown>, wanted: &str) -> Result<Vec<RoleShown>, Error> {
    let (shown, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|role| role.role.contains(wanted));
    if !shown.is_empty() {
        return Ok(shown);
    }
    let mut names: Vec<&str> = others.iter().map(|role| role.role.as_str()).collect();
    names.sort_by_key(|name| (distance(&name.to_lowercase(), &wanted.to_lowercase()), *name));
    names.dedup();
    names.truncate(3);
    Err(Error::usage(format!("no role or policy has `{wanted}` in its logical id"))
        .hint(format!("near to it are {}", names.join(", "))))
}

/// How many letters have to be put in, taken out or changed to make one name of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (taken, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = taken + 1;
        for (index, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(*known != letter);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[other.len()]
}

fn roles(environment: &Environment) -> Vec<RoleShown> {
    let stacks = infra::system(environment).stacks;
    stacks.iter().flat_map(|stack| stack.template.resources().filter_map(|resource| shown(stack, resource))).collect()
}

/// The resource, if it is a role or a policy.
fn shown(stack: &StackInstance, resource: &Declaration) -> Option<RoleShown> {
    let properties = resource.properties().as_map();
    let documents: Vec<&Json> = match resource.type_name() {
        "AWS::IAM::Role" => one_or_many(properties.get("Policies")).map(|policy| &policy["PolicyDocument"]).collect(),
        "AWS::IAM::ManagedPolicy" | "AWS::IAM::RolePolicy" => properties.get("PolicyDocument").into_iter().collect(),
        _ => return None,
    };
    let id = resource.logical_id();
    let name = ["RoleName", "ManagedPolicyName", "PolicyName"].iter().find_map(|key| properties.get(*key));
    let of = |document: &&Json| statements(stack, id, document);
    Some(RoleShown {
        stack: stack.id.to_string(),
        role: id.to_owned(),
        name: name.map(text_of),
        boundary: properties.get("PermissionsBoundary").map(text_of),
        attached: one_or_many(properties.get("ManagedPolicyArns")).map(|arn| attached(stack, arn)).collect(),
        trust: properties.get("AssumeRolePolicyDocument").iter().flat_map(of).collect(),
        statements: documents.iter().flat_map(of).collect(),
    })
}

fn attached(stack: &StackInstance, arn: &Json) -> Attached {
    let named = arn.get("Ref").and_then(Json::as_str).filter(|name| stack.template.resource(name).is_some());
    Attached { arn: text_of(arn), policy: named.map(str::to_owned) }
}

fn statements(stack: &StackInstance, role: &str, document: &Json) -> Vec<StatementShown> {
    one_or_many(document.get("Statement"))
        .map(|statement| {
            let sid = statement["Sid"].as_str().unwrap_or_default();
            let grant = stack.grants.iter().find(|Grant { role: of, sid: its, .. }| of == role && its == sid);
            StatementShown {
                sid: sid.to_owned(),
                effect: statement["Effect"].as_str().unwrap_or_default().to_owned(),
                principals: principals(&statement["Principal"]),
                not_principals: principals(&statement["NotPrincipal"]),
                actions: texts(&statement["Action"]),
                not_actions: texts(&statement["NotAction"]),
                resources: texts(&statement["Resource"]),
                not_resources: texts(&statement["NotResource"]),
                conditions: conditions(&statement["Condition"]),
                why: grant.map(|grant| grant.why.clone()).filter(|why| !why.is_empty()),
                location: grant.map(|grant| format!("{}:{}", grant.location.file(), grant.location.line())),
            }
        })
        .collect()
}

/// What IAM takes alone or in a list.
fn one_or_many(json: Option<&Json>) -> impl Iterator<Item = &Json> {
    let items = match json {
        Some(Json::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    items.iter()
}

fn principals(principal: &Json) -> Vec<String> {
    match principal {
        Json::Null => Vec::new(),
        Json::Object(kinds) => kinds.values().flat_map(texts).collect(),
        other => texts(other),
    }
}

fn conditions(condition: &Json) -> Vec<String> {
    let operators = condition.as_object().into_iter().flatten();
    let line = |(operator, keys): (&String, &Json)| {
        let keys = keys.as_object().cloned().unwrap_or_default();
        keys.into_iter()
            .map(|(key, value)| format!("{key} {operator} {}", texts(&value).join(" or ")))
            .collect::<Vec<_>>()
    };
    operators.flat_map(line).collect()
}

/// One text or many.
fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::Null => Vec::new(),
        Json::Array(items) => items.iter().map(text_of).collect(),
        other => vec![text_of(other)],
    }
}

/// A value as people write it: `${Queue.Arn}` instead of the object that CloudFormation wants.
fn text_of(value: &Json) -> String {
    let Json::Object(fields) = value else {
        return value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    };
    match fields.iter().next() {
        Some((function, argument)) if fields.len() == 1 => match (function.as_str(), argument) {
            ("Ref", Json::String(name)) => format!("${{{name}}}"),
            ("Fn::GetAtt", Json::Array(parts)) => {
                format!("${{{}}}", parts.iter().filter_map(Json::as_str).collect::<Vec<_>>().join("."))
            }
            ("Fn::Sub", Json::String(text)) => text.clone(),
            ("Fn::Join", Json::Array(parts)) => {
                let glue = parts.first().and_then(Json::as_str).unwrap_or_default();
                texts(parts.get(1).unwrap_or(&Json::Null)).join(glue)
            }
            _ => value.to_string(),
        },
        _ => value.to_string(),
    }
}

fn print(ui: &Ui, role: &RoleShown) {
    let RoleShown { stack, role: id, name, boundary, attached, trust, statements } = role;
    let name = name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    ui.answer(&ui.paint_answer(Style::Heading, &format!("{stack} {id}{name}")));
    for trust in trust {
        ui.answer(&format!("  taken by {}: {}", who(trust), what(trust)));
        for condition in &trust.conditions {
            ui.answer(&format!("    if {condition}"));
        }
    }
    if let Some(boundary) = boundary {
        ui.answer(&format!("  at most what {boundary} allows"));
    }
    for Attached { arn, policy } in attached {
        match policy {
            Some(policy) => ui.answer(&format!("  has policy {policy} of this stack")),
            None => ui.answer(&format!("  has policy {arn}")),
        }
    }
    for statement in statements {
        ui.answer(&format!("  {}: {}", statement.sid, what(statement)));
        for resource in &statement.resources {
            ui.answer(&format!("    on {resource}"));
        }
        if !statement.not_resources.is_empty() {
            ui.answer(&format!("    on everything but {}", statement.not_resources.join(", ")));
        }
        for condition in &statement.conditions {
            ui.answer(&format!("    if {condition}"));
        }
        let why = statement.why.as_deref().unwrap_or("no reason is written down");
        let location = statement.location.as_ref().map(|location| format!(" ({location})")).unwrap_or_default();
        ui.answer(&ui.paint_answer(Style::Dim, &format!("    because {why}{location}")));
    }
    ui.answer("");
}

/// `allow sts:AssumeRole`, or `deny everything but iam:GetRole`.
fn what(statement: &StatementShown) -> String {
    but(&statement.effect.to_lowercase(), &statement.actions, &statement.not_actions)
}

fn who(statement: &StatementShown) -> String {
    but("", &statement.principals, &statement.not_principals).trim_start().to_owned()
}

fn but(first: &str, those: &[String], not_those: &[String]) -> String {
    let those = those.join(", ");
    if not_those.is_empty() {
        format!("{first} {those}")
    } else {
        format!("{first} {those}everything but {}", not_those.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stack() -> StackInstance {
        let text = include_str!("../../../environments/production.toml");
        let environment = Environment::parse("production.toml", text).expect("a good file");
        infra::system(&environment).stacks.remove(0)
    }

    #[test]
    fn every_form_of_a_statement_is_shown() {
        let document = json!({"Statement": {
            "Sid": "Odd", "Effect": "Deny", "NotPrincipal": {"AWS": "arn:a"}, "NotAction": "iam:GetRole",
            "NotResource": ["arn:b", {"Fn::GetAtt": ["Queue", "Arn"]}], "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }});
        let shown = statements(&stack(), "Odd", &document);
        let [one] = &shown[..] else { panic!("one statement") };
        assert_eq!((one.sid.as_str(), one.effect.as_str()), ("Odd", "Deny"));
        assert_eq!(one.not_principals, ["arn:a"]);
        assert_eq!(one.not_actions, ["iam:GetRole"]);
        assert_eq!(one.not_resources, ["arn:b", "${Queue.Arn}"]);
        assert_eq!(one.conditions, ["aws:SecureTransport Bool false"]);
        assert_eq!(what(one), "deny everything but iam:GetRole");
        assert_eq!(who(one), "everything but arn:a");
    }

    #[test]
    fn what_is_written_wrongly_is_near() {
        for (one, other, expected) in [("", "", 0), ("role", "", 4), ("role", "rule", 1), ("abc", "cab", 2)] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
