//! A stack while it is being written: its environment, its region, its template.

use cfn::{Declare, Handle, Parameter, ParameterKind, Template, Value};
use contracts::Region;
use serde_json::json;

use crate::environment::Environment;
use crate::system::{Input, Source, StackId, StackInstance};

/// What the functions under `stacks` write into.
pub(crate) struct Scope<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) region: &'a Region,
    name: &'static str,
    template: Template,
    inputs: Vec<Input>,
    depends_on: Vec<StackId>,
    mistakes: Vec<String>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(environment: &'a Environment, region: &'a Region, name: &'static str, description: &str) -> Self {
        let mut template = Template::new();
        template.describe(format!("{description} ({})", environment.environment_name()));
        Self { environment, region, name, template, inputs: Vec::new(), depends_on: Vec::new(), mistakes: Vec::new() }
    }

    /// Adds a resource under the name that the author gives.
    #[track_caller]
    pub(crate) fn add<D: Declare>(&mut self, logical_id: &str, resource: D) -> Handle<D::Resource> {
        self.template.add(logical_id, resource)
    }

    /// A parameter that the tool fills in at deployment.
    #[track_caller]
    pub(crate) fn input<T: ParameterKind>(&mut self, parameter: &str, description: &str, source: Source) -> Value<T> {
        if let Source::StackOutput { stack, .. } = &source
            && !self.depends_on.contains(stack)
        {
            self.depends_on.push(stack.clone());
        }
        self.inputs.push(Input { parameter: parameter.to_owned(), source });
        self.template.parameter(parameter, Parameter::new().description(description))
    }

    /// Notes what is wrong with a binding.
    pub(crate) fn report(&mut self, mistakes: Vec<String>) {
        self.mistakes.extend(mistakes);
    }

    /// Says that another stack must be there first.
    pub(crate) fn after(&mut self, name: &'static str, region: &Region) {
        let stack = StackId { name, region: region.clone() };
        if !self.depends_on.contains(&stack) {
            self.depends_on.push(stack);
        }
    }

    /// An output of the stack.
    #[track_caller]
    pub(crate) fn output(&mut self, name: &str, description: &str, value: impl Into<Value<String>>) {
        self.template.output(name, value).description(description);
    }

    /// An ARN in the stack's own account, in `region`.
    pub(crate) fn arn_in(&self, region: &Region, service: &str, resource: &str) -> Value<String> {
        cfn::sub(&format!("arn:${{AWS::Partition}}:{service}:{region}:${{AWS::AccountId}}:{resource}"))
    }

    /// The tags that are written out where CloudFormation doesn't hand the stack's tags on.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.environment.tags().iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The finished stack.
    pub(crate) fn finish(mut self) -> StackInstance {
        self.template
            .metadata("Tandem", json!({"Stack": self.name, "Environment": self.environment.environment_name()}));
        StackInstance {
            id: StackId { name: self.name, region: self.region.clone() },
            cloudformation_name: self.environment.name(self.name),
            template: self.template,
            inputs: self.inputs,
            depends_on: self.depends_on,
            mistakes: self.mistakes,
            tags: self.environment.tags().clone(),
            termination_protection: self.environment.tables().deletion_protection,
        }
    }
}
