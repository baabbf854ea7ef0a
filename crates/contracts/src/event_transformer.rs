//! The event transformer: raw events are validated, enriched and normalised.

use std::time::Duration;

use crate::macros::program;
use crate::{Region, Setting};

program! {
    /// Configuration of `event-transformer`.
    EventTransformer("event-transformer"), EventTransformerBinding, EventTransformerSettings {
        ambient {
            /// The region it runs in; Lambda sets it.
            region: Region = "AWS_REGION",
        }
        required {}
        resources {
            /// The region's own bus, which gets `transformed` and `validation_failed` events.
            bus: EventBus as Publish = "EVENT_BUS_NAME",
            /// Gets messages that aren't events at all, with their full body.
            dead_letters: Queue as Send = "DEAD_LETTER_QUEUE_URL",
            /// Which events were published already; of the region's own, so that no two regions hold one lock.
            idempotency: Table as Claim = "IDEMPOTENCY_TABLE_NAME",
        }
        settings {
            /// The longest that publishing one request may take, with its retries.
            publish_timeout: Duration = "PUBLISH_TIMEOUT", Duration::from_secs(10), Duration::from_secs(1)..=Duration::from_secs(60);
            /// What is kept of the function's time for the answer: work stops this long before the deadline.
            deadline_margin: Duration = "DEADLINE_MARGIN", Duration::from_secs(2), Duration::from_millis(100)..=Duration::from_secs(30);
            /// The oldest that an event's timestamp may be when the bus gets the event.
            oldest: Duration = "OLDEST_EVENT", Duration::from_secs(7 * 86_400), Duration::from_secs(60)..=Duration::from_secs(365 * 86_400);
            /// The furthest that an event's timestamp may lie in the future when the bus gets the event, for clocks that disagree.
            furthest_ahead: Duration = "FURTHEST_AHEAD", Duration::from_secs(300), Duration::from_secs(1)..=Duration::from_secs(3600);
            /// How long an event that was published is known, so that it isn't published again. A message that the queue still
            /// keeps can be delivered again, so this covers the queue's retention; a stack that binds it sees to that.
            idempotency_retention: Duration = "IDEMPOTENCY_RETENTION", Duration::from_secs(86_400), Duration::from_secs(60)..=Duration::from_secs(365 * 86_400);
            /// The database that says where IP addresses lie.
            geo_database: GeoDatabaseFile = "GEO_DATABASE", GeoDatabaseFile::None, any_file();
        }
    }
}

fn any_file() -> std::ops::RangeInclusive<GeoDatabaseFile> {
    GeoDatabaseFile::None..=GeoDatabaseFile::At(char::MAX.to_string())
}

/// Where the transformer finds its database of IP addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GeoDatabaseFile {
    /// There is none; the variable is left out or says `none`.
    None,
    /// The absolute path of a file in MaxMind's format, such as `/opt/geo.mmdb` from a layer. Whether it is there is seen when
    /// the function starts; it works without.
    At(String),
}

impl Setting for GeoDatabaseFile {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            path if is_file_path(path) => Ok(Self::At(path.to_owned())),
            _ => Err("neither `none` nor the absolute path of a file such as `/opt/geo.mmdb`".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::At(path) => path.clone(),
        }
    }

    fn is_said_by_absence(&self) -> bool {
        *self == Self::None
    }
}

/// An absolute path without a step back, and not that of a folder by its form.
fn is_file_path(text: &str) -> bool {
    text.starts_with('/') && text[1..].split('/').all(|step| !matches!(step, "" | "." | ".."))
}
