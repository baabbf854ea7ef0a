//! Records in a DynamoDB table of the region.
//!
//! | attribute | meaning |
//! |---|---|
//! | `pk` | [`Key`](super::Key) |
//! | `state` | `PENDING` or `DONE` |
//! | `owner` | who claimed it last |
//! | `payload_hash` | SHA-256 of what came in |
//! | `lease_until` | of `PENDING`: milliseconds since 1970 |
//! | `result_hash` | of `DONE`: SHA-256 of what came of it |
//! | `expires_at` | second since 1970 in which DynamoDB may remove it |
//!
//! The table must belong to one region: in a replicated one two regions could both pass the condition.

use super::record::{Change, Record, RecordState, Write, Written};
use super::{Key, Owner, PayloadHash, Records, ResultHash, StoreError};
use crate::failure::{Failure, FailureKind};
use crate::tables::{self, Operation, Tables, is_condition};
use aws_types::SdkConfig;
use contracts::TableName;
use events::{AttributeValue, Item, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const PENDING: &str = "PENDING";
const DONE: &str = "DONE";

/// When a claim may be written. What has expired may still be there for days.
const FREE: &str = "attribute_not_exists(pk) OR expires_at <= :second \
    OR (#state = :pending AND lease_until <= :now AND payload_hash = :payload)";

/// When a claim may be settled.
const OWN: &str = "#state = :pending AND #owner = :owner";

/// A table of records. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct IdempotencyTable {
    tables: Arc<Tables>,
    table: TableName,
}

impl IdempotencyTable {
    /// The table of this name; retries and timeouts are those of `config`.
    pub fn new(config: &SdkConfig, table: TableName) -> Self {
        Self { tables: Arc::new(Tables::new(config)), table }
    }
}

impl Records for IdempotencyTable {
    async fn write(&self, write: &Write) -> Result<Written, StoreError> {
        let (operation, request) = request(&self.table, write);
        let unreadable = |what| StoreError::Unreadable { key: write.key.as_str().to_owned(), what };
        let count = |outcome| telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation.name, outcome]);
        match self.tables.call::<Answer>(operation, &request).await {
            Ok(answer) => {
                count("written");
                // It was free, so nobody works by what was there: an old record that can't be read is as good as none.
                Ok(Written::Over(answer.item.and_then(|item| read(&item).ok())))
            }
            Err(failure) if is_condition(&failure) => {
                count("refused");
                let answer: Answer =
                    serde_json::from_slice(&failure.answer).map_err(|_| unreadable("attribute values"))?;
                let there = answer.item.map(|item| read(&item)).transpose().map_err(unreadable)?;
                Ok(Written::Refused(there))
            }
            Err(Failure { kind, code, message, .. }) => {
                count("failed");
                telemetry::DYNAMODB_ERRORS_TOTAL.inc(&[operation.name, kind.as_str()]);
                Err(match kind {
                    FailureKind::Throttled | FailureKind::Unavailable => StoreError::Unavailable { code, message },
                    FailureKind::Denied | FailureKind::Refused => StoreError::Denied { code, message },
                })
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    table_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Item>,
    condition_expression: &'static str,
    expression_attribute_names: BTreeMap<&'static str, &'static str>,
    expression_attribute_values: BTreeMap<&'static str, AttributeValue>,
    return_values: &'static str,
    return_values_on_condition_check_failure: &'static str,
}

/// The item that was there, under either name.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Item", alias = "Attributes", default)]
    item: Option<Item>,
}

fn request<'a>(table: &'a TableName, write: &Write) -> (Operation, Request<'a>) {
    let text = |text: &str| AttributeValue::text(text);
    let number = |number: i64| AttributeValue::N(number.to_string());
    let mut names = BTreeMap::from([("#state", "state")]);
    let mut values = BTreeMap::from([(":pending", text(PENDING))]);
    let (operation, condition, record) = match &write.change {
        Change::Claim(record) => {
            values.insert(":second", number(write.now.as_second()));
            values.insert(":now", number(write.now.as_millisecond()));
            values.insert(":payload", text(record.payload.as_str()));
            (Operation::PUT_ITEM, FREE, Some(record))
        }
        Change::Complete(record) => {
            names.insert("#owner", "owner");
            values.insert(":owner", text(&record.owner.0));
            (Operation::PUT_ITEM, OWN, Some(record))
        }
        Change::Release(owner) => {
            names.insert("#owner", "owner");
            values.insert(":owner", text(&owner.0));
            (Operation::DELETE_ITEM, OWN, None)
        }
    };
    let key = record.is_none().then(|| tables::item([("pk", text(write.key.as_str()))]));
    let request = Request {
        table_name: table.as_str(),
        item: record.map(|record| item(&write.key, record)),
        key,
        condition_expression: condition,
        expression_attribute_names: names,
        expression_attribute_values: values,
        return_values: "ALL_OLD",
        return_values_on_condition_check_failure: "ALL_OLD",
    };
    (operation, request)
}

fn item(key: &Key, record: &Record) -> Item {
    let (state, (name, value)) = match &record.state {
        RecordState::Pending { lease_until } => {
            (PENDING, ("lease_until", AttributeValue::N(lease_until.as_millisecond().to_string())))
        }
        RecordState::Done { result } => (DONE, ("result_hash", AttributeValue::text(result.as_str()))),
    };
    tables::item([
        ("pk", AttributeValue::text(key.as_str())),
        ("state", AttributeValue::text(state)),
        ("owner", AttributeValue::text(record.owner.0.as_str())),
        ("payload_hash", AttributeValue::text(record.payload.as_str())),
        (name, value),
        ("expires_at", AttributeValue::N(record.expires_at.to_string())),
    ])
}

/// The record in an item, or the attribute that is missing or wrong.
fn read(item: &Item) -> Result<Record, &'static str> {
    let text = |name: &'static str| item.get(name).and_then(AttributeValue::as_text).ok_or(name).map(ToOwned::to_owned);
    let number = |name: &'static str| -> Result<i64, &'static str> {
        item.get(name).and_then(AttributeValue::as_number).and_then(|number| number.parse().ok()).ok_or(name)
    };
    let state = match text("state")?.as_str() {
        PENDING => {
            let lease_until = Timestamp::from_millisecond(number("lease_until")?).map_err(|_| "lease_until")?;
            RecordState::Pending { lease_until }
        }
        DONE => RecordState::Done { result: ResultHash(text("result_hash")?) },
        _ => return Err("state"),
    };
    Ok(Record {
        owner: Owner(text("owner")?),
        payload: PayloadHash(text("payload_hash")?),
        state,
        expires_at: number("expires_at")?,
    })
}

#[cfg(test)]
mod tests;
