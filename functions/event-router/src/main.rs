//! The bootstrap of the event router: logging, configuration, clients, then Lambda's loop.

use aws::{CallBudget, DeadLetters, EventPublisher, sdk_config, with_region};
use contracts::EventRouter;
use event_router::Handler;
use std::process::ExitCode;
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::run(EventRouter::NAME, run()).await
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let started = Instant::now();
    let config = EventRouter::from_env()?;
    let budget = CallBudget::within(config.settings.publish_timeout);
    let sdk = sdk_config(&config.region, &budget)?;
    let peers = config.peers.iter().map(|peer| {
        let publisher = EventPublisher::new(&with_region(&sdk, peer), peer.clone(), config.peer_bus.clone(), budget);
        (peer.clone(), publisher)
    });
    let dead_letters = DeadLetters::new(&sdk, config.dead_letters.clone());
    let margin = config.settings.deadline_margin;
    let handler = Handler::new(config.region.clone(), peers, margin, dead_letters);
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["clients"], started.elapsed());
    let handler = &handler;
    lambda::run(async |event| Ok::<_, lambda_runtime::Error>(handler.handle(event, &mut std::io::stdout()).await))
        .await?;
    Ok(())
}
