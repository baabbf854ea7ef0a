//! Why a token is refused.
//!
//! The caller is never told which it was; metrics and the log are.

/// Why a token is refused. It carries nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request has no token.
    #[error("the request has no token")]
    NoToken,
    /// It isn't a token: wrong form, unreadable header or claims, an algorithm that isn't known.
    #[error("the token is malformed")]
    Malformed,
    /// It is longer than [`crate::token::MAX_TOKEN_BYTES`].
    #[error("the token is too large")]
    TooLarge,
    /// It demands an extension of the format.
    #[error("the token demands an extension that is not understood")]
    UnknownExtension,
    /// It is for another purpose, such as logging somebody out.
    #[error("the token is of another type than those that say who calls")]
    WrongType,
    /// A claim that every token must have isn't there.
    #[error("the token lacks a required claim")]
    MissingClaim,
    /// Nobody whom this function trusts issued it.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// It isn't signed with the algorithm of its issuer's key.
    #[error("the token is signed with another algorithm than its key's")]
    WrongAlgorithm,
    /// It doesn't name a key that its issuer has.
    #[error("the token names no key of its issuer")]
    UnknownKey,
    /// The signature isn't the issuer's.
    #[error("the token's signature is wrong")]
    WrongSignature,
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// It ends before an answer that is kept would.
    #[error("the token expires before the answer would be forgotten")]
    ExpiresTooSoon,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It claims to come from the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// It is valid for longer than tokens may be.
    #[error("the token is valid for too long")]
    LivesTooLong,
    /// A role is empty or holds a comma.
    #[error("the token has a role that is empty or holds a comma")]
    MalformedRole,
    /// A user, role or tenant holds characters that people don't see.
    #[error("the token names a user, role or tenant with characters that can't be seen")]
    Illegible,
    /// Its tenant is an empty text.
    #[error("the token has an empty tenant")]
    EmptyTenant,
}

impl Refusal {
    /// Each of them.
    pub const ALL: [Self; 19] = [
        Self::NoToken,
        Self::Malformed,
        Self::TooLarge,
        Self::UnknownExtension,
        Self::WrongType,
        Self::MissingClaim,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::WrongAlgorithm,
        Self::UnknownKey,
        Self::WrongSignature,
        Self::Expired,
        Self::ExpiresTooSoon,
        Self::NotYetValid,
        Self::IssuedInFuture,
        Self::LivesTooLong,
        Self::MalformedRole,
        Self::Illegible,
        Self::EmptyTenant,
    ];

    /// A word for metrics.
    pub const fn class(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownExtension => "unknown_extension",
            Self::WrongType => "wrong_type",
            Self::MissingClaim => "missing_claim",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::WrongSignature => "wrong_signature",
            Self::Expired => "expired",
            Self::ExpiresTooSoon => "expires_too_soon",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::LivesTooLong => "lives_too_long",
            Self::MalformedRole => "malformed_role",
            Self::Illegible => "illegible",
            Self::EmptyTenant => "empty_tenant",
        }
    }
}
