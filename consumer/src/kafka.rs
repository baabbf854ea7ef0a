//! How librdkafka is set up: every value here has a reason beside it.

use std::path::Path;
use std::time::Duration;

use contracts::{CaFile, CdcConsumer, GroupProtocol, KafkaSecurity, Setting};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::credentials::{ClientCertificate, Credentials, CredentialsError, authorities, both};

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
    let protocol = config.settings.kafka_group_protocol;
    client.set("group.id", &config.settings.group_id).set("group.protocol", protocol.render());
    if protocol == GroupProtocol::Classic {
        client
            // Partitions that stay with a member go on during a rebalance.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.as_millis().to_string())
            .set("heartbeat.interval.ms", "1500");
    }
    // With the other protocol the broker assigns, always bit by bit, and sets these timeouts; librdkafka refuses them there.
    // `group.consumer.session.timeout.ms` of the broker then has to be longer than a drain.
    client
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
        // Statistics tell whether a broker answers.
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
    secure(&mut client, config)?;
    Ok(client)
}

/// Says how the connection is secured. Certificates and keys stay in their files, so that no setting holds a secret but the
/// password, which rdkafka doesn't print.
fn secure(client: &mut ClientConfig, config: &CdcConsumer) -> Result<(), CredentialsError> {
    let settings = &config.settings;
    let folder = Path::new(&settings.kafka_credentials_dir);
    let authorities = match &settings.kafka_ca {
        CaFile::System => Ok(None),
        CaFile::File(file) => authorities(Path::new(file), "KAFKA_CA_FILE").map(Some),
    };
    let authorities = match settings.kafka_security {
        KafkaSecurity::Plaintext => return Ok(()),
        KafkaSecurity::SaslSsl => {
            let (credentials, authorities) = both(Credentials::read(folder, CREDENTIALS), authorities)?;
            client
                .set("security.protocol", "sasl_ssl")
                .set("sasl.mechanisms", settings.kafka_sasl_mechanism.render())
                .set("sasl.username", credentials.username)
                .set("sasl.password", credentials.password.expose());
            authorities
        }
        KafkaSecurity::Mtls => {
            let (own, authorities) = both(ClientCertificate::find(folder, CREDENTIALS), authorities)?;
            client
                .set("security.protocol", "ssl")
                .set("ssl.certificate.location", own.certificate.to_string_lossy())
                .set("ssl.key.location", own.key.to_string_lossy());
            authorities
        }
    };
    // The brokers' certificates must be good for the names by which they are addressed; librdkafka's default, made explicit.
    client.set("enable.ssl.certificate.verification", "true").set("ssl.endpoint.identification.algorithm", "https");
    if let Some(authorities) = authorities {
        client.set("ssl.ca.location", authorities.to_string_lossy());
    }
    Ok(())
}

/// The variable that names the folder of what shows the brokers who the consumer is.
const CREDENTIALS: &str = "KAFKA_CREDENTIALS_DIR";

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
#[path = "kafka/tests.rs"]
mod tests;
