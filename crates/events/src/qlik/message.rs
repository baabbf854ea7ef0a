//! A Kafka message as decoding sees it, and what becomes of it.

use std::fmt;

use uuid::Uuid;

use super::change::Change;
use super::metadata::Announcement;
use super::poison::Poison;
use crate::Entity;

/// A Kafka message, as far as decoding needs it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    /// The entity of its topic.
    pub entity: Entity,
    /// Its key.
    pub key: Option<&'m [u8]>,
    /// Its value.
    pub value: Option<&'m [u8]>,
    /// The value of its header [`super::KEY_SCHEMA_HEADER`].
    pub key_schema_header: Option<&'m [u8]>,
    /// The value of its header [`super::VALUE_SCHEMA_HEADER`].
    pub value_schema_header: Option<&'m [u8]>,
}

impl Message<'_> {
    /// The registry's id of the value's schema, if the message says one: for reporting even where the value can't be decoded.
    pub fn schema_id(&self) -> Option<u32> {
        let id = match self.value_schema_header {
            Some(header) => SchemaId::from_header(header)?,
            None => framed(self.value?)?.0,
        };
        match id {
            SchemaId::Number(number) => Some(number),
            SchemaId::Guid(_) => None,
        }
    }
}

/// A registry's name of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// By number.
    Number(u32),
    /// By its content: a GUID, which Confluent's registry has since version 8.
    Guid(SchemaGuid),
}

impl SchemaId {
    /// Reads the value of a header: a zero byte and four bytes of a number, or a one and the sixteen of a GUID
    /// (Confluent, "Wire format", read 2026-11).
    pub(super) fn from_header(header: &[u8]) -> Option<Self> {
        match header {
            [0, id @ ..] => Some(Self::Number(u32::from_be_bytes(id.try_into().ok()?))),
            [1, guid @ ..] => Some(Self::Guid(SchemaGuid(Uuid::from_slice(guid).ok()?))),
            _ => None,
        }
    }

    /// The value of a header that says this id.
    pub fn to_header(self) -> Vec<u8> {
        match self {
            Self::Number(id) => [&[0][..], &id.to_be_bytes()].concat(),
            Self::Guid(SchemaGuid(guid)) => [&[1][..], guid.as_bytes()].concat(),
        }
    }
}

impl From<u32> for SchemaId {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Guid(guid) => guid.fmt(f),
        }
    }
}

/// A registry's GUID of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaGuid(Uuid);

impl SchemaGuid {
    /// The GUID of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for SchemaGuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Takes Confluent's framing apart: a zero byte, four bytes of the schema's number, the datum.
pub(super) fn framed(bytes: &[u8]) -> Option<(SchemaId, &[u8])> {
    match bytes {
        [0, a, b, c, d, datum @ ..] => Some((SchemaId::Number(u32::from_be_bytes([*a, *b, *c, *d])), datum)),
        _ => None,
    }
}

/// What a message is.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// A change.
    Change(Box<Change>),
    /// A key without a value: a mark for Kafka's log compaction. It follows a deletion and never means one.
    CompactionMark,
    /// Replicate's metadata of a table: no change, but maybe an announcement to be kept for the messages that follow.
    Metadata(Option<Box<Announcement>>),
}

/// Why a message isn't decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A schema isn't here yet: fetch it and decode again.
    #[error("the schema {0} isn't here yet")]
    UnknownSchema(SchemaId),
    /// A schema with this name wasn't announced yet: no registry has it, a metadata message brings it.
    /// Hold the message for a bounded time and decode again; then it is [`Poison::Unannounced`].
    #[error("no metadata message has announced the schema `{0}` yet")]
    UnannouncedSchema(String),
    /// The message can't be understood, now or later.
    #[error(transparent)]
    Poison(#[from] Poison),
}
