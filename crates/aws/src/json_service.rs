//! An AWS service with a JSON protocol, spoken to directly.
//!
//! For the few calls that functions live by: `PutEvents` with every event, the breaker's record with every batch, claims of
//! raw events, the secret at each start, dead letters. The SDK's clients are made for any call of any service. Before one of
//! them has put together, signed and sent `PutEvents`, and taken its answer apart, it has used several times what the rest
//! of the event costs, and a program without one is smaller by a fifth and starts sooner. Connections, credentials,
//! endpoint, timeouts and attempts are those of the SDK configuration. A clock that is wrong is not made up for. Every other
//! call goes through the SDK.

use crate::failure::{Failure, FailureKind};
use crate::signature::{AmzDate, Signable, Signer};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime::client::auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::identity::no_auth::NoAuthIdentityResolver;
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use events::Timestamp;
use serde::Deserialize;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A service as its endpoints and signatures name it, and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    name: &'static str,
    content_type: &'static str,
}

impl Service {
    /// EventBridge.
    pub(crate) const EVENTS: Self = Self { name: "events", content_type: "application/x-amz-json-1.1" };
    /// Secrets Manager.
    pub(crate) const SECRETS: Self = Self { name: "secretsmanager", content_type: "application/x-amz-json-1.1" };
    /// DynamoDB.
    pub(crate) const TABLES: Self = Self { name: "dynamodb", content_type: "application/x-amz-json-1.0" };
    /// SQS.
    pub(crate) const QUEUES: Self = Self { name: "sqs", content_type: "application/x-amz-json-1.0" };
}

/// A service of one region.
pub(crate) struct JsonService {
    service: Service,
    http: Http,
    credentials: SharedCredentialsProvider,
    signer: Signer,
    url: String,
    host: String,
    path: String,
    attempt: Duration,
    operation: Duration,
    attempts: u32,
    longest_pause: Duration,
}

/// The longest that one attempt takes when the configuration sets no limit.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Pause before the first retry; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

impl JsonService {
    /// `service` as `config` reaches it.
    ///
    /// # Panics
    /// When `config` lacks a region, credentials or an HTTP client, which those of [`crate::config`] have.
    pub(crate) fn new(config: &SdkConfig, service: Service) -> Self {
        let region = config.region().expect("a configuration has a region").as_ref();
        let url = config.endpoint_url().map_or_else(|| endpoint_of(service.name, region), ToOwned::to_owned);
        let (_, rest) = url.split_once("://").unwrap_or(("", &url));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let timeouts = config.timeout_config();
        let attempt = timeouts.and_then(TimeoutConfig::operation_attempt_timeout).unwrap_or(ATTEMPT);
        let retries = config.retry_config();
        Self {
            service,
            http: Http::of(config),
            credentials: config.credentials_provider().expect("a configuration has credentials"),
            signer: Signer::new(region, service.name),
            host: host.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            url,
            attempt,
            operation: timeouts.and_then(TimeoutConfig::operation_timeout).unwrap_or(attempt),
            attempts: retries.map_or(1, RetryConfig::max_attempts),
            longest_pause: retries.map_or(FIRST_PAUSE, RetryConfig::max_backoff),
        }
    }

    /// Calls `target`, such as `AWSEvents.PutEvents`, with `body`; gives the body of the answer, or nothing when `deadline`
    /// came first.
    pub(crate) async fn call(
        &self,
        target: &'static str,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Option<Result<Vec<u8>, Failure>> {
        // One limit instead of two: each timer costs a call to the kernel.
        let end_of_attempt = Instant::now() + self.attempt;
        match timeout_at(end_of_attempt.min(deadline), self.attempt(target, body)).await {
            Ok(result) => Some(result),
            Err(_) if deadline <= end_of_attempt => None,
            Err(elapsed) => Some(Err(Failure::without_answer("Timeout", &elapsed))),
        }
    }

    /// The same with as many attempts as the configuration wants, as long as a failure may pass, and within its limit for
    /// the whole operation.
    pub(crate) async fn call_with_retries(&self, target: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let deadline = Instant::now() + self.operation;
        let mut attempts = 0;
        loop {
            let failure = match self.call(target, body.clone(), deadline).await {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(failure)) => failure,
                None => return Err(Failure::without_answer("Timeout", &io::Error::from(io::ErrorKind::TimedOut))),
            };
            attempts += 1;
            let may_pass = matches!(failure.kind, FailureKind::Throttled | FailureKind::Unavailable);
            if !may_pass || attempts >= self.attempts {
                return Err(failure);
            }
            sleep_until(deadline.min(Instant::now() + pause(attempts - 1, self.longest_pause))).await;
        }
    }

    async fn attempt(&self, target: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let request = self.request(target, body).await?;
        let dispatched = self.http.connector().call(request).await;
        let response = dispatched.map_err(|error| Failure::without_answer("DispatchFailure", &error))?;
        let status = response.status().as_u16();
        let error_type = response.headers().get("x-amzn-errortype").map(ToOwned::to_owned);
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| Failure::without_answer("DispatchFailure", &error))?.to_vec();
        if (200..300).contains(&status) { Ok(body) } else { Err(failure_in(status, error_type, &body)) }
    }

    async fn request(&self, target: &'static str, body: Vec<u8>) -> Result<HttpRequest, Failure> {
        let provided = self.credentials.provide_credentials().await;
        let credentials = provided.map_err(|error| Failure::without_answer("NoCredentials", &error))?;
        let date = AmzDate::at(Timestamp::now());
        let token = credentials.session_token();
        let all = [
            ("content-type", Some(self.service.content_type)),
            ("host", Some(self.host.as_str())),
            ("x-amz-date", Some(date.as_str())),
            ("x-amz-security-token", token),
            ("x-amz-target", Some(target)),
        ];
        let headers: Vec<(&str, &str)> = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let signable = Signable { path: &self.path, body: &body, headers: &headers };
        let authorization = self.signer.authorization(&credentials, &date, signable);
        let mut request = HttpRequest::new(SdkBody::from(body));
        let invalid = |error: &dyn std::error::Error| Failure::without_answer("ConstructionFailure", error);
        request.set_method("POST").map_err(|error| invalid(&error))?;
        request.set_uri(self.url.as_str()).map_err(|error| invalid(&error))?;
        for (name, value) in headers {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned()).map_err(|error| invalid(&error))?;
        }
        request.headers_mut().try_insert("authorization", authorization).map_err(|error| invalid(&error))?;
        Ok(request)
    }
}

impl fmt::Debug for JsonService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonService").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The pause after `failed` attempts or rounds: doubling, at most `longest`, between half of it and all of it by chance, so that
/// many functions do not come back at once.
pub(crate) fn pause(failed: u32, longest: Duration) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failed.min(10)).min(longest);
    let chance = RandomState::new().build_hasher().finish() % 1_000;
    let jitter = full / 2 * (chance as u32) / 1_000;
    full / 2 + jitter
}

/// AWS's own endpoint. China is a partition of its own, whose names end differently.
fn endpoint_of(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{suffix}")
}

/// The HTTP client that all clients of a configuration share.
///
/// It is asked for its connector with each attempt, as the SDK does, because one that gives connections up after a pause
/// decides then. What the SDK tells it besides is made once: the HTTP clients of [`crate::config`] don't look at it.
struct Http {
    client: SharedHttpClient,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl Http {
    fn of(config: &SdkConfig) -> Self {
        let components = RuntimeComponents::builder("JsonService")
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![NO_AUTH_SCHEME_ID])))
            .with_auth_scheme(NoAuthScheme::new())
            .with_identity_cache(Some(IdentityCache::no_cache()))
            .with_identity_resolver(NO_AUTH_SCHEME_ID, SharedIdentityResolver::new(NoAuthIdentityResolver::new()))
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::uri("")))
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .build()
            .expect("invariant: what is required is there");
        let client = config.http_client().expect("a configuration has an HTTP client");
        Self { client, settings: HttpConnectorSettings::builder().build(), components }
    }

    fn connector(&self) -> SharedHttpConnector {
        self.client.http_connector(&self.settings, &self.components)
    }
}

/// What an answer with an error status says. The code stands in a header or in the body, with a namespace before it or
/// an address behind it.
fn failure_in(status: u16, error_type: Option<String>, body: &[u8]) -> Failure {
    #[derive(Default, Deserialize)]
    struct Error {
        #[serde(rename = "__type", alias = "code", default)]
        code: Option<String>,
        #[serde(alias = "Message", alias = "errorMessage", default)]
        message: Option<String>,
    }
    let Error { code, message } = serde_json::from_slice(body).unwrap_or_default();
    let code = error_type.or(code);
    let bare = |code: &str| {
        let code = code.split_once(':').map_or(code, |(code, _)| code);
        code.rsplit_once('#').map_or(code, |(_, code)| code).to_owned()
    };
    Failure { answer: body.to_vec(), ..Failure::of_answer(status, code.as_deref().map(bare), message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, sdk_config};
    use serde_json::json;

    async fn called(script: Script) -> Result<Vec<u8>, Failure> {
        let service = JsonService::new(&sdk_config(&script), Service::EVENTS);
        called_within(&service, Duration::from_secs(30)).await.expect("before the deadline")
    }

    async fn called_within(service: &JsonService, limit: Duration) -> Option<Result<Vec<u8>, Failure>> {
        service.call("AWSEvents.PutEvents", b"{\"Entries\":[]}".to_vec(), Instant::now() + limit).await
    }

    #[tokio::test]
    async fn an_answer_is_given_back_as_it_is() {
        let answer = json!({ "FailedEntryCount": 0, "Entries": [] });
        assert_eq!(called(Script::new().ok(answer.clone())).await, Ok(answer.to_string().into_bytes()));
    }

    #[tokio::test]
    async fn errors_are_sorted_as_those_of_the_sdk() {
        let kind = async |script: Script| called(script).await.map_err(|failure| (failure.kind, failure.code));
        let code = |kind, code: &str| Err((kind, code.to_owned()));
        let error = |status, code| Script::new().error(status, code);
        assert_eq!(
            kind(error(400, "com.amazonaws.events#ThrottlingException")).await,
            code(FailureKind::Throttled, "ThrottlingException")
        );
        assert_eq!(
            kind(error(400, "AccessDeniedException:http://x/")).await,
            code(FailureKind::Denied, "AccessDeniedException")
        );
        assert_eq!(kind(error(500, "Strange")).await, code(FailureKind::Unavailable, "Strange"));
        assert_eq!(kind(Script::new().lost_connection()).await, code(FailureKind::Unavailable, "DispatchFailure"));
        let unreadable = Failure { answer: b"<html>".to_vec(), ..Failure::of_answer(403, None, None) };
        assert_eq!(failure_in(403, None, b"<html>"), unreadable);
        assert_eq!(failure_in(400, Some("A".to_owned()), br#"{"__type":"B","Message":"m"}"#).code, "A");
    }

    #[tokio::test]
    async fn an_attempt_has_a_limit_and_a_deadline_is_another() {
        let service = JsonService::new(&sdk_config(&Script::new().hangs().hangs()), Service::EVENTS);
        let service = JsonService { attempt: Duration::from_millis(20), ..service };
        let limited = called_within(&service, Duration::from_secs(30)).await.expect("before the deadline");
        let failure = limited.expect_err("no answer");
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Unavailable, "Timeout"));
        assert_eq!(called_within(&service, Duration::from_millis(5)).await, None);
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_nothing_else_is() {
        let tried = async |script: Script| {
            let service = JsonService { attempts: 3, ..JsonService::new(&sdk_config(&script), Service::SECRETS) };
            let result = service.call_with_retries("secretsmanager.GetSecretValue", b"{}".to_vec()).await;
            (result.map_err(|failure| failure.code), script.bodies().len())
        };
        let code = |code: &str| Err(code.to_owned());
        let script = || Script::new().error(500, "InternalFailure").lost_connection();
        assert_eq!(tried(script().ok(json!({}))).await, (Ok(b"{}".to_vec()), 3));
        assert_eq!(tried(script().error(500, "Last")).await, (code("Last"), 3));
        assert_eq!(tried(Script::new().error(400, "AccessDeniedException")).await, (code("AccessDeniedException"), 1));
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        for round in 0..40 {
            let pause = pause(round, Duration::from_secs(1));
            assert!(pause >= FIRST_PAUSE / 2 && pause <= Duration::from_secs(1), "{round}: {pause:?}");
        }
    }

    #[test]
    fn the_endpoint_is_awss_own_or_the_given_one() {
        let config = sdk_config(&Script::new());
        let service = JsonService::new(&config, Service::EVENTS);
        assert_eq!((service.host.as_str(), service.path.as_str()), ("events.us-west-2.amazonaws.com", "/"));
        assert_eq!(service.url, "https://events.us-west-2.amazonaws.com");
        assert_eq!(endpoint_of("events", "cn-north-1"), "https://events.cn-north-1.amazonaws.com.cn");
        let config = config.to_builder().endpoint_url("http://127.0.0.1:4566/a/").build();
        let service = JsonService::new(&config, Service::EVENTS);
        assert_eq!((service.host.as_str(), service.path.as_str()), ("127.0.0.1:4566", "/a/"));
    }
}
