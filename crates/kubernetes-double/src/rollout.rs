//! What controllers make of deployments: sets of pods, pods that don't run, and the status that tells of it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use serde_json::{Value, json};

use crate::world::{Place, World, place};

/// How a deployment's newest version fares.
#[derive(Clone, Debug)]
pub enum Rollout {
    /// Its pods are there, one more at each look.
    Steps,
    /// Its pods don't run: what one of them says of itself, and warnings about it.
    Stuck {
        /// The pod's status.
        status: Value,
        /// Warnings: reason and message.
        events: Vec<(String, String)>,
        /// Whether Kubernetes has given it up.
        is_given_up: bool,
    },
    /// No pod is made.
    Held {
        /// Why.
        message: String,
    },
}

const CONTROLLER: &str = "kube-controller-manager";
const REVISION: &str = "deployment.kubernetes.io/revision";

impl World {
    /// What happens between two looks.
    pub(crate) fn run_controllers(&mut self) {
        self.establish();
        let deployments: Vec<Place> = self
            .objects
            .keys()
            .filter(|(group, plural, ..)| group == "apps" && plural == "deployments")
            .cloned()
            .collect();
        for at in deployments {
            self.roll_out(&at);
        }
    }

    fn roll_out(&mut self, at: &Place) {
        let deployment = self.objects[at].clone();
        let (_, _, namespace, name) = at;
        let template = &deployment["spec"]["template"];
        let hash = hash(template);
        let set = place("apps", "replicasets", namespace, &format!("{name}-{hash}"));
        if !self.objects.contains_key(&set) {
            let revision = self.sets_of(at).len() + 1;
            let mut labels = template["metadata"]["labels"].clone();
            labels["pod-template-hash"] = json!(hash);
            let mut made = json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"namespace": namespace, "name": set.3, "labels": labels,
                             "annotations": {}, "ownerReferences": [{"uid": deployment["metadata"]["uid"]}]},
                "spec": {"selector": deployment["spec"]["selector"], "template": template},
            });
            made["metadata"]["annotations"][REVISION] = json!(revision.to_string());
            self.put("ReplicaSet", made, CONTROLLER);
            self.write(at, CONTROLLER, "", |object| {
                object["metadata"]["annotations"][REVISION] = json!(revision.to_string());
            });
        }
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let status = self.status(at, &deployment, wanted);
        let (is, seen) = (&deployment["metadata"]["generation"], &status["observedGeneration"]);
        if deployment["status"] != status {
            self.write(at, CONTROLLER, "status", |object| object["status"] = status.clone());
        }
        let is_over = is == seen && status["availableReplicas"] == wanted && status["replicas"] == wanted;
        if is_over {
            self.forget_old_sets(at, &deployment);
        }
    }

    fn status(&mut self, at: &Place, deployment: &Value, wanted: u64) -> Value {
        let (is, seen) = (&deployment["metadata"]["generation"], &deployment["status"]["observedGeneration"]);
        let number = |field: &str| deployment["status"][field].as_u64().unwrap_or_default();
        let (old, updated) = match is == seen {
            true => (number("replicas") - number("updatedReplicas"), number("updatedReplicas")),
            false => (number("replicas"), 0),
        };
        let status = |updated: u64, available: u64, all: u64| {
            json!({"observedGeneration": is, "updatedReplicas": updated, "readyReplicas": available,
                   "availableReplicas": available, "replicas": all})
        };
        match self.rollouts.get(&at.3).cloned().unwrap_or(Rollout::Steps) {
            Rollout::Steps if updated < wanted => status(updated + 1, old.max(updated + 1), old + updated + 1),
            Rollout::Steps => status(wanted, wanted, wanted),
            Rollout::Held { message } => {
                let mut status = status(0, old, old);
                status["conditions"] =
                    json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]);
                status
            }
            Rollout::Stuck { status: of_pod, events, is_given_up } => {
                self.failing_pod(at, deployment, &of_pod, &events);
                let mut status = status(1, old, old + 1);
                if is_given_up {
                    status["conditions"] =
                        json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
                }
                status
            }
        }
    }

    fn failing_pod(&mut self, at: &Place, deployment: &Value, status: &Value, events: &[(String, String)]) {
        let hash = hash(&deployment["spec"]["template"]);
        let name = format!("{}-{hash}-x", at.3);
        if self.objects.contains_key(&place("", "pods", &at.2, &name)) {
            return;
        }
        let mut labels = deployment["spec"]["template"]["metadata"]["labels"].clone();
        labels["pod-template-hash"] = json!(hash);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": at.2, "name": name, "labels": labels},
                         "spec": deployment["spec"]["template"]["spec"], "status": status});
        let pod = self.put("Pod", pod, CONTROLLER);
        let uid = self.objects[&pod]["metadata"]["uid"].clone();
        for (number, (reason, message)) in events.iter().enumerate() {
            let event = json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"namespace": at.2, "name": format!("{name}.{number}")},
                "involvedObject": {"kind": "Pod", "name": name, "uid": uid},
                "type": "Warning", "reason": reason, "message": message, "count": 1,
                "lastTimestamp": format!("2026-12-01T10:00:{number:02}Z"),
            });
            self.put("Event", event, "kubelet");
        }
    }

    /// The sets of a deployment, the newest last.
    fn sets_of(&self, at: &Place) -> Vec<Place> {
        let uid = &self.objects[at]["metadata"]["uid"];
        let mut sets: Vec<(u64, Place)> = self
            .objects
            .iter()
            .filter(|((_, plural, ..), set)| {
                plural == "replicasets" && set["metadata"]["ownerReferences"][0]["uid"] == *uid
            })
            .map(|(place, set)| {
                let revision = set["metadata"]["annotations"][REVISION].as_str().and_then(|text| text.parse().ok());
                (revision.unwrap_or_default(), place.clone())
            })
            .collect();
        sets.sort();
        sets.into_iter().map(|(_, place)| place).collect()
    }

    fn forget_old_sets(&mut self, at: &Place, deployment: &Value) {
        let kept = usize::try_from(deployment["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10)).unwrap_or(10) + 1;
        let sets = self.sets_of(at);
        for old in &sets[..sets.len().saturating_sub(kept)] {
            self.objects.remove(old);
        }
        let hash = hash(&deployment["spec"]["template"]);
        let is_old = |pod: &Value| {
            let labels = &pod["metadata"]["labels"];
            labels["pod-template-hash"].is_string() && labels["pod-template-hash"] != hash
        };
        self.objects.retain(|(_, plural, ..), object| plural != "pods" || !is_old(object));
    }
}

fn hash(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}
