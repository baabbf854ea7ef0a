//! Whether an object works, told from its own status: what `kubectl rollout status` looks at, and the like of other kinds.

use std::time::Duration;

use serde_json::Value;

use crate::object::Key;

/// How an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Ready,
    /// Not yet.
    Waiting {
        why: String,
        /// How far it has got; only more of it counts as getting on.
        reached: u64,
        /// How long it may stand still.
        deadline: Duration,
    },
    /// Kubernetes has given it up, or it can't get ready by itself.
    Failed(String),
}

/// What a controller takes to look at an object, beyond its own deadline.
const MARGIN: Duration = Duration::from_secs(60);

/// For what is a matter of seconds.
const SHORT: Duration = Duration::from_secs(60);

/// For pods that say nothing themselves of how long they may take.
const PODS: Duration = Duration::from_secs(600);

pub(crate) fn standing(key: &Key, live: &Value) -> Standing {
    match (key.group.as_str(), key.kind.as_str()) {
        ("apps", "Deployment") => deployment(live),
        ("apps", "StatefulSet") => stateful_set(live),
        ("apps", "DaemonSet") => daemon_set(live),
        ("batch", "Job") => job(live),
        ("", "Pod") => pod(live),
        ("", "Namespace") => namespace(live),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(live),
        ("apiregistration.k8s.io", "APIService") => by_condition(live, "Available", SHORT),
        // Everything else is as good as it is written.
        _ => Standing::Ready,
    }
}

fn deployment(live: &Value) -> Standing {
    let (spec, status) = (&live["spec"], &live["status"]);
    let seconds = spec["progressDeadlineSeconds"].as_u64().unwrap_or(600);
    let deadline = Duration::from_secs(seconds) + MARGIN;
    if spec["paused"] == true {
        return Standing::Failed("it is paused, so nothing of it is rolled out".to_owned());
    }
    let wanted = spec["replicas"].as_u64().unwrap_or(1);
    let [updated, available, all] =
        ["updatedReplicas", "availableReplicas", "replicas"].map(|field| number(status, field));
    if let Some(waiting) = unseen(live, deadline) {
        return waiting;
    }
    let progressing = condition(status, "Progressing");
    if progressing.is_some_and(|progressing| progressing["reason"] == "ProgressDeadlineExceeded") {
        return Standing::Failed(format!("Kubernetes has given the rollout up after {seconds} s without progress"));
    }
    let why = if updated < wanted {
        let held = condition(status, "ReplicaFailure").and_then(|failure| failure["message"].as_str());
        let held = held.map(|message| format!(": {message}")).unwrap_or_default();
        format!("{updated} of {wanted} pods are new{held}")
    } else if all > updated {
        format!("{} old pods are still there", all - updated)
    } else if available < updated {
        format!("{available} of {updated} pods are available")
    } else {
        return Standing::Ready;
    };
    // The last steps are those of old pods that go.
    let gone = if updated >= wanted { wanted.saturating_sub(all - updated) } else { 0 };
    Standing::Waiting { why, reached: updated + available.min(updated) + gone, deadline }
}

fn stateful_set(live: &Value) -> Standing {
    let (spec, status) = (&live["spec"], &live["status"]);
    if let Some(waiting) = unseen(live, PODS) {
        return waiting;
    }
    let wanted = spec["replicas"].as_u64().unwrap_or(1);
    let kept = spec["updateStrategy"]["rollingUpdate"]["partition"].as_u64().unwrap_or_default();
    let by_hand = spec["updateStrategy"]["type"] == "OnDelete";
    let is_current = status["currentRevision"] == status["updateRevision"];
    let updated = if is_current { wanted } else { number(status, "updatedReplicas") };
    let ready = number(status, "readyReplicas");
    let why = if !by_hand && updated < wanted.saturating_sub(kept) {
        format!("{updated} of {} pods are new", wanted.saturating_sub(kept))
    } else if ready < wanted {
        format!("{ready} of {wanted} pods are ready")
    } else {
        return Standing::Ready;
    };
    Standing::Waiting { why, reached: updated + ready, deadline: PODS }
}

fn daemon_set(live: &Value) -> Standing {
    let status = &live["status"];
    if let Some(waiting) = unseen(live, PODS) {
        return waiting;
    }
    let by_hand = live["spec"]["updateStrategy"]["type"] == "OnDelete";
    let [wanted, updated, available] =
        ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"].map(|field| number(status, field));
    let why = if !by_hand && updated < wanted {
        format!("{updated} of {wanted} pods are new")
    } else if available < wanted {
        format!("{available} of {wanted} pods are available")
    } else {
        return Standing::Ready;
    };
    Standing::Waiting { why, reached: updated + available, deadline: PODS }
}

fn job(live: &Value) -> Standing {
    let status = &live["status"];
    if is_true(status, "Complete") {
        return Standing::Ready;
    }
    if let Some(failed) = condition(status, "Failed").filter(|failed| failed["status"] == "True") {
        let message = failed["message"].as_str().unwrap_or("it has failed");
        return Standing::Failed(message.to_owned());
    }
    let deadline = live["spec"]["activeDeadlineSeconds"].as_u64().map_or(PODS, Duration::from_secs) + MARGIN;
    let done = number(status, "succeeded");
    let wanted = live["spec"]["completions"].as_u64().unwrap_or(1);
    Standing::Waiting { why: format!("{done} of {wanted} pods are done"), reached: done, deadline }
}

fn pod(live: &Value) -> Standing {
    let status = &live["status"];
    match status["phase"].as_str() {
        Some("Succeeded") => Standing::Ready,
        Some("Failed") => Standing::Failed("it has failed".to_owned()),
        _ => by_condition(live, "Ready", PODS),
    }
}

fn namespace(live: &Value) -> Standing {
    match live["status"]["phase"].as_str() {
        Some("Terminating") => Standing::Failed("it is being deleted".to_owned()),
        // A cluster that says nothing has made it at once.
        _ => Standing::Ready,
    }
}

fn definition(live: &Value) -> Standing {
    let status = &live["status"];
    if let Some(refused) = condition(status, "NamesAccepted").filter(|names| names["status"] == "False") {
        let message = refused["message"].as_str().unwrap_or("its names are taken");
        return Standing::Failed(format!("the cluster doesn't take its names: {message}"));
    }
    by_condition(live, "Established", SHORT)
}

fn by_condition(live: &Value, wanted: &str, deadline: Duration) -> Standing {
    let status = &live["status"];
    if is_true(status, wanted) {
        return Standing::Ready;
    }
    let message = condition(status, wanted).and_then(|found| found["message"].as_str()).unwrap_or_default();
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    Standing::Waiting { why: format!("it is not `{wanted}` yet{message}"), reached: 0, deadline }
}

/// What its controller hasn't looked at yet.
fn unseen(live: &Value, deadline: Duration) -> Option<Standing> {
    let (is, seen) = (number(&live["metadata"], "generation"), number(&live["status"], "observedGeneration"));
    let why = "its controller hasn't seen the change yet".to_owned();
    (seen < is).then_some(Standing::Waiting { why, reached: 0, deadline })
}

fn number(part: &Value, field: &str) -> u64 {
    part[field].as_u64().unwrap_or_default()
}

/// A condition of a status.
pub(super) fn condition<'v>(status: &'v Value, kind: &str) -> Option<&'v Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn is_true(status: &Value, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: &str, live: &Value) -> Result<(), String> {
        match standing(&format!("{kind}/web/shop").parse().unwrap(), live) {
            Standing::Ready => Ok(()),
            Standing::Waiting { why, .. } => Err(why),
            Standing::Failed(why) => Err(format!("failed: {why}")),
        }
    }

    fn deployment(generation: u64, status: &Value) -> Value {
        json!({"metadata": {"generation": generation}, "spec": {"replicas": 3}, "status": status})
    }

    #[test]
    fn a_rollout_is_over_when_only_new_pods_are_there_and_available() {
        let check = |generation, status| check("apps/Deployment", &deployment(generation, &status));
        let status = |updated: u64, available: u64, all: u64| json!({"observedGeneration": 2, "updatedReplicas": updated, "availableReplicas": available, "replicas": all});
        assert_eq!(check(2, status(3, 3, 3)), Ok(()));
        assert_eq!(check(3, status(3, 3, 3)).unwrap_err(), "its controller hasn't seen the change yet");
        assert_eq!(check(2, status(1, 3, 4)).unwrap_err(), "1 of 3 pods are new");
        assert_eq!(check(2, status(3, 3, 4)).unwrap_err(), "1 old pods are still there");
        assert_eq!(check(2, status(3, 2, 3)).unwrap_err(), "2 of 3 pods are available");
        let mut held = status(0, 0, 0);
        held["conditions"] = json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]);
        assert_eq!(check(2, held).unwrap_err(), "0 of 3 pods are new: exceeded quota");
        let mut given_up = status(1, 0, 3);
        given_up["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]);
        assert!(check(2, given_up).unwrap_err().starts_with("failed: Kubernetes has given the rollout up after 600 s"));
    }

    #[test]
    fn a_deployment_without_pods_is_ready_at_once() {
        let live = json!({"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}});
        assert_eq!(check("apps/Deployment", &live), Ok(()));
        let paused = json!({"metadata": {}, "spec": {"paused": true}, "status": {}});
        assert!(check("apps/Deployment", &paused).unwrap_err().starts_with("failed: it is paused"));
    }

    #[test]
    fn each_step_of_a_rollout_counts_as_getting_on() {
        let reached = |updated: u64, available: u64, all: u64| {
            let status = json!({"observedGeneration": 1, "updatedReplicas": updated, "availableReplicas": available,
                                "replicas": all});
            match standing(&"apps/Deployment/web/shop".parse().unwrap(), &deployment(1, &status)) {
                Standing::Waiting { reached, .. } => reached,
                other => panic!("{other:?}"),
            }
        };
        let steps = [reached(0, 3, 3), reached(1, 3, 4), reached(2, 3, 4), reached(3, 3, 5), reached(3, 3, 4)];
        assert!(steps.is_sorted_by(|earlier, later| earlier < later), "{steps:?}");
    }

    #[test]
    fn other_kinds_have_their_own_signs() {
        let set = |status: Value| json!({"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status});
        let current =
            json!({"observedGeneration": 1, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a"});
        assert_eq!(check("apps/StatefulSet", &set(current)), Ok(()));
        let rolling = json!({"observedGeneration": 1, "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a",
                             "updateRevision": "b"});
        assert_eq!(check("apps/StatefulSet", &set(rolling)).unwrap_err(), "1 of 2 pods are new");
        let nodes = json!({"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3,
                           "numberAvailable": 1});
        assert_eq!(check("apps/DaemonSet", &set(nodes)).unwrap_err(), "1 of 3 pods are available");
        assert_eq!(
            check("batch/Job", &json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}})),
            Ok(())
        );
        let failed = json!({"status": {"conditions": [{"type": "Failed", "status": "True", "message": "no luck"}]}});
        assert_eq!(check("batch/Job", &failed).unwrap_err(), "failed: no luck");
        assert_eq!(
            check("/Namespace", &json!({"status": {"phase": "Terminating"}})).unwrap_err(),
            "failed: it is being deleted"
        );
        let definition = "apiextensions.k8s.io/CustomResourceDefinition";
        assert_eq!(check(definition, &json!({})).unwrap_err(), "it is not `Established` yet");
        let taken =
            json!({"status": {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "taken"}]}});
        assert_eq!(check(definition, &taken).unwrap_err(), "failed: the cluster doesn't take its names: taken");
        assert_eq!(check("/ConfigMap", &json!({})), Ok(()));
        assert_eq!(check("autoscaling/HorizontalPodAutoscaler", &json!({})), Ok(()));
    }
}
