//! Whatever is sent, nothing panics and nothing passes that wasn't signed: properties over made-up and over damaged tokens.

use crate::attacks::header_values;
use crate::world::{
    RsaKey, SECRET, SECRET_ISSUER, TestClock, World, claims, encoded, hmac, outcome_of_header, secret_token, with,
};
use authorizer::event::AuthorizationRequest;
use authorizer::key_server::KeyServer;
use authorizer::token::MAX_TOKEN_BYTES;
use authorizer::verify::Verifier;
use aws::fakes::FakeSecret;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use std::cell::OnceCell;
use std::fmt::Debug;

type Tested = Verifier<&'static FakeSecret, KeyServer, TestClock>;

/// Checks that `holds` for what `strategy` makes up, with one verifier for all of it.
fn property<T: Debug>(
    strategy: impl Strategy<Value = T>,
    holds: &impl AsyncFn(&World, &Tested, T) -> Result<(), String>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // It lives as long as the process, as a verifier does that is used by all cases.
    let world: &'static World = Box::leak(Box::new(runtime.block_on(World::new())));
    let verifier = world.verifier();
    let mut runner = TestRunner::new(Config { cases: 1_024, failure_persistence: None, ..Config::default() });
    let outcome =
        runner.run(&strategy, |value| runtime.block_on(holds(world, &verifier, value)).map_err(TestCaseError::fail));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// An error unless `condition` is true.
fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise()) }
}

/// Any JSON, with the words of tokens in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        select(vec!["HS256", "RS256", "none", "one", "tandem", "tandem-api", ""]).prop_map(str::to_owned),
        any::<String>()
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 32, 6, |inner| {
        let names = select(vec![
            "alg",
            "kid",
            "crit",
            "jwk",
            "typ",
            "exp",
            "iat",
            "nbf",
            "aud",
            "iss",
            "sub",
            "roles",
            "tenant_id",
            "x",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

/// Signs any two texts with the secret.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
    format!("Bearer {message}.{}", encoded(&hmac(message.as_bytes(), SECRET.as_bytes())))
}

#[test]
fn a_made_up_header_never_passes() {
    let values = prop_oneof![
        any::<String>(),
        "[Bb]earer [A-Za-z0-9_.=-]{0,200}",
        "Bearer [A-Za-z0-9_-]{1,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}",
    ];
    property(values, &async |_, verifier, value| {
        ensure(outcome_of_header(verifier, &value).await != "allowed", || value)
    });
}

/// Each letter of a token counts: the encoding leaves no two spellings of the same bytes.
#[test]
fn a_good_token_with_another_letter_never_passes() {
    property((any::<Index>(), any::<bool>(), any::<char>()), &async |world, verifier, (at, by_key, other)| {
        let good = if by_key { RsaKey::one().token(&world.issuer, "one") } else { secret_token(SECRET) };
        let at = at.index(good.len());
        let damaged = format!("Bearer {}{other}{}", &good[..at], &good[at + 1..]);
        let is_same = good[at..].starts_with(other);
        ensure(is_same || outcome_of_header(verifier, &damaged).await != "allowed", || damaged)
    });
}

/// Known attacks, damaged: pieces cut out and doubled.
#[test]
fn a_damaged_attack_never_passes() {
    let values: OnceCell<Vec<String>> = OnceCell::new();
    let damages = (any::<Index>(), any::<Index>(), any::<Index>(), any::<bool>());
    property(damages, &async |world, verifier, (case, from, to, doubled)| {
        let values = values.get_or_init(|| header_values(world));
        let letters: Vec<char> = case.get(values).chars().collect();
        let (from, to) = (from.index(letters.len() + 1), to.index(letters.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        let piece = if doubled { letters[from..to].repeat(2) } else { Vec::new() };
        let damaged: String = letters[..from].iter().chain(&piece).chain(&letters[to..]).collect();
        // Spaces may come and go around a token that is good.
        let is_same = values.iter().any(|value| value.split_whitespace().eq(damaged.split_whitespace()));
        ensure(is_same || outcome_of_header(verifier, &damaged).await != "allowed", || damaged)
    });
}

/// Made-up JSON as header, as claims, and as what the good claims are changed by.
#[test]
fn any_json_that_is_signed_is_decided_on() {
    property((any_json(), any_json()), &async |_, verifier, (header, said)| {
        let (good_header, good_claims) = (json!({ "alg": "HS256" }).to_string(), claims(SECRET_ISSUER));
        outcome_of_header(verifier, &signed(&header.to_string(), &good_claims.to_string())).await;
        outcome_of_header(verifier, &signed(&good_header, &said.to_string())).await;
        let changed = with(good_claims, &said);
        let Ok(caller) = verifier.caller(&signed(&good_header, &changed.to_string())).await else { return Ok(()) };
        // What passes holds the promises that are made to those who are told of it.
        let mut texts = [&caller.user_id].into_iter().chain(&caller.roles).chain(&caller.tenant_id);
        let holds = [
            Some(caller.user_id.as_str()) == changed["sub"].as_str(),
            changed["exp"].as_f64().is_some_and(|exp| (exp.floor() - caller.token_expiry as f64).abs() < 1.0),
            texts.all(|text| !text.trim().is_empty() && !text.contains(char::is_control)),
            caller.roles.iter().all(|role| !role.contains(',')),
        ];
        ensure(holds == [true; 4], || format!("{changed}: {holds:?}"))
    });
}

/// An event that can be read is a question or none, and printing it tells no secret.
#[test]
fn any_event_is_read_or_not() {
    property((any_json(), "[a-z]{24}"), &async |_, _, (mut event, token)| {
        if let Some(members) = event.as_object_mut() {
            members.insert("authorizationToken".to_owned(), json!(token));
            members.insert("headers".to_owned(), json!({ "authorization": token }));
        }
        let request = serde_json::from_value::<AuthorizationRequest>(event);
        ensure(request.is_err() || !format!("{request:?}").contains(&token), || token)
    });
}

/// Work and memory are bounded by the longest token: what is longer is refused before any of it is decoded, and what nests
/// as deeply as fits neither overflows the stack nor passes.
#[tokio::test]
async fn size_and_depth_are_bounded() {
    let world = World::new().await;
    let verifier = world.verifier();
    for bytes in [MAX_TOKEN_BYTES + 1, 1 << 20, 32 << 20] {
        assert_eq!(outcome_of_header(&verifier, &format!("Bearer {}", "a".repeat(bytes))).await, "too_large");
    }
    let room = MAX_TOKEN_BYTES / 4 * 3 - 400;
    let deep = |open: &str, close: &str| {
        let depth = room / (open.len() + close.len());
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    let good = claims(SECRET_ISSUER).to_string();
    for nested in [deep("[", "]"), deep("{\"a\":", "}")] {
        for name in ["sub", "aud", "exp", "roles", "iss"] {
            let said = format!("{{\"{name}\":{nested}}}");
            assert_ne!(outcome_of_header(&verifier, &signed("{\"alg\":\"HS256\"}", &said)).await, "allowed");
        }
        for name in ["alg", "kid", "jwk", "crit", "x"] {
            let header = format!("{{\"{name}\":{nested}}}");
            assert_eq!(outcome_of_header(&verifier, &signed(&header, "{}")).await, "malformed", "{name}");
        }
        assert_ne!(outcome_of_header(&verifier, &signed("{\"alg\":\"HS256\"}", &nested)).await, "allowed");
    }
    // As many members as fit, and as many roles: they are read, and only what is known is kept.
    let many = format!("{{{},{}}}", &good[1..good.len() - 1], vec!["\"a\":1"; 700].join(","));
    assert_eq!(outcome_of_header(&verifier, &signed("{\"alg\":\"HS256\"}", &many)).await, "allowed");
}
