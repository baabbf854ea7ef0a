//! Tokens, as those make them who have a key or a secret.

use crate::issuer::Issuer;
use crate::world::{AUDIENCE, NOW, SECRET_ISSUER};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

/// Two RSA keys of 2,048 bits, made for these tests and used nowhere else.
const KEY_ONE: &[u8] = include_bytes!("test_keys/one.pk8");
const KEY_TWO: &[u8] = include_bytes!("test_keys/two.pk8");

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
