//! Avro writer schemas.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, ResolvedSchema};

use super::avro::plan::{Plan, Planner};
use super::avro::shape::Shape;
use super::message::SchemaGuid;
use super::metadata::Announcement;

/// Bound on what one value may allocate while it is decoded, in bytes. Kafka messages of this system are below 1 MiB.
pub(super) const MAX_ALLOCATION: usize = 16 * 1024 * 1024;

/// Most values of a datum, counting what may be left out, without the elements of lists and maps. A table of a thousand columns
/// comes to about six thousand.
const MAX_VALUES: usize = 100_000;

/// A parsed writer schema, made once and used for every datum that was written with it.
///
/// It is the writer's schema that decides: there is no reader's schema, so a row has the columns that its writer gave it,
/// under the writer's names and of the writer's types.
pub struct WriterSchema {
    name: Option<String>,
    table: Option<String>,
    plan: Plan,
    shape: Shape,
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
        let schema = Schema::parse_str(json).map_err(InvalidSchema::avro)?;
        let resolved = ResolvedSchema::try_from(&schema).map_err(InvalidSchema::avro)?;
        let names: HashMap<Name, Schema> =
            resolved.get_names().iter().map(|(name, schema)| (name.clone(), (*schema).clone())).collect();
        Datum::of(&names, &schema, &mut HashSet::new())?;
        let plan = Planner::new(&names).plan(&schema).ok_or(InvalidSchema::Unresolved)?;
        let name = schema.name();
        Ok(Self {
            table: name.and_then(Name::namespace).and_then(table).map(str::to_owned),
            name: name.map(ToString::to_string),
            shape: Shape::of(&plan),
            plan,
        })
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The table in the source, `schema.table`, where the schema's namespace says it.
    pub(super) fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }
}

/// Namespaces of Qlik's schemas: `com.attunity.queue.msg.<task or database>.<schema>.<table>`.
fn table(namespace: &str) -> Option<&str> {
    let path = namespace.strip_prefix("com.attunity.queue.msg.")?;
    path.split_once('.').map(|(_task, table)| table)
}

/// Follows a reference to a named schema.
fn resolve<'s>(names: &'s HashMap<Name, Schema>, schema: &'s Schema) -> &'s Schema {
    match schema {
        Schema::Ref { name } => names.get(name).unwrap_or(schema),
        other => other,
    }
}

/// What a datum of a schema costs at least and at most.
struct Datum {
    /// Whether it takes a byte or more.
    takes_bytes: bool,
    /// Values in it, at most; those of elements of lists and maps count once.
    values: usize,
    /// Values in it beyond [`VALUES_PER_BYTE`] for each of its bytes, at most. Below zero where its bytes pay for more than it has.
    unpaid: i64,
}

/// Values that a byte of a list or a map may stand for. A record of nothing but absent columns has one for each byte.
const VALUES_PER_BYTE: i64 = 64;

impl Datum {
    /// `around` are the names of the records that `schema` lies in.
    fn of<'s>(
        names: &'s HashMap<Name, Schema>,
        schema: &'s Schema,
        around: &mut HashSet<&'s Name>,
    ) -> Result<Self, InvalidSchema> {
        let of_parts = |parts: &mut dyn Iterator<Item = &'s Schema>, around: &mut HashSet<&'s Name>| {
            let mut whole = Self { takes_bytes: false, values: 1, unpaid: 1 };
            for part in parts {
                let part = Self::of(names, part, around)?;
                whole.takes_bytes |= part.takes_bytes;
                whole.values += part.values;
                whole.unpaid += part.unpaid;
                if whole.values > MAX_VALUES {
                    return Err(InvalidSchema::TooLarge);
                }
            }
            Ok(whole)
        };
        let elements = |schema: &'s Schema, around: &mut HashSet<&'s Name>| {
            let element = Self::of(names, schema, around)?;
            // A list of them would be as long as its datum says, and its datum could be a few bytes.
            match element.takes_bytes {
                false => Err(InvalidSchema::Nothing),
                true => Self::many(&element, 0),
            }
        };
        match resolve(names, schema) {
            Schema::Null => Ok(Self { takes_bytes: false, values: 1, unpaid: 1 }),
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
                let mut dearest = i64::MIN;
                for variant in union.variants() {
                    dearest = dearest.max(Self::of(names, variant, around)?.unpaid);
                }
                // One of them is there, behind a byte that says which.
                Ok(Self { takes_bytes: true, unpaid: dearest.saturating_sub(VALUES_PER_BYTE), ..whole })
            }
            Schema::Array(array) => elements(&array.items, around),
            Schema::Map(map) => {
                // Each comes with a key.
                Self::many(&Self::of(names, &map.types, around)?, 1)
            }
            Schema::Fixed(fixed) if fixed.size > MAX_ALLOCATION => Err(InvalidSchema::TooLarge),
            Schema::Fixed(fixed) => Ok(Self::single(fixed.size)),
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Fixed(fixed) if fixed.size > MAX_ALLOCATION => Err(InvalidSchema::TooLarge),
                InnerDecimalSchema::Fixed(fixed) => Ok(Self::single(fixed.size)),
                InnerDecimalSchema::Bytes => Ok(Self::single(1)),
            },
            _ => Ok(Self::single(1)),
        }
    }

    /// One value of at least so many bytes.
    fn single(bytes: usize) -> Self {
        let paid = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(VALUES_PER_BYTE);
        Self { takes_bytes: bytes > 0, values: 1, unpaid: 1_i64.saturating_sub(paid) }
    }

    /// Any number of elements, each with so many bytes of its own before it, and a byte that ends them.
    fn many(element: &Self, bytes_before: i64) -> Result<Self, InvalidSchema> {
        if element.unpaid > bytes_before * VALUES_PER_BYTE {
            // A short datum could have any number of values.
            return Err(InvalidSchema::TooLarge);
        }
        Ok(Self { takes_bytes: true, values: element.values + 1, unpaid: 1 - VALUES_PER_BYTE })
    }
}

impl fmt::Debug for WriterSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriterSchema").field(&self.name).finish()
    }
}

/// Where parsed schemas are found.
pub trait SchemaLookup {
    /// The registry's schema of this number, if it has been fetched.
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>>;

    /// The registry's schema of this GUID, if it has been fetched.
    fn schema_by_guid(&self, _guid: SchemaGuid) -> Option<Arc<WriterSchema>> {
        None
    }

    /// What a metadata message has announced under this id, if one has.
    fn announced(&self, _id: &str) -> Option<Arc<Announcement>> {
        None
    }

    /// A schema that came with its message. Who sees many may keep them: [`super::EmbeddedSchemas`].
    ///
    /// # Errors
    /// See [`WriterSchema::parse`].
    fn embedded(&self, json: &str) -> Result<Arc<WriterSchema>, InvalidSchema> {
        WriterSchema::parse(json).map(Arc::new)
    }
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
    /// It refers to a type that it doesn't define.
    #[error("the schema refers to a type that it doesn't define")]
    Unresolved,
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
        // A byte that stands for two hundred values, in a list and in a map.
        let nulls: Vec<String> = (0..200).map(|number| format!(r#"{{"name":"n{number}","type":"null"}}"#)).collect();
        let wide = record("Wide", &format!(r#"{},{{"name":"flag","type":"boolean"}}"#, nulls.join(",")));
        for part in [format!(r#""array","items":{wide}"#), format!(r#""map","values":["int",{wide}]"#)] {
            check(&format!(r#"{{"type":{part}}}"#), too_large);
        }
        let columns: Vec<String> =
            (0..200).map(|number| format!(r#"{{"name":"n{number}","type":["null","long"]}}"#)).collect();
        check(&format!(r#"{{"type":"array","items":{}}}"#, record("Row", &columns.join(","))), "good");
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
