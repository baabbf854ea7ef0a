"""TTL, recovery, encryption, deletion protection and stream names of a stack's tables.

AWS: all of them are properties of AWS::DynamoDB::Table, and of AWS::DynamoDB::GlobalTable (some per
replica). A protected table cannot be deleted, by its stack neither.
Stock: a stack's table drops TTL, recovery and encryption, and is deleted in spite of its
protection; a new table of the same name inherits the TTL of the deleted one.
Here: the settings are applied through MiniStack's own service functions, deletion is refused while
protection is on, and what belongs to a deleted table goes with it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ministack.core.responses import get_region
from ministack.services import dynamodb

from tandem_emulator.cloudformation_handlers import (
    Created,
    Properties,
    ResourceFailure,
    wrap,
)

PROTECTED = (
    "Resource cannot be deleted as it is currently protected against deletion. "
    "Disable deletion protection first."
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What one table in one region is to have; None means the template is silent."""

    time_to_live: dict[str, Any] | None
    recovery: dict[str, Any] | None
    encryption: dict[str, Any] | None
    deletion_protection: bool


def apply() -> None:
    wrap("AWS::DynamoDB::Table", create=create, update=update, delete=delete)


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    name, attributes = stock()
    return name, finish(name, attributes, of_table(properties))


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    name, attributes = stock()
    return name, finish(name, attributes, of_table(new))


def delete(stock: Any, name: str, _properties: Properties) -> None:
    refuse_if_protected(name)
    stock()
    forget(name)


def of_table(properties: Properties) -> Settings:
    encryption = properties.get("SSESpecification")
    if encryption is not None:
        encryption = {
            "Enabled": is_true(encryption.get("SSEEnabled")),
            "SSEType": encryption.get("SSEType"),
            "KMSMasterKeyId": encryption.get("KMSMasterKeyId"),
        }
    return Settings(
        time_to_live=properties.get("TimeToLiveSpecification"),
        recovery=properties.get("PointInTimeRecoverySpecification"),
        encryption=encryption,
        deletion_protection=is_true(properties.get("DeletionProtectionEnabled")),
    )


def finish(name: str, attributes: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Apply the settings and return the attributes that AWS documents for the type."""
    name_stream(name)
    configure(name, settings)
    return {**attributes, **table_attributes(name)}


def table_attributes(name: str) -> dict[str, Any]:
    table = dynamodb._tables[name]
    attributes = {"Arn": table["TableArn"], "TableId": table["TableId"]}
    if (table.get("StreamSpecification") or {}).get("StreamEnabled"):
        attributes["StreamArn"] = table["LatestStreamArn"]
    return attributes


def name_stream(name: str) -> None:
    """Make the stream's label and its ARN agree: stock takes the time twice."""
    table = dynamodb._tables[name]
    arn = table.get("LatestStreamArn")
    if arn:
        table["LatestStreamLabel"] = arn.rsplit("/", 1)[-1]


def configure(name: str, settings: Settings) -> None:
    """Apply settings to the table of the current region."""
    table = dynamodb._tables[name]
    table["DeletionProtectionEnabled"] = settings.deletion_protection
    table["SSEDescription"] = dynamodb._sse_description_from_spec(settings.encryption)
    if settings.time_to_live is not None:
        specification = {
            **settings.time_to_live,
            "Enabled": is_true(settings.time_to_live.get("Enabled")),
        }
        call(dynamodb._update_ttl, {"TableName": name, "TimeToLiveSpecification": specification})
    else:
        dynamodb._ttl_settings.pop(name, None)
    enabled = is_true((settings.recovery or {}).get("PointInTimeRecoveryEnabled"))
    call(
        dynamodb._update_continuous_backups,
        {
            "TableName": name,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled},
        },
    )


def refuse_if_protected(name: str) -> None:
    table = dynamodb._tables.get(name)
    if table and table.get("DeletionProtectionEnabled"):
        raise ResourceFailure(f"{PROTECTED} (table {name} in {get_region()})")


def forget(name: str) -> None:
    dynamodb._ttl_settings.pop(name, None)
    dynamodb._pitr_settings.pop(name, None)


def call(operation: Any, request: dict[str, Any]) -> None:
    """Run a service operation; its refusal fails the resource."""
    status, _headers, body = operation(request)
    if status >= 400:
        raise ResourceFailure(body.decode() if isinstance(body, bytes) else str(body))


def is_true(value: Any) -> bool:
    """CloudFormation booleans also come as text."""
    return str(value).lower() == "true"
