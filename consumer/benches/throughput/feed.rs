//! What is put into the broker: change records of three tables, each of a row of its own or a later change of one.

use std::time::Instant;

use events::qlik::encode::{Encoder, Record, sample_columns, schema_json};
use events::{ChangeSequence, Entity, Operation, Timestamp};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};

use crate::Failure;
use crate::broker::Broker;

/// Rows of each table that the changes are about.
const ROWS: usize = 50_000;

/// A Schema Registry with the schemas of all tables; gives its URL.
pub(crate) async fn registry() -> Result<String, Failure> {
    let answer = |axum::extract::Path(id): axum::extract::Path<usize>| async move {
        let entity = Entity::ALL.get(id.wrapping_sub(1)).ok_or(axum::http::StatusCode::NOT_FOUND)?;
        Ok::<_, axum::http::StatusCode>(json!({ "schema": schema_json(*entity) }).to_string())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().route("/schemas/ids/{id}", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// Produces `count` changes whose counters begin at `first`.
pub(crate) async fn produce(broker: &Broker, count: usize, first: u64) -> Result<Value, Failure> {
    let address = broker.address();
    tokio::task::spawn_blocking(move || produce_all(&address, count, first)).await?
}

fn produce_all(address: &str, count: usize, first: u64) -> Result<Value, Failure> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("linger.ms", "20")
        .set("batch.size", "262144")
        .set("queue.buffering.max.messages", "200000")
        .create()?;
    let encoders = Entity::ALL.map(Encoder::new);
    let committed_at = Timestamp::now();
    let mut bytes = 0;
    let started = Instant::now();
    for (index, counter) in (0..count).zip(first..) {
        let entity = index % Entity::ALL.len();
        let row = index / Entity::ALL.len();
        let key = format!("C-{:08}", row % ROWS);
        let columns = sample_columns(Entity::ALL[entity], &key, counter);
        let sequence = ChangeSequence::new(committed_at, counter);
        let record = Record {
            entity: Entity::ALL[entity],
            operation: if row < ROWS { Operation::Insert } else { Operation::Update },
            columns: &columns,
            before: None,
            change_sequence: Some(&sequence),
            committed_at,
            stream_position: "00000000:0000000000000042",
            transaction_id: "00000000000000000000000000000017",
            column_mask: None,
        };
        let value = encoders[entity].value(u32::try_from(entity + 1)?, &record)?;
        bytes += value.len();
        let mut message = BaseRecord::to(Entity::ALL[entity].topic()).key(key.as_bytes()).payload(&value);
        while let Err((error, refused)) = producer.send(message) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            message = refused;
        }
    }
    producer.flush(std::time::Duration::from_secs(60))?;
    Ok(json!({
        "messages": count,
        "bytes_per_value": bytes / count.max(1),
        "produced_per_second": (count as f64 / started.elapsed().as_secs_f64()).round(),
    }))
}
