"""Questions to IAM that services ask on their own behalf.

MiniStack checks the policies of whoever *calls* (with `AUTH=true`). What a service does by itself
(an event rule that sends to a queue, a mapping that reads a stream, a function's failure
destination) it does unchecked. The modules ask here. Without IAM enforcement every answer is yes;
with it, every no is noted (see `refusals`).
"""

from __future__ import annotations

import json
from typing import Any

import ministack.app
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam

from tandem_emulator import refusals

RuleOrigin = dict[str, str]
"""Condition keys of a service's request: `aws:sourcearn`, `aws:sourceaccount`, `kms:viaservice`."""


def enforced() -> bool:
    return bool(ministack.app.AUTH)


def origin(source_arn: str) -> RuleOrigin:
    return {"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()}


def role_allows(
    role_arn: str, action: str, resource_arn: str, request_context: RuleOrigin | None = None
) -> bool:
    """Whether a role may do one action: its policies, its boundary, and the resource's own policy.

    The resource's policy counts as it does for a caller: within the account an allow there
    suffices; a key's policy must allow in any case.
    """
    return role_allows_one_of(role_arn, action, [resource_arn], request_context)


def role_allows_one_of(
    role_arn: str,
    action: str,
    resource_arns: list[str],
    request_context: RuleOrigin | None = None,
) -> bool:
    """Whether a role may do an action on one of the resources; for actions that policies name
    with different resources. A refusal is noted for the last."""
    if not enforced():
        return True
    decision = "ImplicitDeny"
    for resource_arn in resource_arns:
        decision = decision_for(role_arn, action, resource_arn, request_context or {})
        if decision == "Allow":
            return True
    reason = refusals.reason_of(decision, request_context or {})
    refusals.record(role_arn, action, resource_arns[-1], reason)
    return False


def decision_for(role_arn: str, action: str, resource_arn: str, request_context: RuleOrigin) -> str:
    name = role_name(role_arn)
    account = account_of(role_arn)
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/service",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource_arn,
        region=get_region(),
        service_context=dict(request_context),
    )
    policies = iam_evaluator._gather_role_policies(name, account)
    boundary = iam_evaluator._permissions_boundary(iam._roles, name, account)
    result = iam_evaluator.evaluate(context, policies, *boundary)
    service = action.split(":", 1)[0]
    found = iam_evaluator._resource_policy(service, resource_arn)
    if found is not None:
        required = service in iam_evaluator._POLICY_REQUIRED
        result = iam_evaluator.combine_resource_policy(
            result, context, *found, required=required, limits=tuple(boundary)
        )
    return str(result.decision)


def resource_policy_allows(
    policy: str | dict[str, Any] | None,
    service: str,
    action: str,
    resource_arn: str,
    request_origin: RuleOrigin,
) -> bool:
    """Whether a resource's policy lets an AWS service act on it for the given origin."""
    if not enforced():
        return True
    context = iam_evaluator.EvalContext(
        # The caller is the service, not a principal of the account: a grant to the account must
        # not let it in, "*" does.
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource_arn,
        region=get_region(),
        service_context=dict(request_origin),
    )
    result = iam_evaluator.evaluate_resource_policy(policy, context, service=service)
    if result.decision == "Allow":
        return True
    reason = refusals.reason_of(result.decision, request_origin)
    refusals.record(service, action, resource_arn, f"policy of the resource: {reason}")
    return False


def role_trusts(role_arn: str, service: str, request_origin: RuleOrigin | None = None) -> bool:
    """Whether the role exists and its trust policy lets the service assume it."""
    if not enforced() or trusts(role_arn, service, request_origin or {}):
        return True
    reason = refusals.reason_of("ImplicitDeny", request_origin or {})
    refusals.record(service, "sts:AssumeRole", role_arn, f"trust policy of the role: {reason}")
    return False


def trusts(role_arn: str, service: str, request_origin: RuleOrigin) -> bool:
    role = iam._roles.get_scoped(account_of(role_arn), None, role_name(role_arn))
    if role is None:
        return False
    document = role.get("AssumeRolePolicyDocument") or "{}"
    if isinstance(document, str):
        document = json.loads(document)
    statements = document.get("Statement", [])
    if isinstance(statements, dict):
        statements = [statements]
    matching = [
        statement
        for statement in statements
        if names_service(statement, service)
        and iam_evaluator._action_matches("sts:AssumeRole", as_list(statement.get("Action")), [])
        and conditions_hold(statement, role_arn, request_origin)
    ]
    effects = {statement.get("Effect") for statement in matching}
    return "Allow" in effects and "Deny" not in effects


def names_service(statement: dict[str, Any], service: str) -> bool:
    principal = statement.get("Principal")
    if principal == "*":
        return True
    if not isinstance(principal, dict):
        return False
    return service in as_list(principal.get("Service"))


def conditions_hold(statement: dict[str, Any], role_arn: str, request_origin: RuleOrigin) -> bool:
    context = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=get_region(),
        service_context=dict(request_origin),
    )
    return iam_evaluator._conditions_met(statement.get("Condition") or {}, context)


def as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def role_name(role_arn: str) -> str:
    return role_arn.rsplit("/", 1)[-1]


def account_of(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 and parts[4] else get_account_id()
