//! The SDK configuration of a program, put together by hand.
//!
//! A default configuration loads profiles, asks metadata services and builds one TLS client per service. A function
//! knows all of that beforehand: credentials, region and endpoint are in its environment, and one connector serves
//! every client ([`crate::connector`]). Nothing here reads a file or the network.

use crate::connector::Pool;
use crate::credentials::Kept;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use contracts::Region;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Longest wait between two attempts of one call.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// How long calls may take: one connection, one attempt, and one operation with all its attempts.
///
/// Invariant: `connect` ≤ `attempt`, and `attempts` attempts with the pauses between them fit into `operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallBudget {
    connect: Duration,
    attempt: Duration,
    operation: Duration,
    attempts: u32,
}

impl CallBudget {
    /// Divides the time that one operation may take: up to three attempts, each with the same share, and a quarter of
    /// the whole left for the pauses between them.
    ///
    /// The caller makes `operation` smaller than the function's timeout; work stops at the deadline in any case.
    pub fn within(operation: Duration) -> Self {
        let attempts = 3;
        let attempt = operation * 3 / 4 / attempts;
        Self { connect: attempt.min(Duration::from_secs(1)), attempt, operation, attempts }
    }

    /// One attempt, for callers that try again themselves.
    pub fn once(operation: Duration) -> Self {
        Self { connect: operation.min(Duration::from_secs(1)), attempt: operation, operation, attempts: 1 }
    }

    /// The longest that reaching the other side may take.
    pub fn connect(&self) -> Duration {
        self.connect
    }

    /// The longest that one attempt may take, with its connection.
    pub fn attempt(&self) -> Duration {
        self.attempt
    }

    /// The longest that an operation may take, with all attempts and pauses.
    pub fn operation(&self) -> Duration {
        self.operation
    }

    /// How often an operation is tried.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    fn retries(&self) -> RetryConfig {
        RetryConfig::standard().with_max_attempts(self.attempts).with_max_backoff(MAX_BACKOFF.min(self.operation / 8))
    }

    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
}

/// The environment lacks what every Lambda function is given.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SdkConfigError {
    /// Credentials of the execution role are absent.
    #[error(
        "no AWS credentials: {} not set; Lambda sets them for every function that has an execution role",
        list(variables)
    )]
    NoCredentials {
        /// The variables that are missing or empty.
        variables: Vec<&'static str>,
    },
}

fn list(variables: &[&str]) -> String {
    variables.iter().map(|variable| format!("`{variable}`")).collect::<Vec<_>>().join(" and ")
}

/// The configuration for every client of a function in `region`, from the environment that Lambda gives.
///
/// Reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and, for an endpoint other than AWS,
/// `AWS_ENDPOINT_URL`. A function's credentials do not change while its process lives.
///
/// # Errors
/// When a credential variable is missing.
pub fn sdk_config(region: &Region, budget: &CallBudget) -> Result<SdkConfig, SdkConfigError> {
    sdk_config_from(|variable| std::env::var(variable).ok(), region, budget)
}

/// The same configuration for another region. Connections, TLS roots and credentials are shared with `config`.
pub fn with_region(config: &SdkConfig, region: &Region) -> SdkConfig {
    config.to_builder().region(sdk_region(region)).build()
}

/// The same configuration with connections of its own, none of which is used again after a pause of `pause` without calls.
///
/// Lambda freezes a process between invocations, and a connection that was kept meanwhile may be dead without anybody
/// noticing. A retry covers that up; this is for clients that make one attempt. Clients of several regions share the
/// connections when they are made from the same configuration.
#[must_use]
pub fn with_fresh_connections(config: &SdkConfig, budget: &CallBudget, pause: Duration) -> SdkConfig {
    let budget = *budget;
    let make = move || connector(&budget);
    config.to_builder().http_client(renewed_after(pause, SystemTime::now, make)).build()
}

/// An HTTP client that takes a new connector, which has no connections yet, when the last call was `pause` ago or longer.
///
/// Wall-clock time: it goes on while the process is frozen. A clock that was set back counts as a pause.
fn renewed_after(
    pause: Duration,
    now: impl Fn() -> SystemTime + Send + Sync + 'static,
    make: impl Fn() -> SharedHttpConnector + Send + Sync + 'static,
) -> SharedHttpClient {
    let last: Mutex<Option<(SystemTime, SharedHttpConnector)>> = Mutex::new(None);
    // The SDK asks for a connector with each attempt.
    http_client_fn(move |_, _| {
        let now = now();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last.take().filter(|(used, _)| now.duration_since(*used).is_ok_and(|since| since < pause));
        let connector = kept.map_or_else(&make, |(_, connector)| connector);
        *last = Some((now, connector.clone()));
        connector
    })
}

/// The same configuration with credentials from `provider`, for programs whose credentials change while they live.
/// They are kept until a minute before they expire.
///
/// Reads `AWS_ENDPOINT_URL`, for an endpoint other than AWS. The provider's own calls have its own settings.
pub fn sdk_config_with(provider: impl ProvideCredentials + 'static, region: &Region, budget: &CallBudget) -> SdkConfig {
    let endpoint_url = std::env::var("AWS_ENDPOINT_URL").ok().filter(|text| !text.is_empty());
    assemble(SharedCredentialsProvider::new(Kept::new(provider)), endpoint_url, region, budget)
}

fn sdk_config_from(
    lookup: impl Fn(&str) -> Option<String>,
    region: &Region,
    budget: &CallBudget,
) -> Result<SdkConfig, SdkConfigError> {
    let given = |variable| lookup(variable).filter(|text| !text.is_empty());
    let provider = SharedCredentialsProvider::new(credentials(given)?);
    Ok(assemble(provider, given("AWS_ENDPOINT_URL"), region, budget))
}

fn assemble(
    provider: SharedCredentialsProvider,
    endpoint_url: Option<String>,
    region: &Region,
    budget: &CallBudget,
) -> SdkConfig {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(sdk_region(region))
        .credentials_provider(provider)
        .http_client(http_client(budget))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(SystemTimeSource::new()))
        .retry_config(budget.retries())
        .timeout_config(budget.timeouts());
    match endpoint_url {
        Some(url) => config.endpoint_url(url).build(),
        None => config.build(),
    }
}

fn credentials(given: impl Fn(&'static str) -> Option<String>) -> Result<Credentials, SdkConfigError> {
    const KEY: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    match (given(KEY), given(SECRET)) {
        (Some(key), Some(secret)) => {
            Ok(Credentials::new(key, secret, given("AWS_SESSION_TOKEN"), None, "lambda-environment"))
        }
        (key, secret) => {
            let missing = [(KEY, key.is_none()), (SECRET, secret.is_none())];
            let variables = missing.into_iter().filter(|(_, missing)| *missing).map(|(variable, _)| variable).collect();
            Err(SdkConfigError::NoCredentials { variables })
        }
    }
}

/// One connector for all clients.
///
/// The SDK's own HTTP client builds a connector for each service client and for each timeout setting.
/// This one is built here, once; the settings that clients pass are those of the same budget.
fn http_client(budget: &CallBudget) -> SharedHttpClient {
    let connector = connector(budget);
    http_client_fn(move |_, _| connector.clone())
}

fn connector(budget: &CallBudget) -> SharedHttpConnector {
    SharedHttpConnector::new(Pool::new(budget.connect))
}

fn sdk_region(region: &Region) -> aws_types::region::Region {
    aws_types::region::Region::new(region.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn region(name: &str) -> Region {
        Region::new(name).expect("a region")
    }

    fn lookup(variable: &str) -> Option<String> {
        let value = match variable {
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY" => "secret",
            "AWS_SESSION_TOKEN" => "",
            "AWS_ENDPOINT_URL" => "http://127.0.0.1:4566",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn everything_is_set_explicitly() {
        let budget = CallBudget::within(Duration::from_secs(12));
        let config = sdk_config_from(lookup, &region("us-west-2"), &budget).expect("complete");
        assert_eq!(config.region().map(AsRef::as_ref), Some("us-west-2"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:4566"));
        assert!(config.behavior_version().is_some() && config.sleep_impl().is_some() && config.time_source().is_some());
        let timeouts = config.timeout_config().expect("timeouts");
        assert_eq!(timeouts.connect_timeout(), Some(Duration::from_secs(1)));
        assert_eq!(timeouts.operation_attempt_timeout(), Some(Duration::from_secs(3)));
        assert_eq!(timeouts.operation_timeout(), Some(Duration::from_secs(12)));
        assert_eq!(config.retry_config().map(RetryConfig::max_attempts), Some(3));
    }

    #[test]
    fn a_provider_of_credentials_changes_nothing_else() {
        let budget = CallBudget::within(Duration::from_secs(12));
        let fixed = sdk_config_from(lookup, &region("us-west-2"), &budget).expect("complete");
        let config =
            sdk_config_with(Credentials::new("key", "secret", None, None, "test"), &region("us-west-2"), &budget);
        assert!(config.credentials_provider().is_some() && config.http_client().is_some());
        assert_eq!(config.timeout_config(), fixed.timeout_config());
        assert_eq!(
            config.retry_config().map(RetryConfig::max_backoff),
            fixed.retry_config().map(RetryConfig::max_backoff)
        );
    }

    #[test]
    fn the_peer_shares_everything_but_the_region() {
        let config = sdk_config_from(lookup, &region("us-west-2"), &CallBudget::within(Duration::from_secs(4)))
            .expect("complete");
        let peer = with_region(&config, &region("us-east-1"));
        assert_eq!(peer.region().map(AsRef::as_ref), Some("us-east-1"));
        assert_eq!(peer.endpoint_url(), config.endpoint_url());
        assert!(peer.http_client().is_some() && peer.credentials_provider().is_some());
        assert_eq!(peer.timeout_config(), config.timeout_config());
    }

    /// Answers each request with an empty JSON object and keeps connections open; counts connections.
    async fn serve(listener: TcpListener, connections: Arc<AtomicU64>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                // The requests of this test have the body `{}`, which comes after the empty line.
                while let Ok(byte) = stream.read_u8().await {
                    seen.push(byte);
                    if seen.ends_with(b"\r\n\r\n{}") {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";
                        stream.write_all(answer).await.expect("somebody listens");
                        seen.clear();
                    }
                }
            });
        }
    }

    #[tokio::test]
    async fn a_connection_is_not_used_after_a_pause() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint_url = format!("http://{}", listener.local_addr().expect("an address"));
        let connections = Arc::new(AtomicU64::new(0));
        tokio::spawn(serve(listener, Arc::clone(&connections)));
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let now = move || SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + clock.load(Ordering::Relaxed));
        let budget = CallBudget::within(Duration::from_secs(12));
        let client = renewed_after(Duration::from_secs(10), now, move || connector(&budget));
        let config = sdk_config_from(lookup, &region("us-west-2"), &budget).expect("complete");
        let config = config.to_builder().endpoint_url(endpoint_url).http_client(client).build();
        let (west, east) = (with_region(&config, &region("us-west-2")), with_region(&config, &region("us-east-1")));
        let clients = [west, east].map(|config| aws_sdk_dynamodb::Client::new(&config));
        // Each call begins after the one before ended, so that its connection is free.
        for (second, expected) in [(0, 1), (9, 1), (18, 1), (28, 2), (29, 2), (88, 3), (5, 4)] {
            seconds.store(second, Ordering::Relaxed);
            for client in &clients {
                client.list_tables().send().await.expect("answered");
            }
            assert_eq!(connections.load(Ordering::Relaxed), expected, "after {second} s");
        }
    }

    #[test]
    fn missing_credentials_are_named_together() {
        let error = sdk_config_from(|_| None, &region("us-west-2"), &CallBudget::within(Duration::from_secs(1)))
            .expect_err("nothing is set");
        assert_eq!(
            error.to_string(),
            "no AWS credentials: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` not set; \
             Lambda sets them for every function that has an execution role"
        );
    }

    proptest! {
        #[test]
        fn attempts_and_pauses_fit_into_the_operation(millis in 1_000_u64..60_000) {
            let budget = CallBudget::within(Duration::from_millis(millis));
            let pauses = budget.retries().max_backoff() * (budget.attempts() - 1);
            prop_assert!(budget.connect() <= budget.attempt());
            prop_assert!(budget.attempt() * budget.attempts() + pauses <= budget.operation());
        }
    }
}
