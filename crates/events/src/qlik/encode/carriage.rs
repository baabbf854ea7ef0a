//! The ways in which a change record gets onto a topic.

use apache_avro::Schema;
use apache_avro::types::Value;

use super::columns::columns_of;
use super::{EncodeError, Encoder, Record, datum, framed, json, optional, schema_json};
use crate::Entity;
use crate::qlik::decode::ENVELOPE;
use crate::qlik::{Message, SchemaId};

/// How a message is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Avro, with the schema's number before it.
    Framed,
    /// Avro, with the schema's number or GUID in a header.
    Header,
    /// Avro in Replicate's envelope, which names the schema by the registry's number.
    EnvelopeById,
    /// Avro in Replicate's envelope, which brings the schema.
    EnvelopeEmbedded,
    /// Avro in Replicate's envelope, which names a schema that a metadata message announced. There is no registry.
    EnvelopeAnnounced,
    /// Avro, with the schema's number before it, where every column and header is a field of its own.
    FlatAvro,
    /// JSON.
    Json,
    /// JSON in Replicate's envelope.
    JsonEnvelope,
    /// JSON, where every column and header is a member of its own.
    FlatJson,
}

impl Carriage {
    /// Every carriage.
    pub const ALL: [Self; 9] = [
        Self::Framed,
        Self::Header,
        Self::EnvelopeById,
        Self::EnvelopeEmbedded,
        Self::EnvelopeAnnounced,
        Self::FlatAvro,
        Self::Json,
        Self::JsonEnvelope,
        Self::FlatJson,
    ];

    /// A name, such as `envelope_by_id`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Framed => "framed",
            Self::Header => "header",
            Self::EnvelopeById => "envelope_by_id",
            Self::EnvelopeEmbedded => "envelope_embedded",
            Self::EnvelopeAnnounced => "envelope_announced",
            Self::FlatAvro => "flat_avro",
            Self::Json => "json",
            Self::JsonEnvelope => "json_envelope",
            Self::FlatJson => "flat_json",
        }
    }

    /// Whether its values are JSON, which leaves columns out that a record doesn't have.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::JsonEnvelope | Self::FlatJson)
    }
}

/// By what messages name their schemas.
#[derive(Clone, Copy, Debug)]
pub struct SchemaIds<'a> {
    /// The registry's id of [`super::schema_json`], or of [`super::flat_schema_json`] for [`Carriage::FlatAvro`].
    pub value: SchemaId,
    /// The registry's id of [`super::key_schema_json`].
    pub key: SchemaId,
    /// The registry's id of [`super::ENVELOPE_SCHEMA`].
    pub envelope: u32,
    /// The id by which metadata announces a schema.
    pub announced: &'a str,
}

/// A message as a producer gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The header [`crate::qlik::KEY_SCHEMA_HEADER`].
    pub key_schema_header: Option<Vec<u8>>,
    /// The header [`crate::qlik::VALUE_SCHEMA_HEADER`].
    pub value_schema_header: Option<Vec<u8>>,
}

impl Written {
    /// The message as a consumer sees it.
    pub fn message(&self, entity: Entity) -> Message<'_> {
        Message {
            entity,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            key_schema_header: self.key_schema_header.as_deref(),
            value_schema_header: self.value_schema_header.as_deref(),
        }
    }
}

impl Encoder {
    /// Writes a change with its key, if it has one: as a key record in the same format as the value,
    /// as text beside [`Carriage::EnvelopeAnnounced`].
    ///
    /// # Errors
    /// As [`Encoder::value`]; and when a carriage that names schemas by number is given a GUID.
    pub fn message(
        &self,
        carriage: Carriage,
        ids: &SchemaIds<'_>,
        record: &Record<'_>,
        key: Option<&str>,
    ) -> Result<Written, EncodeError> {
        let number = |id: SchemaId| match id {
            SchemaId::Number(number) => Ok(number),
            SchemaId::Guid(_) => Err(EncodeError::NoNumber),
        };
        let framed_key = || key.map(|key| self.key(number(ids.key)?, key)).transpose();
        let json_key = || key.map(|key| json::key(self.entity, key).into_bytes());
        let json = |text: String| Written { key: json_key(), value: Some(text.into_bytes()), ..Written::default() };
        let avro = |key, value| Written { key, value: Some(value), ..Written::default() };
        Ok(match carriage {
            Carriage::Framed => avro(framed_key()?, self.value(number(ids.value)?, record)?),
            Carriage::FlatAvro => avro(framed_key()?, framed(number(ids.value)?, &self.flat_datum(record)?)),
            Carriage::Header => Written {
                key: key.map(|key| self.key_datum(key)).transpose()?,
                value: Some(self.value_datum(record)?),
                key_schema_header: key.map(|_| ids.key.to_header()),
                value_schema_header: Some(ids.value.to_header()),
            },
            Carriage::EnvelopeById => {
                let id = number(ids.value)?.to_string();
                let envelope = envelope("DT", Some(&id), None, self.value_datum(record)?)?;
                avro(framed_key()?, framed(ids.envelope, &envelope))
            }
            Carriage::EnvelopeEmbedded => {
                let schema = schema_json(self.entity);
                let envelope = envelope("DT", None, Some(&schema), self.value_datum(record)?)?;
                avro(framed_key()?, framed(ids.envelope, &envelope))
            }
            Carriage::EnvelopeAnnounced => {
                let key = key.map(|key| key.as_bytes().to_vec());
                avro(key, envelope("DT", Some(ids.announced), None, self.value_datum(record)?)?)
            }
            Carriage::Json => json(json::record(record)),
            Carriage::JsonEnvelope => json(json::envelope("DT", Some(ids.announced), &json::record(record))),
            Carriage::FlatJson => json(json::flat_record(record)),
        })
    }

    /// Writes the metadata message that announces the entity's schema: of the carriages that have an envelope.
    ///
    /// # Errors
    /// Never for the entities of this system.
    pub fn metadata(&self, carriage: Carriage, ids: &SchemaIds<'_>) -> Result<Option<Written>, EncodeError> {
        let avro = || envelope("MD", None, Some(METADATA), self.metadata_datum(ids.announced)?);
        let value = match carriage {
            Carriage::EnvelopeAnnounced => avro()?,
            Carriage::EnvelopeById | Carriage::EnvelopeEmbedded => framed(ids.envelope, &avro()?),
            Carriage::JsonEnvelope => {
                json::envelope("MD", None, &json::metadata(self.entity, ids.announced)).into_bytes()
            }
            _ => return Ok(None),
        };
        Ok(Some(Written { value: Some(value), ..Written::default() }))
    }

    /// Field by field, because the Avro crate writes maps in an order of chance.
    fn metadata_datum(&self, id: &str) -> Result<Vec<u8>, EncodeError> {
        let text = |text: &str| datum(&Schema::String, Value::String(text.to_owned()));
        let long = |number: i64| datum(&Schema::Long, Value::Long(number));
        let entity = self.entity.as_str();
        let mut parts = vec![text(id)?, text("tandem")?, text("tandem")?, text("shop")?, text(entity)?, long(1)?];
        for (ordinal, column) in (0..).zip(columns_of(self.entity)) {
            let is_key = self.entity.key_columns().contains(&column.name);
            // A block of one entry.
            parts.extend([long(1)?, text(column.name)?, long(ordinal)?, long(is_key.into())?]);
        }
        parts.extend([long(0)?, text(&schema_json(self.entity))?]);
        Ok(parts.concat())
    }
}

/// What a metadata message holds, as far as this system reads it
/// (Qlik Replicate help, "Metadata and data messages", read 2026-11).
const METADATA: &str = r#"{"type":"record","name":"Metadata","namespace":"com.attunity.queue.msg","fields":[{"name":"schemaId","type":"string"},{"name":"lineage","type":{"type":"record","name":"Lineage","fields":[{"name":"server","type":"string"},{"name":"task","type":"string"},{"name":"schema","type":"string"},{"name":"table","type":"string"},{"name":"tableVersion","type":"int"}]}},{"name":"tableStructure","type":{"type":"record","name":"TableStructure","fields":[{"name":"tableColumns","type":{"type":"map","values":{"type":"record","name":"TableColumn","fields":[{"name":"ordinal","type":"int"},{"name":"primaryKeyPosition","type":"int"}]}}}]}},{"name":"dataSchema","type":"string"}]}"#;

/// Replicate's envelope in Avro, without framing.
fn envelope(
    kind: &str,
    schema_id: Option<&str>,
    schema: Option<&str>,
    message: Vec<u8>,
) -> Result<Vec<u8>, EncodeError> {
    let text = |text: &str| Value::String(text.to_owned());
    let fields = [
        ("magic", Value::Fixed(5, b"atMSG".to_vec())),
        ("type", text(kind)),
        ("headers", optional(None)),
        ("messageSchemaId", optional(schema_id.map(text))),
        ("messageSchema", optional(schema.map(text))),
        ("message", Value::Bytes(message)),
    ];
    datum(&parse(ENVELOPE), Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}

fn parse(json: &str) -> Schema {
    Schema::parse_str(json).expect("invariant: Replicate's schemas are Avro schemas")
}
