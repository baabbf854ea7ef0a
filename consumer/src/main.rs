//! The consumer's process. What it does is in the library; here its parts are put together.
//!
//! While another region owns the topics it only waits, outside of the group. It ends with its tenure; whatever starts it again
//! starts one that waits.
//!
//! Exit codes: 0 after a drain, also one because authority moved on; 1 when it can't start or go on; 3 when it lost its authority
//! at once; 130 after a second signal.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws::authority::AuthorityTable;
use aws::{CallBudget, TableNames, TableWriter};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_types::SdkConfig;
use consumer::clock::RuntimeClock;
use consumer::credentials::{Credentials, CredentialsError, both};
use consumer::dead_letter::DeadLetterTopic;
use consumer::lane::{Limits, Tools};
use consumer::lanes::{GIVE_UP_DEADLINE, Lanes};
use consumer::limiter::Limiter;
use consumer::ownership::Tenure;
use consumer::pipeline::{Complete, Pipeline, StopReason};
use consumer::presence::Presence;
use consumer::registry::Registry;
use consumer::signals::{INTERRUPTED, Termination};
use consumer::tenure::{Authority, Ended, Watched, Watcher, serve};
use consumer::{http, kafka};
use contracts::{AuthoritySource, CdcConsumer, CredentialsFolder};
use events::Timestamp;
use events::dead_letter::chain;
use events::qlik::Fence;
use rdkafka::producer::FutureProducer;
use tokio::sync::Notify;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Authority was lost at once: a writer with a higher epoch has taken over, or the lease is over.
const FENCED: u8 = 3;
/// How long the parts may take to go after authority was lost at once. Then the process goes: it must not write.
const FENCED_LIMIT: Duration = Duration::from_millis(500);
/// What is being given up isn't cut off with the rest, so it must be over by then.
const _: () = assert!(GIVE_UP_DEADLINE.as_millis() < FENCED_LIMIT.as_millis());
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
        Ok(ended) => report(&ended),
        Err(error) => {
            tracing::error!(error = chain(error.as_ref()), "start_failed");
            ExitCode::FAILURE
        }
    }
}

/// What became of the process.
enum End {
    /// It was asked to end before its region owned.
    StoodBy,
    /// It was at work.
    Served(Ended),
}

async fn run() -> Result<End, Box<dyn Error>> {
    let config = CdcConsumer::from_env()?;
    let signals = Termination::catch()?;
    // All files before anything is begun: what is wrong with any of them is told at once.
    let clients = both(kafka::producer_config(&config), kafka::consumer_config(&config));
    let ((producer, member), registry_credentials) = both(clients, registry_credentials(&config))?;
    let producer = producer.create()?;
    let registry = Registry::new(&config.schema_registry_url, registry_credentials.as_ref())?;
    let sdk = aws::sdk_config_with(credentials(&config).await, &config.region, &CallBudget::once(WRITE_LIMIT));

    let listener = http::listen(config.settings.http_port).await?;
    tracing::info!(address = listener.local_addr()?.to_string(), "listening");
    let (presence, closing) = (Arc::new(Presence::default()), Arc::new(Notify::new()));
    let stop = Arc::clone(&closing);
    let server = tokio::spawn(http::serve(listener, Arc::clone(&presence), async move { stop.notified().await }));
    let shutdown = Arc::new(Notify::new());
    // A task of its own: a rebalance may hold the pipeline up, and a second signal must be heard even then.
    // It lives until the process ends.
    tokio::spawn(watch_signals(signals, Arc::clone(&shutdown)));

    let mut authority = authority(&config, &sdk, &presence);
    let tenure = tokio::select! {
        tenure = authority.begins() => tenure,
        () = shutdown.notified() => return Ok(End::StoodBy),
    };
    let tools = tools(&config, &tenure, table_writer(&config, &sdk), producer, registry)?;
    // Only now: whoever is a member of the group gets partitions.
    let pipeline = Pipeline::start(&member, config.settings.drain_deadline, tools)?;
    let watched = authority.watch(tenure);
    tokio::spawn(end_when_fenced(watched.clone(), pipeline.lanes()));
    let ended = serve(pipeline, watched, presence, async move { shutdown.notified().await }).await;
    closing.notify_one();
    // A client that keeps its connection open must not hold the process up.
    let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    Ok(End::Served(ended))
}

/// What says whether this region owns.
fn authority(config: &CdcConsumer, sdk: &SdkConfig, presence: &Arc<Presence>) -> Authority<AuthorityTable> {
    match &config.authority {
        AuthoritySource::Table(table) => {
            let record = AuthorityTable::new(sdk, table.clone());
            Authority::Record(Watcher::new(
                record,
                config,
                Arc::clone(presence),
                Arc::new(RuntimeClock),
                Timestamp::now,
            ))
        }
        AuthoritySource::Epoch(epoch) => Authority::Fixed(Tenure { epoch: epoch.get(), lease_until: None }),
    }
}

fn tools(
    config: &CdcConsumer,
    tenure: &Tenure,
    sink: TableWriter,
    producer: FutureProducer,
    registry: Registry,
) -> Result<Tools<TableWriter, DeadLetterTopic>, Box<dyn Error>> {
    let settings = &config.settings;
    Ok(Tools {
        sink,
        dead_letters: DeadLetterTopic::new(producer, &settings.dead_letter_topic, &settings.group_id),
        registry: Arc::new(registry),
        fence: Fence {
            source: config.source_id.parse()?,
            generation: settings.generation,
            epoch: tenure.epoch,
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
    })
}

/// The registry's credentials, if it asks for some.
fn registry_credentials(config: &CdcConsumer) -> Result<Option<Credentials>, CredentialsError> {
    match &config.settings.schema_registry_credentials_dir {
        CredentialsFolder::None => Ok(None),
        CredentialsFolder::Mounted(folder) => {
            Credentials::read(Path::new(folder), "SCHEMA_REGISTRY_CREDENTIALS_DIR").map(Some)
        }
    }
}

async fn watch_signals(mut signals: Termination, shutdown: Arc<Notify>) {
    signals.next().await;
    shutdown.notify_one();
    signals.next().await;
    tracing::warn!("interrupted");
    end_at_once(INTERRUPTED)
}

/// Ends the process soon after authority was lost at once, whatever its parts are doing: a rebalance may hold them up.
async fn end_when_fenced(mut watched: Watched, lanes: Arc<Lanes>) {
    let reason = watched.stopped().await;
    lanes.abort_all();
    tokio::time::sleep(FENCED_LIMIT).await;
    tracing::error!(reason = reason.to_string(), "fenced");
    end_at_once(FENCED.into())
}

fn table_writer(config: &CdcConsumer, sdk: &SdkConfig) -> TableWriter {
    let tables = TableNames {
        customers: config.customers.clone(),
        orders: config.orders.clone(),
        products: config.products.clone(),
    };
    TableWriter::new(sdk, tables)
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

fn report(end: &End) -> ExitCode {
    match end {
        End::StoodBy => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        End::Served(Ended::Complete(complete)) => report_complete(complete),
        End::Served(Ended::HandedOver { reason, complete }) => {
            tracing::warn!(clean = complete.clean, reason = reason.to_string(), "handed_over");
            // What ended the drain may be worse than what began it.
            report_complete(complete)
        }
        End::Served(Ended::Stopped(reason)) => {
            tracing::error!(reason = reason.to_string(), "fenced");
            ExitCode::from(FENCED)
        }
    }
}

fn report_complete(complete: &Complete) -> ExitCode {
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
    reason = "whoever asks for it asks for exactly this: an end without a drain"
)]
fn end_at_once(code: i32) -> ! {
    std::process::exit(code)
}
