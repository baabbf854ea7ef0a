//! Dictionaries: what zstd knows of an event before it reads it.
//!
//! They are made by `cargo xtask dictionaries` and compiled into every program, so that the two regions have the same ones
//! as soon as they run the same release. The table below is their manifest. A new one gets there in two releases: in the
//! first it is known and not used, in the second it is current. Old ones stay as long as an envelope that needs them can turn
//! up again: in a queue, a dead letter, or an archive that is replayed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use super::compression::COMPRESSION_LEVEL;
use crate::Entity;
use crate::json::excerpt;
use crate::text::serde_as_text;

/// Whether events are sealed with a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Its entity's events are sealed with it.
    Current,
    /// It opens envelopes only: it isn't everywhere yet, or has been replaced.
    #[cfg_attr(not(test), expect(dead_code, reason = "no dictionary has been replaced so far"))]
    OpenOnly,
}

macro_rules! embedded {
    ($entity:ident, $id:literal, $use:ident) => {
        Dictionary::new(
            DictionaryId::from_hex($id),
            Entity::$entity,
            Use::$use,
            include_bytes!(concat!("../../dictionaries/", $id, ".zdict")),
        )
    };
}

/// Every dictionary of this program.
///
/// Invariant: ids are those of the files' bytes and unique; each entity has exactly one that is current.
static EMBEDDED: [Dictionary; 3] = [
    embedded!(Customers, "c2f71cdbb44e4cd5", Current),
    embedded!(Orders, "fdaf736d6b4c1806", Current),
    embedded!(Products, "6ec81451d0e7246b", Current),
];

/// A trained dictionary for the events of one entity.
///
/// zstd digests it before it uses it, which takes as long as sealing an event (about 15 µs) or opening one (5 µs).
/// That is done once a process, when the dictionary is first needed.
pub struct Dictionary {
    id: DictionaryId,
    entity: Entity,
    usage: Use,
    bytes: &'static [u8],
    encoder: OnceLock<EncoderDictionary<'static>>,
    decoder: OnceLock<DecoderDictionary<'static>>,
}

impl Dictionary {
    const fn new(id: DictionaryId, entity: Entity, usage: Use, bytes: &'static [u8]) -> Self {
        Self { id, entity, usage, bytes, encoder: OnceLock::new(), decoder: OnceLock::new() }
    }

    /// The id, which follows from the bytes.
    pub fn id(&self) -> DictionaryId {
        self.id
    }

    /// The entity whose events it was trained on.
    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// Whether this program seals the entity's events with it.
    pub fn is_current(&self) -> bool {
        self.usage == Use::Current
    }

    /// The dictionary itself, 4 to 16 KiB.
    pub fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    pub(super) fn encoder(&self) -> &EncoderDictionary<'static> {
        self.encoder.get_or_init(|| {
            EncoderDictionary::try_copy(self.bytes, COMPRESSION_LEVEL)
                .expect("invariant: a test digests every dictionary")
        })
    }

    pub(super) fn decoder(&self) -> &DecoderDictionary<'static> {
        self.decoder.get_or_init(|| {
            DecoderDictionary::try_copy(self.bytes).expect("invariant: a test digests every dictionary")
        })
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, entity, usage, bytes, encoder: _, decoder: _ } = self;
        let bytes = bytes.len();
        f.debug_struct("Dictionary")
            .field("id", id)
            .field("entity", entity)
            .field("usage", usage)
            .field("bytes", &bytes)
            .finish()
    }
}

/// Every dictionary of this program: those that it seals with, and those that it can only open with.
pub fn dictionaries() -> &'static [Dictionary] {
    &EMBEDDED
}

/// Those of the ids that this program has no dictionary for.
///
/// Before a sender makes a dictionary current, each receiver must answer with nothing for the ids that the sender will use:
/// an envelope that arrives earlier waits until the receiver is replaced.
pub fn missing_dictionaries(ids: impl IntoIterator<Item = DictionaryId>) -> BTreeSet<DictionaryId> {
    ids.into_iter().filter(|id| find(dictionaries(), *id).is_none()).collect()
}

pub(super) fn find(dictionaries: &'static [Dictionary], id: DictionaryId) -> Option<&'static Dictionary> {
    dictionaries.iter().find(|dictionary| dictionary.id == id)
}

pub(super) fn current(dictionaries: &'static [Dictionary], entity: Entity) -> Option<&'static Dictionary> {
    dictionaries.iter().find(|dictionary| dictionary.entity == entity && dictionary.is_current())
}

/// The id of a dictionary: the first 64 bits of the SHA-256 of its bytes, written as 16 lower-case hexadecimal digits.
///
/// Dictionaries are few and made by ourselves, so 64 bits tell them apart; a test says so of all that there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DictionaryId(u64);

impl DictionaryId {
    /// The id of a dictionary with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        Self(hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)))
    }

    const fn from_hex(hex: &str) -> Self {
        match u64::from_str_radix(hex, 16) {
            Ok(id) if hex.len() == 16 => Self(id),
            _ => panic!("an id in the table has 16 hexadecimal digits"),
        }
    }
}

impl fmt::Display for DictionaryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for DictionaryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DictionaryId({self})")
    }
}

impl FromStr for DictionaryId {
    type Err = InvalidDictionaryId;

    fn from_str(text: &str) -> Result<Self, InvalidDictionaryId> {
        let well_formed = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = u64::from_str_radix(text, 16).ok().filter(|_| well_formed);
        id.map(Self).ok_or_else(|| InvalidDictionaryId(excerpt(text).into_owned()))
    }
}

serde_as_text!(DictionaryId);

/// A text that is no dictionary's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no dictionary's id; expected 16 lower-case hexadecimal digits")]
pub struct InvalidDictionaryId(String);

#[cfg(test)]
mod tests {
    use super::*;

    impl Dictionary {
        /// A list with one dictionary, which lives as long as the process, as zstd's contexts want it.
        pub(in crate::cross_region) fn leak(entity: Entity, current: bool, bytes: &[u8]) -> &'static [Self] {
            Self::leak_all(entity, &[(current, bytes)])
        }

        pub(in crate::cross_region) fn leak_all(entity: Entity, each: &[(bool, &[u8])]) -> &'static [Self] {
            let make = |(current, bytes): &(bool, &[u8])| {
                let usage = if *current { Use::Current } else { Use::OpenOnly };
                Self::new(DictionaryId::of(bytes), entity, usage, Vec::leak(bytes.to_vec()))
            };
            Vec::leak(each.iter().map(make).collect())
        }
    }

    #[test]
    fn ids_are_those_of_the_bytes() {
        let mut seen = BTreeSet::new();
        for dictionary in dictionaries() {
            assert_eq!(dictionary.id(), DictionaryId::of(dictionary.bytes()), "{dictionary:?}");
            assert!(seen.insert(dictionary.id()), "{dictionary:?} is there twice");
            assert!((4096..=16 * 1024).contains(&dictionary.bytes().len()), "{dictionary:?}");
        }
    }

    #[test]
    fn every_dictionary_can_be_digested() {
        for dictionary in dictionaries() {
            let _ = (dictionary.encoder(), dictionary.decoder());
        }
    }

    #[test]
    fn each_entity_has_one_that_is_current() {
        for entity in Entity::ALL {
            let current = dictionaries().iter().filter(|known| known.entity() == entity && known.is_current()).count();
            assert_eq!(current, 1, "{entity}");
        }
    }

    #[test]
    fn a_program_knows_what_it_lacks() {
        let own: Vec<DictionaryId> = dictionaries().iter().map(Dictionary::id).collect();
        assert_eq!(missing_dictionaries(own.clone()), BTreeSet::new());
        let other = DictionaryId::of(b"another");
        assert_eq!(missing_dictionaries(own.into_iter().chain([other, other])), BTreeSet::from([other]));
    }

    #[test]
    fn ids_are_text() {
        let id = DictionaryId::of(b"");
        assert_eq!(id.to_string(), "e3b0c44298fc1c14");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in
            ["", "e3b0c44298fc1c1", "e3b0c44298fc1c145", "E3B0C44298FC1C14", "+3b0c44298fc1c14", "g3b0c44298fc1c14"]
        {
            assert!(bad.parse::<DictionaryId>().is_err(), "{bad}");
        }
    }
}
