//! Attacks as data: each case of `attacks.json` says what is sent and which refusal it must meet.
//!
//! - `tokens`: a good token with changes. `key` signs (`secret` if left out), `header` and `claims` change members (null takes
//!   one away), `header_text` and `claims_text` replace the JSON, `token` and `authorization` say how the parts are joined.
//! - `events`: what API Gateway hands over. `policies`: one token's kept policy on several paths. `stories`: what happens over
//!   time.
//!
//! A case whose name begins with `control` must pass: it shows that a case fails for what it changes and nothing else.

use crate::events::{http_api, rest_request, rest_token};
use crate::world::{
    Log, NOW, RsaKey, SECRET, SECRET_ISSUER, World, claims, encoded, hmac, outcome, secret_token, with,
};
use authorizer::refusal::Refusal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attacks {
    tokens: Vec<TokenCase>,
    events: Vec<EventCase>,
    policies: Vec<PolicyCase>,
    stories: Vec<Story>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenCase {
    name: String,
    expect: String,
    #[serde(default = "secret")]
    key: String,
    /// Whose token it claims to be: `secret` or `keys`; as the key if left out.
    issuer: Option<String>,
    #[serde(default)]
    header: Value,
    #[serde(default)]
    claims: Value,
    /// Claims that are there and null.
    #[serde(default)]
    claims_null: Vec<String>,
    header_text: Option<String>,
    claims_text: Option<String>,
    token: Option<String>,
    authorization: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventCase {
    name: String,
    expect: String,
    event: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyCase {
    name: String,
    roles: Vec<String>,
    opens: Vec<String>,
    keeps_shut: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    name: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Seconds since the story's begin.
    at: u64,
    publish: Option<Vec<String>>,
    #[serde(default)]
    down: bool,
    key: Option<String>,
    expect: Option<String>,
    fetches: Option<usize>,
}

fn secret() -> String {
    "secret".to_owned()
}

fn attacks() -> Attacks {
    serde_json::from_str(include_str!("attacks.json")).expect("attacks")
}

/// Every header value of `attacks.json`, for tests that change them further.
pub(crate) fn header_values(world: &World) -> Vec<String> {
    attacks().tokens.iter().map(|case| case.header_value(world)).collect()
}

fn rsa(name: &str) -> RsaKey {
    match name {
        "one" => RsaKey::one(),
        "two" => RsaKey::two(),
        _ => panic!("there is no key `{name}`"),
    }
}

/// Fills in what only a run knows: `$now+60`, `$issuer`, `$jwk_two` and texts that are too long to write down.
fn filled(value: &Value, world: &World) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), filled(value, world))).collect(),
        Value::Array(items) => items.iter().map(|item| filled(item, world)).collect(),
        Value::String(text) => match text.as_str() {
            "$jwk_two" => RsaKey::two().entry("one"),
            "$long" => json!("x".repeat(8_192)),
            _ if text.starts_with("$now") => {
                let shift: i64 = text["$now".len()..].parse().expect("seconds");
                json!(NOW.checked_add_signed(shift).expect("a time"))
            }
            _ => json!(text.replace("$issuer", &world.issuer.url)),
        },
        other => other.clone(),
    }
}

/// The members of an object as text, without the braces.
fn members(object: &Value) -> String {
    let text = object.to_string();
    text[1..text.len() - 1].to_owned()
}

impl TokenCase {
    fn header_value(&self, world: &World) -> String {
        let by_key = matches!(self.key.as_str(), "one" | "two");
        let of_keys = self.issuer.as_ref().map_or(by_key, |issuer| issuer == "keys");
        let issuer = if of_keys { world.issuer.url.as_str() } else { SECRET_ISSUER };
        let base =
            if by_key { json!({ "alg": "RS256", "kid": "one" }) } else { json!({ "alg": "HS256", "typ": "JWT" }) };
        let header = with(base, &filled(&self.header, world)).to_string();
        let header = self
            .header_text
            .as_ref()
            .map_or(header, |text| text.replace("$nested", &format!("{}{}", "[".repeat(2_000), "]".repeat(2_000))));
        let mut good = with(claims(issuer), &filled(&self.claims, world));
        for name in &self.claims_null {
            good[name] = Value::Null;
        }
        let without = |name: &str| members(&with(claims(issuer), &json!({ name: null })));
        let claims = self.claims_text.as_ref().map_or(good.to_string(), |text| {
            text.replace("$claims_without_exp", &without("exp"))
                .replace("$claims_without_sub", &without("sub"))
                .replace("$claims", &members(&good))
                .replace("$nested_little", &format!("{}{}", "[".repeat(100), "]".repeat(100)))
                .replace("$good", &secret_token(SECRET))
        });
        let (header, claims) = (encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = encoded(&self.signature(format!("{header}.{claims}").as_bytes()));
        let token = self.token.as_deref().unwrap_or("$header.$claims.$signature");
        // The last letter holds bits that belong to no byte.
        let sloppy = format!("{}{}", &header[..header.len() - 1], if header.ends_with('A') { 'B' } else { '_' });
        let token = token
            .replace("$sloppy_header", &sloppy)
            .replace("$header", &header)
            .replace("$claims", &claims)
            .replace("$signature", &signature)
            .replace("$long", &"A".repeat(8_192));
        self.authorization.as_deref().unwrap_or("Bearer $token").replace("$token", &token)
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let one = RsaKey::one();
        let pem = format!(
            "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
            STANDARD.encode(one.public_der())
        );
        match self.key.as_str() {
            "secret" => hmac(message, SECRET.as_bytes()),
            "guess" => hmac(message, b"a secret that somebody else made up"),
            "empty" => hmac(message, b""),
            "public_der" => hmac(message, &one.public_der()),
            "public_pem" => hmac(message, pem.as_bytes()),
            "modulus" => hmac(message, one.numbers().0.as_bytes()),
            name => rsa(name).signature(message),
        }
    }
}

#[tokio::test]
async fn every_bad_token_meets_its_refusal() {
    let world = World::new().await;
    let verifier = world.verifier();
    let mut wrong = Vec::new();
    for case in attacks().tokens {
        let got = crate::world::outcome_of_header(&verifier, &case.header_value(&world)).await;
        if got != case.expect {
            wrong.push(format!("{}: {} and not {got}", case.name, case.expect));
        }
        assert_eq!(case.name.starts_with("control"), case.expect == "allowed", "{}", case.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_bad_token_opens_no_kind_of_api() {
    let world = World::new().await;
    let handlers = [world.handler_with(&[]), world.handler_with(&[("HTTP_ANSWER", "policy")])];
    let says_unauthorized = world.handler_with(&[("TOKEN_REFUSAL", "unauthorized")]);
    for case in attacks().tokens.iter().filter(|case| case.expect != "allowed") {
        let header = case.header_value(&world);
        let http = |handler| World::handle_by(handler, http_api(&header));
        assert_eq!(http(&handlers[0]).await, Ok(json!({ "isAuthorized": false })), "{}", case.name);
        let denied = http(&handlers[1]).await.expect("a policy");
        assert_eq!(denied["policyDocument"]["Statement"][0]["Effect"], "Deny", "{}", case.name);
        assert_eq!(http(&says_unauthorized).await, Err("Unauthorized".to_owned()), "{}", case.name);
        for event in [rest_token(&header, "GET/v1/orders/1"), rest_request(&header)] {
            assert_eq!(World::handle_by(&handlers[0], event).await, Err("Unauthorized".to_owned()), "{}", case.name);
        }
    }
}

#[tokio::test]
async fn every_bad_event_meets_its_refusal() {
    let world = World::new().await;
    let handler = world.handler_with(&[]);
    let good = format!("Bearer {}", secret_token(SECRET));
    let forged = format!("Bearer {}", secret_token("a secret that somebody else made up"));
    for case in attacks().events {
        let text = case.event.to_string().replace("$good", &good).replace("$forged", &forged);
        let event: Value = serde_json::from_str(&text).expect("JSON");
        let is_http = event["version"] == "2.0";
        let log = Log::default();
        let answer = {
            let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
            let _captured = tracing::subscriber::set_default(subscriber);
            World::handle_by(&handler, event).await
        };
        let lines = log.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>();
        let class = lines.iter().find_map(|line| line["fields"]["refusal"].as_str()).unwrap_or("allowed");
        assert_eq!(class, case.expect, "{}", case.name);
        match (case.expect.as_str(), is_http) {
            ("allowed", _) => assert!(answer.is_ok(), "{}", case.name),
            (_, true) => assert_eq!(answer, Ok(json!({ "isAuthorized": false })), "{}", case.name),
            (_, false) => assert_eq!(answer, Err("Unauthorized".to_owned()), "{}", case.name),
        }
    }
}

/// Whether an IAM policy's resource covers an ARN: `*` is any text, also with slashes.
fn matches(pattern: &str, arn: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == arn };
    let Some(rest) = arn.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
}

#[tokio::test]
async fn a_kept_policy_opens_the_callers_routes_and_no_others() {
    let world = World::new().await;
    let handler = world.handler_with(&[("HTTP_ANSWER", "policy")]);
    for case in attacks().policies {
        let token = World::token_with(&json!({ "roles": case.roles }));
        let header = format!("Bearer {token}");
        // Whatever was asked for first, the policy that is kept is the same.
        let mut policies = Vec::new();
        for path in case.opens.iter().chain(&case.keeps_shut) {
            policies.push(World::handle_by(&handler, rest_token(&header, path)).await.expect("a policy"));
        }
        policies.push(World::handle_by(&handler, rest_request(&header)).await.expect("a policy"));
        assert!(policies.iter().all(|policy| *policy == policies[0]), "{}", case.name);
        let document = &policies[0]["policyDocument"];
        assert_eq!(document["Statement"].as_array().map(Vec::len), Some(1), "{}", case.name);
        let statement = &document["Statement"][0];
        assert_eq!(statement["Effect"], "Allow");
        let resources: Vec<&str> =
            statement["Resource"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let opens = |path: &String| {
            let arn = format!("{}/{path}", crate::events::STAGE);
            resources.iter().any(|resource| matches(resource, &arn))
        };
        for path in &case.opens {
            assert!(opens(path), "{}: {path} is shut", case.name);
        }
        for path in &case.keeps_shut {
            assert!(!opens(path), "{}: {path} is open", case.name);
        }
        let elsewhere = crate::events::STAGE.replace("/prod", "/test");
        assert!(!resources.iter().any(|resource| matches(resource, &format!("{elsewhere}/POST/v1/events"))));
    }
}

#[tokio::test]
async fn stories_go_as_they_are_told() {
    for story in attacks().stories {
        let world = World::new().await;
        let verifier = world.verifier();
        for step in &story.steps {
            let place = format!("{}, after {} s", story.name, step.at);
            world.clock.set(step.at);
            if let Some(keys) = &step.publish {
                world.issuer.publish(&keys.iter().map(|name| rsa(name).entry(name)).collect::<Vec<_>>());
            }
            if step.down {
                world.issuer.shut_down().await;
            }
            if let Some(key) = &step.key {
                let now = NOW + step.at;
                let claims = with(claims(&world.issuer.url), &json!({ "iat": now, "exp": now + 600 }));
                let token = rsa(key).sign(&json!({ "alg": "RS256", "kid": key }), &claims);
                assert_eq!(Some(outcome(&verifier, &token).await), step.expect.as_deref(), "{place}");
            }
            if let Some(fetches) = step.fetches {
                assert_eq!(world.issuer.fetches(), fetches, "{place}");
            }
        }
    }
}

/// A refusal that no attack provokes could be lost unnoticed.
#[test]
fn every_refusal_is_provoked_by_an_attack() {
    let Attacks { tokens, events, .. } = attacks();
    let expected: BTreeSet<String> =
        tokens.into_iter().map(|case| case.expect).chain(events.into_iter().map(|case| case.expect)).collect();
    let all: BTreeSet<String> = Refusal::ALL.into_iter().map(|refusal| refusal.class().to_owned()).collect();
    let missing: Vec<&String> = all.difference(&expected).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let mut names = BTreeSet::new();
    for case in attacks().tokens {
        assert!(names.insert(case.name.clone()), "`{}` stands there twice", case.name);
    }
}
