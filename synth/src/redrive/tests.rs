//! What the tests of this module share.

use std::path::Path;

use events::dead_letter::{DeadLetterEvent, RecordEncoding};
use events::{JsonText, Region};
use infra::environment::Environment;

/// The committed sandbox: two regions, `us-west-2` at home and `us-east-1`.
pub(crate) fn environment() -> Environment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/sandbox.toml");
    let text = std::fs::read_to_string(path).expect("a committed file");
    Environment::parse("environments/sandbox.toml", &text).expect("a good file")
}

pub(super) fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// A dead letter of the home region.
pub(super) fn letter(program: &str, source: &str, position: &str, record: &str) -> DeadLetterEvent {
    let at = "2026-03-04T05:06:07Z".parse().expect("a time");
    DeadLetterEvent {
        program: program.to_owned(),
        program_version: "0.0.0".to_owned(),
        region: region("us-west-2"),
        source: source.to_owned(),
        position: position.to_owned(),
        error_class: "malformed_row".to_owned(),
        message: "the record's new image is no row".to_owned(),
        attempts: 1,
        first_seen: at,
        failed_at: at,
        trace: None,
        trace_id: None,
        traceparent: None,
        record_encoding: RecordEncoding::Json,
        record: JsonText::parse_or_quote(record),
    }
}
