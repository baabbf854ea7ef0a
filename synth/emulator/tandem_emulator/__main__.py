"""Starts the emulator: `python -m tandem_emulator --port P --host 127.0.0.1`.

Order matters: first the version is checked, then the process environment is set (MiniStack reads it
while it is imported), then MiniStack is imported and changed, then it serves. SIGTERM and SIGINT
stop it in order; a second signal ends it at once.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from tandem_emulator import MINISTACK_VERSION

EXIT_WRONG_VERSION = 2
EXIT_PORT_TAKEN = 3


def main() -> int:
    arguments = parse_arguments()
    problem = version_problem()
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return EXIT_WRONG_VERSION
    try:
        listener = listen(arguments.host, arguments.port)
    except OSError as error:
        print(
            f"error: cannot listen on {arguments.host}:{arguments.port}: {error.strerror}\n"
            "hint: stop what holds the port, or choose another with --port (0 takes a free one)",
            file=sys.stderr,
        )
        return EXIT_PORT_TAKEN

    temporary = arguments.data_dir is None
    data_dir = Path(
        tempfile.mkdtemp(prefix="tandem-emulator-") if temporary else arguments.data_dir
    )
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        run(arguments, listener, data_dir.resolve())
    finally:
        if temporary:
            shutil.rmtree(data_dir, ignore_errors=True)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tandem_emulator",
        description="Emulate the AWS services of two regions on one loopback port.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--ready-file",
        type=Path,
        help="write a JSON object (pid, url, host, port, data_dir) here once requests are answered",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        help="folder for function code and working files; default is one removed at the end",
    )
    parser.add_argument(
        "--no-iam",
        action="store_true",
        help="let every request pass, whatever the policies say",
    )
    parser.add_argument("--log-level", default="WARNING", help="DEBUG, INFO, WARNING or ERROR")
    return parser.parse_args()


def version_problem() -> str | None:
    """Why these modules cannot run here, or None."""
    if sys.version_info < (3, 10):
        return f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}"
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        return f"ministack is not installed; install ministack=={MINISTACK_VERSION}"
    if found != MINISTACK_VERSION:
        return f"ministack {found} is installed; install ministack=={MINISTACK_VERSION}"
    return None


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything is imported: a taken port shows at once, and port 0 becomes real."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    return listener


def run(arguments: argparse.Namespace, listener: socket.socket, data_dir: Path) -> None:
    from tandem_emulator import process_environment

    host, port = listener.getsockname()[:2]
    process_environment.prepare(
        host=host,
        port=port,
        data_dir=data_dir,
        iam=not arguments.no_iam,
        log_level=arguments.log_level.upper(),
    )

    # These import MiniStack, which reads the environment once.
    from tandem_emulator import behaviours, server

    behaviours.apply_all()
    ready = {
        "pid": os.getpid(),
        "url": f"http://{host}:{port}",
        "host": host,
        "port": port,
        "data_dir": str(data_dir),
    }
    server.serve(listener, ready, arguments.ready_file)


if __name__ == "__main__":
    sys.exit(main())
