"""A region that is switched off, on an emulator of its own: other tests must not notice."""

import json
import time
import unittest
from typing import Any
from unittest import mock

import support
from support import (
    ACCOUNT,
    HOME,
    PEER,
    Emulator,
    TestCase,
    allow,
    attribute,
    client,
    deploy,
    eventually,
    function,
    item,
    one_message,
    put_event,
    queue,
    queue_policy,
    read_stream,
    receive,
    reference,
    role,
    table_keys,
    unique,
)
from test_events import bus, bus_arn, rule

TELLER = """
import os, botocore.session
sqs = botocore.session.get_session().create_client("sqs", region_name=os.environ["REGION"])
def handler(event, context):
    source = event["Records"][0]["eventSource"]
    sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=source)
    raise ValueError("always")
"""


class RegionOutage(TestCase):
    emulator: Emulator

    @classmethod
    def setUpClass(cls) -> None:
        cls.emulator = Emulator()
        cls.addClassCleanup(cls.emulator.stop)
        patch = mock.patch.object(support, "shared", lambda: cls.emulator)
        patch.start()
        client.cache_clear()
        cls.addClassCleanup(client.cache_clear)
        cls.addClassCleanup(patch.stop)

    def switch(self, region: str, direction: str) -> dict[str, Any]:
        return self.emulator.local("POST", f"/_local/region/{region}/{direction}")

    def outage(self, region: str) -> None:
        self.assertEqual(self.switch(region, "down"), {"down": [region]})
        self.addCleanup(self.switch, region, "up")

    def test_signed_requests_of_the_region_fail_others_pass(self) -> None:
        self.outage(HOME)
        with self.assertRaises(client("sqs").exceptions.ClientError) as caught:
            client("sqs").list_queues()
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 503)
        client("sqs", PEER).list_queues()
        self.assertEqual(self.switch(HOME, "up"), {"down": []})
        client("sqs").list_queues()

    def test_table_changes_wait_and_arrive_in_order(self) -> None:
        name = unique("global")
        replicas = [{"Region": HOME}, {"Region": PEER}]
        properties = {**table_keys(), "TableName": name, "Replicas": replicas}
        deploy(name, {"Table": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": properties}})
        self.outage(HOME)
        for version in ("1", "2"):
            client("dynamodb", PEER).put_item(TableName=name, Item=item("a", version=version))
        self.switch(HOME, "up")
        answer = client("dynamodb").get_item(TableName=name, Key=item("a"))
        self.assertEqual(answer["Item"], item("a", version="2"))

    def test_mappings_rest(self) -> None:
        """The function fails always, after it told a queue of the healthy region that it ran."""
        name = unique("mapping")
        seen = client("sqs", PEER).create_queue(QueueName=name)["QueueUrl"]
        stream = attribute("Table", "StreamArn")
        statements = [
            read_stream(stream),
            allow("sqs:SendMessage", f"arn:aws:sqs:{PEER}:{ACCOUNT}:{name}"),
            allow("sqs:*", attribute("Source", "Arn")),
        ]
        variables = {"SEEN": seen, "REGION": PEER}
        resources: dict[str, Any] = {
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": table_keys()},
            "Source": queue(VisibilityTimeout=10),
            "Role": role(*statements),
            "F": function(TELLER, Environment={"Variables": variables}),
        }
        mappings = {
            "FromTable": {"EventSourceArn": stream, "StartingPosition": "TRIM_HORIZON"},
            "FromQueue": {"EventSourceArn": attribute("Source", "Arn")},
        }
        for logical_id, settings in mappings.items():
            properties = {"FunctionName": reference("F"), **settings}
            resources[logical_id] = {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": properties,
            }
        found = deploy(
            name, resources, outputs={key: reference(key) for key in ("Table", "Source")}
        )
        client("dynamodb").put_item(TableName=found["Table"], Item=item("a"))
        one_message(seen, "the stream's record is tried", PEER)
        # The message becomes visible during the outage: a mapping that did not rest would take it.
        client("sqs").send_message(QueueUrl=found["Source"], MessageBody="m", DelaySeconds=2)
        self.outage(HOME)
        time.sleep(1)  # an invocation that runs already may end
        receive(seen, PEER)
        time.sleep(2)
        self.assertEqual(receive(seen, PEER), [])
        self.switch(HOME, "up")
        tried: set[str] = set()

        def both() -> bool:
            tried.update(message["Body"] for message in receive(seen, PEER))
            return tried == {"aws:dynamodb", "aws:sqs"}

        eventually(both, "record and message are tried again")

    def test_events_for_the_region_are_retried(self) -> None:
        name = unique("retry")
        far = deploy(
            name,
            {
                "Bus": bus(name),
                "Queue": queue(),
                "Policy": queue_policy("Queue"),
                "Rule": rule(reference("Bus"), attribute("Queue", "Arn")),
            },
            outputs={"Queue": reference("Queue")},
            region=PEER,
        )
        arn = bus_arn(name, PEER)
        near = {
            "Bus": bus(name),
            "Role": role(allow("events:PutEvents", arn), service="events.amazonaws.com"),
            "Rule": rule(reference("Bus"), arn, RoleArn=attribute("Role", "Arn")),
        }
        deploy(name, near)
        self.outage(PEER)
        put_event(name, {"n": 1})
        time.sleep(0.3)
        self.switch(PEER, "up")
        event = json.loads(one_message(far["Queue"], "the event arrives", PEER)["Body"])
        self.assertEqual(event["detail"], {"n": 1})

    def test_unknown_switch_is_refused(self) -> None:
        with self.assertRaises(support.urllib.request.HTTPError) as caught:
            self.switch(HOME, "sideways")
        caught.exception.close()
        self.assertEqual(caught.exception.code, 404)


if __name__ == "__main__":
    unittest.main()
