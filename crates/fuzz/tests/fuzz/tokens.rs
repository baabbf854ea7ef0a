//! What reaches the authorizer: events of API Gateway, tokens, and the keys of issuers.

use authorizer::Handler;
use authorizer::clock::Clock;
use authorizer::event::AuthorizationRequest;
use authorizer::public_keys::{FetchKeys, KeySet, NotAKeySet};
use authorizer::verify::Verifier;
use aws::fakes::FakeSecret;
use contracts::Authorizer;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::parser::{Parser, monsters};
use crate::{block_on, invocation, samples, text};

/// A clock that stands at the time for which the samples' tokens are made.
#[derive(Clone)]
struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(samples::NOW)
    }
}

/// The issuer's keys, without a network.
struct FixedKeys;

impl FetchKeys for FixedKeys {
    type Error = NotAKeySet;

    async fn fetch(&self) -> Result<KeySet, NotAKeySet> {
        KeySet::parse(samples::key_set().as_bytes())
    }
}

static SECRET: LazyLock<FakeSecret> = LazyLock::new(|| {
    let secret = FakeSecret::default();
    secret.rotate("v1", samples::SECRET, UNIX_EPOCH);
    secret
});

fn config() -> Authorizer {
    let lookup = |variable: &str| {
        let value = match variable {
            "AWS_REGION" => "us-west-2",
            "JWT_SECRET_ISSUER" => samples::SECRET_ISSUER,
            "JWT_KEY_ISSUER" => samples::KEY_ISSUER,
            "JWT_AUDIENCE" => samples::AUDIENCE,
            "JWT_SECRET_NAME" => "tandem-test-jwt",
            "ROUTE_GRANTS" => "POST /v1/events *",
            _ => return None,
        };
        Some(value.to_owned())
    };
    Authorizer::from_lookup(lookup).expect("a configuration")
}

/// An event, to the whole answer. Valid is what is answered, also by a no.
pub(crate) const EVENT: Parser = Parser {
    corpus: &["corpus/authorizer_event"],
    parse: |bytes| {
        LazyLock::force(&SECRET);
        let Ok(request) = serde_json::from_slice::<AuthorizationRequest>(bytes) else { return false };
        let handler = Handler::new(config(), &*SECRET, Some(FixedKeys), StillClock).expect("a handler");
        block_on(handler.handle(invocation(request), &mut std::io::sink())).is_ok()
    },
    memory: [512 * 1024, 100],
    hostile: || monsters(&samples::authorizer_event(), &["\"REQUEST\"", "{\"accept\":\"*/*\"}", "\"2.0\""]),
};

/// The value of a header. A token of more than 8 KiB isn't decoded, so it costs nothing.
pub(crate) const TOKEN: Parser = Parser {
    corpus: &["corpus/token"],
    parse: |bytes| {
        LazyLock::force(&SECRET);
        let verifier = Verifier::new(config(), &*SECRET, Some(FixedKeys), StillClock).expect("a verifier");
        block_on(verifier.caller(&text(bytes))).is_ok()
    },
    // Half of it is for the replacement of bytes that are no text.
    memory: [512 * 1024, 6],
    hostile: || {
        let deep = |open: &str, close: &str| format!("{}{}", open.repeat(2_000), close.repeat(2_000));
        let mut tokens: Vec<String> = [8 * 1024 - 7, 8 * 1024, 1_000_000, 6_000_000]
            .map(|length| format!("Bearer {}", "a".repeat(length)))
            .into();
        tokens.push(format!("Bearer {}", ".".repeat(1_000_000)));
        for claims in
            [deep("[", "]"), deep("{\"a\":", "}"), format!("[{}0]", "0,".repeat(2_500)), "{\"a\":1,".repeat(800)]
        {
            tokens.push(samples::signed_by_secret("{\"alg\":\"HS256\"}", &claims));
            tokens.push(samples::signed_by_secret(&claims, "{}"));
        }
        tokens.into_iter().map(String::into_bytes).collect()
    },
};

/// A key set. The answer of an issuer is read up to 256 KiB; here it may be larger.
pub(crate) const KEY_SET: Parser = Parser {
    corpus: &["corpus/key_set"],
    parse: |bytes| KeySet::parse(bytes).is_ok(),
    memory: [64 * 1024, 160],
    hostile: || monsters(&samples::key_set(), &["\"RS256\"", "\"one\"", "\"AQAB\"", "\"sig\""]),
};
