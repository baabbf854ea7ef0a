//! HTTP APIs: who is asked, for how long an answer holds, what is written down.
//!
//! Source: the API Gateway developer guide on Lambda authorizers and stages of HTTP APIs.

use serde_json::Value as Json;

use super::super::select::places;
use super::super::{Context, items, property};
use crate::check::Violation;
use crate::template::Declaration;

/// Seconds that an answer is kept where nothing is said and something identifies the caller.
const DEFAULT_CACHE: i64 = 300;
/// Names the route in the cache's key.
const ROUTE: &str = "$context.routeKey";
const MODERN_TLS: &str = "TLS_1_";

/// A cached answer is looked up by the identity sources: without the route, what opened one opens all.
pub(super) fn cached_answers_are_for_one_route(_: &Context<'_>, authorizer: &Declaration, found: &mut Vec<Violation>) {
    if property(authorizer, "AuthorizerType").and_then(Json::as_str) != Some("REQUEST") {
        return;
    }
    let seconds = property(authorizer, "AuthorizerResultTtlInSeconds").map_or(Some(DEFAULT_CACHE), Json::as_i64);
    let by_route = items(authorizer, "IdentitySource").iter().any(|source| source == ROUTE);
    if seconds != Some(0) && !by_route {
        found.push(
            Violation::new("authorizer-cache", "keeps its answers without telling routes apart")
                .of(authorizer)
                .at("IdentitySource")
                .hint(format!("add `{ROUTE}`, or set `AuthorizerResultTtlInSeconds` to 0")),
        );
    }
}

/// A stage that isn't deployed by itself goes stale; one without log and throttle can't be explained or held back.
pub(super) fn stages_deploy_log_and_throttle(_: &Context<'_>, stage: &Declaration, found: &mut Vec<Violation>) {
    let mut want = |path: &str, message: &str, hint: &str| {
        found.push(Violation::new("api-stage", message).of(stage).at(path).hint(hint));
    };
    if property(stage, "AutoDeploy").is_none_or(|value| *value == false) {
        want("AutoDeploy", "does not deploy by itself, so changed routes stay unseen", "set it to `true`");
    }
    for part in ["DestinationArn", "Format"] {
        let path = format!("AccessLogSettings/{part}");
        if property(stage, &path).is_none() {
            want(&path, "writes no access log", "name a log group and a format with `$context.requestId`");
        }
    }
    for part in ["ThrottlingBurstLimit", "ThrottlingRateLimit"] {
        let path = format!("DefaultRouteSettings/{part}");
        if property(stage, &path).is_none() {
            want(&path, "does not throttle, so one caller can use up the account", "set rate and burst");
        }
    }
}

/// TLS 1.0 is what a domain speaks where nothing is said.
pub(super) fn domains_speak_modern_tls(_: &Context<'_>, domain: &Declaration, found: &mut Vec<Violation>) {
    for (path, policy) in places(domain, "DomainNameConfigurations/*/SecurityPolicy") {
        let modern = match policy {
            Some(Json::String(policy)) => policy.starts_with(MODERN_TLS) && policy != "TLS_1_0",
            Some(_) => true,
            None => false,
        };
        if !modern {
            found.push(
                Violation::new("api-tls", "does not demand TLS 1.2").of(domain).at(path).hint("set it to `TLS_1_2`"),
            );
        }
    }
}

/// A route without authorization is open to everybody who knows its address.
pub(super) fn routes_ask_who_is_calling(_: &Context<'_>, route: &Declaration, found: &mut Vec<Violation>) {
    let kind = property(route, "AuthorizationType");
    if kind.is_none_or(|kind| kind == "NONE") {
        found.push(
            Violation::new("open-route", "answers anybody")
                .of(route)
                .at("AuthorizationType")
                .hint("set an authorizer, or accept `open-route` in the metadata with the reason"),
        );
    }
}
