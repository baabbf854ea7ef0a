//! `roles`: what the templates say about permissions, all of it.

use std::fs;

use serde_json::{Value, json};

use super::run::{checkout, synth, synth_in};

/// One value or a list of them.
fn many(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

/// Effect, id and actions of each statement of some documents.
fn in_template(documents: &[Value]) -> Vec<Value> {
    let statements = documents.iter().flat_map(|document| many(&document["Statement"]));
    let lines = statements.map(|one| json!([one["Effect"], one["Sid"], many(&one["Action"])]));
    lines.collect()
}

fn in_answer(statements: &Value) -> Vec<Value> {
    many(statements).iter().map(|one| json!([one["effect"], one["sid"], one["actions"]])).collect()
}

/// Nothing that a template says about permissions is left out.
#[test]
fn everything_in_the_templates_is_in_the_answer() {
    for environment in ["sandbox", "staging", "production"] {
        let checkout = checkout();
        let written = synth_in(checkout.path(), &format!("synth --env {environment} --format json")).json();
        let answer = synth_in(checkout.path(), &format!("roles --env {environment} --format json")).json();
        let mut expected = 0;
        for template in written["environments"][0]["templates"].as_array().expect("templates") {
            let path = checkout.path().join("synth.out").join(template["file"].as_str().expect("a path"));
            let document: Value = serde_json::from_str(&fs::read_to_string(path).expect("a template")).expect("JSON");
            let stack = format!("{}@{}", template["stack"].as_str().unwrap(), template["region"].as_str().unwrap());
            for (id, resource) in document["Resources"].as_object().expect("resources") {
                let properties = &resource["Properties"];
                let documents = match resource["Type"].as_str().expect("a type") {
                    "AWS::IAM::Role" => {
                        many(&properties["Policies"]).iter().map(|policy| policy["PolicyDocument"].clone()).collect()
                    }
                    "AWS::IAM::ManagedPolicy" | "AWS::IAM::RolePolicy" => many(&properties["PolicyDocument"]),
                    _ => continue,
                };
                expected += 1;
                let place = format!("{environment} {stack} {id}");
                let mut shown = answer["roles"].as_array().expect("roles").iter();
                let shown = shown.find(|role| role["stack"] == stack.as_str() && role["role"] == id.as_str());
                let shown = shown.unwrap_or_else(|| panic!("{place} is not in the answer"));
                assert_eq!(in_answer(&shown["statements"]), in_template(&documents), "{place}");
                let trust = many(&properties["AssumeRolePolicyDocument"]);
                assert_eq!(in_answer(&shown["trust"]), in_template(&trust), "{place}");
                let arns: Vec<String> = many(&properties["ManagedPolicyArns"]).iter().map(text_of).collect();
                let attached: Vec<Value> = many(&shown["attached"]).iter().map(|one| one["arn"].clone()).collect();
                assert_eq!(json!(attached), json!(arns), "{place}");
                let boundary = many(&properties["PermissionsBoundary"]);
                assert_eq!(
                    many(&shown["boundary"]),
                    json!(boundary.iter().map(text_of).collect::<Vec<_>>()).as_array().cloned().unwrap(),
                    "{place}"
                );
                for statement in many(&shown["statements"]) {
                    assert!(statement["why"].is_string() && statement["location"].is_string(), "{place}: {statement}");
                }
            }
        }
        assert_eq!(answer["roles"].as_array().expect("roles").len(), expected, "{environment}");
        assert!(expected > 20, "{environment}: {expected} roles and policies");
    }
}

/// `${Name}` for a reference, the text for a substitution.
fn text_of(value: &Value) -> String {
    match (value.get("Ref"), value.get("Fn::Sub")) {
        (Some(name), _) => format!("${{{}}}", name.as_str().expect("a name")),
        (_, Some(text)) => text.as_str().expect("a text").to_owned(),
        _ => value.as_str().expect("a text").to_owned(),
    }
}

#[test]
fn a_role_is_told_for_people() {
    let ended = synth("roles --env production --role ReviewerRole");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    for part in [
        "access@us-west-2 ReviewerRole (tandem-production-reviewer)",
        "oidc-provider/token.actions.githubusercontent.com: allow sts:AssumeRoleWithWebIdentity",
        "  has policy Reading of this stack",
        "  has policy Regions of this stack",
        "  NeverAccess: deny cloudformation:CreateChangeSet",
        "    because the stacks that say who may do what are deployed by an administrator (infra/src/stacks/access/github.rs:",
    ] {
        assert!(ended.out.contains(part), "`{part}` is missing: {}", ended.out);
    }
    let consumer = synth("roles --role EventRouterRole").out;
    assert!(
        consumer.contains(
            "  at most what arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/tandem-sandbox-boundary allows"
        ),
        "{consumer}"
    );
}

#[test]
fn a_role_that_is_not_there_names_near_ones() {
    let ended = synth("roles --role EventRooterRole");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(
        ended.err.starts_with("usage error: no role or policy has `EventRooterRole` in its logical id\n"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("hint: near to it are EventRouterRole, "), "{}", ended.err);
}
