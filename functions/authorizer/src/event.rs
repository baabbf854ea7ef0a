//! What API Gateway asks and what it wants to hear.
//!
//! Three kinds of events are understood: that of an HTTP API (payload format 2.0), and those of a REST API's `TOKEN` and
//! `REQUEST` authorizers. The first is answered by yes or no, the others by a policy
//! (API Gateway developer guides, "Lambda authorizers", read 2026-11).

use crate::refusal::Refusal;
use crate::token::Caller;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// A request that API Gateway wants decided. Printing it doesn't show the token.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationRequest {
    version: Option<String>,
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
        f.debug_struct("AuthorizationRequest").field("version", &self.version).finish_non_exhaustive()
    }
}

/// In which form an answer is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Yes or no.
    Simple,
    /// A policy over these resources.
    Policy { resources: String },
}

/// An event that is none of those understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event has neither `version` 2.0 nor a `methodArn` of a stage; use an authorizer of an HTTP API with payload format 2.0 or of a REST API"
)]
pub struct UnknownEvent;

impl AuthorizationRequest {
    pub(crate) fn form(&self) -> Result<Form, UnknownEvent> {
        if self.version.as_deref() == Some("2.0") {
            return Ok(Form::Simple);
        }
        let resources = self.method_arn.as_deref().and_then(whole_stage).ok_or(UnknownEvent)?;
        Ok(Form::Policy { resources })
    }

    /// The text of the one `Authorization` header.
    pub(crate) fn authorization(&self) -> Result<&str, Refusal> {
        if let Some(token) = &self.authorization_token {
            return Ok(token);
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

/// All methods and paths of the stage in `arn:…:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>`.
///
/// API Gateway keeps a policy for a token and applies it to the token's next requests, whatever their path.
/// A policy over the one path that was asked for would refuse those.
fn whole_stage(method_arn: &str) -> Option<String> {
    let (service, path) = method_arn.split_once('/')?;
    let (stage, _) = path.split_once('/')?;
    let is_api = service.starts_with("arn:") && service.split(':').nth(2) == Some("execute-api");
    (is_api && !stage.is_empty()).then(|| format!("{service}/{stage}/*"))
}

/// The decision, as API Gateway reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// For an HTTP API.
    #[serde(rename_all = "camelCase")]
    Simple {
        /// Whether the request goes on.
        is_authorized: bool,
        /// What a Lambda integration of the route is told. The integration that puts events onto the bus doesn't pass it on.
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<CallerContext>,
    },
    /// For a REST API: only ever permission, as a refusal is an error there.
    #[serde(rename_all = "camelCase")]
    Policy {
        /// Who makes the request.
        principal_id: String,
        /// What the caller may call.
        policy_document: PolicyDocument,
        /// What the method behind it is told.
        context: CallerContext,
    },
}

/// What Lambda integrations get to know about the caller: texts and numbers only, as API Gateway demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerContext {
    user_id: String,
    /// Joined by commas; empty when there are none.
    roles: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    token_exp: u64,
}

/// An IAM policy that allows calls to a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: String,
}

impl Answer {
    /// Lets `caller` pass.
    pub(crate) fn allow(caller: Caller, form: Form) -> Self {
        let context = CallerContext {
            user_id: caller.user_id.clone(),
            roles: caller.roles.join(","),
            tenant_id: caller.tenant_id,
            token_exp: caller.token_expiry,
        };
        match form {
            Form::Simple => Self::Simple { is_authorized: true, context: Some(context) },
            Form::Policy { resources } => {
                let statement = Statement { action: "execute-api:Invoke", effect: "Allow", resource: resources };
                let policy_document = PolicyDocument { version: "2012-10-17", statement: [statement] };
                Self::Policy { principal_id: caller.user_id, policy_document, context }
            }
        }
    }

    /// Lets nobody pass.
    pub(crate) fn refuse() -> Self {
        Self::Simple { is_authorized: false, context: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_covers_the_whole_stage_and_nothing_else() {
        let api = "arn:aws:execute-api:us-west-2:000000000000:abc";
        for path in ["GET/orders/1", "POST/", "GET/a/b/c"] {
            assert_eq!(whole_stage(&format!("{api}/prod/{path}")), Some(format!("{api}/prod/*")));
        }
        for bad in [
            "",
            "arn:aws:execute-api:us-west-2:0:abc",
            "arn:aws:s3:::bucket/prod/GET/",
            "abc/prod/GET/",
            &format!("{api}//GET/"),
        ] {
            assert_eq!(whole_stage(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_header_is_found_in_any_case_and_only_once() {
        let authorization = |event: serde_json::Value| {
            let request: AuthorizationRequest = serde_json::from_value(event).expect("a request");
            request.authorization().map(ToOwned::to_owned)
        };
        for name in ["authorization", "Authorization", "AUTHORIZATION"] {
            assert_eq!(authorization(json!({ "headers": { name: "t" } })), Ok("t".to_owned()));
        }
        assert_eq!(authorization(json!({ "authorizationToken": "t", "headers": null })), Ok("t".to_owned()));
        for none in [json!({}), json!({ "headers": null }), json!({ "headers": { "x-authorization": "t" } })] {
            assert_eq!(authorization(none), Err(Refusal::NoToken));
        }
        let two = json!({ "headers": { "authorization": "a", "Authorization": "b" } });
        assert_eq!(authorization(two), Err(Refusal::Malformed));
    }

    #[test]
    fn each_value_of_the_header_counts() {
        let authorization = |headers: serde_json::Value, multi: serde_json::Value| {
            let event = json!({ "headers": headers, "multiValueHeaders": multi });
            let request: AuthorizationRequest = serde_json::from_value(event).expect("a request");
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
        let request: AuthorizationRequest = serde_json::from_value(event).expect("a request");
        assert!(!format!("{request:?}").contains("hidden"));
    }
}
