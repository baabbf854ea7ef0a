use super::*;
use crate::geo::mmdb::{BUILD_EPOCH, Datum, database, geoip2, text};
use proptest::prelude::*;

/// Who has which network is made up.
fn bytes() -> Vec<u8> {
    let flat =
        Datum::Map(vec![("country_code", text("JP")), ("continent_code", text("AS")), ("asn", Datum::U64(1 << 40))]);
    database(
        "Test-Country",
        &[
            ("8.0.0.0/8", geoip2("US", "NA")),
            ("8.8.4.128/25", geoip2("CA", "NA")),
            ("9.9.9.0/24", flat),
            ("11.0.0.0/16", Datum::Map(vec![("continent", Datum::Map(vec![("code", text("EU"))]))])),
            ("11.1.0.0/16", geoip2("Germany", "europe")),
            ("11.2.0.0/16", Datum::Map(vec![])),
            ("11.3.0.0/16", Datum::Map(vec![("country", text("DE"))])),
            ("2a00::/16", geoip2("DE", "EU")),
            ("2a01:1:2::/64", geoip2("FR", "EU")),
        ],
    )
}

fn open() -> GeoDatabase {
    GeoDatabase::from_bytes(bytes()).expect("a database")
}

fn told(database: &GeoDatabase, address: &str, kept_bits: u8) -> String {
    let geo = database.look_up(address.parse().expect("an address"), kept_bits);
    assert_eq!(geo.database.as_ref(), Some(database.id()));
    let code = |code: Option<String>| code.unwrap_or_else(|| "-".to_owned());
    let (country, continent) = (geo.country.map(|code| code.to_string()), geo.continent.map(|code| code.to_string()));
    format!("{} {} {}", geo.geo_status, code(country), code(continent))
}

#[test]
fn a_database_says_which_one_it_is() {
    let id = open().id().clone();
    assert_eq!(id, GeoDatabaseId::of_file("Test-Country", BUILD_EPOCH, &bytes()));
    let other = GeoDatabase::from_bytes(database("Test-Country", &[("9.0.0.0/8", geoip2("US", "NA"))])).expect("good");
    assert_ne!(other.id().sha256, id.sha256, "name and time are the same");
    assert!(!format!("{:?}", open()).contains("reader"), "no bytes in logs");
}

#[test]
fn addresses_are_found_as_far_as_the_kept_bits_tell() {
    let database = open();
    for (address, kept_bits, expected) in [
        ("8.1.2.3", 24, "hit US NA"),
        ("9.9.9.9", 24, "hit JP AS"),
        ("7.7.7.7", 24, "miss - -"),
        ("2a00:1:2::", 48, "hit DE EU"),
        ("2a03::1", 48, "miss - -"),
        // A part of the /24 lies elsewhere.
        ("8.8.4.200", 24, "ambiguous - -"),
        ("8.8.4.1", 24, "ambiguous - -"),
        ("8.8.4.200", 32, "hit CA NA"),
        ("8.8.4.1", 32, "hit US NA"),
        ("8.8.5.1", 24, "hit US NA"),
        // A part of the /48 isn't known.
        ("2a01:1:2::1", 48, "ambiguous - -"),
        ("2a01:1:2:1::1", 48, "ambiguous - -"),
        ("2a01:1:2::1", 128, "hit FR EU"),
        ("2a01:1:2:1::1", 128, "miss - -"),
        // Records that say less, or something else.
        ("11.0.0.1", 24, "hit - EU"),
        ("11.1.0.1", 24, "miss - -"),
        ("11.2.0.1", 24, "miss - -"),
        ("11.3.0.1", 24, "db_absent - -"),
    ] {
        assert_eq!(told(&database, address, kept_bits), expected, "{address}/{kept_bits}");
    }
}

#[test]
fn what_is_no_database_is_refused() {
    let refused = |bytes: Vec<u8>| GeoDatabase::from_bytes(bytes).expect_err("refused");
    assert!(matches!(refused(Vec::new()), GeoDatabaseError::NoDatabase(_)));
    assert!(matches!(refused(b"no database".to_vec()), GeoDatabaseError::NoDatabase(_)));
    assert!(matches!(refused(bytes()[..200].to_vec()), GeoDatabaseError::NoDatabase(_)));
    assert!(matches!(refused(database("", &[])), GeoDatabaseError::Unnamed));
    assert!(matches!(refused(database(&"n".repeat(129), &[])), GeoDatabaseError::Unnamed));
    assert!(matches!(refused(vec![0; 64 * 1024 * 1024 + 1]), GeoDatabaseError::TooLarge));
}

#[test]
fn files_are_read_and_other_things_are_not() {
    let folder = std::env::temp_dir().join(format!("tandem-geo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("geo.mmdb");
    std::fs::write(&path, bytes()).expect("written");
    let opened = GeoDatabase::open(&path);
    let absent = GeoDatabase::open(&folder.join("none.mmdb"));
    let not_a_file = GeoDatabase::open(&folder);
    let endless = GeoDatabase::open(Path::new("/dev/zero"));
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(opened.expect("a database").id(), open().id());
    assert!(matches!(absent, Err(GeoDatabaseError::Unreadable(_))));
    assert!(matches!(not_a_file, Err(GeoDatabaseError::NoFile)));
    assert!(matches!(endless, Err(GeoDatabaseError::NoFile)));
}

/// Without the net that catches panics: the properties hold for what is inside.
fn use_uncaught(bytes: Vec<u8>) {
    if let Ok(database) = GeoDatabase::read(bytes) {
        for address in ["8.8.4.200", "9.9.9.9", "0.0.0.0", "255.255.255.255", "2a00::1", "::", "ffff::ffff"] {
            let address = address.parse().expect("an address");
            let _ = database.find(address, 24);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_handled(bytes in prop::collection::vec(any::<u8>(), 0..512), marked in any::<bool>()) {
        let mut bytes = bytes;
        if marked {
            let at = bytes.len() / 2;
            bytes.splice(at..at, *b"\xab\xcd\xefMaxMind.com");
        }
        use_uncaught(bytes);
    }

    #[test]
    fn damaged_databases_are_handled(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        tail in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut damaged = bytes();
        let length = damaged.len();
        for (index, byte) in changes {
            // Records and metadata are a small part of the file, so they are hit in every second case.
            let at = if tail { length - 1 - index.index(700) } else { index.index(length) };
            damaged[at] = byte;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(length));
        }
        use_uncaught(damaged);
    }
}
