//! The customer-managed key that encrypts everything of one environment in one region.

use cfn::{Arn, Value, kms};
use contracts::Region;
use serde_json::{Value as Json, json};

use crate::constructs::Scope;
use crate::constructs::policy::{Statement, document};
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
    ])
}

/// The region's key, from its `keys` stack.
pub(crate) fn of_region(scope: &mut Scope<'_>, parameter: &str, region: &Region) -> Value<Arn<kms::Key>> {
    let stack = StackId { name: "keys", region: region.clone() };
    let description = format!("ARN of the environment's key in {region}");
    scope.input(parameter, &description, Source::StackOutput { stack, output: "KeyArn".to_owned() })
}
