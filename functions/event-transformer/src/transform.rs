//! Raw event in, transformed event or refusal out: a pure function.
//!
//! The same raw event, rules, window and database of addresses give the same bytes, also when the event is delivered again
//! or replayed from an archive. What was used of them stands in the result. The one clock that counts is the bus's: an event
//! is too old or too far ahead as seen from the moment when the bus got it, however long it waited since.
//!
//! Whether an event came before isn't known here; [`reused`] says what is told of one whose id did with another content.

use crate::document::{self, Pointer, Value};
use crate::geo::{self, GeoDatabase, Precision};
use crate::kinds::{self, Kind, Mistake, wrong_type};
use crate::rules::{RuleSet, is_event_type};
use events::geo::Geo;
use events::raw::{RawEvent, TransformedEvent, ValidationFailed, Violation, ViolationCode};
use events::trace_context::TRACEPARENT;
use events::{EventId, JsonText, Region, Timestamp, TraceParent};
use jiff::SignedDuration;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// A text that is longer than this isn't repeated beside the original of a refused event.
const LONGEST_REPEATED: usize = 128;

/// The member with an event's id, by which repeats are told.
pub(crate) const EVENT_ID: &str = "event_id";
const EVENT_TYPE: &str = "event_type";

/// How far an event's timestamp may lie from the moment when the bus got the event; the bounds are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How far back.
    pub oldest: Duration,
    /// How far ahead, for clocks that disagree.
    pub furthest_ahead: Duration,
}

/// What became of a raw event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It keeps the rules; normalised.
    Transformed(Box<TransformedEvent>),
    /// It breaks some.
    Refused(Box<ValidationFailed>),
}

/// What is found out of a raw event.
#[derive(Debug)]
pub(crate) struct Judged {
    /// What becomes of it.
    pub(crate) verdict: Verdict,
    /// What it is told apart by from another event of its id: its JSON but for white space and its trace context, which is
    /// another one when its sender tries again. None of what lies too deep to be read.
    pub(crate) content: Option<String>,
    /// Whether its sender wrote a trace context into it that can't be read.
    pub(crate) ignored_trace_context: bool,
}

/// Checks and normalises a raw event in `region`. Without a database nobody knows where addresses lie, and nothing else is
/// different.
pub fn transform(
    raw: &RawEvent<'_>,
    region: &Region,
    rules: &RuleSet,
    window: &Window,
    database: Option<&GeoDatabase>,
) -> Verdict {
    judge(raw, region, rules, window, database).verdict
}

/// The same, with what else is found out on the way.
pub(crate) fn judge(
    raw: &RawEvent<'_>,
    region: &Region,
    rules: &RuleSet,
    window: &Window,
    database: Option<&GeoDatabase>,
) -> Judged {
    let mut check = Check { rules, database, violations: Vec::new(), originals: BTreeMap::new() };
    let mut trace_context = TraceContext::Absent;
    let mut content = None;
    let verdict = match document::read(raw.detail) {
        Ok((document, defects)) => {
            trace_context = TraceContext::of(&document);
            let mut text = String::with_capacity(raw.detail.get().len());
            document.write_without(TRACEPARENT, &mut text);
            content = Some(text);
            defects.into_iter().for_each(|defect| check.defect(defect));
            check.event(document, raw, window)
        }
        Err(defect) => {
            check.defect(defect);
            Err([None, None])
        }
    };
    let traceparent = trace_context.readable();
    let verdict = match verdict {
        Ok(valid) => Verdict::Transformed(Box::new(TransformedEvent {
            event_id: valid.event_id,
            event_type: valid.event_type,
            source_region: valid.source_region,
            timestamp: valid.timestamp,
            received_at: raw.received_at,
            transformed_in: region.clone(),
            raw_event_id: raw.bus_event_id.clone(),
            traceparent,
            rules: rules.id().clone(),
            originals: check.originals,
            geo: valid.geo,
            event: valid.event,
        })),
        Err(as_written) => {
            Verdict::Refused(Box::new(refusal(raw, region, rules, as_written, traceparent, check.violations)))
        }
    };
    Judged { verdict, content, ignored_trace_context: matches!(trace_context, TraceContext::Unreadable) }
}

/// The refusal of an event whose id came before with another content.
pub fn reused(raw: &RawEvent<'_>, region: &Region, rules: &RuleSet) -> ValidationFailed {
    let (as_written, traceparent) = match document::read(raw.detail) {
        Ok((event, _)) => (as_written(&event), TraceContext::of(&event).readable()),
        Err(_) => ([None, None], None),
    };
    let violation = Violation {
        pointer: Pointer::member(EVENT_ID).to_string(),
        code: ViolationCode::EventIdReused,
        message: "expected an id that no event with another content has".to_owned(),
        rule_version: rules.id().version,
    };
    refusal(raw, region, rules, as_written, traceparent, vec![violation])
}

/// Tells that an event is refused. `as_written` are its id and type, if there are texts that aren't too long for them.
fn refusal(
    raw: &RawEvent<'_>,
    region: &Region,
    rules: &RuleSet,
    as_written: [Option<String>; 2],
    traceparent: Option<TraceParent>,
    errors: Vec<Violation>,
) -> ValidationFailed {
    let [event_id, event_type] = as_written;
    ValidationFailed {
        event_id,
        event_type,
        received_at: raw.received_at,
        refused_in: region.clone(),
        raw_event_id: raw.bus_event_id.clone(),
        traceparent,
        rules: rules.id().clone(),
        errors,
        original: raw.detail.get().to_owned(),
    }
}

/// An event that keeps all rules.
struct Valid {
    event_id: EventId,
    event_type: String,
    source_region: Region,
    timestamp: Timestamp,
    geo: Option<Geo>,
    event: JsonText,
}

/// Collects what is wrong and what was changed.
struct Check<'r> {
    rules: &'r RuleSet,
    database: Option<&'r GeoDatabase>,
    violations: Vec<Violation>,
    originals: BTreeMap<String, JsonText>,
}

impl Check<'_> {
    /// Checks a whole event and normalises it. An event that breaks rules gives its id and type as they were written.
    fn event(
        &mut self,
        mut event: Value<'_>,
        raw: &RawEvent<'_>,
        window: &Window,
    ) -> Result<Valid, [Option<String>; 2]> {
        if !matches!(event, Value::Object(_)) {
            self.report(String::new(), Mistake::new(ViolationCode::NotAnObject, "expected a JSON object"));
            return Err([None, None]);
        }
        let as_written = as_written(&event);
        let versions = self.rules.event_id_versions();
        let event_id = self.member(&mut event, EVENT_ID, |text| event_id(text, versions));
        let event_type = self.member(&mut event, EVENT_TYPE, |text| event_type(text).map(|name| (name.clone(), name)));
        let source_region = self.member(&mut event, "source_region", region);
        let timestamp = self.member(&mut event, "timestamp", |text| {
            let instant = kinds::instant(text)?;
            within(instant, raw.received_at, window).map(|()| (instant, instant.to_string()))
        });
        // Before the rules, so that none of them meets more of an address than is kept.
        let geo = self.locate(&mut event);
        for rule in self.rules.of(event_type.as_deref()) {
            self.rule(&mut event, &rule.pointer, rule.required, &rule.kind);
        }
        match (event_id, event_type, source_region, timestamp) {
            (Some(event_id), Some(event_type), Some(source_region), Some(timestamp)) if self.violations.is_empty() => {
                let mut text = String::with_capacity(raw.detail.get().len());
                event.write(&mut text);
                let event = JsonText::parse(text).expect("invariant: a document writes JSON");
                Ok(Valid { event_id, event_type, source_region, timestamp, geo, event })
            }
            _ => Err(as_written),
        }
    }

    /// Checks one of the members that every event needs. `read` gives its value and its normal form.
    fn member<T>(
        &mut self,
        event: &mut Value<'_>,
        name: &str,
        read: impl FnOnce(&str) -> Result<(T, String), Mistake>,
    ) -> Option<T> {
        let pointer = Pointer::member(name);
        let text: Result<Cow<'_, str>, Mistake> = match event.find(&pointer) {
            None | Some(Value::Null) => Err(Mistake::new(ViolationCode::Missing, format!("`{name}` is required"))),
            Some(value @ Value::Text(_)) => Ok(value.as_text().unwrap_or_default()),
            Some(_) => Err(wrong_type("a text")),
        };
        let read = text.and_then(|text| read(&text).map(|(value, normal)| (value, (normal != text).then_some(normal))));
        match read {
            Ok((value, changed)) => {
                self.change(event, &pointer, changed);
                Some(value)
            }
            Err(mistake) => {
                self.report(pointer.to_string(), mistake);
                None
            }
        }
    }

    /// Finds out where the event's address lies, and leaves of the address what is kept.
    fn locate(&mut self, event: &mut Value<'_>) -> Option<Geo> {
        let rule = self.rules.geo()?;
        let located = geo::locate(event, rule, self.database);
        let before = event.find(&rule.address).and_then(Value::as_text);
        let changed = located.kept.map(|kept| kept.to_string()).filter(|kept| before.as_deref() != Some(kept));
        match rule.precision {
            Precision::Whole => self.change(event, &rule.address, changed),
            // What is cut off must not stay among the originals.
            Precision::Network => {
                changed.and_then(|kept| event.replace(&rule.address, &kept));
            }
        }
        Some(located.geo)
    }

    fn rule(&mut self, event: &mut Value<'_>, pointer: &Pointer, required: bool, kind: &Kind) {
        match event.find(pointer) {
            None | Some(Value::Null) => {
                if required {
                    self.report(pointer.to_string(), Mistake::new(ViolationCode::Missing, "a value is required"));
                }
            }
            Some(value) => match kind.normalise(value) {
                Ok(changed) => self.change(event, pointer, changed),
                Err(mistakes) => mistakes.into_iter().for_each(|mistake| self.report(pointer.to_string(), mistake)),
            },
        }
    }

    /// Puts a normal form in the place of what was there, which is kept.
    fn change(&mut self, event: &mut Value<'_>, pointer: &Pointer, changed: Option<String>) {
        let Some(normal) = changed else { return };
        if let Some(before) = event.replace(pointer, &normal) {
            let mut original = String::new();
            before.write(&mut original);
            let original = JsonText::parse(original).expect("invariant: a document writes JSON");
            self.originals.insert(pointer.to_string(), original);
        }
    }

    fn defect(&mut self, defect: document::Defect) {
        let message = match defect.code {
            ViolationCode::TooDeep => {
                format!("expected arrays and objects at most {} deep in each other", document::MAX_DEPTH)
            }
            ViolationCode::DuplicateMember => "expected each member once in an object".to_owned(),
            _ => "expected characters, without halves of surrogate pairs".to_owned(),
        };
        self.report(defect.pointer, Mistake { code: defect.code, message });
    }

    fn report(&mut self, pointer: String, Mistake { code, message }: Mistake) {
        self.violations.push(Violation { pointer, code, message, rule_version: self.rules.id().version });
    }
}

/// The trace context that an event's sender wrote into it. One that can't be read is as good as none; no rule speaks of it.
#[derive(Clone, Copy)]
enum TraceContext {
    Absent,
    Unreadable,
    Readable(TraceParent),
}

impl TraceContext {
    fn of(event: &Value<'_>) -> Self {
        let Some(member) = event.member(TRACEPARENT) else { return Self::Absent };
        member.as_text().and_then(|text| text.parse().ok()).map_or(Self::Unreadable, Self::Readable)
    }

    fn readable(self) -> Option<TraceParent> {
        match self {
            Self::Readable(traceparent) => Some(traceparent),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// An event's id and type as they were written.
fn as_written(event: &Value<'_>) -> [Option<String>; 2] {
    [EVENT_ID, EVENT_TYPE].map(|name| {
        let text = event.find(&Pointer::member(name)).and_then(Value::as_text);
        text.filter(|text| text.len() <= LONGEST_REPEATED).map(Cow::into_owned)
    })
}

fn event_id(text: &str, versions: &[u8]) -> Result<(EventId, String), Mistake> {
    let accepted = kinds::version(text).is_some_and(|version| versions.contains(&version));
    let id = text.parse::<EventId>().ok().filter(|_| accepted);
    id.map(|id| (id, id.to_string())).ok_or_else(|| {
        let versions: Vec<String> = versions.iter().map(u8::to_string).collect();
        let message = format!("expected a hyphenated UUID of version {} (RFC 9562)", versions.join(" or "));
        Mistake::new(ViolationCode::NotUuid, message)
    })
}

fn event_type(text: &str) -> Result<String, Mistake> {
    let message = "expected a letter, then letters, digits, `.`, `-` or `_`; at most 128 characters";
    is_event_type(text).then(|| text.to_owned()).ok_or_else(|| Mistake::new(ViolationCode::NotEventType, message))
}

fn region(text: &str) -> Result<(Region, String), Mistake> {
    let message = "expected an AWS region name such as `us-west-2`";
    let region = Region::new(text).map_err(|_| Mistake::new(ViolationCode::NotRegion, message))?;
    Ok((region, text.to_owned()))
}

fn within(timestamp: Timestamp, received_at: Timestamp, window: &Window) -> Result<(), Mistake> {
    let age = received_at.duration_since(timestamp);
    let signed = |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    if age > signed(window.oldest) {
        let message = format!("expected a time at most {} s before the event came in", window.oldest.as_secs());
        return Err(Mistake::new(ViolationCode::TooOld, message));
    }
    if -age > signed(window.furthest_ahead) {
        let message = format!("expected a time at most {} s after the event came in", window.furthest_ahead.as_secs());
        return Err(Mistake::new(ViolationCode::TooFarAhead, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
