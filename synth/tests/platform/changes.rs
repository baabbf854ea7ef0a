//! Changes in Kafka that the smoke test doesn't send: updates of which only some columns are known.

use std::time::Duration;

use events::qlik::ChangeSequence;
use events::qlik::encode::{Encoder, Record, sample_columns, schema_json};
use events::{Entity, Operation, Timestamp};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;

use crate::aws;
use crate::checkout::Checkout;

/// The mask of the key, which is the first column, and the column after it.
const KNOWN: [u8; 1] = [0b11];

fn second_column(entity: Entity) -> &'static str {
    match entity {
        Entity::Customers => "name",
        Entity::Orders => "customer_id",
        Entity::Products => "sku",
    }
}

/// Inserts a row and then updates one column of it. Gives the version that the row has in the end.
pub(crate) fn send_partial(checkout: &Checkout, entity: Entity, key: &str) -> String {
    let topic = entity.topic();
    let headers = [("content-type", "application/vnd.schemaregistry.v1+json")];
    let path = format!("/subjects/{topic}-value/versions");
    let schema = json!({"schema": schema_json(entity)}).to_string();
    let registered = aws::request(checkout.port_of("schema-registry"), "POST", &path, &headers, &schema);
    assert_eq!(registered.status, 200, "{registered:?}");
    let schema_id = registered.json()["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id");

    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", format!("127.0.0.1:{}", checkout.port_of("broker")))
        .set("enable.idempotence", "true")
        .create()
        .expect("a producer");
    let encoder = Encoder::new(entity);
    let now = Timestamp::now();
    let mut columns = [0, 1].map(|revision| sample_columns(entity, key, revision));
    let known = [entity.key_columns()[0], second_column(entity)];
    columns[1].retain(|name, _| known.contains(&name.as_str()));
    let mut version = String::new();
    for (revision, operation) in [Operation::Insert, Operation::Update].into_iter().enumerate() {
        let sequence = ChangeSequence::new(now, revision as u64);
        let record = Record {
            entity,
            operation,
            columns: &columns[revision],
            before: (operation == Operation::Update).then_some(&columns[0]),
            change_sequence: Some(&sequence),
            committed_at: now,
            stream_position: sequence.as_str(),
            transaction_id: key,
            column_mask: (operation == Operation::Update).then_some(&KNOWN),
        };
        let value = encoder.value(schema_id, &record).expect("a good record");
        producer.send(BaseRecord::to(topic).key(key).payload(&value)).map_err(|(error, _)| error).expect("room");
        version = events::Version::cdc(0, &sequence).as_str().to_owned();
    }
    producer.flush(Duration::from_secs(20)).expect("the broker takes them");
    version
}
