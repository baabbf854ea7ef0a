//! What the cross-region envelope saves, and how long sealing and opening take.
//!
//! Held-out live events of about 1 KB are sealed and opened one by one; one JSON document is printed, with a part for each
//! entity. `cargo bench -p events --bench envelope`; the number of events can be given: `cargo bench -p events -- 5000`.
//! Lengths are the same in each run, times are not.

use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use events::cross_region::{COMPRESSION_LEVEL, Encoding, Envelope, dictionaries, open, seal};
use events::{DomainEvent, Entity, JsonText, Region, Timestamp};
use samples::Set;
use serde_json::{Map, Value, json};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// Events of each entity when no number is given.
const EVENTS: usize = 2000;
/// Each event is measured so many times, not in a row, and the first round counts for nothing.
const ROUNDS: usize = 6;

fn main() -> ExitCode {
    let count = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(EVENTS);
    let report: Value =
        Entity::ALL.into_iter().map(|entity| (entity.as_str().to_owned(), measure(entity, count))).collect();
    match writeln!(io::stdout(), "{report:#}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(entity: Entity, count: usize) -> Value {
    let events: Vec<DomainEvent> =
        samples::events(Set::HeldOut, entity, count).into_iter().filter(|event| event.data.is_some()).collect();
    let envelopes: Vec<Envelope> = events.iter().map(sealed).collect();
    let raws: Vec<String> = events.iter().map(DomainEvent::to_json).collect();

    // What the same envelopes are without a dictionary, and without compression.
    let mut zstd = zstd::bulk::Compressor::new(COMPRESSION_LEVEL).expect("a context");
    let plain: Vec<Envelope> = envelopes
        .iter()
        .zip(&raws)
        .map(|(envelope, raw)| {
            let payload = BASE64.encode(zstd.compress(raw.as_bytes()).expect("compresses"));
            Envelope { enc: Encoding::Zstd, dict_id: None, payload, ..envelope.clone() }
        })
        .collect();
    let bare: Vec<Envelope> = envelopes
        .iter()
        .zip(&raws)
        .map(|(envelope, raw)| Envelope {
            enc: Encoding::None,
            dict_id: None,
            payload: raw.clone(),
            ..envelope.clone()
        })
        .collect();
    let payloads = |envelopes: &[Envelope]| envelopes.iter().map(|envelope| envelope.payload.len()).sum::<usize>();
    let wholes = |envelopes: &[Envelope]| envelopes.iter().map(|envelope| envelope.to_json().len()).sum::<usize>();
    let of_payload = |envelopes| saved(payloads(&bare), payloads(envelopes));
    let of_envelope = |envelopes| saved(wholes(&bare), wholes(envelopes));

    let mut seals = Vec::new();
    let mut opens = Vec::new();
    for round in 0..ROUNDS {
        for (event, envelope) in events.iter().zip(&envelopes) {
            let started = Instant::now();
            black_box(sealed(black_box(event)));
            let sealed = started.elapsed();
            let started = Instant::now();
            black_box(open(black_box(envelope)).expect("opens"));
            let opened = started.elapsed();
            if round > 0 {
                seals.push(sealed);
                opens.push(opened);
            }
        }
    }
    let others: Vec<DomainEvent> = events.iter().map(with_other_columns).collect();
    let others_raw = others.iter().map(|event| event.to_json().len()).sum();
    let others_sealed = others.iter().map(|event| sealed(event).payload.len()).sum();

    let used: Vec<_> = dictionaries().iter().filter(|known| known.entity() == entity && known.is_current()).collect();
    json!({
        "events": events.len(),
        "dictionary": used.iter().map(|used| json!({
            "id": used.id(),
            "bytes": used.bytes().len(),
            "digest_to_seal_us": digestion(|| drop(EncoderDictionary::copy(used.bytes(), COMPRESSION_LEVEL))),
            "digest_to_open_us": digestion(|| drop(DecoderDictionary::copy(used.bytes()))),
        })).collect::<Value>(),
        "mean_bytes": {
            "event": mean(payloads(&bare), events.len()),
            "envelope_uncompressed": mean(wholes(&bare), events.len()),
            "envelope_sealed": mean(wholes(&envelopes), events.len()),
        },
        "saved_percent_of_payload": { "none": 0.0, "zstd": of_payload(&plain), "dictionary": of_payload(&envelopes) },
        "saved_percent_of_payload_with_unknown_columns": saved(others_raw, others_sealed),
        "saved_percent_of_envelope": { "none": 0.0, "zstd": of_envelope(&plain), "dictionary": of_envelope(&envelopes) },
        "seal_us": percentiles(&mut seals),
        "open_us": percentiles(&mut opens),
    })
}

fn sealed(event: &DomainEvent) -> Envelope {
    let peer = if event.origin_region.as_str() == "us-west-2" { "us-east-1" } else { "us-west-2" };
    let peer = Region::new(peer).expect("a region");
    seal(event, &event.origin_region, &peer, Timestamp::UNIX_EPOCH).expect("sealed")
}

/// The event with columns that no dictionary has seen: their names are replaced, their order changes with that.
fn with_other_columns(event: &DomainEvent) -> DomainEvent {
    let columns: Map<String, Value> = event
        .data
        .as_ref()
        .and_then(|data| serde_json::from_str(data.as_str()).ok())
        .expect("invariant: a live event has an object of columns");
    let rotated = |name: &str| -> String {
        let rotate = |byte: u8| match byte {
            b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
            other => other,
        };
        name.bytes().map(|byte| char::from(rotate(byte))).collect()
    };
    let columns: Map<String, Value> = columns.into_iter().map(|(name, value)| (rotated(&name), value)).collect();
    let data = JsonText::parse(Value::Object(columns).to_string()).expect("invariant: serialised just now");
    DomainEvent { data: Some(data), ..event.clone() }
}

/// What each process does once.
fn digestion(digest: impl Fn()) -> Value {
    let mut durations: Vec<Duration> = std::iter::repeat_with(|| {
        let started = Instant::now();
        digest();
        started.elapsed()
    })
    .take(200)
    .collect();
    percentiles(&mut durations)
}

fn saved(before: usize, after: usize) -> f64 {
    tenths(100.0 - 100.0 * after as f64 / before as f64)
}

fn mean(sum: usize, count: usize) -> f64 {
    (sum as f64 / count as f64).round()
}

fn percentiles(durations: &mut [Duration]) -> Value {
    durations.sort();
    let percentile = |percent: usize| {
        let place = (durations.len() * percent).div_ceil(100).clamp(1, durations.len());
        tenths(durations[place - 1].as_secs_f64() * 1_000_000.0)
    };
    json!({ "p50": percentile(50), "p99": percentile(99) })
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
