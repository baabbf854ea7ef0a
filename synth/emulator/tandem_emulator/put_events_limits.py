"""PutEvents refuses what AWS refuses.

AWS: a request holds at most 1 MB; an entry needs Source, DetailType and a Detail that is a JSON
object, and names an existing bus. A bad entry fails alone, with its own code, the others go
through.
(https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html)
Stock: only the number of entries (10) is checked; everything else is accepted.
Here: bad entries are answered with AWS's codes and are not handed on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import eventbridge

MAX_REQUEST_BYTES = 1_048_576
TIME_BYTES = 14
"""What a Time counts for; the service's guide on the size of an entry."""

Entry = dict[str, Any]
Failure = dict[str, str]


def apply() -> None:
    stock = eventbridge._put_events

    def put_events(data: dict[str, Any], allow_aws_source: bool = False) -> Any:
        entries = data.get("Entries") or []
        if allow_aws_source or not entries:
            return stock(data, allow_aws_source)
        if sum(entry_bytes(entry) for entry in entries) > MAX_REQUEST_BYTES:
            return error_response_json(
                "ValidationException",
                "Total size of the entries in the request is over the limit.",
                400,
            )
        failures = [entry_failure(entry) for entry in entries]
        accepted = [
            entry for entry, failure in zip(entries, failures, strict=True) if failure is None
        ]
        return merge(failures, stock, {**data, "Entries": accepted}, len(entries))

    eventbridge._put_events = put_events


def merge(
    failures: list[Failure | None],
    stock: Callable[..., Any],
    data: dict[str, Any],
    total: int,
) -> Any:
    """Answer in the order of the request: results of accepted entries, failures of others."""
    if total > len(data["Entries"]) and total > 10:
        # The limit on the number of entries counts the bad ones too.
        data = {**data, "Entries": [{}] * total}
    status, headers, body = stock(data)
    if status != 200:
        return status, headers, body
    answer = json.loads(body)
    results = iter(answer["Entries"])
    answer["Entries"] = [failure or next(results) for failure in failures]
    answer["FailedEntryCount"] += sum(failure is not None for failure in failures)
    return status, headers, json.dumps(answer).encode()


def entry_bytes(entry: Entry) -> int:
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail")]
    texts += entry.get("Resources") or []
    size = sum(len(text.encode()) for text in texts if isinstance(text, str))
    return size + (TIME_BYTES if entry.get("Time") else 0)


def entry_failure(entry: Entry) -> Failure | None:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
    if not is_json_object(entry["Detail"]):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    reference = entry.get("EventBusName") or "default"
    name, problem = eventbridge._event_bus_name_from_ref(reference)
    if problem is None and name not in eventbridge._event_buses:
        reason = f"Event bus {name} does not exist."
        return {"ErrorCode": "ResourceNotFoundException", "ErrorMessage": reason}
    return None


def is_json_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False
