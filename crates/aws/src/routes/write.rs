//! What is written of a route.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem, Update};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use breaker::{ClearFlag, Condition, DeleteEvent, KeyFlag, ParkAnswer, ParkWrite, ParkedEvent, Survey, Write};
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::item::{self, Item, names, number, text};
use super::{DynamoRoute, StoreError};
use crate::failure::Failure;

const TRANSACTION: &str = "transact_write_items";
/// How often a write is tried that met another one at the route's record: all parks of a route meet there. The caller's
/// deadline ends it earlier.
const ATTEMPTS: u32 = 12;
/// The longest pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// Why a transaction is cancelled for reasons that pass (DynamoDB API Reference, `CancellationReason`, read 2026-11).
const PASSING: [&str; 4] =
    ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];
/// How a single write is refused that met a transaction. The SDK doesn't repeat it.
const CONFLICT: &str = "TransactionConflictException";

impl DynamoRoute {
    pub(super) async fn write_record(&self, write: &Write) -> Result<bool, StoreError> {
        const OPERATION: &str = "update_item";
        let mut request = self.client.update_item().table_name(self.breakers.as_str()).key(names::PK, text(&self.name));
        // `parks` is there from the first write on, so that later conditions can compare it.
        let mut sets = vec!["#parks = if_not_exists(#parks, :none)".to_owned()];
        request = request.expression_attribute_names("#parks", names::PARKS);
        request = request.expression_attribute_values(":none", number(0));
        for (name, value) in item::of_record(&write.next) {
            sets.push(format!("#{name} = :{name}"));
            request = request.expression_attribute_names(format!("#{name}"), name);
            request = request.expression_attribute_values(format!(":{name}"), value);
        }
        request = match write.condition {
            Condition::Absent => {
                request.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", names::PK)
            }
            Condition::Version(version) => request
                .condition_expression("#version = :read_version")
                .expression_attribute_values(":read_version", number(version)),
            Condition::VersionAndParks { version, parks } => request
                .condition_expression("#version = :read_version AND #parks = :read_parks")
                .expression_attribute_values(":read_version", number(version))
                .expression_attribute_values(":read_parks", number(parks)),
        };
        let lost = |error: &UpdateItemError| error.is_conditional_check_failed_exception();
        let request = request.update_expression(format!("SET {}", sets.join(", ")));
        settle(OPERATION, || request.clone().send(), lost).await
    }

    pub(super) async fn park_events(&self, write: &ParkWrite) -> ParkAnswer {
        let Ok(items) = self.park_actions(write) else { return ParkAnswer::Failed };
        for attempt in 1..=ATTEMPTS {
            let request = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let error = match request.send().await {
                Ok(_) => {
                    telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[TRANSACTION, "written"]);
                    return ParkAnswer::Parked;
                }
                Err(error) => error,
            };
            let codes: Vec<&str> = reasons(&error).iter().filter_map(CancellationReason::code).collect();
            if codes.contains(&"ConditionalCheckFailed") {
                telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[TRANSACTION, "refused"]);
                return ParkAnswer::Refused;
            }
            if codes.iter().any(|code| PASSING.contains(code)) && attempt < ATTEMPTS {
                tokio::time::sleep(pause(attempt)).await;
                continue;
            }
            let error = StoreError::new(TRANSACTION, Failure::of(&error));
            tracing::warn!(error = &error as &dyn Error, ?codes, "events were not parked");
            return ParkAnswer::Failed;
        }
        ParkAnswer::Failed
    }

    /// The record's count, the events, and the flags of their keys.
    fn park_actions(&self, write: &ParkWrite) -> Result<Vec<TransactWriteItem>, aws_sdk_dynamodb::error::BuildError> {
        let count = Update::builder()
            .table_name(self.breakers.as_str())
            .key(names::PK, text(&self.name))
            .update_expression("SET #parks = #parks + :more")
            .condition_expression("#lot = :in_use")
            .expression_attribute_names("#parks", names::PARKS)
            .expression_attribute_names("#lot", names::LOT)
            .expression_attribute_values(":more", number(write.events().len() as u64))
            .expression_attribute_values(":in_use", text(item::IN_USE))
            .build()?;
        let put = |item: Item| -> Result<TransactWriteItem, aws_sdk_dynamodb::error::BuildError> {
            let put = Put::builder().table_name(self.parking.as_str()).set_item(Some(item)).build()?;
            Ok(TransactWriteItem::builder().put(put).build())
        };
        let mut actions = vec![TransactWriteItem::builder().update(count).build()];
        for event in write.events() {
            actions.push(put(item::of_event(&self.name, event))?);
        }
        for flag in write.flags() {
            actions.push(put(item::of_flag(&self.name, flag))?);
        }
        Ok(actions)
    }

    pub(super) async fn delete_event(&self, delete: &DeleteEvent) -> Result<(), StoreError> {
        let key = self.lot_key(ParkedEvent::sort_key(&delete.key, &delete.position));
        let request = self.client.delete_item().table_name(self.parking.as_str()).set_key(Some(key));
        settle("delete_item", || request.clone().send(), |_: &DeleteItemError| false).await.map(drop)
    }

    pub(super) async fn clear_flag(&self, clear: &ClearFlag) -> Result<bool, StoreError> {
        let key = self.lot_key(KeyFlag::sort_key(&clear.key));
        let request = self
            .client
            .delete_item()
            .table_name(self.parking.as_str())
            .set_key(Some(key))
            .condition_expression("#run = :run AND #number = :number")
            .expression_attribute_names("#run", names::TAIL_RUN)
            .expression_attribute_names("#number", names::TAIL_NUMBER)
            .expression_attribute_values(":run", number(clear.if_tail.run))
            .expression_attribute_values(":number", number(clear.if_tail.number));
        let lost = |error: &DeleteItemError| error.is_conditional_check_failed_exception();
        settle("delete_item", || request.clone().send(), lost).await
    }

    pub(super) async fn note_survey(&self, survey: &Survey) -> Result<(), StoreError> {
        let Survey { parks, depth, oldest, oldest_key } = survey;
        let mut request = self
            .client
            .update_item()
            .table_name(self.breakers.as_str())
            .key(names::PK, text(&self.name))
            // A survey of a record that isn't there would make one without a state.
            .condition_expression("attribute_exists(#version)")
            .expression_attribute_names("#version", names::VERSION)
            .expression_attribute_names("#parks", names::SURVEYED_PARKS)
            .expression_attribute_names("#depth", names::SURVEYED_DEPTH)
            .expression_attribute_names("#oldest", names::SURVEYED_OLDEST)
            .expression_attribute_names("#oldest_key", names::SURVEYED_OLDEST_KEY)
            .expression_attribute_values(":parks", number(*parks))
            .expression_attribute_values(":depth", number(*depth));
        request = match oldest.zip(oldest_key.as_ref()) {
            None => request.update_expression("SET #parks = :parks, #depth = :depth REMOVE #oldest, #oldest_key"),
            Some((oldest, key)) => request
                .update_expression("SET #parks = :parks, #depth = :depth, #oldest = :oldest, #oldest_key = :oldest_key")
                .expression_attribute_values(":oldest", number(oldest.0))
                .expression_attribute_values(":oldest_key", text(&*key.0)),
        };
        let lost = |error: &UpdateItemError| error.is_conditional_check_failed_exception();
        settle("update_item", || request.clone().send(), lost).await.map(drop)
    }
}

/// Sends until it is answered otherwise than by a conflict. True if it was written, false if its condition didn't hold.
async fn settle<T, E, F>(
    operation: &'static str,
    send: impl Fn() -> F,
    lost: impl Fn(&E) -> bool,
) -> Result<bool, StoreError>
where
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    E: ProvideErrorMetadata + Error + 'static,
{
    let mut attempt = 1;
    loop {
        match send().await {
            Ok(_) => {
                telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation, "written"]);
                return Ok(true);
            }
            Err(SdkError::ServiceError(refusal)) if lost(refusal.err()) => {
                telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation, "refused"]);
                return Ok(false);
            }
            Err(error) if error.code() == Some(CONFLICT) && attempt < ATTEMPTS => {
                tokio::time::sleep(pause(attempt)).await;
                attempt += 1;
            }
            Err(error) => return Err(StoreError::new(operation, Failure::of(&error))),
        }
    }
}

/// A random pause after so many attempts, so that those who met don't meet again.
fn pause(attempts: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempts.min(10)).min(LONGEST_PAUSE);
    longest.mul_f64(RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64)
}

fn reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> &[CancellationReason] {
    match error {
        SdkError::ServiceError(refusal) => match refusal.err() {
            TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled.cancellation_reasons(),
            _ => &[],
        },
        _ => &[],
    }
}
