//! Who a change comes from, and the id that it keeps everywhere.

use std::fmt;
use std::str::FromStr;

use sha1::{Digest, Sha1};
use uuid::{Uuid, uuid};

use crate::text::serde_as_text;
use crate::{Entity, EntityKey, Version};

/// The id of a source: one Qlik task.
///
/// Two tasks share no order of changes, so the id is part of every row's fence.
///
/// Invariant: 1 to 128 letters, digits, `.`, `-` or `_`; never `|`, which separates the parts that an [`EventId`] is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(String);

impl SourceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SourceId {
    type Err = InvalidSourceId;

    fn from_str(text: &str) -> Result<Self, InvalidSourceId> {
        let well_formed = (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidSourceId(text.chars().take(64).collect())) }
    }
}

/// A text that is no source id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no source id; expected 1 to 128 letters, digits, `.`, `-` or `_`")]
pub struct InvalidSourceId(String);

/// The id of a change: a UUIDv5 over `source|table|key|version`.
///
/// A message that is delivered again gives the same id, in every sink and in both regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// The UUIDv5 of `tandem.events` in the DNS namespace (RFC 9562).
    const NAMESPACE: Uuid = uuid!("c818f4bf-67a4-5b26-ab31-e855aa277d6c");

    /// The id of the change that gave `key` its `version`.
    /// The table is the entity's name, without the environment, so the same change has the same id everywhere.
    pub fn new(source: &SourceId, entity: Entity, key: &EntityKey, version: &Version) -> Self {
        // The key comes before the version, which has a fixed form, so a `|` inside the key can't make two names equal.
        let name = [source.as_str(), entity.as_str(), key.as_str(), version.as_str()].join("|");
        // As `Uuid::new_v5`, with a digest that uses the processor's instructions: each change pays for it.
        let digest = Sha1::new().chain_update(Self::NAMESPACE).chain_update(name.as_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_sha1_bytes(bytes).into_uuid())
    }

    /// The id's bytes; never all zeros.
    pub(crate) fn into_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        match Uuid::try_parse(text) {
            Ok(id) if !id.is_nil() && !id.is_max() => Ok(Self(id)),
            _ => Err(InvalidEventId(text.chars().take(64).collect())),
        }
    }
}

serde_as_text!(SourceId, EventId);

/// A text that is no event id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no event id; expected a UUID that is neither nil nor max")]
pub struct InvalidEventId(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable() {
        assert_eq!(Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"tandem.events"), EventId::NAMESPACE);
        let (source, key): (SourceId, EntityKey) = ("shop".parse().expect("a source"), "42".parse().expect("a key"));
        let version = Version::refresh(1);
        let name = "shop|orders|42|0000000001|0|";
        assert_eq!(
            EventId::new(&source, Entity::Orders, &key, &version).0,
            Uuid::new_v5(&EventId::NAMESPACE, name.as_bytes())
        );
        let source: SourceId = "shop".parse().expect("valid");
        let key: EntityKey = "42".parse().expect("valid");
        let id = EventId::new(&source, Entity::Customers, &key, &Version::refresh(1));
        // Rows already written carry ids made this way: a change here would make every redelivery look new.
        assert_eq!(id.to_string(), "ff07b5ad-56c8-57e9-b469-f019380fb126");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, EventId::new(&source, Entity::Orders, &key, &Version::refresh(1)));
    }

    #[test]
    fn malformed_ids_are_refused() {
        for bad in ["", "x", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
        for bad in ["", "a|b", "a b"] {
            assert!(bad.parse::<SourceId>().is_err(), "{bad}");
        }
    }
}
