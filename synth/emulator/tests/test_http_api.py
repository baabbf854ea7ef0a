"""HTTP APIs: authorizers, functions, events without a function, and the rights of all three."""

import json
import unittest
import urllib.error
import urllib.request
from typing import Any

from support import (
    ACCOUNT,
    HOME,
    TestCase,
    allow,
    attribute,
    clear_denied,
    client,
    denied,
    deploy,
    document,
    function,
    one_message,
    put_role_policy,
    queue,
    queue_policy,
    reference,
    role,
    shared,
    unique,
)

AUTHORIZER = """
calls = 0
def handler(event, context):
    global calls
    calls += 1
    allowed = event["headers"].get("authorization") == "good"
    return {
        "isAuthorized": allowed,
        "context": {
            "calls": calls,
            "route": event["routeKey"],
            "identity": ",".join(event["identitySource"]),
            "time": event["requestContext"]["time"],
        },
    }
"""

ECHO = """
import json
def handler(event, context):
    given = event["requestContext"].get("authorizer", {}).get("lambda", {})
    body = {"authorizer": given, "body": event.get("body"), "path": event["rawPath"]}
    return {"statusCode": 201, "headers": {"x-answer": "yes"}, "body": json.dumps(body)}
"""

API = "AWS::ApiGatewayV2::"


def request(
    api: str, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of an answer of the API's default stage."""
    url = f"{shared().url}/restapis/{api}/$default/_user_request_{path}"
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    names.setdefault("content-type", "application/json")
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(url, data, names, method=method), timeout=20
        )
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = answer.read()
        return answer.status, dict(answer.headers), json.loads(text) if text else None


def api(name: str) -> dict[str, Any]:
    return {
        "Api": {"Type": f"{API}Api", "Properties": {"Name": name, "ProtocolType": "HTTP"}},
        "Stage": {
            "Type": f"{API}Stage",
            "Properties": {"ApiId": reference("Api"), "StageName": "$default", "AutoDeploy": True},
        },
    }


def route(key: str, integration: str, **properties: Any) -> dict[str, Any]:
    target = {"Fn::Sub": f"integrations/${{{integration}}}"}
    given = {"ApiId": reference("Api"), "RouteKey": key, "Target": target, **properties}
    return {"Type": f"{API}Route", "Properties": given}


def permission(function_id: str, source: str) -> dict[str, Any]:
    """A right of API Gateway; `source` follows the API's ARN."""
    arn = f"arn:aws:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{Api}}/{source}"
    properties = {
        "FunctionName": attribute(function_id, "Arn"),
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": {"Fn::Sub": arn},
    }
    return {"Type": "AWS::Lambda::Permission", "Properties": properties}


def integration(function_id: str, **properties: Any) -> dict[str, Any]:
    given = {
        "ApiId": reference("Api"),
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": attribute(function_id, "Arn"),
        "PayloadFormatVersion": "2.0",
        **properties,
    }
    return {"Type": f"{API}Integration", "Properties": given}


def authorizer(**properties: Any) -> dict[str, Any]:
    uri = (
        "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
        "${Check.Arn}/invocations"
    )
    given = {
        "ApiId": reference("Api"),
        "Name": "tokens",
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": {"Fn::Sub": uri},
        "AuthorizerPayloadFormatVersion": "2.0",
        "EnableSimpleResponses": True,
        "IdentitySource": ["$request.header.Authorization", "$context.routeKey"],
        "AuthorizerResultTtlInSeconds": 60,
        **properties,
    }
    return {"Type": f"{API}Authorizer", "Properties": given}


class Functions(TestCase):
    def deployed(self, **changes: Any) -> str:
        name = unique("api")
        protected = {"AuthorizationType": "CUSTOM", "AuthorizerId": reference("Authorizer")}
        resources = {
            **api(name),
            "Role": role(),
            "Echo": function(ECHO),
            "Check": function(AUTHORIZER),
            "Authorizer": authorizer(),
            "Integration": integration("Echo"),
            "Open": route("GET /open", "Integration"),
            "First": route("POST /v1/first", "Integration", **protected),
            "Second": route("POST /v1/second/{id}", "Integration", **protected),
            "EchoPermission": permission("Echo", "*/*"),
            "CheckPermission": permission("Check", "authorizers/${Authorizer}"),
            **changes,
        }
        kept = {key: value for key, value in resources.items() if value is not None}
        return deploy(name, kept, outputs={"Api": reference("Api")})["Api"]

    def test_open_route(self) -> None:
        status, headers, body = request(self.deployed(), "GET", "/open")
        self.assertEqual((status, headers["x-answer"], body["path"]), (201, "yes", "/open"))

    def test_authorizer_decides_and_gives_its_context(self) -> None:
        found = self.deployed()
        status, _headers, body = request(found, "POST", "/v1/first", {}, authorization="good")
        self.assertEqual(status, 201)
        given = body["authorizer"]
        self.assertEqual(given["route"], "POST /v1/first")
        self.assertEqual(given["identity"], "good,POST /v1/first")
        self.assertRegex(given["time"], r"^\d{2}/\w{3}/\d{4}:")
        self.assertEqual(request(found, "POST", "/v1/first", {}, authorization="bad")[0], 403)
        self.assertEqual(request(found, "POST", "/v1/first", {})[0], 401)

    def test_answers_are_cached_per_route(self) -> None:
        found = self.deployed()

        def calls(path: str) -> int:
            answer = request(found, "POST", path, {}, authorization="good")
            return answer[2]["authorizer"]["calls"]

        first = calls("/v1/first")
        self.assertEqual(calls("/v1/first"), first)
        self.assertEqual(calls("/v1/second/1"), first + 1)
        self.assertEqual(calls("/v1/second/2"), first + 1)

    def test_without_time_to_live_nothing_is_cached(self) -> None:
        found = self.deployed(Authorizer=authorizer(AuthorizerResultTtlInSeconds=0))
        answers = [request(found, "POST", "/v1/first", {}, authorization="good") for _ in range(2)]
        first, second = (answer[2]["authorizer"]["calls"] for answer in answers)
        self.assertEqual(second, first + 1)

    def test_function_needs_to_permit_the_route(self) -> None:
        for other in (None, permission("Echo", "*/GET/elsewhere")):
            found = self.deployed(EchoPermission=other)
            clear_denied()
            status, _headers, body = request(found, "GET", "/open")
            self.assertEqual((status, body), (500, {"message": "Internal Server Error"}))
            refusal = denied("lambda:InvokeFunction")[0]
            self.assertEqual(refusal["principal"], "apigateway.amazonaws.com")
            self.assertIn(f":{found}/$default/GET/open", refusal["reason"])

    def test_authorizer_function_needs_to_permit_the_authorizer(self) -> None:
        found = self.deployed(CheckPermission=permission("Check", "authorizers/another"))
        clear_denied()
        self.assertEqual(request(found, "POST", "/v1/first", {}, authorization="good")[0], 500)
        self.assertIn(f":{found}/authorizers/", denied("lambda:InvokeFunction")[0]["reason"])

    def test_alias_needs_a_permission_of_its_own(self) -> None:
        alias = {
            "Version": {
                "Type": "AWS::Lambda::Version",
                "Properties": {"FunctionName": reference("Echo")},
            },
            "Alias": {
                "Type": "AWS::Lambda::Alias",
                "Properties": {
                    "FunctionName": reference("Echo"),
                    "FunctionVersion": attribute("Version", "Version"),
                    "Name": "live",
                },
            },
            "Integration": integration("Echo", IntegrationUri=reference("Alias")),
        }
        self.assertEqual(request(self.deployed(**alias), "GET", "/open")[0], 500)
        own = permission("Echo", "*/*")
        own["Properties"]["FunctionName"] = reference("Alias")
        self.assertEqual(
            request(self.deployed(**alias, EchoPermission=own), "GET", "/open")[0], 201
        )

    def test_integration_with_a_role_uses_its_rights(self) -> None:
        caller = role(
            allow("lambda:InvokeFunction", attribute("Echo", "Arn")),
            service="apigateway.amazonaws.com",
        )
        powerless = role(service="apigateway.amazonaws.com")
        for given, expected in ((caller, 201), (powerless, 500), (role(), 500)):
            found = self.deployed(
                Caller=given,
                Integration=integration("Echo", CredentialsArn=attribute("Caller", "Arn")),
                EchoPermission=None,
            )
            self.assertEqual(request(found, "GET", "/open")[0], expected)

    def test_custom_domain(self) -> None:
        host = f"{unique('api')}.example.com"
        certificate = {"DomainName": host, "ValidationMethod": "DNS"}
        endpoint = {"CertificateArn": reference("Certificate"), "EndpointType": "REGIONAL"}
        domain = {"DomainName": host, "DomainNameConfigurations": [endpoint]}
        mapping = {
            "ApiId": reference("Api"),
            "DomainName": reference("Domain"),
            "Stage": reference("Stage"),
        }
        self.deployed(
            Certificate={
                "Type": "AWS::CertificateManager::Certificate",
                "Properties": certificate,
            },
            Domain={"Type": f"{API}DomainName", "Properties": domain},
            Mapping={"Type": f"{API}ApiMapping", "Properties": mapping},
        )
        call = urllib.request.Request(f"{shared().url}/open", headers={"Host": host})
        with urllib.request.urlopen(call, timeout=20) as answer:
            self.assertEqual(json.loads(answer.read())["path"], "/open")

    def test_region_outage(self) -> None:
        found = self.deployed()
        shared().local("POST", f"/_local/region/{HOME}/down")
        try:
            status = request(found, "GET", "/open")[0]
        finally:
            shared().local("POST", f"/_local/region/{HOME}/up")
        self.assertEqual(status, 503)
        self.assertEqual(request(found, "GET", "/open")[0], 201)


class Events(TestCase):
    """`EventBridge-PutEvents`: the whole way from a request to a queue behind a rule."""

    PARAMETERS = {
        "Source": "tandem.api",
        "DetailType": "RawEvent",
        "Detail": "$request.body",
        "EventBusName": reference("Bus"),
    }

    def resources(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {
            **api(name),
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}},
            "Queue": queue(),
            "QueuePolicy": queue_policy("Queue"),
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "EventBusName": reference("Bus"),
                    "EventPattern": {"source": ["tandem.api"]},
                    "Targets": [{"Id": "queue", "Arn": attribute("Queue", "Arn")}],
                },
            },
            "Role": role(
                allow("events:PutEvents", attribute("Bus", "Arn")),
                service="apigateway.amazonaws.com",
            ),
            "Integration": {
                "Type": f"{API}Integration",
                "Properties": {
                    "ApiId": reference("Api"),
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationSubtype": "EventBridge-PutEvents",
                    "PayloadFormatVersion": "1.0",
                    "CredentialsArn": attribute("Role", "Arn"),
                    "RequestParameters": parameters,
                },
            },
            "Route": route("POST /v1/events", "Integration"),
        }

    def deployed(self, **parameters: Any) -> dict[str, str]:
        name = unique("events")
        outputs = {
            "Api": reference("Api"),
            "Bus": attribute("Bus", "Arn"),
            "Integration": reference("Integration"),
            "Queue": reference("Queue"),
            "Role": reference("Role"),
        }
        parameters = {**self.PARAMETERS, **parameters}
        return deploy(name, self.resources(name, parameters), outputs=outputs)

    def test_request_becomes_an_event(self) -> None:
        found = self.deployed()
        raw = {"id": "1", "nested": {"amount": 2}}
        status, _headers, body = request(found["Api"], "POST", "/v1/events", raw)
        self.assertEqual((status, body["FailedEntryCount"]), (200, 0))
        event = json.loads(one_message(found["Queue"], "the event arrives")["Body"])
        self.assertEqual(event["id"], body["Entries"][0]["EventId"])
        self.assertEqual((event["source"], event["detail-type"]), ("tandem.api", "RawEvent"))
        self.assertEqual(event["detail"], raw)

    def test_parameters_come_from_the_request(self) -> None:
        found = self.deployed(
            DetailType="$request.body.kind", Detail="$request.body.data", Source="tandem.api"
        )
        body = {"kind": "Chosen", "data": {"n": 1}}
        self.assertEqual(request(found["Api"], "POST", "/v1/events", body)[0], 200)
        event = json.loads(one_message(found["Queue"], "the event arrives")["Body"])
        self.assertEqual((event["detail-type"], event["detail"]), ("Chosen", {"n": 1}))

    def test_malformed_body_is_a_failed_entry(self) -> None:
        found = self.deployed()
        status, _headers, body = request(found["Api"], "POST", "/v1/events", b"{not json")
        self.assertEqual((status, body["FailedEntryCount"]), (200, 1))
        self.assertEqual(body["Entries"][0]["ErrorCode"], "MalformedDetail")

    def test_role_needs_the_right(self) -> None:
        found = self.deployed()
        put_role_policy(found["Role"], "inline", allow("events:ListRules", "*"))
        clear_denied()
        status, _headers, body = request(found["Api"], "POST", "/v1/events", {"n": 1})
        self.assertEqual((status, body["__type"]), (400, "AccessDeniedException"))
        refusal = denied("events:PutEvents")[0]
        self.assertEqual(refusal["resource"], found["Bus"])
        self.assertEqual(refusal["principal"], f"arn:aws:iam::{ACCOUNT}:role/{found['Role']}")
        put_role_policy(found["Role"], "inline", allow("events:PutEvents", found["Bus"]))
        self.assertEqual(request(found["Api"], "POST", "/v1/events", {"n": 1})[0], 200)

    def test_role_may_be_limited_to_a_source(self) -> None:
        found = self.deployed()
        for source, expected in (("tandem.api", 200), ("tandem.other", 400)):
            limited = allow("events:PutEvents", found["Bus"])
            limited["Condition"] = {"StringEquals": {"events:source": source}}
            put_role_policy(found["Role"], "inline", limited)
            self.assertEqual(request(found["Api"], "POST", "/v1/events", {"n": 1})[0], expected)

    def test_role_must_trust_the_service(self) -> None:
        found = self.deployed()
        trusting = {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        client("iam").update_assume_role_policy(
            RoleName=found["Role"], PolicyDocument=json.dumps(document(trusting))
        )
        clear_denied()
        self.assertEqual(request(found["Api"], "POST", "/v1/events", {"n": 1})[0], 500)
        self.assertEqual(denied("sts:AssumeRole")[0]["principal"], "apigateway.amazonaws.com")

    def test_incomplete_integration_is_refused(self) -> None:
        name = unique("events")
        resources = self.resources(name, {"Source": "tandem.api"})
        with self.assertRaisesRegex(AssertionError, "Detail, DetailType"):
            deploy(name, resources)

    def test_settings_can_be_read_back(self) -> None:
        found = self.deployed()
        integration = client("apigatewayv2").get_integration(
            ApiId=found["Api"], IntegrationId=found["Integration"]
        )
        self.assertEqual(integration["IntegrationSubtype"], "EventBridge-PutEvents")
        self.assertTrue(integration["CredentialsArn"].endswith(found["Role"]))


if __name__ == "__main__":
    unittest.main()
