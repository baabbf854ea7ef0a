//! How long it takes to decode a change record, by carriage.
//!
//! Customers of six columns with Qlik's nine headers and a key, no image before; one JSON document is printed, times in
//! nanoseconds for each record. `cargo bench -p events --bench qlik`; the number of records can be given:
//! `cargo bench -p events --bench qlik -- 2000`, and so can the name of the only carriage (`framed`). The time is that of the thread's processor.
//! The least of all rounds is what the work takes; the median is more where other work on the machine takes turns. Lengths are the same in each run, times are not.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use events::qlik::encode::{
    Carriage, ENVELOPE_SCHEMA, Encoder, Record, SchemaIds, Written, flat_schema_json, key_schema_json, sample_columns,
    schema_json,
};
use events::qlik::{
    Announcement, Announcements, Change, Decoded, EmbeddedSchemas, Fence, InvalidSchema, Origin, SchemaId,
    SchemaLookup, WriterSchema, decode,
};
use events::{ChangeSequence, Entity, Operation, Region, Timestamp};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

const ENTITY: Entity = Entity::Customers;
const VALUE: u32 = 7;
const KEY: u32 = 8;
const ENVELOPE: u32 = 9;
/// Records when no number is given.
const RECORDS: usize = 1000;
const ROUNDS: usize = 40;

fn main() -> ExitCode {
    let count = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(RECORDS);
    match writeln!(io::stdout(), "{:#}", measure(count)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a consumer knows: all schemas of one carriage.
struct Known {
    registered: HashMap<u32, Arc<WriterSchema>>,
    announcements: Announcements,
    embedded: EmbeddedSchemas,
}

impl Known {
    fn of(carriage: Carriage) -> Self {
        let parse = |json: &str| Arc::new(WriterSchema::parse(json).expect("a schema"));
        let value = if carriage == Carriage::FlatAvro { flat_schema_json(ENTITY) } else { schema_json(ENTITY) };
        let registered = HashMap::from([
            (VALUE, parse(&value)),
            (KEY, parse(&key_schema_json(ENTITY))),
            (ENVELOPE, parse(ENVELOPE_SCHEMA)),
        ]);
        let known = Self { registered, announcements: Announcements::default(), embedded: EmbeddedSchemas::default() };
        if let Some(metadata) = Encoder::new(ENTITY).metadata(carriage, &ids()).expect("encoded")
            && let Ok(Decoded::Metadata(Some(announcement))) = decode(&known, &metadata.message(ENTITY))
        {
            known.announcements.add(*announcement);
        }
        known
    }
}

impl SchemaLookup for Known {
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>> {
        self.registered.get(&id).cloned()
    }

    fn announced(&self, id: &str) -> Option<Arc<Announcement>> {
        self.announcements.get(id)
    }

    fn embedded(&self, json: &str) -> Result<Arc<WriterSchema>, InvalidSchema> {
        self.embedded.get(json)
    }
}

fn ids() -> SchemaIds<'static> {
    SchemaIds {
        value: SchemaId::Number(VALUE),
        key: SchemaId::Number(KEY),
        envelope: ENVELOPE,
        announced: "7d1f3c0e9a5b4c6d8e2f10a1b2c3d4e5",
    }
}

fn measure(count: usize) -> Value {
    let wanted = |carriage: &Carriage| {
        let mut named =
            std::env::args().filter(|argument| Carriage::ALL.iter().any(|known| known.as_str() == argument));
        named.next().is_none_or(|name| name == carriage.as_str())
    };
    let carriages: serde_json::Map<String, Value> = Carriage::ALL
        .into_iter()
        .filter(wanted)
        .map(|carriage| {
            let (known, messages) = (Known::of(carriage), written(carriage, count));
            let mut figures = times(&messages, |message| change(&known, message));
            figures["mean_value_bytes"] = json!(mean_bytes(&messages));
            (carriage.as_str().to_owned(), figures)
        })
        .collect();
    let (known, messages) = (Known::of(Carriage::Framed), written(Carriage::Framed, count));
    let (fence, topic) = (fence(), ENTITY.topic());
    let origin = origin(topic);
    let schema = Schema::parse_str(&schema_json(ENTITY)).expect("a schema");
    let reader = GenericDatumReader::builder(&schema).build().expect("a reader");
    json!({
        "records": count,
        "rounds": ROUNDS,
        "ns_per_record": {
            "decode": carriages,
            "decode_and_into_writes_framed": times(&messages, |message| change(&known, message).into_writes(&fence, &origin)),
            "avro_crate_generic_value_of_the_bare_datum": times(&messages, |message| {
                let mut datum = &message.value.as_deref().expect("a value")[5..];
                reader.read_value(&mut datum).expect("a value")
            }),
        },
    })
}

fn change(known: &Known, message: &Written) -> Change {
    match decode(known, &message.message(ENTITY)) {
        Ok(Decoded::Change(change)) => *change,
        other => panic!("{other:?}"),
    }
}

/// Times of a round over all messages, divided by their number. What the work gives is dropped within the time.
fn times<T>(messages: &[Written], work: impl Fn(&Written) -> T) -> Value {
    let mut rounds: Vec<Duration> = std::iter::repeat_with(|| {
        let started = cpu_time();
        for message in messages {
            drop(black_box(work(black_box(message))));
        }
        cpu_time() - started
    })
    .take(ROUNDS)
    .collect();
    rounds.sort();
    let each = |round: Duration| (round.as_secs_f64() * 1e9 / messages.len() as f64).round();
    json!({ "least": each(rounds[0]), "median": each(rounds[ROUNDS / 2]) })
}

/// What this thread has had of the processor: other work on the machine doesn't count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("invariant: a thread has a clock").into()
}

fn written(carriage: Carriage, count: usize) -> Vec<Written> {
    let encoder = Encoder::new(ENTITY);
    let committed_at: Timestamp = "2026-03-04T05:06:07.89Z".parse().expect("a time");
    let one = |number: usize| {
        let counter = u64::try_from(number).expect("small");
        let key = format!("C-{number:08}");
        let columns = sample_columns(ENTITY, &key, 40_000 + counter);
        let sequence = ChangeSequence::new(committed_at, counter);
        let record = Record {
            entity: ENTITY,
            operation: Operation::Insert,
            columns: &columns,
            before: None,
            change_sequence: Some(&sequence),
            committed_at,
            stream_position: "00000000.00bb2531.00000001.0000.02.0000:154.6963.16",
            transaction_id: "00000000000000000000000000060008",
            column_mask: Some(&[0x3f]),
        };
        encoder.message(carriage, &ids(), &record, Some(&key)).expect("encoded")
    };
    (0..count).map(one).collect()
}

fn mean_bytes(messages: &[Written]) -> usize {
    messages.iter().filter_map(|message| message.value.as_ref()).map(Vec::len).sum::<usize>() / messages.len().max(1)
}

fn fence() -> Fence {
    Fence {
        source: "shop".parse().expect("valid"),
        generation: 1,
        epoch: 1,
        origin_region: Region::new("us-west-2").expect("valid"),
        tombstone_retention: Duration::from_secs(60),
    }
}

fn origin(topic: &str) -> Origin<'_> {
    let now = Timestamp::UNIX_EPOCH;
    Origin { topic, partition: 2, offset: 17, message_time: now, now, traceparent: None }
}
