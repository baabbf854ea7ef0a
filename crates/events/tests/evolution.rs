//! Schemas that change while a topic is in use: it is the writer's schema that decides what a record holds.
//!
//! There is no reader's schema: a column that the writer doesn't have is absent from the row, one that it renamed has the new name,
//! and a number is a number of any width.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use events::qlik::{Change, Decoded, Image, Message, SchemaLookup, WriterSchema, decode};
use events::{AttributeValue, Columns, Entity};
use proptest::prelude::*;

/// A version of the table: the name of the row's record, and its columns with their types.
struct Version {
    record: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

const KEY: (&str, &str) = ("customer_id", r#""string""#);
const NAME: (&str, &str) = ("name", r#"["null","string"]"#);
const EMAIL: (&str, &str) = ("email", r#"["null","string"]"#);

/// In the order of the registry's ids, from 1.
const VERSIONS: [Version; 6] = [
    Version { record: "Data", columns: &[KEY, NAME, ("visits", r#""int""#)] },
    // A column more.
    Version { record: "Data", columns: &[KEY, NAME, ("visits", r#""int""#), EMAIL] },
    // One less.
    Version { record: "Data", columns: &[KEY, ("visits", r#""int""#), EMAIL] },
    // A wider number.
    Version { record: "Data", columns: &[KEY, ("visits", r#""long""#), EMAIL] },
    // The record has another name.
    Version { record: "Row", columns: &[KEY, ("visits", r#""long""#), EMAIL] },
    // Another order, and a column that was renamed.
    Version { record: "Row", columns: &[EMAIL, ("visit_count", r#""long""#), KEY] },
];

impl Version {
    fn schema(&self) -> String {
        let fields: Vec<String> =
            self.columns.iter().map(|(name, avro)| format!(r#"{{"name":"{name}","type":{avro}}}"#)).collect();
        let (record, fields) = (self.record, fields.join(","));
        format!(
            r#"{{"type":"record","name":"DataRecord","namespace":"com.attunity.queue.msg.task.shop.customers","fields":[
                {{"name":"data","type":["null",{{"type":"record","name":"{record}","fields":[{fields}]}}]}},
                {{"name":"beforeData","type":["null","{record}"]}},
                {{"name":"headers","type":{{"type":"record","name":"Headers","fields":[
                    {{"name":"operation","type":"string"}},{{"name":"changeSequence","type":"string"}}]}}}}]}}"#
        )
    }

    /// A message of this version, with the row that it means.
    fn message(&self, id: u32, number: i32) -> (Vec<u8>, Columns) {
        let (mut fields, mut row) = (Vec::new(), Columns::new());
        for (name, avro) in self.columns {
            let text = format!("{name} {number}");
            let (value, attribute) = match *avro {
                r#""int""# => (Value::Int(number), AttributeValue::N(number.to_string())),
                r#""long""# => {
                    // Beyond what an `int` holds.
                    let wide = i64::from(number) * 10_000_000_000;
                    (Value::Long(wide), AttributeValue::N(wide.to_string()))
                }
                r#""string""# => (Value::String("C-1".to_owned()), AttributeValue::text("C-1")),
                _ if number % 3 == 0 => (Value::Union(0, Box::new(Value::Null)), AttributeValue::Null),
                _ => (Value::Union(1, Box::new(Value::String(text.clone()))), AttributeValue::text(text)),
            };
            fields.push(((*name).to_owned(), value));
            row.insert((*name).to_owned(), attribute);
        }
        let text = |text: String| Value::String(text);
        let headers = vec![
            ("operation".to_owned(), text("INSERT".to_owned())),
            ("changeSequence".to_owned(), text(format!("{number:035}"))),
        ];
        let value = Value::Record(vec![
            ("data".to_owned(), Value::Union(1, Box::new(Value::Record(fields)))),
            ("beforeData".to_owned(), Value::Union(0, Box::new(Value::Null))),
            ("headers".to_owned(), Value::Record(headers)),
        ]);
        let schema = Schema::parse_str(&self.schema()).expect("a schema");
        let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
        let datum = writer.write_value_to_vec(value).expect("written");
        ([&[0], &id.to_be_bytes()[..], &datum].concat(), row)
    }
}

fn registry() -> HashMap<u32, Arc<WriterSchema>> {
    let parse = |version: &Version| Arc::new(WriterSchema::parse(&version.schema()).expect("a schema"));
    (1..).zip(VERSIONS.iter().map(parse)).collect()
}

fn change(schemas: &impl SchemaLookup, value: &[u8]) -> Change {
    let entity = Entity::Customers;
    let message = Message { entity, key: None, value: Some(value), key_schema_header: None, value_schema_header: None };
    match decode(schemas, &message) {
        Ok(Decoded::Change(change)) => *change,
        other => panic!("{other:?}"),
    }
}

/// One after the other, as a topic has them.
#[test]
fn each_version_gives_the_row_that_its_writer_wrote() {
    let registry = registry();
    for (id, version) in (1..).zip(&VERSIONS) {
        let (value, row) = version.message(id, 7);
        let change = change(&registry, &value);
        assert_eq!(change.image, Image::Complete(row), "version {id}");
        assert_eq!((change.key.as_str(), change.table.as_str()), ("C-1", "shop.customers"), "version {id}");
    }
}

/// A column that a version doesn't have is absent, which isn't null.
#[test]
fn a_column_that_is_gone_is_absent_and_one_that_is_null_is_null() {
    let registry = registry();
    let row = |id: u32, number: i32| {
        let version = &VERSIONS[usize::try_from(id).expect("small") - 1];
        match change(&registry, &version.message(id, number).0).image {
            Image::Complete(row) => row,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(row(1, 3).get("name"), Some(&AttributeValue::Null));
    assert_eq!(row(1, 3).get("email"), None);
    assert_eq!(row(2, 3).get("email"), Some(&AttributeValue::Null));
    assert_eq!(row(3, 3).get("name"), None);
    assert_eq!(row(4, 1).get("visits"), Some(&AttributeValue::N("10000000000".to_owned())));
    assert_eq!(row(6, 1).keys().collect::<Vec<_>>(), ["customer_id", "email", "visit_count"]);
}

proptest! {
    /// Rolling deployments of a source mix versions in one partition.
    #[test]
    fn versions_may_be_mixed_in_one_partition(records in prop::collection::vec((0..VERSIONS.len(), 0..1_000), 1..20)) {
        let registry = registry();
        for (index, number) in records {
            let id = u32::try_from(index).expect("small") + 1;
            let (value, row) = VERSIONS[index].message(id, number);
            prop_assert_eq!(change(&registry, &value).image, Image::Complete(row));
        }
    }
}
