//! Tokens as clients of the API send them, and the keys that they are checked with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

/// The secret of HS256 tokens, as it is in use.
pub const SECRET: &str = "the secret of this benchmark, of no use elsewhere";

/// The secret before it.
pub const PREVIOUS_SECRET: &str = "the secret that this benchmark had before that one";

/// `iss` of HS256 tokens.
pub const SECRET_ISSUER: &str = "tandem";

/// `aud` of all tokens.
pub const AUDIENCE: &str = "tandem-api";

/// The id of the RSA key.
const KEY_ID: &str = "bench-2026-11";

/// An RSA key of 2,048 bits, made for this benchmark and used nowhere else.
const RSA_KEY: &[u8] = include_bytes!("../keys/rs256.pk8");

/// How long tokens live; a run is over by then.
const LIFE: Duration = Duration::from_secs(8 * 3600);

/// A token that is signed with [`SECRET`].
pub fn hs256() -> String {
    let signed = signing_input(&json!({ "alg": "HS256", "typ": "JWT" }), SECRET_ISSUER);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token of `issuer` that is signed with the RSA key.
///
/// # Panics
/// Never: the key is part of this crate.
pub fn rs256(issuer: &str) -> String {
    let signed = signing_input(&json!({ "alg": "RS256", "typ": "JWT", "kid": KEY_ID }), issuer);
    let key = rsa_key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .expect("the kernel has random bytes");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The RSA key's public part, as an issuer publishes it.
pub fn key_set() -> String {
    let public: RsaPublicKeyComponents<Vec<u8>> = rsa_key().public().into();
    let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
    json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e }] }).to_string()
}

fn rsa_key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(RSA_KEY).expect("invariant: a key of this crate")
}

fn signing_input(header: &Value, issuer: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = json!({
        "iss": issuer,
        "sub": "7b1c2a50-6d0e-4f7e-9a37-3f1f4f0c9a11",
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + LIFE.as_secs(),
        "jti": "0f5c1a5e-41c2-4a43-9e0b-6f1f0c3f5a77",
        "scope": "events:write events:read",
        "roles": ["publisher", "reader"],
        "tenant_id": "tenant-4711",
    });
    [header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::RSA_PKCS1_2048_8192_SHA256;

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).expect("base64")
    }

    #[test]
    fn the_published_key_fits_the_token() {
        let token = rs256("https://login.example.com");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let set: Value = serde_json::from_str(&key_set()).expect("JSON");
        let part = |name: &str| decoded(set["keys"][0][name].as_str().expect("text"));
        let key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decoded(signature)).expect("fits");
    }

    #[test]
    fn the_secret_fits_the_token_and_its_claims_are_of_a_usual_length() {
        let token = hs256();
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, signed.as_bytes(), &decoded(signature)).expect("fits");
        assert!((400..700).contains(&token.len()), "{}", token.len());
    }
}
