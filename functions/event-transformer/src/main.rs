//! The bootstrap of the event transformer: logging, configuration, rules, clients, then Lambda's loop.

use aws::{CallBudget, DeadLetters, EventPublisher, Idempotency, IdempotencyTable, sdk_config};
use contracts::EventTransformer;
use event_transformer::rules::RuleSet;
use event_transformer::transform::Window;
use event_transformer::{Handler, Ports, geo};
use std::process::ExitCode;
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::run(EventTransformer::NAME, run()).await
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let started = Instant::now();
    let config = EventTransformer::from_env()?;
    let rules = RuleSet::embedded()?;
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["rules"], started.elapsed());
    let started = Instant::now();
    let database = geo::open(&config.settings.geo_database);
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["geo"], started.elapsed());
    let started = Instant::now();
    let budget = CallBudget::within(config.settings.publish_timeout);
    let sdk = sdk_config(&config.region, &budget)?;
    let records = IdempotencyTable::new(&sdk, config.idempotency.clone());
    let ports = Ports {
        publisher: EventPublisher::new(&sdk, config.region.clone(), config.bus.clone(), budget),
        dead_letters: DeadLetters::new(&sdk, config.dead_letters.clone()),
        idempotency: Idempotency::new(records, config.settings.idempotency_retention),
    };
    let window = Window { oldest: config.settings.oldest, furthest_ahead: config.settings.furthest_ahead };
    let margin = config.settings.deadline_margin;
    let handler = Handler::new(config.region, rules, window, database, margin, ports);
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["clients"], started.elapsed());
    let handler = &handler;
    lambda::run(async |event| Ok::<_, lambda_runtime::Error>(handler.handle(event, &mut std::io::stdout()).await))
        .await?;
    Ok(())
}
