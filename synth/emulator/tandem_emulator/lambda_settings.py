"""Functions of a stack: reserved concurrency, dead letters, code that exists, a usable role.

AWS: ReservedConcurrentExecutions and DeadLetterConfig are properties; a missing code object fails
the resource with NoSuchKey; the role must exist and trust `lambda.amazonaws.com`.
Stock: both properties are dropped, a function without code answers "Mock response", any role
passes.
Here: the properties are applied, and both mistakes fail the resource, so the stack rolls back. The
role is checked under IAM enforcement only.
"""

from __future__ import annotations

from typing import Any

from ministack.services import lambda_svc

from tandem_emulator import iam
from tandem_emulator.cloudformation_handlers import (
    Created,
    Properties,
    ResourceFailure,
    wrap,
)

TYPE = "AWS::Lambda::Function"


def apply() -> None:
    wrap(TYPE, create=create, update=update, delete=delete)


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    check_role(properties)
    check_code(properties)
    name, attributes = stock()
    configure(name, properties)
    return name, attributes


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    check_role(new)
    check_code(new)
    name, attributes = stock()
    configure(name, new)
    return name, attributes


def delete(stock: Any, name: str, _properties: Properties) -> None:
    """Deleting by a stack leaves the environments of the function running in stock."""
    function = lambda_svc._functions.get(name)
    stock()
    if function is not None:
        account, region = lambda_svc._account_region_from_function_config(function["config"])
        lambda_svc.invalidate_worker(name, account=account, region=region)


def check_role(properties: Properties) -> None:
    role_arn = str(properties.get("Role", ""))
    if not iam.role_trusts(role_arn, "lambda.amazonaws.com"):
        raise ResourceFailure(
            "The role defined for the function cannot be assumed by Lambda. "
            f"(Service: Lambda, Status Code: 400): {role_arn}"
        )


def check_code(properties: Properties) -> None:
    code = properties.get("Code") or {}
    bucket, key = code.get("S3Bucket"), code.get("S3Key")
    if not key:
        return
    if lambda_svc._fetch_code_from_s3(bucket, key, version_id=code.get("S3ObjectVersion")) is None:
        raise ResourceFailure(
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
            f"S3 Error Message: The specified key does not exist. ({bucket}/{key})"
        )


def configure(name: str, properties: Properties) -> None:
    function = lambda_svc._functions[name]
    function["config"]["DeadLetterConfig"] = properties.get("DeadLetterConfig") or {}
    reserved = properties.get("ReservedConcurrentExecutions")
    function["concurrency"] = None if reserved is None else int(reserved)
