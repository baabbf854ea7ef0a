//! Manifests among the stacks of a deployment.

use std::sync::Mutex;

use super::*;
use crate::artifacts::Artifacts;
use crate::deploy::apply::{
    Applied, Done, Follow, FollowStep, Progress, Rules, StackError, StackOutcome, apply_and_follow,
};
use crate::deploy::cloud::Event;
use crate::deploy::fake::FakeCloud;
use crate::deploy::plan::{Drafted, Seen, plan};
use crate::deploy::system::{Stack, Template};
use crate::deploy::{Selection, manifests::prepare};

fn stack(name: &str, region: &str, depends_on: &[(&str, &str)]) -> Stack {
    let mut document = json!({"Resources": {}});
    document["Resources"][format!("{name}-{region}")] = json!({"Type": "AWS::SQS::Queue"});
    Stack {
        key: StackKey::new(name, region),
        cloudformation_name: format!("tandem-test-{name}"),
        template: Template::parse(document.to_string(), BTreeMap::new()).unwrap(),
        inputs: BTreeMap::new(),
        depends_on: depends_on.iter().map(|(name, region)| StackKey::new(*name, *region)).collect(),
        tags: BTreeMap::new(),
        termination_protection: false,
        role: None,
        bake: None,
    }
}

/// Two regions, the east first; `routing` at home comes last.
fn stacks() -> Vec<Stack> {
    vec![
        stack("keys", WEST, &[]),
        stack("events", EAST, &[("keys", WEST)]),
        stack("cluster", EAST, &[]),
        stack("events", WEST, &[("keys", WEST), ("events", EAST), ("cluster", EAST)]),
        stack("cluster", WEST, &[("events", EAST), ("cluster", EAST)]),
        stack("routing", WEST, &[("events", EAST), ("events", WEST)]),
    ]
}

struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn phase(&self, stack: &Stack, text: &str) {
        if text == "creating" {
            self.0.lock().unwrap().push(stack.key.to_string());
        }
    }

    fn event(&self, _: &Stack, _: &Event) {}
    fn warning(&self, _: &Stack, _: &str) {}
    fn began(&self, _: &Stack) {}
    fn ended(&self, _: &Stack, _: &Result<Done, StackError>) {}
}

/// Notes when it is its turn.
struct Scripted<'a> {
    steps: Vec<FollowStep>,
    heard: &'a Heard,
    fails: Option<&'static str>,
}

impl Follow for Scripted<'_> {
    fn steps(&self) -> &[FollowStep] {
        &self.steps
    }

    async fn follow(&self, step: usize, outputs: &Outputs) -> Result<RegionResult, Error> {
        let key = &self.steps[step].key;
        assert!(outputs.contains_key(&StackKey::new(CLUSTER_STACK, key.region.clone())), "its cluster is there");
        self.heard.0.lock().unwrap().push(key.to_string());
        match self.fails {
            Some(region) if region == key.region => Err(Error::refused("not today").hint("wait")),
            _ => Ok(RegionResult { manifests: key.clone(), objects: Vec::new() }),
        }
    }
}

fn production() -> Environment {
    let text = include_str!("../../../../../environments/production.toml");
    Environment::parse("production.toml", text).unwrap()
}

/// Deploys with production's waves; `fails` are manifests, `broken` is a stack.
async fn deploy(fails: Option<&'static str>, broken: Option<(&'static str, &'static str)>) -> (Vec<String>, Applied) {
    let environment = production();
    let regions: Vec<&Region> = environment.regions().collect();
    let heard = Heard(Mutex::default());
    let follow = Scripted { steps: super::super::follow::steps(&environment, &regions), heard: &heard, fails };
    let cloud = FakeCloud::default();
    if let Some((name, region)) = broken {
        cloud.failing.borrow_mut().insert(format!("{name}-{region}"), "no".to_owned());
    }
    let artifacts: Artifacts = std::iter::empty().collect();
    let drafted = Drafted { stacks: stacks(), context: Vec::new(), code_keys: artifacts.keys(), seen: Seen::new() };
    let approved = plan(&cloud, drafted).await.unwrap().approve();
    let rules = Rules { refuse_unapproved_harm: false };
    let applied = apply_and_follow(&cloud, approved, &artifacts, rules, &heard, &follow).await;
    (heard.0.into_inner().unwrap(), applied)
}

fn place(heard: &[String], key: &str) -> usize {
    heard.iter().position(|one| one == key).unwrap_or_else(|| panic!("{key} in {heard:?}"))
}

#[tokio::test]
async fn a_wave_begins_when_the_manifests_of_the_one_before_are_ready() {
    let (heard, applied) = deploy(None, None).await;
    let at = |key: &str| place(&heard, key);
    for own in ["events@us-east-1", "cluster@us-east-1"] {
        assert!(at(own) < at("manifests@us-east-1"), "{heard:?}");
    }
    for later in ["events@us-west-2", "cluster@us-west-2"] {
        assert!(at("manifests@us-east-1") < at(later), "{heard:?}");
        assert!(at(later) < at("manifests@us-west-2"), "{heard:?}");
    }
    assert_eq!(applied.stacks.len(), 6);
    assert_eq!(applied.followed.len(), 2);
    assert!(report::failure(None, &applied.followed).is_none());
}

#[tokio::test]
async fn manifests_that_fail_stop_the_later_waves_alone() {
    let (heard, applied) = deploy(Some(EAST), None).await;
    assert_eq!(place(&heard, "manifests@us-east-1") + 1, heard.len(), "{heard:?}");
    let skipped = applied.stacks.iter().filter(|(_, outcome)| matches!(outcome, StackOutcome::Skipped { .. }));
    let skipped: Vec<String> = skipped.map(|(stack, _)| stack.key.to_string()).collect();
    assert_eq!(skipped, ["events@us-west-2", "cluster@us-west-2", "routing@us-west-2"]);
    let error = report::failure(None, &applied.followed).unwrap();
    assert_eq!(error.kind(), Kind::Refused, "the kind decides the exit code");
    assert_eq!(error.to_string(), "manifests@us-east-1 failed");
    assert_eq!(error.details()[0], "manifests@us-east-1: not today");
    assert_eq!(error.hints(), ["wait"]);

    let (heard, applied) = deploy(Some(WEST), None).await;
    assert!(heard.contains(&"routing@us-west-2".to_owned()), "what doesn't depend on it goes on: {heard:?}");
    assert!(applied.stacks.iter().all(|(_, outcome)| matches!(outcome, StackOutcome::Done(_))));
}

#[tokio::test]
async fn a_stack_that_fails_keeps_its_regions_manifests_from_being_tried() {
    let (heard, applied) = deploy(None, Some(("cluster", EAST))).await;
    assert!(!heard.iter().any(|key| key.starts_with("manifests")), "{heard:?}");
    let because = applied.followed.iter().map(|(key, outcome)| match outcome {
        StackOutcome::Skipped { because_of } => format!("{key} because of {because_of}"),
        other => panic!("{other:?}"),
    });
    let because: Vec<String> = because.collect();
    assert_eq!(because[0].matches("us-west-2").count() + because[1].matches("us-west-2").count(), 2, "{because:?}");
    assert!(because.iter().any(|one| one == "manifests@us-east-1 because of cluster@us-east-1"), "{because:?}");
}

#[tokio::test]
async fn a_deployment_looks_before_it_asks_and_applies_afterwards() {
    let mut bench = Bench::deployed().await;
    let (ui, buffers) = Ui::buffered(Format::Human);
    let everything = Selection::default();
    let outputs = bench.outputs();
    let unchanged = prepare(&ui, &bench.environment, bench.reach(), &bench.options, &everything, None, &outputs).await;
    let unchanged = unchanged.unwrap();
    assert!(unchanged.is_nothing && unchanged.lines.is_empty(), "{:?}", unchanged.lines);
    drop(unchanged);

    bench.options.image = Some(digest("b"));
    let prepared = prepare(&ui, &bench.environment, bench.reach(), &bench.options, &everything, None, &outputs).await;
    let prepared = prepared.unwrap();
    let image = "spec.template.spec.containers[name=consumer].image";
    assert_eq!(
        prepared.lines,
        [
            format!("manifests@us-west-2: change Deployment tandem/consumer ({image})"),
            format!("manifests@us-east-1: change Deployment tandem/consumer ({image})"),
        ]
    );
    assert_eq!(bench.writes(), 0, "nobody has agreed yet");
    for step in 0..2 {
        assert!(prepared.following.follow(step, &outputs).await.unwrap().changed());
    }
    assert!(buffers.err().contains("[manifests@us-west-2] Deployment tandem/consumer: changed"), "{}", buffers.err());
    drop(prepared);

    // Single stacks, and who says so, leave the clusters alone.
    let single = Selection { stacks: vec!["events".to_owned()], regions: Vec::new() };
    let none = prepare(&ui, &bench.environment, bench.reach(), &bench.options, &single, None, &outputs).await.unwrap();
    assert!(none.following.steps().is_empty() && none.is_nothing);
    drop(none);
    bench.options.skip = true;
    let none = prepare(&ui, &bench.environment, bench.reach(), &bench.options, &everything, None, &outputs).await;
    assert!(none.unwrap().following.steps().is_empty());
    bench.options.skip = false;
    let region = Selection { stacks: Vec::new(), regions: vec![EAST.to_owned()] };
    let one = prepare(&ui, &bench.environment, bench.reach(), &bench.options, &region, None, &outputs).await.unwrap();
    assert_eq!(one.following.steps().len(), 1);
}

#[tokio::test]
async fn conflicts_refuse_a_deployment_before_it_begins() {
    let bench = Bench::deployed().await;
    bench.clusters[WEST].edit("deployments", "tandem", "consumer", "kubectl-edit", |object| {
        object["spec"]["minReadySeconds"] = json!(1);
    });
    let (ui, _) = Ui::buffered(Format::Human);
    let (selection, outputs) = (Selection::default(), bench.outputs());
    let refused = prepare(&ui, &bench.environment, bench.reach(), &bench.options, &selection, None, &outputs).await;
    let error = refused.err().unwrap();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(
        error.details(),
        ["Deployment tandem/consumer: `spec.minReadySeconds` is owned by `kubectl-edit` (using apps/v1)"]
    );
}
