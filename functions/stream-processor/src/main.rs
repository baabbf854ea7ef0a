//! The bootstrap of the stream processor: logging, configuration, clients, then Lambda's loop.

use aws::{CallBudget, DeadLetters, EventPublisher, sdk_config};
use contracts::StreamProcessor;
use std::process::ExitCode;
use std::time::Instant;
use stream_processor::Handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::run(StreamProcessor::NAME, run()).await
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let started = Instant::now();
    let config = StreamProcessor::from_env()?;
    let budget = CallBudget::within(config.settings.publish_timeout);
    let sdk = sdk_config(&config.region, &budget)?;
    let publisher = EventPublisher::new(&sdk, config.region.clone(), config.bus.clone(), budget);
    let dead_letters = DeadLetters::new(&sdk, config.dead_letters.clone());
    let handler = Handler::new(config.region, config.settings.deadline_margin, publisher, dead_letters);
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["clients"], started.elapsed());
    let handler = &handler;
    lambda::run(async |event| Ok::<_, lambda_runtime::Error>(handler.handle(event, &mut std::io::stdout()).await))
        .await?;
    Ok(())
}
