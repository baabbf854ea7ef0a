//! One home for everything: a name that two stacks declare is refused by AWS, or worse, changed by both in turn.

use std::collections::BTreeMap;

use cfn::{Declaration, Json, known_text};

use super::Finding;
use crate::system::{StackInstance, System};

/// Types whose name is one for all regions of the account, or of the world.
const GLOBAL: [(&str, &str); 6] = [
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
    ("AWS::IAM::OIDCProvider", "Url"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::Route53::HostedZone", "Name"),
    ("AWS::S3::Bucket", "BucketName"),
    ("AWS::CloudWatch::Dashboard", "DashboardName"),
];
/// Types of a name in each region that aren't known by their create-only name.
const REGIONAL: [(&str, &str); 1] = [("AWS::KMS::Alias", "AliasName")];

/// Properties that say what a resource belongs to: its name is one in there only.
const OWNERS: [&str; 9] = [
    "ApiId",
    "ClusterName",
    "DomainName",
    "EventBusName",
    "FunctionName",
    "GroupName",
    "LogGroupName",
    "RoleName",
    "TableName",
];

/// Types that have no name, and whose identifier the service chooses: what there can be one of, in AWS's words.
const TOGETHER: [(&str, &[&str]); 3] = [
    ("AWS::ApiGatewayV2::Route", &["ApiId", "RouteKey"]),
    ("AWS::EKS::PodIdentityAssociation", &["ClusterName", "Namespace", "ServiceAccount"]),
    ("AWS::Lambda::EventSourceMapping", &["FunctionName", "EventSourceArn"]),
];

/// One real thing that a resource stands for: its kind, where it exists, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    kind: &'static str,
    region: Option<String>,
    name: String,
}

/// Every identity is declared once in the system.
pub(super) fn check(system: &System, found: &mut Vec<Finding>) {
    let mut homes: BTreeMap<Identity, (&StackInstance, &Declaration)> = BTreeMap::new();
    for stack in &system.stacks {
        for declaration in stack.template.resources() {
            let taken: Vec<Identity> = identities(stack, declaration)
                .into_iter()
                .filter(|identity| {
                    let first = homes.entry(identity.clone()).or_insert((stack, declaration));
                    !std::ptr::eq(first.1, declaration)
                })
                .collect();
            // A replicated thing meets its twin in each region; once is enough to say.
            if let Some(identity) = taken.first() {
                let (home, first) = homes[identity];
                found.push(second_home(identity, (stack, declaration), (home, first)));
            }
        }
    }
}

fn second_home(
    identity: &Identity,
    (stack, declaration): (&StackInstance, &Declaration),
    (home, first): (&StackInstance, &Declaration),
) -> Finding {
    let place =
        identity.region.as_deref().map_or_else(|| "for all regions".to_owned(), |region| format!("in {region}"));
    let message = format!(
        "`{}` {place} has its home in {}: {} at {}:{}",
        identity.name,
        home.id,
        first.logical_id(),
        first.location().file(),
        first.location().line()
    );
    let hint = "declare it in one stack only, and give its name or an output to the other";
    Finding::new("one-home", stack, message, hint).of(declaration).with(&home.id)
}

/// What a resource stands for. Nothing if the service chooses its name, or if it is known only at deployment.
fn identities(stack: &StackInstance, declaration: &Declaration) -> Vec<Identity> {
    let region = stack.id.region.as_str();
    let kind = declaration.type_name();
    let text = |property: &str| known_text(declaration.properties().get(property)?, region);
    let in_region =
        |region: &str, kind, name: &str| Identity { kind, region: Some(region.to_owned()), name: name.to_owned() };
    match kind {
        // A replica and a table of one region share the same names.
        "AWS::DynamoDB::GlobalTable" => {
            let regions = regions(declaration, "Replicas");
            text("TableName").map_or_else(Vec::new, |name| {
                regions.iter().map(|region| in_region(region, "AWS::DynamoDB::Table", &name)).collect()
            })
        }
        "AWS::SecretsManager::Secret" => {
            let mut regions = regions(declaration, "ReplicaRegions");
            regions.push(region.to_owned());
            text("Name")
                .map_or_else(Vec::new, |name| regions.iter().map(|region| in_region(region, kind, &name)).collect())
        }
        "AWS::Route53::RecordSet" => record(declaration, region).into_iter().collect(),
        _ => {
            let name = match GLOBAL.iter().find(|(type_name, _)| *type_name == kind) {
                Some((_, property)) => text(property),
                None => own_name(stack, declaration),
            };
            let region = (!is_global(kind)).then(|| region.to_owned());
            name.map(|name| Identity { kind, region, name }).into_iter().collect()
        }
    }
}

fn is_global(kind: &str) -> bool {
    kind.starts_with("AWS::IAM::") || kind == "AWS::S3::BucketPolicy" || GLOBAL.iter().any(|(known, _)| *known == kind)
}

/// A record is known by its name, type and set identifier.
fn record(declaration: &Declaration, region: &str) -> Option<Identity> {
    let text = |property: &str| known_text(declaration.properties().get(property)?, region);
    let name = text("Name")?;
    let kind = text("Type").unwrap_or_default();
    let set = text("SetIdentifier").map(|set| format!(" ({set})")).unwrap_or_default();
    let name = format!("{kind} {}{set}", name.trim_end_matches('.'));
    Some(Identity { kind: "AWS::Route53::RecordSet", region: None, name })
}

/// What tells a resource from others of its type in its region: the properties that the schema says identify it, if the
/// author writes them all, else its name; with whatever it belongs to, such as the API of a stage.
fn own_name(stack: &StackInstance, declaration: &Declaration) -> Option<String> {
    let properties = naming_properties(declaration.type_name());
    let (name, owners) = properties.split_last()?;
    let name = declaration.properties().get(name)?;
    let owners = owners.iter().map(|owner| declaration.properties().get(owner)).map(|owner| {
        // A rule without a bus is one of the default bus.
        owner.map(|owner| part(stack, owner)).unwrap_or_default()
    });
    let parts: Vec<String> = owners.chain([part(stack, name)]).collect();
    Some(parts.join("/"))
}

/// The properties that together name a resource, its own name last; none if the service chooses.
fn naming_properties(type_name: &str) -> Vec<&'static str> {
    if let Some((_, properties)) = TOGETHER.iter().find(|(known, _)| *known == type_name) {
        return properties.to_vec();
    }
    let Some(description) = cfn::describe(type_name) else { return Vec::new() };
    let identifier = description.primary_identifier;
    let written = !identifier.is_empty() && identifier.iter().all(|path| !description.read_only.contains(path));
    let name = match name_property(type_name) {
        Some(name) => name,
        None if written => identifier.last().expect("it isn't empty"),
        None => return Vec::new(),
    };
    let create_only = description.create_only.iter().copied();
    let owners = create_only.chain(["EventBusName", "GroupName"]);
    let owners = owners.filter(|owner| OWNERS.contains(owner) && description.property(owner).is_some());
    let identifying = identifier.iter().copied().filter(|_| written);
    let mut properties: Vec<&'static str> = owners.chain(identifying).filter(|property| *property != name).collect();
    properties.sort_unstable();
    properties.dedup();
    properties.push(name);
    properties
}

/// A name as it is written, or as the thing is named that is referred to. What only a deployment knows is told from
/// others by its stack, or by what fills the parameter.
fn part(stack: &StackInstance, json: &Json) -> String {
    let region = stack.id.region.as_str();
    if let Some(text) = known_text(json, region) {
        return text;
    }
    let referred = json.get("Ref").and_then(Json::as_str);
    if let Some(input) = referred.and_then(|name| stack.inputs.iter().find(|input| input.parameter == name)) {
        return format!("{:?}", input.source);
    }
    let resource = referred.and_then(|id| stack.template.resource(id));
    let name = resource.and_then(|resource| {
        let property = name_property(resource.type_name())?;
        known_text(resource.properties().get(property)?, region)
    });
    name.unwrap_or_else(|| format!("{} {json}", stack.id))
}

/// The property that names the resource, where the author chooses the name and can't change it later.
fn name_property(type_name: &str) -> Option<&'static str> {
    if let Some((_, property)) = REGIONAL.iter().find(|(known, _)| *known == type_name) {
        return Some(property);
    }
    let description = cfn::describe(type_name)?;
    let last = type_name.rsplit("::").next()?;
    description.create_only.iter().copied().find(|property| {
        *property == "Name"
            || property.strip_suffix("Name").is_some_and(|stem| !stem.is_empty() && last.ends_with(stem))
    })
}

fn regions(declaration: &Declaration, property: &str) -> Vec<String> {
    let items = declaration.properties().get(property).and_then(Json::as_array).into_iter().flatten();
    items.filter_map(|item| item["Region"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use cfn::{apigatewayv2, events, iam, lambda};
    use serde_json::json;

    use super::*;
    use crate::rules::tests::{broken, stack_of};

    #[test]
    fn named_types_are_known_by_their_names() {
        for (type_name, property) in [
            ("AWS::SQS::Queue", "QueueName"),
            ("AWS::Lambda::Function", "FunctionName"),
            ("AWS::Events::EventBus", "Name"),
            ("AWS::Events::Rule", "Name"),
            ("AWS::Logs::LogGroup", "LogGroupName"),
            ("AWS::DynamoDB::Table", "TableName"),
            ("AWS::KMS::Alias", "AliasName"),
            ("AWS::CloudWatch::Alarm", "AlarmName"),
            ("AWS::ECR::Repository", "RepositoryName"),
            ("AWS::EKS::Cluster", "Name"),
            ("AWS::EKS::Nodegroup", "NodegroupName"),
        ] {
            assert_eq!(name_property(type_name), Some(property), "{type_name}");
        }
        assert_eq!(name_property("AWS::Lambda::Permission"), None);
    }

    #[test]
    fn what_belongs_to_something_is_named_with_it() {
        for (type_name, properties) in [
            ("AWS::ApiGatewayV2::DomainName", &["DomainName"][..]),
            ("AWS::ApiGatewayV2::Stage", &["ApiId", "StageName"]),
            ("AWS::EKS::Addon", &["ClusterName", "AddonName"]),
            ("AWS::Events::Rule", &["EventBusName", "Name"]),
            ("AWS::IAM::RolePolicy", &["RoleName", "PolicyName"]),
            ("AWS::Lambda::Alias", &["FunctionName", "Name"]),
            ("AWS::Lambda::EventInvokeConfig", &["FunctionName", "Qualifier"]),
            ("AWS::Lambda::Function", &["FunctionName"]),
            ("AWS::Lambda::Permission", &[]),
            ("AWS::Logs::MetricFilter", &["LogGroupName", "FilterName"]),
            ("AWS::SQS::Queue", &["QueueName"]),
            ("AWS::Scheduler::Schedule", &["GroupName", "Name"]),
        ] {
            assert_eq!(naming_properties(type_name), properties, "{type_name}");
        }
        for (type_name, properties) in TOGETHER {
            for property in properties {
                assert!(
                    cfn::describe(type_name).expect(type_name).property(property).is_some(),
                    "{type_name} {property}"
                );
            }
        }
    }

    /// Adds a resource to `first` and another to `second`; tells how many second homes there are then.
    fn second_homes<R: cfn::Resource>(first: (&str, &Json), second: (&str, &Json)) -> usize {
        let found = broken(|system| {
            for (number, (stack, properties)) in [first, second].into_iter().enumerate() {
                let mut written = cfn::Properties::new();
                for (name, value) in properties.as_object().expect("properties") {
                    written.set(name, value.clone());
                }
                stack_of(system, stack).template.add(&format!("Test{number}"), R::from_properties(written));
            }
        });
        found.iter().filter(|finding| finding.rule == "one-home").count()
    }

    #[test]
    fn one_name_is_one_thing_and_two_owners_are_two() {
        let (west, other, east) = ("api@us-west-2", "events@us-west-2", "api@us-east-1");
        let domain = json!({"DomainName": "x.example.com"});
        assert_eq!(second_homes::<apigatewayv2::DomainName>((west, &domain), (other, &domain)), 1);
        assert_eq!(second_homes::<apigatewayv2::DomainName>((west, &domain), (east, &domain)), 0, "one in each region");

        let alias = |function: &str| json!({"FunctionName": function, "Name": "live", "FunctionVersion": "1"});
        assert_eq!(second_homes::<lambda::Alias>((west, &alias("one")), (other, &alias("one"))), 1);
        assert_eq!(second_homes::<lambda::Alias>((west, &alias("one")), (other, &alias("two"))), 0);

        let policy = |role: &str| json!({"RoleName": role, "PolicyName": "extra", "PolicyDocument": {}});
        assert_eq!(second_homes::<iam::RolePolicy>((west, &policy("one")), (east, &policy("one"))), 1, "IAM is global");
        assert_eq!(second_homes::<iam::RolePolicy>((west, &policy("one")), (east, &policy("two"))), 0);

        // The same words in two templates mean two things, unless they lead to one.
        let stage = json!({"ApiId": {"Ref": "SomeApi"}, "StageName": "test"});
        assert_eq!(second_homes::<apigatewayv2::Stage>((west, &stage), (other, &stage)), 0);
        assert_eq!(second_homes::<apigatewayv2::Stage>((west, &stage), (west, &stage)), 1);
        let rule = |bus: Json| json!({"EventBusName": bus, "Name": "test"});
        let named = rule(json!("tandem-production-events"));
        let referred = rule(json!({"Ref": "EventBus"}));
        assert_eq!(second_homes::<events::Rule>((other, &referred), (west, &named)), 1);
    }

    #[test]
    fn every_global_type_has_its_property() {
        for (type_name, property) in GLOBAL.iter().chain(&REGIONAL) {
            let description = cfn::describe(type_name).expect(type_name);
            assert!(description.property(property).is_some(), "{type_name} {property}");
        }
    }
}
