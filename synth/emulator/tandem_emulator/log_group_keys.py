"""A log group is encrypted only with a key that CloudWatch Logs may use.

AWS: creating a group with a key, or giving it one, fails unless the key's policy lets
`logs.REGION.amazonaws.com` use it for the group's ARN, which is the encryption context.
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html)
Stock: any key is accepted.
Here: groups of stacks are checked, under IAM enforcement only.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import kms

from tandem_emulator import iam
from tandem_emulator.cloudformation_handlers import Created, Properties, ResourceFailure, wrap

TYPE = "AWS::Logs::LogGroup"
KEY_ACTIONS = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey")


def apply() -> None:
    wrap(TYPE, create=create, update=update)


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    check(properties)
    return stock()


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    check(new)
    return stock()


def check(properties: Properties) -> None:
    key_arn = properties.get("KmsKeyId")
    if not key_arn:
        return
    scope = f"{get_region()}:{get_account_id()}"
    group_arn = f"arn:aws:logs:{scope}:log-group:{properties.get('LogGroupName', '*')}"
    service = f"logs.{get_region()}.amazonaws.com"
    found = kms.key_policy_for_arn(key_arn)
    policy = found[0] if found else None
    context = {
        **iam.origin(group_arn),
        "kms:encryptioncontext:aws:logs:arn": group_arn,
    }
    for action in KEY_ACTIONS:
        if not iam.resource_policy_allows(policy, service, action, key_arn, context):
            raise ResourceFailure(
                f"The specified KMS key does not exist or is not allowed to be used with Arn "
                f"'{group_arn}': {service} needs {action} on {key_arn}"
            )
