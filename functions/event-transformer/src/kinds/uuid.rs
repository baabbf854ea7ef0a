//! UUIDs (RFC 9562), in the hyphenated form.

use super::Mistake;
use ::uuid::{Uuid, Variant};
use events::raw::ViolationCode;

/// Bytes of the hyphenated form. The library reads other forms too (braces, URN, no hyphens), which aren't wanted in events.
const HYPHENATED_BYTES: usize = 36;

/// The UUID in lower case.
pub(super) fn normalise(text: &str) -> Result<String, Mistake> {
    let message = "expected a hyphenated UUID (RFC 9562) that is neither nil nor max";
    version(text).map(|_| text.to_ascii_lowercase()).ok_or_else(|| Mistake::new(ViolationCode::NotUuid, message))
}

/// The version of a UUID of RFC 9562's variant, from 1 to 8; none for anything else, nil and max among them.
pub(crate) fn version(text: &str) -> Option<u8> {
    if text.len() != HYPHENATED_BYTES {
        return None;
    }
    let uuid = Uuid::try_parse(text).ok().filter(|uuid| uuid.get_variant() == Variant::RFC4122)?;
    u8::try_from(uuid.get_version_num()).ok().filter(|version| (1..=8).contains(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (text, expected) in [
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 1),
            ("919108f7-52d1-4320-9bac-f847db4148a8", 4),
            ("2ed6657d-e927-568b-95e1-2665a8aea6a2", 5),
            ("1ec9414c-232a-6b00-b3c8-9f6bdeced846", 6),
            ("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", 7),
            ("2489e9ad-2ee2-8e00-8ec9-32d5f69181c0", 8),
        ] {
            assert_eq!(version(text), Some(expected), "{text}");
            assert_eq!(normalise(text), Ok(text.to_lowercase()));
        }
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "919108f752d143209bacf847db4148a8",
            "{919108f7-52d1-4320-9bac-f847db4148a8}",
            "urn:uuid:919108f7-52d1-4320-9bac-f847db4148a8",
            "919108f7-52d1-4320-9bac-f847db4148ag",
            "919108f7-52d1-4320-cbac-f847db4148a8",
            "919108f7-52d1-0320-9bac-f847db4148a8",
            "919108f7-52d1-9320-9bac-f847db4148a8",
            "919108f7-52d1-4320-9bac-f847db4148a8 ",
        ] {
            assert_eq!(normalise(text).expect_err(text).code, ViolationCode::NotUuid);
        }
    }
}
