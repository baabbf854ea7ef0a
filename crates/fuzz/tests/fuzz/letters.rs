//! What this system's own programs tell each other over buses and queues, where anybody with the right to send can write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use events::DomainEvent;
use events::JsonText;
use events::cross_region::{Encoding, Envelope, open};
use events::dead_letter::{DeadLetterEvent, RecordEncoding};
use events::health::HealthCheckEvent;

use crate::parser::{Parser, alone, monsters, peak_of};
use crate::{samples, text};

pub(crate) const DOMAIN_EVENT: Parser = Parser {
    corpus: &["corpus/domain_event"],
    parse: |bytes| serde_json::from_slice::<DomainEvent>(bytes).is_ok(),
    memory: [64 * 1024, 8],
    hostile: || monsters(&samples::domain_event().to_json(), &["\"Ada\"", "\"customers\"", "\"us-west-2\""]),
};

/// An envelope, opened. It may be a hundredth of the event that it says it holds; that is at most 1 MiB.
pub(crate) const ENVELOPE: Parser = Parser {
    corpus: &["corpus/envelope"],
    parse: |bytes| {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) else { return false };
        open(&envelope).is_ok()
    },
    memory: [3 * 1024 * 1024, 8],
    hostile: || {
        let mut inputs = bombs();
        inputs.extend(monsters(&samples::envelope().to_json(), &["\"us-west-2\"", "\"customers\""]));
        inputs
    },
};

/// Frames that unpack to 64 MiB of the same letter, or say so; honest about it, and lying.
fn bombs() -> Vec<Vec<u8>> {
    let whole = vec![b'a'; 64 * 1024 * 1024];
    let bomb = zstd::bulk::compress(&whole, 3).expect("compresses");
    assert!(bomb.len() < 16 * 1024, "{}", bomb.len());
    let dictionary = samples::envelope().dict_id;
    let mut inputs = Vec::new();
    for raw_len in [whole.len() as u64, u64::MAX, 1024 * 1024 + 1, 1024 * 1024, 100_000] {
        for (enc, dict_id) in [(Encoding::Zstd, None), (Encoding::ZstdDictionary, dictionary)] {
            let payload = BASE64.encode(&bomb);
            inputs.push(Envelope { enc, dict_id, raw_len, payload, ..samples::envelope() }.to_json().into_bytes());
        }
    }
    inputs
}

/// What says to be longer than may be costs nothing; what lies about it costs twice what it says.
#[test]
fn a_bomb_is_refused_before_anything_is_allocated() {
    let _alone = alone();
    for input in bombs() {
        let envelope: Envelope = serde_json::from_slice(&input).expect("an envelope");
        let (outcome, peak) = peak_of(|| open(&envelope));
        let error = outcome.expect_err("a bomb");
        let announced = usize::try_from(envelope.raw_len).unwrap_or(usize::MAX);
        let bound = if error.class() == "too_long" { 0 } else { 2 * announced + 4 * 1024 };
        assert!(peak <= bound, "{} announced, {}: {peak} bytes, {bound} are allowed", envelope.raw_len, error.class());
    }
}

/// A dead letter, and the record in it. A compressed record may have 16 MiB.
pub(crate) const DEAD_LETTER: Parser = Parser {
    corpus: &["corpus/dead_letter"],
    parse: |bytes| {
        let Ok(letter) = serde_json::from_slice::<DeadLetterEvent>(bytes) else { return false };
        letter.original_record().is_ok()
    },
    memory: [2 * 16 * 1024 * 1024 + 1024 * 1024, 8],
    hostile: || {
        let bomb = zstd::bulk::compress(&vec![b'1'; 64 * 1024 * 1024], 3).expect("compresses");
        let record = JsonText::parse_or_quote(&BASE64.encode(bomb));
        let letter = DeadLetterEvent { record_encoding: RecordEncoding::ZstdBase64, record, ..samples::dead_letter() };
        let mut inputs = vec![letter.to_json().into_bytes()];
        inputs.extend(monsters(&samples::dead_letter().to_json(), &["\"arn\"", "{\"n\": 9007199254740993.10}"]));
        inputs
    },
};

pub(crate) const HEALTH_CHECK: Parser = Parser {
    corpus: &["corpus/health_check"],
    parse: |bytes| HealthCheckEvent::parse(&text(bytes)).is_ok(),
    memory: [64 * 1024, 100],
    hostile: || monsters(&samples::health_check().to_json(), &["\"us-west-2\"", "[]", "12"]),
};
