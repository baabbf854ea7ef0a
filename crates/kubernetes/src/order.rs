//! In which order objects are applied: what others need comes first.

use crate::object::Key;

/// Kinds that others need, in order; of the ones on a line none needs another. What isn't named comes after them and
/// before what runs.
const FIRST: &[&[(&str, &str)]] = &[
    &[("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")],
    &[("scheduling.k8s.io", "PriorityClass"), ("storage.k8s.io", "StorageClass")],
    &[("", "LimitRange"), ("", "ResourceQuota"), ("networking.k8s.io", "NetworkPolicy")],
    &[("", "ServiceAccount")],
    &[("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "Role")],
    &[("rbac.authorization.k8s.io", "ClusterRoleBinding"), ("rbac.authorization.k8s.io", "RoleBinding")],
    &[("", "ConfigMap"), ("", "PersistentVolume"), ("", "PersistentVolumeClaim"), ("", "Secret")],
    &[("", "Service")],
];

/// Kinds that run something, in order, and what scales or calls it.
const LAST: &[&[(&str, &str)]] = &[
    &[
        ("", "Pod"),
        ("", "ReplicationController"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("batch", "CronJob"),
        ("batch", "Job"),
    ],
    &[("autoscaling", "HorizontalPodAutoscaler"), ("policy", "PodDisruptionBudget")],
    &[
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiregistration.k8s.io", "APIService"),
    ],
];

/// The step in which an object is applied; those of one step may go in any order.
pub(crate) fn step(key: &Key) -> usize {
    let find = |steps: &[&[(&str, &str)]]| {
        steps.iter().position(|kinds| kinds.iter().any(|(group, kind)| key.is(group, kind)))
    };
    match (find(FIRST), find(LAST)) {
        (Some(step), _) => step,
        (None, Some(step)) => FIRST.len() + 1 + step,
        (None, None) => FIRST.len(),
    }
}

/// Whether what depends on it must wait until it is ready: everything in it, or of it, needs it.
pub(crate) fn holds_up(key: &Key) -> bool {
    step(key) == 0
}

/// Whether everything in it would go with it, so that it goes only with consent.
pub fn is_whole(key: &Key) -> bool {
    key.is("", "Namespace") || key.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_first() {
        let order = [
            "/Namespace//web",
            "/ServiceAccount/web/shop",
            "rbac.authorization.k8s.io/Role/web/shop",
            "rbac.authorization.k8s.io/RoleBinding/web/shop",
            "/ConfigMap/web/settings",
            "monitoring.coreos.com/PodMonitor/web/shop",
            "apps/Deployment/web/shop",
            "autoscaling/HorizontalPodAutoscaler/web/shop",
            "apiregistration.k8s.io/APIService//v1.metrics",
        ];
        let steps: Vec<usize> = order.iter().map(|path| step(&path.parse().unwrap())).collect();
        assert!(steps.is_sorted_by(|earlier, later| earlier < later), "{steps:?}");
        assert!(holds_up(&order[0].parse().unwrap()) && !holds_up(&order[1].parse().unwrap()));
        // A kind of that name in another group is another kind.
        assert_eq!(step(&"example.com/Namespace//web".parse().unwrap()), FIRST.len());
    }
}
