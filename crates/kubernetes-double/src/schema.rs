//! What the API's own schema says of lists and maps, for the kinds that stand here (Kubernetes 1.34, `x-kubernetes-list-type`,
//! `x-kubernetes-list-map-keys` and `x-kubernetes-map-type` of the OpenAPI description).

use serde_json::Value;

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// As a whole.
    Atomic,
    /// Each item is its own key.
    Set,
    /// Items have these fields as key.
    Map(&'static [&'static str]),
}

/// Lists that are merged by the item: the kind of what they are in, the field, the keys.
const LISTS: [(&str, &str, List); 15] = [
    ("metadata", "finalizers", List::Set),
    ("metadata", "ownerReferences", List::Map(&["uid"])),
    ("pod", "containers", List::Map(&["name"])),
    ("pod", "initContainers", List::Map(&["name"])),
    ("pod", "imagePullSecrets", List::Map(&["name"])),
    ("pod", "volumes", List::Map(&["name"])),
    ("pod", "hostAliases", List::Map(&["ip"])),
    ("pod", "topologySpreadConstraints", List::Map(&["topologyKey", "whenUnsatisfiable"])),
    ("container", "env", List::Map(&["name"])),
    ("container", "ports", List::Map(&["containerPort", "protocol"])),
    ("container", "volumeMounts", List::Map(&["mountPath"])),
    ("container", "volumeDevices", List::Map(&["devicePath"])),
    ("service", "ports", List::Map(&["port", "protocol"])),
    ("ServiceAccount", "secrets", List::Map(&["name"])),
    ("status", "conditions", List::Map(&["type"])),
];

/// Maps and structures that are taken as a whole, wherever they stand.
const ATOMIC: [&str; 15] = [
    "configMapKeyRef",
    "dataSource",
    "fieldRef",
    "labelSelector",
    "namespaceSelector",
    "nodePublishSecretRef",
    "nodeSelector",
    "podSelector",
    "resourceFieldRef",
    "roleRef",
    "scopeSelector",
    "secretKeyRef",
    "secretRef",
    "selector",
    "requiredDuringSchedulingIgnoredDuringExecution",
];

/// Groups whose schema isn't known here: their maps are merged, their lists aren't.
fn has_schema(api_version: &str) -> bool {
    !api_version.contains('.') || api_version.contains(".k8s.io/") && !api_version.starts_with("secrets-store")
}

/// A place in an object: the names on the way, without the keys of items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    names: [&'a str; 16],
    depth: usize,
    kind: &'a str,
    has_schema: bool,
}

impl<'a> Place<'a> {
    /// The object itself.
    pub(crate) fn of(object: &'a Value) -> Self {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        Self { names: [""; 16], depth: 0, kind: text("kind"), has_schema: has_schema(text("apiVersion")) }
    }

    /// A field below. Ways longer than those of the kinds here end in the same place.
    pub(crate) fn then(self, name: &'a str) -> Self {
        let mut place = self;
        if place.depth < place.names.len() {
            place.names[place.depth] = name;
            place.depth += 1;
        }
        place
    }

    pub(crate) fn path(&self) -> &[&'a str] {
        &self.names[..self.depth]
    }

    /// Whether a map or structure here is taken as a whole.
    pub(crate) fn is_atomic(&self) -> bool {
        let Some(last) = self.path().last() else { return false };
        // `selector` of a Service is a map that is taken as a whole too.
        self.has_schema && self.path()[0] != "data" && self.path()[0] != "metadata" && ATOMIC.contains(last)
    }

    /// How a list here is merged.
    pub(crate) fn list(&self) -> List {
        let path = self.path();
        let Some((last, above)) = path.split_last() else { return List::Atomic };
        let is_metadata = above.last() == Some(&"metadata");
        if !self.has_schema && !is_metadata {
            return List::Atomic;
        }
        let owner = match above.last() {
            Some(&"containers" | &"initContainers") => "container",
            Some(&"metadata") => "metadata",
            Some(&"status") => "status",
            Some(&"spec") if self.kind == "Service" => "service",
            Some(&"spec") => "pod",
            None => self.kind,
            _ => return List::Atomic,
        };
        let known = LISTS.iter().find(|(of, name, _)| *of == owner && name == last);
        known.map_or(List::Atomic, |(_, _, list)| *list)
    }
}
