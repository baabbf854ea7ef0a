//! The public keys of an issuer: a JSON Web Key Set (RFC 7517), by key id.
//!
//! Only RSA keys for signatures with RS256 are taken; any other entry is passed over, because an issuer may publish keys for
//! other uses, and a new kind of key must not make the known ones unusable. A key that is gone from the set stops working
//! when the set is fetched next.

use crate::clock::Clock;
use crate::kept::{Held, Keeping, Kept, NoKeys};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How the keys of an issuer are kept.
///
/// The pause binds requests for a key that isn't known, which anybody can cause, and requests while the issuer is down.
const KEEPING: Keeping = Keeping {
    what: "jwks",
    max_age: Duration::from_secs(600),
    pause: Duration::from_secs(30),
    timeout: Duration::from_secs(2),
};

/// Where an issuer's key set comes from.
pub trait FetchKeys: Send + Sync + 'static {
    /// Why there is none.
    type Error: Error + Send + Sync + 'static;

    /// Fetches the set. The caller sets a limit to the time that it takes.
    ///
    /// # Errors
    /// When there is no answer, or it is no key set.
    fn fetch(&self) -> impl Future<Output = Result<KeySet, Self::Error>> + Send;
}

/// The usable keys of a set.
#[derive(Clone, Debug, Default)]
pub struct KeySet(HashMap<String, PublicKey>);

/// A key and the one algorithm that it's for.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// A document that is no key set.
#[derive(Debug, thiserror::Error)]
#[error("the document is no JSON Web Key Set: an object with a list `keys`")]
pub struct NotAKeySet(#[source] serde_json::Error);

impl KeySet {
    /// Reads a key set's JSON.
    ///
    /// # Errors
    /// When it is no JSON object with a list `keys`. A set in which no key is usable is no error: its issuer has withdrawn
    /// its keys.
    pub fn parse(json: &[u8]) -> Result<Self, NotAKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(json).map_err(NotAKeySet)?;
        let mut keys = HashMap::new();
        for (id, key) in document.keys.into_iter().filter_map(usable) {
            // Which one a token means would be a guess; the first is as good as any and stays the same.
            keys.entry(id).or_insert(key);
        }
        Ok(Self(keys))
    }

    pub(crate) fn get(&self, key_id: &str) -> Option<&PublicKey> {
        self.0.get(key_id)
    }
}

/// One entry of a set, if it's an RSA key for RS256 that has an id.
fn usable(entry: Value) -> Option<(String, PublicKey)> {
    #[derive(Deserialize)]
    struct Entry {
        kty: String,
        kid: String,
        alg: Option<String>,
        #[serde(rename = "use")]
        usage: Option<String>,
        key_ops: Option<Vec<String>>,
        n: String,
        e: String,
    }
    let entry: Entry = serde_json::from_value(entry).ok()?;
    // `alg` may be left out (RFC 7517, 4.4); RS256 is what this issuer's RSA keys are for then.
    let for_rs256 = entry.kty == "RSA" && entry.alg.is_none_or(|name| name == "RS256");
    let for_signatures = entry.usage.is_none_or(|usage| usage == "sig")
        && entry.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    if !for_rs256 || !for_signatures {
        return None;
    }
    let key = DecodingKey::from_rsa_raw_components(&unsigned(&entry.n)?, &unsigned(&entry.e)?);
    Some((entry.kid, PublicKey { algorithm: Algorithm::RS256, key }))
}

/// A number of a key as big-endian bytes. Some issuers write a leading zero, which RFC 7518 (6.3.1.1) forbids.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

/// Fetches and keeps an issuer's keys.
pub(crate) struct PublicKeys<F> {
    source: Arc<F>,
    kept: Arc<Kept<KeySet>>,
}

impl<F: FetchKeys> PublicKeys<F> {
    pub(crate) fn new(source: F) -> Self {
        Self { source: Arc::new(source), kept: Arc::new(Kept::new(KEEPING)) }
    }

    /// Fetches the keys if there are none that are young enough.
    pub(crate) async fn prepare(&self, clock: &impl Clock) -> Result<(), NoKeys> {
        self.kept.get(clock, self.fetch()).await.map(drop)
    }

    /// The key with this id. A key that isn't known is looked for again, as often as is allowed.
    pub(crate) async fn find(&self, key_id: &str, clock: &impl Clock) -> Result<Option<PublicKey>, NoKeys> {
        let find = |held: &Arc<Held<KeySet>>| held.value.get(key_id).cloned();
        let held = self.kept.get_without_waiting(clock, self.fetch()).await?;
        if let Some(key) = find(&held) {
            return Ok(Some(key));
        }
        let newer = self.kept.newer(&held, clock, self.fetch()).await?;
        Ok(find(&newer))
    }

    /// A fetch that a task may make.
    fn fetch(&self) -> impl Future<Output = Result<KeySet, F::Error>> + Send + 'static {
        let source = Arc::clone(&self.source);
        async move { source.fetch().await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(changes: &Value) -> Value {
        let mut entry = json!({ "kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", "n": "AQID", "e": "AQAB" });
        let changes = changes.as_object().expect("an object");
        entry.as_object_mut().expect("an object").extend(changes.clone());
        entry
    }

    #[test]
    fn only_rsa_keys_for_rs256_signatures_are_taken() {
        let cases = [
            (json!({}), true),
            (json!({ "alg": null, "use": null }), true),
            (json!({ "key_ops": ["verify"] }), true),
            (json!({ "x5c": ["…"] }), true),
            (json!({ "key_ops": ["encrypt"] }), false),
            (json!({ "use": "enc" }), false),
            (json!({ "alg": "RS512" }), false),
            (json!({ "alg": "HS256" }), false),
            (json!({ "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" }), false),
            (json!({ "kty": "oct", "k": "AQ" }), false),
            (json!({ "kid": null }), false),
            (json!({ "n": "not base64!" }), false),
        ];
        for (changes, taken) in cases {
            let set = json!({ "keys": [entry(&changes), entry(&json!({ "kid": "other" }))] }).to_string();
            let set = KeySet::parse(set.as_bytes()).expect("a set");
            assert_eq!(set.get("k").is_some(), taken, "{changes}");
            assert!(set.get("other").is_some(), "an entry that is passed over does no harm: {changes}");
        }
    }

    #[test]
    fn leading_zeros_are_no_part_of_a_number() {
        assert_eq!(unsigned("AQAB"), Some(vec![1, 0, 1]));
        assert_eq!(unsigned("AAEAAQ=="), Some(vec![1, 0, 1]));
    }

    #[test]
    fn what_is_no_key_set_is_an_error_and_an_empty_set_is_not() {
        assert!(KeySet::parse(b"{\"keys\":[]}").is_ok());
        for bad in ["", "[]", "{}", "{\"keys\":{}}", "<html>"] {
            assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
