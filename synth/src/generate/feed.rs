//! A connection to the change topics that takes many messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use events::Entity;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use traffic::{Message, SchemaIds, Schemas};

use crate::error::Error;
use crate::schema_registry::register;

/// Longest wait for room in the producer's queue: a broker that is away for longer has taken the messages in it away too.
const ROOM_LIMIT: Duration = Duration::from_secs(120);

/// Sends messages in order; the broker has a message for certain after [`Feed::flush`] only.
pub struct Feed {
    producer: ThreadedProducer<Deliveries>,
    brokers: String,
    ids: BTreeMap<Entity, SchemaIds>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl Feed {
    /// Registers the schemas and connects.
    ///
    /// # Errors
    /// The registry doesn't take the schemas, or the client its settings.
    pub async fn connect(brokers: &str, registry: &str) -> Result<Self, Error> {
        let mut ids = BTreeMap::new();
        for entity in Entity::ALL {
            let Schemas { value, key, odd_value } = traffic::schemas(entity);
            // The good schema is the subject's latest version.
            let odd_value = register(registry, &odd_value.0, &odd_value.1).await?;
            let value = register(registry, &value.0, &value.1).await?;
            let key = register(registry, &key.0, &key.1).await?;
            ids.insert(entity, Schemas { value, key, odd_value });
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "synth-generate")
            // Retries must neither reorder the changes of one key nor repeat them.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Large batches rather than early ones.
            .set("linger.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("message.timeout.ms", "120000")
            .create_with_context(Deliveries::default())
            .map_err(|error| refused(brokers, error))?;
        Ok(Self { producer, brokers: brokers.to_owned(), ids })
    }

    /// The registry's ids of an entity's schemas.
    ///
    /// # Panics
    /// Never: [`Feed::connect`] registers those of every entity.
    pub fn schema_ids(&self, entity: Entity) -> SchemaIds {
        self.ids[&entity].clone()
    }

    /// Puts a message into the producer's queue; waits while that is full.
    ///
    /// # Errors
    /// The broker refused a message, or took none for too long.
    pub fn send(&self, message: &Message) -> Result<(), Error> {
        self.check()?;
        let headers = message
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let topic = BaseRecord::<[u8], [u8]>::to(message.entity.topic());
        let mut record = topic.key(&message.key[..]).partition(message.partition).headers(headers);
        record.payload = message.value.as_deref();
        let began = Instant::now();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again))
                    if began.elapsed() < ROOM_LIMIT =>
                {
                    record = again;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(refused(&self.brokers, error)),
            }
        }
    }

    /// Waits until the broker has everything.
    ///
    /// # Errors
    /// The broker refused a message, or doesn't have all within `limit`.
    pub fn flush(&self, limit: Duration) -> Result<(), Error> {
        self.producer.flush(limit).map_err(|error| refused(&self.brokers, error))?;
        self.check()
    }

    /// For each topic and partition how many messages the broker has acknowledged.
    pub fn delivered(&self) -> BTreeMap<(String, i32), i64> {
        self.producer.context().outcome().delivered.clone()
    }

    fn check(&self) -> Result<(), Error> {
        match &self.producer.context().outcome().failed {
            Some(error) => Err(refused(&self.brokers, error.clone())),
            None => Ok(()),
        }
    }
}

/// What became of the messages.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Outcome>>);

#[derive(Default)]
struct Outcome {
    failed: Option<KafkaError>,
    delivered: BTreeMap<(String, i32), i64>,
}

impl Deliveries {
    fn outcome(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut outcome = self.outcome();
        match result {
            // Counted, because the offset of a message that was sent again isn't always told.
            Ok(message) => {
                *outcome.delivered.entry((message.topic().to_owned(), message.partition())).or_default() += 1;
            }
            Err((error, _)) => drop(outcome.failed.get_or_insert_with(|| error.clone())),
        }
    }
}

fn refused(brokers: &str, error: KafkaError) -> Error {
    Error::remote(format!("Kafka at {brokers} does not take the messages"))
        .caused_by(error)
        .hint("see `synth status`; a deployment makes missing topics again")
}
