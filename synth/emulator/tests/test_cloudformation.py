"""Stacks: what is changed, what is named, what is refused; API CORS as a stack declares it."""

import json
import unittest
import urllib.error
import urllib.request
from typing import Any
from xml.etree import ElementTree

from support import (
    HOME,
    PEER,
    StackFailed,
    TestCase,
    allow,
    attribute,
    change_set,
    client,
    delete_stack,
    deploy,
    document,
    execute,
    function,
    queue,
    reference,
    role,
    shared,
    stack_events,
    stream_table,
    unique,
)

ECHO = "def handler(event, context):\n    return event\n"


def resource_events(name: str, after: str) -> list[tuple[str, str]]:
    """Events of resources that came after the event with the given id."""
    events = stack_events(name)
    start = [event["EventId"] for event in events].index(after) + 1
    return [
        (event["LogicalResourceId"], event["ResourceStatus"])
        for event in events[start:]
        if event["ResourceType"] != "AWS::CloudFormation::Stack"
    ]


def stored_template(name: str) -> str:
    """The template's text as it is on the wire; the SDK would hand it over as an object."""
    bodies: list[bytes] = []

    def keep(http_response: Any, **_rest: Any) -> None:
        bodies.append(http_response.content)

    cloudformation = client("cloudformation")
    event = "after-call.cloudformation.GetTemplate"
    cloudformation.meta.events.register(event, keep)
    try:
        cloudformation.get_template(StackName=name, TemplateStage="Original")
    finally:
        cloudformation.meta.events.unregister(event, keep)
    element = ElementTree.fromstring(bodies[0]).find(".//{*}TemplateBody")
    return "" if element is None else element.text or ""


def drift(name: str) -> dict[str, str]:
    """What a search for drift finds of each resource that can be looked at."""
    cloudformation = client("cloudformation")
    cloudformation.detect_stack_drift(StackName=name)
    found = cloudformation.describe_stack_resource_drifts(StackName=name)["StackResourceDrifts"]
    return {drift["LogicalResourceId"]: drift["StackResourceDriftStatus"] for drift in found}


class Drift(TestCase):
    def test_what_is_referred_to_by_its_arn_is_found(self) -> None:
        name = unique("drift")
        secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": name, "SecretString": "x"}}
        deploy(name, {"Secret": secret, "Queue": queue(QueueName=name, DelaySeconds=0)})
        self.assertEqual(drift(name), {"Secret": "IN_SYNC", "Queue": "IN_SYNC"})
        client("secretsmanager").update_secret(SecretId=name, Description="by hand")
        url = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "5"})
        self.assertEqual(drift(name), {"Secret": "IN_SYNC", "Queue": "MODIFIED"}, "only what the template sets")
        client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        self.assertEqual(drift(name), {"Secret": "DELETED", "Queue": "MODIFIED"})


class States(TestCase):
    def test_rolled_back_stack_can_only_be_deleted(self) -> None:
        name = unique("state")
        body = json.dumps({"Resources": {"Queue": queue(QueueName=name)}})
        with self.assertRaises(StackFailed):
            deploy(name, {"Role": role(service="x"), "F": function(ECHO)})
        with self.assertRaisesRegex(
            client("cloudformation").exceptions.ClientError,
            "is in ROLLBACK_COMPLETE state and can not be updated",
        ):
            change_set(name, TemplateBody=body)
        delete_stack(name)
        execute(name, change_set(name, TemplateBody=body))

    def test_existing_stack_is_not_created_again(self) -> None:
        name = unique("state")
        deploy(name, {"Queue": queue()})
        with self.assertRaisesRegex(
            client("cloudformation").exceptions.ClientError, "cannot be created again"
        ):
            client("cloudformation").create_change_set(
                StackName=name,
                ChangeSetName="again",
                ChangeSetType="CREATE",
                TemplateBody=json.dumps({"Resources": {"Queue": queue()}}),
            )


class Updates(TestCase):
    def test_a_stack_tells_the_change_set_that_changed_it_last(self) -> None:
        name = unique("change-set")
        for resources in ({"Queue": queue()}, {"Queue": queue(DelaySeconds=5)}):
            body = json.dumps({"Resources": resources})
            executed = change_set(name, TemplateBody=body)
            execute(name, executed)
            stack = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
            self.assertEqual(stack["ChangeSetId"], executed["ChangeSetId"])

    def test_change_set_and_events_name_only_what_changes(self) -> None:
        name = unique("update")
        resources = {
            "Role": role(),
            "F": function(ECHO, FunctionName=name),
            "Queue": queue(),
        }
        deploy(name, resources)
        before = client("lambda").get_function_configuration(FunctionName=name)
        last = stack_events(name)[-1]["EventId"]
        resources["Queue"] = queue(VisibilityTimeout=99)
        resources["Added"] = queue()
        body = json.dumps({"Resources": resources})
        described = change_set(name, TemplateBody=body)
        changes = [change["ResourceChange"] for change in described["Changes"]]
        named = sorted((change["LogicalResourceId"], change["Action"]) for change in changes)
        self.assertEqual(named, [("Added", "Add"), ("Queue", "Modify")])
        execute(name, described)
        expected = [
            ("Added", "CREATE_COMPLETE"),
            ("Added", "CREATE_IN_PROGRESS"),
            ("Queue", "UPDATE_COMPLETE"),
            ("Queue", "UPDATE_IN_PROGRESS"),
        ]
        self.assertEqual(sorted(resource_events(name, last)), expected)
        after = client("lambda").get_function_configuration(FunctionName=name)
        self.assertEqual(before["RevisionId"], after["RevisionId"])

    def test_failed_update_shows_the_failed_resource(self) -> None:
        name = unique("update")
        deploy(name, {"Queue": queue()})
        last = stack_events(name)[-1]["EventId"]
        broken = {"Queue": queue(), "Role": role(service="x"), "F": function(ECHO)}
        with self.assertRaisesRegex(StackFailed, "cannot be assumed by Lambda"):
            deploy(name, broken)
        events = resource_events(name, last)
        self.assertIn(("F", "CREATE_FAILED"), events)
        self.assertNotIn(("Queue", "UPDATE_IN_PROGRESS"), events[:3])

    def test_no_change_is_told(self) -> None:
        name = unique("same")
        resources = {"Queue": queue()}
        deploy(name, resources)
        described = change_set(name, TemplateBody=json.dumps({"Resources": resources}))
        self.assertEqual(described["Status"], "FAILED")
        self.assertIn("didn't contain changes", described["StatusReason"])

    def test_previous_parameters_changed_parameters_and_exact_template(self) -> None:
        name = unique("parameters")
        template = {
            "Parameters": {"Wait": {"Type": "Number"}, "Name": {"Type": "String"}},
            "Resources": {
                "Queue": queue(VisibilityTimeout=reference("Wait")),
                "Other": queue(QueueName=reference("Name")),
            },
        }
        body = json.dumps(template, indent=3) + "\n\n"
        first = [
            {"ParameterKey": "Wait", "ParameterValue": "11"},
            {"ParameterKey": "Name", "ParameterValue": name},
        ]
        execute(name, change_set(name, TemplateBody=body, Parameters=first))
        second = [
            {"ParameterKey": "Wait", "ParameterValue": "22"},
            {"ParameterKey": "Name", "UsePreviousValue": True},
        ]
        described = change_set(name, TemplateBody=body, Parameters=second)
        changed = [c["ResourceChange"]["LogicalResourceId"] for c in described["Changes"]]
        self.assertEqual(changed, ["Queue"])
        execute(name, described)
        self.assertEqual(stored_template(name), body)
        self.assertIn(name, client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def test_template_from_a_bucket(self) -> None:
        name = unique("url")
        place = {"LocationConstraint": HOME}
        client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
        body = json.dumps({"Resources": {"Queue": queue(QueueName=name)}}).encode()
        client("s3").put_object(Bucket=name, Key="a/template.json", Body=body)
        execute(name, change_set(name, TemplateURL=f"{shared().url}/{name}/a/template.json"))
        self.assertTrue(client("sqs").get_queue_url(QueueName=name))

    def test_stack_tags_reach_resources(self) -> None:
        name = unique("tags")
        body = json.dumps({"Resources": {"Queue": queue(QueueName=name)}})
        tags = [{"Key": "system", "Value": "tandem"}]
        execute(name, change_set(name, TemplateBody=body, Tags=tags))
        stack = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        self.assertEqual(stack["Tags"], tags)
        url = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        self.assertEqual(client("sqs").list_queue_tags(QueueUrl=url)["Tags"]["system"], "tandem")


class Names(TestCase):
    def test_existing_resources_are_not_taken_over(self) -> None:
        for kind, resource in (
            ("table", lambda name: stream_table(TableName=name)),
            ("queue", lambda name: queue(QueueName=name)),
            ("function", lambda name: function(ECHO, FunctionName=name)),
        ):
            with self.subTest(kind):
                name = unique(kind)
                deploy(name, {"Role": role(), "One": resource(name)})
                with self.assertRaisesRegex(StackFailed, "already exists"):
                    deploy(f"{name}-other", {"Role": role(), "Two": resource(name)})

    def test_roles_of_one_stack_in_two_regions_are_two(self) -> None:
        name = unique("roles")
        arns = {
            deploy(
                name, {"Role": role()}, outputs={"Arn": attribute("Role", "Arn")}, region=region
            )["Arn"]
            for region in (HOME, PEER)
        }
        self.assertEqual(len(arns), 2)

    def test_a_named_role_exists_once_in_all_regions(self) -> None:
        name = unique("role")
        resource = role()
        resource["Properties"]["RoleName"] = name
        deploy(name, {"Role": resource})
        with self.assertRaisesRegex(StackFailed, "already exists"):
            deploy(name, {"Role": resource}, region=PEER)


class References(TestCase):
    def test_a_secret_is_referred_to_by_its_arn_through_all_updates(self) -> None:
        name = unique("secret")
        outputs = {"Ref": reference("Secret"), "Id": attribute("Secret", "Id")}
        arns = set()
        for text in ("one", "two"):
            properties = {"Name": name, "SecretString": text}
            secret = {"Type": "AWS::SecretsManager::Secret", "Properties": properties}
            arns.update(deploy(name, {"Secret": secret}, outputs=outputs).values())
            value = client("secretsmanager").get_secret_value(SecretId=name)
            self.assertEqual((value["SecretString"], {value["ARN"]}), (text, arns))
        delete_stack(name)
        filters = [{"Key": "name", "Values": [name]}]
        self.assertEqual(client("secretsmanager").list_secrets(Filters=filters)["SecretList"], [])


class Types(TestCase):
    def test_archive_keeps_events(self) -> None:
        name = unique("archive")
        bus = {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}
        properties = {"ArchiveName": name, "SourceArn": attribute("Bus", "Arn"), "RetentionDays": 3}
        resources = {
            "Bus": bus,
            "Archive": {"Type": "AWS::Events::Archive", "Properties": properties},
        }
        deploy(name, resources)
        entry = {"Source": "test", "DetailType": "t", "Detail": "{}", "EventBusName": name}
        client("events").put_events(Entries=[entry])
        archive = client("events").describe_archive(ArchiveName=name)
        self.assertEqual((archive["EventCount"], archive["RetentionDays"]), (1, 3))
        resources["Archive"]["Properties"] = {**properties, "RetentionDays": 5}
        deploy(name, resources)
        archive = client("events").describe_archive(ArchiveName=name)
        self.assertEqual((archive["EventCount"], archive["RetentionDays"]), (1, 5))
        delete_stack(name)
        self.assertEqual(client("events").list_archives(NamePrefix=name)["Archives"], [])

    def test_bus_policy_is_a_statement_of_the_bus(self) -> None:
        name = unique("policy")
        statement = {
            **allow("events:PutEvents", attribute("Bus", "Arn")),
            "Principal": {"AWS": "111122223333"},
        }
        properties = {"EventBusName": name, "StatementId": "peer", "Statement": statement}
        policy = {
            "Type": "AWS::Events::EventBusPolicy",
            "DependsOn": "Bus",
            "Properties": properties,
        }
        bus = {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}
        deploy(name, {"Bus": bus, "Policy": policy})
        stored = json.loads(client("events").describe_event_bus(Name=name)["Policy"])
        self.assertEqual([entry["Sid"] for entry in stored["Statement"]], ["peer"])
        deploy(name, {"Bus": bus})
        self.assertNotIn("peer", client("events").describe_event_bus(Name=name).get("Policy", ""))

    def test_role_policy_grants(self) -> None:
        name = unique("grant")
        properties = {
            "RoleName": reference("Role"),
            "PolicyName": "extra",
            "PolicyDocument": document(allow("sqs:ListQueues", "*")),
        }
        policy = {"Type": "AWS::IAM::RolePolicy", "Properties": properties}
        found = deploy(
            name, {"Role": role(), "Policy": policy}, outputs={"Role": reference("Role")}
        )
        listed = client("iam").list_role_policies(RoleName=found["Role"])
        self.assertEqual(listed["PolicyNames"], ["extra"])

    def test_placeholders_have_the_documented_attributes(self) -> None:
        name = unique("placeholder")
        properties = {"HealthCheckConfig": {"Type": "HTTPS"}}
        check = {"Type": "AWS::Route53::HealthCheck", "Properties": properties}
        outputs = {"Id": attribute("Check", "HealthCheckId"), "Ref": reference("Check")}
        first = deploy(name, {"Check": check}, outputs=outputs)
        self.assertEqual(first["Id"], first["Ref"])
        check["Properties"] = {"HealthCheckConfig": {"Type": "TCP"}}
        self.assertEqual(deploy(name, {"Check": check}, outputs=outputs), first)

    def test_records_of_a_zone_that_is_not_here_are_accepted(self) -> None:
        name = unique("record")
        properties: dict[str, Any] = {
            "HostedZoneId": "Z0000000000000EXAMPLE",
            "Name": f"{name}.example.com",
            "Type": "A",
            "TTL": "60",
            "ResourceRecords": ["203.0.113.1"],
        }
        record = {"Type": "AWS::Route53::RecordSet", "Properties": properties}
        outputs = {"Name": reference("Record")}
        first = deploy(name, {"Record": record}, outputs=outputs)
        self.assertEqual(first["Name"].rstrip("."), properties["Name"])
        properties["TTL"] = "30"
        self.assertEqual(deploy(name, {"Record": record}, outputs=outputs), first)
        delete_stack(name)

    def test_a_record_of_an_unknown_zone_name_fails(self) -> None:
        properties = {
            "HostedZoneName": "nowhere.example.",
            "Name": "a.nowhere.example",
            "Type": "A",
        }
        with self.assertRaisesRegex(StackFailed, "HostedZone"):
            deploy(
                unique("record"),
                {"Record": {"Type": "AWS::Route53::RecordSet", "Properties": properties}},
            )

    def test_unknown_types_are_refused_before_anything_is_made(self) -> None:
        body = json.dumps({"Resources": {"A": {"Type": "AWS::Nothing::Here"}, "Q": queue()}})
        with self.assertRaisesRegex(
            client("cloudformation").exceptions.ClientError, "AWS::Nothing::Here"
        ):
            change_set(unique("unknown"), TemplateBody=body)


class ApiCors(TestCase):
    def test_preflight_is_answered_from_the_configuration(self) -> None:
        name = unique("api")
        cors = {"AllowOrigins": ["https://app.example"], "AllowMethods": ["GET"]}
        api = {"Name": name, "ProtocolType": "HTTP", "CorsConfiguration": cors}
        stage = {"ApiId": reference("Api"), "StageName": "$default", "AutoDeploy": True}
        resources: dict[str, Any] = {
            "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": api},
            "Stage": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": stage},
        }
        found = deploy(name, resources, outputs={"Api": reference("Api")})
        allowed = self.preflight(found["Api"], "https://app.example")
        self.assertEqual(allowed.status, 204)
        self.assertEqual(allowed.headers["access-control-allow-origin"], "https://app.example")

    def preflight(self, api_id: str, origin: str) -> Any:
        headers = {
            "Host": f"{api_id}.execute-api.localhost",
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
        }
        request = urllib.request.Request(f"{shared().url}/x", headers=headers, method="OPTIONS")
        return urllib.request.urlopen(request, timeout=5)


if __name__ == "__main__":
    unittest.main()
