//! Breaking off against the scripted cloud.

use super::*;
use crate::deploy::cloud::Observed;
use crate::deploy::fake::FakeCloud;
use crate::deploy::tests::{Heard, key, system};
use crate::ui::Format;

const WEST: &str = "events@us-west-2";
const EAST: &str = "events@us-east-1";

async fn broken(cloud: &FakeCloud, delete_creating: bool) -> Report {
    let busy = running(cloud, &system()).await.unwrap();
    let work: Vec<(Running, Way)> =
        busy.into_iter().map(|one| (Way::of(&one, delete_creating), one)).map(|(way, one)| (one, way)).collect();
    let stacks = break_off(cloud, &work, &Heard::default()).await.unwrap();
    let mut report = Report { environment: "test".to_owned(), lock: None, stacks };
    let begun = begun_meanwhile(cloud, &system(), &report).await.unwrap();
    report.stacks.extend(begun);
    report
}

fn results(report: &Report) -> Vec<BreakResult> {
    report.stacks.iter().map(|one| one.result).collect()
}

#[tokio::test]
async fn updates_of_two_regions_are_cancelled_at_once_and_followed_until_they_are_undone() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "UPDATE_IN_PROGRESS", 50);
    cloud.begin(&key(EAST), "UPDATE_IN_PROGRESS", 50);
    let report = broken(&cloud, false).await;
    assert_eq!(results(&report), [BreakResult::Cancelled, BreakResult::Cancelled]);
    assert!(report.is_good());
    for (place, stack) in [WEST, EAST].iter().enumerate() {
        assert_eq!(cloud.status(&key(stack)).as_deref(), Some("UPDATE_ROLLBACK_COMPLETE"));
        assert_eq!(
            report.stacks[place].render(),
            [
                format!("{stack}: the update is cancelled and undone, UPDATE_ROLLBACK_COMPLETE"),
                "  next: deploy again with `synth deploy --env test`, when the change shall be made after all"
                    .to_owned(),
            ]
        );
    }
    assert_eq!(cloud.writes().len(), 2, "{:?}", cloud.writes());
}

#[tokio::test]
async fn nothing_runs_is_no_failure_and_changes_nothing() {
    let cloud = FakeCloud::default();
    cloud.set_status(&key(WEST), "UPDATE_COMPLETE");
    let report = broken(&cloud, true).await;
    assert_eq!(report.render(), ["nothing runs in `test`"]);
    assert!(report.is_good());
    assert_eq!(cloud.writes(), []);
}

#[tokio::test]
async fn what_can_not_be_cancelled_goes_on_with_what_to_do_instead() {
    for (status, instead) in [
        ("CREATE_IN_PROGRESS", "`aws cloudformation delete-stack --stack-name tandem-test-events --region us-west-2`"),
        ("CREATE_IN_PROGRESS", "cancel with `--delete-creating`"),
        (
            "DELETE_IN_PROGRESS",
            "a deletion can't be cancelled: follow it with `synth watch --env test`, then deploy again",
        ),
        ("ROLLBACK_IN_PROGRESS", "it is being undone already: follow it with `synth watch --env test`"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "it is being undone already"),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "it is being undone already"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "deploy the earlier commit to go back"),
        ("IMPORT_IN_PROGRESS", "CloudFormation can cancel updates only"),
    ] {
        let cloud = FakeCloud::default();
        cloud.begin(&key(WEST), status, 50);
        let report = broken(&cloud, false).await;
        assert_eq!(results(&report), [BreakResult::GoesOn], "{status}");
        assert!(!report.is_good());
        let lines = report.render();
        assert_eq!(lines[0], format!("{WEST}: {status} goes on"));
        assert!(lines[1].contains(instead), "{lines:?}");
        assert_eq!(cloud.writes(), [], "{status}");
    }
}

#[tokio::test]
async fn a_creation_is_ended_by_deleting_its_stack_only_when_asked() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "CREATE_IN_PROGRESS", 50);
    let report = broken(&cloud, true).await;
    assert_eq!(results(&report), [BreakResult::Deleted]);
    assert_eq!(cloud.status(&key(WEST)), None);
    assert_eq!(report.stacks[0].is, None);
    assert!(report.render()[1].ends_with("deploy again with `synth deploy --env test`"), "{:?}", report.render());

    // What is through by then is left alone.
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "CREATE_IN_PROGRESS", 1);
    let report = broken(&cloud, true).await;
    assert_eq!(results(&report), [BreakResult::EndedByItself]);
    assert_eq!(cloud.status(&key(WEST)).as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(cloud.writes(), []);
}

#[tokio::test]
async fn a_deletion_that_fails_names_what_failed() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "CREATE_IN_PROGRESS", 50);
    cloud.can_not_delete(&key(WEST), "Queue", "Rate exceeded");
    let report = broken(&cloud, true).await;
    assert_eq!(results(&report), [BreakResult::Failed]);
    assert!(!report.is_good());
    let says = report.render().join("\n");
    assert!(says.contains("`Queue` (AWS::SQS::Queue)") && says.contains("Rate exceeded"), "{says}");
    assert!(says.contains("--retain-resources Queue`"), "{says}");
}

/// The run whose stack is broken off goes on with what doesn't depend on it.
#[tokio::test]
async fn what_has_begun_meanwhile_is_named() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "UPDATE_IN_PROGRESS", 50);
    cloud.begins_next(&key(WEST), &key(EAST), "UPDATE_IN_PROGRESS", 50);
    let mut report = broken(&cloud, false).await;
    assert_eq!(results(&report), [BreakResult::Cancelled, BreakResult::GoesOn]);
    assert!(!report.is_good());
    assert_eq!(
        report.stacks[1].render(),
        [
            "events@us-east-1: UPDATE_IN_PROGRESS goes on",
            "  next: it has begun meanwhile; stop the run that began it, then cancel again",
        ]
    );
    report.lock = Some(held());
    let begun = begun_meanwhile(&cloud, &system(), &report).await.unwrap();
    assert_eq!(begun, [], "it is told once");
    report.stacks.clear();
    let begun = begun_meanwhile(&cloud, &system(), &report).await.unwrap();
    assert_eq!(begun[0].next.as_deref(), Some("the run that holds the lock goes on; stop it, then cancel again"));
    assert_eq!(cloud.writes().len(), 1, "it is left alone: {:?}", cloud.writes());
}

/// Between two of its stacks nothing runs, and the deployment goes on all the same.
#[test]
fn a_run_that_only_plans_is_named() {
    let report = Report { environment: "test".to_owned(), lock: Some(held()), stacks: Vec::new() };
    assert_eq!(
        report.render(),
        [
            "nothing runs in `test`",
            "  next: `test` is held by somebody (`synth deploy`, since 2026-12-01T09:00:00Z): stop that run, or it begins \
             what comes next",
        ]
    );
}

fn held() -> Lock {
    Lock {
        holder: "somebody".to_owned(),
        command: "synth deploy".to_owned(),
        since: "2026-12-01T09:00:00Z".parse().unwrap(),
        until: "2026-12-01T09:10:00Z".parse().unwrap(),
    }
}

#[tokio::test]
async fn what_ends_by_itself_in_between_is_told_as_it_ended() {
    for (ending, good) in
        [("UPDATE_COMPLETE", true), ("UPDATE_ROLLBACK_COMPLETE", true), ("UPDATE_ROLLBACK_FAILED", false)]
    {
        let cloud = FakeCloud::default();
        cloud.begin(&key(WEST), "UPDATE_IN_PROGRESS", 50);
        cloud.resource_event(&key(WEST), "Queue", "UPDATE_FAILED", Some("Rate exceeded"));
        cloud.ends_in(&key(WEST), ending);
        cloud.ends_before_it_is_broken_off(&key(WEST));
        let report = broken(&cloud, false).await;
        let expected = if good { BreakResult::EndedByItself } else { BreakResult::Failed };
        assert_eq!((results(&report), report.is_good()), (vec![expected], good), "{ending}");
        assert_eq!(report.stacks[0].is.as_ref().map(Status::as_str), Some(ending));
        let says = report.render().join("\n");
        assert_eq!(says.contains("Rate exceeded"), ending != "UPDATE_COMPLETE", "{says}");
        assert_eq!(says.contains("continue-update-rollback"), !good, "{says}");
    }
}

/// The repeated request has the same token, so that it can't meet an update that somebody begins later.
#[tokio::test]
async fn a_throttled_request_is_repeated_as_the_same() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "UPDATE_IN_PROGRESS", 50);
    cloud.throttled.borrow_mut().insert("CancelUpdateStack", 2);
    let report = broken(&cloud, false).await;
    assert_eq!(results(&report), [BreakResult::Cancelled]);
    let writes = cloud.writes();
    assert_eq!(writes.len(), 3);
    assert!(writes.iter().all(|write| *write == writes[0]), "{writes:?}");
}

#[tokio::test]
async fn a_storm_in_one_region_is_an_error_that_tells_of_the_other() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "UPDATE_IN_PROGRESS", 50);
    cloud.begin(&key(EAST), "DELETE_IN_PROGRESS", 50);
    cloud.throttled.borrow_mut().insert("CancelUpdateStack", u32::MAX);
    let busy = running(&cloud, &system()).await.unwrap();
    let work: Vec<(Running, Way)> =
        busy.into_iter().map(|one| (Way::of(&one, false), one)).map(|(way, one)| (one, way)).collect();
    let error = break_off(&cloud, &work, &Heard::default()).await.unwrap_err().render();
    assert!(error.contains("`CancelUpdateStack`") && error.contains("is throttled"), "{error}");
    assert!(error.contains("events@us-east-1: DELETE_IN_PROGRESS goes on"), "{error}");
}

#[tokio::test]
async fn an_update_that_can_not_be_undone_comes_with_its_way_out() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "UPDATE_IN_PROGRESS", 50);
    cloud.ends_in(&key(WEST), "UPDATE_ROLLBACK_FAILED");
    let report = broken(&cloud, false).await;
    assert_eq!(results(&report), [BreakResult::Failed]);
    assert!(report.render().join("\n").contains("continue-update-rollback --stack-name tandem-test-events"));
}

/// The run that was broken off tells why its update is undone.
#[tokio::test]
async fn the_run_that_was_broken_off_knows_why() {
    let cloud = FakeCloud::default();
    cloud.begin(&key(WEST), "UPDATE_IN_PROGRESS", 50);
    broken(&cloud, false).await;
    let stack = system().into_iter().find(|stack| stack.key == key(WEST)).unwrap();
    let events = cloud.stacks.borrow()["us-west-2/tandem-test-events"].events.clone();
    let cause = crate::deploy::failure::root_cause(&stack, &Status::new("UPDATE_ROLLBACK_COMPLETE"), None, &events);
    assert_eq!(cause.reason, "User Initiated");
    assert!(cause.hint.is_some_and(|hint| hint.contains("broke the operation off")), "{:?}", cause.hint);
}

fn one_running(status: &str) -> Running {
    let stack = system().into_iter().find(|stack| stack.key == key(WEST)).unwrap();
    let observed = Observed {
        id: "arn:stack".to_owned(),
        status: Status::new(status),
        status_reason: None,
        parameters: std::collections::BTreeMap::new(),
        outputs: std::collections::BTreeMap::new(),
        tags: std::collections::BTreeMap::new(),
        termination_protection: false,
        changed_at: None,
        change_set: None,
    };
    Running { stack, observed }
}

fn environment(name: &str) -> Environment {
    let path = format!("{}/../environments/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    Environment::parse(&format!("{name}.toml"), &text).unwrap()
}

#[tokio::test]
async fn nothing_is_broken_off_unasked_on_aws() {
    let report = Report { environment: "production".to_owned(), lock: None, stacks: Vec::new() };
    let agreed = async |name: &str, status: &str, yes: bool| {
        let (ui, buffers) = Ui::buffered(Format::Human);
        let running = one_running(status);
        let way = Way::of(&running, false);
        let agreed = agree(&ui, &environment(name), &report, &[(running, way)], yes).await;
        (agreed.map_err(|error| error.kind()), buffers.err())
    };
    let (refused, shown) = agreed("production", "UPDATE_IN_PROGRESS", false).await;
    assert_eq!(refused, Err(crate::error::Kind::Refused), "nobody can be asked");
    assert!(shown.contains("events@us-west-2: UPDATE_IN_PROGRESS is cancelled and undone"), "{shown}");
    assert_eq!(agreed("production", "UPDATE_IN_PROGRESS", true).await.0, Ok(()));
    assert_eq!(agreed("sandbox", "UPDATE_IN_PROGRESS", false).await.0, Ok(()));
    assert_eq!(agreed("production", "DELETE_IN_PROGRESS", false).await.0, Ok(()), "it isn't touched");
}

#[test]
fn what_stays_behind_is_named_before_a_stack_is_deleted() {
    let mut running = one_running("CREATE_IN_PROGRESS");
    let document = serde_json::json!({ "Resources": {
        "Orders": { "Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain" }, "Queue": { "Type": "AWS::SQS::Queue" }
    } });
    running.stack.template =
        crate::deploy::system::Template::parse(document.to_string(), std::collections::BTreeMap::new()).unwrap();
    let says = Way::of(&running, true).says(&running);
    assert!(says.ends_with("the stack is deleted; what is made of `Orders` already stays in the account"), "{says}");
}
