"""The HTTP server around MiniStack's ASGI application, and its end.

MiniStack's own `main` parses arguments, writes a pid file under the system's temporary folder and
leaves the function processes running when it is told to stop. This one does none of the three.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import ministack.app
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from ministack.core import lambda_runtime

KEEP_ALIVE_SECS = 75
DRAIN_SECS = 2.0
"""Time for requests in flight at the end."""
DEADLINE_SECS = 10.0
"""After this the process ends, whatever still runs."""


def serve(listener: socket.socket, ready: dict[str, Any], ready_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT, then stop every function process."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = KEEP_ALIVE_SECS
    config.graceful_timeout = DRAIN_SECS
    config.loglevel = os.environ["LOG_LEVEL"]
    # "Running on ..." is said by the ready file and the health address.
    config.errorlog = None if config.loglevel in ("WARNING", "ERROR") else "-"
    raise_file_limit()
    try:
        asyncio.run(serve_until_signal(config, ready, ready_file))
    finally:
        lambda_runtime.reset()
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


async def serve_until_signal(
    config: Config, ready: dict[str, Any], ready_file: Path | None
) -> None:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            end_now()
        stop.set()
        deadline = threading.Timer(DEADLINE_SECS, end_now)
        deadline.daemon = True
        deadline.start()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)

    application = announcing(ministack.app.app, ready, ready_file)
    await hypercorn_serve(application, config, shutdown_trigger=stop.wait)


def end_now() -> None:
    """Leave without waiting; function processes die with this one."""
    lambda_runtime.reset()
    os._exit(1)


def announcing(application: Any, ready: dict[str, Any], ready_file: Path | None) -> Any:
    """The application, which writes the ready file once its start-up is complete.

    The listening socket is bound already: from here on a connection is queued and answered.
    """

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan" or ready_file is None:
            await application(scope, receive, send)
            return

        async def send_and_announce(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                write_atomically(ready_file, json.dumps(ready) + "\n")

        await application(scope, receive, send_and_announce)

    return wrapped


def write_atomically(path: Path, text: str) -> None:
    """Nobody may read half a file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def raise_file_limit() -> None:
    """One function environment takes about six descriptors; the usual soft limit is 1,024."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            pass  # macOS refuses values above its own maximum; the soft limit then stays
