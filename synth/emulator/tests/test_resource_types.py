"""Every resource type of the project is accepted, and gives what templates read from it."""

import json
import time
import unittest
from typing import Any

from every_type import attributes_of_type, every_type, list_attributes, types, whole_account
from support import (
    HOME,
    PEER,
    TestCase,
    attribute,
    client,
    delete_stack,
    deploy,
    queue,
    reference,
    shared,
    stack_status,
    unique,
)
from test_functions import CUSTOM_RUNTIME, upload

OBJECTS = {
    ("AWS::ARCRegionSwitch::Plan", "HealthChecksForPlan"),
    ("AWS::ARCRegionSwitch::Plan", "PlanHealthChecks"),
    ("AWS::ARCRegionSwitch::Plan", "Route53HealthChecks"),
    ("AWS::EC2::NatGateway", "AutoProvisionZones"),
    ("AWS::EC2::NatGateway", "AutoScalingIps"),
    ("AWS::EC2::Subnet", "BlockPublicAccessStates"),
    ("AWS::Lambda::Function", "SnapStartResponse"),
}
"""Attributes that are no text, so that no template of the project can use them."""

EMPTY_WITHOUT_SETTING = {
    ("AWS::EC2::Subnet", "Ipv6CidrBlocks"),
    ("AWS::EC2::VPC", "Ipv6CidrBlocks"),
    ("AWS::EKS::Cluster", "EncryptionConfigKeyArn"),
}
"""Attributes that are empty on AWS too, as the template does not set what they tell."""


PLACEHOLDERS_WITH_TAGS = {
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::EC2::EIP",
    "AWS::EC2::FlowLog",
    "AWS::EC2::NatGateway",
    "AWS::EKS::Addon",
    "AWS::EKS::Cluster",
    "AWS::EKS::Nodegroup",
    "AWS::IAM::OIDCProvider",
    "AWS::Route53::HealthCheck",
}
"""Types of the emulator's own whose tags change without a replacement."""


def readable(resources: dict[str, Any]) -> dict[str, Any]:
    """Outputs of every resource's `Ref` and attributes."""
    outputs: dict[str, Any] = {}
    for logical_id, found in resources.items():
        resource_type = found["Type"]
        outputs[logical_id] = reference(logical_id)
        for name in attributes_of_type(resource_type):
            if (resource_type, name) in OBJECTS:
                continue
            is_list = name in list_attributes(resource_type)
            join = {"Fn::Join": [",", attribute(logical_id, name)]}
            text = {"Fn::Sub": f"${{{logical_id}.{name}}}"}
            outputs[f"{logical_id}{name}"] = join if is_list else text
    return outputs


def unset(resources: dict[str, Any]) -> set[str]:
    """Names of the outputs that are empty."""
    return {
        f"{logical_id}{name}"
        for logical_id, found in resources.items()
        for resource_type, name in EMPTY_WITHOUT_SETTING
        if found["Type"] == resource_type
    }


def ids(stack_name: str) -> dict[str, str]:
    pages = client("cloudformation").get_paginator("list_stack_resources")
    return {
        found["LogicalResourceId"]: found["PhysicalResourceId"]
        for page in pages.paginate(StackName=stack_name)
        for found in page["StackResourceSummaries"]
    }


def key_in_peer_region(name: str) -> str:
    key = {
        "Type": "AWS::KMS::Key",
        "Properties": {"KeyPolicy": whole_account(), "MultiRegion": True},
    }
    outputs = {"Arn": attribute("Key", "Arn")}
    return deploy(name, {"Key": key}, outputs=outputs, region=PEER)["Arn"]


class EveryType(TestCase):
    def deployed(self) -> tuple[str, dict[str, Any]]:
        name = unique("every")
        resources = every_type(name, key_in_peer_region(name), upload(CUSTOM_RUNTIME))
        return name, resources

    def test_the_template_has_every_type_of_the_project(self) -> None:
        _name, resources = self.deployed()
        self.assertEqual(set(types()) - {found["Type"] for found in resources.values()}, set())

    def test_created_read_updated_and_deleted(self) -> None:
        name, resources = self.deployed()
        outputs = readable(resources)
        # A template has at most 200 outputs, so the values are read in two parts.
        parts = [dict(list(outputs.items())[start::2]) for start in (0, 1)]
        values = deploy(name, resources, outputs=parts[0])
        resources["Parameter"]["Properties"]["Value"] = "two"
        values |= deploy(name, resources, outputs=parts[1])
        self.assertEqual({key for key, value in values.items() if not value}, unset(resources))
        for key, value in values.items():
            if key.endswith("Arn") and value:
                self.assertRegex(value, r"^arn:aws:[a-z0-9-]+:[a-z0-9-]*:\d*:.+", key)
        delete_stack(name)
        self.assertIsNone(stack_status(name, HOME))

    def test_an_update_of_every_type_keeps_what_it_can(self) -> None:
        name, resources = self.deployed()
        deploy(name, resources)
        tagged = {"Key": "changed", "Value": "yes"}
        for found in resources.values():
            if found["Type"] in PLACEHOLDERS_WITH_TAGS:
                found["Properties"]["Tags"] = [tagged]
        before = ids(name)
        deploy(name, resources)
        self.assertEqual(ids(name), before)
        delete_stack(name)

    def test_a_cluster_is_a_placeholder_with_the_attributes_of_one(self) -> None:
        listed = shared().local("GET", "/_local/resource-types")
        self.assertIn("AWS::EKS::Cluster", listed["placeholders"])
        self.assertIn("AWS::IAM::OIDCProvider", listed["provisioned"])
        name = unique("cluster")
        properties = {"Name": name, "RoleArn": "r", "ResourcesVpcConfig": {"SubnetIds": []}}
        outputs = {
            key: attribute("Cluster", key)
            for key in ("Arn", "Endpoint", "OpenIdConnectIssuerUrl", "ClusterSecurityGroupId")
        }
        cluster = {"Type": "AWS::EKS::Cluster", "Properties": properties}
        found = deploy(name, {"Cluster": cluster}, outputs=outputs)
        self.assertEqual(found["Arn"].split(":")[2:4], ["eks", HOME])
        self.assertRegex(found["Endpoint"], r"^https://[0-9A-F]{32}\.gr7\.")
        self.assertRegex(
            found["OpenIdConnectIssuerUrl"], r"^https://oidc\.eks\..*/id/[0-9A-F]{32}$"
        )
        self.assertRegex(found["ClusterSecurityGroupId"], r"^sg-[0-9a-f]{17}$")

    def test_a_large_stack_takes_no_time(self) -> None:
        name = unique("large")
        resources = {f"Queue{number}": queue() for number in range(150)}
        started = time.perf_counter()
        deploy(name, resources)
        self.assertLess(time.perf_counter() - started, 2.0)


class Alarms(TestCase):
    def alarm(self, name: str) -> dict[str, Any]:
        properties = {
            "AlarmName": name,
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1,
            "MetricName": name,
            "Namespace": "tandem",
            "Period": 60,
            "Statistic": "Sum",
            "Threshold": 0,
        }
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}

    def composite(self, name: str, rule: str) -> dict[str, Any]:
        properties = {"AlarmName": f"{name}-all", "AlarmRule": rule}
        return {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": properties,
            "DependsOn": ["Alarm"],
        }

    def composite_state(self, name: str) -> str:
        found = client("cloudwatch").describe_alarms(
            AlarmNames=[f"{name}-all"], AlarmTypes=["CompositeAlarm"]
        )
        return found["CompositeAlarms"][0]["StateValue"]

    def test_a_composite_alarm_follows_its_alarms(self) -> None:
        name = unique("alarm")
        rule = f'ALARM("{name}")'
        deploy(name, {"Alarm": self.alarm(name), "All": self.composite(name, rule)})
        client("cloudwatch").set_alarm_state(
            AlarmName=name, StateValue="ALARM", StateReason="rehearsal"
        )
        self.assertEqual(self.composite_state(name), "ALARM")

    def test_a_composite_alarm_of_a_missing_alarm_is_refused(self) -> None:
        name = unique("alarm")
        rule = f'ALARM("{name}-absent")'
        with self.assertRaisesRegex(AssertionError, "do not exist"):
            deploy(name, {"Alarm": self.alarm(name), "All": self.composite(name, rule)})

    def test_an_alarm_on_an_expression_is_described(self) -> None:
        name = unique("alarm")
        metric = {"Metric": {"MetricName": "Errors", "Namespace": "tandem"}, "Period": 60}
        metrics = [
            {"Id": "errors", "MetricStat": {**metric, "Stat": "Sum"}, "ReturnData": False},
            {"Id": "rate", "Expression": "errors / 60"},
        ]
        properties = {
            "AlarmName": name,
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1,
            "Metrics": metrics,
            "Threshold": 1,
        }
        deploy(name, {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}})
        found = client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
        self.assertEqual(found["AlarmArn"].rsplit(":", 1)[-1], name)
        self.assertEqual(found["StateValue"], "INSUFFICIENT_DATA")


class Secrets(TestCase):
    def deployed(self, **generate: Any) -> str:
        name = unique("secret")
        properties = {
            "Name": name,
            "GenerateSecretString": {"PasswordLength": 48, **generate},
            "ReplicaRegions": [{"Region": PEER}],
        }
        secret = {"Type": "AWS::SecretsManager::Secret", "Properties": properties}
        deploy(name, {"Secret": secret})
        return name

    def read(self, name: str, region: str, stage: str) -> str:
        answer = client("secretsmanager", region).get_secret_value(
            SecretId=name, VersionStage=stage
        )
        return answer["SecretString"]

    def test_generated_and_the_same_in_the_replica_region(self) -> None:
        name = self.deployed()
        value = self.read(name, HOME, "AWSCURRENT")
        self.assertEqual(len(value), 48)
        self.assertEqual(self.read(name, PEER, "AWSCURRENT"), value)

    def test_template_with_a_generated_key(self) -> None:
        template = json.dumps({"kid": "one"})
        name = self.deployed(SecretStringTemplate=template, GenerateStringKey="key")
        value = json.loads(self.read(name, PEER, "AWSCURRENT"))
        self.assertEqual((value["kid"], len(value["key"])), ("one", 48))

    def test_previous_version_is_readable_in_both_regions(self) -> None:
        name = self.deployed()
        first = self.read(name, HOME, "AWSCURRENT")
        client("secretsmanager").put_secret_value(SecretId=name, SecretString="second")
        for region in (HOME, PEER):
            self.assertEqual(self.read(name, region, "AWSCURRENT"), "second")
            self.assertEqual(self.read(name, region, "AWSPREVIOUS"), first)


if __name__ == "__main__":
    unittest.main()
