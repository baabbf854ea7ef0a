//! The API's routes, and what each leads to.

use cfn::apigatewayv2::{self, Integration, Route};
use cfn::{Handle, iam};
use events::raw;

use super::{function_arn, permit, place};
use crate::constructs::policy::Statement;
use crate::constructs::{Scope, accepted, bus, function, role};
use crate::environment::{DomainSettings, Program};

/// Method and path by which events come in.
pub(super) const EVENTS_METHOD: &str = "POST";
pub(super) const EVENTS_PATH: &str = "/v1/events";

/// Path of the health endpoint that people ask.
const HEALTH_PATH: &str = "/health";
const HEALTH_METHOD: &str = "GET";

/// Milliseconds for putting an event onto the bus, which takes some tens.
const PUBLISH_TIMEOUT: i64 = 10_000;
/// Milliseconds for the health endpoint, whose answer is ready: a cold start of its function included.
const HEALTH_TIMEOUT: i64 = 5_000;

/// Path of the health endpoint that only the checkers of Route 53 know, so that strangers can't use up what it takes.
pub(crate) fn checkers_path(domain: &DomainSettings) -> String {
    format!("{HEALTH_PATH}/{}", domain.health_key)
}

/// Key of the route that people ask, by which a stage knows it.
pub(super) fn health_route_key() -> String {
    health_key_of(HEALTH_PATH)
}

/// Key of the checkers' route, by which a stage knows it.
pub(super) fn checkers_route_key(domain: &DomainSettings) -> String {
    health_key_of(&checkers_path(domain))
}

fn health_key_of(path: &str) -> String {
    format!("{HEALTH_METHOD} {path}")
}

/// Events go to the region's bus with no code in between, so nothing has to be running to take them in.
///
/// The caller gets the bus's own answer: 200 also where the bus refused the event, because it is no JSON object or too
/// large. Then `FailedEntryCount` is 1 and the entry has an `ErrorCode`. What is in an event is judged later.
pub(super) fn events(
    scope: &mut Scope<'_>,
    api: &Handle<apigatewayv2::Api>,
    authorizer: &Handle<apigatewayv2::Authorizer>,
) -> Handle<Route> {
    let role = publisher(scope);
    let bus_name = bus::name(scope);
    let parameters = [
        ("Detail", "$request.body"),
        ("DetailType", raw::DETAIL_TYPE),
        ("EventBusName", bus_name.as_str()),
        ("Source", raw::SOURCE),
    ];
    let integration = Integration::new(api.reference(), "AWS_PROXY")
        .description("puts the request's body onto the region's bus")
        .integration_subtype("EventBridge-PutEvents")
        .credentials_arn(role.arn())
        .payload_format_version("1.0")
        .request_parameters(parameters)
        .timeout_in_millis(PUBLISH_TIMEOUT);
    let integration = scope.add("EventsIntegration", integration);
    scope.flow(place(scope.region), "publishes to", scope.place("event bus", bus::BUS));
    let route = Route::new(api.reference(), format!("{EVENTS_METHOD} {EVENTS_PATH}"))
        .authorization_type("CUSTOM")
        .authorizer_id(authorizer.reference())
        .target(target(&integration));
    scope.add("EventsRoute", route)
}

/// Whether the region is well, from what its health checker last saw: a route for people, and with a domain
/// one for the checkers of Route 53. Both give the same answer.
pub(super) fn health(scope: &mut Scope<'_>, api: &Handle<apigatewayv2::Api>) -> Vec<Handle<Route>> {
    let program = Program::HealthChecker;
    let integration = Integration::new(api.reference(), "AWS_PROXY")
        .description("answers whether the region is well")
        .integration_uri(function_arn(scope, program))
        .payload_format_version("2.0")
        .timeout_in_millis(HEALTH_TIMEOUT);
    let integration = scope.add("HealthIntegration", integration);
    scope.flow(place(scope.region), "asks for the region's health", function::place(scope, program.name()));
    let why = "whoever asks has no token, and the answer holds nothing of anybody's data";
    let mut routes = vec![("Health", HEALTH_PATH.to_owned())];
    routes.extend(scope.environment.domain().map(|domain| ("Checkers", checkers_path(domain))));
    let mut added = Vec::new();
    for (logical_id, path) in routes {
        // Any stage, which the API has one of.
        let source = format!("${{{}}}/*/{HEALTH_METHOD}{path}", api.logical_id());
        permit(scope, &format!("{logical_id}Permission"), program, &source);
        let route = Route::new(api.reference(), health_key_of(&path));
        let route = route.authorization_type("NONE").target(target(&integration));
        added.push(scope.add(&format!("{logical_id}Route"), accepted(route, &[("open-route", why)])));
    }
    added
}

/// The role as which the API puts raw events onto the region's bus.
fn publisher(scope: &mut Scope<'_>) -> Handle<iam::Role> {
    // API Gateway names no source when it takes a role, so a condition on one would lock it out. It takes only roles
    // that whoever set up the API was allowed to pass.
    let trust = Statement::allow("ApiGateway", ["sts:AssumeRole"], []).for_service("apigateway.amazonaws.com");
    let publish = Statement::allow("PublishRawEvents", ["events:PutEvents"], [bus::arn_in(scope, scope.region)])
        // Nothing that comes in here passes for another program's event. AWS always names the source; the local
        // platform never does.
        .when("StringEqualsIfExists", "events:source", raw::SOURCE)
        .because("the API puts what its clients send onto the region's bus");
    let description = format!("what the API may do in {} of {}", scope.region, scope.environment.environment_name());
    role::draft([trust], "publish", [publish]).with(|role| role.description(description)).add(scope, "PublisherRole")
}

fn target(integration: &Handle<Integration>) -> cfn::Value<String> {
    cfn::join("/", ["integrations".into(), cfn::Value::<String>::from(integration.reference())])
}
