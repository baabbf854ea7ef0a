//! What is read of a route, always strongly consistent.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use breaker::{EventKey, KeyFlag, ParkedEvent, Shared};

use super::item::{self, Item, names, text};
use super::{Counted, DynamoRoute, StoreError};
use crate::failure::Failure;
use std::time::Duration;

/// Keys that one request asks for (DynamoDB API Reference, `BatchGetItem`, read 2026-11).
const KEYS_PER_REQUEST: usize = 100;
/// How often keys are asked for that an answer left out.
const ROUNDS: u32 = 5;
/// Pause before the second round; each further one waits longer by as much.
const PAUSE: Duration = Duration::from_millis(40);
/// Pages of 1 MB that a count reads. A lot that has more is counted by what was parked since the last count.
const PAGES: usize = 20;

impl DynamoRoute {
    pub(super) async fn read_record(&self) -> Result<Shared, StoreError> {
        const OPERATION: &str = "get_item";
        let request = self
            .client
            .get_item()
            .table_name(self.breakers.as_str())
            .key(names::PK, text(&self.name))
            .consistent_read(true);
        let answer = request.send().await.map_err(|error| StoreError::new(OPERATION, Failure::of(&error)))?;
        telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[OPERATION, "read"]);
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
        const OPERATION: &str = "batch_get_item";
        let table = self.parking.as_str();
        for round in 0..ROUNDS {
            tokio::time::sleep(PAUSE * round).await;
            let keys = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let keys = keys.map_err(|_| StoreError::unreadable(OPERATION, names::PK))?;
            let request = self.client.batch_get_item().request_items(table, keys);
            let answer = request.send().await.map_err(|error| StoreError::new(OPERATION, Failure::of(&error)))?;
            telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[OPERATION, "read"]);
            for found in answer.responses.iter().flat_map(|tables| tables.get(table)).flatten() {
                flags.push(item::to_flag(found).map_err(|what| StoreError::unreadable(OPERATION, what))?);
            }
            let left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(table));
            match left.map(|left| left.keys).filter(|keys| !keys.is_empty()) {
                None => return Ok(()),
                Some(keys) => wanted = keys,
            }
        }
        let message = format!("{} keys were left out {ROUNDS} times", wanted.len());
        Err(StoreError { operation: OPERATION, code: "UnprocessedKeys".to_owned(), message })
    }

    pub(super) async fn query_flags(&self, most: u32) -> Result<Vec<KeyFlag>, StoreError> {
        let query = self.query(Some(KeyFlag::PREFIX)).limit(i32::try_from(most).unwrap_or(i32::MAX));
        let page = send(query).await?;
        let flags = page.items.iter().map(item::to_flag);
        flags.collect::<Result<_, _>>().map_err(|what| StoreError::unreadable(QUERY, what))
    }

    pub(super) async fn oldest_of(&self, key: &EventKey) -> Result<Option<ParkedEvent>, StoreError> {
        let page = send(self.query(Some(&ParkedEvent::key_prefix(key))).limit(1)).await?;
        let event = page.items.first().map(item::to_event).transpose();
        event.map_err(|what| StoreError::unreadable(QUERY, what))
    }

    pub(super) async fn has_nothing(&self) -> Result<bool, StoreError> {
        Ok(send(self.query(None).limit(1)).await?.items.is_empty())
    }

    pub(super) async fn count_events(&self) -> Result<Option<Counted>, StoreError> {
        let mut counted = Counted::default();
        let mut from = None;
        let wanted = [names::PARKED_AT, names::KEY].join(", ");
        for _ in 0..PAGES {
            let query = self.query(Some(ParkedEvent::PREFIX)).projection_expression(wanted.clone());
            let page = send(query.set_exclusive_start_key(from)).await?;
            counted.events += page.items.len() as u64;
            counted.oldest = page.items.iter().filter_map(item::to_oldest).chain(counted.oldest).min();
            from = page.next;
            if from.is_none() {
                return Ok(Some(counted));
            }
        }
        Ok(None)
    }

    /// The key of an item of the lot.
    pub(super) fn lot_key(&self, sort_key: String) -> Item {
        [(names::PK, text(&self.name)), (names::SK, text(sort_key))]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    /// The items of the lot whose sort keys begin so, in the order of those.
    fn query(&self, prefix: Option<&str>) -> QueryFluentBuilder {
        let query = self.client.query().table_name(self.parking.as_str()).consistent_read(true);
        let query = query.expression_attribute_values(":pk", text(&self.name));
        match prefix {
            None => query.key_condition_expression("pk = :pk"),
            Some(prefix) => query
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix)),
        }
    }
}

const QUERY: &str = "query";

struct Page {
    items: Vec<Item>,
    next: Option<std::collections::HashMap<String, AttributeValue>>,
}

async fn send(query: QueryFluentBuilder) -> Result<Page, StoreError> {
    let answer = query.send().await.map_err(|error| StoreError::new(QUERY, Failure::of(&error)))?;
    telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[QUERY, "read"]);
    let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
    Ok(Page { items: answer.items.unwrap_or_default(), next })
}
