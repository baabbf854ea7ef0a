//! Takes an environment down, in the reverse of the order in which it was deployed.
//!
//! On the local platform protections are lifted and everything goes, the platform's processes last. On AWS what a
//! template keeps (tables, keys, the artifact bucket) is kept, nothing is unprotected, and the command refuses unless
//! each resource that holds data is named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::try_join_all;
use infra::environment::{Environment, Target};
use serde::Serialize;

use super::apply::{PARALLEL_STACKS, Progress, StackError, StackOutcome, delete_and_follow, dependencies_of, outcomes};
use super::cloud::{CallClass, CallError, Cloud, Observed, StackRef, Standing, patiently};
use super::draft::stacks_of;
use super::follow::{follow, watch_running};
use super::graph;
use super::lock::DeployLock;
use super::outcome::{call_error, failure_of};
use super::progress::Board;
use super::sdk::{Clouds, Endpoint};
use super::system::{Stack, StackKey};
use super::{connect, endpoint_of};
use crate::error::Error;
use crate::local::{self, Platform};
use crate::ui::Ui;

/// How to take an environment down.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// Don't ask before AWS is changed.
    pub assume_yes: bool,
    /// How long to wait while another run changes the environment.
    pub wait: Duration,
    /// Logical ids of resources with data that may be left without a stack.
    pub allow_data: BTreeSet<String>,
}

/// What was taken down.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The stacks that are gone now.
    pub deleted: Vec<StackKey>,
    /// Resources that stay in the account without a stack.
    pub kept: Vec<Kept>,
    /// The stacks could not be deleted one by one, and went with the local platform.
    pub gone_with_platform: bool,
}

/// A resource that outlives its stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Kept {
    /// The stack that it belonged to.
    pub stack: StackKey,
    /// Its logical id there.
    pub logical_id: String,
    /// Its type.
    pub resource_type: String,
}

impl Outcome {
    /// The outcome for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let mut lines = vec![match self.deleted.len() {
            0 if self.gone_with_platform => "the local platform is down, and all stacks went with it".to_owned(),
            0 => "no stack was there".to_owned(),
            1 => format!("{} is deleted", self.deleted[0]),
            count => format!("{count} stacks are deleted"),
        }];
        lines.extend(self.kept.iter().map(|kept| {
            format!("kept in {}: `{}` of {} ({})", kept.stack.region, kept.logical_id, kept.stack, kept.resource_type)
        }));
        lines
    }
}

/// Deletes the environment's stacks; of a local environment the platform is ended too.
///
/// A local platform that doesn't run, or whose emulator is dead, has no stacks: that is a success. Whatever is wrong
/// with it, its processes are ended: a stack that can't be deleted is only worth a warning, for it goes with them.
///
/// # Errors
/// Another command changes the environment, or a process of the platform can't be ended. On AWS: protected data isn't
/// named, nobody agreed, or a stack can't be deleted; then all others that could be are, and the error names each root
/// cause.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Outcome, Error> {
    let name = environment.environment_name();
    let _lock = DeployLock::take(ui, &options.checkout, name, "destroy", options.wait).await?;
    match environment.target() {
        Target::Local => {
            let outcome = match local_stacks(ui, environment, &options.checkout).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    // Without its hints: nothing is left to be done about it.
                    let said = [error.to_string()].into_iter().chain(error.details().to_vec()).chain(error.causes());
                    let said: String = said.map(|line| format!("\n  {line}")).collect();
                    ui.warning(&format!("the stacks go with the platform, for they can't be deleted one by one{said}"));
                    Outcome { gone_with_platform: true, ..Outcome::default() }
                }
            };
            local::down(ui, &options.checkout, name).await?;
            Ok(outcome)
        }
        Target::Aws => {
            let stacks = stacks_of(environment)?;
            refuse_unknown(&stacks, &options.allow_data)?;
            let clouds = connect(environment, Endpoint::Aws).await;
            clouds.check_account(environment.account().as_str()).await?;
            let work = async {
                let deployed = observe(&clouds, stacks).await;
                let deployed = deployed.map_err(|error| call_error("what is deployed can't be read", error))?;
                refuse_protected(&deployed, &options.allow_data)?;
                agree(ui, environment, &deployed, options.assume_yes).await?;
                destroy(ui, &clouds, deployed, Protections::Keep).await
            };
            // The bucket with the lock stays: it holds data.
            super::alone(ui, environment, &clouds, options.wait, "synth destroy", work).await
        }
    }
}

/// Deletes the stacks of the local platform, if it runs.
async fn local_stacks(ui: &Ui, environment: &Environment, checkout: &Path) -> Result<Outcome, Error> {
    let stacks = stacks_of(environment)?;
    let platform = Platform::find(checkout, environment.environment_name())?;
    let Some(platform) = platform else { return Ok(Outcome::default()) };
    let clouds = connect(environment, endpoint_of(&platform)).await;
    match observe(&clouds, stacks).await {
        Ok(deployed) => destroy(ui, &clouds, deployed, Protections::Lift).await,
        Err(error) if error.class == CallClass::Unreachable => {
            ui.warning("the emulator does not answer, so whatever was deployed in it is gone already");
            Ok(Outcome::default())
        }
        Err(error) => Err(call_error("what is deployed can't be read", error)),
    }
}

/// Whether protections against deletion are lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protections {
    Lift,
    Keep,
}

/// The stacks that are there, in deploy order.
async fn observe(cloud: &impl Cloud, stacks: Vec<Stack>) -> Result<Vec<(Stack, Observed)>, CallError> {
    let observed = try_join_all(stacks.iter().map(async |stack| {
        let region = &stack.key.region;
        let target = StackRef { region, name: &stack.cloudformation_name };
        patiently(cloud, region, async || cloud.stack(target).await).await
    }));
    let observed = observed.await?;
    let there = stacks.into_iter().zip(observed).filter_map(|(stack, observed)| {
        let observed = observed.filter(|observed| observed.status.standing() != Standing::Deleted)?;
        Some((stack, observed))
    });
    Ok(there.collect())
}

/// Resources that CloudFormation leaves in place when it deletes the stack.
pub(super) fn retained(stack: &Stack) -> impl Iterator<Item = Kept> {
    stack.template.resources().filter_map(|(logical_id, resource)| {
        let policy = resource["DeletionPolicy"].as_str().unwrap_or("Delete");
        (policy != "Delete").then(|| Kept {
            stack: stack.key.clone(),
            logical_id: logical_id.to_owned(),
            resource_type: resource["Type"].as_str().unwrap_or_default().to_owned(),
        })
    })
}

/// A mistyped name must not look as if it had been agreed to.
fn refuse_unknown(stacks: &[Stack], allowed: &BTreeSet<String>) -> Result<(), Error> {
    let known: BTreeSet<String> = stacks.iter().flat_map(retained).map(|kept| kept.logical_id).collect();
    let unknown: Vec<String> = allowed.difference(&known).map(|name| format!("`{name}`")).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(Error::usage(format!("no resource that stays in the account is called {}", unknown.join(" or ")))
        .hint(format!("there are: {}", known.join(", "))))
}

fn refuse_protected(deployed: &[(Stack, Observed)], allowed: &BTreeSet<String>) -> Result<(), Error> {
    let locked = deployed.iter().filter(|(_, observed)| observed.termination_protection);
    let locked: Vec<String> = locked.map(|(stack, _)| stack.key.to_string()).collect();
    let data = deployed.iter().flat_map(|(stack, _)| retained(stack));
    let data: Vec<Kept> = data.filter(|kept| !allowed.contains(&kept.logical_id)).collect();
    if locked.is_empty() && data.is_empty() {
        return Ok(());
    }
    let mut error = Error::refused("the environment holds protected data, nothing was changed");
    for stack in &locked {
        error = error.detail(format!("{stack} has termination protection"));
    }
    for kept in &data {
        error = error.detail(format!("`{}` of {} ({}) holds data", kept.logical_id, kept.stack, kept.resource_type));
    }
    if !locked.is_empty() {
        error = error.hint("turn termination protection off in the environment's file and deploy, then destroy");
    }
    let names: BTreeSet<&str> = data.iter().map(|kept| kept.logical_id.as_str()).collect();
    if !names.is_empty() {
        let flags: Vec<String> = names.iter().map(|name| format!("--allow-data {name}")).collect();
        error = error.hint(format!("to leave it in the account without a stack, name each: {}", flags.join(" ")));
    }
    Err(error)
}

async fn agree(ui: &Ui, environment: &Environment, deployed: &[(Stack, Observed)], yes: bool) -> Result<(), Error> {
    if yes || deployed.is_empty() {
        return Ok(());
    }
    for (stack, _) in deployed {
        ui.notice(&format!("delete {} ({})", stack.key, stack.cloudformation_name));
    }
    let question = format!(
        "delete {} stacks of environment `{}` in account {}?",
        deployed.len(),
        environment.environment_name(),
        environment.account()
    );
    match ui.confirm(&question).await {
        Some(true) => Ok(()),
        Some(false) => Err(Error::refused("the deletion was declined, nothing was changed")),
        None => Err(Error::refused("nobody can be asked to approve the deletion, nothing was changed")
            .hint("add `--yes` when you are sure")),
    }
}

async fn destroy(
    ui: &Ui,
    clouds: &Clouds,
    deployed: Vec<(Stack, Observed)>,
    protections: Protections,
) -> Result<Outcome, Error> {
    let kept = match protections {
        // The local platform ends with the command, and what was kept with it.
        Protections::Lift => Vec::new(),
        Protections::Keep => deployed.iter().flat_map(|(stack, _)| retained(stack)).collect(),
    };
    let ended = {
        let board = Board::new(ui);
        delete_all(clouds, deployed, protections, &board).await
    };
    let failure = failure_of(&ended, "what was deleted stays deleted; run `synth destroy` again to carry on");
    match failure {
        Some(error) => Err(error),
        None => {
            let deleted = ended.into_iter().map(|(stack, _)| stack.key).collect();
            Ok(Outcome { deleted, kept, gone_with_platform: false })
        }
    }
}

async fn delete_all(
    cloud: &impl Cloud,
    deployed: Vec<(Stack, Observed)>,
    protections: Protections,
    progress: &dyn Progress,
) -> Vec<(Stack, StackOutcome<()>)> {
    let order = graph::reversed(&dependencies_of(deployed.iter().map(|(stack, _)| stack)));
    let regions: Vec<&str> = deployed.iter().map(|(stack, _)| stack.key.region.as_str()).collect();
    let ended = graph::run(&order, &regions, PARALLEL_STACKS, |node| {
        let (stack, observed) = &deployed[node];
        delete_one(cloud, stack, observed, protections, progress)
    })
    .await;
    outcomes(deployed.into_iter().map(|(stack, _)| stack).collect(), ended)
}

async fn delete_one(
    cloud: &impl Cloud,
    stack: &Stack,
    observed: &Observed,
    protections: Protections,
    progress: &dyn Progress,
) -> Result<(), StackError> {
    let region = &stack.key.region;
    let target = StackRef { region, name: &stack.cloudformation_name };
    let report = |event: &super::cloud::Event| progress.event(stack, event);
    let mut observed = observed.clone();
    if observed.status.standing() == Standing::Busy {
        progress.phase(stack, &format!("waiting: {} runs already", observed.status));
        let watch = watch_running(cloud, target).await?;
        match follow(cloud, target, watch, report).await?.observed {
            Some(now) => observed = now,
            None => return Ok(()),
        }
    }
    if protections == Protections::Lift {
        if observed.termination_protection {
            patiently(cloud, region, async || cloud.protect_stack(target, false).await).await?;
        }
        unprotect_tables(cloud, stack).await?;
    }
    empty_buckets(cloud, stack, protections, progress).await?;
    progress.phase(stack, "deleting");
    delete_and_follow(cloud, stack, &observed, report).await?;
    progress.phase(stack, "deleted");
    Ok(())
}

/// Turns deletion protection off in every region of the stack's tables.
async fn unprotect_tables(cloud: &impl Cloud, stack: &Stack) -> Result<(), CallError> {
    let region = &stack.key.region;
    let tables = stack.template.resources().filter_map(|(_, resource)| {
        let is_table = matches!(resource["Type"].as_str(), Some("AWS::DynamoDB::GlobalTable" | "AWS::DynamoDB::Table"));
        resource["Properties"]["TableName"].as_str().filter(|_| is_table)
    });
    for table in tables {
        let protected = patiently(cloud, region, async || cloud.protected_replicas(region, table).await).await?;
        for replica in protected {
            patiently(cloud, &replica, async || cloud.unprotect_table(&replica, table).await).await?;
        }
    }
    Ok(())
}

/// Empties the stack's buckets, because a bucket with objects can't be deleted; those that stay keep what they hold.
async fn empty_buckets(
    cloud: &impl Cloud,
    stack: &Stack,
    protections: Protections,
    progress: &dyn Progress,
) -> Result<(), CallError> {
    let kept: BTreeSet<String> = match protections {
        Protections::Lift => BTreeSet::new(),
        Protections::Keep => retained(stack).map(|kept| kept.logical_id).collect(),
    };
    let goes = |logical_id: &str, resource_type: &str| resource_type == "AWS::S3::Bucket" && !kept.contains(logical_id);
    let has_one = stack
        .template
        .resources()
        .any(|(logical_id, resource)| goes(logical_id, resource["Type"].as_str().unwrap_or_default()));
    if !has_one {
        return Ok(());
    }
    let region = &stack.key.region;
    let target = StackRef { region, name: &stack.cloudformation_name };
    let resources = patiently(cloud, region, async || cloud.resources(target).await).await?;
    for bucket in resources.iter().filter(|resource| goes(&resource.logical_id, &resource.resource_type)) {
        // A bucket that was never made has no name.
        if bucket.physical_id.is_empty() || bucket.status == "DELETE_COMPLETE" {
            continue;
        }
        progress.phase(stack, &format!("emptying {}", bucket.physical_id));
        patiently(cloud, region, async || cloud.empty_bucket(region, &bucket.physical_id).await).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::deploy::apply::{Rules, apply};
    use crate::deploy::fake::FakeCloud;
    use crate::deploy::plan::{Drafted, plan};
    use crate::deploy::progress::Nobody;
    use crate::deploy::system::Template;

    fn stack(name: &str, region: &str, resources: &Value, depends_on: &[(&str, &str)]) -> Stack {
        Stack {
            key: StackKey::new(name, region),
            cloudformation_name: format!("tandem-test-{name}"),
            template: Template::parse(json!({ "Resources": resources }).to_string(), BTreeMap::new()).unwrap(),
            inputs: BTreeMap::new(),
            depends_on: depends_on.iter().map(|(name, region)| StackKey::new(*name, *region)).collect(),
            tags: BTreeMap::new(),
            termination_protection: true,
            role: Some(format!("arn:aws:iam::000000000000:role/tandem-test-cfn-{name}")),
            bake: None,
        }
    }

    fn stacks() -> Vec<Stack> {
        let bucket = json!({ "Bucket": { "Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate" } });
        let table = json!({ "Orders": {
            "Type": "AWS::DynamoDB::GlobalTable", "DeletionPolicy": "Retain",
            "Properties": { "TableName": "tandem-test-orders" }
        } });
        let queue = json!({ "Queue": { "Type": "AWS::SQS::Queue" } });
        vec![
            stack("delivery", "us-west-2", &bucket, &[]),
            stack("data", "us-west-2", &table, &[("delivery", "us-west-2")]),
            stack("events", "us-west-2", &queue, &[("data", "us-west-2")]),
            stack("events", "us-east-1", &queue, &[("data", "us-west-2")]),
        ]
    }

    async fn deployed(cloud: &FakeCloud) -> Vec<(Stack, Observed)> {
        let drafted =
            Drafted { stacks: stacks(), context: Vec::new(), code_keys: BTreeMap::new(), seen: BTreeMap::new() };
        let planned = plan(cloud, drafted).await.unwrap();
        let rules = Rules { refuse_unapproved_harm: true };
        apply(cloud, planned.approve(), &crate::artifacts::Artifacts::default(), rules, &Nobody).await;
        cloud.protected_tables.borrow_mut().insert("tandem-test-orders".to_owned());
        cloud.forget_calls();
        observe(cloud, stacks()).await.unwrap()
    }

    #[tokio::test]
    async fn local_protections_are_lifted_and_everything_goes_in_reverse_order() {
        let cloud = FakeCloud::default();
        let there = deployed(&cloud).await;
        assert_eq!(there.len(), 4);
        let ended = delete_all(&cloud, there, Protections::Lift, &Nobody).await;
        assert!(ended.iter().all(|(_, outcome)| matches!(outcome, StackOutcome::Done(()))));
        assert!(cloud.stacks.borrow().is_empty());
        let deleted: Vec<String> =
            cloud.writes().into_iter().filter(|(call, _)| *call == "DeleteStack").map(|(_, stack)| stack).collect();
        assert!(deleted[..2].iter().all(|stack| stack.ends_with("-events")), "{deleted:?}");
        assert!(deleted[2].ends_with("-data") && deleted[3].ends_with("-delivery"), "{deleted:?}");
        assert_eq!(cloud.count("UpdateTable"), 1);
        assert_eq!(cloud.count("DeleteObjects"), 1);
        let roles = cloud.roles.borrow().clone();
        let deletions: Vec<_> = roles.iter().filter(|(call, ..)| *call == "DeleteStack").collect();
        assert_eq!(deletions.len(), 4);
        for (_, stack, role) in deletions {
            let name = stack.rsplit_once('-').unwrap().1;
            assert_eq!(role.as_deref(), Some(&format!("arn:aws:iam::000000000000:role/tandem-test-cfn-{name}")[..]));
        }
        assert!(observe(&cloud, stacks()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn protected_data_on_aws_is_refused_unless_each_is_named() {
        let cloud = FakeCloud::default();
        let mut there = deployed(&cloud).await;
        let error = refuse_protected(&there, &BTreeSet::new()).unwrap_err();
        assert_eq!(error.details().len(), 4 + 2, "{:?}", error.details());
        assert!(error.hints()[1].contains("--allow-data Bucket --allow-data Orders"), "{:?}", error.hints());
        for (_, observed) in &mut there {
            observed.termination_protection = false;
        }
        let error = refuse_protected(&there, &BTreeSet::from(["Bucket".to_owned()])).unwrap_err();
        assert_eq!(error.details(), ["`Orders` of data@us-west-2 (AWS::DynamoDB::GlobalTable) holds data"]);
        let both = BTreeSet::from(["Bucket".to_owned(), "Orders".to_owned()]);
        assert!(refuse_protected(&there, &both).is_ok());
        assert!(refuse_unknown(&stacks(), &both).is_ok());
        let error = refuse_unknown(&stacks(), &BTreeSet::from(["Order".to_owned()])).unwrap_err();
        assert_eq!(error.to_string(), "no resource that stays in the account is called `Order`");
        assert_eq!(error.hints(), ["there are: Bucket, Orders"]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_platform_whose_record_is_gone_is_shown_and_ended() {
        use crate::deploy::status::{self, Compared};
        use crate::ui::Format;

        let checkout = tempfile::tempdir().unwrap();
        let text = include_str!("../../../environments/sandbox.toml");
        let environment = Environment::parse("environments/sandbox.toml", text).unwrap();
        let mut stray = local::stray(checkout.path(), "sandbox");
        let checkout = checkout.path().to_owned();

        let report = status::run(&environment, &status::Options { checkout: checkout.clone() }).await.unwrap();
        assert!(report.stacks.iter().all(|stack| stack.compared == Compared::Unknown), "{report:?}");
        assert_eq!(report.platform.as_ref().map(|platform| platform.unrecorded.clone()), Some(vec![stray.id()]));
        let said = report.render().join("\n");
        assert!(said.contains(&format!("1 processes run of which there is no record: {}", stray.id())), "{said}");

        let (ui, buffers) = Ui::buffered(Format::Human);
        let options = Options { checkout, assume_yes: true, wait: Duration::ZERO, allow_data: BTreeSet::new() };
        let outcome = run(&ui, &environment, &options).await.unwrap();
        assert_eq!(outcome.render(), ["the local platform is down, and all stacks went with it"]);
        assert!(buffers.err().contains("warning: the stacks go with the platform"), "{}", buffers.err());
        assert!(!stray.wait().unwrap().success(), "it was ended");
    }

    #[tokio::test]
    async fn a_bucket_that_stays_keeps_its_objects() {
        let cloud = FakeCloud::default();
        let there = deployed(&cloud).await;
        let (stack, _) = &there[0];
        empty_buckets(&cloud, stack, Protections::Keep, &Nobody).await.unwrap();
        assert_eq!(cloud.count("DeleteObjects"), 0);
    }
}
