//! Sorting what the SDK reports into the few kinds that callers decide by.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use events::dead_letter::chain;
use std::error::Error;

/// What went wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// The service's error code, or a word of ours when no answer came.
    pub(crate) code: String,
    pub(crate) message: String,
    /// The answer's body, where the service is spoken to directly: some errors say more than code and message.
    pub(crate) answer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Too much at once; passes with time.
    Throttled,
    /// No answer, or the service's own fault; passes with time.
    Unavailable,
    /// The program may not do this, or the resource is not there: someone must repair the deployment.
    Denied,
    /// The service will never accept this request.
    Refused,
}

impl FailureKind {
    /// A word for metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Refused => "refused",
        }
    }
}

const THROTTLED: &[&str] = &[
    "KmsThrottled",
    "KMS.ThrottlingException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "TransactionConflictException",
];

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAddress",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "KmsAccessDenied",
    "KmsDisabled",
    "KmsInvalidKeyUsage",
    "KmsInvalidState",
    "KmsNotFound",
    "KmsOptInRequired",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
    "OptInRequired",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes that blame the request's content. Only these and an answer of 413 give a record up:
/// a code that isn't known yet must not cost records. Who writes under a condition looks for the codes of one that doesn't
/// hold before it asks for the kind.
const REFUSED: &[&str] = &[
    "ConditionalCheckFailedException",
    "InvalidArgument",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "ItemCollectionSizeLimitExceededException",
    "MalformedDetail",
    "SerializationException",
    "TransactionCanceledException",
    "ValidationError",
    "ValidationException",
];

impl Failure {
    /// The failure of a whole call.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(service) => {
                let metadata = service.err().meta();
                let status = service.raw().status().as_u16();
                Self::of_answer(
                    status,
                    metadata.code().map(ToOwned::to_owned),
                    metadata.message().map(ToOwned::to_owned),
                )
            }
            // Not the record's fault as far as can be known: the SDK reports problems of its configuration this way too.
            SdkError::ConstructionFailure(_) => Self::local(FailureKind::Unavailable, "ConstructionFailure", error),
            SdkError::TimeoutError(_) => Self::local(FailureKind::Unavailable, "Timeout", error),
            SdkError::DispatchFailure(_) => Self::local(FailureKind::Unavailable, "DispatchFailure", error),
            _ => Self::local(FailureKind::Unavailable, "UnreadableResponse", error),
        }
    }

    /// What an answer with an error status means, by the code and the message in it.
    pub(crate) fn of_answer(status: u16, code: Option<String>, message: Option<String>) -> Self {
        let code = code.unwrap_or_else(|| format!("Http{status}"));
        let message = message.unwrap_or_else(|| "the service gave no message".to_owned());
        let kind = kind_of_code(&code).unwrap_or_else(|| kind_of_status(status));
        Self { kind, code, message, answer: Vec::new() }
    }

    /// No answer came; passes with time.
    pub(crate) fn without_answer(code: &str, error: &dyn Error) -> Self {
        Self::local(FailureKind::Unavailable, code, error)
    }

    /// The failure of one entry of a call that itself succeeded. An unknown code is taken as the service's fault.
    pub(crate) fn of_entry(code: &str, message: &str) -> Self {
        let kind = kind_of_code(code).unwrap_or(FailureKind::Unavailable);
        Self { kind, code: code.to_owned(), message: message.to_owned(), answer: Vec::new() }
    }

    fn local(kind: FailureKind, code: &str, error: &dyn Error) -> Self {
        Self { kind, code: code.to_owned(), message: chain(error), answer: Vec::new() }
    }
}

fn kind_of_code(code: &str) -> Option<FailureKind> {
    if THROTTLED.contains(&code) {
        Some(FailureKind::Throttled)
    } else if DENIED.contains(&code) {
        Some(FailureKind::Denied)
    } else if REFUSED.contains(&code) {
        Some(FailureKind::Refused)
    } else {
        None
    }
}

fn kind_of_status(status: u16) -> FailureKind {
    match status {
        429 => FailureKind::Throttled,
        401 | 403 | 404 => FailureKind::Denied,
        413 => FailureKind::Refused,
        _ => FailureKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_decide_before_the_status() {
        let check = |code, kind| assert_eq!(kind_of_code(code), Some(kind), "{code}");
        check("ThrottlingException", FailureKind::Throttled);
        check("AccessDeniedException", FailureKind::Denied);
        check("NotAuthorizedForSourceException", FailureKind::Denied);
        check("NotAuthorizedForDetailTypeException", FailureKind::Denied);
        check("ValidationException", FailureKind::Refused);
        assert_eq!(kind_of_code("InternalFailure"), None);
        assert_eq!(Failure::of_entry("InternalFailure", "m").kind, FailureKind::Unavailable);
        assert_eq!(Failure::of_entry("SomethingNew", "m").kind, FailureKind::Unavailable);
    }

    #[test]
    fn the_status_decides_without_a_known_code() {
        let check = |status, kind| assert_eq!(kind_of_status(status), kind, "{status}");
        check(400, FailureKind::Unavailable);
        check(403, FailureKind::Denied);
        check(408, FailureKind::Unavailable);
        check(413, FailureKind::Refused);
        check(429, FailureKind::Throttled);
        check(500, FailureKind::Unavailable);
        check(503, FailureKind::Unavailable);
    }

    #[test]
    fn no_code_is_of_two_kinds() {
        let all: Vec<_> = [THROTTLED, DENIED, REFUSED].concat();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), distinct.len());
    }
}
