//! The search against the scripted cloud.

use diff::{ChangeClass, Class, Provenance, Shown};
use serde_json::json;

use super::*;
use crate::deploy::cloud::{DriftStatus, PropertyDrift, ResourceDrift};
use crate::deploy::fake::FakeCloud;
use crate::deploy::fake::operations::{BEGUN, Search};
use crate::deploy::tests::{events, key, stack};
use crate::ui::Format;

const WEST: &str = "us-west-2/tandem-test-events";
const EAST: &str = "us-east-1/tandem-test-events";

fn drift(logical_id: &str, kind: &str, status: DriftStatus) -> ResourceDrift {
    ResourceDrift {
        logical_id: logical_id.to_owned(),
        resource_type: kind.to_owned(),
        status,
        found_at: Some(BEGUN.parse().unwrap()),
        expected: None,
        actual: None,
        differences: Vec::new(),
    }
}

fn queue(status: DriftStatus) -> ResourceDrift {
    drift("Queue", "AWS::SQS::Queue", status)
}

fn router(status: DriftStatus) -> ResourceDrift {
    drift("Router", "AWS::Lambda::Function", status)
}

/// `events` in both regions, as deployed, with everything in sync.
fn deployed() -> (FakeCloud, Vec<Stack>) {
    let cloud = FakeCloud::default();
    let stacks = vec![events("us-west-2"), events("us-east-1")];
    for stack in &stacks {
        cloud.set_status(&stack.key, "CREATE_COMPLETE");
        let id = format!("{}/{}", stack.key.region, stack.cloudformation_name);
        let mut there = cloud.stacks.borrow_mut();
        let deployed = there.get_mut(&id).unwrap();
        stack.template.text().clone_into(&mut deployed.template);
        let digest = crate::artifacts::hex_sha256(b"code");
        deployed.parameters.insert("Code".to_owned(), format!("functions/event-router/{digest}.zip"));
        let found = vec![queue(DriftStatus::InSync), router(DriftStatus::InSync)];
        cloud.script.drift.borrow_mut().insert(id, Search { found, looks: 2, ..Search::default() });
        let code = "VpTQii5T/8rgwxA+Wtb2B2q9lg6x+KVldwQLwQKPcCs=";
        cloud.codes.borrow_mut().insert(format!("{}/router", stack.key.region), Some(code.to_owned()));
    }
    (cloud, stacks)
}

fn set(cloud: &FakeCloud, id: &str, found: Vec<ResourceDrift>) {
    cloud.script.drift.borrow_mut().get_mut(id).unwrap().found = found;
}

async fn search(cloud: &FakeCloud, stacks: &[Stack]) -> Result<Report, Error> {
    let (ui, _) = Ui::buffered(Format::Human);
    let live = ui.live();
    searched(cloud, "test", (stacks, &[]), &live).await
}

#[test]
fn the_code_of_the_tests_is_what_its_digest_says() {
    use base64::Engine as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, b"code");
    let (cloud, _) = deployed();
    let code = cloud.codes.borrow()["us-west-2/router"].clone();
    assert_eq!(code, Some(base64::engine::general_purpose::STANDARD.encode(digest)));
}

#[tokio::test]
async fn as_deployed_is_no_drift_and_nothing_is_changed() {
    let (cloud, stacks) = deployed();
    let report = search(&cloud, &stacks).await.unwrap();
    assert!(report.diff.is_empty(), "{report:?}");
    assert_eq!(report.failures().count(), 0);
    assert_eq!(report.notes(), Vec::<String>::new());
    let writes: Vec<&str> = cloud.writes().iter().map(|(operation, _)| *operation).collect();
    assert_eq!(writes, ["DetectStackDrift", "DetectStackDrift"], "a search changes no resource");
    assert_eq!(cloud.count("DescribeStackDriftDetectionStatus"), 6, "it is waited for");
    assert_eq!(cloud.count("DescribeStackResourceDrifts"), 4, "each page is read");
}

#[tokio::test]
async fn what_was_changed_by_hand_in_both_regions_is_told_once() {
    let (cloud, stacks) = deployed();
    for id in [WEST, EAST] {
        let mut queue = queue(DriftStatus::Modified);
        queue.expected = Some(r#"{"DelaySeconds": 0, "QueueName": "work"}"#.to_owned());
        queue.actual = Some(r#"{"DelaySeconds": 60, "QueueName": "work"}"#.to_owned());
        queue.differences = vec![PropertyDrift {
            path: "/DelaySeconds".to_owned(),
            expected: Some("0".to_owned()),
            actual: Some("60".to_owned()),
        }];
        // The last page counts as the first.
        set(&cloud, id, vec![router(DriftStatus::InSync), queue]);
    }
    let report = search(&cloud, &stacks).await.unwrap();
    let text = diff::render::human_about(&report.diff, diff::render::About::Drift).to_string();
    assert!(text.starts_with("events (both regions)\n  ~ `Queue` (`AWS::SQS::Queue`) drifted [live]\n"), "{text}");
    assert!(text.contains("`DelaySeconds`: `0` → `60` [live]"), "{text}");
    assert_eq!(report.diff.summary().gravest(), Some(ChangeClass::Changes));
}

#[tokio::test]
async fn what_is_gone_is_gone() {
    let (cloud, stacks) = deployed();
    set(&cloud, WEST, vec![queue(DriftStatus::Deleted), router(DriftStatus::InSync)]);
    let report = search(&cloud, &stacks).await.unwrap();
    let stack = report.diff.stack(&diff::StackKey::new("events", "us-west-2")).unwrap();
    let queue = stack.resource("Queue").unwrap();
    assert_eq!((queue.class, queue.is_stateful), (Class::Removed, true));
    assert_eq!(report.diff.summary().gravest(), Some(ChangeClass::Destructive));
}

/// Drift detection doesn't see the code: `Code` is written and never read back.
#[tokio::test]
async fn code_that_was_changed_by_hand_shows_by_its_digest() {
    let (cloud, stacks) = deployed();
    cloud.codes.borrow_mut().insert("us-west-2/router".to_owned(), Some("other".to_owned()));
    cloud.codes.borrow_mut().insert("us-east-1/router".to_owned(), None);
    let report = search(&cloud, &stacks).await.unwrap();
    let of =
        |region: &str| report.diff.stack(&diff::StackKey::new("events", region)).unwrap().resource("Router").unwrap();
    let west = of("us-west-2");
    assert_eq!((west.class, west.sources.as_slice()), (Class::Drifted, &[Provenance::Live][..]));
    assert_eq!(west.properties[0].path, "Code");
    assert_eq!(west.properties[0].after, Some(Shown::Value("other".into())));
    assert_eq!(of("us-east-1").class, Class::Removed, "the function isn't there");
    assert_eq!(report.unseen, [], "it was seen");
}

#[tokio::test]
async fn code_whose_object_has_another_name_is_not_seen_and_said_so() {
    let (cloud, stacks) = deployed();
    for stack in cloud.stacks.borrow_mut().values_mut() {
        stack.parameters.insert("Code".to_owned(), "functions/event-router/1.zip".to_owned());
    }
    let report = search(&cloud, &stacks).await.unwrap();
    assert!(report.diff.is_empty());
    assert_eq!(report.notes(), ["can't be read back: `Code/S3Key` of AWS::Lambda::Function: `events/Router`"]);
}

#[tokio::test]
async fn what_is_not_looked_at_is_counted_and_named() {
    let (cloud, stacks) = deployed();
    // CloudFormation leaves out what it can't look at, or says so.
    set(&cloud, WEST, vec![router(DriftStatus::InSync)]);
    let stays = DriftStatus::NotChecked(None);
    set(&cloud, EAST, vec![router(DriftStatus::InSync), queue(stays)]);
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(report.notes(), ["no drift detection: 2 × AWS::SQS::Queue: `events/Queue`"]);
    assert_eq!((report.failures().count(), report.unchecked.len()), (0, 2));

    set(&cloud, EAST, vec![router(DriftStatus::Unknown(Some("access denied".to_owned()))), queue(DriftStatus::InSync)]);
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(report.notes()[0], "not looked at: `Router` (AWS::Lambda::Function) of events@us-east-1: access denied");
    assert_eq!(report.failures().count(), 1);
}

/// A search that failed for a resource leaves what an earlier one found of it.
#[tokio::test]
async fn what_an_earlier_search_found_is_no_news() {
    let (cloud, stacks) = deployed();
    let mut old = queue(DriftStatus::InSync);
    old.found_at = Some("2026-11-30T04:17:00Z".parse().unwrap());
    set(&cloud, WEST, vec![old, router(DriftStatus::InSync)]);
    cloud.script.drift.borrow_mut().get_mut(WEST).unwrap().fails = Some("Failed to detect drift on [Queue]".to_owned());
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(
        report.notes(),
        ["not looked at: `Queue` (AWS::SQS::Queue) of events@us-west-2: Failed to detect drift on [Queue]"]
    );
    set(&cloud, WEST, vec![queue(DriftStatus::InSync), router(DriftStatus::InSync)]);
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(report.notes(), ["not looked at: events@us-west-2: Failed to detect drift on [Queue]"]);
}

#[tokio::test]
async fn stacks_that_can_not_be_compared_are_named() {
    let (cloud, mut stacks) = deployed();
    stacks.push(stack("data@us-west-2", &json!({ "Resources": {} }), &[]));
    cloud.set_status(&key("events@us-east-1"), "UPDATE_IN_PROGRESS");
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(
        report.notes(),
        [
            "not looked at: events@us-east-1: it is in UPDATE_IN_PROGRESS",
            "not looked at: data@us-west-2: it isn't deployed, and other stacks of the environment are",
        ]
    );
    assert_eq!(report.not_deployed, [key("data@us-west-2")]);
}

/// What is missing of an environment was deleted by somebody; one that was never deployed lacks nothing.
#[tokio::test]
async fn a_stack_that_is_missing_counts_only_where_others_are_there() {
    let missing = [stack("data@us-west-2", &json!({ "Resources": {} }), &[])];
    let (ui, _) = Ui::buffered(Format::Human);
    for (status, failures) in [
        (None, 0),
        (Some("REVIEW_IN_PROGRESS"), 0),
        (Some("ROLLBACK_COMPLETE"), 0),
        (Some("CREATE_COMPLETE"), 1),
        (Some("UPDATE_IN_PROGRESS"), 1),
    ] {
        let cloud = FakeCloud::default();
        let others = [events("us-west-2")];
        if let Some(status) = status {
            cloud.set_status(&others[0].key, status);
        }
        let live = ui.live();
        let report = searched(&cloud, "test", (&missing, &others), &live).await.unwrap();
        assert_eq!((report.failures().count(), report.not_deployed.len()), (failures, 1), "{status:?}");
        assert_eq!(report.notes().len(), 1, "{:?}", report.notes());
        assert_eq!(cloud.writes(), [], "{status:?}");
    }
}

/// What a failed creation or a failed rollback left is real, whatever it is.
#[tokio::test]
async fn only_a_stack_without_resources_is_not_deployed() {
    for (status, is_absent) in [
        ("REVIEW_IN_PROGRESS", true),
        ("ROLLBACK_COMPLETE", true),
        ("CREATE_FAILED", false),
        ("ROLLBACK_FAILED", false),
        ("DELETE_FAILED", false),
    ] {
        let cloud = FakeCloud::default();
        cloud.set_status(&key("events@us-west-2"), status);
        let report = search(&cloud, &[events("us-west-2")]).await.unwrap();
        assert_eq!(report.not_deployed.is_empty(), !is_absent, "{status}");
        let expected = if is_absent {
            "not deployed: events@us-west-2".to_owned()
        } else {
            format!("not looked at: events@us-west-2: it is in {status}")
        };
        assert_eq!(report.notes(), [expected]);
    }
}

#[tokio::test]
async fn drift_is_found_where_an_update_could_not_be_undone() {
    let (cloud, stacks) = deployed();
    cloud.set_status(&key("events@us-west-2"), "UPDATE_ROLLBACK_FAILED");
    set(&cloud, WEST, vec![queue(DriftStatus::Deleted), router(DriftStatus::InSync)]);
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(report.notes(), Vec::<String>::new());
    assert_eq!(report.diff.summary().gravest(), Some(ChangeClass::Destructive));
}

#[tokio::test]
async fn anothers_search_is_waited_for_and_throttling_is_outlived() {
    let (cloud, stacks) = deployed();
    cloud.script.drift.borrow_mut().get_mut(WEST).unwrap().others = 3;
    for operation in ["DetectStackDrift", "DescribeStackDriftDetectionStatus", "DescribeStackResourceDrifts"] {
        cloud.throttled.borrow_mut().insert(operation, 3);
    }
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(report.notes(), Vec::<String>::new());
}

#[tokio::test]
async fn one_stack_that_can_not_be_asked_does_not_hide_the_other() {
    let (cloud, stacks) = deployed();
    set(&cloud, WEST, vec![queue(DriftStatus::Deleted), router(DriftStatus::InSync)]);
    // The second stack's search never gets through.
    cloud.script.drift.borrow_mut().get_mut(EAST).unwrap().others = u32::MAX;
    let report = search(&cloud, &stacks).await.unwrap();
    assert_eq!(report.diff.summary().gravest(), Some(ChangeClass::Destructive));
    let [failure] = &report.failures().collect::<Vec<_>>()[..] else { panic!("{:?}", report.notes()) };
    assert!(failure.reason.as_deref().is_some_and(|reason| reason.contains("already in progress")), "{failure:?}");

    cloud.throttled.borrow_mut().insert("DetectStackDrift", u32::MAX);
    let error = search(&cloud, &stacks).await.unwrap_err();
    assert!(error.render().contains("is throttled"), "{}", error.render());
}

/// What others may read of it: no value of a parameter that isn't echoed.
#[tokio::test]
async fn secrets_stay_hidden() {
    let (cloud, mut stacks) = deployed();
    stacks.truncate(1);
    let mut document = stacks[0].template.document().clone();
    document["Parameters"]["Token"] = json!({ "Type": "String", "NoEcho": true });
    document["Resources"]["Queue"]["Properties"] = json!({ "QueueName": { "Ref": "Token" } });
    cloud.stacks.borrow_mut().get_mut(WEST).unwrap().template = document.to_string();
    let mut queue = queue(DriftStatus::Modified);
    queue.differences = vec![PropertyDrift {
        path: "/QueueName".to_owned(),
        expected: Some("hunter2".to_owned()),
        actual: Some("hunter3".to_owned()),
    }];
    set(&cloud, WEST, vec![queue, router(DriftStatus::InSync)]);
    let report = search(&cloud, &stacks).await.unwrap();
    let everything = format!("{}{}", report.json(), report.markdown("the artifact"));
    assert!(everything.contains("QueueName") && !everything.contains("hunter"), "{everything}");
}

#[tokio::test]
async fn programs_and_reviews_get_all_of_it() {
    let (cloud, stacks) = deployed();
    set(
        &cloud,
        WEST,
        vec![queue(DriftStatus::Deleted), router(DriftStatus::Unknown(Some("no <b>rights</b>".to_owned())))],
    );
    let report = search(&cloud, &stacks).await.unwrap();
    let json = report.json();
    assert_eq!((&json["version"], &json["environment"]), (&json!(1), &json!("test")));
    assert_eq!(json["summary"]["classes"], json!(["changes", "destructive"]));
    assert_eq!(json["unchecked"][0]["reason"], "no <b>rights</b>");
    let markdown = report.markdown("the artifact");
    assert!(
        markdown.starts_with("<!-- tandem-drift-test -->\n### test: what is live is not what was deployed"),
        "{markdown}"
    );
    assert!(markdown.contains("<details><summary>1 could not be looked at</summary>"), "{markdown}");
    assert!(!markdown.contains("<b>"), "{markdown}");
}

#[test]
fn a_long_list_leaves_room_for_the_drift() {
    let mut report = Report::new("test");
    for number in 0..5_000 {
        let reason = format!("failed {}", "because ".repeat(20));
        let one =
            Unchecked::resource(&key("data@us-west-2"), &format!("Queue{number}"), "AWS::SQS::Queue", Some(reason));
        report.unchecked.push(one);
    }
    let markdown = report.markdown("the artifact");
    assert!(markdown.len() <= 60_000, "{}", markdown.len());
    assert!(markdown.contains("lines left out: see the artifact"), "{markdown}");
}
