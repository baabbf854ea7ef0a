//! Change records of Qlik Replicate, from the bytes of a Kafka message to the writes that they mean.
//!
//! Understood are Avro values in the framing of a Confluent Schema Registry (`0x00`, 4-byte big-endian schema id, datum),
//! with and without Replicate's own envelope around the data record.
//! Everything else (JSON values, schema ids in headers, metadata messages, unframed bytes) is told apart and reported as [`Poison`],
//! so that it ends in a dead letter with its reason and is never lost or guessed at.
//!
//! Decoding does no I/O. A schema that isn't known yet is asked for by [`DecodeError::UnknownSchema`]: fetch it and decode again.
//!
//! Sources of the outside rules: Qlik Replicate help, "Metadata and data messages" and "The attunity envelope" (May 2024 to May 2026),
//! Apache Avro 1.12 specification, Confluent "Wire format" (all read 2026-11).

mod change;
mod decode;
pub mod encode;
mod key;
mod mask;
mod schema;
mod value;

pub use crate::version::ChangeSequence;
pub use change::{Change, Fence, Image, Origin};
pub use decode::{DecodeError, Decoded, Message, Poison, decode};
pub use schema::{InvalidSchema, SchemaLookup, WriterSchema};

/// Header by which newer Confluent clients carry the schema id of a value.
pub const VALUE_SCHEMA_HEADER: &str = "__value_schema_id";
/// Header by which newer Confluent clients carry the schema id of a key.
pub const KEY_SCHEMA_HEADER: &str = "__key_schema_id";
