//! Two rows that are written together or not at all: a row that the source moved to another key.

use super::{NEWER, TableWriter, WriteError, guard_names, guard_values, sdk_item};
use crate::failure::Failure;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem};
use events::{RowChange, RowWrite};

/// What became of two writes that were to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Both rows hold their changes.
    Written,
    /// Nothing is written, because one of them isn't newer than its row or can't be written at all.
    /// The other one must not be lost by that: apply each on its own.
    Apart,
}

impl TableWriter {
    /// Writes two rows of different keys, each under its condition, in one transaction.
    ///
    /// Partial images don't take part: they are to be applied on their own. A transaction costs twice the write units of two
    /// writes, and no reader ever sees one row without the other.
    ///
    /// # Errors
    /// When nothing is known or it can be tried again: [`WriteError::Throttled`], [`WriteError::Denied`], [`WriteError::Unavailable`].
    pub async fn apply_both(&self, one: &RowWrite, other: &RowWrite) -> Result<Together, WriteError> {
        let (Some(one), Some(other)) = (self.as_part(one), self.as_part(other)) else {
            return Ok(Together::Apart);
        };
        let sent = self.client.transact_write_items().transact_items(one).transact_items(other).send().await;
        let outcome = match sent {
            Ok(_) => Ok(Together::Written),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    judge_reasons(cancelled.cancellation_reasons())
                }
                _ => Err(Failure::of(&error).into()),
            },
        };
        let word = match &outcome {
            Ok(Together::Written) => "written",
            Ok(Together::Apart) => "apart",
            Err(error) => {
                telemetry::DYNAMODB_ERRORS_TOTAL.inc(&["transact_write_items", error.class()]);
                "error"
            }
        };
        telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&["transact_write_items", word]);
        outcome
    }

    fn as_part(&self, write: &RowWrite) -> Option<TransactWriteItem> {
        if matches!(write.change, RowChange::Merge(_)) {
            return None;
        }
        let put = Put::builder()
            .table_name(self.tables.of(write.head.entity).as_str())
            .set_item(Some(sdk_item(write.item())))
            .condition_expression(NEWER)
            .set_expression_attribute_names(Some(guard_names()))
            .set_expression_attribute_values(Some(guard_values(write, &write.head.version)))
            .build()
            .expect("invariant: a table's name and an item are all that a put needs");
        Some(TransactWriteItem::builder().put(put).build())
    }
}

/// Codes that only time helps against; the table has too much to do (DynamoDB API, "TransactionCanceledException", read 2026-11).
const OVERLOAD: [&str; 2] = ["ProvisionedThroughputExceeded", "ThrottlingError"];

/// Codes that blame a row or what it meets.
const APART: [&str; 3] = ["ConditionalCheckFailed", "ValidationError", "ItemCollectionSizeLimitExceeded"];

fn judge_reasons(reasons: &[CancellationReason]) -> Result<Together, WriteError> {
    let with = |codes: &[&str]| reasons.iter().find(|reason| reason.code().is_some_and(|code| codes.contains(&code)));
    let told = |reason: Option<&CancellationReason>| {
        let code = reason.and_then(CancellationReason::code).unwrap_or("TransactionCanceledException").to_owned();
        let message =
            reason.and_then(CancellationReason::message).unwrap_or("the transaction was cancelled").to_owned();
        (code, message)
    };
    if with(&APART).is_some() {
        return Ok(Together::Apart);
    }
    if let Some(reason) = with(&OVERLOAD) {
        let (code, message) = told(Some(reason));
        return Err(WriteError::Throttled { code, message });
    }
    // Another transaction writes one of the rows, or a reason that isn't known.
    let (code, message) = told(reasons.iter().find(|reason| reason.code().is_some_and(|code| code != "None")));
    Err(WriteError::Unavailable { code, message })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{columns, merge, writer};
    use super::*;
    use crate::testing::{Script, row_write};
    use serde_json::{Value, json};

    fn moved() -> (RowWrite, RowWrite) {
        let leave = row_write(RowChange::Tombstone { expires_at: 1_900_000_000 });
        let mut arrive = row_write(RowChange::Put(columns()));
        arrive.head.key = "C-2".parse().expect("a key");
        (leave, arrive)
    }

    async fn cancelled_by(codes: [&str; 2]) -> Result<Together, WriteError> {
        let reasons = codes.map(|code| json!({ "Code": code, "Message": "why" }));
        let script = Script::new().error_with(
            400,
            "TransactionCanceledException",
            json!({ "CancellationReasons": Value::from(reasons.to_vec()) }),
        );
        let (leave, arrive) = moved();
        writer(&script).apply_both(&leave, &arrive).await
    }

    #[tokio::test]
    async fn both_rows_are_put_under_their_conditions() {
        let script = Script::new().ok(json!({}));
        let (leave, arrive) = moved();
        assert_eq!(writer(&script).apply_both(&leave, &arrive).await, Ok(Together::Written));
        let items = script.bodies()[0]["TransactItems"].clone();
        for (index, write) in [leave, arrive].iter().enumerate() {
            let put = &items[index]["Put"];
            assert_eq!(put["TableName"], "tandem-test-customers");
            assert_eq!(put["ConditionExpression"], NEWER);
            assert_eq!(put["Item"]["pk"]["S"], write.head.key.as_str());
            assert_eq!(put["ExpressionAttributeValues"][":ver"]["S"], write.head.version.as_str());
        }
        assert_eq!(items.as_array().map(Vec::len), Some(2));
    }

    #[tokio::test]
    async fn a_stale_or_impossible_half_sends_both_apart() {
        for codes in [
            ["ConditionalCheckFailed", "None"],
            ["None", "ConditionalCheckFailed"],
            ["None", "ValidationError"],
            ["ConditionalCheckFailed", "ThrottlingError"],
        ] {
            assert_eq!(cancelled_by(codes).await, Ok(Together::Apart), "{codes:?}");
        }
    }

    #[tokio::test]
    async fn overload_and_conflicts_come_again_and_are_told_apart() {
        let class = async |codes| cancelled_by(codes).await.map_err(|error| (error.is_retryable(), error.class()));
        assert_eq!(class(["None", "ProvisionedThroughputExceeded"]).await, Err((true, "write_throttled")));
        assert_eq!(class(["ThrottlingError", "None"]).await, Err((true, "write_throttled")));
        assert_eq!(class(["None", "TransactionConflict"]).await, Err((true, "write_unavailable")));
        assert_eq!(class(["None", "SomethingNew"]).await, Err((true, "write_unavailable")));
        let lost = writer(&Script::new().lost_connection());
        let (leave, arrive) = moved();
        let error = lost.apply_both(&leave, &arrive).await.expect_err("lost");
        assert_eq!((error.is_retryable(), error.class()), (true, "write_unavailable"));
    }

    #[tokio::test]
    async fn partial_images_go_alone() {
        let script = Script::new();
        let (leave, _) = moved();
        assert_eq!(writer(&script).apply_both(&leave, &merge()).await, Ok(Together::Apart));
        assert!(script.bodies().is_empty());
    }
}
