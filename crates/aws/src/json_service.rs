//! An AWS service with a JSON protocol, spoken to directly.
//!
//! For the one call that a function makes with every event. The SDK's clients are made for any call of any service: before
//! one of them has put together, signed and sent `PutEvents`, and taken its answer apart, it has used several times what
//! the rest of the event costs. Connections, TLS, credentials, endpoint and timeouts are those of the SDK configuration.
//! Nothing is retried here, and a clock that is wrong is not made up for. Every other call goes through the SDK.

use crate::failure::Failure;
use crate::signature::{AmzDate, Signable, Signer};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime::client::auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::identity::no_auth::NoAuthIdentityResolver;
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_types::SdkConfig;
use events::Timestamp;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A service of one region.
pub(crate) struct JsonService {
    connector: SharedHttpConnector,
    credentials: SharedCredentialsProvider,
    signer: Signer,
    url: String,
    host: String,
    path: String,
    attempt: Duration,
}

/// The longest that one attempt takes when the configuration sets no limit.
const ATTEMPT: Duration = Duration::from_secs(10);

impl JsonService {
    /// The service whose endpoints and signatures are named `service`, such as `events`, as `config` reaches it.
    ///
    /// # Panics
    /// When `config` lacks a region, credentials or an HTTP client, which those of [`crate::config`] have.
    pub(crate) fn new(config: &SdkConfig, service: &'static str) -> Self {
        let region = config.region().expect("a configuration has a region").as_ref();
        let url = config.endpoint_url().map_or_else(|| endpoint_of(service, region), ToOwned::to_owned);
        let (_, rest) = url.split_once("://").unwrap_or(("", &url));
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let attempt = config.timeout_config().and_then(|timeouts| timeouts.operation_attempt_timeout());
        Self {
            connector: connector_of(config),
            credentials: config.credentials_provider().expect("a configuration has credentials"),
            signer: Signer::new(region, service),
            host: host.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            url,
            attempt: attempt.unwrap_or(ATTEMPT),
        }
    }

    /// Calls `target`, such as `AWSEvents.PutEvents`, with `body`; gives the body of the answer.
    pub(crate) async fn call(&self, target: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match timeout(self.attempt, self.attempt(target, body)).await {
            Ok(result) => result,
            Err(elapsed) => Err(Failure::without_answer("Timeout", &elapsed)),
        }
    }

    async fn attempt(&self, target: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let request = self.request(target, body).await?;
        let dispatched = self.connector.call(request).await;
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
            ("content-type", Some(CONTENT_TYPE)),
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

/// AWS's own endpoint. China is a partition of its own, whose names end differently.
fn endpoint_of(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{suffix}")
}

/// The connector that all clients of a configuration share.
///
/// It is asked for as the SDK does, with components that nobody needs: the HTTP clients of [`crate::config`] don't look at
/// them.
fn connector_of(config: &SdkConfig) -> SharedHttpConnector {
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
    client.http_connector(&HttpConnectorSettings::builder().build(), &components)
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
    Failure::of_answer(status, code.as_deref().map(bare), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::testing::{Script, sdk_config};
    use serde_json::json;

    async fn called(script: Script) -> Result<Vec<u8>, Failure> {
        JsonService::new(&sdk_config(&script), "events").call("AWSEvents.PutEvents", b"{\"Entries\":[]}".to_vec()).await
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
        assert_eq!(failure_in(403, None, b"<html>"), Failure::of_answer(403, None, None));
        assert_eq!(failure_in(400, Some("A".to_owned()), br#"{"__type":"B","Message":"m"}"#).code, "A");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_has_a_limit() {
        let failure = called(Script::new().hangs()).await.expect_err("no answer");
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Unavailable, "Timeout"));
    }

    #[test]
    fn the_endpoint_is_awss_own_or_the_given_one() {
        let config = sdk_config(&Script::new());
        let service = JsonService::new(&config, "events");
        assert_eq!((service.host.as_str(), service.path.as_str()), ("events.us-west-2.amazonaws.com", "/"));
        assert_eq!(service.url, "https://events.us-west-2.amazonaws.com");
        assert_eq!(endpoint_of("events", "cn-north-1"), "https://events.cn-north-1.amazonaws.com.cn");
        let config = config.to_builder().endpoint_url("http://127.0.0.1:4566/a/").build();
        let service = JsonService::new(&config, "events");
        assert_eq!((service.host.as_str(), service.path.as_str()), ("127.0.0.1:4566", "/a/"));
    }
}
