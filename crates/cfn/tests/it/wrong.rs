//! A sound system in one template, and what is said when one thing of it is wrong: place and repair.
//!
//! The template is data here, so that a case is a line: which resource, which property, which value.

use std::collections::BTreeMap;

use cfn::prelude::*;
use cfn::{Properties, Violation, apigatewayv2, cloudwatch, dynamodb, ec2, eks, events, iam, kms, lambda, logs};
use cfn::{RemovalPolicy, s3, scheduler, sns, sqs};
use serde_json::{Value as Json, json};

const REGION: &str = "us-west-2";

/// One thing that is wrong.
struct Case {
    what: &'static str,
    /// Resource, and a JSON pointer into its properties (or `/Metadata…`, `/DeletionPolicy`, `/UpdateReplacePolicy`).
    place: (&'static str, &'static str),
    /// The value there; null takes it away.
    value: Json,
    /// What must be found, and nothing else, as `rule Resource path`.
    expected: &'static str,
}

fn case(what: &'static str, place: (&'static str, &'static str), value: Json, expected: &'static str) -> Case {
    Case { what, place, value, expected }
}

#[test]
fn the_sound_system_breaks_no_rule() {
    let found = violations(&sound());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_wrong_variant_is_caught_and_the_repair_is_named() {
    let (mut told, mut missed) = (String::new(), Vec::new());
    let cases = cases();
    for case in &cases {
        let mut system = sound();
        change(&mut system, case.place, case.value.clone());
        let found = violations(&system);
        let places = found.iter().map(place).collect::<Vec<_>>().join(" + ");
        if places != case.expected {
            missed.push(format!("{}: found `{places}`, not `{}`", case.what, case.expected));
            continue;
        }
        assert!(found[0].hint.is_some(), "{}: no repair is named", case.what);
        let text = found[0].to_string();
        assert!(text.starts_with(file!()), "{}: no file is named: {text}", case.what);
        // Without file and line: lines of this file are not what is recorded.
        let violation = Violation { location: None, ..found[0].clone() };
        told.push_str(&format!("{}\n{violation}\n\n", case.what));
    }
    assert!(missed.is_empty(), "{missed:#?}");
    insta::assert_snapshot!(format!("{} wrong variants\n\n{told}", cases.len()));
    assert!(cases.len() >= 40, "{} variants", cases.len());
}

/// A reason overrules any rule but the one about policies that allow everything.
#[test]
fn reasons_overrule_opinions_but_no_administrator() {
    let reason = "EKS keeps the policy in step with what it calls";
    let with = |policy: &str, rule: &str| {
        let mut system = sound();
        change(&mut system, ("Role", "/ManagedPolicyArns"), json!([format!("arn:aws:iam::aws:policy/{policy}")]));
        change(&mut system, ("Role", "/Metadata"), json!({"Accepted": {rule: reason}}));
        violations(&system).iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(with("AmazonEKSClusterPolicy", "iam-managed"), [""; 0]);
    let refused = ["iam-administrator Role ManagedPolicyArns/0", "needless-reason Role"];
    for rule in ["iam-administrator", "iam-managed"] {
        assert_eq!(with("AdministratorAccess", rule), refused, "{rule}");
    }
}

/// Mail that can't be delivered has nowhere to go.
#[test]
fn only_queues_and_functions_need_dead_letters_of_a_topic() {
    let mut system = sound();
    change(&mut system, ("Subscription", "/RedrivePolicy"), json!(null));
    change(&mut system, ("Subscription", "/Protocol"), json!("email"));
    change(&mut system, ("Subscription", "/Endpoint"), json!("on-call@example.com"));
    assert_eq!(violations(&system), []);
}

/// Every policy rule that can be broken by one property has a case.
#[test]
fn every_policy_rule_has_a_case() {
    let cases = cases();
    for (rule, _) in cfn::POLICY_RULES {
        let caught = cases.iter().any(|case| case.expected.split(' ').next() == Some(rule));
        assert!(caught, "`{rule}` has no case");
    }
}

fn cases() -> Vec<Case> {
    let statement = |change: Json| {
        let mut statement = json!({
            "Sid": "Work", "Effect": "Allow", "Action": ["sqs:ReceiveMessage"], "Resource": {"Fn::GetAtt": ["Work", "Arn"]},
        });
        merge(&mut statement, change);
        json!([statement])
    };
    let trust = |change: Json| {
        let mut statement = json!({
            "Sid": "Scheduler", "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        });
        merge(&mut statement, change);
        json!([statement])
    };
    let github = |condition: Json| {
        trust(json!({
            "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
            "Principal": {"Service": null, "Federated": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:oidc-provider/t.example"}},
        }))
    };
    let arn = |id: &str| json!({"Fn::GetAtt": [id, "Arn"]});
    let inline = ("Role", "/Policies/0/PolicyDocument/Statement");
    let trusted = ("ScheduleRole", "/AssumeRolePolicyDocument/Statement");
    let queue_statement = ("WorkPolicy", "/PolicyDocument/Statement/1");
    let events_may_send = json!({
        "Sid": "Events", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*",
        "Principal": {"Service": "events.amazonaws.com"},
    });
    vec![
        // Who may do what.
        case(
            "all actions",
            inline,
            statement(json!({"Action": "*"})),
            "iam-action Role Policies/0/PolicyDocument/Statement/0/Action + iam-pass-role Role Policies/0/PolicyDocument/Statement/0/Condition",
        ),
        case(
            "all actions of a service",
            inline,
            statement(json!({"Action": ["sqs:*"]})),
            "iam-action Role Policies/0/PolicyDocument/Statement/0/Action",
        ),
        case(
            "any resource",
            inline,
            statement(json!({"Resource": "*"})),
            "iam-resource Role Policies/0/PolicyDocument/Statement/0/Resource",
        ),
        case(
            "any resource of a service",
            inline,
            statement(json!({"Resource": [{"Fn::Sub": "arn:${AWS::Partition}:sqs:*:${AWS::AccountId}:*"}]})),
            "iam-resource Role Policies/0/PolicyDocument/Statement/0/Resource",
        ),
        case(
            "a reason for a resource that is named",
            ("Role", "/Metadata"),
            json!({"AnyResource": {"Work": "the action knows no resource"}}),
            "needless-reason Role",
        ),
        case("a reason in one word", ("Work", "/Metadata"), json!({"Accepted": {"own-key": "because"}}), "reason Work"),
        case(
            "all actions but some",
            inline,
            statement(json!({"Action": null, "NotAction": "iam:*"})),
            "iam-not Role Policies/0/PolicyDocument/Statement/0/NotAction",
        ),
        case(
            "a statement id twice",
            inline,
            json!([statement(json!({}))[0], statement(json!({}))[0]]),
            "policy-sid Role Policies/0/PolicyDocument/Statement/1/Sid",
        ),
        case(
            "a statement id with a hyphen",
            inline,
            statement(json!({"Sid": "work-queue"})),
            "policy-sid Role Policies/0/PolicyDocument/Statement/0/Sid",
        ),
        case(
            "a role's policy with a principal",
            inline,
            statement(json!({"Principal": {"AWS": "arn:aws:iam::000000000000:root"}})),
            "policy-element Role Policies/0/PolicyDocument/Statement/0",
        ),
        case(
            "a policy that is too long",
            inline,
            statement(
                json!({"Resource": (0..400).map(|one| format!("arn:aws:sqs:us-west-2:000000000000:queue-{one}")).collect::<Vec<_>>()}),
            ),
            "policy-length Role Policies",
        ),
        case(
            "a document as a text",
            ("Role", "/Policies/0/PolicyDocument"),
            json!({"Fn::Sub": "{\"Statement\": \"${AWS::Region}\"}"}),
            "iam-opaque Role Policies/0/PolicyDocument",
        ),
        case(
            "a service for anyone",
            trusted,
            trust(json!({"Condition": null})),
            "iam-source ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "a source of any account",
            trusted,
            trust(json!({"Condition": {"StringEquals": {"aws:SourceAccount": "*"}}})),
            "iam-source ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "a source only if there is one",
            trusted,
            trust(
                json!({"Condition": {"StringEquals": null, "StringEqualsIfExists": {"aws:SourceAccount": "000000000000"}}}),
            ),
            "iam-source ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "a trust in everybody",
            trusted,
            trust(json!({"Principal": {"Service": null, "AWS": "*"}})),
            "iam-open ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "tokens of any subject",
            trusted,
            github(json!({"StringEquals": {"aws:SourceAccount": null, "t.example:aud": "sts.amazonaws.com"}})),
            "iam-federation ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "tokens of every repository",
            trusted,
            github(
                json!({"StringEquals": {"aws:SourceAccount": null, "t.example:aud": "sts.amazonaws.com"}, "StringLike": {"t.example:sub": "repo:*"}}),
            ),
            "iam-federation ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "tokens for any audience",
            trusted,
            github(
                json!({"StringEquals": {"aws:SourceAccount": null, "t.example:sub": "repo:example/tandem:ref:refs/heads/main"}}),
            ),
            "iam-federation ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "a queue that EventBridge fills for anyone",
            queue_statement,
            events_may_send.clone(),
            "iam-source WorkPolicy PolicyDocument/Statement/1/Principal",
        ),
        case(
            "a queue that everybody fills",
            queue_statement,
            {
                let mut one = events_may_send;
                merge(&mut one, json!({"Principal": "*"}));
                one["Principal"] = json!("*");
                one
            },
            "iam-open WorkPolicy PolicyDocument/Statement/1/Principal",
        ),
        case(
            "an administrator",
            ("Role", "/ManagedPolicyArns"),
            json!(["arn:aws:iam::aws:policy/AdministratorAccess"]),
            "iam-administrator Role ManagedPolicyArns/0",
        ),
        case(
            "an administrator of any partition",
            ("Role", "/ManagedPolicyArns"),
            json!([{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess"}]),
            "iam-administrator Role ManagedPolicyArns/0",
        ),
        case(
            "an administrator in pieces",
            ("Role", "/ManagedPolicyArns"),
            json!([{"Ref": "Reading"}, {"Fn::Join": ["", ["arn:aws:iam::aws:policy/Power", "UserAccess"]]}]),
            "iam-administrator Role ManagedPolicyArns/1",
        ),
        case(
            "all of a service by its policy",
            ("Role", "/ManagedPolicyArns"),
            json!(["arn:aws:iam::aws:policy/AmazonS3FullAccess"]),
            "iam-administrator Role ManagedPolicyArns/0",
        ),
        case(
            "a policy of AWS without a reason",
            ("Role", "/ManagedPolicyArns"),
            json!([{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}]),
            "iam-managed Role ManagedPolicyArns/0",
        ),
        case(
            "a policy that nobody knows yet",
            ("Role", "/ManagedPolicyArns"),
            json!([{"Ref": "AWS::StackName"}]),
            "iam-managed Role ManagedPolicyArns/0",
        ),
        case(
            "a key of another account's root",
            ("Key", "/KeyPolicy/Statement/0/Principal/AWS"),
            json!("arn:aws:iam::111111111111:root"),
            "iam-action Key KeyPolicy/Statement/0/Action + iam-foreign Key KeyPolicy/Statement/0/Principal",
        ),
        case(
            "a trust in another account",
            trusted,
            trust(json!({"Principal": {"Service": null, "AWS": "111111111111"}})),
            "iam-foreign ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "a trust in everybody by a substitution",
            trusted,
            trust(json!({"Principal": {"Service": null, "AWS": [{"Fn::Sub": "*"}]}})),
            "iam-open ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "tokens of every namespace",
            trusted,
            github(json!({
                "StringEquals": {"aws:SourceAccount": null, "t.example:aud": "sts.amazonaws.com"},
                "StringLike": {"t.example:sub": "system:serviceaccount:*:consumer"},
            })),
            "iam-federation ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "a source in any account",
            trusted,
            trust(
                json!({"Condition": {"StringEquals": null, "ArnLike": {"aws:SourceArn": "arn:aws:scheduler:us-west-2:*:schedule/orders"}}}),
            ),
            "iam-source ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "a source of wildcards",
            trusted,
            trust(json!({"Condition": {"StringEquals": null, "ArnLike": {"aws:SourceArn": "arn:*:*:*:*:*"}}})),
            "iam-source ScheduleRole AssumeRolePolicyDocument/Statement/0/Principal",
        ),
        case(
            "all actions by a substitution",
            inline,
            statement(json!({"Action": [{"Fn::Sub": "sqs:*"}]})),
            "iam-action Role Policies/0/PolicyDocument/Statement/0/Action",
        ),
        case(
            "all actions by question marks",
            inline,
            statement(json!({"Action": "sqs:?*"})),
            "iam-action Role Policies/0/PolicyDocument/Statement/0/Action",
        ),
        case(
            "an action that nobody knows yet",
            inline,
            statement(json!({"Action": {"Fn::Sub": "sqs:${AWS::StackName}"}})),
            "iam-opaque Role Policies/0/PolicyDocument/Statement/0/Action",
        ),
        case(
            "all actions in a statement without a list",
            ("Reading", "/PolicyDocument/Statement/Action"),
            json!("sqs:*"),
            "iam-action Reading PolicyDocument/Statement/Action",
        ),
        case(
            "any table",
            inline,
            statement(
                json!({"Resource": [{"Fn::Sub": "arn:${AWS::Partition}:dynamodb:us-west-2:${AWS::AccountId}:table/*"}]}),
            ),
            "iam-resource Role Policies/0/PolicyDocument/Statement/0/Resource",
        ),
        case(
            "any resource twice",
            inline,
            statement(json!({"Resource": "**"})),
            "iam-resource Role Policies/0/PolicyDocument/Statement/0/Resource",
        ),
        case(
            "any role for a service",
            inline,
            statement(json!({
                "Action": "iam:PassRole", "Resource": "arn:aws:iam::000000000000:role/*",
                "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
            })),
            "iam-pass-role Role Policies/0/PolicyDocument/Statement/0/Resource + iam-resource Role Policies/0/PolicyDocument/Statement/0/Resource",
        ),
        case(
            "a role for any service",
            inline,
            statement(json!({"Action": "iam:Pass*", "Resource": {"Fn::GetAtt": ["ScheduleRole", "Arn"]}})),
            "iam-pass-role Role Policies/0/PolicyDocument/Statement/0/Condition",
        ),
        case(
            "a function that everybody calls",
            ("Allowed", "/Principal"),
            json!("*"),
            "permission-open Allowed Principal",
        ),
        case(
            "a function that another account calls",
            ("Allowed", "/Principal"),
            json!("arn:aws:iam::111111111111:root"),
            "permission-open Allowed Principal",
        ),
        case(
            "a function that rules of any account call",
            ("Allowed", "/SourceArn"),
            json!({"Fn::Sub": "arn:${AWS::Partition}:events:us-west-2:*:rule/orders"}),
            "permission-open Allowed SourceArn",
        ),
        case(
            "a function that EventBridge calls for anyone",
            ("Allowed", "/SourceArn"),
            json!(null),
            "permission-source Allowed SourceArn",
        ),
        // What holds data.
        case(
            "a table that goes with its stack",
            ("Orders", "/DeletionPolicy"),
            json!("Delete"),
            "kept Orders DeletionPolicy",
        ),
        case(
            "a bucket that a change replaces",
            ("Bucket", "/UpdateReplacePolicy"),
            json!("Delete"),
            "kept Bucket UpdateReplacePolicy",
        ),
        case(
            "a replica that can be deleted",
            ("Orders", "/Replicas/1/DeletionProtectionEnabled"),
            json!(null),
            "global-table-replicas Orders Replicas/1/DeletionProtectionEnabled + deletion-protection Orders Replicas/1/DeletionProtectionEnabled",
        ),
        case(
            "a table that can be deleted",
            ("Local", "/DeletionProtectionEnabled"),
            json!(null),
            "deletion-protection Local DeletionProtectionEnabled",
        ),
        case(
            "a table without backups",
            ("Local", "/PointInTimeRecoverySpecification"),
            json!(null),
            "recovery Local PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled",
        ),
        case(
            "a table whose protection is switched off",
            ("Local", "/DeletionProtectionEnabled"),
            json!(false),
            "deletion-protection Local DeletionProtectionEnabled",
        ),
        case(
            "a table whose backups are switched off",
            ("Local", "/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled"),
            json!(false),
            "recovery Local PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled",
        ),
        case(
            "a replacement that is treated as a creation",
            ("Orders", "/UpdateReplacePolicy"),
            json!("RetainExceptOnCreate"),
            "removal-policy Orders UpdateReplacePolicy",
        ),
        case(
            "a snapshot of a queue",
            ("Work", "/DeletionPolicy"),
            json!("Snapshot"),
            "removal-policy Work DeletionPolicy",
        ),
        case("logs without an end", ("Logs", "/RetentionInDays"), json!(null), "log-retention Logs RetentionInDays"),
        case("a queue without a key", ("Work", "/KmsMasterKeyId"), json!(null), "own-key Work KmsMasterKeyId"),
        case(
            "a queue with the service's key",
            ("Work", "/KmsMasterKeyId"),
            json!("alias/aws/sqs"),
            "own-key Work KmsMasterKeyId",
        ),
        // What nobody waits for.
        case(
            "a stream without a place for failures",
            ("StreamSource", "/DestinationConfig"),
            json!(null),
            "mapping-dead-letters StreamSource DestinationConfig/OnFailure/Destination",
        ),
        case(
            "a stream that retries for ever",
            ("StreamSource", "/MaximumRetryAttempts"),
            json!(-1),
            "mapping-settings StreamSource MaximumRetryAttempts",
        ),
        case(
            "a stream that waits longer than it keeps",
            ("StreamSource", "/MaximumRecordAgeInSeconds"),
            json!(86_400),
            "mapping-settings StreamSource MaximumRecordAgeInSeconds",
        ),
        case(
            "a stream that never bisects",
            ("StreamSource", "/BisectBatchOnFunctionError"),
            json!(false),
            "mapping-settings StreamSource BisectBatchOnFunctionError",
        ),
        case(
            "a queue whose batches fail whole",
            ("QueueSource", "/FunctionResponseTypes"),
            json!(null),
            "mapping-settings QueueSource FunctionResponseTypes",
        ),
        case(
            "a stream by a wildcard",
            ("StreamSource", "/EventSourceArn"),
            json!("arn:aws:dynamodb:us-west-2:000000000000:table/orders/stream/*"),
            "event-source StreamSource EventSourceArn",
        ),
        case(
            "a work queue without dead letters",
            ("Work", "/RedrivePolicy"),
            json!(null),
            "queue-dead-letters Work RedrivePolicy",
        ),
        case(
            "a work queue whose dead letters are taken away",
            ("Work", "/RedrivePolicy"),
            json!({"Ref": "AWS::NoValue"}),
            "queue-dead-letters Work RedrivePolicy",
        ),
        case(
            "a queue that shows messages again too early",
            ("Work", "/VisibilityTimeout"),
            json!(179),
            "visibility-timeout Work VisibilityTimeout",
        ),
        case(
            "a queue that forgets that its reader waits",
            ("QueueSource", "/MaximumBatchingWindowInSeconds"),
            json!(1),
            "visibility-timeout Work VisibilityTimeout",
        ),
        case(
            "a topic that forgets what its queue doesn't take",
            ("Subscription", "/RedrivePolicy"),
            json!(null),
            "subscription-dead-letters Subscription RedrivePolicy",
        ),
        case(
            "a rule that forgets",
            ("Rule", "/Targets/0/DeadLetterConfig"),
            json!(null),
            "target-dead-letters Rule Targets/0/DeadLetterConfig/Arn",
        ),
        case(
            "a schedule that forgets",
            ("Schedule", "/Target/DeadLetterConfig"),
            json!(null),
            "schedule-dead-letters Schedule Target/DeadLetterConfig/Arn",
        ),
        case(
            "an invocation that is forgotten",
            ("Invoke", "/DestinationConfig"),
            json!(null),
            "invoke-dead-letters Invoke DestinationConfig/OnFailure/Destination",
        ),
        // Alarms.
        case("an alarm that tells nobody", ("Alarm", "/AlarmActions"), json!([]), "alarm-action Alarm AlarmActions"),
        case(
            "an alarm that is switched off",
            ("Alarm", "/ActionsEnabled"),
            json!(false),
            "alarm-action Alarm ActionsEnabled",
        ),
        case(
            "an alarm without a runbook",
            ("Alarm", "/AlarmDescription"),
            json!("something is wrong"),
            "alarm-runbook Alarm AlarmDescription",
        ),
        // Who can reach what.
        case(
            "a bucket that may become public",
            ("Bucket", "/PublicAccessBlockConfiguration/BlockPublicPolicy"),
            json!(false),
            "bucket-public Bucket PublicAccessBlockConfiguration/BlockPublicPolicy",
        ),
        case(
            "a bucket without TLS",
            ("BucketPolicy", "/PolicyDocument/Statement/0/Condition/Bool"),
            json!({"aws:SecureTransport": "true"}),
            "tls-only Bucket",
        ),
        case(
            "a bucket that only somebody needs TLS for",
            ("BucketPolicy", "/PolicyDocument/Statement/0/Principal"),
            json!({"AWS": "arn:aws:iam::000000000000:root"}),
            "tls-only Bucket",
        ),
        case(
            "a bucket that is read without TLS",
            ("BucketPolicy", "/PolicyDocument/Statement/0/Action"),
            json!("s3:PutObject"),
            "tls-only Bucket",
        ),
        case(
            "a bucket whose objects are read without TLS",
            ("BucketPolicy", "/PolicyDocument/Statement/0/Resource"),
            json!(arn("Bucket")),
            "tls-only Bucket",
        ),
        case(
            "a queue without TLS at times",
            ("WorkPolicy", "/PolicyDocument/Statement/0/Condition/StringEquals"),
            json!({"aws:PrincipalAccount": "000000000000"}),
            "tls-only Work",
        ),
        case(
            "a port for half of the internet",
            ("Group", "/SecurityGroupIngress/0/CidrIp"),
            json!("128.0.0.0/1"),
            "ingress-open Group SecurityGroupIngress/0/CidrIp",
        ),
        case(
            "a port for the internet",
            ("Group", "/SecurityGroupIngress/0/CidrIp"),
            json!("0.0.0.0/0"),
            "ingress-open Group SecurityGroupIngress/0/CidrIp",
        ),
        case(
            "an answer for all routes",
            ("Authorizer", "/IdentitySource"),
            json!(["$request.header.Authorization"]),
            "authorizer-cache Authorizer IdentitySource",
        ),
        case(
            "an API without a log",
            ("Stage", "/AccessLogSettings/DestinationArn"),
            json!(null),
            "api-stage Stage AccessLogSettings/DestinationArn",
        ),
        case(
            "an API without a throttle",
            ("Stage", "/DefaultRouteSettings/ThrottlingRateLimit"),
            json!(null),
            "api-stage Stage DefaultRouteSettings/ThrottlingRateLimit",
        ),
        case("an API that doesn't deploy", ("Stage", "/AutoDeploy"), json!(false), "api-stage Stage AutoDeploy"),
        case(
            "an old TLS",
            ("Domain", "/DomainNameConfigurations/0/SecurityPolicy"),
            json!(null),
            "api-tls Domain DomainNameConfigurations/0/SecurityPolicy",
        ),
        case(
            "a route for anybody",
            ("Route", "/AuthorizationType"),
            json!("NONE"),
            "open-route Route AuthorizationType",
        ),
        // Global tables.
        case(
            "a region twice",
            ("Orders", "/Replicas/1/Region"),
            json!("us-west-2"),
            "global-table-replicas Orders Replicas/1/Region + global-table-key Orders Replicas/1/SSESpecification/KMSMasterKeyId",
        ),
        case(
            "one key for two regions",
            ("Orders", "/Replicas/1/SSESpecification/KMSMasterKeyId"),
            json!({"Fn::GetAtt": ["Key", "Arn"]}),
            "global-table-key Orders Replicas/1/SSESpecification/KMSMasterKeyId",
        ),
        case(
            "a key of another region",
            ("Orders", "/Replicas/1/SSESpecification/KMSMasterKeyId"),
            json!("arn:aws:kms:eu-west-1:000000000000:key/one"),
            "global-table-key Orders Replicas/1/SSESpecification/KMSMasterKeyId",
        ),
        case(
            "keys that aren't used",
            ("Orders", "/SSESpecification/SSEType"),
            json!(null),
            "global-table-key Orders SSESpecification",
        ),
        case(
            "a witness without a need",
            ("Orders", "/GlobalTableWitnesses"),
            json!([{"Region": "us-east-2"}]),
            "global-table-consistency Orders GlobalTableWitnesses",
        ),
        case(
            "a time to live with strong consistency",
            ("Authority", "/TimeToLiveSpecification"),
            json!({"Enabled": true, "AttributeName": "expires_at"}),
            "global-table-consistency Authority TimeToLiveSpecification",
        ),
        case(
            "a witness beside a replica",
            ("Authority", "/GlobalTableWitnesses/0/Region"),
            json!("us-east-1"),
            "global-table-consistency Authority GlobalTableWitnesses/0/Region",
        ),
        case(
            "strong consistency across an ocean",
            ("Authority", "/GlobalTableWitnesses/0/Region"),
            json!("eu-west-1"),
            "global-table-consistency Authority Replicas",
        ),
        case(
            "strong consistency in two regions",
            ("Authority", "/GlobalTableWitnesses"),
            json!(null),
            "global-table-consistency Authority MultiRegionConsistency",
        ),
        case(
            "settings of an index that isn't there",
            ("Orders", "/Replicas/0/GlobalSecondaryIndexes"),
            json!([{"IndexName": "by-customer"}]),
            "global-table-index Orders Replicas/0/GlobalSecondaryIndexes/0/IndexName",
        ),
        case(
            "a table without a capacity",
            ("Authority", "/BillingMode"),
            json!("PROVISIONED"),
            "global-table-capacity Authority WriteProvisionedThroughputSettings",
        ),
        // Names.
        case(
            "a bucket's name that gets too long",
            ("Bucket", "/BucketName"),
            json!({"Fn::Sub": "tandem-staging-artifacts-of-all-functions-${AWS::AccountId}-${AWS::Region}"}),
            "name Bucket BucketName",
        ),
        case(
            "a bucket's name in capitals",
            ("Bucket", "/BucketName"),
            json!({"Fn::Sub": "Artifacts-${AWS::AccountId}"}),
            "name Bucket BucketName",
        ),
        case("a queue's name that is too long", ("Work", "/QueueName"), json!("w".repeat(81)), "name Work QueueName"),
    ]
}

/// A template that no rule has a word to say about.
fn sound() -> BTreeMap<&'static str, Json> {
    let key = || json!({"Fn::GetAtt": ["Key", "Arn"]});
    let arn = |id: &str| json!({"Fn::GetAtt": [id, "Arn"]});
    let document = |statements: Json| json!({"Version": "2012-10-17", "Statement": statements});
    let deny_without_tls = |action: &str, resource: Json| {
        json!({"Sid": "DenyWithoutTls", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource,
               "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
    };
    let trust = |service: &str, condition: Json| {
        document(json!([{"Sid": "Trust", "Effect": "Allow", "Action": "sts:AssumeRole",
                         "Principal": {"Service": service}, "Condition": condition}]))
    };
    let of_account = json!({"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}});
    let replica = |region: &str, key: Json| {
        json!({"Region": region, "DeletionProtectionEnabled": true, "SSESpecification": {"KMSMasterKeyId": key},
               "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}})
    };
    let table = |extra: Json| {
        let mut table = json!({
            "Type": "AWS::DynamoDB::GlobalTable", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "Replicas": [replica("us-west-2", key()), replica("us-east-1", json!("arn:aws:kms:us-east-1:000000000000:key/one"))],
            "SSESpecification": {"SSEEnabled": true, "SSEType": "KMS"},
        });
        merge(&mut table, extra);
        table
    };
    let queue = |extra: Json| {
        let mut queue = json!({"Type": "AWS::SQS::Queue", "KmsMasterKeyId": key(), "VisibilityTimeout": 180});
        merge(&mut queue, extra);
        queue
    };
    let failures = json!({"OnFailure": {"Destination": arn("Dead")}});
    BTreeMap::from([
        (
            "Key",
            json!({"Type": "AWS::KMS::Key", "KeyPolicy": document(json!([
                {"Sid": "Account", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
                 "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}},
                {"Sid": "Logs", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
                 "Principal": {"Service": "logs.us-west-2.amazonaws.com"},
                 "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:us-west-2:000000000000:log-group:*"}}},
            ]))}),
        ),
        (
            "Bucket",
            json!({"Type": "AWS::S3::Bucket",
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key()}}]},
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true,
                                               "IgnorePublicAcls": true, "RestrictPublicBuckets": true}}),
        ),
        (
            "BucketPolicy",
            json!({"Type": "AWS::S3::BucketPolicy", "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": document(json!([deny_without_tls(
                "s3:*", json!([arn("Bucket"), {"Fn::Join": ["/", [arn("Bucket"), "*"]]}])
            )]))}),
        ),
        ("Work", queue(json!({"RedrivePolicy": {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": 5}}))),
        (
            "WorkPolicy",
            json!({"Type": "AWS::SQS::QueuePolicy", "Queues": [{"Ref": "Work"}], "PolicyDocument": document(json!([
                deny_without_tls("sqs:*", arn("Work")),
                {"Sid": "Events", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*",
                 "Principal": {"Service": "events.amazonaws.com"}, "Condition": of_account},
            ]))}),
        ),
        ("Dead", queue(json!({}))),
        (
            "DeadPolicy",
            json!({"Type": "AWS::SQS::QueuePolicy", "Queues": [{"Ref": "Dead"}],
            "PolicyDocument": document(json!([deny_without_tls("sqs:*", json!("*"))]))}),
        ),
        ("Orders", table(json!({"StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"}}))),
        (
            "Authority",
            table(json!({"MultiRegionConsistency": "STRONG", "GlobalTableWitnesses": [{"Region": "us-east-2"}]})),
        ),
        (
            "Local",
            json!({"Type": "AWS::DynamoDB::Table", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "DeletionProtectionEnabled": true,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
            "SSESpecification": {"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": key()}}),
        ),
        ("Logs", json!({"Type": "AWS::Logs::LogGroup", "RetentionInDays": 30, "KmsKeyId": key()})),
        (
            "Role",
            json!({"Type": "AWS::IAM::Role", "AssumeRolePolicyDocument": trust("lambda.amazonaws.com", json!({})),
            "ManagedPolicyArns": [{"Ref": "Reading"}],
            "Policies": [{"PolicyName": "work", "PolicyDocument": document(json!([
                {"Sid": "Work", "Effect": "Allow", "Action": ["sqs:ReceiveMessage"], "Resource": arn("Work")}]))}]}),
        ),
        (
            "Reading",
            json!({"Type": "AWS::IAM::ManagedPolicy", "PolicyDocument": document(
                json!({"Sid": "Read", "Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": arn("Work")}))}),
        ),
        (
            "Allowed",
            json!({"Type": "AWS::Lambda::Permission", "FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com", "SourceArn": arn("Rule")}),
        ),
        (
            "ScheduleRole",
            json!({"Type": "AWS::IAM::Role",
            "AssumeRolePolicyDocument": trust("scheduler.amazonaws.com", of_account.clone())}),
        ),
        (
            "Function",
            json!({"Type": "AWS::Lambda::Function", "Role": arn("Role"), "Code": {"S3Bucket": "code", "S3Key": "code.zip"},
            "Handler": "bootstrap", "Runtime": "provided.al2023", "Timeout": 30,
            "LoggingConfig": {"LogGroup": {"Ref": "Logs"}}}),
        ),
        (
            "Invoke",
            json!({"Type": "AWS::Lambda::EventInvokeConfig", "FunctionName": {"Ref": "Function"}, "Qualifier": "$LATEST",
            "DestinationConfig": failures.clone()}),
        ),
        (
            "StreamSource",
            json!({"Type": "AWS::Lambda::EventSourceMapping", "FunctionName": {"Ref": "Function"},
            "EventSourceArn": {"Fn::GetAtt": ["Orders", "StreamArn"]}, "StartingPosition": "TRIM_HORIZON",
            "FunctionResponseTypes": ["ReportBatchItemFailures"], "BisectBatchOnFunctionError": true,
            "MaximumRetryAttempts": 10, "MaximumRecordAgeInSeconds": 72_000, "DestinationConfig": failures}),
        ),
        (
            "QueueSource",
            json!({"Type": "AWS::Lambda::EventSourceMapping", "FunctionName": {"Ref": "Function"},
            "EventSourceArn": arn("Work"), "FunctionResponseTypes": ["ReportBatchItemFailures"]}),
        ),
        (
            "Rule",
            json!({"Type": "AWS::Events::Rule", "EventPattern": {"source": ["example"]}, "Targets": [
            {"Id": "work", "Arn": arn("Work"), "DeadLetterConfig": {"Arn": arn("Dead")}}]}),
        ),
        (
            "Schedule",
            json!({"Type": "AWS::Scheduler::Schedule", "FlexibleTimeWindow": {"Mode": "OFF"},
            "ScheduleExpression": "rate(1 minute)", "Target": {"Arn": arn("Function"), "RoleArn": arn("ScheduleRole"),
            "DeadLetterConfig": {"Arn": arn("Dead")}}}),
        ),
        (
            "Subscription",
            json!({"Type": "AWS::SNS::Subscription", "TopicArn": {"Ref": "Topic"}, "Protocol": "sqs", "Endpoint": arn("Work"),
            "RedrivePolicy": {"deadLetterTargetArn": arn("Dead")}}),
        ),
        ("Topic", json!({"Type": "AWS::SNS::Topic", "KmsMasterKeyId": key()})),
        (
            "Alarm",
            json!({"Type": "AWS::CloudWatch::Alarm", "AlarmActions": [{"Ref": "Topic"}],
            "AlarmDescription": "work is left over, see https://example.com/runbooks#work", "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1, "Threshold": 0, "MetricName": "ApproximateNumberOfMessagesVisible", "Namespace": "AWS/SQS",
            "Period": 60, "Statistic": "Maximum"}),
        ),
        (
            "Region",
            json!({"Type": "AWS::CloudWatch::CompositeAlarm", "AlarmRule": "ALARM(one)", "AlarmActions": [{"Ref": "Topic"}],
            "AlarmDescription": "the region is unwell, see https://example.com/runbooks#region"}),
        ),
        ("Vpc", json!({"Type": "AWS::EC2::VPC", "CidrBlock": "10.0.0.0/16"})),
        (
            "Group",
            json!({"Type": "AWS::EC2::SecurityGroup", "GroupDescription": "brokers", "VpcId": {"Ref": "Vpc"},
            "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 9096, "ToPort": 9096, "CidrIp": "10.0.0.0/16"}]}),
        ),
        ("Api", json!({"Type": "AWS::ApiGatewayV2::Api", "Name": "events", "ProtocolType": "HTTP"})),
        (
            "Authorizer",
            json!({"Type": "AWS::ApiGatewayV2::Authorizer", "ApiId": {"Ref": "Api"}, "Name": "tokens",
            "AuthorizerType": "REQUEST", "AuthorizerPayloadFormatVersion": "2.0", "AuthorizerResultTtlInSeconds": 60,
            "AuthorizerUri": "arn:aws:apigateway:us-west-2:lambda:path/2015-03-31/functions/one/invocations",
            "IdentitySource": ["$request.header.Authorization", "$context.routeKey"]}),
        ),
        (
            "Route",
            json!({"Type": "AWS::ApiGatewayV2::Route", "ApiId": {"Ref": "Api"}, "RouteKey": "POST /v1/events",
            "AuthorizationType": "CUSTOM", "AuthorizerId": {"Ref": "Authorizer"}}),
        ),
        (
            "Stage",
            json!({"Type": "AWS::ApiGatewayV2::Stage", "ApiId": {"Ref": "Api"}, "StageName": "$default", "AutoDeploy": true,
            "AccessLogSettings": {"DestinationArn": arn("Logs"), "Format": "$context.requestId"},
            "DefaultRouteSettings": {"ThrottlingBurstLimit": 500, "ThrottlingRateLimit": 1000}}),
        ),
        (
            "Domain",
            json!({"Type": "AWS::ApiGatewayV2::DomainName", "DomainName": "events.example.com",
            "DomainNameConfigurations": [{"CertificateArn": "arn:aws:acm:us-west-2:000000000000:certificate/one",
                                          "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}]}),
        ),
        (
            "Cluster",
            json!({"Type": "AWS::EKS::Cluster", "RoleArn": arn("Role"), "DeletionProtection": true,
            "ResourcesVpcConfig": {"SubnetIds": ["subnet-1", "subnet-2"]},
            "EncryptionConfig": [{"Provider": {"KeyArn": key()}, "Resources": ["secrets"]}]}),
        ),
    ])
}

/// Sets or takes away a property.
fn change(system: &mut BTreeMap<&'static str, Json>, (id, pointer): (&str, &str), value: Json) {
    let resource = system.get_mut(id).unwrap_or_else(|| panic!("there is no `{id}`"));
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    let parent = resource.pointer_mut(parent).unwrap_or_else(|| panic!("there is no `{pointer}` in `{id}`"));
    match (parent, value) {
        (Json::Object(map), Json::Null) => assert!(map.remove(last).is_some(), "there is no `{pointer}` in `{id}`"),
        (Json::Object(map), value) => {
            map.insert(last.to_owned(), value);
        }
        (Json::Array(items), value) => items[last.parse::<usize>().expect("an index")] = value,
        _ => panic!("`{pointer}` leads to a value in `{id}`"),
    }
}

/// Puts the second into the first; null takes away.
fn merge(into: &mut Json, from: Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (name, value) in from {
                match value {
                    Json::Null => drop(into.remove(&name)),
                    value => merge(into.entry(name).or_insert(Json::Null), value),
                }
            }
        }
        (into, from) => *into = from,
    }
}

fn violations(system: &BTreeMap<&'static str, Json>) -> Vec<Violation> {
    let mut stack = Template::new();
    for (id, resource) in system {
        add(&mut stack, id, resource);
    }
    let mut found = cfn::check(&stack, REGION);
    found.extend(cfn::policy(&stack, REGION));
    found
}

fn place(violation: &Violation) -> String {
    let id = violation.logical_id.as_deref().unwrap_or("-");
    format!("{} {id} {}", violation.rule, violation.path).trim_end().to_owned()
}

/// Adds a resource from data: the type, options and properties side by side.
fn add(stack: &mut Template, id: &str, resource: &Json) {
    fn typed<R: Resource>(stack: &mut Template, id: &str, resource: &Json) {
        let mut properties = Properties::new();
        let options = ["Type", "Metadata", "DeletionPolicy", "UpdateReplacePolicy"];
        for (name, value) in resource.as_object().expect("a resource") {
            if !options.contains(&name.as_str()) {
                properties.set(name, value.clone());
            }
        }
        let policy = |name: &str| match resource[name].as_str() {
            Some("Delete") => RemovalPolicy::Delete,
            Some("RetainExceptOnCreate") => RemovalPolicy::RetainExceptOnCreate,
            Some("Snapshot") => RemovalPolicy::Snapshot,
            _ => RemovalPolicy::Retain,
        };
        let mut declared = R::from_properties(properties)
            .deletion_policy(policy("DeletionPolicy"))
            .update_replace_policy(policy("UpdateReplacePolicy"));
        for (key, value) in resource["Metadata"].as_object().into_iter().flatten() {
            declared = declared.metadata(key, value.clone());
        }
        stack.add(id, declared);
    }
    match resource["Type"].as_str().expect("a type") {
        "AWS::ApiGatewayV2::Api" => typed::<apigatewayv2::Api>(stack, id, resource),
        "AWS::ApiGatewayV2::Authorizer" => typed::<apigatewayv2::Authorizer>(stack, id, resource),
        "AWS::ApiGatewayV2::DomainName" => typed::<apigatewayv2::DomainName>(stack, id, resource),
        "AWS::ApiGatewayV2::Route" => typed::<apigatewayv2::Route>(stack, id, resource),
        "AWS::ApiGatewayV2::Stage" => typed::<apigatewayv2::Stage>(stack, id, resource),
        "AWS::CloudWatch::Alarm" => typed::<cloudwatch::Alarm>(stack, id, resource),
        "AWS::CloudWatch::CompositeAlarm" => typed::<cloudwatch::CompositeAlarm>(stack, id, resource),
        "AWS::DynamoDB::GlobalTable" => typed::<dynamodb::GlobalTable>(stack, id, resource),
        "AWS::DynamoDB::Table" => typed::<dynamodb::Table>(stack, id, resource),
        "AWS::EC2::SecurityGroup" => typed::<ec2::SecurityGroup>(stack, id, resource),
        "AWS::EC2::VPC" => typed::<ec2::VPC>(stack, id, resource),
        "AWS::EKS::Cluster" => typed::<eks::Cluster>(stack, id, resource),
        "AWS::Events::Rule" => typed::<events::Rule>(stack, id, resource),
        "AWS::IAM::ManagedPolicy" => typed::<iam::ManagedPolicy>(stack, id, resource),
        "AWS::IAM::Role" => typed::<iam::Role>(stack, id, resource),
        "AWS::KMS::Key" => typed::<kms::Key>(stack, id, resource),
        "AWS::Lambda::EventInvokeConfig" => typed::<lambda::EventInvokeConfig>(stack, id, resource),
        "AWS::Lambda::EventSourceMapping" => typed::<lambda::EventSourceMapping>(stack, id, resource),
        "AWS::Lambda::Function" => typed::<lambda::Function>(stack, id, resource),
        "AWS::Lambda::Permission" => typed::<lambda::Permission>(stack, id, resource),
        "AWS::Logs::LogGroup" => typed::<logs::LogGroup>(stack, id, resource),
        "AWS::S3::Bucket" => typed::<s3::Bucket>(stack, id, resource),
        "AWS::S3::BucketPolicy" => typed::<s3::BucketPolicy>(stack, id, resource),
        "AWS::SNS::Subscription" => typed::<sns::Subscription>(stack, id, resource),
        "AWS::SNS::Topic" => typed::<sns::Topic>(stack, id, resource),
        "AWS::SQS::Queue" => typed::<sqs::Queue>(stack, id, resource),
        "AWS::SQS::QueuePolicy" => typed::<sqs::QueuePolicy>(stack, id, resource),
        "AWS::Scheduler::Schedule" => typed::<scheduler::Schedule>(stack, id, resource),
        other => panic!("`{other}` is not known here"),
    }
}
