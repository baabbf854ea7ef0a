"""A region can be switched off: `POST /_local/region/us-west-2/down`, and `/up` again.

AWS: when a region fails, its endpoints stop answering, its functions stop being invoked, and Global
Tables of other regions hold changes back for it and deliver them when it returns.
Stock: has no such switch.
Here: while a region is down
- requests signed for it are answered with 503 (SDKs take that as a passing server error), and so
  are requests to its HTTP APIs;
- its stream and queue mappings, rules and schedules rest;
- event buses in other regions keep retrying towards it;
- table changes of other regions wait, and are applied in order on `up`.

Not cut: function processes that already run, and services without a region (IAM, STS) when they
are asked through another region.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import ministack.app
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import apigateway, dynamodb, eventbridge, lambda_svc

from tandem_emulator import local_api

_down: set[str] = set()
_waiting_changes: list[tuple[str, str, str, tuple[Any, ...]]] = []
"""Account, region of the write, region that is down, and the change."""
_lock = threading.RLock()


def is_down(region: str) -> bool:
    return region in _down


def apply() -> None:
    local_api.add_route("GET", "/_local/region", describe)
    local_api.add_prefix_route("POST", "/_local/region/", switch)
    refuse_requests()
    refuse_http_apis()
    pause_mappings()
    pause_rules()
    hold_back_replication()


def describe(_path: str) -> local_api.Answer:
    return 200, {"down": sorted(_down)}


def switch(path: str) -> local_api.Answer:
    parts = path.removeprefix("/_local/region/").split("/")
    if len(parts) != 2 or parts[1] not in ("down", "up"):
        return 404, {"error": "expected /_local/region/<region>/down or /up"}
    region, direction = parts
    if direction == "down":
        with _lock:
            _down.add(region)
    else:
        bring_up(region)
    return describe(path)


def bring_up(region: str) -> None:
    with _lock:
        _down.discard(region)
        due = [change for change in _waiting_changes if change[2] == region]
        _waiting_changes[:] = [change for change in _waiting_changes if change[2] != region]
        for account, home, _region, arguments in due:
            with request_scope(account, home):
                _stock_replicate_write(*arguments)


def refuse_requests() -> None:
    stock = ministack.app.app

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and signed_region(scope) in _down:
            body = {"__type": "ServiceUnavailable", "message": "the region is down"}
            await local_api.reply(send, 503, body)
            return
        await stock(scope, receive, send)

    ministack.app.app = application


def refuse_http_apis() -> None:
    stock = apigateway.handle_execute

    async def handle_execute(api_id: str, *arguments: Any, **options: Any) -> Any:
        scope = apigateway.find_api_scope(api_id)
        if scope is not None and scope[1] in _down:
            body = b'{"message":"Service Unavailable"}'
            return 503, {"Content-Type": "application/json"}, body
        return await stock(api_id, *arguments, **options)

    apigateway.handle_execute = handle_execute


def signed_region(scope: Any) -> str | None:
    """The region in a request's signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`."""
    if not _down:
        return None
    authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    if "Credential=" in authorization:
        return region_of_credential(authorization.split("Credential=", 1)[1], "/")
    query = scope.get("query_string", b"").decode("latin-1")
    if "X-Amz-Credential=" in query:
        return region_of_credential(query.split("X-Amz-Credential=", 1)[1], "%2F")
    return None


def region_of_credential(text: str, separator: str) -> str | None:
    parts = text.split(separator)
    return parts[2] if len(parts) > 2 else None


def pause_mappings() -> None:
    stock = lambda_svc._iter_all_esms

    def all_in_service() -> Iterator[tuple[str, str, dict[str, Any]]]:
        for account, region, mapping in stock():
            if region not in _down:
                yield account, region, mapping

    lambda_svc._iter_all_esms = all_in_service


def pause_rules() -> None:
    """A tick of a schedule that falls into the outage is missed, as in a real one."""
    stock = eventbridge._invoke_target

    def invoke_target(*arguments: Any, **options: Any) -> None:
        if get_region() not in _down:
            stock(*arguments, **options)

    eventbridge._invoke_target = invoke_target


_stock_replicate_write = dynamodb._replicate_write


def hold_back_replication() -> None:
    def replicate_write(table: dict[str, Any], event_name: str, old: Any, new: Any) -> None:
        if not _down:
            _stock_replicate_write(table, event_name, old, new)
            return
        with _lock:
            home = get_region()
            others = [region for region in dynamodb._replica_group(table) if region != home]
            reachable = [] if home in _down else [r for r in others if r not in _down]
            _stock_replicate_write(seen_with(table, [home, *reachable]), event_name, old, new)
            for region in others:
                if region not in reachable:
                    change = (seen_with(table, [home, region]), event_name, old, new)
                    missing = region if region in _down else home
                    _waiting_changes.append((get_account_id(), home, missing, change))

    dynamodb._replicate_write = replicate_write


def seen_with(table: dict[str, Any], regions: list[str]) -> dict[str, Any]:
    """The table as if it had only these replicas; items are shared, not copied."""
    return {**table, "_global_regions": regions}
