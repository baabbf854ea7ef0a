"""`GET /_local/denied`: what IAM refused, to whom, and why. `DELETE` clears the list.

AWS: CloudTrail holds the refused calls; refusals of services (a mapping that may not read, an API
that may not invoke) show up in a metric, a log or nowhere. Stock: nothing is kept.
Here: every refusal is noted, of callers and of services alike, so that a test can tell which
missing permission stopped what. Repeated ones are one entry with a `count`; `time` is the latest,
in seconds since 1970. Newest last. Calls with unknown or wrong credentials are no refusals of
IAM's.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam

from tandem_emulator import local_api

MOST_ENTRIES = 10_000
"""The oldest are forgotten beyond this."""

Key = tuple[str, str, str, str]

_entries: dict[Key, dict[str, Any]] = {}
_lock = threading.Lock()

REASONS = {
    "Deny": "a policy denies it explicitly",
    "ImplicitDeny": "no policy allows it",
}


def apply() -> None:
    """Noted below the checks of keys, which ask `enforce` once more with the key's own action."""
    stock = iam_evaluator.enforce

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        denied = stock(access_key_id, iam_action, service, region, resource_arn, service_context)
        if isinstance(denied, iam_evaluator.EvalResult):
            reason = reason_of(denied.decision, service_context or {})
            record(principal_of(denied.principal_arn), iam_action, resource_arn, reason)
        return denied

    iam_evaluator.enforce = enforce
    local_api.add_route("GET", "/_local/denied", describe)
    local_api.add_route("DELETE", "/_local/denied", clear)


def record(principal: str, action: str, resource: str, reason: str) -> None:
    """Note a refusal. The principal is a role's ARN or a service's name."""
    key = (principal, action, resource, reason)
    with _lock:
        entry = _entries.pop(key, None) or {
            "principal": principal,
            "action": action,
            "resource": resource,
            "reason": reason,
            "count": 0,
        }
        entry["time"] = time.time()
        entry["count"] += 1
        _entries[key] = entry
        if len(_entries) > MOST_ENTRIES:
            del _entries[next(iter(_entries))]


def reason_of(decision: str, request_context: dict[str, Any]) -> str:
    """Why, and for which use of a key or on whose behalf, when that decides too."""
    context = {key.lower(): value for key, value in request_context.items()}
    reason = REASONS.get(decision, decision)
    if "kms:viaservice" in context:
        reason += f", used through {context['kms:viaservice']}"
    if "aws:sourcearn" in context:
        reason += f", on behalf of {context['aws:sourcearn']}"
    return reason


def principal_of(caller_arn: str) -> str:
    """The role behind a session of it; other callers as they are."""
    if ":assumed-role/" not in caller_arn:
        return caller_arn
    name = caller_arn.split(":assumed-role/", 1)[1].split("/", 1)[0]
    account = caller_arn.split(":")[4]
    role = iam._roles.get_scoped(account, None, name) or {}
    return str(role.get("Arn") or f"arn:aws:iam::{account}:role/{name}")


def describe(_path: str) -> local_api.Answer:
    with _lock:
        return 200, [dict(entry) for entry in _entries.values()]


def clear(path: str) -> local_api.Answer:
    with _lock:
        _entries.clear()
    return describe(path)
