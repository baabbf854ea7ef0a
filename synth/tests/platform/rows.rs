//! Rows, put into the home region's table as the consumer writes them.

use serde_json::{Value as Json, json};

use crate::aws::Aws;

/// The table that they are put into.
pub(crate) const TABLE: &str = "tandem-sandbox-customers";

pub(crate) fn put_row(aws: &Aws, row: &Json) {
    aws.call("dynamodb", "PutItem", &json!({"TableName": TABLE, "Item": row}));
}

/// A row as the consumer writes it.
pub(crate) fn row(key: &str) -> Json {
    let text = |text: &str| json!({"S": text});
    let number = json!({"N": "0"});
    let trace = json!({
        "task": text("a-test"), "table": text("dbo.customers"), "change_sequence": text(""),
        "stream_position": text(""), "topic": text("qlik.customers"), "partition": number, "offset": number,
    });
    json!({
        "pk": text(key), "src": text("a-test"), "ver": text("0000000000|0|"), "ep": {"N": "0"},
        "origin_region": text(crate::HOME), "event_id": text(&uuid::Uuid::new_v4().to_string()), "op": text("refresh"),
        "committed_at": text("2026-01-01T00:00:00Z"), "trace": {"M": trace}, "data": {"M": {"name": text(key)}},
    })
}
