//! The kinds that the stand-in serves.

use serde_json::{Value, json};

/// A kind and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) is_namespaced: bool,
}

impl Kind {
    pub(crate) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// Group, version, kind, plural, whether it is namespaced.
const KINDS: [(&str, &str, &str, &str, bool); 29] = [
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Event", "events", true),
    ("", "v1", "LimitRange", "limitranges", true),
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "Pod", "pods", true),
    ("", "v1", "ResourceQuota", "resourcequotas", true),
    ("", "v1", "Secret", "secrets", true),
    ("", "v1", "Service", "services", true),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("apps", "v1", "DaemonSet", "daemonsets", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("apps", "v1", "ReplicaSet", "replicasets", true),
    ("apps", "v1", "StatefulSet", "statefulsets", true),
    ("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("batch", "v1", "CronJob", "cronjobs", true),
    ("batch", "v1", "Job", "jobs", true),
    ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", true),
    ("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", true),
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", true),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true),
    ("secrets-store.csi.x-k8s.io", "v1", "SecretProviderClass", "secretproviderclasses", true),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", false),
];

pub(crate) fn kinds() -> Vec<Kind> {
    let kind = |&(group, version, kind, plural, is_namespaced): &(&str, &str, &str, &str, bool)| Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        is_namespaced,
    };
    KINDS.iter().map(kind).collect()
}

/// The kind that an established definition brings.
pub(crate) fn defined(definition: &Value) -> Option<Kind> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Kind {
        group: text(&spec["group"])?,
        version: text(&spec["versions"][0]["name"])?,
        kind: text(&spec["names"]["kind"])?,
        plural: text(&spec["names"]["plural"])?,
        is_namespaced: spec["scope"] == "Namespaced",
    })
}

/// What the API answers about a group's version.
pub(crate) fn resource_list(api_version: &str, kinds: &[&Kind]) -> Value {
    let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let mut resources: Vec<Value> = Vec::new();
    for kind in kinds {
        resources.push(json!({"name": kind.plural, "singularName": kind.kind.to_lowercase(), "kind": kind.kind,
                              "namespaced": kind.is_namespaced, "verbs": verbs}));
        if kind.kind == "Deployment" {
            let name = format!("{}/scale", kind.plural);
            resources.push(json!({"name": name, "singularName": "", "kind": "Scale", "group": "autoscaling",
                                  "version": "v1", "namespaced": true, "verbs": ["get", "patch", "update"]}));
        }
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources})
}

/// What the API answers about its groups.
pub(crate) fn group_list(kinds: &[Kind]) -> Value {
    let mut names: Vec<&str> = kinds.iter().map(|kind| kind.group.as_str()).filter(|group| !group.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let group = |name: &str| {
        let mut versions: Vec<&str> =
            kinds.iter().filter(|kind| kind.group == name).map(|kind| kind.version.as_str()).collect();
        versions.sort_unstable();
        versions.dedup();
        versions.reverse();
        let versions: Vec<Value> = versions
            .iter()
            .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
            .collect();
        json!({"name": name, "preferredVersion": versions[0], "versions": versions})
    };
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": names.into_iter().map(group).collect::<Vec<_>>()})
}
