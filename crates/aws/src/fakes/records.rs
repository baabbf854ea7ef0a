//! Records of what was done, in memory.

use super::locked;
use crate::idempotency::{Change, Key, Record, Records, StoreError, Write, Written};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Records that keep the rules of the real ones, and can be out of reach.
#[derive(Debug, Default)]
pub struct FakeRecords(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Key, Record>,
    unreachable: bool,
    writes: usize,
}

impl FakeRecords {
    /// From now on nothing answers (`true`) or all is well again (`false`).
    pub fn set_unreachable(&self, unreachable: bool) {
        locked(&self.0).unreachable = unreachable;
    }

    /// What is there, by key.
    pub fn all(&self) -> BTreeMap<Key, Record> {
        locked(&self.0).records.clone()
    }

    /// Puts a record in the place of whatever is there.
    pub fn put(&self, key: Key, record: Record) {
        locked(&self.0).records.insert(key, record);
    }

    /// How many writes were asked for.
    pub fn writes(&self) -> usize {
        locked(&self.0).writes
    }
}

impl Records for FakeRecords {
    async fn write(&self, write: &Write) -> Result<Written, StoreError> {
        let mut state = locked(&self.0);
        state.writes += 1;
        if state.unreachable {
            let (code, message) = ("InternalServerError".to_owned(), "told to fail".to_owned());
            return Err(StoreError::Unavailable { code, message });
        }
        let there = state.records.get(&write.key).cloned();
        if !write.is_allowed(there.as_ref()) {
            return Ok(Written::Refused(there));
        }
        match &write.change {
            Change::Claim(record) | Change::Complete(record) => state.records.insert(write.key.clone(), record.clone()),
            Change::Release(_) => state.records.remove(&write.key),
        };
        Ok(Written::Over(there))
    }
}
