//! The authorizer: checks the JSON Web Token of a request to the API.

use std::time::Duration;

use crate::macros::program;
use crate::{Grants, Mistake, Region, Setting};

program! {
    /// Configuration of `authorizer`.
    Authorizer("authorizer"), AuthorizerBinding, AuthorizerSettings {
        ambient {
            /// The region it runs in; Lambda sets it.
            region: Region = "AWS_REGION",
        }
        required {
            /// `iss` of tokens that are signed with the shared secret (HS256).
            secret_issuer: String = "JWT_SECRET_ISSUER",
            /// Issuer of tokens with a public key (RS256), if there is one.
            key_issuer: KeyIssuer = "JWT_KEY_ISSUER",
            /// `aud` that every token must have.
            audience: String = "JWT_AUDIENCE",
            /// Which routes are open to whom; what it doesn't name is forbidden.
            grants: Grants = "ROUTE_GRANTS",
        }
        resources {
            /// The shared secret of HS256: its current and its previous version are accepted.
            signing_secret: Secret as Read = "JWT_SECRET_NAME",
        }
        settings {
            /// How far the clocks of issuer and region may disagree.
            leeway: Duration = "JWT_LEEWAY", Duration::from_secs(30), Duration::from_secs(0)..=Duration::from_secs(300);
            /// A token that is valid for longer than this is refused.
            longest_life: Duration = "JWT_LONGEST_LIFE", Duration::from_secs(86_400), Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);
            /// How long an answer may be kept by the API: a token with less time left is refused.
            answer_kept: Duration = "ANSWER_KEPT", Duration::from_secs(60), Duration::from_secs(0)..=Duration::from_secs(3600);
            /// In which form an HTTP API with payload format 2.0 wants its answer: as its authorizer is set up.
            http_answer: HttpAnswer = "HTTP_ANSWER", HttpAnswer::Simple, HttpAnswer::Simple..=HttpAnswer::Policy;
            /// What the caller of an HTTP API with payload format 2.0 is answered whose token is no good.
            bad_token: BadToken = "TOKEN_REFUSAL", BadToken::Forbidden, BadToken::Forbidden..=BadToken::Unauthorized;
        }
        contradictions: contradictions,
    }
}

fn contradictions(
    _: Option<&Region>,
    secret_issuer: &str,
    key_issuer: &KeyIssuer,
    _: &str,
    _: &Grants,
    settings: &AuthorizerSettings,
) -> Vec<Mistake> {
    let AuthorizerSettings { longest_life, answer_kept, .. } = settings;
    let mut mistakes = Vec::new();
    let mut mistake = |variable, problem| mistakes.push(Mistake { variable, problem });
    if key_issuer.issues(secret_issuer) {
        let problem = format!(
            "is `{}`, which `JWT_SECRET_ISSUER` is too; they must differ, so that a public key can't serve as a secret",
            key_issuer.render()
        );
        mistake("JWT_KEY_ISSUER", problem);
    }
    if answer_kept > longest_life {
        let problem = format!(
            "is `{}`, and no token lives for longer than `{}` (`JWT_LONGEST_LIFE`): none would be accepted; make it shorter",
            answer_kept.render(),
            longest_life.render()
        );
        mistake("ANSWER_KEPT", problem);
    }
    mistakes
}

/// The issuer of tokens that are signed with a private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyIssuer {
    /// There is none: only the shared secret is accepted.
    None,
    /// An issuer's URL without a slash at its end; its keys are at `<issuer>/.well-known/jwks.json`.
    /// It is also the `iss` of its tokens, where a slash at the end makes no difference.
    Url(String),
}

impl KeyIssuer {
    /// Whether `iss` names this issuer. Some issuers write their URL with a slash at its end, some without.
    pub fn issues(&self, iss: &str) -> bool {
        match self {
            Self::None => false,
            Self::Url(url) => iss.strip_suffix('/').unwrap_or(iss) == url,
        }
    }
}

impl Setting for KeyIssuer {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            _ if is_issuer_url(text) => Ok(Self::Url(text.trim_end_matches('/').to_owned())),
            _ => Err("neither `none` nor an `https` URL of host and path alone".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Url(url) => url.clone(),
        }
    }
}

/// The form of an answer to an HTTP API with payload format 2.0. The event doesn't say which one is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpAnswer {
    /// `isAuthorized`, for the route that was asked for. An API that keeps answers must keep them by route.
    Simple,
    /// A policy over all routes that are open to the caller, so that it may be kept for any of them.
    Policy,
}

impl Setting for HttpAnswer {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "simple" => Ok(Self::Simple),
            "policy" => Ok(Self::Policy),
            _ => Err("neither `simple` nor `policy`".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Simple => "simple".to_owned(),
            Self::Policy => "policy".to_owned(),
        }
    }
}

/// The answer to a token that is malformed, forged or over. A good token that may not use a route is always answered 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BadToken {
    /// 403, by an answer that says no. It may be kept like any other, and the function hasn't failed.
    Forbidden,
    /// 401, by an error with the text `Unauthorized`. Nobody keeps it, and Lambda counts it as an error of the function.
    Unauthorized,
}

impl Setting for BadToken {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "forbidden" => Ok(Self::Forbidden),
            "unauthorized" => Ok(Self::Unauthorized),
            _ => Err("neither `forbidden` nor `unauthorized`".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Forbidden => "forbidden".to_owned(),
            Self::Unauthorized => "unauthorized".to_owned(),
        }
    }
}

/// A URL of host, port and path. What else a URL can hold (user, query, fragment) would move the place that
/// `<issuer>/.well-known/jwks.json` means.
fn is_issuer_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let reachable = match scheme {
        "https" => is_host(host) && port.is_none_or(is_port),
        // Keys that come without TLS can be anybody's, so that is allowed only on the same machine.
        "http" => host == "127.0.0.1" && port.is_some_and(is_port),
        _ => false,
    };
    reachable && path.bytes().all(is_path_byte)
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// What a path may hold besides escapes' `%` (RFC 3986, 3.3).
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_round_trip() {
        for text in [
            "none",
            "https://login.example.com",
            "https://login.example.com/tenant",
            "https://login.example.com:8443/a/b%20c",
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/tenant",
        ] {
            assert_eq!(KeyIssuer::parse(text).expect(text).render(), text);
        }
        let slash = KeyIssuer::parse("https://login.example.com/");
        assert_eq!(slash, Ok(KeyIssuer::Url("https://login.example.com".to_owned())));
        for bad in [
            "",
            "login.example.com",
            "http://login.example.com",
            "https://",
            "https:///",
            "https://a b",
            "https://user@login.example.com",
            "https://user:password@login.example.com",
            "https://login.example.com?tenant=a",
            "https://login.example.com/a?b",
            "https://login.example.com#a",
            "https://login.example.com/a#b",
            "https://login.example.com:",
            "https://login.example.com:0",
            "https://login.example.com:65536",
            "https://login.example.com:+443",
            "https://login..example.com",
            "https://-login.example.com",
            "https://login.example.com\\@other.example",
            "https://lögin.example.com",
            "http://127.0.0.1",
            "http://127.0.0.1/",
            "http://127.0.0.1:8080@login.example.com",
            "http://127.0.0.1:80.login.example.com",
            "http://127.0.0.1.login.example.com:8080",
            "http://localhost:8080",
            "HTTPS://login.example.com",
            "ftp://login.example.com",
        ] {
            assert!(KeyIssuer::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slash_at_the_end_is_the_same_issuer() {
        let issuer = KeyIssuer::parse("https://login.example.com/").expect("an issuer");
        for (iss, expected) in [
            ("https://login.example.com", true),
            ("https://login.example.com/", true),
            ("https://login.example.com//", false),
            ("https://login.example.com/a", false),
            ("none", false),
        ] {
            assert_eq!(issuer.issues(iss), expected, "{iss}");
        }
        assert!(!KeyIssuer::None.issues("none"));
    }
}
