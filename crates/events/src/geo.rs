//! Where in the world the address of a raw event lies, as the transformer found it.
//!
//! The country of an address is that of a network, not of a person, and the address itself is what the event's sender
//! wrote. So it is good for statistics and for the choice of a language; it says nothing about who somebody is, where
//! somebody lives or what somebody may do. **Never authorise by it.**
//!
//! Nothing here is finer than a country: no city, no coordinates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::UnknownName;
use crate::hash::sha256_hex;
use crate::json::excerpt;
use crate::text::serde_as_text;

/// What is known of an event's address.
///
/// Together with the rules and the database that are named, a raw event gives the same bytes again; a replay that shall
/// give them needs all three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geo {
    /// How the search ended.
    pub geo_status: GeoStatus,
    /// The country; only with [`GeoStatus::Hit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<CountryCode>,
    /// The continent; only with [`GeoStatus::Hit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continent: Option<ContinentCode>,
    /// The database that there was, whether it was asked or not; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<GeoDatabaseId>,
}

impl Geo {
    /// Nothing but a status, with the database that there was.
    pub fn of_status(geo_status: GeoStatus, database: Option<GeoDatabaseId>) -> Self {
        Self { geo_status, country: None, continent: None, database }
    }
}

/// Which database of addresses was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeoDatabaseId {
    /// The name that the database gives itself, such as `GeoLite2-Country`; 1 to 128 bytes.
    pub name: String,
    /// When it was built, in seconds since 1970 in UTC.
    pub build_epoch: u64,
    /// The SHA-256 of its file, in lower-case hexadecimal: name and time alone don't tell two builds of one second apart.
    pub sha256: String,
}

impl GeoDatabaseId {
    /// The id of a database with these bytes.
    pub fn of_file(name: &str, build_epoch: u64, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), build_epoch, sha256: sha256_hex(bytes) }
    }
}

macro_rules! geo_statuses {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// How the search for an event's address ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum GeoStatus {
            $($(#[$doc])* $variant,)*
        }

        impl GeoStatus {
            /// Every status.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The status's stable name, also for metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

geo_statuses! {
    /// The event has no address.
    NoAddress = "none",
    /// What stands in the address's place is no address. It was left as it came.
    Invalid = "invalid",
    /// The address belongs to a network of somebody's own (RFC 1918, RFC 6598, RFC 4193, link-local). It wasn't looked up.
    Private = "private",
    /// The address has another purpose than to be somebody's (loopback, documentation, multicast, unassigned, …). It
    /// wasn't looked up.
    Reserved = "reserved",
    /// The database knows the address.
    Hit = "hit",
    /// The database doesn't know the address.
    Miss = "miss",
    /// The database tells parts of what is kept of the address from each other, so there is no one answer for it.
    Ambiguous = "ambiguous",
    /// There was no database, or it couldn't be read.
    DatabaseAbsent = "db_absent",
}

impl fmt::Display for GeoStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GeoStatus {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.iter().copied().find(|status| status.as_str() == text);
        known.ok_or_else(|| UnknownName::new("geo status", &excerpt(text), "one such as `hit`"))
    }
}

macro_rules! two_letters {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// Invariant: two letters from `A` to `Z`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 2]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match *text.as_bytes() {
                    [first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => Ok(Self([first, second])),
                    _ => Err(UnknownName::new($kind, &excerpt(text), $expected)),
                }
            }
        }

        serde_as_text!($name);
    )*};
}

two_letters! {
    /// A country as the database names it, by ISO 3166-1 alpha-2 such as `DE`. Whether ISO knows it isn't checked.
    CountryCode, "country code", "two capital letters such as `DE`";
    /// A continent as the database names it: `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`, as a rule.
    ContinentCode, "continent code", "two capital letters such as `EU`";
}

serde_as_text!(GeoStatus);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for status in GeoStatus::ALL {
            assert_eq!(status.to_string().parse::<GeoStatus>().as_ref(), Ok(status));
        }
        assert!("absent".parse::<GeoStatus>().is_err());
        assert_eq!("DE".parse::<CountryCode>().map(|code| code.to_string()), Ok("DE".to_owned()));
        for bad in ["", "D", "de", "DEU", "D1", "Ü"] {
            assert!(bad.parse::<CountryCode>().is_err() && bad.parse::<ContinentCode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn json_is_the_documented_form() {
        let database = GeoDatabaseId::of_file("Test-Country", 1_772_600_000, b"abc");
        let hit = Geo {
            country: "DE".parse().ok(),
            continent: "EU".parse().ok(),
            ..Geo::of_status(GeoStatus::Hit, Some(database))
        };
        let json = serde_json::to_string(&hit).expect("serialises");
        insta::assert_snapshot!(json, @r#"{"geo_status":"hit","country":"DE","continent":"EU","database":{"name":"Test-Country","build_epoch":1772600000,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}"#);
        assert_eq!(serde_json::from_str::<Geo>(&json).expect("reads back"), hit);
        let none = Geo::of_status(GeoStatus::DatabaseAbsent, None);
        assert_eq!(serde_json::to_string(&none).expect("serialises"), r#"{"geo_status":"db_absent"}"#);
        assert_eq!(serde_json::from_str::<Geo>(r#"{"geo_status":"db_absent"}"#).expect("reads back"), none);
    }
}
