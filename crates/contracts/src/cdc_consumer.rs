//! The CDC consumer: Qlik's change records from Kafka become rows of the tables.

use std::time::Duration;

use crate::coalescing::Coalescing;
use crate::kafka::{CaFile, CredentialsFolder, GroupProtocol, KafkaSecurity, SaslMechanism};
use crate::macros::program;
use crate::ownership::{WhenUnread, WithoutRecord};
use crate::{Mistake, Region, Setting};

program! {
    /// Configuration of `consumer`.
    CdcConsumer("consumer"), CdcConsumerBinding, CdcConsumerSettings {
        ambient {}
        required {
            /// The region it runs in and writes as `origin_region`.
            region: Region = "AWS_REGION",
            /// Kafka's bootstrap servers, `host:port` joined by commas.
            kafka_brokers: String = "KAFKA_BROKERS",
            /// The Schema Registry's base URL.
            schema_registry_url: String = "SCHEMA_REGISTRY_URL",
            /// Which Qlik task feeds these topics; part of every row's fence.
            source_id: String = "SOURCE_ID",
        }
        resources {
            /// Rows of `qlik.customers`.
            customers: Table as Write = "CUSTOMERS_TABLE",
            /// Rows of `qlik.orders`.
            orders: Table as Write = "ORDERS_TABLE",
            /// Rows of `qlik.products`.
            products: Table as Write = "PRODUCTS_TABLE",
            /// The record that says which region consumes, and with which epoch; or an epoch without a record.
            authority: Authority as Read = "AUTHORITY",
        }
        settings {
            /// Consumer group.
            group_id: String = "KAFKA_GROUP_ID", "tandem-cdc-consumers".to_owned(), any_text();
            /// Topic for messages that can't be applied.
            dead_letter_topic: String = "KAFKA_DEAD_LETTER_TOPIC", "tandem.cdc.dead-letters".to_owned(), any_text();
            /// How the connection to Kafka is secured.
            kafka_security: KafkaSecurity = "KAFKA_SECURITY", KafkaSecurity::SaslSsl, KafkaSecurity::Plaintext..=KafkaSecurity::Mtls;
            /// How SASL shows who the consumer is; without SASL it must be left alone.
            kafka_sasl_mechanism: SaslMechanism = "KAFKA_SASL_MECHANISM", SaslMechanism::Plain, SaslMechanism::Plain..=SaslMechanism::ScramSha512;
            /// Whose certificates the brokers show.
            kafka_ca: CaFile = "KAFKA_CA_FILE", CaFile::System, any_ca();
            /// Folder with the files `username` and `password` for SASL, or `certificate.pem` and `key.pem` for mutual TLS.
            /// It isn't read when the connection is in plain text.
            kafka_credentials_dir: String = "KAFKA_CREDENTIALS_DIR", "/var/run/secrets/kafka".to_owned(), any_text();
            /// Where the files `username` and `password` for the Schema Registry are.
            schema_registry_credentials_dir: CredentialsFolder = "SCHEMA_REGISTRY_CREDENTIALS_DIR", CredentialsFolder::None, any_folder();
            /// Who decides which member gets which partitions.
            kafka_group_protocol: GroupProtocol = "KAFKA_GROUP_PROTOCOL", GroupProtocol::Classic, GroupProtocol::Classic..=GroupProtocol::Consumer;
            /// The longest that the broker may wait to fill a fetch.
            fetch_wait: Duration = "KAFKA_FETCH_WAIT", Duration::from_millis(10), Duration::from_millis(1)..=Duration::from_secs(1);
            /// Generation of the load: raised by a reload from the source, part of every version.
            generation: u32 = "SOURCE_GENERATION", 0, 0..=u32::MAX;
            /// How often the record of authority is read.
            authority_interval: Duration = "AUTHORITY_INTERVAL", Duration::from_secs(5), Duration::from_secs(1)..=Duration::from_secs(60);
            /// The longest that one reading may take.
            authority_timeout: Duration = "AUTHORITY_TIMEOUT", Duration::from_secs(2), Duration::from_millis(100)..=Duration::from_secs(10);
            /// What a consumer does that owns its topics and can't read the record any more.
            when_unread: WhenUnread = "AUTHORITY_UNREAD", WhenUnread::FailStatic, WhenUnread::FailStatic..=WhenUnread::FailSafe(Duration::from_secs(3600));
            /// What a consumer does while nobody has made a record.
            without_record: WithoutRecord = "AUTHORITY_ABSENT", WithoutRecord::StandBy, WithoutRecord::StandBy..=WithoutRecord::Own;
            /// How long before the end of a lease writing stops: more than the clocks of two machines may disagree, and more than the
            /// half second that a consumer may take to end.
            lease_margin: Duration = "LEASE_MARGIN", Duration::from_secs(5), Duration::from_secs(1)..=Duration::from_secs(60);
            /// Writes under way at once; changes of one key are always written in order.
            shards: u16 = "SHARDS", 64, 1..=1024;
            /// Whether changes of one row that wait together are written as one; then those between are neither seen nor become events.
            coalescing: Coalescing = "COALESCING", Coalescing::Never, Coalescing::Never..=Coalescing::Waiting;
            /// Messages of one partition that may be unfinished before the partition is paused.
            in_flight_per_partition: u32 = "IN_FLIGHT_PER_PARTITION", 1000, 1..=100_000;
            /// How long a tombstone is kept; at least as long as anything can be redelivered.
            tombstone_retention: Duration = "TOMBSTONE_RETENTION", Duration::from_secs(30 * 86_400), Duration::from_secs(86_400)..=Duration::from_secs(365 * 86_400);
            /// The longest that draining may take on SIGTERM; partitions that are given up are drained for 400 ms at most.
            drain_deadline: Duration = "DRAIN_DEADLINE", Duration::from_secs(20), Duration::from_secs(1)..=Duration::from_secs(29);
            /// Port of `/health`, `/ready` and `/metrics`; 0 takes a free one.
            http_port: u16 = "HTTP_PORT", 9090, 0..=u16::MAX;
        }
        contradictions: contradictions,
    }
}

fn any_text() -> std::ops::RangeInclusive<String> {
    String::new()..=char::MAX.to_string()
}

fn any_folder() -> std::ops::RangeInclusive<CredentialsFolder> {
    CredentialsFolder::None..=CredentialsFolder::Mounted(char::MAX.to_string())
}

fn any_ca() -> std::ops::RangeInclusive<CaFile> {
    CaFile::System..=CaFile::File(char::MAX.to_string())
}

fn contradictions(_: &Region, _: &str, _: &str, _: &str, settings: &CdcConsumerSettings) -> Vec<Mistake> {
    let CdcConsumerSettings { kafka_security, kafka_sasl_mechanism, kafka_ca, .. } = settings;
    let CdcConsumerSettings { authority_interval, authority_timeout, when_unread, .. } = settings;
    let mut mistakes = Vec::new();
    let mut mistake = |variable, problem| mistakes.push(Mistake { variable, problem });
    let security = kafka_security.render();
    if *kafka_sasl_mechanism != SaslMechanism::Plain && *kafka_security != KafkaSecurity::SaslSsl {
        let problem = format!(
            "is `{}`, and a connection that is `{security}` (`KAFKA_SECURITY`) uses no SASL; leave it out",
            kafka_sasl_mechanism.render()
        );
        mistake("KAFKA_SASL_MECHANISM", problem);
    }
    if *kafka_ca != CaFile::System && *kafka_security == KafkaSecurity::Plaintext {
        let problem = format!(
            "is `{}`, and a connection that is `{security}` (`KAFKA_SECURITY`) shows no certificate; leave it out",
            kafka_ca.render()
        );
        mistake("KAFKA_CA_FILE", problem);
    }
    if authority_timeout > authority_interval {
        let problem = format!(
            "is `{}`, and the next reading is due after `{}` (`AUTHORITY_INTERVAL`); make it shorter",
            authority_timeout.render(),
            authority_interval.render()
        );
        mistake("AUTHORITY_TIMEOUT", problem);
    }
    let one_failure = *authority_interval + *authority_timeout;
    if let WhenUnread::FailSafe(after) = when_unread
        && *after < one_failure
    {
        let problem = format!(
            "is `{}`, and a single reading that fails (`AUTHORITY_INTERVAL` and `AUTHORITY_TIMEOUT`) takes `{}`; make it longer",
            when_unread.render(),
            one_failure.render()
        );
        mistake("AUTHORITY_UNREAD", problem);
    }
    mistakes
}
