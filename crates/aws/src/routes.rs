//! The record and the lot of a route: what the breaker shares between instances, and the events that wait.
//!
//! What is written, and on which condition, is decided by the crate `breaker`; this module carries it out. Reads are
//! strongly consistent, because order depends on them. Writes that met another one at the route's record are repeated, and
//! so is what was throttled or stayed unanswered. Both are harmless for each of them.
//!
//! One item of the table of breakers is the record of a route; its key is the route's name. The lot is one partition of the
//! parking table under the same name, see [`breaker::KeyFlag`] and [`breaker::ParkedEvent`] for its sort keys.

mod item;
mod read;
mod until;
mod write;

pub use until::Until;

use breaker::{
    ClearFlag, DeleteEvent, EventKey, KeyFlag, ParkAnswer, ParkWrite, ParkedEvent, Route, Shared, Survey, Write,
};
use contracts::TableName;
use std::future::Future;

use crate::failure::Failure;
use crate::tables::{Operation, Tables};
use aws_types::SdkConfig;
use std::sync::Arc;

/// The record and the lot of one route.
pub trait RouteStore: Sync {
    /// The record as it is now.
    fn read(&self) -> impl Future<Output = Result<Shared, StoreError>> + Send;

    /// Carries out a write of the record; false if its condition doesn't hold.
    fn write(&self, write: &Write) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Parks events, all or none.
    fn park(&self, write: &ParkWrite) -> impl Future<Output = ParkAnswer> + Send;

    /// The flags of those keys that have one.
    fn flags(&self, keys: &[EventKey]) -> impl Future<Output = Result<Vec<KeyFlag>, StoreError>> + Send;

    /// Up to `most` flags, the first ones by key.
    fn first_flags(&self, most: u32) -> impl Future<Output = Result<Vec<KeyFlag>, StoreError>> + Send;

    /// The oldest event of a key.
    fn oldest(&self, key: &EventKey) -> impl Future<Output = Result<Option<ParkedEvent>, StoreError>> + Send;

    /// Whether nothing is in the lot, neither event nor flag.
    fn is_empty(&self) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Counts the lot's events, as far as they can be counted each time.
    fn count(&self) -> impl Future<Output = Result<Counted, StoreError>> + Send;

    /// Removes an event, whether it is there or not.
    fn delete(&self, delete: &DeleteEvent) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Clears a flag; false if its condition doesn't hold.
    fn clear(&self, clear: &ClearFlag) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Notes what was seen of the lot.
    fn note(&self, survey: &Survey) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What a look at the whole lot gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The events that were counted.
    pub events: u64,
    /// The oldest of them.
    pub oldest: Option<Oldest>,
    /// Whether there are more than that, among which an older one may be.
    pub is_partial: bool,
}

/// The event of a lot that has waited longest; of those parked in the same millisecond, one of the first key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oldest {
    /// When it was parked.
    pub parked_at: breaker::Millis,
    /// Its key.
    pub key: EventKey,
}

/// A call that got no useful answer. What it asked for may have taken place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{operation}` on the breaker's tables failed ({code}: {message})")]
pub struct StoreError {
    /// DynamoDB's operation.
    pub operation: &'static str,
    /// DynamoDB's error code or the kind of failure.
    pub code: String,
    /// What was reported.
    pub message: String,
}

impl StoreError {
    fn new(operation: Operation, Failure { kind, code, message, .. }: Failure) -> Self {
        telemetry::DYNAMODB_OPERATIONS_TOTAL.inc(&[operation.name, "failed"]);
        telemetry::DYNAMODB_ERRORS_TOTAL.inc(&[operation.name, kind.as_str()]);
        Self { operation: operation.name, code, message }
    }

    /// An item that this version of the program can't read.
    fn unreadable(operation: Operation, what: &str) -> Self {
        Self {
            operation: operation.name,
            code: "Unreadable".to_owned(),
            message: format!("the item has no valid `{what}`"),
        }
    }
}

/// A route in DynamoDB. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct DynamoRoute {
    tables: Arc<Tables>,
    breakers: TableName,
    parking: TableName,
    /// The route's name: the partition key in both tables.
    name: String,
}

impl DynamoRoute {
    /// The route in these tables; retries and timeouts are those of `config`.
    pub fn new(config: &SdkConfig, breakers: TableName, parking: TableName, route: &Route) -> Self {
        Self { tables: Arc::new(Tables::new(config)), breakers, parking, name: route.to_string() }
    }
}

impl RouteStore for DynamoRoute {
    async fn read(&self) -> Result<Shared, StoreError> {
        self.read_record().await
    }

    async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        self.write_record(write).await
    }

    async fn park(&self, write: &ParkWrite) -> ParkAnswer {
        self.park_events(write).await
    }

    async fn flags(&self, keys: &[EventKey]) -> Result<Vec<KeyFlag>, StoreError> {
        self.flags_of(keys).await
    }

    async fn first_flags(&self, most: u32) -> Result<Vec<KeyFlag>, StoreError> {
        self.query_flags(most).await
    }

    async fn oldest(&self, key: &EventKey) -> Result<Option<ParkedEvent>, StoreError> {
        self.oldest_of(key).await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.has_nothing().await
    }

    async fn count(&self) -> Result<Counted, StoreError> {
        self.count_events().await
    }

    async fn delete(&self, delete: &DeleteEvent) -> Result<(), StoreError> {
        self.delete_event(delete).await
    }

    async fn clear(&self, clear: &ClearFlag) -> Result<bool, StoreError> {
        self.clear_flag(clear).await
    }

    async fn note(&self, survey: &Survey) -> Result<(), StoreError> {
        self.note_survey(survey).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, sdk_config};
    use breaker::Millis;
    use serde_json::{Value, json};

    fn route(script: &Script) -> DynamoRoute {
        let route = Route { from: "us-west-2".into(), to: "us-east-1".into(), target: "bus".into() };
        let table = |name: &str| name.parse().expect("a table name");
        DynamoRoute::new(&sdk_config(script), table("breakers"), table("parking"), &route)
    }

    fn waits(key: &str, parked_at: u64) -> Value {
        json!({ "event_key": { "S": key }, "parked_at": { "N": parked_at.to_string() } })
    }

    fn page(items: &[Value], goes_on: bool) -> Value {
        let mut page = json!({ "Items": items, "Count": items.len() });
        if goes_on {
            page["LastEvaluatedKey"] =
                json!({ "pk": { "S": "us-west-2#us-east-1#bus" }, "sk": { "S": "event#1#b#1" } });
        }
        page
    }

    #[tokio::test]
    async fn a_count_gives_the_oldest_event_of_all_pages_with_its_key() {
        let script = Script::new()
            .ok(page(&[waits("a", 70), waits("b", 50), waits("b", 40)], true))
            .ok(page(&[waits("c", 30), waits("d", 60)], true))
            .ok(page(&[waits("e", 30)], false));
        let counted = route(&script).count().await;
        let oldest = Some(Oldest { parked_at: Millis(30), key: EventKey("c".into()) });
        assert_eq!(counted, Ok(Counted { events: 6, oldest, is_partial: false }));
        let asked = script.bodies();
        assert_eq!(asked.len(), 3);
        for request in &asked {
            assert_eq!(request["ProjectionExpression"], "parked_at, event_key", "{request}");
            assert_eq!(request["ConsistentRead"], true, "{request}");
        }
        assert_eq!(asked[1]["ExclusiveStartKey"]["sk"]["S"], "event#1#b#1");
    }

    fn one_event() -> ParkWrite {
        let event = ParkedEvent {
            key: EventKey("customers/a".into()),
            position: breaker::Position::new("100").expect("digits"),
            event_id: "id".into(),
            original_at: Millis(1),
            parked_at: Millis(2),
            attempts: 1,
            episode: 3,
            body: b"{}".as_slice().into(),
        };
        ParkWrite::pack(vec![event], &mut breaker::Stamps::new(7)).expect("it fits").remove(0)
    }

    #[tokio::test]
    async fn events_are_parked_in_one_transaction_with_the_count_and_the_flags() {
        let script = Script::new().ok(json!({}));
        assert_eq!(route(&script).park(&one_event()).await, ParkAnswer::Parked);
        let request = &script.bodies()[0];
        let items = request["TransactItems"].as_array().expect("actions");
        let [count, event, flag] = items.as_slice() else { panic!("{request}") };
        assert_eq!(count["Update"]["TableName"], "breakers");
        assert_eq!(count["Update"]["Key"], json!({ "pk": { "S": "us-west-2#us-east-1#bus" } }));
        assert_eq!(count["Update"]["UpdateExpression"], "SET #parks = #parks + :more");
        assert_eq!(count["Update"]["ConditionExpression"], "#lot = :in_use");
        let values = json!({ ":in_use": { "S": "in_use" }, ":more": { "N": "1" } });
        assert_eq!(count["Update"]["ExpressionAttributeValues"], values);
        for put in [event, flag] {
            assert_eq!(put["Put"]["TableName"], "parking");
            assert_eq!(put["Put"]["Item"]["event_key"], json!({ "S": "customers/a" }));
        }
        assert_eq!(event["Put"]["Item"]["body"], json!({ "B": "e30=" }));
    }

    #[tokio::test]
    async fn a_park_that_met_another_one_is_repeated_under_its_token_and_one_that_came_too_late_is_not() {
        let cancelled = |script: Script, codes: &[&str]| {
            let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
            script.error_with(400, "TransactionCanceledException", json!({ "CancellationReasons": reasons }))
        };
        let script = cancelled(Script::new(), &["TransactionConflict", "None", "None"]).ok(json!({}));
        assert_eq!(route(&script).park(&one_event()).await, ParkAnswer::Parked);
        let tokens: Vec<Value> = script.bodies().iter().map(|body| body["ClientRequestToken"].clone()).collect();
        assert!(tokens.len() == 2 && tokens[0] == tokens[1] && tokens[0].is_string(), "{tokens:?}");
        // A condition that doesn't hold counts more than a conflict: the record has to be read anew.
        for codes in [["ConditionalCheckFailed", "None"], ["TransactionConflict", "ConditionalCheckFailed"]] {
            let script = cancelled(Script::new(), &codes);
            assert_eq!(route(&script).park(&one_event()).await, ParkAnswer::Refused, "{codes:?}");
            assert_eq!(script.bodies().len(), 1);
        }
        let denied = Script::new().error(400, "AccessDeniedException");
        assert_eq!(route(&denied).park(&one_event()).await, ParkAnswer::Failed);
    }

    #[tokio::test]
    async fn a_record_is_written_under_its_condition() {
        let open = breaker::State::Open { until: Millis(9), step: 1 };
        let write = |condition| Write {
            next: Shared { version: 4, state: open.clone(), ..Shared::absent() },
            condition,
            transition: None,
        };
        for (condition, expression, value) in [
            (breaker::Condition::Absent, "attribute_not_exists(#pk)", Value::Null),
            (breaker::Condition::Version(3), "#version = :read_version", json!({ "N": "3" })),
            (
                breaker::Condition::VersionAndParks { version: 3, parks: 8 },
                "#version = :read_version AND #parks = :read_parks",
                json!({ "N": "3" }),
            ),
        ] {
            let script = Script::new().error(400, "TransactionConflictException").ok(json!({}));
            assert_eq!(route(&script).write(&write(condition)).await, Ok(true), "{expression}");
            let request = script.bodies().pop().expect("two requests");
            assert_eq!(request["ConditionExpression"], expression);
            assert_eq!(request["ExpressionAttributeValues"][":read_version"], value);
            assert_eq!(request["ExpressionAttributeValues"][":version"], json!({ "N": "4" }));
            let update = request["UpdateExpression"].as_str().expect("a text");
            assert!(update.starts_with("SET #parks = if_not_exists(#parks, :none), "), "{update}");
        }
        let lost = Script::new().error(400, "ConditionalCheckFailedException");
        assert_eq!(route(&lost).write(&write(breaker::Condition::Version(3))).await, Ok(false));
        let broken = route(&Script::new().error(500, "InternalServerError"));
        let error = broken.write(&write(breaker::Condition::Absent)).await.expect_err("no answer");
        assert_eq!(error.operation, "update_item");
    }

    #[tokio::test]
    async fn flags_that_an_answer_left_out_are_asked_for_again() {
        let flag = |key: &str| {
            json!({
                "pk": { "S": "r" }, "sk": { "S": "k" }, "event_key": { "S": key },
                "tail_run": { "N": "1" }, "tail_number": { "N": "2" },
            })
        };
        let left = json!({ "parking": { "Keys": [{ "pk": { "S": "r" }, "sk": { "S": "left" } }] } });
        let script = Script::new()
            .ok(json!({ "Responses": { "parking": [flag("a")] }, "UnprocessedKeys": left }))
            .ok(json!({ "Responses": { "parking": [flag("b")] }, "UnprocessedKeys": {} }));
        let keys = ["a", "b"].map(|key| EventKey(key.into()));
        let flags = route(&script).flags(&keys).await.expect("an answer");
        assert_eq!(flags.iter().map(|flag| &*flag.key.0).collect::<Vec<_>>(), ["a", "b"]);
        let [first, second] = script.bodies().try_into().expect("two requests");
        assert_eq!(first["RequestItems"]["parking"]["ConsistentRead"], true);
        assert_eq!(first["RequestItems"]["parking"]["Keys"].as_array().map(Vec::len), Some(2));
        assert_eq!(second["RequestItems"]["parking"]["Keys"], json!([{ "pk": { "S": "r" }, "sk": { "S": "left" } }]));
    }

    #[tokio::test]
    async fn an_empty_lot_has_no_oldest_event_and_a_crowded_one_is_counted_in_part() {
        assert_eq!(route(&Script::new().ok(page(&[], false))).count().await, Ok(Counted::default()));
        let crowded = (0..20).fold(Script::new(), |script, _| script.ok(page(&[waits("a", 1)], true)));
        let oldest = Some(Oldest { parked_at: Millis(1), key: EventKey("a".into()) });
        assert_eq!(route(&crowded).count().await, Ok(Counted { events: 20, oldest, is_partial: true }));
        assert_eq!(crowded.bodies().len(), 20);
    }

    #[tokio::test]
    async fn a_survey_is_noted_with_its_oldest_event_or_without() {
        let survey = Survey { parks: 7, depth: 2, oldest: Some(Millis(30)), oldest_key: Some(EventKey("c".into())) };
        let script = Script::new().ok(json!({})).ok(json!({}));
        let route = route(&script);
        assert_eq!(route.note(&survey).await, Ok(()));
        assert_eq!(route.note(&Survey { parks: 7, ..Survey::default() }).await, Ok(()));
        let [with, without] = script.bodies().try_into().expect("two requests");
        assert_eq!(with["ExpressionAttributeValues"][":oldest_key"]["S"], "c");
        assert_eq!(with["ExpressionAttributeNames"]["#oldest_key"], "surveyed_oldest_key");
        let update = without["UpdateExpression"].as_str().expect("an expression");
        assert!(update.ends_with("REMOVE #oldest, #oldest_key"), "{update}");
    }
}
