//! Deliberately wrong systems, environments and templates, and what is said about each: place and repair.
//!
//! Wrong single templates are in `cfn`'s own tests.

use cfn::prelude::*;
use cfn::{dynamodb, iam, s3, sqs};
use contracts::Region;
use infra::environment::Environment;
use infra::rules::{Finding, GUARD_FILES, check};
use infra::{Input, Source, StackId, StackInstance, System, system};
use policy::{Outcome, RuleFile, Status};
use serde_json::{Value as Json, json};

const SANDBOX: &str = include_str!("../../environments/sandbox.toml");
const STAGING: &str = include_str!("../../environments/staging.toml");

fn sandbox() -> System {
    let environment = Environment::parse("environments/sandbox.toml", SANDBOX).expect("a good file");
    system(&environment)
}

fn stack<'a>(system: &'a mut System, name: &str, region: &str) -> &'a mut StackInstance {
    let wanted = |stack: &&mut StackInstance| stack.id.name == name && stack.id.region.as_str() == region;
    system.stacks.iter_mut().find(wanted).unwrap_or_else(|| panic!("there is no {name}@{region}"))
}

fn id(name: &'static str, region: &str) -> StackId {
    StackId { name, region: Region::new(region).expect("a region") }
}

type Change = fn(&mut System);

/// Each change with the rule that must tell of it, once.
const SYSTEMS: [(&str, Change, &str); 16] = [
    (
        "a table with two homes",
        |system| {
            let replica = dynamodb::global_table::ReplicaSpecification::new("us-east-1");
            let table = dynamodb::GlobalTable::new([replica]).table_name("tandem-sandbox-customers");
            stack(system, "events", "us-east-1").template.add("Customers", table);
        },
        "one-home",
    ),
    (
        "a regional table beside a replica",
        |system| {
            let keys = [dynamodb::table::KeySchema::new("pk", "HASH")];
            let table = dynamodb::Table::new(keys).table_name("tandem-sandbox-orders");
            stack(system, "state", "us-east-1").template.add("Orders", table);
        },
        "one-home",
    ),
    (
        "a role in both regions",
        |system| {
            for region in ["us-west-2", "us-east-1"] {
                let role = iam::Role::new(json!({"Statement": []})).role_name("tandem-sandbox-twice");
                stack(system, "events", region).template.add("Twice", role);
            }
        },
        "one-home",
    ),
    (
        "a managed policy in both regions",
        |system| {
            for region in ["us-west-2", "us-east-1"] {
                let policy = iam::ManagedPolicy::new(json!({"Statement": []})).managed_policy_name("tandem-twice");
                stack(system, "events", region).template.add("TwicePolicy", policy);
            }
        },
        "one-home",
    ),
    (
        "an identity provider in both regions",
        |system| {
            for region in ["us-west-2", "us-east-1"] {
                let provider = iam::OIDCProvider::new().url("https://tokens.example.com");
                stack(system, "events", region).template.add("Tokens", provider);
            }
        },
        "one-home",
    ),
    (
        "a bucket's name in two regions",
        |system| {
            for region in ["us-west-2", "us-east-1"] {
                let name = cfn::sub("tandem-twice-${AWS::AccountId}");
                stack(system, "events", region).template.add("TwiceBucket", s3::Bucket::new().bucket_name(name));
            }
        },
        "one-home",
    ),
    (
        "a record in two stacks",
        |system| {
            for region in ["us-west-2", "us-east-1"] {
                let record = cfn::route53::RecordSet::new("events.example.com.", "A").set_identifier("west");
                stack(system, "events", region).template.add("Record", record);
            }
        },
        "one-home",
    ),
    (
        "a replicated secret that the other region has too",
        |system| {
            let replica = cfn::secretsmanager::secret::ReplicaRegion::new("us-east-1");
            let secret = cfn::secretsmanager::Secret::new().name("tandem/twice").replica_regions([replica]);
            stack(system, "events", "us-west-2").template.add("TwiceSecret", secret);
            let secret = cfn::secretsmanager::Secret::new().name("tandem/twice");
            stack(system, "events", "us-east-1").template.add("TwiceSecret", secret);
        },
        "one-home",
    ),
    (
        "a queue's name in two stacks of a region",
        |system| {
            for name in ["events", "state"] {
                let queue = sqs::Queue::new().queue_name("tandem-sandbox-twice");
                stack(system, name, "us-west-2").template.add("TwiceQueue", queue);
            }
        },
        "one-home",
    ),
    (
        "dead letters that no alarm watches",
        |system| {
            let template = &mut stack(system, "events", "us-west-2").template;
            let dead = template.add("Unwatched", sqs::Queue::new().queue_name("tandem-sandbox-unwatched"));
            let redrive = sqs::queue::RedrivePolicy::new().dead_letter_target_arn(dead.arn()).max_receive_count(5);
            template.add("Reader", sqs::Queue::new().queue_name("tandem-sandbox-read").redrive_policy(redrive));
        },
        "dead-letter-alarm",
    ),
    (
        "an output that isn't there",
        |system| {
            let source = Source::StackOutput { stack: id("keys", "us-west-2"), output: "Nothing".to_owned() };
            let data = stack(system, "data", "us-west-2");
            data.template.parameter::<String>("Nothing", Parameter::new());
            data.inputs.push(Input { parameter: "Nothing".to_owned(), source });
        },
        "input",
    ),
    (
        "a parameter that nothing fills",
        |system| {
            stack(system, "data", "us-west-2").template.parameter::<String>("Empty", Parameter::new());
        },
        "input",
    ),
    (
        "an input without a parameter",
        |system| {
            // A stack that has the bucket before it anyway.
            let input = Input { parameter: "Nowhere".to_owned(), source: Source::CodeBucket };
            stack(system, "events", "us-west-2").inputs.push(input);
        },
        "input",
    ),
    (
        "the stream of a table that isn't there",
        |system| {
            let source = Source::TableStream { table: "tandem-sandbox-nothing".to_owned() };
            let events = stack(system, "events", "us-east-1");
            events.template.parameter::<String>("NoStream", Parameter::new());
            events.inputs.push(Input { parameter: "NoStream".to_owned(), source });
        },
        "input",
    ),
    (
        "a stack that needs itself",
        |system| {
            stack(system, "keys", "us-west-2").depends_on.push(id("data", "us-west-2"));
        },
        "stack-order",
    ),
    (
        "a stack that isn't there",
        |system| {
            stack(system, "data", "us-west-2").depends_on.push(id("nowhere", "us-west-2"));
        },
        "stack-order",
    ),
];

#[test]
fn wrong_systems_are_told() {
    let usual = check(&sandbox());
    let mut told = String::new();
    for (what, change, rule) in SYSTEMS {
        let mut system = sandbox();
        change(&mut system);
        let found: Vec<Finding> = check(&system).into_iter().filter(|finding| !usual.contains(finding)).collect();
        let rules: Vec<&str> = found.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, [rule], "{what}: {found:#?}");
        if rule == "one-home" {
            assert!(found[0].message.contains(".rs:"), "{what}: the other place is not named: {}", found[0].message);
            assert!(found[0].location.is_some(), "{what}: the place is not named");
        }
        told.push_str(&format!("{what}\n{}\n\n", without_lines(&found[0])));
    }
    insta::assert_snapshot!("wrong_systems", format!("{} wrong systems\n\n{told}", SYSTEMS.len()));
}

/// The text without lines of source, which are not what is recorded.
fn without_lines(finding: &Finding) -> String {
    let message = match finding.message.rsplit_once(':') {
        Some((message, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => message.to_owned(),
        _ => finding.message.clone(),
    };
    Finding { location: None, message, ..finding.clone() }.to_string()
}

/// Each replacement in a committed environment file with the key that must be told.
const ENVIRONMENTS: [(&str, &str, &str, &str, &str); 9] = [
    ("an unknown key", SANDBOX, "[logs]\n", "[logs]\nretain = \"7d\"\n", "logs.retain"),
    (
        "a retention that CloudWatch doesn't have",
        SANDBOX,
        "retention = \"7d\"",
        "retention = \"45d\"",
        "logs.retention",
    ),
    ("an account of eleven digits", SANDBOX, "account = \"000000000000\"", "account = \"00000000000\"", "account"),
    ("two primaries", SANDBOX, "role = \"secondary\"", "role = \"primary\"", "regions"),
    ("a region that isn't one", SANDBOX, "name = \"us-east-1\"", "name = \"mars\"", "regions[1].name"),
    ("a timeout without a unit", SANDBOX, "timeout = \"60s\"", "timeout = 60", "functions.stream-processor.timeout"),
    (
        "more memory than a function takes",
        SANDBOX,
        "memory = \"256Mi\"",
        "memory = \"20Gi\"",
        "functions.stream-processor.memory",
    ),
    (
        "tables on AWS that one call deletes",
        STAGING,
        "deletion_protection = true",
        "deletion_protection = false",
        "tables.deletion_protection",
    ),
    (
        "queues that keep for longer than SQS",
        STAGING,
        "[queues]\nretention = \"14d\"",
        "[queues]\nretention = \"15d\"",
        "queues.retention",
    ),
];

#[test]
fn wrong_environments_are_told() {
    let mut told = String::new();
    for (what, file, from, to, key) in ENVIRONMENTS {
        assert!(file.contains(from), "{what}: the file has no `{from}`");
        let name = if file == SANDBOX { "sandbox.toml" } else { "staging.toml" };
        let mistakes = Environment::parse(name, &file.replacen(from, to, 1)).expect_err(what);
        let first = mistakes.iter().find(|mistake| mistake.key().starts_with(key));
        let first = first.unwrap_or_else(|| panic!("{what}: {mistakes:#?}"));
        assert!(first.line() > 0 && !first.hint().is_empty(), "{what}: {first}");
        told.push_str(&format!("{what}\n{}\n  hint: {}\n\n", first.problem(), first.hint()));
    }
    insta::assert_snapshot!("wrong_environments", format!("{} wrong environments\n\n{told}", ENVIRONMENTS.len()));
}

/// Each resource with the Guard rule that must fail on it, and the place.
fn guard_cases() -> Vec<(Json, &'static str, &'static str)> {
    let resource = |kind: &str, properties: Json| json!({"Type": kind, "Properties": properties});
    let statement =
        |one: Json| json!({"Description": "a test", "Policies": [{"PolicyDocument": {"Statement": [one]}}]});
    vec![
        (resource("AWS::KMS::Key", json!({"PendingWindowInDays": 30})), "keys_rotate", "Properties"),
        (
            resource("AWS::KMS::Key", json!({"EnableKeyRotation": true, "PendingWindowInDays": 1})),
            "keys_rotate",
            "Properties/PendingWindowInDays",
        ),
        (
            resource(
                "AWS::S3::Bucket",
                json!({"BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}}),
            ),
            "buckets_use_kms",
            "Properties/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/SSEAlgorithm",
        ),
        (
            resource("AWS::S3::Bucket", json!({"VersioningConfiguration": {"Status": "Suspended"}})),
            "buckets_keep_versions",
            "Properties/VersioningConfiguration/Status",
        ),
        (
            resource("AWS::S3::Bucket", json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": false}})),
            "buckets_are_private",
            "Properties/PublicAccessBlockConfiguration/BlockPublicAcls",
        ),
        (resource("AWS::SQS::Queue", json!({})), "queues_use_kms", "Properties"),
        (
            resource(
                "AWS::DynamoDB::GlobalTable",
                json!({"SSESpecification": {"SSEEnabled": false, "SSEType": "KMS"}}),
            ),
            "tables_use_kms",
            "Properties/SSESpecification/SSEEnabled",
        ),
        (
            resource("AWS::DynamoDB::GlobalTable", json!({"StreamSpecification": {"StreamViewType": "KEYS_ONLY"}})),
            "tables_stream_both_images",
            "Properties/StreamSpecification/StreamViewType",
        ),
        (
            resource(
                "AWS::DynamoDB::GlobalTable",
                json!({"Replicas": [{"Region": "us-west-2", "Tags": [{"Key": "Cost", "Value": "x"}]}]}),
            ),
            "replicas_have_an_owner",
            "Properties/Replicas/0",
        ),
        (
            resource("AWS::Logs::LogGroup", json!({"RetentionInDays": 1})),
            "logs_are_kept_between_a_week_and_two_years",
            "Properties/RetentionInDays",
        ),
        (resource("AWS::Logs::LogGroup", json!({})), "logs_are_kept_between_a_week_and_two_years", "Properties"),
        (resource("AWS::Events::Archive", json!({"RetentionDays": 0})), "archives_forget", "Properties/RetentionDays"),
        (
            resource(
                "AWS::SQS::QueuePolicy",
                json!({"PolicyDocument": {"Statement": [{"Effect": "Deny", "Condition": {}}]}}),
            ),
            "policies_demand_tls",
            "",
        ),
        (
            resource("AWS::SQS::QueuePolicy", json!({"PolicyDocument": {"Statement": [{"Effect": "Allow"}]}})),
            "policies_demand_tls",
            "",
        ),
        (
            resource(
                "AWS::S3::BucketPolicy",
                json!({"PolicyDocument": {"Statement": {
                    "Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }}}),
            ),
            "policies_demand_tls",
            "",
        ),
        (
            resource(
                "AWS::EC2::SecurityGroup",
                json!({"SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}]}),
            ),
            "ssh_and_rdp_are_closed",
            "Properties/SecurityGroupIngress/0/FromPort",
        ),
        (
            resource(
                "AWS::EC2::SecurityGroup",
                json!({"SecurityGroupIngress": [
                    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}, {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535},
                ]}),
            ),
            "ssh_and_rdp_are_closed",
            "Properties/SecurityGroupIngress/1/FromPort",
        ),
        (
            resource("AWS::EC2::SecurityGroup", json!({"SecurityGroupIngress": [{"IpProtocol": "-1"}]})),
            "ssh_and_rdp_are_closed",
            "Properties/SecurityGroupIngress/0/IpProtocol",
        ),
        (
            resource("AWS::EC2::SecurityGroupIngress", json!({"IpProtocol": "tcp", "FromPort": 3000, "ToPort": 4000})),
            "ssh_and_rdp_are_closed",
            "Properties/FromPort",
        ),
        (
            resource("AWS::EC2::SecurityGroupIngress", json!({"IpProtocol": "tcp", "FromPort": -1, "ToPort": -1})),
            "ssh_and_rdp_are_closed",
            "Properties/FromPort",
        ),
        (
            resource("AWS::EC2::SecurityGroupIngress", json!({"IpProtocol": "tcp"})),
            "ssh_and_rdp_are_closed",
            "Properties",
        ),
        (
            resource("AWS::EC2::Subnet", json!({"MapPublicIpOnLaunch": true})),
            "instances_get_no_public_address",
            "Properties/MapPublicIpOnLaunch",
        ),
        (
            resource("AWS::EKS::Cluster", json!({"Logging": {"ClusterLogging": {"EnabledTypes": [{"Type": "api"}]}}})),
            "clusters_write_audit_logs",
            "Properties/Logging/ClusterLogging/EnabledTypes/0/Type",
        ),
        (
            resource("AWS::ApiGatewayV2::Stage", json!({"DefaultRouteSettings": {}})),
            "stages_throttle",
            "Properties/DefaultRouteSettings",
        ),
        (resource("AWS::Lambda::Function", json!({})), "functions_name_their_architecture", "Properties"),
        (
            resource("AWS::Lambda::Function", json!({"LoggingConfig": {"LogFormat": "JSON"}})),
            "functions_log_into_their_own_group",
            "Properties/LoggingConfig",
        ),
        (resource("AWS::Lambda::Function", json!({"Timeout": 900})), "functions_end", "Properties/Timeout"),
        (
            resource("AWS::Lambda::Function", json!({"Environment": {"Variables": {"DB_PASSWORD": "x"}}})),
            "function_variables_hold_no_secret",
            "Properties/Environment/Variables/DB_PASSWORD",
        ),
        (
            resource("AWS::Lambda::EventSourceMapping", json!({"FunctionResponseTypes": []})),
            "mappings_report_single_failures",
            "Properties/FunctionResponseTypes",
        ),
        (
            resource("AWS::IAM::Role", statement(json!({"Effect": "Allow", "Action": "dynamodb:*"}))),
            "statements_name_their_actions",
            "Properties/Policies/0/PolicyDocument/Statement/0/Action",
        ),
        (
            resource("AWS::IAM::Role", statement(json!({"Effect": "Allow", "Action": ["sqs:SendMessage", "*"]}))),
            "statements_name_their_actions",
            "Properties/Policies/0/PolicyDocument/Statement/0/Action/1",
        ),
        (
            resource(
                "AWS::IAM::Role",
                json!({"Description": "a test", "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"]}),
            ),
            "no_administrators",
            "Properties/ManagedPolicyArns/0",
        ),
        (
            resource(
                "AWS::IAM::Role",
                json!({"Description": "a test", "ManagedPolicyArns": [
                    {"Ref": "Own"}, {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AmazonS3FullAccess"},
                ]}),
            ),
            "no_administrators",
            "Properties/ManagedPolicyArns/1/Fn::Sub",
        ),
        (
            resource(
                "AWS::IAM::Role",
                json!({"Description": "a test", "ManagedPolicyArns": [
                    {"Fn::Join": [":", ["arn:aws:iam::aws", "policy/AdministratorAccess"]]},
                ]}),
            ),
            "no_administrators",
            "Properties/ManagedPolicyArns/0/Fn::Join/1/1",
        ),
        (
            resource(
                "AWS::IAM::Role",
                json!({"Policies": [{"PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "*"}}}]}),
            ),
            "statements_name_their_actions",
            "Properties/Policies/0/PolicyDocument/Statement/Action",
        ),
        (
            resource(
                "AWS::IAM::ManagedPolicy",
                json!({"PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": ["sqs:?*"]}]}}),
            ),
            "statements_name_their_actions",
            "Properties/PolicyDocument/Statement/0/Action/0",
        ),
        (
            resource(
                "AWS::IAM::ManagedPolicy",
                json!({"PolicyDocument": {"Statement": [{"Effect": "Allow", "NotAction": "iam:*"}]}}),
            ),
            "statements_name_their_actions",
            "Properties/PolicyDocument/Statement/0/NotAction",
        ),
        (resource("AWS::IAM::Role", json!({})), "roles_tell_what_they_are_for", "Properties"),
        (
            resource(
                "AWS::IAM::Role",
                json!({"AssumeRolePolicyDocument": {"Statement": [
                    {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/example.com"}},
                ]}}),
            ),
            "roles_tell_what_they_are_for",
            "Properties",
        ),
        (resource("AWS::IAM::User", json!({})), "no_users", ""),
    ]
}

/// Properties of each type that no Guard rule has a word to say about; nothing of types that are refused as such.
fn good(kind: &str) -> Option<Json> {
    let without_tls = || {
        json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"},
            {"Effect": "Deny", "Principal": "*", "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]})
    };
    let named = || json!({"Statement": {"Effect": "Allow", "Action": ["sqs:SendMessage"]}});
    let protocol = || json!({"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443});
    Some(match kind {
        "AWS::ApiGatewayV2::Stage" => json!({"DefaultRouteSettings": {"ThrottlingRateLimit": 100}}),
        "AWS::DynamoDB::GlobalTable" => json!({
            "SSESpecification": {"SSEEnabled": true, "SSEType": "KMS"},
            "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
            "Replicas": [{"Region": "us-west-2", "Tags": [{"Key": "Owner", "Value": "orders"}]}],
        }),
        "AWS::DynamoDB::Table" => json!({"SSESpecification": {"SSEEnabled": true, "SSEType": "KMS"}}),
        "AWS::EC2::SecurityGroup" => {
            json!({"SecurityGroupIngress": [protocol(), {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1}]})
        }
        "AWS::EC2::SecurityGroupIngress" => protocol(),
        "AWS::EC2::Subnet" => json!({}),
        "AWS::EKS::Cluster" => {
            json!({"Logging": {"ClusterLogging": {"EnabledTypes": [{"Type": "api"}, {"Type": "audit"}]}}})
        }
        "AWS::Events::Archive" => json!({"RetentionDays": 30}),
        "AWS::IAM::ManagedPolicy" => json!({"PolicyDocument": named()}),
        "AWS::IAM::Role" => json!({
            "Description": "a test",
            "ManagedPolicyArns": [{"Ref": "Own"}, "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"],
            "Policies": [{"PolicyDocument": named()}],
        }),
        "AWS::KMS::Key" => json!({"EnableKeyRotation": true, "PendingWindowInDays": 30}),
        "AWS::Lambda::EventSourceMapping" => json!({"FunctionResponseTypes": ["ReportBatchItemFailures"]}),
        "AWS::Lambda::Function" => json!({
            "Architectures": ["arm64"], "Timeout": 30, "LoggingConfig": {"LogGroup": "functions", "LogFormat": "JSON"},
            "Environment": {"Variables": {"TABLE": "orders"}},
        }),
        "AWS::Logs::LogGroup" => json!({"RetentionInDays": 30}),
        "AWS::S3::Bucket" => json!({
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true,
                                               "IgnorePublicAcls": true, "RestrictPublicBuckets": true},
            "VersioningConfiguration": {"Status": "Enabled"},
        }),
        "AWS::S3::BucketPolicy" | "AWS::SQS::QueuePolicy" => json!({"PolicyDocument": without_tls()}),
        "AWS::SQS::Queue" => json!({"KmsMasterKeyId": "alias/orders"}),
        _ => return None,
    })
}

/// A good resource passes, a bad one fails, and a good one beside it, before or after, doesn't hide it.
#[test]
fn good_resources_do_not_hide_bad_ones() {
    let files: Vec<RuleFile> =
        GUARD_FILES.iter().map(|(name, text)| RuleFile::parse(name, text).expect("a Guard file")).collect();
    let judge = |document: &Json| {
        files.iter().flat_map(|file| file.evaluate(document).expect("verdicts")).collect::<Vec<Outcome>>()
    };
    for (bad, rule, _) in guard_cases() {
        let kind = bad["Type"].as_str().expect("a type");
        let Some(properties) = good(kind) else {
            assert_eq!(rule, "no_users", "{kind} has no good form here");
            continue;
        };
        let good = json!({"Type": kind, "Properties": properties});
        for outcome in judge(&json!({"Resources": {"Before": good, "Then": good}})) {
            assert_ne!(outcome.status, Status::Fail, "{kind}: {outcome:#?}");
            assert!(outcome.rule != rule || outcome.status == Status::Pass, "{rule} is not about {kind}");
        }
        let outcomes = judge(&json!({"Resources": {"Before": good, "Subject": bad, "Then": good}}));
        let outcome = outcomes.into_iter().find(|outcome| outcome.rule == rule).expect(rule);
        assert_eq!(outcome.status, Status::Fail, "{rule}: {bad}");
        let of_subject = |failure: &policy::Failure| failure.path.starts_with("Resources/Subject");
        assert!(outcome.failures.iter().all(of_subject), "{rule}: {:#?}", outcome.failures);
    }
}

#[test]
fn wrong_templates_fail_the_guard_files() {
    let files: Vec<RuleFile> =
        GUARD_FILES.iter().map(|(name, text)| RuleFile::parse(name, text).expect("a Guard file")).collect();
    let cases = guard_cases();
    let mut told = String::new();
    for (resource, rule, place) in &cases {
        let document = json!({"Resources": {"Subject": resource}});
        let outcomes = files.iter().flat_map(|file| file.evaluate(&document).expect("verdicts"));
        let outcome = outcomes.into_iter().find(|outcome| outcome.rule == *rule).expect(rule);
        assert_eq!(outcome.status, Status::Fail, "{rule}: {resource}");
        let wanted =
            if place.is_empty() { "Resources/Subject".to_owned() } else { format!("Resources/Subject/{place}") };
        assert!(!outcome.failures.is_empty(), "{rule} fails and says nothing");
        let failure = outcome.failures.iter().find(|failure| failure.path.starts_with(&wanted));
        let failure = failure.unwrap_or_else(|| panic!("{rule}: {:#?}", outcome.failures));
        let message = failure.message.as_deref().unwrap_or_else(|| panic!("{rule} names no repair"));
        told.push_str(&format!("{rule}\n  {}: {}\n  {message}\n\n", failure.path, failure.found));
    }
    // Each rule can fail, and is seen to.
    for rule in files.iter().flat_map(RuleFile::rules) {
        let seen = cases.iter().any(|(_, failing, _)| *failing == rule);
        assert!(seen || rule == "dead_letters_wait_long_enough", "`{rule}` has no case");
    }
    insta::assert_snapshot!("wrong_templates", format!("{} wrong templates\n\n{told}", cases.len()));
}

/// Rules about names need a name.
#[test]
fn dead_letters_that_vanish_fail_the_guard_files() {
    let (name, text) = GUARD_FILES.iter().find(|(name, _)| name.ends_with("retention.guard")).expect("the file");
    let rules = RuleFile::parse(name, text).expect("a Guard file");
    let status = |seconds: u32| {
        let queue = json!({"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": seconds}});
        let outcomes = rules.evaluate(&json!({"Resources": {"WorkDeadLetters": queue}})).expect("verdicts");
        outcomes.into_iter().find(|one| one.rule == "dead_letters_wait_long_enough").expect("the rule").status
    };
    assert_eq!((status(1_209_600), status(60)), (Status::Pass, Status::Fail));
}
