//! Does what a survey has found: the inventory first, then what others need, then what runs; waits; and prunes at the end.
//!
//! A run that is killed anywhere is simply started again: what is there is read, nothing is remembered.

mod failure;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;

use crate::bundle::{Bundle, Consents, Delivery, Wanted};
use crate::call::{CallClass, CallError};
use crate::cluster::{Cluster, Manner, Served};
use crate::conflict::Conflict;
use crate::inventory::InventoryError;
use crate::object::Key;
use crate::order;
use crate::prune::{self, Fate, Kept, Unwanted};
use crate::ready::{self, Progress, WaitError};
use crate::survey::{Compared, Survey, Verdict, is_own};

pub use failure::{ApplyError, Failure};

/// How to apply.
#[derive(Debug, Default)]
pub struct Options {
    /// What may be done beyond the usual.
    pub consents: Consents,
    /// How long something may stand still before it is given up; nothing: as long as its kind usually takes.
    pub patience: Option<Duration>,
}

/// What happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was made.
    Created,
    /// It was changed.
    Changed,
    /// It was as it should be, and wasn't written.
    Unchanged,
    /// It was deleted.
    Pruned,
    /// It isn't wanted and stays for now.
    Kept(Kept),
    /// It isn't wanted, and somebody else has it now.
    Left,
}

/// How often a deletion is tried again because the object has changed since it was looked at.
const DELETIONS: usize = 5;

/// How often is looked for a kind that was defined a moment ago, a second apart.
const LOOKS: usize = 30;

/// Applies a bundle as it was surveyed. Gives what happened to each object.
///
/// # Errors
/// Others own fields and nobody has agreed to take them (then nothing is done), or something failed or didn't get ready; the
/// error says what was done before.
pub async fn apply(
    cluster: &Cluster,
    bundle: &Bundle,
    survey: Survey,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<(Key, Done)>, ApplyError> {
    let conflicts: Vec<(Key, Vec<Conflict>)> =
        survey.conflicts().map(|(key, conflicts)| (key.clone(), conflicts.to_vec())).collect();
    let mut run = Run { cluster, bundle, options, progress, done: Vec::new() };
    let failure = match conflicts.is_empty() {
        true => run.all(survey).await.err(),
        false => Some(Failure::Conflicts(conflicts)),
    };
    match failure {
        None => Ok(run.done),
        Some(failure) => Err(ApplyError { done: run.done, failure }),
    }
}

struct Run<'a> {
    cluster: &'a Cluster,
    bundle: &'a Bundle,
    options: &'a Options,
    progress: &'a dyn Progress,
    done: Vec<(Key, Done)>,
}

/// An object that was applied, with what is known of it.
struct Applied {
    key: Key,
    served: Served,
    seen: Option<Value>,
}

impl Run<'_> {
    async fn all(&mut self, survey: Survey) -> Result<(), Failure> {
        let Survey { objects, unwanted, mut inventory } = survey;
        let mut ordered: Vec<(&Wanted, Compared)> = self.bundle.wanted().iter().zip(objects).collect();
        // Stable: within a step the bundle's own order stays.
        ordered.sort_by_key(|(wanted, _)| order::step(wanted.object.key()));
        let (first, rest): (Vec<_>, Vec<_>) =
            ordered.into_iter().partition(|(wanted, _)| order::holds_up(wanted.object.key()));

        // The inventory's own namespace may have to be made before there can be an inventory.
        let home = self.bundle.inventory().namespace.clone();
        let (home, first): (Vec<_>, Vec<_>) = first
            .into_iter()
            .partition(|(wanted, _)| wanted.object.key().is("", "Namespace") && wanted.object.key().name == home);
        let mut held_up = self.objects(home).await?;
        let union: BTreeSet<Key> = inventory.keys().union(&self.bundle.keys()).cloned().collect();
        inventory.write(self.cluster, self.bundle, union).await?;
        held_up.extend(self.objects(first).await?);
        self.ready(held_up).await?;
        let applied = self.objects(rest).await?;
        self.ready(applied).await?;

        let mut keys = self.bundle.keys();
        keys.extend(self.prune(unwanted).await?);
        inventory.write(self.cluster, self.bundle, keys).await?;
        Ok(())
    }

    /// Brings objects into the cluster, one after the other.
    async fn objects(&mut self, objects: Vec<(&Wanted, Compared)>) -> Result<Vec<Applied>, Failure> {
        let mut applied = Vec::new();
        for (wanted, compared) in objects {
            let key = wanted.object.key();
            let served = match &compared.served {
                Some(served) => served.clone(),
                None => self.defined(wanted).await?,
            };
            let (done, seen) = self.object(wanted, &served, compared).await.map_err(|error| Failure::of(key, error))?;
            self.progress.phase(key, done.word());
            self.done.push((key.clone(), done));
            applied.push(Applied { key: key.clone(), served, seen });
        }
        Ok(applied)
    }

    async fn object(
        &self,
        wanted: &Wanted,
        served: &Served,
        compared: Compared,
    ) -> Result<(Done, Option<Value>), CallError> {
        let (key, value) = (wanted.object.key(), wanted.object.labelled(self.bundle.mark()));
        let forces = match &compared.verdict {
            Verdict::Unchanged => return Ok((Done::Unchanged, compared.seen)),
            Verdict::Changed { taken, .. } => !taken.is_empty(),
            Verdict::Created | Verdict::Conflicting(_) => false,
        };
        if wanted.delivery == Delivery::MadeOnce {
            return match self.cluster.create(served, key, &value, self.bundle.manager()).await {
                Ok(made) => Ok((Done::Created, Some(made))),
                // By a first try whose answer was lost, or by somebody else: it is left alone either way.
                Err(CallError { class: CallClass::Outdated, .. }) => Ok((Done::Unchanged, None)),
                Err(error) => Err(error),
            };
        }
        let manner = Manner { manager: self.bundle.manager(), is_dry_run: false, forces };
        let done = if compared.live.is_none() { Done::Created } else { Done::Changed };
        match self.cluster.apply(served, key, &value, manner).await {
            Ok(applied) => Ok((done, Some(applied))),
            Err(CallError { class: CallClass::Conflicting(conflicts), .. })
                if is_own(&conflicts, self.bundle.manager()) =>
            {
                let applied = self.cluster.apply(served, key, &value, Manner { forces: true, ..manner }).await?;
                Ok((done, Some(applied)))
            }
            Err(error) => Err(error),
        }
    }

    /// A kind that another object of the bundle has just defined.
    async fn defined(&self, wanted: &Wanted) -> Result<Served, Failure> {
        let key = wanted.object.key();
        let mut looks = 0;
        loop {
            self.cluster.forget_kinds(&key.group);
            let served = self.cluster.served(wanted.object.api_version(), &key.kind).await;
            match served.map_err(|error| Failure::of(key, error))? {
                Ok(served) => return Ok(served),
                Err(unserved) if looks == LOOKS => return Err(Failure::Unserved { key: key.clone(), unserved }),
                Err(_) => {
                    looks += 1;
                    self.cluster.clock().sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Waits for all of them, and tells of all that didn't get ready.
    async fn ready(&self, applied: Vec<Applied>) -> Result<(), Failure> {
        let waits = applied.into_iter().map(|Applied { key, served, seen }| async move {
            let waited = ready::wait(self.cluster, &served, &key, seen, self.options.patience, self.progress).await;
            (key, waited)
        });
        let mut unready = Vec::new();
        for (key, waited) in join_all(waits).await {
            match waited {
                Ok(()) => {}
                Err(WaitError::Unready(one)) => unready.push(*one),
                Err(WaitError::Gone) => return Err(Failure::Gone(key)),
                Err(WaitError::Call(error)) => return Err(Failure::of(&key, error)),
            }
        }
        if unready.is_empty() { Ok(()) } else { Err(Failure::Unready(unready)) }
    }

    /// Deletes what isn't wanted. Gives what stays and has to be remembered.
    async fn prune(&mut self, surveyed: Vec<Unwanted>) -> Result<BTreeSet<Key>, Failure> {
        let mut kept = BTreeSet::new();
        for one in surveyed {
            let key = one.key;
            let mut tries = 0;
            // Looked at anew: since the survey, new pods have replaced those that named it.
            let done = loop {
                let looked =
                    prune::look(self.cluster, self.bundle, &self.options.consents, std::iter::once(&key)).await;
                let looked = looked.map_err(|error| Failure::of(&key, error))?;
                let Some(Unwanted { fate, found, .. }) = looked.into_iter().next() else { break None };
                match (fate, found) {
                    (Fate::Pruned, Some(found)) => {
                        let (uid, version) = (&found.uid, &found.resource_version);
                        match self.cluster.delete(&found.served, &key, uid, version).await {
                            Ok(()) => break Some(Done::Pruned),
                            Err(CallError { class: CallClass::Outdated, .. }) if tries < DELETIONS => tries += 1,
                            Err(error) => return Err(Failure::of(&key, error)),
                        }
                    }
                    (Fate::Kept(why), _) => {
                        kept.insert(key.clone());
                        break Some(Done::Kept(why));
                    }
                    (Fate::Left, _) => break Some(Done::Left),
                    (Fate::Gone | Fate::Pruned, _) => break None,
                }
            };
            if let Some(done) = done {
                self.progress.phase(&key, done.word());
                self.done.push((key, done));
            }
        }
        Ok(kept)
    }
}

impl Done {
    /// What happened, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Pruned => "pruned",
            Self::Kept(_) => "kept",
            Self::Left => "left",
        }
    }
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        Self::Inventory(error)
    }
}
