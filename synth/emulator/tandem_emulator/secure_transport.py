"""`aws:SecureTransport`: a request over the loopback interface counts as one over TLS.

AWS: the condition key is true for every request over HTTPS, which is how all SDKs and all services
call; policies deny what comes without it.
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html)
Stock: the key is true only if the emulator itself was called over HTTPS, so a policy that denies
plain HTTP locks out everybody, and what services do among themselves counts as plain HTTP too.
Here: the emulator listens on the loopback interface only, and its HTTP stands for AWS's HTTPS.
"""

from __future__ import annotations

import contextvars

import ministack.app
from ministack.core import iam_evaluator


def apply() -> None:
    iam_evaluator._request_origin = contextvars.ContextVar(
        "tandem_request_origin", default=("127.0.0.1", True)
    )
    ministack.app.pin_request_origin = pin_request_origin


def pin_request_origin(source_ip: str, _secure_transport: bool) -> None:
    iam_evaluator._request_origin.set((source_ip, True))
