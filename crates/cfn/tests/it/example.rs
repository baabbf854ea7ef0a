//! A stack as a user would write it.

use cfn::dynamodb::{GlobalTable, global_table};
use cfn::iam::{Role, role};
use cfn::lambda::{EventSourceMapping, Function, event_source_mapping, function};
use cfn::prelude::*;
use cfn::{events, kms, logs, sqs};
use serde_json::json;

pub(crate) fn stack() -> Template {
    let mut stack = Template::new();
    stack.describe("an example");
    let key =
        stack.add("Key", kms::Key::new().description("example").enable_key_rotation(true).multi_region(true).retain());
    stack.add("KeyAlias", kms::Alias::new("alias/example", key.reference()));

    let east_key = stack.parameter("EastKeyArn", Parameter::new().description("replica of the key in us-east-1"));
    let replica = |region: &str, key: Value<cfn::Arn<kms::Key>>| {
        global_table::ReplicaSpecification::new(region)
            .point_in_time_recovery_specification(
                global_table::PointInTimeRecoverySpecification::new().point_in_time_recovery_enabled(true),
            )
            .deletion_protection_enabled(true)
            .sse_specification(global_table::ReplicaSSESpecification::new(key))
            .tags([("team", "orders")])
    };
    let table = stack.add(
        "Customers",
        GlobalTable::new([replica("us-west-2", key.arn()), replica("us-east-1", east_key)])
            .table_name("example-customers")
            .billing_mode(global_table::BillingMode::PayPerRequest)
            .attribute_definitions([global_table::AttributeDefinition::new("pk", global_table::AttributeType::S)])
            .key_schema([global_table::KeySchema::new("pk", global_table::KeyType::Hash)])
            .sse_specification(global_table::SSESpecification::new(true).sse_type(global_table::SSEType::Kms))
            .stream_specification(global_table::StreamSpecification::new(global_table::StreamViewType::NewAndOldImages))
            .retain(),
    );

    let dead_letters =
        stack.add("DeadLetters", sqs::Queue::new().kms_master_key_id(key.arn()).message_retention_period(1_209_600));
    let bus = stack.add("Bus", events::EventBus::new("example-bus").kms_key_identifier(key.arn()));
    let rule = stack.add(
        "ToQueue",
        events::Rule::new()
            .event_bus_name(bus.reference())
            .event_pattern(json!({"source": ["example.orders"]}))
            .targets([events::rule::Target::new(dead_letters.arn(), "queue")
                .dead_letter_config(events::rule::DeadLetterConfig::new().arn(dead_letters.arn()))]),
    );
    stack.add(
        "DeadLettersPolicy",
        sqs::QueuePolicy::new(
            json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
                "Resource": dead_letters.arn(), "Condition": {"ArnEquals": {"aws:SourceArn": rule.arn()}},
            }]}),
            [dead_letters.reference()],
        ),
    );

    let log_group =
        stack.add("ProcessorLogs", logs::LogGroup::new().log_group_name("/example/processor").retention_in_days(30));
    let role = stack.add(
        "ProcessorRole",
        Role::new(json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
        ]}))
        .policies([role::Policy::new(
            json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["dynamodb:GetRecords"], "Resource": table.stream_arn()},
            ]}),
            "read-stream",
        )]),
    );
    let code_bucket = stack.parameter("CodeBucket", Parameter::new().description("where the code is"));
    let processor = stack.add(
        "Processor",
        Function::new(function::Code::new().s3_bucket(code_bucket).s3_key("processor.zip"), role.arn())
            .function_name("example-processor")
            .handler("bootstrap")
            .runtime(function::Runtime::ProvidedAl2023)
            .architectures([function::Architecture::Arm64])
            .memory_size(256)
            .timeout(60)
            .environment(function::Environment::new().variables([("TABLE", table.reference())]))
            .logging_config(function::LoggingConfig::new().log_group(log_group.reference())),
    );
    stack.add(
        "ProcessorSource",
        EventSourceMapping::new(processor.arn())
            .event_source_arn(table.stream_arn())
            .starting_position("TRIM_HORIZON")
            .batch_size(100)
            .function_response_types([event_source_mapping::FunctionResponseType::ReportBatchItemFailures])
            .destination_config(
                event_source_mapping::DestinationConfig::new()
                    .on_failure(event_source_mapping::OnFailure::new().destination(dead_letters.arn())),
            ),
    );
    stack.output("BusArn", bus.arn()).export("example-bus-arn");
    stack
}

#[test]
fn the_rendered_stack_is_reviewed() {
    insta::assert_snapshot!(stack().render());
}

#[test]
fn the_stack_breaks_no_rule() {
    let violations = cfn::check(&stack(), "us-west-2");
    assert!(violations.is_empty(), "{violations:#?}");
}
