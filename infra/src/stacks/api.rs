//! `api`: a region's HTTP API, by which events come in and the region's health is asked for.
//!
//! It runs no code of its own: the authorizer decides who may call, the health checker answers for the region, and events
//! go to the region's bus as they are. Which region a client reaches is decided by `routing`.
//!
//! What `POST /v1/events` promises: the answer is the bus's own, in the form of `PutEvents`, and its status says only that
//! the bus was asked. Clients must read `FailedEntryCount` in the body: 0 means that the event is on the bus, 1 that it was
//! refused, with the reason in `Entries[0].ErrorCode`, although the status is 200. Nothing keeps an event that was refused;
//! whoever sent it sends it again, or mends it first. An alarm tells when that happens, because a client that looks only
//! at the status loses its events without knowing.
//!
//! Health is asked on two routes with the same answer: `GET /health` is open to anybody, and `GET /health/<key>` is for the
//! checkers of Route 53, which strangers can't crowd out. The key opens nothing and is no secret in the strict sense: it
//! stands in the environment file, the templates and the access log.

mod domain;
#[cfg(test)]
pub(crate) mod fixtures;
mod routes;
mod stage;

use cfn::apigatewayv2::{self, api};
use cfn::{AnyFunction, Handle, Value, lambda};
use contracts::{Grant, Grants, HttpAnswer, Region, Setting};

use crate::constructs::queue::whole_seconds;
use crate::constructs::{Scope, function, key};
use crate::environment::{Environment, Program};
use crate::system::{Place, StackInstance, Subject};

pub(crate) use domain::{Name, of_region};
pub(crate) use routes::checkers_path;

/// The output with the API's id, by which CloudWatch knows it.
const ID_OUTPUT: &str = "ApiId";

/// The API's place in the diagram of flows: kind and name.
const PLACE: (&str, &str) = ("api", "api");

/// Seconds for which a browser remembers what it may send.
const PREFLIGHT_KEPT: i64 = 3600;

/// The form in which the authorizer answers: yes or no, for the route that is part of what an answer is kept by.
pub(crate) const ANSWER: HttpAnswer = HttpAnswer::Simple;

/// Which routes are open to whom. Where the environment says nothing, every good token opens the route for events.
pub(crate) fn grants(environment: &Environment) -> Grants {
    let events = format!("{} {} *", routes::EVENTS_METHOD, routes::EVENTS_PATH);
    match environment.api().grants.as_slice() {
        [] => Grants::new([Grant::parse(&events).expect("method, path and everybody are a grant")]),
        grants => Grants::new(grants.iter().cloned()),
    }
}

/// The stack of one region.
pub(crate) fn stack(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, "api", "HTTP API");
    let key = key::of_region(&mut scope, "KeyArn", region);
    // Its functions and the bus go by their names, so no reference says that they must be there.
    scope.after("events", region);

    let api = http_api(&mut scope);
    let authorizer = authorizer(&mut scope, &api);
    let mut routes = vec![routes::events(&mut scope, &api, &authorizer)];
    routes.extend(routes::health(&mut scope, &api));
    let stage = stage::add(&mut scope, &api, &routes, &key);
    if let Some(domain) = environment.domain() {
        domain::add(&mut scope, domain, &api, &stage);
    }
    scope.finish()
}

/// The API's place in `region`.
pub(crate) fn place(region: &Region) -> Place {
    let (kind, name) = PLACE;
    Place { kind, name: name.to_owned(), region: Some(region.clone()) }
}

fn http_api(scope: &mut Scope<'_>) -> Handle<apigatewayv2::Api> {
    let environment = scope.environment;
    // Clients that knew the API's own address would stay in a region that failed. The local platform has no DNS.
    let only_by_domain = environment.domain().is_some() && !environment.is_local();
    // The system's own name, `tandem-<environment>`: there is one API in a region.
    let name = format!("{}-{}", crate::environment::SYSTEM, environment.environment_name());
    let mut api = apigatewayv2::Api::new()
        .name(name.as_str())
        .description(format!("events and health of {}", environment.environment_name()))
        .protocol_type("HTTP")
        // Without it the names' AAAA records would lead nowhere.
        .ip_address_type("dualstack")
        .disable_execute_api_endpoint(only_by_domain);
    let origins = &environment.api().origins;
    if !origins.is_empty() {
        // No cookies: a page sends its token in a header, which no other site can make a browser do.
        let cors = api::Cors::new()
            .allow_origins(origins)
            .allow_methods(["POST"])
            .allow_headers(["authorization", "content-type"])
            .max_age(PREFLIGHT_KEPT);
        api = api.cors_configuration(cors);
    }
    let api = scope.add("Api", api);

    scope.output(ID_OUTPUT, "Id of the API", api.reference());
    scope.output("ApiEndpoint", "The API's own address; closed where a domain leads to it", api.api_endpoint());
    scope.watch(
        "Api",
        Subject::Api {
            api: name,
            id_output: ID_OUTPUT.to_owned(),
            stage: stage::NAME.to_owned(),
            method: routes::EVENTS_METHOD.to_owned(),
            path: routes::EVENTS_PATH.to_owned(),
        },
    );
    let clients = Place { kind: "client", name: "clients".to_owned(), region: None };
    scope.flow(clients, "call", place(scope.region));
    api
}

/// The function that says who may call, and for how long its answer holds.
fn authorizer(scope: &mut Scope<'_>, api: &Handle<apigatewayv2::Api>) -> Handle<apigatewayv2::Authorizer> {
    let program = Program::Authorizer;
    let function = function_arn(scope, program);
    let uri = cfn::sub_with(
        "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function}/invocations",
        [("Function", function)],
    );
    let declared = apigatewayv2::Authorizer::new(api.reference(), "REQUEST", scope.environment.name(program.name()))
        .authorizer_uri(uri)
        .authorizer_payload_format_version("2.0")
        .enable_simple_responses(ANSWER == HttpAnswer::Simple)
        // Both are the cache's key: an answer that was kept for one route doesn't open another. A request without a
        // token is refused before the function is asked.
        .identity_source(["$request.header.Authorization", "$context.routeKey"])
        .authorizer_result_ttl_in_seconds(whole_seconds(scope.environment.api().answer_kept));
    let authorizer = scope.add("Authorizer", declared);
    let source = format!("${{{}}}/authorizers/${{{}}}", api.logical_id(), authorizer.logical_id());
    permit(scope, "AuthorizerPermission", program, &source);
    scope.flow(place(scope.region), "asks who is calling", function::place(scope, program.name()));
    authorizer
}

/// Lets the API call a function, and nobody else's API: `source` is what follows the account in the caller's ARN.
#[track_caller]
fn permit(scope: &mut Scope<'_>, logical_id: &str, program: Program, source: &str) {
    // By name and not by ARN: it is a function of this region and account.
    let name: Value<AnyFunction> = Value::assume(scope.environment.name(program.name()));
    let permission = lambda::Permission::new("lambda:InvokeFunction", name, "apigateway.amazonaws.com")
        .source_account(cfn::pseudo::account_id())
        .source_arn(scope.arn_in(scope.region, "execute-api", source));
    scope.add(logical_id, permission);
}

/// The ARN of a function of the region's `events` stack.
fn function_arn(scope: &Scope<'_>, program: Program) -> Value<String> {
    scope.arn_in(scope.region, "lambda", &format!("function:{}", scope.environment.name(program.name())))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::system::StackId;

    fn home(environment: &Environment) -> Json {
        stack(environment, environment.primary()).template.to_json()
    }

    fn properties<'a>(template: &'a Json, logical_id: &str) -> &'a Json {
        let properties = &template["Resources"][logical_id]["Properties"];
        assert!(properties.is_object(), "there is no `{logical_id}`");
        properties
    }

    fn has_type(template: &Json, type_name: &str) -> bool {
        template["Resources"].as_object().expect("resources").values().any(|resource| resource["Type"] == type_name)
    }

    /// An answer that is kept for a token and a route must not open another route, nor to another token.
    #[test]
    fn answers_are_kept_for_one_token_and_one_route() {
        let template = home(&fixtures::staging());
        let authorizer = properties(&template, "Authorizer");
        assert_eq!(authorizer["IdentitySource"], json!(["$request.header.Authorization", "$context.routeKey"]));
        assert_eq!(authorizer["AuthorizerResultTtlInSeconds"], 60);
        assert_eq!(authorizer["AuthorizerPayloadFormatVersion"], "2.0");
        assert_eq!(authorizer["EnableSimpleResponses"], true);
    }

    /// A route that no grant names is there in vain: everybody is refused.
    #[test]
    fn every_guarded_route_is_granted_to_somebody() {
        for environment in [fixtures::staging(), fixtures::sandbox()] {
            let template = home(&environment);
            let routes = template["Resources"].as_object().expect("resources").values();
            let guarded = routes.filter(|resource| resource["Properties"]["AuthorizationType"] == "CUSTOM");
            let keys: Vec<&str> =
                guarded.map(|route| route["Properties"]["RouteKey"].as_str().expect("a key")).collect();
            assert_eq!(keys, ["POST /v1/events"]);
            let grants = grants(&environment);
            assert!(keys.iter().all(|key| grants.of_roles(&[]).any(|grant| grant.covers_route(key))));
            assert!(!grants.of_roles(&[]).any(|grant| grant.covers_route("POST /v1/something-else")));
        }
        let granted = grants(&fixtures::with_grants());
        let opens =
            |role: &str| granted.of_roles(&[role.to_owned()]).any(|grant| grant.covers_route("POST /v1/events"));
        assert!(opens("writer") && !opens("reader"), "what the environment says counts instead");
    }

    #[test]
    fn functions_are_called_by_this_api_only() {
        let environment = fixtures::staging();
        let template = home(&environment);
        let checkers = format!("${{Api}}/*/GET{}", checkers_path(environment.domain().expect("a domain")));
        let sources = [
            ("AuthorizerPermission", "tandem-staging-authorizer", "${Api}/authorizers/${Authorizer}"),
            ("HealthPermission", "tandem-staging-health-checker", "${Api}/*/GET/health"),
            ("CheckersPermission", "tandem-staging-health-checker", checkers.as_str()),
        ];
        let permissions = template["Resources"].as_object().expect("resources").values();
        let permissions = permissions.filter(|resource| resource["Type"] == "AWS::Lambda::Permission");
        assert_eq!(permissions.count(), sources.len());
        for (logical_id, function, source) in sources {
            let source = format!("arn:${{AWS::Partition}}:execute-api:us-west-2:${{AWS::AccountId}}:{source}");
            let expected = json!({
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": "apigateway.amazonaws.com",
                "SourceAccount": {"Ref": "AWS::AccountId"},
                "SourceArn": {"Fn::Sub": source},
            });
            assert_eq!(*properties(&template, logical_id), expected);
        }
    }

    /// Keys of the routes that anybody may ask, by logical id.
    fn open_routes(template: &Json) -> Vec<(&str, &str)> {
        let mut open = Vec::new();
        for (logical_id, resource) in template["Resources"].as_object().expect("resources") {
            if resource["Type"] == "AWS::ApiGatewayV2::Route" {
                let route = &resource["Properties"];
                match route["AuthorizationType"].as_str() {
                    Some("CUSTOM") => assert_eq!(route["AuthorizerId"], json!({"Ref": "Authorizer"})),
                    _ => open.push((logical_id.as_str(), route["RouteKey"].as_str().expect("a key"))),
                }
            }
        }
        open
    }

    #[test]
    fn only_health_is_told_without_a_token() {
        let environment = fixtures::staging();
        let checkers = format!("GET /health/{}", environment.domain().expect("a domain").health_key);
        let template = home(&environment);
        assert_eq!(open_routes(&template), [("CheckersRoute", checkers.as_str()), ("HealthRoute", "GET /health")]);
        // Without a domain there are no checkers.
        assert_eq!(open_routes(&home(&fixtures::without_domain())), [("HealthRoute", "GET /health")]);
    }

    #[test]
    fn events_go_to_the_regions_bus_as_raw_events() {
        let environment = fixtures::staging();
        for region in environment.regions() {
            let template = stack(&environment, region).template.to_json();
            let integration = properties(&template, "EventsIntegration");
            assert_eq!(integration["IntegrationSubtype"], "EventBridge-PutEvents");
            assert_eq!(integration["CredentialsArn"], json!({"Fn::GetAtt": ["PublisherRole", "Arn"]}));
            let parameters = json!({
                "Detail": "$request.body",
                "DetailType": events::raw::DETAIL_TYPE,
                "EventBusName": "tandem-staging-events",
                "Source": events::raw::SOURCE,
            });
            assert_eq!(integration["RequestParameters"], parameters);
            let policies = properties(&template, "PublisherRole")["Policies"].as_array().expect("policies");
            let [policy] = policies.as_slice() else { panic!("one policy and not {policies:?}") };
            let bus =
                format!("arn:${{AWS::Partition}}:events:{region}:${{AWS::AccountId}}:event-bus/tandem-staging-events");
            let statement = json!({
                "Sid": "PublishRawEvents",
                "Effect": "Allow",
                "Action": "events:PutEvents",
                "Resource": {"Fn::Sub": bus},
                "Condition": {"StringEqualsIfExists": {"events:source": events::raw::SOURCE}},
            });
            assert_eq!(policy["PolicyDocument"]["Statement"], json!([statement]));
        }
    }

    /// A route's own settings replace the stage's, so each of them must be said again.
    #[test]
    fn the_health_routes_have_all_settings_of_their_own() {
        let environment = fixtures::staging();
        let template = home(&environment);
        let stage = properties(&template, "Stage");
        assert_eq!(
            stage["DefaultRouteSettings"],
            json!({"DetailedMetricsEnabled": true, "ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 100})
        );
        let of_routes = stage["RouteSettings"].as_object().expect("settings of routes");
        let checkers = format!("GET {}", checkers_path(environment.domain().expect("a domain")));
        assert_eq!(of_routes.keys().collect::<Vec<_>>(), ["GET /health", checkers.as_str()]);
        let said = |settings: &Json| settings.as_object().expect("settings").keys().cloned().collect::<Vec<_>>();
        for settings in of_routes.values() {
            assert_eq!(said(settings), said(&stage["DefaultRouteSettings"]));
        }
        // 20 checkers ask every ten seconds.
        let for_checkers = of_routes[&checkers]["ThrottlingRateLimit"].as_u64().expect("a limit");
        assert!(for_checkers >= 4, "{for_checkers}");
        assert_eq!(stage["AutoDeploy"], true);
        assert_eq!(template["Resources"]["Stage"]["DependsOn"], json!(["CheckersRoute", "EventsRoute", "HealthRoute"]));
    }

    #[test]
    fn the_access_log_is_json_and_tells_no_person() {
        let template = home(&fixtures::staging());
        let format = properties(&template, "Stage")["AccessLogSettings"]["Format"].as_str().expect("a format");
        let fields: std::collections::BTreeMap<String, String> = serde_json::from_str(format).expect("JSON");
        for wanted in ["requestId", "routeKey", "status", "authorizerError", "integrationError", "latency"] {
            assert!(fields.contains_key(wanted), "{wanted}");
        }
        for (name, variable) in &fields {
            assert!(variable.starts_with("$context."), "{name}");
            let personal = ["identity", "authorizer.userId", "authorizer.claims", "path"];
            assert!(!personal.iter().any(|part| variable.contains(part)), "{name}");
        }
        assert!(!format.contains('\n'), "a record is one line");
        assert_eq!(properties(&template, "AccessLog")["RetentionInDays"], 30);
        assert_eq!(properties(&template, "AccessLog")["KmsKeyId"], json!({"Ref": "KeyArn"}));
    }

    #[test]
    fn on_aws_a_domain_closes_the_apis_own_address() {
        let cases = [
            (fixtures::staging(), true),
            // The local platform has no DNS.
            (fixtures::sandbox(), false),
            (fixtures::without_domain(), false),
        ];
        for (environment, closed) in cases {
            let template = home(&environment);
            assert_eq!(properties(&template, "Api")["DisableExecuteApiEndpoint"], closed);
            assert_eq!(has_type(&template, "AWS::ApiGatewayV2::DomainName"), environment.domain().is_some());
            assert_eq!(has_type(&template, "AWS::CertificateManager::Certificate"), environment.domain().is_some());
        }
    }

    #[test]
    fn each_region_answers_to_the_domain_and_to_its_own_name() {
        let environment = fixtures::three_regions();
        for region in environment.regions() {
            let template = stack(&environment, region).template.to_json();
            let own = format!("{region}.events.staging.example.com");
            let certificate = properties(&template, "Certificate");
            assert_eq!(certificate["DomainName"], "events.staging.example.com");
            assert_eq!(certificate["SubjectAlternativeNames"], json!([own]));
            for (logical_id, name) in [("Domain", "events.staging.example.com"), ("RegionDomain", own.as_str())] {
                let domain = properties(&template, logical_id);
                assert_eq!(domain["DomainName"], name);
                let configuration = json!([{
                    "CertificateArn": {"Ref": "Certificate"},
                    "EndpointType": "REGIONAL",
                    "IpAddressType": "dualstack",
                    "SecurityPolicy": "TLS_1_2",
                }]);
                assert_eq!(domain["DomainNameConfigurations"], configuration);
                let mapping = properties(&template, &format!("{logical_id}Mapping"));
                let whole = json!({
                    "ApiId": {"Ref": "Api"}, "DomainName": {"Ref": logical_id}, "Stage": {"Ref": "Stage"},
                });
                assert_eq!(*mapping, whole);
            }
            let proofs = certificate["DomainValidationOptions"].as_array().expect("proofs");
            assert!(proofs.iter().all(|proof| proof["HostedZoneId"] == "Z0000000000000EXAMPLE"));
            let proven: Vec<&Json> = proofs.iter().map(|proof| &proof["DomainName"]).collect();
            assert_eq!(proven, ["events.staging.example.com", own.as_str()]);
        }
    }

    #[test]
    fn browsers_may_call_from_the_named_origins_only() {
        assert!(properties(&home(&fixtures::staging()), "Api").get("CorsConfiguration").is_none());
        let template = home(&fixtures::with_origins());
        let expected = json!({
            "AllowHeaders": ["authorization", "content-type"],
            "AllowMethods": ["POST"],
            "AllowOrigins": ["https://app.example.com", "https://admin.example.com"],
            "MaxAge": 3600,
        });
        assert_eq!(properties(&template, "Api")["CorsConfiguration"], expected);
    }

    /// What is only named and not referred to must be there all the same, or calls fail until it is.
    #[test]
    fn its_functions_and_the_bus_are_there_first() {
        let environment = fixtures::staging();
        for region in environment.regions() {
            let events = StackId { name: "events", region: region.clone() };
            assert!(stack(&environment, region).depends_on.contains(&events));
            let template = crate::stacks::events::stack(&environment, region).template.to_json();
            for (logical_id, name) in
                [("Authorizer", "tandem-staging-authorizer"), ("HealthChecker", "tandem-staging-health-checker")]
            {
                assert_eq!(properties(&template, logical_id)["FunctionName"], name);
            }
            assert_eq!(properties(&template, "EventBus")["Name"], "tandem-staging-events");
        }
    }

    #[test]
    fn the_watch_names_an_output_and_a_route_that_exist() {
        let environment = fixtures::staging();
        let stack = stack(&environment, environment.primary());
        let template = stack.template.to_json();
        let [watch] = stack.watches.as_slice() else { panic!("one watch and not {:?}", stack.watches) };
        let Subject::Api { id_output, stage, method, path, .. } = &watch.subject else { panic!("{watch:?}") };
        assert_eq!(template["Outputs"][id_output]["Value"], json!({"Ref": "Api"}));
        assert_eq!(properties(&template, "Stage")["StageName"], stage.as_str());
        assert_eq!(properties(&template, "EventsRoute")["RouteKey"], format!("{method} {path}"));
    }

    #[test]
    fn nothing_is_wrong_with_any_environment() {
        for environment in [
            fixtures::sandbox(),
            fixtures::staging(),
            fixtures::three_regions(),
            fixtures::without_domain(),
            fixtures::with_origins(),
        ] {
            for region in environment.regions() {
                let stack = stack(&environment, region);
                let mut violations = cfn::check(&stack.template, region.as_str());
                violations.extend(cfn::policy(&stack.template, region.as_str()));
                assert!(violations.is_empty() && stack.mistakes.is_empty(), "{violations:#?} {:?}", stack.mistakes);
            }
        }
    }
}
