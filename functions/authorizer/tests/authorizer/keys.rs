//! How keys come, age and go.

use crate::world::{NOW, RsaKey, SECRET, SECRET_ISSUER, World, claims, outcome, secret_token, sign_by_secret};
use aws::secrets::SecretStage;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, UNIX_EPOCH};

const SECOND_SECRET: &str = "the second secret, also long enough";
const THIRD_SECRET: &str = "the third secret, which is long too";

#[tokio::test]
async fn all_keys_are_there_before_the_first_request() {
    let world = World::new().await;
    let handler = world.handler_with(&[]);
    assert!(handler.prepare().await.is_empty());
    assert_eq!((world.issuer.fetches(), world.secret.reads().len()), (1, 2));
    world.issuer.shut_down().await;
    world.secret.set_unreachable(true);
    for token in [secret_token(SECRET), RsaKey::one().token(&world.issuer, "one")] {
        let answer = World::handle_by(&handler, crate::events::http_api(&format!("Bearer {token}"))).await;
        assert_eq!(answer.expect("an answer")["isAuthorized"], true);
    }
}

#[tokio::test]
async fn a_start_without_keys_is_a_start() {
    let world = World::new().await;
    world.issuer.shut_down().await;
    let verifier = world.verifier();
    let errors = verifier.prepare().await;
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("jwks"), "{}", errors[0]);
    assert_eq!(outcome(&verifier, &secret_token(SECRET)).await, "allowed");
}

/// Decisions need no network while keys are young, so an issuer that hangs slows nobody down: each is made in one go, without
/// waiting for anything. The time is that of the middle one, because this machine may have other work.
#[tokio::test]
async fn warm_decisions_wait_for_nothing_while_the_issuer_is_down() {
    let world = World::new().await;
    let verifier = world.verifier();
    assert!(verifier.prepare().await.is_empty());
    world.issuer.hang();
    world.clock.set(599);
    let mut claims = claims(&world.issuer.url);
    (claims["iat"], claims["exp"]) = (json!(NOW + 599), json!(NOW + 1_199));
    let tokens = [RsaKey::one().sign(&json!({ "alg": "RS256", "kid": "one" }), &claims), secret_token(SECRET)];
    let mut took: Vec<Duration> = Vec::new();
    for token in tokens.iter().cycle().take(1_000) {
        let started = Instant::now();
        let decision = pin!(outcome(&verifier, token)).poll(&mut Context::from_waker(Waker::noop()));
        took.push(started.elapsed());
        assert_eq!(decision, Poll::Ready("allowed"));
    }
    took.sort();
    assert!(took[500] < Duration::from_millis(10), "{:?}", took[500]);
    assert_eq!(world.issuer.fetches(), 1, "nobody was asked");
}

/// One request finds out that the issuer hangs, and waits for it; the others don't.
#[tokio::test]
async fn an_issuer_that_hangs_slows_one_request_only() {
    let world = World::new().await;
    let verifier = world.verifier();
    assert!(verifier.prepare().await.is_empty());
    world.issuer.hang();
    let token = |second: u64| {
        let mut claims = claims(&world.issuer.url);
        (claims["iat"], claims["exp"]) = (json!(NOW + second), json!(NOW + second + 600));
        RsaKey::one().sign(&json!({ "alg": "RS256", "kid": "one" }), &claims)
    };
    for (second, is_slow) in [(600, true), (601, false), (630, false), (660, false), (7_200, false)] {
        world.clock.set(second);
        let token = token(second);
        let started = Instant::now();
        assert_eq!(outcome(&verifier, &token).await, "allowed", "after {second} s");
        assert_eq!(started.elapsed() > Duration::from_secs(1), is_slow, "after {second} s: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_in_a_while() {
    let world = World::new().await;
    let verifier = world.verifier();
    let unknown = RsaKey::two().token(&world.issuer, "two");
    assert_eq!(outcome(&verifier, &RsaKey::one().token(&world.issuer, "one")).await, "allowed");
    assert_eq!(world.issuer.fetches(), 1);
    for (second, fetches) in [(29, 1), (30, 2), (31, 2), (59, 2), (60, 3)] {
        world.clock.set(second);
        assert_eq!(outcome(&verifier, &unknown).await, "unknown_key", "after {second} s");
        assert_eq!(world.issuer.fetches(), fetches, "after {second} s");
    }
    world.issuer.publish(&[RsaKey::one().entry("one"), RsaKey::two().entry("two")]);
    world.clock.set(89);
    assert_eq!(outcome(&verifier, &unknown).await, "unknown_key");
    world.clock.set(90);
    assert_eq!(outcome(&verifier, &unknown).await, "allowed");
}

#[tokio::test]
async fn many_requests_with_an_unknown_key_make_one_fetch() {
    let world = World::new().await;
    let verifier = world.verifier();
    assert_eq!(outcome(&verifier, &RsaKey::one().token(&world.issuer, "one")).await, "allowed");
    world.clock.set(40);
    let unknown = RsaKey::two().token(&world.issuer, "two");
    let outcomes =
        tokio::join!(outcome(&verifier, &unknown), outcome(&verifier, &unknown), outcome(&verifier, &unknown));
    assert_eq!(outcomes, ("unknown_key", "unknown_key", "unknown_key"));
    assert_eq!(world.issuer.fetches(), 2);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_stops_working() {
    let world = World::new().await;
    let verifier = world.verifier();
    let token = RsaKey::one().token(&world.issuer, "one");
    assert_eq!(outcome(&verifier, &token).await, "allowed");
    world.issuer.publish(&[RsaKey::two().entry("two")]);
    world.clock.set(599);
    assert_eq!(outcome(&verifier, &token).await, "allowed");
    world.clock.set(600);
    assert_eq!(outcome(&verifier, &token).await, "unknown_key");
}

#[tokio::test]
async fn known_keys_serve_while_their_issuer_is_down() {
    let world = World::new().await;
    let day = 24 * 3600;
    let token = |world: &World, seconds: u64| {
        let mut claims = claims(&world.issuer.url);
        (claims["iat"], claims["exp"]) = (json!(NOW + seconds), json!(NOW + seconds + 600));
        RsaKey::one().sign(&json!({ "alg": "RS256", "kid": "one" }), &claims)
    };
    let verifier = world.verifier();
    assert_eq!(outcome(&verifier, &token(&world, 0)).await, "allowed");
    world.issuer.answer(500, "");
    world.clock.set(700);
    assert_eq!(outcome(&verifier, &token(&world, 700)).await, "allowed");
    assert_eq!(world.issuer.fetches(), 2, "it was tried");
    world.issuer.answer(200, "<html>maintenance</html>");
    world.clock.set(800);
    assert_eq!(outcome(&verifier, &token(&world, 800)).await, "allowed");
    world.issuer.shut_down().await;
    for second in [900, day - 1] {
        world.clock.set(second);
        assert_eq!(outcome(&verifier, &token(&world, second)).await, "allowed", "after {second} s");
    }
    world.clock.set(day);
    assert_eq!(outcome(&verifier, &token(&world, day)).await, "no keys");
}

#[tokio::test]
async fn without_keys_nothing_is_decided() {
    let world = World::new().await;
    world.issuer.shut_down().await;
    let verifier = world.verifier();
    assert_eq!(outcome(&verifier, &RsaKey::one().token(&world.issuer, "one")).await, "no keys");
    assert_eq!(outcome(&verifier, &secret_token(SECRET)).await, "allowed", "the other issuer's tokens still work");
}

#[tokio::test]
async fn keys_come_from_their_address_and_no_other() {
    let world = World::new().await;
    world.issuer.redirect("/other/keys.json");
    assert_eq!(outcome(&world.verifier(), &RsaKey::one().token(&world.issuer, "one")).await, "no keys");
    assert_eq!(world.issuer.fetches(), 1, "and the redirect wasn't followed");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let limit = 256 * 1024;
    for (bytes, expected) in [(limit, "allowed"), (limit + 1, "no keys")] {
        let world = World::new().await;
        let mut keys = json!({ "keys": [RsaKey::one().entry("one")] }).to_string();
        keys.push_str(&" ".repeat(bytes - keys.len()));
        world.issuer.answer(200, &keys);
        let token = RsaKey::one().token(&world.issuer, "one");
        assert_eq!(outcome(&world.verifier(), &token).await, expected, "{bytes} bytes");
    }
}

#[tokio::test]
async fn an_issuer_that_hangs_is_waited_for_two_seconds() {
    let world = World::new().await;
    world.issuer.hang();
    let (verifier, token) = (world.verifier(), RsaKey::one().token(&world.issuer, "one"));
    let started = Instant::now();
    let decided = tokio::time::timeout(Duration::from_secs(20), outcome(&verifier, &token)).await;
    let waited = started.elapsed();
    assert_eq!(decided, Ok("no keys"));
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(10), "{waited:?}");
    assert_eq!(world.issuer.fetches(), 1);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_decides_nothing() {
    let world = World::new().await;
    world.secret.set_unreachable(true);
    let verifier = world.verifier();
    assert_eq!(verifier.prepare().await.len(), 1, "the secret, and not the public keys");
    world.clock.set(1);
    assert_eq!(outcome(&verifier, &secret_token(SECRET)).await, "no keys");
    world.secret.set_unreachable(false);
    world.clock.set(2);
    assert_eq!(outcome(&verifier, &secret_token(SECRET)).await, "allowed");
    world.secret.set_unreachable(true);
    world.clock.set(400);
    assert_eq!(outcome(&verifier, &secret_token(SECRET)).await, "allowed", "what was read before serves on");
}

#[tokio::test]
async fn a_secret_that_is_useless_decides_nothing() {
    let world = World::new().await;
    world.secret.rotate("v2", "too short", UNIX_EPOCH);
    let verifier = world.verifier();
    let errors = verifier.prepare().await;
    let cause = std::error::Error::source(&errors[0]).expect("a cause").to_string();
    assert!(cause.contains("9 bytes") && !cause.contains("too short"), "{cause}");
}

#[tokio::test]
async fn a_previous_secret_that_is_useless_is_no_secret() {
    for useless in ["too short", "{\"password\":\"hidden\"}", "bytes"] {
        let world = World::new().await;
        world.secret.rotate("v2", useless, UNIX_EPOCH);
        world.secret.rotate("v3", THIRD_SECRET, UNIX_EPOCH + Duration::from_secs(NOW));
        if useless == "bytes" {
            world.secret.store_as_bytes(SecretStage::Previous);
        }
        let verifier = world.verifier();
        assert!(verifier.prepare().await.is_empty(), "the current version is good");
        assert_eq!(outcome(&verifier, &secret_token(THIRD_SECRET)).await, "allowed");
        assert_eq!(outcome(&verifier, &secret_token(useless)).await, "wrong_signature", "{useless}");
    }
    let world = World::new().await;
    world.secret.store_as_bytes(SecretStage::Current);
    assert_eq!(world.verifier().prepare().await.len(), 1, "there is nothing else to decide by");
}

#[tokio::test]
async fn tokens_of_the_previous_secret_are_good_for_as_long_as_they_could_live() {
    let world = World::new().await;
    let rotated_at = UNIX_EPOCH + Duration::from_secs(NOW);
    world.secret.rotate("v2", SECOND_SECRET, rotated_at);
    let verifier = world.verifier_with(&[("JWT_LONGEST_LIFE", "2h")]).expect("a verifier");
    let at = |second: u64, secret: &str| {
        let mut claims = claims(SECRET_ISSUER);
        (claims["iat"], claims["exp"]) = (json!(NOW + second), json!(NOW + second + 600));
        sign_by_secret(&json!({ "alg": "HS256" }), &claims, secret.as_bytes())
    };
    // Two hours of life and one for the rotation itself.
    for (second, previous) in [(0, "allowed"), (10_799, "allowed"), (10_800, "wrong_signature")] {
        world.clock.set(second);
        assert_eq!(outcome(&verifier, &at(second, SECOND_SECRET)).await, "allowed", "current, after {second} s");
        assert_eq!(outcome(&verifier, &at(second, SECRET)).await, previous, "previous, after {second} s");
    }
    world.clock.set(0);
    world.secret.rotate("v3", THIRD_SECRET, rotated_at);
    let verifier = world.verifier();
    assert_eq!(outcome(&verifier, &at(0, SECRET)).await, "wrong_signature", "the version before the previous one");
    world.secret.forget_previous();
    let verifier = world.verifier();
    assert_eq!(outcome(&verifier, &at(0, THIRD_SECRET)).await, "allowed");
    assert_eq!(outcome(&verifier, &at(0, SECOND_SECRET)).await, "wrong_signature", "a version that was taken away");
}

#[tokio::test]
async fn a_token_may_name_its_version() {
    let world = World::new().await;
    world.secret.rotate("v2", SECOND_SECRET, UNIX_EPOCH + Duration::from_secs(NOW));
    let verifier = world.verifier();
    let token = |header: Value, secret: &str| sign_by_secret(&header, &claims(SECRET_ISSUER), secret.as_bytes());
    for (key_id, secret, expected) in [
        ("v1", SECRET, "allowed"),
        ("v2", SECOND_SECRET, "allowed"),
        ("v1", SECOND_SECRET, "wrong_signature"),
        ("v2", SECRET, "wrong_signature"),
        ("something else", SECRET, "allowed"),
    ] {
        let token = token(json!({ "alg": "HS256", "kid": key_id }), secret);
        assert_eq!(outcome(&verifier, &token).await, expected, "{key_id} with {secret}");
    }
}

#[tokio::test]
async fn a_rotation_is_noticed_by_its_tokens() {
    let world = World::new().await;
    let verifier = world.verifier();
    assert_eq!(outcome(&verifier, &secret_token(SECRET)).await, "allowed");
    let read = || world.secret.reads().iter().filter(|stage| **stage == SecretStage::Current).count();
    assert_eq!(read(), 1);
    world.secret.rotate("v2", SECOND_SECRET, UNIX_EPOCH + Duration::from_secs(NOW));
    world.clock.set(59);
    assert_eq!(outcome(&verifier, &secret_token(SECOND_SECRET)).await, "wrong_signature");
    assert_eq!(read(), 1, "not more than once a minute");
    world.clock.set(60);
    assert_eq!(outcome(&verifier, &secret_token(SECOND_SECRET)).await, "allowed");
    assert_eq!(outcome(&verifier, &secret_token("a guess that somebody makes at it")).await, "wrong_signature");
    assert_eq!(read(), 2);
    world.clock.set(360);
    assert_eq!(outcome(&verifier, &secret_token(SECOND_SECRET)).await, "allowed");
    assert_eq!(read(), 3, "after five minutes it is read again in any case");
}
