//! Policy documents: nothing is allowed by wildcard, by exclusion, to everybody, or to a service that acts for others.
//!
//! Statements that deny are free to be as broad as they like.

use serde_json::Value as Json;

use super::super::Context;
use super::super::documents::{Document, Kind, documents};
use super::super::evaluate::text;
use super::{ANY_RESOURCE, reasons, tell_reason};
use crate::check::Violation;
use crate::template::Declaration;

/// Condition keys that say on whose behalf a service acts.
const SOURCES: [&str; 4] = ["aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths"];
/// Condition keys that bind a use of a key to a resource or a caller of the account.
const KEY_SOURCES: [&str; 2] = ["kms:calleraccount", "kms:encryptioncontext:"];
/// Condition keys that narrow down "everybody".
const CALLERS: [&str; 10] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "kms:calleraccount",
];
/// Operators under which a missing key is no match, and which name what is wanted rather than what is not.
const DEMANDING: [&str; 6] =
    ["arnequals", "arnlike", "stringequals", "stringequalsignorecase", "stringlike", "foranyvalue:stringlike"];

/// Services that take only roles of the caller's own account, whom `iam:PassRole` has checked, and that name no source
/// when they take them. A condition would lock them out.
const WITHOUT_SOURCE: [(&str, &str); 4] = [
    ("apigateway.amazonaws.com", "an integration's credentials are a role of the API's account"),
    ("cloudformation.amazonaws.com", "a stack's role is of the stack's account"),
    ("ec2.amazonaws.com", "an instance profile holds a role of the instance's account"),
    (
        "lambda.amazonaws.com",
        "a function's role is of the function's account; Lambda states a source in the session only",
    ),
];
/// What a service may do with a key in nobody's name: it tells nothing of the data.
const HARMLESS: [&str; 1] = ["kms:DescribeKey"];

/// Every rule about policy documents.
pub(super) fn check(context: &Context<'_>, declaration: &Declaration, found: &mut Vec<Violation>) {
    let mut excused: Vec<String> = Vec::new();
    for document in documents(declaration) {
        if document.is_opaque() {
            found.push(
                Violation::new("iam-opaque", "the document is put together at deployment, so nobody can judge it")
                    .of(declaration)
                    .at(document.path.as_str())
                    .hint("write the document out, with intrinsics only inside"),
            );
        }
        let judge = Judge { context, declaration, document: &document };
        for (path, statement) in document.statements() {
            if statement["Effect"] == "Allow" {
                judge.exclusions(&path, statement, found);
                judge.actions(&path, statement, found);
                judge.resources(&path, statement, &mut excused, found);
                judge.principals(&path, statement, found);
            }
        }
    }
    for (sid, reason) in reasons(declaration, ANY_RESOURCE) {
        let needed = excused.iter().any(|one| one == sid);
        tell_reason(declaration, &format!("{ANY_RESOURCE}/{sid}"), reason, needed, found);
    }
}

struct Judge<'a> {
    context: &'a Context<'a>,
    declaration: &'a Declaration,
    document: &'a Document<'a>,
}

impl Judge<'_> {
    /// What is allowed by exclusion grows with every new action, resource and account.
    fn exclusions(&self, path: &str, statement: &Json, found: &mut Vec<Violation>) {
        for name in ["NotAction", "NotResource", "NotPrincipal"] {
            if statement.get(name).is_some() {
                let message = format!("{}allows everything but what `{name}` names", told(statement));
                found.push(self.violation("iam-not", message, &format!("{path}/{name}"), "name what is allowed"));
            }
        }
    }

    /// No statement allows all actions, nor all of a service: except an account that may administer its own key,
    /// and an endpoint, whose policy permits nothing by itself.
    fn actions(&self, path: &str, statement: &Json, found: &mut Vec<Violation>) {
        let own_key = self.document.kind == Kind::Key && self.names_the_account(&statement["Principal"]);
        if self.document.kind == Kind::Endpoint {
            return;
        }
        for action in values(&statement["Action"]).filter_map(Json::as_str) {
            let everything =
                action == "*" || action.split_once(':').is_some_and(|(_, name)| name.trim_matches('*').is_empty());
            if everything && !(own_key && action == "kms:*") {
                let message = format!("{}allows `{action}`", told(statement));
                let hint = "name the actions that are called, or a group such as `sqs:Get*`";
                found.push(self.violation("iam-action", message, &format!("{path}/Action"), hint));
            }
        }
    }

    /// A role's statement names its resources. Some actions know no resource; then a reason says so.
    fn resources(&self, path: &str, statement: &Json, excused: &mut Vec<String>, found: &mut Vec<Violation>) {
        if self.document.kind != Kind::Identity {
            return;
        }
        let region = self.context.region;
        let broad = values(&statement["Resource"]).map(|json| text(json, region)).find(|one| {
            let all_of_service = one.known.splitn(6, ':').nth(5) == Some("*");
            one.complete && (one.known == "*" || (one.known.starts_with("arn:") && all_of_service))
        });
        let Some(broad) = broad else { return };
        let sid = statement["Sid"].as_str().unwrap_or_default();
        if reasons(self.declaration, ANY_RESOURCE).any(|(name, _)| name == sid) {
            excused.push(sid.to_owned());
            return;
        }
        let message = format!("{}is about any resource, `{}`", told(statement), broad.known);
        let hint = format!(
            "name the resources; if the actions know none, say so in the metadata's `{ANY_RESOURCE}` under the statement's `Sid`"
        );
        found.push(self.violation("iam-resource", message, &format!("{path}/Resource"), &hint));
    }

    fn principals(&self, path: &str, statement: &Json, found: &mut Vec<Violation>) {
        let principal = &statement["Principal"];
        let path = format!("{path}/Principal");
        let everybody = *principal == "*" || values(&principal["AWS"]).any(|one| *one == "*");
        let narrowed = self.document.kind != Kind::Trust && self.demands(statement, &CALLERS);
        if everybody && !narrowed {
            let message = format!("{}is for everybody in every account", told(statement));
            let hint = "name the principal, or demand `aws:PrincipalAccount` or `aws:SourceArn` in a condition";
            found.push(self.violation("iam-open", message, &path, hint));
        }
        for service in values(&principal["Service"]) {
            self.service(&path, statement, &text(service, self.context.region).known, found);
        }
        let identities = values(&principal["Federated"]).map(|one| text(one, self.context.region).known);
        // SAML providers have neither key.
        if identities.into_iter().any(|one| !one.contains(":saml-provider/")) {
            self.federation(&path, statement, found);
        }
    }

    /// A service acts for every account: without a source, somebody else's resource could make it use this role or resource.
    fn service(&self, path: &str, statement: &Json, service: &str, found: &mut Vec<Violation>) {
        let exempt = match self.document.kind {
            Kind::Trust => WITHOUT_SOURCE.iter().any(|(name, _)| *name == service),
            Kind::Key => values(&statement["Action"]).all(|action| HARMLESS.iter().any(|name| action == name)),
            _ => false,
        };
        let named = self.demands(statement, &SOURCES)
            || (self.document.kind == Kind::Key && self.demands(statement, &KEY_SOURCES));
        if !exempt && !named {
            let message = format!("{}lets `{service}` act on behalf of anyone", told(statement));
            let hint = "demand `aws:SourceAccount` or `aws:SourceArn` in a condition (`StringEquals`, `ArnLike`)";
            found.push(self.violation("iam-source", message, path, hint));
        }
    }

    /// An identity provider serves many: the audience says for whom a token is, the subject who holds it.
    fn federation(&self, path: &str, statement: &Json, found: &mut Vec<Violation>) {
        for (ending, what) in [(":aud", "audience"), (":sub", "subject")] {
            let pinned = self.conditions(statement).any(|(key, values)| {
                key.ends_with(ending) && !values.is_empty() && values.iter().all(|value| pins(ending, value))
            });
            if !pinned {
                let message = format!("{}takes tokens of any {what}", told(statement));
                let hint =
                    format!("pin the token's `{}` in a condition; for GitHub `repo:<owner>/<name>:…`", &ending[1..]);
                found.push(self.violation("iam-federation", message, path, &hint));
            }
        }
    }

    /// Whether the statement demands one of the keys (a key that ends in `:` stands for all that begin so).
    fn demands(&self, statement: &Json, keys: &[&str]) -> bool {
        self.conditions(statement).any(|(key, values)| {
            let known = keys.iter().any(|known| key == *known || (known.ends_with(':') && key.starts_with(known)));
            known && !values.is_empty() && !values.iter().any(|value| value == "*")
        })
    }

    /// Keys in lower case with their values, of those conditions that demand something.
    fn conditions<'s>(&'s self, statement: &'s Json) -> impl Iterator<Item = (String, Vec<String>)> + 's {
        let operators = statement["Condition"].as_object().into_iter().flatten();
        let demanding = operators.filter(|(name, _)| DEMANDING.contains(&name.to_lowercase().as_str()));
        demanding.flat_map(|(_, keys)| keys.as_object().into_iter().flatten()).map(|(key, wanted)| {
            let shown = |value: &Json| {
                let text = text(value, self.context.region);
                // A value that isn't known yet is at least not everything.
                if text.complete { text.known } else { format!("{}<unknown>", text.known) }
            };
            (key.to_lowercase(), values(wanted).map(shown).collect())
        })
    }

    /// Whether a principal is the root of the stack's own account, which stands for the account's own policies.
    fn names_the_account(&self, principal: &Json) -> bool {
        let mut named = values(&principal["AWS"]).map(|one| text(one, self.context.region).known).peekable();
        let some = named.peek().is_some();
        let others = ["Service", "Federated", "CanonicalUser"].iter().any(|name| principal.get(name).is_some());
        some && !others && named.all(|arn| arn.ends_with(":root"))
    }

    fn violation(&self, rule: &'static str, message: String, path: &str, hint: &str) -> Violation {
        Violation::new(rule, message).of(self.declaration).at(path).hint(hint)
    }
}

/// A subject such as `repo:*` leaves open who it is; one such as `repo:owner/name:*` only what they build.
fn pins(ending: &str, value: &str) -> bool {
    let fixed = value.split('*').next().unwrap_or_default();
    match ending {
        ":aud" => !value.contains('*'),
        _ => !value.contains('*') || (fixed.matches(':').count() >= 2 && !fixed.ends_with("::")),
    }
}

/// One value, or each of a list.
fn values(json: &Json) -> impl Iterator<Item = &Json> {
    let (one, many) = match json {
        Json::Null => (None, None),
        Json::Array(items) => (None, Some(items)),
        other => (Some(other), None),
    };
    one.into_iter().chain(many.into_iter().flatten())
}

fn told(statement: &Json) -> String {
    statement["Sid"].as_str().map_or_else(|| "the statement ".to_owned(), |sid| format!("`{sid}` "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_subjects_start_after_who_it_is() {
        for (value, pinned) in [
            ("repo:example/tandem:ref:refs/heads/main", true),
            ("repo:example/tandem:*", true),
            ("system:serviceaccount:tandem:consumer", true),
            ("repo:example/*", false),
            ("repo:*", false),
            ("*", false),
        ] {
            assert_eq!(pins(":sub", value), pinned, "{value}");
        }
        assert!(pins(":aud", "sts.amazonaws.com"));
        assert!(!pins(":aud", "*"));
    }
}
