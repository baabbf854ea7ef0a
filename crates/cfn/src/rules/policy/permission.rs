//! Who may call a function by its own permissions.

use super::super::evaluate::text;
use super::super::{Context, property};
use super::source::{foreign_account, names_somebody};
use crate::check::Violation;
use crate::template::Declaration;

/// Neither everybody nor another account calls a function, and a service only for a source that is named.
pub(super) fn callers_are_of_the_account(context: &Context<'_>, permission: &Declaration, found: &mut Vec<Violation>) {
    let Some(principal) = property(permission, "Principal").map(|json| text(json, context.region).known) else {
        return;
    };
    let mut open = |path: &str, message: String, hint: &str| {
        found.push(Violation::new("permission-open", message).of(permission).at(path).hint(hint));
    };
    if principal.contains('*') {
        let message = "lets everybody call the function".to_owned();
        open("Principal", message, "name the service or the role that calls it");
    } else if let Some(account) = foreign_account(&principal) {
        let message = format!("lets account {account} call the function");
        open("Principal", message, "let the other account send events, or accept the rule with a reason");
    }
    let source = property(permission, "SourceArn").map(|json| text(json, context.region));
    if let Some(source) = source {
        if !names_somebody(&source) {
            let message = format!("`{}` is a source of any account", source.known);
            open("SourceArn", message, "write the account into the ARN");
        } else if let Some(account) = foreign_account(&source.known) {
            let message = format!("lets a source of account {account} call the function");
            open("SourceArn", message, "let the other account send events, or accept the rule with a reason");
        }
    }
}
