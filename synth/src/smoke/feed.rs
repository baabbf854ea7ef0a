//! Writes the changes into Kafka as Qlik Replicate does: framed Avro, schemas in the registry.

use std::collections::BTreeMap;
use std::time::Duration;

use events::Entity;
use events::qlik::encode::{Encoder, Record, sample_columns, schema_json};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use super::workload::{Change, Workload};
use crate::error::Error;
use crate::schema_registry::register;

/// A connection to the change topics.
pub(super) struct Feed {
    producer: FutureProducer,
    brokers: String,
    encoders: BTreeMap<Entity, (Encoder, u32)>,
}

impl Feed {
    /// Registers the schemas and connects.
    pub(super) async fn connect(brokers: &str, registry: &str) -> Result<Self, Error> {
        let mut encoders = BTreeMap::new();
        for entity in Entity::ALL {
            let id = register(registry, &format!("{}-value", entity.topic()), &schema_json(entity)).await?;
            encoders.insert(entity, (Encoder::new(entity), id));
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "synth-smoke")
            // Retries must not reorder the changes of one key.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("message.timeout.ms", "30000")
            .create()
            .map_err(|error| refused(brokers, error))?;
        Ok(Self { producer, brokers: brokers.to_owned(), encoders })
    }

    /// Sends one change; done when the broker has it.
    pub(super) async fn send(&self, workload: &Workload, change: &Change) -> Result<(), Error> {
        let key = &workload.keys()[change.key];
        let columns = |revision| sample_columns(key.entity, key.key.as_str(), revision);
        let (after, before) = (columns(change.revision), change.revision.checked_sub(1).map(columns));
        let position = change.sequence.as_str();
        let record = Record {
            entity: key.entity,
            operation: change.operation,
            columns: &after,
            before: before.as_ref(),
            change_sequence: Some(&change.sequence),
            committed_at: change.committed_at,
            stream_position: position,
            transaction_id: workload.run(),
            column_mask: None,
        };
        let Some((encoder, schema_id)) = self.encoders.get(&key.entity) else {
            return Err(Error::internal(format!("there is no encoder for `{}`", key.entity)));
        };
        let value = encoder
            .value(*schema_id, &record)
            .map_err(|error| Error::internal("a synthetic change can't be encoded").caused_by(error))?;
        let message = FutureRecord::to(key.entity.topic()).key(key.key.as_str()).payload(&value);
        let sent = self.producer.send(message, Timeout::After(Duration::from_secs(30))).await;
        sent.map(drop).map_err(|(error, _)| refused(&self.brokers, error))
    }
}

fn refused(brokers: &str, error: rdkafka::error::KafkaError) -> Error {
    Error::remote(format!("Kafka at {brokers} does not take the changes"))
        .caused_by(error)
        .hint("see `synth status`; a deployment makes missing topics again")
}
