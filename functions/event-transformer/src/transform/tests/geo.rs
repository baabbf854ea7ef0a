//! What becomes of an event's address.

use super::*;

/// A good event with an address.
fn from_address(address: &str) -> String {
    with("data", json!({ "ip": address }))
}

/// `geo_status`, country and the address that stays.
fn told_of(event: &TransformedEvent) -> (GeoStatus, Option<String>, Option<String>) {
    let geo = event.geo.as_ref().expect("asked for");
    let json: Json = serde_json::from_str(event.event.as_str()).expect("JSON");
    let address = json.pointer("/data/ip").and_then(Json::as_str).map(str::to_owned);
    (geo.geo_status, geo.country.map(|country| country.to_string()), address)
}

#[test]
fn an_address_is_looked_up_and_cut() {
    let check = |address: &str, status: GeoStatus, country: Option<&str>, kept: &str| {
        let event = transformed(&from_address(address));
        assert_eq!(told_of(&event), (status, country.map(str::to_owned), Some(kept.to_owned())), "{address}");
        assert!(event.originals.is_empty(), "{address} stays nowhere");
        assert!(kept == address || !event.to_json().contains(address), "{address} stays nowhere");
    };
    check("9.1.2.3", GeoStatus::Hit, Some("US"), "9.1.2.0");
    check("::ffff:9.1.2.3", GeoStatus::Hit, Some("US"), "9.1.2.0");
    check("2A00:1:2:3::4", GeoStatus::Hit, Some("DE"), "2a00:1:2::");
    check("8.8.0.200", GeoStatus::Ambiguous, None, "8.8.0.0");
    check("7.1.2.3", GeoStatus::Miss, None, "7.1.2.0");
    check("192.168.1.17", GeoStatus::Private, None, "192.168.1.0");
    check("192.0.2.1", GeoStatus::Reserved, None, "192.0.2.0");
    check("9.1.2.3:443", GeoStatus::Invalid, None, "9.1.2.3:443");
}

#[test]
fn an_address_can_be_kept() {
    let rules = RULES.replace(r#""address": "/data/ip""#, r#""address": "/data/ip", "keep_address": true"#);
    let check = |address: &str, country: &str, kept: &str, original: Option<&str>| {
        let Verdict::Transformed(event) = verdict_by(&rules, Some(&database()), &from_address(address)) else {
            panic!("{address} is refused")
        };
        assert_eq!(told_of(&event), (GeoStatus::Hit, Some(country.to_owned()), Some(kept.to_owned())), "{address}");
        assert_eq!(event.originals.get("/data/ip").map(JsonText::as_str), original, "{address}");
    };
    check("8.8.0.200", "CA", "8.8.0.200", None);
    check("8.8.0.100", "US", "8.8.0.100", None);
    check("2A00::1", "DE", "2a00::1", Some(r#""2A00::1""#));
}

#[test]
fn without_a_database_only_the_answer_is_missing() {
    for address in ["9.1.2.3", "10.1.2.3", "nonsense"] {
        let detail = from_address(address);
        let Verdict::Transformed(without) = verdict_by(RULES, None, &detail) else { panic!("{address} is refused") };
        let with = transformed(&detail);
        let expected = match with.geo.as_ref().expect("asked for").geo_status {
            GeoStatus::Hit => GeoStatus::DatabaseAbsent,
            other => other,
        };
        assert_eq!(without.geo, Some(Geo::of_status(expected, None)), "{address}");
        assert_eq!(TransformedEvent { geo: with.geo.clone(), ..*without }, with);
    }
}

#[test]
fn who_does_not_ask_gets_no_answer() {
    let rules = RULES.replace(r#""geo": { "address": "/data/ip" },"#, "");
    let Verdict::Transformed(event) = verdict_by(&rules, Some(&database()), &from_address("9.1.2.3")) else {
        panic!("refused")
    };
    assert_eq!(event.geo, None);
    assert!(event.event.as_str().contains("9.1.2.3"));
}

#[test]
fn a_refused_event_keeps_its_address() {
    let mut event = event();
    event["data"] = json!({ "ip": "9.1.2.3", "email": "nobody" });
    check_refused(&event.to_string(), &[("/data/email", ViolationCode::NotEmail)]);
    // Where a rule asks for an address, what is none is refused.
    let rules =
        RULES.replace(r#""every_event": ["#, r#""every_event": [{ "pointer": "/data/ip", "is": "ip_address" },"#);
    let Verdict::Refused(refusal) = verdict_by(&rules, Some(&database()), &from_address("9.1.2.3:443")) else {
        panic!("accepted")
    };
    assert_eq!(refusal.errors[0].code, ViolationCode::NotIpAddress);
    let Verdict::Transformed(event) = verdict_by(&rules, Some(&database()), &from_address("::ffff:9.1.2.3")) else {
        panic!("refused")
    };
    assert!(event.originals.is_empty(), "the rule meets what is kept");
}
