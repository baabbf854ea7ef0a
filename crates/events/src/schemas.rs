//! JSON Schemas of what leaves the system: for receivers that aren't written in Rust.
//!
//! They are written by hand, because most types here have a serialisation of their own. What keeps them true is a test: any
//! value of a type is valid and uses no member that its schema lacks, each member of a schema is used by some value, and
//! what a schema accepts can be read again.
//!
//! **Versions.** A schema's `$id` ends with its version. A new member that receivers may ignore stays within it; whatever
//! a receiver could stumble over (a member that goes, a form that widens) is a new file with the next version, beside the old
//! one for as long as the archive keeps such events.

/// The schema of one kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSchema {
    /// The event's name, as in the schema's `$id` between `urn:tandem:schema:` and the version.
    pub name: &'static str,
    /// The version, from 1.
    pub version: u32,
    /// The schema, in JSON Schema 2020-12.
    pub text: &'static str,
}

macro_rules! schema {
    ($name:literal, $version:literal) => {
        EventSchema {
            name: $name,
            version: $version,
            text: include_str!(concat!("../schemas/", $name, ".v", $version, ".json")),
        }
    };
}

/// [`crate::DomainEvent`].
pub const DOMAIN_EVENT: EventSchema = schema!("domain-event", 1);
/// [`crate::cross_region::Envelope`].
pub const CROSS_REGION_EVENT: EventSchema = schema!("cross-region-event", 1);
/// [`crate::raw::TransformedEvent`].
pub const TRANSFORMED: EventSchema = schema!("transformed", 1);
/// [`crate::raw::ValidationFailed`].
pub const VALIDATION_FAILED: EventSchema = schema!("validation-failed", 1);
/// [`crate::dead_letter::DeadLetterEvent`].
pub const DEAD_LETTER: EventSchema = schema!("dead-letter", 1);
/// [`crate::health::HealthCheckEvent`].
pub const HEALTH_CHECK: EventSchema = schema!("health-check", 1);

/// Every schema.
pub const ALL: [EventSchema; 6] =
    [DOMAIN_EVENT, CROSS_REGION_EVENT, TRANSFORMED, VALIDATION_FAILED, DEAD_LETTER, HEALTH_CHECK];
