//! SHA-256, as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

/// In lower-case hexadecimal: 64 characters.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a `String` never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// In base64 without padding: 43 characters.
pub(crate) fn sha256_base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(Sha256::digest(bytes))
}
