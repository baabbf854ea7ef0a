//! Change records in JSON, as Replicate writes them: masks are hexadecimal digits, and columns that a record doesn't have are left out.

use super::columns::columns_of;
use super::{Record, commit_time, operation_name, schema_json};
use crate::version::ChangeSequence;
use crate::{Columns, Entity, JsonText};

/// A data record.
pub(super) fn record(record: &Record<'_>) -> String {
    let data = JsonText::of_columns(record.columns);
    let before = record.before.map_or_else(|| "null".to_owned(), |before| JsonText::of_columns(before).to_string());
    format!(r#"{{"data":{data},"beforeData":{before},"headers":{{{}}}}}"#, headers(record, ""))
}

/// A flattened data record.
pub(super) fn flat_record(record: &Record<'_>) -> String {
    let before = match record.before {
        Some(before) => members(before, "beforeData_"),
        None => r#""beforeData":null"#.to_owned(),
    };
    let parts = [members(record.columns, "data_"), before, headers(record, "headers_")];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{{{}}}", parts.join(","))
}

/// Replicate's envelope.
pub(super) fn envelope(kind: &str, schema_id: Option<&str>, message: &str) -> String {
    let schema_id = schema_id.map_or_else(|| "null".to_owned(), |id| JsonText::quote(id).to_string());
    format!(
        r#"{{"magic":"atMSG","type":"{kind}","headers":null,"messageSchemaId":{schema_id},"messageSchema":null,"message":{message}}}"#
    )
}

/// A key record.
pub(super) fn key(entity: Entity, key: &str) -> String {
    let key = JsonText::quote(key);
    let members: Vec<String> = entity.key_columns().iter().map(|name| format!(r#""{name}":{key}"#)).collect();
    format!("{{{}}}", members.join(","))
}

/// A table's metadata.
pub(super) fn metadata(entity: Entity, id: &str) -> String {
    let columns = columns_of(entity).iter().enumerate().map(|(ordinal, column)| {
        let is_key = entity.key_columns().contains(&column.name);
        format!(r#""{}":{{"ordinal":{ordinal},"primaryKeyPosition":{}}}"#, column.name, u8::from(is_key))
    });
    let columns: Vec<String> = columns.collect();
    format!(
        r#"{{"schemaId":{},"lineage":{{"server":"tandem","task":"tandem","schema":"shop","table":"{entity}","tableVersion":1}},"tableStructure":{{"tableColumns":{{{}}}}},"dataSchema":{}}}"#,
        JsonText::quote(id),
        columns.join(","),
        schema_json(entity),
    )
}

fn members(columns: &Columns, prefix: &str) -> String {
    let prefixed: Columns = columns.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())).collect();
    let object = JsonText::of_columns(&prefixed);
    object.as_str()[1..object.as_str().len() - 1].to_owned()
}

fn headers(record: &Record<'_>, prefix: &str) -> String {
    let text = |text: &str| JsonText::quote(text).to_string();
    let mask = record.column_mask.map_or_else(
        || "null".to_owned(),
        |mask| format!("\"{}\"", mask.iter().map(|byte| format!("{byte:02X}")).collect::<String>()),
    );
    let headers = [
        ("operation", text(operation_name(record.operation))),
        ("changeSequence", text(record.change_sequence.map_or("", ChangeSequence::as_str))),
        ("timestamp", text(&commit_time(record))),
        ("streamPosition", text(record.stream_position)),
        ("transactionId", text(record.transaction_id)),
        ("changeMask", "null".to_owned()),
        ("columnMask", mask),
        ("transactionEventCounter", "1".to_owned()),
        ("transactionLastEvent", "true".to_owned()),
    ];
    let headers = headers.into_iter().map(|(name, value)| format!(r#""{prefix}{name}":{value}"#));
    headers.collect::<Vec<_>>().join(",")
}
