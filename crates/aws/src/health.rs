//! What a health check does to a region, and where its verdicts are kept and told.
//!
//! A probe uses the data plane, as the programs do: a row written and read back, an event put onto a bus, a message sent
//! and received. Listing resources asks control planes, which fail apart from what the programs need: it is done beside that,
//! for people who want to know, and is no probe.
//! A probe makes one attempt, because a retry would hide what it is meant to find, and it knows no deadline: the caller
//! limits it. A service is as fast as the slowest single call on a connection that is open: how long it takes to open one
//! says how far a region is and not how well. What an outcome means for a region isn't decided here.

use crate::failure::Failure;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use contracts::{BusName, QueueName, Region, TableName};
use events::health::{CANARY, HEALTH_CHECK, SOURCE};
use serde_json::json;
use std::error::Error;
use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

pub use events::health::ProbedService;

mod listing;

/// How long a canary row stays. The next check writes the same row again.
const CANARY_ROW_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Seconds that one request for a message waits for it at the queue.
const RECEIVE_WAIT_SECONDS: i32 = 1;

/// Uses the services of one region, once.
pub trait ProbeRegion: Sync {
    /// Uses `service`, once, as the programs do, and tells how long the slowest single call took, without opening a
    /// connection. It may take for ever; the caller sets a limit.
    ///
    /// # Errors
    /// When the service did not do what it was asked for.
    fn probe(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send;

    /// Asks the control plane of `service` for a name of what there is, and tells how long that took, the opening of a
    /// connection included. It may take for ever; the caller sets a limit.
    ///
    /// # Errors
    /// When there was no answer. That says nothing about the data plane.
    fn list(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send;
}

/// Keeps texts under a key, so that none overwrites one that its writer hasn't seen.
pub trait KeepVerdicts: Sync {
    /// What was kept last under `key`, if there is something.
    ///
    /// # Errors
    /// When the store did not answer.
    fn load(&self, key: &str) -> impl Future<Output = Result<Option<KeptText>, HealthError>> + Send;

    /// Keeps `kept` under `key`, at least until `expires_at`, if nothing is there or what is there has the stamp `seen`.
    ///
    /// # Errors
    /// When the store did not take it, or gave no answer.
    fn keep(
        &self,
        key: &str,
        kept: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> impl Future<Output = Result<Keeping, HealthError>> + Send;
}

/// A text with the number that tells it from what was kept before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptText {
    /// The text.
    pub text: String,
    /// The number.
    pub stamp: u64,
}

/// What became of a text that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It is kept.
    Kept,
    /// Something else is there that the writer hasn't seen; it stays.
    Overtaken,
}

/// Tells the outcome of a check.
pub trait AnnounceHealth: Sync {
    /// Puts a health check event with this detail, a JSON object, onto the bus.
    ///
    /// # Errors
    /// When the bus did not take it, or gave no answer.
    fn announce(&self, detail: &str) -> impl Future<Output = Result<(), HealthError>> + Send;
}

impl<P: ProbeRegion> ProbeRegion for &P {
    fn probe(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send {
        (**self).probe(service)
    }

    fn list(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send {
        (**self).list(service)
    }
}

impl<K: KeepVerdicts> KeepVerdicts for &K {
    fn load(&self, key: &str) -> impl Future<Output = Result<Option<KeptText>, HealthError>> + Send {
        (**self).load(key)
    }

    fn keep(
        &self,
        key: &str,
        kept: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> impl Future<Output = Result<Keeping, HealthError>> + Send {
        (**self).keep(key, kept, seen, expires_at)
    }
}

impl<A: AnnounceHealth> AnnounceHealth for &A {
    fn announce(&self, detail: &str) -> impl Future<Output = Result<(), HealthError>> + Send {
        (**self).announce(detail)
    }
}

/// Why a service did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthError {
    /// The call failed.
    #[error("{code}: {message}")]
    Failed {
        /// The service's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
    },
    /// What was written is not what was read.
    #[error("the table did not give back the row that was just written")]
    NotReadBack,
    /// The caller's limit came first.
    #[error("no answer within {} ms", limit.as_millis())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
}

impl HealthError {
    /// A word for metrics.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "failed",
            Self::NotReadBack => "not_read_back",
            Self::Timeout { .. } => "timeout",
        }
    }
}

impl From<Failure> for HealthError {
    fn from(Failure { code, message, .. }: Failure) -> Self {
        Self::Failed { code, message }
    }
}

/// The services of one region, as they are seen from another or the same region.
#[derive(Clone, Debug)]
pub struct RegionProbes {
    observer: Region,
    region: Region,
    table: TableName,
    bus: BusName,
    queue: QueueName,
    dynamodb: aws_sdk_dynamodb::Client,
    eventbridge: aws_sdk_eventbridge::Client,
    sqs: aws_sdk_sqs::Client,
}

/// How long the slowest of several calls took.
#[derive(Debug, Default)]
struct Slowest(Duration);

impl Slowest {
    async fn of<T>(&mut self, call: impl Future<Output = Result<T, HealthError>>) -> Result<T, HealthError> {
        let started = Instant::now();
        let output = call.await;
        self.0 = self.0.max(started.elapsed());
        output
    }
}

impl RegionProbes {
    /// Probes of `region` by a checker in `observer`; `config` must be for `region`. Its retries are turned off.
    /// Between two checks its connections should be given up, as [`crate::config::with_fresh_connections`] does.
    pub fn new(
        config: &SdkConfig,
        observer: Region,
        region: Region,
        table: TableName,
        bus: BusName,
        queue: QueueName,
    ) -> Self {
        let config = config.to_builder().retry_config(RetryConfig::disabled()).build();
        Self {
            observer,
            region,
            table,
            bus,
            queue,
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            eventbridge: aws_sdk_eventbridge::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
        }
    }

    /// Writes the observer's canary row and reads it back. The row is read before, which opens the connection.
    async fn probe_table(&self) -> Result<Duration, HealthError> {
        let mut slowest = Slowest::default();
        self.read_canary().await?;
        let now = since_epoch(SystemTime::now());
        let written = now.as_nanos();
        let put = self
            .dynamodb
            .put_item()
            .table_name(self.table.as_str())
            .item("pk", self.canary_key())
            .item("written_at", AttributeValue::N(written.to_string()))
            .item("expires_at", AttributeValue::N((now + CANARY_ROW_LIFE).as_secs().to_string()));
        slowest.of(called(put.send())).await?;
        match slowest.of(self.read_canary()).await? {
            // Another check of the same observer may have written since.
            Some(read) if read >= written => Ok(slowest.0),
            _ => Err(HealthError::NotReadBack),
        }
    }

    /// When the observer's canary row was written, in nanoseconds since 1970.
    async fn read_canary(&self) -> Result<Option<u128>, HealthError> {
        let get = self.dynamodb.get_item().table_name(self.table.as_str()).key("pk", self.canary_key());
        let output = called(get.consistent_read(true).send()).await?;
        let read = output.item().and_then(|item| item.get("written_at")).and_then(|value| value.as_n().ok());
        Ok(read.and_then(|text| text.parse().ok()))
    }

    fn canary_key(&self) -> AttributeValue {
        AttributeValue::S(format!("canary#{}", self.observer))
    }

    /// Puts an event onto the bus, and another before it, which opens the connection: a bus knows no other call that the
    /// programs make.
    async fn probe_bus(&self) -> Result<Duration, HealthError> {
        let detail = json!({ "observer_region": self.observer.as_str(), "region": self.region.as_str() }).to_string();
        put_event(&self.eventbridge, &self.bus, CANARY, &detail).await?;
        let mut slowest = Slowest::default();
        slowest.of(put_event(&self.eventbridge, &self.bus, CANARY, &detail)).await?;
        Ok(slowest.0)
    }

    /// Sends a message, receives one and deletes it. The queue's URL is asked for before, which opens the connection.
    ///
    /// The message received may be another observer's, which then receives this one: there are as many messages as
    /// receivers, so nobody waits in vain.
    async fn probe_queue(&self) -> Result<Duration, HealthError> {
        let mut slowest = Slowest::default();
        let url = &self.ask_queue_url().await?;
        let body = json!({ "observer_region": self.observer.as_str() }).to_string();
        slowest.of(called(self.sqs.send_message().queue_url(url).message_body(body).send())).await?;
        loop {
            let receive = self.sqs.receive_message().queue_url(url).max_number_of_messages(1);
            let received = slowest.of(called(receive.wait_time_seconds(RECEIVE_WAIT_SECONDS).send())).await?;
            if let Some(handle) = received.messages().first().and_then(|message| message.receipt_handle()) {
                slowest.of(called(self.sqs.delete_message().queue_url(url).receipt_handle(handle).send())).await?;
                return Ok(slowest.0);
            }
        }
    }

    async fn ask_queue_url(&self) -> Result<String, HealthError> {
        let url = called(self.sqs.get_queue_url().queue_name(self.queue.as_str()).send()).await?.queue_url;
        url.ok_or_else(|| HealthError::Failed {
            code: "UnreadableResponse".to_owned(),
            message: "the answer has no queue URL".to_owned(),
        })
    }
}

impl ProbeRegion for RegionProbes {
    async fn probe(&self, service: ProbedService) -> Result<Duration, HealthError> {
        match service {
            ProbedService::DynamoDb => self.probe_table().await,
            ProbedService::EventBridge => self.probe_bus().await,
            ProbedService::Sqs => self.probe_queue().await,
        }
    }

    async fn list(&self, service: ProbedService) -> Result<Duration, HealthError> {
        self.list_names(service).await
    }
}

/// What a call of the SDK gives.
async fn called<T, E>(call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>) -> Result<T, HealthError>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    call.await.map_err(|error| Failure::of(&error).into())
}

/// Verdicts in a table: `pk` is the key, `body` the text, `stamp` its number, `expires_at` the time to live in epoch seconds.
#[derive(Clone, Debug)]
pub struct VerdictTable {
    client: aws_sdk_dynamodb::Client,
    table: TableName,
}

impl VerdictTable {
    /// Verdicts in `table`; `config` must be for the table's region.
    pub fn new(config: &SdkConfig, table: TableName) -> Self {
        Self { client: aws_sdk_dynamodb::Client::new(config), table }
    }
}

impl KeepVerdicts for VerdictTable {
    async fn load(&self, key: &str) -> Result<Option<KeptText>, HealthError> {
        let key = AttributeValue::S(key.to_owned());
        let get = self.client.get_item().table_name(self.table.as_str()).key("pk", key).consistent_read(true);
        let Some(item) = called(get.send()).await?.item else { return Ok(None) };
        let text = item.get("body").and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        let stamp = item.get("stamp").and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok());
        Ok(Some(KeptText { text, stamp: stamp.unwrap_or_default() }))
    }

    async fn keep(
        &self,
        key: &str,
        kept: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> Result<Keeping, HealthError> {
        let put = self
            .client
            .put_item()
            .table_name(self.table.as_str())
            .item("pk", AttributeValue::S(key.to_owned()))
            .item("body", AttributeValue::S(kept.text.clone()))
            .item("stamp", AttributeValue::N(kept.stamp.to_string()))
            .item("expires_at", AttributeValue::N(since_epoch(expires_at).as_secs().to_string()));
        // Its own stamp is there when an attempt was carried out whose answer got lost.
        let put = put.expression_attribute_values(":own", AttributeValue::N(kept.stamp.to_string()));
        let put = match seen {
            None => put.condition_expression("attribute_not_exists(pk) OR stamp = :own"),
            Some(seen) => put
                .condition_expression(
                    "attribute_not_exists(pk) OR attribute_not_exists(stamp) OR stamp = :own OR stamp = :seen",
                )
                .expression_attribute_values(":seen", AttributeValue::N(seen.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(Keeping::Kept),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(Keeping::Overtaken)
            }
            Err(error) => Err(Failure::of(&error).into()),
        }
    }
}

/// The region's own bus, for outcomes of checks.
#[derive(Clone, Debug)]
pub struct HealthBus {
    client: aws_sdk_eventbridge::Client,
    bus: BusName,
    region: Region,
}

impl HealthBus {
    /// Outcomes go to `bus` in `region`; `config` must be for that region.
    pub fn new(config: &SdkConfig, region: Region, bus: BusName) -> Self {
        Self { client: aws_sdk_eventbridge::Client::new(config), bus, region }
    }
}

impl AnnounceHealth for HealthBus {
    async fn announce(&self, detail: &str) -> Result<(), HealthError> {
        put_event(&self.client, &self.bus, HEALTH_CHECK, detail).await?;
        telemetry::EVENTBRIDGE_EVENTS_PUBLISHED_TOTAL.inc(&[self.region.as_str(), HEALTH_CHECK]);
        Ok(())
    }
}

async fn put_event(
    client: &aws_sdk_eventbridge::Client,
    bus: &BusName,
    detail_type: &str,
    detail: &str,
) -> Result<(), HealthError> {
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(bus.as_str())
        .source(SOURCE)
        .detail_type(detail_type)
        .detail(detail)
        .build();
    let output = called(client.put_events().entries(entry).send()).await?;
    let failed = |code: &str, message: &str| HealthError::Failed { code: code.to_owned(), message: message.to_owned() };
    match output.entries() {
        [entry] => match (entry.error_code(), entry.event_id()) {
            (Some(code), _) => Err(failed(code, entry.error_message().unwrap_or("no message was given"))),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(failed("UnreadableResponse", "the answer has neither an id nor an error")),
        },
        entries => {
            Err(failed("UnreadableResponse", &format!("the answer has {} entries for one event", entries.len())))
        }
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, event_bus, region, sdk_config};
    use serde_json::Value;

    const URL: &str = "http://127.0.0.1/000000000000/canaries";

    pub(super) fn probes(script: &Script) -> RegionProbes {
        let table = "tandem-test-health".parse().expect("a table");
        let queue = "canaries".parse().expect("a queue");
        RegionProbes::new(&sdk_config(script), region("us-west-2"), region("us-east-1"), table, event_bus("bus"), queue)
    }

    fn row(written_at: &str) -> Value {
        json!({ "Item": { "pk": { "S": "canary#us-west-2" }, "written_at": { "N": written_at } } })
    }

    #[tokio::test]
    async fn a_row_is_written_and_read_back_consistently() {
        let script = Script::new().ok(json!({})).ok(json!({})).ok(row("99999999999999999999"));
        probes(&script).probe(ProbedService::DynamoDb).await.expect("it works");
        let [opening, put, get] = &script.bodies()[..] else { panic!("three requests") };
        assert_eq!(opening, get);
        assert_eq!(put["TableName"], "tandem-test-health");
        assert_eq!(put["Item"]["pk"], json!({ "S": "canary#us-west-2" }), "each observer has a row of its own");
        let nanos: u128 = put["Item"]["written_at"]["N"].as_str().expect("a number").parse().expect("a number");
        let expires_at: u128 = put["Item"]["expires_at"]["N"].as_str().expect("a number").parse().expect("a number");
        assert_eq!(expires_at, nanos / 1_000_000_000 + 24 * 3600);
        assert_eq!(
            (&get["ConsistentRead"], &get["Key"]),
            (&json!(true), &json!({ "pk": { "S": "canary#us-west-2" } }))
        );
    }

    #[tokio::test]
    async fn a_row_that_is_old_or_missing_is_no_success() {
        for answer in [row("1"), json!({})] {
            let script = Script::new().ok(json!({})).ok(json!({})).ok(answer);
            assert_eq!(probes(&script).probe(ProbedService::DynamoDb).await, Err(HealthError::NotReadBack));
        }
    }

    fn taken() -> Value {
        json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }] })
    }

    #[tokio::test]
    async fn an_event_is_put_on_a_connection_that_is_open() {
        let script = Script::new().ok(taken()).ok(taken());
        probes(&script).probe(ProbedService::EventBridge).await.expect("it works");
        let bodies = script.bodies();
        assert_eq!((bodies.len(), &bodies[0]), (2, &bodies[1]));
        let entry = &bodies[1]["Entries"][0];
        assert_eq!((&entry["Source"], &entry["DetailType"]), (&json!(SOURCE), &json!(CANARY)));
        let detail: Value = serde_json::from_str(entry["Detail"].as_str().expect("text")).expect("JSON");
        assert_eq!(detail, json!({ "observer_region": "us-west-2", "region": "us-east-1" }));
    }

    #[tokio::test]
    async fn an_entry_that_failed_is_a_failure() {
        let answers = [
            json!({ "FailedEntryCount": 1, "Entries": [{ "ErrorCode": "InternalFailure", "ErrorMessage": "told" }] }),
            json!({ "FailedEntryCount": 0, "Entries": [{}] }),
            json!({ "FailedEntryCount": 0, "Entries": [] }),
        ];
        for answer in answers {
            for script in [Script::new().ok(answer.clone()), Script::new().ok(taken()).ok(answer.clone())] {
                assert!(probes(&script).probe(ProbedService::EventBridge).await.is_err(), "{answer}");
            }
        }
    }

    #[tokio::test]
    async fn a_message_goes_through_the_queue_and_is_deleted() {
        let script = Script::new()
            .ok(json!({ "QueueUrl": URL }))
            .ok(json!({ "MessageId": "m-1" }))
            .ok(json!({}))
            .ok(json!({ "Messages": [{ "MessageId": "m-1", "ReceiptHandle": "h-1" }] }))
            .ok(json!({}));
        probes(&script).probe(ProbedService::Sqs).await.expect("it works");
        let bodies = script.bodies();
        assert_eq!(bodies[0], json!({ "QueueName": "canaries" }));
        assert_eq!(bodies.len(), 5, "an empty answer is asked again");
        assert_eq!(bodies[4], json!({ "QueueUrl": URL, "ReceiptHandle": "h-1" }));
    }

    #[tokio::test]
    async fn a_service_is_as_fast_as_its_slowest_call_on_an_open_connection() {
        let pause = Duration::from_millis(60);
        let message = json!({ "Messages": [{ "MessageId": "m-1", "ReceiptHandle": "h-1" }] });
        let slow = |script: Script, answers: &[Value]| {
            answers.iter().cloned().fold(script, |script, answer| script.slowly(pause, answer))
        };
        let cases = [
            (ProbedService::DynamoDb, slow(Script::new(), &[json!({}), json!({}), row("99999999999999999999")])),
            (ProbedService::EventBridge, slow(Script::new(), &[taken(), taken()])),
            (
                ProbedService::Sqs,
                slow(Script::new(), &[json!({ "QueueUrl": URL }), json!({ "MessageId": "m-1" }), message, json!({})]),
            ),
        ];
        for (service, script) in cases {
            let started = Instant::now();
            let slowest = probes(&script).probe(service).await.expect("it works");
            // Each of the other calls, the one that opens the connection among them, took `pause` at least.
            let others = pause * u32::try_from(script.bodies().len() - 1).expect("a few");
            assert!(slowest >= pause && slowest <= started.elapsed() - others, "{service:?}: {slowest:?}");
        }
    }

    #[tokio::test]
    async fn opening_a_connection_does_not_count() {
        let pause = Duration::from_millis(60);
        let script = Script::new().slowly(pause, taken()).ok(taken());
        let started = Instant::now();
        let slowest = probes(&script).probe(ProbedService::EventBridge).await.expect("it works");
        assert!(slowest <= started.elapsed() - pause, "{slowest:?}");
    }

    #[tokio::test]
    async fn a_probe_makes_one_attempt() {
        for service in ProbedService::ALL {
            let script = Script::new().error(500, "InternalServerError").ok(json!({}));
            assert!(probes(&script).probe(service).await.is_err());
            assert_eq!(script.bodies().len(), 1, "{service:?}");
        }
    }

    #[tokio::test]
    async fn verdicts_come_back_as_they_were_kept() {
        let item = json!({
            "pk": { "S": "verdict#a" }, "body": { "S": "text" }, "stamp": { "N": "7" }, "expires_at": { "N": "5" },
        });
        let script = Script::new().ok(json!({})).ok(json!({ "Item": item })).ok(json!({})).lost_connection();
        let table = VerdictTable::new(&sdk_config(&script), "tandem-test-health".parse().expect("a table"));
        let kept = KeptText { text: "text".to_owned(), stamp: 7 };
        let expires_at = UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(table.keep("verdict#a", &kept, None, expires_at).await, Ok(Keeping::Kept));
        assert_eq!(table.load("verdict#a").await, Ok(Some(kept)));
        assert_eq!(table.load("verdict#b").await, Ok(None));
        assert!(table.load("verdict#a").await.is_err(), "no answer is not absence");
        assert_eq!(script.bodies()[0]["Item"], item);
    }

    #[tokio::test]
    async fn a_verdict_overwrites_only_what_its_maker_has_seen() {
        let script = Script::new()
            .error(400, "ConditionalCheckFailedException")
            .ok(json!({}))
            .error(400, "ConditionalCheckFailedException")
            .error(500, "InternalServerError");
        let table = VerdictTable::new(&sdk_config(&script), "tandem-test-health".parse().expect("a table"));
        let kept = KeptText { text: "text".to_owned(), stamp: 7 };
        let keep = |seen| table.keep("verdict#a", &kept, seen, UNIX_EPOCH);
        assert_eq!(keep(None).await, Ok(Keeping::Overtaken));
        assert_eq!(keep(Some(6)).await, Ok(Keeping::Kept));
        assert_eq!(keep(Some(6)).await, Ok(Keeping::Overtaken));
        assert!(keep(Some(6)).await.is_err());
        let bodies = script.bodies();
        assert_eq!(bodies[0]["ConditionExpression"], "attribute_not_exists(pk) OR stamp = :own");
        assert_eq!(bodies[0]["ExpressionAttributeValues"], json!({ ":own": { "N": "7" } }));
        let condition = "attribute_not_exists(pk) OR attribute_not_exists(stamp) OR stamp = :own OR stamp = :seen";
        assert_eq!(bodies[1]["ConditionExpression"], condition);
        assert_eq!(bodies[1]["ExpressionAttributeValues"], json!({ ":own": { "N": "7" }, ":seen": { "N": "6" } }));
    }

    #[tokio::test]
    async fn outcomes_go_to_the_bus() {
        let script = Script::new().ok(json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }] }));
        let bus = HealthBus::new(&sdk_config(&script), region("us-west-2"), event_bus("bus"));
        bus.announce("{\"overall\":\"healthy\"}").await.expect("taken");
        let expected = json!({
            "Source": SOURCE, "DetailType": HEALTH_CHECK, "Detail": "{\"overall\":\"healthy\"}", "EventBusName": "bus",
        });
        assert_eq!(script.bodies()[0]["Entries"][0], expected);
    }
}
