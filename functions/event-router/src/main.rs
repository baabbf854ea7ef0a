//! The bootstrap of the event router: logging, configuration, clients, then Lambda's loop.

use aws::routes::DynamoRoute;
use aws::{CallBudget, DeadLetters, EventPublisher, sdk_config, with_region};
use breaker::{Bounds, Route, Settings, Thresholds};
use contracts::EventRouter;
use event_router::Handler;
use event_router::guard::Guarded;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a probe's lease has besides the longest request: writing the lease, and the difference of two clocks.
const PROBE_TIME: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::run(EventRouter::NAME, run()).await
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let started = Instant::now();
    let config = EventRouter::from_env()?;
    let settings = &config.settings;
    let budget = CallBudget::within(settings.publish_timeout);
    let sdk = sdk_config(&config.region, &budget)?;
    let thresholds = Settings::new(Thresholds {
        window: settings.breaker_window,
        min_calls: settings.breaker_min_calls,
        failure_percent: settings.breaker_failure_percent,
        consecutive_failures: settings.breaker_consecutive_failures,
        slow_call: settings.breaker_slow_call,
        open: settings.breaker_open,
        open_max: settings.breaker_open_max,
        // A probe is one request with its retries.
        probe_lease: settings.publish_timeout + PROBE_TIME,
        ..Thresholds::default()
    })?;
    let bounds = Bounds { max_depth: settings.parking_max_depth, max_age: settings.parking_max_age };
    let dead_letters = DeadLetters::new(&sdk, config.dead_letters.clone());
    let ways = config.peers.iter().map(|peer| {
        let publisher = EventPublisher::new(&with_region(&sdk, peer), peer.clone(), config.peer_bus.clone(), budget);
        let route = Route {
            from: config.region.as_str().into(),
            to: peer.as_str().into(),
            target: config.peer_bus.as_str().into(),
        };
        let store = DynamoRoute::new(&sdk, config.breakers.clone(), config.parking.clone(), &route);
        let ends = [config.region.clone(), peer.clone()];
        Guarded::new(ends, publisher, store, dead_letters.clone(), thresholds.clone(), bounds)
    });
    let handler = Handler::new(config.region.clone(), ways, settings.deadline_margin, dead_letters.clone());
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["clients"], started.elapsed());
    let handler = &handler;
    lambda::run(async |event| handler.handle(event, &mut std::io::stdout()).await.map_err(lambda_runtime::Error::from))
        .await?;
    Ok(())
}
