//! The key of a row.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// The key of one row in its table, the attribute `pk`.
///
/// A single-column key is its text as it is.
/// The parts of a composite key are joined by `#`, with `%` and `#` inside a part written `%25` and `%23`,
/// so that two different keys never give the same text.
///
/// Invariant: 1 to 2,048 bytes, the limit of a DynamoDB partition key
/// (DynamoDB developer guide, "Constraints", read 2026-11).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey(String);

impl EntityKey {
    const MAX_BYTES: usize = 2048;

    /// Makes the key from the text of each key column, in key order.
    ///
    /// # Errors
    /// When there is no part, or the result is empty or longer than 2,048 bytes.
    pub fn from_parts(parts: &[&str]) -> Result<Self, InvalidKey> {
        match parts {
            [] => Err(InvalidKey::Empty),
            [single] => single.parse(),
            several => Self::join(several).parse(),
        }
    }

    /// The text of a composite key.
    pub(crate) fn join(parts: &[&str]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| part.replace('%', "%25").replace('#', "%23")).collect();
        parts.join("#")
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EntityKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text.len() {
            0 => Err(InvalidKey::Empty),
            1..=Self::MAX_BYTES => Ok(Self(text.to_owned())),
            bytes => Err(InvalidKey::TooLong { bytes }),
        }
    }
}

serde_as_text!(EntityKey);

/// Why a text can't be a row's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// DynamoDB takes no empty key.
    #[error("the key is empty")]
    Empty,
    /// Longer than DynamoDB's limit.
    #[error("the key has {bytes} bytes; DynamoDB takes at most 2,048")]
    TooLong {
        /// The key's length in bytes.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_escaped_only_in_composite_keys() {
        assert_eq!(EntityKey::from_parts(&["a#b%"]).expect("valid").as_str(), "a#b%");
        assert_eq!(EntityKey::from_parts(&["a#b", "5%"]).expect("valid").as_str(), "a%23b#5%25");
        assert_eq!(EntityKey::from_parts(&["", ""]).expect("valid").as_str(), "#");
        assert_eq!(EntityKey::from_parts(&[]), Err(InvalidKey::Empty));
        assert_eq!(EntityKey::from_parts(&[""]), Err(InvalidKey::Empty));
        assert_eq!(EntityKey::from_parts(&[&"x".repeat(2049)]), Err(InvalidKey::TooLong { bytes: 2049 }));
    }

    proptest! {
        #[test]
        fn composite_keys_are_reversible(parts in proptest::collection::vec("[a-c#%0-9]{0,6}", 2..5)) {
            let borrowed: Vec<&str> = parts.iter().map(String::as_str).collect();
            let key = EntityKey::from_parts(&borrowed).expect("two parts are never empty");
            let split: Vec<_> =
                key.as_str().split('#').map(|part| part.replace("%23", "#").replace("%25", "%")).collect();
            prop_assert_eq!(split, parts);
            prop_assert_eq!(key.as_str().parse::<EntityKey>(), Ok(key));
        }
    }
}
