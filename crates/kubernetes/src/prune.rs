//! What becomes of objects that were applied and aren't wanted any more.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::bundle::{Bundle, Consents};
use crate::call::CallError;
use crate::cluster::{Cluster, Served};
use crate::object::Key;
use crate::order;
use crate::references::{Holders, can_be_named};

/// An object that isn't wanted any more.
#[derive(Clone, Debug)]
pub struct Unwanted {
    /// Which object.
    pub key: Key,
    /// What becomes of it.
    pub fate: Fate,
    pub(crate) found: Option<Found>,
}

/// What becomes of an object that isn't wanted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is deleted.
    Pruned,
    /// It stays for now, and the inventory keeps it.
    Kept(Kept),
    /// It stays, because somebody else has it now; the inventory forgets it.
    Left,
    /// It has gone already.
    Gone,
}

/// Why an object stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Somebody names it.
    NamedBy(String),
    /// Everything in it would go with it, and nobody has agreed to that.
    NeedsConsent,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NamedBy(holder) => write!(f, "{holder} still names it"),
            Self::NeedsConsent => f.write_str("everything in it would go with it, and nobody has agreed to that"),
        }
    }
}

/// Where it was found, and as which.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) served: Served,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

/// Looks at each of `keys`; what needs others goes before them.
pub(crate) async fn look(
    cluster: &Cluster,
    bundle: &Bundle,
    consents: &Consents,
    keys: impl Iterator<Item = &Key>,
) -> Result<Vec<Unwanted>, CallError> {
    let mut keys: Vec<&Key> = keys.collect();
    keys.sort_by_key(|key| (std::cmp::Reverse(order::step(key)), (*key).clone()));
    let mut holders: BTreeMap<String, Holders> = BTreeMap::new();
    let mut unwanted = Vec::new();
    for key in keys {
        let one = one(cluster, bundle, consents, key).await?;
        let mut one = Unwanted { key: key.clone(), fate: one.0, found: one.1 };
        if let (Fate::Pruned, Some(namespace), true) = (&one.fate, &key.namespace, can_be_named(key)) {
            if !holders.contains_key(namespace) {
                holders.insert(namespace.clone(), Holders::read(cluster, namespace).await?);
            }
            if let Some(holder) = holders[namespace].naming(key) {
                one.fate = Fate::Kept(Kept::NamedBy(holder.to_owned()));
            }
        }
        unwanted.push(one);
    }
    Ok(unwanted)
}

async fn one(
    cluster: &Cluster,
    bundle: &Bundle,
    consents: &Consents,
    key: &Key,
) -> Result<(Fate, Option<Found>), CallError> {
    // With the definition of a kind its objects have gone.
    let Some(served) = cluster.served_in_any_version(key).await? else { return Ok((Fate::Gone, None)) };
    let Some(live) = cluster.get(&served, key).await? else { return Ok((Fate::Gone, None)) };
    if !is_ours(&live, bundle) {
        return Ok((Fate::Left, None));
    }
    let text = |field: &str| live["metadata"][field].as_str().unwrap_or_default().to_owned();
    let found = Found { served, uid: text("uid"), resource_version: text("resourceVersion") };
    let fate = match order::is_whole(key) && !consents.prune.has(key) {
        true => Fate::Kept(Kept::NeedsConsent),
        false => Fate::Pruned,
    };
    Ok((fate, Some(found)))
}

/// Whether it has this bundle's label, and fields that its manager owns.
fn is_ours(live: &Value, bundle: &Bundle) -> bool {
    let (label, mark) = bundle.mark();
    let managers = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let is_managed = managers.into_iter().any(|entry| entry["manager"] == bundle.manager());
    live["metadata"]["labels"][label].as_str() == Some(mark) && is_managed
}
