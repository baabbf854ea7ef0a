//! The roles that CloudFormation works with: one for each stack, made from what the stack's template holds.
//!
//! A role may do what the handlers of the stack's types do ([`super::permissions`]), on what belongs to the environment
//! ([`super::rules`]), in the environment's regions. It makes roles only with the boundary, and hands them only to the
//! services that work with them. What a stack no longer holds its role can no longer delete: a type goes from a
//! template one deployment after its last resource.

use std::collections::{BTreeMap, BTreeSet};

use cfn::iam;
use serde_json::{Value as Json, json};

use super::permissions::{HandlerPermission, handler_permissions};
use super::rules::{Guard, Names, RULES, Rule, rules_for};
use crate::constructs::Scope;
use crate::constructs::policy::{Statement, document, pascal_case};
use crate::constructs::role::{self, boundary_arn};
use crate::environment::{KafkaCluster, SYSTEM};
use crate::system::StackInstance;

/// Characters of all inline policies of a role together (IAM user guide, "IAM and AWS STS quotas").
const INLINE_CHARACTERS: usize = 10_240;

/// Characters of a managed policy, without white space (the same).
pub(super) const MANAGED_CHARACTERS: usize = 6_144;

/// Which services take the roles that these types are given.
const PASSED_TO: &[(&str, &[&str])] = &[
    ("AWS::ApiGatewayV2::Authorizer", &["apigateway.amazonaws.com"]),
    ("AWS::ApiGatewayV2::Integration", &["apigateway.amazonaws.com"]),
    ("AWS::EC2::FlowLog", &["vpc-flow-logs.amazonaws.com"]),
    ("AWS::EKS::Addon", &["eks.amazonaws.com", "pods.eks.amazonaws.com"]),
    ("AWS::EKS::Cluster", &["eks.amazonaws.com"]),
    ("AWS::EKS::Nodegroup", &["eks.amazonaws.com"]),
    ("AWS::EKS::PodIdentityAssociation", &["eks.amazonaws.com", "pods.eks.amazonaws.com"]),
    ("AWS::Events::Rule", &["events.amazonaws.com"]),
    ("AWS::Lambda::Function", &["lambda.amazonaws.com"]),
    ("AWS::S3::Bucket", &["s3.amazonaws.com"]),
    ("AWS::SNS::Subscription", &["sns.amazonaws.com"]),
    ("AWS::SNS::Topic", &["sns.amazonaws.com"]),
    ("AWS::Scheduler::Schedule", &["scheduler.amazonaws.com"]),
];

/// Which services make themselves a role when they are first used through these types.
const SERVICE_LINKED: &[(&str, &[&str])] = &[
    ("AWS::ApiGatewayV2::DomainName", &["ops.apigateway.amazonaws.com"]),
    ("AWS::DynamoDB::GlobalTable", &["replication.dynamodb.amazonaws.com"]),
    (
        "AWS::DynamoDB::Table",
        &["contributorinsights.dynamodb.amazonaws.com", "kinesisreplication.dynamodb.amazonaws.com"],
    ),
    ("AWS::EC2::FlowLog", &["delivery.logs.amazonaws.com"]),
    ("AWS::EKS::Cluster", &["eks.amazonaws.com"]),
    ("AWS::EKS::Nodegroup", &["eks-nodegroup.amazonaws.com"]),
    ("AWS::KMS::Key", &["mrk.kms.amazonaws.com"]),
    ("AWS::KMS::ReplicaKey", &["mrk.kms.amazonaws.com"]),
];

/// Name of the role of a stack, without system and environment: `cfn-events`.
pub(crate) fn role_name(stack: &str) -> String {
    format!("cfn-{stack}")
}

/// Adds a role for each stack.
///
/// `regions` is the policy that keeps out of other regions, for all whose stack has nothing there.
pub(super) fn add_roles(scope: &mut Scope<'_>, stacks: &[StackInstance], regions: &Regions) {
    let mut names: Vec<&'static str> = Vec::new();
    for stack in stacks {
        if !names.contains(&stack.id.name) {
            names.push(stack.id.name);
        }
    }
    for name in names {
        add_role(scope, name, stacks, regions);
    }
}

fn add_role(scope: &mut Scope<'_>, stack: &'static str, stacks: &[StackInstance], regions: &Regions) {
    let instances: Vec<&StackInstance> = stacks.iter().filter(|instance| instance.id.name == stack).collect();
    let permissions = handler_permissions(instances.iter().map(|instance| &instance.template));
    let names = names_of(scope, &instances);
    let why = "CloudFormation makes, reads, changes and deletes";
    let mut statements = match statements(scope, stack, &permissions, &names, why) {
        Ok(statements) => statements,
        Err(mistakes) => return scope.report(mistakes),
    };
    // The region that only votes belongs to the stack that makes it vote.
    let witness = permissions.iter().any(|needed| needed.actions.contains("dynamodb:CreateGlobalTableWitness"));
    let witness = scope.environment.authority().witness.as_ref().filter(|_| witness);
    if let Some(witness) = witness {
        let with_witness: Vec<String> = scope.environment.regions().chain([witness]).map(ToString::to_string).collect();
        statements.push(Regions::deny_others(&with_witness, &services_of(&statements)));
    }
    let writes_any = statements.iter().any(|statement| statement.sid() == "Network");

    let logical_id = format!("CloudFormation{}", pascal_case(stack));
    // No condition on the source: no document says that CloudFormation names one when it takes a stack's role, and if it
    // names none, every deployment fails. Who may hand the role to a stack is limited by `iam:PassRole`, which works
    // within an account only.
    let trust = Statement::allow("CloudFormation", ["sts:AssumeRole"], []).for_service("cloudformation.amazonaws.com");
    let name = scope.environment.name(&role_name(stack));
    let fits = Length::of(&statements).0 <= INLINE_CHARACTERS;
    let (inline, attached) = if fits { (statements, Vec::new()) } else { (Vec::new(), parts(statements)) };
    // One of the ten is the policy of the regions.
    let too_many = attached.len() > 9;
    let too_long = attached.iter().any(|part| Length::of(part).0 > MANAGED_CHARACTERS);
    if too_many || too_long {
        return scope.report(vec![format!(
            "the role of CloudFormation for `{stack}` needs more than IAM's ten policies of {MANAGED_CHARACTERS} \
             characters: split the stack"
        )]);
    }
    let shared = if witness.is_some() { None } else { Some(regions.policy()) };
    let parts = attached
        .into_iter()
        .enumerate()
        .map(|(index, part)| managed_policy(scope, (&logical_id, &name), index + 1, &part).reference());
    let policies: Vec<_> = parts.chain(shared).collect();
    let accepted: &[(&str, &str)] = if writes_any {
        &[("CKV_AWS_111", "ids in EC2 are random: regions and tags limit what is written")]
    } else {
        &[]
    };
    role::draft([trust], stack, inline)
        .accepting(accepted)
        // It makes what has the boundary; under the boundary itself it could make nothing.
        .without_boundary()
        .with(|role| {
            let role = role.role_name(name);
            if policies.is_empty() { role } else { role.managed_policy_arns(policies) }
        })
        .add(scope, &logical_id);
}

pub(super) fn managed_policy(
    scope: &mut Scope<'_>,
    (role_id, role_name): (&str, &str),
    number: usize,
    statements: &[Statement],
) -> cfn::Handle<iam::ManagedPolicy> {
    let logical_id = format!("{role_id}Policy{number}");
    role::record(scope, &logical_id, statements);
    let policy = iam::ManagedPolicy::new(document(statements.to_vec()))
        .managed_policy_name(format!("{role_name}-{number}"))
        .description(format!("part {number} of what {role_name} may do"));
    scope.add(&logical_id, role::with_reasons(policy, statements))
}

/// The statements in as few managed policies as their order allows.
pub(super) fn parts(statements: Vec<Statement>) -> Vec<Vec<Statement>> {
    let mut parts: Vec<(Length, Vec<Statement>)> = Vec::new();
    for statement in statements {
        if let Some((length, part)) = parts.last_mut() {
            let longer = length.with(&statement);
            if longer.0 <= MANAGED_CHARACTERS {
                *length = longer;
                part.push(statement);
                continue;
            }
        }
        parts.push((Length::of([&statement]), vec![statement]));
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

/// How many characters IAM counts of a document with some statements, once CloudFormation has filled in partition and
/// account.
#[derive(Clone, Copy)]
pub(super) struct Length(pub(super) usize);

impl Length {
    /// Of a document without a statement.
    fn empty() -> Self {
        Self(characters(&document([])))
    }

    pub(super) fn of<'a>(statements: impl IntoIterator<Item = &'a Statement>) -> Self {
        statements.into_iter().fold(Self::empty(), Length::with)
    }

    /// With one more statement; a comma stands before each but the first.
    fn with(self, statement: &Statement) -> Self {
        let Self(empty) = Self::empty();
        let alone = characters(&document([statement.clone()])) - empty;
        Self(self.0 + usize::from(self.0 > empty) + alone)
    }
}

/// How many characters IAM counts of a piece of a document, once CloudFormation has filled in partition and account.
pub(super) fn characters(json: &Json) -> usize {
    let text = |text: &str| Json::from(text).to_string().chars().filter(|one| !one.is_whitespace()).count();
    // Two brackets, and a comma between two items.
    let around = |items: usize| 2 + items.saturating_sub(1);
    match json {
        Json::Object(fields) => match fields.get("Fn::Sub").and_then(Json::as_str) {
            // The longest partition is `aws-us-gov`; an account has twelve digits.
            Some(pattern) => {
                text(&pattern.replace("${AWS::Partition}", "aws-us-gov").replace("${AWS::AccountId}", "000000000000"))
            }
            None => {
                let fields_alone = fields.iter().map(|(name, value)| text(name) + 1 + characters(value));
                around(fields.len()) + fields_alone.sum::<usize>()
            }
        },
        Json::Array(items) => around(items.len()) + items.iter().map(characters).sum::<usize>(),
        Json::String(value) => text(value),
        other => other.to_string().len(),
    }
}

/// What the patterns of resources are filled with.
pub(super) fn names_of(scope: &Scope<'_>, instances: &[&StackInstance]) -> Names {
    let environment = scope.environment;
    let all: BTreeSet<String> = instances.iter().flat_map(|instance| roles_in(instance)).collect();
    // `a-b-*` says nothing beside `a-*`, and the template has to stay short.
    let covered = |role: &String| {
        all.iter().any(|other| other != role && other.strip_suffix('*').is_some_and(|start| role.starts_with(start)))
    };
    let roles = all.iter().filter(|role| !covered(role)).cloned().collect();
    let secrets = match &environment.kafka().cluster {
        KafkaCluster::Platform => Vec::new(),
        KafkaCluster::Existing { credentials_secret, schema_registry_secret, .. } => {
            [credentials_secret.clone()].into_iter().chain(schema_registry_secret.clone()).collect()
        }
    };
    Names {
        prefix: environment.name("").trim_end_matches('-').to_owned(),
        environment: environment.environment_name().to_owned(),
        hosted_zone: environment.domain().map(|domain| domain.hosted_zone.clone()),
        secrets,
        roles,
        regions: environment.regions().map(ToString::to_string).collect(),
    }
}

/// The names of a stack's roles, with `*` for the region that the names of regional stacks' roles end with.
fn roles_in(stack: &StackInstance) -> Vec<String> {
    let roles = stack.template.resources().filter(|resource| resource.type_name() == "AWS::IAM::Role");
    let suffix = format!("-{}", stack.id.region);
    roles
        .map(|role| match role.properties().get("RoleName").and_then(Json::as_str) {
            Some(name) => match name.strip_suffix(&suffix) {
                Some(base) => format!("{base}-*"),
                None => name.to_owned(),
            },
            // CloudFormation begins the names that it makes with the stack's.
            None => format!("{}-*", stack.cloudformation_name),
        })
        .collect()
}

/// One statement for each rule that an action falls under; `why` stands before the types that need it.
pub(super) fn statements(
    scope: &Scope<'_>,
    stack: &str,
    permissions: &[HandlerPermission],
    names: &Names,
    why: &str,
) -> Result<Vec<Statement>, Vec<String>> {
    let mut by_rule: BTreeMap<usize, Granted> = BTreeMap::new();
    let mut mistakes = BTreeSet::new();
    for HandlerPermission { type_name, actions, .. } in permissions {
        for action in actions {
            let rules = rules_for(type_name, action);
            if rules.is_empty() {
                mistakes.insert(format!(
                    "`{stack}`: no rule says on what `{action}` (needed by {type_name}) may be used: add one to the \
                     rules of CloudFormation's roles"
                ));
            }
            for rule in rules {
                by_rule.entry(rule).or_default().add(type_name, action);
            }
        }
    }
    let mut statements = Vec::new();
    for (index, granted) in by_rule {
        match granted.statement(scope, &RULES[index], names, why) {
            Ok(statement) => statements.push(statement),
            Err(mistake) => {
                mistakes.insert(format!("`{stack}`: {mistake}"));
            }
        }
    }
    if mistakes.is_empty() { Ok(statements) } else { Err(mistakes.into_iter().collect()) }
}

/// The policy that keeps everything in the environment's regions.
pub(super) struct Regions(cfn::Handle<iam::ManagedPolicy>);

impl Regions {
    /// Adds the policy, for all services that the stacks use and those that a deployment uses besides.
    pub(super) fn add(scope: &mut Scope<'_>, stacks: &[StackInstance]) -> Self {
        let permissions = handler_permissions(stacks.iter().map(|stack| &stack.template));
        let actions = permissions.iter().flat_map(|needed| needed.actions.iter().map(String::as_str));
        let mut services = regional(actions);
        services.insert("cloudformation".to_owned());
        let regions: Vec<String> = scope.environment.regions().map(ToString::to_string).collect();
        let statement = Self::deny_others(&regions, &services);
        let policy = iam::ManagedPolicy::new(document([statement.clone()]))
            .managed_policy_name(scope.environment.name("regions"))
            .description(format!("keeps {} in its regions", scope.environment.environment_name()));
        role::record(scope, "Regions", &[statement]);
        Self(scope.add("Regions", policy))
    }

    /// The policy's ARN, for roles that have it.
    pub(super) fn policy(&self) -> cfn::Value<cfn::Arn<iam::ManagedPolicy>> {
        self.0.reference()
    }

    fn deny_others(regions: &[String], services: &BTreeSet<String>) -> Statement {
        let actions: Vec<String> = services.iter().map(|service| format!("{service}:*")).collect();
        Statement::deny("OtherRegions", actions.iter().map(String::as_str), ["*".into()])
            .when("StringNotEquals", "aws:RequestedRegion", json!(regions))
            .because("nothing of the environment is in another region")
    }
}

fn services_of(statements: &[Statement]) -> BTreeSet<String> {
    regional(statements.iter().flat_map(Statement::actions))
}

/// The services of these actions that are in regions. IAM and Route 53 are in none: they answer at one place.
fn regional<'a>(actions: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let services = actions.filter_map(|action| action.split_once(':')).map(|(service, _)| service);
    services.filter(|service| !GLOBAL_SERVICES.contains(service)).map(str::to_owned).collect()
}

/// Services without regions (general reference, "Service endpoints").
const GLOBAL_SERVICES: [&str; 2] = ["iam", "route53"];

/// What falls under one rule.
#[derive(Default)]
struct Granted {
    actions: BTreeSet<String>,
    types: BTreeSet<&'static str>,
}

impl Granted {
    fn add(&mut self, type_name: &'static str, action: &str) {
        self.actions.insert(action.to_owned());
        self.types.insert(type_name);
    }

    fn statement(self, scope: &Scope<'_>, rule: &Rule, names: &Names, why: &str) -> Result<Statement, String> {
        let actions = self.actions.iter().map(String::as_str);
        let statement = if rule.resources.is_empty() {
            Statement::allow_on_any(rule.sid, actions, rule.reason)
        } else {
            let resources = rule.resources_for(names);
            if resources.is_empty() {
                let actions: Vec<&str> = self.actions.iter().map(String::as_str).collect();
                return Err(format!(
                    "{} may be used on nothing: the environment names no such thing",
                    actions.join(", ")
                ));
            }
            let statement = Statement::allow(rule.sid, actions, resources.iter().map(|arn| cfn::sub(arn)));
            let open = rule.resources.iter().any(|pattern| cfn::is_broad(&format!("arn:aws:{pattern}")));
            if open { statement.open_because(rule.reason) } else { statement }
        };
        let statement = self.guarded(scope, statement, rule.guard)?;
        let types: Vec<&str> = self.types.iter().copied().collect();
        Ok(statement.because(format!("{why} {}", types.join(", "))))
    }

    fn guarded(&self, scope: &Scope<'_>, statement: Statement, guard: Guard) -> Result<Statement, String> {
        Ok(match guard {
            Guard::None => statement,
            Guard::Boundary => {
                statement.when("StringEquals", "iam:PermissionsBoundary", boundary_arn(scope).into_inner())
            }
            Guard::PassedToService => statement.when(
                "StringEquals",
                "iam:PassedToService",
                json!(self.services(PASSED_TO, "takes the role")?),
            ),
            Guard::ServiceLinked => {
                let services = self.services(SERVICE_LINKED, "gets the service-linked role")?;
                statement.when("StringEquals", "iam:AWSServiceName", json!(services))
            }
            Guard::OwnFunctions => {
                let functions = format!("{}*", scope.environment.name(""));
                let arn = format!("arn:${{AWS::Partition}}:lambda:*:${{AWS::AccountId}}:function:{functions}");
                statement.when("ArnLike", "lambda:FunctionArn", cfn::sub(&arn).into_inner())
            }
            Guard::OwnTags => statement.when("StringEquals", "aws:ResourceTag/System", SYSTEM).when(
                "StringEquals",
                "aws:ResourceTag/Environment",
                scope.environment.environment_name(),
            ),
            Guard::TagsOnCreation => statement
                .when("StringEquals", "aws:RequestTag/System", SYSTEM)
                .when("StringEquals", "aws:RequestTag/Environment", scope.environment.environment_name())
                // EC2 user guide, "Grant permission to tag resources during creation": tagging by itself lacks the key.
                .when("Null", "ec2:CreateAction", "false"),
            Guard::TagsOfCluster => {
                let cluster = crate::stacks::cluster::name(scope.environment);
                statement.when("StringEquals", "aws:ResourceTag/aws:eks:cluster-name", cluster)
            }
            Guard::LaunchTemplates => {
                let arn = "arn:${AWS::Partition}:ec2:*:${AWS::AccountId}:launch-template/*";
                statement.when("ArnLike", "ec2:LaunchTemplate", cfn::sub(arn).into_inner())
            }
        })
    }

    fn services(&self, table: &[(&str, &[&'static str])], what: &str) -> Result<BTreeSet<&'static str>, String> {
        let mut services = BTreeSet::new();
        for type_name in &self.types {
            let (_, known) = table
                .iter()
                .find(|(known, _)| known == type_name)
                .ok_or_else(|| format!("which service {what} of {type_name} is not written down"))?;
            services.extend(known.iter().copied());
        }
        Ok(services)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sid: &str, actions: usize) -> Statement {
        let actions: Vec<String> = (0..actions).map(|number| format!("sqs:Action{number:04}")).collect();
        Statement::allow(sid, actions.iter().map(String::as_str), [cfn::sub("arn:${AWS::Partition}:sqs:*:*:queue")])
    }

    #[test]
    fn long_policies_are_split_in_order_and_none_is_too_long() {
        let statements = vec![statement("First", 250), statement("Second", 250), statement("Third", 10)];
        let parts = parts(statements);
        let sids: Vec<Vec<&str>> = parts.iter().map(|part| part.iter().map(Statement::sid).collect()).collect();
        assert_eq!(sids, [vec!["First"], vec!["Second", "Third"]]);
        for part in parts {
            assert!(characters(&document(part)) <= MANAGED_CHARACTERS);
        }
    }

    #[test]
    fn the_length_of_some_statements_is_that_of_their_document() {
        for count in 0..4 {
            let statements: Vec<Statement> = (0..count).map(|number| statement(&format!("S{number}"), 3)).collect();
            assert_eq!(Length::of(&statements).0, characters(&document(statements)), "of {count}");
        }
    }

    #[test]
    fn characters_count_as_in_iam() {
        let document = json!({"Resource": {"Fn::Sub": "arn:${AWS::Partition}:sqs:*:${AWS::AccountId}:a b"}});
        assert_eq!(characters(&document), r#"{"Resource":"arn:aws-us-gov:sqs:*:000000000000:ab"}"#.len());
    }
}
