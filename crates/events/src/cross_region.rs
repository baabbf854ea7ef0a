//! The envelope in which a domain event crosses into the peer region.
//!
//! Routing fields stay outside the payload, because a bus can't filter inside it.
//! The payload is compressed when that pays after base64, and is never trusted:
//! its length is capped before anything is allocated, and its hash is checked before anything is parsed.
//!
//! An event of 1 KB repeats little within itself but much of what earlier events said: column names, codes, the shape.
//! Dictionaries hold that; see [`Dictionary`]. An envelope that names one that this program doesn't have yet is refused as
//! retryable, not as poison.
//!
//! How long a payload is can be seen from outside, and a text that an attacker chooses gets shorter where it agrees with what
//! stands beside it. So columns that are secret may not be in a domain event, and no secret may be in a dictionary.

mod compression;
mod dictionary;
mod open;
mod seal;

use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::EventType;
use crate::json::to_json;
use crate::{Correlation, Entity, EntityKey, EventId, TraceParent, Version};

pub use compression::COMPRESSION_LEVEL;
pub use dictionary::{Dictionary, DictionaryId, InvalidDictionaryId, dictionaries, missing_dictionaries};
pub use open::{OpenError, open};
pub use seal::{SealError, seal};

/// `Source` of envelopes on a bus.
pub const SOURCE: &str = "tandem.cross-region";
/// `DetailType` of envelopes on a bus.
pub const DETAIL_TYPE: &str = "CrossRegionEvent";
/// The longest event that is sealed or opened, in bytes of JSON. It bounds what an envelope may unpack to.
/// What can be sent is less: the publisher counts the sealed envelope with its escapes and sends requests of at most 950,000 bytes,
/// so an event between the two that doesn't compress is sealed here and then refused by the publisher as too large.
pub const MAX_RAW_LEN: usize = 1024 * 1024;

/// A domain event on its way into another region; the `detail` of an event on the peer's bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The event's id.
    pub event_id: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The event's entity.
    pub entity: Entity,
    /// The event's key.
    pub key: EntityKey,
    /// The event's version.
    pub version: Version,
    /// The region that wrote the row.
    #[serde(with = "crate::text")]
    pub origin_region: Region,
    /// The region that sent the envelope.
    #[serde(with = "crate::text")]
    pub source_region: Region,
    /// The region that it is for.
    #[serde(with = "crate::text")]
    pub target_region: Region,
    /// How many regions the event has crossed into with this envelope.
    pub hop: u32,
    /// The regions where the event has been; it goes to none of them again.
    #[serde(with = "crate::text::list")]
    pub path: Vec<Region>,
    /// When the envelope was made, to the millisecond.
    #[serde(with = "crate::text")]
    pub sent_at: Timestamp,
    /// The event's trace context; left out when it has none. The event's own counts, this one is to be seen from outside.
    #[serde(default, with = "crate::text::lenient", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// How the payload is encoded.
    pub enc: Encoding,
    /// The dictionary that the payload needs; set with [`Encoding::ZstdDictionary`], absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dict_id: Option<DictionaryId>,
    /// The event's length in bytes of JSON, at most [`MAX_RAW_LEN`].
    pub raw_len: u64,
    /// The SHA-256 of the event's JSON, in base64 without padding (43 characters).
    pub raw_sha256: String,
    /// The event: its JSON, or base64 of the compressed JSON, which is then never longer than the JSON.
    pub payload: String,
}

/// How a payload is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// The JSON itself.
    #[serde(rename = "none")]
    None,
    /// zstd, then base64.
    #[serde(rename = "zstd")]
    Zstd,
    /// zstd with the dictionary that the envelope names, then base64.
    #[serde(rename = "zstd+dict")]
    ZstdDictionary,
}

impl Envelope {
    /// The envelope as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// By what the event is found in logs.
    pub fn correlation(&self) -> Correlation {
        Correlation { event_id: Some(self.event_id), traceparent: self.traceparent }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::tests::event;
    use crate::{AttributeValue, Columns, DomainEvent, JsonText, trace_context};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;

    pub(super) fn west() -> Region {
        Region::new("us-west-2").expect("valid")
    }

    pub(super) fn east() -> Region {
        Region::new("us-east-1").expect("valid")
    }

    pub(super) fn now() -> Timestamp {
        "2026-03-04T05:06:08.123456789Z".parse().expect("valid")
    }

    pub(super) fn with_note(note: &str) -> DomainEvent {
        let columns = Columns::from([("note".to_owned(), AttributeValue::text(note))]);
        DomainEvent { data: Some(JsonText::of_columns(&columns)), ..event() }
    }

    pub(super) fn sealed(event: &DomainEvent) -> Envelope {
        seal(event, &west(), &east(), now()).expect("sealed")
    }

    /// An envelope around something else than what was sealed.
    pub(super) fn with_payload(
        enc: Encoding,
        dictionary: Option<DictionaryId>,
        bytes: &[u8],
        raw_len: u64,
    ) -> Envelope {
        Envelope { enc, dict_id: dictionary, payload: BASE64.encode(bytes), raw_len, ..sealed(&event()) }
    }

    #[test]
    fn json_is_the_documented_form() {
        let envelope = sealed(&event());
        let json = Envelope { payload: String::new(), ..envelope.clone() }.to_json();
        insta::assert_snapshot!("json_is_the_documented_form", json);
        assert_eq!(serde_json::from_str::<Envelope>(&envelope.to_json()).expect("an envelope"), envelope);

        let plain = Envelope { enc: Encoding::None, dict_id: None, ..envelope };
        assert!(!plain.to_json().contains("dict_id"));
        assert_eq!(serde_json::from_str::<Envelope>(&plain.to_json()).expect("an envelope"), plain);
    }

    #[test]
    fn a_trace_context_is_seen_from_outside_and_comes_out_with_the_event() {
        let traceparent = Some(trace_context::tests::example());
        let event = DomainEvent { traceparent, ..event() };
        let envelope = sealed(&event);
        let json = envelope.to_json();
        assert!(json.contains(&format!(r#","traceparent":"{}","enc""#, trace_context::tests::EXAMPLE)), "{json}");
        assert_eq!(serde_json::from_str::<Envelope>(&json).expect("an envelope"), envelope);
        assert_eq!(open(&envelope).expect("opened"), DomainEvent { hop: 1, ..event });
        // What somebody made of the outer one is no reason to refuse the event.
        let changed = json.replacen(trace_context::tests::EXAMPLE, "00-nonsense", 1);
        let changed: Envelope = serde_json::from_str(&changed).expect("an envelope");
        assert_eq!(changed.traceparent, None);
        assert_eq!(open(&changed).expect("opened").traceparent, traceparent);
    }
}
