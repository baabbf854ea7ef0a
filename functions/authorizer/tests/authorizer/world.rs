//! The authorizer's surroundings.

use crate::issuer::Issuer;
use authorizer::clock::Clock;
use authorizer::key_server::KeyServer;
use authorizer::verify::{KeysWithoutIssuer, Verifier, VerifyError};
use authorizer::{Handler, NoAnswer};
use aws::fakes::FakeSecret;
use contracts::Authorizer;
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing_subscriber::fmt::MakeWriter;

pub(crate) use crate::signing::{RsaKey, claims, encoded, hmac, secret_token, sign_by_secret, with};

/// The time at which each test begins, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

/// Lambda's id of each invocation.
pub(crate) const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// Everybody puts events, readers read orders, and administrators do whatever there is below `/v1/admin/`.
const GRANTS: &str = "POST /v1/events *;GET /v1/orders/* reader;* /v1/admin/* admin";

pub(crate) const AUDIENCE: &str = "tandem-api";
pub(crate) const SECRET_ISSUER: &str = "tandem";
pub(crate) const SECRET: &str = "the first secret, which is long enough";

pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) secret: FakeSecret,
    pub(crate) issuer: Issuer,
}

impl World {
    /// A secret of one version, `v1`, and an issuer with the key `one`.
    pub(crate) async fn new() -> Self {
        let world = Self { clock: TestClock::default(), secret: FakeSecret::default(), issuer: Issuer::start().await };
        world.secret.rotate("v1", SECRET, UNIX_EPOCH);
        world.issuer.publish(&[RsaKey::one().entry("one")]);
        world
    }

    pub(crate) fn verifier(&self) -> Verifier<&FakeSecret, KeyServer, TestClock> {
        self.verifier_with(&[]).expect("a verifier")
    }

    /// A verifier with other variables than the usual ones.
    pub(crate) fn verifier_with(
        &self,
        changes: &[(&str, &str)],
    ) -> Result<Verifier<&FakeSecret, KeyServer, TestClock>, KeysWithoutIssuer> {
        let keys = KeyServer::of_issuer(&self.issuer.url).expect("a URL");
        Verifier::new(self.config(changes), &self.secret, Some(keys), self.clock.clone())
    }

    /// The whole function, with other variables than the usual ones.
    pub(crate) fn handler_with(&self, changes: &[(&str, &str)]) -> Handler<&FakeSecret, KeyServer, TestClock> {
        let keys = KeyServer::of_issuer(&self.issuer.url).expect("a URL");
        Handler::new(self.config(changes), &self.secret, Some(keys), self.clock.clone()).expect("a handler")
    }

    fn config(&self, changes: &[(&str, &str)]) -> Authorizer {
        let lookup = |variable: &str| {
            let changed = changes.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).to_owned());
            changed.or_else(|| match variable {
                "AWS_REGION" => Some("us-west-2".to_owned()),
                "JWT_SECRET_ISSUER" => Some(SECRET_ISSUER.to_owned()),
                "JWT_KEY_ISSUER" => Some(self.issuer.url.clone()),
                "JWT_AUDIENCE" => Some(AUDIENCE.to_owned()),
                "JWT_SECRET_NAME" => Some("tandem-test-jwt".to_owned()),
                "ROUTE_GRANTS" => Some(GRANTS.to_owned()),
                _ => None,
            })
        };
        Authorizer::from_lookup(lookup).expect("a configuration")
    }

    /// A token of the shared secret with some claims changed.
    pub(crate) fn token_with(changes: &Value) -> String {
        sign_by_secret(&json!({ "alg": "HS256" }), &with(claims(SECRET_ISSUER), changes), SECRET.as_bytes())
    }

    /// Decides on one event as the deployed function would; gives the answer as JSON or the error's text.
    pub(crate) async fn handle(&self, event: Value) -> Result<Value, String> {
        self.handle_measured(event).await.0
    }

    /// The same in a function that goes on from one event to the next.
    pub(crate) async fn handle_by(
        handler: &Handler<&FakeSecret, KeyServer, TestClock>,
        event: Value,
    ) -> Result<Value, String> {
        invoke(handler, event, &mut Vec::new()).await
    }

    /// The same, with what was written as metrics.
    pub(crate) async fn handle_measured(&self, event: Value) -> (Result<Value, String>, String) {
        let mut metrics = Vec::new();
        let answer = invoke(&self.handler_with(&[]), event, &mut metrics).await;
        (answer, String::from_utf8(metrics).expect("text"))
    }
}

async fn invoke(
    handler: &Handler<&FakeSecret, KeyServer, TestClock>,
    event: Value,
    metrics: &mut Vec<u8>,
) -> Result<Value, String> {
    // All tests of this process share the metrics: an invocation beside this one would write its counts.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ONE_AT_A_TIME.lock().await;
    let request = serde_json::from_value(event).expect("a request");
    let config = Config { function_name: "tandem-test-authorizer".to_owned(), ..Config::default() };
    let mut context = Context::default();
    context.env_config = Arc::new(config);
    context.request_id = REQUEST_ID.to_owned();
    let answer = handler.handle(LambdaEvent::new(request, context), metrics).await;
    answer
        .map(|answer| serde_json::to_value(answer).expect("JSON"))
        .map_err(|error: NoAnswer| lambda_runtime::Diagnostic::from(error).error_message)
}

/// What came of a token: `allowed`, the class of the refusal, or `no keys`.
pub(crate) async fn outcome(verifier: &Verifier<&FakeSecret, KeyServer, TestClock>, token: &str) -> &'static str {
    outcome_of_header(verifier, &format!("Bearer {token}")).await
}

/// The same of a whole header value.
pub(crate) async fn outcome_of_header(
    verifier: &Verifier<&FakeSecret, KeyServer, TestClock>,
    value: &str,
) -> &'static str {
    match verifier.caller(value).await {
        Ok(_) => "allowed",
        Err(VerifyError::Refused(refusal)) => refusal.class(),
        Err(VerifyError::NoKeys(_)) => "no keys",
    }
}

/// Collects what is logged. Clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A clock that stands until it is set. Clones are the same clock.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// Sets the clock to `seconds` after the test's begin.
    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW + self.0.load(Ordering::Relaxed))
    }
}
