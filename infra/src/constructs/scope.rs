//! A stack while it is being written: its environment, its region, its template.

use cfn::{Declare, Handle, Parameter, ParameterKind, Template, Value};
use contracts::Region;
use serde_json::json;

use crate::environment::Environment;
use crate::stacks::access;
use crate::system::{Flow, Grant, Input, Place, Source, StackId, StackInstance, Subject, Watch};

/// What the functions under `stacks` write into.
pub(crate) struct Scope<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) region: &'a Region,
    name: &'static str,
    template: Template,
    inputs: Vec<Input>,
    depends_on: Vec<StackId>,
    mistakes: Vec<String>,
    watches: Vec<Watch>,
    flows: Vec<Flow>,
    grants: Vec<Grant>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(environment: &'a Environment, region: &'a Region, name: &'static str, description: &str) -> Self {
        let mut template = Template::new();
        template.describe(format!("{description} ({})", environment.environment_name()));
        Self {
            environment,
            region,
            name,
            template,
            inputs: Vec::new(),
            depends_on: Vec::new(),
            mistakes: Vec::new(),
            watches: Vec::new(),
            flows: Vec::new(),
            grants: Vec::new(),
        }
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

    /// Has an alarm made for a resource, in the region's `observability` stack.
    pub(crate) fn watch(&mut self, logical_id: &str, subject: Subject) {
        self.watches.push(Watch { logical_id: logical_id.to_owned(), subject });
    }

    /// Notes which way events or data go.
    pub(crate) fn flow(&mut self, from: Place, verb: impl Into<String>, to: Place) {
        let flow = Flow { from, verb: verb.into(), to };
        if !self.flows.contains(&flow) {
            self.flows.push(flow);
        }
    }

    /// Something in the stack's own region, as one end of a flow.
    pub(crate) fn place(&self, kind: &'static str, name: impl Into<String>) -> Place {
        Place { kind, name: name.into(), region: Some(self.region.clone()) }
    }

    /// Notes where a role's statement comes from.
    pub(crate) fn grant(&mut self, grant: Grant) {
        self.grants.push(grant);
    }

    /// A parameter that holds an output of another stack.
    #[track_caller]
    pub(crate) fn output_of<T: ParameterKind>(
        &mut self,
        parameter: &str,
        description: &str,
        stack: &'static str,
        region: &Region,
        output: &str,
    ) -> Value<T> {
        let stack = StackId { name: stack, region: region.clone() };
        self.input(parameter, description, Source::StackOutput { stack, output: output.to_owned() })
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

    /// An ARN of a global service, such as IAM, in the stack's own account.
    pub(crate) fn global_arn(&self, service: &str, resource: &str) -> Value<String> {
        cfn::sub(&format!("arn:${{AWS::Partition}}:{service}::${{AWS::AccountId}}:{resource}"))
    }

    /// The tags that are written out where CloudFormation doesn't hand the stack's tags on.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.environment.tags().iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The finished stack.
    pub(crate) fn finish(mut self) -> StackInstance {
        // CloudFormation's roles are made by `access`, and make no roles like its own: whoever deploys those needs no other.
        let execution_role = (!access::OF_ADMINISTRATORS.contains(&self.name))
            .then(|| self.environment.name(&access::execution_role_name(self.name)));
        self.template
            .metadata("Tandem", json!({"Stack": self.name, "Environment": self.environment.environment_name()}));
        StackInstance {
            id: StackId { name: self.name, region: self.region.clone() },
            cloudformation_name: self.environment.name(self.name),
            template: self.template,
            inputs: self.inputs,
            depends_on: self.depends_on,
            mistakes: self.mistakes,
            watches: self.watches,
            flows: self.flows,
            grants: self.grants,
            execution_role,
            bake: None,
            tags: self.environment.tags().clone(),
            termination_protection: self.environment.tables().deletion_protection,
        }
    }
}
