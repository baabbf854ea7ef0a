//! Raw events of the API and what the transformer makes of them.
//!
//! A raw event comes in by the API, lies in a queue as the bus delivered it, and ends as exactly one of two events on the
//! bus: [`TransformedEvent`] or [`ValidationFailed`]; or as a dead letter, when that event is too large for a bus. What makes an event valid is not said here: that is the
//! transformer's, with its rules.

use std::collections::BTreeMap;
use std::fmt;

use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::geo::Geo;
use crate::hash::sha256_hex;
use crate::json::{excerpt, to_json};
use crate::text::serde_as_text;
use crate::{Correlation, EventId, JsonText, TraceParent, UnknownName};

/// `Source` of raw events on a bus; the API's integration sets it.
pub const SOURCE: &str = "tandem.api";
/// `DetailType` of raw events on a bus; the API's integration sets it.
pub const DETAIL_TYPE: &str = "RawEvent";
/// `Source` of everything that the transformer puts onto a bus.
pub const TRANSFORMER_SOURCE: &str = "tandem.transformer";
/// `DetailType` of [`TransformedEvent`].
pub const TRANSFORMED: &str = "transformed";
/// `DetailType` of [`ValidationFailed`].
pub const VALIDATION_FAILED: &str = "validation_failed";

/// A raw event as the bus delivered it.
#[derive(Clone, Debug)]
pub struct RawEvent<'a> {
    /// The bus's own id of the event.
    pub bus_event_id: String,
    /// When the bus got the event, to the second. It stays the same when the event is delivered again.
    pub received_at: Timestamp,
    /// The replay that brought the event, if it comes from the bus's archive: then somebody wants it once more.
    pub replay: Option<String>,
    /// What the caller of the API sent, as the bus delivered it: the exact text of some JSON value. A bus may write the
    /// JSON anew, so the caller's own bytes aren't known.
    pub detail: &'a RawValue,
}

impl<'a> RawEvent<'a> {
    /// Reads the JSON that a rule of the bus hands to its targets (EventBridge user guide, "Events" and "Archiving and
    /// replaying events", read 2026-11).
    ///
    /// # Errors
    /// When it is no event of a bus, or one that isn't a raw event. Trying again gives the same answer.
    pub fn from_bus(text: &'a str) -> Result<Self, NoRawEvent> {
        let event: BusEvent<'a> = serde_json::from_str(text).map_err(NoRawEvent::Undecodable)?;
        if (event.source.as_str(), event.detail_type.as_str()) != (SOURCE, DETAIL_TYPE) {
            return Err(NoRawEvent::OtherEvent {
                event_source: excerpt(&event.source).into_owned(),
                detail_type: excerpt(&event.detail_type).into_owned(),
            });
        }
        Ok(Self { bus_event_id: event.id, received_at: event.time, replay: event.replay, detail: event.detail })
    }
}

#[derive(Deserialize)]
struct BusEvent<'a> {
    id: String,
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(with = "crate::text")]
    time: Timestamp,
    #[serde(rename = "replay-name", default)]
    replay: Option<String>,
    #[serde(borrow)]
    detail: &'a RawValue,
}

/// Why a text is no raw event.
#[derive(Debug, thiserror::Error)]
pub enum NoRawEvent {
    /// It isn't what a bus hands to its targets.
    #[error("the text is no event of a bus")]
    Undecodable(#[source] serde_json::Error),
    /// It is an event of another kind. Taking it could make the transformer answer its own events.
    #[error(
        "an event `{detail_type}` of `{event_source}` is no raw event; the rule must choose `{DETAIL_TYPE}` of `{SOURCE}`"
    )]
    OtherEvent {
        /// Its `Source`.
        event_source: String,
        /// Its `DetailType`.
        detail_type: String,
    },
}

impl NoRawEvent {
    /// A stable name of the kind of error, for dead letters and alarms.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Undecodable(_) => "undecodable",
            Self::OtherEvent { .. } => "no_raw_event",
        }
    }
}

/// A raw event that is valid, in its normal form; the `detail` of a [`TRANSFORMED`] event.
///
/// The members above `event` are taken from it, so that a rule of a bus can choose by them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformedEvent {
    /// The event's id, chosen by its sender. An event that is sent again has the same.
    pub event_id: EventId,
    /// What the event is about, such as `customer.registered`.
    pub event_type: String,
    /// The region that the event says it comes from.
    #[serde(with = "crate::text")]
    pub source_region: Region,
    /// When it happened, by its sender's clock.
    #[serde(with = "crate::text")]
    pub timestamp: Timestamp,
    /// When the bus got the raw event.
    #[serde(with = "crate::text")]
    pub received_at: Timestamp,
    /// The region that transformed it.
    #[serde(with = "crate::text")]
    pub transformed_in: Region,
    /// The bus's id of the raw event.
    pub raw_event_id: String,
    /// The trace context that the raw event's sender wrote into it; left out when there is none.
    #[serde(default, with = "crate::text::lenient", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// The rules that it was checked and normalised by.
    pub rules: RulesId,
    /// What a value was before it was normalised, as JSON, by JSON pointer. Values that were normal already aren't here, and
    /// neither is an address that was truncated.
    pub originals: BTreeMap<String, JsonText>,
    /// Where the event's address lies; absent when the rules don't ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo: Option<Geo>,
    /// The event, normalised; what no rule speaks of is as it came.
    pub event: JsonText,
}

impl TransformedEvent {
    /// The event as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// By what the event is found in logs.
    pub fn correlation(&self) -> Correlation {
        Correlation { event_id: Some(self.event_id), traceparent: self.traceparent }
    }
}

/// A raw event that breaks rules; the `detail` of a [`VALIDATION_FAILED`] event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationFailed {
    /// The event's id as its sender wrote it, if there is a text that isn't too long for one.
    pub event_id: Option<String>,
    /// The event's type as its sender wrote it, if there is a text that isn't too long for one.
    pub event_type: Option<String>,
    /// When the bus got the raw event.
    #[serde(with = "crate::text")]
    pub received_at: Timestamp,
    /// The region that refused it.
    #[serde(with = "crate::text")]
    pub refused_in: Region,
    /// The bus's id of the raw event.
    pub raw_event_id: String,
    /// The trace context that the raw event's sender wrote into it; left out when there is none.
    #[serde(default, with = "crate::text::lenient", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// The rules that it was checked by.
    pub rules: RulesId,
    /// Everything that is wrong with it; at least one. Of members that are named twice and of broken characters not more
    /// than a hundred are told.
    pub errors: Vec<Violation>,
    /// The raw event as the bus delivered it. A text and not a JSON value, because a bus may write a value anew.
    pub original: String,
}

impl ValidationFailed {
    /// The event as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// By what the event is found in logs. The id that its sender wrote may be none.
    pub fn correlation(&self) -> Correlation {
        let event_id = self.event_id.as_deref().and_then(|id| id.parse().ok());
        Correlation { event_id, traceparent: self.traceparent }
    }
}

/// Which rules an event was judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesId {
    /// The version that the rules give themselves.
    pub version: u32,
    /// The SHA-256 of the rules' file, in lower-case hexadecimal.
    pub sha256: String,
}

impl RulesId {
    /// The id of rules of this version in a file with this text.
    pub fn of_file(version: u32, text: &str) -> Self {
        Self { version, sha256: sha256_hex(text.as_bytes()) }
    }
}

/// One thing that is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Where, as a JSON pointer (RFC 6901); empty for the event as a whole. What lies behind very long names is pointed at by
    /// the nearest place around it.
    pub pointer: String,
    /// What kind of mistake it is.
    pub code: ViolationCode,
    /// What is expected there, for people. Never holds what was found.
    pub message: String,
    /// The version of the rules that say so.
    pub rule_version: u32,
}

macro_rules! violation_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kinds of mistakes in an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ViolationCode {
            $($(#[$doc])* $variant,)*
        }

        impl ViolationCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code's stable name, also for metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

violation_codes! {
    /// A required value is absent or null.
    Missing = "missing",
    /// The value is of another JSON type than expected.
    WrongType = "wrong_type",
    /// The event is no JSON object.
    NotAnObject = "not_an_object",
    /// An object names a member twice, so that readers would disagree about its value.
    DuplicateMember = "duplicate_member",
    /// Arrays and objects lie too deep in each other.
    TooDeep = "too_deep",
    /// The value is no UUID of an accepted version.
    NotUuid = "not_uuid",
    /// An event with another content and the same id came before.
    EventIdReused = "event_id_reused",
    /// The value is no RFC 3339 time with an offset.
    NotTimestamp = "not_timestamp",
    /// The time lies too far back.
    TooOld = "too_old",
    /// The time lies too far ahead.
    TooFarAhead = "too_far_ahead",
    /// The value is no AWS region name.
    NotRegion = "not_region",
    /// The value is no name of an event type.
    NotEventType = "not_event_type",
    /// The value is no e-mail address.
    NotEmail = "not_email",
    /// The value is no IP address.
    NotIpAddress = "not_ip_address",
    /// The text is shorter than it may be.
    TooShort = "too_short",
    /// The text is longer than it may be.
    TooLong = "too_long",
    /// The text doesn't have the form asked for.
    WrongForm = "wrong_form",
    /// The text isn't one of the allowed ones.
    NotAllowed = "not_allowed",
    /// The text holds half of a surrogate pair, which is no character.
    NotText = "not_text",
    /// The number is no whole number.
    NotWhole = "not_whole",
    /// The number is below its range.
    TooSmall = "too_small",
    /// The number is above its range.
    TooLarge = "too_large",
}

impl fmt::Display for ViolationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ViolationCode {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.iter().copied().find(|code| code.as_str() == text);
        known.ok_or_else(|| UnknownName::new("violation code", &excerpt(text), "one such as `missing`"))
    }
}

serde_as_text!(ViolationCode);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trace_context;

    fn bus_event(source: &str, detail_type: &str, detail: &str) -> String {
        format!(
            r#"{{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":"{detail_type}","source":"{source}",
            "account":"000000000000","time":"2026-03-04T05:06:07Z","region":"us-west-2","resources":[],"detail":{detail}}}"#
        )
    }

    #[test]
    fn raw_events_keep_their_exact_text() {
        let text = bus_event(SOURCE, DETAIL_TYPE, r#"{ "n": 9007199254740993.10, "n": 1e2 }"#);
        let event = RawEvent::from_bus(&text).expect("a raw event");
        assert_eq!(event.detail.get(), r#"{ "n": 9007199254740993.10, "n": 1e2 }"#);
        assert_eq!(event.bus_event_id, "17793124-05d4-b198-2fde-7ededc63b103");
        assert_eq!(event.received_at.to_string(), "2026-03-04T05:06:07Z");
        assert_eq!(event.replay, None);
    }

    #[test]
    fn a_replay_says_so() {
        let text = bus_event(SOURCE, DETAIL_TYPE, "{}").replacen('{', r#"{"replay-name":"after-the-outage","#, 1);
        let event = RawEvent::from_bus(&text).expect("a raw event");
        assert_eq!(event.replay.as_deref(), Some("after-the-outage"));
        // What a sender writes is inside of the event.
        let text = bus_event(SOURCE, DETAIL_TYPE, r#"{"replay-name":"mine"}"#);
        assert_eq!(RawEvent::from_bus(&text).expect("a raw event").replay, None);
    }

    #[test]
    fn other_texts_are_no_raw_events() {
        let check = |text: &str, class: &str| {
            assert_eq!(RawEvent::from_bus(text).expect_err(class).class(), class, "{text}");
        };
        for text in ["", "nonsense", "{}", "[]", r#"{"detail":{}}"#, "\"text\""] {
            check(text, "undecodable");
        }
        check(&bus_event(SOURCE, DETAIL_TYPE, "{}").replace("2026-03-04T05:06:07Z", "yesterday"), "undecodable");
        check(&bus_event(TRANSFORMER_SOURCE, TRANSFORMED, "{}"), "no_raw_event");
        check(&bus_event(SOURCE, "Other", "{}"), "no_raw_event");
    }

    proptest! {
        #[test]
        fn any_text_is_handled(text in ".{0,200}") {
            prop_assert!(RawEvent::from_bus(&text).is_err());
        }

        /// What a bus hands over, damaged: it is read or refused.
        #[test]
        fn damaged_events_are_handled(
            damaged in fuzz::damaged_text(&bus_event(SOURCE, DETAIL_TYPE, r#"{ "n": 9007199254740993.10, "t": "text" }"#)),
        ) {
            if let Ok(event) = RawEvent::from_bus(&damaged) {
                prop_assert!(damaged.contains(event.detail.get()));
            }
        }
    }

    #[test]
    fn json_is_the_documented_form() {
        let time: Timestamp = "2026-03-04T05:06:07Z".parse().expect("a time");
        let region = Region::new("us-west-2").expect("a region");
        let rules = RulesId { version: 3, sha256: "00ff".to_owned() };
        let transformed = TransformedEvent {
            event_id: "c818f4bf-67a4-4b26-ab31-e855aa277d6c".parse().expect("an id"),
            event_type: "customer.registered".to_owned(),
            source_region: region.clone(),
            timestamp: time,
            received_at: time,
            transformed_in: region.clone(),
            raw_event_id: "bus-1".to_owned(),
            traceparent: None,
            rules: rules.clone(),
            originals: [("/timestamp".to_owned(), JsonText::parse_or_quote("2026-03-04T06:06:07+01:00"))].into(),
            geo: None,
            event: JsonText::parse_or_quote(r#"{"n":9007199254740993.10}"#),
        };
        insta::assert_snapshot!("transformed", transformed.to_json());
        let read: TransformedEvent = serde_json::from_str(&transformed.to_json()).expect("reads back");
        assert_eq!(read, transformed);
        let (pointer, code) = ("/event_id".to_owned(), ViolationCode::Missing);
        let failed = ValidationFailed {
            event_id: None,
            event_type: Some("customer.registered".to_owned()),
            received_at: time,
            refused_in: region,
            raw_event_id: "bus-1".to_owned(),
            traceparent: None,
            rules,
            errors: vec![Violation { pointer, code, message: "a UUID is required".to_owned(), rule_version: 3 }],
            original: r#"{ "n": 1.0 }"#.to_owned(),
        };
        insta::assert_snapshot!("validation_failed", failed.to_json());
        let read: ValidationFailed = serde_json::from_str(&failed.to_json()).expect("reads back");
        assert_eq!(read, failed);

        let traceparent = Some(trace_context::tests::example());
        let transformed = TransformedEvent { traceparent, ..transformed };
        assert!(
            transformed.to_json().contains(&format!(r#","traceparent":"{}","rules""#, trace_context::tests::EXAMPLE))
        );
        assert_eq!(serde_json::from_str::<TransformedEvent>(&transformed.to_json()).expect("reads back"), transformed);
        let event_id = Some(transformed.event_id);
        assert_eq!(transformed.correlation(), Correlation { event_id, traceparent });
        let failed = ValidationFailed { traceparent, event_id: Some(transformed.event_id.to_string()), ..failed };
        assert_eq!(serde_json::from_str::<ValidationFailed>(&failed.to_json()).expect("reads back"), failed);
        assert_eq!(failed.correlation(), transformed.correlation());
        let nameless = ValidationFailed { event_id: Some("no id".to_owned()), ..failed };
        assert_eq!(nameless.correlation(), Correlation { event_id: None, traceparent });
    }

    #[test]
    fn the_hash_is_that_of_the_file() {
        // The example of FIPS 180-2, appendix B.1.
        let id = RulesId::of_file(3, "abc");
        assert_eq!(id.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(id.version, 3);
    }

    #[test]
    fn codes_have_distinct_names() {
        for code in ViolationCode::ALL {
            assert_eq!(code.as_str().parse::<ViolationCode>().as_ref(), Ok(code));
        }
    }
}
