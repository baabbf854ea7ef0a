//! What an application did, for people and for programs.

use kubernetes::{Done, Key};
use serde::Serialize;

use crate::deploy::apply::{StackError, StackOutcome};
use crate::deploy::system::StackKey;
use crate::error::Error;

/// What happened to the objects of a region.
#[derive(Clone, Debug, Serialize)]
pub struct RegionResult {
    /// Folder and region: `manifests@us-west-2`.
    pub manifests: StackKey,
    /// Each object.
    pub objects: Vec<ObjectResult>,
}

/// What happened to an object.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectResult {
    /// The object: `Deployment tandem/consumer`.
    pub object: String,
    /// `created`, `changed`, `unchanged`, `pruned`, `kept` or `left`.
    pub result: &'static str,
    /// Why it stays although it isn't wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl RegionResult {
    pub(crate) fn of(key: &StackKey, done: &[(Key, Done)]) -> Self {
        let objects = done.iter().map(|(key, done)| ObjectResult {
            object: key.to_string(),
            result: done.word(),
            because: match done {
                Done::Kept(why) => Some(why.to_string()),
                _ => None,
            },
        });
        Self { manifests: key.clone(), objects: objects.collect() }
    }

    /// Whether anything was written.
    pub(crate) fn changed(&self) -> bool {
        self.objects.iter().any(|object| matches!(object.result, "created" | "changed" | "pruned"))
    }

    /// For people, line by line.
    pub(crate) fn render(&self) -> Vec<String> {
        let (told, quiet): (Vec<&ObjectResult>, Vec<&ObjectResult>) =
            self.objects.iter().partition(|object| object.result != "unchanged");
        let mut lines = Vec::new();
        for object in told {
            let because = object.because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            lines.push(format!("{}: {} {}{because}", self.manifests, object.object, object.result));
        }
        if !quiet.is_empty() {
            lines.push(format!("{}: {} objects unchanged", self.manifests, quiet.len()));
        }
        lines
    }
}

/// The error of a deployment in which something failed; none when all succeeded. What failed of the stacks comes first.
pub(crate) fn failure(stacks: Option<Error>, followed: &[(StackKey, StackOutcome<RegionResult>)]) -> Option<Error> {
    let mut failure = stacks;
    for (key, outcome) in followed {
        let error = match outcome {
            StackOutcome::Done(_) => continue,
            StackOutcome::Failed(StackError::Follow(error)) => error,
            StackOutcome::Failed(_) => continue,
            StackOutcome::Skipped { because_of } => {
                failure = failure.map(|failure| failure.detail(format!("not tried: {key} (because of {because_of})")));
                continue;
            }
        };
        let whole = failure.unwrap_or_else(|| Error::new(error.kind(), format!("{key} failed")));
        let causes: String = error.causes().iter().map(|cause| format!(": {cause}")).collect();
        let whole = whole.detail(format!("{key}: {error}{causes}"));
        let whole = error.details().iter().fold(whole, |whole, detail| whole.detail(format!("{key}: {detail}")));
        failure = Some(error.hints().iter().fold(whole, |whole, hint| whole.hint(hint.as_str())));
    }
    failure
}

/// What was written, with the word for it.
pub(crate) fn changes(done: &[(Key, Done)]) -> impl Iterator<Item = (&Key, &'static str)> {
    let written = |done: &Done| matches!(done, Done::Created | Done::Changed | Done::Pruned);
    done.iter().filter(move |(_, done)| written(done)).map(|(key, done)| (key, done.word()))
}
