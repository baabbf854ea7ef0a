"""The emulator's own addresses under `/_local/`. AWS has none of them, and no AWS path begins so.

- `GET /_local/health`: 200 with `{"status": "ok", ...}` as soon as requests are answered.
- `GET /_local/version`: versions of the emulator and of Python.
- `GET /_local/resource-types`: the CloudFormation types that a stack can hold. `provisioned` ones
  are made, `placeholders` are accepted, get an id, and do nothing.
- `GET /_local/calls`: see `call_record`.
- `GET /_local/denied`, `DELETE /_local/denied`: see `refusals`.
- `GET /_local/region`, `POST /_local/region/REGION/down|up`: see `region_outage`.

They carry no secrets and need no signature; the server listens on loopback.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from typing import Any

import ministack.app

from tandem_emulator import MINISTACK_VERSION
from tandem_emulator.cloudformation_handlers import HANDLERS

Answer = tuple[int, dict[str, Any] | list[dict[str, Any]]]
"""Status and body."""
Route = Callable[[str], Answer]

_routes: dict[tuple[str, str], Route] = {}
_prefix_routes: dict[tuple[str, str], Route] = {}


def add_route(method: str, path: str, route: Route) -> None:
    _routes[method, path] = route


def add_prefix_route(method: str, prefix: str, route: Route) -> None:
    _prefix_routes[method, prefix] = route


def apply() -> None:
    add_route("GET", "/_local/health", health)
    add_route("GET", "/_local/version", version)
    add_route("GET", "/_local/resource-types", resource_types)
    stock = ministack.app.app

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/_local/"):
            await reply(send, *answer(scope["method"], scope["path"]))
            return
        await stock(scope, receive, send)

    ministack.app.app = application


def answer(method: str, path: str) -> Answer:
    route = _routes.get((method, path))
    if route is not None:
        return route(path)
    for (prefix_method, prefix), prefix_route in _prefix_routes.items():
        if method == prefix_method and path.startswith(prefix):
            return prefix_route(path)
    return 404, {"error": f"no such address: {method} {path}"}


async def reply(send: Any, status: int, body: dict[str, Any] | list[dict[str, Any]]) -> None:
    payload = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(payload)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


def health(_path: str) -> Answer:
    return 200, {"status": "ok", "pid": os.getpid(), "iam": bool(ministack.app.AUTH)}


def version(_path: str) -> Answer:
    return 200, {"ministack": MINISTACK_VERSION, "python": platform.python_version()}


def resource_types(_path: str) -> Answer:
    placeholders = sorted(name for name, handler in HANDLERS.items() if handler.get("placeholder"))
    provisioned = sorted(HANDLERS.keys() - set(placeholders))
    return 200, {"provisioned": provisioned, "placeholders": placeholders}
