"""`Ref` of a secret is its ARN.

AWS: `Ref` of AWS::SecretsManager::Secret gives the ARN, and templates use it as the resource of a
policy.
Stock: it gives the name, so such a policy allows nothing and IAM enforcement refuses the function.
Here: the ARN is the physical id, and is turned back into the name for the stock handlers and for
drift detection.
"""

from __future__ import annotations

from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import drift

from tandem_emulator.cloudformation_handlers import HANDLERS, Created, Properties

TYPE = "AWS::SecretsManager::Secret"


def apply() -> None:
    handler = dict(HANDLERS[TYPE])
    stock_create = handler["create"]
    stock_update = handler["update"]
    stock_delete = handler["delete"]

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        return referred_by_arn(stock_create(logical_id, properties, stack_name))

    def update(arn: str, old: Properties, new: Properties, *rest: Any) -> Created:
        return referred_by_arn(stock_update(name_of(arn), old, new, *rest))

    def delete(arn: str, properties: Properties, *rest: Any) -> None:
        stock_delete(name_of(arn), properties, *rest)

    HANDLERS[TYPE] = {**handler, "create": create, "update": update, "delete": delete}

    stock_read, readable = drift._DRIFT_READERS[TYPE]

    def read(arn: str, properties: Properties) -> Any:
        return stock_read(name_of(arn), properties)

    drift._DRIFT_READERS[TYPE] = (read, readable)


def referred_by_arn(created: Created) -> Created:
    name, attributes = created
    secret = secretsmanager._secrets.get(name)
    return (secret["ARN"] if secret else name), attributes


def name_of(arn: str) -> str:
    name, _secret = secretsmanager._resolve(arn)
    return name or arn
