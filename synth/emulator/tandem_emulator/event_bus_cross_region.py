"""Event buses as targets of rules, also in another region.

AWS: a rule forwards to a bus of another region with its target's role, once: an event that has
already changed region is not forwarded to a third. `region` keeps naming the region of origin.
While the other region is down EventBridge retries.
Stock: a bus in another region is refused with a log line; `region` becomes the target's.
Here: the event is dispatched in the target's region, with the rights checked and `region` kept.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import eventbridge

from tandem_emulator import event_target_dead_letters as deliveries
from tandem_emulator import region_outage

CROSSED = "_TandemCrossedRegion"


def apply() -> None:
    eventbridge._dispatch_to_event_bus = to_bus


def to_bus(
    spec: Any,
    event: dict[str, Any],
    rule: dict[str, Any],
    path: set[str],
    transformed: str | None = None,
) -> None:
    if not spec.resource.startswith("event-bus/") or spec.account_id != get_account_id():
        deliveries.refuse("NO_RESOURCE", f"{spec} is not an event bus of this account")
    bus_name = spec.resource.split("/", 1)[1]
    crossing = spec.region != get_region()
    if crossing:
        check_crossing(spec, event)
    with request_scope(spec.account_id, spec.region):
        if bus_name not in eventbridge._event_buses:
            deliveries.refuse("NO_RESOURCE", f"event bus {spec} does not exist")
        dispatch(forwarded(event, rule, bus_name, path, transformed, crossing))


def check_crossing(spec: Any, event: dict[str, Any]) -> None:
    if event.get(CROSSED):
        deliveries.refuse(
            "THIRD_REGION_HOP_DETECTED", f"event came from another region already: {spec}"
        )
    delivery = deliveries.current()
    if delivery is not None:
        deliveries.check_role(delivery, "events:PutEvents", str(spec))
    if region_outage.is_down(spec.region):
        deliveries.refuse(
            "CROSS_REGION_INGESTION_FAILED", f"region {spec.region} does not answer", passing=True
        )


def forwarded(
    event: dict[str, Any],
    rule: dict[str, Any],
    bus_name: str,
    path: set[str],
    transformed: str | None,
    crossing: bool,
) -> dict[str, Any]:
    copy = {**event, "EventBusName": bus_name}
    copy["Region"] = event.get("Region") or get_region()
    if crossing:
        # The path guards against a circle of rules within one region; keys are not qualified by it.
        copy["_DispatchPath"] = []
        copy[CROSSED] = True
    else:
        rule_key = eventbridge._rule_key(rule.get("Name"), rule.get("EventBusName", "default"))
        copy["_DispatchPath"] = [*path, rule_key]
    if transformed is not None:
        copy["Detail"] = transformed
    return copy


def dispatch(event: dict[str, Any]) -> None:
    eventbridge._dispatch_event(event)
    archived = {key: value for key, value in event.items() if key != "_DispatchPath"}
    eventbridge._archive_event(archived)
