"""Resource types of CloudFormation that the stock emulator does not know.

AWS: knows them all. Stock: a template with one unknown type is refused as a whole.
Here: types whose effect the system can observe locally are real: archives, event bus policies,
replica keys, identity providers, inline policies of roles, queues and topics, secret policies. The
others do nothing; see `cloudformation_placeholders`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import eventbridge, iam, kms, secretsmanager

from tandem_emulator.cloudformation_handlers import (
    HANDLERS,
    Created,
    Properties,
    ResourceFailure,
)


def apply() -> None:
    HANDLERS["AWS::Events::Archive"] = {
        "create": create_archive,
        "update": update_archive,
        "delete": delete_archive,
    }
    HANDLERS["AWS::Events::EventBusPolicy"] = {
        "create": create_bus_policy,
        "update": update_bus_policy,
        "delete": delete_bus_policy,
    }
    HANDLERS["AWS::KMS::ReplicaKey"] = {
        "create": create_replica_key,
        "update": update_replica_key,
        "delete": delete_replica_key,
    }
    HANDLERS["AWS::IAM::RolePolicy"] = {
        "create": create_role_policy,
        "update": update_role_policy,
        "delete": delete_role_policy,
    }
    HANDLERS["AWS::IAM::OIDCProvider"] = {
        "create": create_identity_provider,
        "update": update_identity_provider,
        "delete": delete_identity_provider,
    }
    HANDLERS["AWS::SecretsManager::ResourcePolicy"] = {
        "create": create_secret_policy,
        "update": update_secret_policy,
        "delete": delete_secret_policy,
    }
    HANDLERS["AWS::SQS::QueueInlinePolicy"] = inline(
        "AWS::SQS::QueuePolicy", lambda properties: {"Queues": [properties["Queue"]]}
    )
    HANDLERS["AWS::SNS::TopicInlinePolicy"] = inline(
        "AWS::SNS::TopicPolicy", lambda properties: {"Topics": [properties["TopicArn"]]}
    )


def answer_of(response: Any) -> dict[str, Any]:
    """The body of a service function's response; its refusal fails the resource."""
    status, _headers, body = response
    text = body.decode() if isinstance(body, bytes) else str(body)
    if status >= 400:
        raise ResourceFailure(text)
    return json.loads(text) if text else {}


def as_document(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# Archives


def create_archive(logical_id: str, properties: Properties, stack_name: str) -> Created:
    name = properties.get("ArchiveName") or f"{stack_name}-{logical_id}"[:48]
    request = {**archive_settings(properties), "ArchiveName": name}
    request["EventSourceArn"] = properties["SourceArn"]
    return name, {"Arn": answer_of(eventbridge._create_archive(request))["ArchiveArn"]}


def update_archive(name: str, _old: Properties, new: Properties, _stack_name: str) -> Created:
    request = {**archive_settings(new), "ArchiveName": name}
    return name, {"Arn": answer_of(eventbridge._update_archive(request))["ArchiveArn"]}


def delete_archive(name: str, _properties: Properties) -> None:
    eventbridge._delete_archive({"ArchiveName": name})


def archive_settings(properties: Properties) -> dict[str, Any]:
    pattern = properties.get("EventPattern")
    return {
        "Description": properties.get("Description", ""),
        "RetentionDays": int(properties.get("RetentionDays", 0)),
        "EventPattern": as_document(pattern) if pattern else "",
        "KmsKeyIdentifier": properties.get("KmsKeyIdentifier", ""),
    }


# Event bus policies: one statement each


def create_bus_policy(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    bus = bus_of(properties)
    if bus not in eventbridge._event_buses:
        raise ResourceFailure(f"Event bus {bus} does not exist.")
    statement_id = properties["StatementId"]
    remove_statement(bus, statement_id)
    policy = eventbridge._event_bus_policies.get(bus) or {"Version": "2012-10-17", "Statement": []}
    policy["Statement"].append(bus_statement(bus, properties))
    eventbridge._event_bus_policies[bus] = policy
    return statement_id, {}


def update_bus_policy(
    physical_id: str, old: Properties, new: Properties, stack_name: str
) -> Created:
    delete_bus_policy(physical_id, old)
    return create_bus_policy(physical_id, new, stack_name)


def delete_bus_policy(statement_id: str, properties: Properties) -> None:
    remove_statement(bus_of(properties), statement_id)


def bus_of(properties: Properties) -> str:
    name, problem = eventbridge._event_bus_name_from_ref(
        properties.get("EventBusName") or "default"
    )
    if problem is not None:
        raise ResourceFailure(": ".join(problem))
    return str(name)


def bus_statement(bus: str, properties: Properties) -> dict[str, Any]:
    given = properties.get("Statement")
    if given:
        return {**given, "Sid": properties["StatementId"]}
    arn = f"arn:aws:events:{get_region()}:{get_account_id()}:event-bus/{bus}"
    statement = {
        "Sid": properties["StatementId"],
        "Effect": "Allow",
        "Principal": properties.get("Principal", "*"),
        "Action": properties.get("Action", "events:PutEvents"),
        "Resource": arn,
    }
    if properties.get("Condition"):
        statement["Condition"] = properties["Condition"]
    return statement


def remove_statement(bus: str, statement_id: str) -> None:
    eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement_id})


# Replica keys


def create_replica_key(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    primary_arn = properties["PrimaryKeyArn"]
    here = get_region()
    request = {
        "KeyId": primary_arn,
        "ReplicaRegion": here,
        "Description": properties.get("Description", ""),
        "Policy": as_document(properties["KeyPolicy"]),
        "Tags": replica_key_tags(properties),
    }
    with request_scope(get_account_id(), primary_arn.split(":")[3]):
        metadata = answer_of(kms._replicate_key(request))["ReplicaKeyMetadata"]
    set_enabled(metadata["KeyId"], properties)
    return metadata["KeyId"], {"Arn": metadata["Arn"], "KeyId": metadata["KeyId"]}


def update_replica_key(key_id: str, _old: Properties, new: Properties, _stack_name: str) -> Created:
    key = kms._resolve_key(key_id)
    if key is None:
        raise ResourceFailure(f"Key {key_id} does not exist in {get_region()}")
    key["Description"] = new.get("Description", "")
    key["Policy"] = as_document(new["KeyPolicy"])
    key["Tags"] = replica_key_tags(new)
    set_enabled(key_id, new)
    return key_id, {"Arn": key["Arn"], "KeyId": key_id}


def delete_replica_key(key_id: str, properties: Properties) -> None:
    if kms._resolve_key(key_id) is not None:
        days = int(properties.get("PendingWindowInDays", 30))
        answer_of(kms._schedule_key_deletion({"KeyId": key_id, "PendingWindowInDays": days}))


def set_enabled(key_id: str, properties: Properties) -> None:
    key = kms._resolve_key(key_id)
    enabled = str(properties.get("Enabled", True)).lower() == "true"
    key["Enabled"] = enabled
    key["KeyState"] = "Enabled" if enabled else "Disabled"


def replica_key_tags(properties: Properties) -> list[dict[str, str]]:
    tags = properties.get("Tags") or []
    return [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]


# Inline policies of roles


def create_role_policy(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    role = iam._roles.get(properties["RoleName"])
    if role is None:
        raise ResourceFailure(f"The role with name {properties['RoleName']} cannot be found.")
    name = properties["PolicyName"]
    role["InlinePolicies"][name] = as_document(properties.get("PolicyDocument") or {})
    return f"{properties['RoleName']}|{name}", {}


def update_role_policy(
    physical_id: str, old: Properties, new: Properties, stack_name: str
) -> Created:
    if (old["RoleName"], old["PolicyName"]) != (new["RoleName"], new["PolicyName"]):
        delete_role_policy(physical_id, old)
    return create_role_policy(physical_id, new, stack_name)


def delete_role_policy(_physical_id: str, properties: Properties) -> None:
    role = iam._roles.get(properties["RoleName"])
    if role is not None:
        role["InlinePolicies"].pop(properties["PolicyName"], None)


# Identity providers


def create_identity_provider(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    arn = provider_arn(properties)
    if arn in iam._oidc_providers:
        raise ResourceFailure(f"Provider with url {properties['Url']} already exists.")
    iam._oidc_providers[arn] = {
        "Url": properties["Url"],
        "ClientIDList": list(properties.get("ClientIdList") or []),
        "ThumbprintList": list(properties.get("ThumbprintList") or []),
        "Arn": arn,
        "CreateDate": iam._now(),
        "Tags": list(properties.get("Tags") or []),
    }
    return arn, {"Arn": arn}


def update_identity_provider(
    arn: str, _old: Properties, new: Properties, stack_name: str
) -> Created:
    replaced = iam._oidc_providers.pop(arn, None)
    try:
        return create_identity_provider(arn, new, stack_name)
    except ResourceFailure:
        if replaced is not None:
            iam._oidc_providers[arn] = replaced
        raise


def delete_identity_provider(arn: str, _properties: Properties) -> None:
    iam._oidc_providers.pop(arn, None)


def provider_arn(properties: Properties) -> str:
    url = str(properties["Url"]).removeprefix("https://").rstrip("/")
    return f"arn:aws:iam::{get_account_id()}:oidc-provider/{url}"


# Policies of secrets


def create_secret_policy(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    secret_id = properties["SecretId"]
    document = as_document(properties["ResourcePolicy"])
    request = {"SecretId": secret_id, "ResourcePolicy": document}
    answer_of(secretsmanager._put_resource_policy(request))
    return secret_id, {"Id": secret_id}


def update_secret_policy(
    physical_id: str, old: Properties, new: Properties, stack_name: str
) -> Created:
    if old["SecretId"] != new["SecretId"]:
        delete_secret_policy(physical_id, old)
    return create_secret_policy(physical_id, new, stack_name)


def delete_secret_policy(_physical_id: str, properties: Properties) -> None:
    secretsmanager._delete_resource_policy({"SecretId": properties["SecretId"]})


# Inline policies of queues and topics are their policies with exactly one subject


def inline(stock_type: str, subjects: Callable[[Properties], Properties]) -> dict[str, Any]:
    stock = HANDLERS[stock_type]

    def translated(properties: Properties) -> Properties:
        return {"PolicyDocument": properties["PolicyDocument"], **subjects(properties)}

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        return stock["create"](logical_id, translated(properties), stack_name)

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
        return stock["update"](physical_id, translated(old), translated(new), stack_name)

    def delete(physical_id: str, properties: Properties) -> None:
        stock["delete"](physical_id, translated(properties))

    return {"create": create, "update": update, "delete": delete}
