//! The CDC consumer: Qlik's change records from Kafka become rows of the tables.

use std::time::Duration;

use crate::macros::program;
use crate::{Region, Setting};

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
        }
        settings {
            /// Consumer group.
            group_id: String = "KAFKA_GROUP_ID", "tandem-cdc-consumers".to_owned(), any_text();
            /// Topic for messages that can't be applied.
            dead_letter_topic: String = "KAFKA_DEAD_LETTER_TOPIC", "tandem.cdc.dead-letters".to_owned(), any_text();
            /// How the connection to Kafka is secured.
            kafka_security: KafkaSecurity = "KAFKA_SECURITY", KafkaSecurity::SaslSsl, KafkaSecurity::Plaintext..=KafkaSecurity::SaslSsl;
            /// Folder with the files `username` and `password` for SASL; read only when the connection uses SASL.
            kafka_credentials_dir: String = "KAFKA_CREDENTIALS_DIR", "/var/run/secrets/kafka".to_owned(), any_text();
            /// Where the files `username` and `password` for the Schema Registry are.
            schema_registry_credentials_dir: CredentialsFolder = "SCHEMA_REGISTRY_CREDENTIALS_DIR", CredentialsFolder::None, any_folder();
            /// The longest that the broker may wait to fill a fetch.
            fetch_wait: Duration = "KAFKA_FETCH_WAIT", Duration::from_millis(10), Duration::from_millis(1)..=Duration::from_secs(1);
            /// Generation of the load: raised by a reload from the source, part of every version.
            generation: u32 = "SOURCE_GENERATION", 0, 0..=u32::MAX;
            /// Authority epoch that every write carries.
            epoch: u64 = "AUTHORITY_EPOCH", 1, 1..=u64::MAX;
            /// Writes under way at once; changes of one key are always written in order.
            shards: u16 = "SHARDS", 64, 1..=1024;
            /// Whether changes of one row that wait together are written as one; then those between are neither seen nor become events.
            coalescing: Coalescing = "COALESCING", Coalescing::Never, Coalescing::Never..=Coalescing::Waiting;
            /// Messages of one partition that may be unfinished before the partition is paused.
            in_flight_per_partition: u32 = "IN_FLIGHT_PER_PARTITION", 1000, 1..=100_000;
            /// How long a tombstone is kept; at least as long as anything can be redelivered.
            tombstone_retention: Duration = "TOMBSTONE_RETENTION", Duration::from_secs(30 * 86_400), Duration::from_secs(86_400)..=Duration::from_secs(365 * 86_400);
            /// The longest that draining may take on revocation and on SIGTERM.
            drain_deadline: Duration = "DRAIN_DEADLINE", Duration::from_secs(20), Duration::from_secs(1)..=Duration::from_secs(29);
            /// Port of `/health`, `/ready` and `/metrics`; 0 takes a free one.
            http_port: u16 = "HTTP_PORT", 9090, 0..=u16::MAX;
        }
    }
}

fn any_text() -> std::ops::RangeInclusive<String> {
    String::new()..=char::MAX.to_string()
}

fn any_folder() -> std::ops::RangeInclusive<CredentialsFolder> {
    CredentialsFolder::None..=CredentialsFolder::Mounted(char::MAX.to_string())
}

/// Where a program finds the user name and the password that a server asks it for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialsFolder {
    /// The server asks for none; `none` in a variable.
    None,
    /// The absolute path of a folder with the files `username` and `password`.
    Mounted(String),
}

impl Setting for CredentialsFolder {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            path if path.starts_with('/') => Ok(Self::Mounted(path.to_owned())),
            _ => Err("neither `none` nor the absolute path of a folder".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Mounted(path) => path.clone(),
        }
    }
}

/// Whether changes of one row that wait together are written as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coalescing {
    /// Each change is written, so each is seen and becomes an event.
    Never,
    /// Only what they come to is written: fewer writes while there is much to do, and the versions between are skipped.
    Waiting,
}

impl Setting for Coalescing {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "waiting" => Ok(Self::Waiting),
            _ => Err("neither `never` nor `waiting`".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Never => "never",
            Self::Waiting => "waiting",
        }
        .to_owned()
    }
}

/// How the connection to Kafka is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KafkaSecurity {
    /// No encryption, no authentication: only for a broker on this machine.
    Plaintext,
    /// TLS and SASL PLAIN.
    SaslSsl,
}

impl Setting for KafkaSecurity {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "plaintext" => Ok(Self::Plaintext),
            "sasl_ssl" => Ok(Self::SaslSsl),
            _ => Err("neither `plaintext` nor `sasl_ssl`".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Plaintext => "plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
        .to_owned()
    }
}
