"""An alarm tells a topic only if the topic, and the topic's key, let CloudWatch.

AWS: the topic's policy must let `cloudwatch.amazonaws.com` publish (or be the default one), and if
the topic is encrypted, the key's policy must let it use the key. The key of AWS (`alias/aws/sns`)
never does. What fails is seen in the alarm's history only.
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html)
Stock: every topic is told.
Here: both are checked, under IAM enforcement only.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, kms, sns

from tandem_emulator import iam, kms_encrypted_resources, refusals

SERVICE = "cloudwatch.amazonaws.com"
ACTION_LISTS = ("AlarmActions", "OKActions", "InsufficientDataActions")
KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


def apply() -> None:
    stock = cloudwatch._dispatch_alarm_actions

    def dispatch_alarm_actions(alarm: dict[str, Any], *arguments: Any) -> None:
        allowed = dict(alarm)
        for name in ACTION_LISTS:
            topics = alarm.get(name) or []
            allowed[name] = [topic for topic in topics if may_tell(alarm["AlarmArn"], topic)]
        stock(allowed, *arguments)

    cloudwatch._dispatch_alarm_actions = dispatch_alarm_actions


def may_tell(alarm_arn: str, topic_arn: str) -> bool:
    found = sns.topic_policy_for_arn(topic_arn) if ":sns:" in topic_arn else None
    if found is None or not iam.enforced():
        return True
    origin = {**iam.origin(alarm_arn), "aws:sourceowner": get_account_id()}
    if not iam.resource_policy_allows(found[0], SERVICE, "sns:Publish", topic_arn, origin):
        return False
    topic = sns._topics.get(topic_arn) or {}
    return may_use_key((topic.get("attributes") or {}).get("KmsMasterKeyId"), topic_arn, origin)


def may_use_key(key: str | None, topic_arn: str, origin: iam.RuleOrigin) -> bool:
    if not key:
        return True
    key_arn = kms_encrypted_resources.customer_key(key)
    if key_arn is None:
        reason = "CloudWatch may not use the key of AWS; encrypt the topic with a key of your own"
        refusals.record(SERVICE, "kms:GenerateDataKey", topic_arn, reason)
        return False
    found = kms.key_policy_for_arn(key_arn)
    policy = found[0] if found else None
    context = {**origin, **kms_encrypted_resources.via_service("sns", get_region())}
    return all(
        iam.resource_policy_allows(policy, SERVICE, action, key_arn, context)
        for action in KEY_ACTIONS
    )
