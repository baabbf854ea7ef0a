//! What somebody changes by hand, found by the tool; and what it says when nothing runs.

use serde_json::{Value as Json, json};

use crate::aws::Aws;
use crate::checkout::Checkout;
use crate::{HOME, PEER};

/// A queue that both regions have.
const QUEUE: &str = "tandem-sandbox-event-router-dead-letters";
/// Its resource.
const LOGICAL_ID: &str = "EventRouterDeadLetters";

/// A changed queue shows in both regions until it is as before; nothing else ever does.
pub(crate) fn what_is_changed_by_hand_is_found(checkout: &Checkout) {
    let report = searched(checkout, 0);
    assert_eq!(report["summary"]["classes"], json!([]), "{report:#}");
    assert_eq!(report["not_deployed"], json!([]), "{report:#}");
    let failed: Vec<&Json> = unchecked(&report).filter(|one| !one["reason"].is_null()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let seen = |kind: &str| unchecked(&report).all(|one| one["resource_type"] != kind);
    assert!(seen("AWS::SQS::Queue") && seen("AWS::Lambda::Function"), "{report:#}");
    // The code is compared by its digest, so nothing of it is told to be unseen.
    let unseen = report["unseen"].as_array().expect("a list");
    assert!(unseen.iter().all(|one| one["resource_type"] != "AWS::Lambda::Function"), "{unseen:#?}");

    let regions = [checkout.aws(HOME), checkout.aws(PEER)];
    let before = regions.each_ref().map(retention);
    regions.iter().for_each(|aws| set_retention(aws, "60"));
    let report = searched(checkout, 2);
    assert_eq!(report["groups"], json!([{"name": "events", "regions": [PEER, HOME]}]), "{report:#}");
    let stacks = report["stacks"].as_array().expect("stacks");
    let drifted: Vec<&Json> =
        stacks.iter().flat_map(|stack| stack["resources"].as_array().expect("resources")).collect();
    assert_eq!(drifted.len(), 2, "{drifted:#?}");
    for resource in drifted {
        assert_eq!((&resource["logical_id"], &resource["class"]), (&json!(LOGICAL_ID), &json!("drifted")));
        assert_eq!(resource["properties"][0]["path"], "MessageRetentionPeriod", "{resource:#}");
        assert_eq!(resource["sources"], json!(["live"]));
    }

    regions.iter().zip(&before).for_each(|(aws, before)| set_retention(aws, before));
    searched(checkout, 0);
}

/// Nothing is watched and nothing broken off where nothing runs.
pub(crate) fn nothing_runs(checkout: &Checkout) {
    let before = checkout.calls_of_the_tool();
    assert_eq!(checkout.answer(&["watch"])["stacks"], json!([]));
    assert_eq!(checkout.answer(&["cancel"])["stacks"], json!([]));
    let after = checkout.calls_of_the_tool();
    let count = |action: &str| after.get(action).copied().unwrap_or(0) - before.get(action).copied().unwrap_or(0);
    assert_eq!(count("cloudformation:CancelUpdateStack"), 0);
    assert!(count("cloudformation:DescribeStacks") > 0);
}

fn searched(checkout: &Checkout, code: i32) -> Json {
    let (report, status) = checkout.start(&["drift", "--format", "json"]).end();
    assert_eq!(status.code(), Some(code), "{report:#}");
    report
}

fn unchecked(report: &Json) -> impl Iterator<Item = &Json> {
    report["unchecked"].as_array().expect("a list").iter()
}

fn url(aws: &Aws) -> Json {
    aws.call("sqs", "GetQueueUrl", &json!({"QueueName": QUEUE}))["QueueUrl"].clone()
}

fn retention(aws: &Aws) -> String {
    let request = json!({"QueueUrl": url(aws), "AttributeNames": ["MessageRetentionPeriod"]});
    let answer = aws.call("sqs", "GetQueueAttributes", &request);
    answer["Attributes"]["MessageRetentionPeriod"].as_str().expect("seconds").to_owned()
}

fn set_retention(aws: &Aws, seconds: &str) {
    let attributes = json!({"MessageRetentionPeriod": seconds});
    // Its answer has no body.
    let request = json!({"QueueUrl": url(aws), "Attributes": attributes});
    aws.call("sqs", "SetQueueAttributes", &request);
}
