use events::cross_region::seal;
use events::domain::{Action, EventType};
use events::{DomainEvent, Entity, Trace, Version};

use super::*;
use crate::redrive::queues::kind_of;
use crate::redrive::tests::{letter, region};

/// What is said of a message of that queue, in the home region.
fn planned(queue: &str, body: &str) -> Planned {
    let target = Target { kind: kind_of(queue), region: region("us-west-2"), peers: vec![region("us-east-1")] };
    let body = body.to_owned();
    plan(&target, &Received { id: "m-1".to_owned(), receipt: "r-1".to_owned(), body, sent_at: None })
}

fn check(queue: &str, body: &str, replay: Replay) {
    assert_eq!(planned(queue, body).replay.map(|(replay, _)| replay).map_err(|error| error.to_string()), Ok(replay));
}

fn check_refused(queue: &str, body: &str, says: &str) {
    let planned = planned(queue, body);
    let error = planned.replay.expect_err(says).to_string();
    assert!(error.contains(says), "{error}");
}

fn envelope(target: &str) -> String {
    let event = DomainEvent {
        event_id: "c818f4bf-67a4-4b26-ab31-e855aa277d6c".parse().expect("an id"),
        event_type: EventType { entity: Entity::ALL[0], action: Action::Created },
        entity: Entity::ALL[0],
        key: "key-1".parse().expect("a key"),
        version: Version::refresh(1),
        source_region: region("us-west-2"),
        origin_region: region("us-west-2"),
        hop: 0,
        timestamp: Timestamp::UNIX_EPOCH,
        data: Some(JsonText::parse(r#"{"n": 9007199254740993.10}"#.to_owned()).expect("JSON")),
        trace: Trace {
            task: "t".to_owned(),
            table: "t".to_owned(),
            change_sequence: "1".to_owned(),
            stream_position: "1".to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            offset: 0,
        },
        traceparent: None,
    };
    seal(&event, &region("us-west-2"), &region(target), Timestamp::UNIX_EPOCH).expect("an envelope").to_json()
}

#[test]
fn a_record_of_a_stream_starts_its_function_with_its_exact_text() {
    let record = r#"{"eventID": "1", "dynamodb": {"SequenceNumber": "12", "n": 9007199254740993.10}}"#;
    for function in ["stream-processor", "event-router"] {
        let letter = letter(function, "arn:stream", "12", record);
        let payload = format!(r#"{{"Records":[{record}]}}"#);
        for letter in [&letter, &letter.compressed()] {
            let replay = Replay::Invoke { function, payload: payload.clone() };
            check(&format!("{function}-dead-letters"), &letter.to_json(), replay);
        }
    }
}

#[test]
fn a_parked_event_goes_to_the_bus_of_the_peer_that_it_is_for() {
    let queue = "event-router-dead-letters";
    let parked = |peer: &str, record: &str| letter("event-router", &format!("{PARKED_FOR}{peer}"), "3", record);
    let envelope = envelope("us-east-1");
    let letter = parked("us-east-1", &envelope);
    for letter in [&letter, &letter.compressed()] {
        let replay = Replay::Publish { peer: region("us-east-1"), envelope: envelope.clone() };
        check(queue, &letter.to_json(), replay);
    }
    let (own, third) = (self::envelope_for_own(), self::envelope("eu-west-1"));
    check_refused(queue, &parked("us-west-2", &own).to_json(), "for `us-west-2`, which is no peer");
    check_refused(queue, &parked("eu-west-1", &third).to_json(), "for `eu-west-1`, which is no peer");
    check_refused(queue, &parked("us-east-1", &third).to_json(), "but its envelope is for eu-west-1");
    check_refused(queue, &parked("us-east-1", r#"{"a": 1}"#).to_json(), "is no envelope");
    check_refused(queue, &parked("us-east-1", "cut off {").to_json(), "is no envelope");
}

/// An envelope of the peer for this region, which can only have been put there by mistake.
fn envelope_for_own() -> String {
    envelope("us-east-1").replace(r#""target_region":"us-east-1""#, r#""target_region":"us-west-2""#)
}

#[test]
fn the_own_region_is_no_peer_even_if_it_is_listed_as_one() {
    let letter = letter("event-router", &format!("{PARKED_FOR}us-west-2"), "3", &envelope_for_own());
    let target = Target {
        kind: kind_of("event-router-dead-letters"),
        region: region("us-west-2"),
        peers: vec![region("us-west-2")],
    };
    let message = Received { id: "m".to_owned(), receipt: "r".to_owned(), body: letter.to_json(), sent_at: None };
    assert!(matches!(plan(&target, &message).replay, Err(Unreplayable::NoPeer { .. })));
}

#[test]
fn a_raw_event_goes_back_as_it_came() {
    let queue = "event-transformer-dead-letters";
    let of = |record: &str| letter("event-transformer", "arn:queue", "m-7", record);
    for body in [r#"{"detail": {"n": 1.50}}"#, "no JSON \u{1}", ""] {
        check(queue, &of(body).to_json(), Replay::Send { body: body.to_owned() });
        check(queue, &of(body).compressed().to_json(), Replay::Send { body: body.to_owned() });
    }
    for queue in ["raw-events-dead-letters", "raw-events-undelivered"] {
        check(queue, "anything", Replay::Send { body: "anything".to_owned() });
    }
}

#[test]
fn what_cannot_be_understood_says_why() {
    let queue = "stream-processor-dead-letters";
    let good = letter("stream-processor", "arn:stream", "12", "{}");
    let mut elsewhere = good.clone();
    elsewhere.region = region("us-east-1");
    let mut damaged = good.compressed();
    damaged.record = JsonText::parse_or_quote("AAAA");
    for (body, says) in [
        (String::new(), "is no dead letter"),
        ("{}".to_owned(), "is no dead letter"),
        (good.to_json().replace("\"attempts\":1", "\"attempts\":-1"), "is no dead letter"),
        (letter("event-router", "arn:stream", "12", "{}").to_json(), "is of `event-router`"),
        (elsewhere.to_json(), "is of region us-east-1"),
        (damaged.to_json(), "doesn't give its record back"),
        (letter("stream-processor", "arn:stream", "12", "no JSON").to_json(), "is no JSON object"),
        (letter("stream-processor", &format!("{PARKED_FOR}us-east-1"), "12", "[1]").to_json(), "is no JSON object"),
    ] {
        check_refused(queue, &body, says);
    }
}

#[test]
fn records_are_told_apart_by_their_place_or_else_by_their_content() {
    let identity = |queue: &str, letter: &DeadLetterEvent| planned(queue, &letter.to_json()).replay.expect("fine").1;
    let queue = "stream-processor-dead-letters";
    let of = |position: &str, record: &str| letter("stream-processor", "arn:stream", position, record);
    assert_eq!(identity(queue, &of("1", r#"{"a":1}"#)), identity(queue, &of("1", r#"{"a": 1}"#)), "text may change");
    assert_ne!(identity(queue, &of("1", "{}")), identity(queue, &of("2", "{}")));
    assert_eq!(identity(queue, &of("unknown", "{}")), identity(queue, &of("unknown", "{}").compressed()));
    assert_ne!(identity(queue, &of("unknown", "{}")), identity(queue, &of("unknown", r#"{"a":1}"#)));
}

#[test]
fn the_queue_knows_best_since_when_a_message_waits() {
    let letter = letter("stream-processor", "arn:stream", "1", "{}");
    assert_eq!(planned("stream-processor-dead-letters", &letter.to_json()).since, Some(letter.failed_at));
    assert_eq!(planned("stream-processor-dead-letters", "no letter").since, None);
}
