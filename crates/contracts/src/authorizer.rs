//! The authorizer: checks the JSON Web Token of a request to the API.

use std::time::Duration;

use crate::macros::program;
use crate::{Region, Setting};

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
        }
    }
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

impl Setting for KeyIssuer {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            _ if is_issuer_url(text) => Ok(Self::Url(text.trim_end_matches('/').to_owned())),
            _ => Err("neither `none` nor an `https` URL".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Url(url) => url.clone(),
        }
    }
}

/// Keys that come without TLS can be anybody's, so that is allowed only on the same machine.
fn is_issuer_url(text: &str) -> bool {
    let address = text.strip_prefix("https://").or_else(|| {
        let same_machine = text.starts_with("http://127.0.0.1:");
        text.strip_prefix("http://").filter(|_| same_machine)
    });
    address.is_some_and(|address| {
        !address.trim_end_matches('/').is_empty() && address.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_round_trip() {
        for text in ["none", "https://login.example.com", "https://login.example.com/tenant", "http://127.0.0.1:8080"] {
            assert_eq!(KeyIssuer::parse(text).expect(text).render(), text);
        }
        let slash = KeyIssuer::parse("https://login.example.com/");
        assert_eq!(slash, Ok(KeyIssuer::Url("https://login.example.com".to_owned())));
        for bad in ["", "login.example.com", "http://login.example.com", "https://", "https:///", "https://a b"] {
            assert!(KeyIssuer::parse(bad).is_err(), "{bad}");
        }
    }
}
