//! The consumer's process. What it does is in the library; here its parts are put together.
//!
//! Exit codes: 0 after a drain, 1 when it can't start or go on, 3 when it was fenced, 130 after a second signal.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws::{CallBudget, TableNames, TableWriter};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use consumer::clock::RuntimeClock;
use consumer::credentials::Credentials;
use consumer::dead_letter::DeadLetterTopic;
use consumer::lane::{Limits, Tools};
use consumer::limiter::Limiter;
use consumer::pipeline::{Complete, Pipeline, StopReason};
use consumer::registry::Registry;
use consumer::signals::{INTERRUPTED, Termination};
use consumer::{http, kafka};
use contracts::{CdcConsumer, CredentialsFolder};
use events::dead_letter::chain;
use events::qlik::Fence;
use tokio::sync::Notify;

/// A writer with a higher authority epoch has taken over; starting again with the same epoch is useless.
const FENCED: u8 = 3;
/// The longest that one write may take. It is tried once: the lanes try again, and a limiter must hear of each refusal at once.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long a change of only some columns waits for its row.
/// Partitions of one source are seconds apart at most while none lags; more would hold commits up without need.
const ROW_WAIT: Duration = Duration::from_secs(15);
/// Bytes of one partition that may be unfinished.
const PARTITION_BYTES: usize = 16 * 1024 * 1024;

fn main() -> ExitCode {
    telemetry::init_logging(CdcConsumer::NAME);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = chain(&error), "start_failed");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run());
    // Dropping it would wait for blocking work, such as the resolution of a broker's name, beyond every deadline.
    runtime.shutdown_background();
    match outcome {
        Ok(complete) => report(&complete),
        Err(error) => {
            tracing::error!(error = chain(error.as_ref()), "start_failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Complete, Box<dyn Error>> {
    let config = CdcConsumer::from_env()?;
    let settings = &config.settings;
    let signals = Termination::catch()?;
    let producer = kafka::producer_config(&config)?.create()?;
    let tools = Tools {
        sink: table_writer(&config).await,
        dead_letters: DeadLetterTopic::new(producer, &settings.dead_letter_topic, &settings.group_id),
        registry: Arc::new(registry(&config)?),
        fence: Fence {
            source: config.source_id.parse()?,
            generation: settings.generation,
            epoch: settings.epoch,
            origin_region: config.region.clone(),
            tombstone_retention: settings.tombstone_retention,
        },
        limits: Limits { messages: usize::try_from(settings.in_flight_per_partition)?, bytes: PARTITION_BYTES },
        writes: Limiter::new(settings.shards),
        coalescing: settings.coalescing,
        clock: Arc::new(RuntimeClock),
        backoff: (Duration::from_millis(100), Duration::from_secs(10)),
        absence_wait: Duration::from_secs(2),
        row_wait: ROW_WAIT,
    };
    let listener = http::listen(settings.http_port).await?;
    tracing::info!(address = listener.local_addr()?.to_string(), "listening");
    let pipeline = Pipeline::start(&kafka::consumer_config(&config)?, settings.drain_deadline, tools)?;

    let closing = Arc::new(Notify::new());
    let stop = Arc::clone(&closing);
    let server = tokio::spawn(http::serve(listener, pipeline.status(), async move { stop.notified().await }));
    let shutdown = Arc::new(Notify::new());
    // A task of its own: a rebalance may hold the pipeline up for a whole drain, and a second signal must be heard even then.
    // It lives until the process ends.
    tokio::spawn(watch_signals(signals, Arc::clone(&shutdown)));
    let draining = pipeline.run(async move { shutdown.notified().await }).await;
    tracing::info!("draining");
    let complete = draining.drain().await;
    closing.notify_one();
    // A client that keeps its connection open must not hold the process up.
    let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    Ok(complete)
}

/// The registry's client, with credentials if there are some.
fn registry(config: &CdcConsumer) -> Result<Registry, Box<dyn Error>> {
    let credentials = match &config.settings.schema_registry_credentials_dir {
        CredentialsFolder::None => None,
        CredentialsFolder::Mounted(folder) => {
            Some(Credentials::read(Path::new(folder), "SCHEMA_REGISTRY_CREDENTIALS_DIR")?)
        }
    };
    Ok(Registry::new(&config.schema_registry_url, credentials.as_ref())?)
}

async fn watch_signals(mut signals: Termination, shutdown: Arc<Notify>) {
    signals.next().await;
    shutdown.notify_one();
    signals.next().await;
    end_at_once()
}

async fn table_writer(config: &CdcConsumer) -> TableWriter {
    let budget = CallBudget::once(WRITE_LIMIT);
    let sdk = aws::sdk_config_with(credentials(config).await, &config.region, &budget);
    let tables = TableNames {
        customers: config.customers.clone(),
        orders: config.orders.clone(),
        products: config.products.clone(),
    };
    TableWriter::new(&sdk, tables)
}

/// Credentials as a pod has them: from the environment, a web identity, the container's or the machine's role.
async fn credentials(config: &CdcConsumer) -> DefaultCredentialsChain {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let region = aws_config::Region::new(config.region.to_string());
    let settings = ProviderConfig::default().with_http_client(http).with_region(Some(region.clone()));
    DefaultCredentialsChain::builder().configure(settings).region(region).build().await
}

fn report(complete: &Complete) -> ExitCode {
    match &complete.reason {
        StopReason::Shutdown => {
            tracing::info!(clean = complete.clean, "stopped");
            ExitCode::SUCCESS
        }
        StopReason::Fenced { message } => {
            tracing::error!(clean = complete.clean, error = message, "fenced");
            ExitCode::from(FENCED)
        }
        StopReason::Failed(error) => {
            tracing::error!(clean = complete.clean, error = chain(error), "failed");
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "a second signal asks for exactly this: an end without a drain"
)]
fn end_at_once() -> ! {
    tracing::warn!("interrupted");
    std::process::exit(INTERRUPTED)
}
