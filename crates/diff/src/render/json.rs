//! For programs: one document with a version.
//!
//! ```text
//! {
//!   "version": 1,
//!   "summary": {"classes": ["changes", …], "resources": {"added": 1, …}, …},
//!   "groups": [{"name": "events", "regions": ["us-east-1", "us-west-2"]}, …],
//!   "stacks": [{"key": {"name": …, "region": …}, "fate": "stays", "resources": […], …}, …]
//! }
//! ```
//!
//! `stacks` is [`Diff::stacks`], field by field. Everything is in a fixed order, so equal diffs are equal texts. A
//! field may be added within a version; none goes or changes its meaning.

use serde::{Deserialize, Serialize};

use crate::group::groups;
use crate::model::{Diff, StackDiff};
use crate::summary::Summary;

/// The version of the document.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    summary: Summary,
    groups: Vec<Alike>,
    stacks: &'a [StackDiff],
}

/// Stacks that change alike.
#[derive(Serialize)]
struct Alike {
    name: String,
    regions: Vec<String>,
}

/// The parts that are read back; the others follow from them.
#[derive(Deserialize)]
struct Stored {
    version: u32,
    stacks: Option<serde_json::Value>,
}

/// A document that isn't a diff of this version.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It isn't the document's form.
    #[error("this is no diff in JSON; make it anew by `synth diff --format json`")]
    Form(#[source] serde_json::Error),
    /// It is of another version.
    #[error(
        "this diff has version {0}, and this tool reads version {VERSION}; make it anew by `synth diff --format json`"
    )]
    Version(u32),
}

/// The diff as a document, with a line end.
pub fn json(diff: &Diff) -> String {
    let alike = groups(diff).into_iter().map(|group| Alike { name: group.name, regions: group.regions });
    let document =
        Document { version: VERSION, summary: diff.summary(), groups: alike.collect(), stacks: &diff.stacks };
    let mut text = serde_json::to_string_pretty(&document).expect("a diff has only text keys");
    text.push('\n');
    text
}

/// Reads what [`json`] wrote.
///
/// # Errors
/// It is something else, or of another version.
pub fn from_json(text: &str) -> Result<Diff, JsonError> {
    let stored: Stored = serde_json::from_str(text).map_err(JsonError::Form)?;
    if stored.version != VERSION {
        return Err(JsonError::Version(stored.version));
    }
    let stacks = serde_json::from_value(stored.stacks.unwrap_or_default()).map_err(JsonError::Form)?;
    Ok(Diff { stacks })
}
