//! What AWS's schemas say about a resource type beyond the names and types of its properties.
//!
//! The build script writes it down as constant data, so that asking costs nothing.

use crate::rules::stateful;
use crate::schema::{Accepted, Branch, Demand, Names, Pattern, Schema, Shape};

include!(concat!(env!("OUT_DIR"), "/descriptions.rs"));

/// The regions for which the vendored schemas record which types exist there (`schemas/SOURCE.json`).
pub(crate) const RECORDED_REGIONS: [&str; 3] = ["us-west-2", "us-east-1", "us-east-2"];

/// Static facts about a resource type.
///
/// Property paths are written with `/` between names and `*` for every item of a list: `Code/S3Bucket`, `Tags/*/Key`.
#[derive(Debug)]
pub struct TypeDescription {
    /// CloudFormation's name of the type.
    pub type_name: &'static str,
    /// Properties whose change replaces the resource.
    pub create_only: &'static [&'static str],
    /// Properties whose change replaces the resource in some cases.
    pub conditional_create_only: &'static [&'static str],
    /// Properties that can't be read back, so that drift in them can't be seen.
    pub write_only: &'static [&'static str],
    /// Properties that only the service sets.
    pub read_only: &'static [&'static str],
    /// Properties that AWS advises against.
    pub deprecated: &'static [&'static str],
    /// Top-level properties that must be set.
    pub required: &'static [&'static str],
    /// Properties that together identify one real resource.
    pub primary_identifier: &'static [&'static str],
    /// What CloudFormation's caller must be allowed to do to create, read, update, delete and list resources.
    pub handlers: &'static [Handler],
    /// The property that holds the tags; none if the type has no tags in templates.
    pub tag_property: Option<&'static str>,
    /// The regions in which the type exists, out of those that were recorded with the schemas.
    pub regions: &'static [&'static str],
    /// The schema that properties are checked against.
    pub(crate) schema: Schema,
}

/// One of a type's handlers.
#[derive(Debug, PartialEq, Eq)]
pub struct Handler {
    /// `create`, `read`, `update`, `delete` or `list`.
    pub name: &'static str,
    /// IAM actions, such as `sqs:CreateQueue`.
    pub permissions: &'static [&'static str],
    /// How long the handler may take, in minutes, where the schema says it. CloudFormation's default is 120.
    pub timeout_minutes: Option<u64>,
}

/// Whether a change of a property replaces the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replacement {
    /// The resource stays.
    Never,
    /// That depends on the values or on the state of the real resource.
    Maybe,
    /// A new resource is made and the old one deleted.
    Always,
}

/// What is known about a type; nothing for a type whose schema is not vendored.
pub fn describe(type_name: &str) -> Option<&'static TypeDescription> {
    let index = TYPES.binary_search_by(|one| one.type_name.cmp(type_name)).ok()?;
    Some(TYPES[index])
}

/// Names of all types that are known, sorted.
pub fn type_names() -> impl ExactSizeIterator<Item = &'static str> {
    TYPES.iter().map(|description| description.type_name)
}

impl TypeDescription {
    /// True if the real resource holds something that can't be made again.
    pub fn is_stateful(&self) -> bool {
        stateful::is_stateful(self.type_name)
    }

    /// The handler of that name, such as `create`.
    pub fn handler(&self, name: &str) -> Option<&'static Handler> {
        self.handlers.iter().find(|handler| handler.name == name)
    }

    /// Whether a change at `path`, or anywhere below it, replaces the resource.
    ///
    /// A list item's index counts as `*`. A change above a create-only property counts as one of that property.
    pub fn replacement(&self, path: &str) -> Replacement {
        let touches = |known: &&str| {
            let mut changed =
                path.split('/').map(|part| if part.bytes().all(|b| b.is_ascii_digit()) { "*" } else { part });
            let mut known = known.split('/');
            loop {
                match (known.next(), changed.next()) {
                    (None, _) | (_, None) => return true,
                    (Some(left), Some(right)) if left != right => return false,
                    _ => {}
                }
            }
        };
        if self.create_only.iter().any(touches) {
            Replacement::Always
        } else if self.conditional_create_only.iter().any(touches) {
            Replacement::Maybe
        } else {
            Replacement::Never
        }
    }

    /// The schema of one property.
    ///
    /// Nothing if there is no such property, or if it lies in a free-form part.
    pub fn property(&self, path: &str) -> Option<&'static Schema> {
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let first = self.schema.step(first)?;
        rest.into_iter().flat_map(|rest| rest.split('/')).try_fold(first, Schema::step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_described() {
        let queue = describe("AWS::SQS::Queue").unwrap();
        assert_eq!(queue.create_only, ["FifoQueue", "QueueName"]);
        assert_eq!(queue.read_only, ["QueueUrl", "Arn"]);
        assert_eq!(queue.primary_identifier, ["QueueUrl"]);
        assert_eq!(queue.handler("delete").unwrap().permissions, ["sqs:DeleteQueue", "sqs:GetQueueAttributes"]);
        assert_eq!(queue.tag_property, Some("Tags"));
        assert_eq!(queue.regions, ["us-west-2", "us-east-1", "us-east-2"]);
        assert!(queue.is_stateful());
        assert!(!describe("AWS::Events::Rule").unwrap().is_stateful());
    }

    #[test]
    fn a_propertys_schema_is_found_by_its_path() {
        let queue = describe("AWS::SQS::Queue").unwrap();
        assert_eq!(queue.property("DelaySeconds").unwrap().maximum(), Some(900.0));
        assert_eq!(queue.property("Tags/*/Key").unwrap().max_length(), Some(128));
        assert_eq!(queue.property("Tags/0/Key"), queue.property("Tags/*/Key"));
        assert!(queue.property("Tags/*/Nothing").is_none());
    }

    #[test]
    fn a_schema_says_what_is_scalar_and_which_lists_have_no_order() {
        let table = describe("AWS::DynamoDB::GlobalTable").unwrap();
        let property = |path| table.property(path).unwrap();
        assert!(property("TableName").is_scalar());
        assert!(property("Replicas/*/Region").is_scalar());
        assert!(!property("Replicas").is_scalar());
        assert!(property("Replicas").is_unordered());
        assert!(!property("TableName").is_unordered());
        let mapping = describe("AWS::Lambda::EventSourceMapping").unwrap();
        assert!(!mapping.property("FilterCriteria").unwrap().is_unordered());
    }

    #[test]
    fn an_unknown_type_is_not_described() {
        assert!(describe("AWS::SQS::Nothing").is_none());
    }

    #[test]
    fn the_global_tables_update_may_take_twenty_hours() {
        assert_eq!(
            describe("AWS::DynamoDB::GlobalTable").unwrap().handler("update").unwrap().timeout_minutes,
            Some(1200)
        );
    }

    #[test]
    fn replacement_follows_create_only_properties() {
        let table = describe("AWS::DynamoDB::GlobalTable").unwrap();
        for (path, expected) in [
            ("TableName", Replacement::Always),
            ("KeySchema/0/AttributeName", Replacement::Maybe),
            ("Replicas/0/Tags", Replacement::Never),
        ] {
            assert_eq!(table.replacement(path), expected, "of {path}");
        }
        let function = describe("AWS::Lambda::Function").unwrap();
        assert_eq!(function.replacement("FunctionName"), Replacement::Always);
        assert_eq!(function.replacement("Timeout"), Replacement::Never);
    }

    #[test]
    fn recorded_regions_are_those_of_the_source() {
        let source: serde_json::Value = serde_json::from_str(include_str!("../schemas/SOURCE.json")).unwrap();
        assert_eq!(source["regions"], serde_json::json!(RECORDED_REGIONS));
    }

    #[test]
    fn every_type_has_an_identifier_and_a_region() {
        for type_name in type_names() {
            let description = describe(type_name).unwrap();
            assert!(!description.primary_identifier.is_empty(), "{type_name}");
            assert!(!description.regions.is_empty(), "{type_name}");
            assert!(description.handler("create").is_some(), "{type_name}");
        }
    }
}
