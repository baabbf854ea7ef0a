//! Avro writer schemas.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{InnerDecimalSchema, Name, ResolvedSchema};
use apache_avro::types::Value;

/// Bound on what one value may allocate while it is decoded, in bytes.
/// Kafka messages of this system are below 1 MiB; Avro's own default of 512 MiB would let one corrupt length field take the whole process down.
const MAX_ALLOCATION: usize = 16 * 1024 * 1024;

/// Most values of a datum, counting what may be left out, without the elements of lists and maps. A table of a thousand columns
/// comes to about six thousand.
const MAX_VALUES: usize = 100_000;

/// A parsed writer schema, made once and used for every datum that was written with it.
pub struct WriterSchema {
    schema: Schema,
    names: HashMap<Name, Schema>,
}

impl WriterSchema {
    /// Parses a schema from its JSON.
    ///
    /// A schema may come with its message, so it isn't trusted: what would cost a reader any amount of memory or stack,
    /// whatever the datum says, is refused.
    ///
    /// # Errors
    /// When the text is no Avro schema, or one of a kind that no table has.
    pub fn parse(json: &str) -> Result<Self, InvalidSchema> {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
        let schema = Schema::parse_str(json).map_err(InvalidSchema::avro)?;
        let resolved = ResolvedSchema::try_from(&schema).map_err(InvalidSchema::avro)?;
        let names = resolved.get_names().iter().map(|(name, schema)| (name.clone(), (*schema).clone())).collect();
        let writer = Self { schema, names };
        Datum::of(&writer, &writer.schema, &mut HashSet::new())?;
        Ok(writer)
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

/// What a datum of a schema costs at least and at most.
struct Datum {
    /// Whether it takes a byte or more.
    takes_bytes: bool,
    /// Values in it, at most; those of elements of lists and maps count once.
    values: usize,
}

impl Datum {
    /// `around` are the names of the records that `schema` lies in.
    fn of<'s>(
        writer: &'s WriterSchema,
        schema: &'s Schema,
        around: &mut HashSet<&'s Name>,
    ) -> Result<Self, InvalidSchema> {
        let of_parts = |parts: &mut dyn Iterator<Item = &'s Schema>, around: &mut HashSet<&'s Name>| {
            let mut whole = Self { takes_bytes: false, values: 1 };
            for part in parts {
                let part = Self::of(writer, part, around)?;
                whole.takes_bytes |= part.takes_bytes;
                whole.values += part.values;
                if whole.values > MAX_VALUES {
                    return Err(InvalidSchema::TooLarge);
                }
            }
            Ok(whole)
        };
        let elements = |schema: &'s Schema, around: &mut HashSet<&'s Name>| {
            let element = Self::of(writer, schema, around)?;
            // A list of them would be as long as its datum says, and its datum could be a few bytes.
            if element.takes_bytes { Ok(Self { takes_bytes: true, ..element }) } else { Err(InvalidSchema::Nothing) }
        };
        match writer.resolve(schema) {
            Schema::Null => Ok(Self { takes_bytes: false, values: 1 }),
            Schema::Record(record) => {
                if !around.insert(&record.name) {
                    return Err(InvalidSchema::Recursive { name: record.name.to_string() });
                }
                let whole = of_parts(&mut record.fields.iter().map(|field| &field.schema), around);
                around.remove(&record.name);
                whole
            }
            Schema::Union(union) => {
                let whole = of_parts(&mut union.variants().iter(), around)?;
                Ok(Self { takes_bytes: true, ..whole })
            }
            Schema::Array(array) => elements(&array.items, around),
            Schema::Map(map) => {
                of_parts(&mut std::iter::once(&*map.types), around).map(|whole| Self { takes_bytes: true, ..whole })
            }
            Schema::Fixed(fixed) if fixed.size > MAX_ALLOCATION => Err(InvalidSchema::TooLarge),
            Schema::Fixed(fixed) => Ok(Self { takes_bytes: fixed.size > 0, values: 1 }),
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Fixed(fixed) if fixed.size > MAX_ALLOCATION => Err(InvalidSchema::TooLarge),
                InnerDecimalSchema::Fixed(fixed) => Ok(Self { takes_bytes: fixed.size > 0, values: 1 }),
                InnerDecimalSchema::Bytes => Ok(Self { takes_bytes: true, values: 1 }),
            },
            _ => Ok(Self { takes_bytes: true, values: 1 }),
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

/// Why a text is no schema by which values are read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSchema {
    /// It is no Avro schema.
    #[error("the text is no Avro schema")]
    Avro(#[source] Box<apache_avro::Error>),
    /// A record lies in itself, so its datum can be of any depth.
    #[error("the record `{name}` of the schema lies in itself")]
    Recursive {
        /// The record's name.
        name: String,
    },
    /// A short datum of it could have more values than any table has columns, or a value of more than 16 MiB.
    #[error("a datum of the schema can have more than {MAX_VALUES} values or a value of more than 16 MiB")]
    TooLarge,
    /// A list has elements that take no bytes, so a short datum could have any number of them.
    #[error("a list of the schema has elements that take no bytes")]
    Nothing,
}

impl InvalidSchema {
    fn avro(error: apache_avro::Error) -> Self {
        Self::Avro(Box::new(error))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let said = WriterSchema::parse(json).map_or_else(|error| error.to_string(), |_| "good".to_owned());
        assert_eq!(said, expected, "{json}");
    }

    /// Each of these used to overflow the stack, or to allocate whatever its datum or itself said.
    #[test]
    fn schemas_that_cost_any_amount_are_refused() {
        let record = |name: &str, fields: &str| format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#);
        let itself = record("Node", r#"{"name":"next","type":["null","Node"]}"#);
        check(&itself, "the record `Node` of the schema lies in itself");
        let doubled = (1..32).fold(record("R0", ""), |inner, level| {
            let before = level - 1;
            record(&format!("R{level}"), &format!(r#"{{"name":"a","type":{inner}}},{{"name":"b","type":"R{before}"}}"#))
        });
        let too_large = "a datum of the schema can have more than 100000 values or a value of more than 16 MiB";
        check(&doubled, too_large);
        for size in [MAX_ALLOCATION + 1, usize::MAX] {
            let fixed = format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#);
            check(&fixed, too_large);
            check(
                &format!(
                    r#"{{"type":"fixed","name":"D","size":{size},"logicalType":"decimal","precision":9,"scale":2}}"#
                ),
                too_large,
            );
            check(&record("R", &format!(r#"{{"name":"a","type":["null",{fixed}]}}"#)), too_large);
        }
        for nothing in ["\"null\"", &record("Empty", ""), r#"{"type":"fixed","name":"Zero","size":0}"#] {
            let list = format!(r#"{{"type":"array","items":{nothing}}}"#);
            check(&list, "a list of the schema has elements that take no bytes");
            check(
                &record("R", &format!(r#"{{"name":"a","type":["null",{list}]}}"#)),
                "a list of the schema has elements that take no bytes",
            );
            check(&format!(r#"{{"type":"map","values":{nothing}}}"#), "good");
        }
    }

    #[test]
    fn a_record_may_be_used_twice_and_a_table_may_be_wide() {
        let columns: Vec<String> =
            (0..1_000).map(|number| format!(r#"{{"name":"c{number}","type":["null","string","long"]}}"#)).collect();
        let data = format!(r#"{{"type":"record","name":"Data","fields":[{}]}}"#, columns.join(","));
        check(
            &format!(
                r#"{{"type":"record","name":"R","fields":[{{"name":"data","type":["null",{data}]}},{{"name":"beforeData","type":["null","Data"]}}]}}"#
            ),
            "good",
        );
        check(r#"{"type":"array","items":{"type":"array","items":"long"}}"#, "good");
    }
}
