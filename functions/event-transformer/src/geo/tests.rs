use super::*;
use crate::document;
use serde_json::value::RawValue;

fn rule(precision: Precision) -> GeoRule {
    GeoRule { address: Pointer::parse("/data/ip").expect("a pointer"), precision }
}

fn database() -> GeoDatabase {
    GeoDatabase::from_bytes(mmdb::database("Test", &[("8.0.0.0/8", mmdb::geoip2("US", "NA"))])).expect("a database")
}

/// Status and kept address of an event with this JSON in the address's place.
fn located(address: &str, database: Option<&GeoDatabase>) -> (GeoStatus, Option<String>) {
    let text = RawValue::from_string(format!(r#"{{"data":{{"ip":{address}}}}}"#)).expect("JSON");
    let (event, _) = document::read(&text).expect("not deep");
    let located = locate(&event, &rule(Precision::Network), database);
    assert_eq!(located.geo.database.as_ref(), database.map(GeoDatabase::id), "{address}");
    assert!(located.geo.country.is_none() || located.geo.geo_status == GeoStatus::Hit, "{address}");
    (located.geo.geo_status, located.kept.map(|address| address.to_string()))
}

#[test]
fn every_status_has_its_reason() {
    use GeoStatus::{DatabaseAbsent, Hit, Invalid, Miss, NoAddress, Private, Reserved};
    let database = database();
    for (address, with, without, kept) in [
        (r#""8.1.2.3""#, Hit, DatabaseAbsent, Some("8.1.2.0")),
        (r#""::ffff:8.1.2.3""#, Hit, DatabaseAbsent, Some("8.1.2.0")),
        (r#""8.1.2\u002e3""#, Hit, DatabaseAbsent, Some("8.1.2.0")),
        (r#""9.1.2.3""#, Miss, DatabaseAbsent, Some("9.1.2.0")),
        (r#""10.1.2.3""#, Private, Private, Some("10.1.2.0")),
        (r#""fe80::1""#, Private, Private, Some("fe80::")),
        (r#""127.0.0.1""#, Reserved, Reserved, Some("127.0.0.0")),
        (r#""2001:db8:1:2::3""#, Reserved, Reserved, Some("2001:db8:1::")),
        (r#""8.1.2.3:80""#, Invalid, Invalid, None),
        (r#""""#, Invalid, Invalid, None),
        ("134744072", Invalid, Invalid, None),
        (r#"["8.1.2.3"]"#, Invalid, Invalid, None),
        ("null", NoAddress, NoAddress, None),
    ] {
        let kept = kept.map(str::to_owned);
        assert_eq!(located(address, Some(&database)), (with, kept.clone()), "{address}");
        assert_eq!(located(address, None), (without, kept), "{address}");
    }
}

#[test]
fn an_event_without_the_member_has_no_address() {
    let text = RawValue::from_string(r#"{"data":"8.1.2.3"}"#.to_owned()).expect("JSON");
    let (event, _) = document::read(&text).expect("not deep");
    let located = locate(&event, &rule(Precision::Whole), None);
    assert_eq!((located.geo, located.kept), (Geo::of_status(GeoStatus::NoAddress, None), None));
}

/// One test for all: the metric is one for the whole process.
#[test]
fn a_function_starts_with_any_database_and_with_none() {
    let folder = std::env::temp_dir().join(format!("tandem-geo-start-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let at = |name: &str| GeoDatabaseFile::At(folder.join(name).to_str().expect("a plain path").to_owned());
    std::fs::write(folder.join("good"), mmdb::database("Test", &[])).expect("written");
    std::fs::write(folder.join("damaged"), &mmdb::database("Test", &[])[..100]).expect("written");
    let loaded = || telemetry::GEO_DATABASE_LOADED.get(&[]);
    let opened = [at("good"), at("damaged"), at("good"), at("absent"), GeoDatabaseFile::None]
        .map(|file| (open(&file).is_some(), loaded()));
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(
        opened,
        [(true, Some(1.0)), (false, Some(0.0)), (true, Some(1.0)), (false, Some(0.0)), (false, Some(0.0))]
    );
}
