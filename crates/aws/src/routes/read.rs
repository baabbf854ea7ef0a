//! What is read of a route, always strongly consistent.

use breaker::{EventKey, KeyFlag, ParkedEvent, Shared};
use events::attribute::{AttributeValue, Item};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

use super::item::{self, names};
use super::{Counted, DynamoRoute, StoreError};
use crate::tables::{self, Found, GetItem, Operation};

/// Keys that one request asks for (DynamoDB API Reference, `BatchGetItem`, read 2026-11).
const KEYS_PER_REQUEST: usize = 100;
/// How often keys are asked for that an answer left out.
const ROUNDS: u32 = 5;
/// Pause before the second round; each further one waits longer by as much.
const PAUSE: Duration = Duration::from_millis(40);
/// Pages of 1 MB that a count reads. How many events a lot has that is larger is told by what was parked since it was
/// counted last.
const PAGES: usize = 20;

impl DynamoRoute {
    pub(super) async fn read_record(&self) -> Result<Shared, StoreError> {
        const OPERATION: Operation = Operation::GET_ITEM;
        let answer: Found = self.read_from(OPERATION, &GetItem::of(&self.breakers, self.record_key())).await?;
        match answer.item {
            None => Ok(Shared::absent()),
            Some(item) => item::to_record(&item).map_err(|what| StoreError::unreadable(OPERATION, what)),
        }
    }

    pub(super) async fn flags_of(&self, keys: &[EventKey]) -> Result<Vec<KeyFlag>, StoreError> {
        let mut flags = Vec::new();
        for keys in keys.chunks(KEYS_PER_REQUEST) {
            let wanted = keys.iter().map(|key| self.lot_key(KeyFlag::sort_key(key))).collect();
            self.flags_at(wanted, &mut flags).await?;
        }
        Ok(flags)
    }

    /// An answer may leave keys out when there is much to do; they are asked for again.
    async fn flags_at(&self, mut wanted: Vec<Item>, flags: &mut Vec<KeyFlag>) -> Result<(), StoreError> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct BatchGetItem<'a> {
            request_items: HashMap<&'a str, Wanted<'a>>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Wanted<'a> {
            keys: &'a [Item],
            consistent_read: bool,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            #[serde(default)]
            responses: HashMap<String, Vec<Item>>,
            #[serde(default)]
            unprocessed_keys: HashMap<String, Left>,
        }
        #[derive(Deserialize)]
        struct Left {
            #[serde(rename = "Keys")]
            keys: Vec<Item>,
        }
        const OPERATION: Operation = Operation::BATCH_GET_ITEM;
        let table = self.parking.as_str();
        for round in 0..ROUNDS {
            tokio::time::sleep(PAUSE * round).await;
            let request =
                BatchGetItem { request_items: [(table, Wanted { keys: &wanted, consistent_read: true })].into() };
            let mut answer: Answer = self.read_from(OPERATION, &request).await?;
            for found in answer.responses.get(table).into_iter().flatten() {
                flags.push(item::to_flag(found).map_err(|what| StoreError::unreadable(OPERATION, what))?);
            }
            match answer.unprocessed_keys.remove(table).map(|left| left.keys).filter(|keys| !keys.is_empty()) {
                None => return Ok(()),
                Some(keys) => wanted = keys,
            }
        }
        let message = format!("{} keys were left out {ROUNDS} times", wanted.len());
        Err(StoreError { operation: OPERATION.name, code: "UnprocessedKeys".to_owned(), message })
    }

    pub(super) async fn query_flags(&self, most: u32) -> Result<Vec<KeyFlag>, StoreError> {
        let page = self.page(Query { limit: Some(most), ..self.query(Some(KeyFlag::PREFIX)) }).await?;
        let flags = page.items.iter().map(item::to_flag);
        flags.collect::<Result<_, _>>().map_err(|what| StoreError::unreadable(Operation::QUERY, what))
    }

    pub(super) async fn oldest_of(&self, key: &EventKey) -> Result<Option<ParkedEvent>, StoreError> {
        let page = self.page(Query { limit: Some(1), ..self.query(Some(&ParkedEvent::key_prefix(key))) }).await?;
        let event = page.items.first().map(item::to_event).transpose();
        event.map_err(|what| StoreError::unreadable(Operation::QUERY, what))
    }

    pub(super) async fn has_nothing(&self) -> Result<bool, StoreError> {
        Ok(self.page(Query { limit: Some(1), ..self.query(None) }).await?.items.is_empty())
    }

    pub(super) async fn count_events(&self) -> Result<Counted, StoreError> {
        let mut counted = Counted::default();
        let mut from = None;
        let wanted = [names::PARKED_AT, names::KEY].join(", ");
        for _ in 0..PAGES {
            let page = self
                .page(Query {
                    projection_expression: Some(wanted.clone()),
                    exclusive_start_key: from,
                    ..self.query(Some(ParkedEvent::PREFIX))
                })
                .await?;
            counted.events += page.items.len() as u64;
            counted.oldest = page.items.iter().filter_map(item::to_oldest).chain(counted.oldest).min();
            from = page.next.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(counted);
            }
        }
        Ok(Counted { is_partial: true, ..counted })
    }

    /// The key of the record.
    pub(super) fn record_key(&self) -> Item {
        tables::item([(names::PK, AttributeValue::text(&self.name))])
    }

    /// The key of an item of the lot.
    pub(super) fn lot_key(&self, sort_key: String) -> Item {
        tables::item([(names::PK, AttributeValue::text(&self.name)), (names::SK, AttributeValue::text(sort_key))])
    }

    /// The items of the lot whose sort keys begin so, in the order of those.
    fn query(&self, prefix: Option<&str>) -> Query<'_> {
        let mut expression_attribute_values = tables::item([(":pk", AttributeValue::text(&self.name))]);
        let key_condition_expression = match prefix {
            None => "pk = :pk",
            Some(prefix) => {
                expression_attribute_values.insert(":prefix".to_owned(), AttributeValue::text(prefix));
                "pk = :pk AND begins_with(sk, :prefix)"
            }
        };
        Query {
            table_name: self.parking.as_str(),
            consistent_read: true,
            key_condition_expression,
            expression_attribute_values,
            limit: None,
            projection_expression: None,
            exclusive_start_key: None,
        }
    }

    async fn page(&self, query: Query<'_>) -> Result<Page, StoreError> {
        self.read_from(Operation::QUERY, &query).await
    }

    async fn read_from<A: serde::de::DeserializeOwned>(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<A, StoreError> {
        let answer = self.tables.call(operation, request).await;
        let answer = answer.map_err(|failure| StoreError::new(operation, failure))?;
        telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation.name, "read"]);
        Ok(answer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Query<'a> {
    table_name: &'a str,
    consistent_read: bool,
    key_condition_expression: &'static str,
    expression_attribute_values: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projection_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_start_key: Option<Item>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "Items", default)]
    items: Vec<Item>,
    #[serde(rename = "LastEvaluatedKey")]
    next: Option<Item>,
}
