"""Alarms of a stack: alarms on expressions, and composite alarms.

AWS: an alarm watches one metric or an expression over several (`Metrics`); a composite alarm
watches other alarms, which must exist when it is created.
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html)
Stock: an alarm with `Metrics` fails its stack; composite alarms exist by API only.
Here: an alarm with `Metrics` is stored and described, but stays at INSUFFICIENT_DATA, as
expressions are not computed. Composite alarms are real: their rule is parsed and follows its
alarms.
"""

from __future__ import annotations

from typing import Any

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from tandem_emulator.cloudformation_handlers import (
    HANDLERS,
    Created,
    Properties,
    ResourceFailure,
)
from tandem_emulator.cloudformation_types import answer_of

ONE_METRIC = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions")
"""Settings that an alarm on expressions does not have."""

COMPOSITE_SETTINGS = (
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "AlarmRule",
    "InsufficientDataActions",
    "OKActions",
    "Tags",
)


def apply() -> None:
    stock = provisioners._cw_metric_alarm_record

    def metric_alarm_record(name: str, properties: Properties) -> dict[str, Any]:
        metrics = properties.get("Metrics")
        if not metrics:
            return stock(name, properties)
        rest = {key: value for key, value in properties.items() if key != "Metrics"}
        # An alarm on an anomaly band has no threshold of its own.
        needed = {"MetricName": "expression", "Namespace": "expression", "Threshold": 0}
        record = stock(name, {**needed, **rest})
        for key in ONE_METRIC:
            record.pop(key, None)
        return {**record, "Metrics": metrics}

    provisioners._cw_metric_alarm_record = metric_alarm_record
    HANDLERS["AWS::CloudWatch::CompositeAlarm"] = {
        "create": create_composite_alarm,
        "update": update_composite_alarm,
        "update_with_logical_id": True,
        "delete": delete_composite_alarm,
    }


def create_composite_alarm(logical_id: str, properties: Properties, stack_name: str) -> Created:
    name = properties.get("AlarmName") or provisioners._physical_name(stack_name, logical_id)
    if name in cloudwatch._composite_alarms:
        raise ResourceFailure(f"{name} already exists")
    return put_composite_alarm(name, properties)


def update_composite_alarm(
    name: str, _old: Properties, new: Properties, stack_name: str, logical_id: str
) -> Created:
    renamed = new.get("AlarmName", name)
    if renamed == name:
        return put_composite_alarm(name, new)
    created = create_composite_alarm(logical_id, new, stack_name)
    delete_composite_alarm(name, new)
    return created


def delete_composite_alarm(name: str, _properties: Properties) -> None:
    cloudwatch._composite_alarms.pop(name, None)
    cloudwatch._composite_triggers.pop(name, None)


def put_composite_alarm(name: str, properties: Properties) -> Created:
    request = {key: properties[key] for key in COMPOSITE_SETTINGS if key in properties}
    answer_of(cloudwatch._put_composite_alarm({}, {**request, "AlarmName": name}, False, True))
    return name, {"Arn": cloudwatch._composite_alarms[name]["AlarmArn"]}
