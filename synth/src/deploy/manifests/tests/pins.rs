//! A plan's word about the clusters.

use serde_json::json;

use super::*;
use crate::deploy::manifests::follow::holds;
use crate::deploy::pins::PlanFile;

async fn plan(bench: &Bench) -> PlanFile {
    let plan = PlanFile::of("staging", "000000000000", &[], Vec::new());
    plan.with_manifests(&bench.environment, &bench.looks().await)
}

/// What of a plan doesn't hold any more; nothing if all does.
async fn stale(bench: &Bench, plan: &PlanFile) -> Vec<String> {
    match holds(&bench.environment, plan, &bench.looks().await) {
        Ok(()) => Vec::new(),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Stale);
            error.details().to_vec()
        }
    }
}

#[tokio::test]
async fn a_plan_holds_as_long_as_what_is_ours_does() {
    let bench = Bench::deployed().await;
    let plan = plan(&bench).await;
    assert_eq!(stale(&bench, &plan).await, Vec::<String>::new());
    // An autoscaler makes a new version of the deployment, and that isn't ours.
    bench.clusters[WEST].scale("tandem", "consumer", 4);
    assert_eq!(stale(&bench, &plan).await, Vec::<String>::new());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    plan.write(&path).unwrap();
    assert_eq!(PlanFile::read(&path, "staging", "000000000000").unwrap(), plan);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"apps/Deployment/tandem/consumer\""), "{text}");
    assert!(!text.contains("KAFKA_BROKERS"), "no value is in a plan");
}

#[tokio::test]
async fn what_has_moved_is_named() {
    let bench = Bench::deployed().await;
    let plan = plan(&bench).await;
    let west = &bench.clusters[WEST];
    west.edit("poddisruptionbudgets", "tandem", "consumer", "kubectl-edit", |object| {
        object["spec"]["minAvailable"] = json!(2);
    });
    west.remove("networkpolicies", "tandem", "default-deny");
    let pin = west.object("serviceaccounts", "tandem", "consumer").unwrap();
    west.remove("serviceaccounts", "tandem", "consumer");
    let mut again = pin;
    again["metadata"] = json!({"namespace": "tandem", "name": "consumer"});
    west.put(again, "somebody");
    assert_eq!(
        stale(&bench, &plan).await,
        [
            "manifests@us-west-2: NetworkPolicy tandem/default-deny: it has been deleted meanwhile",
            "manifests@us-west-2: ServiceAccount tandem/consumer: it has been deleted and made anew meanwhile",
            "manifests@us-west-2: PodDisruptionBudget tandem/consumer: it has been changed meanwhile",
        ]
    );
}

#[tokio::test]
async fn what_the_plan_wants_and_is_there_is_done() {
    let mut bench = Bench::start().await;
    for region in [WEST, EAST] {
        bench.apply(region, Folder::Bootstrap).await.unwrap();
    }
    let plan = plan(&bench).await;
    // One region is applied, and the plan is carried out again.
    bench.apply(WEST, Folder::Consumer).await.unwrap();
    assert_eq!(stale(&bench, &plan).await, Vec::<String>::new());
    // Another image is no other manifest: it is decided by whoever deploys, as functions' code is.
    bench.options.image = Some(digest("c"));
    let moved = stale(&bench, &plan).await;
    assert_eq!(moved, ["manifests@us-west-2: Deployment tandem/consumer: it has been made meanwhile"]);
}

#[tokio::test]
async fn another_checkout_is_another_plan() {
    let mut bench = Bench::deployed().await;
    let plan = plan(&bench).await;
    let text = include_str!("../../../../../environments/staging.toml");
    let changed = text.replace("min_replicas = 3", "min_replicas = 4");
    assert_ne!(text, changed);
    bench.environment = Environment::parse("staging.toml", &changed).unwrap();
    let other = "HorizontalPodAutoscaler tandem/consumer: the checkout's is another one";
    assert_eq!(
        stale(&bench, &plan).await,
        [format!("manifests@us-east-1: {other}"), format!("manifests@us-west-2: {other}")]
    );
    // Where nobody was asked, what shall be is pinned all the same.
    let outputs = std::mem::take(&mut bench.clusters);
    let unasked = self::plan(&bench).await;
    bench.clusters = outputs;
    assert_eq!(stale(&bench, &unasked).await, Vec::<String>::new());
    bench.environment = Environment::parse("staging.toml", text).unwrap();
    assert_eq!(stale(&bench, &unasked).await.len(), 2);
}

#[tokio::test]
async fn a_cluster_that_was_asked_for_the_plan_has_to_be_asked_again() {
    let mut bench = Bench::deployed().await;
    let plan = plan(&bench).await;
    bench.clusters.remove(EAST);
    let error = holds(&bench.environment, &plan, &bench.looks().await).unwrap_err();
    assert_eq!(error.kind(), Kind::Remote);
    assert!(error.hints()[0].contains("--skip-manifests"), "{:?}", error.hints());
}

#[tokio::test]
async fn what_would_be_pruned_is_pinned_too() {
    let bench = Bench::deployed().await;
    let plan = plan(&bench).await;
    let double = &bench.clusters[WEST];
    let labels = json!({"tandem/folder": "consumer"});
    double.put(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "tandem", "name": "old", "labels": labels}}),
        "tandem-synth",
    );
    double.edit("configmaps", "tandem", "synth-consumer", "tandem-synth", |object| {
        let lines = object["data"]["objects"].as_str().unwrap();
        object["data"]["objects"] = json!(format!("/Service/tandem/old\n{lines}"));
    });
    assert_eq!(
        stale(&bench, &plan).await,
        ["manifests@us-west-2: /Service/tandem/old would be pruned, and the plan doesn't say so"]
    );
}
