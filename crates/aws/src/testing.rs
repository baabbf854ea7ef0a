//! For tests: an HTTP client that answers by script, and ready values.
//!
//! The SDK's own replay client sits behind a feature that would change how every SDK crate is built.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep, TokioSleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use contracts::{BusName, QueueUrl, Region};
use events::dead_letter::{DeadLetterEvent, RecordEncoding};
use events::{
    ChangeSequence, Entity, EventId, JsonText, Operation, RowChange, RowHead, RowWrite, Timestamp, Trace, Version,
};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

/// Answers to the requests that a test expects, in order. A request beyond them is a lost connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    bodies: Vec<Value>,
}

#[derive(Debug)]
enum Answer {
    Response(u16, String),
    Slow(Duration, String),
    LostConnection,
    Hangs,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Answers with 200 and `body`.
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the many calls")]
    pub(crate) fn ok(self, body: Value) -> Self {
        self.then(Answer::Response(200, body.to_string()))
    }

    /// Answers with 200 and `body` after `pause`.
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the many calls")]
    pub(crate) fn slowly(self, pause: Duration, body: Value) -> Self {
        self.then(Answer::Slow(pause, body.to_string()))
    }

    /// Answers with an error of the AWS JSON protocols.
    pub(crate) fn error(self, status: u16, code: &str) -> Self {
        self.error_with(status, code, json!({}))
    }

    /// Answers with an error that has more members than code and message.
    pub(crate) fn error_with(self, status: u16, code: &str, mut body: Value) -> Self {
        body["__type"] = Value::from(code);
        body["message"] = Value::from("told");
        self.then(Answer::Response(status, body.to_string()))
    }

    pub(crate) fn lost_connection(self) -> Self {
        self.then(Answer::LostConnection)
    }

    pub(crate) fn hangs(self) -> Self {
        self.then(Answer::Hangs)
    }

    /// The bodies of the requests so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.0.lock().expect("not poisoned").bodies.clone()
    }

    fn then(self, answer: Answer) -> Self {
        self.0.lock().expect("not poisoned").answers.push_back(answer);
        self
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.0.lock().expect("not poisoned");
        let body = request.body().bytes().expect("a body in memory");
        state.bodies.push(serde_json::from_slice(body).expect("a JSON body"));
        match state.answers.pop_front().unwrap_or(Answer::LostConnection) {
            Answer::Response(status, body) => {
                let status = StatusCode::try_from(status).expect("a status");
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
            }
            Answer::Slow(pause, body) => HttpConnectorFuture::new(async move {
                tokio::time::sleep(pause).await;
                Ok(HttpResponse::new(StatusCode::try_from(200).expect("a status"), SdkBody::from(body)))
            }),
            Answer::LostConnection => HttpConnectorFuture::ready(Err(ConnectorError::io("connection lost".into()))),
            Answer::Hangs => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

/// A sleep that takes no time and remembers what was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct InstantSleep(Arc<Mutex<Vec<Duration>>>);

impl InstantSleep {
    pub(crate) fn taken(&self) -> Vec<Duration> {
        self.0.lock().expect("not poisoned").clone()
    }
}

impl AsyncSleep for InstantSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        self.0.lock().expect("not poisoned").push(duration);
        Sleep::new(std::future::ready(()))
    }
}

/// A configuration whose requests go to `script`, without retries of the SDK.
pub(crate) fn sdk_config(script: &Script) -> SdkConfig {
    let connector = SharedHttpConnector::new(script.clone());
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(aws_types::region::Region::from_static("us-west-2"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("key", "secret", None, None, "test")))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::disabled())
        .build()
}

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Does `work` and gives back the fields of each line that this thread logs meanwhile, with its message among them.
pub(crate) async fn logged<T>(work: impl Future<Output = T>) -> (T, Vec<Value>) {
    static SUBSCRIBER: Once = Once::new();
    // One for all threads: a line that is first met by a thread without a subscriber would be off for the others, too.
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt().json().with_writer(|| ThreadLog).finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
        tracing::callsite::rebuild_interest_cache();
    });
    LOG.take();
    let done = work.await;
    let text = String::from_utf8(LOG.take()).expect("text");
    let fields = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["fields"].clone();
    (done, text.lines().map(fields).collect())
}

struct ThreadLog;

impl std::io::Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

pub(crate) fn event_bus(name: &str) -> BusName {
    name.parse().expect("a bus name")
}

pub(crate) fn queue_url(url: &str) -> QueueUrl {
    url.parse().expect("a queue URL")
}

pub(crate) fn dead_letter(record: &str) -> DeadLetterEvent {
    DeadLetterEvent {
        program: "stream-processor".to_owned(),
        program_version: "0.0.0".to_owned(),
        region: region("us-west-2"),
        source: "stream".to_owned(),
        position: "100".to_owned(),
        error_class: "undecodable".to_owned(),
        message: "told".to_owned(),
        attempts: 1,
        first_seen: Timestamp::UNIX_EPOCH,
        failed_at: Timestamp::UNIX_EPOCH,
        trace: None,
        trace_id: None,
        traceparent: None,
        record_encoding: RecordEncoding::Json,
        record: JsonText::parse_or_quote(record),
    }
}

/// A write of `change` to one customer, with a version in the middle of things.
pub(crate) fn row_write(change: RowChange) -> RowWrite {
    let (entity, source, key) =
        (Entity::Customers, "qlik-task".parse().expect("a source"), "C-1".parse().expect("a key"));
    let sequence = ChangeSequence::new(Timestamp::UNIX_EPOCH, 7);
    let version = Version::cdc(1, &sequence);
    let head = RowHead {
        event_id: EventId::new(&source, entity, &key, &version),
        entity,
        key,
        source,
        version,
        epoch: 3,
        origin_region: region("us-west-2"),
        operation: Operation::Update,
        committed_at: Timestamp::UNIX_EPOCH,
        trace: Trace {
            task: "qlik-task".to_owned(),
            table: "public.customers".to_owned(),
            change_sequence: sequence.to_string(),
            stream_position: "pos".to_owned(),
            topic: "qlik.customers".to_owned(),
            partition: 2,
            offset: 40,
        },
        traceparent: None,
    };
    RowWrite { head, change }
}
