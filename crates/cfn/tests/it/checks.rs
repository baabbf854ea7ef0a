//! Each rule of `check`, by a template that breaks it and a neighbour that does not.

use cfn::dynamodb::{GlobalTable, Table, global_table, table};
use cfn::prelude::*;
use cfn::{Condition, Violation, ec2, events, iam, kms, lambda, logs, sns, sqs};
use serde_json::json;

/// The violations of a template in us-west-2, as `rule Resource path`.
fn broken(build: impl FnOnce(&mut Template)) -> Vec<String> {
    violations(build).iter().map(summary).collect()
}

fn violations(build: impl FnOnce(&mut Template)) -> Vec<Violation> {
    let mut template = Template::new();
    build(&mut template);
    cfn::check(&template, "us-west-2")
}

fn summary(violation: &Violation) -> String {
    let id = violation.logical_id.as_deref().unwrap_or("-");
    format!("{} {id} {}", violation.rule, violation.path).trim_end().to_owned()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_violation_tells_where_what_and_how_to_repair() {
    let found = violations(|stack| {
        stack.add("Work", sqs::Queue::new().delay_seconds(901));
    });
    let told = found[0].to_string();
    let file = file!();
    assert!(told.starts_with(&format!("{file}:")), "{told}");
    assert!(told.ends_with(": Work (AWS::SQS::Queue) DelaySeconds: 901 is above the maximum of 900 [range]"), "{told}");

    let found = violations(|stack| {
        stack.add("Logs", logs::LogGroup::new().retention_in_days(45));
    });
    let told = found[0].to_string();
    assert!(told.ends_with("`45` is not accepted [enum]\n  hint: the nearest accepted values are 30 and 60"), "{told}");
}

/// What the schemas demand beyond single values, each by a resource of raw properties.
#[test]
fn every_kind_of_demand_is_judged() {
    let of = |properties: serde_json::Value| {
        let mut set = cfn::Properties::new();
        for (name, value) in properties.as_object().expect("properties") {
            set.set(name, value.clone());
        }
        set
    };
    let table = |more: serde_json::Value| {
        let mut all = json!({
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "Replicas": [{"Region": "us-west-2"}], "BillingMode": "PAY_PER_REQUEST",
        });
        all.as_object_mut().expect("properties").extend(more.as_object().expect("properties").clone());
        broken(|stack| drop(stack.add("Table", GlobalTable::from_properties(of(all)).retain())))
    };
    let only = |found: Vec<String>, rule: &str| -> Vec<String> {
        found.into_iter().filter(|one| one.starts_with(rule)).collect()
    };
    assert_eq!(table(json!({})), NOTHING);
    // `const` in `prefixItems`: the first part of a key is its hash.
    let range_first = json!({"KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]});
    assert_eq!(only(table(range_first), "enum"), ["enum Table KeySchema/0/KeyType"]);
    // `uniqueKeys`.
    let twins = json!({"AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "pk", "AttributeType": "N"},
    ]});
    assert_eq!(only(table(twins), "unique"), ["unique Table AttributeDefinitions/1"]);
    // `if` and `then`: a local index needs a second attribute and a second part of the key.
    let index = json!({"LocalSecondaryIndexes": [{
        "IndexName": "by-name", "Projection": {"ProjectionType": "ALL"},
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}],
    }]});
    assert_eq!(
        only(table(index), "length"),
        ["length Table AttributeDefinitions", "length Table KeySchema"],
        "both are too short"
    );
    // `dependencies`.
    let recovery = json!({"Replicas": [{
        "Region": "us-west-2", "PointInTimeRecoverySpecification": {"RecoveryPeriodInDays": 7},
    }]});
    assert_eq!(only(table(recovery), "required"), ["required Table Replicas/0/PointInTimeRecoverySpecification"]);
    // `enumCaseInsensitive`.
    let address = |domain: &str| {
        let properties = of(json!({"Domain": domain}));
        broken(|stack| drop(stack.add("Address", ec2::EIP::from_properties(properties))))
    };
    assert_eq!((address("VPC"), address("mars")), (vec![], vec!["enum Address Domain".to_owned()]));
    // `oneOf`.
    let record = |zone: serde_json::Value| {
        let mut all = json!({"Name": "a.example.com", "Type": "A", "TTL": "60", "ResourceRecords": ["192.0.2.1"]});
        all.as_object_mut().expect("properties").extend(zone.as_object().expect("properties").clone());
        broken(|stack| drop(stack.add("Record", cfn::route53::RecordSet::from_properties(of(all)))))
    };
    let (by_id, by_name) = (json!({"HostedZoneId": "Z1"}), json!({"HostedZoneName": "example.com."}));
    assert_eq!((record(by_id), record(by_name)), (vec![], vec![]));
    let both = json!({"HostedZoneId": "Z1", "HostedZoneName": "example.com."});
    // The schema says it twice, by `oneOf` and by `requiredXor`.
    assert_eq!(record(json!({})), ["required Record", "one-of Record"]);
    assert_eq!(record(both), ["excluded Record", "one-of Record"]);
}

#[test]
fn numbers_have_ranges() {
    let queue =
        |seconds: i64| move |stack: &mut Template| drop(stack.add("Work", sqs::Queue::new().delay_seconds(seconds)));
    assert_eq!(broken(queue(-1)), ["range Work DelaySeconds"]);
    assert_eq!(broken(queue(0)), NOTHING);
    assert_eq!(broken(queue(900)), NOTHING);
    assert_eq!(broken(queue(901)), ["range Work DelaySeconds"]);
}

#[test]
fn text_has_a_length_and_a_form() {
    let alias = |name: &str| {
        let name = name.to_owned();
        move |stack: &mut Template| {
            let key = stack.add("Key", kms::Key::new());
            stack.add("Alias", kms::Alias::new(name, key.key_id()));
        }
    };
    assert_eq!(broken(alias("alias/orders")), NOTHING);
    assert_eq!(broken(alias("orders")), ["pattern Alias AliasName"]);
    assert_eq!(broken(alias(&format!("alias/{}", "x".repeat(300)))), ["length Alias AliasName"]);
    let tagged =
        |value: String| move |stack: &mut Template| drop(stack.add("Work", sqs::Queue::new().tags([("team", value)])));
    assert_eq!(broken(tagged("x".repeat(256))), NOTHING);
    assert_eq!(broken(tagged("x".repeat(257))), ["length Work Tags/0/Value"]);
    assert_eq!(broken(tagged("a;b".to_owned())), ["pattern Work Tags/0/Value"]);
}

#[test]
fn intrinsics_pass() {
    assert_eq!(
        broken(|stack| {
            let seconds = stack.parameter::<i64>("Seconds", Parameter::new());
            stack.add("Work", sqs::Queue::new().delay_seconds(seconds).tags([("team", cfn::join(";", ["a", "b"]))]));
        }),
        NOTHING
    );
}

#[test]
fn lists_have_sizes_and_no_twins() {
    let role = |policies: Vec<&'static str>| {
        move |stack: &mut Template| {
            let trust = json!({"Version": "2012-10-17", "Statement": []});
            drop(stack.add("Role", iam::Role::new(trust).managed_policy_arns(policies)));
        }
    };
    assert_eq!(broken(role(vec!["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"])), NOTHING);
    assert_eq!(
        broken(role(vec!["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/A"])),
        ["unique Role ManagedPolicyArns/1"]
    );
    assert_eq!(
        broken(|stack| {
            let none: [table::KeySchema; 0] = [];
            stack.add("Table", Table::new(none));
        }),
        ["length Table KeySchema"]
    );
}

#[test]
fn alternatives_are_exclusive() {
    let group = |ingress: ec2::security_group::Ingress| {
        move |stack: &mut Template| {
            let vpc = stack.add("Vpc", ec2::VPC::new().cidr_block("10.0.0.0/16"));
            let group = ec2::SecurityGroup::new("brokers").vpc_id(vpc.reference()).security_group_ingress([ingress]);
            drop(stack.add("Group", group));
        }
    };
    let ingress = || ec2::security_group::Ingress::new("tcp").from_port(443).to_port(443);
    assert_eq!(broken(group(ingress().cidr_ip("10.0.0.0/8"))), NOTHING);
    assert_eq!(broken(group(ingress())), ["required Group SecurityGroupIngress/0"]);
    assert_eq!(
        broken(group(ingress().cidr_ip("10.0.0.0/8").cidr_ipv6("::/0"))),
        ["excluded Group SecurityGroupIngress/0"]
    );
    assert_eq!(broken(|stack| drop(stack.add("Vpc", ec2::VPC::new()))), ["required Vpc"]);
    assert_eq!(broken(|stack| drop(stack.add("Rule", events::Rule::new()))), ["required Rule"]);
    assert_eq!(
        broken(|stack| drop(stack.add("Rule", events::Rule::new().schedule_expression("rate(1 minute)")))),
        NOTHING
    );
}

#[test]
fn a_type_has_regions() {
    let mut template = Template::new();
    template.add("Work", sqs::Queue::new());
    assert_eq!(cfn::check(&template, "us-east-1"), []);
    // A region that nothing is recorded about is no reason to refuse every resource.
    let found = cfn::check(&template, "mars-north-1");
    assert_eq!(found.iter().map(|one| (one.rule, one.severity)).collect::<Vec<_>>(), [("region", cfn::Severity::Note)]);
}

#[test]
fn names_are_alphanumeric_and_given_once() {
    assert_eq!(broken(|stack| drop(stack.add("Work-Queue", sqs::Queue::new()))), ["logical-id Work-Queue"]);
    let twice = violations(|stack| {
        stack.add("Work", sqs::Queue::new());
        stack.add("Work", sns::Topic::new());
    });
    assert_eq!(twice.iter().map(summary).collect::<Vec<_>>(), ["duplicate-name Work"]);
    assert!(twice[0].message.contains(file!()), "the first place is named: {}", twice[0].message);
    // Outputs have a space of names of their own.
    assert_eq!(
        broken(|stack| {
            let queue = stack.add("Work", sqs::Queue::new());
            stack.output("Work", queue.arn());
        }),
        NOTHING
    );
    assert_eq!(
        broken(|stack| {
            let queue = stack.add("Work", sqs::Queue::new());
            stack.output("Arn", queue.arn());
            stack.output("Arn", queue.arn());
        }),
        ["duplicate-name Arn"]
    );
}

#[test]
fn names_lead_somewhere() {
    let mut other = Template::new();
    let elsewhere = other.add("Elsewhere", sqs::Queue::new());
    assert_eq!(
        broken(|stack| {
            let topic = stack.add("News", sns::Topic::new().display_name(cfn::sub("${Nothing.Arn} ${AWS::Region}")));
            stack.add("Work", sqs::Queue::new().queue_name(cfn::sub("${News.Color}")).depends_on(&elsewhere));
            stack.output("Where", elsewhere.arn());
            stack.output("Topic", topic.reference());
        }),
        ["dangling News DisplayName", "attribute Work QueueName", "dangling Work", "dangling Where"]
    );
    assert_eq!(
        broken(|stack| {
            stack.parameter::<String>("Unused", Parameter::new());
            stack.add("Work", sqs::Queue::new());
        }),
        ["unused-parameter Unused"]
    );
}

#[test]
fn conditions_lead_somewhere() {
    let mut other = Template::new();
    let elsewhere = other.condition("Elsewhere", Condition::equals("a", "b"));
    assert_eq!(
        broken(|stack| {
            let not = stack.condition("Not", Condition::not(&elsewhere));
            let work = stack.add("Work", sqs::Queue::new().only_if(&not));
            stack.output("Where", work.arn()).only_if(&elsewhere);
        }),
        ["dangling Where", "dangling Not"]
    );
}

#[test]
fn circles_are_told_once() {
    let found = violations(|stack| {
        let first = stack.add("A", sqs::Queue::new());
        let second = stack.add("B", sqs::Queue::new().queue_name(cfn::sub("${A.QueueUrl}")));
        stack.add("C", sqs::Queue::new().depends_on(&first));
        stack.depends_on(&first, &second);
    });
    let told: Vec<&str> = found.iter().map(|violation| violation.message.as_str()).collect();
    assert_eq!(told, ["needs itself: A → B → A"]);
}

#[test]
fn templates_have_limits() {
    let queues = |count: usize| {
        move |stack: &mut Template| {
            for index in 0..count {
                stack.add(&format!("Queue{index}"), sqs::Queue::new());
            }
        }
    };
    assert_eq!(broken(queues(0)), ["limit -"]);
    assert_eq!(broken(queues(500)), NOTHING);
    assert_eq!(broken(queues(501)), ["limit -"]);
    let body = |length: usize| {
        move |stack: &mut Template| {
            stack.metadata("notes", "x".repeat(length));
            stack.add("Work", sqs::Queue::new());
        }
    };
    assert_eq!(broken(body(50_000)), NOTHING);
    assert_eq!(broken(body(60_000)), ["size -"]);
    assert_eq!(broken(body(1_100_000)), ["limit -"]);
}

fn function(stack: &mut Template, timeout: i64) -> Handle<lambda::Function> {
    let trust = json!({"Version": "2012-10-17", "Statement": []});
    let role = stack.add("Role", iam::Role::new(trust));
    let code = lambda::function::Code::new().zip_file("exports.handler = 1");
    stack.add(
        "Reader",
        lambda::Function::new(code, role.arn())
            .handler("index.handler")
            .runtime(lambda::function::Runtime::Nodejs24X)
            .timeout(timeout),
    )
}

#[test]
fn a_required_property_that_is_taken_away_is_missing() {
    let broken = broken(|stack| {
        let code = lambda::function::Code::new().zip_file("exports.handler = async () => {};");
        let role = pseudo::no_value::<cfn::Arn<iam::Role>>();
        stack.add("Reader", lambda::Function::new(code, role));
    });
    assert_eq!(broken, ["required Reader"]);
}

#[test]
fn queues_of_a_kind_stay_together() {
    let named = |name: &'static str, fifo: bool| {
        move |stack: &mut Template| drop(stack.add("Work", sqs::Queue::new().queue_name(name).fifo_queue(fifo)))
    };
    assert_eq!(broken(named("work.fifo", true)), NOTHING);
    assert_eq!(broken(named("work", true)), ["fifo-name Work QueueName"]);
    assert_eq!(broken(named("work.fifo", false)), ["fifo-name Work QueueName"]);
    let dead_letters = |fifo: bool| {
        move |stack: &mut Template| {
            let target = stack.add("Dead", sqs::Queue::new().fifo_queue(fifo));
            let policy = sqs::queue::RedrivePolicy::new().dead_letter_target_arn(target.arn()).max_receive_count(3);
            stack.add("Work", sqs::Queue::new().redrive_policy(policy));
        }
    };
    assert_eq!(broken(dead_letters(false)), NOTHING);
    assert_eq!(broken(dead_letters(true)), ["dead-letter-kind Work RedrivePolicy/deadLetterTargetArn"]);
}

#[test]
fn mappings_fit_their_source() {
    let queue = |change: fn(lambda::EventSourceMapping) -> lambda::EventSourceMapping| {
        move |stack: &mut Template| {
            let reader = function(stack, 3);
            let work = stack.add("Work", sqs::Queue::new());
            let mapping = lambda::EventSourceMapping::new(reader.arn()).event_source_arn(work.arn());
            stack.add("Source", change(mapping));
        }
    };
    assert_eq!(broken(queue(|mapping| mapping.batch_size(10))), NOTHING);
    assert_eq!(
        broken(queue(|mapping| mapping.batch_size(100))),
        ["batching-window Source MaximumBatchingWindowInSeconds"]
    );
    assert_eq!(broken(queue(|mapping| mapping.batch_size(100).maximum_batching_window_in_seconds(1))), NOTHING);
    assert_eq!(
        broken(queue(|mapping| mapping.starting_position("LATEST"))),
        ["starting-position Source StartingPosition"]
    );
    let stream = |position: Option<&'static str>| {
        move |stack: &mut Template| {
            let reader = function(stack, 3);
            let arn = "arn:aws:dynamodb:us-west-2:000000000000:table/t/stream/2026-01-01T00:00:00.000";
            let mapping = lambda::EventSourceMapping::new(reader.arn()).event_source_arn(arn);
            stack.add("Source", position.into_iter().fold(mapping, lambda::EventSourceMapping::starting_position));
        }
    };
    assert_eq!(broken(stream(Some("TRIM_HORIZON"))), NOTHING);
    assert_eq!(broken(stream(None)), ["starting-position Source StartingPosition"]);
}

#[test]
fn a_permission_names_its_source() {
    let permission = |source: Option<&'static str>| {
        move |stack: &mut Template| {
            let reader = function(stack, 3);
            let permission = lambda::Permission::new("lambda:InvokeFunction", reader.arn(), "events.amazonaws.com");
            stack.add("Allow", source.into_iter().fold(permission, lambda::Permission::source_arn));
        }
    };
    assert_eq!(broken(permission(Some("arn:aws:events:us-west-2:000000000000:rule/r"))), NOTHING);
    assert_eq!(broken(permission(None)), ["permission-source Allow SourceArn"]);
}

fn replica(region: &str) -> global_table::ReplicaSpecification {
    global_table::ReplicaSpecification::new(region)
}

/// A sound table of two replicas, changed by the caller.
fn global_table(
    regions: [global_table::ReplicaSpecification; 2],
    change: fn(GlobalTable) -> GlobalTable,
) -> impl FnOnce(&mut Template) {
    move |stack| {
        let table = GlobalTable::new(regions)
            .billing_mode(global_table::BillingMode::PayPerRequest)
            .attribute_definitions([global_table::AttributeDefinition::new("pk", global_table::AttributeType::S)])
            .key_schema([global_table::KeySchema::new("pk", global_table::KeyType::Hash)])
            .stream_specification(global_table::StreamSpecification::new(
                global_table::StreamViewType::NewAndOldImages,
            ));
        drop(stack.add("Table", change(table)));
    }
}

#[test]
fn a_global_table_is_at_home_and_alike_everywhere() {
    let sound = || [replica("us-west-2"), replica("us-east-1")];
    assert_eq!(broken(global_table(sound(), |table| table)), NOTHING);
    assert_eq!(
        broken(global_table([replica("us-east-1"), replica("us-east-2")], |table| { table })),
        ["global-table-region Table Replicas"]
    );
    assert_eq!(
        broken(global_table([replica("us-west-2").deletion_protection_enabled(true), replica("us-east-1")], |table| {
            table
        })),
        ["global-table-replicas Table Replicas/1/DeletionProtectionEnabled"]
    );
    let protected = |protect| {
        [("us-west-2", true), ("us-east-1", protect)]
            .map(|(region, protect)| replica(region).deletion_protection_enabled(protect))
    };
    assert_eq!(broken(global_table(protected(true), |table| table)), NOTHING);
    assert_eq!(
        broken(global_table(protected(false), |table| table)),
        ["global-table-replicas Table Replicas/1/DeletionProtectionEnabled"]
    );
    let keys_only = |table: GlobalTable| {
        table.stream_specification(global_table::StreamSpecification::new(global_table::StreamViewType::KeysOnly))
    };
    assert_eq!(broken(global_table(sound(), keys_only)), ["global-table-stream Table StreamSpecification"]);
    let strong = |table: GlobalTable| table.multi_region_consistency(global_table::MultiRegionConsistency::Strong);
    assert_eq!(broken(global_table(sound(), strong)), ["global-table-consistency Table MultiRegionConsistency"]);
    let witnessed = |table: GlobalTable| {
        table
            .multi_region_consistency(global_table::MultiRegionConsistency::Strong)
            .global_table_witnesses([global_table::GlobalTableWitness::new().region("us-east-2")])
    };
    assert_eq!(broken(global_table(sound(), witnessed)), NOTHING);
}

#[test]
fn key_attributes_are_defined_and_no_others() {
    let sound = || [replica("us-west-2"), replica("us-east-1")];
    assert_eq!(
        broken(global_table(sound(), |table| {
            table.attribute_definitions([global_table::AttributeDefinition::new("sk", global_table::AttributeType::S)])
        })),
        ["attribute-definitions Table KeySchema/0", "attribute-definitions Table AttributeDefinitions/0"]
    );
    assert_eq!(
        broken(global_table(sound(), |table| {
            table.key_schema([global_table::KeySchema::new("pk", global_table::KeyType::Range)])
        })),
        ["enum Table KeySchema/0/KeyType"]
    );
}
