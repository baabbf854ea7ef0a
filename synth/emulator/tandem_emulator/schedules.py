"""Schedules of EventBridge Scheduler: first run, exact times, settings, roles.

AWS: a schedule with a rate and no start date invokes its target at once, then at its rate. A
schedule needs a group that exists and a role that the service can assume. It invokes with that
role; the role's trust policy sees the ARN of the schedule's *group* as `aws:SourceArn`. `Input` may
name attributes of the run, such as `<aws.scheduler.scheduled-time>`.
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html,
.../managing-schedule-context-attributes.html, .../cross-service-confused-deputy-prevention.html)
Stock: the first run comes one interval after the creation, due schedules are looked for each ten
seconds, a stack's schedule drops its dates, time zone and key, and one in a missing group or with
any role is "created".
Here: due schedules are looked for each second, and all of this is as on AWS. Flexible time windows
and time zones of `cron()` are not applied.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import eventbridge, scheduler
from ministack.services.cloudformation import provisioners

from tandem_emulator import iam
from tandem_emulator.cloudformation_handlers import HANDLERS, Created, Properties
from tandem_emulator.cloudformation_types import answer_of

TYPE = "AWS::Scheduler::Schedule"
TICK_SECS = 1
SERVICE = "scheduler.amazonaws.com"
ALWAYS = 0.0
"""Time of the last run of a schedule that is due at once."""

SETTINGS = (
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "KmsKeyArn",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "State",
    "Target",
)


def apply() -> None:
    scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECS
    check_requests()
    fill_in_input()
    HANDLERS[TYPE] = {
        "create": create,
        "update": update,
        "update_with_logical_id": True,
        "delete": delete,
    }


def check_requests() -> None:
    """Both ways to create or change a schedule, API and template, pass here."""
    stock_create = scheduler._create_schedule
    stock_update = scheduler._update_schedule

    def create_schedule(name: str, body: Properties) -> Any:
        problem = role_problem(body)
        if problem is not None:
            return scheduler._error(400, "ValidationException", problem)
        answer = stock_create(name, body)
        if answer[0] < 400:
            run_soon(body.get("GroupName", "default"), name)
        return answer

    def update_schedule(name: str, body: Properties) -> Any:
        problem = role_problem(body)
        if problem is not None:
            return scheduler._error(400, "ValidationException", problem)
        return stock_update(name, body)

    scheduler._create_schedule = create_schedule
    scheduler._update_schedule = update_schedule


def role_problem(body: Properties) -> str | None:
    role_arn = str((body.get("Target") or {}).get("RoleArn", ""))
    group_arn = scheduler._group_arn(body.get("GroupName", "default"))
    if not role_arn or iam.role_trusts(role_arn, SERVICE, iam.origin(group_arn)):
        return None
    return (
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role: "
        f"{role_arn}"
    )


def run_soon(group: str, name: str) -> None:
    key = (get_account_id(), get_region(), f"{group}/{name}")
    schedule = scheduler._schedules[f"{group}/{name}"]
    scheduler._schedule_last_fired.pop(key, None)
    by_rate = eventbridge._parse_rate_seconds(schedule["ScheduleExpression"]) is not None
    if by_rate and schedule.get("StartDate") is None:
        scheduler._schedule_last_fired[key] = ALWAYS


def fill_in_input() -> None:
    """Replace the attributes of the run in `Input`; without one, give Scheduler's own event."""
    stock = eventbridge._invoke_target

    def invoke_target(
        target: Properties, event: Properties, rule: Properties, view: Any = None
    ) -> None:
        if ":scheduler:" in str(rule.get("Arn", "")):
            target = {**target, "Input": input_of(target, event, rule)}
        stock(target, event, rule, view)

    eventbridge._invoke_target = invoke_target


def input_of(target: Properties, event: Properties, schedule: Properties) -> str:
    run_at = datetime.datetime.fromtimestamp(event["Time"], tz=datetime.timezone.utc)
    time_text = run_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = target.get("Input")
    if not text:
        return json.dumps(
            {
                "version": "0",
                "id": event["EventId"],
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
                "account": get_account_id(),
                "time": time_text,
                "region": get_region(),
                "resources": [schedule["Arn"]],
                "detail": "{}",
            }
        )
    attributes = {
        "<aws.scheduler.schedule-arn>": schedule["Arn"],
        "<aws.scheduler.scheduled-time>": time_text,
        "<aws.scheduler.execution-id>": new_uuid(),
        # Retries repeat the text of the first attempt.
        "<aws.scheduler.attempt-number>": "1",
    }
    for name, value in attributes.items():
        text = text.replace(name, value)
    return str(text)


# Schedules of stacks


def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    name = properties.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=64)
    body = {key: properties[key] for key in SETTINGS if key in properties}
    body["GroupName"] = group_of(properties)
    answer = answer_of(scheduler._create_schedule(name, body))
    return name, {"Arn": answer["ScheduleArn"]}


def update(
    name: str, old: Properties, new: Properties, stack_name: str, logical_id: str
) -> Created:
    if new.get("Name", name) != name or group_of(new) != group_of(old):
        created = create(logical_id, new, stack_name)
        delete(name, old)
        return created
    body = {key: new[key] for key in SETTINGS if key in new}
    body["GroupName"] = group_of(new)
    answer = answer_of(scheduler._update_schedule(name, body))
    return name, {"Arn": answer["ScheduleArn"]}


def delete(name: str, properties: Properties) -> None:
    group = group_of(properties)
    if f"{group}/{name}" not in scheduler._schedules:
        return
    removed = scheduler._schedules.pop(f"{group}/{name}")
    scheduler._tags.pop(removed["Arn"], None)
    scheduler._schedule_last_fired.pop((get_account_id(), get_region(), f"{group}/{name}"), None)


def group_of(properties: Properties) -> str:
    return str(properties.get("GroupName") or "default")
