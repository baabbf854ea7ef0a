//! What is live beside what is deployed.

use std::collections::BTreeMap;

use diff::render::{About, MarkdownOptions, human_about, json, markdown};
use diff::{
    ChangeClass, Class, Diff, Direction, LiveDifference, LiveResource, LiveStack, LiveState, ParameterValue,
    Provenance, Shown, StackKey, Template,
};
use serde_json::{Value, json};

fn template(resources: &Value) -> Template {
    Template::new(json!({
        "Parameters": { "Password": { "Type": "String", "NoEcho": true }, "Size": { "Type": "String" } },
        "Resources": resources
    }))
    .expect("a template")
}

fn differs(logical_id: &str, resource_type: &str, expected: &Value, actual: &Value, paths: &[&str]) -> LiveResource {
    let at = |value: &Value, path: &str| value.pointer(&format!("/{path}")).cloned();
    let differences = paths.iter().map(|path| LiveDifference {
        path: (*path).to_owned(),
        expected: at(expected, path),
        actual: at(actual, path),
    });
    let object = |value: &Value| value.as_object().cloned().expect("an object");
    LiveResource {
        logical_id: logical_id.to_owned(),
        resource_type: resource_type.to_owned(),
        state: LiveState::Differs {
            expected: object(expected),
            actual: object(actual),
            differences: differences.collect(),
        },
    }
}

fn gone(logical_id: &str, resource_type: &str) -> LiveResource {
    LiveResource { logical_id: logical_id.to_owned(), resource_type: resource_type.to_owned(), state: LiveState::Gone }
}

fn drift(region: &str, deployed: &Template, resources: Vec<LiveResource>) -> Diff {
    diff::drift(&[LiveStack {
        key: StackKey::new("data", region),
        deployed,
        parameters: BTreeMap::from([("Password".to_owned(), ParameterValue::Known("hunter2".to_owned()))]),
        resources,
    }])
}

fn text(diff: &Diff) -> String {
    human_about(diff, About::Drift).to_string()
}

#[test]
fn without_a_difference_there_is_no_drift() {
    let diff = drift("us-west-2", &template(&json!({})), Vec::new());
    assert!(diff.is_empty());
    assert_eq!(diff.summary().gravest(), None);
    assert_eq!(text(&diff), "no drift\n");
    let options = MarkdownOptions { about: About::Drift, ..MarkdownOptions::default() };
    assert!(markdown(&diff, &options).contains("### No drift\n"), "{}", markdown(&diff, &options));
}

#[test]
fn a_changed_property_is_told_from_deployed_to_live() {
    let deployed = template(&json!({ "Work": { "Type": "AWS::SQS::Queue", "Properties": { "DelaySeconds": 0 } } }));
    let work = differs(
        "Work",
        "AWS::SQS::Queue",
        &json!({ "DelaySeconds": 0 }),
        &json!({ "DelaySeconds": 60 }),
        &["DelaySeconds"],
    );
    let diff = drift("us-west-2", &deployed, vec![work]);
    let resource = diff.stacks[0].resource("Work").expect("it differs");
    assert_eq!((resource.class, resource.sources.as_slice()), (Class::Drifted, &[Provenance::Live][..]));
    assert_eq!(diff.summary().gravest(), Some(ChangeClass::Changes));
    assert_eq!(
        text(&diff),
        "data (us-west-2)\n  ~ `Work` (`AWS::SQS::Queue`) drifted [live]\n      `DelaySeconds`: `0` → `60` [live]\n1 stack \
         not as deployed, 1 drifted\n"
    );
}

#[test]
fn what_is_gone_or_another_one_is_destructive() {
    let deployed = template(&json!({
        "Orders": { "Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": { "TableName": "orders" } },
        "Work": { "Type": "AWS::SQS::Queue", "Properties": { "FifoQueue": true } }
    }));
    let diff = drift("us-west-2", &deployed, vec![gone("Orders", "AWS::DynamoDB::Table")]);
    let orders = diff.stacks[0].resource("Orders").expect("it is gone");
    assert_eq!((orders.class, orders.is_stateful), (Class::Removed, true), "a policy of retention keeps nothing here");
    assert_eq!(diff.summary().gravest(), Some(ChangeClass::Destructive));
    assert_eq!(diff.summary().stateful_at_risk, 1);

    let properties = |fifo: bool| json!({ "FifoQueue": fifo });
    let other = differs("Work", "AWS::SQS::Queue", &properties(true), &properties(false), &["FifoQueue"]);
    let diff = drift("us-west-2", &deployed, vec![other]);
    let work = diff.stacks[0].resource("Work").expect("it differs");
    assert_eq!(work.class, Class::Replaced);
    assert_eq!(work.because, ["`FifoQueue` can't be changed in place"]);
}

fn role(actions: &[&str]) -> Value {
    json!({
        "RoleName": "router",
        "AssumeRolePolicyDocument": { "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }
        ] },
        "Policies": [ { "PolicyName": "own", "PolicyDocument": { "Statement": [
            { "Effect": "Allow", "Action": actions, "Resource": "arn:aws:sqs:us-west-2:000000000000:work" }
        ] } } ]
    })
}

#[test]
fn more_rights_than_deployed_are_broadened_access() {
    let deployed = template(&json!({ "Role": { "Type": "AWS::IAM::Role", "Properties": role(&["sqs:SendMessage"]) } }));
    let path = "Policies/0/PolicyDocument/Statement/0/Action";
    let more = differs(
        "Role",
        "AWS::IAM::Role",
        &role(&["sqs:SendMessage"]),
        &role(&["sqs:SendMessage", "sqs:ReceiveMessage"]),
        &[path],
    );
    let diff = drift("us-west-2", &deployed, vec![more]);
    let [change] = &diff.stacks[0].permissions[..] else { panic!("{}", text(&diff)) };
    assert_eq!(change.direction, Direction::Broadened);
    assert!(change.text().contains("sqs:ReceiveMessage"), "{}", change.text());
    assert_eq!(diff.summary().gravest(), Some(ChangeClass::Broadened));

    // Trust is written down in another way by IAM, and no difference is reported of it.
    let mut same = role(&["sqs:SendMessage"]);
    same["AssumeRolePolicyDocument"]["Statement"][0]["Action"] = json!(["sts:AssumeRole"]);
    same["Description"] = json!("by hand");
    let other = differs("Role", "AWS::IAM::Role", &role(&["sqs:SendMessage"]), &same, &["Description"]);
    let diff = drift("us-west-2", &deployed, vec![other]);
    assert_eq!(diff.stacks[0].permissions, []);
    assert_eq!(diff.summary().gravest(), Some(ChangeClass::Changes));
}

#[test]
fn a_policy_that_is_gone_denies_no_longer() {
    let policy = json!({ "Bucket": "artifacts", "PolicyDocument": { "Statement": [
        { "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
          "Condition": { "Bool": { "aws:SecureTransport": "false" } } }
    ] } });
    let deployed = template(&json!({ "Policy": { "Type": "AWS::S3::BucketPolicy", "Properties": policy } }));
    let diff = drift("us-west-2", &deployed, vec![gone("Policy", "AWS::S3::BucketPolicy")]);
    assert_eq!(diff.summary().gravest(), Some(ChangeClass::Broadened));
    assert!(text(&diff).contains("no longer denies"), "{}", text(&diff));
}

#[test]
fn an_open_door_is_broadened_reach() {
    let rule = |range: &str| {
        json!({ "GroupDescription": "consumer", "SecurityGroupIngress": [
        { "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": range }
    ] })
    };
    let deployed =
        template(&json!({ "Group": { "Type": "AWS::EC2::SecurityGroup", "Properties": rule("10.0.0.0/16") } }));
    let group = differs(
        "Group",
        "AWS::EC2::SecurityGroup",
        &rule("10.0.0.0/16"),
        &rule("0.0.0.0/0"),
        &["SecurityGroupIngress/0/CidrIp"],
    );
    let diff = drift("us-west-2", &deployed, vec![group]);
    assert_eq!(diff.summary().gravest(), Some(ChangeClass::Broadened), "{}", text(&diff));
}

#[test]
fn protection_that_was_switched_off_is_told() {
    let table = |protected: bool| json!({ "TableName": "orders", "DeletionProtectionEnabled": protected });
    let deployed = template(&json!({ "Orders": { "Type": "AWS::DynamoDB::Table", "Properties": table(true) } }));
    let orders = differs("Orders", "AWS::DynamoDB::Table", &table(true), &table(false), &["DeletionProtectionEnabled"]);
    let diff = drift("us-west-2", &deployed, vec![orders]);
    let [finding] = &diff.stacks[0].findings[..] else { panic!("{}", text(&diff)) };
    assert_eq!(finding.message, "deletion protection of `Orders` is switched off");
    assert!(diff::rules().contains(&finding.rule.as_str()), "{}", finding.rule);
}

/// What reality holds where the template names a secret stands there in clear.
#[test]
fn secrets_are_not_shown() {
    let deployed = template(&json!({ "Router": { "Type": "AWS::Lambda::Function", "Properties": {
        "Description": { "Ref": "Password" },
        "MemorySize": { "Ref": "Size" },
        "Tags": [{ "Key": "a", "Value": "{{resolve:secretsmanager:own}}" }],
        "Environment": { "Variables": { "STAGE": "test", "KEY": { "Ref": "Password" } } }
    } } }));
    let properties = |by_hand: &str| {
        json!({
            "Description": format!("description {by_hand}"),
            "MemorySize": format!("512 {by_hand}"),
            "Tags": [{ "Key": "a", "Value": format!("tag {by_hand}") }],
            "Environment": { "Variables": {
                "STAGE": format!("stage {by_hand}"), "KEY": format!("key {by_hand}"), "ADDED": format!("added {by_hand}")
            } }
        })
    };
    let paths = [
        "Description",
        "MemorySize",
        "Tags/0/Value",
        "Environment/Variables/STAGE",
        "Environment/Variables/KEY",
        "Environment/Variables/ADDED",
        "Environment/Variables",
    ];
    let router = differs("Router", "AWS::Lambda::Function", &properties("old"), &properties("new"), &paths);
    let diff = drift("us-west-2", &deployed, vec![router]);
    let shown: Vec<&str> = diff.stacks[0].resources[0]
        .properties
        .iter()
        .filter(|change| matches!(change.after, Some(Shown::Value(_))))
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(shown, ["Environment/Variables/STAGE", "MemorySize"]);
    let everything = format!("{}{}", text(&diff), json(&diff));
    for secret in ["description new", "tag new", "key new", "added new"] {
        assert!(!everything.contains(secret), "{secret}: {everything}");
    }
}

#[test]
fn alike_regions_are_told_once() {
    let deployed = template(&json!({ "Work": { "Type": "AWS::SQS::Queue" } }));
    let work = || {
        let (old, new) = (json!({ "DelaySeconds": 0 }), json!({ "DelaySeconds": 60 }));
        differs("Work", "AWS::SQS::Queue", &old, &new, &["DelaySeconds"])
    };
    let stack = |region: &str| LiveStack {
        key: StackKey::new("events", region),
        deployed: &deployed,
        parameters: BTreeMap::new(),
        resources: vec![work()],
    };
    let diff = diff::drift(&[stack("us-west-2"), stack("us-east-1")]);
    assert!(text(&diff).starts_with("events (both regions)\n"), "{}", text(&diff));
    assert_eq!(diff, diff::drift(&[stack("us-east-1"), stack("us-west-2")]), "the order doesn't matter");
}
