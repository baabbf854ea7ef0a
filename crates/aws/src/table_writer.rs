//! The conditional write of one row.
//!
//! A row is only written when it is newer than what is stored, comes from the same source and from no overtaken
//! authority. So a redelivered or late change does no harm, whoever delivers it and how often:
//!
//! ```text
//! (attribute_not_exists(pk) OR (src = :src AND ver < :ver)) AND (attribute_not_exists(ep) OR ep <= :ep)
//! ```
//!
//! When the condition does not hold, DynamoDB gives the stored item back, which tells why. A deletion is the
//! write of a tombstone; nothing is ever removed here. Which changes to write, and in what order, is the caller's task.
//!
//! Several changes of one row may be written as one ([`TableWriter::apply_since`]). Then `:ver` of the condition is the version
//! of the first of them: a row that holds one from between has something that the one write doesn't know of.
//!
//! A partial image is only ever merged into a row that has columns. Were it to become the row itself, its version would
//! keep the complete row out that comes later with an older one, and the other columns would be lost without a word.
//! Nor into a row of an earlier generation: what the source changed between two generations is in the reload only, so the
//! columns that such a row would keep may be outdated, and the row itself may be one that the source no longer has.

mod fence;
mod transaction;

pub use fence::{StoredHead, Verdict, judge};
pub use transaction::Together;

use crate::failure::{Failure, FailureKind};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types as sdk;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SdkConfig;
use contracts::TableName;
use events::row::names;
use events::{AttributeValue, Columns, Entity, Item, RowChange, RowWrite, Version};
use std::collections::HashMap;
use std::error::Error;

/// The condition of every write.
const NEWER: &str =
    "(attribute_not_exists(#pk) OR (#src = :src AND #ver < :ver)) AND (attribute_not_exists(#ep) OR #ep <= :ep)";

/// What a merge needs besides: columns to keep, of the same generation.
const CURRENT: &str = "attribute_exists(#d) AND #ver >= :floor";

/// DynamoDB's code for a row that a transaction under way writes too.
const CONFLICT: &str = "TransactionConflictException";

/// Columns that one request merges. DynamoDB takes at most 4 KB of expression and 300 operators in it (DynamoDB quotas,
/// "Expression parameters", read 2026-11); a column needs up to 13 bytes and one operator.
const COLUMNS_PER_MERGE: usize = 200;

/// Where the rows of each entity are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// Table of customers.
    pub customers: TableName,
    /// Table of orders.
    pub orders: TableName,
    /// Table of products.
    pub products: TableName,
}

impl TableNames {
    /// The table of an entity.
    pub fn of(&self, entity: Entity) -> &TableName {
        match entity {
            Entity::Customers => &self.customers,
            Entity::Orders => &self.orders,
            Entity::Products => &self.products,
        }
    }
}

/// What a write did. All three mean that the change needs nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The row now holds the change.
    Written,
    /// The row already held this very version.
    Duplicate,
    /// The row holds a newer version.
    Stale,
}

impl Applied {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
        }
    }
}

/// Why a row was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Another source owns the row; versions of two sources cannot be compared.
    #[error("the row belongs to source `{found}`, not to `{own}`; one task may own a table, check which one does")]
    ForeignSource {
        /// The source of the change.
        own: String,
        /// The source of the stored row; empty when the row has none.
        found: String,
    },
    /// The row carries a higher epoch: authority has moved on, this writer must stop.
    #[error("the row carries epoch {found} and this writer has epoch {own}; authority has moved, stop this writer")]
    Fenced {
        /// The writer's epoch.
        own: u64,
        /// The epoch of the stored row.
        found: String,
    },
    /// A partial image has no row to go into: there is none, only a tombstone, or one of an earlier generation. The complete
    /// row may be on its way, in another partition or in a load that is not finished; how long to wait for it is the caller's
    /// to decide.
    #[error(
        "the change carries only some columns and there is no row to merge them into; \
         load the row from the source, then replay the change"
    )]
    NoRow,
    /// Several changes were to be written as one, and the row holds the version of one of them, or one from between.
    /// Nothing is written; each must be applied on its own.
    #[error("the row holds version `{found}`, which lies between those of the changes that were to be written as one")]
    Interleaved {
        /// The version of the stored row.
        found: String,
    },
    /// DynamoDB will never accept this row, for example because it is larger than 400 KB.
    #[error("the table refused the row ({code}: {message})")]
    Invalid {
        /// DynamoDB's error code.
        code: String,
        /// DynamoDB's words.
        message: String,
    },
    /// The table had too much to do, after the SDK's retries.
    #[error("the table throttled the write ({code}: {message})")]
    Throttled {
        /// DynamoDB's error code.
        code: String,
        /// DynamoDB's words.
        message: String,
    },
    /// The program may not write to the table, or the table is not there.
    #[error("the write was denied ({code}: {message}); check the program's role and the table's name")]
    Denied {
        /// DynamoDB's error code.
        code: String,
        /// DynamoDB's words.
        message: String,
    },
    /// No useful answer came, after the SDK's retries. The write may have happened; writing again is safe.
    #[error("the table could not be reached ({code}: {message})")]
    Unavailable {
        /// DynamoDB's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
    },
}

impl WriteError {
    /// Whether the same write can succeed later. False means: give the change up ([`Self::Invalid`],
    /// [`Self::ForeignSource`]), write otherwise ([`Self::Interleaved`]) or stop writing ([`Self::Fenced`]).
    /// [`Self::NoRow`] counts, but only for a bounded time.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoRow | Self::Throttled { .. } | Self::Denied { .. } | Self::Unavailable { .. } => true,
            Self::ForeignSource { .. } | Self::Fenced { .. } | Self::Invalid { .. } | Self::Interleaved { .. } => false,
        }
    }

    /// A word for metrics and dead letters.
    pub fn class(&self) -> &'static str {
        match self {
            Self::ForeignSource { .. } => "foreign_source",
            Self::Fenced { .. } => "fenced",
            Self::NoRow => "partial_without_row",
            Self::Interleaved { .. } => "interleaved",
            Self::Invalid { .. } => "invalid_row",
            Self::Throttled { .. } => "write_throttled",
            Self::Denied { .. } => "write_denied",
            Self::Unavailable { .. } => "write_unavailable",
        }
    }
}

impl From<Failure> for WriteError {
    fn from(Failure { kind, code, message, .. }: Failure) -> Self {
        match kind {
            // Somebody else writes this row. That says nothing about how much the table can take.
            FailureKind::Throttled if code == CONFLICT => Self::Unavailable { code, message },
            FailureKind::Throttled => Self::Throttled { code, message },
            FailureKind::Unavailable => Self::Unavailable { code, message },
            FailureKind::Denied => Self::Denied { code, message },
            FailureKind::Refused => Self::Invalid { code, message },
        }
    }
}

/// Writes rows. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct TableWriter {
    client: aws_sdk_dynamodb::Client,
    tables: TableNames,
}

impl TableWriter {
    /// A writer to `tables`; retries and timeouts are those of `config`.
    pub fn new(config: &SdkConfig, tables: TableNames) -> Self {
        Self { client: aws_sdk_dynamodb::Client::new(config), tables }
    }

    /// Writes a row if it is newer than what is stored.
    ///
    /// A whole row or a tombstone replaces the item. A partial image is merged into the stored columns; without any it is
    /// refused with [`WriteError::NoRow`].
    ///
    /// A partial image of more than 200 columns takes several requests. The version is written with the last of them, so
    /// that a merge which ended half-way starts over when it is applied again.
    ///
    /// # Errors
    /// See [`WriteError`]; [`WriteError::is_retryable`] says whether to come again.
    pub async fn apply(&self, write: &RowWrite) -> Result<Applied, WriteError> {
        self.apply_since(write, &write.head.version).await
    }

    /// Writes several changes of one row as one: `write` is what they come to, with the head of the last, and `since` is the
    /// version of the first that it holds anything of.
    ///
    /// # Errors
    /// As [`Self::apply`], and [`WriteError::Interleaved`].
    pub async fn apply_since(&self, write: &RowWrite, since: &Version) -> Result<Applied, WriteError> {
        let verdict = match &write.change {
            RowChange::Put(_) | RowChange::Tombstone { .. } => self.put(write, since).await?,
            RowChange::Merge(columns) => self.merge(write, since, columns).await?,
        };
        match verdict {
            Sent::Written => Ok(Applied::Written),
            Sent::Judged(Verdict::Duplicate) => Ok(Applied::Duplicate),
            Sent::Judged(Verdict::Stale) => Ok(Applied::Stale),
            Sent::Judged(Verdict::NoRow) => Err(WriteError::NoRow),
            Sent::Judged(Verdict::Admitted) => Err(contended()),
        }
    }

    async fn merge(&self, write: &RowWrite, since: &Version, columns: &Columns) -> Result<Sent, WriteError> {
        let columns: Vec<_> = columns.iter().collect();
        // The last part may be empty, but there always is one: it carries the head.
        let (first, last) = columns.split_at(columns.len().saturating_sub(1) / COLUMNS_PER_MERGE * COLUMNS_PER_MERGE);
        for part in first.chunks(COLUMNS_PER_MERGE) {
            let sent = self.update(write, since, part, Item::new()).await?;
            if !matches!(sent, Sent::Written) {
                return Ok(sent);
            }
        }
        self.update(write, since, last, write.head.attributes()).await
    }

    async fn put(&self, write: &RowWrite, since: &Version) -> Result<Sent, WriteError> {
        let request = self
            .client
            .put_item()
            .table_name(self.tables.of(write.head.entity).as_str())
            .set_item(Some(sdk_item(write.item())))
            .condition_expression(NEWER)
            .set_expression_attribute_names(Some(guard_names()))
            .set_expression_attribute_values(Some(guard_values(write, since)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let sent = request.send().await.map(|_| ()).map_err(|error| {
            let stored = failed_condition(&error, |error| match error {
                aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) => {
                    Some(failed)
                }
                _ => None,
            });
            stored.ok_or_else(|| Failure::of(&error))
        });
        settle("put_item", write, since, sent)
    }

    async fn update(
        &self,
        write: &RowWrite,
        since: &Version,
        columns: &[(&String, &AttributeValue)],
        head: Item,
    ) -> Result<Sent, WriteError> {
        let mut sets = Vec::new();
        let mut removes = "#deleted,#expires".to_owned();
        let mut names = guard_names();
        names.insert("#d".to_owned(), names::DATA.to_owned());
        let mut values = guard_values(write, since);
        values.insert(":floor".to_owned(), sdk::AttributeValue::S(write.head.version.generation_floor().to_owned()));
        // What stays of the row must not be taken for a part of the trace that its last change came with.
        if !head.is_empty() && !head.contains_key(names::TRACEPARENT) {
            names.insert("#context".to_owned(), names::TRACEPARENT.to_owned());
            removes.push_str(",#context");
        }
        // `src` and `ep` have their placeholders from the condition; the others are counted through, because a column may have
        // any name and the expression must stay short. The condition's `:ver` may be that of an earlier change.
        for (index, (name, value)) in head.into_iter().enumerate() {
            let placeholder = match name.as_str() {
                names::SRC | names::EP => name,
                _ => {
                    let placeholder = format!("h{index}");
                    names.insert(format!("#{placeholder}"), name);
                    values.insert(format!(":{placeholder}"), sdk_value(value));
                    placeholder
                }
            };
            sets.push(format!("#{placeholder}=:{placeholder}"));
        }
        for (index, (name, value)) in columns.iter().enumerate() {
            names.insert(format!("#{index}"), (*name).clone());
            values.insert(format!(":{index}"), sdk_value((*value).clone()));
            sets.push(format!("#d.#{index}=:{index}"));
        }
        names.insert("#deleted".to_owned(), names::DELETED.to_owned());
        names.insert("#expires".to_owned(), names::EXPIRES_AT.to_owned());
        let request = self
            .client
            .update_item()
            .table_name(self.tables.of(write.head.entity).as_str())
            .key(names::PK, sdk::AttributeValue::S(write.head.key.as_str().to_owned()))
            .update_expression(format!("SET {} REMOVE {removes}", sets.join(",")))
            .condition_expression(format!("{NEWER} AND {CURRENT}"))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let sent = request.send().await.map(|_| ()).map_err(|error| {
            let stored = failed_condition(&error, |error| match error {
                aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(failed) => {
                    Some(failed)
                }
                _ => None,
            });
            stored.ok_or_else(|| Failure::of(&error))
        });
        settle("update_item", write, since, sent)
    }
}

/// What came of one request.
enum Sent {
    Written,
    /// The condition failed, and what the stored row says of it. [`Verdict::Admitted`]: it was another row in between.
    Judged(Verdict),
}

/// The item that made a condition fail; none when there was no item.
struct Stored(Option<StoredHead>);

fn failed_condition<E>(
    error: &SdkError<E, HttpResponse>,
    pick: impl Fn(&E) -> Option<&ConditionalCheckFailedException>,
) -> Option<Stored>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let failed = pick(error.as_service_error()?)?;
    Some(Stored(failed.item().map(|item| {
        let text = |name| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        StoredHead {
            source: text(names::SRC),
            version: text(names::VER),
            epoch: item.get(names::EP).and_then(|value| value.as_n().ok()).cloned(),
            live: item.contains_key(names::DATA),
        }
    })))
}

/// Turns the answer to one request into what it means, and counts it.
fn settle(
    operation: &'static str,
    write: &RowWrite,
    since: &Version,
    sent: Result<(), Result<Stored, Failure>>,
) -> Result<Sent, WriteError> {
    let sent = match sent {
        Ok(()) => Ok(Sent::Written),
        Err(Ok(Stored(stored))) => judge(write, since, stored.as_ref()).map(Sent::Judged),
        Err(Err(failure)) => Err(failure.into()),
    };
    let word = match &sent {
        Ok(Sent::Written) => Applied::Written.as_str(),
        Ok(Sent::Judged(Verdict::Duplicate)) => Applied::Duplicate.as_str(),
        Ok(Sent::Judged(Verdict::Stale)) => Applied::Stale.as_str(),
        Ok(Sent::Judged(Verdict::NoRow | Verdict::Admitted)) => "no_row_to_merge",
        Err(error) => {
            telemetry::DYNAMODB_ERRORS_TOTAL.inc(&[operation, error.class()]);
            "error"
        }
    };
    telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation, word]);
    sent
}

fn contended() -> WriteError {
    WriteError::Unavailable {
        code: "Contended".to_owned(),
        message: "the row changed between the requests of this write".to_owned(),
    }
}

fn guard_names() -> HashMap<String, String> {
    [names::PK, names::SRC, names::VER, names::EP]
        .into_iter()
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect()
}

fn guard_values(write: &RowWrite, since: &Version) -> HashMap<String, sdk::AttributeValue> {
    let head = &write.head;
    HashMap::from([
        (":src".to_owned(), sdk::AttributeValue::S(head.source.as_str().to_owned())),
        (":ver".to_owned(), sdk::AttributeValue::S(since.as_str().to_owned())),
        (":ep".to_owned(), sdk::AttributeValue::N(head.epoch.to_string())),
    ])
}

fn sdk_item(item: Item) -> HashMap<String, sdk::AttributeValue> {
    item.into_iter().map(|(name, value)| (name, sdk_value(value))).collect()
}

fn sdk_value(value: AttributeValue) -> sdk::AttributeValue {
    match value {
        AttributeValue::S(text) => sdk::AttributeValue::S(text),
        AttributeValue::N(number) => sdk::AttributeValue::N(number),
        AttributeValue::B(bytes) => sdk::AttributeValue::B(Blob::new(bytes)),
        AttributeValue::Bool(value) => sdk::AttributeValue::Bool(value),
        AttributeValue::Null => sdk::AttributeValue::Null(true),
        AttributeValue::L(list) => sdk::AttributeValue::L(list.into_iter().map(sdk_value).collect()),
        AttributeValue::M(map) => sdk::AttributeValue::M(sdk_item(map)),
        AttributeValue::Ss(texts) => sdk::AttributeValue::Ss(texts),
        AttributeValue::Ns(numbers) => sdk::AttributeValue::Ns(numbers),
        AttributeValue::Bs(list) => sdk::AttributeValue::Bs(list.into_iter().map(Blob::new).collect()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Script, row_write, sdk_config};
    use serde_json::{Value, json};

    pub(super) fn writer(script: &Script) -> TableWriter {
        let name = |name: &str| name.parse().expect("a table name");
        let tables = TableNames {
            customers: name("tandem-test-customers"),
            orders: name("tandem-test-orders"),
            products: name("tandem-test-products"),
        };
        TableWriter::new(&sdk_config(script), tables)
    }

    pub(super) fn columns() -> Columns {
        Columns::from([("name".to_owned(), AttributeValue::S("Ada".to_owned()))])
    }

    fn put() -> RowWrite {
        row_write(RowChange::Put(columns()))
    }

    pub(super) fn merge() -> RowWrite {
        row_write(RowChange::Merge(columns()))
    }

    /// An answer that the condition failed on an item with these attributes.
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
    fn condition_failed(script: Script, item: Value) -> Script {
        script.error_with(400, "ConditionalCheckFailedException", json!({ "Item": item }))
    }

    fn stored(source: &str, version: &str, epoch: u64) -> Value {
        json!({ "src": { "S": source }, "ver": { "S": version }, "ep": { "N": epoch.to_string() }, "data": { "M": {} } })
    }

    /// The answer to a put that meets a stored row.
    async fn put_meets(item: Value) -> Result<Applied, WriteError> {
        writer(&condition_failed(Script::new(), item)).apply(&put()).await
    }

    const OLDER: &str = "0000000001|1|00000000000000000000000000000000001";
    const EARLIER_GENERATION: &str = "0000000000|1|99999999999999999999999999999999999";
    const NEWER_VERSION: &str = "0000000009|1|00000000000000000000000000000000001";

    #[tokio::test]
    async fn a_whole_row_is_put_under_the_condition() {
        let script = Script::new().ok(json!({}));
        assert_eq!(writer(&script).apply(&put()).await, Ok(Applied::Written));
        let request = &script.bodies()[0];
        assert_eq!(request["TableName"], "tandem-test-customers");
        assert_eq!(request["ConditionExpression"], NEWER);
        assert_eq!(request["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
        assert_eq!(request["Item"]["data"], json!({ "M": { "name": { "S": "Ada" } } }));
        assert_eq!(request["ExpressionAttributeValues"][":ver"]["S"], put().head.version.as_str());
        assert_eq!(
            request["ExpressionAttributeNames"],
            json!({ "#pk": "pk", "#src": "src", "#ver": "ver", "#ep": "ep" })
        );
    }

    #[tokio::test]
    async fn several_changes_are_written_as_one_below_the_first() {
        let since: Version = "0000000001|1|00000000000000000000000000000000002".parse().expect("a version");
        let between = "0000000001|1|00000000000000000000000000000000003";
        for write in [put(), merge()] {
            let head = write.head.clone();
            let meets = async |version: &str| {
                let script = condition_failed(Script::new(), stored(head.source.as_str(), version, 1));
                writer(&script).apply_since(&write, &since).await
            };
            let script = Script::new().ok(json!({}));
            assert_eq!(writer(&script).apply_since(&write, &since).await, Ok(Applied::Written));
            assert_eq!(script.bodies()[0]["ExpressionAttributeValues"][":ver"]["S"], since.as_str());
            for found in [since.as_str(), between] {
                let error = meets(found).await.expect_err("one of them is there already");
                assert_eq!(error, WriteError::Interleaved { found: found.to_owned() });
                assert!(!error.is_retryable());
            }
            assert_eq!(meets(head.version.as_str()).await, Ok(Applied::Duplicate));
            assert_eq!(meets(NEWER_VERSION).await, Ok(Applied::Stale));
        }
    }

    #[tokio::test]
    async fn a_deletion_is_a_put_of_a_tombstone() {
        let script = Script::new().ok(json!({}));
        let write = row_write(RowChange::Tombstone { expires_at: 1_900_000_000 });
        assert_eq!(writer(&script).apply(&write).await, Ok(Applied::Written));
        let item = &script.bodies()[0]["Item"];
        assert_eq!((&item["deleted"]["BOOL"], &item["expires_at"]["N"]), (&json!(true), &json!("1900000000")));
        assert!(item.get("data").is_none());
    }

    #[tokio::test]
    async fn the_stored_row_tells_why() {
        let head = put().head;
        let (source, version, epoch) = (head.source.as_str(), head.version.as_str(), head.epoch);
        assert_eq!(put_meets(stored(source, version, epoch)).await, Ok(Applied::Duplicate));
        assert_eq!(put_meets(stored(source, NEWER_VERSION, epoch)).await, Ok(Applied::Stale));
        assert!(matches!(put_meets(stored("other", OLDER, epoch)).await, Err(WriteError::ForeignSource { .. })));
        assert!(matches!(put_meets(stored(source, OLDER, epoch + 1)).await, Err(WriteError::Fenced { .. })));
        assert!(matches!(put_meets(stored("other", version, epoch + 1)).await, Err(WriteError::Fenced { .. })));
        assert!(matches!(put_meets(json!({ "pk": { "S": "k" } })).await, Err(WriteError::ForeignSource { .. })));
        let contended = put_meets(stored(source, OLDER, epoch)).await.expect_err("it changed in between");
        assert!(contended.is_retryable());
    }

    #[tokio::test]
    async fn failures_are_sorted() {
        let check = async |status, code, retryable, class| {
            let error = writer(&Script::new().error(status, code)).apply(&put()).await.expect_err(code);
            assert_eq!((error.is_retryable(), error.class()), (retryable, class), "{code}");
        };
        check(400, "ValidationException", false, "invalid_row").await;
        check(400, "ItemCollectionSizeLimitExceededException", false, "invalid_row").await;
        check(400, "ProvisionedThroughputExceededException", true, "write_throttled").await;
        check(400, "TransactionConflictException", true, "write_unavailable").await;
        check(400, "AccessDeniedException", true, "write_denied").await;
        check(400, "ResourceNotFoundException", true, "write_denied").await;
        check(500, "InternalServerError", true, "write_unavailable").await;
        let error = writer(&Script::new().lost_connection()).apply(&put()).await.expect_err("lost");
        assert_eq!(error.class(), "write_unavailable");
    }

    #[tokio::test]
    async fn a_partial_image_is_merged() {
        let script = Script::new().ok(json!({}));
        assert_eq!(writer(&script).apply(&merge()).await, Ok(Applied::Written));
        let request = &script.bodies()[0];
        assert_eq!(request["Key"], json!({ "pk": { "S": merge().head.key.as_str() } }));
        assert_eq!(request["ConditionExpression"], format!("{NEWER} AND attribute_exists(#d) AND #ver >= :floor"));
        assert_eq!(request["ExpressionAttributeValues"][":floor"], json!({ "S": "0000000001|" }));
        let expression = request["UpdateExpression"].as_str().expect("text");
        assert!(
            expression.contains("#d.#0=:0") && expression.ends_with("REMOVE #deleted,#expires,#context"),
            "{expression}"
        );
        assert_eq!(request["ExpressionAttributeNames"]["#context"], "traceparent");
        assert_eq!(request["ExpressionAttributeNames"]["#0"], "name");
        assert_eq!(request["ExpressionAttributeValues"][":0"], json!({ "S": "Ada" }));
        for (name, value) in merge().head.attributes() {
            let names = request["ExpressionAttributeNames"].as_object().expect("names");
            let (placeholder, _) = names.iter().find(|(_, real)| **real == json!(name)).expect(&name);
            let bare = &placeholder[1..];
            assert!(expression.contains(&format!("#{bare}=:{bare}")), "{name} is set");
            let sent = &request["ExpressionAttributeValues"][format!(":{bare}")];
            assert_eq!(*sent, serde_json::to_value(&value).expect("JSON"), "{name}");
        }
    }

    #[tokio::test]
    async fn a_trace_context_is_written_where_there_is_one() {
        let script = Script::new().ok(json!({})).ok(json!({})).ok(json!({}));
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let with_context = |mut write: RowWrite| {
            write.head.traceparent = Some(text.parse().expect("a trace context"));
            write
        };
        assert_eq!(writer(&script).apply(&with_context(put())).await, Ok(Applied::Written));
        assert_eq!(writer(&script).apply(&with_context(merge())).await, Ok(Applied::Written));
        assert_eq!(writer(&script).apply(&put()).await, Ok(Applied::Written));
        let [put, merged, without] = &script.bodies()[..] else { panic!("three requests") };
        assert_eq!(put["Item"]["traceparent"], json!({ "S": text }));
        assert!(without["Item"].get("traceparent").is_none());
        let names = merged["ExpressionAttributeNames"].as_object().expect("names");
        let (placeholder, _) = names.iter().find(|(_, name)| **name == json!("traceparent")).expect("it is named");
        let bare = &placeholder[1..];
        let expression = merged["UpdateExpression"].as_str().expect("text");
        assert!(expression.contains(&format!("#{bare}=:{bare}")), "{expression}");
        assert!(expression.ends_with("REMOVE #deleted,#expires"), "{expression}");
        assert_eq!(merged["ExpressionAttributeValues"][format!(":{bare}")], json!({ "S": text }));
    }

    #[tokio::test]
    async fn a_wide_merge_takes_several_requests_and_the_last_carries_the_version() {
        let wide: Columns =
            (0..COLUMNS_PER_MERGE * 2 + 1).map(|n| (format!("column {n}"), AttributeValue::Null)).collect();
        let script = Script::new().ok(json!({})).ok(json!({})).ok(json!({}));
        let write = row_write(RowChange::Merge(wide.clone()));
        assert_eq!(writer(&script).apply(&write).await, Ok(Applied::Written));
        let mut merged = std::collections::BTreeSet::new();
        for (index, request) in script.bodies().iter().enumerate() {
            let expression = request["UpdateExpression"].as_str().expect("text");
            assert!(expression.len() < 4_096, "{} bytes", expression.len());
            assert!(expression.matches('=').count() < 300);
            assert_eq!(expression.contains("#context"), index == 2, "it belongs to the version");
            let sets = expression.split([' ', ',']).filter_map(|set| set.split_once('='));
            let written: Vec<&str> =
                sets.filter_map(|(name, _)| request["ExpressionAttributeNames"][name].as_str()).collect();
            assert_eq!(written.contains(&"ver"), index == 2);
            let names = request["ExpressionAttributeNames"].as_object().expect("names");
            let names = names.values().map(|name| name.as_str().expect("text").to_owned());
            merged.extend(names.filter(|name| name.starts_with("column")));
        }
        assert_eq!(merged, wide.into_keys().collect());
    }

    #[tokio::test]
    async fn a_full_part_is_not_followed_by_an_empty_one() {
        let full: Columns = (0..COLUMNS_PER_MERGE).map(|n| (n.to_string(), AttributeValue::Null)).collect();
        let script = Script::new().ok(json!({}));
        assert_eq!(writer(&script).apply(&row_write(RowChange::Merge(full))).await, Ok(Applied::Written));
        let script = Script::new().ok(json!({}));
        assert_eq!(writer(&script).apply(&row_write(RowChange::Merge(Columns::new()))).await, Ok(Applied::Written));
        assert_eq!(script.bodies().len(), 1, "an empty merge still writes the head");
    }

    #[tokio::test]
    async fn a_merge_without_a_row_writes_nothing_and_may_come_again() {
        let mut tombstone = stored(merge().head.source.as_str(), OLDER, 1);
        tombstone.as_object_mut().expect("an object").remove("data");
        let outdated = stored(merge().head.source.as_str(), EARLIER_GENERATION, 1);
        for script in [
            Script::new().error(400, "ConditionalCheckFailedException"),
            condition_failed(Script::new(), tombstone),
            condition_failed(Script::new(), outdated),
        ] {
            let error = writer(&script).apply(&merge()).await.expect_err("no row");
            assert_eq!((error.is_retryable(), error.class()), (true, "partial_without_row"));
            assert_eq!(script.bodies().len(), 1, "no put follows");
        }
    }

    #[tokio::test]
    async fn a_merge_into_a_row_that_changes_meanwhile_may_come_again() {
        let script = condition_failed(Script::new(), stored(merge().head.source.as_str(), OLDER, 1));
        let error = writer(&script).apply(&merge()).await.expect_err("contended");
        assert_eq!((error.is_retryable(), error.class()), (true, "write_unavailable"));
    }

    #[tokio::test]
    async fn a_stale_merge_writes_nothing() {
        let script = condition_failed(Script::new(), stored(merge().head.source.as_str(), NEWER_VERSION, 1));
        assert_eq!(writer(&script).apply(&merge()).await, Ok(Applied::Stale));
        assert_eq!(script.bodies().len(), 1);
    }

    #[test]
    fn every_kind_of_value_is_carried_over() {
        let value = AttributeValue::M(
            [
                ("n", AttributeValue::N("90071992547409931.10".to_owned())),
                ("b", AttributeValue::B(vec![0, 255])),
                ("z", AttributeValue::Null),
                ("l", AttributeValue::L(vec![AttributeValue::Bool(false)])),
                ("ss", AttributeValue::Ss(vec!["a".to_owned()])),
                ("ns", AttributeValue::Ns(vec!["1".to_owned()])),
                ("bs", AttributeValue::Bs(vec![vec![1]])),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        );
        let sdk::AttributeValue::M(map) = sdk_value(value) else { panic!("a map stays a map") };
        assert_eq!(map["n"], sdk::AttributeValue::N("90071992547409931.10".to_owned()));
        assert_eq!(map["b"], sdk::AttributeValue::B(Blob::new([0, 255])));
        assert_eq!(map["z"], sdk::AttributeValue::Null(true));
        assert_eq!(map["l"], sdk::AttributeValue::L(vec![sdk::AttributeValue::Bool(false)]));
        assert_eq!(map["ss"], sdk::AttributeValue::Ss(vec!["a".to_owned()]));
        assert_eq!(map["ns"], sdk::AttributeValue::Ns(vec!["1".to_owned()]));
        assert_eq!(map["bs"], sdk::AttributeValue::Bs(vec![Blob::new([1])]));
    }
}
