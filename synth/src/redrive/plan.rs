//! What is to be done with one message: decided from the message and its queue alone, without any call.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use contracts::{EventRouter, Region};
use events::cross_region::Envelope;
use events::dead_letter::{DeadLetterEvent, InvalidRecord, PARKED_FOR};
use events::{JsonText, Timestamp};
use serde::Serialize;

use super::queues::Kind;

/// The position that functions write when a record has none.
const NO_POSITION: &str = "unknown";

/// A message as its queue gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// SQS's id of the message.
    pub(super) id: String,
    /// What deletes or shows it again after this reception.
    pub(super) receipt: String,
    pub(super) body: String,
    /// When it came into the queue, if the queue says so.
    pub(super) sent_at: Option<Timestamp>,
}

/// Where a queue is and what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) region: Region,
    pub(super) peers: Vec<Region>,
}

/// What a dead letter says, without the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// SQS's id of the message.
    pub message_id: String,
    /// The program that gave up.
    pub program: String,
    /// The version of that program.
    pub program_version: String,
    /// Where the record came from.
    pub source: String,
    /// Its place there.
    pub position: String,
    /// The kind of error.
    pub error_class: String,
    /// What went wrong.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first_seen: Timestamp,
    /// When the program gave up.
    pub failed_at: Timestamp,
}

impl Letter {
    /// What `event` says, which lay in the message `message_id`.
    pub(super) fn of(message_id: &str, event: &DeadLetterEvent) -> Self {
        Self {
            message_id: message_id.to_owned(),
            program: event.program.clone(),
            program_version: event.program_version.clone(),
            source: event.source.clone(),
            position: event.position.clone(),
            error_class: event.error_class.clone(),
            message: event.message.clone(),
            attempts: event.attempts,
            first_seen: event.first_seen,
            failed_at: event.failed_at,
        }
    }
}

/// How one message is replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    /// Start the function with this batch of one record and wait for its answer.
    Invoke { function: &'static str, payload: String },
    /// Put the envelope onto the bus of this region.
    Publish { peer: Region, envelope: String },
    /// Send the body to the queue that the transformer works on.
    Send { body: String },
}

/// What tells the record of a message from others, so that it is known when it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// A stream's record: a function writes its text anew, its place stays.
    Place { source: String, position: String },
    /// Everything else: a hash of what is replayed. A mistaken one would only leave a letter for the next run.
    Content(u64),
}

/// A message that was understood, or the reason why not.
#[derive(Debug)]
pub(super) struct Planned {
    /// What the letter says, if it is one.
    pub(super) letter: Option<Letter>,
    /// When it came into the queue, as far as that is known.
    pub(super) since: Option<Timestamp>,
    pub(super) replay: Result<(Replay, Identity), Unreplayable>,
}

/// Why a message can't be replayed. It stays in its queue.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreplayable {
    #[error("the message is no dead letter")]
    NoLetter(#[source] serde_json::Error),
    #[error("the letter is of `{program}` and doesn't belong into this queue")]
    OtherProgram { program: String },
    #[error("the letter is of region {region} and doesn't belong into this queue")]
    OtherRegion { region: Region },
    #[error("the letter doesn't give its record back")]
    Damaged(#[source] InvalidRecord),
    #[error("the letter's record is no JSON object, so no function can take it")]
    NoRecord,
    #[error("the letter's record is no envelope")]
    NoEnvelope(#[source] serde_json::Error),
    #[error("the parked event is for `{peer}`, which is no peer of this region")]
    NoPeer { peer: String },
    #[error("the parked event waited for {peer}, but its envelope is for {target}")]
    OtherPeer { peer: Region, target: Region },
}

/// Says how `message` of `target` is replayed.
pub(super) fn plan(target: &Target, message: &Received) -> Planned {
    let function = match target.kind {
        Kind::StreamLetters { function } | Kind::QueueLetters { function } => function,
        Kind::Messages | Kind::Not { .. } => {
            let replay = Replay::Send { body: message.body.clone() };
            let identity = Identity::Content(hash(&message.body));
            return Planned { letter: None, since: message.sent_at, replay: Ok((replay, identity)) };
        }
    };
    let event: DeadLetterEvent = match serde_json::from_str(&message.body) {
        Ok(event) => event,
        Err(error) => {
            return Planned { letter: None, since: message.sent_at, replay: Err(Unreplayable::NoLetter(error)) };
        }
    };
    Planned {
        letter: Some(Letter::of(&message.id, &event)),
        since: message.sent_at.or(Some(event.failed_at)),
        replay: plan_letter(target, function, &event),
    }
}

fn plan_letter(
    target: &Target,
    function: &'static str,
    event: &DeadLetterEvent,
) -> Result<(Replay, Identity), Unreplayable> {
    if event.program != function {
        return Err(Unreplayable::OtherProgram { program: event.program.clone() });
    }
    if event.region != target.region {
        return Err(Unreplayable::OtherRegion { region: event.region.clone() });
    }
    let record = event.original_record().map_err(Unreplayable::Damaged)?;
    let identity = Identity::Content(hash(record.as_str()));
    if let Kind::QueueLetters { .. } = target.kind {
        return Ok((Replay::Send { body: body_of(&record) }, identity));
    }
    let parked_for = event.source.strip_prefix(PARKED_FOR).filter(|_| function == EventRouter::NAME);
    if let Some(peer) = parked_for {
        let peer = peer_of(target, peer, &record)?;
        return Ok((Replay::Publish { peer, envelope: record.as_str().to_owned() }, identity));
    }
    if !record.as_str().trim_start().starts_with('{') {
        return Err(Unreplayable::NoRecord);
    }
    let identity = match event.position.as_str() {
        NO_POSITION => identity,
        position => Identity::Place { source: event.source.clone(), position: position.to_owned() },
    };
    Ok((Replay::Invoke { function, payload: format!(r#"{{"Records":[{}]}}"#, record.as_str()) }, identity))
}

/// The peer that a parked event is for. Never the own region: what came onto its own bus would be told again.
fn peer_of(target: &Target, named: &str, record: &JsonText) -> Result<Region, Unreplayable> {
    let envelope: Envelope = serde_json::from_str(record.as_str()).map_err(Unreplayable::NoEnvelope)?;
    let peer = target.peers.iter().find(|peer| peer.as_str() == named && **peer != target.region);
    let peer = peer.ok_or_else(|| Unreplayable::NoPeer { peer: named.to_owned() })?;
    if envelope.target_region != *peer {
        return Err(Unreplayable::OtherPeer { peer: peer.clone(), target: envelope.target_region });
    }
    Ok(peer.clone())
}

/// The message's body of which `record` was made: a body that was no JSON became a JSON string.
fn body_of(record: &JsonText) -> String {
    serde_json::from_str(record.as_str()).unwrap_or_else(|_| record.as_str().to_owned())
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
