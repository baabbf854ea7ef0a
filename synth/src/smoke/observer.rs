//! Reads the observer queue of a region and books what was on its bus.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use events::cross_region::{self, Envelope, open};
use events::{DomainEvent, Region, domain};
use infra::SYNTHETIC_PREFIX;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ledger::{Hop, Ledger};
use crate::error::Error;

/// Seconds that a receive waits for the first message: long enough to be rare, short enough to end with the run.
const WAIT_SECS: i32 = 2;

/// Age from which on a message of another run is taken as left behind by one that was broken off.
const ABANDONED_MILLIS: i64 = 15 * 60 * 1000;

/// The observer queue of one region.
pub(super) struct Observer {
    client: Client,
    region: Region,
    queue_url: String,
}

/// What EventBridge puts round an event.
#[derive(Deserialize)]
struct Wrapped<'b> {
    id: String,
    source: String,
    #[serde(borrow)]
    detail: &'b RawValue,
}

/// The part of both kinds of events by which they are sorted.
#[derive(Deserialize)]
struct Keyed {
    key: String,
}

impl Observer {
    /// Finds the queue.
    pub(super) async fn find(client: &Client, region: &Region, name: &str) -> Result<Self, Error> {
        let found = client.get_queue_url().queue_name(name).send().await.map_err(|error| {
            Error::remote(format!("the observer queue `{name}` is not there in {region}"))
                .caused_by(described(&error))
                .hint("deploy first: `synth deploy`")
        })?;
        let queue_url = found.queue_url.unwrap_or_default();
        Ok(Self { client: client.clone(), region: region.clone(), queue_url })
    }

    /// Receives up to ten messages, waiting for the first a moment.
    pub(super) async fn receive(&self) -> Result<Vec<Message>, Error> {
        let request = self.client.receive_message().queue_url(&self.queue_url);
        let answer = request.max_number_of_messages(10).wait_time_seconds(WAIT_SECS).send().await;
        let answer = answer.map_err(|error| {
            Error::remote(format!("the observer queue of {} can't be read", self.region)).caused_by(described(&error))
        })?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Takes messages out of the queue that are of this run, or of one that was broken off.
    pub(super) async fn remove(&self, messages: &[Message], run: &str, now_millis: i64) -> Result<(), Error> {
        let entries: Vec<DeleteMessageBatchRequestEntry> = messages
            .iter()
            .filter(|message| owner_of(message.body().unwrap_or_default(), run, now_millis) != Owner::OtherRun)
            .enumerate()
            .filter_map(|(position, message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(position.to_string());
                entry.receipt_handle(message.receipt_handle()?).build().ok()
            })
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        let request = self.client.delete_message_batch().queue_url(&self.queue_url).set_entries(Some(entries));
        request.send().await.map(drop).map_err(|error| {
            Error::remote(format!("messages can't be taken out of the observer queue of {}", self.region))
                .caused_by(described(&error))
        })
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }
}

fn described(error: &(dyn std::error::Error + 'static)) -> String {
    aws_sdk_sqs::error::DisplayErrorContext(error).to_string()
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    ThisRun,
    OtherRun,
    Nobody,
}

/// A run's name begins with the time of its start, so what an old one left can be told from a running one's.
fn owner_of(body: &str, run: &str, now_millis: i64) -> Owner {
    let wrapped: Option<Wrapped<'_>> = serde_json::from_str(body).ok();
    let keyed: Option<Keyed> = wrapped.and_then(|wrapped| serde_json::from_str(wrapped.detail.get()).ok());
    let Some(of) = keyed.as_ref().and_then(|keyed| keyed.key.strip_prefix(SYNTHETIC_PREFIX)) else {
        return Owner::Nobody;
    };
    let of = of.rsplit_once('-').map_or(of, |(run, _)| run);
    if of == run {
        return Owner::ThisRun;
    }
    let started = of.get(..of.len().saturating_sub(4)).and_then(|hex| i64::from_str_radix(hex, 16).ok());
    match started {
        Some(started) if now_millis - started < ABANDONED_MILLIS => Owner::OtherRun,
        _ => Owner::Nobody,
    }
}

/// Books what a message from the observer queue of `region` says about the run.
///
/// Changes are made in `home` only, so there the own bus must carry their domain events and nothing from elsewhere, and
/// the peer's bus their cross-region events and no domain events of its own making.
pub(super) fn book(
    ledger: &mut Ledger,
    body: &str,
    run: &str,
    home: &Region,
    region: &Region,
    at: std::time::Duration,
) {
    if owner_of(body, run, i64::MAX) != Owner::ThisRun {
        return;
    }
    let Ok(wrapped) = serde_json::from_str::<Wrapped<'_>>(body) else { return };
    let detail = wrapped.detail.get();
    match (wrapped.source.as_str(), region == home) {
        (domain::SOURCE, true) => match serde_json::from_str::<DomainEvent>(detail) {
            Ok(event) if event.origin_region == *home && event.hop == 0 => {
                ledger.event(Hop::OwnBus, &wrapped.id, &event, at);
            }
            Ok(event) => ledger.looped(region, &format!("event {} of {}", event.event_id, event.origin_region)),
            Err(error) => ledger.wrong(format!("an event on the bus of {region} can't be read: {error}")),
        },
        (cross_region::SOURCE, false) => match serde_json::from_str::<Envelope>(detail) {
            Ok(envelope) if envelope.target_region == *region && envelope.origin_region == *home => {
                match open(&envelope) {
                    Ok(event) => ledger.event(Hop::PeerBus, &wrapped.id, &event, at),
                    Err(error) => ledger.wrong(format!("envelope {} can't be opened: {error}", envelope.event_id)),
                }
            }
            Ok(envelope) => ledger.looped(
                region,
                &format!(
                    "envelope {} from {} to {}",
                    envelope.event_id, envelope.origin_region, envelope.target_region
                ),
            ),
            Err(error) => ledger.wrong(format!("an envelope on the bus of {region} can't be read: {error}")),
        },
        (source, _) => {
            ledger.looped(region, &format!("an event of source `{source}` that does not belong on that bus"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events::cross_region::seal;
    use events::domain::{Action, EventType};
    use events::{JsonText, Timestamp, Trace};
    use serde_json::json;

    use super::*;
    use crate::smoke::workload::Workload;

    fn region(text: &str) -> Region {
        text.parse().unwrap()
    }

    fn event(workload: &Workload, origin: &str) -> DomainEvent {
        let (change, key) = (&workload.changes()[0], &workload.keys()[0]);
        DomainEvent {
            event_id: change.event_id,
            event_type: EventType { entity: key.entity, action: Action::Created },
            entity: key.entity,
            key: key.key.clone(),
            version: change.version.clone(),
            source_region: region(origin),
            origin_region: region(origin),
            hop: 0,
            timestamp: Timestamp::UNIX_EPOCH,
            data: Some(JsonText::parse("{}".to_owned()).unwrap()),
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
        }
    }

    fn body(source: &str, detail: &str) -> String {
        format!(r#"{{"version":"0","id":"1","source":"{source}","detail-type":"x","detail":{detail}}}"#)
    }

    fn booked(body: &str, at: &str) -> Ledger {
        let mut ledger = Ledger::new(&Workload::example(1));
        book(&mut ledger, body, "test", &region("us-west-2"), &region(at), Duration::ZERO);
        ledger
    }

    #[test]
    fn each_bus_must_carry_its_own_kind_and_nothing_else() {
        let workload = Workload::example(1);
        let own = event(&workload, "us-west-2");
        let foreign = event(&workload, "us-east-1");
        let envelope = seal(&own, &region("us-west-2"), &region("us-east-1"), Timestamp::UNIX_EPOCH).unwrap();
        let back = seal(&foreign, &region("us-east-1"), &region("us-west-2"), Timestamp::UNIX_EPOCH).unwrap();

        let ledger = booked(&body(domain::SOURCE, &own.to_json()), "us-west-2");
        assert_eq!((ledger.arrived(Hop::OwnBus), ledger.loops().len()), (1, 0));
        let ledger = booked(&body(cross_region::SOURCE, &envelope.to_json()), "us-east-1");
        assert_eq!((ledger.arrived(Hop::PeerBus), ledger.loops().len()), (1, 0), "{:?}", ledger.wrongs());

        for (source, detail, at) in [
            (domain::SOURCE, own.to_json(), "us-east-1"),
            (domain::SOURCE, foreign.to_json(), "us-west-2"),
            (cross_region::SOURCE, envelope.to_json(), "us-west-2"),
            (cross_region::SOURCE, back.to_json(), "us-east-1"),
        ] {
            let ledger = booked(&body(source, &detail), at);
            assert_eq!(ledger.loops().len(), 1, "{source} at {at}");
            assert_eq!(ledger.arrived(Hop::OwnBus) + ledger.arrived(Hop::PeerBus), 0);
        }
    }

    #[test]
    fn messages_of_running_runs_are_left_alone_and_abandoned_ones_are_not() {
        let now = 0x19a_0000_0000;
        let of = |key: &str| owner_of(&body("s", &json!({ "key": key }).to_string()), "19a000000001abc", now);
        assert_eq!(of("smoke-19a000000001abc-7"), Owner::ThisRun);
        assert_eq!(of("smoke-199ffffff000001-7"), Owner::OtherRun);
        assert_eq!(of("smoke-18a000000001abc-7"), Owner::Nobody);
        assert_eq!(of("something else"), Owner::Nobody);
        assert_eq!(owner_of("no json", "run", now), Owner::Nobody);
    }
}
