//! Using a region's services as the programs do.

use super::bus::put_event;
use super::{HealthError, ProbeRegion, ProbedService, called, since_epoch};
use crate::tables::{Done, Found, GetItem, Operation, PutItem, Tables, item};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use contracts::{BusName, QueueName, Region, TableName};
use events::AttributeValue;
use events::health::CANARY;
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long a canary row stays. The next check writes the same row again.
const CANARY_ROW_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Seconds that one request for a message waits for it at the queue.
const RECEIVE_WAIT_SECONDS: i32 = 1;

/// The services of one region, as they are seen from another or the same region.
#[derive(Clone, Debug)]
pub struct RegionProbes {
    observer: Region,
    region: Region,
    table: TableName,
    bus: BusName,
    queue: QueueName,
    pub(super) tables: Arc<Tables>,
    pub(super) eventbridge: aws_sdk_eventbridge::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
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
            tables: Arc::new(Tables::new(&config)),
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
        let row = item([
            ("pk", self.canary_key()),
            ("written_at", AttributeValue::N(written.to_string())),
            ("expires_at", AttributeValue::N((now + CANARY_ROW_LIFE).as_secs().to_string())),
        ]);
        let put = PutItem::of(&self.table, row);
        let Done {} = slowest.of(async { Ok(self.tables.call(Operation::PUT_ITEM, &put).await?) }).await?;
        match slowest.of(self.read_canary()).await? {
            // Another check of the same observer may have written since.
            Some(read) if read >= written => Ok(slowest.0),
            _ => Err(HealthError::NotReadBack),
        }
    }

    /// When the observer's canary row was written, in nanoseconds since 1970.
    async fn read_canary(&self) -> Result<Option<u128>, HealthError> {
        let get = GetItem::of(&self.table, item([("pk", self.canary_key())]));
        let Found { item } = self.tables.call(Operation::GET_ITEM, &get).await?;
        let written = item.and_then(|mut item| item.remove("written_at"));
        Ok(written.and_then(|written| written.as_number()?.parse().ok()))
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Script, event_bus, region, sdk_config};
    use events::health::SOURCE;
    use serde_json::Value;

    const URL: &str = "http://127.0.0.1/000000000000/canaries";

    pub(in crate::health) fn probes(script: &Script) -> RegionProbes {
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
}
