//! How librdkafka is set up: every value here has a reason beside it.

use std::path::Path;
use std::time::Duration;

use contracts::{CdcConsumer, KafkaSecurity};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::credentials::{Credentials, CredentialsError};

/// How much longer than a drain a member may be silent before the group gives its partitions away.
const SESSION_MARGIN: Duration = Duration::from_secs(5);
/// How much longer than a session the time between two polls may be.
/// Polling stops during a drain, and while the coordinator is asked for committed offsets (at most 10 s).
const POLL_MARGIN: Duration = Duration::from_secs(15);

/// The settings of the consumer's client.
///
/// # Errors
/// When credentials are needed and can't be read.
pub fn consumer_config(config: &CdcConsumer) -> Result<ClientConfig, CredentialsError> {
    let mut client = common(config)?;
    // Both follow from the longest drain, which must never cost the membership.
    // No longer than that, because it is also how long a dead member's partitions wait for their next owner.
    let session = config.settings.drain_deadline + SESSION_MARGIN;
    let between_polls = session + POLL_MARGIN;
    client
        .set("group.id", &config.settings.group_id)
        // Partitions that stay with a member go on during a rebalance.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.as_millis().to_string())
        .set("heartbeat.interval.ms", "1500")
        .set("max.poll.interval.ms", between_polls.as_millis().to_string())
        // Offsets are committed by the pipeline alone, and only done prefixes.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // See `assignment`: an expired offset must stop the consumer instead of skipping changes.
        .set("auto.offset.reset", "error")
        // A broker answers early when there is data; this is how long it may wait when there is little.
        .set("fetch.wait.max.ms", config.settings.fetch_wait.as_millis().to_string())
        // Memory: at most 16 MiB of messages wait in the client, besides those in work.
        .set("queued.max.messages.kbytes", "16384")
        .set("queued.min.messages", "10000")
        // After a pause, fetching goes on within this time instead of a second.
        .set("fetch.queue.backoff.ms", "100")
        .set("fetch.max.bytes", "8388608")
        .set("max.partition.fetch.bytes", "1048576")
        // A topic that is made after the start is found within seconds instead of five minutes.
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("allow.auto.create.topics", "false")
        // Statistics give lag and whether a broker answers.
        .set("statistics.interval.ms", "1000");
    Ok(client)
}

/// The settings of the dead-letter topic's client.
///
/// # Errors
/// When credentials are needed and can't be read.
pub fn producer_config(config: &CdcConsumer) -> Result<ClientConfig, CredentialsError> {
    let mut client = common(config)?;
    client
        // A dead letter counts only when every in-sync replica has it, and it must not be there twice because of a retry.
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "15000")
        .set("linger.ms", "5")
        // A dead letter is a little larger than its message, and a message may have been let in by a limit that was raised.
        // The topic's own limit decides; this one only has to be well above it.
        .set("message.max.bytes", "16000000")
        .set("queue.buffering.max.kbytes", "32768");
    Ok(client)
}

fn common(config: &CdcConsumer) -> Result<ClientConfig, CredentialsError> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.kafka_brokers)
        .set("client.id", CdcConsumer::NAME)
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Info);
    if config.settings.kafka_security == KafkaSecurity::SaslSsl {
        let folder = Path::new(&config.settings.kafka_credentials_dir);
        let credentials = Credentials::read(folder, "KAFKA_CREDENTIALS_DIR")?;
        client
            .set("security.protocol", "sasl_ssl")
            .set("sasl.mechanisms", "PLAIN")
            .set("sasl.username", credentials.username)
            .set("sasl.password", credentials.password.expose());
    }
    Ok(client)
}

/// Passes librdkafka's log lines on.
pub fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(facility, text, "librdkafka");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(facility, text, "librdkafka"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, text, "librdkafka"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, text, "librdkafka"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn config(variables: &[(&str, &str)]) -> CdcConsumer {
        let mut known = HashMap::from([
            ("AWS_REGION", "us-west-2"),
            ("KAFKA_BROKERS", "127.0.0.1:9"),
            ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:9"),
            ("SOURCE_ID", "shop"),
            ("CUSTOMERS_TABLE", "customers"),
            ("ORDERS_TABLE", "orders"),
            ("PRODUCTS_TABLE", "products"),
        ]);
        known.extend(variables.iter().copied());
        CdcConsumer::from_lookup(|name| known.get(name).map(ToString::to_string)).expect("complete")
    }

    #[test]
    fn credentials_come_from_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        let config = config(&[("KAFKA_SECURITY", "sasl_ssl"), ("KAFKA_CREDENTIALS_DIR", &path)]);
        let error = consumer_config(&config).expect_err("no file").to_string();
        assert!(error.contains("username") && error.contains("KAFKA_CREDENTIALS_DIR"), "{error}");
        std::fs::write(folder.path().join("username"), "reader\n").expect("written");
        std::fs::write(folder.path().join("password"), "\n").expect("written");
        assert!(matches!(consumer_config(&config), Err(CredentialsError::Empty { .. })));
        std::fs::write(folder.path().join("password"), "hunter2\n").expect("written");
        let client = consumer_config(&config).expect("complete");
        assert_eq!(client.get("sasl.username"), Some("reader"));
        assert_eq!(client.get("sasl.password"), Some("hunter2"));
        assert!(!format!("{client:?}").contains("hunter2"), "a password is never printed");
    }

    #[test]
    fn dead_letters_may_be_larger_than_messages() {
        let config = producer_config(&config(&[("KAFKA_SECURITY", "plaintext")])).expect("complete");
        let largest: u32 = config.get("message.max.bytes").and_then(|text| text.parse().ok()).expect("a number");
        assert!(largest > 10 * 1_048_576);
        let producer: Result<rdkafka::producer::FutureProducer, _> = config.create();
        assert!(producer.is_ok(), "librdkafka takes these settings");
    }

    #[test]
    fn offsets_are_safe() {
        let client = consumer_config(&config(&[("KAFKA_SECURITY", "plaintext")])).expect("complete");
        for (name, value) in
            [("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"), ("auto.offset.reset", "error")]
        {
            assert_eq!(client.get(name), Some(value));
        }
        assert_eq!(client.get("security.protocol"), None);
    }
}
