//! Which tokens are accepted: one line a rule.

use crate::world::{
    AUDIENCE, NOW, RsaKey, SECRET, SECRET_ISSUER, World, claims, outcome, secret_token, sign_by_secret, with,
};
use authorizer::token::MAX_TOKEN_BYTES;
use authorizer::verify::KeysWithoutIssuer;
use serde_json::json;

#[tokio::test]
async fn claims_decide_with_both_kinds_of_signatures() {
    let world = World::new().await;
    let verifier = world.verifier();
    let cases = [
        ("all is well", json!({}), "allowed"),
        ("an audience among others", json!({ "aud": ["other", AUDIENCE] }), "allowed"),
        ("no roles", json!({ "roles": null }), "allowed"),
        ("no tenant", json!({ "tenant_id": null }), "allowed"),
        ("claims that nobody knows", json!({ "scope": "everything", "exp ": 0 }), "allowed"),
        ("expired", json!({ "iat": NOW - 7200, "exp": NOW - 31 }), "expired"),
        ("expired within the leeway", json!({ "iat": NOW - 7200, "exp": NOW - 30 }), "expires_too_soon"),
        ("as long as an answer is kept", json!({ "exp": NOW + 60 }), "allowed"),
        ("less than an answer is kept", json!({ "exp": NOW + 59 }), "expires_too_soon"),
        ("a life of a day", json!({ "exp": NOW + 86_400 }), "allowed"),
        ("a life of more than a day", json!({ "exp": NOW + 86_401 }), "lives_too_long"),
        ("not yet, within the leeway", json!({ "nbf": NOW + 30 }), "allowed"),
        ("not yet", json!({ "nbf": NOW + 31 }), "not_yet_valid"),
        ("from the future", json!({ "iat": NOW + 31 }), "issued_in_future"),
        ("another audience", json!({ "aud": "other" }), "wrong_audience"),
        ("no audience in the list", json!({ "aud": [] }), "wrong_audience"),
        ("another issuer", json!({ "iss": "https://somebody.example" }), "wrong_issuer"),
        ("no expiry", json!({ "exp": null }), "missing_claim"),
        ("no time of issue", json!({ "iat": null }), "missing_claim"),
        ("no issuer", json!({ "iss": null }), "missing_claim"),
        ("no audience", json!({ "aud": null }), "missing_claim"),
        ("an audience that is no text", json!({ "aud": 7 }), "missing_claim"),
        ("no subject", json!({ "sub": null }), "missing_claim"),
        ("an empty subject", json!({ "sub": "" }), "missing_claim"),
        ("an expiry that is a text", json!({ "exp": "soon" }), "malformed"),
        ("a start that is a text", json!({ "nbf": "soon" }), "malformed"),
        ("several issuers", json!({ "iss": [SECRET_ISSUER] }), "malformed"),
        ("roles that are no list", json!({ "roles": "admin" }), "malformed"),
        ("a comma in a role", json!({ "roles": ["reader,admin"] }), "malformed_role"),
        ("an empty role", json!({ "roles": [""] }), "malformed_role"),
        ("an empty tenant", json!({ "tenant_id": "" }), "empty_tenant"),
    ];
    for (name, changes, expected) in cases {
        let by_secret = with(claims(SECRET_ISSUER), &changes);
        let token = sign_by_secret(&json!({ "alg": "HS256" }), &by_secret, SECRET.as_bytes());
        assert_eq!(outcome(&verifier, &token).await, expected, "HS256, {name}");
        let by_key = with(claims(&world.issuer.url), &changes);
        let token = RsaKey::one().sign(&json!({ "alg": "RS256", "kid": "one" }), &by_key);
        assert_eq!(outcome(&verifier, &token).await, expected, "RS256, {name}");
    }
    assert_eq!(world.issuer.fetches(), 1);
    assert_eq!(world.secret.reads().len(), 2, "the current and the previous version, once");
}

#[tokio::test]
async fn the_key_decides_the_algorithm() {
    let world = World::new().await;
    let verifier = world.verifier();
    let (key, of_keys, of_secret) = (RsaKey::one(), claims(&world.issuer.url), claims(SECRET_ISSUER));
    let (modulus, _) = key.numbers();
    let hs256 = json!({ "alg": "HS256", "kid": "one" });
    let rs256 = json!({ "alg": "RS256", "kid": "one" });
    let cases = [
        ("the public key as a secret", sign_by_secret(&hs256, &of_keys, &key.public_der()), "wrong_algorithm"),
        ("the modulus as a secret", sign_by_secret(&hs256, &of_keys, modulus.as_bytes()), "wrong_algorithm"),
        ("the secret for the other issuer", sign_by_secret(&hs256, &of_keys, SECRET.as_bytes()), "wrong_algorithm"),
        ("an HMAC called RS256", sign_by_secret(&rs256, &of_keys, &key.public_der()), "wrong_signature"),
        ("the key for the other issuer", key.sign(&rs256, &of_secret), "wrong_algorithm"),
        ("an RSA signature called HS256", key.sign(&hs256, &of_secret), "wrong_signature"),
        (
            "an RSA signature called RS512",
            key.sign(&json!({ "alg": "RS512", "kid": "one" }), &of_keys),
            "wrong_algorithm",
        ),
        (
            "an RSA signature called PS256",
            key.sign(&json!({ "alg": "PS256", "kid": "one" }), &of_keys),
            "wrong_algorithm",
        ),
        ("no algorithm", key.sign(&json!({ "kid": "one" }), &of_keys), "malformed"),
        ("none", key.sign(&json!({ "alg": "none", "kid": "one" }), &of_keys), "malformed"),
        ("None", sign_by_secret(&json!({ "alg": "None" }), &of_secret, SECRET.as_bytes()), "malformed"),
        (
            "an extension",
            key.sign(&json!({ "alg": "RS256", "kid": "one", "crit": ["x"], "x": 1 }), &of_keys),
            "unknown_extension",
        ),
        ("no key id", key.sign(&json!({ "alg": "RS256" }), &of_keys), "unknown_key"),
        (
            "a key that the token brings",
            RsaKey::two().sign(&json!({ "alg": "RS256", "kid": "one", "jwk": RsaKey::two().entry("one") }), &of_keys),
            "wrong_signature",
        ),
    ];
    for (name, token, expected) in cases {
        assert_eq!(outcome(&verifier, &token).await, expected, "{name}");
    }
}

#[tokio::test]
async fn what_was_signed_is_what_counts() {
    let world = World::new().await;
    let verifier = world.verifier();
    let tokens = [secret_token(SECRET), RsaKey::one().token(&world.issuer, "one")];
    let forged = claims(SECRET_ISSUER);
    let other = sign_by_secret(&json!({ "alg": "HS256" }), &with(forged, &json!({ "roles": ["admin"] })), b"guessed");
    for token in &tokens {
        assert_eq!(outcome(&verifier, token).await, "allowed");
        let (message, signature) = token.rsplit_once('.').expect("a signature");
        let (header, _) = message.split_once('.').expect("claims");
        let other_claims = other.split('.').nth(1).expect("claims");
        for (name, forged) in [
            ("no signature", format!("{message}.")),
            ("a short signature", format!("{message}.AAAA")),
            ("another signature", format!("{message}.{}", other.rsplit('.').next().expect("a signature"))),
        ] {
            assert_eq!(outcome(&verifier, &forged).await, "wrong_signature", "{name}");
        }
        let swapped = format!("{header}.{other_claims}.{signature}");
        assert_ne!(outcome(&verifier, &swapped).await, "allowed", "other claims under the signature");
    }
    for malformed in ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", &format!("{}.x", tokens[0]), "{}.{}.{}"] {
        assert_eq!(outcome(&verifier, malformed).await, "malformed", "{malformed}");
    }
}

#[tokio::test]
async fn a_token_that_is_too_large_is_not_looked_at() {
    let world = World::new().await;
    let verifier = world.verifier();
    let sign = |padding: usize| {
        let claims = with(claims(SECRET_ISSUER), &json!({ "padding": "x".repeat(padding) }));
        sign_by_secret(&json!({ "alg": "HS256" }), &claims, SECRET.as_bytes())
    };
    // Three bytes of claims are four of the token.
    let of_size = |size: usize| sign((size - sign(0).len()) * 3 / 4);
    let (fits, too_large) = (of_size(MAX_TOKEN_BYTES - 2), of_size(MAX_TOKEN_BYTES + 4));
    assert!((MAX_TOKEN_BYTES - 4..=MAX_TOKEN_BYTES).contains(&fits.len()), "{}", fits.len());
    assert!((MAX_TOKEN_BYTES + 1..MAX_TOKEN_BYTES + 8).contains(&too_large.len()), "{}", too_large.len());
    assert_eq!(outcome(&verifier, &fits).await, "allowed");
    assert_eq!(outcome(&verifier, &too_large).await, "too_large");
}

#[tokio::test]
async fn a_slash_at_the_end_of_an_issuer_makes_no_difference() {
    let world = World::new().await;
    let claims = with(claims(&world.issuer.url), &json!({ "iss": format!("{}/", world.issuer.url) }));
    let token = RsaKey::one().sign(&json!({ "alg": "RS256", "kid": "one" }), &claims);
    assert_eq!(outcome(&world.verifier(), &token).await, "allowed");
}

#[tokio::test]
async fn keys_belong_to_an_issuer() {
    let world = World::new().await;
    assert_eq!(world.verifier_with(&[("JWT_KEY_ISSUER", "none")]).err(), Some(KeysWithoutIssuer));
}
