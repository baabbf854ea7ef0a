"""An HTTP API that puts its requests onto an event bus, without a function in between.

AWS: an integration with the subtype `EventBridge-PutEvents` assumes the role of `CredentialsArn`
and calls PutEvents with one entry, whose fields come from `RequestParameters`. The service's answer
is the API's answer; an entry that the service refuses is a 200 with `FailedEntryCount` 1.
(https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html)
Stock: subtype and role are dropped, and the request fails.
Here: both are kept, by API and by template, and the call is made with the role's rights. Other
subtypes answer 500. A JSON path below `$request.body` is a plain chain of names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.core.concurrency import run_reentrant
from ministack.core.responses import get_account_id, get_region, new_uuid, request_scope
from ministack.services import apigateway, eventbridge

from tandem_emulator import api_permissions, condition_keys, iam
from tandem_emulator.api_permissions import Response, internal_error
from tandem_emulator.cloudformation_handlers import Created, Properties, ResourceFailure, wrap

TYPE = "AWS::ApiGatewayV2::Integration"
PUT_EVENTS = "EventBridge-PutEvents"
REQUIRED = ("Detail", "DetailType", "Source")
TEXTS = ("Detail", "DetailType", "EventBusName", "Source", "Time", "TraceHeader")
BODY = "$request.body"
KEPT = ("integrationSubtype", "credentialsArn")

Resolve = Callable[[str], str | None]


def apply() -> None:
    wrap(TYPE, create=create, update=update)
    keep_settings_of_requests()
    stock = apigateway._invoke_lambda_proxy

    async def invoke(
        integration: dict[str, Any],
        api_id: str,
        stage: str,
        path: str,
        method: str,
        headers: dict[str, str],
        body: bytes,
        query_params: Any,
        route_key: str = "$default",
        path_params: dict[str, str] | None = None,
        **options: Any,
    ) -> Response:
        subtype = integration.get("integrationSubtype")
        if subtype == PUT_EVENTS:
            context = {
                "authorizer.jwt.claims": options.get("authorizer_claims") or {},
                "authorizer.lambda": options.get("authorizer_lambda_context") or {},
                "httpMethod": method,
                "path": path,
                "request.path": path,
                "requestId": new_uuid(),
                "routeKey": route_key,
                "stage": stage,
            }
            sources = {
                "request_headers": headers,
                "request_query": query_params or {},
                "path_params": path_params or {},
                "context_vars": context,
                "stage_vars": apigateway._get_stage_variables(api_id, stage),
            }
            # A rule's target may call back into this server.
            return await run_reentrant(put_events, integration, resolver(body, sources))
        if subtype:
            return internal_error()
        return await stock(
            integration,
            api_id,
            stage,
            path,
            method,
            headers,
            body,
            query_params,
            route_key,
            path_params,
            **options,
        )

    apigateway._invoke_lambda_proxy = invoke


def resolver(body: bytes, sources: dict[str, Any]) -> Resolve:
    """What a request parameter stands for: a text, or a part of the request."""
    text = body.decode("utf-8", errors="replace") if body else ""

    def resolve(expression: str) -> str | None:
        if expression == BODY:
            return text
        if expression.startswith(f"{BODY}."):
            return part_of_body(text, expression.removeprefix(f"{BODY}."))
        return apigateway._resolve_mapping_value(expression, **sources)

    return resolve


def part_of_body(text: str, path: str) -> str | None:
    try:
        value = json.loads(text)
        for name in path.split("."):
            value = value[name]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def put_events(integration: dict[str, Any], resolve: Resolve) -> Response:
    parameters = integration.get("requestParameters") or {}
    region = resolve(str(parameters.get("Region", ""))) or get_region()
    entry: dict[str, Any] = {}
    for name in TEXTS:
        value = resolve(str(parameters[name])) if name in parameters else None
        if value is not None:
            entry[name] = value
    with request_scope(get_account_id(), region):
        refusal = refused(str(integration.get("credentialsArn") or ""), entry)
        if refusal is not None:
            return refusal
        status, _headers, body = eventbridge._put_events({"Entries": [entry]})
    return status, {"Content-Type": "application/json"}, body


def refused(role_arn: str, entry: dict[str, Any]) -> Response | None:
    """The answer for a role that cannot be assumed or may not put events onto the bus."""
    if not iam.role_trusts(role_arn, api_permissions.SERVICE):
        return internal_error()
    bus_arn = arn_of_bus(entry.get("EventBusName") or "default")
    keys = condition_keys.keys_of([entry])
    if iam.role_allows(role_arn, condition_keys.PUT_EVENTS, bus_arn, keys):
        return None
    message = (
        f"User: arn:aws:sts::{get_account_id()}:assumed-role/{iam.role_name(role_arn)}/"
        "BackplaneAssumeRoleSession is not authorized to perform: events:PutEvents on resource: "
        f"{bus_arn} because no identity-based policy allows the events:PutEvents action"
    )
    body = json.dumps({"__type": "AccessDeniedException", "Message": message}).encode()
    return 400, {"Content-Type": "application/json"}, body


def arn_of_bus(reference: str) -> str:
    if reference.startswith("arn:"):
        return reference
    return f"arn:aws:events:{get_region()}:{get_account_id()}:event-bus/{reference}"


# Integrations of stacks and of API calls


def create(stock: Any, _logical_id: str, properties: Properties, _stack: str) -> Created:
    check(properties)
    return configured(stock(), properties)


def update(stock: Any, _physical_id: str, _old: Properties, new: Properties) -> Created:
    check(new)
    return configured(stock(), new)


def check(properties: Properties) -> None:
    """What API Gateway refuses: an incomplete integration with a service."""
    subtype = properties.get("IntegrationSubtype")
    if not subtype:
        return
    if not properties.get("CredentialsArn"):
        raise ResourceFailure(f"A credentials ARN is required for the subtype {subtype}")
    if subtype != PUT_EVENTS:
        return
    given = properties.get("RequestParameters") or {}
    missing = [name for name in REQUIRED if name not in given]
    if missing:
        raise ResourceFailure(
            f"Required parameters of {PUT_EVENTS} are missing: {', '.join(missing)}"
        )


def configured(created: Created, properties: Properties) -> Created:
    integration_id, attributes = created
    integration = apigateway._integrations[properties["ApiId"]][integration_id]
    integration["integrationSubtype"] = properties.get("IntegrationSubtype")
    integration["credentialsArn"] = properties.get("CredentialsArn")
    return integration_id, attributes


def keep_settings_of_requests() -> None:
    stock_create = apigateway._create_integration
    stock_update = apigateway._update_integration

    def create_integration(api_id: str, data: dict[str, Any]) -> Any:
        answer = stock_create(api_id, data)
        if answer[0] >= 400:
            return answer
        return keep(api_id, json.loads(answer[2])["integrationId"], data, answer)

    def update_integration(api_id: str, integration_id: str, data: dict[str, Any]) -> Any:
        answer = stock_update(api_id, integration_id, data)
        return answer if answer[0] >= 400 else keep(api_id, integration_id, data, answer)

    apigateway._create_integration = create_integration
    apigateway._update_integration = update_integration


def keep(api_id: str, integration_id: str, data: dict[str, Any], answer: Any) -> Any:
    integration = apigateway._integrations[api_id][integration_id]
    integration.update({name: data[name] for name in KEPT if name in data})
    return apigateway._apigw_response(integration, answer[0])
