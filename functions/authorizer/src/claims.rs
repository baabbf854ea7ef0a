//! What a token says, and what of it is believed once the signature is known.
//!
//! Claims that are read here: `iss`, `sub`, `exp`, `nbf`, `iat`, `roles` (a list of texts) and `tenant_id` (also as
//! `tenantId`); the audience is checked with the signature. Times are looked at before the signature, so that tokens that have
//! expired cost neither a signature check nor a request for keys.

use crate::refusal::Refusal;
use contracts::AuthorizerSettings;
use serde::Deserialize;
use serde_json::Number;
use std::time::Duration;

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
        let user_id = self.sub.filter(|sub| !sub.trim().is_empty()).ok_or(Refusal::MissingClaim)?;
        let roles = self.roles.unwrap_or_default();
        if ![&user_id].into_iter().chain(&roles).chain(&self.tenant_id).all(|text| is_legible(text)) {
            return Err(Refusal::Illegible);
        }
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

/// Whether people see a text as programs do. What stands for a user or a role is put into logs and headers and compared by
/// eye: it holds no control characters, nothing without a width and nothing that turns the direction of writing.
fn is_legible(text: &str) -> bool {
    let hides = |character: char| matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !text.chars().any(|character| character.is_control() || hides(character))
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
    fn what_hides_in_a_text_is_illegible() {
        for good in ["user-1", "Jürgen Ω", "山田", "a b", "e\u{301}"] {
            assert!(is_legible(good), "{good}");
        }
        for bad in
            ["a\nb", "a\0", "a\u{7f}", "\u{85}", "ad\u{200b}min", "\u{202e}nimda", "\u{2066}a", "\u{feff}a", "a\u{ad}b"]
        {
            assert!(!is_legible(bad), "{bad:?}");
        }
    }
}
