//! The regional HTTP API: who may call it, and what becomes of the events that come in.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value as Json, json};

use crate::aws::{Answer, Aws};
use crate::checkout::Checkout;
use crate::queues::Witness;
use crate::{BUS, HOME, PEER, eventually};

/// The sandbox's issuer and audience.
const ISSUER: &str = "tandem-sandbox";
const SECRET: &str = "tandem-sandbox-jwt";

/// The API of a region, for callers with its secret.
pub(crate) struct Api {
    aws: Aws,
    id: String,
    key: hmac::Key,
}

impl Api {
    pub(crate) fn of(aws: &Aws) -> Self {
        let apis = aws.rest("apigateway", ("GET", "/v2/apis"), &[], None).json();
        let apis = apis["items"].as_array().cloned().unwrap_or_default();
        let api = apis.iter().find(|api| api["name"] == "tandem-sandbox");
        let id = api.and_then(|api| api["apiId"].as_str()).unwrap_or_else(|| panic!("the API is there: {apis:?}"));
        let secret = aws.call("secretsmanager", "GetSecretValue", &json!({"SecretId": SECRET}));
        let secret: Json = serde_json::from_str(secret["SecretString"].as_str().expect("text")).expect("JSON");
        let key = secret["key"].as_str().expect("a generated key");
        Self { aws: aws.clone(), id: id.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()) }
    }

    /// `POST /v1/events` with a token of its own, so that no answer which is kept for another decides.
    pub(crate) fn post(&self, event: &Json) -> Answer {
        self.post_as(&self.token(ISSUER), event)
    }

    fn post_as(&self, token: &str, event: &Json) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.aws.send("POST", &self.path("/v1/events"), &headers, &event.to_string())
    }

    fn health(&self) -> Answer {
        self.aws.send("GET", &self.path("/health"), &[], "")
    }

    fn path(&self, path: &str) -> String {
        format!("/restapis/{}/$default/_user_request_{path}", self.id)
    }

    /// An HS256 token, each another one.
    fn token(&self, issuer: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let claims = json!({
            "iss": issuer, "aud": ISSUER, "sub": "a-test", "iat": now, "exp": now + 600,
            "jti": uuid::Uuid::new_v4().to_string(),
        });
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// A raw event that keeps every rule, about the customer `customer`.
pub(crate) fn raw_event(customer: &str) -> Json {
    json!({
        "event_id": uuid::Uuid::new_v4().to_string(),
        "event_type": "order.placed",
        "source_region": HOME,
        "timestamp": jiff::Timestamp::now().to_string(),
        "data": {"order_id": "O-1", "customer_id": customer, "currency": "EUR", "total": 10.5},
    })
}

/// From the request to the event on the bus, with IAM on, in both regions; and the answer for each region's health.
pub(crate) fn events_come_in(checkout: &Checkout) {
    for region in [HOME, PEER] {
        events_come_into(&checkout.aws(region));
    }
}

fn events_come_into(aws: &Aws) {
    let api = Api::of(aws);
    let mut witness = Witness::of(aws, BUS);

    let valid = raw_event("C-valid");
    let accepted = api.post(&valid);
    assert_eq!(accepted.status, 200, "{accepted:?}");
    assert_eq!(accepted.json()["FailedEntryCount"], 0, "{accepted:?}");
    let saw = eventually(20, || witness.saw("tandem.transformer", Some("transformed"), "C-valid"));
    assert!(saw, "a valid event becomes a transformed one");

    assert_eq!(api.post(&valid).status, 200, "a client may repeat its request");
    assert!(eventually(20, || transformer_logged(aws, "message was done before")), "and the repetition is noticed");
    let mut other = raw_event("C-other");
    other["event_id"] = valid["event_id"].clone();
    assert_eq!(api.post(&other).status, 200, "what is in an event is judged later");
    let saw = eventually(20, || witness.saw("tandem.transformer", Some("validation_failed"), "event_id_reused"));
    assert!(saw, "an id stands for one content");
    assert_eq!(witness.times("tandem.transformer", Some("transformed"), "C-valid"), 1);
    assert!(!witness.saw("tandem.transformer", Some("transformed"), "C-other"));

    let mut invalid = raw_event("C-invalid");
    invalid["data"]["currency"] = "no currency at all".into();
    let accepted = api.post(&invalid);
    assert_eq!(accepted.status, 200, "what is in an event is judged later: {accepted:?}");
    let saw = eventually(20, || witness.saw("tandem.transformer", Some("validation_failed"), "C-invalid"));
    assert!(saw, "an invalid event is told of");
    assert!(!witness.saw("tandem.transformer", Some("transformed"), "C-invalid"));

    let forged = format!("{}x", api.token(ISSUER));
    for token in [forged, api.token("somebody-else"), "nonsense".to_owned()] {
        let refused = api.post_as(&token, &raw_event("C-refused"));
        assert_eq!(refused.status, 403, "{token}: {refused:?}");
    }
    let anonymous = aws.send("POST", &api.path("/v1/events"), &[], &raw_event("C-refused").to_string());
    assert_eq!(anonymous.status, 401, "{anonymous:?}");
    assert!(!witness.saw("tandem.transformer", None, "C-refused"), "nothing of what was refused is on the bus");
    witness.end();

    // The first check runs with the schedule's creation, and one each minute.
    assert!(eventually(70, || api.health().status == 200), "the region is well: {:?}", api.health());
}

/// Whether the event transformer wrote a line with this text.
fn transformer_logged(aws: &Aws, text: &str) -> bool {
    let found = aws.call("logs", "FilterLogEvents", &json!({"logGroupName": "/tandem/sandbox/event-transformer"}));
    let lines = found["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().any(|line| line["message"].as_str().is_some_and(|line| line.contains(text)))
}
