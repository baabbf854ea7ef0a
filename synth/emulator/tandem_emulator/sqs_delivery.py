"""Puts a message into a queue as an AWS service does it: without a client, a URL or a signature.

Not a restored behaviour by itself; the delivering modules share it.
"""

from __future__ import annotations

import hashlib
import time

from ministack.core.concurrency import esm_wake
from ministack.core.responses import get_account_id, new_uuid
from ministack.services import sqs


def exists(queue_arn: str) -> bool:
    return sqs._queue_by_arn(queue_arn) is not None


def send(queue_arn: str, body: str, attributes: dict[str, str] | None = None) -> None:
    """Append a message; `attributes` become string message attributes.

    Raises LookupError when there is no such queue.
    """
    queue = sqs._queue_by_arn(queue_arn)
    if queue is None:
        raise LookupError(f"no queue {queue_arn}")
    message_attributes = {
        name: {"DataType": "String", "StringValue": value}
        for name, value in (attributes or {}).items()
    }
    now = time.time()
    message = {
        "id": new_uuid(),
        "body": body,
        "md5_body": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "md5_attrs": sqs._md5_msg_attrs(message_attributes),
        "message_attributes": message_attributes,
        "receipt_handle": None,
        "sent_at": now,
        "visible_at": now + sqs.queue_delay(queue),
        "receive_count": 0,
        "first_receive_at": None,
        "sys": {"SenderId": get_account_id(), "SentTimestamp": str(int(now * 1000))},
        "group_id": None,
        "dedup_id": None,
        "dedup_cache_key": None,
        "seq": None,
    }
    queue["messages"].append(message)
    esm_wake.set()
