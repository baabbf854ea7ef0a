//! Golden vectors: messages of every carriage, with what they mean in readable form, one file each in `tests/golden`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p events --test golden` writes the files anew, from the cases below and the crate's own encoder.
//! What a message means is said by its case and not by the decoder, so the files are no echo of it.
//! Vectors that another Avro implementation has written are in `tests/vectors`.

#[path = "golden/cases.rs"]
mod cases;
#[path = "golden/known.rs"]
mod known;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use events::JsonText;
use events::qlik::{Change, DecodeError, Decoded, Image, Message, decode};
use events::{ChangeSequence, Entity};
use serde_json::{Value, json};

use cases::{Case, cases};
use known::Known;

/// A case as its file tells it.
fn written(case: &Case) -> String {
    let hex = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(hexadecimal);
    let file = json!({
        "entity": case.entity,
        "message": {
            "key": hex(&case.message.key),
            "value": hex(&case.message.value),
            "headers": {
                "__key_schema_id": hex(&case.message.key_schema_header),
                "__value_schema_id": hex(&case.message.value_schema_header),
            },
            // For readers, where the bytes are text.
            "value_as_text": case.message.value.as_deref().and_then(|value| std::str::from_utf8(value).ok()).filter(|text| text.starts_with('{')),
        },
        "means": case.means,
    });
    format!("{file:#}\n")
}

#[test]
fn files_are_what_is_generated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut names = BTreeSet::new();
    for case in cases() {
        let path = folder.join(format!("{}.json", case.name));
        let expected = written(&case);
        if update {
            fs::write(&path, &expected).expect("written");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, expected, "`{}` differs; UPDATE_GOLDEN=1 writes it anew", case.name);
        assert!(names.insert(format!("{}.json", case.name)), "two cases are called `{}`", case.name);
    }
    let entries = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let files: BTreeSet<String> = entries.filter_map(|name| name.into_string().ok()).collect();
    let others: Vec<&String> = files.iter().filter(|name| name.ends_with(".json") && !names.contains(*name)).collect();
    assert!(others.is_empty(), "files of no case: {others:?}");
}

/// From the files' bytes alone.
#[test]
fn every_vector_means_what_its_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let known = Known::default();
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
        let bytes = |place: &str| file.pointer(place).and_then(Value::as_str).map(unhexadecimal);
        let (key, value) = (bytes("/message/key"), bytes("/message/value"));
        let (key_header, value_header) =
            (bytes("/message/headers/__key_schema_id"), bytes("/message/headers/__value_schema_id"));
        let entity: Entity = file["entity"].as_str().expect("an entity").parse().expect("an entity");
        let message = Message {
            entity,
            key: key.as_deref(),
            value: value.as_deref(),
            key_schema_header: key_header.as_deref(),
            value_schema_header: value_header.as_deref(),
        };
        assert_eq!(means(&decode(&known, &message)), file["means"], "{}", path.display());
        count += 1;
    }
    assert_eq!(count, cases().len());
}

/// What a message means, as the files say it.
fn means(decoded: &Result<Decoded, DecodeError>) -> Value {
    match decoded {
        Ok(Decoded::Change(change)) => json!({ "change": of_change(change) }),
        Ok(Decoded::CompactionMark) => json!("compaction mark"),
        Ok(Decoded::Metadata(None)) => json!("metadata"),
        Ok(Decoded::Metadata(Some(announcement))) => json!({ "announces": announcement.id() }),
        Err(DecodeError::UnknownSchema(id)) => json!({ "needs_schema": id.to_string() }),
        Err(DecodeError::UnannouncedSchema(id)) => json!({ "needs_announcement": id }),
        Err(DecodeError::Poison(poison)) => json!({ "poison": poison.class() }),
    }
}

fn of_change(change: &Change) -> Value {
    let columns = |columns| serde_json::from_str::<Value>(JsonText::of_columns(columns).as_str()).expect("JSON");
    let Change { entity, operation, key, previous_key, image, sequence, committed_at, stream_position, table } = change;
    json!({
        "entity": entity,
        "operation": operation,
        "key": key,
        "previous_key": previous_key,
        "image": match image {
            Image::Complete(known) => json!({ "complete": columns(known) }),
            Image::Partial(known) => json!({ "partial": columns(known) }),
            Image::Gone => json!("gone"),
        },
        "sequence": sequence.as_ref().map(ChangeSequence::as_str),
        "committed_at": committed_at.map(|at| at.to_string()),
        "stream_position": stream_position,
        "table": table,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhexadecimal(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "an odd number of digits");
    let pair = |pair: &[u8; 2]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    pairs.iter().map(|digits| pair(digits).expect("hexadecimal digits")).collect()
}
