//! A secret in memory.

use super::locked;
use crate::secrets::{ReadSecret, SecretError, SecretStage, SecretText, SecretVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::SystemTime;

/// A secret with versions that a test puts in place, which can be out of reach.
#[derive(Debug, Default)]
pub struct FakeSecret(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    versions: BTreeMap<SecretStage, SecretVersion>,
    as_bytes: BTreeSet<SecretStage>,
    unreachable: bool,
    reads: Vec<SecretStage>,
}

impl FakeSecret {
    /// Puts a new current version in place; what was current becomes the previous version.
    pub fn rotate(&self, id: &str, text: &str, created: SystemTime) {
        let mut state = locked(&self.0);
        if let Some(current) = state.versions.remove(&SecretStage::Current) {
            state.versions.insert(SecretStage::Previous, current);
        }
        let version = SecretVersion { id: id.to_owned(), created: Some(created), text: SecretText::new(text) };
        state.versions.insert(SecretStage::Current, version);
    }

    /// From now on the version at `stage` is stored as bytes and not as text.
    pub fn store_as_bytes(&self, stage: SecretStage) {
        locked(&self.0).as_bytes.insert(stage);
    }

    /// Removes the previous version.
    pub fn forget_previous(&self) {
        locked(&self.0).versions.remove(&SecretStage::Previous);
    }

    /// From now on reading fails (`true`) or works again (`false`).
    pub fn set_unreachable(&self, unreachable: bool) {
        locked(&self.0).unreachable = unreachable;
    }

    /// What was asked for so far.
    pub fn reads(&self) -> Vec<SecretStage> {
        locked(&self.0).reads.clone()
    }
}

impl ReadSecret for FakeSecret {
    async fn read(&self, stage: SecretStage) -> Result<Option<SecretVersion>, SecretError> {
        let mut state = locked(&self.0);
        state.reads.push(stage);
        if state.unreachable {
            let (code, message) = ("InternalServiceError".to_owned(), "told to fail".to_owned());
            return Err(SecretError::Unavailable { code, message });
        }
        if state.as_bytes.contains(&stage) {
            return Err(SecretError::NotText);
        }
        Ok(state.versions.get(&stage).cloned())
    }
}
