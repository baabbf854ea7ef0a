//! What comes from Kafka and the Schema Registry: values, keys, headers, metadata, schemas, answers.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

use consumer::registry::Registry;
use events::Entity;
use events::qlik::{Announcements, Decoded, Message, WriterSchema, decode};

use crate::parser::{Parser, monsters};
use crate::samples::qlik::{self, array_schema, embedded, long, string};
use crate::{block_on, text};

static SCHEMAS: LazyLock<HashMap<u32, Arc<WriterSchema>>> = LazyLock::new(|| {
    let parsed = |json: &String| Arc::new(WriterSchema::parse(json).expect("a schema"));
    qlik::schemas().iter().map(|(id, json)| (*id, parsed(json))).collect()
});

fn is_change(key: Option<&[u8]>, value: &[u8]) -> bool {
    matches!(decode(&*SCHEMAS, &message(key, value)), Ok(Decoded::Change(_)))
}

fn message<'m>(key: Option<&'m [u8]>, value: &'m [u8]) -> Message<'m> {
    let entity = Entity::Customers;
    Message { entity, key, value: Some(value), key_schema_header: None, value_schema_header: None }
}

/// A message's value. The Avro library's parser of schemas is most of the bound; a value itself takes what its bytes are worth.
pub(crate) const VALUE: Parser = Parser {
    corpus: &["corpus/qlik_value"],
    parse: |bytes| {
        LazyLock::force(&SCHEMAS);
        is_change(None, bytes)
    },
    memory: [40 * 1024 * 1024, 400],
    hostile: || {
        let mut values = vec![vec![0xff; 1_000_000], qlik::odd_value(&[long(1_000_000), vec![2; 1_000_000]].concat())];
        // Lists that say of themselves to be as long as may be.
        for count in [299_593, 1 << 24, 1 << 40, i64::MAX, i64::MIN + 1, -299_593] {
            values.push(qlik::odd_value(&long(count)));
            values.push(qlik::odd_value(&long(count).repeat(100)));
        }
        // Schemas that come with their message.
        let nothing = array_schema("\"null\"");
        let lists_of_nothing = array_schema(&nothing);
        let empty = array_schema("{\"type\":\"record\",\"name\":\"Empty\",\"fields\":[]}");
        let zero = array_schema("{\"type\":\"fixed\",\"name\":\"Zero\",\"size\":0}");
        for schema in [&nothing, &lists_of_nothing, &empty, &zero] {
            let list = [long(299_593).repeat(10), long(0)].concat();
            values.push(embedded(schema, &[long(10_000), list.repeat(10_000)].concat()));
        }
        for size in ["9223372036854775807", "18446744073709551615", "1099511627776", "4294967296"] {
            values.push(embedded(&format!("{{\"type\":\"fixed\",\"name\":\"F\",\"size\":{size}}}"), b"a"));
        }
        values.push(embedded(&qlik::list_of_itself(), &long(1).repeat(1_000_000)));
        values.push(embedded(&qlik::doubling(32), b""));
        values.push(embedded(&format!("\"{}\"", "a".repeat(1_000_000)), b""));
        values
    },
};

/// A message's key, with a good value.
pub(crate) const KEY: Parser = Parser {
    corpus: &["corpus/qlik_key"],
    parse: |bytes| {
        static VALUE: LazyLock<Vec<u8>> = LazyLock::new(qlik::insert);
        LazyLock::force(&SCHEMAS);
        is_change(Some(bytes), &VALUE)
    },
    memory: [20 * 1024 * 1024, 30],
    hostile: || {
        let framed = |rest: Vec<u8>| [&[0, 0, 0, 0, 8][..], &rest].concat();
        let letters = vec![b'a'; 1_000_000];
        let counts = [16 << 20, i64::MAX, i64::MIN].map(|count| framed(long(count)));
        let mut keys = vec![letters.clone(), vec![0; 1_000_000], framed(string(&"a".repeat(1_000_000)))];
        keys.extend(counts);
        keys
    },
};

/// A value in JSON, in all its forms.
pub(crate) const JSON_VALUE: Parser = Parser {
    corpus: &["corpus/qlik_json_value"],
    parse: |bytes| {
        LazyLock::force(&SCHEMAS);
        is_change(None, bytes)
    },
    memory: [256 * 1024, 120],
    hostile: || {
        let text = |name: &str| {
            let found = qlik::json_values().into_iter().find(|(found, _)| *found == name).expect("a sample");
            String::from_utf8(found.1).expect("text")
        };
        let mut values = monsters(&text("nested"), &["\"0:1\"", "null"]);
        values.extend(monsters(&text("flat"), &["\"0:1\"", "null"]));
        values
    },
};

/// A key in JSON, with a good value in JSON.
pub(crate) const JSON_KEY: Parser = Parser {
    corpus: &["corpus/qlik_json_key"],
    parse: |bytes| {
        static VALUE: LazyLock<Vec<u8>> = LazyLock::new(qlik::json_insert);
        LazyLock::force(&VALUE);
        is_change(Some(bytes), &VALUE)
    },
    memory: [256 * 1024, 120],
    hostile: || monsters("{\"customer_id\":\"C-1\"}", &["\"C-1\""]),
};

/// The header that names a value's schema, with a good value.
pub(crate) const SCHEMA_HEADER: Parser = Parser {
    corpus: &["corpus/qlik_schema_header"],
    parse: |bytes| {
        static VALUE: LazyLock<Vec<u8>> = LazyLock::new(|| qlik::insert().split_off(5));
        LazyLock::force(&SCHEMAS);
        let message = Message { value_schema_header: Some(bytes), ..message(None, &VALUE) };
        matches!(decode(&*SCHEMAS, &message), Ok(Decoded::Change(_)))
    },
    memory: [64 * 1024, 2],
    hostile: || vec![vec![0; 1_000_000], vec![1; 1_000_000]],
};

/// A metadata message, kept as what it announces.
pub(crate) const METADATA: Parser = Parser {
    corpus: &["corpus/qlik_metadata"],
    parse: |bytes| {
        LazyLock::force(&SCHEMAS);
        match decode(&*SCHEMAS, &message(None, bytes)) {
            Ok(Decoded::Metadata(Some(announcement))) => Announcements::default().add(*announcement),
            _ => false,
        }
    },
    // The schema in it is parsed.
    memory: [512 * 1024, 400],
    hostile: || {
        let text = String::from_utf8(qlik::json_metadata()).expect("text");
        let mut messages = monsters(&text, &["\"shop\"", "{\"ordinal\":0,\"primaryKeyPosition\":1}"]);
        messages.push(qlik::metadata_with(&qlik::doubling(32)));
        messages.push(qlik::metadata_with(&array_schema("null").replacen("null", &"[".repeat(1_000_000), 1)));
        messages
    },
};

/// A schema, by which values are read later.
pub(crate) const SCHEMA: Parser = Parser {
    corpus: &["corpus/avro_schema"],
    parse: |bytes| WriterSchema::parse(&text(bytes)).is_ok(),
    memory: [256 * 1024, 400],
    hostile: || {
        let mut schemas = monsters(&qlik::schemas()[&7], &["\"string\""]);
        schemas.push(qlik::doubling(32).into_bytes());
        schemas.push(array_schema("null").replacen("null", &"[".repeat(100), 1).into_bytes());
        schemas
    },
};

/// What the registry answers to a request for a schema. More than 4 MiB aren't read.
pub(crate) const REGISTRY_ANSWER: Parser = Parser {
    corpus: &["corpus/registry_answer"],
    parse: |bytes| {
        static NEXT_ID: AtomicU32 = AtomicU32::new(1);
        bytes.clone_into(&mut ANSWER.lock().expect("not poisoned"));
        block_on(REGISTRY.fetch(NEXT_ID.fetch_add(1, Ordering::Relaxed))).is_ok()
    },
    // With what the server takes to send it.
    memory: [4 * 1024 * 1024, 400],
    hostile: || {
        let answer = qlik::registry_answer();
        let mut answers = monsters(&answer, &["\"AVRO\"", "[]"]);
        answers.push(answer.replacen('}', &format!("{}}}", " ".repeat(8_000_000)), 1).into_bytes());
        answers.push(qlik::answer_with(&qlik::doubling(32)).into_bytes());
        answers
    },
};

/// What the registry below answers.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A registry on this machine; each request has a connection of its own.
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut seen = Vec::new();
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                seen.extend(&piece[..count]);
                if seen.ends_with(b"\r\n\r\n") {
                    let body = ANSWER.lock().expect("not poisoned").clone();
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                    // The other side may have had enough.
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
                    break;
                }
            }
        }
    });
    Registry::new(&url, None).expect("a URL")
});
