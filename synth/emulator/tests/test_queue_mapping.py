"""Event source mappings of queues: partial failures, redelivery, dead letters."""

import json
import unittest
from typing import Any

from support import (
    TestCase,
    allow,
    attribute,
    client,
    deploy,
    eventually,
    function,
    queue,
    receive,
    reference,
    role,
    unique,
)

SOURCE = """
import json, os
import botocore.session
sqs = botocore.session.get_session().create_client("sqs")
def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(bodies))
    bad = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
    return ANSWER
"""
NAMED = '{"batchItemFailures": [{"itemIdentifier": identifier} for identifier in bad]}'
UNKNOWN = '{"batchItemFailures": [{"itemIdentifier": "nobody"}]}'
EMPTY = '{"batchItemFailures": [{"itemIdentifier": ""}]}'
NO_OBJECT = '["unexpected"]'
NOTHING = "None"


class QueueMapping(TestCase):
    def deployed(self, answer: str, reporting: bool = True) -> dict[str, str]:
        name = unique("queue")
        mapping: dict[str, Any] = {
            "FunctionName": reference("F"),
            "EventSourceArn": attribute("Queue", "Arn"),
        }
        if reporting:
            mapping["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
        redrive = {"deadLetterTargetArn": attribute("Dead", "Arn"), "maxReceiveCount": 2}
        reading = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        resources = {
            "Queue": queue(VisibilityTimeout=2, RedrivePolicy=redrive),
            "Dead": queue(),
            "Seen": queue(),
            "Role": role(
                allow(reading, attribute("Queue", "Arn")),
                allow("sqs:SendMessage", attribute("Seen", "Arn")),
            ),
            "F": function(
                SOURCE.replace("ANSWER", answer),
                Timeout=2,
                Environment={"Variables": {"SEEN": reference("Seen")}},
            ),
            "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping},
        }
        outputs = {key: reference(key) for key in ("Queue", "Dead", "Seen")}
        return deploy(name, resources, outputs=outputs)

    def send(self, found: dict[str, str], *bodies: str) -> None:
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        client("sqs").send_message_batch(QueueUrl=found["Queue"], Entries=entries)

    def dead(self, found: dict[str, str], count: int) -> list[str]:
        bodies: list[str] = []

        def enough() -> bool:
            bodies.extend(message["Body"] for message in receive(found["Dead"]))
            return len(bodies) >= count

        eventually(enough, f"{count} dead letters")
        return sorted(bodies)

    def left(self, found: dict[str, str]) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = client("sqs").get_queue_attributes(QueueUrl=found["Queue"], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def test_named_messages_come_again_until_they_are_dead_letters(self) -> None:
        found = self.deployed(NAMED)
        self.send(found, "good", "bad", "good too")
        self.assertEqual(self.dead(found, 1), ["bad"])
        batches = [json.loads(message["Body"]) for message in receive(found["Seen"])]
        seen = [body for batch in batches for body in batch]
        self.assertEqual(sorted(seen), ["bad", "bad", "good", "good too"])
        self.assertEqual(self.left(found), 0)

    def test_an_answer_without_sense_fails_the_whole_batch(self) -> None:
        deployed = {answer: self.deployed(answer) for answer in (UNKNOWN, EMPTY, NO_OBJECT)}
        for found in deployed.values():
            self.send(found, "one", "two")
        for answer, found in deployed.items():
            with self.subTest(answer):
                self.assertEqual(self.dead(found, 2), ["one", "two"])

    def test_an_empty_answer_is_success(self) -> None:
        found = self.deployed(NOTHING)
        self.send(found, "one", "bad")
        eventually(lambda: receive(found["Seen"]), "the function is invoked")
        eventually(lambda: self.left(found) == 0, "the messages are deleted")
        self.assertEqual(receive(found["Dead"]), [])

    def test_without_reporting_the_answer_does_not_matter(self) -> None:
        found = self.deployed(NAMED, reporting=False)
        self.send(found, "bad")
        eventually(lambda: receive(found["Seen"]), "the function is invoked")
        eventually(lambda: self.left(found) == 0, "the message is deleted")


if __name__ == "__main__":
    unittest.main()
