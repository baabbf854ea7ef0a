mod geo;

use super::*;
use crate::document::tests::any_json;
use crate::geo::mmdb;
use events::geo::GeoStatus;
use events::raw::RulesId;
use proptest::prelude::*;
use serde_json::Value as Json;
use serde_json::json;
use serde_json::value::RawValue;

const RULES: &str = r#"{
  "version": 7,
  "geo": { "address": "/data/ip" },
  "every_event": [{ "pointer": "/data/email", "is": "email" }],
  "event_types": {
    "customer.registered": [
      { "pointer": "/data/email", "required": true, "is": "email" },
      { "pointer": "/data/name", "is": { "text": { "min_length": 2, "max_length": 20 } } },
      { "pointer": "/data/plan", "is": { "text": { "allowed": ["free", "paid"] } } },
      { "pointer": "/data/code", "is": { "text": { "pattern": "[A-Z]{3}" } } },
      { "pointer": "/data/credit", "is": { "number": { "minimum": 0, "maximum": 9007199254740993.5 } } },
      { "pointer": "/data/count", "is": { "number": { "whole": true } } },
      { "pointer": "/data/since", "is": "timestamp" },
      { "pointer": "/data/ref", "is": "uuid" },
      { "pointer": "/data/vip", "is": "boolean" },
      { "pointer": "/data/tags/0", "required": true }
    ]
  }
}"#;

const WINDOW: Window = Window { oldest: Duration::from_secs(3600), furthest_ahead: Duration::from_secs(300) };

/// Who has which network is made up. One of the networks is smaller than what is kept of an address.
fn database() -> GeoDatabase {
    let networks = [
        ("8.0.0.0/7", mmdb::geoip2("US", "NA")),
        ("8.8.0.128/25", mmdb::geoip2("CA", "NA")),
        ("2a00::/12", mmdb::geoip2("DE", "EU")),
    ];
    GeoDatabase::from_bytes(mmdb::database("Test-Country", &networks)).expect("a database")
}

fn verdict_on(detail: &str) -> Verdict {
    verdict_by(RULES, Some(&database()), detail)
}

fn verdict_by(rules: &str, database: Option<&GeoDatabase>, detail: &str) -> Verdict {
    with_raw(rules, detail, |raw, region, rules| transform(raw, region, rules, &WINDOW, database))
}

/// What `made` makes of an event of the API, as the bus delivers it.
fn with_raw<T>(rules: &str, detail: &str, made: impl FnOnce(&RawEvent<'_>, &Region, &RuleSet) -> T) -> T {
    let detail = RawValue::from_string(detail.to_owned()).expect("JSON");
    let raw = RawEvent {
        bus_event_id: "bus-1".to_owned(),
        received_at: "2026-03-04T05:06:07Z".parse().expect("a time"),
        replay: None,
        detail: &detail,
    };
    let rules = RuleSet::parse(rules).expect("good rules");
    made(&raw, &Region::new("us-west-2").expect("a region"), &rules)
}

fn transformed(detail: &str) -> TransformedEvent {
    match verdict_on(detail) {
        Verdict::Transformed(event) => *event,
        Verdict::Refused(refusal) => panic!("{detail}: {:?}", refusal.errors),
    }
}

fn refused(detail: &str) -> ValidationFailed {
    match verdict_on(detail) {
        Verdict::Refused(refusal) => *refusal,
        Verdict::Transformed(event) => panic!("{detail}: {}", event.event),
    }
}

#[test]
fn a_reused_id_is_told_with_what_was_written() {
    let told = |detail: &str| {
        let refusal = with_raw(RULES, detail, reused);
        assert_eq!((refusal.original.as_str(), refusal.errors.len()), (detail, 1));
        assert_eq!((refusal.errors[0].pointer.as_str(), refusal.errors[0].rule_version), ("/event_id", 7));
        (refusal.event_id, refusal.event_type)
    };
    let id = event()["event_id"].as_str().map(ToOwned::to_owned);
    assert_eq!(told(&event().to_string()), (id, Some("page.viewed".to_owned())));
    assert_eq!(told("7"), (None, None));
}

#[test]
fn the_content_is_everything_but_white_space_and_the_trace_context() {
    let judged = |detail: &str| with_raw(RULES, detail, |raw, region, rules| judge(raw, region, rules, &WINDOW, None));
    let check = |detail: &str, content: &str, ignored_trace_context: bool| {
        let found = judged(detail);
        assert_eq!(found.content.as_deref(), Some(content), "{detail}");
        assert_eq!(found.ignored_trace_context, ignored_trace_context, "{detail}");
    };
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    check(r#"{ "b": 1.0, "a": [1, 2] }"#, r#"{"b":1.0,"a":[1,2]}"#, false);
    check(&format!(r#"{{"traceparent":"{context}","b":1.0}}"#), r#"{"b":1.0}"#, false);
    check(&format!(r#"{{"b":1.0,"\u0074raceparent":"{context}"}}"#), r#"{"b":1.0}"#, false);
    check(r#"{"b":1.0,"traceparent":7,"c":2}"#, r#"{"b":1.0,"c":2}"#, true);
    check(r#"{"data":{"traceparent":"x"}}"#, r#"{"data":{"traceparent":"x"}}"#, false);
    check(r#"["traceparent"]"#, r#"["traceparent"]"#, false);
    assert_eq!(judged(&format!("{}{}", "[".repeat(100), "]".repeat(100))).content, None);
}

/// A good event of a type without rules of its own.
fn event() -> Json {
    json!({
        "event_id": "919108f7-52d1-4320-9bac-f847db4148a8",
        "event_type": "page.viewed",
        "source_region": "eu-west-1",
        "timestamp": "2026-03-04T05:06:00Z",
    })
}

/// A good event with `value` at `member`.
fn with(member: &str, value: impl Into<Json>) -> String {
    let mut event = event();
    event[member] = value.into();
    event.to_string()
}

/// A good event of a type with rules, with `value` at `/data/<member>`.
fn registered(member: &str, value: impl Into<Json>) -> String {
    let mut event = event();
    event["event_type"] = json!("customer.registered");
    event["data"] = json!({ "email": "ada@example.com", "tags": ["new"] });
    event["data"][member] = value.into();
    event.to_string()
}

/// Where and what kind each mistake is.
fn check_refused(detail: &str, expected: &[(&str, ViolationCode)]) {
    let refusal = refused(detail);
    let found: Vec<_> = refusal.errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
    assert_eq!(found, expected, "{detail}");
    assert_eq!(refusal.original, detail);
    assert!(refusal.errors.iter().all(|error| error.rule_version == 7 && !error.message.is_empty()));
}

/// What the value at a pointer becomes, and what is kept of it when that differs.
fn check_normalised(detail: &str, pointer: &str, normal: &str) {
    let before: Json = serde_json::from_str(detail).expect("JSON");
    let event = transformed(detail);
    let after: Json = serde_json::from_str(event.event.as_str()).expect("JSON");
    assert_eq!(after.pointer(pointer).and_then(Json::as_str), Some(normal), "{detail}");
    let original = event.originals.get(pointer).map(|text| serde_json::from_str::<Json>(text.as_str()).expect("JSON"));
    let changed = before.pointer(pointer) != after.pointer(pointer);
    assert_eq!(original.as_ref(), before.pointer(pointer).filter(|_| changed), "{detail}");
}

#[test]
fn a_good_event_is_told_with_its_rules() {
    let found = transformed(&event().to_string());
    let expected = TransformedEvent {
        event_id: "919108f7-52d1-4320-9bac-f847db4148a8".parse().expect("an id"),
        event_type: "page.viewed".to_owned(),
        source_region: Region::new("eu-west-1").expect("a region"),
        timestamp: "2026-03-04T05:06:00Z".parse().expect("a time"),
        received_at: "2026-03-04T05:06:07Z".parse().expect("a time"),
        transformed_in: Region::new("us-west-2").expect("a region"),
        raw_event_id: "bus-1".to_owned(),
        traceparent: None,
        rules: RulesId { version: 7, ..RuleSet::parse(RULES).expect("good rules").id().clone() },
        originals: [].into(),
        geo: Some(Geo::of_status(GeoStatus::NoAddress, Some(database().id().clone()))),
        event: JsonText::parse(event().to_string()).expect("JSON"),
    };
    assert_eq!(found, expected);
}

#[test]
fn the_four_members_of_every_event() {
    use ViolationCode::{Missing, NotEventType, NotRegion, NotTimestamp, NotUuid, TooFarAhead, TooOld, WrongType};
    for member in crate::rules::OWN_MEMBERS {
        let pointer = format!("/{member}");
        let mut without = event();
        without.as_object_mut().expect("an object").remove(member);
        check_refused(&without.to_string(), &[(&pointer, Missing)]);
        check_refused(&with(member, Json::Null), &[(&pointer, Missing)]);
        for value in [json!(1), json!(true), json!([]), json!({})] {
            check_refused(&with(member, value), &[(&pointer, WrongType)]);
        }
    }
    let check = |member: &str, value: &str, code| check_refused(&with(member, value), &[(&format!("/{member}"), code)]);
    for bad in [
        "",
        "919108f7",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        // Versions 1, 6 and 8.
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "1ec9414c-232a-6b00-b3c8-9f6bdeced846",
        "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0",
    ] {
        check("event_id", bad, NotUuid);
    }
    for good in ["2ed6657d-e927-568b-95e1-2665a8aea6a2", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"] {
        assert_eq!(transformed(&with("event_id", good)).event_id.to_string(), good);
    }
    for bad in ["", "1.viewed", "page viewed", &"x".repeat(129)] {
        check("event_type", bad, NotEventType);
    }
    for bad in ["", "mars", "US-WEST-2"] {
        check("source_region", bad, NotRegion);
    }
    for bad in ["", "2026-03-04", "2026-03-04T05:06:00", "1772600000"] {
        check("timestamp", bad, NotTimestamp);
    }
    // The bounds are included.
    for (good, bad, code) in [
        ("2026-03-04T04:06:07Z", "2026-03-04T04:06:06.999999999Z", TooOld),
        ("2026-03-04T06:11:07+01:00", "2026-03-04T06:11:07.000000001+01:00", TooFarAhead),
        ("2026-03-04T05:06:07Z", "0001-01-01T00:00:00Z", TooOld),
        ("2026-03-04T05:06:07Z", "9999-12-30T22:00:00Z", TooFarAhead),
    ] {
        transformed(&with("timestamp", good));
        check("timestamp", bad, code);
    }
}

#[test]
fn rules_can_allow_fewer_versions_of_ids() {
    let rules = RULES.replace(r#""version": 7,"#, r#""version": 7, "event_id_versions": [5, 7],"#);
    let verdict = |id: &str| verdict_by(&rules, None, &with("event_id", id));
    for good in ["2ed6657d-e927-568b-95e1-2665a8aea6a2", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"] {
        assert!(matches!(verdict(good), Verdict::Transformed(_)), "{good}");
    }
    let Verdict::Refused(refusal) = verdict("919108f7-52d1-4320-9bac-f847db4148a8") else { panic!("version 4") };
    assert_eq!(refusal.errors[0].code, ViolationCode::NotUuid);
    assert!(refusal.errors[0].message.contains("version 5 or 7 "), "{}", refusal.errors[0].message);
}

#[test]
fn rules_of_an_event_type() {
    use ViolationCode::{
        Missing, NotAllowed, NotEmail, NotTimestamp, NotUuid, NotWhole, TooLarge, TooLong, TooShort, TooSmall,
        WrongForm, WrongType,
    };
    let check = |member: &str, value: Json, code| {
        check_refused(&registered(member, value), &[(&format!("/data/{member}"), code)]);
    };
    check("email", Json::Null, Missing);
    check("email", json!("nobody"), NotEmail);
    check("email", json!(5), WrongType);
    check("name", json!("A"), TooShort);
    check("name", json!("A".repeat(21)), TooLong);
    check("plan", json!("gold"), NotAllowed);
    check("code", json!("EURO"), WrongForm);
    check("credit", json!(-1), TooSmall);
    check("credit", json!("1"), WrongType);
    check("count", json!(1.5), NotWhole);
    check("since", json!("yesterday"), NotTimestamp);
    check("ref", json!("919108f7"), NotUuid);
    check("vip", json!("true"), WrongType);
    check_refused(&registered("tags", json!([])), &[("/data/tags/0", Missing)]);
    check_refused(&registered("tags", json!({ "a": 1 })), &[("/data/tags/0", Missing)]);
    // More digits than a double has.
    let credit = |number: &str| registered("credit", json!(0)).replace("\"credit\":0", &format!("\"credit\":{number}"));
    transformed(&credit("9007199254740993.5"));
    check_refused(&credit("9007199254740993.50000000000000001"), &[("/data/credit", TooLarge)]);
    check_refused(&credit("1e400"), &[("/data/credit", TooLarge)]);
    for (member, value) in [
        ("name", json!("Ada")),
        ("plan", json!("free")),
        ("code", json!("EUR")),
        ("count", json!(-3)),
        ("vip", json!(false)),
        ("plan", Json::Null),
        ("unknown", json!({ "kept": [1, "2"] })),
        ("tags", json!({ "0": 1 })),
    ] {
        transformed(&registered(member, value));
    }
}

#[test]
fn rules_for_every_event_hold_for_unknown_types_too() {
    transformed(&with("data", json!({})));
    transformed(&with("data", "no object"));
    check_refused(&with("data", json!({ "email": "nobody" })), &[("/data/email", ViolationCode::NotEmail)]);
    // Also when the type itself is wrong.
    let mut event = event();
    event["event_type"] = json!("");
    event["data"] = json!({ "email": "nobody" });
    let expected = [("/event_type", ViolationCode::NotEventType), ("/data/email", ViolationCode::NotEmail)];
    check_refused(&event.to_string(), &expected);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let detail = r#"{"event_id":"x","event_type":"customer.registered","timestamp":1,"n":1,"n":2,
        "data":{"email":"a@b","name":"","plan":"x","code":"\ud800","credit":-1,"count":0.5,"since":"x","ref":"x","vip":0}}"#;
    check_refused(
        detail,
        &[
            ("/n", ViolationCode::DuplicateMember),
            ("/data/code", ViolationCode::NotText),
            ("/event_id", ViolationCode::NotUuid),
            ("/source_region", ViolationCode::Missing),
            ("/timestamp", ViolationCode::WrongType),
            ("/data/email", ViolationCode::NotEmail),
            ("/data/name", ViolationCode::TooShort),
            ("/data/plan", ViolationCode::NotAllowed),
            ("/data/code", ViolationCode::WrongForm),
            ("/data/credit", ViolationCode::TooSmall),
            ("/data/count", ViolationCode::NotWhole),
            ("/data/since", ViolationCode::NotTimestamp),
            ("/data/ref", ViolationCode::NotUuid),
            ("/data/vip", ViolationCode::WrongType),
            ("/data/tags/0", ViolationCode::Missing),
        ],
    );
    let refusal = refused(detail);
    assert_eq!((refusal.event_id.as_deref(), refusal.event_type.as_deref()), (Some("x"), Some("customer.registered")));
    assert_eq!((refusal.raw_event_id.as_str(), refusal.rules.version), ("bus-1", 7));
}

#[test]
fn what_is_no_event_is_refused_as_a_whole() {
    for detail in ["null", "[]", "\"text\"", "17"] {
        check_refused(detail, &[("", ViolationCode::NotAnObject)]);
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    check_refused(&deep, &[(&format!("/a{}", "/0".repeat(document::MAX_DEPTH - 1)), ViolationCode::TooDeep)]);
}

#[test]
fn messages_do_not_repeat_what_was_found() {
    let refusal = refused(&registered("email", "secret-person"));
    assert!(!refusal.errors[0].message.contains("secret-person"));
    let long = refused(&with("event_type", "x".repeat(200)));
    assert_eq!(long.event_type, None, "it stands in the original");
}

#[test]
fn values_become_normal_and_the_original_is_kept() {
    check_normalised(&with("timestamp", "2026-03-04T06:06:00.50+01:00"), "/timestamp", "2026-03-04T05:06:00.5Z");
    check_normalised(&with("timestamp", "2026-03-04T05:06:00Z"), "/timestamp", "2026-03-04T05:06:00Z");
    let id = "919108F7-52D1-4320-9BAC-F847DB4148A8";
    check_normalised(&with("event_id", id), "/event_id", &id.to_lowercase());
    check_normalised(&registered("email", "Ada@Example.COM"), "/data/email", "Ada@example.com");
    check_normalised(&registered("email", "ada@bücher.example"), "/data/email", "ada@xn--bcher-kva.example");
    check_normalised(&registered("since", "1999-12-31T23:00:00-01:00"), "/data/since", "2000-01-01T00:00:00Z");
    check_normalised(&registered("name", "Zoe\u{308}"), "/data/name", "Zoë");
    check_normalised(
        &registered("ref", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"),
        "/data/ref",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    );
    // No rule speaks of it.
    check_normalised(&with("note", "Zoe\u{308}"), "/note", "Zoe\u{308}");
    let timestamp = transformed(&with("timestamp", "2026-03-04T06:06:00+01:00")).timestamp;
    assert_eq!(timestamp.to_string(), "2026-03-04T05:06:00Z");
}

#[test]
fn what_no_rule_speaks_of_keeps_every_byte_but_white_space() {
    let detail = r#"{ "z": 9007199254740993.10, "event_id": "919108f7-52d1-4320-9bac-f847db4148a8", "event_type": "a",
        "source_region": "eu-west-1", "n": [1e400, -0.0, 1E+2], "timestamp": "2026-03-04T05:06:00\u005a", "t": "\u00e9\/" }"#;
    let expected = r#"{"z":9007199254740993.10,"event_id":"919108f7-52d1-4320-9bac-f847db4148a8","event_type":"a","#
        .to_owned()
        + r#""source_region":"eu-west-1","n":[1e400,-0.0,1E+2],"timestamp":"2026-03-04T05:06:00\u005a","t":"\u00e9\/"}"#;
    let event = transformed(detail);
    assert_eq!(event.event.as_str(), expected);
    assert!(event.originals.is_empty(), "a value in another spelling is the same value");
}

/// Events that are mostly good, in many spellings, with anything besides.
fn any_event() -> impl Strategy<Value = String> {
    let timestamp = (-5000_i64..1000, -720..720_i32, 0..4_usize).prop_map(|(seconds, offset_minutes, digits)| {
        let instant: Timestamp = "2026-03-04T05:06:07.123Z".parse().expect("a time");
        let instant = instant + SignedDuration::from_secs(seconds);
        let local = instant + SignedDuration::from_mins(i64::from(offset_minutes));
        let (sign, minutes) = (if offset_minutes < 0 { '-' } else { '+' }, offset_minutes.abs());
        let fraction = if digits == 0 { String::new() } else { format!(".{}", "120".get(..digits).unwrap_or("120")) };
        let text = local.to_string();
        format!("{}{fraction}{sign}{:02}:{:02}", &text[..19], minutes / 60, minutes % 60)
    });
    let email = "[a-zA-Z.]{1,6}@[a-zA-Zü]{1,6}\\.[a-zA-Z]{2,3}";
    let address = prop_oneof![
        "[89]\\.8\\.[0-2]\\.[0-9]{1,2}",
        "(8\\.8\\.0|10\\.0\\.0|192\\.0\\.2)\\.(1[0-9]{2})",
        "(2a00|2a11|fe80|2002)(:[0-9A-F]{1,4}){7}",
        "::ffff:8\\.8\\.4\\.[1-9]",
        "[0-9a-f.:]{0,12}",
    ];
    let name = "[a-zA-Ze\u{301}\u{308}ë]{1,8}";
    let event_type = prop_oneof![Just("customer.registered"), Just("page.viewed")];
    let id = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[457][0-9a-f]{3}-[89abAB][0-9a-f]{3}-[0-9a-fA-F]{12}";
    (timestamp, email, name, event_type, id, any_json(), any::<bool>(), address).prop_map(
        |(timestamp, email, name, event_type, id, anything, since, address)| {
            let since = if since { format!(r#","since":"{timestamp}""#) } else { String::new() };
            format!(
                r#"{{ "event_id":"{id}","event_type":"{event_type}", "anything": {anything},
                "source_region":"us-east-1","timestamp":"{timestamp}",
                "data":{{"email":"{email}","name":"{name}","ip":"{address}","tags":[{anything}]{since}}} }}"#
            )
        },
    )
}

proptest! {
    #[test]
    fn normalising_twice_is_normalising_once(detail in any_event()) {
        if let Verdict::Transformed(once) = verdict_on(&detail) {
            let twice = transformed(once.event.as_str());
            prop_assert_eq!(&twice.event, &once.event);
            prop_assert!(twice.originals.is_empty());
            prop_assert_eq!(&twice.geo, &once.geo);
            prop_assert_eq!(
                (twice.event_id, twice.timestamp, &twice.event_type),
                (once.event_id, once.timestamp, &once.event_type)
            );
        }
    }

    #[test]
    fn the_same_event_gives_the_same_bytes(detail in any_event()) {
        let json = |verdict| match verdict {
            Verdict::Transformed(event) => event.to_json(),
            Verdict::Refused(refusal) => refusal.to_json(),
        };
        prop_assert_eq!(json(verdict_on(&detail)), json(verdict_on(&detail)));
    }

    /// Whatever an event is, it is judged; a refusal says why and keeps the original.
    #[test]
    fn every_json_has_a_verdict(detail in prop_oneof![any_json(), any_event()]) {
        if let Verdict::Refused(refusal) = verdict_on(&detail) {
            prop_assert!(!refusal.errors.is_empty());
            prop_assert_eq!(&refusal.original, detail.trim());
            let read: ValidationFailed = serde_json::from_str(&refusal.to_json()).expect("JSON");
            prop_assert_eq!(read, *refusal);
        }
    }

    /// What was changed can be had back.
    #[test]
    fn originals_give_the_event_back(detail in any_event()) {
        if let (Verdict::Transformed(event), Ok(before)) = (verdict_on(&detail), serde_json::from_str::<Json>(&detail)) {
            let mut after: Json = serde_json::from_str(event.event.as_str()).expect("JSON");
            for (pointer, original) in &event.originals {
                *after.pointer_mut(pointer).expect("there") = serde_json::from_str(original.as_str()).expect("JSON");
            }
            // But for the address, which nobody shall have back.
            prop_assert!(!event.originals.contains_key("/data/ip"));
            let address = before.pointer("/data/ip").expect("there");
            *after.pointer_mut("/data/ip").expect("there") = address.clone();
            prop_assert_eq!(after, before);
        }
    }
}

#[test]
fn most_generated_events_are_good() {
    use proptest::strategy::ValueTree;
    // Otherwise the properties above would hold for nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let good = (0..200).filter(|_| {
        let detail = any_event().new_tree(&mut runner).expect("an event").current();
        matches!(verdict_on(&detail), Verdict::Transformed(_))
    });
    assert!(good.count() > 50);
}
