//! An endpoint that speaks DynamoDB, and what it takes without a consumer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws::{CallBudget, TableNames, TableWriter};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use contracts::Region;
use events::qlik::encode::sample_columns;
use events::{
    ChangeSequence, Entity, EventId, Operation, RowChange, RowHead, RowWrite, SourceId, Timestamp, Trace, Version,
};

use crate::Failure;
use crate::server::{Server, cache};

/// Requests that are under way at once, in each of the tries to find the limit.
const CONCURRENCY: [usize; 3] = [8, 32, 64];

/// A running endpoint with empty tables.
pub(crate) struct Endpoint(Server);

impl Endpoint {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }
}

pub(crate) fn find() -> Option<PathBuf> {
    let named = std::env::var_os("TANDEM_DYNOXIDE").map(PathBuf::from);
    named.or_else(|| Some(cache()?.join("tools/bin/dynoxide"))).filter(|program| program.is_file())
}

pub(crate) async fn start(program: &Path) -> Result<Endpoint, Failure> {
    let arguments = |port: u16| ["serve", "--port", &port.to_string(), "--log", "quiet"].map(str::to_owned).to_vec();
    let endpoint = Endpoint(Server::start(program, arguments).await?);
    let client = aws_sdk_dynamodb::Client::new(&config(&endpoint.url()));
    let tables = tables();
    for table in [&tables.customers, &tables.orders, &tables.products] {
        client
            .create_table()
            .table_name(table.as_str())
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(
                AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build()?,
            )
            .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build()?)
            .send()
            .await?;
    }
    Ok(endpoint)
}

/// A writer as the consumer has it.
pub(crate) fn writer(url: &str) -> TableWriter {
    TableWriter::new(&config(url), tables())
}

fn config(url: &str) -> aws_types::SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "benchmark");
    let region = Region::new("us-west-2").expect("a region");
    let config = aws::sdk_config_with(credentials, &region, &CallBudget::once(Duration::from_secs(5)));
    config.to_builder().endpoint_url(url).build()
}

fn tables() -> TableNames {
    let name = |name: &str| name.parse().expect("a table's name");
    TableNames { customers: name("customers"), orders: name("orders"), products: name("products") }
}

/// The most whole rows per second that the endpoint takes of a writer which has them ready.
pub(crate) async fn limit(endpoint: &Endpoint, writes: usize) -> Result<f64, Failure> {
    let mut best: f64 = 0.0;
    for (round, concurrency) in CONCURRENCY.into_iter().enumerate() {
        let writer = writer(&endpoint.url());
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let tasks = (0..concurrency).map(|_| {
            let (writer, next) = (writer.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= writes / CONCURRENCY.len() {
                        return Ok::<_, aws::WriteError>(());
                    }
                    writer.apply(&row(round, index)).await?;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        best = best.max((writes / CONCURRENCY.len()) as f64 / started.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn row(round: usize, index: usize) -> RowWrite {
    let entity = Entity::ALL[index % Entity::ALL.len()];
    let key = format!("limit-{round}-{index}");
    let source: SourceId = "shop".parse().expect("a source");
    let sequence = ChangeSequence::new(Timestamp::UNIX_EPOCH, index as u64);
    let version = Version::cdc(1, &sequence);
    let columns = sample_columns(entity, &key, index as u64);
    let key = key.parse().expect("a key");
    RowWrite {
        head: RowHead {
            entity,
            event_id: EventId::new(&source, entity, &key, &version),
            key,
            source,
            version,
            epoch: 1,
            origin_region: Region::new("us-west-2").expect("a region"),
            operation: Operation::Insert,
            committed_at: Timestamp::UNIX_EPOCH,
            trace: Trace {
                task: "shop".to_owned(),
                table: format!("shop.{entity}"),
                change_sequence: sequence.to_string(),
                stream_position: "00000000:0000000000000042".to_owned(),
                topic: entity.topic().to_owned(),
                partition: 1,
                offset: 1_000,
            },
            traceparent: None,
        },
        change: RowChange::Put(columns),
    }
}
