//! Events as Lambda hands them over, of the kinds that the functions get.
//!
//! They are made as the real ones are: rows from made-up columns (`samples`), a bus's message around a client's event, an
//! HTTP API's request around a token.

use events::domain::Mapped;
use events::stream::Record;
use events::{DomainEvent, Entity, Region};
use samples::Set;
use serde_json::{Value, json};

/// The region that the functions run in.
const REGION: &str = "us-west-2";

/// A request of an HTTP API (payload format 2.0) that is to be decided on.
pub fn authorization(token: &str) -> Vec<u8> {
    let arn = "arn:aws:execute-api:us-west-2:000000000000:a1b2c3d4e5/$default/POST/events";
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": arn,
        "identitySource": [format!("Bearer {token}")],
        "routeKey": "POST /events",
        "rawPath": "/events",
        "rawQueryString": "",
        "headers": {
            "accept": "application/json",
            "accept-encoding": "gzip, br",
            "authorization": format!("Bearer {token}"),
            "content-length": "512",
            "content-type": "application/json",
            "host": "api.example.com",
            "user-agent": "example-client/4.2.0",
            "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "a1b2c3d4e5",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": "/events",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "example-client/4.2.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /events",
            "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000",
            "timeEpoch": 1_773_119_783_000_u64,
        },
        "pathParameters": null,
        "stageVariables": null,
    })
    .to_string()
    .into_bytes()
}

/// Batches of a table's stream with `size` records each: changes of the region's own, each of another thing.
///
/// # Panics
/// Never: samples are changes of known tables.
pub fn stream_batches(size: usize, count: usize) -> Vec<Vec<u8>> {
    let region = Region::new(REGION).expect("invariant: a region's name");
    // A tenth are deletions and a fifth the other region's; there are more than enough.
    let changes = samples::records(Set::HeldOut, Entity::Orders, size * count * 3);
    let is_told = |record: &Record| matches!(DomainEvent::from_record(record, &region), Ok(Mapped::Event(event)) if event.data.is_some());
    let records: Vec<Value> = changes.into_iter().filter(is_told).enumerate().map(as_delivered).collect();
    records.chunks_exact(size).take(count).map(|batch| json!({ "Records": batch }).to_string().into_bytes()).collect()
}

/// A record with what Lambda adds to the change.
fn as_delivered((index, mut record): (usize, Record)) -> Value {
    record.event_id = Some(format!("{index:032x}"));
    record.aws_region = Some(REGION.to_owned());
    record.change.sequence_number = (100_000_000_000_000_000_000_u128 + index as u128).to_string();
    if let Some(pk) = record.change.new_image.as_ref().and_then(|image| image.get("pk")) {
        record.change.keys.insert("pk".to_owned(), pk.clone());
    }
    let mut record = json!(record);
    record["eventVersion"] = json!("1.1");
    record["eventSource"] = json!("aws:dynamodb");
    record["dynamodb"]["ApproximateCreationDateTime"] = json!(1_776_070_800);
    record["dynamodb"]["SizeBytes"] = json!(1500);
    record["dynamodb"]["StreamViewType"] = json!("NEW_AND_OLD_IMAGES");
    record
}

/// A batch of a queue with `size` messages, each a client's event as the bus put it into the queue.
pub fn queue_batch(size: usize) -> Vec<u8> {
    let records: Vec<Value> = (0..size).map(message).collect();
    json!({ "Records": records }).to_string().into_bytes()
}

fn message(index: usize) -> Value {
    let lines: Vec<Value> = (0..4)
        .map(|line| json!({ "sku": format!("SKU-{index}-{line}"), "quantity": line + 1, "price": 19.95 }))
        .collect();
    let event = json!({
        "event_id": format!("919108f7-52d1-4320-9bac-{index:012x}"),
        "event_type": "order.placed",
        "source_region": "eu-west-1",
        "timestamp": "2026-03-04T06:06:00+01:00",
        "correlation_id": "2f1a3c9e-3a1e-4a3a-8f5e-0c7d8a9b1c2d",
        "email": "Somebody.Else@Example.COM",
        "data": {
            "order_id": format!("O-{index}"),
            "customer_id": "C-20451",
            "currency": "EUR",
            "total": 199.5,
            "channel": "web",
            "placed_at": "2026-03-04T06:05:59+01:00",
            "lines": lines,
        },
    });
    let body = json!({
        "version": "0",
        "id": format!("6a7e8feb-b491-4cf7-a9f1-{index:012x}"),
        "detail-type": "RawEvent",
        "source": "tandem.api",
        "account": "000000000000",
        "time": "2026-03-04T05:06:07Z",
        "region": REGION,
        "resources": [],
        "detail": event,
    });
    json!({
        "messageId": format!("059f36b4-87a3-44ab-83d2-{index:012x}"),
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": body.to_string(),
        "attributes": {
            "ApproximateFirstReceiveTimestamp": "1772600767010",
            "ApproximateReceiveCount": "1",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "SentTimestamp": "1772600767000",
        },
        "messageAttributes": {},
        "md5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:tandem-bench-raw-events",
        "awsRegion": REGION,
    })
}

/// The schedule's wish for a check.
pub fn schedule() -> Vec<u8> {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "000000000000",
        "time": "2026-03-04T05:06:00Z",
        "region": REGION,
        "resources": ["arn:aws:scheduler:us-west-2:000000000000:schedule/tandem-bench/health-checker"],
        "detail": {},
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_batch_has_its_size_and_its_records_are_told() {
        let region = Region::new(REGION).expect("a name");
        for (size, count) in [(1, 20), (100, 2)] {
            let batches = stream_batches(size, count);
            assert_eq!(batches.len(), count);
            for batch in batches {
                let batch: Value = serde_json::from_slice(&batch).expect("JSON");
                let records = batch["Records"].as_array().expect("records");
                assert_eq!(records.len(), size);
                let mut places = BTreeSet::new();
                for record in records {
                    let bytes = record.to_string().len();
                    assert!((1_500..3_000).contains(&bytes), "{bytes}: {record}");
                    let record: Record = serde_json::from_value(record.clone()).expect("a record");
                    assert!(places.insert(record.change.sequence_number.clone()), "each has a place of its own");
                    assert!(matches!(DomainEvent::from_record(&record, &region), Ok(Mapped::Event(_))));
                }
            }
        }
    }

    #[test]
    fn a_message_holds_a_client_event_of_about_a_kilobyte() {
        let batch: Value = serde_json::from_slice(&queue_batch(3)).expect("JSON");
        let bodies: Vec<&str> =
            batch["Records"].as_array().expect("records").iter().filter_map(|r| r["body"].as_str()).collect();
        assert_eq!(bodies.len(), 3);
        for body in bodies {
            let message: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(message["detail"]["event_type"], "order.placed");
            assert!((700..1_500).contains(&body.len()), "{}", body.len());
        }
    }
}
