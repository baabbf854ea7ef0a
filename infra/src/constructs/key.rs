//! The customer-managed key that encrypts everything of one environment in one region.

use cfn::{Arn, Value, kms};
use contracts::Region;
use serde_json::{Value as Json, json};

use crate::constructs::Scope;
use crate::constructs::policy::{Statement, document, pascal_case};
use crate::system::{Source, StackId};

/// Who may use the key. The same for the key and its replica, but for the region.
///
/// A key policy's resource is `*`, which means the key itself.
pub(crate) fn policy(region: &Region) -> Json {
    let this_key = || [Value::from("*")];
    let own_account = || cfn::pseudo::account_id().into_inner();
    document([
        // Without it nobody could ever change the policy; what people and roles may do is said by their own policies.
        Statement::allow("AccountAdministersByIam", ["kms:*"], this_key())
            .to(json!({"AWS": cfn::sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")})),
        // EventBridge looks at the key before it takes it, in nobody's name (EventBridge user guide, "Encrypting archives").
        Statement::allow("EventBridgeLooks", ["kms:DescribeKey"], this_key()).for_service("events.amazonaws.com"),
        // It decrypts what is on the bus and in the archive, and encrypts what it puts into queues.
        Statement::allow(
            "EventBridge",
            ["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
            this_key(),
        )
        .for_service("events.amazonaws.com")
        .when("StringEquals", "aws:SourceAccount", own_account()),
        // Alarms tell an encrypted topic: SNS uses the key in CloudWatch's name (SNS developer guide, "Key management").
        Statement::allow("CloudWatchAlarms", ["kms:Decrypt", "kms:GenerateDataKey"], this_key())
            .for_service("cloudwatch.amazonaws.com")
            .when("StringEquals", "aws:SourceAccount", own_account()),
        Statement::allow(
            "CloudWatchLogs",
            [
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            this_key(),
        )
        .for_service(format!("logs.{region}.amazonaws.com"))
        .when(
            "ArnLike",
            "kms:EncryptionContext:aws:logs:arn",
            cfn::sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*").into_inner(),
        ),
        // Node groups are scaling groups, and those start instances whose volumes the key encrypts (EC2 Auto Scaling
        // user guide, "Required AWS KMS key policy for use with encrypted volumes").
        for_scaling_groups(
            "ScalingGroups",
            &[
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
        ),
        // EC2 attaches a volume later, in its own time, by a grant.
        for_scaling_groups("ScalingGroupsHandOn", &["kms:CreateGrant"]).when(
            "Bool",
            "kms:GrantIsForAWSResource",
            json!("true"),
        ),
    ])
}

/// What checkov finds in the policy, with the reason why it is right.
pub(crate) const ACCEPTED: [(&str, &str); 1] = [(
    "CKV_AWS_33",
    "the statement for scaling groups names their role in a condition: as a principal it would have to exist before the account's first scaling group",
)];

/// Allows the service-linked role of EC2 Auto Scaling to use the key.
///
/// It stands in a condition and is no principal: KMS refuses a policy whose principal doesn't exist, and AWS makes this
/// role with an account's first scaling group, which comes long after the key.
fn for_scaling_groups(sid: &str, actions: &[&'static str]) -> Statement {
    let role = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling";
    Statement::allow(sid, actions.iter().copied(), [Value::from("*")])
        .to(json!({"AWS": "*"}))
        .when("StringEquals", "kms:CallerAccount", cfn::pseudo::account_id().into_inner())
        .when(
            "ArnEquals",
            "aws:PrincipalArn",
            cfn::sub(&format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{role}")).into_inner(),
        )
}

/// The region's key, from its `keys` stack.
pub(crate) fn of_region(scope: &mut Scope<'_>, parameter: &str, region: &Region) -> Value<Arn<kms::Key>> {
    let stack = StackId { name: "keys", region: region.clone() };
    let description = format!("ARN of the environment's key in {region}");
    scope.input(parameter, &description, Source::StackOutput { stack, output: "KeyArn".to_owned() })
}

/// The key of each region, the stack's own too.
pub(crate) fn of_each_region<'a>(scope: &mut Scope<'a>) -> Vec<(&'a Region, Value<Arn<kms::Key>>)> {
    let environment = scope.environment;
    environment.regions().map(|region| (region, of_region(scope, &parameter(region), region))).collect()
}

/// The keys of the regions besides the stack's own.
pub(crate) fn of_peers<'a>(scope: &mut Scope<'a>) -> Vec<(&'a Region, Value<Arn<kms::Key>>)> {
    let environment = scope.environment;
    environment.peers(scope.region).map(|region| (region, of_region(scope, &parameter(region), region))).collect()
}

/// `us-west-2` becomes `KeyArnUsWest2`.
fn parameter(region: &Region) -> String {
    format!("KeyArn{}", pascal_case(region.as_str()))
}
