//! Records of a DynamoDB stream, as Lambda hands them over.
//!
//! Own types rather than those of a Lambda crate, for one reason: attribute values keep their numbers as text.
//! (DynamoDB API reference, "Record" and "StreamRecord", read 2026-11.)

use serde::{Deserialize, Serialize};

use crate::{Entity, Item};

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// DynamoDB's id of the record.
    #[serde(rename = "eventID", default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// What happened to the item.
    #[serde(rename = "eventName")]
    pub event_name: EventName,
    /// The region of the stream.
    #[serde(rename = "awsRegion", default, skip_serializing_if = "Option::is_none")]
    pub aws_region: Option<String>,
    /// The stream, which names its table.
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: String,
    /// Set when DynamoDB itself made the change, as for items whose time to live ended.
    #[serde(rename = "userIdentity", default, skip_serializing_if = "Option::is_none")]
    pub user_identity: Option<UserIdentity>,
    /// The images.
    #[serde(rename = "dynamodb")]
    pub change: Change,
}

impl Record {
    /// The record's place in its shard.
    pub fn sequence_number(&self) -> &str {
        &self.change.sequence_number
    }

    /// The entity whose table the stream belongs to.
    pub fn entity(&self) -> Option<Entity> {
        Entity::from_stream_arn(&self.event_source_arn)
    }
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventName {
    /// It is new.
    #[serde(rename = "INSERT")]
    Insert,
    /// It changed.
    #[serde(rename = "MODIFY")]
    Modify,
    /// It is gone.
    #[serde(rename = "REMOVE")]
    Remove,
}

/// Who made a change on its own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIdentity {
    /// `Service` when DynamoDB did.
    #[serde(rename = "type", alias = "Type", default)]
    pub kind: Option<String>,
    /// `dynamodb.amazonaws.com` when the time to live ended.
    #[serde(rename = "principalId", alias = "PrincipalId", default)]
    pub principal_id: Option<String>,
}

/// The images of an item before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The item's key.
    #[serde(rename = "Keys", default)]
    pub keys: Item,
    /// The item after the change; absent for `REMOVE`.
    #[serde(rename = "NewImage", default, skip_serializing_if = "Option::is_none")]
    pub new_image: Option<Item>,
    /// The item before the change; absent for `INSERT`.
    #[serde(rename = "OldImage", default, skip_serializing_if = "Option::is_none")]
    pub old_image: Option<Item>,
    /// The record's place in its shard.
    #[serde(rename = "SequenceNumber")]
    pub sequence_number: String,
}

/// The sequence number of a record whose other parts may be malformed, so that even such a record can be reported.
pub fn sequence_number_of(record: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Outer {
        dynamodb: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "SequenceNumber")]
        sequence_number: String,
    }
    serde_json::from_str::<Outer>(record).ok().map(|outer| outer.dynamodb.sequence_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttributeValue;

    const RECORD: &str = r#"{
        "eventID": "1", "eventVersion": "1.1", "eventSource": "aws:dynamodb", "eventName": "REMOVE", "awsRegion": "us-west-2",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        "dynamodb": {"ApproximateCreationDateTime": 1479499740.5, "Keys": {"pk": {"S": "a"}}, "OldImage": {"n": {"N": "9007199254740993"}},
                     "SequenceNumber": "13021600000000001596893679", "SizeBytes": 112, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "eventSourceARN": "arn:aws:dynamodb:us-west-2:000000000000:table/tandem-sandbox-orders/stream/2016-11-16T20:42:48.104"}"#;

    #[test]
    fn records_are_read_as_lambda_sends_them() {
        let record: Record = serde_json::from_str(RECORD).expect("a record");
        assert_eq!(record.event_name, EventName::Remove);
        assert_eq!(record.entity(), Some(Entity::Orders));
        assert_eq!(record.sequence_number(), "13021600000000001596893679");
        assert_eq!(record.change.new_image, None);
        let old = record.change.old_image.clone().expect("an image");
        assert_eq!(old["n"], AttributeValue::N("9007199254740993".to_owned()));
        let json = serde_json::to_string(&record).expect("serialises");
        assert_eq!(serde_json::from_str::<Record>(&json).expect("a record"), record);
    }

    #[test]
    fn malformed_records_still_have_a_place() {
        let malformed = RECORD.replace("REMOVE", "RENAME");
        assert!(serde_json::from_str::<Record>(&malformed).is_err());
        assert_eq!(sequence_number_of(&malformed).as_deref(), Some("13021600000000001596893679"));
        assert_eq!(sequence_number_of("{}"), None);
    }
}
