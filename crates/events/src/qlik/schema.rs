//! Avro writer schemas.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, ResolvedSchema};
use apache_avro::types::Value;

/// Bound on what one value may allocate while it is decoded, in bytes.
/// Kafka messages of this system are below 1 MiB; Avro's own default of 512 MiB would let one corrupt length field take the whole process down.
const MAX_ALLOCATION: usize = 16 * 1024 * 1024;

/// A parsed writer schema, made once and used for every datum that was written with it.
pub struct WriterSchema {
    schema: Schema,
    names: HashMap<Name, Schema>,
}

impl WriterSchema {
    /// Parses a schema from its JSON.
    ///
    /// # Errors
    /// When the text is no Avro schema.
    pub fn parse(json: &str) -> Result<Self, InvalidSchema> {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
        let schema = Schema::parse_str(json).map_err(|source| InvalidSchema(Box::new(source)))?;
        let resolved = ResolvedSchema::try_from(&schema).map_err(|source| InvalidSchema(Box::new(source)))?;
        let names = resolved.get_names().iter().map(|(name, schema)| (name.clone(), (*schema).clone())).collect();
        Ok(Self { schema, names })
    }

    /// Decodes one datum that fills `bytes` exactly.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Value, DatumError> {
        let reader = GenericDatumReader::builder(&self.schema).build().map_err(DatumError::avro)?;
        let mut input = Input { rest: bytes, overrun: false };
        let value = reader.read_value(&mut input).map_err(DatumError::avro)?;
        match input {
            Input { overrun: true, .. } => Err(DatumError::Truncated),
            Input { rest: [], .. } => Ok(value),
            Input { rest, .. } => Err(DatumError::TrailingBytes { bytes: rest.len() }),
        }
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Follows a reference to a named schema.
    pub(super) fn resolve<'s>(&'s self, schema: &'s Schema) -> &'s Schema {
        match schema {
            Schema::Ref { name } => self.names.get(name).unwrap_or(schema),
            other => other,
        }
    }
}

/// Bytes that remember whether more was wanted than there was.
///
/// The Avro crate reads a union or a text that starts at the end of its input as null or empty instead of failing,
/// which would turn a truncated record into a valid one with columns lost.
struct Input<'b> {
    rest: &'b [u8],
    overrun: bool,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.overrun |= self.rest.is_empty() && !buffer.is_empty();
        self.rest.read(buffer)
    }
}

impl fmt::Debug for WriterSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriterSchema").field(&self.schema.name().map(ToString::to_string)).finish()
    }
}

/// Where parsed schemas are found by their id.
pub trait SchemaLookup {
    /// The schema, if it has been fetched.
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>>;
}

impl SchemaLookup for HashMap<u32, Arc<WriterSchema>> {
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>> {
        self.get(&id).cloned()
    }
}

/// A text that is no Avro schema.
#[derive(Debug, thiserror::Error)]
#[error("the text is no Avro schema")]
pub struct InvalidSchema(#[source] Box<apache_avro::Error>);

/// Why bytes are no datum of a schema.
#[derive(Debug, thiserror::Error)]
pub enum DatumError {
    /// Avro refuses them.
    #[error("the bytes are no datum of their schema")]
    Avro(#[source] Box<apache_avro::Error>),
    /// The bytes end before the datum does.
    #[error("the bytes end before the datum does")]
    Truncated,
    /// The datum ends before the bytes do, so they were written with another schema.
    #[error("{bytes} bytes are left after the datum, so it was written with another schema")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
}

impl DatumError {
    fn avro(error: apache_avro::Error) -> Self {
        Self::Avro(Box::new(error))
    }
}
