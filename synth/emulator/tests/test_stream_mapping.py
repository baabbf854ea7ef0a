"""Event source mappings of DynamoDB streams."""

import json
import unittest
from typing import Any

from support import (
    StackFailed,
    TestCase,
    allow,
    attribute,
    client,
    deploy,
    eventually,
    function,
    item,
    one_message,
    queue,
    read_stream,
    receive,
    reference,
    role,
    stream_table,
    unique,
)

REPORTER = """
import json, os, botocore.session
sqs = botocore.session.get_session().create_client("sqs")
def handler(event, context):
    keys = [record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]]
    sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(keys))
    bad = [r for r in event["Records"] if r["dynamodb"]["Keys"]["pk"]["S"].startswith("bad")]
    if bad and os.environ.get("PARTIAL"):
        return {"batchItemFailures": [{"itemIdentifier": bad[0]["dynamodb"]["SequenceNumber"]}]}
    if bad:
        raise ValueError("bad record")
"""

WAITER = """
import os, botocore.session
sqs = botocore.session.get_session().create_client("sqs")
def handler(event, context):
    while not sqs.receive_message(QueueUrl=os.environ["SEEN"], WaitTimeSeconds=1).get("Messages"):
        pass
"""


class StreamMapping(TestCase):
    def deploy(
        self, *, source: str = REPORTER, partial: bool = False, **settings: Any
    ) -> dict[str, str]:
        """A table, and a function that tells a queue the keys of every batch it is given."""
        self.name = unique("stream")
        variables = {"SEEN": reference("Seen"), **({"PARTIAL": "1"} if partial else {})}
        stream = attribute("Table", "StreamArn")
        mapping = {
            "FunctionName": reference("F"),
            "EventSourceArn": stream,
            "StartingPosition": "TRIM_HORIZON",
            "DestinationConfig": {"OnFailure": {"Destination": attribute("Failed", "Arn")}},
            **settings,
        }
        if partial:
            mapping["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
        queues = [attribute("Seen", "Arn"), attribute("Failed", "Arn")]
        resources = {
            "Table": stream_table(),
            "Seen": queue(),
            "Failed": queue(),
            "Role": role(
                read_stream(stream), allow(["sqs:SendMessage", "sqs:ReceiveMessage"], queues)
            ),
            "F": function(source, Timeout=60, Environment={"Variables": variables}),
            "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping},
        }
        outputs = {name: reference(name) for name in ("Table", "Seen", "Failed", "Mapping")}
        return deploy(self.name, resources, outputs={**outputs, "Stream": stream})

    def write(self, found: dict[str, str], *keys: str) -> None:
        for key in keys:
            client("dynamodb").put_item(TableName=found["Table"], Item=item(key))

    def set_enabled(self, found: dict[str, str], enabled: bool) -> None:
        client("lambda").update_event_source_mapping(UUID=found["Mapping"], Enabled=enabled)

    def write_as_one_batch(self, found: dict[str, str], *keys: str) -> None:
        """Keep the mapping off while writing, so that all records come in one batch."""
        self.set_enabled(found, False)
        self.write(found, *keys)
        self.set_enabled(found, True)

    def batches(self, found: dict[str, str], count: int) -> list[list[str]]:
        """The first batches that the function saw, in order."""
        seen: list[tuple[int, list[str]]] = []

        def enough() -> bool:
            for message in receive(found["Seen"]):
                seen.append((len(seen), json.loads(message["Body"])))
            return len(seen) >= count

        eventually(enough, f"{count} batches")
        return [batch for _position, batch in sorted(seen)]

    def failed(self, found: dict[str, str]) -> dict[str, Any]:
        return json.loads(one_message(found["Failed"], "records are given up")["Body"])

    def test_records_arrive_in_order(self) -> None:
        found = self.deploy(BatchSize=3)
        keys = [f"k{number}" for number in range(7)]
        self.write_as_one_batch(found, *keys)
        self.assertEqual(self.batches(found, 3), [keys[:3], keys[3:6], keys[6:]])

    def test_partial_failure_is_retried_from_the_failed_record(self) -> None:
        found = self.deploy(partial=True, MaximumRetryAttempts=1)
        self.write_as_one_batch(found, "a", "bad", "c")
        batches = self.batches(found, 3)
        self.assertEqual(batches, [["a", "bad", "c"], ["bad", "c"], ["bad", "c"]])

    def test_given_up_records_are_described_and_the_stream_goes_on(self) -> None:
        found = self.deploy(MaximumRetryAttempts=1, BatchSize=1)
        self.write(found, "bad", "after")
        description = self.failed(found)
        self.assertEqual(description["requestContext"]["condition"], "RetryAttemptsExhausted")
        self.assertEqual(description["requestContext"]["approximateInvokeCount"], 2)
        batch = description["DDBStreamBatchInfo"]
        self.assertEqual(batch["streamArn"], found["Stream"])
        self.assertGreaterEqual(batch["endSequenceNumber"], batch["startSequenceNumber"])
        self.assertEqual(self.batches(found, 3), [["bad"], ["bad"], ["after"]])

    def test_bisecting_isolates_the_bad_record(self) -> None:
        found = self.deploy(MaximumRetryAttempts=0, BisectBatchOnFunctionError=True)
        self.write_as_one_batch(found, "a", "b", "bad", "d")
        self.assertEqual(self.failed(found)["DDBStreamBatchInfo"]["batchSize"], 1)
        expected = [["a", "b", "bad", "d"], ["a", "b"], ["bad", "d"], ["bad"], ["d"]]
        self.assertEqual(self.batches(found, 5), expected)

    def test_too_old_records_are_given_up(self) -> None:
        found = self.deploy(MaximumRecordAgeInSeconds=1)
        self.write_as_one_batch(found, "bad")
        self.assertEqual(self.failed(found)["requestContext"]["condition"], "MaxRecordAgeExceeded")

    def test_batching_window_collects_records(self) -> None:
        found = self.deploy(MaximumBatchingWindowInSeconds=2)
        self.write(found, "a", "b")
        self.assertEqual(self.batches(found, 1), [["a", "b"]])

    def test_a_slow_mapping_does_not_hold_up_another(self) -> None:
        slow = self.deploy(source=WAITER)
        self.write(slow, "a")
        quick = self.deploy()
        self.write(quick, "a")
        self.assertEqual(self.batches(quick, 1), [["a"]])
        self.assertEqual(self.result(slow), "No records processed")
        client("sqs").send_message(QueueUrl=slow["Seen"], MessageBody="go on")
        eventually(lambda: self.result(slow) == "OK", "the slow mapping ends")

    def result(self, found: dict[str, str]) -> str:
        mapping = client("lambda").get_event_source_mapping(UUID=found["Mapping"])
        return mapping["LastProcessingResult"]


class Permissions(TestCase):
    def resources(self, *statements: dict[str, Any]) -> dict[str, Any]:
        mapping = {
            "FunctionName": reference("F"),
            "EventSourceArn": attribute("Table", "StreamArn"),
            "StartingPosition": "LATEST",
        }
        source = "def handler(event, context):\n    return None\n"
        return {
            "Table": stream_table(),
            "Role": role(*statements),
            "F": function(source),
            "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping},
        }

    def test_role_must_be_able_to_read_the_stream(self) -> None:
        statement = allow("dynamodb:GetItem", "*")
        with self.assertRaisesRegex(StackFailed, "Please ensure the role can perform"):
            deploy(unique("denied"), self.resources(statement))

    def test_role_must_be_able_to_read_the_queue(self) -> None:
        name = unique("denied")
        resources = self.resources()
        resources["Queue"] = queue()
        properties = {"FunctionName": reference("F"), "EventSourceArn": attribute("Queue", "Arn")}
        resources["Mapping"]["Properties"] = properties
        with self.assertRaisesRegex(StackFailed, "permissions to call ReceiveMessage on SQS"):
            deploy(name, resources)

    def test_visibility_timeout_must_cover_the_functions(self) -> None:
        resources = self.resources(allow("sqs:*", "*"))
        resources["Queue"] = queue(VisibilityTimeout=5)
        properties = {"FunctionName": reference("F"), "EventSourceArn": attribute("Queue", "Arn")}
        resources["Mapping"]["Properties"] = properties
        with self.assertRaisesRegex(StackFailed, "visibility timeout: 5 seconds is less than"):
            deploy(unique("timeout"), resources)


if __name__ == "__main__":
    unittest.main()
