//! A route in memory.

use crate::routes::{Counted, Oldest, RouteStore, StoreError};
use breaker::{
    ClearFlag, DeleteEvent, EventKey, KeyFlag, ParkAnswer, ParkWrite, ParkedEvent, Position, Shared, Survey, Write,
};
use std::collections::BTreeMap;
use std::sync::Mutex;

use super::locked;

/// A route that keeps its record and its lot in memory, and fails on demand.
#[derive(Debug, Default)]
pub struct FakeRoute {
    stored: Mutex<Stored>,
}

#[derive(Debug, Default)]
struct Stored {
    record: Option<Shared>,
    flags: BTreeMap<EventKey, KeyFlag>,
    events: BTreeMap<(EventKey, Position), ParkedEvent>,
    broken: bool,
    crowded: bool,
    counts: usize,
    flag_reads: usize,
}

impl FakeRoute {
    /// From now on every call fails (`true`) or works again (`false`).
    pub fn set_broken(&self, broken: bool) {
        locked(&self.stored).broken = broken;
    }

    /// From now on a count comes no further than to the first event (`true`), or counts all (`false`).
    pub fn set_crowded(&self, crowded: bool) {
        locked(&self.stored).crowded = crowded;
    }

    /// How often the events were counted.
    pub fn counts(&self) -> usize {
        locked(&self.stored).counts
    }

    /// The record.
    pub fn record(&self) -> Shared {
        locked(&self.stored).record.clone().unwrap_or_else(Shared::absent)
    }

    /// Replaces the record, as an operator or another instance does.
    pub fn put_record(&self, record: Shared) {
        locked(&self.stored).record = Some(record);
    }

    /// The parked events by key and place.
    pub fn parked(&self) -> Vec<ParkedEvent> {
        locked(&self.stored).events.values().cloned().collect()
    }

    /// The flagged keys.
    pub fn flagged(&self) -> Vec<String> {
        locked(&self.stored).flags.keys().map(|key| key.0.to_string()).collect()
    }

    /// How often flags were looked up.
    pub fn flag_reads(&self) -> usize {
        locked(&self.stored).flag_reads
    }

    fn with<T>(&self, call: impl FnOnce(&mut Stored) -> T) -> Result<T, StoreError> {
        let mut stored = locked(&self.stored);
        if stored.broken {
            let (code, message) = ("ServiceUnavailable".to_owned(), "told to fail".to_owned());
            return Err(StoreError { operation: "any", code, message });
        }
        Ok(call(&mut stored))
    }
}

impl RouteStore for &FakeRoute {
    async fn read(&self) -> Result<Shared, StoreError> {
        self.with(|stored| stored.record.clone().unwrap_or_else(Shared::absent))
    }

    async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        self.with(|stored| match write.apply(stored.record.as_ref()) {
            Some(next) => {
                stored.record = Some(next);
                true
            }
            None => false,
        })
    }

    async fn park(&self, write: &ParkWrite) -> ParkAnswer {
        let parked = self.with(|stored| {
            let Some(next) = write.apply(stored.record.as_ref()) else { return ParkAnswer::Refused };
            stored.record = Some(next);
            for event in write.events() {
                stored.events.insert((event.key.clone(), event.position.clone()), event.clone());
            }
            for flag in write.flags() {
                stored.flags.insert(flag.key.clone(), flag.clone());
            }
            ParkAnswer::Parked
        });
        parked.unwrap_or(ParkAnswer::Failed)
    }

    async fn flags(&self, keys: &[EventKey]) -> Result<Vec<KeyFlag>, StoreError> {
        self.with(|stored| {
            stored.flag_reads += 1;
            keys.iter().filter_map(|key| stored.flags.get(key).cloned()).collect()
        })
    }

    async fn first_flags(&self, most: u32) -> Result<Vec<KeyFlag>, StoreError> {
        self.with(|stored| stored.flags.values().take(most as usize).cloned().collect())
    }

    async fn oldest(&self, key: &EventKey) -> Result<Option<ParkedEvent>, StoreError> {
        self.with(|stored| stored.events.values().find(|event| event.key == *key).cloned())
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.with(|stored| stored.flags.is_empty() && stored.events.is_empty())
    }

    async fn count(&self) -> Result<Counted, StoreError> {
        self.with(|stored| {
            stored.counts += 1;
            let countable = if stored.crowded { 1 } else { usize::MAX };
            let counted: Vec<&ParkedEvent> = stored.events.values().take(countable).collect();
            let oldest = |event: &&ParkedEvent| Oldest { parked_at: event.parked_at, key: event.key.clone() };
            Counted {
                events: counted.len() as u64,
                oldest: counted.iter().map(oldest).min(),
                is_partial: counted.len() < stored.events.len(),
            }
        })
    }

    async fn delete(&self, delete: &DeleteEvent) -> Result<(), StoreError> {
        self.with(|stored| drop(stored.events.remove(&(delete.key.clone(), delete.position.clone()))))
    }

    async fn clear(&self, clear: &ClearFlag) -> Result<bool, StoreError> {
        self.with(|stored| {
            let holds = clear.holds(stored.flags.get(&clear.key));
            if holds {
                stored.flags.remove(&clear.key);
            }
            holds
        })
    }

    async fn note(&self, survey: &Survey) -> Result<(), StoreError> {
        self.with(|stored| {
            if let Some(record) = &mut stored.record {
                record.survey = survey.clone();
            }
        })
    }
}
