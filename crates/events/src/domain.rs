//! Domain events: what other systems learn about a change.
//!
//! A domain event is made from a table's stream and from nothing else, so that an event exists exactly when a row was written.
//! Its id comes with the row, so that a stream record that is delivered again gives the same event.

use std::fmt;
use std::str::FromStr;

use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::entity::UnknownName;
use crate::json::{excerpt, to_json};
use crate::row::{self, RowError, names};
use crate::stream::{EventName, Record};
use crate::text::serde_as_text;
use crate::{
    AttributeValue, Correlation, Entity, EntityKey, EventId, JsonText, Row, RowState, Trace, TraceParent, Version,
};

/// `Source` of domain events on a bus.
pub const SOURCE: &str = "tandem.cdc";

/// What happened to an entity, as other systems learn it; the `detail` of an event on a bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainEvent {
    /// The id of the change, equal for every delivery and in every region.
    pub event_id: EventId,
    /// Entity and action; `DetailType` on the bus.
    pub event_type: EventType,
    /// The kind of thing.
    pub entity: Entity,
    /// The key of the thing.
    pub key: EntityKey,
    /// The version of the row.
    pub version: Version,
    /// The region whose bus first carried the event.
    #[serde(with = "crate::text")]
    pub source_region: Region,
    /// The region that wrote the row.
    #[serde(with = "crate::text")]
    pub origin_region: Region,
    /// How many regions the event has crossed into; 0 on the own bus.
    pub hop: u32,
    /// When the source committed the change.
    #[serde(with = "crate::text")]
    pub timestamp: Timestamp,
    /// The columns; null for a deletion.
    pub data: Option<JsonText>,
    /// Where the change came from.
    pub trace: Trace,
    /// The trace context that the change came with; left out when it came with none.
    #[serde(default, with = "crate::text::lenient", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
}

/// What a stream record means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// A domain event.
    Event(Box<DomainEvent>),
    /// Nothing to tell.
    Skipped(Skip),
}

/// Why a stream record is no domain event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// DynamoDB removed an expired tombstone. Deletions were told when the tombstone was written.
    Removed,
    /// The row's version didn't change.
    Unchanged,
    /// Another region wrote the row and tells of it itself. This is the fence against loops.
    ForeignOrigin(Region),
}

impl Skip {
    /// A short, fixed name for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Unchanged => "unchanged",
            Self::ForeignOrigin(_) => "foreign_origin",
        }
    }
}

impl DomainEvent {
    /// Says what a stream record means in `own_region`.
    ///
    /// Both readers of the streams use this one function, so they agree about the fence against loops.
    ///
    /// # Errors
    /// When the record isn't about a row that the consumer wrote. Trying again gives the same answer.
    pub fn from_record(record: &Record, own_region: &Region) -> Result<Mapped, RecordError> {
        if record.event_name == EventName::Remove {
            return Ok(Mapped::Skipped(Skip::Removed));
        }
        let entity = record
            .entity()
            .ok_or_else(|| RecordError::UnknownTable { arn: excerpt(&record.event_source_arn).into_owned() })?;
        let image = record.change.new_image.as_ref().ok_or(RecordError::NoNewImage)?;
        let row = Row::from_item(entity, image)?;
        if row.head.origin_region != *own_region {
            return Ok(Mapped::Skipped(Skip::ForeignOrigin(row.head.origin_region)));
        }
        let old = record.change.old_image.as_ref();
        let old_version = old.and_then(|old| old.get(names::VER)).and_then(AttributeValue::as_text);
        if old_version == Some(row.head.version.as_str()) {
            return Ok(Mapped::Skipped(Skip::Unchanged));
        }
        let (action, data) = match &row.state {
            RowState::Tombstone { .. } => (Action::Deleted, None),
            RowState::Live(columns) if old.is_none_or(row::is_tombstone) => {
                (Action::Created, Some(JsonText::of_columns(columns)))
            }
            RowState::Live(columns) => (Action::Updated, Some(JsonText::of_columns(columns))),
        };
        let head = row.head;
        Ok(Mapped::Event(Box::new(Self {
            event_id: head.event_id,
            event_type: EventType { entity, action },
            entity,
            key: head.key,
            version: head.version,
            source_region: own_region.clone(),
            origin_region: head.origin_region,
            hop: 0,
            timestamp: head.committed_at,
            data,
            trace: head.trace,
            traceparent: head.traceparent,
        })))
    }

    /// By what the event is found in logs.
    pub fn correlation(&self) -> Correlation {
        Correlation { event_id: Some(self.event_id), traceparent: self.traceparent }
    }

    /// The event as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

/// Entity and action, written `customer.created`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType {
    /// The kind of thing.
    pub entity: Entity,
    /// What happened to it.
    pub action: Action,
}

/// What happened to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It exists now, and didn't before.
    Created,
    /// It changed.
    Updated,
    /// It is gone.
    Deleted,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 3] = [Self::Created, Self::Updated, Self::Deleted];

    /// The name: the last part of an event type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entity.singular(), self.action.as_str())
    }
}

impl FromStr for EventType {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let find = || {
            let (entity, action) = text.split_once('.')?;
            let entity = Entity::ALL.into_iter().find(|known| known.singular() == entity)?;
            let action = Action::ALL.into_iter().find(|known| known.as_str() == action)?;
            Some(Self { entity, action })
        };
        find().ok_or_else(|| UnknownName::new("event type", &excerpt(text), "one such as `customer.created`"))
    }
}

serde_as_text!(EventType);

/// Why a stream record can't become a domain event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The stream belongs to no table of this system.
    #[error("the stream `{arn}` belongs to no table whose name ends in `-customers`, `-orders` or `-products`")]
    UnknownTable {
        /// The stream.
        arn: String,
    },
    /// The record has no new image.
    #[error("the record has no new image; the table's stream must be of type NEW_AND_OLD_IMAGES")]
    NoNewImage,
    /// The new image is no row.
    #[error("the record's new image is no row")]
    Row(#[from] RowError),
}

impl RecordError {
    /// A stable name of the kind of error, for dead letters and alarms.
    pub fn class(&self) -> &'static str {
        match self {
            Self::UnknownTable { .. } => "unknown_table",
            Self::NoNewImage => "no_new_image",
            Self::Row(_) => "malformed_row",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::row::tests::write;
    use crate::stream::Change;
    use crate::{Columns, Item, RowChange, trace_context};

    fn region(name: &str) -> Region {
        Region::new(name).expect("valid")
    }

    fn record(event_name: EventName, old: Option<Item>, new: Option<Item>) -> Record {
        Record {
            event_id: None,
            event_name,
            aws_region: Some("us-west-2".to_owned()),
            event_source_arn: "arn:aws:dynamodb:us-west-2:000000000000:table/tandem-sandbox-customers/stream/x"
                .to_owned(),
            user_identity: None,
            change: Change { keys: Item::new(), new_image: new, old_image: old, sequence_number: "1".to_owned() },
        }
    }

    fn live(counter: u64) -> Item {
        let columns = Columns::from([("credit".to_owned(), AttributeValue::N("9007199254740993.01".to_owned()))]);
        write("42", counter, RowChange::Put(columns)).item()
    }

    fn dead(counter: u64) -> Item {
        write("42", counter, RowChange::Tombstone { expires_at: 2_000_000_000 }).item()
    }

    pub(crate) fn event() -> DomainEvent {
        match DomainEvent::from_record(&record(EventName::Insert, None, Some(live(1))), &region("us-west-2")) {
            Ok(Mapped::Event(event)) => *event,
            other => panic!("{other:?}"),
        }
    }

    fn check(event_name: EventName, old: Option<Item>, new: Option<Item>, expected: &str) {
        let outcome = match DomainEvent::from_record(&record(event_name, old, new), &region("us-west-2")) {
            Ok(Mapped::Event(event)) => {
                assert_eq!(event.data.is_none(), event.event_type.action == Action::Deleted);
                event.event_type.to_string()
            }
            Ok(Mapped::Skipped(skip)) => skip.as_str().to_owned(),
            Err(error) => error.class().to_owned(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn what_records_mean() {
        use EventName::{Insert, Modify, Remove};
        check(Insert, None, Some(live(1)), "customer.created");
        check(Modify, Some(live(1)), Some(live(2)), "customer.updated");
        check(Modify, Some(live(2)), Some(dead(3)), "customer.deleted");
        check(Modify, Some(dead(3)), Some(live(4)), "customer.created");
        check(Insert, None, Some(dead(1)), "customer.deleted");
        check(Modify, Some(live(2)), Some(live(2)), "unchanged");
        check(Remove, Some(dead(3)), None, "removed");
        check(Insert, None, None, "no_new_image");
        check(Insert, None, Some(Item::new()), "malformed_row");
    }

    #[test]
    fn rows_of_another_region_are_not_told_again() {
        let mapped = DomainEvent::from_record(&record(EventName::Insert, None, Some(live(1))), &region("us-east-1"));
        assert_eq!(mapped, Ok(Mapped::Skipped(Skip::ForeignOrigin(region("us-west-2")))));
    }

    #[test]
    fn other_tables_are_refused() {
        let mut record = record(EventName::Insert, None, Some(live(1)));
        record.event_source_arn = "arn:aws:dynamodb:us-west-2:0:table/tandem-sandbox-authority/stream/x".to_owned();
        let error = DomainEvent::from_record(&record, &region("us-west-2")).expect_err("unknown");
        assert_eq!(error.class(), "unknown_table");
    }

    #[test]
    fn json_is_the_documented_form() {
        let event = event();
        let json = event.to_json();
        insta::assert_snapshot!(json);
        assert_eq!(serde_json::from_str::<DomainEvent>(&json).expect("an event"), event);
    }

    #[test]
    fn a_trace_context_goes_from_the_row_into_the_event() {
        let mut image = live(1);
        image.insert(names::TRACEPARENT.to_owned(), AttributeValue::text(trace_context::tests::EXAMPLE));
        let record = record(EventName::Insert, None, Some(image));
        let Ok(Mapped::Event(with)) = DomainEvent::from_record(&record, &region("us-west-2")) else {
            panic!("an event");
        };
        assert_eq!(with.correlation(), Correlation::of_record(&record));
        let traceparent = Some(trace_context::tests::example());
        assert_eq!(*with, DomainEvent { traceparent, ..event() });
        let json = with.to_json();
        assert_eq!(json.matches(trace_context::tests::EXAMPLE).count(), 1);
        assert_eq!(serde_json::from_str::<DomainEvent>(&json).expect("an event"), *with);
        assert!(!event().to_json().contains(trace_context::TRACEPARENT));
        for malformed in ["\"00-nonsense\"", "null", "{\"a\":[1]}", "7"] {
            let json = json.replace(&format!("\"{}\"", trace_context::tests::EXAMPLE), malformed);
            assert_eq!(serde_json::from_str::<DomainEvent>(&json).expect("an event"), event(), "{malformed}");
        }
    }

    #[test]
    fn records_are_found_also_where_they_are_no_rows() {
        let correlation = |old, new| Correlation::of_record(&record(EventName::Modify, old, new));
        let event_id = Some(event().event_id);
        let found = Correlation { event_id, traceparent: None };
        assert_eq!(correlation(None, Some(live(1))), found);
        assert_eq!(correlation(Some(live(1)), None), found, "what is removed");
        let mut image = live(1);
        image.remove(names::VER);
        assert_eq!(correlation(None, Some(image.clone())), found);
        image.insert(names::EVENT_ID.to_owned(), AttributeValue::text("nonsense"));
        assert_eq!(correlation(None, Some(image)), Correlation::default());
        assert_eq!(correlation(None, None), Correlation::default());
    }

    proptest! {
        /// Whatever an image holds, mapping gives an answer.
        #[test]
        fn mapping_never_panics(
            attribute in "pk|src|ver|ep|origin_region|event_id|op|deleted|expires_at|data|committed_at|trace|traceparent",
            value in crate::attribute::tests::values(),
            remove in any::<bool>(),
        ) {
            let mut image = live(2);
            if remove { image.remove(&attribute); } else { image.insert(attribute, value); }
            let _ = DomainEvent::from_record(&record(EventName::Modify, Some(live(1)), Some(image.clone())), &region("us-west-2"));
            let _ = DomainEvent::from_record(&record(EventName::Modify, Some(image), Some(live(3))), &region("us-west-2"));
        }

        #[test]
        fn records_of_any_text_never_panic(text in ".{0,200}") {
            if let Ok(record) = serde_json::from_str::<Record>(&text) {
                let _ = DomainEvent::from_record(&record, &region("us-west-2"));
            }
        }
    }
}
