//! Names that are still taken when the new resource is made.

use serde_json::Value;

use super::{Context, Found};
use crate::model::{Class, PropertyChange, Replacement, Severity, code};

/// Properties within which a name has to be unique: if one of them changes, the same name is free.
const SCOPES: [&str; 8] =
    ["ApiId", "ClusterName", "EventBusName", "FunctionName", "GroupName", "HostedZoneId", "Scope", "VpcId"];

/// Types whose name isn't unique by itself.
const SHARED_NAMES: [&str; 1] = ["AWS::Route53::RecordSet"];

pub(super) fn names_are_free(context: &Context<'_>, found: &mut Vec<Found>) {
    for diff in context.resources.values() {
        if !matches!(diff.class, Class::Replaced | Class::MayBeReplaced)
            || SHARED_NAMES.contains(&diff.resource_type.as_str())
        {
            continue;
        }
        let (Some(old), Some(new)) = (context.deployed(&diff.logical_id), context.latest(&diff.logical_id)) else {
            continue;
        };
        let Some(description) = cfn::describe(&diff.resource_type) else { continue };
        let name_property = description.create_only.iter().find(|name| is_name(name, &diff.resource_type));
        let Some(property) = name_property.filter(|_| old.type_name() == new.type_name()) else { continue };
        let changes = |name: &str| diff.properties.iter().any(|change| top(change) == name);
        let replaces = |change: &&PropertyChange| change.replacement != Replacement::Never;
        let in_scope = diff.properties.iter().filter(replaces).any(|change| {
            let name = top(change);
            name != *property && SCOPES.contains(&name)
        });
        let named = new.at(property).and_then(Value::as_str).or_else(|| new.at(property).map(|_| "its name"));
        let Some(name) = named.filter(|_| old.at(property).is_some() && !changes(property) && !in_scope) else {
            continue;
        };
        let cause: Vec<String> = diff.properties.iter().filter(replaces).map(|change| code(&change.path)).collect();
        found.push(Found {
            severity: if diff.class == Class::Replaced { Severity::Refused } else { Severity::Warning },
            subject: Some(diff.logical_id.clone()),
            message: format!(
                "{} {} replaced for {}, the new one is made first, and the name {} is taken until the old one goes",
                code(&diff.logical_id),
                if diff.class == Class::Replaced { "is" } else { "may be" },
                cause.join(", "),
                code(name)
            ),
            safe_path: format!(
                "change {} too, or remove the resource in one deployment and add it in the next",
                code(property)
            ),
        });
    }
}

fn top(change: &PropertyChange) -> &str {
    change.path.split('/').next().unwrap_or_default()
}

/// Whether a property is the name by which the real resource is known.
fn is_name(property: &str, resource_type: &str) -> bool {
    let own = resource_type.rsplit("::").next().unwrap_or_default();
    property == "Name"
        || property == own
        || property.strip_suffix("Name").is_some_and(|what| !what.is_empty() && own.ends_with(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_name_is_recognised() {
        for (property, resource_type, expected) in [
            ("QueueName", "AWS::SQS::Queue", true),
            ("TableName", "AWS::DynamoDB::GlobalTable", true),
            ("GroupName", "AWS::EC2::SecurityGroup", true),
            ("Name", "AWS::EKS::Cluster", true),
            ("DomainName", "AWS::ApiGatewayV2::DomainName", true),
            ("FunctionName", "AWS::Lambda::Alias", false),
            ("FifoQueue", "AWS::SQS::Queue", false),
        ] {
            assert_eq!(is_name(property, resource_type), expected, "{property} of {resource_type}");
        }
    }
}
