//! Taking an event out of its envelope. Nothing in an envelope is trusted.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::dictionary::{self, Dictionary, DictionaryId};
use super::{Encoding, Envelope, MAX_RAW_LEN, compression};
use crate::DomainEvent;
use crate::hash::sha256_base64;

/// Takes the event out of its envelope, with `hop` as the envelope has it.
///
/// It allocates at most twice the announced length, and nothing when that is over [`MAX_RAW_LEN`].
///
/// # Errors
/// When the payload is longer than it may be, isn't what the envelope says, or needs a dictionary that isn't here.
pub fn open(envelope: &Envelope) -> Result<DomainEvent, OpenError> {
    open_with(dictionary::dictionaries(), envelope)
}

pub(super) fn open_with(dictionaries: &'static [Dictionary], envelope: &Envelope) -> Result<DomainEvent, OpenError> {
    let raw_len = usize::try_from(envelope.raw_len)
        .ok()
        .filter(|len| *len <= MAX_RAW_LEN)
        .ok_or(OpenError::TooLong { bytes: envelope.raw_len })?;
    let raw: Cow<'_, [u8]> = match (envelope.enc, envelope.dict_id) {
        (Encoding::None, None) => Cow::Borrowed(envelope.payload.as_bytes()),
        (Encoding::Zstd, None) => {
            let bytes = decoded(&envelope.payload, raw_len)?;
            Cow::Owned(compression::decompress(&bytes, raw_len).map_err(OpenError::Corrupt)?)
        }
        (Encoding::ZstdDictionary, Some(id)) => {
            let dictionary =
                dictionary::find(dictionaries, id).ok_or(OpenError::UnknownDictionary { dictionary: id })?;
            let bytes = decoded(&envelope.payload, raw_len)?;
            Cow::Owned(compression::decompress_with(&bytes, raw_len, dictionary).map_err(OpenError::Corrupt)?)
        }
        (Encoding::None | Encoding::Zstd, Some(_)) | (Encoding::ZstdDictionary, None) => {
            return Err(OpenError::DictionaryContradicts);
        }
    };
    if raw.len() != raw_len {
        return Err(OpenError::WrongLength { expected: raw_len, found: raw.len() });
    }
    if sha256_base64(&raw) != envelope.raw_sha256 {
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

/// The compressed bytes. A sealed payload is shorter than its event, so a longer one isn't even decoded.
fn decoded(payload: &str, raw_len: usize) -> Result<Vec<u8>, OpenError> {
    if payload.len() > raw_len {
        return Err(OpenError::PayloadTooLong { announced: raw_len, found: payload.len() });
    }
    BASE64.decode(payload).map_err(OpenError::NoBase64)
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
        dictionary: DictionaryId,
    },
    /// It names a dictionary that its encoding doesn't use, or none where one is used.
    #[error("the envelope's `enc` and `dict_id` contradict each other")]
    DictionaryContradicts,
    /// The compressed payload is longer than the event that it is said to hold.
    #[error("the envelope announces {announced} bytes but its compressed payload has {found} already")]
    PayloadTooLong {
        /// The announced length of the event.
        announced: usize,
        /// The payload's length.
        found: usize,
    },
    /// The payload is no base64.
    #[error("the payload is no base64")]
    NoBase64(#[source] base64::DecodeError),
    /// The payload is no zstd frame, holds more than announced, or was made with another dictionary.
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
            Self::DictionaryContradicts => "dict_contradicts",
            Self::PayloadTooLong { .. } => "payload_too_long",
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
    use super::super::tests::{east, now, sealed, west, with_note, with_payload};
    use super::*;
    use crate::Entity;
    use crate::cross_region::seal::seal_with;
    use crate::domain::tests::event;

    /// A zstd frame (RFC 8878) with a content size of its own choice: one RLE block of `a`, repeated.
    fn frame(announced: u64, blocks: usize, block_len: u32) -> Vec<u8> {
        // Eight bytes of content size, a window of 128 KiB, no dictionary.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1100_0000, 0x38];
        frame.extend(announced.to_le_bytes());
        for block in 1..=blocks {
            let header = u32::from(block == blocks) | 1 << 1 | block_len << 3;
            frame.extend(&header.to_le_bytes()[..3]);
            frame.push(b'a');
        }
        frame
    }

    fn refused(envelope: &Envelope, class: &str) {
        let error = open(envelope).expect_err(class);
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(error.is_retryable(), class == "dict_missing");
    }

    fn current() -> &'static Dictionary {
        dictionary::current(dictionary::dictionaries(), Entity::Customers).expect("one is current")
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        // 128 KiB a block is the most that zstd allows.
        let (blocks, block_len) = (512, 128 * 1024);
        let whole = 64 * 1024 * 1024;
        let honest = frame(whole, blocks, block_len);
        assert_eq!(compression::decompress(&frame(10, 1, 10), 10).expect("a frame"), b"aaaaaaaaaa");
        assert!(honest.len() < 16 * 1024, "the bomb is small: {}", honest.len());
        // A frame that announced this much would end the process if anyone allocated what it says.
        let absurd = frame(1 << 62, 1, 10);
        let modest = frame(1000, blocks, block_len);

        for (enc, id) in [(Encoding::Zstd, None), (Encoding::ZstdDictionary, Some(current().id()))] {
            // Honest about its length: refused by the cap. Lying about it: stopped at the announced length.
            refused(&with_payload(enc, id, &honest, whole), "too_long");
            refused(&with_payload(enc, id, &honest, u64::MAX), "too_long");
            refused(&with_payload(enc, id, &honest, MAX_RAW_LEN as u64 + 1), "too_long");
            for bomb in [&honest, &absurd, &modest] {
                refused(&with_payload(enc, id, bomb, MAX_RAW_LEN as u64), "corrupt");
            }
            refused(&with_payload(enc, id, &honest, 1000), "payload_too_long");
        }
    }

    #[test]
    fn a_frame_with_a_dictionary_holds_no_more_than_announced() {
        let raw = event().to_json().repeat(40);
        let bytes = compression::compress_with(raw.as_bytes(), current()).expect("compresses");
        let (enc, id) = (Encoding::ZstdDictionary, Some(current().id()));
        let len = raw.len() as u64;
        refused(&with_payload(enc, id, &bytes, len), "wrong_hash");
        refused(&with_payload(enc, id, &bytes, len + 1), "wrong_length");
        refused(&with_payload(enc, id, &bytes, len - 1), "corrupt");
    }

    #[test]
    fn envelopes_that_lie_are_refused() {
        let good = sealed(&with_note(&"again and ".repeat(50)));
        assert_eq!(good.enc, Encoding::ZstdDictionary);
        let check = |change: fn(&mut Envelope), class: &str| {
            let mut envelope = good.clone();
            change(&mut envelope);
            refused(&envelope, class);
        };
        check(|envelope| envelope.raw_sha256 = "A".repeat(43), "wrong_hash");
        check(|envelope| envelope.raw_len += 1, "wrong_length");
        check(|envelope| envelope.payload = "*".to_owned(), "no_base64");
        check(|envelope| envelope.payload = BASE64.encode("not zstd"), "corrupt");
        check(|envelope| envelope.key = "43".parse().expect("valid"), "routing_differs");
        check(|envelope| envelope.dict_id = Some(DictionaryId::of(b"nobody has this")), "dict_missing");
        check(|envelope| envelope.dict_id = None, "dict_contradicts");
        check(|envelope| envelope.enc = Encoding::Zstd, "dict_contradicts");
        check(|envelope| envelope.enc = Encoding::None, "dict_contradicts");
        check(
            |envelope| {
                (envelope.enc, envelope.dict_id) = (Encoding::None, None);
                envelope.payload = "{}".to_owned();
                envelope.raw_len = 2;
                envelope.raw_sha256 = sha256_base64(b"{}");
            },
            "no_event",
        );
    }

    #[test]
    fn a_frame_of_another_dictionary_is_refused() {
        let raw = event().to_json();
        let orders = dictionary::current(dictionary::dictionaries(), Entity::Orders).expect("one is current");
        let foreign = compression::compress_with(raw.as_bytes(), orders).expect("compresses");
        let good = sealed(&event());
        let swapped = Envelope { payload: BASE64.encode(&foreign), ..good.clone() };
        refused(&swapped, "corrupt");
        refused(&Envelope { dict_id: Some(orders.id()), ..good }, "corrupt");
        // Named rightly it opens, whatever entity the dictionary was made for.
        let named = Envelope { dict_id: Some(orders.id()), ..swapped };
        assert_eq!(open(&named).expect("opened"), DomainEvent { hop: 1, ..event() });
        // Dictionaries without zstd's header have no id that zstd could compare; the hash stops what zstd lets through.
        let [one] = Dictionary::leak(Entity::Customers, true, raw.as_bytes()) else { unreachable!("one dictionary") };
        let other = Dictionary::leak(Entity::Customers, true, raw.replace("customer", "elephant").as_bytes());
        let bytes = compression::compress_with(raw.as_bytes(), one).expect("compresses");
        let misnamed = Envelope {
            enc: Encoding::ZstdDictionary,
            dict_id: Some(other[0].id()),
            payload: BASE64.encode(&bytes),
            ..sealed(&event())
        };
        let error = open_with(other, &misnamed).expect_err("another dictionary");
        assert_eq!(error.class(), "wrong_hash");
    }

    #[test]
    fn old_dictionaries_still_open() {
        let event = event();
        let (old, new) = (event.to_json(), event.to_json().replace("sales", "store"));
        let before = Dictionary::leak(Entity::Customers, true, old.as_bytes());
        let envelope = seal_with(before, &event, &west(), &east(), now()).expect("sealed");
        assert_eq!(envelope.dict_id, Some(before[0].id()));

        let after = Dictionary::leak_all(Entity::Customers, &[(true, new.as_bytes()), (false, old.as_bytes())]);
        assert_eq!(open_with(after, &envelope).expect("opened"), DomainEvent { hop: 1, ..event.clone() });
        let newer = seal_with(after, &event, &west(), &east(), now()).expect("sealed");
        assert_eq!(newer.dict_id, Some(after[0].id()));
        // A receiver that hasn't got the new one yet can open it later.
        let error = open_with(before, &newer).expect_err("unknown");
        assert!(error.is_retryable());
        assert_eq!(error.class(), "dict_missing");
        assert!(error.to_string().contains(&after[0].id().to_string()), "{error}");
        assert_eq!(open_with(after, &newer).expect("opened"), DomainEvent { hop: 1, ..event });
    }
}
