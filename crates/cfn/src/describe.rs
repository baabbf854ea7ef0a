//! What AWS's schemas say about a resource type beyond the names and types of its properties.
//!
//! The schemas are embedded as text, one a type, and read on first use.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value as Json;

use crate::rules::stateful;

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
    pub create_only: Vec<String>,
    /// Properties whose change replaces the resource in some cases.
    pub conditional_create_only: Vec<String>,
    /// Properties that can't be read back, so that drift in them can't be seen.
    pub write_only: Vec<String>,
    /// Properties that only the service sets.
    pub read_only: Vec<String>,
    /// Properties that AWS advises against.
    pub deprecated: Vec<String>,
    /// Top-level properties that must be set.
    pub required: Vec<String>,
    /// Properties that together identify one real resource.
    pub primary_identifier: Vec<String>,
    /// What CloudFormation's caller must be allowed to do, by `create`, `read`, `update`, `delete` and `list`.
    pub handlers: BTreeMap<String, Handler>,
    /// The property that holds the tags; none if the type has no tags in templates.
    pub tag_property: Option<String>,
    /// True if the real resource holds something that can't be made again.
    pub stateful: bool,
    /// The regions in which the type exists, out of those that were recorded with the schemas.
    pub regions: Vec<String>,
    /// The schema that properties are checked against.
    pub(crate) schema: Json,
}

/// One of a type's handlers.
#[derive(Debug, PartialEq, Eq)]
pub struct Handler {
    /// IAM actions, such as `sqs:CreateQueue`.
    pub permissions: Vec<String>,
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
    let embedded = &crate::EMBEDDED;
    let index = embedded.binary_search_by(|one| one.type_name.cmp(type_name)).ok()?;
    Some(embedded[index].description())
}

/// Names of all types that are known, sorted.
pub fn type_names() -> impl ExactSizeIterator<Item = &'static str> {
    crate::EMBEDDED.iter().map(|embedded| embedded.type_name)
}

impl TypeDescription {
    /// Whether a change at `path`, or anywhere below it, replaces the resource.
    ///
    /// A list item's index counts as `*`. A change above a create-only property counts as one of that property.
    pub fn replacement(&self, path: &str) -> Replacement {
        let touches = |known: &String| {
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

    /// The schema of one property: its type, pattern, length, range and accepted values, as JSON Schema.
    ///
    /// Nothing if there is no such property, or if it lies in a free-form part.
    pub fn property(&self, path: &str) -> Option<&Json> {
        path.split('/').try_fold(&self.schema, |node, part| {
            let node = self.resolved(node);
            let is_item = part == "*" || part.bytes().all(|byte| byte.is_ascii_digit());
            match node["properties"].get(part) {
                Some(property) => Some(property),
                None if is_item => node.get("items"),
                None => None,
            }
        })
    }

    fn resolved<'a>(&'a self, mut node: &'a Json) -> &'a Json {
        while let Some(name) = node["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/")) {
            node = &self.schema["definitions"][name];
        }
        node
    }

    fn parse(type_name: &'static str, text: &str) -> Self {
        let schema: Json = serde_json::from_str(text).expect("the build script wrote JSON");
        let paths = |key: &str| -> Vec<String> {
            strings(&schema[key]).filter_map(|path| path.strip_prefix("/properties/")).map(ToOwned::to_owned).collect()
        };
        let handlers = schema["handlers"].as_object().into_iter().flatten().map(|(name, handler)| {
            let permissions = strings(&handler["permissions"]).map(ToOwned::to_owned).collect();
            (name.clone(), Handler { permissions, timeout_minutes: handler["timeoutInMinutes"].as_u64() })
        });
        // Untagged types say so in different ways; the property itself is the proof.
        let tag_property = schema["tagging"]["tagProperty"]
            .as_str()
            .and_then(|path| path.strip_prefix("/properties/"))
            .filter(|name| schema["properties"].get(name).is_some());
        Self {
            type_name,
            create_only: paths("createOnlyProperties"),
            conditional_create_only: paths("conditionalCreateOnlyProperties"),
            write_only: paths("writeOnlyProperties"),
            read_only: paths("readOnlyProperties"),
            deprecated: paths("deprecatedProperties"),
            required: strings(&schema["required"]).map(ToOwned::to_owned).collect(),
            primary_identifier: paths("primaryIdentifier"),
            handlers: handlers.collect(),
            tag_property: tag_property.map(ToOwned::to_owned),
            stateful: stateful::is_stateful(type_name),
            regions: strings(&schema["regions"]).map(ToOwned::to_owned).collect(),
            schema,
        }
    }
}

fn strings(json: &Json) -> impl Iterator<Item = &str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// A type's schema as text, and what was read from it once it was needed.
pub(crate) struct Embedded {
    type_name: &'static str,
    text: &'static str,
    description: OnceLock<TypeDescription>,
}

impl Embedded {
    pub(crate) const fn new(type_name: &'static str, text: &'static str) -> Self {
        Self { type_name, text, description: OnceLock::new() }
    }

    fn description(&'static self) -> &'static TypeDescription {
        self.description.get_or_init(|| TypeDescription::parse(self.type_name, self.text))
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
        assert_eq!(queue.handlers["delete"].permissions, ["sqs:DeleteQueue", "sqs:GetQueueAttributes"]);
        assert_eq!(queue.tag_property.as_deref(), Some("Tags"));
        assert_eq!(queue.regions, ["us-west-2", "us-east-1", "us-east-2"]);
        assert!(queue.stateful);
        assert!(!describe("AWS::Events::Rule").unwrap().stateful);
    }

    #[test]
    fn a_propertys_schema_is_found_by_its_path() {
        let queue = describe("AWS::SQS::Queue").unwrap();
        assert_eq!(queue.property("DelaySeconds").unwrap()["maximum"], 900);
        assert_eq!(queue.property("Tags/*/Key").unwrap()["maxLength"], 128);
        assert_eq!(queue.property("Tags/0/Key"), queue.property("Tags/*/Key"));
        assert!(queue.property("Tags/*/Nothing").is_none());
    }

    #[test]
    fn an_unknown_type_is_not_described() {
        assert!(describe("AWS::SQS::Nothing").is_none());
    }

    #[test]
    fn the_global_tables_update_may_take_twenty_hours() {
        assert_eq!(describe("AWS::DynamoDB::GlobalTable").unwrap().handlers["update"].timeout_minutes, Some(1200));
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
        let source: Json = serde_json::from_str(include_str!("../schemas/SOURCE.json")).unwrap();
        assert_eq!(source["regions"], serde_json::json!(RECORDED_REGIONS));
    }

    #[test]
    fn every_type_has_an_identifier_and_a_region() {
        for type_name in type_names() {
            let description = describe(type_name).unwrap();
            assert!(!description.primary_identifier.is_empty(), "{type_name}");
            assert!(!description.regions.is_empty(), "{type_name}");
            assert!(description.handlers.contains_key("create"), "{type_name}");
        }
    }
}
