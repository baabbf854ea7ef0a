"""Stack events of an update name only the resources that are touched.

AWS: an unchanged resource has no events in an update; a resource that the update adds has
CREATE_IN_PROGRESS and CREATE_COMPLETE.
Stock: every resource of the template gets UPDATE_IN_PROGRESS and UPDATE_COMPLETE, though it leaves
unchanged ones alone.
Here: the first event is held back until it is known what happens to the resource; then it is
recorded, renamed or dropped, and so is the one that ends it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import stacks

STACK_TYPE = "AWS::CloudFormation::Stack"
STARTED = "UPDATE_IN_PROGRESS"
ENDINGS = ("UPDATE_COMPLETE", "UPDATE_FAILED")

Key = tuple[str, str, str, str]


@dataclasses.dataclass
class Pending:
    """One resource of a running update."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    prefix: str | None = None
    """`UPDATE` or `CREATE` once it is known, `""` when nothing happens to the resource."""


_pending: dict[Key, Pending] = {}


def apply() -> None:
    stock_add_event = stacks._add_event
    stock_update = stacks._update_keeping_seed
    stock_provision = stacks._provision_keeping_seed

    def add_event(
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        *rest: Any,
        **options: Any,
    ) -> None:
        arguments = (stack_id, stack_name, logical_id, resource_type, status, *rest)
        key = key_of(stack_name, logical_id)
        if resource_type == STACK_TYPE:
            stock_add_event(*arguments, **options)
        elif status == STARTED and not rest:
            _pending[key] = Pending(arguments, options)
        elif status in ENDINGS and key in _pending:
            end(key, arguments, options)
        else:
            stock_add_event(*arguments, **options)

    def end(key: Key, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        pending = _pending.pop(key)
        failed = arguments[4] == "UPDATE_FAILED"
        if pending.prefix is None:
            # Failed before anything was tried, for example on a reference that has no value.
            stock_add_event(*pending.arguments, **pending.options)
            stock_add_event(*arguments, **options)
        elif pending.prefix or failed:
            stock_add_event(*renamed(arguments, pending.prefix or "UPDATE"), **options)

    def settle(stack_name: str, logical_id: str, prefix: str) -> None:
        pending = _pending.get(key_of(stack_name, logical_id))
        if pending is None or pending.prefix is not None:
            return
        pending.prefix = prefix
        if prefix:
            stock_add_event(*renamed(pending.arguments, prefix), **pending.options)

    def update(*arguments: Any) -> Any:
        _type, _physical_id, old, new, stack_name, logical_id = arguments[:6]
        settle(stack_name, logical_id, "" if old == new else "UPDATE")
        return stock_update(*arguments)

    def provision(*arguments: Any) -> Any:
        _type, logical_id, _properties, stack_name = arguments[:4]
        settle(stack_name, logical_id, "CREATE")
        return stock_provision(*arguments)

    stacks._add_event = add_event
    stacks._update_keeping_seed = update
    stacks._provision_keeping_seed = provision


def key_of(stack_name: str, logical_id: str) -> Key:
    return (get_account_id(), get_region(), stack_name, logical_id)


def renamed(arguments: tuple[Any, ...], prefix: str) -> tuple[Any, ...]:
    status = prefix + arguments[4].removeprefix("UPDATE")
    return (*arguments[:4], status, *arguments[5:])
