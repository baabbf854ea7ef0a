"""Functions: latency of the Runtime API, settings of stacks, rights of roles."""

import base64
import hashlib
import json
import time
import unittest

from support import (
    ACCOUNT,
    HOME,
    PEER,
    StackFailed,
    TestCase,
    allow,
    attribute,
    client,
    deploy,
    document,
    function,
    invoke,
    item,
    queue,
    reference,
    role,
    shared,
    stream_table,
    unique,
    zipped,
)

CUSTOM_RUNTIME = """\
#!/usr/bin/env python3
import http.client, os
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = connection.getresponse()
    request = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    body = answer.read()
    connection.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", body)
    connection.getresponse().read()
"""

CALLER = """
import botocore.session
def handler(event, context):
    session = botocore.session.get_session()
    client = session.create_client(event["service"])
    try:
        getattr(client, event["call"])(**event["request"])
    except client.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"
"""


def upload(text: str) -> dict[str, str]:
    """A custom runtime's zip in a bucket, as `Code`."""
    bucket = unique("code")
    configuration = {"LocationConstraint": HOME}
    client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=configuration)
    body = zipped("bootstrap", text)
    client("s3").put_object(Bucket=bucket, Key="code.zip", Body=body)
    return {"S3Bucket": bucket, "S3Key": "code.zip"}


class RuntimeApiLatency(TestCase):
    def test_warm_custom_runtime_answers_within_milliseconds(self) -> None:
        name = unique("fast")
        code = upload(CUSTOM_RUNTIME)
        custom = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Code": code}
        deploy(name, {"Role": role(), "F": function("", FunctionName=name, **custom)})
        invoke(name)
        durations = []
        for number in range(15):
            started = time.perf_counter()
            self.assertEqual(invoke(name, {"n": number}), {"n": number})
            durations.append(time.perf_counter() - started)
        # The waits that are removed were in every invocation, so the shortest one shows them.
        self.assertLess(min(durations), 0.040)


class Settings(TestCase):
    def test_reserved_concurrency_and_dead_letter_queue(self) -> None:
        name = unique("reserved")
        source = "def handler(event, context):\n    raise ValueError('always')\n"
        settings = {
            "FunctionName": name,
            "ReservedConcurrentExecutions": 3,
            "DeadLetterConfig": {"TargetArn": attribute("Dead", "Arn")},
        }
        resources = {
            "Dead": queue(),
            "Role": role(allow("sqs:SendMessage", attribute("Dead", "Arn"))),
            "F": function(source, **settings),
            "Config": {
                "Type": "AWS::Lambda::EventInvokeConfig",
                "Properties": {
                    "FunctionName": reference("F"),
                    "Qualifier": "$LATEST",
                    "MaximumRetryAttempts": 0,
                },
            },
        }
        deploy(name, resources)
        concurrency = client("lambda").get_function_concurrency(FunctionName=name)
        self.assertEqual(concurrency["ReservedConcurrentExecutions"], 3)
        configuration = client("lambda").get_function_configuration(FunctionName=name)
        self.assertTrue(configuration["DeadLetterConfig"]["TargetArn"].startswith("arn:aws:sqs:"))

    def test_missing_code_rolls_back(self) -> None:
        name = unique("nocode")
        code = {**upload(CUSTOM_RUNTIME), "S3Key": "absent.zip"}
        custom = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Code": code}
        with self.assertRaisesRegex(StackFailed, "NoSuchKey"):
            deploy(name, {"Role": role(), "F": function("", FunctionName=name, **custom)})
        self.assertEqual(functions_named(name), [])

    def test_update_to_missing_code_keeps_the_old_code(self) -> None:
        name = unique("update")
        code = upload(CUSTOM_RUNTIME)
        custom = {"Runtime": "provided.al2023", "Handler": "bootstrap", "FunctionName": name}
        resources = {"Role": role(), "F": function("", Code=code, **custom)}
        deploy(name, resources)
        resources["F"] = function("", Code={**code, "S3Key": "absent.zip"}, **custom)
        with self.assertRaisesRegex(StackFailed, "UPDATE_ROLLBACK_COMPLETE.*NoSuchKey"):
            deploy(name, resources)
        self.assertEqual(invoke(name, {"n": 1}), {"n": 1})

    def test_code_hash_is_that_of_the_zip(self) -> None:
        name = unique("hash")
        code = upload(CUSTOM_RUNTIME)
        custom = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Code": code}
        deploy(name, {"Role": role(), "F": function("", FunctionName=name, **custom)})
        body = client("s3").get_object(Bucket=code["S3Bucket"], Key="code.zip")["Body"].read()
        expected = base64.b64encode(hashlib.sha256(body).digest()).decode()
        configuration = client("lambda").get_function_configuration(FunctionName=name)
        self.assertEqual(configuration["CodeSha256"], expected)

    def test_role_must_trust_lambda(self) -> None:
        name = unique("trust")
        source = "def handler(event, context):\n    return 1\n"
        resources = {
            "Role": role(service="events.amazonaws.com"),
            "F": function(source, FunctionName=name),
        }
        with self.assertRaisesRegex(StackFailed, "cannot be assumed by Lambda"):
            deploy(name, resources)


class RightsOfFunctions(TestCase):
    """The emulator's own enforcement, on which the project relies."""

    def deploy_caller(self, *statements: dict) -> tuple[str, dict[str, str]]:
        name = unique("caller")
        resources = {
            "Table": stream_table(),
            "Queue": queue(),
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}},
            "Role": role(*statements),
            "F": function(CALLER, FunctionName=name),
        }
        outputs = {
            "Table": reference("Table"),
            "Queue": reference("Queue"),
            "Role": attribute("Role", "Arn"),
        }
        return name, deploy(name, resources, outputs=outputs)

    def call(self, name: str, service: str, call: str, **request: object) -> str:
        return invoke(name, {"service": service, "call": call, "request": request})

    def test_without_policies_nothing_is_allowed(self) -> None:
        name, outputs = self.deploy_caller()
        put = self.call(name, "dynamodb", "put_item", TableName=outputs["Table"], Item=item("a"))
        self.assertEqual(put, "AccessDeniedException")
        sent = self.call(name, "sqs", "send_message", QueueUrl=outputs["Queue"], MessageBody="text")
        self.assertIn("AccessDenied", sent)
        entry = {"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": name}
        self.assertEqual(
            self.call(name, "events", "put_events", Entries=[entry]), "AccessDeniedException"
        )

    def test_resource_of_a_statement_counts(self) -> None:
        own = attribute("Table", "Arn")
        name, outputs = self.deploy_caller(allow("dynamodb:PutItem", own))
        other = unique("other")
        deploy(other, {"Table": stream_table(TableName=other)})
        request = {"Item": item("a")}
        put_own = self.call(name, "dynamodb", "put_item", TableName=outputs["Table"], **request)
        put_other = self.call(name, "dynamodb", "put_item", TableName=other, **request)
        self.assertEqual((put_own, put_other), ("ok", "AccessDeniedException"))

    def test_conditions_count(self) -> None:
        for region, expected in ((HOME, "ok"), (PEER, "AccessDeniedException")):
            statement = allow("dynamodb:PutItem", attribute("Table", "Arn"))
            statement["Condition"] = {"StringEquals": {"aws:RequestedRegion": region}}
            name, outputs = self.deploy_caller(statement)
            request = {"TableName": outputs["Table"], "Item": item("a")}
            self.assertEqual(self.call(name, "dynamodb", "put_item", **request), expected)


class AssumeRole(TestCase):
    """How a program that is not a function gets a role's rights: STS, with root's credentials."""

    def make_role(self, principal: str) -> str:
        name = unique("assumed")
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
        properties = {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}
        }
        resources = {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}
        return deploy(name, resources, outputs={"Arn": attribute("Role", "Arn")})["Arn"]

    def test_trusted_caller_gets_the_roles_rights_and_no_more(self) -> None:
        arn = self.make_role(f"arn:aws:iam::{ACCOUNT}:root")
        answer = client("sts").assume_role(RoleArn=arn, RoleSessionName="consumer")
        given = answer["Credentials"]
        consumer = shared().client(
            "sqs",
            access_key=given["AccessKeyId"],
            secret_key=given["SecretAccessKey"],
            token=given["SessionToken"],
        )
        with self.assertRaisesRegex(consumer.exceptions.ClientError, "AccessDenied"):
            consumer.list_queues()

    def test_service_account_of_a_cluster(self) -> None:
        """The role's trust in issuer, subject and audience counts; the signature does not."""
        issuer = "oidc.eks.us-west-2.amazonaws.com/id/TEST"
        subject = "system:serviceaccount:tandem:consumer"
        claims = {f"{issuer}:sub": subject, f"{issuer}:aud": "sts.amazonaws.com"}
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": claims},
        }
        properties = {"AssumeRolePolicyDocument": document(statement)}
        resources = {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}
        found = deploy(unique("irsa"), resources, outputs={"Arn": attribute("Role", "Arn")})
        request = {"RoleArn": found["Arn"], "RoleSessionName": "consumer"}
        answer = client("sts").assume_role_with_web_identity(
            WebIdentityToken=web_identity(issuer, subject), **request
        )
        self.assertIn(":assumed-role/", answer["AssumedRoleUser"]["Arn"])
        with self.assertRaisesRegex(client("sts").exceptions.ClientError, "AccessDenied"):
            client("sts").assume_role_with_web_identity(
                WebIdentityToken=web_identity(issuer, "system:serviceaccount:other:other"),
                **request,
            )

    def test_credentials_are_verified(self) -> None:
        arn = self.make_role(f"arn:aws:iam::{ACCOUNT}:root")
        answer = client("sts").assume_role(RoleArn=arn, RoleSessionName="consumer")
        given = answer["Credentials"]
        thief = shared().client(
            "sts",
            access_key=given["AccessKeyId"],
            secret_key="guess",
            token=given["SessionToken"],
        )
        with self.assertRaisesRegex(thief.exceptions.ClientError, "SignatureDoesNotMatch"):
            thief.get_caller_identity()

    def test_untrusted_caller_is_refused(self) -> None:
        arn = self.make_role(f"arn:aws:iam::{ACCOUNT}:user/somebody-else")
        with self.assertRaisesRegex(client("sts").exceptions.ClientError, "AccessDenied"):
            client("sts").assume_role(RoleArn=arn, RoleSessionName="consumer")


def web_identity(issuer: str, subject: str) -> str:
    """A token as a cluster's API server issues it, without a signature."""
    claims = {"iss": f"https://{issuer}", "sub": subject, "aud": "sts.amazonaws.com"}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    encoded = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "unsigned"])


def functions_named(name: str) -> list[str]:
    found = client("lambda").list_functions()["Functions"]
    return [entry["FunctionName"] for entry in found if entry["FunctionName"] == name]


if __name__ == "__main__":
    unittest.main()
