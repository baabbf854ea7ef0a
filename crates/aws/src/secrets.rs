//! One secret of Secrets Manager, by the stage of its version.
//!
//! A secret's text has a type that doesn't print. Keeping it, ageing it and making a key of it is the caller's business,
//! and nothing is rotated here.

use crate::failure::{Failure, FailureKind};
use crate::json_service::{JsonService, Service};
use aws_types::SdkConfig;
use contracts::SecretName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Reads the versions of one secret.
pub trait ReadSecret: Sync {
    /// The version at `stage`; none when the secret has no version there.
    ///
    /// # Errors
    /// When it could not be asked for, or isn't text.
    fn read(&self, stage: SecretStage) -> impl Future<Output = Result<Option<SecretVersion>, SecretError>> + Send;
}

impl<S: ReadSecret> ReadSecret for &S {
    fn read(&self, stage: SecretStage) -> impl Future<Output = Result<Option<SecretVersion>, SecretError>> + Send {
        (**self).read(stage)
    }
}

/// Which version of a secret (Secrets Manager's staging labels).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretStage {
    /// The version that is in use.
    Current,
    /// The version that was in use before the last rotation.
    Previous,
}

impl SecretStage {
    /// Secrets Manager's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

/// One version of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// The version's id, which is no secret.
    pub id: String,
    /// When the version was made, if Secrets Manager says so.
    pub created: Option<SystemTime>,
    /// The secret itself.
    pub text: SecretText,
}

/// A secret's text; printing it for people or for debugging shows that there is one and nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a text that must not be printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. What is made of it must not be printed either.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Why a secret was not read. It never carries any of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too much at once, no answer, or the service's own fault.
    #[error("Secrets Manager gave no answer ({code}: {message}); it is asked again later")]
    Unavailable {
        /// Secrets Manager's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
    },
    /// The program may not read the secret, or may not decrypt it.
    #[error("reading the secret was denied ({code}: {message}); check the function's role and the secret's key")]
    Denied {
        /// Secrets Manager's error code.
        code: String,
        /// What was reported.
        message: String,
    },
    /// The secret was stored as bytes.
    #[error("the secret is stored as bytes and not as text; store it as `SecretString`")]
    NotText,
}

/// One secret of Secrets Manager.
#[derive(Clone, Debug)]
pub struct Secret {
    service: Arc<JsonService>,
    name: SecretName,
}

impl Secret {
    /// The secret `name`; `config` must be for a region that has it or its replica.
    pub fn new(config: &SdkConfig, name: SecretName) -> Self {
        Self { service: Arc::new(JsonService::new(config, Service::SECRETS)), name }
    }
}

impl ReadSecret for Secret {
    async fn read(&self, stage: SecretStage) -> Result<Option<SecretVersion>, SecretError> {
        let request = GetSecretValue { secret_id: self.name.as_str(), version_stage: stage.as_str() };
        // Texts under fixed names can always be written.
        let body = serde_json::to_vec(&request).unwrap_or_default();
        let answer = match self.service.call_with_retries("secretsmanager.GetSecretValue", body).await {
            Ok(answer) => answer,
            Err(failure) if failure.code == "ResourceNotFoundException" => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        // The parser's error may quote what it read, which is a secret.
        let unreadable = |_| SecretError::Unavailable {
            code: "UnreadableResponse".to_owned(),
            message: "the answer is of another form than expected".to_owned(),
        };
        let answer: SecretValue = serde_json::from_slice(&answer).map_err(unreadable)?;
        let text = SecretText(answer.secret_string.ok_or(SecretError::NotText)?);
        let since_epoch = answer.created_date.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let created = since_epoch.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        Ok(Some(SecretVersion { id: answer.version_id.unwrap_or_default(), created, text }))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue<'a> {
    secret_id: &'a str,
    version_stage: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    version_id: Option<String>,
    secret_string: Option<String>,
    /// Seconds since 1970.
    created_date: Option<f64>,
}

impl From<Failure> for SecretError {
    fn from(Failure { kind, code, message, .. }: Failure) -> Self {
        match kind {
            FailureKind::Throttled | FailureKind::Unavailable => Self::Unavailable { code, message },
            FailureKind::Denied | FailureKind::Refused => Self::Denied { code, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, sdk_config};
    use serde_json::json;
    use std::time::Duration;

    fn secret(script: &Script) -> Secret {
        Secret::new(&sdk_config(script), "tandem-test-jwt".parse().expect("a name"))
    }

    #[tokio::test]
    async fn a_version_is_asked_for_by_its_stage() {
        let script = Script::new().ok(json!({
            "VersionId": "v-1", "SecretString": "hidden-text", "CreatedDate": 1_700_000_000, "VersionStages": ["AWSPREVIOUS"],
        }));
        let version = secret(&script).read(SecretStage::Previous).await.expect("answered").expect("there");
        assert_eq!(script.bodies(), [json!({ "SecretId": "tandem-test-jwt", "VersionStage": "AWSPREVIOUS" })]);
        assert_eq!((version.id.as_str(), version.text.expose()), ("v-1", "hidden-text"));
        assert_eq!(version.created, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
    }

    #[tokio::test]
    async fn a_secret_is_not_printed() {
        let script = Script::new().ok(json!({ "VersionId": "v-1", "SecretString": "hidden-text" }));
        let version = secret(&script).read(SecretStage::Current).await;
        let printed = format!("{version:?} {version:#?}");
        assert!(!printed.contains("hidden") && printed.contains("v-1"), "{printed}");
    }

    #[tokio::test]
    async fn what_is_not_there_and_what_could_not_be_asked_are_told_apart() {
        let script = Script::new()
            .error(400, "ResourceNotFoundException")
            .error(400, "AccessDeniedException")
            .error(500, "InternalServiceError")
            .lost_connection()
            .ok(json!({ "VersionId": "v-1", "SecretBinary": "AAAA" }));
        let secret = secret(&script);
        assert_eq!(secret.read(SecretStage::Previous).await, Ok(None));
        let denied = secret.read(SecretStage::Current).await.expect_err("denied");
        assert!(matches!(denied, SecretError::Denied { .. }), "{denied}");
        for _ in 0..2 {
            let error = secret.read(SecretStage::Current).await.expect_err("no answer");
            assert!(matches!(error, SecretError::Unavailable { .. }), "{error}");
        }
        assert_eq!(secret.read(SecretStage::Current).await, Err(SecretError::NotText));
    }
}
