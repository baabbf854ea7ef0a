//! From the bytes of a Kafka message to a [`Change`].

use std::sync::{Arc, LazyLock};

use super::VALUE_SCHEMA_HEADER;
use super::avro::error::{DatumError, ReadError};
use super::avro::input::Input;
use super::avro::read::{MAX_DEPTH, attribute, skip};
use super::avro::shape::{Envelope, RecordError, RecordShape, Shape};
use super::change::{Change, Image};
use super::image::{self, Form};
use super::json::{self, Members};
use super::key::{self, Keys};
use super::message::{DecodeError, Decoded, Message, SchemaId, framed};
use super::message_key::{MessageKey, avro_key, read_avro, read_text};
use super::metadata::Announcement;
use super::poison::Poison;
use super::record::Record;
use super::schema::{SchemaLookup, WriterSchema};
use crate::Operation;
use crate::json::excerpt;

/// Replicate's envelope (Qlik Replicate help, "The Replicate envelope", read 2026-11).
pub const ENVELOPE: &str = r#"{"type":"record","name":"MessageEnvelope","namespace":"com.attunity.queue.msg","fields":[{"name":"magic","type":{"type":"fixed","name":"Magic","size":5}},{"name":"type","type":"string"},{"name":"headers","type":["null",{"type":"map","values":"string"}]},{"name":"messageSchemaId","type":["null","string"]},{"name":"messageSchema","type":["null","string"]},{"name":"message","type":"bytes"}]}"#;

/// The longest id, in bytes, for whose announcement a message waits.
const MAX_ID: usize = 256;
/// What an envelope begins with.
const MAGIC: &str = "atMSG";

/// Decodes a message.
///
/// # Errors
/// [`DecodeError::UnknownSchema`] when a schema must be fetched first, [`DecodeError::UnannouncedSchema`] when one must be
/// announced first, [`DecodeError::Poison`] when decoding can never succeed.
pub fn decode(schemas: &impl SchemaLookup, message: &Message<'_>) -> Result<Decoded, DecodeError> {
    let Some(value) = message.value else {
        return Ok(Decoded::CompactionMark);
    };
    let decoder = Decoder { schemas, message };
    if let Some(header) = message.value_schema_header {
        let id = SchemaId::from_header(header).ok_or(Poison::SchemaHeader { header: VALUE_SCHEMA_HEADER })?;
        return decoder.registered(id, value);
    }
    if let Some((id, datum)) = framed(value) {
        return decoder.registered(id, datum);
    }
    if value.starts_with(MAGIC.as_bytes()) {
        return decoder.unregistered(value);
    }
    match value.trim_ascii_start() {
        [b'{', ..] => decoder.json(value),
        _ => Err(Poison::Unframed.into()),
    }
}

/// Whether a registry may know the ids in an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    Registered,
    Announced,
}

struct Decoder<'d, S> {
    schemas: &'d S,
    message: &'d Message<'d>,
}

impl<S: SchemaLookup> Decoder<'_, S> {
    /// A datum whose schema the registry has.
    fn registered(&self, schema_id: SchemaId, datum: &[u8]) -> Result<Decoded, DecodeError> {
        let writer = self.fetched(schema_id)?;
        let value = |source: DatumError| Poison::Value { schema_id, source };
        match writer.shape() {
            Shape::Record(shape) => self.datum(&writer, shape, datum, value),
            Shape::Envelope(shape) => {
                let envelope = shape.read(datum).map_err(value)?;
                self.envelope(&envelope, Ids::Registered)
            }
            Shape::Other => {
                let mut input = Input::new(datum);
                skip(writer.plan(), &mut input).and_then(|()| input.finish()).map_err(value)?;
                Err(Poison::Shape("it has no `headers`").into())
            }
        }
    }

    /// An envelope that names no schema of its own.
    fn unregistered(&self, datum: &[u8]) -> Result<Decoded, DecodeError> {
        static WRITER: LazyLock<WriterSchema> =
            LazyLock::new(|| WriterSchema::parse(ENVELOPE).expect("invariant: the envelope's schema is one"));
        let Shape::Envelope(shape) = WRITER.shape() else {
            unreachable!("invariant: the envelope's schema is that of an envelope");
        };
        let envelope = shape.read(datum).map_err(Poison::Envelope)?;
        self.envelope(&envelope, Ids::Announced)
    }

    fn envelope(&self, envelope: &Envelope<'_>, ids: Ids) -> Result<Decoded, DecodeError> {
        if envelope.magic != MAGIC.as_bytes() {
            return Err(Poison::Magic.into());
        }
        let message = envelope.message.ok_or(Poison::Shape("its envelope's `message` is not bytes"));
        match envelope.kind {
            "DT" => self.data(envelope, message?, ids),
            "MD" => match (self.metadata(envelope, message?), ids) {
                (Ok(announcement), _) => Ok(Decoded::Metadata(Some(Box::new(announcement)))),
                // The registry has the schemas, so nothing depends on this message.
                (Err(_), Ids::Registered) => Ok(Decoded::Metadata(None)),
                (Err(error), Ids::Announced) => Err(error),
            },
            other => Err(Poison::MessageType(excerpt(other).into_owned()).into()),
        }
    }

    /// The data message in an envelope.
    fn data(&self, envelope: &Envelope<'_>, message: &[u8], ids: Ids) -> Result<Decoded, DecodeError> {
        let writer = self.enclosed(envelope, ids)?;
        match writer.shape() {
            Shape::Record(shape) => self.datum(&writer, shape, message, Poison::EnvelopeMessage),
            _ => Err(Poison::Shape("the message in its envelope has no `headers`").into()),
        }
    }

    /// The metadata message in an envelope.
    fn metadata(&self, envelope: &Envelope<'_>, message: &[u8]) -> Result<Announcement, DecodeError> {
        // The registry isn't asked for it: what it has needs no announcement.
        let writer = self.enclosed(envelope, Ids::Announced)?;
        let mut input = Input::new(message);
        let value = attribute(writer.plan(), &mut input, MAX_DEPTH).map_err(|error| match error {
            ReadError::Datum(error) => Poison::EnvelopeMessage(error),
            ReadError::Unsupported(error) => Poison::Column(error),
        })?;
        input.finish().map_err(Poison::EnvelopeMessage)?;
        Ok(Announcement::from_avro(&value).map_err(Poison::Metadata)?)
    }

    /// The schema of the message in an envelope: brought along, announced, or the registry's.
    fn enclosed(&self, envelope: &Envelope<'_>, ids: Ids) -> Result<Arc<WriterSchema>, DecodeError> {
        if let Some(json) = envelope.schema {
            return Ok(self.schemas.embedded(json).map_err(Poison::EmbeddedSchema)?);
        }
        let id = envelope.schema_id.filter(|id| !id.is_empty()).ok_or(Poison::SchemaMissing)?;
        if let Some(announced) = self.schemas.announced(id) {
            let schema = announced.schema().ok_or_else(|| Poison::NoDataSchema(excerpt(id).into_owned()))?;
            return Ok(Arc::clone(schema));
        }
        match registry_number(id) {
            Some(number) if ids == Ids::Registered => self.fetched(SchemaId::Number(number)),
            // Replicate's own ids have 32 digits.
            _ if id.len() > MAX_ID => Err(Poison::Unannounced(excerpt(id).into_owned()).into()),
            _ => Err(DecodeError::UnannouncedSchema(id.to_owned())),
        }
    }

    fn fetched(&self, id: SchemaId) -> Result<Arc<WriterSchema>, DecodeError> {
        let found = match id {
            SchemaId::Number(number) => self.schemas.schema(number),
            SchemaId::Guid(guid) => self.schemas.schema_by_guid(guid),
        };
        found.ok_or(DecodeError::UnknownSchema(id))
    }

    /// A data record in Avro. `value` says what it means if the bytes don't fit.
    fn datum(
        &self,
        writer: &WriterSchema,
        shape: &RecordShape,
        datum: &[u8],
        value: impl Fn(DatumError) -> Poison,
    ) -> Result<Decoded, DecodeError> {
        let record = shape.read(datum).map_err(|error| match error {
            RecordError::Datum(error) => value(error),
            RecordError::Column(error) => Poison::Column(error),
            RecordError::Shape(problem) => Poison::Shape(problem),
        })?;
        self.record(record, Form::EveryColumn, writer.table())
    }

    /// A value in JSON, in an envelope or not.
    fn json(&self, value: &[u8]) -> Result<Decoded, DecodeError> {
        let text = std::str::from_utf8(value).map_err(serde::de::Error::custom).map_err(Poison::Json)?;
        let members = Members::parse(text).map_err(Poison::Json)?;
        let message = members.object("message")?;
        if members.get("magic").is_none() {
            // An envelope that was stripped to its message, or no envelope at all.
            let record = message.filter(|_| !json::has_headers(&members)).unwrap_or(members);
            return self.record(json::record(record)?, Form::Members(None), None);
        }
        if members.text("magic")?.as_deref() != Some(MAGIC) {
            return Err(Poison::Magic.into());
        }
        let kind = members.text("type")?.unwrap_or_default();
        let message = message.ok_or(Poison::Shape("its envelope's `message` is no object"));
        match &*kind {
            "DT" => {
                let id = members.text("messageSchemaId")?;
                let told = id.and_then(|id| self.schemas.announced(&id));
                let table = told.as_deref().and_then(Announcement::table);
                self.record(json::record(message?)?, Form::Members(told.as_deref()), table)
            }
            "MD" => {
                // No JSON depends on it, so one that can't be read is no loss.
                let announcement = members.get("message").and_then(|message| Announcement::from_json(message).ok());
                Ok(Decoded::Metadata(announcement.map(Box::new)))
            }
            other => Err(Poison::MessageType(excerpt(other).into_owned()).into()),
        }
    }

    /// A data record, whatever carried it.
    fn record(&self, record: Record<'_>, form: Form<'_>, table: Option<&str>) -> Result<Decoded, DecodeError> {
        match avro_key(self.message)? {
            Some((schema_id, datum)) => {
                let writer = self.fetched(schema_id)?;
                let key = read_avro(&writer, schema_id, datum)?;
                self.change(record, form, table, &key)
            }
            None => {
                let key = read_text(self.message.entity, self.message.key)?;
                self.change(record, form, table, &key)
            }
        }
        .map(|change| Decoded::Change(Box::new(change)))
    }

    fn change(
        &self,
        record: Record<'_>,
        form: Form<'_>,
        table: Option<&str>,
        message_key: &MessageKey<'_>,
    ) -> Result<Change, DecodeError> {
        let Record { headers, data, before } = record;
        let entity = self.message.entity;
        let operation = headers.operation()?;
        let Keys { key, previous } =
            key::keys(entity, operation, message_key, data.as_ref(), before.as_ref()).map_err(Poison::RowKey)?;
        let image = match (operation, data) {
            (Operation::Delete, _) => Image::Gone,
            (_, None) => return Err(Poison::NoImage(operation).into()),
            (Operation::Update, Some(data)) => {
                let known = image::of_update(data, form, headers.column_mask()?.as_deref())?;
                match (known, &previous, before) {
                    // Under its new key the row has no older columns to keep, so what the before image knows goes along.
                    (Image::Partial(columns), Some(_), Some(before)) => {
                        let mut whole = before.into_columns();
                        whole.extend(columns);
                        Image::Complete(whole)
                    }
                    (known, _, _) => known,
                }
            }
            // A row that is new has no columns to keep: those that the source left out are null.
            (Operation::Insert | Operation::Refresh, Some(data)) => Image::Complete(data.into_columns()),
        };
        Ok(Change {
            entity,
            operation,
            key,
            previous_key: previous,
            image,
            sequence: headers.sequence(operation)?,
            committed_at: headers.committed_at()?,
            stream_position: headers.stream_position().to_owned(),
            table: table.map_or_else(|| entity.to_string(), str::to_owned),
        })
    }
}

/// An id as a registry's number, if it is spelled as one: `7`, and neither `07` nor `+7`, which are names that Replicate may give.
fn registry_number(id: &str) -> Option<u32> {
    let number: u32 = id.parse().ok()?;
    (number.to_string() == id).then_some(number)
}
