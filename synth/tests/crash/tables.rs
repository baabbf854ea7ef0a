//! The three tables, by DynamoDB's own protocol.

use events::{Entity, Item, Row};
use hyper::Method;
use serde_json::{Value as Json, json};

use crate::http::Http;

/// DynamoDB, without anything that goes wrong on the way.
pub(crate) struct Tables {
    endpoint: String,
    http: Http,
}

impl Tables {
    pub(crate) fn at(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), http: Http::new() }
    }

    pub(crate) fn name(entity: Entity) -> String {
        format!("tandem-crash-{entity}")
    }

    pub(crate) async fn create(&self) {
        for entity in Entity::ALL {
            let table = json!({
                "TableName": Self::name(entity),
                "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
                "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
                "BillingMode": "PAY_PER_REQUEST",
            });
            self.call("CreateTable", &table).await;
        }
    }

    /// Every item of a table, as a row.
    pub(crate) async fn rows(&self, entity: Entity) -> Vec<Row> {
        let row = |item: &Item| {
            Row::from_item(entity, item).unwrap_or_else(|error| panic!("{entity} hold an item that is no row: {error}"))
        };
        self.items(entity).await.iter().map(row).collect()
    }

    pub(crate) async fn items(&self, entity: Entity) -> Vec<Item> {
        let mut items = Vec::new();
        let mut request = json!({ "TableName": Self::name(entity), "ConsistentRead": true });
        loop {
            let mut page = self.call("Scan", &request).await;
            let found: Vec<Item> = serde_json::from_value(page["Items"].take()).expect("items");
            items.extend(found);
            match page["LastEvaluatedKey"].take() {
                Json::Null => return items,
                key => request["ExclusiveStartKey"] = key,
            }
        }
    }

    /// Writes an item as it is, without any condition.
    pub(crate) async fn put(&self, entity: Entity, item: &Item) {
        self.call("PutItem", &json!({ "TableName": Self::name(entity), "Item": item })).await;
    }

    /// An operation; anything but success ends the test.
    async fn call(&self, operation: &str, body: &Json) -> Json {
        let target = format!("DynamoDB_20120810.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target.as_str())];
        let (status, answer) =
            self.http.aws("dynamodb", Method::POST, &self.endpoint, &headers, body.to_string()).await;
        assert!(status.is_success(), "{operation}: {status}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap_or(Json::Null)
    }
}
