//! The JSON Schemas agree with the types: with what is written, and with what can be read.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::Duration;

use events::authority::Standing;
use events::cross_region::{Envelope, seal};
use events::dead_letter::{DeadLetterEvent, RecordEncoding};
use events::domain::{Action, EventType};
use events::geo::{Geo, GeoDatabaseId, GeoStatus};
use events::health::{Health, HealthCheckEvent, ProbeReport, ProbedService, RegionReport};
use events::raw::{RulesId, TransformedEvent, ValidationFailed, Violation, ViolationCode};
use events::schemas::{self, EventSchema};
use events::{
    ChangeSequence, Correlation, DomainEvent, Entity, EventId, JsonText, Region, Timestamp, Trace, TraceParent, Version,
};
use json_schema::Schema;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn schema(of: EventSchema) -> &'static Schema {
    static PARSED: LazyLock<BTreeMap<&str, Schema>> = LazyLock::new(|| {
        let parse =
            |of: EventSchema| Schema::parse(of.text).unwrap_or_else(|problems| panic!("{}: {problems:#?}", of.name));
        schemas::ALL.into_iter().map(|of| (of.name, parse(of))).collect()
    });
    &PARSED[of.name]
}

/// With nothing in its objects but the members that it names.
fn closed(of: EventSchema) -> &'static Schema {
    static CLOSED: LazyLock<BTreeMap<&str, Schema>> =
        LazyLock::new(|| schemas::ALL.into_iter().map(|of| (of.name, schema(of).closed())).collect());
    &CLOSED[of.name]
}

#[test]
fn ids_name_event_and_version() {
    for of in schemas::ALL {
        let id = format!("urn:tandem:schema:{}:{}", of.name, of.version);
        assert_eq!(schema(of).id(), Some(id.as_str()));
        assert!(of.text.contains("https://json-schema.org/draft/2020-12/schema"), "{}", of.name);
    }
}

/// The folder holds what the list names and nothing else.
#[test]
fn every_file_is_listed() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas")).expect("the folder");
    let mut files: Vec<String> =
        folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name")).collect();
    files.sort();
    let mut listed: Vec<String> = schemas::ALL.iter().map(|of| format!("{}.v{}.json", of.name, of.version)).collect();
    listed.sort();
    assert_eq!(files, listed);
}

/// What is written is valid, says nothing that the schema lacks, and can be read again.
fn check_written<T: DeserializeOwned + PartialEq + std::fmt::Debug>(of: EventSchema, event: &T, text: &str) {
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(closed(of).problems(&value), Vec::<String>::new(), "{text}");
    assert_eq!(&serde_json::from_str::<T>(text).expect("reads back"), event);
}

/// What the schema accepts of a changed event can be read; what is read of it is written in a valid form.
fn check_changed<T: DeserializeOwned>(of: EventSchema, text: &str, change: &Change, write: impl Fn(&T) -> String) {
    let mut value: Value = serde_json::from_str(text).expect("JSON");
    change.apply(&mut value);
    let changed = value.to_string();
    let (problems, read) = (schema(of).problems(&value), serde_json::from_str::<T>(&changed));
    if problems.is_empty() {
        let event = read.unwrap_or_else(|error| panic!("{changed} is valid but {error}"));
        let written = serde_json::from_str(&write(&event)).expect("JSON");
        assert_eq!(schema(of).problems(&written), Vec::<String>::new(), "{changed}");
    }
}

/// Each member of a schema is in some of many events: a schema doesn't describe what is no more.
fn check_used<T>(of: EventSchema, events: impl Strategy<Value = T>, write: impl Fn(&T) -> String) {
    let mut runner = TestRunner::deterministic();
    let values: Vec<Value> = (0..300)
        .map(|_| {
            let event = events.new_tree(&mut runner).expect("an event").current();
            serde_json::from_str(&write(&event)).expect("JSON")
        })
        .collect();
    assert_eq!(schema(of).unused(&values).into_iter().collect::<Vec<_>>(), Vec::<String>::new(), "{}", of.name);
    // And none can go that is required.
    let first = values.first().expect("some events");
    let required: Value = serde_json::from_str(of.text).expect("JSON");
    for name in required["required"].as_array().expect("a list").iter().filter_map(Value::as_str) {
        let mut value = first.clone();
        value.as_object_mut().expect("an object").remove(name);
        assert!(!schema(of).problems(&value).is_empty(), "{}: `{name}` isn't missed", of.name);
    }
}

/// A change of one place in an event.
#[derive(Clone, Debug)]
struct Change {
    path: [Index; 3],
    value: Option<Value>,
}

impl Change {
    fn apply(&self, value: &mut Value) {
        let [first, rest @ ..] = &self.path;
        let mut place = value;
        let mut step = *first;
        for next in rest {
            place = match place {
                Value::Object(members) if !members.is_empty() => {
                    let name = members.keys().nth(step.index(members.len())).expect("in range").clone();
                    let goes_on = members[&name].is_object() || members[&name].is_array();
                    if !goes_on || next.index(3) == 0 {
                        match &self.value {
                            Some(value) => members.insert(name, value.clone()),
                            None => members.remove(&name),
                        };
                        return;
                    }
                    members.get_mut(&name).expect("there")
                }
                Value::Array(values) if !values.is_empty() => {
                    let index = step.index(values.len());
                    &mut values[index]
                }
                _ => return,
            };
            step = *next;
        }
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let values = [
        json!(null),
        json!(""),
        json!("x"),
        json!(-1),
        json!(0),
        json!(0.5),
        json!(1u64 << 40),
        json!(true),
        json!([]),
        json!({}),
        json!("us-west-2"),
        json!("2026-03-04T05:06:07Z"),
        json!("customer.deleted"),
        json!("none"),
        json!("zstd+dict"),
    ];
    let value = proptest::option::weighted(0.7, proptest::sample::select(values.to_vec()));
    (any::<[Index; 3]>(), value).prop_map(|(path, value)| Change { path, value })
}

fn regions() -> impl Strategy<Value = Region> {
    proptest::sample::select(vec!["us-west-2", "us-east-1", "eu-central-1", "us-gov-west-1"])
        .prop_map(|name| Region::new(name).expect("a region"))
}

fn timestamps() -> impl Strategy<Value = Timestamp> {
    (-70_000_000_000_i64..253_402_207_200, 0..1_000_000_000_i32)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).expect("in range"))
}

fn ids() -> impl Strategy<Value = EventId> {
    "[0-9a-f]{8}-[0-9a-f]{4}-[457][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
        .prop_map(|text| text.parse().expect("an id"))
}

/// Objects with any members, as texts.
fn objects() -> impl Strategy<Value = JsonText> {
    let value = prop_oneof![Just(json!(null)), any::<i64>().prop_map(Value::from), ".{0,8}".prop_map(Value::from)];
    proptest::collection::btree_map("[a-z~/]{1,5}", value, 0..4)
        .prop_map(|members| JsonText::parse(json!(members).to_string()).expect("JSON"))
}

fn traces() -> impl Strategy<Value = Trace> {
    (
        ".{0,6}",
        ".{0,6}",
        prop_oneof![Just(0), Just(i32::MAX), 0..i32::MAX],
        prop_oneof![Just(0), Just(i64::MAX), 0..i64::MAX],
    )
        .prop_map(|(task, table, partition, offset)| Trace {
            task,
            table,
            topic: Entity::Customers.topic().to_owned(),
            partition,
            offset,
            ..Trace::default()
        })
}

fn trace_parents() -> impl Strategy<Value = Option<TraceParent>> {
    let text = "00-[0-9a-f]{31}[1-9a-f]-[0-9a-f]{15}[1-9a-f]-[0-9a-f]{2}";
    proptest::option::of(text.prop_map(|text| text.parse().expect("a trace context")))
}

fn versions() -> impl Strategy<Value = Version> {
    (any::<u32>(), proptest::option::of((0_i64..253_402_207_200, any::<u32>()))).prop_map(|(generation, change)| {
        match change {
            None => Version::refresh(generation),
            Some((second, counter)) => {
                let at = Timestamp::from_second(second).expect("in range");
                Version::cdc(generation, &ChangeSequence::new(at, u64::from(counter)))
            }
        }
    })
}

fn domain_events() -> impl Strategy<Value = DomainEvent> {
    let kind = (proptest::sample::select(Entity::ALL.to_vec()), proptest::sample::select(Action::ALL.to_vec()));
    let regions = (regions(), regions());
    (
        ids(),
        kind,
        ".{1,20}|k{2048}",
        versions(),
        regions,
        prop_oneof![0..3_u32, Just(u32::MAX)],
        timestamps(),
        objects(),
        (traces(), trace_parents()),
    )
        .prop_map(
            |(
                event_id,
                (entity, action),
                key,
                version,
                (source_region, origin_region),
                hop,
                timestamp,
                data,
                (trace, traceparent),
            )| {
                DomainEvent {
                    event_id,
                    event_type: EventType { entity, action },
                    entity,
                    key: key.parse().expect("a key"),
                    version,
                    source_region,
                    origin_region,
                    hop,
                    timestamp,
                    data: (action != Action::Deleted).then_some(data),
                    trace,
                    traceparent,
                }
            },
        )
}

/// Short events, which aren't compressed, and long ones.
fn envelopes() -> impl Strategy<Value = Envelope> {
    (domain_events(), timestamps(), any::<bool>()).prop_map(|(event, sent_at, long)| {
        let [from, to] = ["us-east-2", "eu-west-3"].map(|name| Region::new(name).expect("a region"));
        let note = if long { "the same again and ".repeat(30) } else { String::new() };
        let data = event.data.map(|_| JsonText::parse(json!({ "note": note }).to_string()).expect("JSON"));
        seal(&DomainEvent { hop: 0, data, ..event }, &from, &to, sent_at).expect("sealed")
    })
}

/// Numbers from 1; the ends more often than the rest.
fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![Just(1), Just(u32::MAX), 1..u32::MAX]
}

fn rules() -> impl Strategy<Value = RulesId> {
    (numbers(), ".{0,5}").prop_map(|(version, text)| RulesId::of_file(version, &text))
}

fn geo() -> impl Strategy<Value = Geo> {
    let database = proptest::option::of(
        (".{1,10}|.|a{128}", prop_oneof![Just(0), Just(253_402_300_799), 0..253_402_300_799_u64])
            .prop_map(|(name, epoch)| GeoDatabaseId::of_file(&name, epoch, name.as_bytes())),
    );
    let codes = (proptest::option::of("[A-Z]{2}"), proptest::option::of("[A-Z]{2}"));
    (proptest::sample::select(GeoStatus::ALL.to_vec()), database, codes).prop_map(
        |(status, database, (country, continent))| {
            let hit = status == GeoStatus::Hit;
            let country = country.filter(|_| hit).map(|code| code.parse().expect("a code"));
            let continent = continent.filter(|_| hit).map(|code| code.parse().expect("a code"));
            Geo { country, continent, ..Geo::of_status(status, database) }
        },
    )
}

fn transformed() -> impl Strategy<Value = TransformedEvent> {
    let times = (timestamps(), timestamps());
    let pointer = "(/([a-z]|~0|~1){0,4}){1,3}";
    let originals =
        proptest::collection::btree_map(pointer, ".{0,6}".prop_map(|text| JsonText::parse_or_quote(&text)), 0..3);
    (
        ids(),
        "[A-Za-z][A-Za-z0-9._-]{0,20}|[A-Za-z]|z{128}",
        regions(),
        times,
        (".{0,8}", trace_parents()),
        rules(),
        originals,
        proptest::option::of(geo()),
        objects(),
    )
        .prop_map(
            |(
                event_id,
                event_type,
                region,
                (timestamp, received_at),
                (raw_event_id, traceparent),
                rules,
                originals,
                geo,
                event,
            )| {
                TransformedEvent {
                    event_id,
                    event_type,
                    source_region: region.clone(),
                    timestamp,
                    received_at,
                    transformed_in: region,
                    raw_event_id,
                    traceparent,
                    rules,
                    originals,
                    geo,
                    event,
                }
            },
        )
}

fn violations() -> impl Strategy<Value = Violation> {
    let code = proptest::sample::select(ViolationCode::ALL.to_vec());
    ("(/([a-z]|~0|~1){0,4}){0,3}", code, ".{0,8}", numbers())
        .prop_map(|(pointer, code, message, rule_version)| Violation { pointer, code, message, rule_version })
}

fn refusals() -> impl Strategy<Value = ValidationFailed> {
    let told = (proptest::option::of(".{0,8}"), proptest::option::of(".{0,8}"), trace_parents());
    let errors = proptest::collection::vec(violations(), 1..4);
    (told, timestamps(), regions(), ".{0,8}", rules(), errors, ".{0,20}").prop_map(
        |((event_id, event_type, traceparent), received_at, refused_in, raw_event_id, rules, errors, original)| {
            ValidationFailed {
                event_id,
                event_type,
                received_at,
                refused_in,
                raw_event_id,
                traceparent,
                rules,
                errors,
                original,
            }
        },
    )
}

fn dead_letters() -> impl Strategy<Value = DeadLetterEvent> {
    let texts = proptest::collection::vec(".{0,8}", 6);
    let times = (timestamps(), timestamps());
    let traces = (proptest::option::of(traces()), trace_parents(), proptest::option::of(ids()));
    (texts, regions(), numbers(), times, traces, ".{0,40}", any::<bool>()).prop_map(
        |(texts, region, attempts, (first_seen, failed_at), (trace, traceparent, event_id), record, packed)| {
            let [program, program_version, source, position, error_class, message] =
                texts.try_into().expect("six texts");
            let letter = DeadLetterEvent {
                program,
                program_version,
                region,
                source,
                position,
                error_class,
                message,
                attempts,
                first_seen,
                failed_at,
                trace,
                trace_id: Correlation { event_id, traceparent }.trace_id(),
                traceparent,
                record_encoding: RecordEncoding::Json,
                record: JsonText::parse_or_quote(&record),
            };
            if packed { letter.compressed() } else { letter }
        },
    )
}

fn standings() -> impl Strategy<Value = Standing> {
    let epochs = prop_oneof![Just(1), Just(u64::MAX), 1..u64::MAX];
    let epochs = epochs.prop_map(|epoch| NonZeroU64::new(epoch).expect("from 1"));
    let withdrawn = proptest::collection::btree_map(regions(), epochs, 0..3);
    (prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], proptest::option::of(regions()), withdrawn)
        .prop_map(|(epoch, owner, withdrawn)| Standing { epoch, owner, withdrawn })
}

fn probes() -> impl Strategy<Value = Vec<ProbeReport>> {
    let words = (proptest::sample::select(ProbedService::ALL.to_vec()), proptest::sample::select(Health::ALL.to_vec()));
    let millis = prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    let probe = (words, millis, proptest::option::of(".{0,8}")).prop_map(|((service, status), millis, error)| {
        ProbeReport { service, status, latency: Duration::from_millis(millis), error }
    });
    proptest::collection::vec(probe, 0..3)
}

fn health_checks() -> impl Strategy<Value = HealthCheckEvent> {
    let verdicts = proptest::sample::select(Health::ALL.to_vec());
    let report = (regions(), verdicts, probes(), probes())
        .prop_map(|(region, verdict, probes, control_planes)| RegionReport { region, verdict, probes, control_planes });
    let reports = proptest::collection::vec(report, 0..3);
    let millis = -70_000_000_000_000_i64..253_402_207_200_000;
    (millis, regions(), proptest::option::of(standings()), reports).prop_map(
        |(millis, observer, authority, reports)| {
            let checked_at = Timestamp::from_millisecond(millis).expect("in range");
            HealthCheckEvent::new(checked_at, observer, authority, reports)
        },
    )
}

macro_rules! laws {
    ($($module:ident: $schema:ident, $type:ty, $events:ident;)*) => {$(
        mod $module {
            use super::*;

            proptest! {
                #[test]
                fn what_is_written_is_valid(event in $events()) {
                    check_written(schemas::$schema, &event, &event.to_json());
                }

                #[test]
                fn what_is_valid_can_be_read(event in $events(), change in changes()) {
                    check_changed::<$type>(schemas::$schema, &event.to_json(), &change, <$type>::to_json);
                }
            }

            #[test]
            fn every_member_is_used() {
                check_used(schemas::$schema, $events(), <$type>::to_json);
            }
        }
    )*};
}

laws! {
    domain_event: DOMAIN_EVENT, DomainEvent, domain_events;
    cross_region_event: CROSS_REGION_EVENT, Envelope, envelopes;
    transformed_event: TRANSFORMED, TransformedEvent, transformed;
    validation_failed: VALIDATION_FAILED, ValidationFailed, refusals;
    dead_letter: DEAD_LETTER, DeadLetterEvent, dead_letters;
    health_check: HEALTH_CHECK, HealthCheckEvent, health_checks;
}

/// The closed lists of words are those of the code.
#[test]
fn words_are_the_same() {
    let words = |of: EventSchema, place: &str| -> Vec<String> {
        let schema: Value = serde_json::from_str(of.text).expect("JSON");
        let words = schema.pointer(place).and_then(Value::as_array).expect("a list").iter();
        words.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let codes: Vec<&str> = ViolationCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words(schemas::VALIDATION_FAILED, "/$defs/violation/properties/code/enum"), codes);
    let statuses: Vec<&str> = GeoStatus::ALL.iter().map(|status| status.as_str()).collect();
    assert_eq!(words(schemas::TRANSFORMED, "/$defs/geo/properties/geo_status/enum"), statuses);
    let entities: Vec<&str> = Entity::ALL.iter().map(|entity| entity.as_str()).collect();
    let both = [schemas::DOMAIN_EVENT, schemas::CROSS_REGION_EVENT].map(|of| words(of, "/$defs/entity/enum"));
    assert_eq!(both, [entities.clone(), entities]);
    let health: Vec<&str> = Health::ALL.iter().map(|health| health.as_str()).collect();
    assert_eq!(words(schemas::HEALTH_CHECK, "/$defs/health/enum"), health);
    let services: Vec<&str> = ProbedService::ALL.iter().map(|service| service.as_str()).collect();
    assert_eq!(words(schemas::HEALTH_CHECK, "/$defs/probe/properties/service/enum"), services);
    let encodings = ["none", "zstd", "zstd+dict"];
    assert_eq!(words(schemas::CROSS_REGION_EVENT, "/properties/enc/enum"), encodings);
}

/// Events of the parts of the schemas that aren't in the type: the relations between members.
#[test]
fn relations_between_members_are_checked() {
    let text = |event: &BTreeMap<&str, Value>| json!(event).to_string();
    let refused =
        |of: EventSchema, text: &str| !schema(of).problems(&serde_json::from_str(text).expect("JSON")).is_empty();
    let mut runner = TestRunner::deterministic();
    let event = domain_events().new_tree(&mut runner).expect("an event").current();
    let mut members: BTreeMap<&str, Value> = BTreeMap::new();
    let json: Value = serde_json::from_str(&event.to_json()).expect("JSON");
    json.as_object().expect("an object").iter().for_each(|(name, value)| {
        members.insert(name, value.clone());
    });
    for (event_type, data, good) in [
        ("order.deleted", json!(null), true),
        ("order.deleted", json!({}), false),
        ("order.updated", json!({}), true),
        ("order.updated", json!(null), false),
    ] {
        members.insert("event_type", json!(event_type));
        members.insert("data", data.clone());
        assert_eq!(!refused(schemas::DOMAIN_EVENT, &text(&members)), good, "{event_type} {data}");
    }
    let envelope = envelopes().new_tree(&mut runner).expect("an envelope").current();
    for (enc, with_id, good) in
        [("none", false, true), ("none", true, false), ("zstd+dict", false, false), ("zstd+dict", true, true)]
    {
        let mut json: Value = serde_json::from_str(&envelope.to_json()).expect("JSON");
        json["enc"] = json!(enc);
        json.as_object_mut().expect("an object").remove("dict_id");
        if with_id {
            json["dict_id"] = json!("c2f71cdbb44e4cd5");
        }
        assert_eq!(!refused(schemas::CROSS_REGION_EVENT, &json.to_string()), good, "{enc} {with_id}");
    }
    for (status, country, good) in
        [("hit", true, true), ("hit", false, true), ("miss", true, false), ("miss", false, true)]
    {
        let event = transformed().new_tree(&mut runner).expect("an event").current();
        let mut json: Value = serde_json::from_str(&event.to_json()).expect("JSON");
        json["geo"] =
            if country { json!({"geo_status": status, "country": "DE"}) } else { json!({"geo_status": status}) };
        assert_eq!(!refused(schemas::TRANSFORMED, &json.to_string()), good, "{status} {country}");
    }
}
