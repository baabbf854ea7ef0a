//! `synth diff` without a cloud: two templates, two folders, a folder and the checkout.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::run::{Ended, synth, synth_in};

/// A stack of everything that a comparison tells apart.
fn template() -> Value {
    json!({ "Resources": {
        "Work": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": "work", "VisibilityTimeout": 30 } },
        "Role": { "Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }
            ] },
            "Policies": [{ "PolicyName": "work", "PolicyDocument": { "Version": "2012-10-17", "Statement": [
                { "Sid": "Take", "Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": { "Fn::GetAtt": ["Work", "Arn"] } }
            ] } }]
        } },
        "Rule": { "Type": "AWS::Events::Rule", "Properties": { "State": "ENABLED", "ScheduleExpression": "rate(1 minute)" } }
    } })
}

/// Runs `diff` on two templates; `options` stand behind.
fn compared(before: &Value, after: &Value, options: &str) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, template) in [("before.json", before), ("after.json", after)] {
        fs::write(folder.path().join(name), template.to_string()).expect("written");
    }
    synth_in(folder.path(), &format!("diff --from before.json --to after.json {options}"))
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut template = template();
    *template.pointer_mut(pointer).expect("it is there") = value;
    template
}

fn without(logical_id: &str) -> Value {
    let mut template = template();
    template["Resources"].as_object_mut().expect("resources").remove(logical_id);
    template
}

#[test]
fn the_exit_code_is_the_gravest_class() {
    let statement = "/Resources/Role/Properties/Policies/0/PolicyDocument/Statement/0/Action";
    let mut both = changed(statement, json!("sqs:*"));
    both["Resources"].as_object_mut().expect("resources").remove("Rule");
    for (after, code) in [
        (template(), 0),
        (changed("/Resources/Work/Properties/VisibilityTimeout", json!(60)), 2),
        (without("Rule"), 3),
        (changed("/Resources/Work/Properties/QueueName", json!("jobs")), 3),
        (changed(statement, json!("sqs:*")), 4),
        (both, 4),
    ] {
        for format in ["human", "json", "markdown"] {
            let ended = compared(&template(), &after, &format!("--format {format}"));
            assert_eq!((ended.code, ended.err.as_str()), (code, ""), "{format}: {ended:?}");
        }
    }
}

#[test]
fn a_change_is_told_in_three_forms() {
    let statement = "/Resources/Role/Properties/Policies/0/PolicyDocument/Statement/0/Action";
    let mut after = changed(statement, json!(["sqs:ReceiveMessage", "sqs:*"]));
    after["Resources"]["Work"]["Properties"]["QueueName"] = json!("jobs");
    after["Resources"].as_object_mut().expect("resources").remove("Rule");
    for format in ["human", "json", "markdown"] {
        insta::assert_snapshot!(
            format!("diff_{format}"),
            compared(&template(), &after, &format!("--format {format}")).out
        );
    }
    // Nobody who pipes it gets colours.
    assert!(!compared(&template(), &after, "").out.contains('\u{1b}'));
    let coloured = compared(&template(), &after, "--color always").out;
    assert!(coloured.contains('\u{1b}'), "{coloured}");
}

#[test]
fn the_checkout_is_what_it_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    assert_eq!(synth(&format!("synth --env production --quiet --out {path}")).code, 0);
    let same = synth(&format!("diff --env production --from {path}"));
    assert_eq!(same.code, 0, "{same:?}");
    let same = synth(&format!("diff --env production --from {path} --to {path}"));
    assert_eq!(same.code, 0, "{same:?}");

    let events = folder.path().join("production/us-east-1/events.json");
    let text = fs::read_to_string(&events).expect("a template");
    let mut template: Value = serde_json::from_str(&text).expect("JSON");
    let resources = template["Resources"].as_object_mut().expect("resources");
    let function = resources.values_mut().find(|one| one["Type"] == "AWS::Lambda::Function").expect("a function");
    function["Properties"]["Timeout"] = json!(7);
    fs::write(&events, template.to_string()).expect("written");
    let other = synth(&format!("diff --env production --from {path}"));
    assert_eq!(other.code, 2, "{other:?}");
    assert!(other.out.contains("us-east-1") && other.out.contains("Timeout"), "{other:?}");
    // An environment that isn't there yet.
    let all_new = synth(&format!("diff --env staging --from {path}"));
    assert!([2, 4].contains(&all_new.code), "{all_new:?}");
}

#[test]
fn wrong_sides_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("yaml.json"), "Resources:\n  A:\n").expect("written");
    fs::write(folder.path().join("good.json"), template().to_string()).expect("written");
    let run = |line: &str| {
        let ended = synth_in(folder.path(), line);
        assert_eq!(ended.code, 1, "{ended:?}");
        ended.err
    };
    assert!(run("diff --from nowhere --to good.json").contains("`nowhere` can't be read"));
    assert!(run("diff --from yaml.json --to good.json").contains("`yaml.json` can't be compared"));
    assert!(run("diff --env all --from good.json --to good.json").contains("compares one environment"));
    assert!(run("diff --to good.json").contains("--from"));
    assert!(run("diff --from good.json --to good.json --out plan.json").contains("--out"));
    assert!(!Path::new(folder.path()).join("plan.json").exists());
    assert!(synth("list --format markdown").err.contains("only `diff` and `drift` write Markdown"));
}
