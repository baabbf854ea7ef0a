//! Lambda functions: code, log group, role, and the permissions that their declaration asks for.

use std::collections::BTreeMap;

use cfn::lambda::function::{
    Architecture, Code, Environment as Variables, LogFormat, LoggingConfig, Runtime, SystemLogLevel, TracingConfig,
    TracingConfigMode,
};
use cfn::{Arn, Handle, Id, Value, iam, kms, lambda, logs, s3};
use contracts::{Binding, Flow as Direction, Need, Text};

use crate::constructs::policy::{Statement, statements_of};
use crate::constructs::queue::whole_seconds;
use crate::constructs::trigger::Trigger;
use crate::constructs::{Scope, accepted, role, stateful};
use crate::environment::Program;
use crate::system::{Place, Source, Subject};

/// What all functions of a region share.
pub(crate) struct Shared<'a> {
    /// The bucket with their code.
    pub(crate) code_bucket: &'a Value<Id<s3::Bucket>>,
    /// The region's key.
    pub(crate) key: &'a Value<Arn<kms::Key>>,
}

/// Adds a function with everything it needs, started by `trigger`.
///
/// Its role may do what the binding declares, what its trigger takes, and write its log; nothing else.
#[track_caller]
pub(crate) fn add<B: Binding<Value<String>>>(
    scope: &mut Scope<'_>,
    logical_id: &str,
    binding: &B,
    shared: &Shared<'_>,
    trigger: &Trigger<'_>,
) -> Handle<lambda::Function> {
    scope.report(binding.mistakes());
    // Code, name and settings follow from the binding: another program's code can't run with them.
    let program = Program::ALL.into_iter().find(|program| program.name() == B::PROGRAM);
    let program = program.expect("every program with a function binding has settings in the environment");
    let log_group = log_group(scope, logical_id, program.name(), shared.key);
    let mut needs = binding.needs();
    draw(scope, program.name(), &needs);
    needs.extend(trigger.needs(shared.key));
    let role = execution_role(scope, logical_id, program, &log_group, &needs);

    let mut variables = variables(binding);
    let settings = scope.environment.function(program);
    variables.insert("RUST_LOG".to_owned(), settings.log_level.name().into());
    let code_key: Value<String> = scope.input(
        &format!("{logical_id}CodeKey"),
        &format!("Key of {}'s code in the artifact bucket", program.name()),
        Source::CodeKey { program: program.name() },
    );
    let name = scope.environment.name(program.name());
    let mut function = lambda::Function::new(Code::new().s3_bucket(shared.code_bucket).s3_key(code_key), role.arn())
        .function_name(name.as_str())
        .description(format!("{} of {}", program.name(), scope.environment.environment_name()))
        .runtime(Runtime::ProvidedAl2023)
        .handler("bootstrap")
        .architectures([Architecture::Arm64])
        .memory_size(settings.memory.mebibytes())
        .timeout(whole_seconds(settings.timeout))
        .kms_key_arn(shared.key)
        .environment(Variables::new().variables(variables))
        .logging_config(
            LoggingConfig::new()
                .log_group(log_group.reference())
                .log_format(LogFormat::Json)
                .system_log_level(SystemLogLevel::Warn),
        );
    if scope.environment.functions().tracing {
        function = function.tracing_config(TracingConfig::new().mode(TracingConfigMode::Active));
    }
    if let Some((layer, version)) = scope.environment.functions().layer_of(program) {
        function = function.layers([layer_version(scope, layer, version)]);
    }
    if let Some(reserved) = settings.reserved_concurrency {
        function = function.reserved_concurrent_executions(reserved);
    }
    let takes_failures = trigger.what_takes_failures();
    let mut exceptions = vec![("CKV_AWS_117", why_outside_a_vpc(program)), ("CKV_AWS_116", takes_failures.as_str())];
    if settings.reserved_concurrency.is_none() {
        exceptions.push(("CKV_AWS_115", "this environment sets no concurrency aside for it: it shares the account's"));
    }
    let function = scope.add(logical_id, accepted(function, &exceptions));
    let reads_streams = trigger.reads_streams();
    scope.watch(logical_id, Subject::Function { function: name, timeout: settings.timeout, reads_streams });
    trigger.connect(scope, logical_id, &function, program);
    function
}

/// A layer's version in the stack's own region and account. Nobody declares it here: what is in it isn't ours to ship.
fn layer_version(scope: &Scope<'_>, layer: &str, version: u32) -> Value<String> {
    let name = scope.environment.name(layer);
    cfn::sub(&format!("arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:layer:{name}:{version}"))
}

/// Why a function isn't in the region's network: it would reach nothing there that it can't reach without.
fn why_outside_a_vpc(program: Program) -> &'static str {
    match program {
        Program::Authorizer => {
            "it reads a secret from AWS's own endpoint, and an issuer's public keys from the internet: in a VPC it would \
             need an endpoint and a NAT gateway, and reach nothing more"
        }
        Program::EventRouter | Program::HealthChecker => {
            "it speaks to AWS's own endpoints only, also in other regions, where a VPC's endpoints don't lead: it would \
             need a NAT gateway, and reach nothing more"
        }
        Program::EventTransformer | Program::StreamProcessor => {
            "it speaks to AWS's own endpoints of its region only: in a VPC each would need an endpoint, and it would \
             reach nothing more"
        }
    }
}

/// The function's place in the diagram of flows.
pub(crate) fn place(scope: &Scope<'_>, program: &str) -> Place {
    scope.place("function", program)
}

/// Draws what a program's needs say.
pub(crate) fn draw(scope: &mut Scope<'_>, program: &str, needs: &[Need<Value<String>>]) {
    let own = [scope.region.clone()];
    for need in needs {
        let regions = if need.regions.is_empty() { &own[..] } else { &need.regions };
        for region in regions {
            let here = place(scope, program);
            let there = Place { kind: need.kind, name: need.target.clone(), region: Some(region.clone()) };
            let (from, to) = match need.flow {
                Direction::In => (there, here),
                Direction::Out | Direction::Both => (here, there),
            };
            scope.flow(from, need.verb, to);
        }
    }
}

#[track_caller]
fn execution_role(
    scope: &mut Scope<'_>,
    logical_id: &str,
    program: Program,
    log_group: &Handle<logs::LogGroup>,
    needs: &[Need<Value<String>>],
) -> Handle<iam::Role> {
    let name = program.name();
    let log = Statement::allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.arn().into()])
        .because(format!("Lambda writes the log of `{name}`"));
    let traces = scope.environment.functions().tracing.then(|| {
        let actions = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"];
        Statement::allow_on_any("Traces", actions, "these actions of X-Ray know no resource")
            .because(format!("Lambda records the invocations of `{name}`"))
    });
    let trust = Statement::allow("Lambda", ["sts:AssumeRole"], []).for_service("lambda.amazonaws.com");
    let description = format!("what {name} may do in {} of {}", scope.region, scope.environment.environment_name());
    role::draft([trust], name, [log].into_iter().chain(traces).chain(statements_of(name, needs)))
        .with(|role| role.description(description))
        .add(scope, &format!("{logical_id}Role"))
}

/// The function's log group, declared so that its retention and key are ours and not Lambda's defaults.
#[track_caller]
fn log_group(
    scope: &mut Scope<'_>,
    logical_id: &str,
    program: &str,
    key: &Value<Arn<kms::Key>>,
) -> Handle<logs::LogGroup> {
    let name = format!("/tandem/{}/{program}", scope.environment.environment_name());
    let retention = scope.environment.logs().retention.days();
    scope.add(
        &format!("{logical_id}Log"),
        stateful(logs::LogGroup::new().log_group_name(name).retention_in_days(retention).kms_key_id(key)),
    )
}

fn variables<B: Binding<Value<String>>>(binding: &B) -> BTreeMap<String, Value<String>> {
    binding
        .variables()
        .into_iter()
        .map(|variable| {
            let value = match variable.value {
                Text::Literal(text) => text.into(),
                Text::Template(value) => value,
            };
            (variable.name.to_owned(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contracts::{StreamProcessorBinding, StreamProcessorSettings};

    use super::*;
    use crate::constructs::queue::OpenQueue;
    use crate::constructs::trigger::Streams;
    use crate::environment::Environment;

    #[test]
    fn a_setting_outside_the_contract_is_reported() {
        let text = include_str!("../../../environments/sandbox.toml");
        let environment = Environment::parse("sandbox.toml", text).expect("a good file");
        let mut scope = Scope::new(&environment, environment.primary(), "events", "a test");
        let key = Value::assume("arn:aws:kms:us-west-2:000000000000:key/test");
        let queue = OpenQueue::dead_letters(&mut scope, "Letters", "letters", &key).for_roles(&mut scope);
        let binding = StreamProcessorBinding {
            bus: contracts::Bound::new("bus", "bus".into(), Vec::new()),
            dead_letters: queue.send(),
            settings: StreamProcessorSettings { publish_timeout: Duration::from_secs(61), ..Default::default() },
        };
        let shared = Shared { code_bucket: &Value::assume("bucket"), key: &key };
        let streams =
            Streams { tables: &[], settings: &environment.functions().stream_processor.stream, give_up_to: &queue };
        add(&mut scope, "StreamProcessor", &binding, &shared, &Trigger::Streams(streams));
        let mistakes = scope.finish().mistakes;
        assert_eq!(mistakes, ["stream-processor: `publish_timeout` is `61s`, which is outside its range 1s to 1m"]);
    }
}
