//! The stream processor: changes of the tables become domain events on the region's own bus.

use std::time::Duration;

use crate::Region;
use crate::macros::program;

program! {
    /// Configuration of `stream-processor`.
    StreamProcessor("stream-processor"), StreamProcessorBinding, StreamProcessorSettings {
        ambient {
            /// The region it runs in; Lambda sets it.
            region: Region = "AWS_REGION",
        }
        required {}
        resources {
            /// The region's own bus, which gets the domain events.
            bus: EventBus as Publish = "EVENT_BUS_NAME",
            /// Gets records that can't be decoded, with their full body.
            dead_letters: Queue as Send = "DEAD_LETTER_QUEUE_URL",
        }
        settings {
            /// The longest that publishing one request may take, with its retries.
            publish_timeout: Duration = "PUBLISH_TIMEOUT", Duration::from_secs(10), Duration::from_secs(1)..=Duration::from_secs(60);
            /// What is kept of the function's time for the answer: work stops this long before the deadline.
            deadline_margin: Duration = "DEADLINE_MARGIN", Duration::from_secs(2), Duration::from_millis(100)..=Duration::from_secs(30);
        }
    }
}
