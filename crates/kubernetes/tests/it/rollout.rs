//! What is applied and doesn't work.

use std::time::Duration;

use kubernetes::{Clock as _, Failure, Unready};
use kubernetes_double::Rollout;
use serde_json::{Value, json};

use crate::support::{Bench, bundle, chain, deployment, settings};

fn stuck(status: Value, events: &[(&str, &str)], is_given_up: bool) -> Rollout {
    let events = events.iter().map(|(reason, message)| ((*reason).to_owned(), (*message).to_owned())).collect();
    Rollout::Stuck { status, events, is_given_up }
}

async fn unready(bench: &Bench) -> (Unready, String) {
    let error = bench
        .try_apply(&bundle(vec![settings("one", "blue"), deployment("shop:2", "one")]))
        .await
        .expect_err("it does not work");
    let text = chain(&error);
    match error.failure {
        Failure::Unready(mut unready) => (unready.remove(0), text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_failing_pod_says_why() {
    let bench = Bench::start().await;
    bench.apply(&bundle(vec![settings("one", "blue"), settings("old", "blue"), deployment("shop:1", "one")])).await;
    let waiting = json!({"phase": "Pending", "containerStatuses": [
        {"name": "shop", "ready": false, "restartCount": 0,
         "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"shop:2\""}}},
    ]});
    bench.double.rollout("shop", stuck(waiting, &[("Failed", "shop:2: not found"), ("BackOff", "Back-off")], false));
    let (unready, text) = unready(&bench).await;
    assert_eq!(
        unready.diagnosis.pods[0].reasons,
        ["container shop waits: ImagePullBackOff: Back-off pulling image \"shop:2\""]
    );
    assert_eq!(unready.diagnosis.pods[0].events, ["Failed: shop:2: not found", "BackOff: Back-off"]);
    assert!(unready.diagnosis.hint.unwrap().contains("whether it is in the registry under that digest"));
    assert_eq!((unready.diagnosis.failing, unready.diagnosis.unknown.as_deref()), (1, None));
    // The deployment's own deadline of two minutes, a minute for its controller, and a pause.
    let still = unready.stood_still.unwrap();
    assert!((180..=186).contains(&still.as_secs()), "{still:?}");
    assert!(text.ends_with("s without progress: 1 of 2 pods are new"), "{text}");
    // What isn't wanted is still there: the old pods may need it.
    assert!(bench.double.object("configmaps", "web", "old").is_some());
    assert_eq!(bench.inventory().len(), 3);
}

#[tokio::test]
async fn what_kubernetes_gives_up_is_not_waited_for() {
    let bench = Bench::start().await;
    let crashing = json!({"phase": "Running", "containerStatuses": [{
        "name": "shop", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }]});
    bench.double.rollout("shop", stuck(crashing, &[], true));
    let before = bench.clock.elapsed();
    let (unready, text) = unready(&bench).await;
    assert_eq!(unready.stood_still, None);
    assert!(bench.clock.elapsed() - before < Duration::from_secs(10));
    assert!(text.ends_with("Kubernetes has given the rollout up after 120 s without progress"), "{text}");
    assert_eq!(
        unready.diagnosis.pods[0].reasons,
        [
            "container shop waits: CrashLoopBackOff",
            "container shop ended before: OOMKilled, exit code 137 (restarted 3 times)",
        ]
    );
    assert!(unready.diagnosis.hint.unwrap().contains("more memory than its limit"));
}

#[tokio::test]
async fn pods_that_are_not_made_have_a_reason_too() {
    let mut bench = Bench::start().await;
    bench.options.patience = Some(Duration::from_secs(20));
    bench.double.rollout("shop", Rollout::Held { message: "exceeded quota: shop".to_owned() });
    let (unready, _) = unready(&bench).await;
    assert_eq!(unready.why, "0 of 2 pods are new: exceeded quota: shop");
    assert!(unready.stood_still.unwrap() < Duration::from_secs(30), "the caller's own patience");
    assert_eq!(unready.diagnosis.failing, 0);
}

#[tokio::test]
async fn that_nobody_may_look_is_said() {
    let bench = Bench::start().await;
    bench.double.rollout("shop", stuck(json!({"phase": "Pending"}), &[], true));
    bench.double.forbid("list", "pods");
    let (unready, _) = unready(&bench).await;
    let unknown = unready.diagnosis.unknown.unwrap();
    assert!(unknown.starts_with("listing pods in web is not allowed: "), "{unknown}");
}

#[tokio::test]
async fn a_rollout_that_was_left_in_the_middle_is_waited_for_by_the_next_run() {
    let bench = Bench::start().await;
    bench.double.rollout("shop", stuck(json!({"phase": "Pending"}), &[], false));
    unready(&bench).await;
    bench.double.forget_calls();
    // Nothing is written, and it doesn't work still.
    let (again, _) = unready(&bench).await;
    assert_eq!(again.why, "1 of 2 pods are new");
    assert_eq!(bench.double.writes(), []);
    bench.double.rollout("shop", Rollout::Steps);
    let done = bench.apply(&bundle(vec![settings("one", "blue"), deployment("shop:2", "one")])).await;
    assert_eq!(done, Vec::<String>::new());
    assert_eq!(bench.double.object("deployments", "web", "shop").unwrap()["status"]["availableReplicas"], 2);
}

#[tokio::test]
async fn what_is_deleted_while_it_is_waited_for_is_said() {
    let bench = Bench::start().await;
    bench.double.rollout("shop", Rollout::Held { message: "wait".to_owned() });
    let shop = bundle(vec![deployment("shop:1", "one")]);
    bench.try_apply(&shop).await.unwrap_err();
    let (cluster, found) = (bench.cluster().await, bench.survey(&shop).await.unwrap());
    bench.double.remove("deployments", "web", "shop");
    let error = kubernetes::apply(&cluster, &shop, found, &bench.options, &()).await.unwrap_err();
    assert!(
        chain(&error).ends_with("somebody deleted Deployment web/shop while it was waited for"),
        "{}",
        chain(&error)
    );
}
