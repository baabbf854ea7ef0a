"""Every right that a function's role, a key or a function's policy gives is one that is needed.

The tests take one right away and look at what stops, and at `GET /_local/denied`.
"""

import time
import unittest
from typing import Any

from support import (
    ACCOUNT,
    HOME,
    TestCase,
    allow,
    attribute,
    attributes_of,
    clear_denied,
    client,
    denied,
    deploy,
    document,
    eventually,
    function,
    invoke,
    item,
    one_message,
    put_event,
    put_role_policy,
    queue,
    queue_policy,
    read_stream,
    receive,
    reference,
    role,
    shared,
    stream_table,
    unique,
)

NOTHING = "def handler(event, context):\n    print('a line')\n    return {}\n"
FAILING = "def handler(event, context):\n    raise ValueError('always')\n"
CALLER = """
import botocore.session
def handler(event, context):
    client = botocore.session.get_session().create_client(event["service"])
    try:
        getattr(client, event["call"])(**event["request"])
    except client.exceptions.ClientError as error:
        return error.response["Error"]["Message"]
    return "ok"
"""
REPORTER = """
import os, botocore.session
sqs = botocore.session.get_session().create_client("sqs")
def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody="seen")
"""

STREAM_ACTIONS = tuple(read_stream("*")["Action"])
QUEUE_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def mapping(source: Any, **properties: Any) -> dict[str, Any]:
    given = {"FunctionName": reference("F"), "EventSourceArn": source, **properties}
    return {"Type": "AWS::Lambda::EventSourceMapping", "Properties": given}


def key() -> dict[str, Any]:
    owner = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    policy = document({**allow("kms:*", "*"), "Principal": owner})
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}


class Denied(TestCase):
    """The list itself."""

    def deployed(self) -> dict[str, str]:
        name = unique("denied")
        resources = {"Table": stream_table(), "Role": role(), "F": function(CALLER)}
        outputs = {key: reference(key) for key in ("Table", "Role", "F")}
        return deploy(name, resources, outputs=outputs)

    def put(self, found: dict[str, str]) -> str:
        request = {"TableName": found["Table"], "Item": item("a")}
        payload = {"service": "dynamodb", "call": "put_item", "request": request}
        return str(invoke(found["F"], payload))

    def test_names_caller_action_resource_and_reason(self) -> None:
        found = self.deployed()
        clear_denied()
        before = time.time()
        for _ in range(2):
            self.assertIn("not authorized", self.put(found))
        (entry,) = denied("dynamodb:PutItem")
        self.assertEqual(entry["principal"], role_arn(found["Role"]))
        table = f"arn:aws:dynamodb:{HOME}:{ACCOUNT}:table/{found['Table']}"
        self.assertEqual(entry["resource"], table)
        self.assertEqual((entry["reason"], entry["count"]), ("no policy allows it", 2))
        self.assertLess(abs(entry["time"] - before), 60)

    def test_an_explicit_deny_is_told_apart(self) -> None:
        found = self.deployed()
        forbidding = {**allow("dynamodb:PutItem", "*"), "Effect": "Deny"}
        put_role_policy(found["Role"], "no", forbidding)
        clear_denied()
        self.put(found)
        self.assertIn("explicitly", denied("dynamodb:PutItem")[0]["reason"])

    def test_it_can_be_cleared(self) -> None:
        found = self.deployed()
        self.put(found)
        self.assertNotEqual(shared().local("GET", "/_local/denied"), [])
        clear_denied()
        self.assertEqual(denied("dynamodb:PutItem"), [])

    def test_root_is_never_refused(self) -> None:
        found = self.deployed()
        clear_denied()
        client("dynamodb").put_item(TableName=found["Table"], Item=item("a"))
        self.assertEqual(denied("dynamodb:PutItem"), [])

    def test_a_changed_policy_counts_from_the_next_call(self) -> None:
        found = self.deployed()
        self.assertIn("not authorized", self.put(found))
        put_role_policy(found["Role"], "inline", allow("dynamodb:PutItem", "*"))
        self.assertEqual(self.put(found), "ok")
        client("iam").delete_role_policy(RoleName=found["Role"], PolicyName="inline")
        self.assertIn("not authorized", self.put(found))

    def test_a_policy_changed_by_a_stack_counts_from_the_next_call(self) -> None:
        name = unique("denied")
        resources = {"Table": stream_table(), "Role": role(), "F": function(CALLER)}
        outputs = {key: reference(key) for key in ("Table", "F")}
        found = deploy(name, resources, outputs=outputs)
        self.assertIn("not authorized", self.put(found))
        resources["Role"] = role(allow("dynamodb:PutItem", attribute("Table", "Arn")))
        deploy(name, resources, outputs=outputs)
        self.assertEqual(self.put(found), "ok")
        resources["Role"] = role()
        deploy(name, resources, outputs=outputs)
        self.assertIn("not authorized", self.put(found))

    def test_a_boundary_limits_the_role(self) -> None:
        name = unique("denied")
        boundary = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"PolicyDocument": document(allow("dynamodb:GetItem", "*"))},
        }
        limited = role(allow("dynamodb:*", "*"))
        limited["Properties"]["PermissionsBoundary"] = reference("Boundary")
        resources = {
            "Table": stream_table(),
            "Boundary": boundary,
            "Role": limited,
            "F": function(CALLER),
        }
        outputs = {key: reference(key) for key in ("Table", "F")}
        found = deploy(name, resources, outputs=outputs)
        self.assertIn("not authorized", self.put(found))
        resources["Role"] = role(allow("dynamodb:*", "*"))
        deploy(name, resources, outputs=outputs)
        self.assertEqual(self.put(found), "ok")

    def test_a_boundary_must_exist(self) -> None:
        limited = role()
        absent = f"arn:aws:iam::{ACCOUNT}:policy/{unique('absent')}"
        limited["Properties"]["PermissionsBoundary"] = absent
        with self.assertRaisesRegex(AssertionError, "does not exist or is not attachable"):
            deploy(unique("denied"), {"Role": limited})


class Logs(TestCase):
    ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")

    def deployed(self, *actions: str) -> dict[str, str]:
        name = unique("logs")
        group = {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": f"/aws/lambda/{name}"},
        }
        given = [allow(list(actions), attribute("Group", "Arn"))] if actions else []
        resources = {
            "Group": group,
            "Role": role(*given),
            "F": function(NOTHING, FunctionName=name),
        }
        outputs = {key: reference(key) for key in ("Group", "Role", "F")}
        return deploy(name, resources, outputs=outputs)

    def lines(self, found: dict[str, str]) -> list[str]:
        answer = client("logs").filter_log_events(logGroupName=found["Group"])
        return [event["message"] for event in answer["events"]]

    def test_stored_with_both_rights(self) -> None:
        found = self.deployed(*self.ACTIONS)
        invoke(found["F"])
        self.assertIn("a line", self.lines(found))

    def test_each_right_is_needed(self) -> None:
        for missing in self.ACTIONS:
            found = self.deployed(*(action for action in self.ACTIONS if action != missing))
            clear_denied()
            invoke(found["F"])
            self.assertEqual(self.lines(found), [])
            entry = denied(missing)[0]
            self.assertEqual(entry["principal"], role_arn(found["Role"]))
            self.assertIn(f":log-group:{found['Group']}:log-stream:", entry["resource"])

    def test_a_missing_group_needs_the_right_to_create_it(self) -> None:
        name = unique("logs")
        group = f"arn:aws:logs:{HOME}:{ACCOUNT}:log-group:/aws/lambda/{name}"
        resources = {
            "Role": role(allow(list(self.ACTIONS), f"{group}:*")),
            "F": function(NOTHING, FunctionName=name),
        }
        found = deploy(name, resources, outputs={"Role": reference("Role")})
        clear_denied()
        invoke(name)
        self.assertEqual(denied("logs:CreateLogGroup")[0]["resource"], group)
        put_role_policy(found["Role"], "create", allow("logs:CreateLogGroup", group))
        invoke(name)
        self.assertIn("a line", self.lines({"Group": f"/aws/lambda/{name}"}))


class Mappings(TestCase):
    """A mapping stops when a right is taken away, tells so, and goes on when it returns."""

    def result(self, found: dict[str, str]) -> str:
        answer = client("lambda").get_event_source_mapping(UUID=found["Mapping"])
        return str(answer["LastProcessingResult"])

    def stops(self, found: dict[str, str], action: str) -> None:
        eventually(lambda: self.result(found).startswith("PROBLEM: AccessDenied"), action)
        entry = eventually(lambda: denied(action), f"{action} is refused")[-1]
        self.assertEqual(entry["principal"], role_arn(found["Role"]))

    def goes_on(self, found: dict[str, str], what: str) -> None:
        one_message(found["Seen"], what)
        eventually(lambda: "PROBLEM" not in self.result(found), what)

    def deployed(self, source_id: str, source: Any, *rights: Any, **extra: Any) -> dict[str, str]:
        name = unique("mapping")
        resources = {
            source_id: stream_table() if source_id == "Table" else queue(VisibilityTimeout=60),
            "Seen": queue(),
            "Role": role(allow("sqs:SendMessage", attribute("Seen", "Arn")), *rights),
            "F": function(REPORTER, Environment={"Variables": {"SEEN": reference("Seen")}}),
            "Mapping": mapping(
                source, **({"StartingPosition": "TRIM_HORIZON"} if source_id == "Table" else {})
            ),
            **extra,
        }
        keys = (source_id, "Seen", "Role", "Mapping")
        outputs = {**{key: reference(key) for key in keys}, "Source": source}
        outputs["SeenArn"] = attribute("Seen", "Arn")
        if "Key" in extra:
            outputs["Key"] = attribute("Key", "Arn")
        return deploy(name, resources, outputs=outputs)

    def set_rights(self, found: dict[str, str], *statements: dict[str, Any]) -> None:
        send = allow("sqs:SendMessage", found["SeenArn"])
        put_role_policy(found["Role"], "inline", send, *statements)

    def test_each_right_on_the_stream_is_needed(self) -> None:
        stream = attribute("Table", "StreamArn")
        found = self.deployed("Table", stream, read_stream(stream))
        everything = allow(list(STREAM_ACTIONS), found["Source"])
        for missing in STREAM_ACTIONS:
            with self.subTest(missing):
                rest = [action for action in STREAM_ACTIONS if action != missing]
                clear_denied()
                self.set_rights(found, allow(rest, found["Source"]))
                client("dynamodb").put_item(TableName=found["Table"], Item=item(missing))
                self.stops(found, missing)
                self.assertEqual(receive(found["Seen"]), [])
                self.set_rights(found, everything)
                self.goes_on(found, f"the record arrives when {missing} returns")

    def test_each_right_on_the_queue_is_needed(self) -> None:
        source = attribute("Source", "Arn")
        found = self.deployed("Source", source, allow(list(QUEUE_ACTIONS), source))
        url = self.source_url(found)
        everything = allow(list(QUEUE_ACTIONS), found["SourceArn"])
        for missing in QUEUE_ACTIONS:
            with self.subTest(missing):
                rest = [action for action in QUEUE_ACTIONS if action != missing]
                clear_denied()
                self.set_rights(found, allow(rest, found["SourceArn"]))
                client("sqs").send_message(QueueUrl=url, MessageBody="text")
                self.stops(found, missing)
                self.assertEqual(receive(found["Seen"]), [])
                self.set_rights(found, everything)
                self.goes_on(found, f"the message arrives when {missing} returns")

    def source_url(self, found: dict[str, str]) -> str:
        """`Source` is overwritten by the ARN of the event source."""
        found["SourceArn"] = found["Source"]
        name = found["Source"].rsplit(":", 1)[-1]
        return str(client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def test_the_key_of_an_encrypted_queue_is_needed(self) -> None:
        source = attribute("Source", "Arn")
        decrypting = allow("kms:Decrypt", attribute("Key", "Arn"))
        encrypted = queue(VisibilityTimeout=60, KmsMasterKeyId=attribute("Key", "Arn"))
        found = self.deployed(
            "Source",
            source,
            allow(list(QUEUE_ACTIONS), source),
            decrypting,
            Key=key(),
            Source=encrypted,
        )
        url = self.source_url(found)
        reading = allow(list(QUEUE_ACTIONS), found["SourceArn"])
        clear_denied()
        self.set_rights(found, reading)
        client("sqs").send_message(QueueUrl=url, MessageBody="text")
        self.stops(found, "kms:Decrypt")
        through = {"StringEquals": {"kms:ViaService": f"sqs.{HOME}.amazonaws.com"}}
        decrypt = {**allow("kms:Decrypt", found["Key"]), "Condition": through}
        self.set_rights(found, reading, decrypt)
        self.goes_on(found, "the message arrives when the key may be used")

    def test_a_mapping_without_rights_is_not_created(self) -> None:
        source = attribute("Source", "Arn")
        for missing in QUEUE_ACTIONS:
            rest = [action for action in QUEUE_ACTIONS if action != missing]
            with self.assertRaisesRegex(AssertionError, missing.removeprefix("sqs:")):
                self.deployed("Source", source, allow(rest, source))


class FailureDestinations(TestCase):
    """A mapping's and a function's destination of failures need the function's right to send."""

    def deployed(self, **resources: Any) -> dict[str, str]:
        stream = attribute("Table", "StreamArn")
        everything = {
            "Table": stream_table(),
            "Failed": queue(),
            "Role": role(read_stream(stream), allow("sqs:SendMessage", attribute("Failed", "Arn"))),
            "F": function(FAILING),
            **resources,
        }
        outputs: dict[str, Any] = {key: reference(key) for key in ("Table", "Failed", "Role", "F")}
        outputs["Stream"] = stream
        outputs["FailedArn"] = attribute("Failed", "Arn")
        return deploy(unique("failing"), everything, outputs=outputs)

    DESTINATION = {"OnFailure": {"Destination": attribute("Failed", "Arn")}}

    def rights(self, found: dict[str, str]) -> dict[str, Any]:
        return allow(list(STREAM_ACTIONS), found["Stream"])

    def refused(self, found: dict[str, str]) -> None:
        entry = eventually(lambda: denied("sqs:SendMessage"), "sending is refused")[0]
        self.assertEqual(entry["principal"], role_arn(found["Role"]))
        self.assertEqual(entry["resource"], found["FailedArn"])
        self.assertEqual(receive(found["Failed"]), [])

    def test_of_a_mapping(self) -> None:
        settings = {
            "StartingPosition": "TRIM_HORIZON",
            "MaximumRetryAttempts": 0,
            "DestinationConfig": self.DESTINATION,
        }
        found = self.deployed(Mapping=mapping(attribute("Table", "StreamArn"), **settings))
        put_role_policy(found["Role"], "inline", self.rights(found))
        clear_denied()
        client("dynamodb").put_item(TableName=found["Table"], Item=item("a"))
        self.refused(found)
        send = allow("sqs:SendMessage", found["FailedArn"])
        put_role_policy(found["Role"], "inline", self.rights(found), send)
        client("dynamodb").put_item(TableName=found["Table"], Item=item("b"))
        one_message(found["Failed"], "the description arrives")

    def test_of_asynchronous_invocation(self) -> None:
        config = {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": reference("F"),
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": 0,
                "DestinationConfig": self.DESTINATION,
            },
        }
        found = self.deployed(Config=config)
        put_role_policy(found["Role"], "inline", self.rights(found))
        clear_denied()
        client("lambda").invoke(FunctionName=found["F"], InvocationType="Event")
        self.refused(found)
        send = allow("sqs:SendMessage", found["FailedArn"])
        put_role_policy(found["Role"], "inline", send)
        client("lambda").invoke(FunctionName=found["F"], InvocationType="Event")
        one_message(found["Failed"], "the event arrives")


class Keys(TestCase):
    """Calls on encrypted resources need the key, through the service that holds the resource."""

    def deployed(self, **condition: Any) -> dict[str, str]:
        key_arn = attribute("Key", "Arn")
        using = allow(["kms:Decrypt", "kms:GenerateDataKey"], key_arn)
        if condition:
            using["Condition"] = {"StringEquals": condition}
        encryption = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key_arn}
        resources = {
            "Key": key(),
            "Table": stream_table(SSESpecification=encryption),
            "Queue": queue(KmsMasterKeyId=key_arn),
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": key_arn}},
            "Secret": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {"SecretString": "text", "KmsKeyId": key_arn},
            },
            "Role": role(
                allow("dynamodb:*", attribute("Table", "Arn")),
                allow("sqs:*", attribute("Queue", "Arn")),
                allow("sns:Publish", reference("Topic")),
                allow("secretsmanager:GetSecretValue", reference("Secret")),
                using,
            ),
            "F": function(CALLER),
        }
        named = ("Table", "Queue", "Topic", "Secret", "F")
        outputs: dict[str, Any] = {key: reference(key) for key in named}
        outputs["Key"] = key_arn
        return deploy(unique("keys"), resources, outputs=outputs)

    def calls(self, found: dict[str, str]) -> dict[str, str]:
        requests: dict[str, tuple[str, dict[str, Any]]] = {
            "dynamodb": ("get_item", {"TableName": found["Table"], "Key": item("a")}),
            "sqs": ("send_message", {"QueueUrl": found["Queue"], "MessageBody": "text"}),
            "sns": ("publish", {"TopicArn": found["Topic"], "Message": "text"}),
            "secretsmanager": ("get_secret_value", {"SecretId": found["Secret"]}),
        }
        return {
            service: invoke(found["F"], {"service": service, "call": call, "request": request})
            for service, (call, request) in requests.items()
        }

    def test_a_statement_for_one_service_serves_no_other(self) -> None:
        for service in ("dynamodb", "sqs", "sns", "secretsmanager"):
            found = self.deployed(**{"kms:ViaService": f"{service}.{HOME}.amazonaws.com"})
            clear_denied()
            answers = self.calls(found)
            allowed = [name for name, answer in answers.items() if answer == "ok"]
            self.assertEqual(allowed, [service])
            refused = denied("kms:Decrypt") + denied("kms:GenerateDataKey")
            self.assertEqual({entry["resource"] for entry in refused}, {found["Key"]})
            through = " ".join(entry["reason"] for entry in refused)
            self.assertNotIn(f"through {service}.", through)

    def test_without_condition_all_pass(self) -> None:
        self.assertEqual(set(self.calls(self.deployed()).values()), {"ok"})


class ConditionKeys(TestCase):
    def deployed(self, *statements: dict[str, Any]) -> dict[str, str]:
        name = unique("condition")
        resources = {
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}},
            "Role": role(*statements),
            "F": function(CALLER),
        }
        return deploy(
            name, resources, outputs={key: reference(key) for key in ("Bus", "F", "Role")}
        )

    def put(self, found: dict[str, str], *sources: str) -> str:
        entry = {"DetailType": "t", "Detail": "{}", "EventBusName": found["Bus"]}
        request = {"Entries": [{**entry, "Source": source} for source in sources]}
        payload = {"service": "events", "call": "put_events", "request": request}
        return str(invoke(found["F"], payload))

    def test_source_of_events(self) -> None:
        own = allow("events:PutEvents", attribute("Bus", "Arn"))
        own["Condition"] = {"StringEquals": {"events:source": "tandem.own"}}
        found = self.deployed(own)
        self.assertEqual(self.put(found, "tandem.own"), "ok")
        self.assertEqual(self.put(found, "tandem.own", "tandem.own"), "ok")
        self.assertIn("not authorized", self.put(found, "tandem.other"))
        self.assertIn("not authorized", self.put(found, "tandem.own", "tandem.other"))

    def test_a_caller_is_its_role(self) -> None:
        statement = allow("events:PutEvents", attribute("Bus", "Arn"))
        session = f"arn:aws:iam::{ACCOUNT}:role/condition-*"
        statement["Condition"] = {"ArnLike": {"aws:PrincipalArn": session}}
        self.assertEqual(self.put(self.deployed(statement), "tandem.own"), "ok")


class AlarmActions(TestCase):
    """An alarm tells its topic by the topic's policy and the policy of the topic's key."""

    def told(self, topic: dict[str, Any], **extra: Any) -> list[dict[str, Any]]:
        name = unique("alarm")
        alarm = {
            "AlarmName": name,
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1,
            "MetricName": name,
            "Namespace": "tandem",
            "Period": 60,
            "Threshold": 0,
            "AlarmActions": [reference("Topic")],
        }
        subscription = {
            "TopicArn": reference("Topic"),
            "Protocol": "sqs",
            "Endpoint": attribute("Queue", "Arn"),
        }
        resources = {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": topic},
            "Queue": queue(),
            "QueuePolicy": queue_policy("Queue", "sns.amazonaws.com"),
            "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": subscription},
            "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
            **extra,
        }
        found = deploy(name, resources, outputs={"Queue": reference("Queue")})
        clear_denied()
        client("cloudwatch").set_alarm_state(
            AlarmName=name, StateValue="ALARM", StateReason="rehearsal"
        )
        return receive(found["Queue"])

    def policy(self, service: str) -> dict[str, Any]:
        statement = {**allow("sns:Publish", reference("Topic")), "Principal": {"Service": service}}
        properties = {"Topics": [reference("Topic")], "PolicyDocument": document(statement)}
        return {"Type": "AWS::SNS::TopicPolicy", "Properties": properties}

    def key_for(self, service: str) -> dict[str, Any]:
        used = key()
        using = {**allow(["kms:Decrypt", "kms:GenerateDataKey"], "*")}
        using["Principal"] = {"Service": service}
        used["Properties"]["KeyPolicy"]["Statement"].append(using)
        return used

    def test_policy_of_the_topic(self) -> None:
        self.assertEqual(len(self.told({})), 1)
        self.assertEqual(len(self.told({}, Policy=self.policy("cloudwatch.amazonaws.com"))), 1)
        self.assertEqual(self.told({}, Policy=self.policy("events.amazonaws.com")), [])
        self.assertEqual(denied("sns:Publish")[0]["principal"], "cloudwatch.amazonaws.com")

    def test_key_of_the_topic(self) -> None:
        encrypted = {"KmsMasterKeyId": attribute("Key", "Arn")}
        right, wrong = (self.key_for(f"{name}.amazonaws.com") for name in ("cloudwatch", "events"))
        self.assertEqual(len(self.told(encrypted, Key=right)), 1)
        self.assertEqual(self.told(encrypted, Key=wrong), [])
        self.assertEqual(denied("kms:Decrypt")[0]["principal"], "cloudwatch.amazonaws.com")

    def test_key_of_aws_does_not_serve_alarms(self) -> None:
        self.assertEqual(self.told({"KmsMasterKeyId": "alias/aws/sns"}), [])
        self.assertIn("a key of your own", denied("kms:GenerateDataKey")[0]["reason"])


class LogGroupKeys(TestCase):
    def deploy_with(self, service: str, context: str) -> None:
        used = key()
        using = allow(["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"], "*")
        using["Principal"] = {"Service": service}
        using["Condition"] = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": context}}
        used["Properties"]["KeyPolicy"]["Statement"].append(using)
        properties = {"LogGroupName": unique("/group"), "KmsKeyId": attribute("Key", "Arn")}
        group = {"Type": "AWS::Logs::LogGroup", "Properties": properties}
        deploy(unique("group"), {"Key": used, "Group": group})

    def test_the_service_must_be_allowed_for_the_group(self) -> None:
        groups = f"arn:aws:logs:{HOME}:{ACCOUNT}:log-group:*"
        self.deploy_with(f"logs.{HOME}.amazonaws.com", groups)
        for service, context in (
            ("logs.amazonaws.com", groups),
            (f"logs.{HOME}.amazonaws.com", groups.replace("/group", "/other") + "other"),
        ):
            with self.assertRaisesRegex(AssertionError, "not allowed to be used"):
                self.deploy_with(service, context)


class Rules(TestCase):
    """A rule invokes a function with the right that the function's policy gives for the rule."""

    def deployed(self, source: Any) -> tuple[str, dict[str, str]]:
        name = unique("rule")
        rule = {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventBusName": reference("Bus"),
                "EventPattern": {"source": ["test"]},
                "Targets": [
                    {
                        "Id": "one",
                        "Arn": attribute("F", "Arn"),
                        "DeadLetterConfig": {"Arn": attribute("Dead", "Arn")},
                    }
                ],
            },
        }
        resources = {
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}},
            "Dead": queue(),
            "DeadPolicy": queue_policy("Dead"),
            "Seen": queue(),
            "Role": role(allow("sqs:SendMessage", attribute("Seen", "Arn"))),
            "F": function(REPORTER, Environment={"Variables": {"SEEN": reference("Seen")}}),
            "Rule": rule,
            "Permission": {
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "FunctionName": reference("F"),
                    "Action": "lambda:InvokeFunction",
                    "Principal": "events.amazonaws.com",
                    "SourceArn": source,
                },
            },
        }
        outputs = {"Dead": reference("Dead"), "Seen": reference("Seen")}
        outputs |= {"Rule": attribute("Rule", "Arn"), "F": attribute("F", "Arn")}
        return name, deploy(name, resources, outputs=outputs)

    def test_the_permission_of_another_rule_does_not_count(self) -> None:
        name, found = self.deployed(f"arn:aws:events:{HOME}:{ACCOUNT}:rule/elsewhere/other")
        clear_denied()
        put_event(name, {"n": 1})
        message = one_message(found["Dead"], "the event is a dead letter")
        self.assertEqual(attributes_of(message)["ERROR_CODE"], "NO_PERMISSIONS")
        entry = denied("lambda:InvokeFunction")[0]
        self.assertEqual(entry["principal"], "events.amazonaws.com")
        self.assertEqual(entry["resource"], found["F"])
        self.assertIn(found["Rule"], entry["reason"])

    def test_its_own_permission_counts(self) -> None:
        name, found = self.deployed(attribute("Rule", "Arn"))
        put_event(name, {"n": 1})
        one_message(found["Seen"], "the function is invoked")


if __name__ == "__main__":
    unittest.main()
