//! The bootstrap of the authorizer: logging, configuration, clients, all keys, then Lambda's loop.

use authorizer::Handler;
use authorizer::clock::MachineClock;
use authorizer::key_server::KeyServer;
use aws::{CallBudget, Secret, sdk_config};
use contracts::{Authorizer, KeyIssuer};
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest that reading the secret may take; the function's own timeout is 5 s.
const SECRET_TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::run(Authorizer::NAME, run()).await
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let started = Instant::now();
    let config = Authorizer::from_env()?;
    let sdk = sdk_config(&config.region, &CallBudget::within(SECRET_TIMEOUT))?;
    let secret = Secret::new(&sdk, config.signing_secret.clone());
    let keys = match &config.key_issuer {
        KeyIssuer::None => None,
        KeyIssuer::Url(url) => Some(KeyServer::of_issuer(url)?),
    };
    let handler = &Handler::new(config, secret, keys, MachineClock)?;
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["clients"], started.elapsed());
    prepare(handler).await;
    lambda::run(async |event| handler.handle(event, &mut std::io::stdout()).await).await?;
    Ok(())
}

/// Fetches all keys before the first request. Without them the function starts all the same: the request tries again, and
/// an answer of 500 says more than a function that doesn't start.
async fn prepare(handler: &Handler<Secret, KeyServer, MachineClock>) {
    let started = Instant::now();
    for error in handler.prepare().await {
        tracing::warn!(error = &error as &dyn Error, "keys could not be fetched at start");
    }
    telemetry::INIT_STAGE_SECONDS.observe_duration(&["keys"], started.elapsed());
}
