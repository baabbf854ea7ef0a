//! Objects that are applied together, under one name and with one inventory.

use std::collections::BTreeSet;

use crate::object::{Key, Object};

/// Objects that belong together.
#[derive(Clone, Debug)]
pub struct Bundle {
    wanted: Vec<Wanted>,
    manager: String,
    mark: (String, String),
    inventory: Place,
}

/// An object of a bundle.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The object.
    pub object: Object,
    /// How it gets into the cluster.
    pub delivery: Delivery,
}

/// How an object gets into the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Applied, again and again.
    Applied,
    /// Applied, but made by somebody else: what a first application would fill in is wrong. The text says who makes it,
    /// and how.
    AppliedOnceThere(String),
    /// Made if it isn't there, and left alone afterwards. It is in no inventory, so it is never pruned.
    MadeOnce,
}

/// Where the inventory of a bundle is kept: a `ConfigMap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Objects that are no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// One stands there twice.
    #[error("{0} is given twice; the later one would win")]
    Twice(Key),
    /// One would be written over by the inventory.
    #[error("{0} has the inventory's name; give one of them another")]
    IsInventory(Key),
}

impl Bundle {
    /// Objects to be applied by `manager`, the owner of the fields that they set. Each gets the label `mark`, which no other
    /// bundle may have: only what has it is pruned.
    ///
    /// # Errors
    /// An object is given twice, or is in the inventory's place.
    pub fn new(wanted: Vec<Wanted>, manager: &str, mark: (&str, &str), inventory: Place) -> Result<Self, BundleError> {
        let mut seen = BTreeSet::new();
        for key in wanted.iter().map(|wanted| wanted.object.key()) {
            if *key == inventory.key() {
                return Err(BundleError::IsInventory(key.clone()));
            }
            if !seen.insert(key) {
                return Err(BundleError::Twice(key.clone()));
            }
        }
        let mark = (mark.0.to_owned(), mark.1.to_owned());
        Ok(Self { wanted, manager: manager.to_owned(), mark, inventory })
    }

    /// The objects.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    pub(crate) fn manager(&self) -> &str {
        &self.manager
    }

    pub(crate) fn mark(&self) -> &(String, String) {
        &self.mark
    }

    pub(crate) fn inventory(&self) -> &Place {
        &self.inventory
    }

    pub(crate) fn wants(&self, key: &Key) -> bool {
        self.wanted.iter().any(|wanted| wanted.object.key() == key)
    }

    /// What the inventory must hold once everything is as wanted.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        let applied = self.wanted.iter().filter(|wanted| wanted.delivery != Delivery::MadeOnce);
        applied.map(|wanted| wanted.object.key().clone()).collect()
    }
}

impl Place {
    pub(crate) fn key(&self) -> Key {
        Key {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: Some(self.namespace.clone()),
            name: self.name.clone(),
        }
    }
}

/// What somebody has agreed to.
#[derive(Clone, Debug, Default)]
pub struct Consents {
    /// Objects whose fields may be taken from others.
    pub take_over: Chosen,
    /// Namespaces and definitions of kinds that may be pruned with everything in them.
    pub prune: Chosen,
}

/// Some objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Chosen {
    /// None.
    #[default]
    None,
    /// These.
    These(BTreeSet<Key>),
    /// All.
    All,
}

impl Chosen {
    pub(crate) fn has(&self, key: &Key) -> bool {
        match self {
            Self::None => false,
            Self::These(keys) => keys.contains(key),
            Self::All => true,
        }
    }
}
