"""An event that cannot be delivered to a rule's target goes to the target's dead-letter queue.

AWS: lasting failures (no such target, no permission) go to the queue at once; passing ones are
retried with backoff for the RetryPolicy's age and attempts (24 h and 185 by default), then go to
the queue. The message is the event, with attributes RULE_ARN, TARGET_ARN, ERROR_CODE, ERROR_MESSAGE
and, after retries, EXHAUSTED_RETRY_CONDITION and RETRY_ATTEMPTS. The queue's policy must let
EventBridge send.
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html)
Stock: failures are logged and swallowed; DeadLetterConfig and RetryPolicy do nothing.
Here: the delivering modules call `refuse`; this module retries and delivers to the queue. The first
retry waits 0.2 s and the longest 5 s, so that an outage rehearsed locally is over in seconds.

It also keeps the delivery that is under way (`current`), because the functions which MiniStack
calls per kind of target get neither the rule nor the target's role.
"""

from __future__ import annotations

import contextvars
import dataclasses
import json
import logging
import threading
import time
from typing import Any, NoReturn

from ministack.services import eventbridge, sqs

from tandem_emulator import iam, kms_encrypted_resources, sqs_delivery

logger = logging.getLogger(__name__)

FIRST_RETRY_SECS = 0.2
LONGEST_RETRY_SECS = 5.0
DEFAULT_MAX_AGE_SECS = 86_400
DEFAULT_MAX_ATTEMPTS = 185


@dataclasses.dataclass
class Delivery:
    """One event on its way to one target."""

    target: dict[str, Any]
    event: dict[str, Any]
    rule: dict[str, Any]
    view: Any
    attempts: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)
    failure: Undeliverable | None = None

    @property
    def rule_arn(self) -> str:
        return str(self.rule.get("Arn", ""))

    @property
    def by_schedule(self) -> bool:
        """EventBridge Scheduler delivers through the same code, as a service of its own."""
        return ":scheduler:" in self.rule_arn

    @property
    def source_arn(self) -> str:
        """What policies see as the origin: the rule, or the group of a schedule."""
        if not self.by_schedule:
            return self.rule_arn
        prefix, path = self.rule_arn.split(":schedule/", 1)
        return f"{prefix}:schedule-group/{path.split('/', 1)[0]}"

    @property
    def service(self) -> str:
        return "scheduler.amazonaws.com" if self.by_schedule else "events.amazonaws.com"


class Undeliverable(Exception):
    """A failed delivery, with EventBridge's error code."""

    def __init__(self, code: str, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.passing = passing


_current: contextvars.ContextVar[Delivery | None] = contextvars.ContextVar(
    "tandem_current_delivery", default=None
)
_stock_invoke_target = eventbridge._invoke_target


def apply() -> None:
    eventbridge._invoke_target = invoke_target


def current() -> Delivery | None:
    """The delivery that the calling code works for; None outside one."""
    return _current.get()


def refuse(code: str, message: str, *, passing: bool = False) -> NoReturn:
    """End the current delivery as failed; noted first, as MiniStack swallows the exception."""
    failure = Undeliverable(code, message, passing=passing)
    delivery = _current.get()
    if delivery is not None:
        delivery.failure = failure
    raise failure


def invoke_target(
    target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None
) -> None:
    view = view or eventbridge._pattern_event_view(event)
    attempt(Delivery(target, event, rule, view))


def attempt(delivery: Delivery) -> None:
    delivery.failure = None
    delivery.attempts += 1
    token = _current.set(delivery)
    try:
        _stock_invoke_target(delivery.target, delivery.event, delivery.rule, delivery.view)
    finally:
        _current.reset(token)
    failure = delivery.failure
    if failure is None:
        return
    if failure.passing and not exhausted(delivery):
        retry_later(delivery)
        return
    give_up(delivery, failure)


def exhausted(delivery: Delivery) -> str | None:
    """The spent half of the retry policy, as EventBridge names it, or None."""
    policy = delivery.target.get("RetryPolicy") or {}
    max_attempts = int(policy.get("MaximumRetryAttempts", DEFAULT_MAX_ATTEMPTS))
    max_age = int(policy.get("MaximumEventAgeInSeconds", DEFAULT_MAX_AGE_SECS))
    if delivery.attempts > max_attempts:
        return "MaximumRetryAttempts"
    if time.monotonic() - delivery.started > max_age:
        return "MaximumEventAgeInSeconds"
    return None


def retry_later(delivery: Delivery) -> None:
    delay = min(FIRST_RETRY_SECS * 2 ** (delivery.attempts - 1), LONGEST_RETRY_SECS)
    context = contextvars.copy_context()
    timer = threading.Timer(delay, context.run, args=(attempt, delivery))
    timer.daemon = True
    timer.start()


def give_up(delivery: Delivery, failure: Undeliverable) -> None:
    queue_arn = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
    target_arn = str(delivery.target.get("Arn", ""))
    if not queue_arn:
        logger.warning("event dropped: %s, target %s", failure.message, target_arn)
        return
    if not may_send(delivery, queue_arn):
        logger.error("event dropped: no permission to send to the dead-letter queue %s", queue_arn)
        return
    attributes = {
        "RULE_ARN": delivery.rule_arn,
        "TARGET_ARN": target_arn,
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message,
    }
    if failure.passing:
        attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted(delivery) or "MaximumRetryAttempts"
        attributes["RETRY_ATTEMPTS"] = str(delivery.attempts - 1)
    try:
        sqs_delivery.send(queue_arn, json.dumps(delivery.view.event_with_detail()), attributes)
    except LookupError as error:
        logger.error("event dropped: %s", error)


def may_send(delivery: Delivery, queue_arn: str) -> bool:
    """Rules send by the queue's policy, schedules by their own role."""
    if delivery.by_schedule:
        role_arn = target_role(delivery)
        allowed = iam.role_allows(role_arn, "sqs:SendMessage", queue_arn)
        return allowed and kms_encrypted_resources.role_may_send(queue_arn, role_arn)
    return queue_policy_allows(queue_arn, delivery)


def queue_policy_allows(queue_arn: str, delivery: Delivery) -> bool:
    found = sqs.queue_policy_for_arn(queue_arn)
    policy = found[0] if found else None
    request_origin = iam.origin(delivery.source_arn)
    allowed = iam.resource_policy_allows(
        policy, delivery.service, "sqs:SendMessage", queue_arn, request_origin
    )
    return allowed and kms_encrypted_resources.service_may_send(
        queue_arn, delivery.service, request_origin
    )


def target_role(delivery: Delivery) -> str:
    return str(delivery.target.get("RoleArn") or delivery.rule.get("RoleArn") or "")


def check_role(delivery: Delivery, action: str, resource_arn: str) -> None:
    """Refuse unless the target's role can be assumed by the service and allows the action."""
    role_arn = target_role(delivery)
    if not iam.role_trusts(role_arn, delivery.service, iam.origin(delivery.source_arn)):
        refuse("FAILED_TO_ASSUME_ROLE", f"{delivery.service} cannot assume the role `{role_arn}`")
    if not iam.role_allows(role_arn, action, resource_arn):
        refuse("NO_PERMISSIONS", f"role `{role_arn}` does not allow {action} on {resource_arn}")
