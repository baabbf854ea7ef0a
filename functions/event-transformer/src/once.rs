//! What of an event is to be done once.
//!
//! - **A valid event** is published once for its `event_id` and `source_region`. Whoever sends the same content again under
//!   the same id is heard and nothing more comes of it; another content under that id is refused as `event_id_reused`.
//!   The content is the text that the bus delivered, but for white space between values and the member `traceparent`: a
//!   client that tries again may do so under a new span.
//! - **An invalid event** is refused once for its `event_id` and content. That doesn't use its id up: the event may be
//!   corrected and sent again under the same one.
//! - **What can't be told apart** is never held back: an event without a valid `event_id` is refused each time it comes.
//! - **A replay from the bus's archive** is wanted: what was told is told once more. The archive also holds what was refused
//!   as `event_id_reused`; that is refused again, as long as the first content is remembered.
//!
//! The caller's tenant isn't part of the scope, because an event doesn't say who sent it.

use crate::transform::{EVENT_ID, Judged, Verdict};
use aws::idempotency::{Key, PayloadHash, Work};
use aws::queue::Wanted;
use events::EventId;
use events::raw::{RawEvent, ValidationFailed};

/// How often the verdict on an event is published.
pub(crate) fn wanted(raw: &RawEvent<'_>, judged: &Judged) -> Wanted {
    match work(judged) {
        None => Wanted::EachTime,
        Some(work) if raw.replay.is_some() => Wanted::OnceMore(work),
        Some(work) => Wanted::Once(work),
    }
}

/// What is to be claimed before the verdict on an event is published; none of what can't be told apart.
fn work(judged: &Judged) -> Option<Work> {
    let payload = PayloadHash::of(judged.content.as_ref()?.as_bytes());
    let key = match &judged.verdict {
        Verdict::Transformed(event) => {
            let scope = format!("event-transformer/transformed/{}", event.source_region);
            Key::new(&scope, &event.event_id.to_string())
        }
        Verdict::Refused(refusal) => {
            let id = format!("{}/{}", valid_id(refusal)?, payload.as_str());
            Key::new("event-transformer/refused", &id)
        }
    };
    Some(Work { key, payload })
}

/// The id of a refused event, if nothing is wrong with that.
fn valid_id(refusal: &ValidationFailed) -> Option<EventId> {
    let pointer = format!("/{EVENT_ID}");
    let is_wrong = refusal.errors.iter().any(|violation| violation.pointer == pointer);
    refusal.event_id.as_ref().filter(|_| !is_wrong)?.parse().ok()
}
