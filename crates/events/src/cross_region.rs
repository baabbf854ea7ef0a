//! The envelope in which a domain event crosses into the peer region.
//!
//! Routing fields stay outside the payload, because a bus can't filter inside it.
//! The payload is compressed when that pays after base64, and is never trusted:
//! its length is capped before anything is allocated, and its hash is checked before anything is parsed.
//! Dictionaries are named by the format but not yet made: an envelope with one is refused as retryable, not as poison.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};

use crate::domain::EventType;
use crate::json::{excerpt, to_json};
use crate::{DomainEvent, Entity, EntityKey, EventId, Version};

/// `Source` of envelopes on a bus.
pub const SOURCE: &str = "tandem.cross-region";
/// `DetailType` of envelopes on a bus.
pub const DETAIL_TYPE: &str = "CrossRegionEvent";
/// The longest event that is sealed or opened, in bytes of JSON. It bounds what an envelope may unpack to.
/// What can be sent is less: the publisher counts the sealed envelope with its escapes and sends requests of at most 950,000 bytes,
/// so an event between the two that doesn't compress is sealed here and then refused by the publisher as too large.
pub const MAX_RAW_LEN: usize = 1024 * 1024;

/// Level 3 is zstd's own default; higher levels gain one per cent on events of this size and cost ten times the time.
const LEVEL: i32 = 3;

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
    /// When the envelope was made.
    #[serde(with = "crate::text")]
    pub sent_at: Timestamp,
    /// How the payload is encoded.
    pub enc: Encoding,
    /// The dictionary that the payload needs.
    pub dict_id: Option<String>,
    /// The event's length in bytes of JSON.
    pub raw_len: u64,
    /// The SHA-256 of the event's JSON, in lower-case hexadecimal.
    pub raw_sha256: String,
    /// The event: its JSON, or base64 of the compressed JSON.
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
    /// zstd with a dictionary, then base64.
    #[serde(rename = "zstd+dict")]
    ZstdDictionary,
}

impl Envelope {
    /// The envelope as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

/// Puts an event into an envelope from `from` to `to`.
///
/// # Errors
/// When the event has been in `to`, has crossed already, or is too long.
pub fn seal(event: &DomainEvent, from: &Region, to: &Region, now: Timestamp) -> Result<Envelope, SealError> {
    if event.hop > 0 {
        return Err(SealError::AlreadyCrossed { hop: event.hop });
    }
    if [from, &event.source_region, &event.origin_region].contains(&to) {
        return Err(SealError::Loop { target: to.clone() });
    }
    let raw = event.to_json();
    if raw.len() > MAX_RAW_LEN {
        return Err(SealError::TooLong { bytes: raw.len() });
    }
    let (enc, payload) = match compressed(&raw) {
        Some(payload) => (Encoding::Zstd, payload),
        None => (Encoding::None, raw.clone()),
    };
    Ok(Envelope {
        event_id: event.event_id,
        event_type: event.event_type,
        entity: event.entity,
        key: event.key.clone(),
        version: event.version.clone(),
        origin_region: event.origin_region.clone(),
        source_region: from.clone(),
        target_region: to.clone(),
        hop: 1,
        path: vec![from.clone()],
        sent_at: now,
        enc,
        dict_id: None,
        raw_len: raw.len() as u64,
        raw_sha256: sha256_hex(raw.as_bytes()),
        payload,
    })
}

/// Takes the event out of its envelope, with `hop` as the envelope has it.
///
/// # Errors
/// When the payload is longer than it may be, isn't what the envelope says, or needs a dictionary that isn't here.
pub fn open(envelope: &Envelope) -> Result<DomainEvent, OpenError> {
    let raw_len = usize::try_from(envelope.raw_len)
        .ok()
        .filter(|len| *len <= MAX_RAW_LEN)
        .ok_or(OpenError::TooLong { bytes: envelope.raw_len })?;
    let raw = match envelope.enc {
        Encoding::None => envelope.payload.as_bytes().to_vec(),
        Encoding::Zstd => decompressed(&envelope.payload, raw_len)?,
        Encoding::ZstdDictionary => {
            return Err(OpenError::UnknownDictionary {
                dictionary: envelope.dict_id.as_deref().map_or_else(String::new, |id| excerpt(id).into_owned()),
            });
        }
    };
    if raw.len() != raw_len {
        return Err(OpenError::WrongLength { expected: raw_len, found: raw.len() });
    }
    if sha256_hex(&raw) != envelope.raw_sha256 {
        return Err(OpenError::WrongHash);
    }
    let mut event: DomainEvent = serde_json::from_slice(&raw).map_err(OpenError::NoEvent)?;
    let same = event.event_id == envelope.event_id
        && event.event_type == envelope.event_type
        && event.entity == envelope.entity
        && event.key == envelope.key
        && event.version == envelope.version
        && event.origin_region == envelope.origin_region;
    if !same {
        return Err(OpenError::RoutingDiffers);
    }
    event.hop = envelope.hop;
    Ok(event)
}

/// The compressed text in base64, if that is at least a tenth shorter than the text.
fn compressed(raw: &str) -> Option<String> {
    thread_local! {
        // Making a context costs more than compressing an event.
        static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    // Not being able to compress is no reason to lose the event: it goes as it is.
    let bytes = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::new(LEVEL).ok();
        }
        slot.as_mut()?.compress(raw.as_bytes()).ok()
    })?;
    let encoded_len = bytes.len().div_ceil(3) * 4;
    (encoded_len * 10 <= raw.len() * 9).then(|| BASE64.encode(bytes))
}

fn decompressed(payload: &str, raw_len: usize) -> Result<Vec<u8>, OpenError> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let bytes = BASE64.decode(payload).map_err(OpenError::NoBase64)?;
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Decompressor::new().map_err(OpenError::Corrupt)?);
        }
        let decompressor = slot.as_mut().expect("invariant: set just above");
        // The capacity is the cap: a frame that holds more fails instead of growing the buffer.
        decompressor.decompress(&bytes, raw_len).map_err(OpenError::Corrupt)
    })
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a `String` never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why an event can't be sent to a region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It has been there.
    #[error("the event has been in `{target}` and doesn't go there again")]
    Loop {
        /// The region.
        target: Region,
    },
    /// It came from another region.
    #[error("the event has crossed into {hop} region(s) already and isn't sent on")]
    AlreadyCrossed {
        /// How many regions it has crossed into.
        hop: u32,
    },
    /// It is longer than a bus takes.
    #[error("the event has {bytes} bytes; at most 1 MiB can be sent")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl SealError {
    /// A stable name of the kind of error, for dead letters and alarms.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Loop { .. } => "loop",
            Self::AlreadyCrossed { .. } => "already_crossed",
            Self::TooLong { .. } => "too_long",
        }
    }
}

/// Why an envelope can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It says that the event is longer than any may be.
    #[error("the envelope announces {bytes} bytes; at most 1 MiB is accepted")]
    TooLong {
        /// The announced length.
        bytes: u64,
    },
    /// It needs a dictionary that this program doesn't have yet.
    #[error("the payload needs the dictionary `{dictionary}`, which isn't here yet")]
    UnknownDictionary {
        /// The dictionary's id.
        dictionary: String,
    },
    /// The payload is no base64.
    #[error("the payload is no base64")]
    NoBase64(#[source] base64::DecodeError),
    /// The payload is no zstd frame, or holds more than announced.
    #[error("the payload can't be decompressed within its announced length")]
    Corrupt(#[source] std::io::Error),
    /// The event's length differs from the announced one.
    #[error("the envelope announces {expected} bytes but holds {found}")]
    WrongLength {
        /// The announced length.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// The event's hash differs from the announced one.
    #[error("the payload's SHA-256 differs from the envelope's")]
    WrongHash,
    /// The payload is no domain event.
    #[error("the payload is no domain event")]
    NoEvent(#[source] serde_json::Error),
    /// The envelope's routing fields differ from the event's.
    #[error("the envelope's routing fields differ from those of the event inside")]
    RoutingDiffers,
}

impl OpenError {
    /// Whether the same envelope may open later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::UnknownDictionary { .. })
    }

    /// A stable name of the kind of error, for dead letters and alarms.
    pub fn class(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::UnknownDictionary { .. } => "dict_missing",
            Self::NoBase64(_) => "no_base64",
            Self::Corrupt(_) => "corrupt",
            Self::WrongLength { .. } => "wrong_length",
            Self::WrongHash => "wrong_hash",
            Self::NoEvent(_) => "no_event",
            Self::RoutingDiffers => "routing_differs",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::tests::event;
    use crate::{AttributeValue, Columns, JsonText};

    fn west() -> Region {
        Region::new("us-west-2").expect("valid")
    }

    fn east() -> Region {
        Region::new("us-east-1").expect("valid")
    }

    fn now() -> Timestamp {
        "2026-03-04T05:06:08Z".parse().expect("valid")
    }

    fn with_note(note: &str) -> DomainEvent {
        let columns = Columns::from([("note".to_owned(), AttributeValue::text(note))]);
        DomainEvent { data: Some(JsonText::of_columns(&columns)), ..event() }
    }

    fn sealed(event: &DomainEvent) -> Envelope {
        seal(event, &west(), &east(), now()).expect("sealed")
    }

    #[test]
    fn short_gains_are_not_compressed() {
        let envelope = sealed(&with_note(&"a note that repeats itself, ".repeat(20)));
        assert_eq!(envelope.enc, Encoding::Zstd);
        assert!(envelope.payload.len() as u64 * 10 <= envelope.raw_len * 9);
        // Text without any pattern: base64 would eat what zstd gains.
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let noise: String = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'0' + u8::try_from(state >> 58).expect("six bits"))
        })
        .take(4000)
        .collect();
        let envelope = sealed(&with_note(&noise));
        assert_eq!(envelope.enc, Encoding::None);
        assert_eq!(envelope.payload.len() as u64, envelope.raw_len);
    }

    #[test]
    fn events_go_round_no_loop() {
        let event = event();
        let back = seal(&event, &east(), &west(), now());
        assert_eq!(back, Err(SealError::Loop { target: west() }));
        let own = seal(&event, &west(), &west(), now());
        assert_eq!(own, Err(SealError::Loop { target: west() }));
        let arrived = open(&sealed(&event)).expect("opened");
        assert_eq!(arrived.hop, 1);
        assert_eq!(
            seal(&arrived, &east(), &Region::new("eu-west-1").expect("valid"), now()),
            Err(SealError::AlreadyCrossed { hop: 1 })
        );
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let bomb = zstd::bulk::compress(&vec![0_u8; 64 * 1024 * 1024], LEVEL).expect("compresses");
        assert!(bomb.len() < 16 * 1024, "the bomb is small: {}", bomb.len());
        let mut envelope = sealed(&event());
        envelope.enc = Encoding::Zstd;
        envelope.payload = BASE64.encode(&bomb);
        // Honest about its length: refused by the cap. Lying about it: stopped at the announced length.
        envelope.raw_len = 64 * 1024 * 1024;
        assert!(matches!(open(&envelope), Err(OpenError::TooLong { .. })));
        envelope.raw_len = u64::MAX;
        assert!(matches!(open(&envelope), Err(OpenError::TooLong { .. })));
        envelope.raw_len = 1000;
        assert!(matches!(open(&envelope), Err(OpenError::Corrupt(_))));
        assert!(matches!(
            seal(&with_note(&"x".repeat(MAX_RAW_LEN)), &west(), &east(), now()),
            Err(SealError::TooLong { .. })
        ));
    }

    #[test]
    fn envelopes_that_lie_are_refused() {
        let good = sealed(&with_note(&"again and ".repeat(50)));
        assert_eq!(good.enc, Encoding::Zstd);
        let check = |change: fn(&mut Envelope), class: &str| {
            let mut envelope = good.clone();
            change(&mut envelope);
            let error = open(&envelope).expect_err(class);
            assert_eq!(error.class(), class);
            assert_eq!(error.is_retryable(), class == "dict_missing");
        };
        check(|envelope| envelope.raw_sha256 = "0".repeat(64), "wrong_hash");
        check(|envelope| envelope.raw_len += 1, "wrong_length");
        check(|envelope| envelope.payload = "*".to_owned(), "no_base64");
        check(|envelope| envelope.payload = BASE64.encode("not zstd"), "corrupt");
        check(|envelope| envelope.key = "43".parse().expect("valid"), "routing_differs");
        check(|envelope| envelope.enc = Encoding::ZstdDictionary, "dict_missing");
        check(
            |envelope| {
                envelope.enc = Encoding::None;
                envelope.payload = "{}".to_owned();
                envelope.raw_len = 2;
                envelope.raw_sha256 = sha256_hex(b"{}");
            },
            "no_event",
        );
    }

    #[test]
    fn json_is_the_documented_form() {
        let envelope = seal(&event(), &west(), &east(), now()).expect("sealed");
        let json = Envelope { payload: String::new(), ..envelope.clone() }.to_json();
        insta::assert_snapshot!(json);
        assert_eq!(serde_json::from_str::<Envelope>(&envelope.to_json()).expect("an envelope"), envelope);
    }

    proptest! {
        #[test]
        fn opening_what_is_sealed_gives_the_same(note in ".{0,300}", repeat in 1_usize..20) {
            let event = with_note(&note.repeat(repeat));
            let json = sealed(&event).to_json();
            let opened = open(&serde_json::from_str(&json).expect("an envelope")).expect("opened");
            prop_assert_eq!(opened, DomainEvent { hop: 1, ..event });
        }

        #[test]
        fn any_payload_is_handled(payload in proptest::collection::vec(any::<u8>(), 0..300), raw_len in 0_u64..2_000_000) {
            let mut envelope = sealed(&event());
            envelope.enc = Encoding::Zstd;
            envelope.payload = BASE64.encode(payload);
            envelope.raw_len = raw_len;
            prop_assert!(open(&envelope).is_err());
        }
    }
}
