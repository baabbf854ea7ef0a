"""Replicas of AWS::DynamoDB::GlobalTable follow the template.

AWS: `Replicas` names every region, the stack's own among them; each has its own recovery,
encryption key, deletion protection and tags. A replica that the template drops is deleted, and
deleting the resource deletes all replicas. Every replica has a stream of its own.
Stock: `Replicas` is ignored; deleting the stack leaves replicas made by API.
Here: replicas are created and deleted through UpdateTable, and configured one by one.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import dynamodb

from tandem_emulator import table_extras
from tandem_emulator.cloudformation_handlers import (
    Created,
    Properties,
    ResourceFailure,
    wrap,
)

TYPE = "AWS::DynamoDB::GlobalTable"


def apply() -> None:
    wrap(TYPE, create=create, update=update, delete=delete)


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    check(properties)
    name, _attributes = stock()
    try:
        reconcile(name, properties)
    except ResourceFailure:
        # CloudFormation does not know the table yet and would leave it behind.
        remove(name, regions_of(name))
        raise
    return name, table_extras.table_attributes(name)


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    check(new)
    name, _attributes = stock()
    reconcile(name, new)
    return name, table_extras.table_attributes(name)


def delete(_stock: Any, name: str, _properties: Properties) -> None:
    regions = regions_of(name)
    for region in regions:
        with request_scope(get_account_id(), region):
            table_extras.refuse_if_protected(name)
    remove(name, regions)


def check(properties: Properties) -> None:
    regions = [replica.get("Region") for replica in properties.get("Replicas") or []]
    if get_region() not in regions:
        raise ResourceFailure(
            f"Replicas must contain the region of the stack, {get_region()}; it has {regions}"
        )
    if properties.get("MultiRegionConsistency") == "STRONG":
        return  # replicates without streams
    stream = properties.get("StreamSpecification") or {}
    if len(regions) > 1 and stream.get("StreamViewType") != "NEW_AND_OLD_IMAGES":
        raise ResourceFailure(
            "StreamSpecification with StreamViewType NEW_AND_OLD_IMAGES is required "
            "for a table with more than one replica"
        )


def reconcile(name: str, properties: Properties) -> None:
    """Bring replicas and their settings in line with the template."""
    table_extras.name_stream(name)
    wanted = {replica["Region"] for replica in properties["Replicas"]} - {get_region()}
    present = set(regions_of(name)) - {get_region()}
    for region in sorted(present - wanted):
        with request_scope(get_account_id(), region):
            table_extras.refuse_if_protected(name)
        change_replica(name, "Delete", region)
    for region in sorted(wanted - present):
        change_replica(name, "Create", region)
    for replica in properties["Replicas"]:
        with request_scope(get_account_id(), replica["Region"]):
            table_extras.configure(name, settings_of(properties, replica))
            set_tags(name, replica.get("Tags") or [])


def change_replica(name: str, action: str, region: str) -> None:
    request = {"TableName": name, "ReplicaUpdates": [{action: {"RegionName": region}}]}
    table_extras.call(dynamodb._update_table, request)


def settings_of(properties: Properties, replica: dict[str, Any]) -> table_extras.Settings:
    encryption = properties.get("SSESpecification")
    if encryption is not None:
        key = (replica.get("SSESpecification") or {}).get("KMSMasterKeyId")
        encryption = {
            "Enabled": table_extras.is_true(encryption.get("SSEEnabled")),
            "SSEType": encryption.get("SSEType"),
            "KMSMasterKeyId": key,
        }
    return table_extras.Settings(
        time_to_live=properties.get("TimeToLiveSpecification"),
        recovery=replica.get("PointInTimeRecoverySpecification"),
        encryption=encryption,
        deletion_protection=table_extras.is_true(replica.get("DeletionProtectionEnabled")),
    )


def set_tags(name: str, tags: list[dict[str, str]]) -> None:
    arn = dynamodb._tables[name]["TableArn"]
    dynamodb._tags[arn] = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in tags]


def regions_of(name: str) -> list[str]:
    table = dynamodb._tables.get(name)
    if table is None:
        return []
    return list(dynamodb._replica_group(table)) or [get_region()]


def remove(name: str, regions: list[str]) -> None:
    """Delete every replica; the stack's own region last, as long as it knows the others."""
    for region in sorted(regions, key=lambda region: region == get_region()):
        with request_scope(get_account_id(), region):
            table = dynamodb._tables.pop(name, None)
            dynamodb.drop_stream_records(name, table)
            table_extras.forget(name)
            if table:
                dynamodb._tags.pop(table["TableArn"], None)
