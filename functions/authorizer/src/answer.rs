//! What API Gateway wants to hear: yes or no about a route, or a policy over a stage.
//!
//! API Gateway keeps an answer for a token and gives it again to the token's next requests. So a yes is about the route alone
//! that is part of what it is kept by, and a policy names all routes that are open to the caller: one over the path that was
//! asked for would refuse the next path, and one over the whole stage would open what isn't the caller's.

use crate::claims::Caller;
use crate::event::Question;
use contracts::Grants;
use serde::Serialize;

/// The decision, as API Gateway reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Yes or no.
    #[serde(rename_all = "camelCase")]
    Simple {
        /// Whether the request goes on.
        is_authorized: bool,
        /// What a Lambda integration of the route is told. The integration that puts events onto the bus doesn't pass it on.
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<CallerContext>,
    },
    /// A policy over the stage.
    #[serde(rename_all = "camelCase")]
    Policy {
        /// Who makes the request.
        principal_id: String,
        /// What the caller may call.
        policy_document: PolicyDocument,
        /// What the method behind it is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<CallerContext>,
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

/// An IAM policy over a stage.
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
    resource: Vec<String>,
}

/// Who is said to ask when nobody is known.
const NOBODY: &str = "nobody";

impl Answer {
    /// What is open to `caller`: by the grants of the caller's roles, and nothing else.
    pub(crate) fn for_caller(caller: Caller, question: &Question, grants: &Grants) -> Self {
        match question {
            Question::Route(key) => {
                let is_authorized = grants.of_roles(&caller.roles).any(|grant| grant.covers_route(key));
                Self::Simple { is_authorized, context: is_authorized.then(|| caller.into()) }
            }
            Question::Stage(stage) => {
                let granted = grants.of_roles(&caller.roles);
                let resources: Vec<String> = granted.map(|grant| grant.resource(stage)).collect();
                let policy_document =
                    if resources.is_empty() { PolicyDocument::deny(stage) } else { PolicyDocument::allow(resources) };
                Self::Policy { principal_id: caller.user_id.clone(), policy_document, context: Some(caller.into()) }
            }
        }
    }

    /// Lets nobody pass.
    pub(crate) fn refuse(question: &Question) -> Self {
        match question {
            Question::Route(_) => Self::Simple { is_authorized: false, context: None },
            Question::Stage(stage) => Self::Policy {
                principal_id: NOBODY.to_owned(),
                policy_document: PolicyDocument::deny(stage),
                context: None,
            },
        }
    }

    /// Whether anything is open.
    pub(crate) fn allows(&self) -> bool {
        match self {
            Self::Simple { is_authorized, .. } => *is_authorized,
            Self::Policy { policy_document, .. } => policy_document.statement[0].effect == ALLOW,
        }
    }
}

const ALLOW: &str = "Allow";
const DENY: &str = "Deny";

impl PolicyDocument {
    fn allow(resources: Vec<String>) -> Self {
        Self::of(ALLOW, resources)
    }

    fn deny(stage: &str) -> Self {
        Self::of(DENY, vec![format!("{stage}/*")])
    }

    fn of(effect: &'static str, resource: Vec<String>) -> Self {
        Self { version: "2012-10-17", statement: [Statement { action: "execute-api:Invoke", effect, resource }] }
    }
}

impl From<Caller> for CallerContext {
    fn from(caller: Caller) -> Self {
        let Caller { user_id, roles, tenant_id, token_expiry } = caller;
        Self { user_id, roles: roles.join(","), tenant_id, token_exp: token_expiry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Setting;
    use serde_json::{Value, json};

    const STAGE: &str = "arn:aws:execute-api:us-west-2:000000000000:abc/prod";
    const GRANTS: &str = "POST /v1/events writer,admin;GET /v1/orders/* reader;GET /v1/me *";

    fn answer(roles: &[&str], question: &Question) -> Value {
        let caller = Caller {
            user_id: "u".to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            tenant_id: None,
            token_expiry: 5,
        };
        let grants = Grants::parse(GRANTS).expect("grants");
        serde_json::to_value(Answer::for_caller(caller, question, &grants)).expect("JSON")
    }

    #[test]
    fn a_route_is_open_to_the_roles_it_is_granted_to() {
        for (roles, route, expected) in [
            (&["writer"][..], "POST /v1/events", true),
            (&["admin"], "POST /v1/events", true),
            (&["reader"], "POST /v1/events", false),
            (&["reader", "writer"], "POST /v1/events", true),
            (&["reader"], "GET /v1/orders/{id}", true),
            (&[], "GET /v1/me", true),
            (&["admin"], "GET /v1/unknown", false),
            (&["admin"], "$default", false),
        ] {
            let answer = answer(roles, &Question::Route(route.to_owned()));
            assert_eq!(answer["isAuthorized"], expected, "{roles:?} on {route}");
            assert_eq!(answer.get("context").is_some(), expected, "nothing is told of whom nobody lets in");
        }
    }

    #[test]
    fn a_policy_names_the_routes_of_the_caller_and_no_other() {
        let policy = |roles: &[&str]| {
            answer(roles, &Question::Stage(STAGE.to_owned()))["policyDocument"]["Statement"][0].clone()
        };
        for (roles, expected) in [
            (&["reader"][..], &["GET/v1/orders/*", "GET/v1/me"][..]),
            (&["writer"], &["POST/v1/events", "GET/v1/me"]),
            (&[], &["GET/v1/me"]),
        ] {
            let resources: Vec<String> = expected.iter().map(|path| format!("{STAGE}/{path}")).collect();
            let expected = json!({ "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": resources });
            assert_eq!(policy(roles), expected);
        }
    }

    #[test]
    fn nothing_granted_is_everything_denied() {
        let grants = Grants::parse("POST /v1/events writer").expect("grants");
        let caller = Caller { user_id: "u".to_owned(), roles: Vec::new(), tenant_id: None, token_expiry: 5 };
        let question = Question::Stage(STAGE.to_owned());
        let denied = Answer::for_caller(caller, &question, &grants);
        assert!(!denied.allows());
        let denied = serde_json::to_value(denied).expect("JSON");
        let expected =
            json!([{ "Action": "execute-api:Invoke", "Effect": "Deny", "Resource": [format!("{STAGE}/*")] }]);
        assert_eq!(denied["policyDocument"]["Statement"], expected);
        assert_eq!(denied["principalId"], "u");
        let refused = serde_json::to_value(Answer::refuse(&question)).expect("JSON");
        assert_eq!(refused["policyDocument"]["Statement"], expected);
        assert_eq!((&refused["principalId"], refused.get("context")), (&json!("nobody"), None));
    }
}
