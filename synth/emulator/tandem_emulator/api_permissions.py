"""An HTTP API invokes a function only with a right to do so.

AWS: the function's policy must let `apigateway.amazonaws.com` invoke it for the API's route
(`aws:SourceArn` is `arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH`) or its authorizer
(`.../API/authorizers/ID`); or the integration or authorizer names a role that allows it. Without
the right the API answers 500.
(https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html)
Stock: functions are invoked without a right.
Here: both are checked, under IAM enforcement only. The authorizer's event also gets the fields
`requestContext.time`, `timeEpoch` and `cookies`, which AWS gives and the stock emulator leaves out.
"""

from __future__ import annotations

import time
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import apigateway, lambda_svc

from tandem_emulator import iam, lambda_permissions

SERVICE = "apigateway.amazonaws.com"

Response = tuple[int, dict[str, Any], bytes]


def apply() -> None:
    check_integrations()
    check_authorizers()


def check_integrations() -> None:
    stock = apigateway._invoke_lambda_proxy

    async def invoke_lambda_proxy(
        integration: dict[str, Any],
        api_id: str,
        stage: str,
        path: str,
        method: str,
        headers: dict[str, str],
        body: bytes,
        query_params: Any,
        route_key: str = "$default",
        *rest: Any,
        **options: Any,
    ) -> Response:
        source = route_arn(api_id, stage, method, route_key)
        uri = str(integration.get("integrationUri", ""))
        if not may_invoke(uri, str(integration.get("credentialsArn") or ""), source):
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
            *rest,
            **options,
        )

    apigateway._invoke_lambda_proxy = invoke_lambda_proxy


def check_authorizers() -> None:
    stock = apigateway._invoke_request_authorizer_lambda

    async def invoke_request_authorizer_lambda(
        authorizer: dict[str, Any], event: dict[str, Any], account_id: str, region: str
    ) -> Any:
        api_id = event["requestContext"]["apiId"]
        source = (
            f"arn:aws:execute-api:{region}:{account_id}:{api_id}"
            f"/authorizers/{authorizer['authorizerId']}"
        )
        uri = str(authorizer.get("authorizerUri", ""))
        with request_scope(account_id, region):
            allowed = may_invoke(uri, str(authorizer.get("authorizerCredentialsArn") or ""), source)
        if not allowed:
            return None
        if event.get("version") == "2.0":
            complete(event)
        return await stock(authorizer, event, account_id, region)

    apigateway._invoke_request_authorizer_lambda = invoke_request_authorizer_lambda


def complete(event: dict[str, Any]) -> None:
    now = time.time()
    context = event["requestContext"]
    context["time"] = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now))
    context["timeEpoch"] = int(now * 1000)
    cookies = event["headers"].get("cookie")
    if cookies:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]


def may_invoke(uri: str, role_arn: str, source_arn: str) -> bool:
    """Whether the API may invoke a function, by a role or by the function's policy."""
    reference = apigateway._extract_lambda_ref_from_integration_uri(uri)
    function, config, _name = lambda_svc._get_func_record_for_ref(reference)
    if function is None or config is None:
        return True  # the stock code answers for a function that does not exist
    arn = reference if reference.startswith("arn:") else str(config["FunctionArn"])
    if role_arn:
        # The service names no source when it takes a role.
        trusted = iam.role_trusts(role_arn, SERVICE)
        return trusted and iam.role_allows(role_arn, lambda_permissions.INVOKE, arn)
    return lambda_permissions.service_may_invoke(arn, SERVICE, source_arn)


def route_arn(api_id: str, stage: str, method: str, route_key: str) -> str:
    """The ARN of a route as policies see it, with the request's method."""
    path = route_key.split(" ", 1)[-1].lstrip("/")
    scope = f"{get_region()}:{get_account_id()}"
    return f"arn:aws:execute-api:{scope}:{api_id}/{stage}/{method}/{path}"


def internal_error() -> Response:
    headers = {"Content-Type": "application/json"}
    return 500, headers, b'{"message":"Internal Server Error"}'
