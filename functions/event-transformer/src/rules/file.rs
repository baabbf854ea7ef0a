//! The form of the rules' file, and what is made of it; what is wrong goes to a list of mistakes.

use super::{DEFAULT_MAX_LENGTH, EVENT_ID_VERSIONS, LONGEST_TEXT, OWN_MEMBERS, Rule};
use crate::document::Pointer;
use crate::geo::{GeoRule, Precision};
use crate::kinds::{Decimal, Kind, LocalPart, NumberRule, Pattern, TextRule, composed};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: u32,
    pub(super) every_event: Vec<FileRule>,
    pub(super) event_types: BTreeMap<String, Vec<FileRule>>,
    pub(super) event_id_versions: Option<Vec<u8>>,
    pub(super) geo: Option<FileGeo>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileGeo {
    address: String,
    #[serde(default)]
    keep_address: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRule {
    pointer: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    is: FileKind,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    #[default]
    Anything,
    Boolean,
    Email,
    LowerCaseEmail,
    IpAddress,
    Timestamp,
    Uuid,
    Text(FileText),
    Number(FileNumber),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    min_length: Option<usize>,
    max_length: Option<usize>,
    allowed: Option<Vec<String>>,
    pattern: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNumber {
    // Raw, because a bound may have more digits than a floating-point number.
    minimum: Option<Box<RawValue>>,
    maximum: Option<Box<RawValue>>,
    #[serde(default)]
    whole: bool,
}

/// Compiles the rules of one list; what is wrong with them goes to `mistakes`.
pub(super) fn compile(list: &str, rules: &[FileRule], mistakes: &mut Vec<String>) -> Vec<Rule> {
    let mut compiled: Vec<Rule> = Vec::new();
    for rule in rules {
        let mut mistake = |problem: String| mistakes.push(format!("{list}, `{}`: {problem}", rule.pointer));
        let kind = compile_kind(&rule.is, &mut mistake);
        let Some(pointer) = Pointer::parse(&rule.pointer) else {
            mistake("not a JSON pointer such as `/data/email`".to_owned());
            continue;
        };
        if is_fixed(&pointer) {
            mistake("the event itself and its four own members have fixed rules".to_owned());
        }
        if compiled.iter().any(|other| other.pointer == pointer) {
            mistake("there are two rules for this value".to_owned());
        }
        compiled.push(Rule { pointer, required: rule.required, kind });
    }
    compiled
}

/// Whether a place has rules that aren't in the file.
fn is_fixed(pointer: &Pointer) -> bool {
    pointer.is_root() || OWN_MEMBERS.iter().any(|member| *pointer == Pointer::member(member))
}

/// The versions of UUIDs that an event's id may have.
pub(super) fn compile_versions(versions: Option<&[u8]>, mistakes: &mut Vec<String>) -> Vec<u8> {
    let versions = versions.unwrap_or(&EVENT_ID_VERSIONS);
    if versions.is_empty() {
        mistakes.push("`event_id_versions` is empty; leave it out for 4, 5 and 7".to_owned());
    }
    for (index, version) in versions.iter().enumerate() {
        if !EVENT_ID_VERSIONS.contains(version) {
            mistakes.push(format!("`event_id_versions` holds {version}; only 4, 5 and 7 can be allowed"));
        }
        if versions[..index].contains(version) {
            mistakes.push(format!("`event_id_versions` holds {version} twice"));
        }
    }
    versions.to_vec()
}

/// Compiles what the file says about addresses. A rule for the same value has to leave it alone: what a truncated address
/// looks like isn't the sender's choice.
pub(super) fn compile_geo<'r>(
    geo: &FileGeo,
    rules: impl Iterator<Item = &'r Rule>,
    mistakes: &mut Vec<String>,
) -> Option<GeoRule> {
    let mut mistake = |problem: &str| mistakes.push(format!("geo, `{}`: {problem}", geo.address));
    let Some(address) = Pointer::parse(&geo.address) else {
        mistake("not a JSON pointer such as `/data/ip_address`");
        return None;
    };
    if is_fixed(&address) {
        mistake("the event itself and its four own members are no addresses");
    }
    let is_other = |rule: &Rule| rule.pointer == address && !matches!(rule.kind, Kind::Anything | Kind::IpAddress);
    if rules.into_iter().any(is_other) {
        mistake("a rule says that this value is something else than `anything` or `ip_address`");
    }
    let precision = if geo.keep_address { Precision::Whole } else { Precision::Network };
    Some(GeoRule { address, precision })
}

fn compile_kind(kind: &FileKind, mistake: &mut impl FnMut(String)) -> Kind {
    match kind {
        FileKind::Anything => Kind::Anything,
        FileKind::Boolean => Kind::Boolean,
        FileKind::Email => Kind::Email(LocalPart::AsItCame),
        FileKind::LowerCaseEmail => Kind::Email(LocalPart::LowerCase),
        FileKind::IpAddress => Kind::IpAddress,
        FileKind::Timestamp => Kind::Timestamp,
        FileKind::Uuid => Kind::Uuid,
        FileKind::Text(text) => Kind::Text(compile_text(text, mistake)),
        FileKind::Number(number) => Kind::Number(compile_number(number, mistake)),
    }
}

fn compile_text(text: &FileText, mistake: &mut impl FnMut(String)) -> TextRule {
    let min_length = text.min_length.unwrap_or(0);
    let max_length = text.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
    if max_length > LONGEST_TEXT {
        mistake(format!("`max_length` is {max_length}; at most {LONGEST_TEXT} can be allowed"));
    }
    if min_length > max_length {
        mistake(format!("no text has at least {min_length} and at most {max_length} characters"));
    }
    if text.allowed.as_ref().is_some_and(Vec::is_empty) {
        mistake("`allowed` is empty; leave it out to allow any text".to_owned());
    }
    let allowed = text.allowed.iter().flatten().map(|word| composed(word)).collect();
    let pattern = text.pattern.as_ref().and_then(|pattern| {
        Pattern::new(pattern).map_err(|error| mistake(format!("`{pattern}` can't be used as a pattern: {error}"))).ok()
    });
    TextRule { min_length, max_length, allowed, pattern }
}

fn compile_number(number: &FileNumber, mistake: &mut impl FnMut(String)) -> NumberRule {
    let mut bound = |name: &str, value: &Option<Box<RawValue>>| {
        let text = value.as_ref()?.get();
        let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if !is_number {
            mistake(format!("`{name}` is no number"));
        }
        is_number.then(|| Decimal::parse(text))
    };
    let (minimum, maximum) = (bound("minimum", &number.minimum), bound("maximum", &number.maximum));
    if let (Some(minimum), Some(maximum)) = (&minimum, &maximum)
        && minimum > maximum
    {
        mistake("`minimum` is above `maximum`".to_owned());
    }
    NumberRule { minimum, maximum, whole: number.whole }
}
