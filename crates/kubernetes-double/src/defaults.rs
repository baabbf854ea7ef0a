//! What the API fills in, writes in another way, and refuses to change, for the kinds that stand here.

use serde_json::{Value, json};

/// Fills in what an object leaves out.
pub(crate) fn fill_in(object: &mut Value) {
    canonical(object);
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => {
            let name = object["metadata"]["name"].clone();
            set(&mut object["metadata"]["labels"], "kubernetes.io/metadata.name", name);
            set(&mut object["spec"], "finalizers", json!(["kubernetes"]));
            set(&mut object["status"], "phase", json!("Active"));
        }
        "Deployment" => deployment(object),
        "NetworkPolicy" => {
            for (direction, _) in [("ingress", "from"), ("egress", "to")] {
                for rule in items(&mut object["spec"], direction) {
                    items(rule, "ports").for_each(|port| set(port, "protocol", json!("TCP")));
                }
            }
        }
        "HorizontalPodAutoscaler" => set(&mut object["spec"], "minReplicas", json!(1)),
        "Service" => {
            items(&mut object["spec"], "ports").for_each(|port| set(port, "protocol", json!("TCP")));
            set(&mut object["spec"], "type", json!("ClusterIP"));
        }
        "Secret" => set(object, "type", json!("Opaque")),
        _ => {}
    }
}

fn deployment(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "replicas", json!(1));
    set(spec, "progressDeadlineSeconds", json!(600));
    set(spec, "revisionHistoryLimit", json!(10));
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
    set(spec, "strategy", rolling);
    let pod = &mut spec["template"]["spec"];
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
    ] {
        set(pod, field, value);
    }
    if let Some(account) = pod.get("serviceAccountName").cloned() {
        set(pod, "serviceAccount", account);
    }
    for container in items(pod, "containers") {
        set(container, "terminationMessagePath", json!("/dev/termination-log"));
        set(container, "terminationMessagePolicy", json!("File"));
        set(container, "imagePullPolicy", json!("IfNotPresent"));
        items(container, "ports").for_each(|port| set(port, "protocol", json!("TCP")));
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(probe).is_some() {
                for (field, number) in
                    [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
                {
                    set(&mut container[probe], field, json!(number));
                }
                if container[probe].get("httpGet").is_some() {
                    set(&mut container[probe]["httpGet"], "scheme", json!("HTTP"));
                }
            }
        }
    }
}

fn set(part: &mut Value, field: &str, value: Value) {
    if part.is_null() {
        *part = json!({});
    }
    if let Some(fields) = part.as_object_mut() {
        fields.entry(field.to_owned()).or_insert(value);
    }
}

fn items<'v>(part: &'v mut Value, field: &str) -> impl Iterator<Item = &'v mut Value> {
    part.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Writes amounts as the API does: `1000m` is `1`, `2048Mi` is `2Gi`.
fn canonical(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let holds_amounts = matches!(
                    name.as_str(),
                    "default" | "defaultRequest" | "hard" | "limits" | "max" | "min" | "requests"
                );
                match value {
                    Value::Object(amounts) if holds_amounts => {
                        for amount in amounts.values_mut() {
                            if let Some(text) = amount.as_str() {
                                *amount = json!(amount_of(text));
                            }
                        }
                    }
                    other => canonical(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(canonical),
        _ => {}
    }
}

fn amount_of(text: &str) -> String {
    let whole = |suffix: &str, by: u64| {
        text.strip_suffix(suffix)?.parse::<u64>().ok().filter(|number| number % by == 0 && *number > 0).map(|n| n / by)
    };
    if let Some(number) = whole("m", 1000) {
        return number.to_string();
    }
    for (small, large) in [("Ki", "Mi"), ("Mi", "Gi"), ("Gi", "Ti")] {
        if let Some(number) = whole(small, 1024) {
            return amount_of(&format!("{number}{large}"));
        }
    }
    text.to_owned()
}

/// Fields that can't be changed, with those that were.
pub(crate) fn changed_although_fixed(live: &Value, new: &Value) -> Vec<&'static str> {
    let fixed: &[(&str, &'static str)] = match new["kind"].as_str().unwrap_or_default() {
        "Deployment" => &[("/spec/selector", "spec.selector")],
        "RoleBinding" => &[("/roleRef", "roleRef")],
        "ConfigMap" | "Secret" if live["immutable"] == true => &[("/data", "data"), ("/immutable", "immutable")],
        _ => &[],
    };
    fixed.iter().filter(|(pointer, _)| live.pointer(pointer) != new.pointer(pointer)).map(|(_, field)| *field).collect()
}

/// A field that no object has at its top.
pub(crate) fn unknown_field(object: &Value) -> Option<String> {
    const KNOWN: [&str; 16] = [
        "apiVersion",
        "automountServiceAccountToken",
        "binaryData",
        "data",
        "imagePullSecrets",
        "immutable",
        "kind",
        "metadata",
        "roleRef",
        "rules",
        "secrets",
        "spec",
        "status",
        "stringData",
        "subjects",
        "type",
    ];
    object.as_object()?.keys().find(|field| !KNOWN.contains(&field.as_str())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_one_way() {
        for (text, expected) in
            [("1000m", "1"), ("500m", "500m"), ("2048Mi", "2Gi"), ("512Mi", "512Mi"), ("1048576Ki", "1Gi"), ("3", "3")]
        {
            assert_eq!(amount_of(text), expected);
        }
    }
}
