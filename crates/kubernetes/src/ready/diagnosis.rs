//! Why something didn't get ready: what its newest pods say of themselves, and what Kubernetes says of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::hints::{NOT_READY, hint};
use super::standing::condition;
use crate::call::CallError;
use crate::cluster::Cluster;
use crate::object::Key;

/// How many pods are told of; they mostly have the same trouble.
const MOST_PODS: usize = 3;

/// How many events of one thing are told.
const MOST_EVENTS: usize = 5;

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Pods that don't work, the first few.
    pub pods: Vec<PodReport>,
    /// How many don't work.
    pub failing: usize,
    /// What Kubernetes says of the object itself and of what makes its pods.
    pub events: Vec<String>,
    /// What to do.
    pub hint: Option<&'static str>,
    /// What couldn't be found out.
    pub unknown: Option<String>,
}

/// What is wrong with a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodReport {
    /// Its name.
    pub pod: String,
    /// What it says, one reason after the other: `container shop waits: ImagePullBackOff`.
    pub reasons: Vec<String>,
    /// The last warnings about it, the newest last.
    pub events: Vec<String>,
}

/// Finds out what can be found out; that it can't be asked is part of the answer.
pub(super) async fn diagnose(cluster: &Cluster, key: &Key, live: &Value) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    if let Err(error) = look(cluster, key, live, &mut diagnosis).await {
        diagnosis.unknown = Some(format!("{error}: {}", error.source));
    }
    let texts = diagnosis.pods.iter().flat_map(|pod| pod.reasons.iter().chain(&pod.events)).chain(&diagnosis.events);
    let texts: Vec<&str> = texts.map(String::as_str).collect();
    diagnosis.hint = hint(&texts).or((diagnosis.failing > 0).then_some(NOT_READY));
    diagnosis
}

async fn look(cluster: &Cluster, key: &Key, live: &Value, diagnosis: &mut Diagnosis) -> Result<(), CallError> {
    let (Some(namespace), Some(uid)) = (&key.namespace, live["metadata"]["uid"].as_str()) else { return Ok(()) };
    let mut makers = vec![uid.to_owned()];
    let selector = selector(live);
    let mut labels = selector.clone();
    if key.is("apps", "Deployment")
        && let Some(newest) = newest_set(cluster, namespace, live, &selector).await?
    {
        makers.extend(newest["metadata"]["uid"].as_str().map(str::to_owned));
        if let Some(hash) = newest["metadata"]["labels"]["pod-template-hash"].as_str() {
            labels = format!("{selector},pod-template-hash={hash}");
        }
    }
    if key.is("", "Pod") {
        report(cluster, namespace, std::slice::from_ref(live), diagnosis).await?;
    } else if !labels.is_empty()
        && let Ok(pods) = cluster.served("v1", "Pod").await?
    {
        let pods = cluster.list(&pods, namespace, &labels, "").await?;
        report(cluster, namespace, &pods, diagnosis).await?;
    }
    for uid in makers {
        diagnosis.events.extend(events(cluster, namespace, &uid).await?);
    }
    Ok(())
}

async fn report(
    cluster: &Cluster,
    namespace: &str,
    pods: &[Value],
    diagnosis: &mut Diagnosis,
) -> Result<(), CallError> {
    let failing: Vec<&Value> = pods.iter().filter(|pod| !is_well(pod)).collect();
    diagnosis.failing = failing.len();
    for pod in failing.into_iter().take(MOST_PODS) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let events = events(cluster, namespace, uid).await?;
        diagnosis.pods.push(PodReport { pod: name, reasons: reasons(pod), events });
    }
    Ok(())
}

/// What selects an object's pods, as the API takes it; empty if nothing does.
fn selector(live: &Value) -> String {
    let labels = live["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default())).collect();
    labels.join(",")
}

/// The set that makes the newest pods of a deployment.
async fn newest_set(
    cluster: &Cluster,
    namespace: &str,
    deployment: &Value,
    selector: &str,
) -> Result<Option<Value>, CallError> {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    let Ok(served) = cluster.served("apps/v1", "ReplicaSet").await? else { return Ok(None) };
    let revision = &deployment["metadata"]["annotations"][REVISION];
    let sets = cluster.list(&served, namespace, selector, "").await?;
    Ok(sets.into_iter().find(|set| set["metadata"]["annotations"][REVISION] == *revision && !revision.is_null()))
}

fn is_well(pod: &Value) -> bool {
    pod["status"]["phase"] == "Succeeded"
        || condition(&pod["status"], "Ready").is_some_and(|ready| ready["status"] == "True")
}

/// What a pod says of itself.
fn reasons(pod: &Value) -> Vec<String> {
    let status = &pod["status"];
    let mut reasons = Vec::new();
    if let Some(reason) = status["reason"].as_str() {
        reasons.push(with(reason, status["message"].as_str()));
    }
    if let Some(placed) = condition(status, "PodScheduled").filter(|placed| placed["status"] == "False") {
        let reason = placed["reason"].as_str().unwrap_or("Unschedulable");
        reasons.push(with(reason, placed["message"].as_str()));
    }
    for list in ["initContainerStatuses", "containerStatuses"] {
        for container in status[list].as_array().into_iter().flatten() {
            reasons.extend(of_container(container));
        }
    }
    if reasons.is_empty() {
        let phase = status["phase"].as_str().unwrap_or("Unknown");
        reasons.push(format!("its phase is {phase}, and its containers say nothing"));
    }
    reasons
}

fn of_container(container: &Value) -> Vec<String> {
    let name = container["name"].as_str().unwrap_or_default();
    let mut said = Vec::new();
    let (state, last) = (&container["state"], &container["lastState"]["terminated"]);
    if let Some(waiting) = state["waiting"].as_object() {
        let reason = waiting.get("reason").and_then(Value::as_str).unwrap_or("waiting");
        let message = waiting.get("message").and_then(Value::as_str);
        said.push(format!("container {name} waits: {}", with(reason, message)));
    } else if state["terminated"].is_object() {
        // One that prepared something and is done has nothing to say.
        if state["terminated"]["exitCode"] != 0 {
            said.push(format!("container {name} ended: {}", ended(&state["terminated"])));
        }
    } else if container["ready"] == false {
        said.push(format!("container {name} runs and isn't ready"));
    }
    if last.is_object() {
        let count = container["restartCount"].as_u64().unwrap_or_default();
        said.push(format!("container {name} ended before: {} (restarted {count} times)", ended(last)));
    }
    said
}

/// `OOMKilled, exit code 137`, with the last of what it said.
fn ended(terminated: &Value) -> String {
    let reason = terminated["reason"].as_str().unwrap_or("ended");
    let mut text = format!("{reason}, exit code {}", terminated["exitCode"]);
    if let Some(signal) = terminated["signal"].as_u64().filter(|signal| *signal > 0) {
        text.push_str(&format!(", signal {signal}"));
    }
    with(&text, terminated["message"].as_str())
}

/// A reason with the end of its message, which may be a long log.
fn with(reason: &str, message: Option<&str>) -> String {
    const MOST: usize = 400;
    let message = message.unwrap_or_default().trim();
    if message.is_empty() {
        return reason.to_owned();
    }
    let start = message.char_indices().rev().nth(MOST).map_or(0, |(start, _)| start);
    let cut = if start > 0 { "…" } else { "" };
    format!("{reason}: {cut}{}", message[start..].replace('\n', " | "))
}

/// The last warnings about something, the newest last.
async fn events(cluster: &Cluster, namespace: &str, uid: &str) -> Result<Vec<String>, CallError> {
    let Ok(served) = cluster.served("v1", "Event").await? else { return Ok(Vec::new()) };
    let found = cluster.list(&served, namespace, "", &format!("involvedObject.uid={uid}")).await?;
    Ok(last_warnings(&found))
}

fn last_warnings(events: &[Value]) -> Vec<String> {
    let time = |event: &Value| {
        let times = ["lastTimestamp", "eventTime", "firstTimestamp"].map(|field| event[field].as_str());
        times.into_iter().flatten().next().unwrap_or_default().to_owned()
    };
    // The same again and again is one.
    let mut warnings: BTreeMap<(String, String), (String, u64)> = BTreeMap::new();
    for event in events.iter().filter(|event| event["type"] == "Warning") {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let (at, count) = (time(event), event["count"].as_u64().unwrap_or(1));
        let known = warnings.entry((text("reason"), text("message"))).or_default();
        *known = (at.max(known.0.clone()), known.1 + count);
    }
    let mut warnings: Vec<_> =
        warnings.into_iter().map(|((reason, message), (at, count))| (at, reason, message, count)).collect();
    warnings.sort();
    let first = warnings.len().saturating_sub(MOST_EVENTS);
    let texts = warnings.drain(first..).map(|(_, reason, message, count)| {
        let times = if count > 1 { format!(" (× {count})") } else { String::new() };
        format!("{}{times}", with(&reason, Some(&message)))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_tells_why_it_does_not_run() {
        let check = |status: Value| reasons(&json!({"status": status}));
        let waiting = json!({"containerStatuses": [
            {"name": "shop", "ready": false, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
        ]});
        assert_eq!(check(waiting), ["container shop waits: ImagePullBackOff: not found"]);
        let crashing = json!({"containerStatuses": [{
            "name": "shop", "ready": false, "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": 3, "message": "no broker\nbye\n"}},
        }]});
        assert_eq!(
            check(crashing),
            [
                "container shop waits: CrashLoopBackOff",
                "container shop ended before: Error, exit code 3: no broker | bye (restarted 4 times)",
            ]
        );
        let unplaced = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        ]});
        assert_eq!(check(unplaced), ["Unschedulable: 0/3 nodes"]);
        let prepared = json!({
            "initContainerStatuses": [{"name": "prepare", "ready": true, "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [{"name": "shop", "ready": false, "state": {"running": {}}}],
        });
        assert_eq!(check(prepared), ["container shop runs and isn't ready"]);
        assert_eq!(check(json!({"phase": "Pending"})), ["its phase is Pending, and its containers say nothing"]);
    }

    #[test]
    fn the_end_of_a_long_message_is_told() {
        let long = format!("{}the end", "x".repeat(1_000));
        let text = with("Error", Some(&long));
        assert!(text.ends_with("the end") && text.starts_with("Error: …") && text.len() < 500, "{text}");
    }

    #[test]
    fn warnings_are_told_once_and_the_newest_last() {
        let event = |at: &str, reason: &str, count: u64| json!({"type": "Warning", "reason": reason, "message": "m", "lastTimestamp": at, "count": count});
        let events = [
            event("2026-12-01T10:00:03Z", "BackOff", 2),
            event("2026-12-01T10:00:01Z", "Failed", 1),
            event("2026-12-01T10:00:05Z", "BackOff", 1),
            json!({"type": "Normal", "reason": "Pulling"}),
        ];
        assert_eq!(last_warnings(&events), ["Failed: m", "BackOff: m (× 3)"]);
    }

    #[test]
    fn hints_go_by_the_gravest_reason() {
        let of = hint;
        assert!(
            of(&["BackOff: x", "container a waits: ImagePullBackOff"]).is_some_and(|hint| hint.contains("registry"))
        );
        assert!(
            of(&["container a ended before: OOMKilled, exit code 137"]).is_some_and(|hint| hint.contains("memory"))
        );
        assert_eq!(of(&["something else"]), None);
    }
}
