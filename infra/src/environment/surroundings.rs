//! `[alarms]`, `[domain]`, `[local]`, `[tags]`: people, names and places around the system.

use std::collections::{BTreeMap, BTreeSet};

use super::Target;
use super::kafka::is_host;
use super::reader::Section;
use super::rule::{Rule, text, whole};

/// Who is told of alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlarmSettings {
    /// E-mail addresses; on AWS at least one.
    pub recipients: Vec<String>,
    /// Address of the page with a runbook for each alarm; the alarm's name in kebab case is the anchor.
    pub runbooks: String,
}

impl AlarmSettings {
    pub(super) fn read(section: &mut Section<'_>, target: Option<Target>) -> Option<Self> {
        let runbooks = section.required("runbooks", &page());
        let recipients = section.list("recipients", &email())?;
        if recipients.is_empty() && target == Some(Target::Aws) {
            let problem = "`alarms.recipients` names nobody, so no alarm on AWS would reach anyone".to_owned();
            section.mistake_at("recipients", problem, "add an e-mail address: `recipients = [\"team@example.com\"]`");
            return None;
        }
        Some(Self { recipients, runbooks: runbooks? })
    }
}

/// The system's own domain name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainSettings {
    /// Host name under which clients reach the system.
    pub name: String,
    /// Id of the Route 53 hosted zone that holds it.
    pub hosted_zone: String,
    /// Last part of the path by which Route 53 asks for a region's health: 16 to 64 letters and digits that nobody
    /// guesses. It opens nothing; it only keeps strangers from using up what the route takes.
    pub health_key: String,
}

impl DomainSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name = section.required("name", &host());
        let hosted_zone = section.required("hosted_zone", &hosted_zone());
        let health_key = section.required("health_key", &health_key());
        Some(Self { name: name?, hosted_zone: hosted_zone?, health_key: health_key? })
    }
}

/// Fixed ports of the local platform; a port that isn't set is a free one, chosen once and remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalSettings {
    /// The AWS emulator's port.
    pub emulator_port: Option<u16>,
    /// The Kafka broker's port.
    pub kafka_port: Option<u16>,
    /// The Schema Registry's port.
    pub schema_registry_port: Option<u16>,
    /// Port of the consumer's metrics and health.
    pub consumer_port: Option<u16>,
}

impl LocalSettings {
    const KEYS: [&str; 4] = ["emulator_port", "kafka_port", "schema_registry_port", "consumer_port"];

    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let ports = Self::KEYS.map(|key| section.optional(key, &whole::<u16>(1024..=u16::MAX)));
        let [emulator_port, kafka_port, schema_registry_port, consumer_port] = ports;
        let mut good = true;
        for (index, key) in Self::KEYS.iter().enumerate() {
            let port = ports[index].flatten();
            if port.is_some() && ports[..index].iter().any(|earlier| earlier.flatten() == port) {
                good = false;
                section.mistake(key, "which another process has already", "choose another port, or leave it out");
            }
        }
        good.then_some(())?;
        Some(Self {
            emulator_port: emulator_port?,
            kafka_port: kafka_port?,
            schema_registry_port: schema_registry_port?,
            consumer_port: consumer_port?,
        })
    }
}

/// Tags of every resource: keys up to 128 characters, values up to 256, without AWS's own prefix.
pub(super) fn tags(section: &mut Section<'_>) -> Option<BTreeMap<String, String>> {
    let entries = section.entries(&tag_value())?;
    let mut good = true;
    for (key, _) in &entries {
        if let Err(problem) = tag_key(key) {
            good = false;
            section.mistake_at(key, format!("the tag key `{key}` is {problem}"), "choose another key");
        }
    }
    // 50 is the limit a resource has; some are kept for the tags that the system sets itself.
    if entries.len() > 40 {
        good = false;
        let hint = "remove some: a resource has at most 50, and the system adds its own";
        section.mistake_at("", format!("there are {} tags, more than 40", entries.len()), hint);
    }
    good.then(|| entries.into_iter().collect())
}

fn tag_key(key: &str) -> Result<(), &'static str> {
    match key {
        "Environment" | "System" => Err("one that the system sets itself"),
        _ if key.to_ascii_lowercase().starts_with("aws:") => Err("reserved by AWS"),
        _ if !(1..=128).contains(&key.chars().count()) => Err("not 1 to 128 characters long"),
        _ if !key.chars().all(is_tag_character) => Err("made of more than letters, digits, spaces and `_.:/=+-@`"),
        _ => Ok(()),
    }
}

fn tag_value() -> Rule<String> {
    text("write a text of at most 256 letters, digits, spaces and `_.:/=+-@`", |text| {
        if text.chars().count() <= 256 && text.chars().all(is_tag_character) {
            Ok(text.to_owned())
        } else {
            Err("not a tag's value".to_owned())
        }
    })
}

fn is_tag_character(character: char) -> bool {
    character.is_alphanumeric() || " _.:/=+-@".contains(character)
}

fn email() -> Rule<String> {
    text("write an e-mail address: \"team@example.com\"", |text| match text.split_once('@') {
        Some((user, domain)) if !user.is_empty() && domain.contains('.') && is_host(domain) => Ok(text.to_owned()),
        _ => Err("not an e-mail address".to_owned()),
    })
}

fn page() -> Rule<String> {
    text("write the page's address: \"https://example.com/runbooks\"", |text| {
        let rest = text.strip_prefix("https://").ok_or_else(|| "not an `https` URL".to_owned())?;
        let host = rest.split('/').next().unwrap_or_default();
        let plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"#?\"<>".contains(&byte));
        if is_host(host) && plain { Ok(text.to_owned()) } else { Err("not the address of a page".to_owned()) }
    })
}

fn host() -> Rule<String> {
    text("write a host name: \"events.example.com\"", |text| {
        if text.contains('.') && is_host(text) { Ok(text.to_owned()) } else { Err("not a host name".to_owned()) }
    })
}

/// A Route 53 hosted zone id: `Z` and up to 31 capitals and digits.
fn hosted_zone() -> Rule<String> {
    text("write the zone's id: \"Z0123456789ABCDEFGHIJ\"", |text| {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if text.starts_with('Z') && (2..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err("not the id of a hosted zone".to_owned())
        }
    })
}

/// A part of a path that strangers can't try out.
fn health_key() -> Rule<String> {
    const FEWEST_DIFFERENT: usize = 8;
    text("write 16 to 64 random letters and digits: `openssl rand -hex 16` makes some", |text| {
        let different: BTreeSet<char> = text.chars().collect();
        if !(16..=64).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Err("not 16 to 64 letters and digits".to_owned())
        } else if different.len() < FEWEST_DIFFERENT {
            Err("easily guessed".to_owned())
        } else {
            Ok(text.to_owned())
        }
    })
}
