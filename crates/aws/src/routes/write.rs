//! What is written of a route.

use breaker::{ClearFlag, Condition, DeleteEvent, KeyFlag, ParkAnswer, ParkWrite, ParkedEvent, Survey, Write};
use events::attribute::{AttributeValue, Item};
use serde::Serialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use uuid::Uuid;

use super::item::{self, names};
use super::{DynamoRoute, StoreError};
use crate::failure::{Failure, FailureKind};
use crate::tables::{Done, Operation, cancellation_codes, is_condition, number};

/// How often a write is tried that met another one at the route's record: all parks of a route meet there. Each try of a
/// single write is as many attempts as the configuration says. The caller's deadline ends it earlier.
const ATTEMPTS: u32 = 12;
/// The longest pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// Why a transaction is cancelled for reasons that pass (DynamoDB API Reference, `CancellationReason`, read 2026-11).
const PASSING: [&str; 4] =
    ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];
/// How a single write is refused that met a transaction.
const CONFLICT: &str = "TransactionConflictException";

impl DynamoRoute {
    pub(super) async fn write_record(&self, write: &Write) -> Result<bool, StoreError> {
        // `parks` is there from the first write on, so that later conditions can compare it.
        let mut sets = vec!["#parks = if_not_exists(#parks, :none)".to_owned()];
        let mut change = self.change_of_record();
        change.name("#parks", names::PARKS);
        change.value(":none", number(0));
        for (name, value) in item::of_record(&write.next) {
            sets.push(format!("#{name} = :{name}"));
            change.name(&format!("#{name}"), name);
            change.value(&format!(":{name}"), value);
        }
        change.update_expression = Some(format!("SET {}", sets.join(", ")));
        change.condition_expression = Some(match write.condition {
            Condition::Absent => {
                change.name("#pk", names::PK);
                "attribute_not_exists(#pk)"
            }
            Condition::Version(version) => {
                change.value(":read_version", number(version));
                "#version = :read_version"
            }
            Condition::VersionAndParks { version, parks } => {
                change.value(":read_version", number(version));
                change.value(":read_parks", number(parks));
                "#version = :read_version AND #parks = :read_parks"
            }
        });
        self.settle(Operation::UPDATE_ITEM, &change).await
    }

    pub(super) async fn park_events(&self, write: &ParkWrite) -> ParkAnswer {
        const OPERATION: Operation = Operation::TRANSACT_WRITE_ITEMS;
        // Written once: bodies are large, and every attempt has the same token, so that one whose answer was lost isn't
        // carried out again.
        let request = serde_json::to_vec(&self.park_transaction(write)).unwrap_or_default();
        let mut attempt = 1;
        loop {
            let failure = match self.tables.call_with(OPERATION, request.clone()).await {
                Ok(Done {}) => {
                    telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[OPERATION.name, "written"]);
                    return ParkAnswer::Parked;
                }
                Err(failure) => failure,
            };
            let codes = cancellation_codes(&failure);
            if codes.iter().any(|code| code == "ConditionalCheckFailed") {
                telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[OPERATION.name, "refused"]);
                return ParkAnswer::Refused;
            }
            let passes = codes.iter().any(|code| PASSING.contains(&code.as_str()));
            if passes && attempt < ATTEMPTS {
                tokio::time::sleep(pause(attempt)).await;
                attempt += 1;
                continue;
            }
            let kind = if passes { FailureKind::Throttled } else { failure.kind };
            let error = StoreError::new(OPERATION, Failure { kind, ..failure });
            tracing::warn!(error = &error as &dyn Error, ?codes, "events were not parked");
            return ParkAnswer::Failed;
        }
    }

    /// The record's count, the events, and the flags of their keys.
    fn park_transaction(&self, write: &ParkWrite) -> Transaction<'_> {
        let mut count = self.change_of_record();
        count.update_expression = Some("SET #parks = #parks + :more".to_owned());
        count.condition_expression = Some("#lot = :in_use");
        count.name("#parks", names::PARKS);
        count.name("#lot", names::LOT);
        count.value(":more", number(write.events().len() as u64));
        count.value(":in_use", AttributeValue::text(item::IN_USE));
        let put = |item: Item| Action::Put(Put { table_name: self.parking.as_str(), item });
        let events = write.events().iter().map(|event| put(item::of_event(&self.name, event)));
        let flags = write.flags().iter().map(|flag| put(item::of_flag(&self.name, flag)));
        let transact_items = std::iter::once(Action::Update(count)).chain(events).chain(flags).collect();
        Transaction { transact_items, client_request_token: Uuid::new_v4().to_string() }
    }

    pub(super) async fn delete_event(&self, delete: &DeleteEvent) -> Result<(), StoreError> {
        let change = self.change_of_lot(ParkedEvent::sort_key(&delete.key, &delete.position));
        self.settle(Operation::DELETE_ITEM, &change).await.map(drop)
    }

    pub(super) async fn clear_flag(&self, clear: &ClearFlag) -> Result<bool, StoreError> {
        let mut change = self.change_of_lot(KeyFlag::sort_key(&clear.key));
        change.condition_expression = Some("#run = :run AND #number = :number");
        change.name("#run", names::TAIL_RUN);
        change.name("#number", names::TAIL_NUMBER);
        change.value(":run", number(clear.if_tail.run));
        change.value(":number", number(clear.if_tail.number));
        self.settle(Operation::DELETE_ITEM, &change).await
    }

    pub(super) async fn note_survey(&self, survey: &Survey) -> Result<(), StoreError> {
        let Survey { parks, depth, oldest, oldest_key } = survey;
        let mut change = self.change_of_record();
        // A survey of a record that isn't there would make one without a state.
        change.condition_expression = Some("attribute_exists(#version)");
        change.name("#version", names::VERSION);
        change.name("#parks", names::SURVEYED_PARKS);
        change.name("#depth", names::SURVEYED_DEPTH);
        change.name("#oldest", names::SURVEYED_OLDEST);
        change.name("#oldest_key", names::SURVEYED_OLDEST_KEY);
        change.value(":parks", number(*parks));
        change.value(":depth", number(*depth));
        let update = match oldest.zip(oldest_key.as_ref()) {
            None => "SET #parks = :parks, #depth = :depth REMOVE #oldest, #oldest_key",
            Some((oldest, key)) => {
                change.value(":oldest", number(oldest.0));
                change.value(":oldest_key", AttributeValue::text(&*key.0));
                "SET #parks = :parks, #depth = :depth, #oldest = :oldest, #oldest_key = :oldest_key"
            }
        };
        change.update_expression = Some(update.to_owned());
        self.settle(Operation::UPDATE_ITEM, &change).await.map(drop)
    }

    fn change_of_record(&self) -> Change<'_> {
        Change::of(self.breakers.as_str(), self.record_key())
    }

    fn change_of_lot(&self, sort_key: String) -> Change<'_> {
        Change::of(self.parking.as_str(), self.lot_key(sort_key))
    }

    /// Sends until it is answered otherwise than by a conflict. True if it was written, false if its condition didn't hold.
    async fn settle(&self, operation: Operation, change: &Change<'_>) -> Result<bool, StoreError> {
        let mut attempt = 1;
        loop {
            match self.tables.call(operation, change).await {
                Ok(Done {}) => {
                    telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation.name, "written"]);
                    return Ok(true);
                }
                Err(failure) if is_condition(&failure) => {
                    telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation.name, "refused"]);
                    return Ok(false);
                }
                Err(failure) if failure.code == CONFLICT && attempt < ATTEMPTS => {
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                Err(failure) => return Err(StoreError::new(operation, failure)),
            }
        }
    }
}

/// An update or a deletion of one item, by itself or in a transaction.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Change<'a> {
    table_name: &'a str,
    key: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition_expression: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    expression_attribute_names: BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    expression_attribute_values: Item,
}

impl<'a> Change<'a> {
    fn of(table_name: &'a str, key: Item) -> Self {
        Self {
            table_name,
            key,
            update_expression: None,
            condition_expression: None,
            expression_attribute_names: BTreeMap::new(),
            expression_attribute_values: Item::new(),
        }
    }

    fn name(&mut self, placeholder: &str, attribute: &'static str) {
        self.expression_attribute_names.insert(placeholder.to_owned(), attribute);
    }

    fn value(&mut self, placeholder: &str, value: AttributeValue) {
        self.expression_attribute_values.insert(placeholder.to_owned(), value);
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Transaction<'a> {
    transact_items: Vec<Action<'a>>,
    /// Makes repetitions within ten minutes one (DynamoDB API Reference, `TransactWriteItems`, read 2026-11). A transaction
    /// that was cancelled may be tried again under it.
    client_request_token: String,
}

#[derive(Debug, Serialize)]
enum Action<'a> {
    Put(Put<'a>),
    Update(Change<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Put<'a> {
    table_name: &'a str,
    item: Item,
}

/// A random pause after so many attempts, so that those who met don't meet again.
fn pause(attempts: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempts.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64)
}
