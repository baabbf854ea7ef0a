//! What an application of a bundle would do, found out without doing it.
//!
//! Each object costs two calls: one that reads it, and one that asks the cluster what would become of it (a dry run). Who
//! may only read is refused the second; then what was read has to do, see [`Way`].

mod problem;

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use crate::bundle::{Bundle, Consents, Delivery, Wanted};
use crate::call::{CallClass, CallError};
use crate::cluster::{Cluster, Manner, PARALLEL_CALLS, Served};
use crate::compare::{Difference, FieldChange, by_dry_run, by_reading, ours};
use crate::conflict::Conflict;
use crate::inventory::{Inventory, InventoryError};
use crate::object::Key;
use crate::prune::{self, Unwanted};

pub use problem::{Problem, Trouble};

/// What an application would do.
#[derive(Debug)]
pub struct Survey {
    /// Each object of the bundle, in its order.
    pub objects: Vec<Compared>,
    /// What was applied earlier and isn't wanted any more, in the order in which it goes.
    pub unwanted: Vec<Unwanted>,
    pub(crate) inventory: Inventory,
}

/// One object as it is and as it would be.
#[derive(Debug)]
pub struct Compared {
    /// Which object.
    pub key: Key,
    /// What would happen to it.
    pub verdict: Verdict,
    /// How that is known.
    pub way: Way,
    /// What is there.
    pub live: Option<Live>,
    /// None while its kind is yet to be defined.
    pub(crate) served: Option<Served>,
    pub(crate) seen: Option<Value>,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// What tells it from another that had its name before.
    pub uid: String,
    /// Changes whenever anything of it does.
    pub resource_version: String,
    /// What of it this bundle's manager owns; none if that is nothing, and none of a `Secret`.
    pub ours: Option<Value>,
}

/// What would happen to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It would be made.
    Created,
    /// It would be changed.
    Changed {
        /// Fields with other values. None: only whose they are changes.
        changes: Vec<FieldChange>,
        /// What would be taken from others, with consent.
        taken: Vec<Conflict>,
    },
    /// Nothing.
    Unchanged,
    /// It would be refused: others own fields that would be changed.
    Conflicting(Vec<Conflict>),
}

/// How it is known what would happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The cluster was asked, or there is nothing to ask.
    DryRun,
    /// By reading alone, because who asks may not apply. Conflicts aren't seen so, and values that the cluster writes in
    /// another way look like changes.
    Reading,
}

/// There is no survey.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// Objects can't be applied as they are; all of them.
    #[error("{}", problem::count(.0))]
    Problems(Vec<Problem>),
    /// The inventory can't be used.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The cluster can't be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Finds out what an application of the bundle would do.
///
/// # Errors
/// The cluster can't be asked, or objects can't be applied.
pub async fn survey(cluster: &Cluster, bundle: &Bundle, consents: &Consents) -> Result<Survey, SurveyError> {
    // Learnt before many ask at once.
    let versions: BTreeSet<&str> = bundle.wanted().iter().map(|wanted| wanted.object.api_version()).collect();
    let learn = |version| cluster.learn_kinds(version);
    stream::iter(versions).map(learn).buffered(PARALLEL_CALLS).try_collect::<()>().await?;
    let look = |wanted| async move { (wanted, look(cluster, bundle, wanted).await) };
    let looks: Vec<_> = stream::iter(bundle.wanted()).map(look).buffered(PARALLEL_CALLS).collect().await;
    let mut problems = Vec::new();
    let mut looked = Vec::new();
    for (wanted, found) in looks {
        match found {
            Ok(found) => looked.push((wanted, found)),
            Err(failed) => problems.push(problem::of(wanted.object.key(), failed)?),
        }
    }
    let missing: Vec<&str> = looked
        .iter()
        .filter(|(wanted, found)| wanted.object.key().is("", "Namespace") && found.live.is_none())
        .map(|(wanted, _)| wanted.object.key().name.as_str())
        .collect();
    let missing = &missing;
    let compare = async |(wanted, found): (&Wanted, Looked)| {
        // Where its namespace is yet to be made, nothing can be tried.
        let is_later = wanted.object.key().namespace.as_deref().is_some_and(|namespace| missing.contains(&namespace));
        compare(cluster, bundle, consents, wanted, found, is_later).await
    };
    let compares = looked.into_iter().map(|(wanted, found)| {
        let compare = &compare;
        async move { (wanted, compare((wanted, found)).await) }
    });
    let compares: Vec<_> = compares.collect();
    let compared: Vec<_> = stream::iter(compares).buffered(PARALLEL_CALLS).collect().await;
    let mut objects = Vec::new();
    for (wanted, compared) in compared {
        match compared {
            Ok(compared) => objects.push(compared),
            Err(failed) => problems.push(problem::of(wanted.object.key(), failed)?),
        }
    }
    if !problems.is_empty() {
        return Err(SurveyError::Problems(problems));
    }
    let inventory = Inventory::read(cluster, bundle).await?;
    let candidates = inventory.keys().iter().filter(|key| !bundle.wants(key));
    let unwanted = prune::look(cluster, bundle, consents, candidates).await?;
    Ok(Survey { objects, unwanted, inventory })
}

impl Survey {
    /// Whether an application would do nothing: no object is written or pruned.
    pub fn is_nothing(&self) -> bool {
        self.objects.iter().all(|object| object.verdict == Verdict::Unchanged)
            && !self.unwanted.iter().any(|unwanted| unwanted.fate == prune::Fate::Pruned)
    }

    /// What others own and the bundle would change.
    pub fn conflicts(&self) -> impl Iterator<Item = (&Key, &[Conflict])> {
        self.objects.iter().filter_map(|object| match &object.verdict {
            Verdict::Conflicting(conflicts) => Some((&object.key, conflicts.as_slice())),
            _ => None,
        })
    }
}

/// Why an object can't be compared.
pub(crate) enum Failed {
    Call(CallError),
    Trouble(Trouble),
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// What was found at an object's place.
struct Looked {
    served: Option<Served>,
    live: Option<Value>,
}

async fn look(cluster: &Cluster, bundle: &Bundle, wanted: &Wanted) -> Result<Looked, Failed> {
    let object = &wanted.object;
    let key = object.key();
    let served = match cluster.served(object.api_version(), &key.kind).await? {
        Ok(served) => served,
        Err(_) if is_defined_here(bundle, key) => return Ok(Looked { served: None, live: None }),
        Err(unserved) => return Err(Failed::Trouble(Trouble::Unserved(unserved))),
    };
    if served.is_namespaced != key.namespace.is_some() {
        return Err(Failed::Trouble(Trouble::Scope { is_namespaced: served.is_namespaced }));
    }
    let live = cluster.get(&served, key).await?;
    match &wanted.delivery {
        Delivery::AppliedOnceThere(maker) if live.is_none() => {
            Err(Failed::Trouble(Trouble::MadeElsewhere(maker.clone())))
        }
        _ => Ok(Looked { served: Some(served), live }),
    }
}

/// Whether a definition in the bundle brings the kind.
fn is_defined_here(bundle: &Bundle, key: &Key) -> bool {
    bundle.wanted().iter().any(|wanted| {
        let spec = &wanted.object.value()["spec"];
        wanted.object.key().is("apiextensions.k8s.io", "CustomResourceDefinition")
            && spec["group"] == key.group.as_str()
            && spec["names"]["kind"] == key.kind.as_str()
    })
}

async fn compare(
    cluster: &Cluster,
    bundle: &Bundle,
    consents: &Consents,
    wanted: &Wanted,
    looked: Looked,
    is_later: bool,
) -> Result<Compared, Failed> {
    let key = wanted.object.key();
    let Looked { served, live: seen } = looked;
    let live = seen.as_ref().map(|live| Live::of(key, live, bundle.manager()));
    let (verdict, way) = match (&served, &seen, &wanted.delivery) {
        (_, Some(_), Delivery::MadeOnce) => (Verdict::Unchanged, Way::DryRun),
        (None, ..) | (_, None, Delivery::MadeOnce) => (Verdict::Created, Way::DryRun),
        _ if is_later => (Verdict::Created, Way::DryRun),
        (Some(served), seen, _) => tried(cluster, bundle, consents, wanted, served, seen.as_ref()).await?,
    };
    Ok(Compared { key: key.clone(), verdict, way, live, served, seen })
}

/// Asks what would become of it.
async fn tried(
    cluster: &Cluster,
    bundle: &Bundle,
    consents: &Consents,
    wanted: &Wanted,
    served: &Served,
    live: Option<&Value>,
) -> Result<(Verdict, Way), Failed> {
    let (key, value) = (wanted.object.key(), wanted.object.labelled(bundle.mark()));
    let manner = Manner { manager: bundle.manager(), is_dry_run: true, forces: false };
    let verdict = |difference: Difference, taken: Vec<Conflict>| match difference.is_none() && taken.is_empty() {
        true => Verdict::Unchanged,
        false => Verdict::Changed { changes: difference.changes, taken },
    };
    let compared = |tried: &Value, taken| match live {
        None => Verdict::Created,
        Some(live) => verdict(by_dry_run(key, live, tried, bundle.manager()), taken),
    };
    match cluster.apply(served, key, &value, manner).await {
        Ok(tried) => Ok((compared(&tried, Vec::new()), Way::DryRun)),
        // Only the lack of the right to try: other refusals, such as a quota's or an admission's, would come again.
        Err(error) if error.lacks_right("patch") => {
            let verdict = match live {
                None => Verdict::Created,
                Some(live) => verdict(by_reading(key, live, &value, bundle.manager()), Vec::new()),
            };
            Ok((verdict, Way::Reading))
        }
        Err(CallError { class: CallClass::Conflicting(conflicts), .. }) => {
            let is_own = is_own(&conflicts, bundle.manager());
            if !is_own && !consents.take_over.has(key) {
                return Ok((Verdict::Conflicting(conflicts), Way::DryRun));
            }
            let tried = cluster.apply(served, key, &value, Manner { forces: true, ..manner }).await?;
            Ok((compared(&tried, if is_own { Vec::new() } else { conflicts }), Way::DryRun))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether all that is in the way was written by this manager itself, when it made the object instead of applying it.
pub(crate) fn is_own(conflicts: &[Conflict], manager: &str) -> bool {
    conflicts.iter().all(|conflict| conflict.manager == manager)
}

impl Live {
    pub(crate) fn of(key: &Key, live: &Value, manager: &str) -> Self {
        let text = |field: &str| live["metadata"][field].as_str().unwrap_or_default().to_owned();
        let ours = if key.is_secret() { None } else { ours(live, manager) };
        Self { uid: text("uid"), resource_version: text("resourceVersion"), ours }
    }
}
