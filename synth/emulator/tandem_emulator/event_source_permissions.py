"""Event source mappings need rights of the function's role.

AWS: Lambda reads streams and queues with the function's execution role, and refuses to create a
mapping whose role may not. A right that is taken away later stops the mapping: it reports the
problem in LastProcessingResult and goes on when the right returns. A queue's visibility timeout
must not be shorter than the function's.
Stock: the role is not asked; a mapping to a missing function is accepted from a template.
Here: both ways to create a mapping (API, template) check the function, the role and the timeout,
and mappings ask for the rights again before each batch, and once a second without work. Rights are
checked under IAM enforcement only.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from typing import Any

from ministack.core.responses import error_response_json, get_region, request_scope
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
REFUSED = "PROBLEM: AccessDenied. "
"""How LastProcessingResult begins while a right is missing."""

_polling_queues: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "tandem_polling_queues", default=False
)


def apply() -> None:
    wrap("AWS::Lambda::EventSourceMapping", create=create, update=update)
    stock = lambda_svc._create_esm

    def create_by_api(data: dict[str, Any]) -> Any:
        problem = problem_of(data)
        if problem is not None:
            return error_response_json("InvalidParameterValueException", problem, 400)
        return stock(data)

    lambda_svc._create_esm = create_by_api
    hold_queue_mappings()


def hold_queue_mappings() -> None:
    """Leave mappings without their rights out of the polling of queues.

    Mappings of streams check for themselves, see `stream_mapping`.
    """
    stock_poll = lambda_svc._poll_sqs
    stock_iterate = lambda_svc._iter_all_esms

    def poll_sqs() -> bool:
        token = _polling_queues.set(True)
        try:
            return bool(stock_poll())
        finally:
            _polling_queues.reset(token)

    def permitted_mappings() -> Iterator[tuple[str, str, Properties]]:
        for account, region, mapping in stock_iterate():
            if _polling_queues.get() and ":sqs:" in str(mapping.get("EventSourceArn", "")):
                with request_scope(account, region):
                    if not may_read(mapping):
                        continue
            yield account, region, mapping

    lambda_svc._poll_sqs = poll_sqs
    lambda_svc._iter_all_esms = permitted_mappings


def may_read(mapping: Properties) -> bool:
    """Whether the mapping has its rights now; tells so in its LastProcessingResult."""
    _function, config = lambda_svc._get_func_record_for_qualifier(
        mapping["FunctionName"], mapping.get("Qualifier")
    )
    if config is None:
        return False
    problem = missing_right(str(mapping.get("EventSourceArn", "")), str(config.get("Role", "")))
    reported = str(mapping.get("LastProcessingResult", ""))
    if problem is not None:
        mapping["LastProcessingResult"] = REFUSED + problem
    elif reported.startswith(REFUSED):
        mapping["LastProcessingResult"] = "No records processed"
    return problem is None


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
        return stream_problem(source) or missing_right(source, role_arn)
    if ":sqs:" in source:
        timeout_secs = int(config.get("Timeout", 3))
        return missing_right(source, role_arn) or queue_problem(source, timeout_secs)
    return None


def stream_problem(source: str) -> str | None:
    table = dynamodb._tables.get(source.split("/stream/")[0].rsplit("/", 1)[-1])
    if not table or table.get("LatestStreamArn") != source:
        return f"Stream not found: {source}"
    return None


def queue_problem(source: str, timeout_secs: int) -> str | None:
    queue = sqs._queue_by_arn(source)
    if queue is None:
        return f"The specified queue does not exist: {source}"
    visibility = int(queue["attributes"].get("VisibilityTimeout", 30))
    if visibility < timeout_secs:
        return (
            f"Queue visibility timeout: {visibility} seconds is less than "
            f"Function timeout: {timeout_secs} seconds"
        )
    return None


def missing_right(source: str, role_arn: str) -> str | None:
    """What the role may not do with the event source, in Lambda's words, or None."""
    if ":dynamodb:" in source:
        return missing_stream_right(source, role_arn)
    if ":sqs:" in source:
        return missing_queue_right(source, role_arn)
    return None


def missing_stream_right(source: str, role_arn: str) -> str | None:
    allowed = all(
        iam.role_allows(role_arn, f"dynamodb:{action}", source) for action in STREAM_ACTIONS
    )
    # ListStreams has no resource of its own; policies name "*" or the stream.
    if not allowed or not iam.role_allows_one_of(role_arn, "dynamodb:ListStreams", ["*", source]):
        return (
            f"Cannot access stream {source}. Please ensure the role can perform the GetRecords, "
            "GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM."
        )
    return missing_key_right("dynamodb", "dynamodb:GetRecords", source, role_arn)


def missing_queue_right(source: str, role_arn: str) -> str | None:
    for action in QUEUE_ACTIONS:
        if not iam.role_allows(role_arn, f"sqs:{action}", source):
            return (
                "The function execution role does not have permissions to call "
                f"{action} on SQS: {source}"
            )
    return missing_key_right("sqs", "sqs:ReceiveMessage", source, role_arn)


def missing_key_right(service: str, reading: str, source: str, role_arn: str) -> str | None:
    actions, key_arn = kms_encrypted_resources.key_use(reading, source)
    via = kms_encrypted_resources.via_service(service, get_region())
    if all(iam.role_allows(role_arn, action, key_arn, via) for action in actions):
        return None
    return (
        f"The function execution role does not have permissions to call Decrypt on KMS: {key_arn}"
    )
