"""One emulator for the test run, clients of both regions, and words for common steps."""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import urllib.request
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config

ACCOUNT = "000000000000"
HOME = "us-west-2"
PEER = "us-east-1"
PACKAGE_FOLDER = Path(__file__).resolve().parent.parent
START_SECS = 15.0

sys.path.insert(0, str(PACKAGE_FOLDER))

Template = dict[str, Any]


class Emulator:
    """An emulator process."""

    def __init__(self, *arguments: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-test-")
        self.folder = Path(self._folder.name)
        self.log = self.folder / "log"
        ready_file = self.folder / "ready.json"
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE_FOLDER), "LEAKED": "from the caller"}
        command = [sys.executable, "-m", "tandem_emulator", "--ready-file", str(ready_file)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments], env=environment, stdout=log, stderr=log
            )
        self.ready = self._wait_until_ready(ready_file)
        self.url: str = self.ready["url"]

    def _wait_until_ready(self, ready_file: Path) -> dict[str, Any]:
        end = time.monotonic() + START_SECS
        while time.monotonic() < end:
            if ready_file.exists():
                return json.loads(ready_file.read_text())
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"the emulator did not start:\n{self.log.read_text()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=20)
        self._folder.cleanup()
        if number == signal.SIGKILL:
            shutil.rmtree(self.ready["data_dir"], ignore_errors=True)
        return status

    def client(self, service: str, region: str = HOME, **credentials: str) -> BaseClient:
        return session().create_client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=credentials.get("access_key", "test"),
            aws_secret_access_key=credentials.get("secret_key", "test"),
            aws_session_token=credentials.get("token"),
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=30,
            ),
        )

    def local(self, method: str, path: str) -> Any:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read())


@functools.cache
def session() -> botocore.session.Session:
    return botocore.session.get_session()


@functools.cache
def shared() -> Emulator:
    emulator = Emulator()
    atexit.register(emulator.stop)
    return emulator


@functools.cache
def client(service: str, region: str = HOME) -> BaseClient:
    return shared().client(service, region)


def unique(prefix: str = "t") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def eventually(question: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """The first truthy answer; fails the test after the time is over."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s: {what}")
        time.sleep(0.02)


# Stacks


class StackFailed(AssertionError):
    """A stack operation that did not complete; the text holds the reasons of all failed events."""


def deploy(
    name: str,
    resources: dict[str, Any],
    *,
    outputs: dict[str, Any] | None = None,
    region: str = HOME,
) -> dict[str, str]:
    """Create or update a stack through a change set; returns its outputs."""
    template: Template = {"Resources": resources}
    if outputs:
        template["Outputs"] = {key: {"Value": value} for key, value in outputs.items()}
    execute(name, change_set(name, region=region, TemplateBody=json.dumps(template)), region)
    stack = client("cloudformation", region).describe_stacks(StackName=name)["Stacks"][0]
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def change_set(name: str, *, region: str = HOME, **request: Any) -> dict[str, Any]:
    """Create a change set of the right kind and describe it."""
    cloudformation = client("cloudformation", region)
    created = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=unique("change"),
        ChangeSetType="UPDATE" if stack_status(name, region) else "CREATE",
        Capabilities=["CAPABILITY_NAMED_IAM"],
        **request,
    )
    return cloudformation.describe_change_set(ChangeSetName=created["Id"], StackName=name)


def execute(name: str, described: dict[str, Any], region: str = HOME) -> None:
    cloudformation = client("cloudformation", region)
    cloudformation.execute_change_set(ChangeSetName=described["ChangeSetId"], StackName=name)
    settled(name, region)


def delete_stack(name: str, region: str = HOME) -> None:
    stack_id = client("cloudformation", region).describe_stacks(StackName=name)["Stacks"][0][
        "StackId"
    ]
    client("cloudformation", region).delete_stack(StackName=name)
    settled(stack_id, region)


def settled(name: str, region: str) -> None:
    def status() -> str | None:
        found = stack_status(name, region) or "DELETE_COMPLETE"
        running = found.endswith("IN_PROGRESS") and found != "REVIEW_IN_PROGRESS"
        return None if running else found

    final = eventually(status, f"stack {name} settles", 30)
    if "ROLLBACK" in final or "FAILED" in final:
        raise StackFailed(f"{final}: {'; '.join(failures(name, region))}")


def stack_status(name: str, region: str) -> str | None:
    try:
        stacks = client("cloudformation", region).describe_stacks(StackName=name)["Stacks"]
    except client("cloudformation", region).exceptions.ClientError:
        return None
    return stacks[0]["StackStatus"]


def stack_events(name: str, region: str = HOME) -> list[dict[str, Any]]:
    """Oldest first."""
    pages = client("cloudformation", region).get_paginator("describe_stack_events")
    newest_first = [
        event for page in pages.paginate(StackName=name) for event in page["StackEvents"]
    ]
    return list(reversed(newest_first))


def failures(name: str, region: str = HOME) -> list[str]:
    return [
        event.get("ResourceStatusReason", "")
        for event in stack_events(name, region)
        if event["ResourceStatus"].endswith("FAILED")
    ]


# Pieces of templates


def allow(actions: str | list[str], resources: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return document(statement)


def role(*statements: dict[str, Any], service: str = "lambda.amazonaws.com") -> dict[str, Any]:
    properties: dict[str, Any] = {"AssumeRolePolicyDocument": trust(service)}
    if statements:
        policy = {"PolicyName": "inline", "PolicyDocument": document(*statements)}
        properties["Policies"] = [policy]
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def function(source: str, role_id: str = "Role", **properties: Any) -> dict[str, Any]:
    """A Python function from inline source with `handler(event, context)`."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.11",
            "Handler": "index.handler",
            "Timeout": 10,
            "Role": attribute(role_id, "Arn"),
            "Code": {"ZipFile": textwrap.dedent(source)},
            **properties,
        },
    }


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


def queue_policy(queue_id: str, service: str = "events.amazonaws.com") -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": attribute(queue_id, "Arn"),
    }
    properties = {"Queues": [reference(queue_id)], "PolicyDocument": document(statement)}
    return {"Type": "AWS::SQS::QueuePolicy", "Properties": properties}


def stream_table(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::DynamoDB::Table", "Properties": {**table_keys(), **properties}}


def table_keys() -> dict[str, Any]:
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
    }


def read_stream(stream: Any) -> dict[str, Any]:
    names = ("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams")
    return allow([f"dynamodb:{name}" for name in names], stream)


def reference(logical_id: str) -> dict[str, str]:
    return {"Ref": logical_id}


def attribute(logical_id: str, name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [logical_id, name]}


# Using what was deployed


def receive(queue_url: str, region: str = HOME) -> list[dict[str, Any]]:
    """Take up to ten messages, with their attributes, without waiting."""
    answer = client("sqs", region).receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    messages = answer.get("Messages", [])
    for message in messages:
        client("sqs", region).delete_message(
            QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"]
        )
    return messages


def one_message(queue_url: str, what: str, region: str = HOME, seconds: float = 20.0) -> Any:
    return eventually(lambda: receive(queue_url, region), what, seconds)[0]


def put_event(bus: str, detail: dict[str, Any], region: str = HOME) -> None:
    entry = {"Source": "test", "DetailType": "t", "Detail": json.dumps(detail), "EventBusName": bus}
    answer = client("events", region).put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise AssertionError(answer)


def invoke(name: str, payload: Any = None, region: str = HOME) -> Any:
    answer = client("lambda", region).invoke(
        FunctionName=name, Payload=json.dumps(payload or {}).encode()
    )
    body = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise AssertionError(body)
    return body


def denied(action: str) -> list[dict[str, Any]]:
    """Refusals of an action, oldest first."""
    return [entry for entry in shared().local("GET", "/_local/denied") if entry["action"] == action]


def clear_denied() -> None:
    shared().local("DELETE", "/_local/denied")


def put_role_policy(role_name: str, policy_name: str, *statements: dict[str, Any]) -> None:
    """Replace an inline policy of a role."""
    client("iam").put_role_policy(
        RoleName=role_name,
        PolicyName=policy_name,
        PolicyDocument=json.dumps(document(*statements)),
    )


def zipped(name: str, text: str) -> bytes:
    """A zip of one executable file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, textwrap.dedent(text))
    return buffer.getvalue()


def item(key: str, **values: str) -> dict[str, Any]:
    return {"pk": {"S": key}, **{name: {"S": value} for name, value in values.items()}}


def attributes_of(message: dict[str, Any]) -> dict[str, str]:
    attributes = message.get("MessageAttributes", {})
    return {name: value["StringValue"] for name, value in attributes.items()}


class TestCase(unittest.TestCase):
    """Long differences are shown whole."""

    maxDiff = None
