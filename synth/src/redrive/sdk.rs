//! The calls of a replay, over AWS's SDK.

use std::time::{Duration, Instant};

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use contracts::Region;
use events::{Timestamp, cross_region};
use infra::environment::Environment;

use super::plan::Received;
use super::port::{Answer, CallFailed, Entry, Port, REPLAY_LIMIT};
use super::queues::{Queue, RAW_EVENTS};
use crate::deploy::{Clouds, describe};
use crate::error::Error;
use crate::reach;

/// Messages of one request.
const BATCH: usize = 10;
/// Seconds that a receive waits: so long that every server of the queue is asked, so that an empty answer means something.
const WAIT_SECS: i32 = 2;

/// A deployed queue and what surrounds it.
pub(super) struct Deployed<'a> {
    clouds: &'a Clouds,
    environment: &'a Environment,
    region: &'a Region,
    url: String,
    raw_events_url: String,
    bus: String,
}

/// How many messages a queue holds, as far as it knows itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// That can be received.
    pub(super) waiting: u64,
    /// That somebody has received and not deleted.
    pub(super) hidden: u64,
}

/// Asks how many messages are in the queue.
pub(super) async fn count(clouds: &Clouds, environment: &Environment, queue: &Queue) -> Result<Held, Error> {
    let url = queue_url(clouds, environment, &queue.region, &queue.name).await?;
    let request = clouds.sqs(queue.region.as_str())?.get_queue_attributes().queue_url(url);
    let request = request
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let answer = request.send().await.map_err(|error| {
        Error::remote(format!("queue `{}` in {} does not say what it holds", queue.name, queue.region))
            .caused_by(describe(&error))
            .hint("you need the right `sqs:GetQueueAttributes` for it")
    })?;
    let number = |name| answer.attributes().and_then(|all| all.get(&name)).and_then(|text| text.parse().ok());
    Ok(Held {
        waiting: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_default(),
        hidden: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap_or_default(),
    })
}

async fn queue_url(clouds: &Clouds, environment: &Environment, region: &Region, name: &str) -> Result<String, Error> {
    let full = environment.name(name);
    let found = clouds.sqs(region.as_str())?.get_queue_url().queue_name(&full).send().await;
    let found = found.map_err(|error| {
        let name = environment.environment_name();
        Error::remote(format!("queue `{full}` can't be found in {region}"))
            .caused_by(describe(&error))
            .hint(format!("see `synth status --env {name}`: is the environment deployed?"))
    })?;
    found.queue_url.ok_or_else(|| Error::remote(format!("queue `{full}` in {region} has no address")))
}

impl<'a> Deployed<'a> {
    /// Finds the queue; nothing is read from it.
    pub(super) async fn find(
        clouds: &'a Clouds,
        environment: &'a Environment,
        queue: &'a Queue,
    ) -> Result<Self, Error> {
        let region = &queue.region;
        let url = queue_url(clouds, environment, region, &queue.name).await?;
        let raw_events_url = queue_url(clouds, environment, region, RAW_EVENTS).await?;
        Ok(Self { clouds, environment, region, url, raw_events_url, bus: reach::bus(environment)? })
    }

    fn sqs(&self, operation: &'static str) -> Result<&aws_sdk_sqs::Client, CallFailed> {
        self.clouds.sqs(self.region.as_str()).map_err(|error| CallFailed { operation, source: Box::new(error) })
    }
}

impl Port for Deployed<'_> {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn receive(&self, hidden_for: Duration) -> Result<Vec<Received>, CallFailed> {
        let operation = "ReceiveMessage";
        let request = self
            .sqs(operation)?
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(WAIT_SECS)
            .visibility_timeout(seconds(hidden_for))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = request.send().await.map_err(|error| CallFailed { operation, source: describe(&error) })?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    async fn hide(&self, receipts: &[String], time: Duration) -> Result<(), CallFailed> {
        let operation = "ChangeMessageVisibilityBatch";
        let failed = |source| CallFailed { operation, source };
        for batch in receipts.chunks(BATCH) {
            let entries = batch.iter().enumerate().map(|(index, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                entry.receipt_handle(receipt).visibility_timeout(seconds(time)).build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.into()))?;
            let request = self.sqs(operation)?.change_message_visibility_batch().queue_url(&self.url);
            // A single message that is refused has become visible by itself, or somebody else has it: both is as it should be.
            request.set_entries(Some(entries)).send().await.map_err(|error| failed(describe(&error)))?;
        }
        Ok(())
    }

    async fn delete(&self, receipt: &str) -> Result<(), CallFailed> {
        let operation = "DeleteMessage";
        let request = self.sqs(operation)?.delete_message().queue_url(&self.url).receipt_handle(receipt);
        request.send().await.map(drop).map_err(|error| CallFailed { operation, source: describe(&error) })
    }

    async fn invoke(&self, function: &str, payload: &str) -> Result<Answer, CallFailed> {
        let operation = "Invoke";
        let client = self.clouds.lambda(self.region.as_str());
        let client = client.map_err(|error| CallFailed { operation, source: Box::new(error) })?;
        // Longer than the tool's other calls may take. The attempt's limit is the whole call's, so that throttling is tried
        // again and a slow run is not started twice.
        let limits = TimeoutConfig::builder().operation_attempt_timeout(REPLAY_LIMIT).operation_timeout(REPLAY_LIMIT);
        let patience = aws_sdk_lambda::config::Builder::new().timeout_config(limits.build());
        let request = client
            .invoke()
            .function_name(self.environment.name(function))
            .invocation_type(InvocationType::RequestResponse)
            .payload(payload.as_bytes().to_vec().into())
            .customize()
            .config_override(patience);
        let answer = request.send().await.map_err(|error| CallFailed { operation, source: describe(&error) })?;
        let payload = answer.payload.map(|payload| String::from_utf8_lossy(payload.as_ref()).into_owned());
        Ok(Answer { function_error: answer.function_error, payload: payload.unwrap_or_default() })
    }

    async fn publish(&self, peer: &Region, envelope: &str) -> Result<Entry, CallFailed> {
        let operation = "PutEvents";
        let client = self.clouds.eventbridge(peer.as_str());
        let client = client.map_err(|error| CallFailed { operation, source: Box::new(error) })?;
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(cross_region::SOURCE)
            .detail_type(cross_region::DETAIL_TYPE)
            .detail(envelope);
        let answer = client.put_events().entries(entry.build()).send().await;
        let answer = answer.map_err(|error| CallFailed { operation, source: describe(&error) })?;
        Ok(answer.entries.unwrap_or_default().into_iter().next().map_or_else(Entry::default, |entry| Entry {
            event_id: entry.event_id,
            error: entry.error_code.map(|code| (code, entry.error_message.unwrap_or_default())),
        }))
    }

    async fn send(&self, body: &str) -> Result<(), CallFailed> {
        let operation = "SendMessage";
        let request = self.sqs(operation)?.send_message().queue_url(&self.raw_events_url).message_body(body);
        request.send().await.map(drop).map_err(|error| CallFailed { operation, source: describe(&error) })
    }
}

/// A message without id or receipt can be neither told from others nor deleted; SQS gives none such.
fn received(message: Message) -> Option<Received> {
    let sent_at = message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
    let sent_at =
        sent_at.and_then(|text| text.parse().ok()).and_then(|millis| Timestamp::from_millisecond(millis).ok());
    Some(Received {
        id: message.message_id?,
        receipt: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        sent_at,
    })
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
