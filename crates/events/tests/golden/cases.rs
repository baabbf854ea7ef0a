//! The cases: each carriage with each operation, and what is peculiar to some.

use events::qlik::encode::{Carriage, Encoder, Record, SchemaIds, Written, sample_columns};
use events::{AttributeValue, ChangeSequence, Columns, Entity, JsonText, Operation, Timestamp};
use serde_json::{Value, json};

use crate::known::{ANNOUNCED, ANNOUNCED_JSON, ENVELOPE, FLAT, KEY, VALUE, guid};

/// A message, and what it means.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) entity: Entity,
    pub(crate) message: Written,
    pub(crate) means: Value,
}

const ENTITY: Entity = Entity::Customers;
const STREAM_POSITION: &str = "00000000.00bb2531.00000001.0000.02.0000:154.6963.16";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for carriage in Carriage::ALL {
        let name = carriage.as_str();
        for operation in Operation::ALL {
            cases.push(plain(&format!("{name}_{operation}"), carriage, operation));
        }
        cases.extend(deletions(name, carriage));
        cases.extend(updates(name, carriage));
    }
    let guids = SchemaIds { value: guid(1), key: guid(2), ..ids(Carriage::Header) };
    let by_guid = message(Carriage::Header, &guids, &Change::default());
    cases.push(Case { message: by_guid, ..plain("header_guid_insert", Carriage::Header, Operation::Insert) });
    cases.extend(metadata());
    cases.extend(json_places());
    cases.extend(keys());
    cases.extend(other());
    cases
}

/// What is written, where it isn't the usual.
struct Change<'a> {
    operation: Operation,
    columns: Columns,
    before: Option<Columns>,
    key: Option<&'a str>,
    mask: Option<&'a [u8]>,
}

impl Default for Change<'_> {
    fn default() -> Self {
        Self { operation: Operation::Insert, columns: row("C-1", 7), before: None, key: Some("C-1"), mask: None }
    }
}

fn row(key: &str, revision: u64) -> Columns {
    sample_columns(ENTITY, key, revision)
}

fn of(columns: &[(&str, AttributeValue)]) -> Columns {
    columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn ids(carriage: Carriage) -> SchemaIds<'static> {
    let value = if carriage == Carriage::FlatAvro { FLAT } else { VALUE };
    let announced = if carriage == Carriage::JsonEnvelope { ANNOUNCED_JSON } else { ANNOUNCED };
    SchemaIds { value: value.into(), key: KEY.into(), envelope: ENVELOPE, announced }
}

fn at() -> Timestamp {
    "2026-03-04T05:06:07.89Z".parse().expect("a time")
}

fn message(carriage: Carriage, ids: &SchemaIds<'_>, change: &Change<'_>) -> Written {
    let sequence = ChangeSequence::new(at(), 5);
    let record = Record {
        entity: ENTITY,
        operation: change.operation,
        columns: &change.columns,
        before: change.before.as_ref(),
        change_sequence: (change.operation != Operation::Refresh).then_some(&sequence),
        committed_at: at(),
        stream_position: STREAM_POSITION,
        transaction_id: "00000000000000000000000000060008",
        column_mask: change.mask,
    };
    Encoder::new(ENTITY).message(carriage, ids, &record, change.key).expect("encoded")
}

fn columns(known: &Columns) -> Value {
    serde_json::from_str(JsonText::of_columns(known).as_str()).expect("JSON")
}

/// What a change means. Only where a schema or metadata tells the table, it is known.
fn means(carriage: Carriage, operation: Operation, key: &str, previous: Option<&str>, image: Value) -> Value {
    let table = match carriage {
        Carriage::FlatAvro | Carriage::Json | Carriage::FlatJson => "customers",
        _ => "shop.customers",
    };
    let sequence = (operation != Operation::Refresh).then_some("20260304050607890000000000000000005");
    let mut change = json!({
        "entity": ENTITY, "operation": operation, "key": key, "previous_key": previous,
        "sequence": sequence, "committed_at": "2026-03-04T05:06:07.89Z",
        "stream_position": STREAM_POSITION, "table": table,
    });
    change["image"] = image;
    json!({ "change": change })
}

fn case(name: String, carriage: Carriage, change: &Change<'_>, means: Value) -> Case {
    Case { name, entity: ENTITY, message: message(carriage, &ids(carriage), change), means }
}

/// A whole row. An update in JSON is whole only where metadata has told the columns.
fn plain(name: &str, carriage: Carriage, operation: Operation) -> Case {
    let change = Change { operation, ..Change::default() };
    let all = columns(&change.columns);
    let image = match operation {
        Operation::Delete => json!("gone"),
        Operation::Update if matches!(carriage, Carriage::Json | Carriage::FlatJson) => json!({ "partial": all }),
        _ => json!({ "complete": all }),
    };
    case(name.to_owned(), carriage, &change, means(carriage, operation, "C-1", None, image))
}

/// P1.2: the key of a deletion comes from Kafka's, else from the image before, else from the data.
fn deletions(name: &str, carriage: Carriage) -> Vec<Case> {
    let operation = Operation::Delete;
    let gone = |key| means(carriage, operation, key, None, json!("gone"));
    let (nothing, before) = (Columns::new(), Some(row("C-2", 6)));
    let by = |place: &str, change: Change<'_>, means: Value| {
        case(format!("{name}_delete_key_{place}"), carriage, &Change { operation, ..change }, means)
    };
    vec![
        by("of_kafka", Change { columns: nothing.clone(), ..Change::default() }, gone("C-1")),
        by("of_before", Change { columns: nothing.clone(), before, key: None, ..Change::default() }, gone("C-2")),
        by("of_data", Change { columns: row("C-3", 6), key: None, ..Change::default() }, gone("C-3")),
        by("nowhere", Change { columns: nothing, key: None, ..Change::default() }, json!({ "poison": "row_key" })),
    ]
}

fn updates(name: &str, carriage: Carriage) -> Vec<Case> {
    let operation = Operation::Update;
    let text = AttributeValue::text;
    let some = of(&[("customer_id", text("C-1")), ("email", text("new@example.com")), ("name", text("Ada"))]);
    let mut others_null = row("C-1", 7);
    for column in ["credit", "active", "updated_at"] {
        others_null.insert(column.to_owned(), AttributeValue::Null);
    }
    let update = |what: &str, change: Change<'_>, means: Value| {
        case(format!("{name}_update_{what}"), carriage, &Change { operation, ..change }, means)
    };
    let said = |image: Value| means(carriage, operation, "C-1", None, image);
    let moved = |image: Value| means(carriage, operation, "C-2", Some("C-1"), image);
    let mut cases = vec![
        // Name, email and key: bits 0 to 2. Without a mask the other columns would be overwritten.
        update(
            "partial",
            Change { columns: some.clone(), mask: Some(&[0b0000_0111]), ..Change::default() },
            said(json!({ "partial": columns(&some) })),
        ),
        update(
            "with_before",
            Change { before: Some(row("C-1", 6)), mask: Some(&[0b0011_1111]), ..Change::default() },
            match carriage {
                Carriage::Json | Carriage::FlatJson => said(json!({ "partial": columns(&row("C-1", 7)) })),
                _ => said(json!({ "complete": columns(&row("C-1", 7)) })),
            },
        ),
        update(
            "move",
            Change {
                columns: row("C-2", 7),
                before: Some(row("C-1", 6)),
                key: Some("C-2"),
                mask: Some(&[0b0011_1111]),
                ..Change::default()
            },
            moved(json!({ "complete": columns(&row("C-2", 7)) })),
        ),
        // A row with values that the mask says are absent.
        update(
            "mask_that_fits_nowhere",
            Change { mask: Some(&[0b0000_0001]), ..Change::default() },
            json!({ "poison": "column_mask" }),
        ),
    ];
    // Nulls that are there, and nulls that stand for what was left out.
    cases.push(update(
        "nulls_present",
        Change { columns: others_null.clone(), mask: Some(&[0b0011_1111]), ..Change::default() },
        match carriage {
            Carriage::Json => said(json!({ "partial": columns(&others_null) })),
            Carriage::FlatJson => said(json!({ "partial": columns(&others_null) })),
            _ => said(json!({ "complete": columns(&others_null) })),
        },
    ));
    let with_value: Columns = others_null
        .iter()
        .filter(|(_, value)| **value != AttributeValue::Null)
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    cases.push(update(
        "nulls_absent",
        Change { columns: others_null, mask: Some(&[0b0000_0111]), ..Change::default() },
        said(json!({ "partial": columns(&with_value) })),
    ));
    if carriage.is_json() {
        // The last columns are left out, and no mask says so.
        cases.push(update(
            "without_last_columns",
            Change { columns: some.clone(), ..Change::default() },
            said(json!({ "partial": columns(&some) })),
        ));
    }
    cases
}

fn metadata() -> Vec<Case> {
    let (announced, by_id) = (ids(Carriage::EnvelopeAnnounced), ids(Carriage::EnvelopeById));
    let written = |carriage: Carriage, ids: &SchemaIds<'_>| {
        Encoder::new(ENTITY).metadata(carriage, ids).expect("encoded").expect("an envelope")
    };
    let case =
        |name: &str, message: Written, means: Value| Case { name: name.to_owned(), entity: ENTITY, message, means };
    let unannounced = SchemaIds { announced: "ffffffffffffffffffffffffffffffff", ..announced };
    let number = SchemaIds { announced: "7", ..announced };
    let unknown = SchemaIds { value: 99.into(), ..by_id };
    let data = |carriage: Carriage, ids: &SchemaIds<'_>| message(carriage, ids, &Change::default());
    vec![
        case("metadata_envelope", written(Carriage::EnvelopeAnnounced, &announced), json!({ "announces": ANNOUNCED })),
        case("metadata_beside_registry", written(Carriage::EnvelopeById, &by_id), json!({ "announces": ANNOUNCED })),
        case(
            "metadata_json",
            written(Carriage::JsonEnvelope, &ids(Carriage::JsonEnvelope)),
            json!({ "announces": ANNOUNCED_JSON }),
        ),
        case(
            "envelope_before_its_metadata",
            data(Carriage::EnvelopeAnnounced, &unannounced),
            json!({ "needs_announcement": unannounced.announced }),
        ),
        // Without a registry a number is a name like any other.
        case(
            "envelope_number_before_its_metadata",
            data(Carriage::EnvelopeAnnounced, &number),
            json!({ "needs_announcement": "7" }),
        ),
        case("envelope_by_unknown_id", data(Carriage::EnvelopeById, &unknown), json!({ "needs_schema": "99" })),
    ]
}

/// Where the operation and the images may be, beside the places that the encoder knows.
fn json_places() -> Vec<Case> {
    let sequence = "20260304050607890000000000000000005";
    let nested = r#"{"customer_id":"C-1","name":"Ada"}"#;
    let known = json!({ "customer_id": "C-1", "name": "Ada" });
    let headers = |prefix: &str, operation: &str| {
        format!(
            r#""{prefix}operation":"{operation}","{prefix}changeSequence":"{sequence}","{prefix}timestamp":"2026-03-04T05:06:07.89","{prefix}streamPosition":"{STREAM_POSITION}""#
        )
    };
    let check = |name: &str, value: String, operation: Operation, key: &str, image: Value| Case {
        name: format!("json_{name}"),
        entity: ENTITY,
        message: Written { value: Some(value.into_bytes()), ..Written::default() },
        means: means(Carriage::Json, operation, key, None, image),
    };
    let complete = || json!({ "complete": known });
    let (insert, delete) = (Operation::Insert, Operation::Delete);
    vec![
        check(
            "operation_in_message",
            format!(r#"{{"message":{{"data":{nested},{}}}}}"#, headers("", "INSERT")),
            insert,
            "C-1",
            complete(),
        ),
        check(
            "headers_in_message",
            format!(r#"{{"message":{{"data":{nested},"headers":{{{}}}}}}}"#, headers("", "INSERT")),
            insert,
            "C-1",
            complete(),
        ),
        check(
            "headers_flat_in_message",
            format!(r#"{{"message":{{"data":{nested},{}}}}}"#, headers("headers_", "INSERT")),
            insert,
            "C-1",
            complete(),
        ),
        check(
            "headers_flat_with_two_signs",
            format!(r#"{{{},"data":{nested},"beforeData":null}}"#, headers("headers__", "INSERT")),
            insert,
            "C-1",
            complete(),
        ),
        check(
            "headers_flat_with_a_point",
            format!(r#"{{{},"data.customer_id":"C-1","data.name":"Ada"}}"#, headers("headers.", "INSERT")),
            insert,
            "C-1",
            complete(),
        ),
        check(
            "columns_bare",
            format!(r#"{{"customer_id":"C-1",{},"name":"Ada"}}"#, headers("headers_", "INSERT")),
            insert,
            "C-1",
            complete(),
        ),
        // A null image doesn't hide the other one, nor the flattened one of its own name.
        check(
            "flat_data_beside_null_before",
            format!(
                r#"{{"data_customer_id":"C-1","data_name":"Ada","beforeData":null,{}}}"#,
                headers("headers_", "INSERT")
            ),
            insert,
            "C-1",
            complete(),
        ),
        check(
            "flat_before_beside_null_data",
            format!(
                r#"{{"data":null,"beforeData_customer_id":"C-1","beforeData_name":"Ada",{}}}"#,
                headers("headers_", "DELETE")
            ),
            delete,
            "C-1",
            json!("gone"),
        ),
        check(
            "nested_before_beside_null_data",
            format!(r#"{{"data":null,"beforeData":{nested},{}}}"#, headers("headers_", "DELETE")),
            delete,
            "C-1",
            json!("gone"),
        ),
        check(
            "flat_data_beside_before_of_nulls",
            format!(
                r#"{{"data_customer_id":"C-1","data_name":"Ada","beforeData_customer_id":null,"beforeData_name":null,{}}}"#,
                headers("headers_", "INSERT")
            ),
            insert,
            "C-1",
            complete(),
        ),
    ]
}

/// Keys that aren't Avro.
fn keys() -> Vec<Case> {
    let check = |name: &str, key: &str, of: &str, change: Value| Case {
        name: format!("key_{name}"),
        entity: ENTITY,
        message: Written {
            key: Some(key.as_bytes().to_vec()),
            ..message(
                Carriage::Json,
                &ids(Carriage::Json),
                &Change { columns: row(of, 7), key: None, ..Change::default() },
            )
        },
        means: change,
    };
    let insert =
        |key: &str| means(Carriage::Json, Operation::Insert, key, None, json!({ "complete": columns(&row(key, 7)) }));
    let poison = |class: &str| json!({ "poison": class });
    vec![
        check("text", "C-1", "C-1", insert("C-1")),
        check("text_with_a_bracket", "[west] 1", "[west] 1", insert("[west] 1")),
        check("quoted", "\"C-1\"", "C-1", insert("C-1")),
        check("number", "42", "42", insert("42")),
        check("object", r#"{"CUSTOMER_ID":"C-1"}"#, "C-1", insert("C-1")),
        check("object_of_a_number", r#"{"customer_id":42}"#, "42", insert("42")),
        check("object_cut", r#"{"customer_id":"C-"#, "C-1", poison("json_key")),
        check("of_another_row", "C-2", "C-1", poison("row_key")),
        check("table_name", "shop.customers", "C-1", poison("row_key")),
        check("nested", r#"{"customer_id":{"a":1}}"#, "C-1", poison("row_key")),
    ]
}

/// What is no change.
fn other() -> Vec<Case> {
    let case =
        |name: &str, message: Written, means: Value| Case { name: name.to_owned(), entity: ENTITY, message, means };
    let poison = |class: &str| json!({ "poison": class });
    let value = |bytes: &[u8]| Written { value: Some(bytes.to_vec()), ..Written::default() };
    let framed = message(Carriage::Framed, &ids(Carriage::Framed), &Change::default());
    let bytes = framed.value.clone().expect("a value");
    let header = message(Carriage::Header, &ids(Carriage::Header), &Change::default());
    let json = |text: &str| value(text.as_bytes());
    let edited = |from: &str, to: &str, operation: Operation| {
        let change = Change { operation, mask: Some(&[0b0011_1111]), ..Change::default() };
        let text = String::from_utf8(message(Carriage::Json, &ids(Carriage::Json), &change).value.expect("a value"));
        let text = text.expect("text");
        assert!(text.contains(from), "{text}");
        json(&text.replace(from, to))
    };
    let update = Operation::Update;
    vec![
        case("tombstone", Written { value: None, ..framed.clone() }, json!("compaction mark")),
        case("poison_empty", value(b""), poison("unframed")),
        case("poison_unframed", value(&bytes[5..]), poison("unframed")),
        case("poison_truncated", value(&bytes[..bytes.len() - 3]), poison("avro_value")),
        case("poison_trailing_bytes", value(&[&bytes[..], &[0]].concat()), poison("avro_value")),
        case("needs_schema", value(&[&[0, 0, 0, 0, 99], &bytes[5..]].concat()), json!({ "needs_schema": "99" })),
        case(
            "needs_key_schema",
            Written { key: Some(vec![0, 0, 0, 0, 98]), ..framed.clone() },
            json!({ "needs_schema": "98" }),
        ),
        case(
            "needs_schema_by_guid",
            Written { value_schema_header: Some(guid(9).to_header()), ..header.clone() },
            json!({ "needs_schema": guid(9).to_string() }),
        ),
        case(
            "poison_value_header",
            Written { value_schema_header: Some(vec![2, 0, 0, 0, 7]), ..header.clone() },
            poison("schema_header"),
        ),
        case(
            "poison_key_header",
            Written { key_schema_header: Some(vec![1, 0, 0, 0, 8]), ..header },
            poison("schema_header"),
        ),
        case("poison_key_encoding", Written { key: Some(vec![0xff, 0xfe]), ..framed }, poison("key_encoding")),
        case("poison_envelope_truncated", value(b"atMSG\x04DT"), poison("avro_value")),
        case("poison_json", json("{\"data\":"), poison("json_value")),
        case("poison_json_magic", json(r#"{"magic":"atMSX","type":"DT","message":{}}"#), poison("envelope_magic")),
        case("poison_json_type", json(r#"{"magic":"atMSG","type":"XX","message":{}}"#), poison("envelope_type")),
        case("poison_json_message", json(r#"{"magic":"atMSG","type":"DT","message":"text"}"#), poison("record_shape")),
        case("poison_json_headers", json(r#"{"data":{"customer_id":"C-1"}}"#), poison("record_shape")),
        case("poison_json_image", edited(r#""beforeData":null"#, r#""beforeData":[]"#, update), poison("record_shape")),
        case("poison_operation", edited("\"INSERT\"", "\"UPSERT\"", Operation::Insert), poison("unknown_operation")),
        case("poison_sequence", edited("20260304050607890000000000000000005", "5", update), poison("change_sequence")),
        case("poison_time", edited("2026-03-04T05:06:07.89", "yesterday", update), poison("commit_time")),
        case("poison_mask_digits", edited("\"3F\"", "\"3G\"", update), poison("column_mask")),
        case("poison_mask_type", edited("\"3F\"", "63", update), poison("column_mask")),
        // Of an insert nobody asks what is masked.
        Case {
            name: "json_insert_with_a_mask_of_another_type".to_owned(),
            message: edited("\"3F\"", "63", Operation::Insert),
            ..key_of_data()
        },
        case(
            "poison_no_image",
            json(r#"{"data":null,"headers":{"operation":"INSERT"},"beforeData":null}"#),
            poison("row_key"),
        ),
    ]
}

/// A change in JSON whose key is that of its data.
fn key_of_data() -> Case {
    plain("", Carriage::Json, Operation::Insert)
}
