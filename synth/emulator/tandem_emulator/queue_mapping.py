"""Event source mappings of queues: what a batch's answer means.

AWS: with ReportBatchItemFailures the named messages become visible again, the others are deleted.
An answer that is no JSON object, or that names an empty, unknown or missing id, makes the whole
batch fail, so that nothing is lost. Without it a batch succeeds or fails as a whole.
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html)
Stock: ids that name no message are ignored, and the whole batch is deleted.
Here: the answer is read as on AWS. After a failed batch the mapping rests for a second.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from ministack.services import lambda_svc, sqs

logger = logging.getLogger(__name__)

REST_SECS = 1.0

Message = dict[str, Any]


def apply() -> None:
    lambda_svc._run_sqs_batch = run_batch


def run_batch(
    mapping: dict[str, Any],
    function: dict[str, Any],
    event: dict[str, Any],
    batch: list[Message],
    queue_url: str,
    queue_name: str,
) -> None:
    result = lambda_svc._execute_function(function, event)
    if result.get("error"):
        mapping["LastProcessingResult"] = "PROBLEM: Function call failed"
        logger.warning("batch of queue %s failed: %s", queue_name, result.get("body"))
        rest(mapping)
        return
    failed: set[str] = set()
    if "ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or []):
        failed = failed_messages(result.get("body"), batch)
    done = {message["receipt_handle"] for message in batch if message["id"] not in failed}
    sqs._delete_messages_for_esm(queue_url, done)
    mapping["LastProcessingResult"] = "OK"
    if len(failed) == len(batch):
        rest(mapping)


def rest(mapping: dict[str, Any]) -> None:
    """Failed messages stay invisible for a while; this keeps the next ones from failing at once."""
    lambda_svc._esm_backoff_until[mapping["UUID"]] = time.time() + REST_SECS


def failed_messages(body: Any, batch: list[Message]) -> set[str]:
    """Ids of the messages that the function's answer calls failed; all, if it makes no sense.

    An empty answer, and an empty or missing list, is success.
    """
    everything = {str(message["id"]) for message in batch}
    if isinstance(body, str):
        try:
            body = json.loads(body) if body.strip() else None
        except ValueError:
            return everything
    if body is None:
        return set()
    if not isinstance(body, dict):
        return everything
    named = body.get("batchItemFailures") or []
    if not isinstance(named, list):
        return everything
    failed: set[str] = set()
    for failure in named:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(identifier, str) or identifier not in everything:
            return everything
        failed.add(identifier)
    return failed
