//! The samples: what the programs themselves write, and what AWS, Qlik and callers send. They are checked in, so that a
//! change of a form is seen; `UPDATE_CORPUS=1 cargo test -p fuzz` writes them anew.

#[path = "../../../../functions/event-transformer/tests/mmdb/mod.rs"]
mod mmdb;
pub(crate) mod qlik;

use aws::fakes::{FakeChange, FakeRow};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use events::authority::{Authority, Scope, Standing};
use events::cross_region::{Encoding, Envelope, seal};
use events::dead_letter::{DeadLetterEvent, RecordEncoding};
use events::domain::Mapped;
use events::health::{Health, HealthCheckEvent, ProbeReport, ProbedService, RegionReport};
use events::{DomainEvent, JsonText, Timestamp, TraceParent};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use crate::parser::alone;
use crate::region;

/// The time at which the tokens are good, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const SECRET: &str = "the first secret, which is long enough";
pub(crate) const SECRET_ISSUER: &str = "tandem";
pub(crate) const KEY_ISSUER: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str = "tandem-api";

/// Rules with every kind of value.
pub(crate) const RULES: &str = r#"{
  "version": 1,
  "geo": { "address": "/user/ip" },
  "every_event": [
    { "pointer": "/user/email", "is": "lower_case_email" },
    { "pointer": "/user/id", "is": "uuid" },
    { "pointer": "/user/since", "is": "timestamp" },
    { "pointer": "/user/name", "required": true, "is": { "text": { "pattern": "[a-z]+", "max_length": 64 } } },
    { "pointer": "/user/level", "is": { "text": { "allowed": ["low", "high"] } } },
    { "pointer": "/user/age", "is": { "number": { "minimum": 0, "maximum": 150, "whole": true } } },
    { "pointer": "/user/active", "is": "boolean" },
    { "pointer": "/settings", "is": "anything" }
  ],
  "event_types": { "user.seen": [{ "pointer": "/user/email", "required": true, "is": "email" }] }
}
"#;

/// The key `one` of the authorizer's tests, which is used for nothing else.
const KEY: &[u8] = include_bytes!("../../../../functions/authorizer/tests/authorizer/test_keys/one.pk8");

#[test]
fn the_corpus_is_what_is_written() {
    let _alone = alone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    for (name, bytes) in corpus() {
        let path = folder.join(&name);
        if update {
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, &bytes).expect("written");
        }
        assert!(fs::read(&path).is_ok_and(|found| found == bytes), "`{name}` differs; UPDATE_CORPUS=1 writes it anew");
    }
}

/// Every file of the corpus: its place and what is in it.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let change = || FakeChange::new("us-west-2");
    let between = |before, after| change().between(before, after).record().to_string();
    let live = Some(FakeRow::Live);
    let domain_event = domain_event();
    let sealed = envelope();
    let raw = domain_event.to_json();
    let packed = zstd::bulk::compress(raw.as_bytes(), 3).expect("compresses");
    let plain = Envelope { enc: Encoding::None, dict_id: None, payload: raw, ..sealed.clone() };
    let zstd = Envelope { enc: Encoding::Zstd, payload: BASE64.encode(packed), ..plain.clone() };
    let item = |record: &str| serde_json::from_str::<Value>(record).expect("JSON")["dynamodb"]["NewImage"].to_string();
    let texts = [
        ("stream_record/insert.json", record()),
        ("stream_record/update.json", between(live, live)),
        ("stream_record/delete.json", between(live, Some(FakeRow::Tombstone))),
        ("stream_record/expired.json", between(Some(FakeRow::Tombstone), None)),
        ("stream_record/foreign.json", FakeChange::new("us-east-1").record().to_string()),
        ("stream_batch/two.json", batch()),
        ("row/live.json", row()),
        ("row/tombstone.json", item(&between(live, Some(FakeRow::Tombstone)))),
        ("authority/record.json", authority()),
        ("domain_event/created.json", domain_event.to_json()),
        ("envelope/dictionary.json", sealed.to_json()),
        ("envelope/plain.json", plain.to_json()),
        ("envelope/zstd.json", zstd.to_json()),
        ("dead_letter/json.json", dead_letter().to_json()),
        ("dead_letter/compressed.json", dead_letter().compressed().to_json()),
        ("health_check/event.json", health_check().to_json()),
        ("raw_event/user.json", raw_event()),
        ("message_batch/one.json", message_batch()),
        ("rules/all.json", RULES.to_owned()),
        ("authorizer_event/http.json", authorizer_event()),
        ("authorizer_event/rest.json", rest_event("REQUEST").to_string()),
        ("authorizer_event/rest_token.json", rest_event("TOKEN").to_string()),
        ("token/secret.txt", format!("Bearer {}", secret_token())),
        ("token/key.txt", format!("Bearer {}", key_token())),
        ("key_set/one.json", key_set()),
        ("registry_answer/value.json", qlik::registry_answer()),
        ("runtime_api_response/length.txt", response("Content-Length: 7", "{\"n\":1}")),
        (
            "runtime_api_response/chunks.txt",
            response("Transfer-Encoding: chunked", "4\r\n{\"n\"\r\n3\r\n:1}\r\n0\r\n\r\n"),
        ),
        ("runtime_api_response/closed.txt", response("Connection: close", "{\"n\":1}")),
    ];
    let mut corpus: Vec<(String, Vec<u8>)> =
        texts.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
    corpus.push(("geo_database/two_networks.mmdb".to_owned(), geo_database()));
    corpus.extend(qlik::corpus());
    corpus
}

/// A record of a new row.
pub(crate) fn record() -> String {
    FakeChange::new("us-west-2").record().to_string()
}

/// A batch of two records.
pub(crate) fn batch() -> String {
    format!("{{\"Records\":[{},{}]}}", record(), FakeChange::new("us-west-2").at("101", "C-2").record())
}

/// A row as its table has it.
pub(crate) fn row() -> String {
    FakeChange::new("us-west-2").record()["dynamodb"]["NewImage"].to_string()
}

/// The record of authority as its table has it.
pub(crate) fn authority() -> String {
    let record = Authority {
        scope: Scope::all(),
        owner: region("us-west-2"),
        epoch: NonZeroU64::new(6).expect("from 1"),
        lease_until: Some("2026-03-04T05:06:37.891Z".parse().expect("a time")),
        withdrawn: [(region("us-east-1"), NonZeroU64::new(5).expect("from 1"))].into(),
        changed_at: "2026-03-04T05:06:07.891Z".parse().expect("a time"),
        changed_by: "ada".to_owned(),
    };
    serde_json::to_string(&record.to_item()).expect("JSON")
}

pub(crate) fn domain_event() -> DomainEvent {
    let record = serde_json::from_str(&record()).expect("a record");
    match DomainEvent::from_record(&record, &region("us-west-2")) {
        Ok(Mapped::Event(event)) => *event,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn envelope() -> Envelope {
    let sent_at: Timestamp = "2026-03-04T05:06:08Z".parse().expect("a time");
    let sealed = seal(&domain_event(), &region("us-west-2"), &region("us-east-1"), sent_at).expect("sealed");
    assert_eq!(sealed.enc, Encoding::ZstdDictionary);
    sealed
}

pub(crate) fn dead_letter() -> DeadLetterEvent {
    let at: Timestamp = "2026-03-04T05:06:07Z".parse().expect("a time");
    DeadLetterEvent {
        program: "stream-processor".to_owned(),
        program_version: "0.0.0".to_owned(),
        region: region("us-west-2"),
        source: "arn".to_owned(),
        position: "1".to_owned(),
        error_class: "malformed_row".to_owned(),
        message: "the record's new image is no row".to_owned(),
        attempts: 1,
        first_seen: at,
        failed_at: at,
        trace: Some(domain_event().trace),
        trace_id: Some(traceparent().trace_id()),
        traceparent: Some(traceparent()),
        record_encoding: RecordEncoding::Json,
        record: JsonText::parse_or_quote(r#"{"n": 9007199254740993.10}"#),
    }
}

pub(crate) fn health_check() -> HealthCheckEvent {
    let probe = |service, status, error: Option<&str>| ProbeReport {
        service,
        status,
        latency: Duration::from_millis(12),
        error: error.map(str::to_owned),
    };
    let report = RegionReport {
        region: region("us-west-2"),
        verdict: Health::Degraded,
        probes: vec![
            probe(ProbedService::DynamoDb, Health::Healthy, None),
            probe(ProbedService::Sqs, Health::Unhealthy, Some("no answer")),
        ],
        control_planes: Vec::new(),
    };
    let idle =
        RegionReport { region: region("us-east-1"), verdict: Health::Healthy, probes: Vec::new(), ..report.clone() };
    let withdrawn = [(region("us-east-1"), NonZeroU64::MIN)].into();
    let standing = Standing { epoch: 2, owner: Some(region("us-west-2")), withdrawn };
    let at = "2026-03-04T05:06:07.891Z".parse().expect("a time");
    HealthCheckEvent::new(at, region("us-west-2"), Some(standing), vec![report, idle])
}

fn traceparent() -> TraceParent {
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a trace context")
}

/// An event of the API as the bus delivers it.
pub(crate) fn raw_event() -> String {
    r#"{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":"RawEvent","source":"tandem.api","account":"000000000000","time":"2026-03-04T05:06:07Z","region":"us-west-2","resources":[],"detail":{"event_id":"3f1b9f7e-6f0a-4b7e-9c53-1d2a6a0f5d11","event_type":"user.seen","source_region":"us-west-2","timestamp":"2026-03-04T06:06:00+01:00","user":{"email":"ada@example.com","id":"3f1b9f7e-6f0a-4b7e-9c53-1d2a6a0f5d11","since":"2020-01-01T00:00:00Z","name":"ada","level":"low","age":36,"active":true,"ip":"203.0.113.7"},"settings":{"theme":"dark"}}}"#.to_owned()
}

pub(crate) fn message_batch() -> String {
    json!({ "Records": [{
        "messageId": "m-0",
        "receiptHandle": "r",
        "body": raw_event(),
        "attributes": { "ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": "1772600000000" },
        "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:raw",
    }] })
    .to_string()
}

pub(crate) fn geo_database() -> Vec<u8> {
    let flat = mmdb::Datum::Map(vec![("country_code", mmdb::text("DE")), ("continent_code", mmdb::text("EU"))]);
    mmdb::database("Tandem-Test-Country", &[("8.8.0.0/16", mmdb::geoip2("US", "NA")), ("2a00::/16", flat)])
}

/// An event of an HTTP API with payload format 2.0.
pub(crate) fn authorizer_event() -> String {
    let arn = "arn:aws:execute-api:us-west-2:000000000000:abc/prod/POST/v1/events";
    let token = format!("Bearer {}", secret_token());
    // The header that a test makes larger is one that nobody reads.
    format!(
        r#"{{"version":"2.0","type":"REQUEST","routeKey":"POST /v1/events","routeArn":"{arn}","authorizationToken":"x","headers":{{"authorization":"{token}"}},"multiValueHeaders":{{}},"requestContext":{{"accept":"*/*"}}}}"#
    )
}

/// An event of a REST API.
fn rest_event(kind: &str) -> Value {
    let token = format!("Bearer {}", key_token());
    json!({
        "type": kind,
        "methodArn": "arn:aws:execute-api:us-west-2:000000000000:abc/prod/POST/v1/events",
        "authorizationToken": token,
        "headers": { "Authorization": token },
        "multiValueHeaders": { "Authorization": [token] },
    })
}

fn secret_token() -> String {
    signed_by_secret(r#"{"alg":"HS256","typ":"JWT"}"#, &claims(SECRET_ISSUER))
}

fn key_token() -> String {
    let key = RsaKeyPair::from_pkcs8(KEY).expect("a key");
    signed(r#"{"alg":"RS256","kid":"one"}"#, &claims(KEY_ISSUER), |message| {
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("signed");
        signature
    })
}

/// A token of these two texts, whatever they are.
pub(crate) fn signed_by_secret(header: &str, claims: &str) -> String {
    signed(header, claims, |message| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message).as_ref().to_vec()
    })
}

fn signed(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(message.as_bytes())))
}

fn claims(issuer: &str) -> String {
    json!({
        "iss": issuer, "aud": AUDIENCE, "sub": "user-1", "iat": NOW, "exp": NOW + 3600, "roles": ["reader", "writer"],
        "tenant_id": "tenant-1",
    })
    .to_string()
}

pub(crate) fn key_set() -> String {
    let key = RsaKeyPair::from_pkcs8(KEY).expect("a key");
    let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    let other = json!({ "kty": "EC", "kid": "two", "crv": "P-256", "x": "AQ", "y": "AQ" });
    json!({ "keys": [{ "kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": n, "e": e }, other] }).to_string()
}

/// An answer of the Runtime API.
fn response(header: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 8476a536\r\nLambda-Runtime-Deadline-Ms: 1800000000123\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:x\r\nLambda-Runtime-Trace-Id: Root=1\r\n{header}\r\n\r\n{body}"
    )
}
