//! Credentials that are kept until shortly before they expire.
//!
//! The SDK's clients keep what a provider gives them, each for itself. Services that are spoken to without the SDK
//! ([`crate::json_service`]) ask with each request, which would be a request of its own to whoever lends a role.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// How long before their end credentials are renewed: more than a request and the clocks of two machines need, and more than the
/// ten seconds of the SDK's own clients, so that these get fresh ones.
const EARLY: Duration = Duration::from_secs(60);

/// A provider whose answers are kept.
#[derive(Debug)]
pub(crate) struct Kept<P> {
    provider: P,
    last: Mutex<Option<Credentials>>,
    now: fn() -> SystemTime,
}

impl<P: ProvideCredentials> Kept<P> {
    pub(crate) fn new(provider: P) -> Self {
        Self { provider, last: Mutex::new(None), now: SystemTime::now }
    }

    /// One question at a time: who asks meanwhile gets the same answer.
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        let mut last = self.last.lock().await;
        let now = (self.now)();
        if let Some(credentials) = last.as_ref().filter(|credentials| is_good(credentials, now + EARLY)) {
            return Ok(credentials.clone());
        }
        match self.provider.provide_credentials().await {
            Ok(credentials) => {
                *last = Some(credentials.clone());
                Ok(credentials)
            }
            // What is good for a few seconds still is better than nothing.
            Err(error) => last.as_ref().filter(|credentials| is_good(credentials, now)).cloned().ok_or(error),
        }
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Kept<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.get())
    }
}

fn is_good(credentials: &Credentials, at: SystemTime) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Each answer is good for an hour from the time that the number of its question, in minutes, says; the fourth fails.
    #[derive(Debug, Default)]
    struct Numbered(AtomicU64);

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(3_600 * (number + 1));
            future::ProvideCredentials::ready(match number {
                3 => Err(CredentialsError::not_loaded("the role isn't lent")),
                _ => Ok(Credentials::new(format!("key-{number}"), "secret", None, Some(expiry), "test")),
            })
        }
    }

    #[tokio::test]
    async fn credentials_are_asked_for_anew_shortly_before_they_expire() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::SeqCst));
        let kept = Kept { now, ..Kept::new(Numbered::default()) };
        for (second, key) in [
            (0, Some("key-0")),
            (3_000, Some("key-0")),
            (3_540, Some("key-1")),
            (7_100, Some("key-1")),
            (7_150, Some("key-2")),
            // Renewing fails, and they are good for half a minute still; the next question is answered.
            (10_770, Some("key-2")),
            (10_771, Some("key-4")),
        ] {
            NOW.store(second, Ordering::SeqCst);
            let given = kept.provide_credentials().await.ok();
            assert_eq!(given.as_ref().map(Credentials::access_key_id), key, "at {second} s");
        }
    }

    #[tokio::test]
    async fn a_provider_that_fails_is_asked_again() {
        let kept = Kept::new(Numbered(AtomicU64::new(3)));
        kept.provide_credentials().await.expect_err("the role isn't lent");
        kept.provide_credentials().await.expect("it is now");
    }
}
