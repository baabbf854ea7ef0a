//! `[api]`, `[github]` and `[authority]`: who may call, who may deploy, and which region is asked about ownership.

use std::time::Duration;

use contracts::{BadToken, Grant, KeyIssuer, Region, Setting};

use super::reader::Section;
use super::regions::{RegionSettings, region};
use super::rule::{Rule, one_of, seconds, text, whole};

/// The HTTP API of each region.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiSettings {
    /// `iss` of tokens that are signed with the shared secret.
    pub secret_issuer: String,
    /// Issuer of tokens that are signed with a private key, if there is one.
    pub key_issuer: KeyIssuer,
    /// `aud` of every token.
    pub audience: String,
    /// How long the authorizer's answer is kept for the same token and route, up to an hour; 0 s asks each time.
    pub answer_kept: Duration,
    /// Which routes are open to which roles; none: every good token opens the route for events.
    pub grants: Vec<Grant>,
    /// What a caller is answered whose token is no good: 403, which is left out, or 401.
    pub bad_token: BadToken,
    /// Requests a second that each region serves.
    pub rate: u32,
    /// Requests beyond the rate that are served at once.
    pub burst: u32,
    /// Web pages that may call, as origins; none: no browser may.
    pub origins: Vec<String>,
}

impl ApiSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let secret_issuer = section.required("secret_issuer", &words());
        let key_issuer = section.optional("key_issuer", &key_issuer());
        let audience = section.required("audience", &words());
        let answer_kept = section.required("answer_kept", &seconds(Duration::ZERO..=Duration::from_secs(3600)));
        let grants = section.list("grants", &grant());
        let bad_token = section.optional("bad_token", &bad_token());
        let rate = section.required("rate", &whole(1..=10_000));
        let burst = section.required("burst", &whole(1..=5_000));
        let origins = section.list("origins", &origin());
        Some(Self {
            secret_issuer: secret_issuer?,
            key_issuer: key_issuer?.unwrap_or(KeyIssuer::None),
            audience: audience?,
            answer_kept: answer_kept?,
            grants: grants?,
            bad_token: bad_token?.unwrap_or(BadToken::Forbidden),
            rate: rate?,
            burst: burst?,
            origins: origins?,
        })
    }
}

/// Where GitHub Actions come from that read, review and deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitHubSettings {
    /// `owner/name`.
    pub repository: String,
    /// The branch that is deployed.
    pub branch: String,
    /// Whether this environment makes the account's OIDC provider.
    pub provider: OidcProvider,
}

/// The account's OIDC provider for GitHub; an account has only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidcProvider {
    /// This environment makes it.
    Create,
    /// It is there already: another environment of the account, or somebody else, has made it.
    Existing,
}

impl GitHubSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let repository = section.required("repository", &repository());
        let branch = section.optional("branch", &branch());
        let words = &[("create", OidcProvider::Create), ("existing", OidcProvider::Existing)];
        let provider = section.required("provider", &one_of(words));
        Some(Self {
            repository: repository?,
            branch: branch?.unwrap_or_else(|| "main".to_owned()),
            provider: provider?,
        })
    }
}

/// Regions among which DynamoDB keeps strongly consistent global tables (developer guide, "Multi-Region strong
/// consistency"; from general knowledge, not read again).
const STRONG_SETS: [&[&str]; 3] = [
    &["us-east-1", "us-east-2", "us-west-2"],
    &["eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3"],
    &["ap-northeast-1", "ap-northeast-2", "ap-northeast-3"],
];

/// The table that says which region owns what: read and written with strong consistency over three regions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthoritySettings {
    /// The third region, which only votes; none when the environment itself has three.
    pub witness: Option<Region>,
}

impl AuthoritySettings {
    pub(super) fn read(section: &mut Section<'_>, regions: Option<&[RegionSettings]>) -> Option<Self> {
        let witness = section.optional("witness", &region())?;
        let regions = regions?;
        let add = "add `witness = \"…\"`: strong consistency needs three regions";
        match (&witness, regions.len()) {
            (None, 2) => {
                section.mistake("witness", "and two regions need a third that votes", add);
                return None;
            }
            (Some(_), 3..) => {
                section.mistake("witness", "and three regions need none", "remove it");
                return None;
            }
            (_, 4..) => {
                let problem = "strong consistency spans three regions, and there are more".to_owned();
                section.mistake_at("witness", problem, "keep three regions");
                return None;
            }
            _ => {}
        }
        let all: Vec<&Region> = regions.iter().map(|settings| &settings.region).chain(&witness).collect();
        if witness.as_ref().is_some_and(|witness| regions.iter().any(|settings| settings.region == *witness)) {
            section.mistake("witness", "which holds the system itself", "choose another region");
            return None;
        }
        let together = |set: &&[&str]| all.iter().all(|region| set.contains(&region.as_str()));
        if !STRONG_SETS.iter().any(together) {
            let names: Vec<&str> = all.iter().map(|region| region.as_str()).collect();
            let sets: Vec<String> = STRONG_SETS.iter().map(|set| set.join(", ")).collect();
            let problem = format!("no strongly consistent table spans {}", names.join(", "));
            section.mistake_at("witness", problem, &format!("choose all regions from one set: {}", sets.join("; ")));
            return None;
        }
        Some(Self { witness })
    }
}

fn words() -> Rule<String> {
    text("write at most 256 letters, digits and `-._:/`", |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
        if (1..=256).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err("not such a name".to_owned())
        }
    })
}

fn key_issuer() -> Rule<KeyIssuer> {
    text("write the issuer's `https` URL, or leave it out", KeyIssuer::parse)
}

fn grant() -> Rule<Grant> {
    text(
        "write method, path and roles: \"POST /v1/events writer,admin\"; `*` is any method, any role or, at the end of a path, everything below",
        Grant::parse,
    )
}

fn bad_token() -> Rule<BadToken> {
    text("write \"forbidden\" (403) or \"unauthorized\" (401, which Lambda counts as an error)", BadToken::parse)
}

fn origin() -> Rule<String> {
    text("write an origin: \"https://app.example.com\"", |text| {
        let host = text.strip_prefix("https://").ok_or_else(|| "not an `https` origin".to_owned())?;
        if super::kafka::is_host(host) { Ok(text.to_owned()) } else { Err("not an origin".to_owned()) }
    })
}

fn repository() -> Rule<String> {
    text("write owner and name: \"example/tandem\"", |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match text.split_once('/') {
            Some((owner, name))
                if !owner.is_empty() && !name.is_empty() && owner.bytes().chain(name.bytes()).all(allowed) =>
            {
                Ok(text.to_owned())
            }
            _ => Err("not a repository".to_owned()),
        }
    })
}

fn branch() -> Rule<String> {
    text("write the branch's name: \"main\"", |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err("not a branch's name".to_owned())
        }
    })
}
