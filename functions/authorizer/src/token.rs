//! A token before its signature is known: its form and its header.
//!
//! Nothing here trusts a token. It is looked at first so that nonsense costs neither a signature check nor a request for
//! keys. All work is bounded by [`MAX_TOKEN_BYTES`]: whatever is longer isn't decoded. What a header says about where keys are
//! (`jku`, `jwk`, `x5u`, `x5c`) is never followed.

use crate::claims::Claims;
use crate::refusal::Refusal;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, decode_header};

/// Most bytes of a token. API Gateway takes 10,240 bytes of headers in all (API Gateway quotas, read 2026-11).
pub const MAX_TOKEN_BYTES: usize = 8192;

/// A token whose form is right. That says nothing about who made it.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a>(&'a str);

/// What of a token's header matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TokenHeader {
    /// What the token claims to be signed with; it is compared with the key's algorithm and never chooses it.
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
}

impl<'a> Token<'a> {
    /// Takes a token out of an `Authorization` header: the scheme `Bearer`, in any case, and the token.
    pub(crate) fn from_header(value: &'a str) -> Result<Self, Refusal> {
        let (scheme, token) = value.trim().split_once(' ').ok_or(Refusal::Malformed)?;
        let token = token.trim_start();
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLarge);
        }
        let in_form = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if scheme.eq_ignore_ascii_case("bearer") && token.bytes().all(in_form) {
            Ok(Self(token))
        } else {
            Err(Refusal::Malformed)
        }
    }

    pub(crate) fn as_str(&self) -> &'a str {
        self.0
    }

    /// The header. An algorithm that isn't known, `none` among them, is no header.
    pub(crate) fn header(&self) -> Result<TokenHeader, Refusal> {
        let header = decode_header(self.0).map_err(|_| Refusal::Malformed)?;
        // `crit` lists extensions that a receiver must understand, and none is understood here (RFC 7515, 4.1.11). The others
        // change what the payload means (RFC 7797, RFC 7516), whether `crit` names them or not.
        let is_extended = header.crit.is_some() || header.enc.is_some() || header.zip.is_some();
        if is_extended || header.extras.inner().contains_key("b64") {
            return Err(Refusal::UnknownExtension);
        }
        if header.typ.as_deref().is_some_and(|name| !is_token_type(name)) {
            return Err(Refusal::WrongType);
        }
        Ok(TokenHeader { algorithm: header.alg, key_id: header.kid })
    }

    /// The claims, whose signature was not looked at.
    pub(crate) fn unverified_claims(&self) -> Result<Claims, Refusal> {
        insecure_decode_claims(self.0).map_err(|_| Refusal::Malformed)
    }
}

/// Whether `typ` is that of a token which says who its bearer is. An issuer signs other things with the same key, such as
/// logout tokens and proofs of possession, and says so here (RFC 8725, 3.11; RFC 9068, 2.1).
fn is_token_type(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.strip_prefix("application/").unwrap_or(&name), "jwt" | "at+jwt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_holds_one_bearer_token() {
        fn token(value: &str) -> Result<&str, Refusal> {
            Token::from_header(value).map(|token| token.as_str())
        }
        assert_eq!(token("Bearer a.b.c"), Ok("a.b.c"));
        assert_eq!(token(" bEARER  a-_.b.c "), Ok("a-_.b.c"));
        for bad in ["", "a.b.c", "Basic a.b.c", "Bearer a.b.c,Bearer d.e.f", "Bearer a b", "Bearer a.b.ü"] {
            assert_eq!(token(bad), Err(Refusal::Malformed), "{bad}");
        }
        let (largest, larger) = ("a".repeat(MAX_TOKEN_BYTES), "a".repeat(MAX_TOKEN_BYTES + 1));
        assert_eq!(token(&format!("Bearer {largest}")), Ok(largest.as_str()));
        assert_eq!(token(&format!("Bearer {larger}")), Err(Refusal::TooLarge));
    }

    #[test]
    fn a_type_is_that_of_a_token_or_left_out() {
        for name in ["JWT", "jwt", "at+jwt", "application/at+jwt", "Application/JWT"] {
            assert!(is_token_type(name), "{name}");
        }
        for name in ["", "dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "application/", "jwt "] {
            assert!(!is_token_type(name), "{name}");
        }
    }
}
