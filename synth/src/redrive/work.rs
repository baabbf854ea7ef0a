//! The replay itself: message by message, each at most once in a run.
//!
//! A message is deleted only after its replay succeeded. Whatever ends a run, nothing is lost: a message that was replayed
//! and not deleted is replayed again by the next run, which is harmless, because ids of events are derived from the change.
//!
//! What comes into the queue after the run began is left. A function that gives up on a record again puts a new letter there;
//! it is recognised by its record, counted, and left like all others.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use events::Timestamp;
use events::dead_letter::chain;
use serde::Deserialize;

use super::filter::{Filter, is_meant};
use super::plan::{Identity, Planned, Received, Replay, Target, Unreplayable, plan};
use super::port::{Answer, CallFailed, Entry, Port, REPLAY_LIMIT};
use super::report::{Failed, Report};

/// How long a batch is hidden. What a killed run held shows up again after it.
pub(super) const HIDDEN_FOR: Duration = Duration::from_secs(300);
/// Batches with nothing for this run, one after the other, that end it: a queue gives its messages in no order.
pub(super) const IDLE_BATCHES: u32 = 3;
/// Replays that fail one after the other until a run stops: their cause is then not in the letters.
const FAILURES_IN_A_ROW: u32 = 5;

/// Why a replay did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error(transparent)]
    Unreplayable(#[from] Unreplayable),
    #[error(transparent)]
    Call(#[from] CallFailed),
    #[error("the function failed ({kind}): {payload}")]
    FunctionFailed { kind: String, payload: String },
    #[error("the function asks for the record again: it could neither handle it nor store a dead letter")]
    NotDone,
    #[error("the function's answer can't be understood")]
    UnreadableAnswer(#[source] serde_json::Error),
    #[error("the bus refused the event ({code}): {message}")]
    Refused { code: String, message: String },
    #[error("the bus says neither that it took the event nor why not")]
    UnreadableEntry,
    #[error("it was replayed but not deleted, so the next run replays it once more")]
    NotDeleted(#[source] CallFailed),
}

/// A run over one queue.
pub(super) struct Run<'a, P> {
    pub(super) port: &'a P,
    pub(super) target: &'a Target,
    pub(super) filters: &'a [Filter],
    /// To the millisecond, as queues count.
    pub(super) started: Timestamp,
}

/// What a run knows of the messages that it met.
#[derive(Default)]
pub(super) struct Met {
    seen: HashSet<String>,
    /// Receipts of messages that are hidden and stay in the queue, by the message's id.
    held: HashMap<String, String>,
}

impl Met {
    /// Whether the message is met for the first time.
    pub(super) fn is_new(&mut self, message: &Received) -> bool {
        let is_new = self.seen.insert(message.id.clone());
        // The newest receipt is the one that counts; of a message that was deleted none is held.
        if is_new || self.held.contains_key(&message.id) {
            self.held.insert(message.id.clone(), message.receipt.clone());
        }
        is_new
    }

    /// How many messages stay in the queue.
    pub(super) fn left(&self) -> usize {
        self.held.len()
    }

    /// Shows again what was hidden.
    pub(super) async fn show(&self, port: &impl Port) -> Result<(), CallFailed> {
        let receipts: Vec<String> = self.held.values().cloned().collect();
        port.hide(&receipts, Duration::ZERO).await
    }
}

impl<P: Port> Run<'_, P> {
    /// Whether the message came after the run began.
    pub(super) fn is_newer(&self, planned: &Planned) -> bool {
        planned.since.is_some_and(|since| since >= self.started)
    }

    /// Replays what is in the queue; `progress` is told how far it is.
    pub(super) async fn replay(&self, mut report: Report, progress: impl Fn(&Report)) -> Report {
        let mut met = Met::default();
        if let Err(reason) = self.work(&mut met, &mut report, &progress).await {
            report.stopped = Some(reason);
        }
        report.left = met.left();
        if let Err(error) = met.show(self.port).await {
            let reason = format!("what stays is hidden for up to {} s: {}", HIDDEN_FOR.as_secs(), chain(&error));
            report.stopped.get_or_insert(reason);
        }
        report
    }

    async fn work(&self, met: &mut Met, report: &mut Report, progress: &impl Fn(&Report)) -> Result<(), String> {
        // Whether the record came back as a new letter.
        let mut replayed: HashMap<Identity, bool> = HashMap::new();
        let (mut idle, mut failures) = (0, 0);
        while idle < IDLE_BATCHES {
            let hidden_since = self.port.now();
            let batch = self.port.receive(HIDDEN_FOR).await.map_err(|error| chain(&error))?;
            if batch.is_empty() {
                break;
            }
            let (due, newer) = self.sort(batch, met, report, &mut replayed);
            idle = if newer > 0 && due.is_empty() { idle + 1 } else { 0 };
            let mut lease = Lease { port: self.port, hidden_since };
            for (position, (message, planned)) in due.iter().enumerate() {
                let rest: Vec<String> = due[position..].iter().map(|(message, _)| message.receipt.clone()).collect();
                lease.renew(&rest).await.map_err(|error| chain(&error))?;
                let (replay, identity) = match &planned.replay {
                    Ok(known) => known,
                    Err(error) => {
                        report.failed.push(Failed::of(message, planned.letter.as_ref(), chain(error)));
                        continue;
                    }
                };
                // Two letters of one record: the second waits for the next run, where it can be told from a new one.
                if replayed.contains_key(identity) {
                    continue;
                }
                match self.replay_one(replay, &message.receipt).await {
                    Ok(()) => {
                        failures = 0;
                        met.held.remove(&message.id);
                        replayed.insert(identity.clone(), false);
                        report.replayed += 1;
                    }
                    Err(error) => {
                        failures += 1;
                        report.failed.push(Failed::of(message, planned.letter.as_ref(), chain(&error)));
                    }
                }
                progress(report);
                if failures == FAILURES_IN_A_ROW {
                    return Err(format!("{FAILURES_IN_A_ROW} replays failed one after the other"));
                }
            }
        }
        Ok(())
    }

    /// The messages of a batch that are to be replayed, oldest first, and how many came from others since the run began.
    fn sort(
        &self,
        batch: Vec<Received>,
        met: &mut Met,
        report: &mut Report,
        replayed: &mut HashMap<Identity, bool>,
    ) -> (Vec<(Received, Planned)>, usize) {
        let mut due = Vec::new();
        let mut newer = 0;
        for message in batch {
            if !met.is_new(&message) {
                continue;
            }
            let planned = plan(self.target, &message);
            if self.is_newer(&planned) {
                let returned = planned.replay.as_ref().ok().and_then(|(_, identity)| replayed.get_mut(identity));
                match returned {
                    Some(returned) if !*returned => {
                        *returned = true;
                        report.replayed -= 1;
                        report.still_failing += 1;
                    }
                    _ => newer += 1,
                }
            } else if is_meant(self.filters, planned.letter.as_ref()) {
                due.push((message, planned));
            } else {
                report.skipped += 1;
            }
        }
        report.newer += newer;
        due.sort_by_key(|(_, planned)| planned.since);
        (due, newer)
    }

    async fn replay_one(&self, replay: &Replay, receipt: &str) -> Result<(), ReplayError> {
        match replay {
            Replay::Invoke { function, payload } => judge(self.port.invoke(function, payload).await?)?,
            Replay::Publish { peer, envelope } => judge_entry(self.port.publish(peer, envelope).await?)?,
            Replay::Send { body } => self.port.send(body).await?,
        }
        self.port.delete(receipt).await.map_err(ReplayError::NotDeleted)
    }
}

/// Keeps the rest of a batch hidden while its messages are replayed one by one.
///
/// Invariant: when a replay begins, its message stays hidden for longer than [`REPLAY_LIMIT`].
struct Lease<'a, P> {
    port: &'a P,
    hidden_since: Instant,
}

impl<P: Port> Lease<'_, P> {
    async fn renew(&mut self, rest: &[String]) -> Result<(), CallFailed> {
        if self.port.now() - self.hidden_since + REPLAY_LIMIT + Duration::from_secs(30) < HIDDEN_FOR {
            return Ok(());
        }
        let now = self.port.now();
        self.port.hide(rest, HIDDEN_FOR).await?;
        self.hidden_since = now;
        Ok(())
    }
}

/// A record is done when the run succeeded and asks for nothing again.
fn judge(answer: Answer) -> Result<(), ReplayError> {
    #[derive(Deserialize)]
    struct Batch {
        #[serde(rename = "batchItemFailures")]
        failures: Vec<serde::de::IgnoredAny>,
    }
    if let Some(kind) = answer.function_error {
        return Err(ReplayError::FunctionFailed { kind, payload: answer.payload });
    }
    let batch: Batch = serde_json::from_str(&answer.payload).map_err(ReplayError::UnreadableAnswer)?;
    if batch.failures.is_empty() { Ok(()) } else { Err(ReplayError::NotDone) }
}

fn judge_entry(entry: Entry) -> Result<(), ReplayError> {
    match (entry.event_id, entry.error) {
        (_, Some((code, message))) => Err(ReplayError::Refused { code, message }),
        (Some(_), None) => Ok(()),
        (None, None) => Err(ReplayError::UnreadableEntry),
    }
}

#[cfg(test)]
mod tests;
