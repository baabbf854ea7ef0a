"""The permissions boundary of a stack's role limits it.

AWS: `PermissionsBoundary` names a managed policy that exists; the role may do only what both its
policies and the boundary allow.
Stock: boundaries set by API are evaluated, but a stack's role has none.
Here: the property is applied, and one that names no policy fails the resource.
"""

from __future__ import annotations

from typing import Any

from ministack.services import iam

from tandem_emulator.cloudformation_handlers import Created, Properties, ResourceFailure, wrap

TYPE = "AWS::IAM::Role"


def apply() -> None:
    wrap(TYPE, create=create, update=update)


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    check(properties)
    return limited(stock(), properties)


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    check(new)
    return limited(stock(), new)


def check(properties: Properties) -> None:
    arn = properties.get("PermissionsBoundary")
    if arn and iam._boundary_policy_error(arn) is not None:
        raise ResourceFailure(f"Scope ARN: {arn} does not exist or is not attachable.")


def limited(created: Created, properties: Properties) -> Created:
    iam._roles[created[0]]["PermissionsBoundary"] = properties.get("PermissionsBoundary")
    return created
