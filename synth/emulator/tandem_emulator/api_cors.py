"""CorsConfiguration of an HTTP API that a stack creates.

AWS: preflight requests are answered by the API from its CorsConfiguration.
Stock: the API's own code reads camelCase keys, CloudFormation has PascalCase ones, so every
preflight of a stack's API is answered with 403.
Here: the keys are translated before the stock handler sees them.
"""

from __future__ import annotations

from typing import Any

from tandem_emulator.cloudformation_handlers import HANDLERS, Properties

TYPE = "AWS::ApiGatewayV2::Api"


def apply() -> None:
    handler = dict(HANDLERS[TYPE])
    stock_create = handler["create"]
    stock_update = handler["update"]

    def create(logical_id: str, properties: Properties, stack_name: str) -> Any:
        return stock_create(logical_id, translated(properties), stack_name)

    def update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        return stock_update(physical_id, translated(old), translated(new), *rest)

    HANDLERS[TYPE] = {**handler, "create": create, "update": update}


def translated(properties: Properties) -> Properties:
    cors = properties.get("CorsConfiguration")
    if not cors:
        return properties
    lowered = {key[0].lower() + key[1:]: value for key, value in cors.items()}
    return {**properties, "CorsConfiguration": lowered}
