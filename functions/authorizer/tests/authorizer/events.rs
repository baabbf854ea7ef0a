//! What API Gateway asks and hears.

use crate::world::{Log, NOW, REQUEST_ID, RsaKey, SECRET, World, claims, secret_token, sign_by_secret};
use serde_json::{Value, json};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(crate) const STAGE: &str = "arn:aws:execute-api:us-west-2:000000000000:abc123/prod";

/// What an HTTP API with payload format 2.0 asks about a request with this `Authorization` header.
pub(crate) fn http_api(header: &str) -> Value {
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": format!("{STAGE}/POST/v1/events"),
        "identitySource": [header, "POST /v1/events"],
        "routeKey": "POST /v1/events",
        "rawPath": "/v1/events",
        "headers": { "authorization": header, "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST", "path": "/v1/events" }, "stage": "$default" },
    })
}

/// The same of a REST API that hands over the header's value only.
pub(crate) fn rest_token(header: &str, path: &str) -> Value {
    json!({ "type": "TOKEN", "methodArn": format!("{STAGE}/{path}"), "authorizationToken": header })
}

/// The same of a REST API that hands over the whole request.
pub(crate) fn rest_request(header: &str) -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": format!("{STAGE}/GET/orders"),
        "resource": "/orders",
        "path": "/orders",
        "httpMethod": "GET",
        "headers": { "Authorization": header, "Accept": "*/*" },
        "queryStringParameters": {},
        "requestContext": { "stage": "prod" },
    })
}

#[tokio::test]
async fn an_http_api_is_told_yes_and_who() {
    let world = World::new().await;
    let expected = json!({
        "isAuthorized": true,
        "context": { "userId": "user-1", "roles": "reader,writer", "tenantId": "tenant-1", "tokenExp": NOW + 3600 },
    });
    for token in [secret_token(SECRET), RsaKey::one().token(&world.issuer, "one")] {
        assert_eq!(world.handle(http_api(&bearer(&token))).await, Ok(expected.clone()));
    }
}

#[tokio::test]
async fn what_a_token_does_not_say_is_not_made_up() {
    let world = World::new().await;
    let mut claims = claims("tandem");
    for name in ["roles", "tenant_id"] {
        claims.as_object_mut().expect("an object").remove(name);
    }
    let token = sign_by_secret(&json!({ "alg": "HS256" }), &claims, SECRET.as_bytes());
    let expected = json!({ "userId": "user-1", "roles": "", "tokenExp": NOW + 3600 });
    assert_eq!(world.handle(http_api(&bearer(&token))).await.expect("an answer")["context"], expected);
}

#[tokio::test]
async fn an_http_api_is_told_no_and_nothing_else() {
    let world = World::new().await;
    let mut without = http_api("Bearer ");
    without["headers"].as_object_mut().expect("headers").remove("authorization");
    for refused in
        [http_api("Bearer a.b.c"), http_api(&bearer(&secret_token("a secret that somebody else made up"))), without]
    {
        assert_eq!(world.handle(refused).await, Ok(json!({ "isAuthorized": false })));
    }
}

#[tokio::test]
async fn an_http_api_may_want_a_policy() {
    let world = World::new().await;
    let policies = world.handler_with(&[("HTTP_ANSWER", "policy")]);
    let good = http_api(&bearer(&secret_token(SECRET)));
    let rest = world.handle(rest_token(&bearer(&secret_token(SECRET)), "POST/v1/events")).await;
    assert_eq!(World::handle_by(&policies, good).await, rest, "the same policy as a REST API's");
    let denied = World::handle_by(&policies, http_api("Bearer a.b.c")).await.expect("a policy");
    let expected = json!({
        "principalId": "nobody",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{ "Action": "execute-api:Invoke", "Effect": "Deny", "Resource": [format!("{STAGE}/*")] }],
        },
    });
    assert_eq!(denied, expected);
}

#[tokio::test]
async fn format_1_is_answered_like_a_rest_api() {
    let world = World::new().await;
    let mut event = rest_request(&bearer(&secret_token(SECRET)));
    let as_rest = world.handle(event.clone()).await;
    event["version"] = json!("1.0");
    event["authorizationToken"] = json!("Bearer a.b.c,GET /orders");
    assert_eq!(world.handle(event.clone()).await, as_rest);
    event["headers"]["Authorization"] = json!("Bearer a.b.c");
    assert_eq!(world.handle(event).await, Err("Unauthorized".to_owned()));
}

#[tokio::test]
async fn a_good_token_opens_only_what_its_roles_are_granted() {
    let world = World::new().await;
    let asked = |route: &str, roles: &[&str]| {
        let mut event = http_api(&bearer(&World::token_with(&json!({ "roles": roles }))));
        event["routeKey"] = json!(route);
        event
    };
    for (route, roles, expected) in [
        ("POST /v1/events", &[][..], true),
        ("GET /v1/orders/{id}", &["reader"], true),
        ("GET /v1/orders/{id}", &["writer"], false),
        ("DELETE /v1/admin/{proxy+}", &["admin"], true),
        ("DELETE /v1/admin/{proxy+}", &["reader"], false),
        ("GET /v1/unknown", &["admin"], false),
        ("$default", &["admin"], false),
    ] {
        let (answer, metrics) = world.handle_measured(asked(route, roles)).await;
        let answer = answer.expect("an answer, which is 403 and not 401 where it is no");
        assert_eq!(answer["isAuthorized"], expected, "{route} for {roles:?}");
        let outcome = if expected { "allowed" } else { "forbidden" };
        assert!(metrics.contains(&format!("\"outcome\":\"{outcome}\"")), "{metrics}");
    }
}

#[tokio::test]
async fn a_bad_token_is_answered_401_where_that_is_wanted() {
    let world = World::new().await;
    let handler = world.handler_with(&[("TOKEN_REFUSAL", "unauthorized")]);
    assert_eq!(World::handle_by(&handler, http_api("Bearer a.b.c")).await, Err("Unauthorized".to_owned()));
    let mut forbidden = http_api(&bearer(&secret_token(SECRET)));
    forbidden["routeKey"] = json!("GET /v1/admin/users");
    assert_eq!(
        World::handle_by(&handler, forbidden).await,
        Ok(json!({ "isAuthorized": false })),
        "who it is, is known"
    );
    world.secret.set_unreachable(true);
    let handler = world.handler_with(&[("TOKEN_REFUSAL", "unauthorized")]);
    let failure = World::handle_by(&handler, http_api(&bearer(&secret_token(SECRET)))).await.expect_err("no answer");
    assert_ne!(failure, "Unauthorized", "its own failure is 500");
}

#[tokio::test]
async fn a_rest_api_gets_one_policy_for_all_paths_of_the_caller() {
    let world = World::new().await;
    let token = secret_token(SECRET);
    let first = world.handle(rest_token(&bearer(&token), "GET/orders")).await.expect("a policy");
    let expected = json!({
        "principalId": "user-1",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{ "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": [
                format!("{STAGE}/POST/v1/events"), format!("{STAGE}/GET/v1/orders/*"),
            ] }],
        },
        "context": { "userId": "user-1", "roles": "reader,writer", "tenantId": "tenant-1", "tokenExp": NOW + 3600 },
    });
    assert_eq!(first, expected);
    assert_eq!(
        world.handle(rest_token(&bearer(&token), "POST/customers/7")).await,
        Ok(first.clone()),
        "it may be kept for another path"
    );
    assert_eq!(world.handle(rest_request(&bearer(&token))).await, Ok(first));
}

#[tokio::test]
async fn a_rest_api_is_told_unauthorized_letter_by_letter() {
    let world = World::new().await;
    let refused = secret_token("a secret that somebody else made up");
    for event in
        [rest_token(&bearer(&refused), "GET/orders"), rest_request(&bearer(&refused)), rest_token("", "GET/orders")]
    {
        assert_eq!(world.handle(event).await, Err("Unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn a_failure_of_its_own_is_neither_yes_nor_no() {
    let world = World::new().await;
    world.secret.set_unreachable(true);
    let token = secret_token(SECRET);
    for event in [http_api(&bearer(&token)), rest_token(&bearer(&token), "GET/orders"), rest_request(&bearer(&token))] {
        let error = world.handle(event).await.expect_err("no answer");
        assert!(error.contains("the secret could not be fetched"), "{error}");
    }
    for unknown in
        [json!({}), json!({ "version": "1.0" }), json!({ "methodArn": "nonsense", "authorizationToken": "x" })]
    {
        let error = world.handle(unknown).await.expect_err("no answer");
        assert!(error.contains("`methodArn`"), "{error}");
    }
}

#[tokio::test]
async fn a_failure_is_measured_at_once() {
    let world = World::new().await;
    world.secret.set_unreachable(true);
    for event in [http_api(&bearer(&secret_token(SECRET))), json!({ "version": "1.0" })] {
        let (answer, metrics) = world.handle_measured(event).await;
        assert!(answer.is_err());
        // Nobody else may come by to write it: during an outage each process may have only this one invocation.
        assert!(
            metrics.contains("\"outcome\":\"failed\"") && metrics.contains("\"authorizations_total\""),
            "{metrics}"
        );
        assert!(metrics.contains("\"kind\":\"invocation\""), "{metrics}");
    }
}

#[tokio::test]
async fn a_refusal_is_logged_with_its_reason_and_nothing_of_the_token() {
    let world = World::new().await;
    let log = Log::default();
    let token = secret_token("a secret that somebody else made up");
    {
        let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
        let _captured = tracing::subscriber::set_default(subscriber);
        world.handle(http_api(&bearer(&token))).await.expect("an answer");
    }
    let text = log.text();
    let line = text.lines().find(|line| line.contains("a request is refused")).expect("a line");
    let line: Value = serde_json::from_str(line).expect("JSON");
    let expected = json!({ "message": "a request is refused", "request_id": REQUEST_ID, "refusal": "wrong_signature" });
    assert_eq!((&line["level"], &line["fields"]), (&json!("INFO"), &expected));
    assert!(token.split('.').all(|part| !text.contains(part)) && !text.contains("user-1"), "{text}");
}

#[tokio::test]
async fn every_outcome_is_counted() {
    let world = World::new().await;
    let count = |outcome| telemetry::AUTHORIZATIONS_TOTAL.get(&[outcome]);
    let (allowed, refused) = (count("allowed"), count("too_large"));
    world.handle(http_api(&bearer(&secret_token(SECRET)))).await.expect("an answer");
    world.handle(http_api(&bearer(&"a".repeat(9000)))).await.expect("an answer");
    assert!(count("allowed") > allowed && count("too_large") > refused);
    assert!(telemetry::LAMBDA_INVOCATIONS_TOTAL.get(&["tandem-test-authorizer"]) >= 2);
}
