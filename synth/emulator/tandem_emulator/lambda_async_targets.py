"""Functions as targets of event rules and schedules are invoked asynchronously.

AWS: the event enters the function's asynchronous queue: two retries by default, then the function's
failure destination or dead-letter queue, to which the function's *own role* must be allowed to
send. The function's policy must let EventBridge invoke it; a schedule invokes with its role.
Stock: the function runs once, failures are lost, rights are not checked.
Here: MiniStack's asynchronous path is taken, with the rights checked on both sides. The waits
between attempts stay MiniStack's 1 s and 2 s (AWS: 1 and 2 minutes).
"""

from __future__ import annotations

import json
import logging
from typing import Any

from ministack.services import eventbridge, lambda_svc

from tandem_emulator import event_target_dead_letters as deliveries
from tandem_emulator import iam, kms_encrypted_resources, lambda_permissions

logger = logging.getLogger(__name__)

SEND_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}


def apply() -> None:
    eventbridge._dispatch_to_lambda = to_function
    stock = lambda_svc._route_async_failure

    def route_failure(target_arn: str, function_name: str, event: Any, result: Any) -> None:
        function = lambda_svc._functions.get(function_name) or {}
        role_arn = str((function.get("config") or {}).get("Role", ""))
        if may_send_to(role_arn, target_arn):
            stock(target_arn, function_name, event, result)
            return
        logger.error(
            "failed event of %s dropped: its role may not send to %s", function_name, target_arn
        )

    lambda_svc._route_async_failure = route_failure


def may_send_to(role_arn: str, target_arn: str) -> bool:
    """Whether a function's role lets it use a failure destination."""
    service = target_arn.split(":")[2] if target_arn.count(":") > 2 else ""
    action = SEND_ACTIONS.get(service)
    if action is None or not iam.role_allows(role_arn, action, target_arn):
        return action is None
    return service != "sqs" or kms_encrypted_resources.role_may_send(target_arn, role_arn)


def to_function(arn: str, payload: str) -> None:
    function, config, _name = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        deliveries.refuse("NO_RESOURCE", f"function {arn} does not exist")
    delivery = deliveries.current()
    if delivery is not None:
        check_rights(delivery, arn)
    lambda_svc.invoke_async_with_retry(asynchronous_record(function, config), decoded(payload))


def check_rights(delivery: deliveries.Delivery, arn: str) -> None:
    if delivery.by_schedule or deliveries.target_role(delivery):
        deliveries.check_role(delivery, lambda_permissions.INVOKE, arn)
        return
    if not lambda_permissions.service_may_invoke(arn, delivery.service, delivery.rule_arn):
        deliveries.refuse(
            "NO_PERMISSIONS",
            f"{arn} does not let {delivery.service} invoke it for {delivery.rule_arn}",
        )


def asynchronous_record(function: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The record to run, with the settings of asynchronous invocation beside it."""
    record = lambda_svc._execution_record_for_config(function, config)
    record.setdefault("event_invoke_config", function.get("event_invoke_config"))
    record.setdefault("event_invoke_configs", function.get("event_invoke_configs") or {})
    return record


def decoded(payload: str) -> Any:
    try:
        return json.loads(payload)
    except (TypeError, ValueError):
        return {"body": payload}
