//! Why an application ended early, and what it had done by then.

use super::Done;
use crate::call::{CallClass, CallError};
use crate::cluster::Unserved;
use crate::conflict::Conflict;
use crate::inventory::InventoryError;
use crate::object::Key;
use crate::ready::Unready;

/// An application that ended early.
#[derive(Debug, thiserror::Error)]
#[error("not everything could be applied")]
pub struct ApplyError {
    /// What was done before.
    pub done: Vec<(Key, Done)>,
    /// What went wrong.
    #[source]
    pub failure: Failure,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Others own fields that would be changed.
    #[error("{}", conflicts(.0))]
    Conflicts(Vec<(Key, Vec<Conflict>)>),
    /// Something was applied and doesn't work.
    #[error("{}", unready(.0))]
    Unready(Vec<Unready>),
    /// Something that was applied was gone before it worked.
    #[error("somebody deleted {0} while it was waited for")]
    Gone(Key),
    /// A kind that was defined isn't served.
    #[error("{key}: {unserved}, although its definition was applied")]
    Unserved {
        /// The object of that kind.
        key: Key,
        /// The kind.
        unserved: Box<Unserved>,
    },
    /// The inventory can't be read or written.
    #[error(transparent)]
    Inventory(InventoryError),
    /// A call failed.
    #[error(transparent)]
    Call(CallError),
}

impl Failure {
    /// What a failed call about an object means.
    pub(super) fn of(key: &Key, error: CallError) -> Self {
        match error.class {
            CallClass::Conflicting(conflicts) => Self::Conflicts(vec![(key.clone(), conflicts)]),
            class => Self::Call(CallError { class, ..error }),
        }
    }
}

fn conflicts(all: &[(Key, Vec<Conflict>)]) -> String {
    let fields: usize = all.iter().map(|(_, conflicts)| conflicts.len()).sum();
    let (fields, noun) = if fields == 1 { ("a field".to_owned(), "it") } else { (format!("{fields} fields"), "them") };
    let objects: Vec<String> = all.iter().map(|(key, _)| key.to_string()).collect();
    format!("others own {fields} of {}, and nobody has agreed to take {noun}", objects.join(", "))
}

fn unready(all: &[Unready]) -> String {
    let each = |one: &Unready| match one.stood_still {
        Some(still) => format!("{} didn't get ready, {} s without progress: {}", one.key, still.as_secs(), one.why),
        None => format!("{} didn't get ready: {}", one.key, one.why),
    };
    all.iter().map(each).collect::<Vec<_>>().join("; ")
}
