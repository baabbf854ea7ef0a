//! Change records of Qlik Replicate, from the bytes of a Kafka message to the writes that they mean.
//!
//! | carriage of the value | told by |
//! |---|---|
//! | Avro with its schema's number before it (Confluent) | a zero byte first |
//! | Avro with its schema's number or GUID in a header | the header [`VALUE_SCHEMA_HEADER`] |
//! | Avro in Replicate's envelope without a registry | `atMSG` first |
//! | JSON | `{` first |
//!
//! In each, the data record may be in Replicate's envelope or not, and nested or flattened.
//! Bytes of no known form are told apart and reported as [`Poison`], so that they end in a dead letter with their reason
//! and are never lost or guessed at.
//!
//! Decoding does no I/O. A schema that isn't known yet is asked for by [`DecodeError::UnknownSchema`]: fetch it and decode again.
//! What metadata messages announce is given out by [`Decoded::Metadata`], to be kept in [`Announcements`].
//!
//! Sources of the outside rules: Qlik Replicate help, "Metadata and data messages" and "The attunity envelope" (May 2024 to May 2026),
//! Apache Avro 1.12 specification, Confluent "Wire format" (all read 2026-11).

mod avro;
mod cells;
mod change;
mod decode;
pub mod encode;
mod image;
mod json;
mod kept;
mod key;
mod layout;
mod mask;
mod message;
mod message_key;
mod metadata;
mod poison;
mod record;
mod schema;

pub use crate::version::ChangeSequence;
pub use avro::error::{DatumError, UnsupportedValue};
pub use change::{Change, Fence, Image, Origin};
pub use decode::decode;
pub use kept::{Announcements, EmbeddedSchemas};
pub use key::KeyError;
pub use message::{DecodeError, Decoded, Message, SchemaGuid, SchemaId};
pub use metadata::{Announcement, MetadataError};
pub use poison::Poison;
pub use schema::{InvalidSchema, SchemaLookup, WriterSchema};

/// Header by which newer Confluent clients carry the schema id of a value.
pub const VALUE_SCHEMA_HEADER: &str = "__value_schema_id";
/// Header by which newer Confluent clients carry the schema id of a key.
pub const KEY_SCHEMA_HEADER: &str = "__key_schema_id";
