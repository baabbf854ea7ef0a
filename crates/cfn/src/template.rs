//! A template: resources, parameters, conditions, outputs.
//!
//! Declaring never fails and never panics. What is wrong is recorded with the file and line that said it, and
//! [`check`](crate::check) reports everything at once.

use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;

use serde_json::{Map, Value as Json, json};

use crate::check::Violation;
use crate::intrinsic;
use crate::properties::Properties;
use crate::render::{self, Rendered};
use crate::resource::{Declare, Handle, Options, RemovalPolicy, Resource};
use crate::value::{AnyFunction, AnyKey, Arn, Id, List, Value};

/// File and line of a declaration.
type Place = &'static Location<'static>;

/// A CloudFormation template under construction.
#[derive(Clone, Debug, Default)]
pub struct Template {
    description: Option<String>,
    metadata: Map<String, Json>,
    parameters: Vec<Entry<Parameter>>,
    conditions: Vec<Entry<Condition>>,
    resources: Vec<Declaration>,
    outputs: Vec<Entry<Output>>,
    pub(crate) recorded: Vec<Violation>,
    /// The text, once somebody asked for it. Invariant: empty after every change.
    text: OnceLock<Rendered>,
}

/// A named part of a template that is not a resource.
#[derive(Clone, Debug)]
struct Entry<T> {
    name: String,
    value: T,
    location: Place,
}

impl Template {
    /// An empty template.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the stack is for. Up to 1,024 bytes.
    pub fn describe(&mut self, text: impl Into<String>) -> &mut Self {
        self.changed();
        self.description = Some(text.into());
        self
    }

    /// What the stack is for, if that was said.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Attaches data for tools to the template as a whole.
    pub fn metadata(&mut self, key: impl Into<String>, value: impl Into<Json>) -> &mut Self {
        self.changed();
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a resource under the name that is its identity from now on: changing the name replaces the resource.
    ///
    /// A name that is not 1 to 255 ASCII letters and digits, or that is taken, is reported by [`check`](crate::check).
    #[track_caller]
    pub fn add<D: Declare>(&mut self, logical_id: &str, resource: D) -> Handle<D::Resource> {
        self.changed();
        let location = Location::caller();
        let declared = resource.declare();
        self.record_bad_name(logical_id, location, self.location_of(logical_id));
        self.resources.push(Declaration {
            logical_id: logical_id.to_owned(),
            type_name: D::Resource::TYPE,
            properties: declared.resource.into_properties(),
            options: declared.options,
            location,
        });
        Handle::new(logical_id)
    }

    /// Changes a resource that was added before. Nothing happens if the handle is from another template.
    pub fn update<R: Resource>(&mut self, handle: &Handle<R>, change: impl FnOnce(R) -> R) {
        self.changed();
        if let Some(declaration) = self.declaration_mut(handle) {
            let properties = std::mem::take(&mut declaration.properties);
            declaration.properties = change(R::from_properties(properties)).into_properties();
        }
    }

    /// Creates `later` after `earlier`. References already order resources; this is for hidden needs.
    pub fn depends_on<L: Resource, E: Resource>(&mut self, later: &Handle<L>, earlier: &Handle<E>) {
        self.changed();
        let earlier = earlier.logical_id();
        if let Some(declaration) = self.declaration_mut(later)
            && !declaration.options.depends_on.iter().any(|known| known == earlier)
        {
            declaration.options.depends_on.push(earlier.to_owned());
        }
    }

    /// Adds a parameter that holds a `K`, and gives its value.
    #[track_caller]
    pub fn parameter<K: ParameterKind>(&mut self, name: &str, parameter: Parameter) -> Value<K> {
        self.changed();
        let location = Location::caller();
        self.record_bad_name(name, location, self.location_of(name));
        let value = Parameter { type_name: parameter.type_name.or(Some(K::TYPE.to_owned())), ..parameter };
        self.parameters.push(Entry { name: name.to_owned(), value, location });
        intrinsic::reference(name)
    }

    /// Adds a condition, for [`Resource::only_if`] and [`either`](crate::either).
    #[track_caller]
    pub fn condition(&mut self, name: &str, condition: Condition) -> ConditionName {
        self.changed();
        let location = Location::caller();
        self.record_bad_name(name, location, self.location_of(name));
        self.conditions.push(Entry { name: name.to_owned(), value: condition, location });
        ConditionName(name.to_owned())
    }

    /// Adds an output: a value of the stack that others can look up.
    #[track_caller]
    pub fn output(&mut self, name: &str, value: impl Into<Value<String>>) -> &mut Output {
        self.changed();
        let location = Location::caller();
        self.record_bad_name(name, location, self.output_location(name));
        let output = Output { value: value.into().into_inner(), description: None, export: None, condition: None };
        self.outputs.push(Entry { name: name.to_owned(), value: output, location });
        let last = self.outputs.len() - 1;
        &mut self.outputs[last].value
    }

    /// The resources in the order in which they were added.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = &Declaration> {
        self.resources.iter()
    }

    /// The resource of that name.
    pub fn resource(&self, logical_id: &str) -> Option<&Declaration> {
        self.resources.iter().find(|declaration| declaration.logical_id == logical_id)
    }

    /// Names and template forms of the outputs, in the order in which they were added.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = (&str, Json)> {
        self.outputs.iter().map(|entry| (entry.name.as_str(), entry.value.to_json()))
    }

    /// Names and template forms of the parameters, in the order in which they were added.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = (&str, Json)> {
        self.parameters.iter().map(|entry| (entry.name.as_str(), entry.value.to_json()))
    }

    /// Names and template forms of the conditions, in the order in which they were added.
    pub fn conditions(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.conditions.iter().map(|entry| (entry.name.as_str(), &entry.value.0))
    }

    /// The template as JSON. Keys have no particular order; [`render`](Self::render) orders them.
    pub fn to_json(&self) -> Json {
        let mut template = Map::new();
        template.insert("AWSTemplateFormatVersion".to_owned(), json!("2010-09-09"));
        if let Some(description) = &self.description {
            template.insert("Description".to_owned(), json!(description));
        }
        let sections = [
            ("Metadata", self.metadata.clone()),
            ("Parameters", collect(self.parameters())),
            ("Conditions", collect(self.conditions().map(|(name, condition)| (name, condition.clone())))),
            ("Resources", collect(self.resources().map(|one| (one.logical_id.as_str(), one.to_json())))),
            ("Outputs", collect(self.outputs())),
        ];
        for (name, section) in sections {
            if !section.is_empty() || name == "Resources" {
                template.insert(name.to_owned(), Json::Object(section));
            }
        }
        Json::Object(template)
    }

    /// The template as text: the same bytes for the same declarations, whatever their order.
    ///
    /// Two spaces of indentation and a final newline; sections and resource parts in CloudFormation's usual order,
    /// everything else sorted by name. Written once and kept until the template changes.
    pub fn render(&self) -> &str {
        &self.rendered().text
    }

    fn rendered(&self) -> &Rendered {
        self.text.get_or_init(|| render::template(self))
    }

    /// Keeps the text's invariant.
    fn changed(&mut self) {
        self.text.take();
    }

    /// Bytes of the text without the white space between its parts, as it can be sent.
    pub fn compact_len(&self) -> usize {
        self.rendered().compact_len
    }

    pub(crate) fn metadata_map(&self) -> &Map<String, Json> {
        &self.metadata
    }

    /// Where the resource, parameter or condition of that name was added. These three share one space of names;
    /// outputs have their own.
    pub(crate) fn location_of(&self, name: &str) -> Option<Place> {
        let resource = self.resource(name).map(|declaration| declaration.location);
        let parameter = || self.parameters.iter().find(|entry| entry.name == name).map(|entry| entry.location);
        let condition = || self.conditions.iter().find(|entry| entry.name == name).map(|entry| entry.location);
        resource.or_else(parameter).or_else(condition)
    }

    /// Where the output of that name was added.
    pub(crate) fn output_location(&self, name: &str) -> Option<Place> {
        self.outputs.iter().find(|entry| entry.name == name).map(|entry| entry.location)
    }

    fn declaration_mut<R: Resource>(&mut self, handle: &Handle<R>) -> Option<&mut Declaration> {
        self.resources.iter_mut().find(|one| one.logical_id == handle.logical_id() && one.type_name == R::TYPE)
    }

    fn record_bad_name(&mut self, name: &str, location: Place, taken: Option<Place>) {
        if name.is_empty() || name.len() > 255 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            self.recorded.push(
                Violation::new("logical-id", format!("`{name}` is not 1 to 255 ASCII letters and digits"))
                    .of_name(name, location)
                    .hint("CloudFormation takes nothing else; write words together, as in `OrdersTable`"),
            );
        }
        if let Some(first) = taken {
            self.recorded.push(
                Violation::new("duplicate-name", format!("`{name}` is already declared at {first}"))
                    .of_name(name, location)
                    .hint("give one of the two another name"),
            );
        }
    }
}

fn collect<'a>(entries: impl Iterator<Item = (&'a str, Json)>) -> Map<String, Json> {
    entries.map(|(name, json)| (name.to_owned(), json)).collect()
}

/// A resource as it stands in a template, for tools to read.
#[derive(Clone, Debug)]
pub struct Declaration {
    logical_id: String,
    type_name: &'static str,
    properties: Properties,
    options: Options,
    location: Place,
}

impl Declaration {
    /// The name that the author gave.
    pub fn logical_id(&self) -> &str {
        &self.logical_id
    }

    /// CloudFormation's name of the type.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The properties that were set.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// File and line that added the resource.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Names of the resources that must exist first, besides those that are referred to.
    pub fn depends_on(&self) -> &[String] {
        &self.options.depends_on
    }

    /// What happens to the real resource when it leaves the template; none is CloudFormation's default.
    pub fn deletion_policy(&self) -> Option<RemovalPolicy> {
        self.options.deletion_policy
    }

    /// What happens to the old real resource when a change replaces it; none is CloudFormation's default.
    pub fn update_replace_policy(&self) -> Option<RemovalPolicy> {
        self.options.update_replace_policy
    }

    /// What the author attached for tools under this key.
    pub fn metadata(&self, key: &str) -> Option<&Json> {
        self.options.metadata.get(key)
    }

    /// Name of the condition under which the resource exists.
    pub fn condition(&self) -> Option<&str> {
        self.options.condition.as_deref()
    }

    /// The resource's part of the template.
    pub fn to_json(&self) -> Json {
        let owned = |part: Part<'_>| match part {
            Part::Borrowed(map) => Json::Object(map.clone()),
            Part::Owned(value) => value,
        };
        Json::Object(self.parts().map(|(name, part)| (name.to_owned(), owned(part))).collect())
    }

    /// What the template says of the resource, in CloudFormation's usual order; parts that say nothing are left out.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, Part<'_>)> {
        let Options { deletion_policy, update_replace_policy, depends_on, condition, metadata } = &self.options;
        let mut sorted = depends_on.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let text = |text: &str| Part::Owned(json!(text));
        let map = |map| Some(map).filter(|map: &&Map<String, Json>| !map.is_empty()).map(Part::Borrowed);
        [
            ("Type", Some(text(self.type_name))),
            ("Condition", condition.as_deref().map(text)),
            ("DependsOn", (!sorted.is_empty()).then(|| Part::Owned(json!(sorted)))),
            ("DeletionPolicy", deletion_policy.map(|policy| text(policy.as_str()))),
            ("UpdateReplacePolicy", update_replace_policy.map(|policy| text(policy.as_str()))),
            ("Metadata", map(metadata)),
            ("Properties", map(self.properties.as_map())),
        ]
        .into_iter()
        .filter_map(|(name, part)| Some((name, part?)))
    }
}

/// A part of a resource: a map of the declaration's own, or a value made from it.
pub(crate) enum Part<'a> {
    Borrowed(&'a Map<String, Json>),
    Owned(Json),
}

/// A kind of value that a parameter can hold.
pub trait ParameterKind {
    /// CloudFormation's parameter type.
    const TYPE: &'static str;
}

impl ParameterKind for String {
    const TYPE: &'static str = "String";
}

impl ParameterKind for i64 {
    const TYPE: &'static str = "Number";
}

impl ParameterKind for f64 {
    const TYPE: &'static str = "Number";
}

impl ParameterKind for List<String> {
    const TYPE: &'static str = "CommaDelimitedList";
}

impl<R> ParameterKind for List<Arn<R>> {
    const TYPE: &'static str = "CommaDelimitedList";
}

impl<R> ParameterKind for List<Id<R>> {
    const TYPE: &'static str = "CommaDelimitedList";
}

impl<R> ParameterKind for Arn<R> {
    const TYPE: &'static str = "String";
}

impl<R> ParameterKind for Id<R> {
    const TYPE: &'static str = "String";
}

impl ParameterKind for AnyKey {
    const TYPE: &'static str = "String";
}

impl ParameterKind for AnyFunction {
    const TYPE: &'static str = "String";
}

/// A value that is handed over when the stack is deployed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameter {
    type_name: Option<String>,
    fields: Map<String, Json>,
}

impl Parameter {
    /// A parameter that must be given.
    pub fn new() -> Self {
        Self::default()
    }

    /// A parameter that is read from the Parameter Store; `name` is the stored parameter's name.
    pub fn from_parameter_store(name: impl Into<String>) -> Self {
        let type_name = Some("AWS::SSM::Parameter::Value<String>".to_owned());
        Self { type_name, fields: Map::new() }.with("Default", json!(name.into()))
    }

    /// The value to use when none is given.
    pub fn default_value(self, value: impl Into<String>) -> Self {
        self.with("Default", json!(value.into()))
    }

    /// Says what the value is for. Up to 4,000 characters.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.with("Description", json!(text.into()))
    }

    /// The values that are accepted; others stop the deployment.
    pub fn allowed_values<S: Into<String>>(self, values: impl IntoIterator<Item = S>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.with("AllowedValues", json!(values))
    }

    /// The regular expression that the whole value has to match.
    pub fn allowed_pattern(self, pattern: impl Into<String>) -> Self {
        self.with("AllowedPattern", json!(pattern.into()))
    }

    /// Hides the value in consoles and answers.
    pub fn secret(self) -> Self {
        self.with("NoEcho", json!(true))
    }

    fn with(mut self, key: &str, value: Json) -> Self {
        self.fields.insert(key.to_owned(), value);
        self
    }

    fn to_json(&self) -> Json {
        let mut fields = self.fields.clone();
        fields.insert("Type".to_owned(), json!(self.type_name.as_deref().unwrap_or(String::TYPE)));
        Json::Object(fields)
    }
}

/// A question that is answered when the stack is deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(Json);

impl Condition {
    /// Holds if both texts are the same.
    pub fn equals(left: impl Into<Value<String>>, right: impl Into<Value<String>>) -> Self {
        Self(json!({"Fn::Equals": [left.into(), right.into()]}))
    }

    /// Holds if the other does not.
    pub fn not(condition: &ConditionName) -> Self {
        Self(json!({"Fn::Not": [condition.to_json()]}))
    }

    /// Holds if all of 2 to 10 others hold.
    pub fn all<'a>(conditions: impl IntoIterator<Item = &'a ConditionName>) -> Self {
        Self(json!({"Fn::And": conditions.into_iter().map(ConditionName::to_json).collect::<Vec<_>>()}))
    }

    /// Holds if one of 2 to 10 others holds.
    pub fn any<'a>(conditions: impl IntoIterator<Item = &'a ConditionName>) -> Self {
        Self(json!({"Fn::Or": conditions.into_iter().map(ConditionName::to_json).collect::<Vec<_>>()}))
    }
}

/// Name of a condition of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionName(String);

impl ConditionName {
    /// The name that the author gave.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn to_json(&self) -> Json {
        json!({"Condition": self.0})
    }
}

impl fmt::Display for ConditionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value of the stack that others can look up.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    value: Json,
    description: Option<String>,
    export: Option<Json>,
    condition: Option<String>,
}

impl Output {
    /// Says what the value is for. Up to 4,000 characters.
    pub fn description(&mut self, text: impl Into<String>) -> &mut Self {
        self.description = Some(text.into());
        self
    }

    /// Exports the value to the other stacks of the region under a name that is unique there.
    ///
    /// An export can't change or go while another stack imports it.
    pub fn export(&mut self, name: impl Into<Value<String>>) -> &mut Self {
        self.export = Some(name.into().into_inner());
        self
    }

    /// Has the output only if the condition holds.
    pub fn only_if(&mut self, condition: &ConditionName) -> &mut Self {
        self.condition = Some(condition.as_str().to_owned());
        self
    }

    fn to_json(&self) -> Json {
        let Self { value, description, export, condition } = self;
        let mut fields = Map::new();
        fields.insert("Value".to_owned(), value.clone());
        if let Some(text) = description {
            fields.insert("Description".to_owned(), json!(text));
        }
        if let Some(name) = export {
            fields.insert("Export".to_owned(), json!({"Name": name}));
        }
        if let Some(condition) = condition {
            fields.insert("Condition".to_owned(), json!(condition));
        }
        Json::Object(fields)
    }
}
