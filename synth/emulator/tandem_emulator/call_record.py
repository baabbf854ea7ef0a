"""`GET /_local/calls`: how often each API action was called, and by whom.

AWS: CloudTrail records every call. Stock: nothing does. Here: allowed and denied calls are counted
by action and caller, so that a test can prove what a tool did not do. Counts start with the
emulator. Without IAM enforcement no action is known and nothing is counted.
"""

from __future__ import annotations

import collections
import threading
from typing import Any

from ministack.core import iam_evaluator

from tandem_emulator import local_api
from tandem_emulator.process_environment import ROOT_ACCESS_KEY_ID

_counts: collections.Counter[tuple[str, str]] = collections.Counter()
_lock = threading.Lock()


def apply() -> None:
    stock = iam_evaluator.enforce

    def enforce(access_key_id: str, iam_action: str, *rest: Any, **options: Any) -> Any:
        caller = "root" if access_key_id == ROOT_ACCESS_KEY_ID else "role"
        with _lock:
            _counts[caller, iam_action] += 1
        return stock(access_key_id, iam_action, *rest, **options)

    iam_evaluator.enforce = enforce
    local_api.add_route("GET", "/_local/calls", calls)


def calls(_path: str) -> local_api.Answer:
    answer: dict[str, dict[str, int]] = {"root": {}, "role": {}}
    with _lock:
        for (caller, action), count in sorted(_counts.items()):
            answer[caller][action] = count
    return 200, answer
