"""What the emulator tells about itself, and conditions on the transport."""

import json
import unittest
import urllib.request

from support import TestCase, allow, attribute, client, deploy, document, shared, unique


def get(path: str) -> dict:
    with urllib.request.urlopen(shared().url + path) as answer:
        return json.load(answer)


class LocalApi(TestCase):
    def test_calls_are_counted_by_action(self) -> None:
        action = "dynamodb:ListTables"
        before = get("/_local/calls")["root"].get(action, 0)
        client("dynamodb").list_tables()
        client("dynamodb").list_tables()
        self.assertEqual(get("/_local/calls")["root"][action], before + 2)

    def test_a_policy_that_denies_plain_http_lets_callers_in(self) -> None:
        name = unique("queue")
        deny = {
            **allow("sqs:*", attribute("Queue", "Arn")),
            "Effect": "Deny",
            "Principal": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        deploy(
            name,
            {
                "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}},
                "Policy": {
                    "Type": "AWS::SQS::QueuePolicy",
                    "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": document(deny)},
                },
            },
        )
        sqs = client("sqs")
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="hello")
        received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)
        self.assertEqual([message["Body"] for message in received["Messages"]], ["hello"])


if __name__ == "__main__":
    unittest.main()
