//! DynamoDB, spoken to directly by the programs that read it with every batch.

use crate::failure::Failure;
use crate::json_service::{JsonService, Service};
use aws_types::SdkConfig;
use contracts::TableName;
use events::attribute::{AttributeValue, Item};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The tables of one region.
#[derive(Debug)]
pub(crate) struct Tables(JsonService);

/// An operation of DynamoDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// As metrics and messages name it.
    pub(crate) name: &'static str,
    target: &'static str,
}

impl Operation {
    pub(crate) const BATCH_GET_ITEM: Self = Self::new("batch_get_item", "DynamoDB_20120810.BatchGetItem");
    pub(crate) const DELETE_ITEM: Self = Self::new("delete_item", "DynamoDB_20120810.DeleteItem");
    pub(crate) const GET_ITEM: Self = Self::new("get_item", "DynamoDB_20120810.GetItem");
    pub(crate) const LIST_TABLES: Self = Self::new("list_tables", "DynamoDB_20120810.ListTables");
    pub(crate) const PUT_ITEM: Self = Self::new("put_item", "DynamoDB_20120810.PutItem");
    pub(crate) const QUERY: Self = Self::new("query", "DynamoDB_20120810.Query");
    pub(crate) const SCAN: Self = Self::new("scan", "DynamoDB_20120810.Scan");
    pub(crate) const TRANSACT_WRITE_ITEMS: Self =
        Self::new("transact_write_items", "DynamoDB_20120810.TransactWriteItems");
    pub(crate) const UPDATE_ITEM: Self = Self::new("update_item", "DynamoDB_20120810.UpdateItem");

    const fn new(name: &'static str, target: &'static str) -> Self {
        Self { name, target }
    }
}

impl Tables {
    /// The tables as `config` reaches them.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self(JsonService::new(config, Service::TABLES))
    }

    /// Calls `operation`. What may pass is tried again, within the configuration's limits.
    pub(crate) async fn call<A: DeserializeOwned>(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<A, Failure> {
        // Items are texts, numbers and bytes under names, which can always be written.
        self.call_with(operation, serde_json::to_vec(request).unwrap_or_default()).await
    }

    /// The same for a request that is written already.
    pub(crate) async fn call_with<A: DeserializeOwned>(
        &self,
        operation: Operation,
        request: Vec<u8>,
    ) -> Result<A, Failure> {
        let answer = self.0.call_with_retries(operation.target, request).await?;
        serde_json::from_slice(&answer).map_err(|error| Failure::without_answer("UnreadableResponse", &error))
    }
}

/// An answer of which nothing is used.
#[derive(Debug, Deserialize)]
pub(crate) struct Done {}

/// A consistent read of one item.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetItem<'a> {
    table_name: &'a str,
    key: Item,
    consistent_read: bool,
}

impl<'a> GetItem<'a> {
    /// The item of `table` with this key.
    pub(crate) fn of(table: &'a TableName, key: Item) -> Self {
        Self { table_name: table.as_str(), key, consistent_read: true }
    }
}

/// A write of one whole item.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutItem<'a> {
    table_name: &'a str,
    item: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition_expression: Option<&'static str>,
    #[serde(skip_serializing_if = "Item::is_empty")]
    expression_attribute_values: Item,
}

impl<'a> PutItem<'a> {
    /// `item` into `table`, whatever is there.
    pub(crate) fn of(table: &'a TableName, item: Item) -> Self {
        let expression_attribute_values = Item::new();
        Self { table_name: table.as_str(), item, condition_expression: None, expression_attribute_values }
    }

    /// The same under a condition, with the values that it names.
    pub(crate) fn under(self, condition: &'static str, values: Item) -> Self {
        Self { condition_expression: Some(condition), expression_attribute_values: values, ..self }
    }
}

/// What is there, if anything is.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    #[serde(rename = "Item")]
    pub(crate) item: Option<Item>,
}

/// Names of attributes to their values, for an item, a key or the values of an expression.
pub(crate) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

/// A number.
pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Whether a write was refused because its condition doesn't hold.
pub(crate) fn is_condition(failure: &Failure) -> bool {
    failure.code == "ConditionalCheckFailedException"
}

/// Why a transaction was cancelled, one code for each of its actions; nothing for any other failure.
pub(crate) fn cancellation_codes(failure: &Failure) -> Vec<String> {
    #[derive(Deserialize)]
    struct Cancelled {
        #[serde(rename = "CancellationReasons", default)]
        reasons: Vec<Reason>,
    }
    #[derive(Deserialize)]
    struct Reason {
        #[serde(rename = "Code")]
        code: Option<String>,
    }
    if failure.code != "TransactionCanceledException" {
        return Vec::new();
    }
    let cancelled = serde_json::from_slice::<Cancelled>(&failure.answer);
    cancelled.map_or_else(|_| Vec::new(), |cancelled| cancelled.reasons.into_iter().filter_map(|it| it.code).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::testing::{Script, sdk_config};
    use serde_json::{Value, json};

    async fn called(script: &Script) -> Result<Value, Failure> {
        let tables = Tables::new(&sdk_config(script));
        tables.call(Operation::GET_ITEM, &json!({ "Key": item([("pk", AttributeValue::text("a"))]) })).await
    }

    #[tokio::test]
    async fn a_request_is_dynamodbs_json() {
        let script = Script::new().ok(json!({ "Item": { "n": { "N": "1" } } }));
        assert_eq!(called(&script).await, Ok(json!({ "Item": { "n": { "N": "1" } } })));
        assert_eq!(script.bodies(), [json!({ "Key": { "pk": { "S": "a" } } })]);
    }

    #[tokio::test]
    async fn an_answer_that_is_none_passes_with_time() {
        let tables = Tables::new(&sdk_config(&Script::new().ok(json!([]))));
        let failure = tables.call::<Item>(Operation::GET_ITEM, &json!({})).await.expect_err("no item");
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Unavailable, "UnreadableResponse"));
    }

    #[tokio::test]
    async fn conditions_and_cancellations_are_told_apart_from_failures() {
        let codes = async |script: Script| {
            let failure = called(&script).await.expect_err("refused");
            (is_condition(&failure), cancellation_codes(&failure))
        };
        let condition = Script::new().error(400, "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException");
        assert_eq!(codes(condition).await, (true, vec![]));
        let reasons = json!({ "CancellationReasons": [{ "Code": "None" }, { "Code": "TransactionConflict" }, {}] });
        let cancelled = Script::new().error_with(400, "TransactionCanceledException", reasons);
        assert_eq!(codes(cancelled).await, (false, vec!["None".to_owned(), "TransactionConflict".to_owned()]));
        assert_eq!(codes(Script::new().error(400, "ValidationException")).await, (false, vec![]));
        assert_eq!(codes(Script::new().lost_connection()).await, (false, vec![]));
    }
}
