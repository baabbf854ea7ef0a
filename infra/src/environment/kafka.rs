//! `[kafka]` and `[consumer]`: where change records come from and how they are applied.

use std::time::Duration;

use contracts::{CdcConsumerSettings, Coalescing, GroupProtocol, KafkaSecurity, SaslMechanism, Setting, WhenUnread};

use super::Target;
use super::reader::Section;
use super::rule::{Rule, days, duration, flag, one_of, text, whole};
use super::units::Days;

/// Kafka and the Schema Registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KafkaSettings {
    /// The longest that a topic keeps messages.
    pub retention: Days,
    /// Where the brokers are.
    pub cluster: KafkaCluster,
}

/// Where the brokers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaCluster {
    /// The local platform starts a broker and a registry and gives their addresses at deployment.
    Platform,
    /// A cluster that exists already.
    Existing {
        /// Bootstrap servers as `host:port`, at least one.
        brokers: Vec<String>,
        /// The Schema Registry's base URL.
        schema_registry: String,
        /// How the connection is secured.
        security: KafkaSecurity,
        /// How SASL shows who the consumer is; of no use without SASL.
        sasl_mechanism: SaslMechanism,
        /// Whether the secret names the authority whose certificates the brokers show, as `ca`.
        private_ca: bool,
        /// Name of the secret with `username` and `password` for the brokers, or `certificate` and `key` with mutual TLS.
        credentials_secret: String,
        /// Name of the secret with `username` and `password` for the registry, if it asks for them.
        schema_registry_secret: Option<String>,
    },
}

impl KafkaSettings {
    pub(super) fn read(section: &mut Section<'_>, target: Option<Target>) -> Option<Self> {
        let retention = section.required("retention", &days(1..=365));
        let brokers = section.list("brokers", &broker());
        let schema_registry = section.optional("schema_registry", &url());
        let security = section.optional("security", &security());
        let sasl_mechanism = section.optional("sasl_mechanism", &sasl_mechanism());
        let private_ca = section.optional("private_ca", &flag());
        let credentials_secret = section.optional("credentials_secret", &secret());
        let schema_registry_secret = section.optional("schema_registry_secret", &secret());
        let cluster = match target? {
            Target::Local => platform(section),
            Target::Aws => {
                let complete = complete(section, security.flatten());
                let (brokers, registry_secret) = (brokers?, schema_registry_secret?);
                let (sasl_mechanism, private_ca) = (sasl_mechanism?, private_ca?);
                complete.then_some(())?;
                Some(KafkaCluster::Existing {
                    brokers,
                    schema_registry: schema_registry??,
                    security: security??,
                    sasl_mechanism: sasl_mechanism.unwrap_or(SaslMechanism::Plain),
                    private_ca: private_ca.unwrap_or(false),
                    credentials_secret: credentials_secret??,
                    schema_registry_secret: registry_secret,
                })
            }
        };
        Some(Self { retention: retention?, cluster: cluster? })
    }
}

/// Refuses what the local platform gives itself.
fn platform(section: &Section<'_>) -> Option<KafkaCluster> {
    let mut good = true;
    for key in [
        "brokers",
        "schema_registry",
        "security",
        "sasl_mechanism",
        "private_ca",
        "credentials_secret",
        "schema_registry_secret",
    ] {
        if section.has(key) {
            good = false;
            let path = section.path_of(key);
            let problem =
                format!("`{path}` is set, and a local environment's broker and registry are the platform's own");
            section.mistake_at(key, problem, "remove it; fixed ports can be set in `[local]`");
        }
    }
    good.then_some(KafkaCluster::Platform)
}

/// Refuses a cluster on AWS that lacks an address or security.
fn complete(section: &Section<'_>, security: Option<KafkaSecurity>) -> bool {
    let mut good = true;
    let needed = [
        ("brokers", "add `brokers = [\"host:9094\"]`"),
        ("schema_registry", "add `schema_registry = \"https://host\"`"),
        ("security", "add `security = \"sasl_ssl\"`"),
        ("credentials_secret", "add the name of the secret that holds what shows the brokers who the consumer is"),
    ];
    for (key, hint) in needed {
        if !section.has(key) {
            good = false;
            section.mistake(key, "and an environment on AWS needs it", hint);
        }
    }
    if section.is_empty_list("brokers") {
        good = false;
        section.mistake("brokers", "which names no broker", "add `brokers = [\"host:9094\"]`");
    }
    if security == Some(KafkaSecurity::Plaintext) {
        good = false;
        section.mistake("security", "which sends data and passwords unencrypted", "write \"sasl_ssl\" or \"mtls\"");
    }
    if security == Some(KafkaSecurity::Mtls) && section.has("sasl_mechanism") {
        good = false;
        let problem = format!("`{}` is set, and mutual TLS uses no SASL", section.path_of("sasl_mechanism"));
        section.mistake_at("sasl_mechanism", problem, "remove it, or write `security = \"sasl_ssl\"`");
    }
    good
}

/// The CDC consumer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConsumerSettings {
    /// Which Qlik task feeds the topics; part of every row's fence, so a change makes old rows foreign.
    pub source_id: String,
    /// Generation of the load: raised by a reload from the source.
    pub generation: u32,
    /// Partitions of each topic; can only grow.
    pub partitions: u32,
    /// Shards that work side by side; each key belongs to one.
    pub shards: u16,
    /// Messages of one partition that may be unfinished before it is paused.
    pub in_flight_per_partition: u32,
    /// Whether changes of one row that wait together are written as one, and those between become no events.
    pub coalescing: Coalescing,
    /// The longest that the broker may wait to fill a fetch.
    pub fetch_wait: Duration,
    /// The longest that draining may take, below 30 seconds.
    pub drain_deadline: Duration,
    /// How long the trace of a deleted row is kept.
    pub tombstone_retention: Days,
    /// Who decides which pod gets which partitions.
    pub group_protocol: GroupProtocol,
    /// What pods do that own the topics and can't read the record of authority any more.
    pub when_unread: WhenUnread,
    /// Pods at least.
    pub min_replicas: u32,
    /// Pods at most: no more than partitions, or the rest would idle.
    pub max_replicas: u32,
}

impl ConsumerSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let source_id = section.required("source_id", &identifier());
        let generation = section.optional("generation", &whole(0..=u32::MAX));
        let partitions = section.required("partitions", &whole(1..=1_000));
        let shards = section.required("shards", &whole(1..=1_024));
        let in_flight_per_partition = section.required("in_flight_per_partition", &whole(1..=100_000));
        let coalescing = section.optional("coalescing", &coalescing());
        let fetch_wait = section.required("fetch_wait", &duration(Duration::from_millis(1)..=Duration::from_secs(1)));
        let drain_deadline =
            section.required("drain_deadline", &duration(Duration::from_secs(1)..=Duration::from_secs(29)));
        let tombstone_retention = section.required("tombstone_retention", &days(1..=365));
        let group_protocol = section.optional("group_protocol", &group_protocol());
        let when_unread = section.optional("authority_unread", &when_unread());
        let min_replicas = section.required("min_replicas", &whole(1..=100));
        let max_replicas = section.required("max_replicas", &whole(1..=100));
        if let (Some(min), Some(max)) = (min_replicas, max_replicas)
            && min > max
        {
            section.mistake("min_replicas", "which is more than `max_replicas`", "lower it, or raise `max_replicas`");
            return None;
        }
        if let (Some(max), Some(partitions)) = (max_replicas, partitions)
            && max > partitions
        {
            section.mistake("max_replicas", "which is more than `partitions`: pods would idle", "lower it");
            return None;
        }
        let defaults = CdcConsumerSettings::default();
        Some(Self {
            source_id: source_id?,
            generation: generation?.unwrap_or(0),
            partitions: partitions?,
            shards: shards?,
            in_flight_per_partition: in_flight_per_partition?,
            coalescing: coalescing?.unwrap_or(defaults.coalescing),
            fetch_wait: fetch_wait?,
            drain_deadline: drain_deadline?,
            tombstone_retention: tombstone_retention?,
            group_protocol: group_protocol?.unwrap_or(defaults.kafka_group_protocol),
            when_unread: when_unread?.unwrap_or(defaults.when_unread),
            min_replicas: min_replicas?,
            max_replicas: max_replicas?,
        })
    }

    /// The settings that the consumer's contract declares, with the contract's defaults for what no file says.
    pub fn contract(&self, security: KafkaSecurity) -> CdcConsumerSettings {
        CdcConsumerSettings {
            kafka_security: security,
            kafka_group_protocol: self.group_protocol,
            when_unread: self.when_unread,
            generation: self.generation,
            shards: self.shards,
            in_flight_per_partition: self.in_flight_per_partition,
            coalescing: self.coalescing,
            fetch_wait: self.fetch_wait,
            drain_deadline: self.drain_deadline,
            tombstone_retention: self.tombstone_retention.duration(),
            ..CdcConsumerSettings::default()
        }
    }
}

fn security() -> Rule<KafkaSecurity> {
    one_of(&[
        ("sasl_ssl", KafkaSecurity::SaslSsl),
        ("mtls", KafkaSecurity::Mtls),
        ("plaintext", KafkaSecurity::Plaintext),
    ])
}

fn sasl_mechanism() -> Rule<SaslMechanism> {
    one_of(&[("PLAIN", SaslMechanism::Plain), ("SCRAM-SHA-512", SaslMechanism::ScramSha512)])
}

fn coalescing() -> Rule<Coalescing> {
    one_of(&[("never", Coalescing::Never), ("waiting", Coalescing::Waiting)])
}

fn group_protocol() -> Rule<GroupProtocol> {
    one_of(&[("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)])
}

/// Below ten seconds a reading or two that fail would do; above an hour it is as good as never.
fn when_unread() -> Rule<WhenUnread> {
    let hint = "write \"fail_static\", or \"fail_safe:\" and a duration from 10s to 1h, such as \"fail_safe:30s\"";
    text(hint, |text| match WhenUnread::parse(text)? {
        WhenUnread::FailSafe(after) if !(Duration::from_secs(10)..=Duration::from_secs(3600)).contains(&after) => {
            Err("outside 10s to 1h".to_owned())
        }
        policy => Ok(policy),
    })
}

fn broker() -> Rule<String> {
    text("write host and port: \"b-1.kafka.example.com:9094\"", |text| {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| "without a port".to_owned())?;
        match (is_host(host), port.parse::<u16>()) {
            (true, Ok(1..)) => Ok(text.to_owned()),
            _ => Err("not `host:port`".to_owned()),
        }
    })
}

fn url() -> Rule<String> {
    text("write a URL without a path at the end: \"https://registry.example.com\"", |text| {
        let host = text.strip_prefix("https://").ok_or_else(|| "not an `https` URL".to_owned())?;
        let (host, port) = host.split_once(':').unwrap_or((host, "443"));
        match (is_host(host), port.parse::<u16>()) {
            (true, Ok(1..)) => Ok(text.to_owned()),
            _ => Err("not the base URL of a host".to_owned()),
        }
    })
}

/// A name of AWS Secrets Manager: letters, digits and `/_+=.@-`, up to 512 characters.
fn secret() -> Rule<String> {
    text("write the secret's name, such as \"tandem/kafka\", never the secret itself", |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
        if (1..=512).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err("not the name of a secret".to_owned())
        }
    })
    .hide()
}

fn identifier() -> Rule<String> {
    text("write letters, digits, `-`, `_` and `.`, at most 64", |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err("not an identifier".to_owned())
        }
    })
}

/// Whether `text` is a host name or an IPv4 address: labels of letters, digits and hyphens, joined by dots.
pub(super) fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
