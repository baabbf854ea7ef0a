//! What API Gateway asks.
//!
//! Four kinds of events are understood: that of an HTTP API with payload format 2.0, that of one with format 1.0, and those of
//! a REST API's `TOKEN` and `REQUEST` authorizers
//! (API Gateway developer guides, "Lambda authorizers", read 2026-11). How they are answered is said elsewhere.

use crate::refusal::Refusal;
use contracts::HttpAnswer;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;

/// A request that API Gateway wants decided. Printing it doesn't show the token.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationRequest {
    version: Option<String>,
    /// `TOKEN` or `REQUEST`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// An HTTP API's route, such as `POST /v1/events`.
    route_key: Option<String>,
    /// What an HTTP API's request asks for, in format 2.0.
    route_arn: Option<String>,
    /// The same of a REST API and in format 1.0.
    method_arn: Option<String>,
    authorization_token: Option<String>,
    #[serde(default)]
    headers: Option<HashMap<String, String>>,
    /// A REST API's `REQUEST` event has each value here, and in `headers` only the last one of a name.
    #[serde(default)]
    multi_value_headers: Option<HashMap<String, Vec<String>>>,
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, kind, .. } = self;
        f.debug_struct("AuthorizationRequest").field("version", version).field("type", kind).finish_non_exhaustive()
    }
}

/// What an answer must say. It may be kept for the caller's next requests, so it never depends on more than is named here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether the caller may use the route with this key: yes or no.
    Route(String),
    /// What the caller may use of a stage, `arn:…:execute-api:<region>:<account>:<api>/<stage>`: a policy.
    Stage(String),
}

/// An event that is none of those understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event has neither `version` 2.0 with a route nor a `methodArn` of a stage with `type` TOKEN or REQUEST; use an authorizer of an HTTP API or of a REST API"
)]
pub struct UnknownEvent;

impl AuthorizationRequest {
    /// Whether it comes from an HTTP API with payload format 2.0.
    pub(crate) fn is_format_2(&self) -> bool {
        self.version.as_deref() == Some("2.0")
    }

    /// What is asked; `http_answer` is the form that an HTTP API with payload format 2.0 wants.
    pub(crate) fn question(&self, http_answer: HttpAnswer) -> Result<Question, UnknownEvent> {
        if !matches!(self.kind.as_deref(), Some("TOKEN" | "REQUEST")) {
            return Err(UnknownEvent);
        }
        match (self.is_format_2(), http_answer) {
            (true, HttpAnswer::Simple) => self.route_key.clone().map(Question::Route).ok_or(UnknownEvent),
            (true, HttpAnswer::Policy) => stage_of(self.route_arn.as_deref()),
            (false, _) => stage_of(self.method_arn.as_deref()),
        }
    }

    /// The text of the one `Authorization` header.
    pub(crate) fn authorization(&self) -> Result<&str, Refusal> {
        // In format 1.0 a `REQUEST` has such a field too: all its identity sources, joined by commas.
        if self.kind.as_deref() == Some("TOKEN") {
            return self.authorization_token.as_deref().ok_or(Refusal::NoToken);
        }
        let single: Vec<&String> = self.headers.iter().flatten().filter_map(of_authorization).collect();
        let multi: Vec<&String> =
            self.multi_value_headers.iter().flatten().filter_map(of_authorization).flatten().collect();
        match (&single[..], &multi[..]) {
            ([], []) => Err(Refusal::NoToken),
            ([value], []) | ([], [value]) => Ok(value),
            ([last], [value]) if last == value => Ok(value),
            // Which of them a service behind the API would believe isn't known.
            _ => Err(Refusal::Malformed),
        }
    }
}

/// What belongs to the `Authorization` header, whose name comes in any case.
fn of_authorization<'a, T>((name, value): (&'a String, &'a T)) -> Option<&'a T> {
    name.eq_ignore_ascii_case("authorization").then_some(value)
}

/// The stage in `arn:…:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>`.
fn stage_of(arn: Option<&str>) -> Result<Question, UnknownEvent> {
    let arn = arn.ok_or(UnknownEvent)?;
    let mut parts = arn.splitn(3, '/');
    let (Some(service), Some(stage), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(UnknownEvent);
    };
    let is_api = service.starts_with("arn:") && service.split(':').nth(2) == Some("execute-api");
    // A wildcard in a stage's name would be one in the policy.
    let is_stage = !stage.is_empty() && !stage.contains(['*', '?']);
    if is_api && is_stage { Ok(Question::Stage(format!("{service}/{stage}"))) } else { Err(UnknownEvent) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(event: Value) -> AuthorizationRequest {
        serde_json::from_value(event).expect("a request")
    }

    #[test]
    fn the_stage_is_asked_about_and_nothing_else() {
        let api = "arn:aws:execute-api:us-west-2:000000000000:abc";
        for path in ["GET/orders/1", "POST/", "GET/a/b/c"] {
            assert_eq!(stage_of(Some(&format!("{api}/prod/{path}"))), Ok(Question::Stage(format!("{api}/prod"))));
        }
        for bad in [
            "",
            "arn:aws:execute-api:us-west-2:0:abc",
            "arn:aws:execute-api:us-west-2:0:abc/prod",
            "arn:aws:s3:::bucket/prod/GET/",
            "abc/prod/GET/",
            &format!("{api}//GET/"),
            &format!("{api}/*/GET/"),
        ] {
            assert_eq!(stage_of(Some(bad)), Err(UnknownEvent), "{bad}");
        }
        assert_eq!(stage_of(None), Err(UnknownEvent));
    }

    #[test]
    fn the_kind_of_an_event_decides_what_is_asked() {
        let arn = "arn:aws:execute-api:us-west-2:0:abc/prod/GET/";
        let route = || Ok(Question::Route("GET /".to_owned()));
        let stage = || Ok(Question::Stage("arn:aws:execute-api:us-west-2:0:abc/prod".to_owned()));
        let format_2 = json!({ "version": "2.0", "type": "REQUEST", "routeKey": "GET /", "routeArn": arn });
        assert_eq!(request(format_2.clone()).question(HttpAnswer::Simple), route());
        assert_eq!(request(format_2).question(HttpAnswer::Policy), stage());
        for answer in [HttpAnswer::Simple, HttpAnswer::Policy] {
            for event in [
                json!({ "version": "1.0", "type": "REQUEST", "methodArn": arn }),
                json!({ "type": "REQUEST", "methodArn": arn }),
                json!({ "type": "TOKEN", "methodArn": arn }),
            ] {
                assert_eq!(request(event).question(answer), stage());
            }
            for event in [
                json!({}),
                json!({ "methodArn": arn }),
                json!({ "type": "OTHER", "methodArn": arn }),
                json!({ "version": "2.0", "type": "REQUEST", "methodArn": arn }),
                json!({ "version": "2.0", "routeKey": "GET /", "routeArn": arn }),
            ] {
                assert_eq!(request(event.clone()).question(answer), Err(UnknownEvent), "{event}");
            }
        }
    }

    #[test]
    fn a_token_is_where_its_kind_of_event_has_it() {
        let authorization = |event: Value| request(event).authorization().map(ToOwned::to_owned);
        let both = |kind: &str| json!({ "type": kind, "authorizationToken": "a", "headers": { "authorization": "b" } });
        assert_eq!(authorization(both("TOKEN")), Ok("a".to_owned()));
        assert_eq!(authorization(both("REQUEST")), Ok("b".to_owned()), "all identity sources are no token");
        assert_eq!(
            authorization(json!({ "type": "TOKEN", "authorizationToken": "t", "headers": null })),
            Ok("t".into())
        );
        let elsewhere = json!({ "type": "TOKEN", "headers": { "authorization": "b" } });
        assert_eq!(authorization(elsewhere), Err(Refusal::NoToken));
    }

    #[test]
    fn the_header_is_found_in_any_case_and_only_once() {
        let authorization = |event: Value| request(event).authorization().map(ToOwned::to_owned);
        for name in ["authorization", "Authorization", "AUTHORIZATION"] {
            assert_eq!(authorization(json!({ "headers": { name: "t" } })), Ok("t".to_owned()));
        }
        for none in [json!({}), json!({ "headers": null }), json!({ "headers": { "x-authorization": "t" } })] {
            assert_eq!(authorization(none), Err(Refusal::NoToken));
        }
        let two = json!({ "headers": { "authorization": "a", "Authorization": "b" } });
        assert_eq!(authorization(two), Err(Refusal::Malformed));
    }

    #[test]
    fn each_value_of_the_header_counts() {
        let authorization = |headers: Value, multi: Value| {
            let request = request(json!({ "headers": headers, "multiValueHeaders": multi }));
            request.authorization().map(ToOwned::to_owned)
        };
        let last = || json!({ "Authorization": "b", "accept": "*/*" });
        assert_eq!(authorization(last(), json!(null)), Ok("b".to_owned()));
        assert_eq!(authorization(last(), json!({ "authorization": ["b"], "accept": ["a", "b"] })), Ok("b".to_owned()));
        assert_eq!(authorization(json!(null), json!({ "AUTHORIZATION": ["b"] })), Ok("b".to_owned()));
        assert_eq!(authorization(json!({}), json!({ "Authorization": [] })), Err(Refusal::NoToken));
        for (headers, multi) in [
            (last(), json!({ "Authorization": ["a", "b"] })),
            (last(), json!({ "Authorization": ["b", "b"] })),
            (last(), json!({ "Authorization": ["b"], "authorization": ["a"] })),
            (last(), json!({ "Authorization": ["a"] })),
            (json!(null), json!({ "Authorization": ["a", "b"] })),
        ] {
            assert_eq!(authorization(headers, multi.clone()), Err(Refusal::Malformed), "{multi}");
        }
    }

    #[test]
    fn a_request_is_printed_without_its_token() {
        let event = json!({ "version": "2.0", "headers": { "authorization": "Bearer hidden" }, "authorizationToken": "hidden" });
        assert!(!format!("{:?}", request(event)).contains("hidden"));
    }
}
