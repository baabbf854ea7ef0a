//! Putting an event into its envelope.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use contracts::Region;
use jiff::{Timestamp, Unit};

use super::dictionary::{self, Dictionary, DictionaryId};
use super::{Encoding, Envelope, MAX_RAW_LEN, compression};
use crate::DomainEvent;
use crate::hash::sha256_base64;

/// Puts an event into an envelope from `from` to `to`.
///
/// Its payload is compressed with the current dictionary of the event's entity, or with none where the entity has none; it
/// is the JSON itself unless compression saves a tenth after base64.
///
/// # Errors
/// When the event has been in `to`, has crossed already, or is too long.
pub fn seal(event: &DomainEvent, from: &Region, to: &Region, now: Timestamp) -> Result<Envelope, SealError> {
    seal_with(dictionary::dictionaries(), event, from, to, now)
}

pub(super) fn seal_with(
    dictionaries: &'static [Dictionary],
    event: &DomainEvent,
    from: &Region,
    to: &Region,
    now: Timestamp,
) -> Result<Envelope, SealError> {
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
    let Payload { enc, dict_id, text: payload } =
        Payload::compressed(&raw, dictionary::current(dictionaries, event.entity)).unwrap_or_else(|| Payload {
            enc: Encoding::None,
            dict_id: None,
            text: raw.clone(),
        });
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
        sent_at: now.round(Unit::Millisecond).unwrap_or(now),
        traceparent: event.traceparent,
        enc,
        dict_id,
        raw_len: raw.len() as u64,
        raw_sha256: sha256_base64(raw.as_bytes()),
        payload,
    })
}

/// A payload with what its receiver must know about it.
struct Payload {
    enc: Encoding,
    dict_id: Option<DictionaryId>,
    text: String,
}

impl Payload {
    /// The compressed form, if that is at least a tenth shorter than the text.
    ///
    /// Only one form is tried: what a dictionary costs where it doesn't help is a few bytes of its number in the frame, and
    /// compressing twice would cost each event more than the rest of its way.
    fn compressed(raw: &str, dictionary: Option<&'static Dictionary>) -> Option<Self> {
        // Not being able to compress is no reason to lose the event: it goes as it is.
        let (enc, dict_id, bytes) = match dictionary {
            Some(dictionary) => {
                let bytes = compression::compress_with(raw.as_bytes(), dictionary)?;
                (Encoding::ZstdDictionary, Some(dictionary.id()), bytes)
            }
            None => (Encoding::Zstd, None, compression::compress(raw.as_bytes())?),
        };
        let encoded_len = bytes.len().div_ceil(3) * 4;
        (encoded_len * 10 <= raw.len() * 9).then(|| Self { enc, dict_id, text: BASE64.encode(bytes) })
    }
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

#[cfg(test)]
mod tests {
    use super::super::tests::{east, now, sealed, west, with_note};
    use super::*;
    use crate::Entity;
    use crate::cross_region::open;
    use crate::domain::tests::event;

    /// Text without any pattern.
    fn noise(length: usize) -> String {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'0' + u8::try_from(state >> 58).expect("six bits"))
        })
        .take(length)
        .collect()
    }

    #[test]
    fn what_pays_is_compressed_with_the_entitys_current_dictionary() {
        let check = |event: &DomainEvent, dictionaries, enc| {
            let envelope = seal_with(dictionaries, event, &west(), &east(), now()).expect("sealed");
            assert_eq!(envelope.enc, enc);
            assert_eq!(envelope.dict_id.is_some(), enc == Encoding::ZstdDictionary);
            match enc {
                Encoding::None => assert_eq!(envelope.payload.len() as u64, envelope.raw_len),
                _ => assert!(envelope.payload.len() as u64 * 10 <= envelope.raw_len * 9),
            }
        };
        let useless = Dictionary::leak(Entity::Customers, true, &noise(12_000).as_bytes()[8_000..]);
        let of_orders = Dictionary::leak(Entity::Orders, true, event().to_json().as_bytes());
        let fitting = Dictionary::leak(Entity::Customers, true, event().to_json().as_bytes());
        let old = Dictionary::leak(Entity::Customers, false, event().to_json().as_bytes());
        let repeating = with_note(&"a note that repeats itself, ".repeat(20));

        check(&event(), fitting, Encoding::ZstdDictionary);
        check(&repeating, fitting, Encoding::ZstdDictionary);
        // A dictionary that doesn't help costs its id in the frame, which is too little to compress twice for.
        check(&repeating, useless, Encoding::ZstdDictionary);
        for dictionaries in [of_orders, old, &[]] {
            check(&repeating, dictionaries, Encoding::Zstd);
        }
        // Base64 would eat what zstd gains.
        for dictionaries in [useless, fitting, &[]] {
            check(&with_note(&noise(8000)), dictionaries, Encoding::None);
        }
    }

    #[test]
    fn the_embedded_dictionaries_are_used() {
        let envelope = sealed(&event());
        assert_eq!(envelope.enc, Encoding::ZstdDictionary);
        let current = dictionary::current(dictionary::dictionaries(), Entity::Customers).expect("one is current");
        assert_eq!(envelope.dict_id, Some(current.id()));
        assert_eq!(envelope.sent_at.to_string(), "2026-03-04T05:06:08.123Z");
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
    fn long_events_are_not_sealed() {
        let long = seal(&with_note(&"x".repeat(MAX_RAW_LEN)), &west(), &east(), now());
        assert!(matches!(long, Err(SealError::TooLong { .. })));
    }
}
