//! Why a message can never be understood.

use super::avro::error::{DatumError, UnsupportedValue};
use super::key::KeyError;
use super::message::SchemaId;
use super::metadata::MetadataError;
use super::schema::InvalidSchema;
use crate::Operation;
use crate::version::InvalidChangeSequence;

/// Why a message can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum Poison {
    /// The value is in none of the known forms.
    #[error(
        "the value is neither Avro with a schema id before it or in a header, nor in Replicate's envelope, nor a JSON object"
    )]
    Unframed,
    /// The schema id in a header is malformed.
    #[error(
        "the header `{header}` holds no schema id; expected a zero byte and 4 bytes of a number, or a one and 16 bytes of a GUID"
    )]
    SchemaHeader {
        /// The header's name.
        header: &'static str,
    },
    /// The key is neither Avro nor text.
    #[error("the key is neither framed Avro nor UTF-8 text")]
    KeyEncoding,
    /// The value begins as JSON and isn't.
    #[error("the value is no JSON")]
    Json(#[source] serde_json::Error),
    /// The key begins as a JSON object and isn't one.
    #[error("the key is no JSON")]
    JsonKey(#[source] serde_json::Error),
    /// The value is no datum of its schema.
    #[error("the value doesn't fit schema {schema_id}")]
    Value {
        /// The registry's id.
        schema_id: SchemaId,
        /// What is wrong.
        source: DatumError,
    },
    /// The key is no datum of its schema.
    #[error("the key doesn't fit schema {schema_id}")]
    Key {
        /// The registry's id.
        schema_id: SchemaId,
        /// What is wrong.
        source: DatumError,
    },
    /// The value begins as Replicate's envelope without framing and isn't one.
    #[error("the value is no envelope")]
    Envelope(#[source] DatumError),
    /// The envelope doesn't start with Qlik's mark.
    #[error("the envelope's magic isn't `atMSG`")]
    Magic,
    /// The envelope holds neither data nor metadata.
    #[error("the envelope's type is `{0}`; expected `DT` or `MD`")]
    MessageType(String),
    /// The envelope names the schema of its message neither by an id nor in full.
    #[error("the envelope names no schema for its message")]
    SchemaMissing,
    /// No metadata message has announced the schema in time.
    #[error(
        "no metadata message has announced the schema `{0}`; have Qlik put metadata messages before data, or use a schema registry"
    )]
    Unannounced(String),
    /// The metadata announces no schema by which an Avro message can be read.
    #[error("the metadata message that announced the schema `{0}` has no data schema")]
    NoDataSchema(String),
    /// The schema in the envelope is no Avro schema.
    #[error("the schema in the envelope can't be used")]
    EmbeddedSchema(#[source] InvalidSchema),
    /// The message inside the envelope doesn't fit its schema.
    #[error("the message inside the envelope doesn't fit its schema")]
    EnvelopeMessage(#[source] DatumError),
    /// The table's metadata is malformed.
    #[error("the table's metadata can't be used")]
    Metadata(#[from] MetadataError),
    /// The value isn't one of Qlik's records.
    #[error("the value is no data record: {0}")]
    Shape(&'static str),
    /// The operation isn't one of the four.
    #[error("the operation is `{0}`; expected INSERT, UPDATE, DELETE or REFRESH")]
    Operation(String),
    /// An insert, update or refresh without a row.
    #[error("the record has no data for {0}")]
    NoImage(Operation),
    /// The change sequence is malformed.
    #[error("the change can't be put in order")]
    Sequence(#[from] InvalidChangeSequence),
    /// The commit time is malformed.
    #[error("the commit time `{0}` is neither `YYYY-MM-DDThh:mm:ss` nor RFC 3339")]
    Timestamp(String),
    /// A column's value can't be kept.
    #[error("a column can't be kept in a row")]
    Column(#[from] UnsupportedValue),
    /// The column mask is neither bytes nor their hexadecimal digits.
    #[error("the column mask is neither bytes nor hexadecimal digits")]
    MaskType,
    /// The column mask fits the image in no known way, or in several that differ.
    #[error("the column mask {mask} doesn't fit the image's columns in one clear way")]
    ColumnMask {
        /// The mask in hexadecimal.
        mask: String,
    },
    /// The row can't be told.
    #[error("the row can't be told")]
    RowKey(#[from] KeyError),
}

impl Poison {
    /// A stable name of the kind of error, for dead letters and alarms.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unframed => "unframed",
            Self::SchemaHeader { .. } => "schema_header",
            Self::KeyEncoding => "key_encoding",
            Self::Json(_) => "json_value",
            Self::JsonKey(_) => "json_key",
            Self::Value { .. } | Self::EnvelopeMessage(_) | Self::Envelope(_) => "avro_value",
            Self::Key { .. } => "avro_key",
            Self::Magic => "envelope_magic",
            Self::MessageType(_) => "envelope_type",
            Self::SchemaMissing | Self::Unannounced(_) | Self::NoDataSchema(_) => "schema_missing",
            Self::EmbeddedSchema(_) => "schema_invalid",
            Self::Metadata(_) => "metadata",
            Self::Shape(_) => "record_shape",
            Self::Operation(_) => "unknown_operation",
            Self::NoImage(_) => "no_image",
            Self::Sequence(_) => "change_sequence",
            Self::Timestamp(_) => "commit_time",
            Self::Column(_) => "column_value",
            Self::MaskType | Self::ColumnMask { .. } => "column_mask",
            Self::RowKey(_) => "row_key",
        }
    }
}
