//! Lambda functions: code, log group, role, and the permissions that their declaration asks for.

use std::collections::BTreeMap;

use cfn::lambda::event_source_mapping::{DestinationConfig, Filter, FilterCriteria, FunctionResponseType, OnFailure};
use cfn::lambda::function::{
    Architecture, Code, Environment as Variables, LogFormat, LoggingConfig, Runtime, SystemLogLevel,
};
use cfn::{Arn, Handle, Id, Value, iam, kms, lambda, logs, s3};
use contracts::{Binding, KeyNeed, Need, Text};
use events::Entity;

use crate::constructs::policy::{Statement, document, statements_of};
use crate::constructs::queue::{Queue, whole_seconds};
use crate::constructs::{Scope, stateful, table};
use crate::environment::Program;
use crate::system::Source;

/// What a function reads: the streams of these tables.
pub(crate) struct Streams<'a> {
    /// Each table with the ARN of its stream in this region.
    pub(crate) tables: &'a [(Entity, Value<String>)],
    /// Gets a pointer (shard and sequence numbers, no bodies) to each batch that is given up on; the stream keeps the
    /// records for 24 hours after their change.
    pub(crate) give_up_to: &'a Queue,
}

/// Adds a function with everything it needs, fed by streams.
///
/// Its role may do what the binding declares, read the streams, give up to the failure queue and write its log; nothing else.
#[track_caller]
pub(crate) fn add<B: Binding<Value<String>>>(
    scope: &mut Scope<'_>,
    logical_id: &str,
    binding: &B,
    code_bucket: &Value<Id<s3::Bucket>>,
    key: &Value<Arn<kms::Key>>,
    streams: &Streams<'_>,
) {
    scope.report(binding.mistakes());
    // Code, name and settings follow from the binding: another program's code can't run with them.
    let program = Program::ALL.into_iter().find(|program| program.name() == B::PROGRAM);
    let program = program.expect("every program with a function binding has settings in the environment");
    let settings = scope.environment.function(program);
    let name = program.name();
    let log_group = log_group(scope, logical_id, name, key);

    let mut statements =
        vec![Statement::allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.arn().into()])];
    let mut needs = binding.needs();
    needs.extend(stream_needs(streams, key));
    statements.extend(statements_of(&needs));
    let role = scope.add(
        &format!("{logical_id}Role"),
        iam::Role::new(document([
            Statement::allow("Lambda", ["sts:AssumeRole"], []).for_service("lambda.amazonaws.com")
        ]))
        .description(format!("what {name} may do in {} of {}", scope.region, scope.environment.environment_name()))
        .policies([iam::role::Policy::new(document(statements), name)]),
    );

    let code_key: Value<String> = scope.input(
        &format!("{logical_id}CodeKey"),
        &format!("Key of {name}'s code in the artifact bucket"),
        Source::CodeKey { program: name },
    );
    let mut variables = variables(binding);
    variables.insert("RUST_LOG".to_owned(), settings.log_level.name().into());
    let mut function = lambda::Function::new(Code::new().s3_bucket(code_bucket).s3_key(code_key), role.arn())
        .function_name(scope.environment.name(name))
        .description(format!("{name} of {}", scope.environment.environment_name()))
        .runtime(Runtime::ProvidedAl2023)
        .handler("bootstrap")
        .architectures([Architecture::Arm64])
        .memory_size(settings.memory.mebibytes())
        .timeout(whole_seconds(settings.timeout))
        .kms_key_arn(key)
        .environment(Variables::new().variables(variables))
        .logging_config(
            LoggingConfig::new()
                .log_group(log_group.reference())
                .log_format(LogFormat::Json)
                .system_log_level(SystemLogLevel::Warn),
        );
    if let Some(reserved) = settings.reserved_concurrency {
        function = function.reserved_concurrent_executions(reserved);
    }
    let function = scope.add(logical_id, function);
    for (entity, stream) in streams.tables {
        map_stream(scope, logical_id, &function, program, *entity, stream, streams.give_up_to);
    }
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

/// What reading the streams takes; Lambda reads them with the function's role.
fn stream_needs(streams: &Streams<'_>, key: &Value<Arn<kms::Key>>) -> [Need<Value<String>>; 2] {
    let key_need = |via_service, actions| Some(KeyNeed { key: key.clone().into(), actions, via_service });
    [
        Need {
            field: "streams",
            actions: &[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ],
            resources: streams.tables.iter().map(|(_, stream)| stream.clone()).collect(),
            key: key_need("dynamodb", &["kms:Decrypt"]),
        },
        Need {
            field: "give_up_to",
            actions: &["sqs:SendMessage"],
            resources: vec![streams.give_up_to.arn().into()],
            key: key_need("sqs", &["kms:Decrypt", "kms:GenerateDataKey"]),
        },
    ]
}

/// Feeds a table's stream to the function.
#[track_caller]
fn map_stream(
    scope: &mut Scope<'_>,
    logical_id: &str,
    function: &Handle<lambda::Function>,
    program: Program,
    entity: Entity,
    stream: &Value<String>,
    give_up_to: &Queue,
) {
    let settings = scope.environment.stream(program);
    // Replicated rows and time-to-live clean-ups need no invocation. Rows without an origin do get through:
    // the program puts them among its dead letters, where somebody sees them.
    let own_origin = format!(r#""{}""#, scope.region);
    let no_origin = r#"{"exists":false}"#.to_owned();
    let filters = [own_origin, no_origin].map(|origin| {
        Filter::new().pattern(format!(
            r#"{{"dynamodb":{{"NewImage":{{"origin_region":{{"S":[{origin}]}}}}}},"eventName":["INSERT","MODIFY"]}}"#
        ))
    });
    let mapping = lambda::EventSourceMapping::new(function.reference())
        .event_source_arn(stream)
        // Nothing that was written before the mapping existed is passed over.
        .starting_position("TRIM_HORIZON")
        .batch_size(settings.batch_size)
        .parallelization_factor(settings.parallelization)
        .function_response_types([FunctionResponseType::ReportBatchItemFailures])
        .bisect_batch_on_function_error(true)
        .maximum_retry_attempts(settings.retries)
        .maximum_record_age_in_seconds(whole_seconds(settings.max_age))
        .destination_config(DestinationConfig::new().on_failure(OnFailure::new().destination(give_up_to.arn())))
        .filter_criteria(FilterCriteria::new().filters(filters));
    scope.add(&format!("{logical_id}{}Stream", table::logical_id(entity)), mapping);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contracts::{StreamProcessorBinding, StreamProcessorSettings};

    use super::*;
    use crate::constructs::queue::OpenQueue;
    use crate::environment::Environment;

    #[test]
    fn a_setting_outside_the_contract_is_reported() {
        let text = include_str!("../../../environments/sandbox.toml");
        let environment = Environment::parse("sandbox.toml", text).expect("a good file");
        let mut scope = Scope::new(&environment, environment.primary(), "events", "a test");
        let key = Value::assume("arn:aws:kms:us-west-2:000000000000:key/test");
        let queue =
            OpenQueue::add(&mut scope, "Letters", "letters", Duration::from_secs(60), &key).for_roles(&mut scope);
        let binding = StreamProcessorBinding {
            bus: contracts::Bound::new("bus".into(), Vec::new()),
            dead_letters: queue.send(),
            settings: StreamProcessorSettings { publish_timeout: Duration::from_secs(61), ..Default::default() },
        };
        let streams = Streams { tables: &[], give_up_to: &queue };
        add(&mut scope, "StreamProcessor", &binding, &Value::assume("bucket"), &key, &streams);
        let mistakes = scope.finish().mistakes;
        assert_eq!(mistakes, ["stream-processor: `publish_timeout` is `61s`, which is outside its range 1s to 1m"]);
    }
}
