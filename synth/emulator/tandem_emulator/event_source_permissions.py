"""Event source mappings need rights of the function's role.

AWS: Lambda reads streams and queues with the function's execution role, and refuses to create a
mapping whose role may not. A queue's visibility timeout must not be shorter than the function's.
Stock: the role is not asked; a mapping to a missing function is accepted from a template.
Here: both ways to create a mapping (API, template) check the function, the role and the timeout.
Rights are checked under IAM enforcement only.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import error_response_json, get_region
from ministack.services import dynamodb, lambda_svc, sqs

from tandem_emulator import iam, kms_encrypted_resources
from tandem_emulator.cloudformation_handlers import (
    Created,
    Properties,
    ResourceFailure,
    wrap,
)

STREAM_ACTIONS = ("GetRecords", "GetShardIterator", "DescribeStream")
QUEUE_ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")


def apply() -> None:
    wrap("AWS::Lambda::EventSourceMapping", create=create, update=update)
    stock = lambda_svc._create_esm

    def create_by_api(data: dict[str, Any]) -> Any:
        problem = problem_of(data)
        if problem is not None:
            return error_response_json("InvalidParameterValueException", problem, 400)
        return stock(data)

    lambda_svc._create_esm = create_by_api


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    fail_on_problem(properties)
    return stock()


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    fail_on_problem(new)
    return stock()


def fail_on_problem(properties: Properties) -> None:
    problem = problem_of(properties)
    if problem is not None:
        raise ResourceFailure(f"Invalid request provided: {problem}")


def problem_of(mapping: Properties) -> str | None:
    """Why Lambda would refuse the mapping, or None."""
    reference = str(mapping.get("FunctionName", ""))
    function, config, _name = lambda_svc._get_func_record_for_ref(reference)
    if function is None or config is None:
        return f"Function not found: {reference}"
    source = str(mapping.get("EventSourceArn", ""))
    role_arn = str(config.get("Role", ""))
    if ":dynamodb:" in source:
        return stream_problem(source, role_arn)
    if ":sqs:" in source:
        return queue_problem(source, role_arn, int(config.get("Timeout", 3)))
    return None


def stream_problem(source: str, role_arn: str) -> str | None:
    table = dynamodb._tables.get(source.split("/stream/")[0].rsplit("/", 1)[-1])
    if not table or table.get("LatestStreamArn") != source:
        return f"Stream not found: {source}"
    allowed = all(
        iam.role_allows(role_arn, f"dynamodb:{action}", source) for action in STREAM_ACTIONS
    )
    # ListStreams has no resource of its own; policies name "*" or the stream.
    listing = any(
        iam.role_allows(role_arn, "dynamodb:ListStreams", resource) for resource in ("*", source)
    )
    if allowed and listing:
        return key_problem(source, role_arn)
    return (
        f"Cannot access stream {source}. Please ensure the role can perform the GetRecords, "
        "GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM."
    )


def key_problem(source: str, role_arn: str) -> str | None:
    actions, key_arn = kms_encrypted_resources.key_use("dynamodb:GetRecords", source)
    via = kms_encrypted_resources.via_service("dynamodb", get_region())
    if all(iam.role_allows(role_arn, action, key_arn, via) for action in actions):
        return None
    return (
        f"The function execution role does not have permissions to call Decrypt on KMS: {key_arn}"
    )


def queue_problem(source: str, role_arn: str, timeout_secs: int) -> str | None:
    queue = sqs._queue_by_arn(source)
    if queue is None:
        return f"The specified queue does not exist: {source}"
    for action in QUEUE_ACTIONS:
        if not iam.role_allows(role_arn, f"sqs:{action}", source):
            return (
                "The function execution role does not have permissions to call "
                f"{action} on SQS: {source}"
            )
    visibility = int(queue["attributes"].get("VisibilityTimeout", 30))
    if visibility < timeout_secs:
        return (
            f"Queue visibility timeout: {visibility} seconds is less than "
            f"Function timeout: {timeout_secs} seconds"
        )
    return None
