//! The API's only stage: how much it takes, and what it writes down.

use std::collections::BTreeMap;

use cfn::apigatewayv2::stage::{AccessLogSettings, RouteSettings};
use cfn::apigatewayv2::{self, Route, Stage};
use cfn::{Arn, Declared, Handle, Value, kms, logs};
use serde_json::{Map, Value as Json, json};

use super::routes;
use crate::constructs::{Scope, stateful};

/// The stage that needs no part of the path.
pub(super) const NAME: &str = "$default";

/// Requests a second, and at once, on the open health route of a region, for people.
///
/// Anybody can use them up; then people get 429 and nothing else suffers.
const PEOPLE_RATE: u32 = 10;

/// Requests a second, and at once, on the checkers' route.
///
/// Some twenty checkers ask every ten seconds, so it is ten times what they need. Neither clients nor those who ask the
/// open route share it, because strangers don't know its path.
const CHECKERS_RATE: u32 = 20;

/// Fields of the access log. Neither token nor body, and nothing that tells a person.
const FIELDS: [(&str, &str); 14] = [
    ("authorizerError", "$context.authorizer.error"),
    ("domainName", "$context.domainName"),
    ("errorMessage", "$context.error.message"),
    ("errorType", "$context.error.responseType"),
    ("integrationError", "$context.integrationErrorMessage"),
    ("integrationLatency", "$context.integrationLatency"),
    ("integrationStatus", "$context.integrationStatus"),
    ("latency", "$context.responseLatency"),
    ("requestId", "$context.requestId"),
    ("requestTime", "$context.requestTime"),
    ("responseLength", "$context.responseLength"),
    ("routeKey", "$context.routeKey"),
    ("status", "$context.status"),
    // The authorizer's word for whose token it was: an organisation, not a person.
    ("tenantId", "$context.authorizer.tenantId"),
];

/// Adds the stage, after `routes`: it names one of them, and API Gateway refuses a name that it doesn't know yet.
pub(super) fn add(
    scope: &mut Scope<'_>,
    api: &Handle<apigatewayv2::Api>,
    routes: &[Handle<Route>],
    key: &Value<Arn<kms::Key>>,
) -> Handle<Stage> {
    let log = access_log(scope, key);
    let settings = scope.environment.api();
    // Metrics of each route, because a 503 of the health endpoint is an answer and one of the other route a failure.
    let every_route = RouteSettings::new()
        .detailed_metrics_enabled(true)
        .throttling_burst_limit(settings.burst)
        .throttling_rate_limit(settings.rate);
    let mut of_routes = Map::new();
    of_routes.insert(routes::health_route_key(), limited_to(PEOPLE_RATE));
    if let Some(domain) = scope.environment.domain() {
        of_routes.insert(routes::checkers_route_key(domain), limited_to(CHECKERS_RATE));
    }
    let stage = Stage::new(api.reference(), NAME)
        .auto_deploy(true)
        .access_log_settings(AccessLogSettings::new().destination_arn(log.arn()).format(log_format()))
        .default_route_settings(every_route)
        .route_settings(Json::Object(of_routes));
    let stage = routes.iter().fold(Declared::from(stage), Declared::depends_on);
    scope.add("Stage", stage)
}

/// Settings of a route of its own, which replace all of the stage's.
fn limited_to(rate: u32) -> Json {
    json!({"DetailedMetricsEnabled": true, "ThrottlingBurstLimit": rate, "ThrottlingRateLimit": rate})
}

/// The prefix is AWS's for logs that services deliver: its permission to write covers all of them at once, instead of
/// growing by each log group up to a limit.
fn access_log(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) -> Handle<logs::LogGroup> {
    let name = format!("/aws/vendedlogs/tandem/{}/api", scope.environment.environment_name());
    let retention = scope.environment.logs().retention.days();
    let group = logs::LogGroup::new().log_group_name(name).retention_in_days(retention).kms_key_id(key);
    scope.add("AccessLog", stateful(group))
}

/// One line of JSON. Everything is text, because a field that a request doesn't have is written as `-`.
fn log_format() -> String {
    json!(BTreeMap::from(FIELDS)).to_string()
}
