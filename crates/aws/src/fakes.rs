//! Ports that only remember, and stream records to feed in, for tests of the programs that use them.
//!
//! They are part of the library and not hidden behind a feature, because a feature would build every AWS crate twice.
//! A release build drops them, as no program refers to them.

mod records;
mod route;
mod secret;

pub use records::FakeRecords;
pub use route::FakeRoute;
pub use secret::FakeSecret;

use crate::dead_letters::{DeadLetterError, SendDeadLetters};
use crate::publisher::{Answer, OutgoingEvent, PublishError, PublishEvents, Taken};
use contracts::Region;
use events::dead_letter::DeadLetterEvent;
use events::{
    AttributeValue, ChangeSequence, Columns, Entity, EntityKey, EventId, Item, Operation, RowChange, RowHead, RowWrite,
    SourceId, Timestamp, Trace, TraceParent, Version,
};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// A bus that keeps what it accepted and fails on demand.
///
/// Like the real publisher it begins nothing new after a failure that isn't the event's own:
/// later events are answered with [`PublishError::HeldBack`].
#[derive(Debug, Default)]
pub struct FakeBus {
    accepted: Mutex<Vec<OutgoingEvent>>,
    failures: Mutex<Vec<(String, PublishError)>>,
}

impl FakeBus {
    /// From now on events whose detail contains `text` end in `error`.
    pub fn fail_on(&self, text: &str, error: PublishError) {
        locked(&self.failures).push((text.to_owned(), error));
    }

    /// From now on every event is accepted again.
    pub fn recover(&self) {
        locked(&self.failures).clear();
    }

    /// What was accepted so far, in order.
    pub fn accepted(&self) -> Vec<OutgoingEvent> {
        locked(&self.accepted).clone()
    }
}

impl PublishEvents for FakeBus {
    async fn publish(&self, events: &[&OutgoingEvent], deadline: Instant) -> Vec<Answer> {
        let out_of_time = Instant::now() >= deadline;
        let mut in_trouble = false;
        let mut results = Vec::with_capacity(events.len());
        for &event in events {
            let failures = locked(&self.failures);
            let failure =
                failures.iter().find(|(text, _)| event.detail().contains(text)).map(|(_, error)| error.clone());
            results.push(match failure {
                _ if out_of_time => Err(PublishError::OutOfTime),
                _ if in_trouble => Err(PublishError::HeldBack),
                Some(error) => {
                    in_trouble = !error.is_poison();
                    Err(error)
                }
                None => {
                    locked(&self.accepted).push(event.clone());
                    Ok(Taken::Sent)
                }
            });
        }
        results
    }
}

/// A dead-letter queue that keeps what it was sent, or refuses everything.
#[derive(Debug, Default)]
pub struct FakeDeadLetters {
    kept: Mutex<Vec<DeadLetterEvent>>,
    broken: Mutex<bool>,
}

impl FakeDeadLetters {
    /// From now on sending fails (`true`) or works again (`false`).
    pub fn set_broken(&self, broken: bool) {
        *locked(&self.broken) = broken;
    }

    /// What was sent so far, in order.
    pub fn kept(&self) -> Vec<DeadLetterEvent> {
        locked(&self.kept).clone()
    }
}

impl SendDeadLetters for FakeDeadLetters {
    async fn send(&self, event: &DeadLetterEvent) -> Result<(), DeadLetterError> {
        if *locked(&self.broken) {
            let (code, message) = ("ServiceUnavailable".to_owned(), "told to fail".to_owned());
            return Err(DeadLetterError::NotSent { code, message, retryable: true });
        }
        locked(&self.kept).push(event.clone());
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A change of one customer's row, to be made into a stream record as Lambda hands it over.
///
/// Column `balance` is a decimal that no floating-point number holds.
#[derive(Clone, Debug)]
pub struct FakeChange {
    /// Place in the shard.
    pub sequence_number: String,
    /// The row's key.
    pub key: String,
    /// Counter of the change sequence, from 1: orders the versions of a key.
    pub counter: u64,
    /// The region that wrote the row.
    pub origin_region: Region,
    /// The row before the change.
    pub before: Option<FakeRow>,
    /// The row after the change; none is what DynamoDB records when a tombstone's time to live ends.
    pub after: Option<FakeRow>,
    /// The trace context that the change came with.
    pub traceparent: Option<TraceParent>,
}

/// The state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeRow {
    /// It has columns.
    Live,
    /// It was deleted.
    Tombstone,
}

impl FakeChange {
    /// A new row `C-1`, written in `origin_region`.
    ///
    /// # Panics
    /// When `origin_region` is no region name.
    pub fn new(origin_region: &str) -> Self {
        Self {
            sequence_number: "100".to_owned(),
            key: "C-1".to_owned(),
            counter: 7,
            origin_region: Region::new(origin_region).expect("a region name"),
            before: None,
            after: Some(FakeRow::Live),
            traceparent: None,
        }
    }

    /// The same change at another place, of another row.
    #[must_use]
    pub fn at(mut self, sequence_number: &str, key: &str) -> Self {
        sequence_number.clone_into(&mut self.sequence_number);
        key.clone_into(&mut self.key);
        self
    }

    /// The same change between other states.
    #[must_use]
    pub fn between(mut self, before: Option<FakeRow>, after: Option<FakeRow>) -> Self {
        (self.before, self.after) = (before, after);
        self
    }

    /// The same change with this `traceparent`.
    ///
    /// # Panics
    /// When it is malformed.
    #[must_use]
    pub fn traced(mut self, traceparent: &str) -> Self {
        self.traceparent = Some(traceparent.parse().expect("a trace context"));
        self
    }

    /// The stream record.
    ///
    /// # Panics
    /// When the key is no entity key.
    pub fn record(&self) -> Value {
        let event_name = match (self.before, self.after) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        let mut record = json!({
            "eventID": "c81e728d9d4c2f636f067f89cc14862c",
            "eventName": event_name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-west-2",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_772_600_000,
                "Keys": { "pk": { "S": self.key } },
                "SequenceNumber": self.sequence_number,
                "SizeBytes": 512,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN":
                "arn:aws:dynamodb:us-west-2:000000000000:table/tandem-test-customers/stream/2026-03-04T00:00:00.000",
        });
        if let Some(row) = self.before {
            record["dynamodb"]["OldImage"] = json!(self.item(row, self.counter - 1));
        }
        match self.after {
            Some(row) => record["dynamodb"]["NewImage"] = json!(self.item(row, self.counter)),
            None => {
                record["userIdentity"] = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
            }
        }
        record
    }

    fn item(&self, row: FakeRow, counter: u64) -> Item {
        let committed_at: Timestamp = "2026-03-04T05:06:07.12Z".parse().expect("a time");
        let sequence = ChangeSequence::new(committed_at, counter);
        let source: SourceId = "crm".parse().expect("a source id");
        let key: EntityKey = self.key.parse().expect("the key is an entity key");
        let version = Version::cdc(1, &sequence);
        let columns = Columns::from([
            ("name".to_owned(), AttributeValue::S("Ada".to_owned())),
            ("balance".to_owned(), AttributeValue::N("9007199254740993.10".to_owned())),
        ]);
        let (operation, change) = match row {
            FakeRow::Live => (Operation::Update, RowChange::Put(columns)),
            FakeRow::Tombstone => (Operation::Delete, RowChange::Tombstone { expires_at: 1_900_000_000 }),
        };
        let head = RowHead {
            event_id: EventId::new(&source, Entity::Customers, &key, &version),
            entity: Entity::Customers,
            key,
            source,
            version,
            epoch: 1,
            origin_region: self.origin_region.clone(),
            operation,
            committed_at,
            trace: Trace {
                task: "crm".to_owned(),
                table: "public.customers".to_owned(),
                change_sequence: sequence.to_string(),
                stream_position: "00000001.0002".to_owned(),
                topic: "qlik.customers".to_owned(),
                partition: 2,
                offset: 40,
            },
            traceparent: self.traceparent,
        };
        RowWrite { head, change }.item()
    }
}
