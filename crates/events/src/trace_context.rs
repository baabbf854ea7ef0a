//! W3C Trace Context: which trace of its sender a change or an event belongs to
//! (<https://www.w3.org/TR/trace-context/>, Recommendation of 2021-11-23, read 2026-11).
//!
//! The programs record no spans, so they pass `traceparent` on as it came in and never put a parent of their own into it.
//! What came in without one gets none: 66 bytes in every row and event would say nothing that `event_id` doesn't say. Log
//! lines and dead letters name a `trace_id` in either case; without a `traceparent` it is the event's id, see
//! [`Correlation::trace_id`].
//!
//! - A malformed `traceparent` is as good as none, and never a reason to refuse what it came with.
//! - `tracestate` isn't carried: it holds up to 512 characters that vendors fill as they like, in each row and each event. Who
//!   passes a `traceparent` on may leave it out (section 3.3, "tracestate").
//! - X-Ray's form of the same is an own text, [`XRayHeader`].

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::json::excerpt;
use crate::stream::Record;
use crate::text::serde_as_text;
use crate::{AttributeValue, EventId, row};

/// The Kafka header, the attribute of rows and the member of events that hold a [`TraceParent`].
pub const TRACEPARENT: &str = "traceparent";

/// Characters of version 00.
const LEN: usize = 55;
/// A longer text of a later version isn't looked at: nobody has said yet how long one may be.
const MAX_LEN: usize = 256;
/// The flag that says that its sender may have recorded the trace.
const SAMPLED: u8 = 1;

/// A `traceparent`: trace, parent and flags.
///
/// It is written in version 00, the highest that is known here. One of version 00 comes out as it came in, flags that aren't
/// known included. Of a later version trace, parent and the sampled flag are kept (section 2.2.2, "version").
///
/// Invariant: neither trace nor parent is all zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: TraceId,
    parent_id: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// The trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Whether its sender may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// X-Ray's form.
    pub fn to_xray(self) -> XRayHeader {
        XRayHeader(self)
    }

    /// Reads X-Ray's form, as SQS keeps it in `AWSTraceHeader` (X-Ray developer guide, "Tracing header", read 2026-11).
    /// Members other than root, parent and sampling decision are ignored.
    ///
    /// # Errors
    /// When root or parent are missing or malformed. One without a parent can't be a `traceparent`.
    pub fn from_xray(text: &str) -> Result<Self, InvalidTraceParent> {
        read_xray(text).ok_or_else(|| InvalidTraceParent(excerpt(text).into_owned()))
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        read(text.as_bytes()).ok_or_else(|| InvalidTraceParent(excerpt(text).into_owned()))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, Hex(&self.parent_id), self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a trace: 32 lower-case hexadecimal digits.
///
/// Invariant: not all zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl From<EventId> for TraceId {
    /// The digits of the event's id: the same for every delivery, in every program and in both regions.
    fn from(id: EventId) -> Self {
        Self(id.into_bytes())
    }
}

impl FromStr for TraceId {
    type Err = InvalidTraceId;

    fn from_str(text: &str) -> Result<Self, InvalidTraceId> {
        let id = hex(text.as_bytes()).and_then(Self::new);
        id.ok_or_else(|| InvalidTraceId(excerpt(text).into_owned()))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(TraceParent, TraceId);

/// A [`TraceParent`] as X-Ray writes it, for `TraceHeader` of EventBridge and `AWSTraceHeader` of SQS.
///
/// X-Ray takes traces whose first digits are no time since October 2023.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XRayHeader(TraceParent);

impl XRayHeader {
    /// Characters of every such header.
    pub const LEN: usize = "Root=1--;Parent=;Sampled=0".len() + 32 + 16;
}

impl fmt::Display for XRayHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceParent { trace_id: TraceId(trace_id), parent_id, .. } = &self.0;
        let (time, random) = trace_id.split_at(4);
        let sampled = u8::from(self.0.is_sampled());
        write!(f, "Root=1-{}-{};Parent={};Sampled={sampled}", Hex(time), Hex(random), Hex(parent_id))
    }
}

impl Serialize for XRayHeader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// By what a record is found again in the logs of all programs and among the dead letters, as far as it could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correlation {
    /// The id of the change or of the sender's event.
    pub event_id: Option<EventId>,
    /// The trace context, if the record came with one.
    pub traceparent: Option<TraceParent>,
}

impl Correlation {
    /// Of a stream's record, also of one whose image is no whole row.
    pub fn of_record(record: &Record) -> Self {
        let Some(image) = record.change.new_image.as_ref().or(record.change.old_image.as_ref()) else {
            return Self::default();
        };
        let text = |name| image.get(name).and_then(AttributeValue::as_text);
        Self {
            event_id: text(row::names::EVENT_ID).and_then(|text| text.parse().ok()),
            traceparent: text(row::names::TRACEPARENT).and_then(|text| text.parse().ok()),
        }
    }

    /// The trace that the record came with. Without one, a trace of its own, which nobody recorded: the digits of its id.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.traceparent.map(|traceparent| traceparent.trace_id).or_else(|| self.event_id.map(TraceId::from))
    }
}

/// A text that is no trace context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no trace context; expected `00-<32 digits>-<16 digits>-<2 digits>` in lower-case hexadecimal, or X-Ray's form"
)]
pub struct InvalidTraceParent(String);

/// A text that is no id of a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id of a trace; expected 32 lower-case hexadecimal digits, not all of them 0")]
pub struct InvalidTraceId(String);

fn read(text: &[u8]) -> Option<TraceParent> {
    let (known, later) = text.split_at_checked(LEN)?;
    let [version] = hex(&known[..2])?;
    let ends_well = match version {
        0 => later.is_empty(),
        // The one version that there will never be.
        0xff => false,
        _ => later.first().is_none_or(|next| *next == b'-') && text.len() <= MAX_LEN,
    };
    if !ends_well || [2, 35, 52].iter().any(|place| known[*place] != b'-') {
        return None;
    }
    let [flags] = hex(&known[53..])?;
    let flags = if version == 0 { flags } else { flags & SAMPLED };
    whole(hex(&known[3..35])?, hex(&known[36..52])?, flags)
}

fn read_xray(text: &str) -> Option<TraceParent> {
    if text.len() > MAX_LEN {
        return None;
    }
    let member = |name: &str| {
        let mut members = text.split(';').filter_map(|member| member.split_once('='));
        members.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
    };
    let (time, random) = member("Root")?.strip_prefix("1-")?.split_once('-')?;
    let mut trace_id = [0; 16];
    trace_id[..4].copy_from_slice(&hex::<4>(time.as_bytes())?);
    trace_id[4..].copy_from_slice(&hex::<12>(random.as_bytes())?);
    // Without a decision, or with one that is left to others (`?`), nobody has said that the trace is recorded.
    let flags = if member("Sampled") == Some("1") { SAMPLED } else { 0 };
    whole(trace_id, hex(member("Parent")?.as_bytes())?, flags)
}

fn whole(trace_id: [u8; 16], parent_id: [u8; 8], flags: u8) -> Option<TraceParent> {
    let trace_id = TraceId::new(trace_id)?;
    (parent_id != [0; 8]).then_some(TraceParent { trace_id, parent_id, flags })
}

/// Exactly so many bytes in lower-case hexadecimal.
fn hex<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * BYTES {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(bytes)
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the specification.
    pub(crate) const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    pub(crate) fn example() -> TraceParent {
        EXAMPLE.parse().expect("the specification's example")
    }

    fn check(text: &str, expected: Option<&str>) {
        let read = text.parse::<TraceParent>().ok().map(|context| context.to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }

    #[test]
    fn version_00_is_read_exactly() {
        check(EXAMPLE, Some(EXAMPLE));
        assert!(example().is_sampled());
        assert_eq!(example().trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        // Flags that aren't known are passed on.
        let flagged = EXAMPLE.replace("-01", "-fe");
        check(&flagged, Some(&flagged));
        assert!(!flagged.parse::<TraceParent>().expect("a context").is_sampled());
        for bad in [
            "",
            "00",
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-"),
            &format!("{EXAMPLE}-00"),
            &format!(" {EXAMPLE}"),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &EXAMPLE.replace("4bf9", "4bg9"),
            &EXAMPLE.replace("4bf9", "4bé"),
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn later_versions_are_read_by_what_is_known() {
        let later = EXAMPLE.replacen("00", "cc", 1);
        check(&later, Some(EXAMPLE));
        check(&format!("{later}-what-the-future-brings"), Some(EXAMPLE));
        check(&later.replace("-01", "-ff"), Some(EXAMPLE));
        check(&format!("{later}.what"), None);
        check(&format!("{later}-{}", "x".repeat(MAX_LEN)), None);
        check(&EXAMPLE.replacen("00", "ff", 1), None);
        check(&EXAMPLE.replacen("00", "0x", 1), None);
    }

    #[test]
    fn xrays_form_is_written_and_read() {
        let header = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
        assert_eq!(example().to_xray().to_string(), header);
        assert_eq!(XRayHeader::LEN, header.len());
        let check = |text: &str, expected: Option<&str>| {
            let read = TraceParent::from_xray(text).ok().map(|context| context.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check(header, Some(EXAMPLE));
        let unsampled = EXAMPLE.replace("-01", "-00");
        check(&header.replace("=1", "=0").replace("Root=0", "Root=1"), Some(&unsampled));
        check(&header.replace("Sampled=1", "Sampled=?"), Some(&unsampled));
        check(&header.replace(";Sampled=1", ""), Some(&unsampled));
        check(&format!("Self=1-0-0; {header};Lineage=1:a87bd80c:0"), Some(EXAMPLE));
        for bad in ["", "Root=1", "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1", "Parent=00f067aa0ba902b7"] {
            check(bad, None);
        }
        check(&header.replace("Root=1", "Root=2"), None);
        check(&header.replace("4bf92f35", "4bf92f3"), None);
        check(&header.replace("00f067aa0ba902b7", "0000000000000000"), None);
        check(&format!("{header};x={}", "x".repeat(MAX_LEN)), None);
    }

    #[test]
    fn a_record_without_a_context_has_the_trace_of_its_id() {
        let event_id: EventId = "ff07b5ad-56c8-57e9-b469-f019380fb126".parse().expect("an id");
        let trace_id = |event_id, traceparent| {
            Correlation { event_id, traceparent }.trace_id().map(|trace_id| trace_id.to_string())
        };
        assert_eq!(trace_id(Some(event_id), None).as_deref(), Some("ff07b5ad56c857e9b469f019380fb126"));
        let came_in = Some("4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace_id(Some(event_id), Some(example())).as_deref(), came_in);
        assert_eq!(trace_id(None, Some(example())).as_deref(), came_in);
        assert_eq!(trace_id(None, None), None);
    }

    #[test]
    fn ids_of_traces_are_read_exactly() {
        let id = example().trace_id();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "4bf9", &"0".repeat(32), &id.to_string().to_uppercase()] {
            assert!(bad.parse::<TraceId>().is_err(), "{bad}");
        }
    }

    pub(crate) fn trace_parents() -> impl Strategy<Value = TraceParent> {
        let contexts = (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>());
        contexts.prop_filter_map("all zeros", |(trace_id, parent_id, flags)| whole(trace_id, parent_id, flags))
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(context in trace_parents()) {
            let text = context.to_string();
            prop_assert_eq!(text.len(), LEN);
            prop_assert_eq!(text.parse(), Ok(context));
            let xray = context.to_xray().to_string();
            prop_assert_eq!(xray.len(), XRayHeader::LEN);
            let read = TraceParent::from_xray(&xray).expect("X-Ray's form");
            prop_assert_eq!(read, TraceParent { flags: context.flags & SAMPLED, ..context });
        }

        /// Of version 00 nothing is changed, and what isn't passed on unchanged is of a later version.
        #[test]
        fn any_text_is_handled(text in ".{0,80}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?") {
            if let Ok(context) = text.parse::<TraceParent>() {
                let printed = context.to_string();
                prop_assert!(printed == text || !text.starts_with("00"));
                prop_assert_eq!(&printed[2..53], &text[2..53]);
            }
            let _ = TraceParent::from_xray(&text);
        }

        #[test]
        fn any_xray_text_is_handled(text in "(Root|Parent|Sampled|Self|;|=|1-|[0-9a-f-]{1,33}|é){0,12}") {
            let _ = TraceParent::from_xray(&text);
        }
    }
}
