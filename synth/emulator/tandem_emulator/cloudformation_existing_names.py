"""A stack does not take over a resource that exists already under the name it asks for.

AWS: creating a named resource that exists fails with "already exists" and the stack rolls back. IAM
names are global: the second region meets the first region's role.
Stock: tables, queues, functions and roles are silently replaced by empty ones.
Here: creation is refused for these types.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import dynamodb, iam, lambda_svc, sqs

from tandem_emulator.cloudformation_handlers import (
    Created,
    Properties,
    ResourceFailure,
    wrap,
)


def queue_exists(name: str) -> bool:
    return sqs._queue_url_for_account(get_account_id(), name) in sqs._queues


NAMED = {
    "AWS::DynamoDB::Table": ("TableName", lambda name: name in dynamodb._tables),
    "AWS::DynamoDB::GlobalTable": ("TableName", lambda name: name in dynamodb._tables),
    "AWS::SQS::Queue": ("QueueName", queue_exists),
    "AWS::Lambda::Function": ("FunctionName", lambda name: name in lambda_svc._functions),
    "AWS::IAM::Role": ("RoleName", lambda name: name in iam._roles),
}
"""Per type: the property that names it, and the test whether the name is taken."""


def apply() -> None:
    for resource_type, (name_property, taken) in NAMED.items():
        wrap(resource_type, create=refusing(resource_type, name_property, taken))


def refusing(resource_type: str, name_property: str, taken: Any) -> Any:
    def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
        name = properties.get(name_property)
        if name and taken(name):
            raise ResourceFailure(
                f"Resource of type '{resource_type}' with identifier '{name}' already exists. "
                "(HandlerErrorCode: AlreadyExists)"
            )
        return stock()

    return create
