//! What is to be deployed, as plain values: stacks, their templates and the inputs that only a deployment knows.
//!
//! Everything after this module works on these values alone, so planning and execution can be tested without the
//! system's own stacks. Nothing here asks the cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// A stack in a region, as the tool names it: `data@us-west-2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct StackKey {
    /// The stack's name within the system: `data`.
    pub name: String,
    /// The region it is deployed to: `us-west-2`.
    pub region: String,
}

impl StackKey {
    /// The stack `name` in `region`.
    pub fn new(name: impl Into<String>, region: impl Into<String>) -> Self {
        Self { name: name.into(), region: region.into() }
    }
}

impl fmt::Display for StackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.region)
    }
}

impl From<StackKey> for String {
    fn from(key: StackKey) -> Self {
        key.to_string()
    }
}

/// One stack that the deployment brings about.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Which stack it is.
    pub key: StackKey,
    /// Its name in CloudFormation: `tandem-sandbox-data`.
    pub cloudformation_name: String,
    /// What it consists of.
    pub template: Template,
    /// Values for the template's parameters, by parameter.
    pub inputs: BTreeMap<String, Source>,
    /// Stacks that must be deployed before it.
    pub depends_on: Vec<StackKey>,
    /// Tags of the stack, which CloudFormation hands on to its resources.
    pub tags: BTreeMap<String, String>,
    /// Whether CloudFormation refuses to delete the stack.
    pub termination_protection: bool,
    /// ARN of the role that CloudFormation makes, changes and deletes the stack with; none: with the caller's rights.
    pub role: Option<String>,
    /// What undoes an update of it.
    pub bake: Option<Bake>,
}

/// The time after an update in which an alarm undoes it; CloudFormation's rollback trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bake {
    /// The stack that has the alarm: CloudFormation takes no alarm that isn't there.
    pub watched_by: StackKey,
    /// ARN of the composite alarm.
    pub alarm: String,
    /// How long, in whole minutes.
    pub minutes: u32,
}

impl Stack {
    /// The programs whose code the stack runs, in order of name.
    pub fn programs(&self) -> BTreeSet<&str> {
        let programs = self.inputs.values().filter_map(|source| match source {
            Source::CodeKey { program } => Some(program.as_str()),
            _ => None,
        });
        programs.collect()
    }

    /// The functions of the template: logical id and the program each runs.
    ///
    /// A function belongs to a program when the key of its code is a parameter that holds the program's key.
    pub fn functions(&self) -> BTreeMap<&str, &str> {
        let program_of = |resource: &Value| {
            let parameter = resource.pointer("/Properties/Code/S3Key/Ref")?.as_str()?;
            match self.inputs.get(parameter)? {
                Source::CodeKey { program } => Some(program.as_str()),
                _ => None,
            }
        };
        self.template
            .resources()
            .filter(|(_, resource)| resource["Type"] == "AWS::Lambda::Function")
            .filter_map(|(logical_id, resource)| Some((logical_id, program_of(resource)?)))
            .collect()
    }
}

/// Where the value of a template parameter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An output of another stack.
    StackOutput {
        /// The stack that has the output.
        stack: StackKey,
        /// Name of the output.
        output: String,
    },
    /// The ARN of a table's stream in the stack's own region, which holds a timestamp and can't be computed.
    TableStream {
        /// Name of the table.
        table: String,
    },
    /// The bucket in the stack's region that holds the functions' code.
    CodeBucket,
    /// The key of a program's code in that bucket.
    CodeKey {
        /// The program: `event-router`.
        program: String,
    },
}

/// The name of the stack that makes the roles of all others.
pub const ACCESS_STACK: &str = "access";

/// The name of the stack whose output [`BUCKET_OUTPUT`] is the region's artifact bucket.
pub const DELIVERY_STACK: &str = "delivery";

/// The output of [`DELIVERY_STACK`] that names the artifact bucket.
pub const BUCKET_OUTPUT: &str = "ArtifactBucketName";

/// A place in the project's sources.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(into = "String")]
pub struct Location {
    /// Path of the file, as the compiler knows it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

/// A CloudFormation template: its text, the same as a value, and where each resource was declared.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    document: Value,
    declared_at: BTreeMap<String, Location>,
}

impl Template {
    /// A template from its text.
    ///
    /// # Errors
    /// The text is no JSON.
    pub fn parse(text: String, declared_at: BTreeMap<String, Location>) -> Result<Self, serde_json::Error> {
        let document = serde_json::from_str(&text)?;
        Ok(Self { text, document, declared_at })
    }

    /// The text that is sent to CloudFormation.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text without white space between its parts, for when every byte counts.
    pub fn compact(&self) -> String {
        self.document.to_string()
    }

    /// The template as a value.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The resources, by logical id.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        resources_of(&self.document)
    }

    /// The names of the parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.document["Parameters"].as_object().into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// Another template of the same stack, whose resources are declared in the same places.
    pub(crate) fn with_document(&self, document: Value) -> Self {
        Self { text: document.to_string(), document, declared_at: self.declared_at.clone() }
    }

    /// Where the resource was declared in the project's sources.
    pub fn declared_at(&self, logical_id: &str) -> Option<&Location> {
        self.declared_at.get(logical_id)
    }

    /// What the resource refers to or waits for: resources and parameters.
    pub(crate) fn needs_of(&self, logical_id: &str) -> BTreeSet<String> {
        let Some(resource) = self.document["Resources"].get(logical_id) else { return BTreeSet::new() };
        let mut needs = resource.get("Properties").map(references_of).unwrap_or_default();
        match resource.get("DependsOn") {
            Some(Value::Array(targets)) => needs.extend(targets.iter().filter_map(Value::as_str).map(str::to_owned)),
            Some(Value::String(target)) => _ = needs.insert(target.clone()),
            _ => {}
        }
        needs
    }

    /// Whether `other`, the text of another template, says the same: layout doesn't count.
    pub fn says_the_same_as(&self, other: &str) -> bool {
        self.text == other || serde_json::from_str::<Value>(other).is_ok_and(|other| other == self.document)
    }

    /// The template without the resources whose type `supports` refuses, and what had to go.
    ///
    /// What refers to a resource that goes, goes too; outputs and `DependsOn` entries go silently.
    #[must_use]
    pub fn without_unsupported(self, supports: impl Fn(&str) -> bool) -> (Self, Vec<LeftOut>) {
        let mut left_out: BTreeMap<String, LeftOut> = BTreeMap::new();
        for (logical_id, resource) in self.resources() {
            let resource_type = resource["Type"].as_str().unwrap_or_default();
            if !supports(resource_type) {
                left_out.insert(logical_id.to_owned(), LeftOut::new(logical_id, resource_type, None));
            }
        }
        // What refers to something that goes must go as well, until nothing more does.
        loop {
            let next = self.resources().filter(|(logical_id, _)| !left_out.contains_key(*logical_id)).find_map(
                |(logical_id, resource)| {
                    let references = references_of(&resource["Properties"]);
                    let because = references.into_iter().find(|target| left_out.contains_key(target))?;
                    Some(LeftOut::new(logical_id, resource["Type"].as_str().unwrap_or_default(), Some(because)))
                },
            );
            let Some(dependent) = next else { break };
            left_out.insert(dependent.logical_id.clone(), dependent);
        }
        if left_out.is_empty() {
            return (self, Vec::new());
        }
        let document = pruned(self.document, &left_out);
        let text = format!("{document:#}\n");
        (Self { text, document, declared_at: self.declared_at }, left_out.into_values().collect())
    }
}

/// A resource that is left out because the platform can't provision its type.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// Its logical id.
    pub logical_id: String,
    /// Its type.
    pub resource_type: String,
    /// The resource it refers to, when it is left out for that resource's sake.
    pub because_of: Option<String>,
}

impl LeftOut {
    fn new(logical_id: &str, resource_type: &str, because_of: Option<String>) -> Self {
        Self { logical_id: logical_id.to_owned(), resource_type: resource_type.to_owned(), because_of }
    }
}

/// The resources of a template document, by logical id.
pub(crate) fn resources_of(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    document["Resources"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(logical_id, resource)| (logical_id.as_str(), resource))
}

fn pruned(mut document: Value, left_out: &BTreeMap<String, LeftOut>) -> Value {
    if let Some(resources) = document["Resources"].as_object_mut() {
        resources.retain(|logical_id, _| !left_out.contains_key(logical_id));
        for resource in resources.values_mut() {
            prune_depends_on(resource, left_out);
        }
    }
    if let Some(outputs) = document["Outputs"].as_object_mut() {
        outputs.retain(|_, output| references_of(output).iter().all(|target| !left_out.contains_key(target)));
        if outputs.is_empty() {
            document.as_object_mut().map(|document| document.remove("Outputs"));
        }
    }
    document
}

fn prune_depends_on(resource: &mut Value, left_out: &BTreeMap<String, LeftOut>) {
    let stays = |target: &Value| target.as_str().is_none_or(|target| !left_out.contains_key(target));
    let goes = match &mut resource["DependsOn"] {
        Value::Array(targets) => {
            targets.retain(stays);
            targets.is_empty()
        }
        Value::Null => true,
        single => !stays(single),
    };
    if goes {
        // Indexing has put a null there when the key was missing.
        resource.as_object_mut().map(|resource| resource.remove("DependsOn"));
    }
}

/// The logical ids (and parameters) that a part of a template refers to by `Ref`, `Fn::GetAtt` or `Fn::Sub`.
fn references_of(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect_references(value, &mut found);
    found
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Object(fields) => {
            for (key, argument) in fields {
                match key.as_str() {
                    "Ref" => found.extend(argument.as_str().map(str::to_owned)),
                    "Fn::GetAtt" => {
                        let target = argument.get(0).unwrap_or(argument).as_str();
                        found.extend(target.and_then(|target| target.split('.').next()).map(str::to_owned));
                    }
                    "Fn::Sub" => {
                        let text = argument.get(0).unwrap_or(argument).as_str().unwrap_or_default();
                        found.extend(placeholders_of(text));
                        collect_references(argument, found);
                    }
                    _ => collect_references(argument, found),
                }
            }
        }
        _ => {}
    }
}

/// The names in `${Name}` and `${Name.Attribute}`; `${!Literal}` is none.
fn placeholders_of(text: &str) -> impl Iterator<Item = String> {
    text.split("${").skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        (!name.starts_with('!')).then(|| name.split('.').next().unwrap_or(name).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(document: &Value) -> Template {
        Template::parse(document.to_string(), BTreeMap::new()).unwrap()
    }

    #[test]
    fn layout_and_order_of_keys_do_not_make_a_difference() {
        let template = template(&json!({ "Resources": { "A": { "Type": "T", "Properties": { "x": 1, "y": 2 } } } }));
        assert!(template.says_the_same_as(r#"{"Resources": {"A": {"Properties": {"y": 2, "x": 1}, "Type": "T"}}}"#));
        assert!(!template.says_the_same_as(r#"{"Resources": {"A": {"Properties": {"y": 3, "x": 1}, "Type": "T"}}}"#));
        assert!(!template.says_the_same_as("Resources: {}"));
    }

    #[test]
    fn unsupported_resources_go_with_everything_that_refers_to_them() {
        let original = template(&json!({
            "Resources": {
                "Archive": { "Type": "No::Archive" },
                "ByRef": { "Type": "Yes", "Properties": { "a": [{ "Ref": "Archive" }] } },
                "BySub": { "Type": "Yes", "Properties": { "a": { "Fn::Sub": "x-${ByRef.Arn}-${!Keep}" } } },
                "ByDependsOn": { "Type": "Yes", "DependsOn": ["Archive", "Keep"] },
                "ByDependsOnAlone": { "Type": "Yes", "DependsOn": "Archive" },
                "Keep": { "Type": "Yes", "Properties": { "a": { "Ref": "AWS::Region" } } }
            },
            "Outputs": {
                "Gone": { "Value": { "Fn::GetAtt": ["Archive", "Arn"] } },
                "Stays": { "Value": { "Fn::GetAtt": ["Keep", "Arn"] } }
            }
        }));
        let (pruned, left_out) = original.without_unsupported(|resource_type| resource_type == "Yes");
        assert_eq!(
            pruned.document(),
            &json!({
                "Resources": {
                    "ByDependsOn": { "Type": "Yes", "DependsOn": ["Keep"] },
                    "ByDependsOnAlone": { "Type": "Yes" },
                    "Keep": { "Type": "Yes", "Properties": { "a": { "Ref": "AWS::Region" } } }
                },
                "Outputs": { "Stays": { "Value": { "Fn::GetAtt": ["Keep", "Arn"] } } }
            })
        );
        assert_eq!(
            left_out,
            [
                LeftOut::new("Archive", "No::Archive", None),
                LeftOut::new("ByRef", "Yes", Some("Archive".to_owned())),
                LeftOut::new("BySub", "Yes", Some("ByRef".to_owned())),
            ]
        );
    }

    #[test]
    fn a_resource_needs_what_it_refers_to_and_what_it_waits_for() {
        let template = template(&json!({ "Resources": {
            "Policy": { "Type": "T", "DependsOn": ["Key", "Log"], "Properties": {
                "Topics": [{ "Ref": "Topic" }], "Arn": { "Fn::Sub": "${Queue.Arn}/*" }
            } },
            "Log": { "Type": "T", "DependsOn": "Key" },
            "Key": { "Type": "T" }
        } }));
        let needs = |id: &str| template.needs_of(id).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(
            [needs("Policy"), needs("Log"), needs("Key"), needs("None")],
            ["Key Log Queue Topic", "Key", "", ""]
        );
    }

    #[test]
    fn a_supported_template_keeps_its_text() {
        let text = "{ \"Resources\":   { \"A\": { \"Type\": \"Yes\" } } }".to_owned();
        let original = Template::parse(text.clone(), BTreeMap::new()).unwrap();
        let (same, left_out) = original.without_unsupported(|_| true);
        assert_eq!(same.text(), text);
        assert!(left_out.is_empty());
    }

    #[test]
    fn functions_are_found_by_the_parameter_of_their_code() {
        let stack = Stack {
            key: StackKey::new("events", "us-west-2"),
            cloudformation_name: "tandem-test-events".to_owned(),
            template: template(&json!({ "Resources": {
                "Router": { "Type": "AWS::Lambda::Function",
                            "Properties": { "Code": { "S3Key": { "Ref": "RouterCode" } } } },
                "Inline": { "Type": "AWS::Lambda::Function", "Properties": { "Code": { "ZipFile": "x" } } }
            } })),
            inputs: BTreeMap::from([
                ("RouterCode".to_owned(), Source::CodeKey { program: "event-router".to_owned() }),
                ("Bucket".to_owned(), Source::CodeBucket),
            ]),
            depends_on: Vec::new(),
            tags: BTreeMap::new(),
            termination_protection: false,
            role: None,
            bake: None,
        };
        assert_eq!(stack.functions(), BTreeMap::from([("Router", "event-router")]));
        assert_eq!(stack.programs(), BTreeSet::from(["event-router"]));
    }
}
