//! A token before its signature is known: its form, its header and what its claims say about time.
//!
//! Nothing here trusts a token. It is looked at first so that nonsense and tokens that have expired cost neither a
//! signature check nor a request for keys. Claims that are read here: `iss`, `sub`, `exp`, `nbf`, `iat`, `roles` (a list of
//! texts) and `tenant_id` (also as `tenantId`); the audience is checked with the signature.

use crate::refusal::Refusal;
use contracts::AuthorizerSettings;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, decode_header};
use serde::Deserialize;
use serde_json::Number;
use std::time::Duration;

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

/// What a token says. Unknown claims are ignored.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
    roles: Option<Vec<String>>,
    #[serde(alias = "tenantId")]
    tenant_id: Option<String>,
}

/// Who makes a request, by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `sub`: the user.
    pub user_id: String,
    /// The user's roles. Invariant: none is empty or holds a comma, so that they can be joined by commas.
    pub roles: Vec<String>,
    /// The tenant that the user acts for, if the token names one. Invariant: not empty.
    pub tenant_id: Option<String>,
    /// `exp`: when the token ends, in seconds since 1970.
    pub token_expiry: u64,
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
        // `crit` lists extensions that a receiver must understand, and none is understood here (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(Refusal::UnknownExtension);
        }
        Ok(TokenHeader { algorithm: header.alg, key_id: header.kid })
    }

    /// The claims, whose signature was not looked at.
    pub(crate) fn unverified_claims(&self) -> Result<Claims, Refusal> {
        insecure_decode_claims(self.0).map_err(|_| Refusal::Malformed)
    }
}

impl Claims {
    /// Who issued the token, by its own words.
    pub(crate) fn issuer(&self) -> Result<&str, Refusal> {
        self.iss.as_deref().ok_or(Refusal::MissingClaim)
    }

    /// Whether the token is valid at `now`, in seconds since 1970.
    pub(crate) fn check_time(&self, now: u64, settings: &AuthorizerSettings) -> Result<(), Refusal> {
        let leeway = settings.leeway.as_secs();
        let expiry = self.expiry()?;
        let issued = seconds(self.iat.as_ref().ok_or(Refusal::MissingClaim)?)?;
        if expiry.saturating_add(leeway) < now {
            return Err(Refusal::Expired);
        }
        if let Some(not_before) = self.nbf.as_ref().map(seconds).transpose()?
            && not_before > now.saturating_add(leeway)
        {
            return Err(Refusal::NotYetValid);
        }
        if issued > now.saturating_add(leeway) {
            return Err(Refusal::IssuedInFuture);
        }
        if Duration::from_secs(expiry.saturating_sub(issued)) > settings.longest_life {
            return Err(Refusal::LivesTooLong);
        }
        // The answer may be given again for this long without asking anew; it must not outlive the token.
        // Leeway is for clocks that disagree and no extension of a token, so it isn't added here.
        let answer_kept = settings.answer_kept.as_secs();
        if answer_kept > 0 && expiry < now.saturating_add(answer_kept) {
            return Err(Refusal::ExpiresTooSoon);
        }
        Ok(())
    }

    /// When the token ends, in seconds since 1970.
    pub(crate) fn expiry(&self) -> Result<u64, Refusal> {
        seconds(self.exp.as_ref().ok_or(Refusal::MissingClaim)?)
    }

    /// Who the token speaks for.
    pub(crate) fn caller(self) -> Result<Caller, Refusal> {
        let token_expiry = self.expiry()?;
        let user_id = self.sub.filter(|sub| !sub.is_empty()).ok_or(Refusal::MissingClaim)?;
        let roles = self.roles.unwrap_or_default();
        // What reads the joined text would see two roles.
        if roles.iter().any(|role| role.is_empty() || role.contains(',')) {
            return Err(Refusal::MalformedRole);
        }
        // What reads it could take "no tenant" for "any tenant".
        if self.tenant_id.as_ref().is_some_and(String::is_empty) {
            return Err(Refusal::EmptyTenant);
        }
        Ok(Caller { user_id, roles, tenant_id: self.tenant_id, token_expiry })
    }
}

/// A time of a token in whole seconds since 1970, rounded down (RFC 7519 allows fractions).
fn seconds(number: &Number) -> Result<u64, Refusal> {
    /// Above this a floating-point number skips whole seconds.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    match (number.as_u64(), number.as_f64()) {
        (Some(seconds), _) => Ok(seconds),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range, rounding down is meant")]
        (None, Some(seconds)) if (0.0..=MAX_EXACT).contains(&seconds) => Ok(seconds as u64),
        _ => Err(Refusal::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: u64 = 1_800_000_000;

    /// Claims that say when the token was issued, `NOW` where a case doesn't.
    fn check_time(mut claims: Value) -> Result<(), Refusal> {
        claims.as_object_mut().expect("an object").entry("iat").or_insert(json!(NOW));
        let claims: Claims = serde_json::from_value(claims).expect("claims");
        claims.check_time(NOW, &AuthorizerSettings::default())
    }

    #[test]
    fn times_are_checked_to_the_second() {
        // Leeway 30 s, answers kept for 60 s, longest life a day.
        let day = 86_400;
        let cases = [
            (json!({ "exp": NOW + 60 }), Ok(())),
            (json!({ "exp": NOW + 59 }), Err(Refusal::ExpiresTooSoon)),
            (json!({ "exp": NOW - 30 }), Err(Refusal::ExpiresTooSoon)),
            (json!({ "exp": NOW - 31 }), Err(Refusal::Expired)),
            (json!({ "exp": NOW + day }), Ok(())),
            (json!({ "exp": NOW + day + 1 }), Err(Refusal::LivesTooLong)),
            (json!({ "exp": NOW + 100, "iat": NOW + 100 - day }), Ok(())),
            (json!({ "exp": NOW + 101, "iat": NOW + 100 - day }), Err(Refusal::LivesTooLong)),
            (json!({ "exp": NOW + 100, "iat": NOW + 30 }), Ok(())),
            (json!({ "exp": NOW + 100, "iat": NOW + 31 }), Err(Refusal::IssuedInFuture)),
            (json!({ "exp": NOW + 100, "nbf": NOW + 30 }), Ok(())),
            (json!({ "exp": NOW + 100, "nbf": NOW + 31 }), Err(Refusal::NotYetValid)),
            (json!({ "nbf": NOW }), Err(Refusal::MissingClaim)),
            (json!({ "exp": NOW + 100, "iat": null }), Err(Refusal::MissingClaim)),
            (json!({ "exp": NOW + 100, "iat": -1 }), Err(Refusal::Malformed)),
            (json!({ "exp": 1_800_000_060.9 }), Ok(())),
            (json!({ "exp": 1_800_000_059.9 }), Err(Refusal::ExpiresTooSoon)),
            (json!({ "exp": -1 }), Err(Refusal::Malformed)),
            (json!({ "exp": 1e300 }), Err(Refusal::Malformed)),
            (json!({ "exp": u64::MAX }), Err(Refusal::LivesTooLong)),
            (json!({ "exp": NOW + 100, "nbf": -5 }), Err(Refusal::Malformed)),
        ];
        for (claims, expected) in cases {
            assert_eq!(check_time(claims.clone()), expected, "{claims}");
        }
    }

    #[test]
    fn leeway_counts_where_no_answer_is_kept() {
        let settings = AuthorizerSettings { answer_kept: Duration::ZERO, ..AuthorizerSettings::default() };
        for (expiry, expected) in [(NOW - 30, Ok(())), (NOW - 31, Err(Refusal::Expired))] {
            let claims: Claims = serde_json::from_value(json!({ "exp": expiry, "iat": NOW - 60 })).expect("claims");
            assert_eq!(claims.check_time(NOW, &settings), expected);
        }
    }

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
}
