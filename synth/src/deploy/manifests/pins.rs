//! What a plan says of the clusters: for each object what it shall be, and as which it was seen.
//!
//! Most of what makes a new version of an object isn't ours: how many pods there are, what a controller counts. So a version
//! that has moved is looked at: as long as the fields that are ours hold what they held, what was reviewed still holds. Values
//! aren't in a plan, only their digests, and of secrets not even those: a moved version of one is a change.

use std::collections::{BTreeMap, BTreeSet};

use infra::environment::Environment;
use kubernetes::{Fate, Object, Verdict};
use serde::{Deserialize, Serialize};

use super::image::without_version;
use super::look::{Found, Look};
use crate::artifacts::hex_sha256;

/// What was reviewed of a region's manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegionPin {
    /// Whether the cluster was asked. If it wasn't, only what shall be is pinned.
    pub(crate) was_asked: bool,
    /// By path: `apps/Deployment/tandem/consumer`.
    objects: BTreeMap<String, ObjectPin>,
    /// What would be pruned.
    prunes: BTreeSet<String>,
}

/// An object as it shall be, and as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectPin {
    /// SHA-256 of what it shall be, whichever version of the image it has.
    wanted: String,
    /// What was there; nothing if it was yet to be made, or nobody was asked.
    live: Option<LivePin>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LivePin {
    /// One that was deleted and made anew has another.
    uid: String,
    resource_version: String,
    /// SHA-256 of the fields that are ours; nothing if there were none, or if it is a secret.
    ours: Option<String>,
}

impl RegionPin {
    /// Pins what was seen.
    pub(crate) fn of(environment: &Environment, look: &Look) -> Self {
        let survey = match &look.found {
            Found::Asked(asked) => Some(&asked.survey),
            Found::Problems(_) | Found::Unasked(_) => None,
        };
        let objects = look.bundle.wanted().iter().enumerate().map(|(place, wanted)| {
            let live = survey.and_then(|survey| survey.objects[place].live.as_ref()).map(|live| LivePin {
                uid: live.uid.clone(),
                resource_version: live.resource_version.clone(),
                ours: live.ours.as_ref().map(|ours| hex_sha256(ours.to_string().as_bytes())),
            });
            let pin = ObjectPin { wanted: wanted_digest(environment, look, &wanted.object), live };
            (wanted.object.key().path(), pin)
        });
        let unwanted = survey.into_iter().flat_map(|survey| &survey.unwanted);
        let prunes = unwanted.filter(|one| one.fate == Fate::Pruned).map(|one| one.key.path());
        Self { was_asked: survey.is_some(), objects: objects.collect(), prunes: prunes.collect() }
    }

    /// What isn't as it was when the plan was made; empty if what was reviewed is what would be done.
    pub(crate) fn moved(&self, environment: &Environment, look: &Look) -> Vec<String> {
        let now = Self::of(environment, look);
        let mut moved = Vec::new();
        for (place, wanted) in look.bundle.wanted().iter().enumerate() {
            let key = wanted.object.key();
            let path = key.path();
            let Some(then) = self.objects.get(&path) else {
                moved.push(format!("{key} is not in the plan"));
                continue;
            };
            let is_done = match &look.found {
                Found::Asked(asked) => asked.survey.objects[place].verdict == Verdict::Unchanged,
                _ => false,
            };
            let what =
                now.objects.get(&path).and_then(|now| then.moved(now, is_done || !self.was_asked || !now_asked(look)));
            moved.extend(what.map(|what| format!("{key}: {what}")));
        }
        let is_wanted = |path: &&String| now.objects.contains_key(*path);
        let gone = self.objects.keys().filter(|path| !is_wanted(path));
        moved.extend(gone.map(|path| format!("{path} is in the plan, and the checkout has no such object")));
        if self.was_asked {
            let more = now.prunes.difference(&self.prunes);
            moved.extend(more.map(|path| format!("{path} would be pruned, and the plan doesn't say so")));
        }
        moved.into_iter().map(|what| format!("{}: {what}", look.key)).collect()
    }
}

fn now_asked(look: &Look) -> bool {
    matches!(look.found, Found::Asked(_))
}

impl ObjectPin {
    /// `is_settled`: what is there makes no difference.
    fn moved(&self, now: &Self, is_settled: bool) -> Option<&'static str> {
        if self.wanted != now.wanted {
            return Some("the checkout's is another one");
        }
        if is_settled {
            return None;
        }
        match (&self.live, &now.live) {
            (None, None) => None,
            (None, Some(_)) => Some("it has been made meanwhile"),
            (Some(_), None) => Some("it has been deleted meanwhile"),
            (Some(then), Some(now)) if then.uid != now.uid => Some("it has been deleted and made anew meanwhile"),
            (Some(then), Some(now)) if then.resource_version == now.resource_version => None,
            (Some(then), Some(now)) if then.ours.is_some() && then.ours == now.ours => None,
            (Some(_), Some(_)) => Some("it has been changed meanwhile"),
        }
    }
}

/// The image is decided by whoever deploys, as the functions' code is.
fn wanted_digest(environment: &Environment, look: &Look, object: &Object) -> String {
    let mut value = object.value().clone();
    if object.key().is_secret() {
        // A short password could be guessed from a digest of it.
        for part in ["data", "stringData"] {
            let values = value.get_mut(part).and_then(serde_json::Value::as_object_mut);
            values.into_iter().flatten().for_each(|(_, value)| *value = serde_json::Value::Null);
        }
    }
    if let Some(image) = value.pointer_mut("/spec/template/spec/containers/0/image") {
        without_version(environment, &look.region, image);
    }
    hex_sha256(value.to_string().as_bytes())
}
