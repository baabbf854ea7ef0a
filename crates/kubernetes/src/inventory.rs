//! What a bundle has brought into the cluster, kept there, so that what isn't wanted any more is found.
//!
//! Invariant: whatever was applied is in it. It is written as the union of old and new before anything new is applied, and as
//! exactly what is there after what isn't wanted has gone; so a run that is killed anywhere leaves nothing unknown behind.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::call::{CallClass, CallError};
use crate::cluster::{Cluster, Served};
use crate::object::{Key, KeyError};

/// The member of the `ConfigMap` that holds the list.
const MEMBER: &str = "objects";

/// An inventory as it is in the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Inventory {
    served: Served,
    keys: BTreeSet<Key>,
    /// The version that was read; none if there is no inventory yet.
    version: Option<String>,
}

/// An inventory that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Something else has its name.
    #[error("{0} isn't this bundle's inventory; it has another label or none")]
    NotOurs(Key),
    /// It can't be read.
    #[error("{0}, the inventory of what was applied, can't be read")]
    Form(Key, #[source] KeyError),
    /// Somebody else has written it since it was read.
    #[error("{0}, the inventory of what was applied, was changed meanwhile; somebody else applies the same objects")]
    Concurrent(Key),
    /// The cluster can't be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Inventory {
    /// Reads it; without one nothing has been applied.
    pub(crate) async fn read(cluster: &Cluster, bundle: &Bundle) -> Result<Self, InventoryError> {
        let key = bundle.inventory().key();
        let served = cluster.served("v1", &key.kind).await?;
        let served = served.map_err(|_| InventoryError::NotOurs(key.clone()))?;
        let Some(found) = cluster.get(&served, &key).await? else {
            return Ok(Self { served, keys: BTreeSet::new(), version: None });
        };
        let (label, mark) = bundle.mark();
        if found["metadata"]["labels"][label].as_str() != Some(mark) {
            return Err(InventoryError::NotOurs(key));
        }
        let lines = found["data"][MEMBER].as_str().unwrap_or_default().lines();
        let keys: Result<BTreeSet<Key>, KeyError> = lines.map(str::parse).collect();
        let keys = keys.map_err(|error| InventoryError::Form(key, error))?;
        let version = found["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        Ok(Self { served, keys, version })
    }

    /// What has been applied and not been pruned.
    pub(crate) fn keys(&self) -> &BTreeSet<Key> {
        &self.keys
    }

    /// Writes it, if that says something else than what is there.
    pub(crate) async fn write(
        &mut self,
        cluster: &Cluster,
        bundle: &Bundle,
        keys: BTreeSet<Key>,
    ) -> Result<(), InventoryError> {
        if keys == self.keys && (self.version.is_some() || keys.is_empty()) {
            return Ok(());
        }
        let key = bundle.inventory().key();
        let value = self.value(bundle, &keys);
        let written = match self.version {
            None => cluster.create(&self.served, &key, &value, bundle.manager()).await,
            Some(_) => cluster.replace(&self.served, &key, &value, bundle.manager()).await,
        };
        match written {
            Ok(written) => {
                self.version = written["metadata"]["resourceVersion"].as_str().map(str::to_owned);
                self.keys = keys;
                Ok(())
            }
            // A repeated call finds its own first try, whose answer was lost.
            Err(CallError { class: CallClass::Outdated, .. }) => {
                let found = Self::read(cluster, bundle).await?;
                if found.keys != keys {
                    return Err(InventoryError::Concurrent(key));
                }
                *self = found;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn value(&self, bundle: &Bundle, keys: &BTreeSet<Key>) -> Value {
        let place = bundle.inventory();
        let (label, mark) = bundle.mark();
        let lines: String = keys.iter().map(|key| format!("{}\n", key.path())).collect();
        let mut value = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": place.namespace, "name": place.name, "labels": {}},
            "data": {},
        });
        value["metadata"]["labels"][label] = json!(mark);
        value["data"][MEMBER] = json!(lines);
        if let Some(version) = &self.version {
            value["metadata"]["resourceVersion"] = json!(version);
        }
        value
    }
}
