//! IAM roles whose statements can be traced to who needs them.

use cfn::{Declared, Handle, Resource, Value, iam};
use serde_json::{Map, Value as Json};

use crate::constructs::policy::{Statement, document};
use crate::constructs::{self, Scope};
use crate::environment::Environment;
use crate::system::Grant;

/// Key of a resource's metadata: for each statement on every resource, why that is so.
const ANY_RESOURCE: &str = "AnyResource";

/// A role that is written down before it is added, so that stacks can give it a name, a path or a boundary.
pub(crate) struct Draft {
    role: iam::Role,
    statements: Vec<Statement>,
    bounded: bool,
    accepted: Vec<(String, String)>,
}

/// A role that the principals of `trust` may take, and that may do what `statements` say.
///
/// `policy` names the inline policy. The role carries the environment's boundary.
pub(crate) fn draft(
    trust: impl IntoIterator<Item = Statement>,
    policy: &str,
    statements: impl IntoIterator<Item = Statement>,
) -> Draft {
    let statements: Vec<Statement> = statements.into_iter().collect();
    let mut role = iam::Role::new(document(trust));
    if !statements.is_empty() {
        role = role.policies([iam::role::Policy::new(document(statements.clone()), policy)]);
    }
    Draft { role, statements, bounded: true, accepted: Vec::new() }
}

impl Draft {
    /// Sets more properties of the role.
    pub(crate) fn with(mut self, set: impl FnOnce(iam::Role) -> iam::Role) -> Self {
        self.role = set(self.role);
        self
    }

    /// Says why rules of judges don't fit the role: each is a rule's name with the reason.
    pub(crate) fn accepting(mut self, rules: &[(&str, &str)]) -> Self {
        self.accepted.extend(rules.iter().map(|(rule, why)| ((*rule).to_owned(), (*why).to_owned())));
        self
    }

    /// Leaves the boundary away. Only for roles of the `access` stack: CloudFormation's other roles make none without it.
    pub(crate) fn without_boundary(mut self) -> Self {
        self.bounded = false;
        self
    }

    /// Adds the role and notes where its statements come from.
    ///
    /// A role that was given no name gets one from its logical id and the region, because IAM knows no regions.
    #[track_caller]
    pub(crate) fn add(self, scope: &mut Scope<'_>, logical_id: &str) -> Handle<iam::Role> {
        let Self { role, statements, bounded, accepted } = self;
        record(scope, logical_id, &statements);
        let properties = role.into_properties();
        let is_named = properties.get("RoleName").is_some();
        let mut role = iam::Role::from_properties(properties);
        if !is_named {
            let thing = kebab_case(logical_id.strip_suffix("Role").unwrap_or(logical_id));
            role = role.role_name(format!("{}-{}", scope.environment.name(&thing), scope.region));
        }
        if bounded {
            role = role.permissions_boundary(boundary_arn(scope));
        }
        let accepted: Vec<(&str, &str)> = accepted.iter().map(|(rule, why)| (rule.as_str(), why.as_str())).collect();
        scope.add(logical_id, constructs::accepted(with_reasons(role, &statements), &accepted))
    }
}

/// Name of the policy that limits what any role can do.
pub(crate) fn boundary_name(environment: &Environment) -> String {
    environment.name("boundary")
}

/// ARN of that policy, which the `access` stack makes before all others.
pub(crate) fn boundary_arn(scope: &Scope<'_>) -> Value<String> {
    scope.global_arn("iam", &format!("policy/{}", boundary_name(scope.environment)))
}

/// A name for things: `EventRouter` becomes `event-router`.
fn kebab_case(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Notes where the statements of a role or managed policy come from.
pub(crate) fn record(scope: &mut Scope<'_>, logical_id: &str, statements: &[Statement]) {
    for statement in statements {
        scope.grant(Grant {
            role: logical_id.to_owned(),
            sid: statement.sid().to_owned(),
            why: statement.why().to_owned(),
            location: statement.location(),
        });
    }
}

/// The reasons of statements on every resource, as metadata; none when there are none.
pub(crate) fn any_resource(statements: &[Statement]) -> Option<Json> {
    let reasons: Map<String, Json> = statements
        .iter()
        .filter_map(|statement| Some((statement.sid().to_owned(), Json::from(statement.any_resource()?))))
        .collect();
    (!reasons.is_empty()).then_some(Json::Object(reasons))
}

/// Writes the reasons of statements on every resource beside a managed policy.
pub(crate) fn with_reasons<R: Resource>(resource: R, statements: &[Statement]) -> Declared<R> {
    match any_resource(statements) {
        Some(reasons) => resource.metadata(ANY_RESOURCE, reasons),
        None => resource.into(),
    }
}

/// Lets a service take a role, on behalf of this account only.
#[track_caller]
pub(crate) fn trust_service(sid: &str, service: &str) -> Statement {
    Statement::allow(sid, ["sts:AssumeRole"], []).for_service(service).when(
        "StringEquals",
        "aws:SourceAccount",
        cfn::pseudo::account_id().into_inner(),
    )
}

/// Lets pods of `cluster`, in the stack's own region, take a role, through EKS Pod Identity.
///
/// Which pods is said by an association of the cluster (EKS user guide, "Create IAM role with trust policy required by
/// EKS Pod Identity").
#[track_caller]
pub(crate) fn trust_pods(scope: &Scope<'_>, cluster: &str) -> Statement {
    let cluster = scope.arn_in(scope.region, "eks", &format!("cluster/{cluster}"));
    Statement::allow("Pods", ["sts:AssumeRole", "sts:TagSession"], [])
        .for_service("pods.eks.amazonaws.com")
        .when("StringEquals", "aws:SourceAccount", cfn::pseudo::account_id().into_inner())
        .when("ArnEquals", "aws:SourceArn", cluster.into_inner())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn added(draft: Draft) -> Json {
        let text = include_str!("../../../environments/sandbox.toml");
        let environment = Environment::parse("sandbox.toml", text).expect("a good file");
        let mut scope = Scope::new(&environment, environment.primary(), "events", "a test");
        draft.add(&mut scope, "EventRouterRole");
        let template = scope.finish().template;
        template.to_json()["Resources"]["EventRouterRole"].clone()
    }

    fn lambda() -> Draft {
        draft([trust_service("Lambda", "lambda.amazonaws.com")], "router", [])
    }

    #[test]
    fn a_role_has_a_name_of_its_region_and_the_boundary() {
        let role = added(lambda());
        assert_eq!(role["Properties"]["RoleName"], "tandem-sandbox-event-router-us-west-2");
        let boundary = "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/tandem-sandbox-boundary";
        assert_eq!(role["Properties"]["PermissionsBoundary"], json!({"Fn::Sub": boundary}));
    }

    #[test]
    fn pods_of_one_cluster_take_a_role() {
        let text = include_str!("../../../environments/sandbox.toml");
        let environment = Environment::parse("sandbox.toml", text).expect("a good file");
        let scope = Scope::new(&environment, environment.primary(), "events", "a test");
        let trust = document([trust_pods(&scope, "workers")]);
        let cluster = "arn:${AWS::Partition}:eks:us-west-2:${AWS::AccountId}:cluster/workers";
        let expected = json!({
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnEquals": {"aws:SourceArn": {"Fn::Sub": cluster}},
        });
        assert_eq!(trust["Statement"][0]["Condition"], expected);
    }

    #[test]
    fn an_author_may_choose_otherwise() {
        let role = added(lambda().without_boundary().with(|role| role.role_name("mine")).accepting(&[("CKV_1", "so")]));
        assert_eq!(role["Properties"]["RoleName"], "mine");
        assert_eq!(role["Properties"].get("PermissionsBoundary"), None);
        assert_eq!(role["Metadata"]["checkov"], json!({"skip": [{"id": "CKV_1", "comment": "so"}]}));
    }
}
