//! The calls against an endpoint that writes down what it is asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::*;
use crate::deploy::{Endpoint, connect};
use crate::redrive::tests::{environment, region};

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// What AWS would answer to this operation with this body.
fn answer(operation: &str, body: &Value) -> (HeaderMap, String) {
    let mut headers = HeaderMap::new();
    let answer = match operation {
        "GetQueueUrl" => json!({"QueueUrl": format!("http://queue/{}", body["QueueName"].as_str().expect("a name"))}),
        "GetQueueAttributes" => json!({"Attributes": {
            "ApproximateNumberOfMessages": "12",
            "ApproximateNumberOfMessagesNotVisible": "3",
        }}),
        "ReceiveMessage" => json!({"Messages": [
            {"MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "{}", "Attributes": {"SentTimestamp": "1772600767000"}},
            {"MessageId": "m-2", "ReceiptHandle": "r-2", "Body": "no time"},
        ]}),
        "PutEvents" if body["Entries"][0]["Detail"] == "bad" => {
            json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "MalformedDetail", "ErrorMessage": "no JSON"}]})
        }
        "PutEvents" => json!({"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}),
        "SendMessage" => json!({"MessageId": "m-3"}),
        "invocations" if body["fail"] == true => {
            headers.insert("x-amz-function-error", "Unhandled".parse().expect("a value"));
            json!({"errorMessage": "panicked"})
        }
        "invocations" => json!({"batchItemFailures": []}),
        _ => json!({}),
    };
    (headers, answer.to_string())
}

/// The region that a request was signed for.
fn signed_for(headers: &HeaderMap) -> String {
    let signature = headers["authorization"].to_str().expect("text");
    signature.split('/').nth(2).expect("key, day, region").to_owned()
}

/// An endpoint on a port of its own, and what it is asked: the operation, or a path's last part, with the body.
async fn endpoint() -> (Endpoint, Asked) {
    let asked = Asked::default();
    let book = asked.clone();
    let handler = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.map_or_else(|| uri.path().to_owned(), str::to_owned);
        let operation = operation.rsplit(['.', '/']).next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let name = match operation.as_str() {
            "invocations" => uri.path().to_owned(),
            "PutEvents" => format!("{operation} in {}", signed_for(&headers)),
            _ => operation.clone(),
        };
        book.lock().expect("no panic").push((name, body.clone()));
        answer(&operation, &body)
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = axum::serve(listener, Router::new().fallback(handler));
    tokio::spawn(server.into_future());
    let key = || "test".to_owned();
    (Endpoint::Local { url, access_key: key(), secret_key: key() }, asked)
}

/// Runs `calls` on the router's letters in the home region; gives what was asked after the queues were found.
async fn asked(calls: impl AsyncFnOnce(&Deployed<'_>)) -> Vec<(String, Value)> {
    let environment = environment();
    let (endpoint, asked) = endpoint().await;
    let clouds = connect(&environment, endpoint).await;
    let queue = Queue { region: region("us-west-2"), name: "event-router-dead-letters".to_owned() };
    let port = Deployed::find(&clouds, &environment, &queue).await.expect("it is there");
    calls(&port).await;
    let asked = asked.lock().expect("no panic");
    let names: Vec<&Value> = asked[..2].iter().map(|(_, body)| &body["QueueName"]).collect();
    assert_eq!(names, ["tandem-sandbox-event-router-dead-letters", "tandem-sandbox-raw-events"]);
    asked[2..].to_vec()
}

const URL: &str = "http://queue/tandem-sandbox-event-router-dead-letters";

#[tokio::test]
async fn messages_are_received_with_their_time_hidden_and_deleted() {
    let asked = asked(async |port| {
        let messages = port.receive(Duration::from_secs(300)).await.expect("messages");
        let sent_at = Timestamp::from_millisecond(1_772_600_767_000).ok();
        let message = |id: &str, receipt: &str, body: &str, sent_at| Received {
            id: id.to_owned(),
            receipt: receipt.to_owned(),
            body: body.to_owned(),
            sent_at,
        };
        assert_eq!(messages, [message("m-1", "r-1", "{}", sent_at), message("m-2", "r-2", "no time", None)]);
        let receipts: Vec<String> = (0..11).map(|index| format!("r-{index}")).collect();
        port.hide(&receipts, Duration::ZERO).await.expect("shown");
        port.hide(&[], Duration::ZERO).await.expect("nothing to ask");
        port.delete("r-1").await.expect("deleted");
    });
    let asked = asked.await;
    let names: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
    let hide = "ChangeMessageVisibilityBatch";
    assert_eq!(names, ["ReceiveMessage", hide, hide, "DeleteMessage"], "ten messages a request");
    let expected = json!({
        "QueueUrl": URL,
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 2,
        "VisibilityTimeout": 300,
        "MessageSystemAttributeNames": ["SentTimestamp"],
    });
    assert_eq!(asked[0].1, expected);
    assert_eq!(asked[2].1["Entries"], json!([{"Id": "0", "ReceiptHandle": "r-10", "VisibilityTimeout": 0}]));
    assert_eq!(asked[3].1, json!({"QueueUrl": URL, "ReceiptHandle": "r-1"}));
}

#[tokio::test]
async fn a_function_is_run_by_its_deployed_name_and_its_failure_is_seen() {
    let asked = asked(async |port| {
        let answer = port.invoke("event-router", r#"{"Records":[1.50]}"#).await.expect("an answer");
        assert_eq!((answer.function_error, answer.payload.as_str()), (None, r#"{"batchItemFailures":[]}"#));
        let answer = port.invoke("event-router", r#"{"fail":true}"#).await.expect("an answer");
        assert_eq!(answer.function_error.as_deref(), Some("Unhandled"));
        assert!(answer.payload.contains("panicked"));
    });
    let path = "/2015-03-31/functions/tandem-sandbox-event-router/invocations";
    let path = path.to_owned();
    assert_eq!(asked.await, [(path.clone(), json!({"Records": [1.50]})), (path, json!({"fail": true}))]);
}

#[tokio::test]
async fn envelopes_go_to_the_bus_and_raw_events_to_their_queue() {
    let asked = asked(async |port| {
        let taken = port.publish(&region("us-east-1"), "{}").await.expect("an answer");
        assert_eq!(taken, Entry { event_id: Some("e-1".to_owned()), error: None });
        let refused = port.publish(&region("us-east-1"), "bad").await.expect("an answer");
        assert_eq!(refused.error, Some(("MalformedDetail".to_owned(), "no JSON".to_owned())));
        port.send("a body").await.expect("sent");
    });
    let asked = asked.await;
    let entry = json!({
        "EventBusName": "tandem-sandbox-events",
        "Source": "tandem.cross-region",
        "DetailType": "CrossRegionEvent",
        "Detail": "{}",
    });
    assert_eq!(asked[0], ("PutEvents in us-east-1".to_owned(), json!({"Entries": [entry]})));
    let sent = json!({"QueueUrl": "http://queue/tandem-sandbox-raw-events", "MessageBody": "a body"});
    assert_eq!(asked[2], ("SendMessage".to_owned(), sent));
}

#[tokio::test]
async fn a_queue_is_counted() {
    let environment = environment();
    let clouds = connect(&environment, endpoint().await.0).await;
    let queue = Queue { region: region("us-east-1"), name: "raw-events-dead-letters".to_owned() };
    let held = count(&clouds, &environment, &queue).await.expect("an answer");
    assert_eq!(held, Held { waiting: 12, hidden: 3 });
}
