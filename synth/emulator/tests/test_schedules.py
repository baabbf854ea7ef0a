"""Schedules of EventBridge Scheduler: the first run, roles, inputs."""

import json
import time
import unittest
from typing import Any

from support import (
    ACCOUNT,
    HOME,
    StackFailed,
    TestCase,
    allow,
    attribute,
    clear_denied,
    client,
    denied,
    deploy,
    eventually,
    function,
    one_message,
    put_role_policy,
    queue,
    reference,
    role,
    trust,
    unique,
)

FORWARD = """
import json, os
import botocore.session
def handler(event, context):
    client = botocore.session.get_session().create_client("sqs")
    client.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps(event))
"""


def schedule(target: Any, **properties: Any) -> dict[str, Any]:
    details = {"Arn": target, "RoleArn": attribute("Caller", "Arn")}
    return {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "GroupName": reference("Group"),
            "ScheduleExpression": "rate(1 minute)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {**details, **properties.pop("Target", {})},
            **properties,
        },
    }


def resources(name: str, **schedule_properties: Any) -> dict[str, Any]:
    """A function that forwards its event to a queue, invoked by a schedule."""
    environment = {"Variables": {"QUEUE_URL": reference("Queue")}}
    return {
        "Queue": queue(),
        "Role": role(allow("sqs:SendMessage", attribute("Queue", "Arn"))),
        "F": function(FORWARD, Environment=environment),
        "Caller": role(
            allow("lambda:InvokeFunction", attribute("F", "Arn")), service="scheduler.amazonaws.com"
        ),
        "Group": {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": {"Name": name}},
        "Schedule": schedule(attribute("F", "Arn"), Name=name, **schedule_properties),
    }


OUTPUTS = {
    "Arn": attribute("Schedule", "Arn"),
    "Caller": reference("Caller"),
    "Function": attribute("F", "Arn"),
    "Queue": reference("Queue"),
}


class FirstRun(TestCase):
    def run_once(self, **schedule_properties: Any) -> tuple[dict[str, str], dict[str, Any]]:
        name = unique("schedule")
        found = deploy(name, resources(name, **schedule_properties), outputs=OUTPUTS)
        message = one_message(found["Queue"], "the schedule invokes the function")
        return found, json.loads(message["Body"])

    def test_a_rate_runs_at_once_with_the_services_event(self) -> None:
        started = time.monotonic()
        found, event = self.run_once()
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(event["source"], "aws.scheduler")
        self.assertEqual(event["detail-type"], "Scheduled Event")
        self.assertEqual(event["resources"], [found["Arn"]])
        self.assertEqual(event["detail"], "{}")

    def test_input_is_given_as_it_is_with_the_attributes_of_the_run(self) -> None:
        text = json.dumps(
            {
                "check": True,
                "schedule": "<aws.scheduler.schedule-arn>",
                "time": "<aws.scheduler.scheduled-time>",
            }
        )
        found, event = self.run_once(Target={"Input": text})
        self.assertEqual((event["check"], event["schedule"]), (True, found["Arn"]))
        self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


class Rights(TestCase):
    def test_the_role_must_be_allowed_to_invoke(self) -> None:
        name = unique("schedule")
        found = deploy(name, resources(name, State="DISABLED"), outputs=OUTPUTS)
        put_role_policy(found["Caller"], "inline", allow("lambda:ListFunctions", "*"))
        clear_denied()
        deploy(name, resources(name, State="ENABLED"), outputs=OUTPUTS)
        refusal = eventually(lambda: denied("lambda:InvokeFunction"), "the run is refused")[0]
        self.assertEqual(refusal["principal"], f"arn:aws:iam::{ACCOUNT}:role/{found['Caller']}")
        self.assertEqual(refusal["resource"], found["Function"])

    def test_what_cannot_run_is_a_dead_letter_if_the_role_may_send(self) -> None:
        target = {"DeadLetterConfig": {"Arn": attribute("Dead", "Arn")}}
        send = allow("sqs:SendMessage", attribute("Dead", "Arn"))
        for statements in ([send], []):
            name = unique("schedule")
            template = resources(name, Target=target)
            template["Dead"] = queue()
            template["Caller"] = role(*statements, service="scheduler.amazonaws.com")
            clear_denied()
            found = deploy(name, template, outputs={**OUTPUTS, "Dead": reference("Dead")})
            eventually(lambda: denied("lambda:InvokeFunction"), "the run is refused")
            if statements:
                one_message(found["Dead"], "the run is a dead letter")
            else:
                eventually(lambda: denied("sqs:SendMessage"), "the dead letter is refused")

    def test_the_functions_policy_is_not_asked(self) -> None:
        """Unlike with rules: no AWS::Lambda::Permission is in these stacks, and they run."""
        name = unique("schedule")
        found = deploy(name, resources(name), outputs=OUTPUTS)
        policy = client("lambda").get_policy(FunctionName=found["Function"])["Policy"]
        self.assertEqual(json.loads(policy)["Statement"], [])
        one_message(found["Queue"], "the schedule invokes the function")

    def test_the_trust_policy_sees_the_group(self) -> None:
        name = unique("schedule")
        group = f"arn:aws:scheduler:{HOME}:{ACCOUNT}:schedule-group/{name}"
        self.deploy_with_source(name, group)
        other = unique("schedule")
        with self.assertRaisesRegex(StackFailed, "assume the role"):
            self.deploy_with_source(other, f"arn:aws:scheduler:{HOME}:{ACCOUNT}:schedule/{other}/x")

    def deploy_with_source(self, name: str, source_arn: str) -> None:
        template = resources(name)
        trusting = trust("scheduler.amazonaws.com")
        trusting["Statement"][0]["Condition"] = {
            "StringEquals": {"aws:SourceArn": source_arn, "aws:SourceAccount": ACCOUNT}
        }
        template["Caller"]["Properties"]["AssumeRolePolicyDocument"] = trusting
        found = deploy(name, template, outputs=OUTPUTS)
        one_message(found["Queue"], "the schedule invokes the function")

    def test_a_role_of_another_service_is_refused(self) -> None:
        name = unique("schedule")
        template = resources(name)
        template["Caller"] = role(service="events.amazonaws.com")
        with self.assertRaisesRegex(StackFailed, "must allow AWS EventBridge Scheduler"):
            deploy(name, template)

    def test_a_missing_group_is_refused(self) -> None:
        name = unique("schedule")
        with self.assertRaisesRegex(StackFailed, "does not exist"):
            deploy(name, resources(name, GroupName="absent"))


class Settings(TestCase):
    def read(self, name: str) -> dict[str, Any]:
        return client("scheduler").get_schedule(Name=name, GroupName=name)

    def test_kept_changed_and_deleted(self) -> None:
        name = unique("schedule")
        settings = {"ScheduleExpressionTimezone": "Europe/Berlin", "State": "DISABLED"}
        deploy(name, resources(name, **settings), outputs=OUTPUTS)
        self.assertEqual(self.read(name)["ScheduleExpressionTimezone"], "Europe/Berlin")
        changed = {**settings, "ScheduleExpression": "rate(5 minutes)"}
        deploy(name, resources(name, **changed), outputs=OUTPUTS)
        self.assertEqual(self.read(name)["ScheduleExpression"], "rate(5 minutes)")
        left = {key: value for key, value in resources(name).items() if key != "Schedule"}
        deploy(name, left)
        with self.assertRaises(client("scheduler").exceptions.ResourceNotFoundException):
            self.read(name)


if __name__ == "__main__":
    unittest.main()
