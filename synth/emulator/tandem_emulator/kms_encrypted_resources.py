"""Tables, queues, topics and secrets under a customer key: who uses them needs rights on the key.

AWS: DynamoDB, SQS, SNS and Secrets Manager use a customer key on behalf of the caller. Reading and
writing an encrypted table needs kms:Decrypt, sending to an encrypted queue or topic
kms:GenerateDataKey and kms:Decrypt, receiving or reading a secret kms:Decrypt; in the caller's
policies or in the key's.
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html)
Stock: the key is a note on the resource (a stack's topic drops it); nobody is asked.
Here: after the request itself is allowed, the key is checked too, with the condition key
`kms:ViaService`. Keys of AWS (`alias/aws/...`) and disabled encryption ask for nothing.
"""

from __future__ import annotations

import contextvars
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region
from ministack.services import dynamodb, kms, secretsmanager, sns, sqs

from tandem_emulator import iam
from tandem_emulator.cloudformation_handlers import Created, Properties, wrap

TABLE_ACTIONS = frozenset(
    {
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:GetRecords",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
    }
)
QUEUE_ACTIONS = {
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
}
_refused: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar(
    "tandem_refused_key", default=None
)
"""Action and key that the current request was refused for."""

SEND_ACTIONS = QUEUE_ACTIONS["sqs:SendMessage"]


def apply() -> None:
    stock = iam_evaluator.enforce

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        _refused.set(None)
        denied = stock(access_key_id, iam_action, service, region, resource_arn, service_context)
        if denied is not None:
            return denied
        actions, key_arn = key_use(iam_action, resource_arn)
        via = via_service(service, region)
        for action in actions:
            denied = stock(access_key_id, action, "kms", region, key_arn, via)
            if denied is not None:
                _refused.set((action, key_arn))
                return denied
        return None

    iam_evaluator.enforce = enforce
    name_the_key()
    wrap("AWS::SNS::Topic", create=create_topic, update=update_topic)


def create_topic(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    return with_key(stock(), properties)


def update_topic(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    return with_key(stock(), new)


def with_key(created: Created, properties: Properties) -> Created:
    attributes = sns._topics[created[0]]["attributes"]
    attributes.pop("KmsMasterKeyId", None)
    if properties.get("KmsMasterKeyId"):
        attributes["KmsMasterKeyId"] = properties["KmsMasterKeyId"]
    return created


def name_the_key() -> None:
    """Let the refusal name the key's action and ARN, as AWS does, not the request's."""
    stock = iam_actions.access_denied_response

    def access_denied_response(
        service: str, action: str, principal_arn: str, *rest: Any, **options: Any
    ) -> Any:
        refused = _refused.get()
        if refused is not None:
            options["message"] = iam_actions.identity_denial_message(
                refused[0], principal_arn, refused[1], bool(options.get("explicit_deny"))
            )
        return stock(service, action, principal_arn, *rest, **options)

    iam_actions.access_denied_response = access_denied_response


def key_use(iam_action: str, resource_arn: str) -> tuple[tuple[str, ...], str]:
    """The key actions that an action on a resource needs, and the key; nothing for most."""
    if iam_action in TABLE_ACTIONS:
        key_arn = table_key(resource_arn)
        return (("kms:Decrypt",), key_arn) if key_arn else ((), "")
    if iam_action in QUEUE_ACTIONS:
        key_arn = queue_key(resource_arn)
        return (QUEUE_ACTIONS[iam_action], key_arn) if key_arn else ((), "")
    if iam_action == "sns:Publish":
        key_arn = topic_key(resource_arn)
        return (SEND_ACTIONS, key_arn) if key_arn else ((), "")
    if iam_action == "secretsmanager:GetSecretValue":
        key_arn = secret_key(resource_arn)
        return (("kms:Decrypt",), key_arn) if key_arn else ((), "")
    return (), ""


def table_key(table_arn: str) -> str | None:
    name = table_arn.split(":table/", 1)[-1].split("/", 1)[0]
    description = (dynamodb._tables.get(name) or {}).get("SSEDescription") or {}
    if description.get("Status") != "ENABLED":
        return None
    return customer_key(description.get("KMSMasterKeyArn"))


def queue_key(queue_arn: str) -> str | None:
    queue = sqs._queue_by_arn(queue_arn)
    return customer_key(queue["attributes"].get("KmsMasterKeyId")) if queue else None


def topic_key(topic_arn: str) -> str | None:
    topic = sns._topics.get(topic_arn) or {}
    return customer_key((topic.get("attributes") or {}).get("KmsMasterKeyId"))


def secret_key(secret_arn: str) -> str | None:
    _identifier, secret = secretsmanager._resolve(secret_arn)
    return customer_key(secret.get("KmsKeyId")) if secret else None


def customer_key(reference: str | None) -> str | None:
    """The ARN of a customer's key, from its id, alias or ARN."""
    if not reference or "alias/aws/" in reference:
        return None
    key = kms._resolve_key(reference)
    return str(key["Arn"]) if key else reference


def service_may_send(queue_arn: str, service: str, request_origin: iam.RuleOrigin) -> bool:
    """Whether the policy of the queue's key lets a service send to the queue."""
    key_arn = queue_key(queue_arn)
    if key_arn is None:
        return True
    found = kms.key_policy_for_arn(key_arn)
    policy = found[0] if found else None
    via = via_service("sqs", get_region())
    return all(
        iam.resource_policy_allows(policy, service, action, key_arn, {**request_origin, **via})
        for action in SEND_ACTIONS
    )


def role_may_send(queue_arn: str, role_arn: str) -> bool:
    """Whether a role that a service uses may use the key of the queue it sends to."""
    key_arn = queue_key(queue_arn)
    if key_arn is None:
        return True
    via = via_service("sqs", get_region())
    return all(iam.role_allows(role_arn, action, key_arn, via) for action in SEND_ACTIONS)


def via_service(service: str, region: str) -> iam.RuleOrigin:
    """The condition key that says through which service a key is used."""
    return {"kms:viaservice": f"{service}.{region}.amazonaws.com"}
