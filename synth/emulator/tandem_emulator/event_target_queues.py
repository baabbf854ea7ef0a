"""Queues as targets of event rules and schedules.

AWS: EventBridge sends with the rights that the queue's policy gives to `events.amazonaws.com` for
the rule's ARN (or that the target's role gives); a schedule sends with its role. A missing queue or
right is a lasting failure.
Stock: a missing queue is logged and the event is lost; rights are not checked.
Here: both end in the target's dead-letter queue.
"""

from __future__ import annotations

from typing import Any

from ministack.services import eventbridge

from tandem_emulator import event_target_dead_letters as deliveries
from tandem_emulator import sqs_delivery


def apply() -> None:
    stock = eventbridge._dispatch_to_sqs

    def to_queue(spec: Any, payload: str, parameters: dict[str, Any] | None = None) -> None:
        queue_arn = str(spec)
        if not sqs_delivery.exists(queue_arn):
            deliveries.refuse("NO_RESOURCE", f"queue {queue_arn} does not exist")
        delivery = deliveries.current()
        if delivery is not None:
            check_rights(delivery, queue_arn)
        stock(spec, payload, parameters)

    eventbridge._dispatch_to_sqs = to_queue


def check_rights(delivery: deliveries.Delivery, queue_arn: str) -> None:
    if delivery.by_schedule or deliveries.target_role(delivery):
        deliveries.check_role(delivery, "sqs:SendMessage", queue_arn)
        return
    if not deliveries.queue_policy_allows(queue_arn, delivery):
        deliveries.refuse(
            "NO_PERMISSIONS",
            f"{queue_arn} does not let {delivery.service} send for {delivery.rule_arn}",
        )
