"""Event source mappings of DynamoDB streams: order, retries, bisecting, partial failures.

AWS: per shard one batch at a time, in order. A failed batch is retried with backoff until it
succeeds, its retries are spent or its records are too old; then a description of it goes to the
OnFailure destination and the shard moves on. With BisectBatchOnFunctionError a failed batch is
halved first (which does not count as a retry); with ReportBatchItemFailures the function names
failed records, and everything from the lowest of them is retried.
(https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html and
services-ddb-batchfailurereporting)
Stock: one poller for all mappings; a reported failed record is lost, a throwing batch is retried
each second for ever, bisecting and retry limits are ignored.
Here: every mapping has a thread of its own, which holds the batch in `parts`: what is left of it,
in order. The stream position moves only when no part is left, so a restart repeats and never skips.

Choices where the documentation is silent: progress (a lowest failed record that is not the first)
ends the count of retries, since what remains starts with a record that has not been retried yet; a
throttled invocation is repeated without counting. ParallelizationFactor has no effect; a stream has
one shard.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from typing import Any

from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import _request_account_id, _request_region, new_uuid
from ministack.services import dynamodb, lambda_svc

from tandem_emulator import (
    event_source_permissions,
    lambda_async_targets,
    region_outage,
    sqs_delivery,
)

logger = logging.getLogger(__name__)

Record = dict[str, Any]
Mapping = dict[str, Any]

RECHECK_SECS = 1.0
"""How often a mapping without work asks whether it still has its rights."""
IDLE_SECS = 0.2
"""Longest sleep of a mapping without work; a write wakes it at once."""
FIRST_RETRY_SECS = 0.1
LONGEST_RETRY_SECS = 5.0
WAKE_GAP_SECS = 0.005
"""How soon after a wake-up without work the poller may be woken again (stock: 50 ms)."""
SHARD_ID = "shardId-00000000000000000000-00000000"

RETRIES_SPENT = "RetryAttemptsExhausted"
TOO_OLD = "MaxRecordAgeExceeded"


@dataclasses.dataclass
class Part:
    """Consecutive records of a batch that are tried together. Invariant: never empty."""

    records: list[Record]
    retries: int = 0


@dataclasses.dataclass
class Verdict:
    """What an invocation said about a part."""

    failed_from: int | None
    """Index of the first record that is not done; None when all are."""
    throttled: bool
    result: dict[str, Any]


def apply() -> None:
    mappings = Mappings()
    lambda_svc._poll_dynamodb_streams = mappings.wake_all
    lambda_svc._ESM_IDLE_WAKE_GAP_SECONDS = WAKE_GAP_SECS


class Mappings:
    """The running mappings. MiniStack's poller calls `wake_all` after each write."""

    def __init__(self) -> None:
        self._running: dict[str, MappingWorker] = {}

    def wake_all(self) -> bool:
        for account, region, mapping in lambda_svc._iter_all_esms():
            if is_stream_of(mapping, region):
                self._worker(account, region, mapping).wake()
        return False  # never "busy": the poller would spin while functions run

    def _worker(self, account: str, region: str, mapping: Mapping) -> MappingWorker:
        worker = self._running.get(mapping["UUID"])
        if worker is None or not worker.is_alive() or worker.mapping is not mapping:
            worker = MappingWorker(account, region, mapping)
            self._running[mapping["UUID"]] = worker
        return worker


def is_stream_of(mapping: Mapping, region: str) -> bool:
    try:
        source = parse_arn(mapping.get("EventSourceArn", ""))
    except ArnParseError:
        return False
    return source.service == "dynamodb" and source.region == region


class MappingWorker:
    """Works one mapping, on a thread of its own, until the mapping is deleted."""

    def __init__(self, account: str, region: str, mapping: Mapping) -> None:
        self.mapping = mapping
        self._account = account
        self._region = region
        self._wake = threading.Event()
        self._parts: list[Part] = []
        self._next_position = 0
        self._window_opened: float | None = None
        self._checked = 0.0
        name = f"mapping-{mapping['UUID'][:8]}"
        # Held, not inherited from: `Thread` has private attributes of its own in every release.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        self._wake.set()

    def _run(self) -> None:
        _request_account_id.set(self._account)
        _request_region.set(self._region)
        while self._exists():
            self._wake.clear()
            try:
                worked = self._active() and self._step()
            except Exception:
                logger.exception("stream mapping %s: unexpected error", self.mapping["UUID"])
                worked = False
            if not worked:
                self._wake.wait(0.02 if self._window_opened is not None else IDLE_SECS)

    def _exists(self) -> bool:
        return lambda_svc._esms.get(self.mapping["UUID"]) is self.mapping

    def _active(self) -> bool:
        enabled = str(self.mapping.get("Enabled", True)).lower() != "false"
        return enabled and not region_outage.is_down(self._region)

    def _step(self) -> bool:
        """Do one invocation, or one read of only filtered records. False when there is nothing."""
        if not self._parts and not self._read():
            if time.monotonic() - self._checked > RECHECK_SECS:
                self._may_read()
            return False
        if not self._parts:
            self._commit()
            return True
        if not self._may_read():
            return False
        function = self._function()
        if function is None:
            return False
        self._handle(function, self._parts[0])
        if not self._parts:
            self._commit()
        return True

    def _may_read(self) -> bool:
        self._checked = time.monotonic()
        return event_source_permissions.may_read(self.mapping)

    def _read(self) -> bool:
        """Take the next batch from the stream. False when it has none to give."""
        table = self._table_name()
        if table is None:
            return False
        position = self._position(table)
        limit = int(self.mapping.get("BatchSize") or 100)
        records = dynamodb.stream_records_since(table, position, limit)
        if not records or not self._window_is_over(len(records), limit):
            return False
        self._window_opened = None
        self._next_position = position + len(records)
        wanted = lambda_svc._apply_filter_criteria(records, self.mapping)
        if wanted:
            self._parts = [Part(list(wanted))]
        return True

    def _window_is_over(self, count: int, limit: int) -> bool:
        window = float(self.mapping.get("MaximumBatchingWindowInSeconds") or 0)
        if window == 0 or count >= limit:
            return True
        if self._window_opened is None:
            self._window_opened = time.monotonic()
        return time.monotonic() - self._window_opened >= window

    def _table_name(self) -> str | None:
        source = parse_arn(self.mapping["EventSourceArn"])
        found = lambda_svc._dynamodb_stream_table_from_arn_spec(source)
        if found is None:
            return None
        table = dynamodb._tables.get(found[0])
        if not table or table.get("LatestStreamArn") != self.mapping["EventSourceArn"]:
            return None
        return str(found[0])

    def _position(self, table: str) -> int:
        horizon = dynamodb.stream_start_position(table)
        latest = dynamodb.stream_end_position(table)
        start = horizon if self.mapping.get("StartingPosition") == "TRIM_HORIZON" else latest
        with lambda_svc._dynamodb_stream_positions_lock:
            positions = lambda_svc._dynamodb_stream_positions
            return max(int(positions.setdefault(self.mapping["UUID"], start)), horizon)

    def _commit(self) -> None:
        with lambda_svc._dynamodb_stream_positions_lock:
            if self._exists():
                positions = lambda_svc._dynamodb_stream_positions
                positions[self.mapping["UUID"]] = self._next_position

    def _function(self) -> dict[str, Any] | None:
        function, _config = lambda_svc._get_func_record_for_qualifier(
            self.mapping["FunctionName"], self.mapping.get("Qualifier")
        )
        return function

    def _handle(self, function: dict[str, Any], part: Part) -> None:
        verdict = self._invoke(function, part)
        failed_from = verdict.failed_from
        if failed_from is None:
            self.mapping["LastProcessingResult"] = "OK"
            self._parts.pop(0)
            return
        self.mapping["LastProcessingResult"] = "PROBLEM: Function call failed"
        if verdict.throttled:
            self._pause(FIRST_RETRY_SECS)
            return
        if failed_from > 0:
            part.records = part.records[failed_from:]
            part.retries = 0
        reason = self._reason_to_give_up(part) if failed_from == 0 else None
        if failed_from == 0 and reason != TOO_OLD and self._bisect(part):
            self._pause(FIRST_RETRY_SECS)
            return
        if reason is not None:
            self._parts.pop(0)
            send_to_failure_destination(self.mapping, function, part, verdict.result, reason)
            return
        if failed_from == 0:
            part.retries += 1
        self._pause(min(FIRST_RETRY_SECS * 2 ** max(part.retries - 1, 0), LONGEST_RETRY_SECS))

    def _invoke(self, function: dict[str, Any], part: Part) -> Verdict:
        result = lambda_svc._execute_function(function, {"Records": part.records})
        if result.get("error"):
            return Verdict(0, bool(result.get("throttle")), result)
        if "ReportBatchItemFailures" not in (self.mapping.get("FunctionResponseTypes") or []):
            return Verdict(None, False, result)
        return Verdict(lowest_failure(result.get("body"), part.records), False, result)

    def _bisect(self, part: Part) -> bool:
        wanted = str(self.mapping.get("BisectBatchOnFunctionError", False)).lower() == "true"
        if not wanted or len(part.records) < 2:
            return False
        middle = len(part.records) // 2
        halves = [
            Part(part.records[:middle], part.retries),
            Part(part.records[middle:], part.retries),
        ]
        self._parts[0:1] = halves
        return True

    def _reason_to_give_up(self, part: Part) -> str | None:
        limit = self.mapping.get("MaximumRetryAttempts")
        limit = -1 if limit is None else int(limit)
        if 0 <= limit <= part.retries:
            return RETRIES_SPENT
        max_age = int(self.mapping.get("MaximumRecordAgeInSeconds") or -1)
        created = float(part.records[0]["dynamodb"]["ApproximateCreationDateTime"])
        if 0 < max_age < time.time() - created:
            return TOO_OLD
        return None

    def _pause(self, seconds: float) -> None:
        """Backoff: a new write must not cut it short, a deletion must."""
        end = time.monotonic() + seconds
        while self._exists():
            remaining = end - time.monotonic()
            if remaining <= 0:
                return
            time.sleep(min(remaining, 0.1))


def lowest_failure(body: Any, records: list[Record]) -> int | None:
    """Index of the lowest failed record that a partial batch response names, or None.

    An empty response is success. An identifier that is empty or names no record of the batch makes
    the whole batch fail.
    """
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return None
    failures = body.get("batchItemFailures") if isinstance(body, dict) else None
    if not failures:
        return None
    index_of = {record["dynamodb"]["SequenceNumber"]: i for i, record in enumerate(records)}
    named = [failure.get("itemIdentifier") for failure in failures]
    return min(index_of.get(identifier, 0) for identifier in named)


def send_to_failure_destination(
    mapping: Mapping, function: dict[str, Any], part: Part, result: dict[str, Any], reason: str
) -> None:
    """Tell the OnFailure queue or topic where the given-up records are, not what they hold."""
    destination = (mapping.get("DestinationConfig") or {}).get("OnFailure") or {}
    arn = destination.get("Destination")
    config = function.get("config") or {}
    if not arn:
        logger.warning("mapping %s gave up %d records", mapping["UUID"], len(part.records))
        return
    if not lambda_async_targets.may_send_to(str(config.get("Role", "")), arn):
        logger.error("given-up records dropped: the role of the function may not send to %s", arn)
        return
    if ":sqs:" not in arn:
        lambda_svc._send_ddb_stream_failure_record(
            mapping, function, part.records, mapping["EventSourceArn"], result, reason
        )
        return
    try:
        sqs_delivery.send(
            arn, json.dumps(failure_description(mapping, config, part, result, reason))
        )
    except LookupError as error:
        logger.error("given-up records dropped: %s", error)


def failure_description(
    mapping: Mapping, config: dict[str, Any], part: Part, result: dict[str, Any], reason: str
) -> dict[str, Any]:
    first = part.records[0]["dynamodb"]
    last = part.records[-1]["dynamodb"]
    return {
        "requestContext": {
            "requestId": new_uuid(),
            "functionArn": config.get("FunctionArn", ""),
            "condition": reason,
            "approximateInvokeCount": part.retries + 1,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": config.get("Version", "$LATEST"),
            "functionError": result.get("function_error") or "Unhandled",
        },
        "version": "1.0",
        "timestamp": utc(time.time()),
        "DDBStreamBatchInfo": {
            "shardId": SHARD_ID,
            "startSequenceNumber": first["SequenceNumber"],
            "endSequenceNumber": last["SequenceNumber"],
            "approximateArrivalOfFirstRecord": utc(first["ApproximateCreationDateTime"]),
            "approximateArrivalOfLastRecord": utc(last["ApproximateCreationDateTime"]),
            "batchSize": len(part.records),
            "streamArn": mapping["EventSourceArn"],
        },
    }


def utc(epoch_secs: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(epoch_secs)))
