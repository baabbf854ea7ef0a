//! What API Gateway asks and hears.

use crate::world::{Log, NOW, REQUEST_ID, RsaKey, SECRET, World, claims, secret_token, sign_by_secret};
use serde_json::{Value, json};

const STAGE: &str = "arn:aws:execute-api:us-west-2:000000000000:abc123/prod";

fn http_api(token: &str) -> Value {
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": format!("{STAGE}/POST/v1/events"),
        "identitySource": [format!("Bearer {token}"), "POST /v1/events"],
        "routeKey": "POST /v1/events",
        "rawPath": "/v1/events",
        "headers": { "authorization": format!("Bearer {token}"), "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST", "path": "/v1/events" }, "stage": "$default" },
    })
}

fn rest_token(token: &str, path: &str) -> Value {
    json!({ "type": "TOKEN", "methodArn": format!("{STAGE}/{path}"), "authorizationToken": format!("Bearer {token}") })
}

fn rest_request(token: &str) -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": format!("{STAGE}/GET/orders"),
        "resource": "/orders",
        "path": "/orders",
        "httpMethod": "GET",
        "headers": { "Authorization": format!("Bearer {token}"), "Accept": "*/*" },
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
        assert_eq!(world.handle(http_api(&token)).await, Ok(expected.clone()));
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
    assert_eq!(world.handle(http_api(&token)).await.expect("an answer")["context"], expected);
}

#[tokio::test]
async fn an_http_api_is_told_no_and_nothing_else() {
    let world = World::new().await;
    let mut without = http_api("");
    without["headers"].as_object_mut().expect("headers").remove("authorization");
    for refused in [http_api("a.b.c"), http_api(&secret_token("a secret that somebody else made up")), without] {
        assert_eq!(world.handle(refused).await, Ok(json!({ "isAuthorized": false })));
    }
}

#[tokio::test]
async fn a_rest_api_gets_one_policy_for_all_paths() {
    let world = World::new().await;
    let token = secret_token(SECRET);
    let first = world.handle(rest_token(&token, "GET/orders")).await.expect("a policy");
    let expected = json!({
        "principalId": "user-1",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{ "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": format!("{STAGE}/*") }],
        },
        "context": { "userId": "user-1", "roles": "reader,writer", "tenantId": "tenant-1", "tokenExp": NOW + 3600 },
    });
    assert_eq!(first, expected);
    assert_eq!(
        world.handle(rest_token(&token, "POST/customers/7")).await,
        Ok(first.clone()),
        "it may be kept for another path"
    );
    assert_eq!(world.handle(rest_request(&token)).await, Ok(first));
}

#[tokio::test]
async fn a_rest_api_is_told_unauthorized_letter_by_letter() {
    let world = World::new().await;
    let refused = secret_token("a secret that somebody else made up");
    for event in [rest_token(&refused, "GET/orders"), rest_request(&refused), rest_token("", "GET/orders")] {
        assert_eq!(world.handle(event).await, Err("Unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn a_failure_of_its_own_is_neither_yes_nor_no() {
    let world = World::new().await;
    world.secret.set_unreachable(true);
    let token = secret_token(SECRET);
    for event in [http_api(&token), rest_token(&token, "GET/orders"), rest_request(&token)] {
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
    for event in [http_api(&secret_token(SECRET)), json!({ "version": "1.0" })] {
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
        world.handle(http_api(&token)).await.expect("an answer");
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
    world.handle(http_api(&secret_token(SECRET))).await.expect("an answer");
    world.handle(http_api(&"a".repeat(9000))).await.expect("an answer");
    assert!(count("allowed") > allowed && count("too_large") > refused);
    assert!(telemetry::LAMBDA_INVOCATIONS_TOTAL.get(&["tandem-test-authorizer"]) >= 2);
}
