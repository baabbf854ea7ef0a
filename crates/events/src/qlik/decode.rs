//! From the bytes of a Kafka message to a [`Change`].

use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::types::Value;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::change::{Change, Image};
use super::key::{self, KeyError, Keys, MessageKey};
use super::mask::{Presence, presence};
use super::schema::{DatumError, InvalidSchema, SchemaLookup, WriterSchema};
use super::value::{self, UnsupportedValue};
use crate::json::excerpt;
use crate::version::{ChangeSequence, InvalidChangeSequence};
use crate::{AttributeValue, Columns, Entity, Operation};

/// Namespaces of Qlik's schemas: `com.attunity.queue.msg.<task or database>.<schema>.<table>`.
const NAMESPACE: &str = "com.attunity.queue.msg.";

/// A Kafka message, as far as decoding needs it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    /// The entity of its topic.
    pub entity: Entity,
    /// Its key.
    pub key: Option<&'m [u8]>,
    /// Its value.
    pub value: Option<&'m [u8]>,
    /// Whether a header carries a schema id ([`super::VALUE_SCHEMA_HEADER`] or [`super::KEY_SCHEMA_HEADER`]).
    pub has_schema_header: bool,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A change.
    Change(Box<Change>),
    /// A key without a value: a mark for Kafka's log compaction. It follows a deletion and never means one.
    CompactionMark,
}

/// Why a message isn't decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A schema isn't here yet: fetch it and decode again.
    #[error("the schema {0} isn't here yet")]
    UnknownSchema(u32),
    /// The message can't be understood, now or later.
    #[error(transparent)]
    Poison(#[from] Poison),
}

/// Why a message can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum Poison {
    /// The value is JSON.
    #[error("the value is JSON; have Qlik send Avro with a schema registry")]
    JsonValue,
    /// The key is JSON.
    #[error("the key is JSON; have Qlik send a key record in Avro or plain text")]
    JsonKey,
    /// The schema id is in a header.
    #[error("the schema id is in a header; have the serializer put it before the datum")]
    HeaderSchemaId,
    /// The value has no Confluent framing.
    #[error("the value doesn't start with a zero byte and a schema id")]
    Unframed,
    /// The key is neither framed Avro nor text.
    #[error("the key is neither framed Avro nor UTF-8 text")]
    KeyEncoding,
    /// The value is no datum of its schema.
    #[error("the value doesn't fit schema {schema_id}")]
    Value {
        /// The registry's id.
        schema_id: u32,
        /// What is wrong.
        source: DatumError,
    },
    /// The key is no datum of its schema.
    #[error("the key doesn't fit schema {schema_id}")]
    Key {
        /// The registry's id.
        schema_id: u32,
        /// What is wrong.
        source: DatumError,
    },
    /// The envelope doesn't start with Qlik's mark.
    #[error("the envelope's magic isn't `atMSG`")]
    Magic,
    /// The envelope holds table metadata.
    #[error("the message is table metadata (MD), which isn't supported; turn metadata messages off in Qlik")]
    Metadata,
    /// The envelope holds neither data nor metadata.
    #[error("the envelope's type is `{0}`; expected `DT` or `MD`")]
    MessageType(String),
    /// The envelope names the schema of its message neither by a registry id nor in full.
    #[error("the envelope names no schema for its message that can be found (`messageSchemaId` is `{0}`)")]
    SchemaMissing(String),
    /// The schema in the envelope is no Avro schema.
    #[error("the schema in the envelope can't be used")]
    EmbeddedSchema(#[source] InvalidSchema),
    /// The message inside the envelope doesn't fit its schema.
    #[error("the message inside the envelope doesn't fit its schema")]
    EnvelopeMessage(#[source] DatumError),
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
            Self::JsonValue | Self::JsonKey => "json_unsupported",
            Self::HeaderSchemaId => "header_schema_id_unsupported",
            Self::Unframed => "unframed",
            Self::KeyEncoding => "key_encoding",
            Self::Value { .. } | Self::EnvelopeMessage(_) => "avro_value",
            Self::Key { .. } => "avro_key",
            Self::Magic => "envelope_magic",
            Self::Metadata => "metadata_unsupported",
            Self::MessageType(_) => "envelope_type",
            Self::SchemaMissing(_) => "schema_missing",
            Self::EmbeddedSchema(_) => "schema_invalid",
            Self::Shape(_) => "record_shape",
            Self::Operation(_) => "unknown_operation",
            Self::NoImage(_) => "no_image",
            Self::Sequence(_) => "change_sequence",
            Self::Timestamp(_) => "commit_time",
            Self::Column(_) => "column_value",
            Self::ColumnMask { .. } => "column_mask",
            Self::RowKey(_) => "row_key",
        }
    }
}

/// Decodes a message.
///
/// # Errors
/// [`DecodeError::UnknownSchema`] when a schema must be fetched first, [`DecodeError::Poison`] when decoding can never succeed.
pub fn decode(schemas: &impl SchemaLookup, message: &Message<'_>) -> Result<Decoded, DecodeError> {
    let Some(bytes) = message.value else {
        return Ok(Decoded::CompactionMark);
    };
    if message.has_schema_header {
        return Err(Poison::HeaderSchemaId.into());
    }
    let Some((schema_id, datum)) = unframed(bytes) else {
        return Err(if looks_like_json(bytes) { Poison::JsonValue } else { Poison::Unframed }.into());
    };
    let writer = schemas.schema(schema_id).ok_or(DecodeError::UnknownSchema(schema_id))?;
    let value = writer.read(datum).map_err(|source| Poison::Value { schema_id, source })?;
    let key = message_key(schemas, message.key)?;
    let (writer, value) = match Envelope::find(value)? {
        Unwrapped::Record(fields) => (writer, fields),
        Unwrapped::Envelope(envelope) => envelope.open(schemas)?,
    };
    let change = change(message.entity, &writer, value, &key)?;
    Ok(Decoded::Change(Box::new(change)))
}

/// The schema id of a framed value, for reporting even where the value can't be decoded.
pub(crate) fn unframed(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [0, a, b, c, d, datum @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        _ => None,
    }
}

impl Message<'_> {
    /// The registry's id of the value's schema, if the value is framed.
    pub fn schema_id(&self) -> Option<u32> {
        unframed(self.value?).map(|(id, _)| id)
    }
}

fn looks_like_json(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'['))
}

fn message_key(schemas: &impl SchemaLookup, bytes: Option<&[u8]>) -> Result<MessageKey, DecodeError> {
    let bytes = match bytes {
        None | Some([]) => return Ok(MessageKey::Absent),
        Some(bytes) => bytes,
    };
    if let Some((schema_id, datum)) = unframed(bytes) {
        let writer = schemas.schema(schema_id).ok_or(DecodeError::UnknownSchema(schema_id))?;
        let value = writer.read(datum).map_err(|source| Poison::Key { schema_id, source })?;
        return Ok(match &value {
            Value::Record(fields) => {
                let Schema::Record(record) = writer.resolve(writer.schema()) else {
                    return Err(Poison::Shape("its key has no record schema").into());
                };
                let parts = fields.iter().zip(&record.fields).map(|((name, value), field)| {
                    Ok((name.clone(), value::attribute(value, &field.schema, &writer).map_err(Poison::Column)?))
                });
                MessageKey::Record(parts.collect::<Result<_, Poison>>()?)
            }
            single => match value::attribute(single, writer.schema(), &writer).map_err(Poison::Column)? {
                AttributeValue::S(text) | AttributeValue::N(text) => MessageKey::Text(text),
                _ => return Err(Poison::RowKey(KeyError::Type).into()),
            },
        });
    }
    if looks_like_json(bytes) {
        return Err(Poison::JsonKey.into());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(MessageKey::Text(text.to_owned())),
        _ => Err(Poison::KeyEncoding.into()),
    }
}

type Fields = Vec<(String, Value)>;

enum Unwrapped {
    Record(Fields),
    Envelope(Envelope),
}

/// Replicate's own envelope around a message.
struct Envelope {
    schema_id: Option<String>,
    schema: Option<String>,
    message: Vec<u8>,
}

impl Envelope {
    fn find(value: Value) -> Result<Unwrapped, Poison> {
        let Value::Record(mut fields) = value else {
            return Err(Poison::Shape("its value is no record"));
        };
        if field(&fields, "magic").is_none() || field(&fields, "message").is_none() {
            return Ok(Unwrapped::Record(fields));
        }
        match field(&fields, "magic") {
            Some(Value::Fixed(_, bytes) | Value::Bytes(bytes)) if bytes == b"atMSG" => {}
            _ => return Err(Poison::Magic),
        }
        match text(&fields, "type") {
            Some("DT") => {}
            Some("MD") => return Err(Poison::Metadata),
            other => return Err(Poison::MessageType(excerpt(other.unwrap_or_default()).into_owned())),
        }
        let schema_id = text(&fields, "messageSchemaId").map(str::to_owned);
        let schema = text(&fields, "messageSchema").map(str::to_owned);
        match take(&mut fields, "message") {
            Some(Value::Bytes(message)) => Ok(Unwrapped::Envelope(Self { schema_id, schema, message })),
            _ => Err(Poison::Shape("its envelope's `message` is not bytes")),
        }
    }

    fn open(self, schemas: &impl SchemaLookup) -> Result<(Arc<WriterSchema>, Fields), DecodeError> {
        let writer = match (&self.schema, &self.schema_id) {
            (Some(json), _) => Arc::new(WriterSchema::parse(json).map_err(Poison::EmbeddedSchema)?),
            (None, Some(id)) => {
                let id: u32 = id.parse().map_err(|_| Poison::SchemaMissing(excerpt(id).into_owned()))?;
                schemas.schema(id).ok_or(DecodeError::UnknownSchema(id))?
            }
            (None, None) => return Err(Poison::SchemaMissing(String::new()).into()),
        };
        match writer.read(&self.message).map_err(Poison::EnvelopeMessage)? {
            Value::Record(fields) => Ok((writer, fields)),
            _ => Err(Poison::Shape("the message in its envelope is no record").into()),
        }
    }
}

fn change(
    entity: Entity,
    writer: &WriterSchema,
    mut fields: Fields,
    message_key: &MessageKey,
) -> Result<Change, Poison> {
    let Schema::Record(record) = writer.resolve(writer.schema()) else {
        return Err(Poison::Shape("its schema is no record"));
    };
    let schema_of = |name: &str| record.lookup.get(name).map(|index| &record.fields[*index].schema);
    let mut image_of = |name: &'static str| match (take(&mut fields, name), schema_of(name)) {
        (Some(value), Some(schema)) => image(value, schema, writer),
        _ => Ok(None),
    };
    let data = image_of("data")?;
    let before = image_of("beforeData")?;
    let Some(Value::Record(headers)) = field(&fields, "headers") else {
        return Err(Poison::Shape("it has no `headers`"));
    };
    let operation = operation(headers)?;
    let data_columns: Option<Columns> = data.as_ref().map(|ordered| ordered.iter().cloned().collect());
    let before_columns: Option<Columns> = before.map(|ordered| ordered.into_iter().collect());
    let Keys { key, previous } =
        key::keys(entity, operation, message_key, data_columns.as_ref(), before_columns.as_ref())?;
    let image = match (operation, data) {
        (Operation::Delete, _) => Image::Gone,
        (_, None) => return Err(Poison::NoImage(operation)),
        (Operation::Update, Some(data)) => {
            let known = masked(data, bytes(headers, "columnMask"))?;
            match (known, &previous, before_columns) {
                // Under its new key the row has no older columns to keep, so what the before image knows goes along.
                (Image::Partial(columns), Some(_), Some(mut whole)) => {
                    whole.extend(columns);
                    Image::Complete(whole)
                }
                (known, _, _) => known,
            }
        }
        // A row that is new has no columns to keep: those that the source left out are null.
        (Operation::Insert | Operation::Refresh, Some(data)) => Image::Complete(data.into_iter().collect()),
    };
    let sequence = match operation {
        Operation::Refresh => None,
        _ => Some(text(headers, "changeSequence").unwrap_or_default().parse::<ChangeSequence>()?),
    };
    Ok(Change {
        entity,
        operation,
        key,
        previous_key: previous,
        image,
        sequence,
        committed_at: commit_time(text(headers, "timestamp").unwrap_or_default())?,
        stream_position: text(headers, "streamPosition").unwrap_or_default().to_owned(),
        table: table(record, entity),
    })
}

/// An image's columns in the order of its schema, which is the order of the mask's bits.
type OrderedColumns = Vec<(String, AttributeValue)>;

fn image(value: Value, schema: &Schema, writer: &WriterSchema) -> Result<Option<OrderedColumns>, Poison> {
    let mut schema = writer.resolve(schema);
    let mut value = value;
    if let Value::Union(index, inner) = value {
        let Schema::Union(union) = schema else {
            return Err(UnsupportedValue::SchemaMismatch.into());
        };
        let variant = usize::try_from(index).ok().and_then(|index| union.variants().get(index));
        schema = writer.resolve(variant.ok_or(UnsupportedValue::SchemaMismatch)?);
        value = *inner;
    }
    match value {
        Value::Null => Ok(None),
        Value::Record(fields) => {
            let mut columns = value::columns(&fields, schema, writer)?;
            let ordered = fields.into_iter().filter_map(|(name, _)| {
                let value = columns.remove(&name)?;
                Some((name, value))
            });
            Ok(Some(ordered.collect()))
        }
        _ => Err(Poison::Shape("an image is no record")),
    }
}

fn masked(data: OrderedColumns, mask: Option<&[u8]>) -> Result<Image, Poison> {
    let Some(mask) = mask else {
        return Ok(Image::Complete(data.into_iter().collect()));
    };
    let has_value: Vec<bool> = data.iter().map(|(_, value)| *value != AttributeValue::Null).collect();
    match presence(mask, &has_value) {
        Presence::Complete => Ok(Image::Complete(data.into_iter().collect())),
        Presence::Partial(present) => {
            let known = data.into_iter().zip(present).filter(|(_, present)| *present);
            Ok(Image::Partial(known.map(|(column, _)| column).collect()))
        }
        Presence::Unclear => {
            Err(Poison::ColumnMask { mask: mask.iter().take(32).map(|byte| format!("{byte:02x}")).collect() })
        }
    }
}

fn operation(headers: &Fields) -> Result<Operation, Poison> {
    match text(headers, "operation") {
        Some("INSERT") => Ok(Operation::Insert),
        Some("UPDATE") => Ok(Operation::Update),
        Some("DELETE") => Ok(Operation::Delete),
        Some("REFRESH") => Ok(Operation::Refresh),
        other => Err(Poison::Operation(excerpt(other.unwrap_or_default()).into_owned())),
    }
}

/// Qlik writes commit times in UTC without a zone.
fn commit_time(text: &str) -> Result<Option<Timestamp>, Poison> {
    if text.is_empty() {
        return Ok(None);
    }
    let zoned = text.parse::<Timestamp>().ok();
    let plain = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    zoned
        .or_else(|| plain().map(|time| time.timestamp()))
        .map(Some)
        .ok_or_else(|| Poison::Timestamp(excerpt(text).into_owned()))
}

fn table(record: &apache_avro::schema::RecordSchema, entity: Entity) -> String {
    record
        .name
        .namespace()
        .and_then(|namespace| namespace.strip_prefix(NAMESPACE))
        .and_then(|path| path.split_once('.'))
        .map_or_else(|| entity.to_string(), |(_task, table)| table.to_owned())
}

fn field<'v>(fields: &'v Fields, name: &str) -> Option<&'v Value> {
    let (_, value) = fields.iter().find(|(field, _)| field == name)?;
    match value {
        Value::Union(_, inner) => Some(inner),
        other => Some(other),
    }
}

fn text<'v>(fields: &'v Fields, name: &str) -> Option<&'v str> {
    match field(fields, name)? {
        Value::String(text) | Value::Enum(_, text) => Some(text),
        _ => None,
    }
}

fn bytes<'v>(fields: &'v Fields, name: &str) -> Option<&'v [u8]> {
    match field(fields, name)? {
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => Some(bytes),
        _ => None,
    }
}

fn take(fields: &mut Fields, name: &str) -> Option<Value> {
    let index = fields.iter().position(|(field, _)| field == name)?;
    Some(std::mem::replace(&mut fields[index].1, Value::Null))
}
