//! Planning and execution against a scripted cloud that behaves as CloudFormation does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::{Value, json};

use super::Selection;
use super::apply::{Applied, Done, Progress, Rules, StackError, StackOutcome, apply};
use super::cloud::{ChangeKind, Event, StackRef, Stacks as _};
use super::fake::FakeCloud;
use super::pins::PlanFile;
use super::plan::{Action, Drafted, Planned, Seen, plan, plan_telling};
use super::survey::{self, Surveyed};
use super::system::{Source, Stack, StackKey, Template};
use super::timeline::record::{Record, RunResult};
use super::timeline::{Ending, Recorder};
use crate::artifacts::{Artifact, Artifacts};

mod faults;
mod sequences;
mod validations;

const WEST: &str = "us-west-2";
const EAST: &str = "us-east-1";

pub(super) fn key(text: &str) -> StackKey {
    let (name, region) = text.split_once('@').unwrap();
    StackKey::new(name, region)
}

pub(super) fn stack(text: &str, document: &Value, depends_on: &[&str]) -> Stack {
    let key = key(text);
    Stack {
        cloudformation_name: format!("tandem-test-{}", key.name),
        key,
        template: Template::parse(document.to_string(), BTreeMap::new()).unwrap(),
        inputs: BTreeMap::new(),
        depends_on: depends_on.iter().map(|needed| self::key(needed)).collect(),
        tags: BTreeMap::from([("System".to_owned(), "tandem".to_owned())]),
        termination_protection: false,
        role: None,
        bake: None,
    }
}

fn delivery(region: &str) -> Stack {
    let document = json!({
        "Resources": { "Bucket": { "Type": "AWS::S3::Bucket" } },
        "Outputs": { "ArtifactBucketName": { "Value": format!("bucket-{region}") } }
    });
    stack(&format!("delivery@{region}"), &document, &[])
}

pub(super) fn data() -> Stack {
    let document = json!({
        "Resources": { "Orders": {
            "Type": "AWS::DynamoDB::GlobalTable", "Properties": { "TableName": "tandem-test-orders" }
        } },
        "Outputs": { "OrdersArn": { "Value": "arn:orders" } }
    });
    stack("data@us-west-2", &document, &["delivery@us-west-2"])
}

pub(super) fn events(region: &str) -> Stack {
    let document = json!({
        "Parameters": {
            "Bucket": { "Type": "String" }, "Code": { "Type": "String" },
            "Stream": { "Type": "String" }, "Table": { "Type": "String" }
        },
        "Resources": {
            "Router": {
                "Type": "AWS::Lambda::Function", "Properties": { "Code": { "S3Key": { "Ref": "Code" } } }
            },
            "Queue": { "Type": "AWS::SQS::Queue" }
        }
    });
    let mut stack = stack(&format!("events@{region}"), &document, &[&format!("delivery@{region}"), "data@us-west-2"]);
    stack.inputs = BTreeMap::from([
        ("Code".to_owned(), Source::CodeKey { program: "event-router".to_owned() }),
        ("Bucket".to_owned(), Source::CodeBucket),
        ("Stream".to_owned(), Source::TableStream { table: "tandem-test-orders".to_owned() }),
        ("Table".to_owned(), Source::StackOutput { stack: key("data@us-west-2"), output: "OrdersArn".to_owned() }),
    ]);
    stack
}

/// delivery in both regions ← data ← events in both regions.
pub(super) fn system() -> Vec<Stack> {
    vec![delivery(WEST), delivery(EAST), data(), events(WEST), events(EAST)]
}

fn artifacts(folder: &tempfile::TempDir, revision: u32) -> Artifacts {
    let path = folder.path().join(format!("{revision}.zip"));
    write!(std::fs::File::create(&path).unwrap(), "code {revision}").unwrap();
    let artifact = Artifact {
        program: "event-router".to_owned(),
        key: format!("functions/event-router/{revision}.zip"),
        digest: format!("digest-{revision}"),
        size: 6,
        path,
    };
    [artifact].into_iter().collect()
}

#[derive(Default)]
pub(super) struct Heard(pub(super) RefCell<Vec<String>>);

impl Progress for Heard {
    fn phase(&self, stack: &Stack, text: &str) {
        self.0.borrow_mut().push(format!("{}: {text}", stack.key));
    }

    fn event(&self, stack: &Stack, event: &Event) {
        self.0.borrow_mut().push(format!("{}: {} {}", stack.key, event.logical_id, event.status));
    }

    fn warning(&self, stack: &Stack, text: &str) {
        self.0.borrow_mut().push(format!("{}: warning: {text}", stack.key));
    }

    fn began(&self, _: &Stack) {}

    fn ended(&self, _: &Stack, _: &Result<Done, StackError>) {}
}

struct Bench {
    cloud: FakeCloud,
    folder: tempfile::TempDir,
    revision: u32,
    rules: Rules,
}

impl Bench {
    fn new() -> Self {
        Self {
            cloud: FakeCloud::default(),
            folder: tempfile::tempdir().unwrap(),
            revision: 1,
            rules: Rules { refuse_unapproved_harm: true },
        }
    }

    async fn plan(&self, stacks: Vec<Stack>) -> Planned {
        let code_keys = artifacts(&self.folder, self.revision).keys();
        plan(&self.cloud, Drafted { stacks, context: Vec::new(), code_keys, seen: Seen::new() }).await.unwrap()
    }

    async fn apply(&self, planned: Planned) -> Applied {
        let artifacts = artifacts(&self.folder, self.revision);
        apply(&self.cloud, planned.approve(), &artifacts, self.rules, &Heard::default()).await
    }

    async fn deploy(&self, stacks: Vec<Stack>) -> Applied {
        self.apply(self.plan(stacks).await).await
    }

    /// A deployed system with no record of how it came about.
    async fn deployed() -> Self {
        let bench = Self::new();
        assert_eq!(summary(&bench.deploy(system()).await), "created created created created created");
        bench.cloud.forget_calls();
        bench
    }
}

fn summary(applied: &Applied) -> String {
    let words = applied.stacks.iter().map(|(_, outcome)| match outcome {
        StackOutcome::Done(Done::Unchanged) => "unchanged",
        StackOutcome::Done(Done::Created(_)) => "created",
        StackOutcome::Done(Done::Updated(_)) => "updated",
        StackOutcome::Done(Done::Protected) => "protected",
        StackOutcome::Failed(_) => "failed",
        StackOutcome::Skipped { .. } => "skipped",
    });
    words.collect::<Vec<_>>().join(" ")
}

fn actions(planned: &Planned) -> String {
    let words = planned.entries.iter().map(|entry| match &entry.action {
        Action::Unchanged => "unchanged",
        Action::Protect => "protect",
        Action::Create { leftover: None, .. } => "create",
        Action::Create { leftover: Some(_), .. } => "recreate",
        Action::Update(_) => "update",
        Action::UpdateLater { .. } => "later",
        Action::Attach { .. } => "attach",
        Action::Stuck { .. } => "stuck",
    });
    words.collect::<Vec<_>>().join(" ")
}

fn cause_of(applied: &Applied) -> String {
    let failed = applied.stacks.iter().find_map(|(_, outcome)| match outcome {
        StackOutcome::Failed(error) => Some(super::outcome::chain(error)),
        _ => None,
    });
    failed.unwrap_or_default()
}

#[tokio::test]
async fn a_first_deployment_creates_everything_in_order() {
    let bench = Bench::new();
    let planned = bench.plan(system()).await;
    assert_eq!(actions(&planned), "create create create create create");
    assert_eq!(planned.count(ChangeKind::Add), 7);
    assert!(bench.cloud.writes().is_empty(), "a plan of new stacks writes nothing");
    let applied = bench.apply(planned).await;
    assert_eq!(summary(&applied), "created created created created created");
    for stack in system() {
        assert_eq!(bench.cloud.status(&stack.key).as_deref(), Some("CREATE_COMPLETE"));
    }
    let stacks = bench.cloud.stacks.borrow();
    let parameters = &stacks["us-east-1/tandem-test-events"].parameters;
    assert_eq!(
        *parameters,
        BTreeMap::from([
            ("Bucket".to_owned(), "bucket-us-east-1".to_owned()),
            ("Code".to_owned(), "functions/event-router/1.zip".to_owned()),
            ("Stream".to_owned(), "arn:us-east-1:tandem-test-orders:stream/1".to_owned()),
            ("Table".to_owned(), "arn:orders".to_owned()),
        ])
    );
    assert_eq!(bench.cloud.objects.borrow().len(), 2, "the code lies in both regions");
}

#[tokio::test]
async fn an_unchanged_system_is_only_read_twice_a_stack() {
    let bench = Bench::deployed().await;
    let planned = bench.plan(system()).await;
    assert!(planned.is_nothing(), "{}", actions(&planned));
    assert_eq!(summary(&bench.apply(planned).await), "unchanged unchanged unchanged unchanged unchanged");
    assert_eq!(bench.cloud.writes(), []);
    assert_eq!(bench.cloud.count("DescribeStacks"), 5);
    assert_eq!(bench.cloud.count("GetTemplate"), 5);
    assert_eq!(bench.cloud.calls.borrow().len(), 12, "two more for the streams of the table");
}

#[tokio::test]
async fn new_code_updates_only_the_function_in_both_regions() {
    let mut bench = Bench::deployed().await;
    bench.revision = 2;
    let planned = bench.plan(system()).await;
    assert_eq!(actions(&planned), "unchanged unchanged unchanged update update");
    for entry in &planned.entries[3..] {
        let changes: Vec<_> = entry.action.changes().unwrap().iter().collect();
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].logical_id.as_str(), changes[0].kind), ("Router", ChangeKind::Modify));
    }
    assert_eq!(summary(&bench.apply(planned).await), "unchanged unchanged unchanged updated updated");
    assert_eq!(bench.cloud.count("CreateChangeSet"), 2, "the planned change set is the executed one");
    assert_eq!(bench.cloud.count("PutObject"), 2);
}

#[tokio::test]
async fn inputs_that_a_change_decides_about_are_known_after() {
    let bench = Bench::deployed().await;
    let mut stacks = system();
    let changed = json!({
        "Resources": { "Orders": {
            "Type": "AWS::DynamoDB::GlobalTable",
            "Properties": { "TableName": "tandem-test-orders", "BillingMode": "PAY_PER_REQUEST" }
        } },
        "Outputs": { "OrdersArn": { "Value": "arn:orders-2" } }
    });
    stacks[2].template = Template::parse(changed.to_string(), BTreeMap::new()).unwrap();
    let planned = bench.plan(stacks.clone()).await;
    assert_eq!(actions(&planned), "unchanged unchanged update later later");
    assert_eq!(summary(&bench.apply(planned).await), "unchanged unchanged updated updated updated");
    let parameters = bench.cloud.stacks.borrow()["us-west-2/tandem-test-events"].parameters.clone();
    assert_eq!(parameters["Table"], "arn:orders-2");

    // The same once more, but now what decides does not change the inputs.
    let changed = changed.to_string().replace("PAY_PER_REQUEST", "PROVISIONED");
    stacks[2].template = Template::parse(changed, BTreeMap::new()).unwrap();
    let planned = bench.plan(stacks).await;
    assert_eq!(actions(&planned), "unchanged unchanged update later later");
    assert_eq!(summary(&bench.apply(planned).await), "unchanged unchanged updated unchanged unchanged");
}

#[tokio::test]
async fn a_failure_stops_only_dependents_and_names_the_cause() {
    for (failing, expected) in [
        ("Bucket", "failed failed skipped skipped skipped"),
        ("Orders", "created created failed skipped skipped"),
        ("Router", "created created created failed failed"),
    ] {
        let bench = Bench::new();
        bench.cloud.failing.borrow_mut().insert(failing.to_owned(), "it already exists".to_owned());
        let applied = bench.deploy(system()).await;
        assert_eq!(summary(&applied), expected, "{failing}");
        let cause = cause_of(&applied);
        assert!(cause.contains(&format!("`{failing}`")) && cause.ends_with(": it already exists"), "{cause}");

        bench.cloud.failing.borrow_mut().clear();
        let planned = bench.plan(system()).await;
        assert!(actions(&planned).contains("recreate"), "{}", actions(&planned));
        let applied = bench.apply(planned).await;
        assert!(!summary(&applied).contains("failed") && !summary(&applied).contains("skipped"));
    }
}

#[tokio::test]
async fn a_failed_update_is_undone_and_tried_again_next_time() {
    let mut bench = Bench::deployed().await;
    bench.revision = 2;
    bench.cloud.failing.borrow_mut().insert("Router".to_owned(), "Rate exceeded".to_owned());
    let applied = bench.deploy(system()).await;
    assert_eq!(summary(&applied), "unchanged unchanged unchanged failed failed");
    assert_eq!(bench.cloud.status(&key("events@us-west-2")).as_deref(), Some("UPDATE_ROLLBACK_COMPLETE"));
    bench.cloud.failing.borrow_mut().clear();
    assert_eq!(summary(&bench.deploy(system()).await), "unchanged unchanged unchanged updated updated");
}

#[tokio::test]
async fn after_an_undone_update_cloudformation_decides_whether_there_is_a_change() {
    let bench = Bench::deployed().await;
    bench.cloud.set_status(&key("data@us-west-2"), "UPDATE_ROLLBACK_COMPLETE");
    let planned = bench.plan(system()).await;
    assert_eq!(actions(&planned), "unchanged unchanged unchanged later later");
    assert_eq!(bench.cloud.count("CreateChangeSet"), 1);
    assert_eq!(bench.cloud.count("DeleteChangeSet"), 1);
}

#[tokio::test]
async fn states_that_a_killed_run_leaves_are_cleared_or_waited_for() {
    for status in ["ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"] {
        let bench = Bench::new();
        bench.cloud.set_status(&key("delivery@us-west-2"), status);
        let planned = bench.plan(system()).await;
        assert_eq!(actions(&planned), "recreate create create create create", "{status}");
        assert_eq!(summary(&bench.apply(planned).await), "created created created created created", "{status}");
        assert_eq!(bench.cloud.count("DeleteStack"), 1);
    }
}

/// The shell of a change set that nobody executed takes another one.
#[tokio::test]
async fn a_shell_of_a_stack_is_filled() {
    let bench = Bench::new();
    bench.cloud.set_status(&key("delivery@us-west-2"), "REVIEW_IN_PROGRESS");
    assert_eq!(summary(&bench.deploy(system()).await), "created created created created created");
    assert_eq!(bench.cloud.count("DeleteStack"), 0);
}

#[tokio::test]
async fn a_run_that_is_killed_anywhere_is_carried_on() {
    let whole = {
        let bench = Bench::new();
        bench.deploy(system()).await;
        u32::try_from(bench.cloud.calls.borrow().len()).unwrap()
    };
    assert!(whole > 40, "{whole} calls");
    for calls in 0..whole {
        let bench = Bench::new();
        bench.cloud.dies_after.set(Some(calls));
        let code_keys = artifacts(&bench.folder, 1).keys();
        // What the killed run reports does not matter: it is gone.
        if let Ok(planned) =
            plan(&bench.cloud, Drafted { stacks: system(), context: Vec::new(), code_keys, seen: Seen::new() }).await
        {
            bench.apply(planned).await;
        }
        bench.cloud.dies_after.set(None);
        let applied = bench.deploy(system()).await;
        let summary = summary(&applied);
        assert!(!summary.contains("failed") && !summary.contains("skipped"), "after {calls} calls: {summary}");
        assert!(bench.plan(system()).await.is_nothing(), "after {calls} calls");
    }
}

#[tokio::test]
async fn throttled_calls_are_repeated() {
    let bench = Bench::new();
    for operation in ["DescribeStacks", "CreateChangeSet", "ExecuteChangeSet", "DescribeStackEvents", "PutObject"] {
        bench.cloud.throttled.borrow_mut().insert(operation, 3);
    }
    assert_eq!(summary(&bench.deploy(system()).await), "created created created created created");
}

#[tokio::test]
async fn a_storm_of_throttling_ends_in_an_error_and_never_counts_as_absence() {
    let bench = Bench::deployed().await;
    bench.cloud.throttled.borrow_mut().insert("DescribeStacks", u32::MAX);
    let code_keys = artifacts(&bench.folder, 1).keys();
    let error = plan(&bench.cloud, Drafted { stacks: system(), context: Vec::new(), code_keys, seen: Seen::new() })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is throttled"), "{error}");
    assert_eq!(bench.cloud.writes(), []);
}

#[tokio::test]
async fn states_that_need_a_person_come_with_the_next_command() {
    for (status, command) in [
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("DELETE_FAILED", "synth destroy"),
        ("UPDATE_FAILED", "rollback-stack"),
    ] {
        let bench = Bench::deployed().await;
        bench.cloud.set_status(&key("data@us-west-2"), status);
        let planned = bench.plan(system()).await;
        let stuck: Vec<_> = planned.stuck().map(|(key, status, next)| format!("{key} {status} {next}")).collect();
        assert_eq!(stuck.len(), 1);
        assert!(stuck[0].contains(command) && stuck[0].contains(status), "{stuck:?}");
    }
}

#[tokio::test]
async fn harm_that_no_plan_showed_is_refused_on_aws_only() {
    for (refuse, expected) in [(true, "failed"), (false, "updated")] {
        let mut bench = Bench::deployed().await;
        bench.rules = Rules { refuse_unapproved_harm: refuse };
        let mut stacks = system();
        let changed = stacks[2]
            .template
            .text()
            .replace("arn:orders", "arn:orders-2")
            .replace("\"TableName\"", "\"X\":1,\"TableName\"");
        stacks[2].template = Template::parse(changed, BTreeMap::new()).unwrap();
        // That the queue is replaced is in the estimate, and so it is approved.
        for east_or_west in [3, 4] {
            let changed = stacks[east_or_west].template.text().replace("AWS::SQS::Queue", "AWS::SNS::Topic");
            stacks[east_or_west].template = Template::parse(changed, BTreeMap::new()).unwrap();
        }
        let planned = bench.plan(stacks).await;
        assert_eq!(actions(&planned), "unchanged unchanged update later later");
        // What somebody else has added since would go, and nobody has seen that.
        {
            let mut stacks = bench.cloud.stacks.borrow_mut();
            let theirs = stacks.get_mut("us-west-2/tandem-test-events").unwrap();
            let mut document: Value = serde_json::from_str(&theirs.template).unwrap();
            document["Resources"]["Theirs"] = json!({ "Type": "AWS::SQS::Queue" });
            theirs.template = document.to_string();
        }
        let applied = bench.apply(planned).await;
        assert_eq!(summary(&applied), format!("unchanged unchanged updated {expected} updated"));
        let refused = matches!(&applied.stacks[3].1, StackOutcome::Failed(StackError::Unapproved { harm, .. }) if harm.contains("Theirs") && !harm.contains("Topic"));
        assert_eq!(refused, refuse);
    }
}

#[tokio::test]
async fn a_declined_plan_leaves_no_change_set() {
    let mut bench = Bench::deployed().await;
    bench.revision = 2;
    let planned = bench.plan(system()).await;
    planned.discard(&bench.cloud).await.unwrap();
    assert_eq!(bench.cloud.count("CreateChangeSet"), bench.cloud.count("DeleteChangeSet"));
    assert_eq!(bench.cloud.count("ExecuteChangeSet"), 0);
}

#[tokio::test]
async fn change_sets_of_a_killed_run_are_removed_by_the_next() {
    let mut bench = Bench::deployed().await;
    bench.revision = 2;
    // The first plan is dropped as a killed run drops it: its change sets stay.
    drop(bench.plan(system()).await);
    bench.plan(system()).await;
    assert_eq!(bench.cloud.count("CreateChangeSet"), 4);
    assert_eq!(bench.cloud.count("DeleteChangeSet"), 2);
}

#[tokio::test]
async fn termination_protection_is_set_without_a_change_set() {
    let bench = Bench::deployed().await;
    let mut stacks = system();
    stacks[2].termination_protection = true;
    let planned = bench.plan(stacks.clone()).await;
    assert_eq!(actions(&planned), "unchanged unchanged protect unchanged unchanged");
    assert_eq!(summary(&bench.apply(planned).await), "unchanged unchanged protected unchanged unchanged");
    assert_eq!(bench.cloud.writes().len(), 1);
    assert!(bench.plan(stacks).await.is_nothing());
}

#[tokio::test]
async fn a_large_template_goes_through_the_bucket() {
    let bench = Bench::deployed().await;
    let mut stacks = system();
    let mut document = stacks[3].template.document().clone();
    document["Description"] = "x".repeat(51_200).into();
    document["Resources"]["More"] = json!({ "Type": "AWS::SQS::Queue" });
    stacks[3].template = Template::parse(document.to_string(), BTreeMap::new()).unwrap();
    assert_eq!(summary(&bench.deploy(stacks).await), "unchanged unchanged unchanged updated unchanged");
    assert!(bench.cloud.objects.borrow().keys().any(|url| url.contains("/templates/events/")));
}

/// White space doesn't count against what goes within the call: there is no bucket for the first stacks yet.
#[tokio::test]
async fn a_template_that_is_large_by_its_layout_goes_within_the_call() {
    let bench = Bench::new();
    let mut document = data().template.document().clone();
    document["Description"] = "x".repeat(40_000).into();
    let text = format!("{}{document}", " ".repeat(20_000));
    let mut alone = stack("data@us-west-2", &document, &[]);
    alone.template = Template::parse(text, BTreeMap::new()).unwrap();
    assert_eq!(summary(&bench.deploy(vec![alone.clone()]).await), "created");
    assert!(bench.cloud.objects.borrow().is_empty());
    assert_eq!(bench.cloud.stacks.borrow()["us-west-2/tandem-test-data"].template, document.to_string());
    assert!(bench.plan(vec![alone]).await.is_nothing(), "the layout is no difference");
}

fn role_of(name: &str) -> String {
    format!("arn:aws:iam::000000000000:role/tandem-test-cfn-{name}")
}

/// `access`, which makes the roles of delivery and data.
fn system_with_roles() -> Vec<Stack> {
    let role = json!({ "Resources": { "Role": { "Type": "AWS::IAM::Role" } } });
    let mut stacks = vec![stack("access@us-west-2", &role, &[]), delivery(WEST), data()];
    for stack in &mut stacks[1..] {
        stack.depends_on.push(key("access@us-west-2"));
        stack.role = Some(role_of(&stack.key.name));
    }
    stacks
}

#[tokio::test]
async fn each_stack_is_made_with_its_role_and_access_with_the_callers_rights() {
    let bench = Bench::new();
    assert_eq!(summary(&bench.deploy(system_with_roles()).await), "created created created");
    let made: BTreeMap<String, Option<String>> =
        bench.cloud.roles.borrow().iter().map(|(_, stack, role)| (stack.clone(), role.clone())).collect();
    let expected = [("access", None), ("data", Some(role_of("data"))), ("delivery", Some(role_of("delivery")))];
    assert_eq!(made, expected.map(|(name, role)| (format!("us-west-2/tandem-test-{name}"), role)).into());
}

/// What a failed creation left behind is cleared up with the role too: whoever deploys may have no other rights.
#[tokio::test]
async fn a_leftover_is_deleted_with_the_role() {
    let bench = Bench::new();
    bench.cloud.set_status(&key("data@us-west-2"), "ROLLBACK_COMPLETE");
    assert_eq!(summary(&bench.deploy(system_with_roles()).await), "created created created");
    let deletion = ("DeleteStack", "us-west-2/tandem-test-data".to_owned(), Some(role_of("data")));
    assert!(bench.cloud.roles.borrow().contains(&deletion), "{:?}", bench.cloud.roles.borrow());
}

/// A change set needs a role that is there, and one with the rights of the new template.
#[tokio::test]
async fn a_changed_access_comes_before_the_change_sets_of_the_others() {
    let bench = Bench::new();
    let mut stacks = system_with_roles();
    bench.deploy(stacks.clone()).await;
    bench.cloud.forget_calls();
    for changed in [0, 2] {
        let mut document = stacks[changed].template.document().clone();
        document["Resources"]["More"] = json!({ "Type": "AWS::SQS::Queue" });
        stacks[changed].template = Template::parse(document.to_string(), BTreeMap::new()).unwrap();
    }
    let planned = bench.plan(stacks.clone()).await;
    assert_eq!(actions(&planned), "update later later");
    assert_eq!(bench.cloud.count("CreateChangeSet"), 1);
    assert_eq!(summary(&bench.apply(planned).await), "updated unchanged updated");
    assert!(bench.plan(stacks).await.is_nothing());
}

#[tokio::test]
async fn a_missing_output_says_who_lacks_it() {
    let bench = Bench::new();
    let mut stacks = system();
    let source = Source::StackOutput { stack: key("data@us-west-2"), output: "Nothing".to_owned() };
    stacks[3].inputs.insert("Table".to_owned(), source);
    let applied = bench.deploy(stacks).await;
    let StackOutcome::Failed(error) = &applied.stacks[3].1 else { panic!("{}", summary(&applied)) };
    let source = std::error::Error::source(error).unwrap().to_string();
    assert_eq!(source, "parameter `Table` needs output `Nothing` of data@us-west-2, which has no such output");
}

#[tokio::test]
async fn a_selected_stack_needs_the_others_deployed() {
    let bench = Bench::new();
    let code_keys = artifacts(&bench.folder, 1).keys();
    let context = system()[..3].to_vec();
    let selected = || Drafted {
        stacks: vec![events(EAST)],
        context: context.clone(),
        code_keys: code_keys.clone(),
        seen: Seen::new(),
    };
    let error = plan(&bench.cloud, selected()).await.unwrap_err();
    assert_eq!(error.to_string(), "events@us-east-1 needs delivery@us-east-1, which is not deployed and not selected");

    bench.deploy(context.clone()).await;
    let planned = plan(&bench.cloud, Drafted { stacks: vec![events(EAST)], context, code_keys, seen: Seen::new() })
        .await
        .unwrap();
    assert_eq!(summary(&bench.apply(planned).await), "created");
    assert_eq!(bench.cloud.status(&key("events@us-west-2")), None);
}

/// The system with one more queue in the stack of the data.
fn changed_system() -> Vec<Stack> {
    let mut stacks = system();
    let mut document = stacks[2].template.document().clone();
    document["Resources"]["More"] = json!({ "Type": "AWS::SQS::Queue" });
    stacks[2].template = Template::parse(document.to_string(), BTreeMap::new()).unwrap();
    stacks
}

async fn plan_of(bench: &Bench, stacks: Vec<Stack>) -> (PlanFile, Vec<Surveyed>) {
    let surveyed = survey::read(&bench.cloud, stacks).await.unwrap();
    (PlanFile::of("test", "000000000000", &surveyed, Vec::new()), surveyed)
}

#[tokio::test]
async fn a_comparison_only_reads() {
    let bench = Bench::deployed().await;
    let surveyed = survey::read(&bench.cloud, changed_system()).await.unwrap();
    let diff = survey::compared(&surveyed).unwrap();
    let data = diff.stack(&diff::StackKey::new("data", WEST)).unwrap();
    assert_eq!(data.resource("More").unwrap().class, diff::Class::Added);
    // What its inputs will be isn't known before the data's stack is deployed, and nothing else of it changes.
    let changing: Vec<String> =
        diff.stacks.iter().filter(|stack| !stack.is_empty()).map(|stack| stack.key.to_string()).collect();
    assert_eq!(changing, ["data@us-west-2"], "{}", diff::render::human(&diff));
    assert_eq!(bench.cloud.writes(), []);
    let calls = bench.cloud.calls.borrow().len();
    assert!(calls <= 2 * 5 + 2, "{calls} calls");

    // Before anything is deployed, everything is new.
    let empty = FakeCloud::default();
    let diff = survey::compared(&survey::read(&empty, system()).await.unwrap()).unwrap();
    assert!(diff.stacks.iter().all(|stack| stack.fate == diff::StackFate::Created));
    assert_eq!(empty.writes(), []);
}

/// What was compared is what is planned, and nothing is asked twice.
#[tokio::test]
async fn what_was_surveyed_is_not_read_again() {
    let bench = Bench::deployed().await;
    let surveyed = survey::read(&bench.cloud, system()).await.unwrap();
    bench.cloud.forget_calls();
    let code_keys = artifacts(&bench.folder, bench.revision).keys();
    let drafted = Drafted { stacks: system(), context: Vec::new(), code_keys, seen: survey::seen(surveyed) };
    assert!(plan(&bench.cloud, drafted).await.unwrap().is_nothing());
    assert_eq!((bench.cloud.count("DescribeStacks"), bench.cloud.count("GetTemplate")), (0, 0));
}

#[tokio::test]
async fn a_plan_holds_until_something_moves() {
    let bench = Bench::deployed().await;
    let (plan, surveyed) = plan_of(&bench, changed_system()).await;
    plan.check(&surveyed, &Selection::default()).unwrap();

    // Another template in the checkout.
    let error = plan.check(&plan_of(&bench, system()).await.1, &Selection::default()).unwrap_err();
    assert_eq!((error.kind(), error.kind().exit_code()), (crate::error::Kind::Stale, 5));
    assert_eq!(error.details(), ["data@us-west-2: the checkout's template is another one"]);

    // Somebody else has deployed; it doesn't matter to who deploys the rest.
    {
        let mut stacks = bench.cloud.stacks.borrow_mut();
        let delivery = stacks.get_mut("us-east-1/tandem-test-delivery").unwrap();
        delivery.changed_at = Some("noon".to_owned());
        delivery.template =
            json!({ "Resources": { "Bucket": { "Type": "AWS::S3::Bucket", "Properties": {} } } }).to_string();
    }
    let surveyed = plan_of(&bench, changed_system()).await.1;
    let error = plan.check(&surveyed, &Selection::default()).unwrap_err();
    assert_eq!(
        error.details(),
        [
            "delivery@us-east-1: it has been changed meanwhile, at noon",
            "events@us-east-1: input `Bucket` was `bucket-us-east-1`, and another stack has to be deployed now to know it"
        ]
    );
    let west = Selection { regions: vec![WEST.to_owned()], ..Selection::default() };
    plan.check(&surveyed, &west).unwrap();

    // What is gone is told too.
    bench.cloud.stacks.borrow_mut().remove("us-east-1/tandem-test-events").unwrap();
    let error = plan.check(&plan_of(&bench, changed_system()).await.1, &Selection::default()).unwrap_err();
    assert!(
        error.details().contains(&"events@us-east-1: it has been deleted meanwhile".to_owned()),
        "{}",
        error.render()
    );
}

/// Also of a stack that the plan leaves alone: it would be updated with what nobody has looked at.
#[tokio::test]
async fn a_plan_pins_inputs_tags_and_protection() {
    let bench = Bench::deployed().await;
    let (plan, _) = plan_of(&bench, system()).await;
    let error = |surveyed: &[Surveyed]| plan.check(surveyed, &Selection::default()).unwrap_err().details().join("; ");

    // Somebody has made the replica anew.
    bench.cloud.tables.borrow_mut().insert("us-east-1/tandem-test-orders".to_owned(), 2);
    assert_eq!(
        error(&plan_of(&bench, system()).await.1),
        "events@us-east-1: input `Stream` is `arn:us-east-1:tandem-test-orders:stream/2` now, and was \
         `arn:us-east-1:tandem-test-orders:stream/1`"
    );

    let bench = Bench::deployed().await;
    let mut stacks = system();
    stacks[0].tags.insert("Owner".to_owned(), "somebody".to_owned());
    stacks[1].termination_protection = true;
    let surveyed = plan_of(&bench, stacks).await.1;
    let found = error(&surveyed);
    for stack in ["delivery@us-west-2", "delivery@us-east-1"] {
        assert!(found.contains(&format!("{stack}: the checkout's tags, protection")), "{found}");
    }
    // And both are in the comparison, though no template differs.
    let text = diff::render::human(&survey::compared(&surveyed).unwrap()).to_string();
    assert!(text.contains("Owner") && text.contains("TerminationProtection"), "{text}");
}

#[tokio::test]
async fn a_plan_that_was_carried_out_in_part_or_whole_still_holds() {
    let bench = Bench::deployed().await;
    let (plan, _) = plan_of(&bench, changed_system()).await;
    let applied = bench.deploy(changed_system()).await;
    assert_eq!(summary(&applied), "unchanged unchanged updated unchanged unchanged");
    plan.check(&plan_of(&bench, changed_system()).await.1, &Selection::default()).unwrap();

    let nothing = Bench::new();
    let (plan, _) = plan_of(&nothing, system()).await;
    nothing.deploy(vec![delivery(WEST), delivery(EAST)]).await;
    plan.check(&plan_of(&nothing, system()).await.1, &Selection::default()).unwrap();
}

/// What a killed or failed run leaves is no change by somebody else.
#[tokio::test]
async fn a_plan_that_failed_on_its_way_still_holds() {
    // Creating.
    let bench = Bench::new();
    let (plan, _) = plan_of(&bench, system()).await;
    for status in ["REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE", "CREATE_FAILED"] {
        bench.cloud.set_status(&key("delivery@us-west-2"), status);
        let surveyed = plan_of(&bench, system()).await.1;
        plan.check(&surveyed, &Selection::default()).unwrap_or_else(|error| panic!("{status}: {}", error.render()));
    }

    // Updating.
    let bench = Bench::deployed().await;
    let (plan, _) = plan_of(&bench, changed_system()).await;
    bench.cloud.failing.borrow_mut().insert("More".to_owned(), "Internal failure".to_owned());
    assert_eq!(summary(&bench.deploy(changed_system()).await), "unchanged unchanged failed skipped skipped");
    assert_eq!(bench.cloud.status(&key("data@us-west-2")).as_deref(), Some("UPDATE_ROLLBACK_COMPLETE"));
    plan.check(&plan_of(&bench, changed_system()).await.1, &Selection::default()).unwrap();

    // What runs is told, with the command to follow it.
    bench.cloud.set_status(&key("data@us-west-2"), "UPDATE_IN_PROGRESS");
    let error = plan.check(&plan_of(&bench, changed_system()).await.1, &Selection::default()).unwrap_err();
    let told = error.details().join("; ");
    assert!(told.contains("data@us-west-2: UPDATE_IN_PROGRESS runs on it; follow it with `synth watch`"), "{told}");
}

/// Somebody cancels what an earlier run has begun: whoever waits for it doesn't begin it again.
#[tokio::test]
async fn an_update_that_was_undone_while_it_was_waited_for_is_not_begun_again() {
    let mut bench = Bench::deployed().await;
    bench.revision = 2;
    bench.cloud.failing.borrow_mut().insert("us-west-2/Router".to_owned(), "Resource update cancelled".to_owned());
    let planned = bench.plan(system()).await;
    let Action::Update(change_set) = &planned.entries[3].action else { panic!("{}", actions(&planned)) };
    let target = StackRef { region: WEST, name: "tandem-test-events" };
    bench.cloud.execute_change_set(target, &change_set.id).await.unwrap();
    bench.cloud.failing.borrow_mut().clear();
    let planned = bench.plan(system()).await;
    assert_eq!(actions(&planned), "unchanged unchanged unchanged attach update");
    bench.cloud.forget_calls();
    let applied = bench.apply(planned).await;
    assert_eq!(summary(&applied), "unchanged unchanged unchanged failed updated");
    assert_eq!(bench.cloud.count("ExecuteChangeSet"), 1, "that of the other region");
    assert_eq!(summary(&bench.deploy(system()).await), "unchanged unchanged unchanged updated unchanged");
}

#[test]
fn a_plan_is_for_one_environment_and_one_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    let plan = PlanFile::of("test", "000000000000", &[], vec!["Table:moved".parse().unwrap()]);
    plan.write(&path).unwrap();
    assert_eq!(PlanFile::read(&path, "test", "000000000000").unwrap(), plan);
    let error = |environment: &str, account: &str| PlanFile::read(&path, environment, account).unwrap_err().render();
    assert!(error("other", "000000000000").contains("is for `test` in account 000000000000"));
    assert!(error("test", "111111111111").contains("is for `test` in account 000000000000"));
    let text = std::fs::read_to_string(&path).unwrap();
    for (wrong, expected) in [
        (text.replace("\"version\": 1", "\"version\": 2"), "has version 2, and this tool reads version 1"),
        (text.replace("\"consents\"", "\"consent\""), "is no plan"),
        ("plan".to_owned(), "is no plan"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        assert!(error("test", "000000000000").contains(expected), "{}", error("test", "000000000000"));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(error("test", "000000000000").contains("can't be read"));
}

/// Hears a deployment with a recorder, which goes by the words of phases.
async fn recorded(bench: &Bench, stacks: Vec<Stack>) -> Record {
    let recorder = Recorder::new("test", Box::new(jiff::Timestamp::now));
    recorder.expect(&stacks);
    let code_keys = artifacts(&bench.folder, bench.revision).keys();
    let drafted = Drafted { stacks, context: Vec::new(), code_keys, seen: Seen::new() };
    let planned = plan_telling(&bench.cloud, drafted, &recorder).await.unwrap();
    let artifacts = artifacts(&bench.folder, bench.revision);
    apply(&bench.cloud, planned.approve(), &artifacts, bench.rules, &recorder).await;
    recorder.finish(Ending::Good(RunResult::Succeeded))
}

#[tokio::test]
async fn a_record_knows_every_phase_and_how_each_stack_ended() {
    let kinds = |record: &Record, lane: usize| -> Vec<&'static str> {
        record.lanes[lane].phases.iter().map(|phase| phase.kind.says()).collect()
    };
    let results = |record: &Record| -> String {
        record.lanes.iter().map(|lane| lane.result.says()).collect::<Vec<_>>().join(", ")
    };
    let mut bench = Bench::new();
    bench.cloud.set_status(&key("delivery@us-west-2"), "ROLLBACK_COMPLETE");
    let record = recorded(&bench, system()).await;
    assert_eq!(results(&record), "created, created, created, created, created");
    assert_eq!(kinds(&record, 0), ["clearing", "change set", "execution"]);
    assert_eq!(kinds(&record, 3), ["upload", "change set", "execution"]);

    bench.revision = 2;
    let record = recorded(&bench, system()).await;
    assert_eq!(results(&record), "unchanged, unchanged, unchanged, updated, updated");
    assert_eq!(kinds(&record, 3), ["change set", "upload", "execution"]);
    assert_eq!(kinds(&record, 0), [] as [&str; 0]);

    bench.revision = 3;
    bench.cloud.failing.borrow_mut().insert("Router".to_owned(), "Rate exceeded".to_owned());
    let record = recorded(&bench, system()).await;
    assert_eq!(results(&record), "unchanged, unchanged, unchanged, failed, failed");
    let failure = record.lanes[3].failure.as_ref().unwrap();
    assert_eq!((failure.resource.as_deref(), failure.reason.as_deref()), (Some("Router"), Some("Rate exceeded")));
    assert!(failure.hint.is_some());

    let bench = Bench::new();
    bench.cloud.failing.borrow_mut().insert("Orders".to_owned(), "it already exists".to_owned());
    let record = recorded(&bench, system()).await;
    assert_eq!(results(&record), "created, created, failed, not tried, not tried");
    assert_eq!(record.lanes[4].because_of.as_deref(), Some("data@us-west-2"));
}
