//! Who still names a `ConfigMap` or a `Secret`: pods that may start once more, and older versions that a rollback would
//! start, read it by its name. It isn't pruned before none of them does.

use serde_json::Value;

use crate::call::CallError;
use crate::cluster::Cluster;
use crate::object::Key;

/// Kinds that hold a pod's description, and where.
const HOLDERS: [(&str, &str, &str); 6] = [
    ("apps/v1", "ReplicaSet", "/spec/template/spec"),
    ("apps/v1", "StatefulSet", "/spec/template/spec"),
    ("apps/v1", "DaemonSet", "/spec/template/spec"),
    ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template/spec"),
    ("batch/v1", "Job", "/spec/template/spec"),
    ("v1", "Pod", "/spec"),
];

/// Pod descriptions of a namespace, each with who has it.
pub(crate) struct Holders(Vec<(String, Value)>);

/// Whether somebody may name it, so that it has to be looked.
pub(crate) fn can_be_named(key: &Key) -> bool {
    key.namespace.is_some() && (key.is("", "ConfigMap") || key.is("", "Secret"))
}

impl Holders {
    /// Reads them: one call for each kind.
    pub(crate) async fn read(cluster: &Cluster, namespace: &str) -> Result<Self, CallError> {
        let mut holders = Vec::new();
        for (api_version, kind, pointer) in HOLDERS {
            let Ok(served) = cluster.served(api_version, kind).await? else { continue };
            for mut object in cluster.list(&served, namespace, "", "").await? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let name = format!("{kind} {namespace}/{name}");
                if let Some(spec) = object.pointer_mut(pointer) {
                    holders.push((name, spec.take()));
                }
            }
        }
        Ok(Self(holders))
    }

    /// The first that names it.
    pub(crate) fn naming(&self, key: &Key) -> Option<&str> {
        let is_secret = key.is_secret();
        self.0.iter().find(|(_, spec)| names(spec, is_secret, &key.name)).map(|(holder, _)| holder.as_str())
    }
}

/// Whether a part of a pod's description names it, in any of the ways there are.
fn names(part: &Value, is_secret: bool, name: &str) -> bool {
    let members: &[(&str, &str)] = match is_secret {
        true => &[
            ("secret", "secretName"),
            ("secret", "name"),
            ("secretRef", "name"),
            ("secretKeyRef", "name"),
            ("nodePublishSecretRef", "name"),
        ],
        false => &[("configMap", "name"), ("configMapRef", "name"), ("configMapKeyRef", "name")],
    };
    match part {
        Value::Object(fields) => fields.iter().any(|(field, value)| {
            let named = members.iter().any(|(member, pointer)| member == field && value[*pointer] == *name);
            let pulls = is_secret
                && field == "imagePullSecrets"
                && value.as_array().is_some_and(|secrets| secrets.iter().any(|secret| secret["name"] == *name));
            named || pulls || names(value, is_secret, name)
        }),
        Value::Array(items) => items.iter().any(|item| names(item, is_secret, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_name_one_counts() {
        let config = |part: Value| names(&part, false, "x");
        assert!(config(json!({"containers": [{"envFrom": [{"configMapRef": {"name": "x"}}]}]})));
        assert!(config(json!({"volumes": [{"configMap": {"name": "x"}}]})));
        assert!(config(json!({"volumes": [{"projected": {"sources": [{"configMap": {"name": "x"}}]}}]})));
        assert!(config(json!({"initContainers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "x"}}}]}]})));
        assert!(!config(json!({"volumes": [{"name": "x", "secret": {"secretName": "x"}}]})));
        let secret = |part: Value| names(&part, true, "x");
        assert!(secret(json!({"volumes": [{"secret": {"secretName": "x"}}]})));
        assert!(secret(json!({"imagePullSecrets": [{"name": "x"}]})));
        assert!(secret(json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "x"}}]}}]})));
        assert!(!secret(json!({"containers": [{"name": "x", "envFrom": [{"configMapRef": {"name": "x"}}]}]})));
    }
}
