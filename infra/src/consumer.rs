//! The consumer's binding: the same values for its role, its pods and its process on the local platform.

use std::collections::BTreeMap;

use contracts::{
    Binding, Bound, CaFile, CdcConsumerBinding, CdcConsumerSettings, CredentialsFolder, KafkaSecurity, Region,
    SaslMechanism, Text, WithoutRecord, resource,
};
use events::Entity;

use crate::constructs::table;
use crate::environment::{Environment, KafkaCluster};

/// Folder where the pods find the files of the Schema Registry's secret.
pub(crate) const SCHEMA_REGISTRY_CREDENTIALS: &str = "/var/run/secrets/schema-registry";

/// Where the consumer finds Kafka.
#[derive(Clone, Debug, Default)]
pub struct KafkaEndpoints {
    /// Bootstrap servers, `host:port` joined by commas.
    pub brokers: String,
    /// Base URL of the Schema Registry.
    pub schema_registry_url: String,
}

impl KafkaEndpoints {
    /// What the environment file says; empty where the local platform decides.
    pub fn of(environment: &Environment) -> Self {
        match &environment.kafka().cluster {
            KafkaCluster::Platform => Self::default(),
            KafkaCluster::Existing { brokers, schema_registry, .. } => {
                Self { brokers: brokers.join(","), schema_registry_url: schema_registry.clone() }
            }
        }
    }
}

/// The environment variables of the consumer in `region`.
pub fn consumer_environment(
    environment: &Environment,
    region: &Region,
    endpoints: &KafkaEndpoints,
) -> BTreeMap<String, String> {
    // Variables hold the tables' names only; permissions come from the role in the `events` stack.
    let authority = Bound::new(table::AUTHORITY, environment.name(table::AUTHORITY), Vec::new());
    let binding = binding(environment, region, endpoints, authority, |entity| {
        Bound::new(entity.as_str(), environment.name(entity.as_str()), Vec::new())
    });
    binding
        .variables()
        .into_iter()
        .map(|variable| match variable.value {
            Text::Literal(text) | Text::Template(text) => (variable.name.to_owned(), text),
        })
        .collect()
}

/// The file of the authority whose certificates the brokers show, in the folder of what shows them who the consumer is.
pub(crate) const CA_FILE: &str = "ca.pem";

/// Everything the consumer needs; `table` gives the write access to an entity's table.
pub(crate) fn binding<V>(
    environment: &Environment,
    region: &Region,
    endpoints: &KafkaEndpoints,
    authority: Bound<V, resource::Authority, resource::Read>,
    table: impl Fn(Entity) -> Bound<V, resource::Table, resource::Write>,
) -> CdcConsumerBinding<V> {
    let defaults = CdcConsumerSettings::default();
    let (security, sasl_mechanism, private_ca, registry_secret) = match &environment.kafka().cluster {
        KafkaCluster::Platform => (KafkaSecurity::Plaintext, SaslMechanism::Plain, false, None),
        KafkaCluster::Existing { security, sasl_mechanism, private_ca, schema_registry_secret, .. } => {
            (*security, *sasl_mechanism, *private_ca, schema_registry_secret.as_ref())
        }
    };
    let kafka_ca = match private_ca {
        true => CaFile::File(format!("{}/{CA_FILE}", defaults.kafka_credentials_dir)),
        false => CaFile::System,
    };
    // Until somebody has made a record, the home region owns. Only one region may be told so.
    let without_record = match environment.is_primary(region) {
        true => WithoutRecord::Own,
        false => WithoutRecord::StandBy,
    };
    let schema_registry_credentials_dir = match registry_secret {
        Some(_) => CredentialsFolder::Mounted(SCHEMA_REGISTRY_CREDENTIALS.to_owned()),
        None => CredentialsFolder::None,
    };
    CdcConsumerBinding {
        region: region.clone(),
        kafka_brokers: endpoints.brokers.clone(),
        schema_registry_url: endpoints.schema_registry_url.clone(),
        source_id: environment.consumer().source_id.clone(),
        customers: table(Entity::Customers),
        orders: table(Entity::Orders),
        products: table(Entity::Products),
        authority,
        settings: CdcConsumerSettings {
            kafka_sasl_mechanism: sasl_mechanism,
            kafka_ca,
            schema_registry_credentials_dir,
            without_record,
            ..environment.consumer().contract(security)
        },
    }
}
