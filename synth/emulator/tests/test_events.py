"""Event buses: limits of PutEvents, targets, dead letters, other regions."""

import json
import unittest
from typing import Any

from support import (
    ACCOUNT,
    HOME,
    PEER,
    TestCase,
    allow,
    attribute,
    attributes_of,
    client,
    deploy,
    function,
    one_message,
    put_event,
    queue,
    queue_policy,
    receive,
    reference,
    role,
    unique,
)


def bus(name: str) -> dict[str, Any]:
    return {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}


def rule(bus_name: Any, target: Any, **properties: Any) -> dict[str, Any]:
    """A rule with one target, whose failures go to the queue `Dead` when it is asked for."""
    details = {"Id": "one", "Arn": target, **properties}
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventBusName": bus_name,
            "EventPattern": {"source": ["test"]},
            "Targets": [details],
        },
    }


def dead_letters() -> dict[str, Any]:
    return {"DeadLetterConfig": {"Arn": attribute("Dead", "Arn")}}


def bus_arn(name: str, region: str) -> str:
    return f"arn:aws:events:{region}:{ACCOUNT}:event-bus/{name}"


class Limits(TestCase):
    def put(self, **changes: Any) -> dict[str, Any]:
        entry = {"Source": "test", "DetailType": "t", "Detail": "{}", **changes}
        return client("events").put_events(Entries=[entry])

    def assert_code(self, answer: dict[str, Any], code: str) -> None:
        self.assertEqual(answer["FailedEntryCount"], 1)
        self.assertEqual(answer["Entries"][0]["ErrorCode"], code)

    def test_malformed_detail(self) -> None:
        self.assert_code(self.put(Detail="{not json"), "MalformedDetail")
        self.assert_code(self.put(Detail="[1]"), "MalformedDetail")

    def test_missing_source(self) -> None:
        self.assert_code(self.put(Source=""), "InvalidArgument")

    def test_unknown_bus(self) -> None:
        self.assert_code(self.put(EventBusName=unique("nobody")), "ResourceNotFoundException")

    def test_bad_entry_fails_alone_and_in_place(self) -> None:
        good = {"Source": "test", "DetailType": "t", "Detail": "{}"}
        bad = {**good, "Detail": "nothing"}
        answer = client("events").put_events(Entries=[good, bad, good])
        self.assertEqual(answer["FailedEntryCount"], 1)
        self.assertEqual(["EventId" in entry for entry in answer["Entries"]], [True, False, True])

    def test_a_request_holds_one_megabyte(self) -> None:
        fits = json.dumps({"text": "x" * 900_000})
        self.assertEqual(self.put(Detail=fits)["FailedEntryCount"], 0)
        with self.assertRaisesRegex(client("events").exceptions.ClientError, "over the limit"):
            self.put(Detail=json.dumps({"text": "x" * 1_048_577}))


class QueueTargets(TestCase):
    def test_delivered_when_the_queue_allows_it(self) -> None:
        name = unique("events")
        resources = {
            "Bus": bus(name),
            "Queue": queue(),
            "Policy": queue_policy("Queue"),
            "Rule": rule(reference("Bus"), attribute("Queue", "Arn")),
        }
        url = deploy(name, resources, outputs={"Queue": reference("Queue")})["Queue"]
        put_event(name, {"n": 1})
        event = json.loads(one_message(url, "the event arrives")["Body"])
        self.assertEqual(event["detail"], {"n": 1})

    def test_without_permission_the_event_goes_to_the_dead_letter_queue(self) -> None:
        name = unique("events")
        resources = {
            "Bus": bus(name),
            "Queue": queue(),
            "Dead": queue(),
            "Policy": queue_policy("Dead"),
            "Rule": rule(reference("Bus"), attribute("Queue", "Arn"), **dead_letters()),
        }
        outputs = {"Queue": reference("Queue"), "Dead": reference("Dead")}
        found = deploy(name, resources, outputs=outputs)
        put_event(name, {"n": 2})
        message = one_message(found["Dead"], "the event is a dead letter")
        self.assertEqual(json.loads(message["Body"])["detail"], {"n": 2})
        self.assertEqual(attributes_of(message)["ERROR_CODE"], "NO_PERMISSIONS")
        self.assertEqual(receive(found["Queue"]), [])

    def test_missing_queue_is_told_as_such(self) -> None:
        name = unique("events")
        absent = f"arn:aws:sqs:{HOME}:{ACCOUNT}:{unique('absent')}"
        resources = {
            "Bus": bus(name),
            "Dead": queue(),
            "Policy": queue_policy("Dead"),
            "Rule": rule(reference("Bus"), absent, **dead_letters()),
        }
        outputs = {"Dead": reference("Dead"), "Rule": attribute("Rule", "Arn")}
        found = deploy(name, resources, outputs=outputs)
        put_event(name, {"n": 3})
        attributes = attributes_of(one_message(found["Dead"], "the event is a dead letter"))
        self.assertEqual(attributes["ERROR_CODE"], "NO_RESOURCE")
        self.assertEqual(attributes["TARGET_ARN"], absent)
        self.assertEqual(attributes["RULE_ARN"], found["Rule"])


class FunctionTargets(TestCase):
    def deploy_failing(self, *, permitted: bool) -> tuple[str, dict[str, str]]:
        name = unique("target")
        failing = "def handler(event, context):\n    raise ValueError('always')\n"
        resources: dict[str, Any] = {
            "Bus": bus(name),
            "Dead": queue(),
            "DeadPolicy": queue_policy("Dead"),
            "Failed": queue(),
            "Role": role(allow("sqs:SendMessage", attribute("Failed", "Arn"))),
            "F": function(failing),
            "Config": {
                "Type": "AWS::Lambda::EventInvokeConfig",
                "Properties": {
                    "FunctionName": reference("F"),
                    "Qualifier": "$LATEST",
                    "MaximumRetryAttempts": 0,
                    "DestinationConfig": {"OnFailure": {"Destination": attribute("Failed", "Arn")}},
                },
            },
            "Rule": rule(reference("Bus"), attribute("F", "Arn"), **dead_letters()),
        }
        if permitted:
            resources["Permission"] = {
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "FunctionName": reference("F"),
                    "Action": "lambda:InvokeFunction",
                    "Principal": "events.amazonaws.com",
                    "SourceArn": attribute("Rule", "Arn"),
                },
            }
        outputs = {"Dead": reference("Dead"), "Failed": reference("Failed")}
        return name, deploy(name, resources, outputs=outputs)

    def test_failed_event_reaches_the_functions_failure_destination(self) -> None:
        name, found = self.deploy_failing(permitted=True)
        put_event(name, {"n": 1})
        body = json.loads(one_message(found["Failed"], "the failed event arrives")["Body"])
        self.assertEqual(body["requestPayload"]["detail"], {"n": 1})

    def test_without_permission_the_function_is_not_invoked(self) -> None:
        name, found = self.deploy_failing(permitted=False)
        put_event(name, {"n": 2})
        message = one_message(found["Dead"], "the event is a dead letter")
        self.assertEqual(attributes_of(message)["ERROR_CODE"], "NO_PERMISSIONS")
        self.assertEqual(receive(found["Failed"]), [])


class OtherRegion(TestCase):
    """A rule at home forwards to a bus in the other region."""

    def deploy_pair(self, *, may_put: bool = True) -> tuple[str, dict[str, str], str]:
        name = unique("forward")
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
        statements = [allow("events:PutEvents", bus_arn(name, PEER))] if may_put else []
        target = {"RoleArn": attribute("Role", "Arn"), **dead_letters()}
        near = deploy(
            name,
            {
                "Bus": bus(name),
                "Dead": queue(),
                "Policy": queue_policy("Dead"),
                "Role": role(*statements, service="events.amazonaws.com"),
                "Rule": rule(reference("Bus"), bus_arn(name, PEER), **target),
            },
            outputs={"Dead": reference("Dead")},
        )
        return name, near, far["Queue"]

    def test_event_arrives_and_keeps_its_region(self) -> None:
        name, _near, far_queue = self.deploy_pair()
        put_event(name, {"n": 1})
        event = json.loads(one_message(far_queue, "the event arrives", PEER)["Body"])
        self.assertEqual((event["detail"], event["region"]), ({"n": 1}, HOME))

    def test_role_must_allow_it(self) -> None:
        name, near, far_queue = self.deploy_pair(may_put=False)
        put_event(name, {"n": 2})
        message = one_message(near["Dead"], "the event is a dead letter")
        self.assertEqual(attributes_of(message)["ERROR_CODE"], "NO_PERMISSIONS")
        self.assertEqual(receive(far_queue, PEER), [])


if __name__ == "__main__":
    unittest.main()
