//! The shared secret that HS256 tokens are signed with: its current version, and the previous one for a while.
//!
//! The secret's text is the key itself, or a JSON object with the key under `key`, which is what Secrets Manager makes when
//! it generates one. The text's bytes are the key; nothing is decoded. A previous version that can't be a key counts as
//! absent: it has signed nothing, and must not take the current one down with it.
//! Rotating the secret is somebody else's business.

use crate::clock::Clock;
use crate::kept::{Held, Keeping, Kept, NoKeys};
use aws::secrets::{ReadSecret, SecretError, SecretStage, SecretText, SecretVersion};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The fewest bytes of an HS256 key (RFC 7518, 3.2).
pub const MIN_KEY_BYTES: usize = 32;

const KEEPING: Keeping = Keeping {
    what: "secret",
    max_age: Duration::from_secs(300),
    pause: Duration::from_secs(60),
    timeout: Duration::from_secs(2),
};

/// How much later than its making a version may come into use everywhere: a rotation makes it first and tries it out, and
/// those who sign may have kept the version before for a while.
const ROTATION_TIME: Duration = Duration::from_secs(3600);

/// Reads and keeps the secret's keys.
pub(crate) struct SecretKeys<S> {
    secret: S,
    kept: Kept<KeyPair>,
    /// The previous key is good for this long after the current version was made: then its last tokens are over.
    overlap: Duration,
}

/// The keys of one reading.
pub(crate) struct KeyPair {
    current: SecretKey,
    previous: Option<SecretKey>,
}

/// The key of one version.
struct SecretKey {
    version: String,
    /// When the version was made, if Secrets Manager says so.
    created: Option<SystemTime>,
    key: DecodingKey,
}

/// Why a secret can't be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableSecret {
    /// It could not be read.
    #[error("the {} version of the secret can't be read", .stage.as_str())]
    Unreadable {
        /// The version.
        stage: SecretStage,
        /// Why.
        source: SecretError,
    },
    /// It has no current version.
    #[error("the secret does not exist or has no version `AWSCURRENT`; give it a value")]
    NotThere,
    /// It is JSON without a key.
    #[error("the {} version of the secret is a JSON object without a text under `key`", .stage.as_str())]
    NoKey {
        /// The version.
        stage: SecretStage,
    },
    /// Its key is too short.
    #[error("the key in the {} version of the secret has {bytes} bytes, and HS256 needs at least {MIN_KEY_BYTES}", .stage.as_str())]
    TooShort {
        /// The version.
        stage: SecretStage,
        /// Bytes of the key.
        bytes: usize,
    },
}

impl<S: ReadSecret> SecretKeys<S> {
    /// Keys out of `secret` for tokens that live for `longest_life` at most.
    pub(crate) fn new(secret: S, longest_life: Duration) -> Self {
        Self { secret, kept: Kept::new(KEEPING), overlap: longest_life + ROTATION_TIME }
    }

    /// The keys, read again when they are old.
    pub(crate) async fn get(&self, clock: &impl Clock) -> Result<Arc<Held<KeyPair>>, NoKeys> {
        self.kept.get(clock, self.read()).await
    }

    /// Keys that are newer than `seen`, if it is time to read them; else `seen`.
    pub(crate) async fn newer(
        &self,
        seen: &Arc<Held<KeyPair>>,
        clock: &impl Clock,
    ) -> Result<Arc<Held<KeyPair>>, NoKeys> {
        self.kept.newer(seen, clock, self.read()).await
    }

    /// The keys that a token may be signed with: the one of the version that it names, or else each.
    pub(crate) fn candidates<'a>(
        &self,
        pair: &'a KeyPair,
        key_id: Option<&str>,
        now: SystemTime,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        let overlaps = pair.current.created.and_then(|at| at.checked_add(self.overlap)).is_none_or(|end| now < end);
        let previous = pair.previous.as_ref().filter(|_| overlaps);
        let both = [Some(&pair.current), previous];
        let named = both.into_iter().flatten().find(|key| Some(key.version.as_str()) == key_id);
        let candidates = if named.is_some() { [named, None] } else { both };
        candidates.into_iter().flatten().map(|candidate| &candidate.key)
    }

    async fn read(&self) -> Result<KeyPair, UnusableSecret> {
        let (current, previous) = tokio::try_join!(self.read_version(SecretStage::Current), self.read_previous())?;
        Ok(KeyPair { current: current.ok_or(UnusableSecret::NotThere)?, previous })
    }

    async fn read_previous(&self) -> Result<Option<SecretKey>, UnusableSecret> {
        match self.read_version(SecretStage::Previous).await {
            Err(error) if error.is_in_the_text() => {
                tracing::warn!(error = &error as &dyn Error, "the previous version of the secret counts as absent");
                Ok(None)
            }
            read => read,
        }
    }

    async fn read_version(&self, stage: SecretStage) -> Result<Option<SecretKey>, UnusableSecret> {
        let read = self.secret.read(stage).await.map_err(|source| UnusableSecret::Unreadable { stage, source })?;
        read.map(|version| SecretKey::new(&version, stage)).transpose()
    }
}

impl UnusableSecret {
    /// Whether what is stored can't be a key, so that asking again gives the same.
    fn is_in_the_text(&self) -> bool {
        match self {
            Self::NoKey { .. } | Self::TooShort { .. } => true,
            Self::Unreadable { source, .. } => matches!(source, SecretError::NotText),
            Self::NotThere => false,
        }
    }
}

impl SecretKey {
    fn new(version: &SecretVersion, stage: SecretStage) -> Result<Self, UnusableSecret> {
        let text = key_text(&version.text, stage)?;
        let bytes = text.expose().len();
        if bytes < MIN_KEY_BYTES {
            return Err(UnusableSecret::TooShort { stage, bytes });
        }
        let key = DecodingKey::from_secret(text.expose().as_bytes());
        Ok(Self { version: version.id.clone(), created: version.created, key })
    }
}

fn key_text(secret: &SecretText, stage: SecretStage) -> Result<SecretText, UnusableSecret> {
    #[derive(Deserialize)]
    struct Generated {
        key: String,
    }
    if !secret.expose().trim_start().starts_with('{') {
        return Ok(secret.clone());
    }
    let generated = serde_json::from_str(secret.expose()).map_err(|_| UnusableSecret::NoKey { stage })?;
    let Generated { key } = generated;
    Ok(SecretText::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<SecretKey, UnusableSecret> {
        let version = SecretVersion { id: "v".to_owned(), created: None, text: SecretText::new(text) };
        SecretKey::new(&version, SecretStage::Current)
    }

    #[test]
    fn a_secret_is_text_or_json() {
        let text = "0123456789abcdef0123456789abcdef";
        for secret in [text.to_owned(), format!(r#"{{"key":"{text}","made":"by hand"}}"#)] {
            let key = key(&secret).expect("usable").key;
            assert_eq!(key.try_get_as_bytes().expect("bytes"), text.as_bytes());
        }
    }

    #[test]
    fn an_unusable_secret_is_told_without_its_text() {
        for (secret, expected) in [
            ("hidden", "has 6 bytes, and HS256 needs at least 32"),
            ("", "has 0 bytes"),
            (r#"{"key":"hidden"}"#, "has 6 bytes"),
            (r#"{"password":"hidden"}"#, "without a text under `key`"),
            (r#"{"key":5}"#, "without a text under `key`"),
            ("{hidden", "without a text under `key`"),
        ] {
            let error = key(secret).err().expect(secret);
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("hidden"), "{text}");
        }
    }
}
