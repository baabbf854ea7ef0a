//! Answers that aren't objects.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::merge::Clash;

/// An answer: its code and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP code.
    pub code: StatusCode,
    /// The body; a text is plain text.
    pub body: Value,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self { code: StatusCode::OK, body }
    }

    /// A failure as the API words it.
    pub fn failure(code: u16, reason: &str, message: &str, details: &Value) -> Self {
        let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                          "message": message, "reason": reason, "details": details, "code": code});
        Self { code: StatusCode::from_u16(code).expect("a code of HTTP"), body }
    }

    /// What the API says where it has no address.
    pub(crate) fn no_address() -> Self {
        Self { code: StatusCode::NOT_FOUND, body: json!("404 page not found") }
    }

    pub(crate) fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let (whole, details) = (whole(group, plural), details(group, plural, name));
        Self::failure(404, "NotFound", &format!("{whole} {name:?} not found"), &details)
    }

    pub(crate) fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let (whole, details) = (whole(group, plural), details(group, plural, name));
        Self::failure(409, "AlreadyExists", &format!("{whole} {name:?} already exists"), &details)
    }

    pub(crate) fn outdated(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", whole(group, plural));
        Self::failure(409, "Conflict", &message, &details(group, plural, name))
    }

    pub(crate) fn forbidden(group: &str, plural: &str, name: &str, verb: &str) -> Self {
        let message = format!(
            "{} {name:?} is forbidden: User \"test\" cannot {verb} resource {plural:?} in API group {group:?}",
            whole(group, plural)
        );
        Self::failure(403, "Forbidden", &message, &details(group, plural, name))
    }

    pub(crate) fn invalid(kind: &str, name: &str, fields: &[&str]) -> Self {
        let causes = |field: &&str| json!({"reason": "FieldValueInvalid", "message": "Invalid value: field is immutable", "field": field});
        let details = json!({"name": name, "kind": kind, "causes": fields.iter().map(causes).collect::<Vec<_>>()});
        let fields: Vec<String> =
            fields.iter().map(|field| format!("{field}: Invalid value: field is immutable")).collect();
        Self::failure(422, "Invalid", &format!("{kind} {name:?} is invalid: {}", fields.join(", ")), &details)
    }

    pub(crate) fn clashes(clashes: &[Clash]) -> Self {
        let causes = clashes.iter().map(|clash| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {}", clash.with()),
                   "field": clash.field()})
        });
        let causes: Vec<Value> = causes.collect();
        let message = match clashes {
            [one] => format!("Apply failed with 1 conflict: conflict with {}: {}", one.with(), one.field()),
            more => {
                let lines: Vec<String> =
                    more.iter().map(|clash| format!("conflicts with {}:\n- {}", clash.with(), clash.field())).collect();
                format!("Apply failed with {} conflicts: {}", more.len(), lines.join("\n"))
            }
        };
        Self::failure(409, "Conflict", &message, &json!({"causes": causes}))
    }
}

fn whole(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

fn details(group: &str, plural: &str, name: &str) -> Value {
    json!({"name": name, "group": group, "kind": plural})
}
