"""Resource types that a stack may hold, and that do nothing here.

AWS: makes them. Stock: a template with one unknown type is refused as a whole, and a cluster of EKS
starts a container.
Here: they get an id and the attributes that their type documents, in the form that AWS gives them,
so that what refers to them (policies, outputs, manifests) has the right shape. They stay the same
from one update to the next. `GET /_local/resource-types` lists them.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import uuid
from typing import Any

from ministack.core.responses import get_account_id, get_region

from tandem_emulator.cloudformation_handlers import HANDLERS, Created, Properties

SUFFIX_LENGTH = 8


@dataclasses.dataclass(frozen=True)
class Form:
    """How the id and the attributes of a type look; texts with the fields of `fields`."""

    reference: str
    """What `Ref` gives."""
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    named_by: str | None = None
    """The property that names the resource; without one its name is generated."""


def eks(path: str, identity: str = "{uuid}") -> str:
    return f"arn:aws:eks:{{region}}:{{account}}:{path}/{{cluster}}/{{name}}/{identity}"


FORMS: dict[str, Form] = {
    "AWS::ARCRegionSwitch::Plan": Form(
        "arn:aws:arc-region-switch::{account}:plan/{name}:{hex6}",
        {
            "Arn": "arn:aws:arc-region-switch::{account}:plan/{name}:{hex6}",
            "Owner": "{account}",
            "Version": "1",
        },
        named_by="Name",
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Form(
        "{resource}|{dimension}|{namespace}", {"Id": "{resource}|{dimension}|{namespace}"}
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Form(
        "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid}:policyName/{name}",
        {"Arn": "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid}:policyName/{name}"},
        named_by="PolicyName",
    ),
    "AWS::EC2::EIP": Form(
        "{address}", {"AllocationId": "eipalloc-{hex17}", "PublicIp": "{address}"}
    ),
    "AWS::EC2::FlowLog": Form("fl-{hex17}", {"Id": "fl-{hex17}"}),
    "AWS::EC2::NatGateway": Form(
        "nat-{hex17}",
        {"EniId": "eni-{hex17}", "NatGatewayId": "nat-{hex17}", "RouteTableId": "rtb-{hex17}"},
    ),
    "AWS::EC2::NetworkAcl": Form("acl-{hex17}", {"Id": "acl-{hex17}"}),
    "AWS::EC2::NetworkAclEntry": Form("{name}", {"Id": "{name}"}),
    "AWS::EC2::SubnetNetworkAclAssociation": Form(
        "aclassoc-{hex17}", {"AssociationId": "aclassoc-{hex17}"}
    ),
    "AWS::EC2::SecurityGroupEgress": Form("sgr-{hex17}", {"Id": "sgr-{hex17}"}),
    "AWS::EC2::SecurityGroupIngress": Form("sgr-{hex17}", {"Id": "sgr-{hex17}"}),
    "AWS::EKS::AccessEntry": Form(
        "{principal}|{cluster}",
        {
            "AccessEntryArn": "arn:aws:eks:{region}:{account}:access-entry/{cluster}/role/"
            "{account}/{principal_name}/{uuid}"
        },
    ),
    "AWS::EKS::Addon": Form("{cluster}|{name}", {"Arn": eks("addon")}, named_by="AddonName"),
    "AWS::EKS::Cluster": Form(
        "{name}",
        {
            "Arn": "arn:aws:eks:{region}:{account}:cluster/{name}",
            "CertificateAuthority.Data": "{certificate}",
            "CertificateAuthorityData": "{certificate}",
            "ClusterSecurityGroupId": "sg-{hex17}",
            "EncryptionConfigKeyArn": "{encryption_key}",
            "Endpoint": "https://{HEX32}.gr7.{region}.eks.amazonaws.com",
            "Id": "{uuid}",
            "OpenIdConnectIssuerUrl": "https://oidc.eks.{region}.amazonaws.com/id/{HEX32}",
        },
        named_by="Name",
    ),
    "AWS::EKS::FargateProfile": Form(
        "{cluster}|{name}", {"Arn": eks("fargateprofile")}, named_by="FargateProfileName"
    ),
    "AWS::EKS::Nodegroup": Form(
        "{cluster}/{name}",
        {
            "Arn": eks("nodegroup"),
            "ClusterName": "{cluster}",
            "Id": "{cluster}/{name}",
            "NodegroupName": "{name}",
        },
        named_by="NodegroupName",
    ),
    "AWS::EKS::PodIdentityAssociation": Form(
        "arn:aws:eks:{region}:{account}:podidentityassociation/{cluster}/a-{hex17}",
        {
            "AssociationArn": "arn:aws:eks:{region}:{account}:podidentityassociation/{cluster}/"
            "a-{hex17}",
            "AssociationId": "a-{hex17}",
            "ExternalId": "{region}/{account}/{cluster}/{uuid}",
        },
    ),
    "AWS::Logs::QueryDefinition": Form("{uuid}", {"QueryDefinitionId": "{uuid}"}),
    "AWS::Route53::HealthCheck": Form("{uuid}", {"HealthCheckId": "{uuid}"}),
    "AWS::SecretsManager::RotationSchedule": Form("{secret}", {"Id": "{secret}"}),
    "AWS::WAFv2::WebACLAssociation": Form("{web_acl}|{protected}"),
}

ANY_ARN = "arn:aws:{service}:{region}:{account}:{kind}/{name}"
"""For types that no stack refers to closely."""

OTHERS: dict[str, tuple[str, ...]] = {
    "AWS::ApiGatewayV2::Deployment": ("DeploymentId",),
    "AWS::Budgets::Budget": ("Id",),
    "AWS::Chatbot::SlackChannelConfiguration": ("Arn",),
    "AWS::CloudTrail::Trail": ("Arn", "SnsTopicArn"),
    "AWS::CloudWatch::AnomalyDetector": ("Id",),
    "AWS::CodeDeploy::Application": (),
    "AWS::CodeDeploy::DeploymentConfig": (),
    "AWS::CodeDeploy::DeploymentGroup": (),
    "AWS::Config::ConfigRule": ("Arn", "ConfigRuleId"),
    "AWS::EC2::Instance": ("InstanceId", "PrivateIp", "PublicIp", "VpcId"),
    "AWS::EC2::VPCPeeringConnection": ("Id",),
    "AWS::Events::ApiDestination": ("Arn", "ArnForPolicy"),
    "AWS::Events::Connection": ("Arn", "ArnForPolicy", "SecretArn"),
    "AWS::Events::Endpoint": ("Arn", "EndpointId", "EndpointUrl", "State"),
    "AWS::FIS::ExperimentTemplate": ("Id",),
    "AWS::GuardDuty::Detector": ("Id",),
    "AWS::IAM::ServiceLinkedRole": ("RoleName",),
    "AWS::Lambda::CodeSigningConfig": ("CodeSigningConfigArn", "CodeSigningConfigId"),
    "AWS::MSK::Cluster": ("Arn", "CurrentVersion"),
    "AWS::MSK::ServerlessCluster": ("Arn",),
    "AWS::ResourceGroups::Group": ("Arn",),
    "AWS::Route53::RecordSetGroup": ("Id",),
    "AWS::SSM::Document": (),
    "AWS::Synthetics::Canary": ("Id", "State", "SourceLocationArn"),
    "AWS::WAFv2::IPSet": ("Arn", "Id"),
    "AWS::XRay::Group": ("GroupARN",),
    "AWS::XRay::SamplingRule": ("RuleARN",),
}
"""Per type the attributes that `Fn::GetAtt` may read, from AWS's registry schemas."""

ARN_REFERENCES = frozenset(
    {"AWS::Lambda::CodeSigningConfig", "AWS::MSK::Cluster", "AWS::MSK::ServerlessCluster"}
)
"""Those of `OTHERS` whose `Ref` is an ARN."""

INSTEAD_OF_STOCK = frozenset({"AWS::EKS::Cluster", "AWS::EKS::Nodegroup"})
"""Types that the stock emulator knows, and would start containers for."""


def apply() -> None:
    forms = {**FORMS, **{name: form_of(name, attributes) for name, attributes in OTHERS.items()}}
    for resource_type, form in forms.items():
        if resource_type not in HANDLERS or resource_type in INSTEAD_OF_STOCK:
            HANDLERS[resource_type] = placeholder(resource_type, form)


def form_of(resource_type: str, attributes: tuple[str, ...]) -> Form:
    texts = {name: ANY_ARN if "arn" in name.lower() else "{name}" for name in attributes}
    return Form(ANY_ARN if resource_type in ARN_REFERENCES else "{name}", texts)


def placeholder(resource_type: str, form: Form) -> dict[str, Any]:
    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        values = fields(resource_type, form, logical_id, properties, stack_name)
        attributes = {name: text.format(**values) for name, text in form.attributes.items()}
        return form.reference.format(**values), attributes

    def update(
        _physical_id: str, _old: Properties, new: Properties, stack_name: str, logical_id: str
    ) -> Created:
        return create(logical_id, new, stack_name)

    return {
        "placeholder": True,
        "create": create,
        "update": update,
        "update_with_logical_id": True,
        "delete": lambda *_: None,
    }


def fields(
    resource_type: str, form: Form, logical_id: str, properties: Properties, stack_name: str
) -> dict[str, str]:
    """What the texts of a form may name; all derived, so that an update finds them again."""
    service, kind = resource_type.split("::")[1:]
    origin = f"{get_account_id()}:{get_region()}:{stack_name}:{logical_id}"
    digest = hashlib.sha256(origin.encode()).hexdigest()
    generated = f"{stack_name}-{logical_id}-{digest[:SUFFIX_LENGTH]}"
    given = properties.get(form.named_by) if form.named_by else None
    encryption = (properties.get("EncryptionConfig") or [{}])[0]
    return {
        "account": get_account_id(),
        # TEST-NET-3, which nothing answers on.
        "address": f"203.0.113.{int(digest[:2], 16)}",
        "certificate": base64.b64encode(f"certificate of {generated}".encode()).decode(),
        "cluster": str(properties.get("ClusterName", "")),
        "dimension": str(properties.get("ScalableDimension", "")),
        "encryption_key": str((encryption.get("Provider") or {}).get("KeyArn", "")),
        "hex6": digest[:6],
        "hex17": digest[:17],
        "HEX32": digest[:32].upper(),
        "kind": kind.lower(),
        "name": str(given or generated),
        "namespace": str(properties.get("ServiceNamespace", "")),
        "principal": str(properties.get("PrincipalArn", "")),
        "principal_name": str(properties.get("PrincipalArn", "")).rsplit("/", 1)[-1],
        "protected": str(properties.get("ResourceArn", "")),
        "region": get_region(),
        "resource": str(properties.get("ResourceId", "")),
        "secret": str(properties.get("SecretId", "")),
        "service": service.lower(),
        "uuid": str(uuid.UUID(digest[:32])),
        "web_acl": str(properties.get("WebACLArn", "")),
    }
