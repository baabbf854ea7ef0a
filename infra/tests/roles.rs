//! The roles of the stacks `access` and `drift`: enough for every stack of every environment, and not more.

use std::collections::{BTreeMap, BTreeSet};

use infra::environment::Environment;
use infra::{StackInstance, System, handler_permissions, read_permissions, system};
use serde_json::Value as Json;

const ENVIRONMENTS: [(&str, &str); 3] = [
    ("sandbox", include_str!("../../environments/sandbox.toml")),
    ("staging", include_str!("../../environments/staging.toml")),
    ("production", include_str!("../../environments/production.toml")),
];

const ACCOUNT: &str = "000000000000";

fn environment(name: &str, text: &str) -> Environment {
    Environment::parse(&format!("environments/{name}.toml"), text)
        .unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"))
}

/// The stacks that make roles with an administrator's rights.
const ADMINISTRATORS: [&str; 2] = ["access", "drift"];

/// One environment with the roles that these stacks make.
struct World {
    name: &'static str,
    system: System,
    roles: BTreeMap<String, Role>,
}

/// A role as IAM sees it, with names filled in.
struct Role {
    trust: Vec<Statement>,
    statements: Vec<Statement>,
    inline_characters: usize,
    /// Characters of each attached policy that the stack makes.
    managed_characters: Vec<usize>,
    properties: Json,
}

#[derive(Clone, Debug)]
struct Statement {
    sid: String,
    allows: bool,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Json,
}

impl Statement {
    fn of(document: &Json) -> Vec<Self> {
        let statement = |json: &Json| Self {
            sid: json["Sid"].as_str().unwrap_or_default().to_owned(),
            allows: json["Effect"] == "Allow",
            actions: texts(&json["Action"]),
            resources: texts(&json["Resource"]),
            conditions: json["Condition"].clone(),
        };
        document["Statement"].as_array().expect("statements").iter().map(statement).collect()
    }

    fn condition(&self, operator: &str, key: &str) -> Vec<String> {
        texts(&self.conditions[operator][key])
    }
}

fn texts(json: &Json) -> Vec<String> {
    match json {
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::String(text) => vec![text.clone()],
        Json::Null => Vec::new(),
        // A value that only the deployment knows.
        other => vec![other.to_string()],
    }
}

/// The template's values as a deployment to `region` fills them in.
fn filled(json: &Json, region: &str) -> Json {
    match json {
        Json::Object(fields) if fields.get("Ref").is_some_and(|name| name == "AWS::AccountId") => ACCOUNT.into(),
        Json::Object(fields) => match fields.get("Fn::Sub").and_then(Json::as_str) {
            Some(text) => text
                .replace("${AWS::Partition}", "aws")
                .replace("${AWS::AccountId}", ACCOUNT)
                .replace("${AWS::Region}", region)
                .into(),
            None => fields.iter().map(|(key, value)| (key.clone(), filled(value, region))).collect(),
        },
        Json::Array(items) => items.iter().map(|item| filled(item, region)).collect(),
        other => other.clone(),
    }
}

fn characters(document: &Json) -> usize {
    document.to_string().chars().filter(|character| !character.is_whitespace()).count()
}

impl World {
    fn of(name: &'static str, text: &str) -> Self {
        let system = system(&environment(name, text));
        assert!(system.mistakes.is_empty(), "{name}: {:#?}", system.mistakes);
        let stacks = system.stacks.iter().filter(|stack| ADMINISTRATORS.contains(&stack.id.name));
        let declared: Vec<_> = stacks.flat_map(|stack| stack.template.resources()).collect();
        let home = system.stacks[0].id.region.as_str();
        let resources: BTreeMap<&str, Json> = declared
            .iter()
            .map(|resource| (resource.logical_id(), filled(&resource.to_json(), home)["Properties"].clone()))
            .collect();
        let named = |name: &str| {
            let policies = resources.values().filter(|one| one.get("ManagedPolicyName").is_some());
            let arn = |policy: &&Json| {
                format!("arn:aws:iam::{ACCOUNT}:policy/{}", policy["ManagedPolicyName"].as_str().unwrap_or_default())
            };
            policies.into_iter().find(|policy| arn(policy) == name).unwrap_or_else(|| panic!("{name} is made"))
        };
        let roles = declared.iter().filter(|resource| resource.type_name() == "AWS::IAM::Role");
        let roles = roles.map(|resource| {
            let properties = resources[resource.logical_id()].clone();
            let mut role = Role {
                trust: Statement::of(&properties["AssumeRolePolicyDocument"]),
                statements: Vec::new(),
                inline_characters: 0,
                managed_characters: Vec::new(),
                properties: properties.clone(),
            };
            for policy in properties["Policies"].as_array().into_iter().flatten() {
                role.statements.extend(Statement::of(&policy["PolicyDocument"]));
                role.inline_characters += characters(&policy["PolicyDocument"]);
            }
            // What is attached is made by the same stack, or named by the other.
            for attached in properties["ManagedPolicyArns"].as_array().into_iter().flatten() {
                let policy = match attached["Ref"].as_str() {
                    Some(id) => &resources[id],
                    None => named(attached.as_str().expect("an ARN")),
                };
                role.statements.extend(Statement::of(&policy["PolicyDocument"]));
                role.managed_characters.push(characters(&policy["PolicyDocument"]));
            }
            (properties["RoleName"].as_str().expect("a name").to_owned(), role)
        });
        let roles = roles.collect();
        Self { name, system, roles }
    }

    fn all() -> Vec<Self> {
        ENVIRONMENTS.into_iter().map(|(name, text)| Self::of(name, text)).collect()
    }

    fn role(&self, thing: &str) -> &Role {
        &self.roles[&format!("tandem-{}-{thing}", self.name)]
    }

    /// Each stack's name with its instances and CloudFormation's role for it.
    fn stacks(&self) -> BTreeMap<&'static str, (Vec<&StackInstance>, &Role)> {
        let mut stacks: BTreeMap<&'static str, (Vec<&StackInstance>, &Role)> = BTreeMap::new();
        for stack in self.system.stacks.iter().filter(|stack| !ADMINISTRATORS.contains(&stack.id.name)) {
            let role = self.role(&format!("cfn-{}", stack.id.name));
            stacks.entry(stack.id.name).or_insert_with(|| (Vec::new(), role)).0.push(stack);
        }
        stacks
    }

    fn regions(&self) -> BTreeSet<&str> {
        self.system.stacks.iter().map(|stack| stack.id.region.as_str()).collect()
    }
}

/// Whether IAM's pattern (`*` any characters, `?` one) fits.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => text.is_empty(),
        Some(("*", rest)) => (0..=text.len()).any(|at| text.is_char_boundary(at) && fits(rest, &text[at..])),
        Some((first, rest)) => text
            .split_at_checked(1)
            .is_some_and(|(letter, others)| (first == "?" || first == letter) && fits(rest, others)),
    }
}

/// What the stacks' handlers need and the statements don't allow, as `type: action`.
fn missing(stacks: &[&StackInstance], statements: &[Statement]) -> Vec<String> {
    let allowed: BTreeSet<&str> = statements
        .iter()
        .filter(|statement| statement.allows)
        .flat_map(|statement| statement.actions.iter().map(String::as_str))
        .collect();
    let mut missing: Vec<String> = handler_permissions(stacks.iter().map(|stack| &stack.template))
        .into_iter()
        .flat_map(|permission| {
            let lacks = permission.actions.into_iter().filter(|action| !allowed.contains(action.as_str()));
            lacks.map(move |action| format!("{}: {action}", permission.type_name)).collect::<Vec<_>>()
        })
        .collect();
    // Tags are written in two ways, each of which has its own condition.
    if allowed.contains("ec2:CreateTags") {
        for key in ["aws:RequestTag/Environment", "aws:ResourceTag/Environment"] {
            let tags = |statement: &&Statement| statement.actions.iter().any(|action| action == "ec2:CreateTags");
            let mut tagging = statements.iter().filter(tags);
            if !tagging.any(|statement| !statement.condition("StringEquals", key).is_empty()) {
                missing.push(format!("ec2:CreateTags by {key}"));
            }
        }
    }
    for stack in stacks {
        for (type_name, action, arn) in named_resources(stack) {
            let reached = statements.iter().any(|statement| {
                statement.allows
                    && statement.actions.iter().any(|allowed| allowed == action)
                    && statement.resources.iter().any(|pattern| fits(pattern, &arn))
            });
            if !reached {
                missing.push(format!("{type_name}: {action} on {arn}"));
            }
        }
    }
    missing
}

/// Types whose name is in the template: the property, the action that makes one, and what stands before the name.
const NAMED: &[(&str, &str, &str, &str)] = &[
    ("AWS::CloudWatch::Alarm", "AlarmName", "cloudwatch:PutMetricAlarm", "cloudwatch:{region}:{account}:alarm:"),
    (
        "AWS::CloudWatch::CompositeAlarm",
        "AlarmName",
        "cloudwatch:PutCompositeAlarm",
        "cloudwatch:{region}:{account}:alarm:",
    ),
    ("AWS::CloudWatch::Dashboard", "DashboardName", "cloudwatch:PutDashboard", "cloudwatch::{account}:dashboard/"),
    ("AWS::DynamoDB::GlobalTable", "TableName", "dynamodb:CreateTable", "dynamodb:{region}:{account}:table/"),
    ("AWS::DynamoDB::Table", "TableName", "dynamodb:CreateTable", "dynamodb:{region}:{account}:table/"),
    ("AWS::ECR::Repository", "RepositoryName", "ecr:CreateRepository", "ecr:{region}:{account}:repository/"),
    ("AWS::EKS::Cluster", "Name", "eks:CreateCluster", "eks:{region}:{account}:cluster/"),
    ("AWS::Events::Archive", "ArchiveName", "events:CreateArchive", "events:{region}:{account}:archive/"),
    ("AWS::Events::EventBus", "Name", "events:CreateEventBus", "events:{region}:{account}:event-bus/"),
    ("AWS::IAM::Role", "RoleName", "iam:CreateRole", "iam::{account}:role/"),
    ("AWS::Lambda::Function", "FunctionName", "lambda:CreateFunction", "lambda:{region}:{account}:function:"),
    ("AWS::Logs::LogGroup", "LogGroupName", "logs:CreateLogGroup", "logs:{region}:{account}:log-group:"),
    ("AWS::S3::Bucket", "BucketName", "s3:CreateBucket", "s3:::"),
    ("AWS::SNS::Topic", "TopicName", "sns:CreateTopic", "sns:{region}:{account}:"),
    ("AWS::SQS::Queue", "QueueName", "sqs:CreateQueue", "sqs:{region}:{account}:"),
    ("AWS::Scheduler::Schedule", "Name", "scheduler:CreateSchedule", "scheduler:{region}:{account}:schedule/GROUP/"),
    (
        "AWS::Scheduler::ScheduleGroup",
        "Name",
        "scheduler:CreateScheduleGroup",
        "scheduler:{region}:{account}:schedule-group/",
    ),
    ("AWS::SecretsManager::Secret", "Name", "secretsmanager:CreateSecret", "secretsmanager:{region}:{account}:secret:"),
];

/// The real things that a stack makes, as type, action and ARN.
fn named_resources(stack: &StackInstance) -> Vec<(&'static str, &'static str, String)> {
    let mut all = Vec::new();
    for resource in stack.template.resources() {
        // The role is another stack's, and still looked at and handed on.
        if resource.type_name() == "AWS::EKS::PodIdentityAssociation" {
            let role = resource.properties().get("RoleArn").map(|role| filled(role, stack.id.region.as_str()));
            let role =
                role.as_ref().and_then(Json::as_str).unwrap_or_else(|| panic!("{}: no ARN", stack.id)).to_owned();
            all.push((resource.type_name(), "iam:GetRole", role.clone()));
            all.push((resource.type_name(), "iam:PassRole", role));
        }
        let Some((type_name, property, action, before)) =
            NAMED.iter().find(|(type_name, ..)| *type_name == resource.type_name())
        else {
            continue;
        };
        let region = stack.id.region.as_str();
        let name = resource.properties().get(property).map(|name| filled(name, region));
        let name = name.as_ref().and_then(Json::as_str);
        let name = name.unwrap_or_else(|| panic!("{} `{}` has no name", stack.id, resource.logical_id()));
        let before = before.replace("{region}", region).replace("{account}", ACCOUNT).replace("GROUP", name);
        // The same action is for alarms too, on other names.
        if *type_name == "AWS::CloudWatch::Dashboard" {
            all.push((*type_name, "cloudwatch:TagResource", format!("arn:aws:{before}{name}")));
        }
        all.push((*type_name, *action, format!("arn:aws:{before}{name}")));
    }
    all
}

#[test]
fn each_stacks_role_can_do_what_its_types_take() {
    for world in World::all() {
        for (name, (stacks, role)) in world.stacks() {
            let missing = missing(&stacks, &role.statements);
            assert!(missing.is_empty(), "{} {name}: {missing:#?}", world.name);
        }
    }
}

/// The schemas' own lists are covered, entry by entry: what isn't granted as it is listed has a reason.
#[test]
fn every_listed_permission_is_granted_or_excepted() {
    for world in World::all() {
        for (name, (stacks, _)) in world.stacks() {
            let permissions = handler_permissions(stacks.iter().map(|stack| &stack.template));
            let types: BTreeSet<&str> =
                stacks.iter().flat_map(|stack| stack.template.resources()).map(cfn::Declaration::type_name).collect();
            for type_name in types {
                let handlers = cfn::describe(type_name).expect("a vendored schema").handlers;
                for listed in handlers.iter().flat_map(|handler| handler.permissions) {
                    let permission = permissions
                        .iter()
                        .find(|permission| permission.type_name == type_name && permission.listed == *listed)
                        .unwrap_or_else(|| panic!("{name}: {type_name} {listed}"));
                    let as_it_is = permission.actions.len() == 1 && permission.actions.contains(*listed);
                    assert!(as_it_is || permission.note.is_some(), "{name}: {type_name} {listed}");
                }
            }
        }
    }
}

/// What is granted in another way than the schemas list it, for a reviewer to read.
#[test]
fn exceptions() {
    let world = World::of("production", ENVIRONMENTS[2].1);
    let stacks = world.system.stacks.iter().filter(|stack| !ADMINISTRATORS.contains(&stack.id.name));
    let permissions = handler_permissions(stacks.map(|stack| &stack.template));
    let lines: Vec<String> = permissions
        .iter()
        .filter_map(|permission| {
            let actions: Vec<&str> = permission.actions.iter().map(String::as_str).collect();
            let actions = if actions.is_empty() { "-".to_owned() } else { actions.join(" + ") };
            Some(format!("{} {}: {actions} ({})", permission.type_name, permission.listed, permission.note?))
        })
        .collect();
    insta::with_settings!({snapshot_path => "roles", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("exceptions", lines.join("\n"));
    });
}

#[test]
fn a_removed_statement_is_noticed() {
    let world = World::of("production", ENVIRONMENTS[2].1);
    let stacks = world.stacks();
    for (name, (instances, role)) in &stacks {
        for index in (0..role.statements.len()).filter(|&index| role.statements[index].allows) {
            let mut fewer = role.statements.clone();
            let removed = fewer.remove(index);
            let missing = missing(instances, &fewer);
            let named = missing.iter().any(|line| removed.actions.iter().any(|action| line.contains(action.as_str())));
            assert!(named, "{name}: nobody misses {}: {missing:?}", removed.sid);
        }
    }
    for (stack, sid, expected) in [
        ("events", "Queues", "AWS::SQS::Queue: sqs:CreateQueue"),
        ("events", "RolesPassed", "AWS::Lambda::Function: iam:PassRole"),
        ("events", "RolesInBoundary", "AWS::IAM::Role: iam:CreateRole"),
        ("events", "MappingsAny", "AWS::Lambda::EventSourceMapping: lambda:CreateEventSourceMapping"),
        ("events", "AnyResource", "AWS::Events::Rule: events:ListRules"),
        ("data", "Tables", "AWS::DynamoDB::GlobalTable: dynamodb:CreateGlobalTableWitness"),
        ("data", "ServiceLinkedRoles", "AWS::DynamoDB::GlobalTable: iam:CreateServiceLinkedRole"),
        ("cluster", "Nodes", "AWS::EKS::Nodegroup: ec2:RunInstances"),
        ("cluster", "NetworkOfCluster", "AWS::EC2::SecurityGroupIngress: ec2:AuthorizeSecurityGroupIngress"),
        ("keys", "AnyResource", "AWS::KMS::Key: kms:CreateKey"),
        ("network", "Network", "AWS::EC2::VPC: ec2:CreateVpc"),
        ("network", "NetworkOwn", "AWS::EC2::Route: ec2:DeleteRoute"),
        ("network", "NetworkTags", "ec2:CreateTags by aws:RequestTag/Environment"),
        ("delivery", "Buckets", "AWS::S3::Bucket: s3:CreateBucket"),
        ("secrets", "Keys", "AWS::SecretsManager::Secret: kms:GenerateDataKey"),
        ("state", "Tables", "AWS::DynamoDB::Table: dynamodb:UpdateTimeToLive"),
    ] {
        let (instances, role) = &stacks[stack];
        let mut fewer = role.statements.clone();
        fewer.retain(|statement| statement.sid != sid);
        assert_eq!(fewer.len() + 1, role.statements.len(), "{stack} has {sid}");
        let missing = missing(instances, &fewer);
        assert!(missing.iter().any(|line| line == expected), "{stack} without {sid}: {missing:#?}");
    }
}

#[test]
fn a_narrowed_statement_is_noticed() {
    let world = World::of("production", ENVIRONMENTS[2].1);
    let (instances, role) = &world.stacks()["events"];
    let mut narrower = role.statements.clone();
    let queues = narrower.iter_mut().find(|statement| statement.sid == "Queues").expect("queues");
    queues.resources = vec!["arn:aws:sqs:us-west-2:*:tandem-production-*".to_owned()];
    let missing = missing(instances, &narrower);
    let expected = "AWS::SQS::Queue: sqs:CreateQueue on arn:aws:sqs:us-east-1:000000000000:tandem-production-";
    assert!(!missing.is_empty() && missing.iter().all(|line| line.starts_with(expected)), "{missing:#?}");
}

#[test]
fn no_action_has_a_wildcard() {
    for world in World::all() {
        for (name, role) in &world.roles {
            for statement in role.statements.iter().filter(|statement| statement.allows) {
                assert!(statement.actions.iter().all(|action| !action.contains(['*', '?'])), "{name} {statement:?}");
            }
        }
    }
}

/// Another environment of the same account is out of reach wherever names say whose something is.
#[test]
fn another_environments_things_are_out_of_reach() {
    for world in World::all() {
        for (name, (_, role)) in world.stacks() {
            for statement in &role.statements {
                for arn in [
                    "arn:aws:sqs:us-west-2:000000000000:tandem-other-events",
                    "arn:aws:dynamodb:us-west-2:000000000000:table/tandem-other-orders",
                    "arn:aws:lambda:us-west-2:000000000000:function:tandem-other-authorizer",
                    "arn:aws:s3:::tandem-other-artifacts-000000000000-us-west-2",
                    "arn:aws:iam::000000000000:role/tandem-other-consumer-us-west-2",
                    "arn:aws:iam::000000000000:role/tandem-other-deploy",
                    "arn:aws:eks:us-west-2:000000000000:cluster/tandem-other",
                    "arn:aws:logs:us-west-2:000000000000:log-group:/tandem/other/authorizer",
                    "arn:aws:secretsmanager:us-west-2:000000000000:secret:tandem-other-jwt-AbCdEf",
                    "arn:aws:events:us-west-2:000000000000:event-bus/tandem-other-events",
                    "arn:aws:iam::000000000000:role/some-role",
                ] {
                    let reached = statement.resources.iter().any(|pattern| pattern != "*" && fits(pattern, arn));
                    assert!(!reached, "{} {name}: {} reaches {arn}", world.name, statement.sid);
                }
                let reaching = reaching(statement);
                assert!(reaching.is_empty(), "{} {name}: {} on everything: {reaching:?}", world.name, statement.sid);
            }
        }
    }
}

/// Conditions that tell the environment's things from others, or let nothing but something new be touched.
const LIMITS: [(&str, &str); 6] = [
    ("StringEquals", "aws:ResourceTag/Environment"),
    ("StringEquals", "aws:RequestTag/Environment"),
    ("StringEquals", "aws:ResourceTag/aws:eks:cluster-name"),
    ("StringEquals", "iam:PermissionsBoundary"),
    ("ArnLike", "lambda:FunctionArn"),
    ("ArnLike", "ec2:LaunchTemplate"),
];

/// Actions that neither look nor make, and that know no resources (Service Authorization Reference), so that nothing
/// could limit them.
const WITHOUT_RESOURCES: [&str; 7] = [
    "cloudwatch:PutMetricData",
    "events:PutPermission",
    "events:RemovePermission",
    "logs:DeleteLogDelivery",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "secretsmanager:GetRandomPassword",
];

/// The actions of a statement that change any environment's things.
fn reaching(statement: &Statement) -> Vec<&str> {
    let limited = LIMITS.iter().any(|(operator, key)| !statement.condition(operator, key).is_empty());
    if !statement.allows || limited || !statement.resources.iter().any(|pattern| pattern == "*") {
        return Vec::new();
    }
    let harmless = |action: &str| {
        let (_, verb) = action.split_once(':').expect("a service");
        // A tag and a route belong to something that is there already.
        let changes = ["CreateTags", "CreateRoute", "CreateLaunchTemplateVersion"].contains(&verb);
        !changes
            && ["Allocate", "Create", "Describe", "Get", "List", "Request"].iter().any(|word| verb.starts_with(word))
    };
    let all = statement.actions.iter().map(String::as_str);
    all.filter(|action| !harmless(action) && !WITHOUT_RESOURCES.contains(action)).collect()
}

#[test]
fn everything_is_reached_without_a_condition() {
    let world = World::of("production", ENVIRONMENTS[2].1);
    for (stack, sid, action) in [
        ("network", "NetworkOwn", "ec2:DeleteVpc"),
        ("network", "NetworkTags", "ec2:CreateTags"),
        ("cluster", "Nodes", "ec2:RunInstances"),
        ("cluster", "NetworkOfCluster", "ec2:AuthorizeSecurityGroupIngress"),
    ] {
        let statements = &world.stacks()[stack].1.statements;
        let statement = statements.iter().find(|one| one.sid == sid).unwrap_or_else(|| panic!("{stack} has {sid}"));
        assert_eq!(reaching(statement), Vec::<&str>::new());
        let open = Statement { conditions: Json::Null, ..statement.clone() };
        assert!(reaching(&open).contains(&action), "{sid}");
    }
}

/// Whatever a role may do in a region, it is denied in others, service by service.
#[test]
fn roles_act_in_the_environments_regions() {
    for world in World::all() {
        for (name, role) in &world.roles {
            let denied = role.statements.iter().filter(|statement| statement.sid == "OtherRegions");
            let [denied] = &denied.collect::<Vec<_>>()[..] else { panic!("{name}: one statement keeps it in") };
            assert!(!denied.allows);
            assert_eq!(denied.resources, ["*"]);
            let regions = denied.condition("StringNotEquals", "aws:RequestedRegion");
            let mut expected: BTreeSet<&str> = world.regions();
            if name.ends_with("-cfn-data") {
                expected.insert("us-east-2");
            }
            assert_eq!(regions.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{name}");
            for action in role.statements.iter().filter(|one| one.allows).flat_map(|one| &one.actions) {
                let (service, _) = action.split_once(':').expect("a service");
                let is_global = ["iam", "route53"].contains(&service);
                assert_eq!(denied.actions.contains(&format!("{service}:*")), !is_global, "{name} {action}");
            }
        }
    }
}

/// Roles are made with the boundary only, and nobody reaches the roles that CloudFormation and GitHub work with.
#[test]
fn roles_are_made_within_the_boundary() {
    for world in World::all() {
        let boundary = format!("arn:aws:iam::{ACCOUNT}:policy/tandem-{}-boundary", world.name);
        for (name, (_, role)) in world.stacks() {
            for statement in role.statements.iter().filter(|one| one.actions.iter().any(|it| it.starts_with("iam:"))) {
                let makes = statement.actions.iter().any(|action| {
                    ["iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"]
                        .contains(&action.as_str())
                });
                if makes {
                    let bound = statement.condition("StringEquals", "iam:PermissionsBoundary");
                    assert_eq!(bound, [boundary.as_str()], "{name}");
                }
                for own in world.roles.keys().filter(|_| !statement.actions.contains(&"iam:GetRole".to_owned())) {
                    let arn = format!("arn:aws:iam::{ACCOUNT}:role/{own}");
                    let reached = statement.resources.iter().any(|pattern| pattern != "*" && fits(pattern, &arn));
                    assert!(!reached, "{name}: {} reaches {own}", statement.sid);
                }
            }
        }
    }
}

#[test]
fn roles_are_handed_to_services_that_work_with_them() {
    for world in World::all() {
        for (name, role) in &world.roles {
            for statement in &role.statements {
                if !statement.actions.iter().any(|action| action == "iam:PassRole") {
                    continue;
                }
                assert_eq!(statement.actions, ["iam:PassRole"], "{name}");
                let services = statement.condition("StringEquals", "iam:PassedToService");
                assert!(!services.is_empty() && services.iter().all(|one| one.ends_with(".amazonaws.com")), "{name}");
                let prefix = format!("arn:aws:iam::{ACCOUNT}:role/tandem-{}-", world.name);
                assert!(statement.resources.iter().all(|arn| arn.starts_with(&prefix)), "{name} {statement:?}");
                let takes_cloudformation = services.iter().any(|service| service.starts_with("cloudformation."));
                assert_eq!(takes_cloudformation, !name.contains("-cfn-"), "{name}");
            }
        }
    }
}

#[test]
fn cloudformation_alone_takes_its_roles() {
    for world in World::all() {
        for (name, (_, role)) in world.stacks() {
            let [trust] = &role.trust[..] else { panic!("{name}: one statement of trust") };
            assert_eq!(trust.actions, ["sts:AssumeRole"]);
            let principal = &role.properties["AssumeRolePolicyDocument"]["Statement"][0]["Principal"];
            assert_eq!(*principal, serde_json::json!({"Service": "cloudformation.amazonaws.com"}));
            // A source that CloudFormation doesn't name would stop every deployment.
            let statement = &role.properties["AssumeRolePolicyDocument"]["Statement"][0];
            assert_eq!(statement.get("Condition"), None, "{name}");
        }
    }
}

#[test]
fn every_stack_but_an_administrators_has_its_role() {
    for world in World::all() {
        for stack in &world.system.stacks {
            match &stack.execution_role {
                None => assert!(ADMINISTRATORS.contains(&stack.id.name), "{}", stack.id),
                Some(role) => {
                    assert_eq!(*role, format!("tandem-{}-cfn-{}", world.name, stack.id.name));
                    assert!(world.roles.contains_key(role), "{role} is made");
                    assert!(stack.depends_on.iter().any(|needed| needed.name == "access"), "{}", stack.id);
                }
            }
        }
    }
}

#[test]
fn sizes_stay_within_iams_limits() {
    for world in World::all() {
        for (name, role) in &world.roles {
            assert!(role.inline_characters <= 10_240, "{name}: {}", role.inline_characters);
            assert!(role.managed_characters.len() <= 10, "{name}: {}", role.managed_characters.len());
            assert!(role.managed_characters.iter().all(|&characters| characters <= 6_144), "{name}");
            let trust = characters(&role.properties["AssumeRolePolicyDocument"]);
            assert!(trust <= 2_048, "{name}: {trust}");
            assert!(name.len() <= 64, "{name}");
        }
        let access = &world.system.stacks[0];
        assert_eq!(access.id.name, "access");
        assert!(access.template.resources().len() < 500);
        // It is deployed before there is a bucket, so without white space it must go within the call.
        let bytes = access.template.to_json().to_string().len();
        assert!(bytes <= 51_200, "{}: {bytes} bytes", world.name);
    }
}

/// The longest name that an environment may have, and a third region: still one call, still no name that is too long.
#[test]
fn sizes_leave_room_for_a_longer_name_and_a_third_region() {
    let third =
        "[[regions]]\nname = \"us-east-2\"\nrole = \"secondary\"\nwave = 1\nnetwork = \"10.42.0.0/16\"\n\n[logs]";
    let text = ENVIRONMENTS[2].1.replacen("[logs]", third, 1).replace("witness = \"us-east-2\"\n", "");
    let text = text.replace("name = \"production\"", "name = \"abcdefghijklmnop\"");
    let world = World::of("abcdefghijklmnop", &text);
    for (name, (stacks, role)) in world.stacks() {
        assert!(missing(&stacks, &role.statements).is_empty(), "{name}");
        assert!(role.inline_characters <= 10_240, "{name}: {}", role.inline_characters);
    }
    let bytes = world.system.stacks[0].template.to_json().to_string().len();
    assert!(bytes <= 51_200, "{bytes} bytes");
    for stack in &world.system.stacks {
        for role in stack.template.resources().filter(|one| one.type_name() == "AWS::IAM::Role") {
            let name = role.properties().get("RoleName").and_then(Json::as_str).expect("a name");
            assert!(name.len() <= 64, "{name}");
        }
    }
}

/// IAM knows no regions, so two stacks' roles must not meet.
#[test]
fn names_of_roles_are_unique() {
    for world in World::all() {
        let mut seen = BTreeSet::new();
        for stack in &world.system.stacks {
            for role in stack.template.resources().filter(|one| one.type_name() == "AWS::IAM::Role") {
                let name = role.properties().get("RoleName").and_then(Json::as_str).expect("a name").to_owned();
                assert!(name.len() <= 64, "{name}");
                assert!(seen.insert(name.clone()), "{} makes {name} again", stack.id);
            }
        }
    }
}

#[test]
fn every_role_of_a_program_carries_the_boundary_and_fits_in() {
    for world in World::all() {
        let access = &world.system.stacks[0].template;
        let boundary = access.resource("Boundary").expect("the boundary").properties();
        let boundary = filled(boundary.get("PolicyDocument").expect("a document"), "us-west-2");
        assert!(characters(&boundary) <= 6_144, "{}", characters(&boundary));
        let limits = Statement::of(&boundary);
        let most: BTreeSet<&str> =
            limits.iter().filter(|one| one.allows).flat_map(|one| one.actions.iter().map(String::as_str)).collect();
        let denied: Vec<String> = limits.iter().filter(|one| !one.allows).flat_map(|one| one.actions.clone()).collect();
        assert_eq!(denied, ["account:*", "iam:*", "organizations:*"]);
        assert!(most.iter().all(|action| !action.contains('*') && !denied.iter().any(|no| fits(no, action))));

        let mut roles = 0;
        let others = world.system.stacks.iter().filter(|stack| !ADMINISTRATORS.contains(&stack.id.name));
        for stack in others {
            for role in stack.template.resources().filter(|one| one.type_name() == "AWS::IAM::Role") {
                roles += 1;
                let region = stack.id.region.as_str();
                let properties = filled(&role.to_json(), region)["Properties"].clone();
                let arn = format!("arn:aws:iam::{ACCOUNT}:policy/tandem-{}-boundary", world.name);
                assert_eq!(properties["PermissionsBoundary"], arn.as_str(), "{} {}", stack.id, role.logical_id());
                for policy in properties["Policies"].as_array().into_iter().flatten() {
                    for action in Statement::of(&policy["PolicyDocument"]).into_iter().flat_map(|one| one.actions) {
                        assert!(most.contains(action.as_str()), "{} {}: {action}", stack.id, role.logical_id());
                    }
                }
            }
        }
        assert!(roles >= 12, "{roles} roles: five functions, a schedule and the consumer in each region");
    }
}

#[test]
fn github_takes_roles_for_its_own_repository_only() {
    let key = |part: &str| format!("token.actions.githubusercontent.com:{part}");
    for world in World::all() {
        let name = world.name;
        let deploy = ["repo:example/tandem:environment:".to_owned() + name];
        let main = [branch("main")];
        let anywhere = [branch("*"), "repo:example/tandem:pull_request".to_owned()];
        for (thing, operator, subjects) in [
            ("reader", "StringLike", &anywhere[..]),
            ("reviewer", "StringEquals", &anywhere[1..]),
            ("deploy", "StringEquals", &deploy),
            ("drift", "StringEquals", &main),
        ] {
            let role = world.role(thing);
            let [trust] = &role.trust[..] else { panic!("{thing}: one statement of trust") };
            assert_eq!(trust.actions, ["sts:AssumeRoleWithWebIdentity"]);
            assert_eq!(trust.condition("StringEquals", &key("aud")), ["sts.amazonaws.com"]);
            assert_eq!(trust.condition(operator, &key("sub")), subjects, "{name} {thing}");
            assert_eq!(role.properties["MaxSessionDuration"], 3600);
            let federated = &role.properties["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Federated"];
            let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com");
            assert_eq!(*federated, provider.as_str());
        }
    }
}

fn branch(name: &str) -> String {
    format!("repo:example/tandem:ref:refs/heads/{name}")
}

fn actions(role: &Role) -> BTreeSet<&str> {
    role.statements
        .iter()
        .filter(|statement| statement.allows)
        .flat_map(|statement| statement.actions.iter().map(String::as_str))
        .collect()
}

#[test]
fn githubs_roles_differ_in_what_they_change() {
    for world in World::all() {
        let reader = actions(world.role("reader"));
        let looks = |action: &str| {
            let (_, verb) = action.split_once(':').expect("a service");
            ["Describe", "Get", "List"].iter().any(|looking| verb.starts_with(looking))
        };
        assert!(reader.iter().all(|action| looks(action)), "{reader:?}");

        let reviewer = actions(world.role("reviewer"));
        assert!(reviewer.is_superset(&reader));
        assert!(reviewer.contains("cloudformation:CreateChangeSet"));
        for never in ["ExecuteChangeSet", "DeleteStack", "UpdateStack", "CreateStack"] {
            assert!(!reviewer.contains(&format!("cloudformation:{never}")[..]), "{never}");
        }
        let drift = actions(world.role("drift"));
        assert!(drift.is_superset(&reader));
        let deploy = actions(world.role("deploy"));
        // A search reads with the rights of `drift`: who has fewer must not see what it found.
        for of_drift in ["DescribeStackResourceDrifts", "DetectStackDrift", "DetectStackResourceDrift"] {
            let action = &format!("cloudformation:{of_drift}")[..];
            assert!(drift.contains(action), "{action}");
            for others in [&reader, &reviewer, &deploy] {
                assert!(!others.contains(action), "{action}");
            }
        }

        assert!(deploy.contains("cloudformation:ExecuteChangeSet"));
        for never in ["UpdateStack", "CreateStack", "SetStackPolicy"] {
            assert!(!deploy.contains(&format!("cloudformation:{never}")[..]), "{never}");
        }
    }
}

/// What a pull request writes is not where a deployment reads, and nobody reaches the stack with his own rights.
#[test]
fn githubs_roles_stay_apart_and_below_access() {
    for world in World::all() {
        let name = world.name;
        let own = ADMINISTRATORS
            .map(|stack| format!("arn:aws:cloudformation:us-west-2:{ACCOUNT}:stack/tandem-{name}-{stack}/1"));
        let denied: Vec<String> = own.iter().map(|arn| arn.replace("/1", "/*").replace("us-west-2", "*")).collect();
        let template = format!("arn:aws:s3:::tandem-{name}-artifacts-{ACCOUNT}-us-west-2/templates/data/1.json");
        for thing in ["reader", "reviewer", "deploy"] {
            for statement in &world.role(thing).statements {
                let reaches = |arn: &str| statement.resources.iter().any(|pattern| fits(pattern, arn));
                let changes = statement.allows
                    && statement.sid != "ReadStacks"
                    && statement.actions.iter().any(|action| action.starts_with("cloudformation:"));
                if changes && own.iter().any(|arn| reaches(arn)) {
                    let is_denied = world.role(thing).statements.iter().any(|other| {
                        let all = statement.actions.iter().all(|action| other.actions.contains(action));
                        !other.allows && other.resources == denied && all
                    });
                    assert!(is_denied, "{thing} {}", statement.sid);
                }
                let writes = statement.actions.iter().any(|action| action == "s3:PutObject");
                assert_eq!(writes && reaches(&template), thing == "deploy" && writes, "{thing} {}", statement.sid);
                for action in ["cloudformation:CreateChangeSet", "cloudformation:DeleteStack"] {
                    if statement.allows && statement.actions.iter().any(|one| one == action) {
                        let roles = statement.condition("ArnLike", "cloudformation:RoleArn");
                        let cfn = format!("arn:aws:iam::{ACCOUNT}:role/tandem-{name}-cfn-");
                        assert!(!roles.is_empty() && roles.iter().all(|role| role.starts_with(&cfn)), "{roles:?}");
                    }
                }
            }
        }
    }
}

/// CloudWatch tells of composite alarms only to who may ask for all (service authorization reference, `DescribeAlarms`).
#[test]
fn alarms_are_described_on_any_resource() {
    for world in World::all() {
        let mut describing = BTreeSet::new();
        for (name, role) in &world.roles {
            for statement in role.statements.iter().filter(|one| one.allows) {
                if statement.actions.iter().any(|action| action == "cloudwatch:DescribeAlarms") {
                    assert_eq!(statement.resources, ["*"], "{name} {}", statement.sid);
                    describing.insert(name.rsplit('-').next().unwrap_or_default());
                }
            }
        }
        assert!(describing.is_superset(&["deploy", "drift", "observability"].into()), "{describing:?}");
    }
}

/// What a search for drift reads is all there, by the types' own schemas, and nothing that changes anything or reads data.
#[test]
fn the_role_that_looks_for_drift_reads_everything_and_changes_nothing() {
    for world in World::all() {
        let role = world.role("drift");
        let allowed = actions(role);
        let mut withheld = BTreeSet::new();
        for permission in read_permissions(world.system.stacks.iter().map(|stack| &stack.template)) {
            for action in &permission.actions {
                assert!(allowed.contains(action.as_str()), "{} {action}", permission.type_name);
            }
            if permission.actions.is_empty() && !permission.note.is_some_and(|note| note.starts_with("no ")) {
                withheld.insert(permission.listed);
            }
        }
        let expected = ["cloudwatch:PutMetricData", "kms:Decrypt", "secretsmanager:GetSecretValue"];
        assert_eq!(withheld, expected.map(str::to_owned).into(), "{}", world.name);
        // Each type that can be read: a role of the stack itself is one of them.
        let types: BTreeSet<&str> = world
            .system
            .stacks
            .iter()
            .flat_map(|stack| stack.template.resources())
            .map(cfn::Declaration::type_name)
            .collect();
        for type_name in types {
            let Some(read) = cfn::describe(type_name).expect("a vendored schema").handler("read") else { continue };
            let describes =
                read.permissions.iter().filter(|listed| listed.contains(":Describe") || listed.contains(":Get"));
            for listed in describes.filter(|listed| !listed.contains('*') && !withheld.contains(**listed)) {
                let optional = ["s3:getObject", "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation"];
                let unused = ["lambda:GetCodeSigningConfig", "lambda:GetFunctionCodeSigningConfig"];
                let is_needed = !optional.contains(listed) && !unused.contains(listed);
                assert!(!is_needed || allowed.contains(listed), "{} {type_name} {listed}", world.name);
            }
        }
        for action in &allowed {
            let (service, verb) = action.split_once(':').expect("a service");
            let looks =
                ["BatchDescribe", "Describe", "Detect", "GET", "Get", "List"].iter().any(|word| verb.starts_with(word));
            assert!(looks || *action == "kms:Decrypt", "{action}");
            let reads_data = ["GetItem", "GetObject", "GetRecords", "GetSecretValue", "Query", "Scan"].contains(&verb);
            assert!(!reads_data && (service, verb) != ("logs", "GetLogEvents"), "{action}");
        }
        let decrypts: Vec<&Statement> =
            role.statements.iter().filter(|one| one.actions.iter().any(|action| action == "kms:Decrypt")).collect();
        let [decrypts] = decrypts[..] else { panic!("one statement decrypts") };
        let through = decrypts.condition("StringEquals", "kms:ViaService");
        assert!(!through.is_empty() && through.iter().all(|service| service.starts_with("lambda.")), "{through:?}");
        assert!(role.properties.get("PermissionsBoundary").is_none());
    }
}

/// Without a repository there is nobody to trust; with an existing provider it isn't made again.
#[test]
fn the_environment_file_decides_about_github() {
    let text = ENVIRONMENTS[2].1;
    let (before, rest) = text.split_once("[github]").expect("a section");
    let (_, after) = rest.split_once("\n[").expect("another section");
    let without = format!("{before}[{after}");
    let world = World::of("production", &without);
    assert!(world.roles.keys().all(|name| name.contains("-cfn-")), "{:?}", world.roles.keys());

    let types = |text: &str| -> Vec<&str> {
        let system = system(&environment("production", text));
        system.stacks[0].template.resources().map(cfn::Declaration::type_name).collect()
    };
    let provider = "AWS::IAM::OIDCProvider";
    assert!(types(text).contains(&provider));
    assert!(!types(&text.replace("provider = \"create\"", "provider = \"existing\"")).contains(&provider));
}

#[test]
fn patterns_fit_as_in_iam() {
    for (pattern, text, expected) in [
        ("arn:*:queue-*", "arn:aws:sqs:queue-1", true),
        ("queue-*", "queue-", true),
        ("queue-*", "queues", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*", "", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b", "a-b-c", false),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}
