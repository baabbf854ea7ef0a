//! What callers of the API send, and the files by which it is judged.

use aws::Idempotency;
use aws::fakes::{FakeBus, FakeDeadLetters, FakeRecords};
use aws::queue::Batch;
use event_transformer::geo::GeoDatabase;
use event_transformer::rules::RuleSet;
use event_transformer::transform::{Verdict, Window, transform};
use event_transformer::{Handler, Ports};
use events::dead_letter::PANIC;
use events::geo::GeoStatus;
use events::raw::RawEvent;
use std::sync::LazyLock;
use std::time::Duration;

use crate::parser::{Parser, monsters};
use crate::{block_on, invocation, region, samples, text};

const WINDOW: Window = Window { oldest: Duration::from_secs(7 * 86_400), furthest_ahead: Duration::from_secs(300) };

/// Rules that ask for everything, among it where an address lies.
static RULE_SET: LazyLock<RuleSet> = LazyLock::new(|| RuleSet::parse(samples::RULES).expect("good rules"));

/// One event, to its verdict. It has one as soon as it comes from the API.
pub(crate) const RAW_EVENT: Parser = Parser {
    corpus: &["corpus/raw_event"],
    parse: |bytes| {
        LazyLock::force(&RULE_SET);
        let body = text(bytes);
        let Ok(raw) = RawEvent::from_bus(&body) else { return false };
        match transform(&raw, &region("us-west-2"), &RULE_SET, &WINDOW, None) {
            Verdict::Transformed(event) => drop(event.to_json()),
            Verdict::Refused(refusal) => {
                assert!(!refusal.errors.is_empty(), "a refusal without a reason");
                drop(refusal.to_json());
            }
        }
        true
    },
    memory: [256 * 1024, 120],
    hostile: || monsters(&samples::raw_event(), &["\"ada@example.com\"", "\"203.0.113.7\"", "{\"theme\":\"dark\"}"]),
};

/// A batch of a queue, through the whole transformer.
pub(crate) const BATCH: Parser = Parser {
    corpus: &["corpus/message_batch"],
    parse: |bytes| {
        let Ok(batch) = serde_json::from_slice::<Batch>(bytes) else { return false };
        let (bus, dead_letters, records) = (FakeBus::default(), FakeDeadLetters::default(), FakeRecords::default());
        let rules = RuleSet::embedded().expect("good rules");
        let margin = Duration::from_secs(1);
        let idempotency = Idempotency::new(&records, Duration::from_secs(86_400));
        let ports = Ports { publisher: &bus, dead_letters: &dead_letters, idempotency };
        let handler = Handler::new(region("us-west-2"), rules, WINDOW, None, margin, ports);
        let response = block_on(handler.handle(invocation(batch), &mut std::io::sink()));
        let letters = dead_letters.kept();
        assert!(letters.iter().all(|letter| letter.error_class != PANIC), "{letters:?}");
        letters.is_empty() && response.is_complete()
    },
    memory: [2 * 1024 * 1024, 120],
    hostile: || {
        monsters(&samples::message_batch(), &["\"m-0\"", "\"1\"", "\"arn:aws:sqs:us-west-2:000000000000:raw\""])
    },
};

/// A file of rules. Its patterns are limited in size, which is what the constant part is for.
pub(crate) const RULES: Parser = Parser {
    corpus: &["../../functions/event-transformer/rules.json", "corpus/rules"],
    parse: |bytes| RuleSet::parse(&text(bytes)).is_ok(),
    memory: [4 * 1024 * 1024, 600],
    hostile: || {
        let mut files = monsters(samples::RULES, &["\"[a-z]+\"", "\"/user/ip\"", "1"]);
        for pattern in ["(a{1,1000}){1,1000}", "((((a{100}){100}){100}){100})", "\\\\pL{1000}{1000}", "[^a]{65535}"] {
            files.push(samples::RULES.replacen("[a-z]+", pattern, 1).into_bytes());
        }
        files
    },
};

/// A database of addresses, asked by way of an event that has one.
pub(crate) const GEO_DATABASE: Parser = Parser {
    corpus: &["corpus/geo_database"],
    parse: |bytes| {
        LazyLock::force(&RULE_SET);
        let Ok(database) = GeoDatabase::from_bytes(bytes.to_vec()) else { return false };
        let mut found = false;
        for address in ["203.0.113.7", "8.8.8.8", "2a00::1", "ffff::ffff"] {
            let body = samples::raw_event().replace("203.0.113.7", address);
            let raw = RawEvent::from_bus(&body).expect("a raw event");
            let verdict = transform(&raw, &region("us-west-2"), &RULE_SET, &WINDOW, Some(&database));
            let Verdict::Transformed(event) = verdict else { panic!("a database never refuses an event: {verdict:?}") };
            found |= event.geo.is_some_and(|geo| geo.geo_status == GeoStatus::Hit);
        }
        found
    },
    memory: [256 * 1024, 16],
    hostile: || {
        let sample = samples::geo_database();
        let padded = [vec![0; 2_000_000], sample.clone()].concat();
        // Pointers and lengths that are all as large as they can be.
        let ones = [sample.clone(), vec![0xff; 1_000_000], sample[sample.len() - 300..].to_vec()].concat();
        vec![padded, ones, [sample, vec![0x5f; 1_000_000]].concat()]
    },
};
