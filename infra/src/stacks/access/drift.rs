//! `drift`: the role that looks every night whether what is live is still what was deployed.
//!
//! CloudFormation searches for drift in the name of who asks for it, so the role may read the configuration of every
//! resource: what the handlers of the stacks' types read, on what belongs to the environment, and nothing that changes
//! something or reads data. It is more than any branch should be given, so only the released branch takes the role.

use std::collections::BTreeSet;

use cfn::Value;
use serde_json::json;

use super::execution::{Length, MANAGED_CHARACTERS, managed_policy, names_of, parts, statements};
use super::github::{arn, stacks as own_stacks, trust};
use super::permissions::read_permissions;
use super::rules::Names;
use crate::constructs::policy::Statement;
use crate::constructs::{Scope, role};
use crate::environment::{Environment, SYSTEM};
use crate::system::StackInstance;

/// The stack's name, and its role's.
pub(super) const NAME: &str = "drift";

/// The logical id of the role.
const ROLE: &str = "DriftRole";

/// The stack that looks at `access` and all others; none without a repository that could look.
pub(crate) fn stack(
    environment: &Environment,
    access: &StackInstance,
    others: &[StackInstance],
) -> Option<StackInstance> {
    let settings = environment.github()?;
    let mut scope = Scope::new(environment, environment.primary(), NAME, "The role that looks for drift");
    scope.after(super::NAME, environment.primary());
    let all: Vec<&StackInstance> = [access].into_iter().chain(others).collect();
    let permissions = read_permissions(all.iter().map(|stack| &stack.template));
    let prefix = environment.name("").trim_end_matches('-').to_owned();
    // Of all roles, those that a program works with and those that deploy.
    let names = Names { roles: BTreeSet::from([format!("{prefix}-*")]), ..names_of(&scope, &all) };
    let derived = statements(&scope, NAME, &permissions, &names, "CloudFormation reads, in the name of who asks it,");
    let mut statements = match derived {
        Ok(statements) => statements,
        Err(mistakes) => {
            scope.report(mistakes);
            return Some(scope.finish());
        }
    };
    statements.extend(searching(&scope, &all));

    let name = environment.name(NAME);
    let parts = parts(statements);
    // Two more are made by `access`.
    let fits = parts.len() <= 8 && parts.iter().all(|part| Length::of(part).0 <= MANAGED_CHARACTERS);
    if !fits {
        scope.report(vec![format!(
            "the role that looks for drift needs more than IAM's ten policies of {MANAGED_CHARACTERS} characters"
        )]);
    }
    let mut policies: Vec<Value<String>> = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        policies.push(managed_policy(&mut scope, (ROLE, &name), index + 1, &part).reference().into());
    }
    policies.extend(["reading", "regions"].map(|policy| {
        // `access` makes them.
        scope.global_arn("iam", &format!("policy/{}", environment.name(policy)))
    }));
    let released = format!("repo:{}:ref:refs/heads/{}", settings.repository, settings.branch);
    let trust = trust(&scope, "StringEquals", &[released]);
    let description =
        format!("looks for drift in {} for GitHub Actions of {}", environment.environment_name(), settings.repository);
    let role = role::draft([trust], NAME, [])
        // It reads more than what runs may.
        .without_boundary()
        .with(|role| {
            let role = role.role_name(name).description(description).max_session_duration(3600);
            role.managed_policy_arns(policies)
        })
        .add(&mut scope, ROLE);
    scope.output("DriftRoleArn", "Role that looks for drift, for GitHub Actions", role.arn());
    Some(scope.finish())
}

/// The search itself, and what reading alone doesn't say.
fn searching(scope: &Scope<'_>, all: &[&StackInstance]) -> Vec<Statement> {
    // What was found is not for who only reads: the search has decrypted more than they may.
    let search = [
        "cloudformation:DescribeStackResourceDrifts",
        "cloudformation:DetectStackDrift",
        "cloudformation:DetectStackResourceDrift",
    ];
    let mut statements = vec![
        Statement::allow("SearchForDrift", search, own_stacks(scope))
            .because("has CloudFormation compare what is live with the templates, which changes nothing"),
        Statement::allow_on_any(
            "FollowSearch",
            ["cloudformation:BatchDescribeTypeConfigurations", "cloudformation:DescribeStackDriftDetectionStatus"],
            "a search is known by its own id only, and settings of types are the account's",
        )
        .because("waits until a search for drift has ended"),
    ];
    let encrypts = |stack: &&StackInstance| {
        let functions = stack.template.resources().filter(|one| one.type_name() == "AWS::Lambda::Function");
        functions.into_iter().any(|function| function.properties().get("KmsKeyArn").is_some())
    };
    if all.iter().any(encrypts) {
        let regions = scope.environment.regions().map(|region| format!("lambda.{region}.amazonaws.com"));
        statements.push(
            Statement::allow("DecryptSettings", ["kms:Decrypt"], [arn("kms:*", "key/mrk-*")])
                .when("StringEquals", "kms:ViaService", json!(regions.collect::<Vec<_>>()))
                .when("StringEquals", "aws:ResourceTag/System", SYSTEM)
                .when("StringEquals", "aws:ResourceTag/Environment", scope.environment.environment_name())
                .because("functions keep their settings encrypted, and Lambda shows them to who may decrypt them"),
        );
    }
    statements
}
