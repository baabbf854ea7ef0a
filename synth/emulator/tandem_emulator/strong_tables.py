"""Global tables with strong consistency between regions.

AWS: `MultiRegionConsistency: STRONG` needs exactly three regions of one set, of which one may be a
witness that keeps no readable data. Such a table has no time to live and no local index, takes no
part in transactions, and its mode is never changed.
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html)
Stock: the properties are ignored.
Here: they are checked and described, and transactions with such a table are refused. Replication is
immediate for every global table here, so reads are strongly consistent anyway; that a write fails
while two of the three regions are down is not shown.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    request_scope,
)
from ministack.services import dynamodb

from tandem_emulator.cloudformation_handlers import Created, Properties, ResourceFailure, wrap

TYPE = "AWS::DynamoDB::GlobalTable"
STRONG = "STRONG"
REGIONS = 3
REGION_SETS = (
    frozenset({"us-east-1", "us-east-2", "us-west-2"}),
    frozenset({"eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3"}),
    frozenset({"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"}),
)
WITNESSES = "_TandemWitnesses"
"""Key of a table's record: the regions that are witnesses; present on strong tables only."""


def apply() -> None:
    wrap(TYPE, create=create, update=update)
    describe_tables()
    refuse_transactions("_transact_write_items")
    refuse_transactions("_transact_get_items")


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    check(properties)
    return marked(stock(), properties)


def update(stock: Any, _physical_id: str, old: Properties, new: Properties) -> Created:
    check(new)
    if is_strong(old) != is_strong(new):
        raise ResourceFailure("MultiRegionConsistency cannot be changed on an existing table.")
    return marked(stock(), new)


def is_strong(properties: Properties) -> bool:
    return properties.get("MultiRegionConsistency") == STRONG


def check(properties: Properties) -> None:
    witnesses = witnesses_of(properties)
    if not is_strong(properties):
        if witnesses:
            raise ResourceFailure(f"GlobalTableWitnesses need MultiRegionConsistency {STRONG}")
        return
    regions = [replica["Region"] for replica in properties.get("Replicas") or []] + witnesses
    if len(regions) != REGIONS or len(witnesses) > 1 or len(set(regions)) != REGIONS:
        raise ResourceFailure(
            "A table with strong consistency has three replicas, or two and one witness, in "
            f"different regions; this one has {regions}"
        )
    if not any(set(regions) <= region_set for region_set in REGION_SETS):
        raise ResourceFailure(f"Strong consistency is not available between {regions}")
    for name in ("TimeToLiveSpecification", "LocalSecondaryIndexes"):
        if properties.get(name):
            raise ResourceFailure(f"{name} is not supported with strong consistency")


def witnesses_of(properties: Properties) -> list[str]:
    return [witness["Region"] for witness in properties.get("GlobalTableWitnesses") or []]


def marked(created: Created, properties: Properties) -> Created:
    if is_strong(properties):
        for replica in properties["Replicas"]:
            with request_scope(get_account_id(), replica["Region"]):
                dynamodb._tables[created[0]][WITNESSES] = witnesses_of(properties)
    return created


def describe_tables() -> None:
    stock = dynamodb._table_description

    def table_description(name: str) -> dict[str, Any]:
        description = stock(name)
        witnesses = dynamodb._tables[name].get(WITNESSES)
        if witnesses is not None:
            description["MultiRegionConsistency"] = STRONG
            description["GlobalTableWitnesses"] = [
                {"RegionName": region, "WitnessStatus": "ACTIVE"} for region in witnesses
            ]
        return description

    dynamodb._table_description = table_description


def refuse_transactions(operation: str) -> None:
    stock = getattr(dynamodb, operation)

    def transact(data: dict[str, Any]) -> Any:
        for item in data.get("TransactItems") or []:
            for request in item.values():
                name = dynamodb._normalize_table_name(request.get("TableName"))
                if WITNESSES in (dynamodb._tables.get(name) or {}):
                    return error_response_json(
                        "ValidationException",
                        f"Transactions are not supported with the table {name} in {get_region()}: "
                        "it is a global table with multi-Region strong consistency",
                        400,
                    )
        return stock(data)

    setattr(dynamodb, operation, transact)
