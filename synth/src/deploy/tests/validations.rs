//! What CloudFormation's checks and hooks find wrong with a change set reaches whoever reads the report.

use super::*;
use crate::deploy::cloud::Fault;
use crate::deploy::outcome::{failure_of, plan_error, plan_table};
use crate::deploy::plan::PlanError;

fn fault(stops: bool, reason: &str) -> Fault {
    Fault {
        check: "NAME_CONFLICT_VALIDATION".to_owned(),
        stops,
        logical_id: Some("More".to_owned()),
        resource_type: Some("AWS::SQS::Queue".to_owned()),
        path: Some("/Resources/More/Properties/QueueName".to_owned()),
        reason: reason.to_owned(),
    }
}

const TAKEN: &str = "Resource of type 'AWS::SQS::Queue' with identifier 'tandem-test-more' already exists.";

fn set(bench: &Bench, id: &str, faults: Vec<Fault>) {
    bench.cloud.script.faults.borrow_mut().insert(id.to_owned(), faults);
}

async fn planned(bench: &Bench) -> Result<Planned, PlanError> {
    let code_keys = artifacts(&bench.folder, bench.revision).keys();
    let drafted = Drafted { stacks: changed_system(), context: Vec::new(), code_keys, seen: Seen::new() };
    plan(&bench.cloud, drafted).await
}

#[tokio::test]
async fn a_refused_change_set_says_what_where_and_why() {
    let bench = Bench::deployed().await;
    set(&bench, "us-west-2/tandem-test-data", vec![fault(true, TAKEN), fault(false, "the quota is nearly used up")]);
    let error = plan_error(planned(&bench).await.unwrap_err()).render();
    let line = format!(
        "`More` (AWS::SQS::Queue) at `/Resources/More/Properties/QueueName`: {TAKEN} (NAME_CONFLICT_VALIDATION)"
    );
    assert!(error.contains(&line), "{error}");
    assert!(!error.contains("nearly used up"), "a warning refuses nothing: {error}");
    assert!(error.contains("something outside the stack has that name"), "the hint is for the cause: {error}");
    assert_eq!(bench.cloud.count("CreateChangeSet"), bench.cloud.count("DeleteChangeSet"), "nothing is left");
}

#[tokio::test]
async fn a_refusal_whose_details_can_not_be_read_is_a_refusal() {
    let bench = Bench::deployed().await;
    set(&bench, "us-west-2/tandem-test-data", vec![fault(true, TAKEN)]);
    bench.cloud.throttled.borrow_mut().insert("DescribeEvents", u32::MAX);
    let error = plan_error(planned(&bench).await.unwrap_err()).render();
    assert!(error.contains("AWS::EarlyValidation::ResourceExistenceCheck"), "{error}");
    assert!(error.contains("what exactly is wrong can't be read: `DescribeEvents`"), "{error}");
    assert!(error.contains("describe-events"), "the hint says where to look: {error}");
}

#[tokio::test]
async fn a_warning_is_shown_with_the_plan_and_stops_nothing() {
    let bench = Bench::deployed().await;
    set(&bench, "us-west-2/tandem-test-data", vec![fault(false, "the quota is nearly used up")]);
    let planned = planned(&bench).await.unwrap();
    let table = plan_table(&planned).join("\n");
    assert!(table.contains("data@us-west-2 is warned of `More` (AWS::SQS::Queue)"), "{table}");
    assert!(table.contains("the quota is nearly used up (NAME_CONFLICT_VALIDATION)"), "{table}");
    assert_eq!(summary(&bench.apply(planned).await), "unchanged unchanged updated unchanged unchanged");
}

/// A stack whose change set is made only when others are through has no line in the plan.
#[tokio::test]
async fn a_warning_of_a_later_change_set_is_told_while_it_is_made() {
    let bench = Bench::new();
    set(&bench, "us-west-2/tandem-test-data", vec![fault(false, "the quota is nearly used up")]);
    let heard = Heard::default();
    let planned = bench.plan(changed_system()).await;
    let artifacts = artifacts(&bench.folder, 1);
    let applied = apply(&bench.cloud, planned.approve(), &artifacts, bench.rules, &heard).await;
    assert_eq!(summary(&applied), "created created created created created");
    let heard = heard.0.into_inner();
    let warnings: Vec<&String> = heard.iter().filter(|line| line.contains("nearly used up")).collect();
    assert_eq!(warnings.len(), 1, "{heard:?}");
    assert!(warnings[0].starts_with("data@us-west-2: warning: `More`"), "{warnings:?}");
}

#[tokio::test]
async fn a_creation_that_is_refused_leaves_no_shell_and_says_why() {
    let bench = Bench::new();
    set(&bench, "us-west-2/tandem-test-data", vec![fault(true, TAKEN)]);
    let applied = bench.deploy(changed_system()).await;
    assert_eq!(summary(&applied), "created created failed skipped skipped");
    assert_eq!(bench.cloud.status(&key("data@us-west-2")), None);
    let error = failure_of(&applied.stacks, "deploy again").unwrap().render();
    assert!(error.contains(TAKEN) && error.contains("at `/Resources/More/Properties/QueueName`"), "{error}");
}
