//! What a call to the cluster can end in. Only the cluster's own "not found" means that something isn't there; whatever
//! keeps the question from being answered is told apart from that.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use kube::core::Status;

use crate::conflict::{self, Conflict};

/// A call that brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}", .class.says())]
pub struct CallError {
    /// What was tried, such as ``applying Deployment web/shop``.
    pub doing: String,
    /// What it means.
    pub class: CallClass,
    /// The cluster's own words, or the transport's.
    #[source]
    pub source: Said,
}

impl CallError {
    /// Whether these credentials lack the right to this verb, in the words of Kubernetes' own authorization; quotas, namespaces
    /// that are being deleted and admission policies refuse with the same status.
    pub fn lacks_right(&self, verb: &str) -> bool {
        self.class == CallClass::Forbidden && self.source.0.contains(&format!(" cannot {verb} resource \""))
    }

    /// Whether the same call may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self.class, CallClass::Busy { .. } | CallClass::Unreachable)
    }
}

/// Why a call failed, as far as somebody acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallClass {
    /// The cluster says that it isn't there.
    NotFound {
        /// What isn't there, when that is something other than what was asked for, such as a namespace.
        instead: Option<(String, String)>,
    },
    /// The cluster doesn't know who asks.
    Unauthenticated,
    /// Who asks may not do that.
    Forbidden,
    /// Others own fields that would be changed.
    Conflicting(Vec<Conflict>),
    /// It has been made or changed since it was read.
    Outdated,
    /// The cluster refuses the object.
    Invalid {
        /// Each field that is wrong, with why.
        causes: Vec<(String, String)>,
    },
    /// Too many calls at this moment, or the cluster can't work now.
    Busy {
        /// How long the cluster asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer: no connection, a timeout.
    Unreachable,
    /// Another refusal, or an answer that can't be read.
    Refused,
}

impl CallClass {
    fn says(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "found nothing",
            Self::Unauthenticated => "is refused: the cluster doesn't know who asks",
            Self::Forbidden => "is not allowed",
            Self::Conflicting(_) => "is refused: others own fields that would be changed",
            Self::Outdated => "is refused: it has been changed meanwhile",
            Self::Invalid { .. } => "is refused: the object is wrong",
            Self::Busy { .. } => "is refused: the cluster is busy",
            Self::Unreachable => "got no answer",
            Self::Refused => "is refused",
        }
    }
}

/// Somebody else's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said(pub String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {}

/// Sorts a failure. The words about a secret object are left out: they may quote its values.
pub(crate) fn failed(doing: String, is_secret: bool, error: &kube::Error) -> CallError {
    let (mut class, said) = match error {
        kube::Error::Api(status) => (class_of(status), said(status, is_secret)),
        kube::Error::HyperError(error) => (CallClass::Unreachable, chain(error)),
        kube::Error::Service(error) => (CallClass::Unreachable, chain(error.as_ref())),
        kube::Error::Auth(error) => (CallClass::Unauthenticated, chain(error)),
        other => (CallClass::Refused, chain(other)),
    };
    if let (true, CallClass::Invalid { causes }) = (is_secret, &mut class) {
        causes.iter_mut().for_each(|(_, why)| *why = "it is wrong".to_owned());
    }
    CallError { doing, class, source: Said(said) }
}

/// No answer within `limit`.
pub(crate) fn timed_out(doing: String, limit: Duration) -> CallError {
    let said = format!("no answer within {} s", limit.as_secs());
    CallError { doing, class: CallClass::Unreachable, source: Said(said) }
}

fn said(status: &Status, is_secret: bool) -> String {
    let reason = if status.reason.is_empty() { "no reason".to_owned() } else { status.reason.clone() };
    if is_secret || status.message.is_empty() {
        return format!("{reason} ({})", status.code);
    }
    format!("{} ({})", status.message, status.code)
}

fn class_of(status: &Status) -> CallClass {
    let details = status.details.as_ref();
    let causes = details.map(|details| details.causes.as_slice()).unwrap_or_default();
    match (status.reason.as_str(), status.code) {
        ("NotFound", _) => {
            let named = details.map(|details| (details.kind.clone(), details.name.clone()));
            CallClass::NotFound { instead: named.filter(|(kind, _)| kind == "namespaces") }
        }
        ("Unauthorized", _) | (_, 401) => CallClass::Unauthenticated,
        ("Forbidden", _) | (_, 403) => CallClass::Forbidden,
        (_, 409) => match conflict::read(causes) {
            conflicts if conflicts.is_empty() => CallClass::Outdated,
            conflicts => CallClass::Conflicting(conflicts),
        },
        ("Invalid" | "BadRequest", _) | (_, 400 | 422) => {
            let causes = causes.iter().map(|cause| (cause.field.clone(), cause.message.clone()));
            CallClass::Invalid { causes: causes.collect() }
        }
        (_, 429 | 500..=599) => {
            let seconds = details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
            CallClass::Busy { retry_after: seconds.map(|seconds| Duration::from_secs(seconds.into())) }
        }
        // A proxy's 404 is no word of the cluster's.
        _ => CallClass::Refused,
    }
}

/// An error and its causes as one text, each said once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(status: serde_json::Value) -> CallClass {
        class_of(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn only_the_clusters_own_word_means_that_nothing_is_there() {
        let not_found = json!({"status": "Failure", "reason": "NotFound", "code": 404,
                               "details": {"kind": "configmaps", "name": "x"}});
        assert_eq!(class(not_found), CallClass::NotFound { instead: None });
        let namespace = json!({"reason": "NotFound", "code": 404, "details": {"kind": "namespaces", "name": "web"}});
        let instead = Some(("namespaces".to_owned(), "web".to_owned()));
        assert_eq!(class(namespace), CallClass::NotFound { instead });
        assert_eq!(class(json!({"reason": "Failed to parse error data", "code": 404})), CallClass::Refused);
    }

    #[test]
    fn failures_are_told_apart() {
        for (reason, code, expected) in [
            ("Unauthorized", 401, CallClass::Unauthenticated),
            ("Forbidden", 403, CallClass::Forbidden),
            ("AlreadyExists", 409, CallClass::Outdated),
            ("Conflict", 409, CallClass::Outdated),
            ("Invalid", 422, CallClass::Invalid { causes: Vec::new() }),
            ("", 422, CallClass::Invalid { causes: Vec::new() }),
            ("InternalError", 500, CallClass::Busy { retry_after: None }),
            ("ServiceUnavailable", 503, CallClass::Busy { retry_after: None }),
            ("Timeout", 504, CallClass::Busy { retry_after: None }),
            ("Gone", 410, CallClass::Refused),
        ] {
            assert_eq!(class(json!({"reason": reason, "code": code})), expected, "{reason} {code}");
        }
        let wait = json!({"reason": "TooManyRequests", "code": 429, "details": {"retryAfterSeconds": 3}});
        assert_eq!(class(wait), CallClass::Busy { retry_after: Some(Duration::from_secs(3)) });
    }

    #[test]
    fn words_about_a_secret_are_left_out() {
        let status: Status = serde_json::from_value(
            json!({"reason": "Invalid", "code": 422, "message": "data.password: Invalid value: \"hunter2\""}),
        )
        .unwrap();
        assert_eq!(said(&status, true), "Invalid (422)");
        assert_eq!(said(&status, false), "data.password: Invalid value: \"hunter2\" (422)");
    }
}
