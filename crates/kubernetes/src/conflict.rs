//! Fields that somebody else owns, as a cluster names them when it refuses to change them.

use std::fmt;

use kube::core::response::StatusCause;
use serde::Serialize;

/// A field that would be changed although another manager of fields owns it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Conflict {
    /// The field: `spec.replicas`.
    pub field: String,
    /// Who owns it, such as `kubectl-edit`.
    pub manager: String,
    /// What the cluster says besides: through which subresource and which version of the form.
    pub through: String,
}

/// For people: `spec.replicas` is owned by `kubectl-edit` (using apps/v1).
impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is owned by `{}`", self.field, self.manager)?;
        if self.through.is_empty() { Ok(()) } else { write!(f, " ({})", self.through) }
    }
}

/// The conflicts among the causes of a refusal.
pub(crate) fn read(causes: &[StatusCause]) -> Vec<Conflict> {
    let conflicts = causes.iter().filter(|cause| cause.reason == "FieldManagerConflict");
    let mut conflicts: Vec<Conflict> = conflicts
        .map(|cause| {
            let (manager, through) = manager(&cause.message);
            Conflict { field: cause.field.trim_start_matches('.').to_owned(), manager, through }
        })
        .collect();
    conflicts.sort();
    conflicts.dedup();
    conflicts
}

/// Reads `conflict with "kubectl" with subresource "scale" using apps/v1`; the name is quoted as Go quotes.
fn manager(message: &str) -> (String, String) {
    let rest = message.strip_prefix("conflict with ").unwrap_or(message);
    let mut quoted = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    match quoted.next() {
        Some(Ok(name)) => (name, rest[quoted.byte_offset()..].trim().to_owned()),
        _ => (rest.trim().to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_are_named_with_what_they_used() {
        for (message, name, through) in [
            ("conflict with \"kubectl-edit\" using apps/v1", "kubectl-edit", "using apps/v1"),
            ("conflict with \"argocd\"", "argocd", ""),
            (
                "conflict with \"kubectl\" with subresource \"scale\" using apps/v1 at 2026-11-30T10:00:00Z",
                "kubectl",
                "with subresource \"scale\" using apps/v1 at 2026-11-30T10:00:00Z",
            ),
            ("conflict with \"a \\\"b\\\"\" using v1", "a \"b\"", "using v1"),
            ("something new", "something new", ""),
        ] {
            assert_eq!(manager(message), (name.to_owned(), through.to_owned()), "{message}");
        }
    }
}
