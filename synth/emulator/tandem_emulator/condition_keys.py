"""Condition keys that policies of the system name.

AWS: `aws:PrincipalArn` of a role's session is the ARN of the role. A PutEvents call has
`events:source` and `events:detail-type`, the values of its entries.
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html,
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html)
Stock: `aws:PrincipalArn` is the ARN of the session, and PutEvents has no keys of its own.
Here: both are as on AWS. A call with entries of one source has that source; with several, only the
set operators (`ForAllValues`, `ForAnyValue`) match.
"""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator

from tandem_emulator import refusals

PUT_EVENTS = "events:PutEvents"

_keys_of_entries: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar(
    "tandem_keys_of_entries", default=None
)


def apply() -> None:
    name_the_role()
    name_the_entries()


def name_the_role() -> None:
    stock = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, context: iam_evaluator.EvalContext) -> Any:
        if key.lower() == "aws:principalarn":
            return refusals.principal_of(context.principal_arn)
        return stock(key, context)

    iam_evaluator._resolve_condition_key = resolve_condition_key


def name_the_entries() -> None:
    """A request's body is known where its tags are read, its buses where `enforce` is asked."""
    stock_tags = iam_actions.request_tag_context
    stock_enforce = iam_evaluator.enforce

    def request_tag_context(service: str, iam_action: str, body: bytes, params: Any) -> Any:
        if iam_action == PUT_EVENTS:
            _keys_of_entries.set(keys_of(entries_of(body)))
        return stock_tags(service, iam_action, body, params)

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        if iam_action == PUT_EVENTS:
            service_context = {**(service_context or {}), **(_keys_of_entries.get() or {})}
        return stock_enforce(
            access_key_id, iam_action, service, region, resource_arn, service_context
        )

    iam_actions.request_tag_context = request_tag_context
    iam_evaluator.enforce = enforce


def entries_of(body: bytes) -> list[dict[str, Any]]:
    try:
        entries = json.loads(body).get("Entries")
    except (AttributeError, ValueError):
        return []
    return [entry for entry in entries or [] if isinstance(entry, dict)]


def keys_of(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The condition keys of a PutEvents call with these entries."""
    keys: dict[str, Any] = {}
    for key, field in (("events:source", "Source"), ("events:detail-type", "DetailType")):
        values = sorted({str(entry[field]) for entry in entries if entry.get(field)})
        if values:
            keys[key] = values[0] if len(values) == 1 else values
    return keys
