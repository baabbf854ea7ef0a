//! Policy documents: nothing is allowed by wildcard, by exclusion, to everybody, or to a service that acts for others.
//!
//! Statements that deny are free to be as broad as they like.

use serde_json::Value as Json;

use super::super::Context;
use super::super::documents::{Document, Kind, documents};
use super::super::evaluate::{ACCOUNT, Text, text};
use super::source::{foreign_account, names_somebody};
use super::{ANY_RESOURCE, reasons, tell_reason};
use crate::check::Violation;
use crate::intrinsic::is_intrinsic;
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

/// Services that take only roles of the caller's own account, whom `iam:PassRole` has checked, and of which no document
/// says that they name a source when they take them. A condition might lock them out.
const WITHOUT_SOURCE: [(&str, &str); 4] = [
    ("apigateway.amazonaws.com", "an integration's credentials are a role of the API's account"),
    ("cloudformation.amazonaws.com", "a stack's role is of the stack's account, and is handed over with the stack"),
    ("ec2.amazonaws.com", "an instance profile holds a role of the instance's account"),
    (
        "lambda.amazonaws.com",
        "a function's role is of the function's account; Lambda states a source in the session only",
    ),
];
/// What a service may do with a key in nobody's name: it tells nothing of the data.
const HARMLESS: [&str; 1] = ["kms:DescribeKey"];
const WILDCARDS: [char; 2] = ['*', '?'];
const PASS_ROLE: &str = "iam:PassRole";
/// Condition key that says which service gets the role.
const PASSED_TO: &str = "iam:passedtoservice";
/// How subjects of Kubernetes begin.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// Services whose ARNs have no type before the name.
const WITHOUT_TYPE: [&str; 4] = ["execute-api", "s3", "sns", "sqs"];
/// Services whose names hold slashes, so that what comes after the first one still says which thing is meant.
const WITH_PATHS: [&str; 5] = ["ecr", "iam", "logs", "secretsmanager", "ssm"];

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
            if is_intrinsic(statement) && !document.is_opaque() {
                found.push(judge.opaque("the statement", &path));
            }
            // What isn't known to deny may allow.
            if statement["Effect"] != "Deny" && !is_intrinsic(statement) {
                judge.exclusions(&path, statement, found);
                judge.actions(&path, statement, found);
                judge.passed_roles(&path, statement, found);
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
        for action in values(&statement["Action"]) {
            let action = text(action, self.context.region);
            if !action.complete {
                found.push(self.opaque("an action", &format!("{path}/Action")));
            }
            if allows_everything(&action.known) && !(own_key && action.known == "kms:*") {
                let message = format!("{}allows `{}`", told(statement), action.known);
                let hint = "name the actions that are called, or a group such as `sqs:Get*`";
                found.push(self.violation("iam-action", message, &format!("{path}/Action"), hint));
            }
        }
    }

    /// Whoever passes a role to a service can do what the role can: so it says which roles, and to which services.
    fn passed_roles(&self, path: &str, statement: &Json, found: &mut Vec<Violation>) {
        let region = self.context.region;
        let passes = values(&statement["Action"]).any(|action| matches_action(&text(action, region).known, PASS_ROLE));
        if self.document.kind != Kind::Identity || !passes {
            return;
        }
        if let Some(broad) = values(&statement["Resource"]).map(|one| text(one, region)).find(|one| !names_roles(one)) {
            let message = format!("{}passes any role, `{}`", told(statement), broad.known);
            let hint = "name the roles, or write what their names begin with up to a `-`, `_` or `/`";
            found.push(self.violation("iam-pass-role", message, &format!("{path}/Resource"), hint));
        }
        let to_services = self.conditions(statement).any(|(key, values)| {
            key == PASSED_TO && !values.is_empty() && values.iter().all(|value| !value.known.contains(WILDCARDS))
        });
        if !to_services {
            let message = format!("{}passes roles to any service", told(statement));
            let hint = "demand `iam:PassedToService` in a condition (`StringEquals`)";
            found.push(self.violation("iam-pass-role", message, &format!("{path}/Condition"), hint));
        }
    }

    /// A role's statement names its resources. Some actions know no resource; then a reason says so.
    fn resources(&self, path: &str, statement: &Json, excused: &mut Vec<String>, found: &mut Vec<Violation>) {
        if self.document.kind != Kind::Identity {
            return;
        }
        let region = self.context.region;
        let broad = values(&statement["Resource"])
            .map(|json| text(json, region))
            .find(|one| one.complete && is_broad(&one.known));
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
        let region = self.context.region;
        let accounts: Vec<Text> = values(&principal["AWS"]).map(|one| text(one, region)).collect();
        let everybody = text(principal, region).known == "*" || accounts.iter().any(|one| one.known == "*");
        let narrowed = self.document.kind != Kind::Trust && self.demands(statement, &CALLERS);
        if everybody && !narrowed {
            let message = format!("{}is for everybody in every account", told(statement));
            let hint = "name the principal, or demand `aws:PrincipalAccount` or `aws:SourceArn` in a condition";
            found.push(self.violation("iam-open", message, &path, hint));
        }
        for account in accounts.iter().filter_map(|one| foreign_account(&one.known)) {
            let message = format!("{}is for account {account}, which decides there who may", told(statement));
            let hint = "name a principal of the own account, or accept `iam-foreign` in the metadata with the reason";
            found.push(self.violation("iam-foreign", message, &path, hint));
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
                key.ends_with(ending) && !values.is_empty() && values.iter().all(|value| pins(ending, &value.known))
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
            known && !values.is_empty() && values.iter().all(names_somebody)
        })
    }

    /// Keys in lower case with their values, of those conditions that demand something.
    fn conditions<'s>(&'s self, statement: &'s Json) -> impl Iterator<Item = (String, Vec<Text>)> + 's {
        let operators = statement["Condition"].as_object().into_iter().flatten();
        let demanding = operators.filter(|(name, _)| DEMANDING.contains(&name.to_lowercase().as_str()));
        demanding.flat_map(|(_, keys)| keys.as_object().into_iter().flatten()).map(|(key, wanted)| {
            (key.to_lowercase(), values(wanted).map(|value| text(value, self.context.region)).collect())
        })
    }

    /// Whether a principal is the root of the stack's own account, which stands for the account's own policies.
    fn names_the_account(&self, principal: &Json) -> bool {
        let mut named = values(&principal["AWS"]).map(|one| text(one, self.context.region)).peekable();
        let some = named.peek().is_some();
        let others = ["Service", "Federated", "CanonicalUser"].iter().any(|name| principal.get(name).is_some());
        some && !others && named.all(|one| one.complete && is_own_root(&one.known))
    }

    /// What can't be judged because it is put together at deployment.
    fn opaque(&self, what: &str, path: &str) -> Violation {
        let message = format!("{what} is put together at deployment, so nobody can judge it");
        self.violation("iam-opaque", message, path, "write it out; pseudo parameters in texts are fine")
    }

    fn violation(&self, rule: &'static str, message: String, path: &str, hint: &str) -> Violation {
        Violation::new(rule, message).of(self.declaration).at(path).hint(hint)
    }
}

/// The root of the stack's own account, as an ARN or as the account's id.
fn is_own_root(principal: &str) -> bool {
    let mut parts = principal.split(':');
    let root = parts.next() == Some("arn") && parts.nth(1) == Some("iam") && parts.nth(1) == Some(ACCOUNT);
    principal == ACCOUNT || (root && parts.next() == Some("root") && parts.next().is_none())
}

/// `*`, all of a service, or a service that isn't said.
fn allows_everything(action: &str) -> bool {
    match action.split_once(':') {
        Some((service, name)) => {
            service.contains(WILDCARDS) || (!name.is_empty() && name.trim_matches(WILDCARDS).is_empty())
        }
        None => action.contains(WILDCARDS),
    }
}

/// Whether an action with wildcards covers another one, whatever the case of the letters.
fn matches_action(pattern: &str, action: &str) -> bool {
    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => fits(rest, text) || (!text.is_empty() && fits(pattern, &text[1..])),
            ([b'?', rest @ ..], [_, text @ ..]) => fits(rest, text),
            ([one, rest @ ..], [other, text @ ..]) => one.eq_ignore_ascii_case(other) && fits(rest, text),
            _ => false,
        }
    }
    fits(pattern.as_bytes(), action.as_bytes())
}

/// Whether an ARN leaves open which thing of its service is meant: `*`, `role/*`, `function:**`.
///
/// The name comes after the type. Where there is no type the name comes first, and the rest is inside of the thing.
pub fn is_broad(arn: &str) -> bool {
    let wild = |name: &str| !name.is_empty() && name.trim_matches(WILDCARDS).is_empty();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, service, _, account, resource] = parts.as_slice() else { return arn.contains(WILDCARDS) };
    if service.contains(WILDCARDS) || wild(account) || wild(resource) {
        return true;
    }
    if WITHOUT_TYPE.contains(service) {
        return resource.split(['/', ':']).next().is_some_and(wild);
    }
    let (kind, name) = resource.split_once(['/', ':']).unwrap_or((resource, ""));
    if WITH_PATHS.contains(service) {
        let name = name.split(':').next().unwrap_or_default();
        return wild(&name.replace('/', "")) || (wild(kind) && name.is_empty());
    }
    let name = name.split(['/', ':']).next().unwrap_or_default();
    wild(name) || (wild(kind) && name.is_empty())
}

/// Whether a resource of `iam:PassRole` says whose roles: a name, or how names begin, up to the end of a word.
fn names_roles(role: &Text) -> bool {
    let name = role.known.split_once(":role/").map_or("", |(_, name)| name);
    match name.find(WILDCARDS) {
        Some(wild) => name[..wild].ends_with(['-', '_', '/']),
        None => !name.is_empty() || !role.complete,
    }
}

/// A subject such as `repo:*` leaves open who it is; one such as `repo:owner/name:*` only what they build.
fn pins(ending: &str, value: &str) -> bool {
    let exact = !value.contains(WILDCARDS);
    let fixed = value.split(WILDCARDS).next().unwrap_or_default();
    match ending {
        ":aud" => exact,
        // Namespace and name together say who it is.
        _ if fixed.starts_with(SERVICE_ACCOUNT) => exact,
        _ => exact || (fixed.matches(':').count() >= 2 && !fixed.ends_with("::")),
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
            ("system:serviceaccount:*:consumer", false),
            ("system:serviceaccount:tandem:*", false),
            ("repo:example/*", false),
            ("repo:example/tande?:ref:refs/heads/main", false),
            ("repo:*", false),
            ("*", false),
        ] {
            assert_eq!(pins(":sub", value), pinned, "{value}");
        }
        assert!(pins(":aud", "sts.amazonaws.com"));
        assert!(!pins(":aud", "*"));
        assert!(!pins(":aud", "sts.amazonaws.co?"));
    }

    #[test]
    fn the_root_of_another_account_is_not_ours() {
        for own in ["000000000000", "arn:aws:iam::000000000000:root", "arn:aws-cn:iam::000000000000:root"] {
            assert!(is_own_root(own), "{own}");
        }
        for other in
            ["111111111111", "arn:aws:iam::111111111111:root", "arn:aws:iam::000000000000:role/a:root", ":root", "root"]
        {
            assert!(!is_own_root(other), "{other}");
        }
    }

    #[test]
    fn what_leaves_the_name_open_is_broad() {
        for broad in [
            "*",
            "**",
            "?*",
            "arn:*",
            "arn:aws:sqs:*:000000000000:*",
            "arn:aws:dynamodb:us-west-2:000000000000:table/*",
            "arn:aws:dynamodb:us-west-2:000000000000:table/*/index/by-customer",
            "arn:aws:iam::000000000000:role/**",
            "arn:aws:lambda:us-west-2:000000000000:function:*",
            "arn:aws:logs:us-west-2:000000000000:log-group:*:log-stream:*",
            "arn:aws:iam::000000000000:role/*/*",
            "arn:aws:sqs:us-west-2:*:work",
            "arn:*:*:*:*:*",
            "arn:aws:s3:::*",
            "arn:aws:s3:::*/key",
        ] {
            assert!(is_broad(broad), "{broad}");
        }
        for named in [
            "arn:aws:s3:::artifacts/*",
            "arn:aws:dynamodb:*:000000000000:table/orders/stream/*",
            "arn:aws:logs:us-west-2:000000000000:log-group:/example/processor:*",
            "arn:aws:logs:us-west-2:000000000000:log-group:*/example/*",
            "arn:aws:iam::000000000000:role/example-*",
            "arn:aws:sqs:us-west-2:000000000000:example-*",
            "arn:aws:eks:us-west-2:000000000000:*/example",
        ] {
            assert!(!is_broad(named), "{named}");
        }
    }

    #[test]
    fn actions_are_compared_as_iam_does() {
        for pattern in ["iam:PassRole", "IAM:passrole", "iam:Pass*", "iam:P?ssRole", "iam:*", "*"] {
            assert!(matches_action(pattern, PASS_ROLE), "{pattern}");
        }
        assert!(!matches_action("iam:GetRole", PASS_ROLE));
        for everything in ["*", "*:*", "sqs:*", "sqs:**", "sqs:?*", "s*:GetObject"] {
            assert!(allows_everything(everything), "{everything}");
        }
        assert!(!allows_everything("sqs:Get*"));
    }

    #[test]
    fn passed_roles_have_names() {
        let role = |known: &str, complete| Text { known: known.to_owned(), complete };
        for named in ["arn:aws:iam::000000000000:role/example", "arn:aws:iam::000000000000:role/example-*"] {
            assert!(names_roles(&role(named, true)), "{named}");
        }
        assert!(names_roles(&role("", false)), "the ARN of a role of the template");
        for open in ["*", "arn:aws:iam::000000000000:role/*", "arn:aws:iam::000000000000:role/e*", "arn:aws:iam::*"] {
            assert!(!names_roles(&role(open, true)), "{open}");
        }
    }
}
