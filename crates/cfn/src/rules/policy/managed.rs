//! Policies that are attached to roles by ARN: those that AWS maintains change without anybody here.
//!
//! What a policy of the template allows is judged with its document.

use serde_json::Value as Json;

use super::super::evaluate::text;
use super::super::{Context, property};
use crate::check::Violation;
use crate::template::Declaration;

/// Policies for people who may do anything.
const ADMINISTRATORS: [&str; 3] = ["AdministratorAccess", "IAMFullAccess", "PowerUserAccess"];
/// How names end of policies that allow all of a service.
const ALL_OF_A_SERVICE: &str = "FullAccess";
const PATH: &str = "ManagedPolicyArns";

/// A role holds its own policies; one that AWS maintains needs a reason, and one that allows everything has none.
pub(super) fn attached_policies_are_known(context: &Context<'_>, role: &Declaration, found: &mut Vec<Violation>) {
    match property(role, PATH) {
        Some(Json::Array(attached)) => {
            for (index, arn) in attached.iter().enumerate() {
                found.extend(judge(context, arn).map(|violation| violation.of(role).at(format!("{PATH}/{index}"))));
            }
        }
        Some(_) => found.push(unknown().of(role).at(PATH)),
        None => {}
    }
}

fn judge(context: &Context<'_>, arn: &Json) -> Option<Violation> {
    if context.referred(Some(arn), "AWS::IAM::ManagedPolicy").is_some() {
        return None;
    }
    let arn = text(arn, context.region);
    // An ARN whose account is `aws` is of a policy that AWS maintains.
    let mut parts = arn.known.splitn(6, ':').skip(4);
    let (owner, resource) = (parts.next(), parts.next().unwrap_or_default());
    let name = resource.rsplit('/').next().unwrap_or_default();
    if ADMINISTRATORS.contains(&name) || name.ends_with(ALL_OF_A_SERVICE) {
        let message = format!("`{name}` allows everything, today and whatever comes");
        return Some(
            Violation::new("iam-administrator", message).hint("write down the actions and resources it needs"),
        );
    }
    if !arn.complete {
        return Some(unknown());
    }
    (owner == Some("aws")).then(|| {
        Violation::new("iam-managed", format!("AWS decides what `{name}` allows, and changes it"))
            .hint("write down what the role needs, or accept `iam-managed` in the metadata with the reason")
    })
}

fn unknown() -> Violation {
    Violation::new("iam-managed", "which policy it is shows at deployment, so nobody can judge it")
        .hint("name the policy, or refer to one of this template")
}
