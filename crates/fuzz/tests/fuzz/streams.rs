//! What DynamoDB's streams bring: records, and the rows in them. And what its tables hold.

use aws::fakes::{FakeBus, FakeDeadLetters, FakeRoute};
use aws::stream::{Batch, Work};
use breaker::{Bounds, Settings, Thresholds};
use event_router::guard::Guarded;
use events::authority::Authority;
use events::cross_region::seal;
use events::dead_letter::PANIC;
use events::domain::Mapped;
use events::stream::{Record, sequence_number_of};
use events::{DomainEvent, Entity, Item, Row, Timestamp};
use std::time::Duration;
use stream_processor::Handler;

use crate::parser::{Parser, monsters};
use crate::{block_on, invocation, region, samples, text};

/// One record, to the events that are made of it.
pub(crate) const RECORD: Parser = Parser {
    corpus: &["corpus/stream_record"],
    parse: |bytes| {
        let body = text(bytes);
        let _ = sequence_number_of(&body);
        let Ok(record) = serde_json::from_str::<Record>(&body) else { return false };
        let (own, peer) = (region("us-west-2"), region("us-east-1"));
        match DomainEvent::from_record(&record, &own) {
            Ok(Mapped::Event(event)) => seal(&event, &own, &peer, Timestamp::UNIX_EPOCH).is_ok(),
            Ok(Mapped::Skipped(_)) => true,
            Err(_) => false,
        }
    },
    memory: [256 * 1024, 100],
    hostile: || monsters(&samples::record(), &["{\"S\":\"Ada\"}", "\"us-west-2\"", "\"INSERT\""]),
};

/// A batch, through the whole stream processor: what can't be handled becomes a dead letter, and never by a panic.
pub(crate) const BATCH: Parser = Parser {
    corpus: &["corpus/stream_batch"],
    parse: |bytes| {
        let Ok(batch) = serde_json::from_slice::<Batch>(bytes) else { return false };
        let (bus, dead_letters) = (FakeBus::default(), FakeDeadLetters::default());
        let handler = Handler::new(region("us-west-2"), Duration::from_secs(1), &bus, &dead_letters);
        let response = block_on(handler.handle(invocation(batch), &mut std::io::sink()));
        let letters = dead_letters.kept();
        assert!(letters.iter().all(|letter| letter.error_class != PANIC), "{letters:?}");
        letters.is_empty() && response.is_complete()
    },
    // The constant part is for the dead letters, which the stand-in for their queue keeps.
    memory: [16 * 1024 * 1024, 100],
    hostile: hostile_batches,
};

/// The same through the whole event router, which also knows its schedule. Its peer is there, and its breaker closed.
pub(crate) const ROUTER_BATCH: Parser = Parser {
    corpus: &["corpus/stream_batch"],
    parse: |bytes| {
        let Ok(work) = serde_json::from_slice::<Work>(bytes) else { return false };
        let (bus, route, dead_letters) = (FakeBus::default(), FakeRoute::default(), FakeDeadLetters::default());
        let ends = [region("us-west-2"), region("us-east-1")];
        let settings = Settings::new(Thresholds::default()).expect("valid");
        let way = Guarded::new(ends, &bus, &route, &dead_letters, settings, Bounds::default());
        let handler = event_router::Handler::new(region("us-west-2"), [way], Duration::from_secs(1), &dead_letters);
        let response = block_on(handler.handle(invocation(work), &mut std::io::sink()));
        let letters = dead_letters.kept();
        assert!(letters.iter().all(|letter| letter.error_class != PANIC), "{letters:?}");
        letters.is_empty() && response.is_ok_and(|response| response.is_complete())
    },
    memory: [16 * 1024 * 1024, 100],
    hostile: hostile_batches,
};

/// Lambda hands over at most 6 MB and 10,000 records.
fn hostile_batches() -> Vec<Vec<u8>> {
    let record = samples::record();
    let records = vec![record.as_str(); 6_000_000 / record.len()].join(",");
    let mut batches = monsters(&samples::batch(), &["{\"S\":\"Ada\"}", "\"100\""]);
    batches.push(format!("{{\"Records\":[{records}]}}").into_bytes());
    batches.push(format!("{{\"Records\":[{}]}}", vec!["0"; 10_000].join(",")).into_bytes());
    batches
}

/// An item of a table, as a row.
pub(crate) const ROW: Parser = Parser {
    corpus: &["corpus/row"],
    parse: |bytes| {
        let Ok(item) = serde_json::from_slice::<Item>(bytes) else { return false };
        Row::from_item(Entity::Customers, &item).is_ok()
    },
    memory: [64 * 1024, 100],
    hostile: || monsters(&samples::row(), &["{\"S\":\"Ada\"}", "\"Ada\"", "{\"N\":\"1\"}"]),
};

/// The item of the authority table, as a record.
pub(crate) const AUTHORITY: Parser = Parser {
    corpus: &["corpus/authority"],
    parse: |bytes| {
        let Ok(item) = serde_json::from_slice::<Item>(bytes) else { return false };
        Authority::from_item(&item).is_ok()
    },
    memory: [64 * 1024, 100],
    hostile: || monsters(&samples::authority(), &["{\"S\":\"ada\"}", "\"ada\"", "{\"us-east-1\":{\"N\":\"5\"}}"]),
};
