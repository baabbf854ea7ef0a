"""Attributes that a template may read, and that the stock emulator's resources lack.

AWS: `Fn::GetAtt` gives what the type's registry schema lists as read-only.
Stock: many types give only some of these; reading another fails the stack.
Here: the missing ones that are a text or a list of texts are added, in AWS's form. Those that are
whole objects stay missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import scheduler

from tandem_emulator.cloudformation_handlers import Created, Properties, wrap

Attributes = dict[str, Any]
Describe = Callable[[str, Properties], Attributes]
"""From physical id and properties."""


def apply() -> None:
    for resource_type, describe in MISSING.items():
        add(resource_type, describe)


def add(resource_type: str, describe: Describe) -> None:
    def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
        return completed(stock(), properties)

    def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
        return completed(stock(), new)

    def completed(created: Created, properties: Properties) -> Created:
        physical_id, attributes = created
        return physical_id, {**attributes, **describe(physical_id, properties)}

    wrap(resource_type, create=create, update=update)


def bucket(name: str, _properties: Properties) -> Attributes:
    return {"DualStackDomainName": f"{name}.s3.dualstack.{get_region()}.amazonaws.com"}


def http_api(api_id: str, _properties: Properties) -> Attributes:
    arn = f"arn:aws:execute-api:{get_region()}:{get_account_id()}:{api_id}"
    return {"ExecuteApiArn": arn}


def schedule_group(name: str, _properties: Properties) -> Attributes:
    group = scheduler._schedule_groups[name]
    return {
        "CreationDate": str(group["CreationDate"]),
        "LastModificationDate": str(group["LastModificationDate"]),
        "State": group["State"],
    }


def security_group(group_id: str, _properties: Properties) -> Attributes:
    return {"Id": group_id}


def route(_physical_id: str, properties: Properties) -> Attributes:
    destinations = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
    given = [properties[name] for name in destinations if name in properties]
    return {"CidrBlock": given[0] if given else ""}


def subnet(subnet_id: str, properties: Properties) -> Attributes:
    blocks = [properties["Ipv6CidrBlock"]] if "Ipv6CidrBlock" in properties else []
    return {
        "NetworkAclAssociationId": f"aclassoc-{hexadecimal(subnet_id)}",
        "Ipv6CidrBlocks": blocks,
    }


def vpc(vpc_id: str, _properties: Properties) -> Attributes:
    return {
        "CidrBlockAssociations": [f"vpc-cidr-assoc-{hexadecimal(vpc_id)}"],
        "Ipv6CidrBlocks": [],
    }


def vpc_endpoint(endpoint_id: str, properties: Properties) -> Attributes:
    if properties.get("VpcEndpointType", "Gateway") != "Interface":
        return {"NetworkInterfaceIds": [], "DnsEntries": []}
    service = str(properties.get("ServiceName", "")).rsplit(".", 1)[-1]
    domain = f"{endpoint_id}-{hexadecimal(endpoint_id)[:8]}.{service}.{get_region()}"
    zone = f"Z{hexadecimal(service)[:13].upper()}"
    subnets = properties.get("SubnetIds") or []
    return {
        "NetworkInterfaceIds": [f"eni-{hexadecimal(endpoint_id + name)}" for name in subnets],
        "DnsEntries": [f"{zone}:{domain}.vpce.amazonaws.com"],
    }


def web_acl(physical_id: str, _properties: Properties) -> Attributes:
    name = physical_id.split("|", 1)[0]
    return {
        "Capacity": "1",
        "LabelNamespace": f"awswaf:{get_account_id()}:webacl:{name}:",
    }


def hexadecimal(seed: str) -> str:
    """The 17 digits of an EC2 id, the same on every run."""
    return hashlib.sha256(seed.encode()).hexdigest()[:17]


MISSING: dict[str, Describe] = {
    "AWS::ApiGatewayV2::Api": http_api,
    "AWS::EC2::Route": route,
    "AWS::EC2::SecurityGroup": security_group,
    "AWS::EC2::Subnet": subnet,
    "AWS::EC2::SubnetRouteTableAssociation": lambda physical_id, _: {"Id": physical_id},
    "AWS::EC2::VPC": vpc,
    "AWS::EC2::VPCEndpoint": vpc_endpoint,
    "AWS::EC2::VPCGatewayAttachment": lambda physical_id, _: {
        "AttachmentType": physical_id.split("|", 1)[0]
    },
    "AWS::Lambda::Permission": lambda physical_id, _: {"Id": physical_id},
    "AWS::Lambda::Version": lambda physical_id, _: {"FunctionArn": physical_id},
    "AWS::S3::Bucket": bucket,
    "AWS::Scheduler::ScheduleGroup": schedule_group,
    "AWS::WAFv2::WebACL": web_acl,
}
