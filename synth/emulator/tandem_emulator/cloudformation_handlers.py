"""How the other modules reach MiniStack's table of CloudFormation resource handlers.

Not a restored behaviour by itself. A handler is a pair of functions per type; update handlers come
in two shapes (with and without the logical id), which `wrap` hides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
"""Physical id and attributes."""

HANDLERS: dict[str, dict[str, Any]] = provisioners._RESOURCE_HANDLERS


class ResourceFailure(ValueError):
    """Fails the resource's operation; the text becomes the stack event's reason."""


def wrap(
    resource_type: str,
    *,
    create: Callable[[Callable[[], Created], str, Properties, str], Created] | None = None,
    update: Callable[[Callable[[], Created], str, Properties, Properties], Created] | None = None,
    delete: Callable[[Callable[[], None], str, Properties], None] | None = None,
) -> None:
    """Put functions around a type's handlers; each gets the stock operation first."""
    handler = dict(HANDLERS[resource_type])
    if create is not None:
        handler["create"] = wrapped_create(handler["create"], create)
    if update is not None and "update" in handler:
        handler["update"] = wrapped_update(handler["update"], update)
    if delete is not None:
        handler["delete"] = wrapped_delete(handler["delete"], delete)
    HANDLERS[resource_type] = handler


def wrapped_create(stock: Callable[..., Created], around: Callable[..., Created]) -> Any:
    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        return around(
            lambda: stock(logical_id, properties, stack_name), logical_id, properties, stack_name
        )

    return create


def wrapped_update(stock: Callable[..., Created], around: Callable[..., Created]) -> Any:
    def update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        return around(lambda: stock(physical_id, old, new, *rest), physical_id, old, new)

    return update


def wrapped_delete(stock: Callable[..., None], around: Callable[..., None]) -> Any:
    def delete(physical_id: str, properties: Properties, *rest: Any) -> None:
        around(lambda: stock(physical_id, properties, *rest), physical_id, properties)

    return delete
