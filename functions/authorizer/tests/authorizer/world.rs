//! The authorizer's surroundings.

use authorizer::clock::Clock;
use authorizer::key_server::KeyServer;
use authorizer::verify::{KeysWithoutIssuer, Verifier, VerifyError};
use authorizer::{Handler, NoAnswer};
use aws::fakes::FakeSecret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::Authorizer;
use lambda_runtime::{Config, Context, LambdaEvent};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing_subscriber::fmt::MakeWriter;

/// The time at which each test begins, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

/// Lambda's id of each invocation.
pub(crate) const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// Everybody puts events, readers read orders, and administrators do whatever there is below `/v1/admin/`.
const GRANTS: &str = "POST /v1/events *;GET /v1/orders/* reader;* /v1/admin/* admin";

pub(crate) const AUDIENCE: &str = "tandem-api";
pub(crate) const SECRET_ISSUER: &str = "tandem";
pub(crate) const SECRET: &str = "the first secret, which is long enough";

/// Two RSA keys of 2,048 bits, made for these tests and used nowhere else.
const KEY_ONE: &[u8] = include_bytes!("test_keys/one.pk8");
const KEY_TWO: &[u8] = include_bytes!("test_keys/two.pk8");

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

    pub(crate) fn verifier(&self) -> Verifier<&FakeSecret, KeyServer, &TestClock> {
        self.verifier_with(&[]).expect("a verifier")
    }

    /// A verifier with other variables than the usual ones.
    pub(crate) fn verifier_with(
        &self,
        changes: &[(&str, &str)],
    ) -> Result<Verifier<&FakeSecret, KeyServer, &TestClock>, KeysWithoutIssuer> {
        let keys = KeyServer::of_issuer(&self.issuer.url).expect("a URL");
        Verifier::new(self.config(changes), &self.secret, Some(keys), &self.clock)
    }

    /// The whole function, with other variables than the usual ones.
    pub(crate) fn handler_with(&self, changes: &[(&str, &str)]) -> Handler<&FakeSecret, KeyServer, &TestClock> {
        let keys = KeyServer::of_issuer(&self.issuer.url).expect("a URL");
        Handler::new(self.config(changes), &self.secret, Some(keys), &self.clock).expect("a handler")
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
        handler: &Handler<&FakeSecret, KeyServer, &TestClock>,
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
    handler: &Handler<&FakeSecret, KeyServer, &TestClock>,
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
pub(crate) async fn outcome(verifier: &Verifier<&FakeSecret, KeyServer, &TestClock>, token: &str) -> &'static str {
    outcome_of_header(verifier, &format!("Bearer {token}")).await
}

/// The same of a whole header value.
pub(crate) async fn outcome_of_header(
    verifier: &Verifier<&FakeSecret, KeyServer, &TestClock>,
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

/// A clock that stands until it is set.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

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

/// An issuer's key server on a free port of this machine.
pub(crate) struct Issuer {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    status: u16,
    /// Where else to ask, as a redirect says it.
    location: String,
    body: String,
    hangs: bool,
    requests: Vec<String>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { url, shared, server }
    }

    /// From now on these are the issuer's keys.
    pub(crate) fn publish(&self, entries: &[Value]) {
        self.answer(200, &json!({ "keys": entries }).to_string());
    }

    /// From now on this is the answer.
    pub(crate) fn answer(&self, status: u16, body: &str) {
        let mut shared = self.shared.lock().expect("not poisoned");
        (shared.status, shared.body) = (status, body.to_owned());
        shared.location.clear();
    }

    /// From now on the keys are told to be at `location`, where they are indeed.
    pub(crate) fn redirect(&self, location: &str) {
        let mut shared = self.shared.lock().expect("not poisoned");
        (shared.status, shared.location) = (302, location.to_owned());
    }

    /// From now on requests are taken and not answered.
    pub(crate) fn hang(&self) {
        self.shared.lock().expect("not poisoned").hangs = true;
    }

    /// From now on nobody listens there.
    pub(crate) async fn shut_down(&self) {
        self.server.abort();
        while !self.server.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// How often the keys were fetched.
    pub(crate) fn fetches(&self) -> usize {
        let requests = &self.shared.lock().expect("not poisoned").requests;
        assert!(requests.iter().all(|line| line == "GET /.well-known/jwks.json HTTP/1.1"), "{requests:?}");
        requests.len()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    // Dropping a connection would answer too.
    let mut held = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => break,
            }
        }
        let answer = {
            let mut shared = shared.lock().expect("not poisoned");
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            let elsewhere = !shared.location.is_empty() && line.contains(&shared.location);
            shared.requests.push(line);
            let Shared { status, location, body, .. } = &*shared;
            let status = if elsewhere { &200 } else { status };
            (!shared.hangs).then(|| {
                format!(
                    "HTTP/1.1 {status} Told\r\nlocation: {location}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
            })
        };
        let Some(answer) = answer else {
            held.push(stream);
            continue;
        };
        // Whether the client still wants it is its own business.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

/// A private key of the issuer.
pub(crate) struct RsaKey(RsaKeyPair);

impl RsaKey {
    pub(crate) fn one() -> Self {
        Self(RsaKeyPair::from_pkcs8(KEY_ONE).expect("a key"))
    }

    pub(crate) fn two() -> Self {
        Self(RsaKeyPair::from_pkcs8(KEY_TWO).expect("a key"))
    }

    /// The public key's numbers, base64url.
    pub(crate) fn numbers(&self) -> (String, String) {
        let RsaPublicKeyComponents::<Vec<u8>> { n, e } = self.0.public().into();
        (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e))
    }

    /// The public key in DER, as somebody would use it who takes it for a shared secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        self.0.public().as_ref().to_vec()
    }

    /// The public key as an entry of a key set.
    pub(crate) fn entry(&self, key_id: &str) -> Value {
        let (n, e) = self.numbers();
        json!({ "kty": "RSA", "kid": key_id, "alg": "RS256", "use": "sig", "n": n, "e": e })
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |message| self.signature(message))
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("signed");
        signature
    }

    /// A token as the issuer makes it.
    pub(crate) fn token(&self, issuer: &Issuer, key_id: &str) -> String {
        self.sign(&json!({ "alg": "RS256", "kid": key_id }), &claims(&issuer.url))
    }
}

/// A token signed with a shared secret.
pub(crate) fn sign_by_secret(header: &Value, claims: &Value, secret: &[u8]) -> String {
    signed(header, claims, |message| hmac(message, secret))
}

/// HMAC with SHA-256.
pub(crate) fn hmac(message: &[u8], secret: &[u8]) -> Vec<u8> {
    ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// `base` with some members changed; null takes one away.
pub(crate) fn with(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    base
}

/// A part of a token.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token as those who know the secret make it.
pub(crate) fn secret_token(secret: &str) -> String {
    sign_by_secret(&json!({ "alg": "HS256", "typ": "JWT" }), &claims(SECRET_ISSUER), secret.as_bytes())
}

/// Claims that are all right for an hour.
pub(crate) fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": AUDIENCE, "sub": "user-1", "iat": NOW, "exp": NOW + 3600,
        "roles": ["reader", "writer"], "tenant_id": "tenant-1",
    })
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let encode = |value: &Value| encoded(value.to_string().as_bytes());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = encoded(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}
