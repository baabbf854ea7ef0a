//! The bootstrap of the health checker: logging, configuration, clients for each region, then Lambda's loop.

use aws::authority::AuthorityTable;
use aws::health::{HealthBus, RegionProbes, VerdictTable};
use aws::{CallBudget, sdk_config, with_fresh_connections, with_region};
use contracts::{HealthChecker, Region};
use health_checker::Handler;
use health_checker::checker::Checker;
use health_checker::clock::MachineClock;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// After a pause of this length probes open new connections. Checks are a minute apart or more, and the calls of one check
/// follow each other faster.
const PAUSE: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::run(HealthChecker::NAME, run()).await
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let started = Instant::now();
    let config = HealthChecker::from_env()?;
    // A quarter of the whole is one attempt, and a probe makes one: it may last as long as a probe.
    let budget = CallBudget::within(config.settings.probe_timeout * 4);
    let sdk = sdk_config(&config.region, &budget)?;
    let probe_sdk = with_fresh_connections(&sdk, &budget, PAUSE);
    let probes = |region: &Region| {
        let (table, bus, queue) = (config.health.clone(), config.bus.clone(), config.canaries.clone());
        RegionProbes::new(&with_region(&probe_sdk, region), config.region.clone(), region.clone(), table, bus, queue)
    };
    let store = VerdictTable::new(&sdk, config.health.clone());
    let bus = HealthBus::new(&sdk, config.region.clone(), config.bus.clone());
    let record = AuthorityTable::new(&sdk, config.authority.clone());
    let handler = &Handler::new(Checker::new(&config, probes, store, bus, record, MachineClock::start()));
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["clients"], started.elapsed());
    lambda::run(async |event| Ok::<_, lambda_runtime::Error>(handler.handle(event, &mut std::io::stdout()).await))
        .await?;
    Ok(())
}
