//! What GitHub Actions may do, with short-lived credentials and no stored key.
//!
//! Three roles. `reader` looks: for a diff on any branch. `reviewer` makes change sets that nobody executes: for a pull
//! request. `deploy` executes them. None of them can change this stack: `access` is deployed by an administrator, so
//! that nobody widens what he may do himself.

use cfn::{Value, iam};
use serde_json::{Value as Json, json};

use super::execution::{Regions, role_name};
use crate::constructs::policy::{Statement, document, pascal_case};
use crate::constructs::{Scope, role};
use crate::environment::{OidcProvider, SYSTEM};

/// Who signs the tokens of GitHub Actions.
const ISSUER: &str = "token.actions.githubusercontent.com";

/// What the tokens are made out for when AWS's own action asks for them.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Where in the buckets of artifacts the templates of reviews are.
const REVIEWS: &str = "/reviews/*";

/// Adds provider and roles, if the environment names a repository.
pub(super) fn add(scope: &mut Scope<'_>, regions: &Regions) {
    let Some(settings) = scope.environment.github() else { return };
    if settings.provider == OidcProvider::Create {
        let provider = iam::OIDCProvider::new().url(format!("https://{ISSUER}")).client_id_list([AUDIENCE]);
        scope.add("GitHub", provider);
    }
    let repository = &settings.repository;
    let environment = scope.environment.environment_name();
    let pull_request = format!("repo:{repository}:pull_request");
    let branches = format!("repo:{repository}:ref:refs/heads/*");
    // Not the branch: whoever can push to it could write a workflow that asks nobody.
    let released = format!("repo:{repository}:environment:{environment}");
    let anywhere = trust(scope, "StringLike", &[branches, pull_request.clone()]);
    let reviews = trust(scope, "StringEquals", &[pull_request]);
    let released = trust(scope, "StringEquals", &[released]);

    let reading = reading(scope);
    let policy = iam::ManagedPolicy::new(document(reading.clone()))
        .managed_policy_name(scope.environment.name("reading"))
        .description(format!("looking at what is deployed of {environment}"));
    role::record(scope, "Reading", &reading);
    let policy = scope.add("Reading", role::with_reasons(policy, &reading));
    for (name, trust, statements) in [
        ("reader", anywhere, Vec::new()),
        ("reviewer", reviews, reviewing(scope)),
        ("deploy", released, deploying(scope)),
    ] {
        let logical_id = format!("{}Role", pascal_case(name));
        let policies = [policy.reference(), regions.policy()];
        let description = format!("`{name}` of {environment} for GitHub Actions of {repository}");
        let role_name = scope.environment.name(name);
        let role = role::draft([trust], name, statements)
            // It hands roles to CloudFormation, which the boundary denies to what runs.
            .without_boundary()
            .with(|role| {
                let role = role.role_name(role_name).description(description).max_session_duration(3600);
                role.managed_policy_arns(policies)
            })
            .add(scope, &logical_id);
        scope.output(
            &format!("{}RoleArn", pascal_case(name)),
            &format!("Role `{name}` for GitHub Actions"),
            role.arn(),
        );
    }
}

/// Lets tokens of GitHub take a role: made out for AWS, and for one of these subjects.
pub(super) fn trust(scope: &Scope<'_>, operator: &'static str, subjects: &[String]) -> Statement {
    // By name: the provider may be another environment's.
    let provider = scope.global_arn("iam", &format!("oidc-provider/{ISSUER}")).into_inner();
    let subjects: Json = if let [subject] = subjects { json!(subject) } else { json!(subjects) };
    Statement::allow("GitHub", ["sts:AssumeRoleWithWebIdentity"], [])
        .to(json!({"Federated": provider}))
        .when("StringEquals", "token.actions.githubusercontent.com:aud", AUDIENCE)
        .when(operator, "token.actions.githubusercontent.com:sub", subjects)
}

/// Everything that a comparison of what is and what should be looks at.
fn reading(scope: &Scope<'_>) -> Vec<Statement> {
    let name = scope.environment.name("");
    let cluster = name.trim_end_matches('-');
    vec![
        Statement::allow(
            "ReadStacks",
            [
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeEvents",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStackResource",
                "cloudformation:DescribeStackResources",
                "cloudformation:DescribeStacks",
                "cloudformation:GetTemplate",
                "cloudformation:GetTemplateSummary",
                "cloudformation:ListChangeSets",
                "cloudformation:ListStackResources",
            ],
            [arn("cloudformation:*", &format!("stack/{name}*/*"))],
        )
        .because("reads what is deployed: templates, parameters, outputs, events"),
        Statement::allow("ReadTables", ["dynamodb:DescribeTable"], [arn("dynamodb:*", &format!("table/{name}*"))])
            .because("reads the ARNs of the tables' streams, which are inputs of stacks"),
        Statement::allow(
            "ReadFunctions",
            ["lambda:GetFunctionConfiguration"],
            [arn("lambda:*", &format!("function:{name}*"))],
        )
        .because("reads which code the functions run"),
        Statement::allow("ReadMappings", ["lambda:GetEventSourceMapping"], [arn("lambda:*", "event-source-mapping:*")])
            .when("ArnLike", "lambda:FunctionArn", arn("lambda:*", &format!("function:{name}*")).into_inner())
            .open_because("ids of mappings are random; the condition says whose function it is")
            .because("reads whether the functions' mappings deliver"),
        Statement::allow("ReadCluster", ["eks:DescribeCluster"], [arn("eks:*", &format!("cluster/{cluster}"))])
            .because("finds the clusters, which decide themselves what may be read"),
    ]
}

/// Change sets of every stack but this one, only with the stack's own role; they can't be executed.
fn reviewing(scope: &Scope<'_>) -> Vec<Statement> {
    let take = ["cloudformation:CreateChangeSet"];
    let change = ["cloudformation:DeleteChangeSet", "cloudformation:TagResource"];
    vec![
        take_role(scope, &take),
        Statement::allow("DiscardChangeSets", change, stacks(scope)).because("takes back what was made for a review"),
        never_access(scope, &[&take[..], &change].concat()),
        pass_roles(scope),
        // Not where a deployment looks for templates: what a pull request writes is never deployed.
        Statement::allow("WriteTemplates", ["s3:GetObject", "s3:PutObject"], artifacts(scope, &[REVIEWS]))
            .because("hands over templates that are too large for a call"),
        encrypt_artifacts(scope),
    ]
}

/// Change sets and their execution, and what stacks are made of: code, templates, images.
fn deploying(scope: &Scope<'_>) -> Vec<Statement> {
    let take = ["cloudformation:CreateChangeSet", "cloudformation:DeleteStack"];
    let change = [
        "cloudformation:CancelUpdateStack",
        "cloudformation:DeleteChangeSet",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:TagResource",
        "cloudformation:UntagResource",
        "cloudformation:UpdateTerminationProtection",
    ];
    let name = scope.environment.name("");
    let images = format!("repository/{}/*", name.trim_end_matches('-'));
    vec![
        take_role(scope, &take),
        Statement::allow("ChangeStacks", change, stacks(scope)).because("executes what was planned"),
        never_access(scope, &[&take[..], &change].concat()),
        pass_roles(scope),
        Statement::allow_on_any(
            "ReadAlarms",
            ["cloudwatch:DescribeAlarms"],
            "CloudFormation asks for alarms by name and CloudWatch takes no resource for composite ones",
        )
        .because("has CloudFormation watch the region's alarm after an update"),
        Statement::allow(
            "WriteArtifacts",
            ["s3:GetObject", "s3:PutObject"],
            artifacts(scope, &["/functions/*", "/templates/*"]),
        )
        .because("hands over the functions' code, and templates that are too large for a call"),
        Statement::allow("ListArtifacts", ["s3:ListBucket"], artifacts(scope, &[""]))
            .because("tells an artifact that isn't there from one that may not be seen"),
        encrypt_artifacts(scope),
        Statement::allow(
            "PushImages",
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            [arn("ecr:*", &images)],
        )
        .because("hands over the consumer's image"),
        Statement::allow_on_any(
            "SignInToImages",
            ["ecr:GetAuthorizationToken"],
            "the token is for the whole registry; what it allows is said beside",
        )
        .because("hands over the consumer's image"),
    ]
}

/// What CloudFormation does with a role, and only with a stack's own: without one it would work with the caller's
/// rights.
fn take_role(scope: &Scope<'_>, actions: &[&'static str]) -> Statement {
    Statement::allow("TakeRoles", actions.iter().copied(), stacks(scope))
        .when("ArnLike", "cloudformation:RoleArn", execution_roles(scope).into_inner())
        .because("has CloudFormation work with the stacks' own roles")
}

fn pass_roles(scope: &Scope<'_>) -> Statement {
    Statement::allow("PassRoles", ["iam:PassRole"], [execution_roles(scope)])
        .when("StringEquals", "iam:PassedToService", "cloudformation.amazonaws.com")
        .because("hands CloudFormation the roles that it works with, and nobody another")
}

fn encrypt_artifacts(scope: &Scope<'_>) -> Statement {
    let services: Vec<String> =
        scope.environment.regions().map(|region| format!("s3.{region}.amazonaws.com")).collect();
    Statement::allow("EncryptArtifacts", ["kms:Decrypt", "kms:GenerateDataKey"], [arn("kms:*", "key/mrk-*")])
        .when("StringEquals", "kms:ViaService", json!(services))
        .when("StringEquals", "aws:ResourceTag/System", SYSTEM)
        .when("StringEquals", "aws:ResourceTag/Environment", scope.environment.environment_name())
        .because("the bucket of artifacts is encrypted with the environment's key, whose id is random")
}

/// Every stack of the environment; what must not happen to `access` is denied beside.
pub(super) fn stacks(scope: &Scope<'_>) -> [Value<String>; 1] {
    [arn("cloudformation:*", &format!("stack/{}*/*", scope.environment.name("")))]
}

/// Nobody changes what he may do himself.
fn never_access(scope: &Scope<'_>, actions: &[&'static str]) -> Statement {
    let own = |name| arn("cloudformation:*", &format!("stack/{}/*", scope.environment.name(name)));
    Statement::deny("NeverAccess", actions.iter().copied(), super::OF_ADMINISTRATORS.map(own))
        .because("the stacks that say who may do what are deployed by an administrator")
}

fn execution_roles(scope: &Scope<'_>) -> Value<String> {
    scope.global_arn("iam", &format!("role/{}", scope.environment.name(&role_name("*"))))
}

/// What is at `places` in the buckets of all regions.
fn artifacts(scope: &Scope<'_>, places: &[&str]) -> Vec<Value<String>> {
    let bucket = scope.environment.name("artifacts");
    let at = |region| places.iter().map(move |place| (region, place));
    let places = scope.environment.regions().flat_map(at);
    places.map(|(region, place)| arn_of(&format!("s3:::{bucket}-${{AWS::AccountId}}-{region}{place}"))).collect()
}

/// An ARN in the own account; `service` with the region.
pub(super) fn arn(service: &str, resource: &str) -> Value<String> {
    arn_of(&format!("{service}:${{AWS::AccountId}}:{resource}"))
}

fn arn_of(rest: &str) -> Value<String> {
    cfn::sub(&format!("arn:${{AWS::Partition}}:{rest}"))
}
