//! Which kinds a cluster serves, and by which address.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList};
use kube::core::{ApiResource, DynamicObject, Resource as _};

use super::{Cluster, PAUSES};
use crate::call::{CallClass, CallError};
use crate::object::Key;

/// Kinds of one group and version; none if the cluster serves nothing of it.
pub(super) type Kinds = Option<Arc<BTreeMap<String, Served>>>;

/// A kind that the cluster serves.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) resource: ApiResource,
    pub(crate) is_namespaced: bool,
}

impl Served {
    /// Where its objects are.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        DynamicObject::url_path(&self.resource, namespace.filter(|_| self.is_namespaced))
    }
}

/// A kind that the cluster doesn't serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// Group and version that were asked for: `monitoring.coreos.com/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Versions of the group that the cluster does serve.
    pub other_versions: Vec<String>,
}

impl Unserved {
    /// What to do about it.
    pub fn repair(&self) -> String {
        let Self { api_version, kind, other_versions } = self;
        let group = api_version.split('/').next().unwrap_or_default();
        if !other_versions.is_empty() {
            return format!("write `{kind}` in a version that the cluster serves: {}", other_versions.join(", "));
        }
        let what = KNOWN.iter().find(|(known, _)| *known == group).map_or("what defines it", |(_, what)| what);
        format!("install {what} in the cluster, then apply again, or leave `{kind}` out")
    }
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster serves no `{}` of `{}`", self.kind, self.api_version)
    }
}

/// Who defines the kinds of some groups.
const KNOWN: [(&str, &str); 6] = [
    ("cert-manager.io", "cert-manager"),
    ("external-secrets.io", "the External Secrets operator"),
    ("gateway.networking.k8s.io", "the Gateway API's definitions"),
    ("keda.sh", "KEDA"),
    ("monitoring.coreos.com", "the Prometheus operator"),
    ("secrets-store.csi.x-k8s.io", "the Secrets Store CSI driver"),
];

impl Cluster {
    /// How the cluster serves a kind of a group's version; what is learnt is kept.
    ///
    /// # Errors
    /// The cluster can't be asked. That it serves no such kind is an answer.
    pub(crate) async fn served(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Result<Served, Box<Unserved>>, CallError> {
        if let Some(served) = self.kinds_of(api_version).await?.and_then(|kinds| kinds.get(kind).cloned()) {
            return Ok(Ok(served));
        }
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let mut other_versions = self.versions_of(group).await?;
        other_versions.retain(|version| version != api_version);
        Ok(Err(Box::new(Unserved { api_version: api_version.to_owned(), kind: kind.to_owned(), other_versions })))
    }

    /// Asks for the kinds of a group's version, so that nobody has to ask later.
    pub(crate) async fn learn_kinds(&self, api_version: &str) -> Result<(), CallError> {
        self.kinds_of(api_version).await.map(drop)
    }

    /// How the cluster serves the kind of an object of which only the group is known; none if it doesn't any more.
    pub(crate) async fn served_in_any_version(&self, key: &Key) -> Result<Option<Served>, CallError> {
        for version in self.versions_of(&key.group).await? {
            if let Some(served) = self.kinds_of(&version).await?.and_then(|kinds| kinds.get(&key.kind).cloned()) {
                return Ok(Some(served));
            }
        }
        Ok(None)
    }

    /// Forgets what the cluster serves of a group, because that has changed.
    pub(crate) fn forget_kinds(&self, group: &str) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.retain(|version, _| version.rsplit_once('/').is_none_or(|(known, _)| known != group));
    }

    async fn kinds_of(&self, api_version: &str) -> Result<Kinds, CallError> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(api_version).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let doing = format!("asking for the kinds of {api_version}");
        let asked = self.repeated(&doing, false, &PAUSES, async || match api_version.contains('/') {
            true => self.client.list_api_group_resources(api_version).await,
            false => self.client.list_core_api_resources(api_version).await,
        });
        let kinds = match asked.await {
            Ok(list) => Some(Arc::new(kinds(api_version, list))),
            // A group or version that isn't served has no address, which the cluster says in plain text.
            Err(error) if is_no_address(&error) => None,
            Err(error) => return Err(error),
        };
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(api_version.to_owned(), kinds.clone());
        Ok(kinds)
    }

    /// The versions of a group that the cluster serves, the preferred one first: `apps/v1`.
    async fn versions_of(&self, group: &str) -> Result<Vec<String>, CallError> {
        if group.is_empty() {
            return Ok(vec!["v1".to_owned()]);
        }
        let doing = "asking for the groups of kinds".to_owned();
        let list: APIGroupList =
            self.repeated(&doing, false, &PAUSES, async || self.client.list_api_groups().await).await?;
        let found = list.groups.into_iter().find(|known| known.name == group);
        let Some(found) = found else { return Ok(Vec::new()) };
        let preferred = found.preferred_version.map(|version| version.group_version);
        let others = found.versions.into_iter().map(|version| version.group_version);
        let mut versions: Vec<String> = preferred.into_iter().collect();
        versions.extend(others.filter(|other| !versions.contains(other)).collect::<Vec<_>>());
        Ok(versions)
    }
}

/// A 404 that isn't about an object.
fn is_no_address(error: &CallError) -> bool {
    match &error.class {
        CallClass::NotFound { instead } => instead.is_none(),
        CallClass::Refused => error.source.0.ends_with("(404)"),
        _ => false,
    }
}

fn kinds(api_version: &str, list: APIResourceList) -> BTreeMap<String, Served> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    // `deployments/scale` is a part of another one.
    let whole = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
    let served = whole.map(|resource| {
        let served = Served {
            is_namespaced: resource.namespaced,
            resource: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.to_owned(),
                kind: resource.kind.clone(),
                plural: resource.name,
            },
        };
        (resource.kind, served)
    });
    served.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_repair() {
        let unserved = |api_version: &str, kind: &str, other: &[&str]| Unserved {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            other_versions: other.iter().map(|&version| version.to_owned()).collect(),
        };
        let missing = unserved("monitoring.coreos.com/v1", "PodMonitor", &[]);
        assert_eq!(missing.to_string(), "the cluster serves no `PodMonitor` of `monitoring.coreos.com/v1`");
        let repair = "install the Prometheus operator in the cluster, then apply again, or leave `PodMonitor` out";
        assert_eq!(missing.repair(), repair);
        assert!(unserved("example.com/v1", "Thing", &[]).repair().starts_with("install what defines it"));
        let older = unserved("autoscaling/v2", "HorizontalPodAutoscaler", &["autoscaling/v1"]);
        assert!(older.repair().ends_with("a version that the cluster serves: autoscaling/v1"), "{}", older.repair());
    }
}
