//! Names that are put together: how long they get once their variables are filled in, and whether AWS takes them.
//!
//! The schema's own bounds of a literal are checked with the schema; here are composed names, and bounds that the
//! schemas lack. Parameters and attributes count as empty, so what is reported is certain.

use super::Context;
use super::evaluate::text;
use crate::check::{Violation, finds};
use crate::describe::describe;
use crate::intrinsic::is_intrinsic;
use crate::schema::Schema;
use crate::template::Declaration;

/// Bounds that the schemas don't have or have too wide. Sources: the quota pages of the services, November 2026.
const MOST: [(&str, &str, usize); 8] = [
    ("AWS::ApiGatewayV2::Api", "Name", 128),
    ("AWS::CloudWatch::Dashboard", "DashboardName", 255),
    ("AWS::DynamoDB::GlobalTable", "TableName", 255),
    ("AWS::DynamoDB::Table", "TableName", 255),
    ("AWS::EKS::Nodegroup", "NodegroupName", 63),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName", 128),
    ("AWS::Lambda::Function", "FunctionName", 64),
    ("AWS::SQS::Queue", "QueueName", 80),
];

/// The name that the author gave must be one that the service takes.
pub(super) fn fit(context: &Context<'_>, declaration: &Declaration, found: &mut Vec<Violation>) {
    let Some(description) = describe(declaration.type_name()) else { return };
    for (property, value) in declaration.properties().as_map().iter().filter(|(name, _)| name.ends_with("Name")) {
        let schema = description.property(property);
        let own = MOST.iter().find(|(type_name, name, _)| *type_name == declaration.type_name() && name == property);
        let composed = is_intrinsic(value);
        let most = match (own, schema.and_then(Schema::max_length)) {
            (Some((_, _, most)), _) => Some(*most),
            (None, Some(most)) if composed => usize::try_from(most).ok(),
            _ => None,
        };
        let name = text(value, context.region);
        let length = name.known.chars().count();
        if let Some(most) = most.filter(|most| length > *most) {
            let more = if name.complete { "" } else { " and parts that are not known yet" };
            let message = format!("`{}` has {length} characters{more}, at most {most} are accepted", name.known);
            found.push(
                Violation::new("name", message).of(declaration).at(property.as_str()).hint("shorten its fixed part"),
            );
        }
        let pattern = schema.and_then(Schema::pattern);
        if let Some(pattern) = pattern.filter(|pattern| composed && name.complete && !finds(*pattern, &name.known)) {
            found.push(
                Violation::new("name", format!("becomes `{}`, which AWS does not accept", name.known))
                    .of(declaration)
                    .at(property.as_str())
                    .hint(format!("it has to match `{}`", pattern.text())),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_belongs_to_a_property() {
        for (type_name, property, _) in MOST {
            assert!(describe(type_name).and_then(|one| one.property(property)).is_some(), "{type_name} {property}");
        }
    }
}
