"""The process environment: what MiniStack reads while it is imported, and what functions inherit.

AWS starts a function with a small, known set of variables. MiniStack hands its own whole
environment to every function process, so credentials, proxies and settings of the person who
started it would leak into the functions. The environment is therefore emptied first and built anew.
"""

from __future__ import annotations

import os
from pathlib import Path

INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "PYTHONPATH", "TANDEM_PLATFORM", "TZ")
"""Variables that stay, when the caller has them.

`TANDEM_PLATFORM` marks every process of a platform, functions included, so that the tool finds them.
"""

ROOT_ACCESS_KEY_ID = "test"
ROOT_SECRET_ACCESS_KEY = "test"
"""The account's root credentials: not secrets, they open nothing outside this process."""

LAUNCHER_ONLY = (
    "AUTH",
    "BIND_HOST",
    "GATEWAY_PORT",
    "IOT_MTLS_ENABLED",
    "LAMBDA_EXECUTOR",
    "LOG_LEVEL",
    "PERSIST_STATE",
    "PYTHONPATH",
    "S3_DATA_DIR",
    "S3_PERSIST",
    "SFTP_ENABLED",
    "STATE_DIR",
)
"""Variables that are MiniStack's own settings: functions do not get them."""


def prepare(*, host: str, port: int, data_dir: Path, iam: bool, log_level: str) -> None:
    """Replace `os.environ`. Must run before anything imports MiniStack."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    temporary = data_dir / "tmp"
    temporary.mkdir(exist_ok=True)
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        {
            "AUTH": "true" if iam else "false",
            "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_ACCESS_KEY,
            # Custom runtimes learn the endpoint from here and from nowhere else; without it a
            # function's SDK would call the real AWS.
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "BIND_HOST": host,
            "GATEWAY_PORT": str(port),
            # Both would open further listening ports.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "LOG_LEVEL": log_level,
            # State ends with the process: MiniStack would save positions in streams without the
            # streams' records, and mappings would skip records after a restart.
            "PERSIST_STATE": "0",
            "S3_DATA_DIR": str(data_dir / "s3"),
            "S3_PERSIST": "0",
            "STATE_DIR": str(data_dir / "state"),
            "TMPDIR": str(temporary),
        }
    )
