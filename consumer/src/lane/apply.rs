//! What is done for one message, or for several changes of one row: write, write again, or give up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws::Applied;
use aws::table_writer::Together;
use events::dead_letter::chain;
use events::{Entity, RowHead, RowWrite, Timestamp, Version};
use rdkafka::message::{Message, OwnedMessage};
use tokio::sync::watch;
use tracing::field::display;

use super::orders::{DeadLetterTooLarge, Halt};
use super::patience::{Patience, Stopped};
use super::worker::{Finished, LostWork, MoveWork, RowWork};
use super::{Tools, message_size};
use crate::clock::within;
use crate::dead_letter::{DeadLetterSink, Diagnosis};
use crate::fold::{self, Folded};
use crate::limiter::Permit;
use crate::message::{diagnosis, view};
use crate::sink::{Sink, SinkError};

/// The longest that one write may take before it counts as failed and is tried again.
/// The sink's own timeouts are shorter; this is the net below them.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Error class of a change of only some columns whose row didn't come.
///
/// The dead letter is the whole message. Replaying it helps only as long as no later change of the row was applied:
/// after one the replay is stale, and the row must be loaded from the source again.
const PARTIAL_WITHOUT_ROW: &str = "partial_without_row";

/// Why work on a message ended before the message was done.
pub(super) enum Interrupted {
    Stopped,
    Halt(Halt),
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

pub(super) fn count(entity: Entity, operation: &str, outcome: &str) {
    telemetry::CDC_EVENTS_PROCESSED_TOTAL.inc(&[entity.as_str(), operation, outcome]);
}

/// Writes one row.
pub(super) async fn one<S: Sink, D: DeadLetterSink>(
    entity: Entity,
    tools: Arc<Tools<S, D>>,
    work: Box<RowWork>,
    stop: watch::Receiver<bool>,
) -> Finished {
    let RowWork { message, write, first_seen, is_single: _, without_row } = &*work;
    let finished = async {
        match write_row(&tools, write, &write.head.version, *without_row, &stop).await? {
            Ok(applied) => count(entity, write.head.operation.as_str(), applied.as_str()),
            Err(refused) => {
                let refusal = refused.into_refusal(entity, message, write, *first_seen)?;
                Box::pin(bury(entity, &tools, message, write, &refusal, &stop)).await?;
            }
        }
        Ok::<_, Interrupted>(Finished::Done { offset: message.offset(), with: Vec::new() })
    };
    finished.await.unwrap_or_else(Finished::from)
}

/// Writes several changes of one row as one, or says that each must be written on its own.
pub(super) async fn several<S: Sink, D: DeadLetterSink>(
    entity: Entity,
    tools: Arc<Tools<S, D>>,
    mut changes: Vec<RowWork>,
    stop: watch::Receiver<bool>,
) -> Finished {
    let Some(Folded { write, since, .. }) = fold::fold(changes.iter().map(|change| &change.write)) else {
        return Finished::Left;
    };
    match write_row(&tools, &write, &since, None, &stop).await {
        Err(Stopped) => Finished::Left,
        Ok(Err(Refused::Fenced(message))) => Finished::Halted(Box::new(Halt::Fenced(message))),
        Ok(Err(Refused::Apart | Refused::Poison { .. })) => Finished::Apart(changes),
        Ok(Err(Refused::NoRow { since, .. })) => {
            for change in &mut changes {
                // They have waited together; none of them waits again.
                change.without_row = Some(since);
            }
            Finished::Apart(changes)
        }
        Ok(Ok(applied)) => {
            for change in &changes {
                let head = &change.write.head;
                let is_last = head.version == write.head.version;
                count(entity, head.operation.as_str(), if is_last { applied.as_str() } else { "coalesced" });
            }
            let offsets: Vec<i64> = changes.iter().map(|change| change.message.offset()).collect();
            match offsets.split_first() {
                Some((first, with)) => Finished::Done { offset: *first, with: with.to_vec() },
                None => Finished::Left,
            }
        }
    }
}

/// Moves a row to another key: both rows together if both changes are news to the table, else each on its own,
/// because a half that is stale must not keep the other one out.
pub(super) async fn moved<S: Sink, D: DeadLetterSink>(
    entity: Entity,
    tools: Arc<Tools<S, D>>,
    work: Box<MoveWork>,
    stop: watch::Receiver<bool>,
) -> Finished {
    let MoveWork { message, leave, arrive, first_seen } = &*work;
    let finished = async {
        let halves = [leave, arrive];
        if write_both(&tools, leave, arrive, &stop).await? == Together::Written {
            for half in halves {
                count(entity, half.head.operation.as_str(), Applied::Written.as_str());
            }
            return Ok(Finished::Done { offset: message.offset(), with: Vec::new() });
        }
        let mut refusals = Vec::new();
        for half in halves {
            match write_row(&tools, half, &half.head.version, None, &stop).await? {
                Ok(applied) => count(entity, half.head.operation.as_str(), applied.as_str()),
                // The other half is applied all the same.
                Err(refused) => refusals.push((half, refused.into_refusal(entity, message, half, *first_seen)?)),
            }
        }
        if let Some(((half, refusal), others)) = refusals.split_first() {
            // The message is one, so there is one letter, about the first half; the log tells of each.
            others.iter().for_each(|(half, refusal)| tell_of_refusal(message, half, refusal));
            bury(entity, &tools, message, half, refusal, &stop).await?;
        }
        Ok::<_, Interrupted>(Finished::Done { offset: message.offset(), with: Vec::new() })
    };
    finished.await.unwrap_or_else(Finished::from)
}

/// Puts a message that can't be read onto the dead-letter topic.
pub(super) async fn give_up<S, D: DeadLetterSink>(
    entity: Entity,
    tools: Arc<Tools<S, D>>,
    lost: Box<LostWork>,
    stop: watch::Receiver<bool>,
) -> Finished {
    let LostWork { message, diagnosis } = &*lost;
    match send_dead_letter(&tools, message, diagnosis, &stop).await {
        Ok(()) => {
            count(entity, "none", "dead_letter");
            Finished::Done { offset: message.offset(), with: Vec::new() }
        }
        Err(interrupted) => interrupted.into(),
    }
}

/// Why a write won't be tried again as it is.
enum Refused {
    Poison { class: &'static str, error: SinkError, attempts: u32 },
    NoRow { since: Instant, error: SinkError, attempts: u32 },
    Apart,
    Fenced(String),
}

impl Refused {
    /// What to say of a single change that can't be written.
    fn into_refusal(
        self,
        entity: Entity,
        message: &OwnedMessage,
        write: &RowWrite,
        first_seen: Timestamp,
    ) -> Result<Diagnosis, Interrupted> {
        let (class, error, attempts) = match self {
            Self::Fenced(message) => return Err(Interrupted::Halt(Halt::Fenced(message))),
            // A single change has nothing between its first and its last version.
            Self::Apart => return Err(Interrupted::Stopped),
            Self::Poison { class, error, attempts } => (class, error, attempts),
            Self::NoRow { error, attempts, .. } => (PARTIAL_WITHOUT_ROW, error, attempts),
        };
        Ok(diagnosis(class, &error, &view(entity, message), write.head.correlation(), attempts, first_seen))
    }
}

/// Writes one row, trying again for as long as that can help.
///
/// What rarely happens lies in boxes of its own: the way of most messages stays small.
async fn write_row<S: Sink, D: DeadLetterSink>(
    tools: &Tools<S, D>,
    write: &RowWrite,
    since: &Version,
    without_row: Option<Instant>,
    stop: &watch::Receiver<bool>,
) -> Result<Result<Applied, Refused>, Stopped> {
    let permit = match tools.writes.try_acquire() {
        Some(permit) => permit,
        None => Box::pin(wait_for_turn(tools, stop)).await?,
    };
    match attempt(tools, permit, write, since).await {
        Ok(applied) => Ok(Ok(applied)),
        Err(failed) => Box::pin(write_again(tools, write, since, without_row, failed, stop)).await,
    }
}

/// What still waits for its turn when the lane stops hasn't begun.
async fn wait_for_turn<'t, S, D>(tools: &'t Tools<S, D>, stop: &watch::Receiver<bool>) -> Result<Permit<'t>, Stopped> {
    Patience::new(tools, stop.clone()).or_stop(tools.writes.acquire()).await
}

/// One attempt. None for an error: there was no answer in time.
async fn attempt<S: Sink, D>(
    tools: &Tools<S, D>,
    permit: Permit<'_>,
    write: &RowWrite,
    since: &Version,
) -> Result<Applied, Option<SinkError>> {
    let result = within(&*tools.clock, WRITE_TIMEOUT, tools.sink.apply(write, since)).await;
    match &result {
        Some(Err(SinkError::Overloaded(_))) => permit.overloaded(tools.clock.now()),
        Some(Err(SinkError::Retryable(_))) | None => permit.failed(),
        Some(_) => permit.succeeded(),
    }
    result.ok_or(None)?.map_err(Some)
}

/// Goes on after an attempt that failed.
async fn write_again<S: Sink, D: DeadLetterSink>(
    tools: &Tools<S, D>,
    write: &RowWrite,
    since: &Version,
    mut without_row: Option<Instant>,
    mut failed: Option<SinkError>,
    stop: &watch::Receiver<bool>,
) -> Result<Result<Applied, Refused>, Stopped> {
    let mut patience = Patience::new(tools, stop.clone());
    loop {
        let attempts = patience.attempt();
        let problem = match failed {
            Some(error @ SinkError::Fenced(_)) => return Ok(Err(Refused::Fenced(chain(&error)))),
            Some(SinkError::Interleaved(_)) => return Ok(Err(Refused::Apart)),
            Some(error @ SinkError::Poison { class, .. }) => {
                return Ok(Err(Refused::Poison { class, error, attempts }));
            }
            Some(error @ SinkError::NoRow(_)) => {
                let now = tools.clock.now();
                let since = *without_row.get_or_insert(now);
                if now.duration_since(since) >= tools.row_wait {
                    return Ok(Err(Refused::NoRow { since, error, attempts }));
                }
                chain(&error)
            }
            Some(error @ (SinkError::Retryable(_) | SinkError::Overloaded(_))) => chain(&error),
            None => format!("no answer within {} s", WRITE_TIMEOUT.as_secs()),
        };
        tell_of_attempt(&write.head, attempts, &problem);
        patience.wait().await?;
        let permit = patience.or_stop(tools.writes.acquire()).await?;
        failed = match attempt(tools, permit, write, since).await {
            Ok(applied) => return Ok(Ok(applied)),
            Err(failed) => failed,
        };
    }
}

/// Writes two rows together, trying again for as long as that can help.
async fn write_both<S: Sink, D>(
    tools: &Tools<S, D>,
    leave: &RowWrite,
    arrive: &RowWrite,
    stop: &watch::Receiver<bool>,
) -> Result<Together, Stopped> {
    let mut patience = Patience::new(tools, stop.clone());
    loop {
        let permit = patience.or_stop(tools.writes.acquire()).await?;
        let result = within(&*tools.clock, WRITE_TIMEOUT, tools.sink.apply_both(leave, arrive)).await;
        let problem = match result {
            Some(Ok(together)) => {
                permit.succeeded();
                return Ok(together);
            }
            Some(Err(error @ SinkError::Overloaded(_))) => {
                permit.overloaded(tools.clock.now());
                chain(&error)
            }
            Some(Err(error @ SinkError::Retryable(_))) => {
                permit.failed();
                chain(&error)
            }
            // What is wrong with one of them shows when each is written on its own.
            Some(Err(_)) => {
                permit.succeeded();
                return Ok(Together::Apart);
            }
            None => {
                permit.failed();
                format!("no answer within {} s", WRITE_TIMEOUT.as_secs())
            }
        };
        tell_of_attempt(&arrive.head, patience.attempt(), &problem);
        patience.wait().await?;
    }
}

fn tell_of_attempt(head: &RowHead, attempt: u32, problem: &str) {
    tracing::warn!(
        topic = head.trace.topic,
        partition = head.trace.partition,
        offset = head.trace.offset,
        event_id = display(head.event_id),
        trace_id = head.correlation().trace_id().map(display),
        attempt,
        problem,
        "row_write_failed"
    );
}

fn tell_of_refusal(message: &OwnedMessage, write: &RowWrite, diagnosis: &Diagnosis) {
    tracing::error!(
        topic = message.topic(),
        partition = message.partition(),
        offset = message.offset(),
        version = write.head.version.as_str(),
        event_id = display(write.head.event_id),
        trace_id = diagnosis.correlation.trace_id().map(display),
        class = diagnosis.class,
        error = diagnosis.message,
        "row_refused"
    );
}

/// Gives up a change that the table refuses.
async fn bury<S, D: DeadLetterSink>(
    entity: Entity,
    tools: &Tools<S, D>,
    message: &OwnedMessage,
    write: &RowWrite,
    diagnosis: &Diagnosis,
    stop: &watch::Receiver<bool>,
) -> Result<(), Interrupted> {
    tell_of_refusal(message, write, diagnosis);
    send_dead_letter(tools, message, diagnosis, stop).await?;
    count(entity, write.head.operation.as_str(), "dead_letter");
    Ok(())
}

/// Puts a message onto the dead-letter topic, trying again for ever: a message is never dropped because its last refuge is down.
/// Meanwhile its offset stays uncommitted, so its partition comes to a stand when its limit is reached.
/// A letter that is too large for the topic can't be waited for: then the whole pipeline stops, so that somebody looks.
async fn send_dead_letter<S, D: DeadLetterSink>(
    tools: &Tools<S, D>,
    message: &OwnedMessage,
    diagnosis: &Diagnosis,
    stop: &watch::Receiver<bool>,
) -> Result<(), Interrupted> {
    let mut patience = Patience::new(tools, stop.clone());
    let event_id = diagnosis.correlation.event_id.map(display);
    let trace_id = diagnosis.correlation.trace_id().map(display);
    while let Err(error) = tools.dead_letters.send(message, diagnosis).await {
        tracing::error!(
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            event_id,
            trace_id,
            attempt = patience.attempt(),
            error = chain(&error),
            "dead_letter_failed"
        );
        if error.is_too_large() {
            return Err(Interrupted::Halt(Halt::DeadLetterTooLarge(DeadLetterTooLarge {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
                bytes: message_size(message),
                class: diagnosis.class,
                dead_letter_topic: error.topic().to_owned(),
            })));
        }
        patience.wait().await?;
    }
    telemetry::DEAD_LETTERS_TOTAL.inc(&["consumer", diagnosis.class]);
    tracing::warn!(
        topic = message.topic(),
        partition = message.partition(),
        offset = message.offset(),
        event_id,
        trace_id,
        class = diagnosis.class,
        error = diagnosis.message,
        "dead_letter_sent"
    );
    Ok(())
}
